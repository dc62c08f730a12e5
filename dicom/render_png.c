/* PNG by libpng: 8 bits a sample, grey or RGB. */
#include <stdlib.h>

#include <png.h>

#include "core/auto.h"
#include "core/err.h"
#include "dicom/render_inside.h"

enum { COMPRESSION = 3 };

struct writing {
    png_structp png;
    png_infop info;
    struct vt_buf *out;
    struct vt_err *err;
};

static void on_fault(png_structp png, png_const_charp text)
{
    struct writing *writing = png_get_error_ptr(png);

    if (!vt_failed(writing->err))
        vt_fail(writing->err, VT_E_UNSUPPORTED, "no PNG: %s", text);
    longjmp(*png_set_longjmp_fn(png, longjmp, sizeof(jmp_buf)), 1);
}

static void be_silent(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void take(png_structp png, png_bytep bytes, size_t size)
{
    struct writing *writing = png_get_io_ptr(png);

    if (!vt_buf_append(writing->out, bytes, size, writing->err))
        png_error(png, "no room");
}

static void flush(png_structp png)
{
    (void)png;
}

/* What changes between setjmp and longjmp is not this function's. */
static bool encode(const struct writing *writing, const uint8_t *pixels, uint32_t columns, uint32_t rows, unsigned samples)
{
    if (setjmp(png_jmpbuf(writing->png)) != 0)
        return false;
    png_set_IHDR(writing->png, writing->info, columns, rows, 8, samples == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(writing->png, COMPRESSION);
    png_write_info(writing->png, writing->info);
    for (uint32_t row = 0; row < rows; row++)
        png_write_row(writing->png, pixels + (size_t)row * columns * samples);
    png_write_end(writing->png, NULL);
    return true;
}

bool vt_render_write_png(const uint8_t *pixels, uint32_t columns, uint32_t rows, unsigned samples, struct vt_buf *out,
                         struct vt_err *err)
{
    struct writing writing = { .out = out, .err = err };

    writing.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &writing, on_fault, be_silent);
    writing.info = writing.png ? png_create_info_struct(writing.png) : NULL;
    bool ok = writing.info;
    if (ok) {
        png_set_write_fn(writing.png, &writing, take, flush);
        ok = encode(&writing, pixels, columns, rows, samples);
    } else {
        vt_fail(err, VT_E_NOMEM, "no memory for a PNG");
    }
    png_destroy_write_struct(&writing.png, &writing.info);
    return ok;
}
