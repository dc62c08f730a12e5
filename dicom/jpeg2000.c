#include <string.h>

#include <openjpeg.h>

#include "core/err.h"
#include "dicom/frame_decode.h"

struct memory {
    const uint8_t *bytes;
    size_t size, at;
};

static OPJ_SIZE_T read_memory(void *to, OPJ_SIZE_T size, void *context)
{
    struct memory *memory = context;
    size_t left = memory->size - memory->at;

    if (left == 0)
        return (OPJ_SIZE_T)-1;
    if (size > left)
        size = left;
    memcpy(to, memory->bytes + memory->at, size);
    memory->at += size;
    return size;
}

static OPJ_OFF_T skip_memory(OPJ_OFF_T size, void *context)
{
    struct memory *memory = context;

    if (size < 0 || (uint64_t)size > memory->size - memory->at)
        return -1;
    memory->at += (size_t)size;
    return size;
}

static OPJ_BOOL seek_memory(OPJ_OFF_T to, void *context)
{
    struct memory *memory = context;

    if (to < 0 || (uint64_t)to > memory->size)
        return OPJ_FALSE;
    memory->at = (size_t)to;
    return OPJ_TRUE;
}

static void keep_message(const char *message, void *context)
{
    char *text = context;

    strncpy(text, message, 79);
    text[79] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

/* In the wild a fragment may be a JP2 file although DICOM wants the bare codestream. */
static OPJ_CODEC_FORMAT format_of(const uint8_t *bytes, size_t size)
{
    static const uint8_t box[] = { 0, 0, 0, 12, 'j', 'P', ' ', ' ' };

    return size > sizeof box && memcmp(bytes, box, sizeof box) == 0 ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K;
}

static bool has_shape(const opj_image_t *image, const struct vt_pixel_shape *shape)
{
    if (image->numcomps != shape->samples)
        return false;
    for (OPJ_UINT32 i = 0; i < image->numcomps; i++)
        if (image->comps[i].w != shape->columns || image->comps[i].h != shape->rows || !image->comps[i].data ||
            image->comps[i].prec > shape->bits_allocated)
            return false;
    return true;
}

/* Interleaved, little endian, as wide as Bits Allocated says. */
static void copy_samples(const opj_image_t *image, const struct vt_pixel_shape *shape, uint8_t *out)
{
    size_t pixels = (size_t)shape->columns * shape->rows;
    size_t width = shape->bits_allocated / 8u;

    for (size_t i = 0; i < pixels; i++)
        for (OPJ_UINT32 c = 0; c < image->numcomps; c++) {
            uint32_t value = (uint32_t)image->comps[c].data[i];
            for (size_t b = 0; b < width; b++)
                *out++ = (uint8_t)(value >> (8 * b));
        }
}

static bool decode(opj_codec_t *codec, opj_stream_t *stream, const struct vt_pixel_shape *shape, uint8_t *out,
                   const char *message, struct vt_err *err)
{
    opj_image_t *image = NULL;
    bool ok = opj_read_header(stream, codec, &image);

    /* Before decoding: the size of the codestream is what memory is reserved by. */
    if (ok && (image->x1 - image->x0 != shape->columns || image->y1 - image->y0 != shape->rows ||
               image->numcomps != shape->samples))
        ok = vt_fail(err, VT_E_INVALID, "a JPEG 2000 frame of %ux%u pixels in an image of %ux%u",
                     image->x1 - image->x0, image->y1 - image->y0, shape->columns, shape->rows);
    else
        ok = (ok && opj_decode(codec, stream, image)) ||
             vt_fail(err, VT_E_INVALID, "a JPEG 2000 frame cannot be decoded: %s", message);
    if (ok && !has_shape(image, shape))
        ok = vt_fail(err, VT_E_INVALID, "a JPEG 2000 frame differs from what the data set says");
    if (ok)
        copy_samples(image, shape, out);
    opj_image_destroy(image);
    return ok;
}

bool vt_jpeg2000_decode(const uint8_t *bytes, size_t size, const struct vt_pixel_shape *shape, uint8_t *out,
                        struct vt_err *err)
{
    struct memory memory = { bytes, size, 0 };
    char message[80] = "no reason given";
    opj_dparameters_t parameters;

    if (shape->bits_allocated % 8 != 0)
        return vt_fail(err, VT_E_UNSUPPORTED, "JPEG 2000 with single bits");
    opj_codec_t *codec = opj_create_decompress(format_of(bytes, size));
    opj_stream_t *stream = opj_stream_create(64 << 10, OPJ_TRUE);
    bool ok = codec && stream;
    if (!ok) {
        vt_fail(err, VT_E_NOMEM, "no memory for a JPEG 2000 frame");
    } else {
        opj_set_default_decoder_parameters(&parameters);
        opj_set_error_handler(codec, keep_message, message);
        opj_stream_set_user_data(stream, &memory, NULL);
        opj_stream_set_user_data_length(stream, size);
        opj_stream_set_read_function(stream, read_memory);
        opj_stream_set_skip_function(stream, skip_memory);
        opj_stream_set_seek_function(stream, seek_memory);
        ok = opj_setup_decoder(codec, &parameters) ||
             vt_fail(err, VT_E_INTERNAL, "openjp2 refuses its own default settings");
        ok = ok && decode(codec, stream, shape, out, message, err);
    }
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    return ok;
}
