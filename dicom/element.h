/* dicom/element.h: data elements as bytes (PS3.5 7): a checked walk over an encoded data set in memory,
 * and a writer that makes one. Plain C, no dictionary object is built, nothing is copied. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dicom/tags.h"
#include "dicom/uids.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;
struct vt_buf;

struct vt_element_limits {
    uint32_t depth;            /* sequences in sequences */
    uint32_t elements;         /* in all, nested ones included */
    uint64_t value;            /* bytes of one value other than pixel data */
};
#define VT_ELEMENT_LIMITS_DEFAULT ((struct vt_element_limits){ 32, 200000, UINT64_C(256) << 20 })

/* What stands before a value: for who reads a few headers out of a large file. */
enum { VT_RAW_HEADER_MAX = 12 };
#define VT_UNDEFINED_LENGTH UINT32_C(0xffffffff)
struct vt_raw_header {
    uint32_t tag;
    uint32_t length;
    char vr[3];                /* "" for items and delimiters */
    uint8_t size;              /* of the header itself */
};
/* false: `have` bytes are not enough. Never needs more than VT_RAW_HEADER_MAX. */
bool vt_raw_header_read(const uint8_t *bytes, size_t have, enum vt_encoding encoding,
                        struct vt_raw_header *out);

struct vt_element {
    uint32_t tag;
    char vr[3];                /* from the bytes, or from the dictionary when implicit */
    const uint8_t *value;      /* borrowed from the data walked over */
    uint64_t length;           /* bytes of value; for undefined length: all up to the delimiter, without it */
    bool undefined_length;     /* was encoded so: a sequence, or encapsulated pixel data */
};

/* A walk over one level: the data set, or the items of a sequence, or the elements of an item. */
struct vt_walk {
    const uint8_t *at;
    const uint8_t *end;
    enum vt_encoding encoding;         /* never VT_DEFLATED_LE */
    struct vt_element_limits limits;   /* what is left of them */
    char vr[3];                        /* of the sequence, while its items are walked */
};

/* The whole of it, raw: nesting, declared lengths against what is there, counts. For everything that
 * DCMTK is to parse afterwards and for identifiers. err has a DIMSE status: C005 truncated, C006 depth,
 * C007 length. Trailing bytes that do not make an element header are tolerated when all are zero. */
bool vt_element_check(const uint8_t *bytes, size_t size, enum vt_encoding encoding,
                      const struct vt_element_limits *limits, struct vt_err *err);

void vt_walk_init(struct vt_walk *walk, const uint8_t *bytes, size_t size, enum vt_encoding encoding);
/* Walk the items of a sequence element: each "element" is an item (tag VT_TAG_ITEM) with the sequence's VR. Pass the encoding
 * of the data set for both: what is in an unknown element (UN) is read as implicit. */
void vt_walk_items(struct vt_walk *walk, const struct vt_element *sequence, enum vt_encoding encoding);
/* The elements of an item. */
void vt_walk_item(struct vt_walk *walk, const struct vt_element *item, enum vt_encoding encoding);
/* out_more false: behind the last. */
bool vt_walk_next(struct vt_walk *walk, struct vt_element *out, bool *out_more, struct vt_err *err);

/* First element with the tag on one level of checked bytes. */
bool vt_element_find(const uint8_t *bytes, size_t size, enum vt_encoding encoding, uint32_t tag,
                     struct vt_element *out);

/* Value without trailing padding (spaces, NUL) and, for all but LT ST UT UC, without leading spaces; cut to room - 1. Returns the full length. */
size_t vt_element_text(const struct vt_element *element, char *out, size_t room);
/* First value of US, UL, SS, SL, IS; false when there is none. */
bool vt_element_number(const struct vt_element *element, enum vt_encoding encoding, int64_t *out);

/* Writer: appends to a buffer in VT_EXPLICIT_LE or VT_IMPLICIT_LE. The caller keeps tags ascending. Pads odd
 * lengths (UI and OB with zero, text with space). */
struct vt_writer {
    struct vt_buf *buf;
    enum vt_encoding encoding;
};
bool vt_write_bytes(struct vt_writer *w, uint32_t tag, const char *vr, const void *value, size_t size, struct vt_err *err);
/* Only what stands before a value of that (even) length, for who has the value elsewhere; VT_UNDEFINED_LENGTH: items follow. A VR
 * with a short length field becomes UN when the value does not fit one. */
bool vt_write_header(struct vt_writer *w, uint32_t tag, const char *vr, uint32_t length, struct vt_err *err);
bool vt_write_text(struct vt_writer *w, uint32_t tag, const char *vr, const char *text, struct vt_err *err);
bool vt_write_us(struct vt_writer *w, uint32_t tag, uint16_t value, struct vt_err *err);
bool vt_write_ul(struct vt_writer *w, uint32_t tag, uint32_t value, struct vt_err *err);
/* Sequences and items of undefined length, closed by their delimiters. */
bool vt_write_sequence_begin(struct vt_writer *w, uint32_t tag, struct vt_err *err);
bool vt_write_item_begin(struct vt_writer *w, struct vt_err *err);
bool vt_write_item_end(struct vt_writer *w, struct vt_err *err);
bool vt_write_sequence_end(struct vt_writer *w, struct vt_err *err);
/* An element as it was walked over, re-encoded (nested ones too) from `from` to the writer's encoding. */
bool vt_write_element(struct vt_writer *w, const struct vt_element *element, enum vt_encoding from, struct vt_err *err);

/* Group 0002 (PS3.10 7.1) with preamble and "DICM", ours, complete with (0002,0000). */
struct vt_file_meta {
    const char *sop_class_uid;
    const char *sop_instance_uid;
    const char *transfer_syntax_uid;
    const char *source_ae_title;      /* NULL: left out */
};
bool vt_write_file_meta(struct vt_buf *buf, const struct vt_file_meta *meta, struct vt_err *err);

#ifdef __cplusplus
}
#endif
