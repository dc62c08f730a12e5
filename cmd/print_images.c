#include "cmd/print_images.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/print_state.h"
#include "cmd/printers.h"
#include "core/err.h"
#include "dicom/dataset.h"
#include "dicom/element.h"
#include "dicom/render.h"

enum { PIXEL_HEADER = 12 };

struct vt_print_images {
    const struct vt_printer *printer;
    struct vt_print_state *state; /* NULL: none */
    struct vt_buf bytes;      /* the open instance, Explicit VR LE */
    size_t attributes;        /* bytes of it before the pixel data */
    const uint8_t *pixels;
    size_t frame_size, frames;
    bool colour, mono1; /* of RGB, YBR or a palette; least is white */
    unsigned bits;
    struct vt_print_shown shown; /* by the state, of this instance */
};

struct vt_print_images *vt_print_images_new(const struct vt_printer *printer, struct vt_err *err)
{
    struct vt_print_images *images = calloc(1, sizeof *images);

    if (!images) {
        vt_fail(err, VT_E_NOMEM, "no memory to print");
        return NULL;
    }
    images->printer = printer;
    vt_buf_init(&images->bytes, VT_PRINT_INSTANCE_MAX);
    if (!printer->state[0])
        return images;
    images->state = vt_print_state_load(printer->state, err);
    if (images->state)
        return images;
    vt_print_images_free(images);
    return NULL;
}

void vt_print_images_free(struct vt_print_images *images)
{
    if (!images)
        return;
    vt_print_state_free(images->state);
    vt_buf_fini(&images->bytes);
    free(images);
}

/* ---- instances ---- */

static uint64_t number_of(const struct vt_print_images *images, uint32_t tag, uint64_t otherwise)
{
    struct vt_element element;
    int64_t value;

    if (!vt_element_find(images->bytes.data, images->attributes, VT_EXPLICIT_LE, tag, &element) ||
        !vt_element_number(&element, VT_EXPLICIT_LE, &value) || value < 1 || value > UINT32_MAX)
        return otherwise;
    return (uint64_t)value;
}

static bool is_of(const struct vt_print_images *images, const char *interpretation)
{
    struct vt_element element;
    char text[32] = "";

    if (vt_element_find(images->bytes.data, images->attributes, VT_EXPLICIT_LE, VT_TAG_PHOTOMETRIC_INTERPRETATION, &element))
        vt_element_text(&element, text, sizeof text);
    return strcmp(text, interpretation) == 0;
}

/* The instance decoded, as bytes. */
static bool decode(struct vt_print_images *images, const char *path, struct vt_err *err)
{
    VT_AUTO(vt_dataset) data_set = vt_dataset_load(path, false, err);
    struct vt_element pixels;

    vt_buf_reset(&images->bytes);
    images->frames = 0;
    if (!data_set || !vt_dataset_transcode(data_set, VT_UID_EXPLICIT_LE, err) ||
        !vt_dataset_encode(data_set, VT_UID_EXPLICIT_LE, &images->bytes, err))
        return false;
    if (!vt_element_find(images->bytes.data, images->bytes.size, VT_EXPLICIT_LE, VT_TAG_PIXEL_DATA, &pixels) ||
        pixels.length == 0)
        return vt_fail(err, VT_E_UNSUPPORTED, "it has no picture to print");
    images->attributes = (size_t)(pixels.value - images->bytes.data) - PIXEL_HEADER;
    images->pixels = pixels.value;
    uint64_t frames = number_of(images, VT_TAG_NUMBER_OF_FRAMES, 1);
    uint64_t bits = number_of(images, VT_TAG_BITS_ALLOCATED, 8);
    uint64_t samples = number_of(images, VT_TAG_SAMPLES_PER_PIXEL, 1);
    uint64_t size = number_of(images, VT_TAG_ROWS, 0) * number_of(images, VT_TAG_COLUMNS, 0) * samples * bits / 8;
    if (size == 0 || size > pixels.length || frames > pixels.length / size)
        return vt_fail(err, VT_E_INVALID, "its pixel data is cut short");
    images->frame_size = (size_t)size;
    images->frames = (size_t)frames;
    images->bits = (unsigned)number_of(images, VT_TAG_BITS_STORED, bits);
    images->colour = samples == 3 || is_of(images, "PALETTE COLOR");
    images->mono1 = is_of(images, "MONOCHROME1");
    return true;
}

bool vt_print_images_open(struct vt_print_images *images, const char *path, size_t *out_frames, struct vt_err *err)
{
    struct vt_element element;
    char uid[VT_UID_MAX + 1] = "";

    if (!decode(images, path, err))
        return false;
    if (vt_element_find(images->bytes.data, images->attributes, VT_EXPLICIT_LE, VT_TAG_SOP_INSTANCE_UID, &element))
        vt_element_text(&element, uid, sizeof uid);
    images->shown = (struct vt_print_shown){ .named = false };
    if (images->state && !vt_print_state_of(images->state, uid, &images->shown, err))
        return vt_fail_context(err, "presentation state");
    *out_frames = images->frames;
    return true;
}

const char *vt_print_images_left(const struct vt_print_images *images)
{
    return images->state ? vt_print_state_left(images->state) : "";
}

bool vt_print_images_named(const struct vt_print_images *images)
{
    return !images->state || images->shown.named;
}

/* A colour printer takes RGB, also for what is grey. */
static bool make_rgb(struct vt_print_image *out, struct vt_err *err)
{
    size_t count = out->pixels.size;

    if (!vt_buf_reserve(&out->pixels, 2 * count, err))
        return false;
    for (size_t i = count; i-- > 0;)
        for (size_t c = 3; c-- > 0;)
            out->pixels.data[3 * i + c] = out->pixels.data[i];
    out->pixels.size = 3 * count;
    return true;
}

bool vt_print_images_draw(struct vt_print_images *images, size_t i, struct vt_print_image *out, struct vt_err *err)
{
    const struct vt_printer *printer = images->printer;
    bool colour = printer->options.colour;
    bool deep = !colour && !images->colour && printer->bits == 12 && images->bits > 8;
    struct vt_rendered used;
    struct vt_render what = { .attributes = images->bytes.data,
                              .attributes_size = images->attributes,
                              .transfer_syntax = VT_UID_EXPLICIT_LE,
                              .number = (uint32_t)i,
                              .grey = !colour,
                              .deep = deep,
                              .plain = colour };

    if (i >= images->frames)
        return vt_fail(err, VT_E_NOTFOUND, "it has %zu frames, none has the number %zu", images->frames, i + 1);
    what.pixels = images->pixels + i * images->frame_size;
    what.pixels_size = images->frame_size;
    if (!images->colour && (printer->has_window || images->shown.has_window)) {
        what.window = VT_WINDOW_LINEAR;
        what.center = printer->has_window ? printer->center : images->shown.center;
        what.width = printer->has_window ? printer->width : images->shown.width;
    }
    if (!vt_render_jpeg(&what, &out->pixels, &used, err))
        return false;
    out->columns = (uint16_t)used.columns;
    out->rows = (uint16_t)used.rows;
    out->bits = deep ? 12 : 8;
    out->samples = colour ? 3 : 1;
    if (colour && out->pixels.size == (size_t)used.columns * used.rows && !make_rgb(out, err))
        return false;
    return vt_print_shown_apply(&images->shown, images->mono1, out, err);
}
