/* What the attributes of an instance say of a frame's pixels: shape, rescale, window, palette. Functional groups of enhanced
 * instances (PS3.3 C.7.6.16) count where the top level is silent: those of the frame before the shared ones. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/auto.h"
#include "core/err.h"
#include "dicom/render_inside.h"

enum {
    TAG_PLANAR = 0x00280006,
    TAG_CENTER = 0x00281050,
    TAG_WIDTH = 0x00281051,
    TAG_FUNCTION = 0x00281056,
    TAG_INTERCEPT = 0x00281052,
    TAG_SLOPE = 0x00281053,
    TAG_PALETTE = 0x00281101,      /* descriptors of red, green, blue */
    TAG_PALETTE_DATA = 0x00281201,
    TAG_SHARED_GROUPS = 0x52009229,
    TAG_FRAME_GROUPS = 0x52009230,
    TAG_MODALITY_LUT = 0x00283000,
    TAG_VOI_LUT = 0x00283010,
    TAG_VOI = 0x00289132,
    TAG_RESCALE = 0x00289145,
};

struct level {
    const uint8_t *bytes;
    size_t size;
    enum vt_encoding encoding;
};

static bool find(const struct level *level, uint32_t tag, struct vt_element *out)
{
    return level->bytes && vt_element_find(level->bytes, level->size, level->encoding, tag, out);
}

static uint32_t number_of(const struct level *level, uint32_t tag, uint32_t otherwise)
{
    struct vt_element element;
    int64_t value;

    if (!find(level, tag, &element) || !vt_element_number(&element, level->encoding, &value) || value < 0 ||
        value > UINT32_MAX)
        return otherwise;
    return (uint32_t)value;
}

/* The first value of a DS. */
static bool decimal_of(const struct level *level, uint32_t tag, double *out)
{
    struct vt_element element;
    char text[64], *end;

    if (!find(level, tag, &element))
        return false;
    vt_element_text(&element, text, sizeof text);
    text[strcspn(text, "\\")] = '\0';
    double value = strtod(text, &end);
    if (end == text || !isfinite(value))
        return false;
    *out = value;
    return true;
}

/* The n-th item of a sequence; not there: an empty level. */
static struct level item_of(const struct level *level, uint32_t tag, uint32_t n)
{
    struct vt_element sequence, item;
    struct vt_walk walk;
    struct vt_err ignored = { 0 };
    bool more = true;

    if (!find(level, tag, &sequence))
        return (struct level){ 0 };
    vt_walk_items(&walk, &sequence, level->encoding);
    for (uint32_t i = 0; vt_walk_next(&walk, &item, &more, &ignored) && more; i++)
        if (i == n) {
            struct vt_walk inside;
            vt_walk_item(&inside, &item, level->encoding);
            return (struct level){ inside.at, (size_t)(inside.end - inside.at), inside.encoding };
        }
    return (struct level){ 0 };
}

static void read_window(const struct level *level, struct vt_render_image *out)
{
    struct vt_element element;
    char name[17] = "";

    if (out->has_window || !decimal_of(level, TAG_CENTER, &out->center) ||
        !decimal_of(level, TAG_WIDTH, &out->width) || !(out->width > 0))
        return;
    if (find(level, TAG_FUNCTION, &element))
        vt_element_text(&element, name, sizeof name);
    out->window = strcmp(name, "SIGMOID") == 0        ? VT_WINDOW_SIGMOID
                  : strcmp(name, "LINEAR_EXACT") == 0 ? VT_WINDOW_LINEAR_EXACT
                                                      : VT_WINDOW_LINEAR;
    out->has_window = true;
}

static bool read_rescale(const struct level *level, struct vt_render_image *out)
{
    double slope = 1, intercept = 0;
    bool there = decimal_of(level, TAG_SLOPE, &slope);

    there = decimal_of(level, TAG_INTERCEPT, &intercept) || there;
    if (there && slope != 0) {
        out->slope = slope;
        out->intercept = intercept;
    }
    return there;
}

static void read_groups(const struct level *top, uint32_t frame, struct vt_render_image *out)
{
    const struct level groups[] = { item_of(top, TAG_FRAME_GROUPS, frame), item_of(top, TAG_SHARED_GROUPS, 0) };
    bool rescaled = read_rescale(top, out);

    read_window(top, out);
    for (size_t i = 0; i < VT_COUNT(groups); i++) {
        struct level voi = item_of(&groups[i], TAG_VOI, 0), rescale = item_of(&groups[i], TAG_RESCALE, 0);
        read_window(&voi, out);
        rescaled = rescaled || read_rescale(&rescale, out);
    }
}

/* Tables count where there is no window and no rescale; those of enhanced instances lie in the same functional groups as windows. */
static bool read_luts(const struct level *top, uint32_t frame, struct vt_render_image *out, struct vt_err *err)
{
    const struct level groups[] = { item_of(top, TAG_FRAME_GROUPS, frame), item_of(top, TAG_SHARED_GROUPS, 0) };
    struct level modality = item_of(top, TAG_MODALITY_LUT, 0), voi = item_of(top, TAG_VOI_LUT, 0);

    for (size_t i = 0; i < VT_COUNT(groups) && !voi.bytes; i++) {
        struct level inside = item_of(&groups[i], TAG_VOI, 0);
        voi = item_of(&inside, TAG_VOI_LUT, 0);
    }
    if (!vt_render_read_lut(modality.bytes, modality.size, modality.encoding, out->shape.is_signed, &out->modality, err))
        return false;
    bool is_signed = out->modality.count == 0 && (out->shape.is_signed || out->intercept < 0);
    return out->has_window || vt_render_read_lut(voi.bytes, voi.size, voi.encoding, is_signed, &out->voi, err);
}

