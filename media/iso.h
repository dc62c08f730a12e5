/* media/iso.h: an ISO 9660 image of level 1 (ECMA-119), written in one pass: first the files, as they come, then the folders that name them, and last
 * the volume descriptors, in the place that was left for them at the beginning. Readers follow the descriptors, as on a disc of several sessions; only one
 * that cannot go back (a pipe) finds the folders too late.
 *
 * With long names there are Joliet (UCS-2) and Rock Ridge (RRIP 1991A) names as well. Memory grows with the number of files, by a hundred bytes each.
 * One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_image;
struct vt_iso;

enum {
    VT_ISO_SECTOR = 2048,
    VT_ISO_FOLDERS_MAX = 65535,   /* a path table has 16 bits for them */
    VT_ISO_DEPTH_MAX = 128,
    VT_ISO_NAME_MAX = 160,        /* bytes of one component, so that Rock Ridge has it in one record */
    VT_ISO_PADDING = 150,         /* sectors of zero at the end: drives read ahead into the end of a track */
};

#define VT_ISO_FILE_MAX (UINT64_C(0xffffffff) - VT_ISO_SECTOR)

/* The image is borrowed until free, and empty. */
struct vt_iso *vt_iso_new(struct vt_image *image, bool long_names, struct vt_err *err);
void vt_iso_free(struct vt_iso *iso);
VT_DEFINE_AUTO(vt_iso)
/* A file of so many bytes: begin, vt_image_write ..., end. The path is borrowed until free. VT_E_LIMIT: 4 GiB or more; VT_E_INVALID: a name. */
bool vt_iso_begin(struct vt_iso *iso, const char *path, uint64_t size, struct vt_err *err);
bool vt_iso_end(struct vt_iso *iso, struct vt_err *err);
/* The image is whole, but not synced. */
bool vt_iso_finish(struct vt_iso *iso, struct vt_err *err);
