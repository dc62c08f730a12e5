/* dicom/render.h: one frame as a picture to look at (PS3.18 10.4.1.1.3): decoded, modality rescale and window applied, to
 * 8-bit grey or RGB, scaled, as a JPEG or PNG. Not for diagnosis: overlays, ICC profiles and presentation states do not count. Memory is bounded by a decoded frame; large frames wait for each other. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vt_buf;
struct vt_err;

enum {
    VT_RENDER_FRAME_MAX = 256 << 20,  /* bytes of a decoded frame */
    VT_RENDER_SIDE_MAX = 8192,        /* of a viewport, in pixels */
    VT_RENDER_QUALITY = 85,
    VT_RENDER_ALONE = 8 << 20,        /* decoded bytes from which on one at a time in the whole process */
};

enum vt_window { VT_WINDOW_OWN, VT_WINDOW_LINEAR, VT_WINDOW_LINEAR_EXACT, VT_WINDOW_SIGMOID };

struct vt_render {
    /* What is drawn. */
    const uint8_t *attributes;        /* of the data set, up to the pixel data's element */
    size_t attributes_size;
    const char *transfer_syntax;      /* of both; not a deflated one */
    const uint8_t *pixels;            /* the frame as it is stored, without item headers */
    size_t pixels_size;
    uint32_t number;                  /* of the frame, from 0: functional groups are looked up by it */
    /* How. */
    enum vt_window window;            /* OWN: as the instance says (its first window, else its VOI LUT), else from its least to its
                                       * largest value */
    double center, width;
    uint32_t columns, rows;           /* fits in there, with its proportions; 0: as large as it is */
    uint32_t x, y, part_columns, part_rows;   /* this part of it only; part_columns 0: all to the right, rows alike */
    unsigned quality;                 /* 1 to 100; 0: VT_RENDER_QUALITY */
    bool png;                         /* a PNG instead of a JPEG */
    bool grey;                        /* no JPEG: a byte a pixel, colours as their brightness */
    bool plain;                       /* no JPEG: a byte a sample, colours as RGB by pixel */
    bool deep;                        /* no JPEG, grey only, whole and not scaled: 12 bits in two bytes, little endian */
};

/* What was used, for who changes the window by hand. Grey only: colour has width 0. */
struct vt_rendered {
    uint32_t columns, rows;           /* of the picture */
    double center, width;
    double least, largest;            /* values of the frame behind the rescale */
};

/* Appends a JPEG (or what `png`, `grey` say). out may be NULL. VT_E_UNSUPPORTED: not decoded here, or no picture; VT_E_INVALID: broken, or a part that lies outside. */
bool vt_render_jpeg(const struct vt_render *what, struct vt_buf *jpeg, struct vt_rendered *out, struct vt_err *err);

/* The frame as it is in Explicit VR Little Endian, appended: decoded, RGB where the decoder makes that of YBR; of `what` only what is
 * drawn counts. Errors as above. */
bool vt_frame_plain(const struct vt_render *what, struct vt_buf *out, struct vt_err *err);

#ifdef __cplusplus
}
#endif
