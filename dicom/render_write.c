/* Scaling by the mean of what falls into a pixel, and JPEG by libjpeg. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include "core/auto.h"
#include "core/err.h"
#include "dicom/render_inside.h"

bool vt_render_fit(const struct vt_render *what, const struct vt_pixel_shape *shape, struct vt_render_part *out,
                   struct vt_err *err)
{
    if (what->x >= shape->columns || what->y >= shape->rows || what->part_columns > shape->columns - what->x ||
        what->part_rows > shape->rows - what->y)
        return vt_fail(err, VT_E_INVALID, "The part lies outside of the frame's %u x %u pixels.", shape->columns,
                       shape->rows);
    *out = (struct vt_render_part){
        .x = what->x,
        .y = what->y,
        .from_columns = what->part_columns ? what->part_columns : shape->columns - what->x,
        .from_rows = what->part_rows ? what->part_rows : shape->rows - what->y,
    };
    double scale = 1;
    if (what->columns && what->rows) {
        double across = (double)what->columns / out->from_columns, down = (double)what->rows / out->from_rows;
        scale = across < down ? across : down;
    }
    out->columns = (uint32_t)(out->from_columns * scale + 0.5);
    out->rows = (uint32_t)(out->from_rows * scale + 0.5);
    out->columns += out->columns == 0;
    out->rows += out->rows == 0;
    return true;
}

static uint8_t mean(const uint8_t *from, uint32_t from_width, unsigned samples, const uint32_t box[4])
{
    uint64_t sum = 0, count = (uint64_t)(box[2] - box[0]) * (box[3] - box[1]);

    for (uint32_t y = box[1]; y < box[3]; y++)
        for (uint32_t x = box[0]; x < box[2]; x++)
            sum += from[((size_t)y * from_width + x) * samples];
    return (uint8_t)((sum + count / 2) / count);
}

bool vt_render_scale(const uint8_t *from, uint32_t from_width, unsigned samples, const struct vt_render_part *part,
                     struct vt_buf *out, struct vt_err *err)
{
    size_t size = (size_t)part->columns * part->rows * samples;

    if (!vt_buf_reserve(out, size, err))
        return false;
    uint8_t *to = out->data;
    for (uint32_t row = 0; row < part->rows; row++) {
        uint32_t top = part->y + (uint32_t)((uint64_t)row * part->from_rows / part->rows);
        uint32_t bottom = part->y + (uint32_t)((uint64_t)(row + 1) * part->from_rows / part->rows);
        for (uint32_t column = 0; column < part->columns; column++) {
            uint32_t left = part->x + (uint32_t)((uint64_t)column * part->from_columns / part->columns);
            uint32_t right = part->x + (uint32_t)((uint64_t)(column + 1) * part->from_columns / part->columns);
            const uint32_t box[4] = { left, top, right > left ? right : left + 1, bottom > top ? bottom : top + 1 };
            for (unsigned s = 0; s < samples; s++)
                *to++ = mean(from + s, from_width, samples, box);
        }
    }
    out->size = size;
    return true;
}

/* ---- JPEG ---- */

struct failure {
    struct jpeg_error_mgr base;
    jmp_buf out;
    char text[JMSG_LENGTH_MAX];
};

static void fail(j_common_ptr jpeg)
{
    struct failure *failure = (struct failure *)jpeg->err;

    failure->base.format_message(jpeg, failure->text);
    longjmp(failure->out, 1);
}

static void be_silent(j_common_ptr jpeg)
{
    (void)jpeg;
}

struct encoding {
    struct jpeg_compress_struct jpeg;
    struct failure failure;
    unsigned char *bytes;
    unsigned long size;
};

/* What changes between setjmp and longjmp is in `e`, which is not this function's. */
static bool encode(struct encoding *e, uint32_t columns, uint32_t rows, unsigned samples, const uint8_t *pixels,
                   unsigned quality)
{
    if (setjmp(e->failure.out) != 0)
        return false;
    jpeg_create_compress(&e->jpeg);
    e->jpeg.image_width = columns;
    e->jpeg.image_height = rows;
    e->jpeg.input_components = (int)samples;
    e->jpeg.in_color_space = samples == 3 ? JCS_RGB : JCS_GRAYSCALE;
    jpeg_mem_dest(&e->jpeg, &e->bytes, &e->size);
    jpeg_set_defaults(&e->jpeg);
    jpeg_set_quality(&e->jpeg, (int)quality, TRUE);
    jpeg_start_compress(&e->jpeg, TRUE);
    while (e->jpeg.next_scanline < e->jpeg.image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + (size_t)e->jpeg.next_scanline * e->jpeg.image_width *
                                                          (size_t)e->jpeg.input_components);
        jpeg_write_scanlines(&e->jpeg, &row, 1);
    }
    jpeg_finish_compress(&e->jpeg);
    return true;
}

bool vt_render_write(const uint8_t *pixels, uint32_t columns, uint32_t rows, unsigned samples, unsigned quality,
                     struct vt_buf *out, struct vt_err *err)
{
    vt_autofree struct encoding *e = calloc(1, sizeof *e);

    if (!e)
        return vt_fail(err, VT_E_NOMEM, "no memory for a JPEG");
    e->jpeg.err = jpeg_std_error(&e->failure.base);
    e->failure.base.error_exit = fail;
    e->failure.base.output_message = be_silent;
    bool ok = encode(e, columns, rows, samples, pixels, quality);
    if (!ok)
        vt_fail(err, VT_E_UNSUPPORTED, "no JPEG of %u x %u pixels: %s", columns, rows, e->failure.text);
    else
        ok = vt_buf_append(out, e->bytes, e->size, err);
    jpeg_destroy_compress(&e->jpeg);
    free(e->bytes);
    return ok;
}
