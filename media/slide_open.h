/* media/slide_open.h: parts of opening a slide that stand in files of their own. Private to media/. */
#pragma once

#include "media/slide.h"

/* Levels, label, overview and thumbnail of slide->tiff, and its facts (slide_pages.c). */
bool vt_slide_take_pages(struct vt_slide *slide, const struct vt_slide_options *options,
                         struct vt_err *err);
/* How the tiles of an image become frames: fills way to lossy_method from its first tile (slide_codec.c). */
bool vt_slide_choose_codec(struct vt_slide *slide, struct vt_slide_image *image,
                           const struct vt_slide_options *options, struct vt_err *err);

/* ---- decoding by libtiff (slide_decode.c) ---- */

/* A tile, or the whole of a page in strips, as 8 bit pixels (1 or 3 samples), row by row. */
bool vt_slide_decode_tile(struct vt_slide *slide, const struct vt_slide_image *image, uint32_t i,
                          uint8_t *out, struct vt_err *err);
bool vt_slide_decode_page(struct vt_slide *slide, const struct vt_slide_image *image, uint8_t *out,
                          struct vt_err *err);
void vt_slide_decode_end(struct vt_slide *slide);

/* ---- encoding (slide_encode.c) ---- */

enum vt_jpeg_colours { VT_JPEG_GREY, VT_JPEG_RGB, VT_JPEG_YCBCR };
struct vt_jpeg_wanted {
    uint32_t width, height;
    enum vt_jpeg_colours colours;   /* inside the stream; pixels are grey or RGB */
    uint8_t sampling[3];            /* as in vt_codestream; 0: 1x1 */
    int quality;
};
/* Appends a complete baseline stream. */
bool vt_jpeg_encode(const uint8_t *pixels, const struct vt_jpeg_wanted *wanted, struct vt_buf *out,
                    struct vt_err *err);
/* A white tile, coded as the first tile of the image is. Appends. */
bool vt_slide_white_tile(const struct vt_slide_image *image, struct vt_buf *out, struct vt_err *err);

/* ---- OpenSlide (slide_foreign.c) ---- */

/* false and VT_E_UNSUPPORTED: it is not installed, or does not know the file. */
bool vt_slide_take_foreign(struct vt_slide *slide, const struct vt_slide_options *options,
                           struct vt_err *err);
void vt_foreign_free(struct vt_foreign *foreign);
/* Frame i of an image of OpenSlide as JPEG, 4:4:4. Appends. */
bool vt_foreign_frame(struct vt_slide *slide, const struct vt_slide_image *image, uint32_t i,
                      struct vt_buf *out, struct vt_err *err);
