/* dicom/transcode.h: a stored instance in another transfer syntax, for a receiver that did not accept the stored one
 * (vt_transcode_rank in dicom/dataset.h says what is possible). Small ones in memory; large encapsulated ones
 * frame by frame into an unnamed file, so that memory is bounded by a frame. Large ones wait for each other. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "dicom/uids.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;

enum {
    VT_TRANSCODE_STORED_MAX = 64 << 20,   /* bytes of a data set that is read into memory */
    VT_TRANSCODE_MEMORY_MAX = 128 << 20,  /* bytes of what it becomes there, decoded pixel data included */
    VT_TRANSCODE_ALONE = 8 << 20,         /* from here on one at a time in the whole process */
};
#define VT_TRANSCODE_FILE_MAX (UINT64_C(64) << 30)  /* decoded, in the unnamed file */

struct vt_transcode {
    int fd;                      /* the stored file, stays the caller's */
    uint64_t offset, size;       /* of its data set */
    const char *from, *to;       /* transfer syntaxes */
    bool lossy;                  /* may information be lost? */
    const char *folder;          /* for the unnamed file; NULL: /var/tmp */
};

/* What it became: in `bytes`, or size bytes of `fd` when that is not -1. */
struct vt_transcoded {
    struct vt_buf bytes;
    int fd;
    uint64_t size;
    char sop_uid[VT_UID_MAX + 1];   /* another one when information was lost, else "" */
};
void vt_transcoded_init(struct vt_transcoded *out);
void vt_transcoded_fini(struct vt_transcoded *out);

/* `out` may have been used before. VT_E_LIMIT: too large; VT_E_UNSUPPORTED: not decoded or encoded here. */
bool vt_transcode(const struct vt_transcode *what, struct vt_transcoded *out, struct vt_err *err);

#ifdef __cplusplus
}
#endif
