/* dicom/scan.h: the structure of an encoded data set (PS3.5 7), read as it streams by. Private to the room.
 *
 * One state machine decides what is an element header, a sequence, an item or a fragment, for the checker and
 * the walk (element.c) and for the streaming header (header.c). It is fed pieces of any size, holds no value and
 * uses no recursion: open sequences and items are levels in an array. Not for VT_DEFLATED_LE: inflate first.
 *
 * Read as what the wild sends: VRs that are no VRs ("??", lower case: short length; unknown capitals: long length, as
 * DCMTK does), UN of undefined length (implicit inside, PS3.5 6.2.2), delimiters where none is due. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dicom/element.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;

enum {
    VT_SCAN_DEPTH_MAX = 64,          /* whatever the limits say */
    VT_SCAN_HEADER_MIN = 8,
    VT_SCAN_HEADER_MAX = VT_RAW_HEADER_MAX,
};

/* Told about the top level only. `at` points into the piece being fed. */
struct vt_scan_events {
    bool (*begin)(void *context, const struct vt_raw_header *header, uint64_t value_offset,
                  const uint8_t *at, struct vt_err *err);
    /* value_length: without the delimiter of an undefined length; `at` is behind the delimiter. */
    bool (*end)(void *context, uint64_t value_length, const uint8_t *at, struct vt_err *err);
    /* An item of encapsulated pixel data; the first one is the basic offset table. item_offset: of its header. */
    bool (*fragment)(void *context, uint64_t item_offset, uint32_t length, const uint8_t *at,
                     struct vt_err *err);
};

enum vt_scan_kind { VT_SCAN_DATA_SET, VT_SCAN_SEQUENCE, VT_SCAN_ITEM, VT_SCAN_FRAGMENTS };

struct vt_scan_level {
    uint64_t end;                    /* its own or, when undefined, that of the level around it */
    enum vt_scan_kind kind;
    enum vt_encoding encoding;
    bool undefined;
    bool guess;                      /* opened only because it looks like a sequence */
};

struct vt_scan {
    const struct vt_scan_events *events;     /* NULL: none */
    void *context;
    struct vt_element_limits limits;
    uint64_t offset;                 /* bytes consumed */
    uint64_t left;                   /* of a value that is passed over */
    uint64_t value_offset;           /* of the open top-level element */
    uint32_t elements;
    uint32_t top;                    /* index of the innermost level */
    uint32_t sequences;              /* open ones */
    uint8_t have;                    /* bytes of a header that has come in part */
    bool open;                       /* inside the value of a top-level element */
    bool guesses;                    /* look into unknown values too (vt_scan_whole) */
    bool stop_after_element;
    uint8_t header[VT_SCAN_HEADER_MAX];
    struct vt_scan_level levels[2 * VT_SCAN_DEPTH_MAX + 2];
};

void vt_scan_init(struct vt_scan *scan, enum vt_encoding encoding, const struct vt_element_limits *limits,
                  const struct vt_scan_events *events, void *context);
/* out_used: how far it came; less than size only with stop_after_element. */
bool vt_scan_feed(struct vt_scan *scan, const uint8_t *bytes, size_t size, size_t *out_used,
                  struct vt_err *err);
/* Must the data set end here? Left-over zero bytes are no element. C005 when something is open. */
bool vt_scan_finish(const struct vt_scan *scan, struct vt_err *err);

#ifdef __cplusplus
}
#endif
