/* dicom/inflate.h: deflated data sets (PS3.5 A.5) made plain piece by piece, within the bounds that
 * dicom/header.h names. Private to the room; an open record in the caller's storage, { 0 } at first. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <zlib.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;

struct vt_inflater {
    z_stream stream;
    uint8_t *room;
    uint64_t fed, made;
    bool ready, ended;
};

bool vt_inflater_reset(struct vt_inflater *inflater, struct vt_err *err);
void vt_inflater_fini(struct vt_inflater *inflater);
/* The next piece of plain bytes; out_size 0: the input is used up. Borrowed until the next call. */
bool vt_inflater_next(struct vt_inflater *inflater, const uint8_t **in, size_t *in_size,
                      const uint8_t **out, size_t *out_size, struct vt_err *err);

#ifdef __cplusplus
}
#endif
