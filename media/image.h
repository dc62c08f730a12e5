/* media/image.h: the file that an ISO image or a ZIP becomes. Bytes come in order and are written by a thread of its own, while the caller makes the
 * next ones; the disk is told of them early, so that the sync at the end finds little left. Memory: that of a vt_slide_pipe. One thread calls. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_image;

enum { VT_IMAGE_TOLD = 8 << 20 };   /* bytes after which the disk is told to begin with them */

/* Makes the file. VT_E_EXISTS: the name is taken. */
struct vt_image *vt_image_new(const char *path, struct vt_err *err);
/* What is written stays; the file is its maker's to remove. */
void vt_image_free(struct vt_image *image);
VT_DEFINE_AUTO(vt_image)
bool vt_image_write(struct vt_image *image, const void *bytes, size_t size, struct vt_err *err);
/* So many bytes of zero. */
bool vt_image_fill(struct vt_image *image, uint64_t size, struct vt_err *err);
/* Bytes that were given to it so far. */
uint64_t vt_image_size(const struct vt_image *image);
/* Other bytes in the place of some that were written before. Waits for the thread: for the end. */
bool vt_image_replace(struct vt_image *image, uint64_t offset, const void *bytes, size_t size, struct vt_err *err);
/* All of it is on disk. */
bool vt_image_sync(struct vt_image *image, struct vt_err *err);
