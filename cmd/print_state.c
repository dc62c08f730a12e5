#include "cmd/print_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/dataset.h"

enum { ITEMS_MAX = 1000, REFERENCES_MAX = 10000, VALUE_MAX = 4096, PATH_ROOM = 200, LEFT_MAX = 200 };

struct vt_print_state {
    struct vt_dataset *data_set;
    char left[LEFT_MAX];
};

static bool text_of(struct vt_dataset *data_set, const char *path, char *out, size_t room, struct vt_err *err)
{
    VT_AUTO_BUF(text, 64 << 10);
    bool there = false;

    out[0] = '\0';
    if (!vt_dataset_get(data_set, path, &text, &there, err))
        return false;
    const char *value = there ? vt_buf_string(&text, err) : "";
    if (value)
        snprintf(out, room, "%s", value);
    return value != NULL;
}

/* ---- what films do not show ---- */

static bool name_left(struct vt_print_state *state, struct vt_err *err)
{
    static const struct {
        const char *path, *shown;   /* shown: the value that makes no difference; NULL: none */
        const char *what;
    } list[] = {
        { "GraphicAnnotationSequence[0].GraphicLayer", NULL, "graphic annotations" },
        { "ShutterShape", NULL, "a shutter" },
        { "DisplayedAreaSelectionSequence[0].DisplayedAreaTopLeftHandCorner", "1\\1", "a part of the image" },
        { "SoftcopyVOILUTSequence[0].VOILUTSequence[0].LUTDescriptor", NULL, "a VOI LUT" },
        { "PresentationLUTSequence[0].LUTDescriptor", NULL, "a presentation LUT" },
    };
    char text[VALUE_MAX];
    size_t used = 0;

    for (size_t i = 0; i < VT_COUNT(list); i++) {
        if (!text_of(state->data_set, list[i].path, text, sizeof text, err))
            return false;
        if (!text[0] || (list[i].shown && strcmp(text, list[i].shown) == 0))
            continue;
        int more = snprintf(state->left + used, sizeof state->left - used, "%s%s", used ? ", " : "", list[i].what);
        used += more > 0 ? (size_t)more : 0;
    }
    return true;
}

struct vt_print_state *vt_print_state_load(const char *path, struct vt_err *err)
{
    VT_AUTO(vt_print_state) state = calloc(1, sizeof *state);

    if (!state) {
        vt_fail(err, VT_E_NOMEM, "no memory for a presentation state");
        return NULL;
    }
    if (!(state->data_set = vt_dataset_load(path, true, err)) || !name_left(state, err)) {
        vt_fail_context(err, "presentation state %.100s", path);
        return NULL;
    }
    return vt_take(&state);
}

void vt_print_state_free(struct vt_print_state *state)
{
    if (!state)
        return;
    vt_dataset_free(state->data_set);
    free(state);
}

const char *vt_print_state_left(const struct vt_print_state *state)
{
    return state->left;
}

/* ---- what it says of an instance ---- */

/* References in the item at `item` ("" or "...[3]."); *out_any: there is one at all. */
static bool names_instance(struct vt_dataset *data_set, const char *item, const char *sop_uid, bool *out_named, bool *out_any,
                           struct vt_err *err)
{
    char path[PATH_ROOM], uid[VALUE_MAX];

    *out_named = *out_any = false;
    for (size_t i = 0; i < REFERENCES_MAX && !*out_named; i++) {
        snprintf(path, sizeof path, "%sReferencedImageSequence[%zu].ReferencedSOPInstanceUID", item, i);
        if (!text_of(data_set, path, uid, sizeof uid, err))
            return false;
        if (!uid[0])
            return true;
        *out_any = true;
        *out_named = strcmp(uid, sop_uid) == 0;
    }
    return true;
}

/* A state that names no image at all is for every one. */
static bool is_for(struct vt_dataset *data_set, const char *sop_uid, bool *out, struct vt_err *err)
{
    char item[PATH_ROOM / 2];
    bool any = true, ever = false;

    *out = false;
    for (size_t i = 0; i < ITEMS_MAX && any && !*out; i++) {
        snprintf(item, sizeof item, "ReferencedSeriesSequence[%zu].", i);
        if (!names_instance(data_set, item, sop_uid, out, &any, err))
            return false;
        ever = ever || any;
    }
    *out = *out || !ever;
    return true;
}

