/* console/frames.h: where the frames of an instance lie, kept ready for those that are asked for one after the other. Any
 * thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/archive.h"
#include "core/buf.h"

struct vt_err;
struct vt_frame_cache;

enum { VT_FRAME_CACHE = 64 /* instances */ };

/* An instance whose frames can be read. Not to be changed; released by vt_frames_release. */
struct vt_frames {
    struct vt_index_entry entry;
    int fd;
    size_t count;
    bool encapsulated;
    uint64_t frame_size;    /* native: bytes of each; single bits are not told apart (count 1) */
    struct vt_buf table;    /* encapsulated: vt_frames_encode, or empty when all is one frame */
};

struct vt_frame_cache *vt_frame_cache_new(struct vt_archive *archive);   /* NULL: no memory */
void vt_frame_cache_free(struct vt_frame_cache *cache);

/* VT_E_NOTFOUND: no such instance, or not of that study and series (NULL: of any), or it has no frames; VT_E_UNSUPPORTED: deflated. */
const struct vt_frames *vt_frames_get(struct vt_frame_cache *cache, const char *study_uid, const char *series_uid,
                                      const char *sop_uid, struct vt_err *err);
void vt_frames_release(struct vt_frame_cache *cache, const struct vt_frames *frames);

/* The data set up to the pixel data's element, into `out`, which is empty. */
bool vt_frames_attributes(const struct vt_frames *frames, struct vt_buf *out, struct vt_err *err);
/* The bytes of frame i (from 0), without item headers, appended. */
bool vt_frames_read(const struct vt_frames *frames, size_t i, struct vt_buf *out, struct vt_err *err);
