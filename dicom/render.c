#include "dicom/render.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "dicom/dataset.h"
#include "dicom/render_inside.h"

enum { VALUE_MAX = 4096 };

static pthread_mutex_t alone = PTHREAD_MUTEX_INITIALIZER;

static bool put_number(struct vt_dataset *object, const char *keyword, unsigned number, struct vt_err *err)
{
    char text[16];

    snprintf(text, sizeof text, "%u", number);
    return vt_dataset_put(object, keyword, text, err);
}

static bool text_of(struct vt_dataset *object, const char *keyword, char *out, size_t room, struct vt_err *err)
{
    VT_AUTO_BUF(text, VALUE_MAX);
    bool there = false;

    if (!vt_dataset_get(object, keyword, &text, &there, err))
        return false;
    const char *value = there ? vt_buf_string(&text, err) : "";
    if (value)
        snprintf(out, room, "%s", value);
    return value;
}

/* The frame as the only one of an object that says no more than what a decoder looks at. */
static struct vt_dataset *make_object(const struct vt_render *what, const struct vt_render_image *image,
                                      struct vt_err *err)
{
    VT_AUTO(vt_dataset) object = vt_dataset_new();
    const struct vt_pixel_shape *shape = &image->shape;
    const void *bytes = what->pixels;

    if (!object) {
        vt_fail(err, VT_E_NOMEM, "no memory for a frame");
        return NULL;
    }
    if (!put_number(object, "SamplesPerPixel", shape->samples, err) ||
        !vt_dataset_put(object, "PhotometricInterpretation", image->photometric, err) ||
        (shape->samples > 1 && !put_number(object, "PlanarConfiguration", shape->planar, err)) ||
        !vt_dataset_put(object, "NumberOfFrames", "1", err) || !put_number(object, "Rows", shape->rows, err) ||
        !put_number(object, "Columns", shape->columns, err) ||
        !put_number(object, "BitsAllocated", shape->bits_allocated, err) ||
        !put_number(object, "BitsStored", shape->bits_stored, err) ||
        !put_number(object, "HighBit", image->high_bit, err) ||
        !put_number(object, "PixelRepresentation", shape->is_signed, err) ||
        !vt_dataset_put_frames(object, what->transfer_syntax, &bytes, &what->pixels_size, 1, err))
        return NULL;
    return vt_take(&object);
}

/* An encapsulated frame into `plain`, where image->pixels then points to. Colours may come out in another way. */
static bool decode(const struct vt_render *what, struct vt_render_image *image, struct vt_buf *plain,
                   struct vt_err *err)
{
    VT_AUTO(vt_dataset) object = make_object(what, image, err);
    struct vt_element pixels;
    char planar[16];

    if (!object || !vt_dataset_transcode(object, VT_UID_EXPLICIT_LE, err) ||
        !vt_dataset_encode(object, VT_UID_EXPLICIT_LE, plain, err) ||
        !text_of(object, "PhotometricInterpretation", image->photometric, sizeof image->photometric, err) ||
        !text_of(object, "PlanarConfiguration", planar, sizeof planar, err))
        return false;
    if (!vt_element_find(plain->data, plain->size, VT_EXPLICIT_LE, VT_TAG_PIXEL_DATA, &pixels))
        return vt_fail(err, VT_E_INVALID, "a frame is not whole when decoded");
    image->shape.planar = strcmp(planar, "1") == 0;
    image->pixels = pixels.value;
    image->size = (size_t)pixels.length;
    return true;
}

/* Big endian words into `plain`. */
static bool swap(const struct vt_render *what, struct vt_render_image *image, struct vt_buf *plain, struct vt_err *err)
{
    size_t width = image->shape.bits_allocated / 8u;

    if (!vt_buf_append(plain, what->pixels, what->pixels_size, err))
        return false;
    for (size_t at = 0; at + width <= plain->size; at += width)
        for (size_t i = 0; i < width / 2; i++) {
            uint8_t byte = plain->data[at + i];
            plain->data[at + i] = plain->data[at + width - 1 - i];
            plain->data[at + width - 1 - i] = byte;
        }
    image->pixels = plain->data;
    image->size = plain->size;
    return true;
}

static bool write_grey(const struct vt_buf *pixels, unsigned samples, struct vt_buf *out, struct vt_err *err)
{
    for (size_t i = 0; i + samples <= pixels->size; i += samples) {
        const uint8_t *at = pixels->data + i;
        uint8_t grey = samples < 3 ? at[0] : (uint8_t)((299u * at[0] + 587u * at[1] + 114u * at[2] + 500u) / 1000u);
        if (!vt_buf_append_byte(out, grey, err))
            return false;
    }
    return true;
}

