/* media/slide_marks.h: what somebody drew on a slide in ImageScope (the .xml beside the .svs), and how it becomes Microscopy Bulk Simple Annotations
 * (PS3.3 A.87): groups of one sort of shape, one layer and one text each, coordinates in pixels of the first level.
 *
 * The file is a stranger's: no network, no document type, so no entities; every count is bounded. What has no counterpart in DICOM stays in the
 * .xml, which is kept, and is told. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

struct vt_err;
struct vt_slide;
struct vt_slide_plan;

enum {
    VT_MARKS_FILE_MAX = 64 << 20,
    VT_MARKS_GROUPS_MAX = 1000,
    VT_MARKS_SHAPES_MAX = 1000000,
    VT_MARKS_POINTS_MAX = 4 << 20,
    VT_MARKS_TEXT = 260,             /* 64 characters of UTF-8, and a zero */
    VT_MARKS_DATASET_MAX = 96 << 20,
};
#define VT_UID_BULK_ANNOTATIONS "1.2.840.10008.5.1.4.1.1.91.1"

enum vt_mark_kind { VT_MARK_POINT, VT_MARK_POLYLINE, VT_MARK_POLYGON, VT_MARK_RECTANGLE, VT_MARK_ELLIPSE };

struct vt_mark_group {
    enum vt_mark_kind kind;
    uint32_t layer;                  /* of the file, from 0 */
    uint32_t colour;                 /* 0xRRGGBB */
    bool excluded;                   /* ImageScope's negative regions */
    char label[VT_MARKS_TEXT];       /* the shapes' text, else the layer's name */
    char layer_name[VT_MARKS_TEXT];
    struct vt_buf points;            /* x and y of each point, little endian floats */
    struct vt_buf indices;           /* polylines and polygons: where each begins, from 1, 32 bits */
    uint32_t count;
};

struct vt_slide_marks {
    struct vt_mark_group *groups;
    size_t count;
    uint32_t shapes, points;
    uint32_t left;                   /* shapes that DICOM has no counterpart for ... */
    char why[64];                    /* ... the first one's reason */
};

/* VT_E_INVALID: not what ImageScope writes; VT_E_LIMIT. Fini in any case. */
bool vt_slide_marks_read(const uint8_t *bytes, size_t size, const char *name, struct vt_slide_marks *out,
                         struct vt_err *err);
void vt_slide_marks_fini(struct vt_slide_marks *marks);

/* The whole data set of the annotations' instance. */
bool vt_slide_marks_dataset(const struct vt_slide *slide, const struct vt_slide_plan *plan,
                            const struct vt_slide_marks *marks, struct vt_buf *out, struct vt_err *err);
