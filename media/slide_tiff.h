/* media/slide_tiff.h: the pages of a TIFF or BigTIFF file, as far as slides need them (TIFF 6.0, BigTIFF).
 *
 * A walker of our own, since the file is hostile until checked: every offset and count is compared with the file's size
 * before it is used, directories that loop end the walk with an error, and memory is bounded by names. Nothing is decoded here. One
 * thread; the source is borrowed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_slide_source;

enum {
    VT_TIFF_PAGES_MAX = 200,
    VT_TIFF_ENTRIES_MAX = 512,             /* of one directory */
    VT_TIFF_TILES_MAX = 2 << 20,           /* tiles or strips of all pages together: 32 MiB of table */
    VT_TIFF_TEXT_MAX = 64 << 10,           /* of an Image Description */
    VT_TIFF_JPEG_TABLES_MAX = 16 << 10,
    VT_TIFF_ICC_MAX = 16 << 20,
    VT_TIFF_TILE_BYTES_MAX = 64 << 20,
    VT_TIFF_TILE_SIDE_MIN = 16,
    VT_TIFF_TILE_SIDE_MAX = 4096,
};

enum vt_tiff_compression {
    VT_TIFF_NONE = 1,
    VT_TIFF_LZW = 5,
    VT_TIFF_JPEG = 7,
    VT_TIFF_DEFLATE = 8,
    VT_TIFF_J2K_YCBCR = 33003,    /* Aperio: colour turned before the codestream */
    VT_TIFF_J2K_RGB = 33005,
    VT_TIFF_OLD_DEFLATE = 32946,
};

enum { VT_TIFF_MONO = 1, VT_TIFF_RGB = 2, VT_TIFF_YCBCR = 6 };   /* photometric */

struct vt_tiff_span {
    uint64_t offset, size;        /* checked: inside the file */
};

struct vt_tiff_page {
    uint64_t directory;           /* offset of its IFD */
    uint32_t width, height;
    uint32_t tile_width, tile_height;   /* tiled pages; else 0 */
    uint32_t rows_per_strip;            /* strip pages */
    uint32_t subfile_type;
    uint16_t bits, samples, compression, photometric, planar, sample_format;
    double resolution_x, resolution_y;  /* 0: none; in pixels per unit */
    uint16_t resolution_unit;           /* 2 inch, 3 centimetre */
    struct vt_tiff_span description, jpeg_tables, icc, software, date_time, make, model;
    bool has_ndpi;                      /* Hamamatsu's private tags */
    struct vt_tiff_span *tiles;         /* row by row; size 0: nothing there */
    uint32_t tile_count, columns, rows; /* of tiles; strips: one column */
};

struct vt_tiff {
    struct vt_tiff_page *pages;
    size_t page_count;
    bool big, big_endian;
};

/* Tiled or not, in file order; sub-directories (330) follow their page. VT_E_INVALID: not a TIFF, or one that breaks its own rules; VT_E_CORRUPT: it
 * ends early; VT_E_LIMIT. Bits that do not matter for slides are not looked at. */
struct vt_tiff *vt_tiff_read(const struct vt_slide_source *source, struct vt_err *err);
void vt_tiff_free(struct vt_tiff *tiff);
VT_DEFINE_AUTO(vt_tiff)

/* "II*\0" and its like. */
bool vt_tiff_is(const uint8_t *bytes, size_t size);
/* A text tag: bytes up to a NUL, made UTF-8 (what is no UTF-8 is read as Latin-1), controls turned into blanks but line
 * ends. out has room for `room` bytes. */
bool vt_tiff_text(const struct vt_slide_source *source, const struct vt_tiff_span *span, char *out,
                  size_t room, struct vt_err *err);
