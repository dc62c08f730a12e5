#include "dicom/frame_encode.h"

#include <string.h>

#include <openjpeg.h>

#include "core/buf.h"
#include "core/err.h"

enum { SAMPLES_MAX = 4, STREAM_ROOM = 64 << 10, RESOLUTIONS_MAX = 6 };

/* openjp2 goes back to write lengths, so there is a place to write at. */
struct growing {
    struct vt_buf *buf;
    size_t begin, at; /* in buf */
    struct vt_err *err;
};

static OPJ_SIZE_T write_growing(void *bytes, OPJ_SIZE_T size, void *context)
{
    struct growing *out = context;
    size_t end = out->at + size;

    if (end > out->buf->size) {
        if (!vt_buf_reserve(out->buf, end - out->buf->size, out->err))
            return (OPJ_SIZE_T)-1;
        out->buf->size = end;
    }
    memcpy(out->buf->data + out->at, bytes, size);
    out->at = end;
    return size;
}

static OPJ_BOOL seek_growing(OPJ_OFF_T to, void *context)
{
    struct growing *out = context;

    if (to < 0 || (uint64_t)to > out->buf->size - out->begin)
        return OPJ_FALSE;
    out->at = out->begin + (size_t)to;
    return OPJ_TRUE;
}

static OPJ_OFF_T skip_growing(OPJ_OFF_T size, void *context)
{
    struct growing *out = context;

    return seek_growing((OPJ_OFF_T)(out->at - out->begin) + size, context) ? size : -1;
}

static void keep_message(const char *message, void *context)
{
    char *text = context;

    strncpy(text, message, 79);
    text[79] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

/* Sign and unused bits: what lies above Bits Stored is not carried. */
static OPJ_INT32 sample_at(const uint8_t *from, size_t width, const struct vt_pixel_shape *shape)
{
    uint32_t value = width == 1 ? from[0] : (uint32_t)(from[0] | from[1] << 8);
    uint32_t mask = (1u << shape->bits_stored) - 1;
    uint32_t sign = 1u << (shape->bits_stored - 1);

    value &= mask;
    if (shape->is_signed && (value & sign))
        return (OPJ_INT32)value - (OPJ_INT32)mask - 1;
    return (OPJ_INT32)value;
}

static opj_image_t *make_image(const uint8_t *frame, const struct vt_pixel_shape *shape)
{
    opj_image_cmptparm_t parts[SAMPLES_MAX] = { 0 };
    size_t width = shape->bits_allocated / 8u;
    size_t pixels = (size_t)shape->columns * shape->rows;

    for (size_t i = 0; i < shape->samples; i++)
        parts[i] = (opj_image_cmptparm_t){ .dx = 1,
                                           .dy = 1,
                                           .w = shape->columns,
                                           .h = shape->rows,
                                           .prec = shape->bits_stored,
                                           .sgnd = shape->is_signed };
    opj_image_t *image = opj_image_create(shape->samples, parts,
                                          shape->samples == 3 ? OPJ_CLRSPC_SRGB : OPJ_CLRSPC_GRAY);
    if (!image)
        return NULL;
    image->x1 = shape->columns;
    image->y1 = shape->rows;
    for (size_t i = 0; i < pixels; i++)
        for (size_t s = 0; s < shape->samples; s++)
            image->comps[s].data[i] = sample_at(frame + (i * shape->samples + s) * width, width, shape);
    return image;
}

static void choose_parameters(const struct vt_pixel_shape *shape, float ratio, opj_cparameters_t *out)
{
    unsigned least = shape->columns < shape->rows ? shape->columns : shape->rows;
    int resolutions = 1;

    opj_set_default_encoder_parameters(out);
    while (resolutions < RESOLUTIONS_MAX && least >> resolutions > 0)
        resolutions++;
    out->numresolution = resolutions;
    out->tcp_numlayers = 1;
    out->tcp_rates[0] = ratio; /* 0: all of it */
    out->cp_disto_alloc = 1;
    out->irreversible = ratio > 0;
    out->tcp_mct = shape->samples == 3;
}

static bool encode(opj_codec_t *codec, opj_stream_t *stream, opj_image_t *image, opj_cparameters_t *parameters,
                   const char *message, struct vt_err *err)
{
    if (opj_setup_encoder(codec, parameters, image) && opj_start_compress(codec, image, stream) &&
        opj_encode(codec, stream) && opj_end_compress(codec, stream))
        return true;
    return vt_failed(err) ? false : vt_fail(err, VT_E_INVALID, "a frame cannot be made JPEG 2000: %s", message);
}

bool vt_jpeg2000_encode(const uint8_t *frame, const struct vt_pixel_shape *shape, float ratio, struct vt_buf *out,
                        struct vt_err *err)
{
    struct growing growing = { out, out->size, out->size, err };
    char message[80] = "no reason given";
    opj_cparameters_t parameters;

    if ((shape->bits_allocated != 8 && shape->bits_allocated != 16) || shape->bits_stored == 0 ||
        shape->samples > SAMPLES_MAX || (shape->planar && shape->samples > 1))
        return vt_fail(err, VT_E_UNSUPPORTED, "%u bits and %u samples are not made JPEG 2000 here",
                       shape->bits_allocated, shape->samples);
    opj_image_t *image = make_image(frame, shape);
    opj_codec_t *codec = opj_create_compress(OPJ_CODEC_J2K);
    opj_stream_t *stream = opj_stream_create(STREAM_ROOM, OPJ_FALSE);
    bool ok = image && codec && stream;
    if (!ok) {
        vt_fail(err, VT_E_NOMEM, "no memory for a JPEG 2000 frame");
    } else {
        choose_parameters(shape, ratio, &parameters);
        opj_set_error_handler(codec, keep_message, message);
        opj_stream_set_user_data(stream, &growing, NULL);
        opj_stream_set_write_function(stream, write_growing);
        opj_stream_set_skip_function(stream, skip_growing);
        opj_stream_set_seek_function(stream, seek_growing);
        ok = encode(codec, stream, image, &parameters, message, err);
    }
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    opj_image_destroy(image);
    return ok;
}
