/* cmd/print_images.h: instances turned into what a printer is given: decoded, with the window that was asked for, of a
 * presentation state, or their own. Keeps the last instance, so that frames of one come without reading it again. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/auto.h"
#include "core/buf.h"
#include "scu/print.h"

struct vt_err;
struct vt_print_images;
struct vt_printer;

enum { VT_PRINT_INSTANCE_MAX = 512 << 20 /* bytes of a decoded instance, all frames */ };

/* `printer` is borrowed: its options, window and state. NULL: the presentation state cannot be read. */
struct vt_print_images *vt_print_images_new(const struct vt_printer *printer, struct vt_err *err);
void vt_print_images_free(struct vt_print_images *images);
VT_DEFINE_AUTO(vt_print_images)

/* Frames of the Part 10 file at `path` (which names it until the next one). VT_E_UNSUPPORTED: no picture, or not decoded here. */
bool vt_print_images_open(struct vt_print_images *images, const char *path, size_t *out_frames, struct vt_err *err);
/* Is the presentation state, if any, for the one that is open? */
bool vt_print_images_named(const struct vt_print_images *images);
/* What the state has and films do not show; "" nothing. Borrowed. */
const char *vt_print_images_left(const struct vt_print_images *images);
/* Frame i (from 0) of the one that is open. */
bool vt_print_images_draw(struct vt_print_images *images, size_t i, struct vt_print_image *out, struct vt_err *err);
