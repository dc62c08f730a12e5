#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "scu/print_inside.h"

/* ---- optional attributes: "" and -1 are left to the printer ---- */

static bool text(struct vt_writer *w, uint32_t tag, const char *vr, const char *value, struct vt_err *err)
{
    return !value[0] || vt_write_text(w, tag, vr, value, err);
}

static bool number(struct vt_writer *w, uint32_t tag, int value, struct vt_err *err)
{
    return value < 0 || value > UINT16_MAX || vt_write_us(w, tag, (uint16_t)value, err);
}

static bool reference(struct vt_writer *w, uint32_t tag, const char *sop_class, const char *sop_uid, struct vt_err *err)
{
    return vt_write_sequence_begin(w, tag, err) && vt_write_item_begin(w, err) &&
           vt_write_text(w, VT_TAG_REFERENCED_SOP_CLASS_UID, "UI", sop_class, err) &&
           vt_write_text(w, VT_TAG_REFERENCED_SOP_INSTANCE_UID, "UI", sop_uid, err) && vt_write_item_end(w, err) &&
           vt_write_sequence_end(w, err);
}

/* ---- the objects ---- */

bool vt_print_write_session(struct vt_writer *w, const struct vt_print_options *options, struct vt_err *err)
{
    char copies[16];

    snprintf(copies, sizeof copies, "%d", options->copies > 0 ? options->copies : 1);
    return vt_write_text(w, 0x20000010, "IS", copies, err) && text(w, 0x20000020, "CS", options->priority, err) &&
           text(w, 0x20000030, "CS", options->medium, err) && text(w, 0x20000040, "CS", options->destination, err) &&
           text(w, 0x20000050, "LO", options->label, err);
}

bool vt_print_write_lut(struct vt_writer *w, struct vt_err *err)
{
    return vt_write_text(w, 0x20500020, "CS", "IDENTITY", err);
}

bool vt_print_write_film(struct vt_writer *w, const struct vt_print_options *options, const char *session_uid,
                         const char *lut_uid, bool annotated, struct vt_err *err)
{
    bool lut = lut_uid[0];

    return vt_write_text(w, 0x20100010, "ST", options->layout, err) &&
           (!annotated || text(w, 0x20100030, "CS", options->annotation, err)) &&
           text(w, 0x20100040, "CS", options->orientation, err) &&
           text(w, 0x20100050, "CS", options->film_size, err) && text(w, 0x20100060, "CS", options->magnification, err) &&
           text(w, 0x20100080, "CS", options->smoothing, err) && text(w, 0x20100100, "CS", options->border, err) &&
           text(w, 0x20100110, "CS", options->empty, err) && number(w, 0x20100120, options->min_density, err) &&
           number(w, 0x20100130, options->max_density, err) && text(w, 0x20100140, "CS", options->trim, err) &&
           text(w, 0x20100150, "ST", options->configuration, err) &&
           (!lut || number(w, 0x2010015e, options->illumination, err)) &&
           (!lut || number(w, 0x20100160, options->reflection, err)) &&
           reference(w, 0x20100500, VT_UID_FILM_SESSION, session_uid, err) &&
           text(w, 0x20200050, "CS", options->resolution, err) &&
           (!lut || reference(w, 0x20500500, VT_UID_PRESENTATION_LUT, lut_uid, err));
}

/* RGB by pixel to RGB by plane, which colour image boxes want (PS3.3 C.13.5.1). */
static bool write_planes(struct vt_writer *w, const struct vt_print_image *image, struct vt_err *err)
{
    VT_AUTO_BUF(planes, VT_PRINT_IMAGE_BYTES_MAX);
    size_t count = (size_t)image->columns * image->rows;

    if (!vt_buf_reserve(&planes, 3 * count, err))
        return false;
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < 3; c++)
            planes.data[c * count + i] = image->pixels.data[i * 3 + c];
    return vt_write_bytes(w, VT_TAG_PIXEL_DATA, "OB", planes.data, 3 * count, err);
}

static bool write_pixels(struct vt_writer *w, const struct vt_print_image *image, struct vt_err *err)
{
    const bool colour = image->samples == 3;
    const uint16_t allocated = image->bits > 8 ? 16 : 8;

    if (!vt_write_us(w, VT_TAG_SAMPLES_PER_PIXEL, (uint16_t)image->samples, err) ||
        !vt_write_text(w, VT_TAG_PHOTOMETRIC_INTERPRETATION, "CS", colour ? "RGB" : "MONOCHROME2", err) ||
        (colour && !vt_write_us(w, 0x00280006, 1, err)) || !vt_write_us(w, VT_TAG_ROWS, image->rows, err) ||
        !vt_write_us(w, VT_TAG_COLUMNS, image->columns, err) || !vt_write_us(w, VT_TAG_BITS_ALLOCATED, allocated, err) ||
        !vt_write_us(w, VT_TAG_BITS_STORED, (uint16_t)image->bits, err) ||
        !vt_write_us(w, VT_TAG_HIGH_BIT, (uint16_t)(image->bits - 1), err) ||
        !vt_write_us(w, VT_TAG_PIXEL_REPRESENTATION, 0, err))
        return false;
    if (colour)
        return write_planes(w, image, err);
    return vt_write_bytes(w, VT_TAG_PIXEL_DATA, allocated == 16 ? "OW" : "OB", image->pixels.data, image->pixels.size, err);
}

bool vt_print_write_image(struct vt_writer *w, const struct vt_print_options *options, uint16_t position,
                          const struct vt_print_image *image, struct vt_err *err)
{
    size_t due = (size_t)image->columns * image->rows * image->samples * (image->bits > 8 ? 2 : 1);

    if (image->pixels.size != due || due == 0)
        return vt_fail(err, VT_E_INTERNAL, "an image of %zu bytes where %zu are due", image->pixels.size, due);
    return vt_write_us(w, 0x20200010, position, err) && text(w, 0x20200020, "CS", options->polarity, err) &&
           text(w, 0x20200030, "DS", options->image_size, err) && text(w, 0x20200040, "CS", options->decimate, err) &&
           vt_write_sequence_begin(w, image->samples == 3 ? 0x20200111 : 0x20200110, err) &&
           vt_write_item_begin(w, err) && write_pixels(w, image, err) && vt_write_item_end(w, err) &&
           vt_write_sequence_end(w, err);
}

bool vt_print_write_annotation(struct vt_writer *w, uint16_t position, const char *value, struct vt_err *err)
{
    return vt_write_us(w, 0x20300010, position, err) && vt_write_text(w, 0x20300020, "LO", value, err);
}

/* ---- what comes back ---- */

size_t vt_print_references(const uint8_t *bytes, size_t size, uint32_t tag, char (*out)[VT_UID_MAX + 1], size_t max)
{
    struct vt_element sequence, item, uid;
    struct vt_err ignored = { 0 };
    struct vt_walk walk;
    size_t count = 0;
    bool more = true;

    if (!vt_element_find(bytes, size, VT_EXPLICIT_LE, tag, &sequence))
        return 0;
    vt_walk_items(&walk, &sequence, VT_EXPLICIT_LE);
    while (count < max && vt_walk_next(&walk, &item, &more, &ignored) && more)
        if (vt_element_find(item.value, (size_t)item.length, VT_EXPLICIT_LE, VT_TAG_REFERENCED_SOP_INSTANCE_UID, &uid)) {
            vt_element_text(&uid, out[count], VT_UID_MAX + 1);
            count += vt_uid_usable(out[count]);
        }
    return count;
}
