#include "media/slide_dual.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "media/slide_part.h"
#include "media/slide_plan.h"
#include "media/slide_tiff.h"

enum { SHORT = 3, LONG = 4, RATIONAL = 5, ASCII = 2, LONG8 = 16, PADDING_HEADER = 12, ENTRIES = 17 };
#define TRAILER_MAX (64u << 20)
#define TEXT "DICOM and TIFF at once, made by Vitrine"

struct dual {
    const struct vt_slide_instance *instance;
    const struct vt_slide_facts *facts;
    struct vt_buf out;            /* from the padding's header on */
    uint64_t begin;               /* of `out` in the file */
    uint64_t offsets, counts, text;
    uint64_t first_offset, first_size;
    struct vt_err *err;
};

bool vt_slide_dual_fits(const struct vt_slide_instance *instance)
{
    const struct vt_slide_image *image = instance->image;

    return image && image->role == VT_SLIDE_LEVEL && instance->parts == 1 &&
           image->way != VT_SLIDE_REENCODED && (image->samples == 1 || image->samples == 3);
}

static bool put(struct dual *dual, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        if (!vt_buf_append_byte(&dual->out, (uint8_t)(value >> 8 * i), dual->err))
            return false;
    return true;
}

static uint64_t here(const struct dual *dual)
{
    return dual->begin + dual->out.size;
}

/* ---- where frames are ---- */

static bool frame_size(const struct vt_slide_part *part, const struct vt_slide_frames *frames, const struct vt_slide_image *image,
                       uint32_t i, uint64_t *out, struct vt_err *err)
{
    uint8_t bytes[4];

    *out = (uint64_t)image->tile_width * image->tile_height * image->samples;
    if (!frames->offsets)
        return true;
    /* The item's length stands before it. */
    if (!vt_io_pread(part->fd, bytes, sizeof bytes, frames->offsets[i] - sizeof bytes, part->name, err))
        return false;
    *out = bytes[0] | (uint64_t)bytes[1] << 8 | (uint64_t)bytes[2] << 16 | (uint64_t)bytes[3] << 24;
    return true;
}

static bool put_arrays(struct dual *dual, const struct vt_slide_part *part, const struct vt_slide_frames *frames)
{
    const struct vt_slide_image *image = dual->instance->image;
    uint64_t size;

    dual->offsets = here(dual);
    for (uint32_t i = 0; i < frames->count; i++) {
        if (!frame_size(part, frames, image, i, &size, dual->err) ||
            !put(dual, frames->offsets ? frames->offsets[i] : frames->first + i * size, 8))
            return false;
        dual->first_size = i == 0 ? size : dual->first_size;
    }
    dual->first_offset = frames->offsets ? frames->offsets[0] : frames->first;
    dual->counts = here(dual);
    for (uint32_t i = 0; i < frames->count; i++)
        if (!frame_size(part, frames, image, i, &size, dual->err) || !put(dual, size, 8))
            return false;
    dual->text = here(dual);
    return vt_buf_append(&dual->out, TEXT, sizeof TEXT, dual->err);
}

/* ---- the directory ---- */

static uint16_t compression(const struct vt_slide_image *image)
{
    if (image->way == VT_SLIDE_DECODED || image->stream.codec == VT_CODEC_NONE)
        return VT_TIFF_NONE;
    if (image->stream.codec == VT_CODEC_JPEG)
        return VT_TIFF_JPEG;
    return strncmp(image->photometric, "YBR_FULL", 8) == 0 ? VT_TIFF_J2K_YCBCR : VT_TIFF_J2K_RGB;
}

static bool is_ycbcr(const struct vt_slide_image *image)
{
    return strncmp(image->photometric, "YBR_FULL", 8) == 0;
}

static bool entry(struct dual *dual, uint16_t tag, uint16_t type, uint64_t count, uint64_t value)
{
    return put(dual, tag, 2) && put(dual, type, 2) && put(dual, count, 8) && put(dual, value, 8);
}

/* Pixels a centimetre, a thousandth exact. */
static uint64_t resolution(double mpp)
{
    return mpp > 0.01 ? (uint64_t)llround(1e7 / mpp) | UINT64_C(1000) << 32 : UINT64_C(1) << 32 | 1;
}

