/* VL Whole Slide Microscopy Image (PS3.3 A.32.8): one function a group of tags, since they must ascend across modules. */
#include "media/slide_dataset.h"

#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"

/* Where the image's corner lies when the scanner does not tell: a glass is 25 mm wide. The image is turned by 180 degrees on
 * it, as it is in .svs files. */
#define ORIGIN_X 25.0
#define ORIGIN_Y 50.0
#define DEPTH_UM 1.0             /* Imaged Volume Depth and Slice Thickness of one focal plane */

struct writing {
    struct vt_slide_put put;
    const struct vt_slide *slide;
    const struct vt_slide_plan *plan;
    const struct vt_slide_instance *instance;
    const struct vt_slide_image *image;
    bool base;                   /* the first level */
};

static const char *image_type(const struct writing *w)
{
    static const char *const types[] = {
        [VT_SLIDE_LEVEL] = "DERIVED\\PRIMARY\\VOLUME\\RESAMPLED",
        [VT_SLIDE_THUMBNAIL] = "DERIVED\\PRIMARY\\THUMBNAIL\\RESAMPLED",
        [VT_SLIDE_LABEL] = "ORIGINAL\\PRIMARY\\LABEL\\NONE",
        [VT_SLIDE_OVERVIEW] = "ORIGINAL\\PRIMARY\\OVERVIEW\\NONE",
    };

    if (w->base)
        return w->image->way == VT_SLIDE_REENCODED ? "DERIVED\\PRIMARY\\VOLUME\\NONE"
                                                   : "ORIGINAL\\PRIMARY\\VOLUME\\NONE";
    return types[w->image->role];
}

static bool masked(const struct writing *w)
{
    return w->image->role == VT_SLIDE_LABEL && w->plan->label == VT_LABEL_MASK;
}

/* What was done to the pixels, "" for nothing. */
static void derivation(const struct writing *w, char *out, size_t room)
{
    const struct vt_slide_image *image = w->image;

    out[0] = '\0';
    if (image->way == VT_SLIDE_REENCODED)
        snprintf(out, room, "Read by OpenSlide from a %s file, compressed again", w->slide->format);
    else if (masked(w))
        snprintf(out, room, "Label blackened");
    else if (image->holes > 0)
        snprintf(out, room, "%u tiles without data filled with white", image->holes);
    else if (image->way == VT_SLIDE_DECODED && image->lossy)
        snprintf(out, room, "Decoded from JPEG");
}

/* ---- groups ---- */