void vt_render_image_fini(struct vt_render_image *image)
{
    free(image->palette);
    free(image->modality.values);
    free(image->voi.values);
}

/* ---- palettes ---- */

static uint16_t u16_at(const struct level *level, const struct vt_element *element, size_t i)
{
    const uint8_t *at = element->value + 2 * i;
    bool big = level->encoding == VT_EXPLICIT_BE;

    return (uint16_t)(at[big] | at[!big] << 8);
}

static bool read_colour(const struct level *top, uint32_t channel, struct vt_render_image *out)
{
    struct vt_element descriptor, data;

    if (!find(top, TAG_PALETTE + channel, &descriptor) || descriptor.length < 6 ||
        !find(top, TAG_PALETTE_DATA + channel, &data))
        return false;
    uint16_t bits = u16_at(top, &descriptor, 2);
    for (uint32_t i = 0; i < out->palette_count; i++) {
        bool bytes = data.length < 2 * (uint64_t)out->palette_count; /* two entries in a word */
        if (bytes ? i >= data.length : 2 * (uint64_t)i + 2 > data.length)
            return false;
        out->palette[i][channel] = bytes     ? data.value[i]
                                   : bits > 8 ? (uint8_t)(u16_at(top, &data, i) >> 8)
                                              : (uint8_t)u16_at(top, &data, i);
    }
    return true;
}

static bool read_palette(const struct level *top, struct vt_render_image *out, struct vt_err *err)
{
    struct vt_element descriptor;

    if (strcmp(out->photometric, "PALETTE COLOR") != 0)
        return true;
    if (!find(top, TAG_PALETTE, &descriptor) || descriptor.length < 6)
        return vt_fail(err, VT_E_INVALID, "its palette is missing");
    out->palette_count = u16_at(top, &descriptor, 0);
    if (out->palette_count == 0)
        out->palette_count = VT_PALETTE_MAX;
    uint16_t first = u16_at(top, &descriptor, 1);
    out->palette_first = out->shape.is_signed ? (int16_t)first : first;
    out->palette = calloc(out->palette_count, sizeof *out->palette);
    if (!out->palette)
        return vt_fail(err, VT_E_NOMEM, "no memory for a palette");
    return (read_colour(top, 0, out) && read_colour(top, 1, out) && read_colour(top, 2, out)) ||
           vt_fail(err, VT_E_UNSUPPORTED, "its palette is segmented or cut short");
}

/* ---- the whole ---- */

static bool check_shape(const struct vt_render_image *image, struct vt_err *err)
{
    const struct vt_pixel_shape *shape = &image->shape;
    bool single = shape->bits_allocated == 1 && shape->bits_stored == 1 && shape->samples == 1;
    bool plausible = shape->columns > 0 && shape->rows > 0 && (shape->samples == 1 || shape->samples == 3) &&
                     (single || shape->bits_allocated == 8 || shape->bits_allocated == 16 ||
                      (shape->bits_allocated == 32 && shape->samples == 1)) &&
                     shape->bits_stored > 0 && shape->bits_stored <= shape->bits_allocated &&
                     image->high_bit < shape->bits_allocated && image->high_bit + 1 >= shape->bits_stored;

    if (!plausible)
        return vt_fail(err, VT_E_UNSUPPORTED, "%ux%u pixels of %u samples in %u of %u bits are not drawn",
                       shape->columns, shape->rows, shape->samples, shape->bits_stored, shape->bits_allocated);
    uint64_t samples = (uint64_t)shape->columns * shape->rows * shape->samples;
    return (vt_pixel_frame_size(shape) <= VT_RENDER_FRAME_MAX && samples <= VT_RENDER_FRAME_MAX) ||
           vt_fail(err, VT_E_LIMIT, "a frame of more than %d bytes or samples is not drawn", VT_RENDER_FRAME_MAX);
}

bool vt_render_read(const struct vt_render *what, enum vt_encoding encoding, struct vt_render_image *out,
                    struct vt_err *err)
{
    const struct vt_element_limits limits = VT_ELEMENT_LIMITS_DEFAULT;
    const struct level top = { what->attributes, what->attributes_size, encoding };
    struct vt_element element;

    if (!vt_element_check(what->attributes, what->attributes_size, encoding, &limits, err))
        return false;
    uint16_t allocated = (uint16_t)number_of(&top, VT_TAG_BITS_ALLOCATED, 8);
    uint16_t stored = (uint16_t)number_of(&top, VT_TAG_BITS_STORED, allocated);
    *out = (struct vt_render_image){
        .shape = { .columns = (uint16_t)number_of(&top, VT_TAG_COLUMNS, 0),
                   .rows = (uint16_t)number_of(&top, VT_TAG_ROWS, 0),
                   .samples = (uint16_t)number_of(&top, VT_TAG_SAMPLES_PER_PIXEL, 1),
                   .bits_allocated = allocated,
                   .bits_stored = stored,
                   .is_signed = number_of(&top, VT_TAG_PIXEL_REPRESENTATION, 0) == 1,
                   .planar = number_of(&top, TAG_PLANAR, 0) == 1,
                   .frames = 1 },
        .high_bit = (uint16_t)number_of(&top, VT_TAG_HIGH_BIT, stored ? stored - 1u : 0),
        .slope = 1,
    };
    if (find(&top, VT_TAG_PHOTOMETRIC_INTERPRETATION, &element))
        vt_element_text(&element, out->photometric, sizeof out->photometric);
    read_groups(&top, what->number, out);
    return check_shape(out, err) && read_luts(&top, what->number, out, err) && read_palette(&top, out, err);
}
