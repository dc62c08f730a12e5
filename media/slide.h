/* media/slide.h: a slide file (Aperio .svs, BigTIFF, pyramidal TIFF) as it is understood: its levels, label, overview and
 * thumbnail, and what its descriptions tell.
 *
 *   vt_slide_open ──> struct vt_slide ──> media/slide_convert.h (files), media/slide_import.h (archive)
 *
 * Opening reads directories and the header of one tile a page, nothing more; nothing is decoded. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "media/slide_codestream.h"
#include "media/slide_source.h"

struct vt_err;
struct vt_tiff;
struct vt_tiff_page;
struct vt_foreign;
struct vt_buf;
struct tiff;

enum {
    VT_SLIDE_IMAGES_MAX = 32,
    VT_SLIDE_TEXT = 256,
    VT_SLIDE_DESCRIPTION = 8192,
    VT_SLIDE_PREFIX_MAX = 20 << 10,
    VT_SLIDE_SHA256 = 32,
};

enum vt_slide_role { VT_SLIDE_LEVEL, VT_SLIDE_THUMBNAIL, VT_SLIDE_LABEL, VT_SLIDE_OVERVIEW };

/* How the tiles of an image become frames. */
enum vt_slide_way {
    VT_SLIDE_VERBATIM,   /* the tile's own bytes, behind a prefix where it has no tables */
    VT_SLIDE_DECODED,    /* losslessly compressed or in strips: stored as plain pixels */
    VT_SLIDE_REENCODED,  /* read by OpenSlide, compressed again as JPEG */
};

struct vt_slide_image {
    enum vt_slide_role role;
    enum vt_slide_way way;
    const struct vt_tiff_page *page;     /* NULL: of OpenSlide */
    int foreign_level;                   /* of OpenSlide; -1: an associated image */
    uint32_t width, height;
    uint32_t tile_width, tile_height;    /* of a frame; images that are no level are one frame */
    uint32_t columns, rows;
    uint16_t samples;
    struct vt_codestream stream;         /* verbatim: of the first tile */
    uint8_t *prefix;                     /* goes before a tile, instead of its SOI */
    size_t prefix_size;
    const char *transfer_syntax, *photometric;
    bool lossy;                          /* what the viewer sees lost something, here or before */
    const char *lossy_method;            /* ISO_10918_1 ... */
    uint64_t lossy_bytes;                /* compressed, that ratio is measured on; 0: not known yet */
    uint32_t holes;                      /* tiles of no bytes ... */
    uint64_t white_size;                 /* ... and the size of what stands for them */
};

/* What descriptions and tags tell; "" and 0: nothing. UTF-8. */
struct vt_slide_facts {
    double mpp_x, mpp_y;                 /* micrometres of a pixel of the first level */
    double objective_power;
    char acquired[27];                   /* DICOM DT, "YYYYMMDDhhmmss+zzzz" */
    char serial[VT_SLIDE_TEXT], software[VT_SLIDE_TEXT], manufacturer[VT_SLIDE_TEXT],
        model[VT_SLIDE_TEXT];
    char title[VT_SLIDE_TEXT], barcode[VT_SLIDE_TEXT];
};

struct vt_slide {
    struct vt_slide_source source;
    char *path;
    char name[VT_SLIDE_TEXT];            /* last part of the path */
    const char *format;                  /* "aperio", "tiff", what OpenSlide says */
    struct vt_tiff *tiff;                /* NULL: of OpenSlide */
    struct vt_foreign *foreign;
    struct tiff *decoder;                /* libtiff's, opened when something must be decoded */
    struct vt_buf *raster;               /* what it decodes into */
    struct vt_slide_facts facts;
    struct vt_slide_image images[VT_SLIDE_IMAGES_MAX];   /* levels first, largest first */
    size_t image_count, level_count;
    size_t other_pages;                  /* pages that are none of these; they stay in the restore data */
    uint8_t *icc;                        /* NULL: none */
    size_t icc_size;
    int64_t modified;                    /* wall ns, of the file when it was opened */
    bool sidecar_files;                  /* the slide is more than this file: it cannot be given back */
};

struct vt_slide_options {
    double mpp;              /* > 0: overrides */
    bool openslide;          /* read with OpenSlide and compress anew, whatever the format is */
    bool fill_holes;         /* tiles of no bytes anywhere are filled, not only at the right and bottom edge */
};

/* VT_E_INVALID, VT_E_CORRUPT, VT_E_UNSUPPORTED: one sentence that says what is wrong with the file. */
struct vt_slide *vt_slide_open(const char *path, const struct vt_slide_options *options,
                               struct vt_err *err);
void vt_slide_free(struct vt_slide *slide);
VT_DEFINE_AUTO(vt_slide)

/* Does a file begin as a slide does? A look at the name and the first bytes only. */
bool vt_slide_is(const char *path, const uint8_t *head, size_t size);

const char *vt_slide_role_name(enum vt_slide_role role);   /* "level", "label" ... */

/* ---- frames (media/slide_frames.c) ---- */

/* Appends frame i as it is stored, without item header and padding. Verbatim: the prefix, then the tile's own bytes behind its SOI; without a
 * prefix the whole tile. VT_E_INVALID: this tile is not like the first one. */
bool vt_slide_frame(struct vt_slide *slide, const struct vt_slide_image *image, uint32_t i,
                    struct vt_buf *out, struct vt_err *err);
/* Bytes of that frame, without reading it. Verbatim and decoded only. */
uint64_t vt_slide_frame_size(const struct vt_slide_image *image, uint32_t i);
static inline uint32_t vt_slide_frame_count(const struct vt_slide_image *image)
{
    return image->columns * image->rows;
}
