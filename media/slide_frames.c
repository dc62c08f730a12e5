/* Tiles as frames. The tile's own bytes are never changed: what a decoder needs beside them stands before them. */
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "media/slide_open.h"
#include "media/slide_tiff.h"

enum { SOI_SIZE = 2 };

static bool check_like_first(struct vt_slide *slide, const struct vt_slide_image *image, uint32_t i,
                             const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct vt_codestream stream;
    size_t head = size < VT_CODESTREAM_HEAD_MAX ? size : VT_CODESTREAM_HEAD_MAX;

    if (image->stream.codec == VT_CODEC_NONE)
        return true;
    bool ok = image->stream.codec == VT_CODEC_J2K ? vt_j2k_read(bytes, head, &stream, err)
                                                  : vt_jpeg_read(bytes, head, &stream, err);
    if (!ok)
        return vt_fail_context(err, "%s: tile %u of its %s of %u x %u cannot be read", slide->name, i,
                               vt_slide_role_name(image->role), image->width, image->height);
    return vt_codestream_same(&stream, &image->stream) ||
           vt_fail(err, VT_E_INVALID, "%s: tile %u of its level of %u x %u is coded otherwise than the first one",
                   slide->name, i, image->width, image->height);
}

/* The prefix ends where the tile's SOI ends: it is put over it. */
static bool verbatim(struct vt_slide *slide, const struct vt_slide_image *image, uint32_t i,
                     struct vt_buf *out, struct vt_err *err)
{
    const struct vt_tiff_span *tile = &image->page->tiles[i];
    size_t before = image->prefix_size ? image->prefix_size - SOI_SIZE : 0;
    size_t size = (size_t)tile->size;

    if (!vt_buf_reserve(out, before + size, err))
        return false;
    uint8_t *bytes = out->data + out->size;
    if (!vt_slide_read(&slide->source, bytes + before, size, tile->offset, err) ||
        !check_like_first(slide, image, i, bytes + before, size, err))
        return false;
    if (image->prefix_size)
        memcpy(bytes, image->prefix, image->prefix_size);
    out->size += before + size;
    return true;
}

static bool decoded(struct vt_slide *slide, const struct vt_slide_image *image, uint32_t i,
                    struct vt_buf *out, struct vt_err *err)
{
    size_t size = (size_t)vt_slide_frame_size(image, i);

    if (!vt_buf_reserve(out, size, err))
        return false;
    uint8_t *pixels = out->data + out->size;
    bool ok = image->role == VT_SLIDE_LEVEL ? vt_slide_decode_tile(slide, image, i, pixels, err)
                                            : vt_slide_decode_page(slide, image, pixels, err);
    if (ok)
        out->size += size;
    return ok;
}

bool vt_slide_frame(struct vt_slide *slide, const struct vt_slide_image *image, uint32_t i,
                    struct vt_buf *out, struct vt_err *err)
{
    if (image->way == VT_SLIDE_REENCODED)
        return vt_foreign_frame(slide, image, i, out, err);
    if (image->role == VT_SLIDE_LEVEL && image->page->tiles[i].size == 0)
        return vt_slide_white_tile(image, out, err);
    if (image->way == VT_SLIDE_DECODED)
        return decoded(slide, image, i, out, err);
    return verbatim(slide, image, i, out, err);
}

uint64_t vt_slide_frame_size(const struct vt_slide_image *image, uint32_t i)
{
    if (image->way == VT_SLIDE_DECODED || image->stream.codec == VT_CODEC_NONE)
        return (uint64_t)image->tile_width * image->tile_height * image->samples;
    if (image->page->tiles[i].size == 0)
        return image->white_size;
    return image->page->tiles[i].size + (image->prefix_size ? image->prefix_size - SOI_SIZE : 0);
}
