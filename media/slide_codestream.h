/* media/slide_codestream.h: what the first bytes of a compressed tile say of themselves: JPEG (ISO 10918-1) and JPEG 2000
 * (ISO 15444-1) headers, read without decoding. What a TIFF tag claims is never believed; this is. Pure functions on
 * bytes, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_err;
struct vt_buf;

enum { VT_CODESTREAM_HEAD_MAX = 64 << 10 }; /* bytes of a tile that are looked at */

enum vt_codec { VT_CODEC_NONE, VT_CODEC_JPEG, VT_CODEC_J2K };

enum { VT_JPEG_BASELINE = 0xC0, VT_JPEG_EXTENDED = 0xC1 };

struct vt_codestream {
    enum vt_codec codec;
    uint32_t width, height;
    uint8_t bits, components;
    uint8_t sampling[4];          /* horizontal << 4 | vertical; J2K: of the subsampling */
    uint8_t ids[4];               /* JPEG: component identifiers */
    uint8_t sof;                  /* JPEG: C0 baseline ... */
    bool has_quantization, has_huffman;
    bool has_jfif, has_adobe;
    uint8_t adobe_transform;
    bool color_transform;         /* J2K: multiple component transformation */
    bool reversible;              /* J2K: 5/3 wavelet */
};

/* The header up to the first scan. VT_E_INVALID: it is no JPEG stream, or one that ends or lies before its scan. */
bool vt_jpeg_read(const uint8_t *bytes, size_t size, struct vt_codestream *out, struct vt_err *err);
/* The main header up to the first tile part. A JP2 file is not a codestream. */
bool vt_j2k_read(const uint8_t *bytes, size_t size, struct vt_codestream *out, struct vt_err *err);
/* Same shape, so that one description holds for both. */
bool vt_codestream_same(const struct vt_codestream *a, const struct vt_codestream *b);

/* Colours as the stream itself tells them to a decoder that knows nothing else: what libjpeg assumes. */
bool vt_jpeg_looks_ycbcr(const struct vt_codestream *stream);

/* What goes before a tile's bytes behind its SOI: SOI, an Adobe segment for RGB when `rgb`, and the abbreviated tables
 * (without their own SOI and EOI). tables NULL: none. VT_E_INVALID: they are no tables. */
bool vt_jpeg_prefix(const uint8_t *tables, size_t size, bool rgb, struct vt_buf *out,
                    struct vt_err *err);
