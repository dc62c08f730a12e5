/* Decoded pixels to 8 bits a sample: grey by rescale and window (PS3.3 C.11.2), colour from RGB, YBR_FULL or a palette. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/auto.h"
#include "core/err.h"
#include "dicom/render_inside.h"

enum { TABLE_BITS_MAX = 16 };

/* The stored value of sample i, sign and unused bits minded. */
static int64_t value_at(const struct vt_render_image *image, size_t i)
{
    const struct vt_pixel_shape *shape = &image->shape;
    const uint8_t *at = image->pixels + i * (shape->bits_allocated / 8u);
    uint32_t bits;

    if (shape->bits_allocated == 1)
        return image->pixels[i / 8] >> (i % 8) & 1;
    if (shape->bits_allocated == 8)
        bits = at[0];
    else if (shape->bits_allocated == 16)
        bits = (uint32_t)at[0] | (uint32_t)at[1] << 8;
    else
        bits = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    bits >>= image->high_bit + 1u - shape->bits_stored;
    uint64_t range = UINT64_C(1) << shape->bits_stored;
    int64_t value = (int64_t)(bits & (range - 1));
    return shape->is_signed && value >= (int64_t)(range / 2) ? value - (int64_t)range : value;
}

static size_t pixel_count(const struct vt_render_image *image)
{
    return (size_t)image->shape.columns * image->shape.rows;
}

/* ---- grey ---- */

struct grey {
    const struct vt_render_image *image;
    const struct vt_render_lut *voi; /* NULL: the window */
    enum vt_window window;
    double center, width;
    double top; /* white */
    bool inverse;
};

static double rescale(const struct vt_render_image *image, double stored)
{
    return image->modality.count ? vt_render_look_up(&image->modality, stored) : stored * image->slope + image->intercept;
}

static uint16_t shade(const struct grey *grey, int64_t stored)
{
    double x = rescale(grey->image, (double)stored), y;

    if (grey->voi)
        y = vt_render_look_up(grey->voi, x) / (double)((1u << grey->voi->bits) - 1);
    else if (grey->window == VT_WINDOW_SIGMOID)
        y = 1 / (1 + exp(-4 * (x - grey->center) / grey->width));
    else if (grey->window == VT_WINDOW_LINEAR_EXACT)
        y = (x - grey->center) / grey->width + 0.5;
    else if (grey->width <= 1)
        y = x <= grey->center - 0.5 ? 0 : 1;
    else
        y = (x - (grey->center - 0.5)) / (grey->width - 1) + 0.5;
    y = y > 0 ? y < 1 ? y : 1 : 0; /* also of what is no number */
    return (uint16_t)lround(grey->top * (grey->inverse ? 1 - y : y));
}

static void find_range(const struct vt_render_image *image, struct vt_rendered *used)
{
    int64_t least = INT64_MAX, largest = INT64_MIN;

    for (size_t i = 0; i < pixel_count(image); i++) {
        int64_t value = value_at(image, i);
        least = value < least ? value : least;
        largest = value > largest ? value : largest;
    }
    double a = rescale(image, (double)least), b = rescale(image, (double)largest);
    used->least = fmin(a, b);
    used->largest = fmax(a, b);
}

static struct grey choose_window(const struct vt_render *what, const struct vt_render_image *image,
                                 struct vt_rendered *used)
{
    struct grey grey = { .image = image,
                         .top = what->deep ? 4095 : 255,
                         .inverse = strcmp(image->photometric, "MONOCHROME1") == 0 };

    if (what->window != VT_WINDOW_OWN) {
        grey.window = what->window;
        grey.center = what->center;
        grey.width = what->width;
    } else if (image->has_window) {
        grey.window = image->window;
        grey.center = image->center;
        grey.width = image->width;
    } else {
        grey.voi = image->voi.count ? &image->voi : NULL;
        grey.window = VT_WINDOW_LINEAR_EXACT;
        grey.width = fmax(used->largest - used->least, 1);
        grey.center = used->least + grey.width / 2;
    }
    used->center = grey.center;
    used->width = grey.width;
    return grey;
}

