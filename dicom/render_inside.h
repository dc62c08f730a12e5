/* dicom/render_inside.h: the steps of dicom/render.c. Private to it. */
#pragma once

#include "core/buf.h"
#include "dicom/element.h"
#include "dicom/frame_decode.h"
#include "dicom/render.h"

enum { VT_PALETTE_MAX = 65536 };

/* PS3.3 C.11.1.1.1; count 0: there is none. */
struct vt_render_lut {
    uint32_t count;
    int32_t first;                    /* value that the first entry stands for */
    unsigned bits;                    /* of an entry */
    uint16_t *values;                 /* owned */
};

/* A decoded frame, little endian, and what its attributes say. */
struct vt_render_image {
    const uint8_t *pixels;
    size_t size;
    struct vt_pixel_shape shape;
    uint16_t high_bit;
    char photometric[17];
    double slope, intercept;
    bool has_window;
    enum vt_window window;
    double center, width;
    int32_t palette_first;
    uint32_t palette_count;
    uint8_t (*palette)[3];            /* owned; NULL: none */
    struct vt_render_lut modality, voi;
};
void vt_render_image_fini(struct vt_render_image *image);

/* Of one item of a Modality or VOI LUT Sequence; *out stays empty when that holds no table. */
bool vt_render_read_lut(const uint8_t *bytes, size_t size, enum vt_encoding encoding, bool signed_input, struct vt_render_lut *out,
                        struct vt_err *err);
double vt_render_look_up(const struct vt_render_lut *lut, double value);

/* What the attributes say; shape and photometric as they are stored. */
bool vt_render_read(const struct vt_render *what, enum vt_encoding encoding, struct vt_render_image *out,
                    struct vt_err *err);

bool vt_render_write_png(const uint8_t *pixels, uint32_t columns, uint32_t rows, unsigned samples, struct vt_buf *out,
                         struct vt_err *err);

/* 8 bits a sample; `out` gets columns * rows * *out_samples bytes. */
bool vt_render_map(const struct vt_render *what, struct vt_render_image *image, struct vt_buf *out,
                   unsigned *out_samples, struct vt_rendered *used, struct vt_err *err);

/* The part, scaled to columns x rows. */
struct vt_render_part {
    uint32_t x, y, from_columns, from_rows, columns, rows;
};
bool vt_render_fit(const struct vt_render *what, const struct vt_pixel_shape *shape, struct vt_render_part *out,
                   struct vt_err *err);
bool vt_render_scale(const uint8_t *from, uint32_t from_width, unsigned samples, const struct vt_render_part *part,
                     struct vt_buf *out, struct vt_err *err);
bool vt_render_write(const uint8_t *pixels, uint32_t columns, uint32_t rows, unsigned samples, unsigned quality,
                     struct vt_buf *out, struct vt_err *err);