static bool put_directory(struct dual *dual, uint32_t frames)
{
    const struct vt_slide_image *image = dual->instance->image;
    uint16_t samples = image->samples;
    uint64_t bits = samples == 1 ? 8 : UINT64_C(0x000800080008);
    /* Chroma is sampled once. */
    uint16_t across = image->stream.sampling[0] >> 4, down = image->stream.sampling[0] & 15;
    bool subsampled = is_ycbcr(image) && image->stream.codec == VT_CODEC_JPEG;

    return put(dual, ENTRIES - !subsampled, 8) && entry(dual, 254, LONG, 1, 0) &&
           entry(dual, 256, LONG, 1, image->width) && entry(dual, 257, LONG, 1, image->height) &&
           entry(dual, 258, SHORT, samples, bits) && entry(dual, 259, SHORT, 1, compression(image)) &&
           entry(dual, 262, SHORT, 1, samples == 1 ? VT_TIFF_MONO : is_ycbcr(image) ? VT_TIFF_YCBCR : VT_TIFF_RGB) &&
           entry(dual, 270, ASCII, sizeof TEXT, dual->text) && entry(dual, 277, SHORT, 1, samples) &&
           entry(dual, 282, RATIONAL, 1, resolution(dual->facts->mpp_x)) &&
           entry(dual, 283, RATIONAL, 1, resolution(dual->facts->mpp_y)) && entry(dual, 284, SHORT, 1, 1) &&
           entry(dual, 296, SHORT, 1, 3) && entry(dual, 322, LONG, 1, image->tile_width) &&
           entry(dual, 323, LONG, 1, image->tile_height) && entry(dual, 324, LONG8, frames, frames == 1 ? dual->first_offset : dual->offsets) &&
           entry(dual, 325, LONG8, frames, frames == 1 ? dual->first_size : dual->counts) &&
           (!subsampled || entry(dual, 530, SHORT, 2, across | (uint64_t)down << 16)) && put(dual, 0, 8);
}

/* ---- the file ---- */

/* Data Set Trailing Padding, its length known at the end. */
static bool make_trailer(struct dual *dual, const struct vt_slide_part *part, const struct vt_slide_frames *frames,
                         uint64_t *out_directory)
{
    static const uint8_t head[PADDING_HEADER] = { 0xfc, 0xff, 0xfc, 0xff, 'O', 'B' };

    if (!vt_buf_append(&dual->out, head, sizeof head, dual->err) || !put_arrays(dual, part, frames))
        return false;
    while (here(dual) % 8 != 0)
        if (!put(dual, 0, 1))
            return false;
    *out_directory = here(dual);
    if (!put_directory(dual, frames->count))
        return false;
    uint64_t length = dual->out.size - PADDING_HEADER;
    for (size_t i = 0; i < 4; i++)
        dual->out.data[8 + i] = (uint8_t)(length >> 8 * i);
    return true;
}

static bool write_both(const struct dual *dual, int fd, const char *path, uint64_t directory)
{
    uint8_t preamble[16] = { 'I', 'I', 43, 0, 8 };

    for (size_t i = 0; i < 8; i++)
        preamble[8 + i] = (uint8_t)(directory >> 8 * i);
    return vt_io_pwrite(fd, dual->out.data, dual->out.size, dual->begin, path, dual->err) &&
           vt_io_pwrite(fd, preamble, sizeof preamble, 0, path, dual->err);
}

bool vt_slide_dual_append(int fd, const char *path, const struct vt_slide_instance *instance,
                          const struct vt_slide_facts *facts, struct vt_err *err)
{
    struct dual dual = { .instance = instance, .facts = facts, .err = err };
    struct vt_slide_part part = { .fd = -1 };
    struct vt_slide_frames frames = { .offsets = NULL };
    uint64_t directory;

    if (!vt_slide_part_open(path, &part, err))
        return false;
    dual.begin = part.offset + part.size;
    vt_buf_init(&dual.out, TRAILER_MAX);
    bool ok = vt_slide_frames_find(&part, instance->frames, &frames, err) &&
              make_trailer(&dual, &part, &frames, &directory) && write_both(&dual, fd, path, directory);
    vt_buf_fini(&dual.out);
    vt_slide_frames_fini(&frames);
    vt_slide_part_close(&part);
    return ok;
}
