/* media/zip.h: a ZIP file of stored entries (libarchive), into an image. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_image;
struct vt_zip;

/* The image is borrowed until free. */
struct vt_zip *vt_zip_new(struct vt_image *image, struct vt_err *err);
/* What is given up gets no more bytes. */
void vt_zip_free(struct vt_zip *zip);
VT_DEFINE_AUTO(vt_zip)
/* A file of so many bytes: begin, write ..., end. */
bool vt_zip_begin(struct vt_zip *zip, const char *path, uint64_t size, struct vt_err *err);
bool vt_zip_write(struct vt_zip *zip, const void *bytes, size_t size, struct vt_err *err);
bool vt_zip_end(struct vt_zip *zip, struct vt_err *err);
/* The file is whole, but not synced. */
bool vt_zip_finish(struct vt_zip *zip, struct vt_err *err);
