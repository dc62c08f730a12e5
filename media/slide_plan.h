/* media/slide_plan.h: which instances a slide becomes, with their UIDs and sizes: pure data, made before the first byte is
 * written. UIDs follow from the file's fingerprint, so the same file gives the same instances. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "dicom/uids.h"
#include "media/slide.h"
#include "media/slide_hash.h"
#include "media/slide_metadata.h"

struct vt_err;

#define VT_UID_RAW_DATA "1.2.840.10008.5.1.4.1.1.66"

enum { VT_SLIDE_INSTANCES_MAX = 512 };

enum vt_slide_label {
    VT_LABEL_KEEP,
    VT_LABEL_DROP,    /* neither label nor overview, no title, no barcode, no restore data */
    VT_LABEL_MASK,    /* the same, but a black label stays in its place */
};

struct vt_slide_instance {
    const struct vt_slide_image *image;   /* NULL: the Raw Data instance */
    uint32_t first, frames;               /* of the image */
    uint16_t part, parts;                 /* of a concatenation, from 1; parts 1: none */
    char sop_uid[VT_UID_MAX + 1];
    uint64_t pixel_bytes;                 /* items with their headers and padding, or plain pixels with padding */
};

struct vt_slide_plan {
    char study_uid[VT_UID_MAX + 1], series_uid[VT_UID_MAX + 1], raw_series_uid[VT_UID_MAX + 1];
    char frame_of_reference_uid[VT_UID_MAX + 1], pyramid_uid[VT_UID_MAX + 1],
        specimen_uid[VT_UID_MAX + 1], dimension_uid[VT_UID_MAX + 1];
    char date[9], time[7];
    uint8_t fingerprint[VT_SLIDE_FINGERPRINT];
    uint8_t sha256[VT_SLIDE_SHA256];      /* known when the images are written */
    enum vt_slide_label label;
    char marks_series_uid[VT_UID_MAX + 1], marks_uid[VT_UID_MAX + 1];   /* annotations (media/slide_beside.h); "": none */
    char beside_uid[VT_UID_MAX + 1];      /* the file beside the slide; "": none */
    bool original;                        /* a Raw Data instance, the last one, keeps the rest of the file */
    struct vt_slide_metadata metadata;    /* filled up with the slide's own facts */
    struct vt_slide_instance instances[VT_SLIDE_INSTANCES_MAX];
    size_t count;
};

struct vt_slide_plan_options {
    const struct vt_slide_metadata *metadata;   /* NULL: none */
    enum vt_slide_label label;
    bool no_original;
    uint64_t concat_bytes;                      /* > 0: levels are split into instances of about so many bytes */
};

struct vt_slide_plan *vt_slide_plan_new(const struct vt_slide *slide, const uint8_t *fingerprint,
                                        const struct vt_slide_plan_options *options,
                                        struct vt_err *err);
void vt_slide_plan_free(struct vt_slide_plan *plan);
VT_DEFINE_AUTO(vt_slide_plan)

/* 2.25.<128 bits of SHA-256 of both>. */
bool vt_slide_uid(const uint8_t *fingerprint, const char *role, char out[static VT_UID_MAX + 1],
                  struct vt_err *err);
/* Bytes that a frame takes as an item: header and padding included. */
static inline uint64_t vt_slide_item_size(uint64_t frame)
{
    return 8 + frame + frame % 2;
}
