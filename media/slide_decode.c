/* Decoding what cannot pass as it is: tiles and strips that are LZW, deflate or an odd JPEG, by libtiff, which gets a
 * bound on every piece of memory that it may ask for. */
#include <stdio.h>
#include <string.h>
#include <tiffio.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/err.h"
#include "media/slide_open.h"
#include "media/slide_tiff.h"

enum { DECODER_ALLOCATION_MAX = 96 << 20, RASTER_MAX = 72 << 20 };

/* libtiff's own words would go to standard error. */
static int swallow(TIFF *tiff, void *context, const char *module, const char *format, va_list args)
{
    (void)tiff;
    (void)context;
    (void)module;
    (void)format;
    (void)args;
    return 1;
}

static TIFF *open_decoder(struct vt_slide *slide)
{
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    int fd = options ? dup(slide->source.fd) : -1;
    TIFF *tiff = NULL;

    if (fd >= 0) {
        TIFFOpenOptionsSetMaxSingleMemAlloc(options, DECODER_ALLOCATION_MAX);
        TIFFOpenOptionsSetErrorHandlerExtR(options, swallow, NULL);
        TIFFOpenOptionsSetWarningHandlerExtR(options, swallow, NULL);
        lseek(fd, 0, SEEK_SET);
        /* m: no memory map, a slide would fill the process with its pages. */
        tiff = TIFFFdOpenExt(fd, slide->name, "rm", options);
        if (!tiff)
            close(fd);
    }
    if (options)
        TIFFOpenOptionsFree(options);
    return tiff;
}

void vt_slide_decode_end(struct vt_slide *slide)
{
    if (slide->decoder)
        TIFFClose(slide->decoder);
    if (slide->raster) {
        vt_buf_fini(slide->raster);
        free(slide->raster);
    }
    slide->decoder = NULL;
    slide->raster = NULL;
}

/* Room for so many pixels of four bytes. */
static uint32_t *get_raster(struct vt_slide *slide, uint64_t pixels, struct vt_err *err)
{
    if (!slide->raster) {
        slide->raster = calloc(1, sizeof *slide->raster);
        if (!slide->raster) {
            vt_fail(err, VT_E_NOMEM, "no memory to decode");
            return NULL;
        }
        vt_buf_init(slide->raster, RASTER_MAX);
    }
    vt_buf_reset(slide->raster);
    if (pixels > RASTER_MAX / 4 || !vt_buf_reserve(slide->raster, (size_t)pixels * 4, err)) {
        if (!vt_failed(err))
            vt_fail(err, VT_E_LIMIT, "%s: an image of %llu pixels cannot be decoded", slide->name,
                    (unsigned long long)pixels);
        return NULL;
    }
    return (uint32_t *)(void *)slide->raster->data;
}

static bool ready(struct vt_slide *slide, const struct vt_slide_image *image, struct vt_err *err)
{
    if (!slide->decoder)
        slide->decoder = open_decoder(slide);
    if (slide->decoder && (TIFFCurrentDirOffset(slide->decoder) == image->page->directory ||
                           TIFFSetSubDirectory(slide->decoder, image->page->directory)))
        return true;
    return vt_fail(err, VT_E_INVALID, "%s: page %zu cannot be decoded", slide->name,
                   (size_t)(image->page - slide->tiff->pages));
}

static bool damaged(struct vt_slide *slide, const struct vt_slide_image *image, uint32_t i,
                    struct vt_err *err)
{
    return vt_fail(err, VT_E_INVALID, "%s: tile or strip %u of page %zu cannot be decoded",
                   slide->name, i, (size_t)(image->page - slide->tiff->pages));
}

/* libtiff gives rows from the bottom up. */
static void copy_rows(const uint32_t *raster, uint32_t width, uint32_t rows, uint16_t samples,
                      uint8_t *out)
{
    for (uint32_t y = 0; y < rows; y++) {
        const uint32_t *row = raster + (size_t)(rows - 1 - y) * width;
        for (uint32_t x = 0; x < width; x++) {
            *out++ = (uint8_t)TIFFGetR(row[x]);
            if (samples == 3) {
                *out++ = (uint8_t)TIFFGetG(row[x]);
                *out++ = (uint8_t)TIFFGetB(row[x]);
            }
        }
    }
}

/* Pixels that are what they look like, but for their compression. */
static bool is_plain(const struct vt_slide_image *image)
{
    const struct vt_tiff_page *page = image->page;

    return page->planar == 1 && page->bits == 8 && page->sample_format == 1 &&
           ((page->photometric == VT_TIFF_RGB && page->samples >= 3) ||
            (page->photometric == VT_TIFF_MONO && page->samples >= 1) ||
            (page->compression == VT_TIFF_JPEG && page->photometric == VT_TIFF_YCBCR));
}

/* A whole tile with all its samples; those that are kept. */
static bool decode_plain(struct vt_slide *slide, const struct vt_slide_image *image, uint32_t i,
                         uint8_t *out, struct vt_err *err)
{
    size_t pixels = (size_t)image->tile_width * image->tile_height, samples = image->page->samples;
    uint8_t *raster = (uint8_t *)get_raster(slide, (pixels * samples + 3) / 4, err);

    if (!raster || !ready(slide, image, err))
        return false;
    if (image->page->compression == VT_TIFF_JPEG)
        TIFFSetField(slide->decoder, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
    if (TIFFReadEncodedTile(slide->decoder, i, raster, (tmsize_t)(pixels * samples)) !=
        (tmsize_t)(pixels * samples))
        return damaged(slide, image, i, err);
    for (size_t pixel = 0; pixel < pixels; pixel++)
        for (size_t sample = 0; sample < image->samples; sample++)
            *out++ = raster[pixel * samples + sample];
    return true;
}

bool vt_slide_decode_tile(struct vt_slide *slide, const struct vt_slide_image *image, uint32_t i,
                          uint8_t *out, struct vt_err *err)
{
    if (is_plain(image))
        return decode_plain(slide, image, i, out, err);
    /* libtiff makes other rows of tiles that are larger than their image. */
    if (image->width < image->tile_width || image->height < image->tile_height)
        return vt_fail(err, VT_E_UNSUPPORTED, "%s: page %zu cannot be decoded", slide->name,
                       (size_t)(image->page - slide->tiff->pages));
    uint32_t *raster = get_raster(slide, (uint64_t)image->tile_width * image->tile_height, err);

    if (!raster || !ready(slide, image, err))
        return false;
    if (!TIFFReadRGBATileExt(slide->decoder, i % image->columns * image->tile_width,
                             i / image->columns * image->tile_height, raster, 1))
        return damaged(slide, image, i, err);
    copy_rows(raster, image->tile_width, image->tile_height, image->samples, out);
    return true;
}

bool vt_slide_decode_page(struct vt_slide *slide, const struct vt_slide_image *image, uint8_t *out,
                          struct vt_err *err)
{
    uint32_t strip = image->page->rows_per_strip, width = image->width;
    uint32_t *raster = get_raster(slide, (uint64_t)strip * width, err);

    if (!raster || !ready(slide, image, err))
        return false;
    for (uint32_t y = 0; y < image->height; y += strip) {
        uint32_t rows = image->height - y < strip ? image->height - y : strip;
        if (!TIFFReadRGBAStripExt(slide->decoder, y, raster, 1))
            return damaged(slide, image, y / strip, err);
        copy_rows(raster, width, rows, image->samples, out + (size_t)y * width * image->samples);
    }
    return true;
}
