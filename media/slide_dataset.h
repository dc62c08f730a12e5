/* media/slide_dataset.h: the data set of an instance up to its pixel data (PS3.3 A.32.8, A.37): written directly in
 * explicit VR little endian, tags ascending. Pure: a plan in, bytes out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/slide.h"
#include "media/slide_plan.h"
#include "media/slide_put.h"

struct vt_err;
struct vt_buf;

enum { VT_SLIDE_DATASET_MAX = 20 << 20 };   /* a colour profile and offset tables may be in it */

/* Whole slide microscopy: everything below group 7FE0. */
bool vt_slide_dataset(const struct vt_slide *slide, const struct vt_slide_plan *plan,
                      const struct vt_slide_instance *instance, struct vt_buf *out, struct vt_err *err);

/* Patient, study, series, equipment: groups 0008 to 0020 of any instance of the slide, Raw Data too. */
struct vt_slide_common {
    const char *sop_class, *sop_uid, *series_uid, *modality;
    const char *series_description;
    const char *pyramid_uid;         /* NULL: none */
    int series_number, instance_number;
};
void vt_slide_put_0008(struct vt_slide_put *put, const struct vt_slide *slide,
                       const struct vt_slide_plan *plan, const struct vt_slide_common *common);
void vt_slide_put_0010(struct vt_slide_put *put, const struct vt_slide_plan *plan);
void vt_slide_put_0018(struct vt_slide_put *put, const struct vt_slide *slide, const char *what);
void vt_slide_put_0020(struct vt_slide_put *put, const struct vt_slide_plan *plan,
                       const struct vt_slide_common *common);

extern const uint8_t vt_srgb_profile[];
extern const size_t vt_srgb_profile_size;
