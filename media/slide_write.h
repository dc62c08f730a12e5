/* media/slide_write.h: the bytes of one instance, in order, to a target. Private to media/. */
#pragma once

#include "media/slide_convert.h"
#include "media/slide_pipe.h"
#include "media/slide_put.h"

/* Called after each frame with the bytes of the file that it came from; false stops. */
struct vt_slide_writing {
    struct vt_slide *slide;
    const struct vt_slide_plan *plan;
    const struct vt_slide_target *target;
    struct vt_slide_pipe *pipe;         /* to the target's write */
    bool (*passed)(void *context, uint64_t bytes, struct vt_err *err);
    void *context;
};

bool vt_slide_write_image(const struct vt_slide_writing *writing, const struct vt_slide_instance *instance,
                          struct vt_err *err);
/* Of a Raw Data instance in the series of the original: everything below group 0029. */
void vt_slide_put_raw_header(struct vt_slide_put *put, const struct vt_slide_writing *writing, const char *sop_uid,
                             const char *description, int number);
bool vt_slide_write_raw(const struct vt_slide_writing *writing, const struct vt_slide_instance *instance,
                        struct vt_err *err);
