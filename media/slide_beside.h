/* media/slide_beside.h: what lies beside a slide and belongs to it: the annotations of ImageScope, NAME.xml. The file is kept as it is (a Raw Data
 * instance in the series of the original), given back beside the slide, and its shapes become an instance of their own (media/slide_marks.h). */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"
#include "media/slide_marks.h"

struct vt_err;
struct vt_slide_part;
struct vt_slide_plan;
struct vt_slide_writing;

#define VT_TAG_BESIDE_NAME UINT32_C(0x00291004)
#define VT_TAG_BESIDE UINT32_C(0x00291005)
#define VT_TAG_BESIDE_SIZE UINT32_C(0x00291006)

struct vt_slide_beside {
    bool there;
    char name[256];
    struct vt_buf bytes;
    struct vt_slide_marks marks;
    char note[200];            /* what could not be turned, and why; "": all was */
};

/* The file beside the slide of that path. None, one of another kind or a damaged one is no failure: there or note tell. Fini in any case. */
bool vt_slide_beside_read(const char *slide_path, struct vt_slide_beside *out, struct vt_err *err);
void vt_slide_beside_fini(struct vt_slide_beside *beside);

/* UIDs of its instances, into the plan. Nothing is planned when the label is not kept: annotations may name somebody. */
bool vt_slide_beside_plan(const struct vt_slide_beside *beside, struct vt_slide_plan *plan, struct vt_err *err);
/* What was planned, to the target. */
bool vt_slide_beside_write(const struct vt_slide_writing *writing, const struct vt_slide_beside *beside,
                           struct vt_err *err);

/* The file that this instance holds, beside a slide that was given back as slide_path. VT_E_EXISTS: a file is there already.
 * *out_there false: it holds none. */
bool vt_slide_beside_save(const struct vt_slide_part *part, const char *slide_path, char out_path[static PATH_MAX],
                          bool *out_there, struct vt_err *err);
