/* cmd/print_state.h: what a presentation state (PS3.3 C.11) says of an image that is printed: window, polarity, rotation, flip. What films
 * do not show of it is named, so that nobody misses it unknowingly. One thread. */
#pragma once

#include <stdbool.h>

#include "core/auto.h"
#include "scu/print.h"

struct vt_err;
struct vt_print_state;

struct vt_print_state *vt_print_state_load(const char *path, struct vt_err *err);
void vt_print_state_free(struct vt_print_state *state);
VT_DEFINE_AUTO(vt_print_state)

/* "graphic annotations, a shutter"; "" when films show all of it. Borrowed. */
const char *vt_print_state_left(const struct vt_print_state *state);

struct vt_print_shown {
    bool named;             /* the state is for this instance; else all else is as if there were no state */
    bool has_window;
    double center, width;
    bool has_shape, inverse;   /* Presentation LUT Shape, which stands for the image's own polarity */
    unsigned turns;            /* by 90 degrees, clockwise, before the flip */
    bool flip;                 /* left and right change places */
};
bool vt_print_state_of(struct vt_print_state *state, const char *sop_uid, struct vt_print_shown *out, struct vt_err *err);
/* To what was drawn with the window; `mono1`: the image's own polarity was applied to it and goes again. */
bool vt_print_shown_apply(const struct vt_print_shown *shown, bool mono1, struct vt_print_image *image, struct vt_err *err);
