/* dicom/header.h: what is learnt from a data set while it streams by, in constant memory.
 *
 * Fed with the bytes of a data set (without group 0002) in pieces of any size, in their own encoding,
 * deflated ones included. A state machine of our own checks structure (depth, lengths, counts), keeps small
 * top-level elements up to group 0088, computes XXH3-128 over all bytes and over the pixel data's value, and
 * notes where the frames of encapsulated pixel data lie. Nothing is decoded; a slide of any size costs
 * what an X-ray costs. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "dicom/element.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;
struct vt_header;

enum {
    VT_HEADER_KEPT_VALUE_MAX = 64 << 10,     /* longer values are noted, not kept */
    VT_HEADER_KEPT_MAX = 4 << 20,            /* all kept values together */
    VT_HEADER_KEPT_ELEMENTS_MAX = 16384,
    VT_HEADER_FRAMES_MAX = 16 << 20,         /* frames noted of one instance */
    VT_HEADER_INFLATED_FREE = 64 << 20,      /* a deflated data set may always become that large; beyond, */
    VT_HEADER_INFLATE_RATIO_MAX = 200,       /* no more than so many times what was sent (C007) */
};

struct vt_digest {
    uint8_t bytes[16];                       /* XXH3-128, canonical (big endian) */
};

struct vt_frame {
    uint64_t offset;     /* of the frame's first fragment's item header, from the first byte of the data set */
    uint64_t length;     /* to the end of its last fragment, item headers included */
};

/* `uid` may be private: then `encoding` says how to read. NULL when out of memory. Can be used again after
 * vt_header_reset, which keeps the memory: one for each association. */
struct vt_header *vt_header_new(void);
void vt_header_free(struct vt_header *header);
VT_DEFINE_AUTO(vt_header)
void vt_header_reset(struct vt_header *header, enum vt_encoding encoding, bool encapsulated,
                     const struct vt_element_limits *limits);

/* false: the data set cannot be read on; err has the DIMSE status (C005, C006, C007). The digest of all bytes
 * goes on being computed, so that a lenient caller may store the rest as it is. */
bool vt_header_feed(struct vt_header *header, const uint8_t *bytes, size_t size, struct vt_err *err);
/* The end of the data set. Fails when it ended within an element (C005). */
bool vt_header_finish(struct vt_header *header, struct vt_err *err);

/* After finish. */
uint64_t vt_header_size(const struct vt_header *header);                /* bytes fed */
void vt_header_digests(const struct vt_header *header, struct vt_digest *out_data_set, struct vt_digest *out_pixels);
/* false: no pixel data (float and double pixel data count). Offset of the value from the first byte of the
 * data set; for deflated ones both refer to the inflated bytes. */
bool vt_header_pixel_data(const struct vt_header *header, uint64_t *out_offset, uint64_t *out_length);
/* Frames of encapsulated pixel data as far as they can be told: by the extended or basic offset table when it is
 * there and right, by one fragment a frame when the counts agree, by fragments that begin as an image does (JPEG, JPEG 2000,
 * JPEG XL), all fragments when there is one frame; else count 0. Borrowed until reset. */
const struct vt_frame *vt_header_frames(const struct vt_header *header, size_t *out_count);

/* A kept top-level element; false when it is not there or was too long to keep (out's length then
 * tells, its value is NULL). Borrowed
 * until reset. Values are as encoded; implicit ones, and known ones that came
 * as UN, have their VR from the dictionary. Nested values are in
 * vt_header_encoding(). */
bool vt_header_find(const struct vt_header *header, uint32_t tag, struct vt_element *out);
/* All kept ones in order; false behind the last. */
bool vt_header_at(const struct vt_header *header, size_t i, struct vt_element *out);
/* Of the kept values: VT_DEFLATED_LE becomes VT_EXPLICIT_LE. */
enum vt_encoding vt_header_encoding(const struct vt_header *header);
/* Trimmed text of a kept element, raw bytes, "" when it is not there. Cut to room - 1. */
void vt_header_text(const struct vt_header *header, uint32_t tag, char *out, size_t room);

/* Reads group 0002 of a Part 10 file in memory (at least the first bytes of it). Files without preamble or
 * without group 0002 are an error here. out_offset: first byte of the data set. */
struct vt_part10 {
    char transfer_syntax_uid[VT_UID_MAX + 1];
    char sop_class_uid[VT_UID_MAX + 1];
    char sop_instance_uid[VT_UID_MAX + 1];
    char source_ae_title[VT_AE_TITLE_MAX + 1];
    uint64_t data_set_offset;
};
enum { VT_PART10_META_MAX = 64 << 10 };
bool vt_part10_read(const uint8_t *bytes, size_t size, struct vt_part10 *out, struct vt_err *err);
/* The same from a file: reads what it needs. */
bool vt_part10_read_file(int fd, const char *path, struct vt_part10 *out, struct vt_err *err);

#ifdef __cplusplus
}
#endif
