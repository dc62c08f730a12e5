/* How the tiles of a page become frames: decided by the codestream of its first tile, the TIFF tags only name the codec. */
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/uids.h"
#include "media/slide_open.h"
#include "media/slide_tiff.h"

#define JPEG_BASELINE "1.2.840.10008.1.2.4.50"
#define J2K_LOSSLESS "1.2.840.10008.1.2.4.90"
#define J2K_LOSSY "1.2.840.10008.1.2.4.91"

static bool is_j2k(const struct vt_tiff_page *page)
{
    return page->compression == VT_TIFF_J2K_YCBCR || page->compression == VT_TIFF_J2K_RGB;
}

/* ---- the first tile ---- */

static size_t page_number(const struct vt_slide *slide, const struct vt_slide_image *image)
{
    return (size_t)(image->page - slide->tiff->pages);
}

static bool read_first(struct vt_slide *slide, struct vt_slide_image *image, uint32_t i,
                       struct vt_err *err)
{
    const struct vt_tiff_span *tile = &image->page->tiles[i];
    size_t size = tile->size < VT_CODESTREAM_HEAD_MAX ? (size_t)tile->size : VT_CODESTREAM_HEAD_MAX;
    vt_autofree uint8_t *bytes = malloc(size);

    if (!bytes)
        return vt_fail(err, VT_E_NOMEM, "no memory for a tile");
    if (!vt_slide_read(&slide->source, bytes, size, tile->offset, err))
        return false;
    bool ok = is_j2k(image->page) ? vt_j2k_read(bytes, size, &image->stream, err)
                                  : vt_jpeg_read(bytes, size, &image->stream, err);
    return ok || vt_fail_context(err, "%s: tile %u of page %zu cannot be read", slide->name, i,
                                 page_number(slide, image));
}

/* The first tile that is there; holes are counted and judged. */
static bool find_first(struct vt_slide *slide, struct vt_slide_image *image,
                       const struct vt_slide_options *options, uint32_t *out_first,
                       struct vt_err *err)
{
    const struct vt_tiff_page *page = image->page;
    uint32_t first = page->tile_count;

    for (uint32_t i = page->tile_count; i-- > 0;) {
        if (page->tiles[i].size > 0) {
            first = i;
            continue;
        }
        bool edge = i % page->columns == page->columns - 1 || i / page->columns == page->rows - 1;
        image->holes++;
        if (!edge && !options->fill_holes)
            return vt_fail(err, VT_E_INVALID,
                           "%s: tile %u of page %zu has no bytes; --fill-holes puts white in its place",
                           slide->name, i, page_number(slide, image));
    }
    if (first == page->tile_count || image->holes > page->tile_count / 2)
        return vt_fail(err, VT_E_INVALID, "%s: %u of %u tiles of page %zu have no bytes",
                       slide->name, image->holes, page->tile_count, page_number(slide, image));
    *out_first = first;
    return true;
}

static bool check_size(struct vt_slide *slide, const struct vt_slide_image *image, struct vt_err *err)
{
    const struct vt_codestream *stream = &image->stream;

    if (stream->width == image->tile_width && stream->height == image->tile_height &&
        stream->components == image->page->samples)
        return true;
    return vt_fail(err, VT_E_INVALID,
                   "%s: page %zu says tiles of %u x %u pixels of %u samples, its codestream %u x %u of %u",
                   slide->name, page_number(slide, image), image->tile_width, image->tile_height,
                   image->page->samples, stream->width, stream->height, stream->components);
}

/* ---- JPEG ---- */

/* Markers in the stream decide; without any, libjpeg would guess, and TIFF's tag says what the maker meant. */
static bool is_rgb(const struct vt_slide_image *image)
{
    const struct vt_codestream *stream = &image->stream;

    if (stream->has_adobe || stream->has_jfif || memcmp(stream->ids, "RGB", 3) == 0)
        return !vt_jpeg_looks_ycbcr(stream);
    return image->page->photometric == VT_TIFF_RGB;
}

static bool make_prefix(struct vt_slide *slide, struct vt_slide_image *image, bool rgb,
                        struct vt_err *err)
{
    const struct vt_tiff_span *tables = &image->page->jpeg_tables;
    bool whole = image->stream.has_quantization && image->stream.has_huffman;
    bool adobe = rgb && !image->stream.has_adobe;
    vt_autofree uint8_t *bytes = malloc(tables->size + 1);
    VT_AUTO_BUF(prefix, VT_SLIDE_PREFIX_MAX);

    if (!bytes)
        return vt_fail(err, VT_E_NOMEM, "no memory for JPEG tables");
    if (!whole && tables->size == 0)
        return vt_fail(err, VT_E_INVALID, "%s: page %zu has JPEG tiles without tables", slide->name,
                       page_number(slide, image));
    if (whole && !adobe)
        return true;
    if (!vt_slide_read(&slide->source, bytes, (size_t)tables->size, tables->offset, err) ||
        !vt_jpeg_prefix(whole ? NULL : bytes, (size_t)tables->size, adobe, &prefix, err))
        return vt_fail_context(err, "%s: page %zu", slide->name, page_number(slide, image));
    image->prefix = prefix.data;
    image->prefix_size = prefix.size;
    prefix = (struct vt_buf){ 0 };
    return true;
}