static bool draw(const struct vt_render *what, struct vt_render_image *image, const struct vt_transfer_syntax *syntax,
                 struct vt_buf *jpeg, struct vt_rendered *used, struct vt_err *err)
{
    VT_AUTO_BUF(plain, VT_RENDER_FRAME_MAX + VALUE_MAX);
    VT_AUTO_BUF(mapped, 3 * (uint64_t)VT_RENDER_FRAME_MAX);
    VT_AUTO_BUF(scaled, 3 * (uint64_t)VT_RENDER_FRAME_MAX);
    struct vt_render_part part;
    unsigned samples = 1;

    image->pixels = what->pixels;
    image->size = what->pixels_size;
    if (!vt_render_fit(what, &image->shape, &part, err) ||
        (syntax->encapsulated && !decode(what, image, &plain, err)) ||
        (syntax->encoding == VT_EXPLICIT_BE && image->shape.bits_allocated > 8 && !swap(what, image, &plain, err)) ||
        !vt_render_map(what, image, &mapped, &samples, used, err))
        return false;
    if (what->deep) {
        used->columns = image->shape.columns;
        used->rows = image->shape.rows;
        return vt_buf_append(jpeg, mapped.data, mapped.size, err);
    }
    vt_buf_fini(&plain);
    if (!vt_render_scale(mapped.data, image->shape.columns, samples, &part, &scaled, err))
        return false;
    used->columns = part.columns;
    used->rows = part.rows;
    if (what->grey)
        return write_grey(&scaled, samples, jpeg, err);
    if (what->plain)
        return vt_buf_append(jpeg, scaled.data, scaled.size, err);
    if (what->png)
        return vt_render_write_png(scaled.data, part.columns, part.rows, samples, jpeg, err);
    return vt_render_write(scaled.data, part.columns, part.rows, samples,
                           what->quality ? what->quality : VT_RENDER_QUALITY, jpeg, err);
}

bool vt_render_jpeg(const struct vt_render *what, struct vt_buf *jpeg, struct vt_rendered *out, struct vt_err *err)
{
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(what->transfer_syntax);
    struct vt_render_image image = { 0 };
    struct vt_rendered used = { 0 };

    if (!syntax || syntax->encoding == VT_DEFLATED_LE || syntax->video)
        return vt_fail(err, VT_E_UNSUPPORTED, "frames in %s are not drawn", syntax ? syntax->name : "this transfer syntax");
    if (what->window != VT_WINDOW_OWN && !(what->width > 0))
        return vt_fail(err, VT_E_INVALID, "A window is wider than nothing.");
    if (what->columns > VT_RENDER_SIDE_MAX || what->rows > VT_RENDER_SIDE_MAX || what->quality > 100)
        return vt_fail(err, VT_E_INVALID, "Viewports have up to %d pixels a side, quality is 1 to 100.",
                       VT_RENDER_SIDE_MAX);
    bool ok = vt_render_read(what, syntax->encoding, &image, err);
    if (ok) {
        bool large = vt_pixel_frame_size(&image.shape) >= VT_RENDER_ALONE ||
                     (uint64_t)what->columns * what->rows >= VT_RENDER_ALONE;
        if (large)
            pthread_mutex_lock(&alone);
        ok = draw(what, &image, syntax, jpeg, &used, err);
        if (large)
            pthread_mutex_unlock(&alone);
    }
    vt_render_image_fini(&image);
    if (ok && out)
        *out = used;
    return ok;
}

static bool make_plain(const struct vt_render *what, struct vt_render_image *image, const struct vt_transfer_syntax *syntax,
                       struct vt_buf *out, struct vt_err *err)
{
    VT_AUTO_BUF(plain, VT_RENDER_FRAME_MAX + VALUE_MAX);
    size_t due = (size_t)vt_pixel_frame_size(&image->shape);

    image->pixels = what->pixels;
    image->size = what->pixels_size;
    if ((syntax->encapsulated && !decode(what, image, &plain, err)) ||
        (syntax->encoding == VT_EXPLICIT_BE && image->shape.bits_allocated > 8 && !swap(what, image, &plain, err)))
        return false;
    if (image->size < due)
        return vt_fail(err, VT_E_INVALID, "a frame has %zu bytes where %zu are due", image->size, due);
    return vt_buf_append(out, image->pixels, due, err);
}

bool vt_frame_plain(const struct vt_render *what, struct vt_buf *out, struct vt_err *err)
{
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(what->transfer_syntax);
    struct vt_render_image image = { 0 };

    if (!syntax || syntax->encoding == VT_DEFLATED_LE || syntax->video)
        return vt_fail(err, VT_E_UNSUPPORTED, "frames in %s are not decoded", syntax ? syntax->name : "this transfer syntax");
    bool ok = vt_render_read(what, syntax->encoding, &image, err);
    if (ok) {
        bool large = vt_pixel_frame_size(&image.shape) >= VT_RENDER_ALONE;
        if (large)
            pthread_mutex_lock(&alone);
        ok = make_plain(what, &image, syntax, out, err);
        if (large)
            pthread_mutex_unlock(&alone);
    }
    vt_render_image_fini(&image);
    return ok;
}