static bool read_number(struct vt_dataset *data_set, const char *item, const char *keyword, double *out, struct vt_err *err)
{
    char path[PATH_ROOM], text[VALUE_MAX], *end;

    snprintf(path, sizeof path, "%s%s", item, keyword);
    if (!text_of(data_set, path, text, sizeof text, err))
        return false;
    *out = strtod(text, &end);
    if (end == text || !isfinite(*out))
        *out = 0;
    return true;
}

static bool find_window(struct vt_dataset *data_set, const char *sop_uid, struct vt_print_shown *out, struct vt_err *err)
{
    char item[PATH_ROOM / 2];

    for (size_t i = 0; i < ITEMS_MAX; i++) {
        bool named, any;
        snprintf(item, sizeof item, "SoftcopyVOILUTSequence[%zu].", i);
        if (!read_number(data_set, item, "WindowWidth", &out->width, err) ||
            !read_number(data_set, item, "WindowCenter", &out->center, err))
            return false;
        if (!(out->width > 0))
            return true;
        if (!names_instance(data_set, item, sop_uid, &named, &any, err))
            return false;
        if (named || !any) {
            out->has_window = true;
            return true;
        }
    }
    return true;
}

bool vt_print_state_of(struct vt_print_state *state, const char *sop_uid, struct vt_print_shown *out, struct vt_err *err)
{
    struct vt_dataset *data_set = state->data_set;
    char shape[VALUE_MAX], flip[VALUE_MAX];
    double degrees = 0;

    *out = (struct vt_print_shown){ .named = false };
    if (!is_for(data_set, sop_uid, &out->named, err))
        return false;
    if (!out->named)
        return true;
    if (!find_window(data_set, sop_uid, out, err) ||
        !text_of(data_set, "PresentationLUTShape", shape, sizeof shape, err) ||
        !text_of(data_set, "ImageHorizontalFlip", flip, sizeof flip, err) ||
        !read_number(data_set, "", "ImageRotation", &degrees, err))
        return false;
    out->inverse = strcmp(shape, "INVERSE") == 0;
    out->has_shape = out->inverse || strcmp(shape, "IDENTITY") == 0;
    out->flip = strcmp(flip, "Y") == 0;
    out->turns = degrees == 90 ? 1 : degrees == 180 ? 2 : degrees == 270 ? 3 : 0;
    return true;
}

/* ---- applied to pixels ---- */

static void invert(struct vt_print_image *image)
{
    for (size_t i = 0; i < image->pixels.size; i++)
        image->pixels.data[i] = (uint8_t)~image->pixels.data[i];
    for (size_t i = 1; image->bits == 12 && i < image->pixels.size; i += 2)
        image->pixels.data[i] &= 0x0f;
}

/* Where the pixel that comes to (x, y) of the turned image lies now. */
static size_t source_of(const struct vt_print_shown *shown, const struct vt_print_image *image, size_t x, size_t y, size_t columns)
{
    size_t from_x = shown->flip ? columns - 1 - x : x, last_x = image->columns - 1u, last_y = image->rows - 1u;

    switch (shown->turns) {
    case 1:
        return (last_y - from_x) * image->columns + y;
    case 2:
        return (last_y - y) * image->columns + (last_x - from_x);
    case 3:
        return from_x * image->columns + (last_x - y);
    default:
        return y * image->columns + from_x;
    }
}

static bool turn(const struct vt_print_shown *shown, struct vt_print_image *image, struct vt_err *err)
{
    size_t size = image->samples * (image->bits > 8 ? 2u : 1u);
    bool lies = shown->turns % 2;
    size_t columns = lies ? image->rows : image->columns, rows = lies ? image->columns : image->rows;
    struct vt_buf turned = { .limit = image->pixels.limit };

    if (!vt_buf_reserve(&turned, image->pixels.size, err))
        return false;
    for (size_t y = 0; y < rows; y++)
        for (size_t x = 0; x < columns; x++)
            memcpy(turned.data + (y * columns + x) * size, image->pixels.data + source_of(shown, image, x, y, columns) * size, size);
    turned.size = image->pixels.size;
    vt_buf_fini(&image->pixels);
    image->pixels = turned;
    image->columns = (uint16_t)columns;
    image->rows = (uint16_t)rows;
    return true;
}

bool vt_print_shown_apply(const struct vt_print_shown *shown, bool mono1, struct vt_print_image *image, struct vt_err *err)
{
    if (!shown->named)
        return true;
    if (shown->has_shape && shown->inverse != mono1)
        invert(image);
    return (shown->turns == 0 && !shown->flip) || turn(shown, image, err);
}
