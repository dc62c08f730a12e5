/* scp/frames.h: retrieval of instances and of single frames by UID (PS3.4 Annex Y, Composite Instance Root Retrieve): what such an identifier asks for,
 * and the new instance that holds the frames.
 *
 *   identifier ─> vt_frame_request ─(IMAGE)──> words for archive/query.h
 *                                  └(FRAME)──> vt_frames_extract: header rewritten, the frames' bytes as they are stored
 *
 * Frames are found by the offsets that were noted when the instance came; nothing is decoded. A tiled image whose frames were in the order of the grid
 * (TILED_FULL) becomes TILED_SPARSE, with the place of each frame. Pure but for the extraction. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/archive.h"
#include "core/buf.h"
#include "dicom/element.h"

struct vt_err;

enum {
    VT_FRAMES_LISTED_MAX = 1 << 20,      /* frames of one request */
    VT_FRAMES_HEADER_MAX = 64 << 20,     /* bytes before the pixel data */
    VT_FRAMES_UIDS_MAX = 1 << 20,        /* bytes of the words for a query */
};

/* PS3.4 Y.4.1.1.4 */
#define VT_STATUS_NO_SUCH_FRAMES 0xAA00
#define VT_STATUS_CANNOT_MAKE 0xAA01
#define VT_STATUS_CANNOT_EXTRACT 0xAA02
#define VT_STATUS_NOT_TIME_BASED 0xAA03
#define VT_STATUS_INVALID_FRAMES 0xAA04

struct vt_frame_request {
    bool frames;                         /* level FRAME; else whole instances */
    struct vt_buf word;                  /* "SOPInstanceUID=..." with a zero */
    char sop_uid[VT_UID_MAX + 1];        /* level FRAME */
    bool calculated;                     /* triples of first, last, step; else numbers, from 1 */
    struct vt_buf numbers;               /* uint32_t */
};
void vt_frame_request_init(struct vt_frame_request *request);
void vt_frame_request_fini(struct vt_frame_request *request);
/* false: err has the status, A900 or one of the above. */
bool vt_frame_request_read(const uint8_t *identifier, size_t size, enum vt_encoding encoding,
                           struct vt_frame_request *out, struct vt_err *err);
/* The frames of an instance that has so many: uint32_t appended, from 1, ascending. AA00: none of them is there. */
bool vt_frame_request_resolve(const struct vt_frame_request *request, uint32_t total, struct vt_buf *out,
                              struct vt_err *err);

/* ---- the new instance ---- */

/* The header of an instance up to its pixel data, as it is and as it becomes (frames_header.c). */
struct vt_frame_header {
    const uint8_t *bytes;
    size_t size;
    enum vt_encoding encoding;
    uint32_t total;                      /* frames */
    uint64_t frame_bytes;                /* of plain pixels; 0: they are no whole number of bytes */
};
bool vt_frame_header_read(const uint8_t *bytes, size_t size, enum vt_encoding encoding, struct vt_frame_header *out,
                          struct vt_err *err);
bool vt_frame_header_write(const struct vt_frame_header *header, const struct vt_frame_request *request,
                           const uint32_t *numbers, size_t count, const char *new_uid, struct vt_buf *out,
                           struct vt_err *err);

struct vt_extracted {
    int fd;                              /* an unnamed file with the data set; -1: none */
    uint64_t size;
    char sop_uid[VT_UID_MAX + 1];        /* the same for the same frames of the same instance */
};
bool vt_frames_extract(struct vt_archive *archive, const struct vt_stored *stored,
                       const struct vt_frame_request *request, struct vt_extracted *out, struct vt_err *err);