/* A byte, or two, little endian. */
static void put_shade(uint8_t *out, size_t i, bool deep, uint16_t value)
{
    if (!deep) {
        out[i] = (uint8_t)value;
        return;
    }
    out[2 * i] = (uint8_t)value;
    out[2 * i + 1] = (uint8_t)(value >> 8);
}

static bool map_grey(const struct vt_render *what, const struct vt_render_image *image, uint8_t *out,
                     struct vt_rendered *used, struct vt_err *err)
{
    unsigned bits = image->shape.bits_stored;
    vt_autofree uint16_t *table = NULL;

    find_range(image, used);
    const struct grey grey = choose_window(what, image, used);
    if (bits > TABLE_BITS_MAX) {
        for (size_t i = 0; i < pixel_count(image); i++)
            put_shade(out, i, what->deep, shade(&grey, value_at(image, i)));
        return true;
    }
    size_t range = (size_t)1 << bits;
    int64_t least = image->shape.is_signed ? -(int64_t)(range / 2) : 0;
    table = malloc(range * sizeof *table);
    if (!table)
        return vt_fail(err, VT_E_NOMEM, "no memory to draw a frame");
    for (size_t i = 0; i < range; i++)
        table[i] = shade(&grey, (int64_t)i + least);
    for (size_t i = 0; i < pixel_count(image); i++)
        put_shade(out, i, what->deep, table[value_at(image, i) - least]);
    return true;
}

/* ---- colour ---- */

static uint8_t clamp(double value)
{
    return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)lround(value);
}

static void from_ybr(uint8_t *rgb)
{
    double y = rgb[0], b = rgb[1] - 128.0, r = rgb[2] - 128.0;

    rgb[0] = clamp(y + 1.402 * r);
    rgb[1] = clamp(y - 0.344136 * b - 0.714136 * r);
    rgb[2] = clamp(y + 1.772 * b);
}

static bool map_colour(const struct vt_render_image *image, uint8_t *out, struct vt_err *err)
{
    bool ybr = strcmp(image->photometric, "YBR_FULL") == 0;
    size_t count = pixel_count(image);
    unsigned bits = image->shape.bits_stored;

    if (!ybr && strcmp(image->photometric, "RGB") != 0)
        return vt_fail(err, VT_E_UNSUPPORTED, "colours in %s are not drawn", image->photometric);
    for (size_t i = 0; i < count; i++) {
        for (size_t c = 0; c < 3; c++) {
            int64_t value = value_at(image, image->shape.planar ? c * count + i : i * 3 + c);
            out[i * 3 + c] = (uint8_t)(bits > 8 ? value >> (bits - 8) : value);
        }
        if (ybr)
            from_ybr(out + i * 3);
    }
    return true;
}

static void map_palette(const struct vt_render_image *image, uint8_t *out)
{
    for (size_t i = 0; i < pixel_count(image); i++) {
        int64_t entry = value_at(image, i) - image->palette_first, last = (int64_t)image->palette_count - 1;
        memcpy(out + i * 3, image->palette[entry < 0 ? 0 : entry > last ? last : entry], 3);
    }
}

bool vt_render_map(const struct vt_render *what, struct vt_render_image *image, struct vt_buf *out,
                   unsigned *out_samples, struct vt_rendered *used, struct vt_err *err)
{
    bool colour = image->shape.samples == 3;
    unsigned samples = colour || image->palette ? 3 : 1;
    size_t size = pixel_count(image) * (what->deep ? 2 : samples);

    if (what->deep && samples != 1)
        return vt_fail(err, VT_E_UNSUPPORTED, "colours are not drawn in 12 bits");
    if (image->size < vt_pixel_frame_size(&image->shape))
        return vt_fail(err, VT_E_INVALID, "a frame has %zu bytes where %llu are due", image->size,
                       (unsigned long long)vt_pixel_frame_size(&image->shape));
    if (colour)
        image->shape.is_signed = false;
    if (!vt_buf_reserve(out, size, err))
        return false;
    *out_samples = samples;
    out->size = size;
    if (colour)
        return map_colour(image, out->data, err);
    if (!image->palette)
        return map_grey(what, image, out->data, used, err);
    map_palette(image, out->data);
    return true;
}
