#include "console/jpeg_head.h"

#include <string.h>

enum { SOF0 = 0xc0, SOF1 = 0xc1, SOF3 = 0xc3, SOS = 0xda, APP14 = 0xee };

struct reading {
    struct vt_jpeg_head *out;
    uint8_t process;       /* the marker of its frame header; 0: none yet */
    bool subsampled;
    int transform;         /* of Adobe's marker; -1: there is none */
};

static unsigned two(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* Precision, lines, samples of a line, components with their sampling. */
static bool read_frame(struct reading *r, uint8_t marker, const uint8_t *p, size_t size)
{
    struct vt_jpeg_head *out = r->out;

    if (size < 6 || size < 6 + 3 * (size_t)p[5])
        return false;
    r->process = marker;
    out->precision = p[0];
    out->rows = (uint16_t)two(p + 1);
    out->columns = (uint16_t)two(p + 3);
    out->components = p[5];
    for (unsigned i = 1; i < out->components; i++)
        r->subsampled = r->subsampled || p[6 + 3 * i + 1] != p[7];
    return out->rows > 0 && out->columns > 0 && out->precision >= 1 && out->precision <= 16 &&
           (out->components == 1 || out->components == 3);
}

/* Lossless ones differ by their predictor. */
static const char *syntax_of(uint8_t process, const uint8_t *scan, size_t size)
{
    size_t predictor = size > 0 ? 1 + 2 * (size_t)scan[0] : size;

    if (process == SOF0)
        return "1.2.840.10008.1.2.4.50";
    if (process == SOF1)
        return "1.2.840.10008.1.2.4.51";
    if (process != SOF3 || predictor >= size)
        return NULL;
    return scan[predictor] == 1 ? "1.2.840.10008.1.2.4.70" : "1.2.840.10008.1.2.4.57";
}

static const char *photometric_of(const struct reading *r)
{
    if (r->out->components == 1)
        return "MONOCHROME2";
    if (r->transform == 0 || (r->transform < 0 && r->process == SOF3))
        return "RGB";
    return r->subsampled ? "YBR_FULL_422" : "YBR_FULL";
}

static bool is_frame(uint8_t marker)
{
    return marker >= SOF0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

bool vt_jpeg_head_read(const uint8_t *p, size_t size, struct vt_jpeg_head *out)
{
    struct reading r = { .out = out, .transform = -1 };
    size_t at = 2;

    *out = (struct vt_jpeg_head){ .components = 0 };
    if (size < 4 || p[0] != 0xff || p[1] != 0xd8)
        return false;
    while (at + 4 <= size && p[at] == 0xff) {
        uint8_t marker = p[at + 1];
        if (marker == 0xff) {
            at++;
            continue;
        }
        size_t length = two(p + at + 2);
        const uint8_t *value = p + at + 4;
        if (length < 2 || at + 2 + length > size)
            return false;
        length -= 2;
        if (marker == SOS) {
            out->transfer_syntax = r.process ? syntax_of(r.process, value, length) : NULL;
            out->lossless = r.process == SOF3;
            out->photometric = photometric_of(&r);
            return out->transfer_syntax;
        }
        if (is_frame(marker) && !read_frame(&r, marker, value, length))
            return false;
        if (marker == APP14 && length >= 12 && memcmp(value, "Adobe", 5) == 0)
            r.transform = value[11];
        at += 4 + length;
    }
    return false;
}