static bool choose_jpeg(struct vt_slide *slide, struct vt_slide_image *image, struct vt_err *err)
{
    const struct vt_codestream *stream = &image->stream;

    image->lossy = true;
    image->lossy_method = "ISO_10918_1";
    if (stream->sof != VT_JPEG_BASELINE || stream->bits != 8) {
        image->way = VT_SLIDE_DECODED;
        return true;
    }
    bool rgb = stream->components == 3 && is_rgb(image);
    image->transfer_syntax = JPEG_BASELINE;
    image->photometric = stream->components == 1 ? "MONOCHROME2" : rgb ? "RGB" : "YBR_FULL_422";
    return make_prefix(slide, image, rgb, err);
}

/* ---- JPEG 2000 ---- */

static void choose_j2k(struct vt_slide_image *image)
{
    const struct vt_codestream *stream = &image->stream;
    bool halved = stream->components == 3 && stream->sampling[1] != stream->sampling[0];

    image->lossy = !stream->reversible;
    image->lossy_method = "ISO_15444_1";
    image->transfer_syntax = stream->reversible ? J2K_LOSSLESS : J2K_LOSSY;
    if (stream->components == 1)
        image->photometric = "MONOCHROME2";
    else if (stream->color_transform)
        image->photometric = stream->reversible ? "YBR_RCT" : "YBR_ICT";
    else if (image->page->compression == VT_TIFF_J2K_RGB)
        image->photometric = "RGB";
    else
        image->photometric = halved ? "YBR_FULL_422" : "YBR_FULL";
}

/* ---- plain pixels ---- */

static bool choose_plain(struct vt_slide *slide, struct vt_slide_image *image, struct vt_err *err)
{
    const struct vt_tiff_page *page = image->page;
    uint64_t frame = (uint64_t)image->tile_width * image->tile_height * image->samples;
    bool rgb = page->photometric == VT_TIFF_RGB && page->samples == 3;
    bool grey = page->photometric == VT_TIFF_MONO && page->samples == 1;

    if (page->bits != 8 || page->samples > 4)
        return vt_fail(err, VT_E_UNSUPPORTED, "%s: page %zu has %u samples of %u bits; 8 are read",
                       slide->name, page_number(slide, image), page->samples, page->bits);
    image->transfer_syntax = VT_UID_EXPLICIT_LE;
    image->photometric = image->samples == 1 ? "MONOCHROME2" : "RGB";
    image->way = VT_SLIDE_DECODED;
    if (image->role != VT_SLIDE_LEVEL || page->compression != VT_TIFF_NONE || page->planar != 1 ||
        (!rgb && !grey))
        return true;
    /* Plain pixels are their own frames. */
    for (uint32_t i = 0; i < page->tile_count; i++)
        if (page->tiles[i].size != 0 && page->tiles[i].size != frame)
            return vt_fail(err, VT_E_INVALID, "%s: tile %u of page %zu has %llu bytes instead of %llu",
                           slide->name, i, page_number(slide, image),
                           (unsigned long long)page->tiles[i].size, (unsigned long long)frame);
    image->way = VT_SLIDE_VERBATIM;
    return true;
}

static uint64_t all_bytes(const struct vt_tiff_page *page)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < page->tile_count; i++)
        sum += page->tiles[i].size;
    return sum;
}

static bool measure_white(struct vt_slide_image *image, struct vt_err *err)
{
    VT_AUTO_BUF(white, VT_TIFF_TILE_BYTES_MAX);

    if (!vt_slide_white_tile(image, &white, err))
        return false;
    image->white_size = white.size;
    return true;
}

bool vt_slide_choose_codec(struct vt_slide *slide, struct vt_slide_image *image,
                           const struct vt_slide_options *options, struct vt_err *err)
{
    const struct vt_tiff_page *page = image->page;
    bool level = image->role == VT_SLIDE_LEVEL;
    bool jpeg = page->compression == VT_TIFF_JPEG;
    uint32_t first = 0;

    image->lossy_bytes = all_bytes(page);
    /* Tiles may share bytes (a blank one), but not so many that a small file becomes a huge one. */
    if (image->lossy_bytes / 4 > slide->source.size + (UINT64_C(16) << 20))
        return vt_fail(err, VT_E_INVALID, "%s: the tiles of page %zu hold %llu bytes, more than the file",
                       slide->name, page_number(slide, image), (unsigned long long)image->lossy_bytes);
    if (level && !find_first(slide, image, options, &first, err))
        return false;
    if (level && page->planar == 1 && (jpeg || is_j2k(page))) {
        if (!read_first(slide, image, first, err) || !check_size(slide, image, err))
            return false;
        if (jpeg && !choose_jpeg(slide, image, err))
            return false;
        if (!jpeg)
            choose_j2k(image);
        if (image->way == VT_SLIDE_VERBATIM)
            return image->holes == 0 || measure_white(image, err);
    } else if (jpeg) {
        image->lossy = true;
        image->lossy_method = "ISO_10918_1";
    }
    return choose_plain(slide, image, err);
}
