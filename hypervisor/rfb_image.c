/* A picture as a file: PNG (one filterless stream) or PPM. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <zlib.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "hypervisor/rfb.h"

enum { FILE_MAX = 160 * 1024 * 1024 };

static bool append_number(struct vt_buf *out, uint32_t number, struct vt_err *err)
{
    uint32_t big = htonl(number);

    return vt_buf_append(out, &big, sizeof big, err);
}

static bool append_chunk(struct vt_buf *out, const char *type, const uint8_t *bytes, uint32_t size,
                         struct vt_err *err)
{
    size_t begin = out->size + 4;

    return append_number(out, size, err) && vt_buf_append(out, type, 4, err) &&
           (size == 0 || vt_buf_append(out, bytes, size, err)) &&
           append_number(out, (uint32_t)crc32(0, out->data + begin, size + 4), err);
}

/* Each row has the number of its filter before it: none. */
static bool compress_rows(const struct vt_rfb_picture *picture, struct vt_buf *out,
                          struct vt_err *err)
{
    size_t row = (size_t)picture->width * 3, size = (row + 1) * picture->height;
    vt_autofree uint8_t *rows = malloc(size);
    uLongf packed = compressBound(size);

    if (!rows || !vt_buf_reserve(out, packed, err))
        return vt_fail(err, VT_E_NOMEM, "no memory for the image");
    for (size_t y = 0; y < picture->height; y++) {
        rows[y * (row + 1)] = 0;
        memcpy(rows + y * (row + 1) + 1, picture->rgb + y * row, row);
    }
    if (compress2(out->data, &packed, rows, size, 6) != Z_OK)
        return vt_fail(err, VT_E_NOMEM, "no memory for the image");
    out->size = packed;
    return true;
}

static bool make_png(const struct vt_rfb_picture *picture, struct vt_buf *out, struct vt_err *err)
{
    VT_AUTO_BUF(data, FILE_MAX);
    uint8_t head[13] = { 0, 0, (uint8_t)(picture->width >> 8), (uint8_t)picture->width,
                         0, 0, (uint8_t)(picture->height >> 8), (uint8_t)picture->height,
                         8, 2 }; /* eight bits, colour */

    return compress_rows(picture, &data, err) &&
           vt_buf_append(out, "\x89PNG\r\n\x1a\n", 8, err) &&
           append_chunk(out, "IHDR", head, sizeof head, err) &&
           append_chunk(out, "IDAT", data.data, (uint32_t)data.size, err) &&
           append_chunk(out, "IEND", NULL, 0, err);
}

static bool make_ppm(const struct vt_rfb_picture *picture, struct vt_buf *out, struct vt_err *err)
{
    return vt_buf_printf(out, err, "P6\n%u %u\n255\n", picture->width, picture->height) &&
           vt_buf_append(out, picture->rgb, (size_t)picture->width * picture->height * 3, err);
}

bool vt_rfb_write(const struct vt_rfb_picture *picture, const char *path, struct vt_err *err)
{
    VT_AUTO_BUF(file, FILE_MAX);
    const char *end = strrchr(path, '.');
    bool png = end && strcasecmp(end, ".png") == 0, ppm = end && strcasecmp(end, ".ppm") == 0;

    if (!png && !ppm)
        return vt_fail(err, VT_E_INVALID, "'%s': an image is .png or .ppm", path);
    return (png ? make_png(picture, &file, err) : make_ppm(picture, &file, err)) &&
           vt_io_write_file(path, file.data, file.size, 0600, err);
}
