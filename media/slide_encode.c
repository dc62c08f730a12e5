/* JPEG and JPEG 2000 streams that we make ourselves: white tiles where a slide has none, and what OpenSlide read. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <openjpeg.h>

#include "core/buf.h"
#include "core/err.h"
#include "media/slide_open.h"

enum { WHITE = 255, NEUTRAL = 128, WHITE_QUALITY = 90 };

/* ---- JPEG ---- */

struct failure {
    struct jpeg_error_mgr manager;
    jmp_buf back;
};

static void on_error(j_common_ptr info)
{
    struct failure *failure = (struct failure *)(void *)info->err;

    longjmp(failure->back, 1);
}

static void on_message(j_common_ptr info)
{
    (void)info;
}

static void set_up(struct jpeg_compress_struct *info, const struct vt_jpeg_wanted *wanted)
{
    static const J_COLOR_SPACE inside[] = { JCS_GRAYSCALE, JCS_RGB, JCS_YCbCr };
    bool grey = wanted->colours == VT_JPEG_GREY;

    info->image_width = wanted->width;
    info->image_height = wanted->height;
    info->input_components = grey ? 1 : 3;
    info->in_color_space = grey ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(info);
    jpeg_set_colorspace(info, inside[wanted->colours]);
    jpeg_set_quality(info, wanted->quality, TRUE);
    for (int i = 0; i < info->num_components; i++) {
        int sampling = i < 3 && wanted->sampling[i] ? wanted->sampling[i] : 0x11;
        info->comp_info[i].h_samp_factor = sampling >> 4;
        info->comp_info[i].v_samp_factor = sampling & 15;
    }
}

bool vt_jpeg_encode(const uint8_t *pixels, const struct vt_jpeg_wanted *wanted, struct vt_buf *out,
                    struct vt_err *err)
{
    struct jpeg_compress_struct info;
    struct failure failure;
    unsigned char *volatile bytes = NULL;
    unsigned long size = 0;

    info.err = jpeg_std_error(&failure.manager);
    failure.manager.error_exit = on_error;
    failure.manager.output_message = on_message;
    if (setjmp(failure.back)) {
        jpeg_destroy_compress(&info);
        free(bytes);
        return vt_fail(err, VT_E_NOMEM, "a tile could not be compressed");
    }
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, (unsigned char **)&bytes, &size);
    set_up(&info, wanted);
    jpeg_start_compress(&info, TRUE);
    size_t stride = (size_t)wanted->width * (wanted->colours == VT_JPEG_GREY ? 1 : 3);
    while (info.next_scanline < info.image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + info.next_scanline * stride);
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    bool ok = vt_buf_append(out, bytes, size, err);
    free(bytes);
    return ok;
}

static bool white_jpeg(const struct vt_slide_image *image, struct vt_buf *out, struct vt_err *err)
{
    const struct vt_codestream *stream = &image->stream;
    size_t size = (size_t)image->tile_width * image->tile_height * stream->components;
    vt_autofree uint8_t *pixels = malloc(size);
    struct vt_jpeg_wanted wanted = {
        .width = image->tile_width,
        .height = image->tile_height,
        .quality = WHITE_QUALITY,
        .colours = stream->components == 1                ? VT_JPEG_GREY
                   : strcmp(image->photometric, "RGB") == 0 ? VT_JPEG_RGB
                                                            : VT_JPEG_YCBCR,
        .sampling = { stream->sampling[0], stream->sampling[1], stream->sampling[2] },
    };

    if (!pixels)
        return vt_fail(err, VT_E_NOMEM, "no memory for a tile");
    memset(pixels, WHITE, size);
    return vt_jpeg_encode(pixels, &wanted, out, err);
}

/* ---- JPEG 2000 ---- */

static OPJ_SIZE_T write_part(void *bytes, OPJ_SIZE_T size, void *context)
{
    struct vt_err ignored = { 0 };

    return vt_buf_append(context, bytes, size, &ignored) ? size : (OPJ_SIZE_T)-1;
}

static opj_image_t *white_image(const struct vt_slide_image *image)
{
    const struct vt_codestream *stream = &image->stream;
    opj_image_cmptparm_t parts[3] = { 0 };
    bool ycbcr = strncmp(image->photometric, "YBR_FULL", 8) == 0;

    for (size_t i = 0; i < stream->components && i < 3; i++)
        parts[i] = (opj_image_cmptparm_t){
            .dx = stream->sampling[i] >> 4,
            .dy = stream->sampling[i] & 15,
            .w = (image->tile_width - 1) / (stream->sampling[i] >> 4) + 1,
            .h = (image->tile_height - 1) / (stream->sampling[i] & 15) + 1,
            .prec = 8,
        };
    opj_image_t *white =
        opj_image_create(stream->components, parts, ycbcr ? OPJ_CLRSPC_SYCC : OPJ_CLRSPC_SRGB);
    if (!white)
        return NULL;
    white->x1 = image->tile_width;
    white->y1 = image->tile_height;
    for (uint32_t c = 0; c < white->numcomps; c++)
        for (size_t i = 0; i < (size_t)white->comps[c].w * white->comps[c].h; i++)
            white->comps[c].data[i] = ycbcr && c > 0 ? NEUTRAL : WHITE;
    return white;
}

static bool white_j2k(const struct vt_slide_image *image, struct vt_buf *out, struct vt_err *err)
{
    opj_cparameters_t wanted;
    opj_image_t *white = white_image(image);
    opj_codec_t *codec = opj_create_compress(OPJ_CODEC_J2K);
    opj_stream_t *stream = opj_stream_default_create(OPJ_FALSE);

    opj_set_default_encoder_parameters(&wanted);
    wanted.irreversible = !image->stream.reversible;
    wanted.tcp_mct = image->stream.color_transform;
    wanted.tcp_numlayers = 1;
    wanted.cp_disto_alloc = 1;
    wanted.numresolution = 3;
    bool ok = white && codec && stream;
    if (ok) {
        opj_stream_set_write_function(stream, write_part);
        opj_stream_set_user_data(stream, out, NULL);
        ok = opj_setup_encoder(codec, &wanted, white) && opj_start_compress(codec, white, stream) &&
             opj_encode(codec, stream) && opj_end_compress(codec, stream);
    }
    opj_stream_destroy(stream);
    opj_destroy_codec(codec);
    opj_image_destroy(white);
    return ok || vt_fail(err, VT_E_NOMEM, "a white tile could not be compressed");
}

bool vt_slide_white_tile(const struct vt_slide_image *image, struct vt_buf *out, struct vt_err *err)
{
    size_t size = (size_t)image->tile_width * image->tile_height * image->samples;

    if (image->stream.codec == VT_CODEC_JPEG)
        return white_jpeg(image, out, err);
    if (image->stream.codec == VT_CODEC_J2K) {
        for (size_t i = 0; i < image->stream.components; i++)
            if (image->stream.sampling[i] >> 4 == 0 || (image->stream.sampling[i] & 15) == 0)
                return vt_fail(err, VT_E_INVALID, "its JPEG 2000 header is damaged");
        return white_j2k(image, out, err);
    }
    if (!vt_buf_reserve(out, size, err))
        return false;
    memset(out->data + out->size, WHITE, size);
    out->size += size;
    return true;
}
