/* Annotations as a data set: Microscopy Bulk Simple Annotations (PS3.3 A.87, C.37). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "media/slide_dataset.h"
#include "media/slide_marks.h"

/* ---- colours ---- */

static double linear(uint32_t byte)
{
    double value = (double)(byte & 0xff) / 255;

    return value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4);
}

static double lab_root(double t)
{
    return t > 216.0 / 24389 ? cbrt(t) : (24389.0 / 27 * t + 16) / 116;
}

static uint16_t scaled(double value, double low, double high)
{
    double share = (value - low) / (high - low);

    return (uint16_t)lround(65535 * fmin(1, fmax(0, share)));
}

/* sRGB as PCS-Values: CIELab with the white of D50, 16 bits each (PS3.3 C.10.7.1.1). */
static void put_colour(struct vt_slide_put *put, uint32_t rgb)
{
    double r = linear(rgb >> 16), g = linear(rgb >> 8), b = linear(rgb);
    double x = lab_root((0.4360747 * r + 0.3850649 * g + 0.1430804 * b) / 0.9642);
    double y = lab_root(0.2225045 * r + 0.7168786 * g + 0.0606169 * b);
    double z = lab_root((0.0139322 * r + 0.0971045 * g + 0.7141733 * b) / 0.8249);
    const uint16_t lab[] = { scaled(116 * y - 16, 0, 100), scaled(500 * (x - y), -128, 127),
                             scaled(200 * (y - z), -128, 127) };
    uint8_t bytes[6];

    for (size_t i = 0; i < 3; i++) {
        bytes[2 * i] = (uint8_t)lab[i];
        bytes[2 * i + 1] = (uint8_t)(lab[i] >> 8);
    }
    vt_put_bytes(put, 0x0062000D, "US", bytes, sizeof bytes);
}

/* ---- groups ---- */

static bool put_group(struct vt_slide_put *put, const struct vt_slide_plan *plan,
                      const struct vt_mark_group *group, size_t number)
{
    static const char *const kinds[] = { "POINT", "POLYLINE", "POLYGON", "RECTANGLE", "ELLIPSE" };
    char role[128], uid[VT_UID_MAX + 1], text[2 * VT_MARKS_TEXT];

    snprintf(role, sizeof role, "annotation group %zu of %s", number, plan->marks_uid);
    if (!vt_slide_uid(plan->fingerprint, role, uid, put->err))
        return false;
    vt_put_us(put, 0x0040A180, (uint32_t)number);
    put_colour(put, group->colour);
    vt_put_bytes(put, 0x00660016, "OF", group->points.data, group->points.size);
    if (group->indices.size > 0)
        vt_put_bytes(put, 0x00660040, "OL", group->indices.data, group->indices.size);
    vt_put_text(put, 0x006A0003, "UI", uid);
    vt_put_text(put, 0x006A0005, "LO", group->label);
    snprintf(text, sizeof text, "%s%s", group->layer_name, group->excluded ? " (excluded: a negative region)" : "");
    vt_put_text(put, 0x006A0006, "UT", text);
    vt_put_text(put, 0x006A0007, "CS", "MANUAL");
    vt_put_code(put, 0x006A0009, "309825002", "SCT", "Spatial and Relational Concept");
    vt_put_code(put, 0x006A000A, "111030", "DCM", "Image Region");
    vt_put_ul(put, 0x006A000C, group->count);
    vt_put_text(put, 0x006A000D, "CS", "YES");
    vt_put_text(put, 0x00700023, "CS", kinds[group->kind]);
    return !put->failed;
}

static bool put_groups(struct vt_slide_put *put, const struct vt_slide_plan *plan,
                       const struct vt_slide_marks *marks)
{
    vt_put_begin(put, 0x006A0002);
    for (size_t i = 0; i < marks->count; i++) {
        if (i > 0)
            vt_put_next(put);
        if (!put_group(put, plan, &marks->groups[i], i + 1))
            return false;
    }
    vt_put_end(put);
    return !put->failed;
}

static void put_referenced(struct vt_slide_put *put, const struct vt_slide_plan *plan)
{
    vt_put_begin(put, 0x00081115);
    vt_put_begin(put, 0x0008114A);
    vt_put_text(put, VT_TAG_REFERENCED_SOP_CLASS_UID, "UI", VT_UID_WHOLE_SLIDE);
    vt_put_text(put, VT_TAG_REFERENCED_SOP_INSTANCE_UID, "UI", plan->instances[0].sop_uid);
    vt_put_end(put);
    vt_put_text(put, VT_TAG_SERIES_INSTANCE_UID, "UI", plan->series_uid);
    vt_put_end(put);
    vt_put_begin(put, 0x00081140);
    vt_put_text(put, VT_TAG_REFERENCED_SOP_CLASS_UID, "UI", VT_UID_WHOLE_SLIDE);
    vt_put_text(put, VT_TAG_REFERENCED_SOP_INSTANCE_UID, "UI", plan->instances[0].sop_uid);
    vt_put_end(put);
}

bool vt_slide_marks_dataset(const struct vt_slide *slide, const struct vt_slide_plan *plan,
                            const struct vt_slide_marks *marks, struct vt_buf *out, struct vt_err *err)
{
    const struct vt_slide_common common = {
        .sop_class = VT_UID_BULK_ANNOTATIONS,
        .sop_uid = plan->marks_uid,
        .series_uid = plan->marks_series_uid,
        .modality = "ANN",
        .series_description = "Annotations made in ImageScope",
        .series_number = 3,
        .instance_number = 1,
    };
    struct vt_slide_put put = { .w = { out, VT_EXPLICIT_LE }, .err = err };

    vt_put_text(&put, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 192");
    vt_slide_put_0008(&put, slide, plan, &common);
    put_referenced(&put, plan);
    vt_slide_put_0010(&put, plan);
    vt_slide_put_0018(&put, slide, "Turned annotations of ImageScope into DICOM");
    vt_slide_put_0020(&put, plan, &common);
    vt_put_text(&put, 0x00200052, "UI", plan->frame_of_reference_uid);
    vt_put_text(&put, 0x00200060, "CS", "");
    vt_put_text(&put, 0x00201040, "LO", "SLIDE_CORNER");
    vt_put_text(&put, 0x00480301, "CS", "VOLUME");
    vt_put_text(&put, 0x006A0001, "CS", "2D");
    if (!put_groups(&put, plan, marks))
        return false;
    vt_put_text(&put, 0x00700080, "CS", "IMAGESCOPE");
    vt_put_text(&put, 0x00700081, "LO", "Annotations made in ImageScope");
    vt_put_text(&put, 0x00700084, "PN", "");
    return !put.failed;
}