static void group_0008(struct writing *w)
{
    const struct vt_slide_common common = {
        .sop_class = VT_UID_WHOLE_SLIDE,
        .sop_uid = w->instance->sop_uid,
        .series_uid = w->plan->series_uid,
        .modality = "SM",
        .series_description = "Slide",
        .series_number = 1,
        .instance_number = (int)(w->instance - w->plan->instances) + 1,
        .pyramid_uid = w->image->role == VT_SLIDE_LEVEL || w->image->role == VT_SLIDE_THUMBNAIL
                           ? w->plan->pyramid_uid
                           : NULL,
    };
    char what[128];

    vt_put_text(&w->put, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 192");
    vt_put_text(&w->put, VT_TAG_IMAGE_TYPE, "CS", image_type(w));
    vt_slide_put_0008(&w->put, w->slide, w->plan, &common);
    derivation(w, what, sizeof what);
    vt_put_text_if(&w->put, 0x00082111, "ST", what);
    vt_put_text(&w->put, 0x00089206, "CS", "VOLUME");
    vt_slide_put_0010(&w->put, w->plan);
    vt_slide_put_0018(&w->put, w->slide,
                      w->image->way == VT_SLIDE_REENCODED ? "Converted to DICOM, pixels compressed again"
                                                          : "Converted to DICOM, tiles unchanged");
    vt_slide_put_0020(&w->put, w->plan, &common);
}

static void dimension(struct writing *w, uint32_t pointer, const char *label)
{
    vt_put_text(&w->put, 0x00209164, "UI", w->plan->dimension_uid);
    vt_put_tag(&w->put, 0x00209165, pointer);
    vt_put_tag(&w->put, 0x00209167, 0x0048021A);
    vt_put_text(&w->put, 0x00209421, "LO", label);
}

static bool concatenation_uids(struct writing *w, char source[static VT_UID_MAX + 1],
                               char concatenation[static VT_UID_MAX + 1])
{
    char role[64];
    int number = (int)(w->image - w->slide->images);

    snprintf(role, sizeof role, "image %d source", number);
    if (!vt_slide_uid(w->plan->fingerprint, role, source, w->put.err))
        return false;
    snprintf(role, sizeof role, "image %d concatenation of %u", number, w->instance->parts);
    return vt_slide_uid(w->plan->fingerprint, role, concatenation, w->put.err);
}

static void group_0020(struct writing *w)
{
    struct vt_slide_put *put = &w->put;
    bool parts = w->instance->parts > 1;
    char source[VT_UID_MAX + 1] = "", concatenation[VT_UID_MAX + 1] = "";

    if (parts && !concatenation_uids(w, source, concatenation))
        put->failed = true;
    vt_put_text(put, 0x00200052, "UI", w->plan->frame_of_reference_uid);
    vt_put_text_if(put, 0x00200242, "UI", source);
    vt_put_text(put, 0x00201040, "LO", "SLIDE_CORNER");
    if (parts) {
        vt_put_text(put, 0x00209161, "UI", concatenation);
        vt_put_us(put, 0x00209162, w->instance->part);
        vt_put_us(put, 0x00209163, w->instance->parts);
    }
    vt_put_begin(put, 0x00209221);
    vt_put_text(put, 0x00209164, "UI", w->plan->dimension_uid);
    vt_put_end(put);
    vt_put_begin(put, 0x00209222);
    dimension(w, 0x0048021F, "Row Position");
    vt_put_next(put);
    dimension(w, 0x0048021E, "Column Position");
    vt_put_end(put);
    if (parts)
        vt_put_ul(put, 0x00209228, w->instance->first);
    vt_put_text(put, 0x00209311, "CS", "TILED_FULL");
}

static void group_0028(struct writing *w)
{
    const struct vt_slide_image *image = w->image;
    struct vt_slide_put *put = &w->put;
    char frames[16];
    double pixels = (double)image->width * image->height * image->samples;

    snprintf(frames, sizeof frames, "%u", w->instance->frames);
    vt_put_us(put, VT_TAG_SAMPLES_PER_PIXEL, image->samples);
    vt_put_text(put, VT_TAG_PHOTOMETRIC_INTERPRETATION, "CS", image->photometric);
    if (image->samples > 1)
        vt_put_us(put, 0x00280006, 0);
    vt_put_text(put, VT_TAG_NUMBER_OF_FRAMES, "IS", frames);
    vt_put_us(put, VT_TAG_ROWS, image->tile_height);
    vt_put_us(put, VT_TAG_COLUMNS, image->tile_width);
    vt_put_us(put, VT_TAG_BITS_ALLOCATED, 8);
    vt_put_us(put, VT_TAG_BITS_STORED, 8);
    vt_put_us(put, VT_TAG_HIGH_BIT, 7);
    vt_put_us(put, VT_TAG_PIXEL_REPRESENTATION, 0);
    bool label = image->role == VT_SLIDE_LABEL || image->role == VT_SLIDE_OVERVIEW;
    vt_put_text(put, 0x00280301, "CS", label && !masked(w) ? "YES" : "NO");
    bool lossy = image->lossy && !masked(w);
    vt_put_text(put, 0x00282110, "CS", lossy ? "01" : "00");
    if (lossy) {
        vt_put_decimal(put, 0x00282112,
                       image->lossy_bytes ? pixels / (double)image->lossy_bytes : 1.0);
        vt_put_text(put, 0x00282114, "CS", image->lossy_method);
    }
}

static void group_0040(struct writing *w)
{
    const struct vt_slide_metadata *metadata = &w->plan->metadata;
    struct vt_slide_put *put = &w->put;

    vt_put_text(put, VT_TAG_CONTAINER_IDENTIFIER, "LO", metadata->container_identifier);
    vt_put_empty(put, 0x00400513);
    vt_put_code(put, 0x00400518, "433466003", "SCT", "Microscope slide");
    vt_put_empty(put, 0x00400555);
    vt_put_begin(put, VT_TAG_SPECIMEN_DESCRIPTION_SEQUENCE);
    vt_put_text(put, 0x00400551, "LO", metadata->specimen_identifier);
    vt_put_text(put, 0x00400554, "UI", w->plan->specimen_uid);
    vt_put_empty(put, 0x00400562);
    vt_put_text_if(put, 0x00400600, "LO", metadata->specimen_short_description);
    vt_put_empty(put, 0x00400610);
    vt_put_end(put);
}

/* Of the levels; what else is on the glass has no scale that anybody measured. */
static void spacing(const struct writing *w, double *out_row, double *out_column)
{
    const struct vt_slide_image *base = &w->slide->images[0];

    *out_row = w->slide->facts.mpp_y / 1000 * base->height / w->image->height;
    *out_column = w->slide->facts.mpp_x / 1000 * base->width / w->image->width;
}

static void optical_path(struct writing *w)
{
    const struct vt_slide *slide = w->slide;
    struct vt_slide_put *put = &w->put;

    vt_put_begin(put, 0x00480105);
    vt_put_code(put, 0x00220016, "111744", "DCM", "Brightfield illumination");
    if (w->image->samples > 1) {
        vt_put_bytes(put, 0x00282000, "OB", slide->icc ? slide->icc : vt_srgb_profile,
                     slide->icc ? slide->icc_size : vt_srgb_profile_size);
        if (!slide->icc)
            vt_put_text(put, 0x00282002, "CS", "SRGB");
    }
    vt_put_text(put, 0x00480106, "SH", "1");
    vt_put_code(put, 0x00480108, "414298005", "SCT", "Full Spectrum");
    if (slide->facts.objective_power > 0)
        vt_put_decimal(put, 0x00480112, slide->facts.objective_power);
    vt_put_end(put);
}

static void group_0048(struct writing *w)
{
    const struct vt_slide_image *base = &w->slide->images[0];
    struct vt_slide_put *put = &w->put;
    bool shows_label = w->image->role == VT_SLIDE_LABEL || w->image->role == VT_SLIDE_OVERVIEW;

    vt_put_float(put, 0x00480001, w->slide->facts.mpp_x / 1000 * base->width);
    vt_put_float(put, 0x00480002, w->slide->facts.mpp_y / 1000 * base->height);
    vt_put_float(put, 0x00480003, DEPTH_UM);
    vt_put_ul(put, 0x00480006, w->image->width);
    vt_put_ul(put, 0x00480007, w->image->height);
    vt_put_begin(put, 0x00480008);
    vt_put_decimal(put, 0x0040072A, ORIGIN_X);
    vt_put_decimal(put, 0x0040073A, ORIGIN_Y);
    vt_put_end(put);
    vt_put_text(put, 0x00480010, "CS", shows_label ? "YES" : "NO");
    vt_put_text(put, 0x00480011, "CS", "AUTO");
    vt_put_text(put, 0x00480012, "CS", "NO");
    vt_put_text(put, 0x00480102, "DS", "0\\-1\\0\\-1\\0\\0");
    optical_path(w);
    vt_put_ul(put, 0x00480302, 1);
    vt_put_ul(put, 0x00480303, 1);
}

static void group_2200(struct writing *w)
{
    if (w->image->role != VT_SLIDE_LABEL)
        return;
    vt_put_text(&w->put, 0x22000002, "UT", w->plan->metadata.label_text);
    vt_put_text(&w->put, 0x22000005, "LT", w->plan->metadata.barcode_value);
}

static void group_5200(struct writing *w)
{
    struct vt_slide_put *put = &w->put;
    double row, column;

    spacing(w, &row, &column);
    vt_put_begin(put, 0x52009229);
    vt_put_begin(put, 0x00289110);
    vt_put_decimal(put, 0x00180050, DEPTH_UM / 1000);
    vt_put_decimals(put, 0x00280030, row, column);
    vt_put_end(put);
    vt_put_begin(put, 0x00400710);
    vt_put_text(put, 0x00089007, "CS", image_type(w));
    vt_put_end(put);
    vt_put_begin(put, 0x00480207);
    vt_put_text(put, 0x00480106, "SH", "1");
    vt_put_end(put);
    vt_put_end(put);
}

bool vt_slide_dataset(const struct vt_slide *slide, const struct vt_slide_plan *plan,
                      const struct vt_slide_instance *instance, struct vt_buf *out, struct vt_err *err)
{
    struct writing w = {
        .put = { .w = { out, VT_EXPLICIT_LE }, .err = err },
        .slide = slide,
        .plan = plan,
        .instance = instance,
        .image = instance->image,
        .base = instance->image == &slide->images[0],
    };

    group_0008(&w);
    group_0020(&w);
    group_0028(&w);
    group_0040(&w);
    group_0048(&w);
    group_2200(&w);
    group_5200(&w);
    return !w.put.failed;
}
