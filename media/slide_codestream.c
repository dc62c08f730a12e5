#include "media/slide_codestream.h"

#include <string.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"

enum {
    SOI = 0xD8, EOI = 0xD9, SOS = 0xDA, DQT = 0xDB, DHT = 0xC4, DAC = 0xCC, JPG = 0xC8, DRI = 0xDD,
    APP0 = 0xE0, APP14 = 0xEE, TEM = 0x01, RST0 = 0xD0, RST7 = 0xD7,
};
enum { J2K_SOC = 0xFF4F, J2K_SIZ = 0xFF51, J2K_COD = 0xFF52, J2K_SOT = 0xFF90 };

static uint32_t big_16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t big_32(const uint8_t *p)
{
    return big_16(p) << 16 | big_16(p + 2);
}

/* ---- JPEG segments ---- */

struct segment {
    uint8_t marker;
    const uint8_t *body;   /* behind the length */
    size_t size;
};

/* The segment at *at, which moves behind it. false: the bytes end, or are no segments. */
static bool next_segment(const uint8_t *bytes, size_t size, size_t *at, struct segment *out)
{
    size_t i = *at;

    if (i >= size || bytes[i] != 0xFF)
        return false;
    while (i < size && bytes[i] == 0xFF)
        i++;
    if (i == size)
        return false;
    out->marker = bytes[i++];
    out->body = bytes + i;
    out->size = 0;
    if (out->marker == TEM || (out->marker >= RST0 && out->marker <= EOI)) {
        *at = i;
        return true;
    }
    if (size - i < 2)
        return false;
    size_t length = big_16(bytes + i);
    if (length < 2 || length > size - i)
        return false;
    out->body = bytes + i + 2;
    out->size = length - 2;
    *at = i + length;
    return true;
}

static bool is_sof(uint8_t marker)
{
    return marker >= 0xC0 && marker <= 0xCF && marker != DHT && marker != DAC && marker != JPG;
}

static bool take_sof(const struct segment *segment, struct vt_codestream *out)
{
    if (segment->size < 6 || out->sof != 0)
        return false;
    out->sof = segment->marker;
    out->bits = segment->body[0];
    out->height = big_16(segment->body + 1);
    out->width = big_16(segment->body + 3);
    out->components = segment->body[5];
    if (out->components < 1 || out->components > 4 || segment->size < 6u + 3u * out->components)
        return false;
    for (size_t i = 0; i < out->components; i++) {
        out->ids[i] = segment->body[6 + 3 * i];
        out->sampling[i] = segment->body[7 + 3 * i];
    }
    return out->width > 0;
}

static void take_application(const struct segment *segment, struct vt_codestream *out)
{
    if (segment->marker == APP0 && segment->size >= 5 && memcmp(segment->body, "JFIF", 5) == 0)
        out->has_jfif = true;
    if (segment->marker == APP14 && segment->size >= 12 && memcmp(segment->body, "Adobe", 5) == 0) {
        out->has_adobe = true;
        out->adobe_transform = segment->body[11];
    }
}

bool vt_jpeg_read(const uint8_t *bytes, size_t size, struct vt_codestream *out, struct vt_err *err)
{
    struct vt_codestream found = { .codec = VT_CODEC_JPEG };
    struct segment segment;
    size_t at = 2;

    if (size < 4 || bytes[0] != 0xFF || bytes[1] != SOI)
        return vt_fail(err, VT_E_INVALID, "it is no JPEG stream");
    while (next_segment(bytes, size, &at, &segment)) {
        if (is_sof(segment.marker) && !take_sof(&segment, &found))
            return vt_fail(err, VT_E_INVALID, "its JPEG frame header is damaged");
        if (segment.marker == SOS || segment.marker == EOI || segment.marker == SOI) {
            if (segment.marker != SOS || found.sof == 0)
                break;
            *out = found;
            return true;
        }
        found.has_quantization = found.has_quantization || segment.marker == DQT;
        found.has_huffman = found.has_huffman || segment.marker == DHT;
        take_application(&segment, &found);
    }
    return vt_fail(err, VT_E_INVALID, "its JPEG stream has no scan");
}

bool vt_jpeg_looks_ycbcr(const struct vt_codestream *stream)
{
    if (stream->components != 3)
        return false;
    if (stream->has_jfif)
        return true;
    if (stream->has_adobe)
        return stream->adobe_transform == 1;
    return memcmp(stream->ids, "RGB", 3) != 0;
}

bool vt_jpeg_prefix(const uint8_t *tables, size_t size, bool rgb, struct vt_buf *out,
                    struct vt_err *err)
{
    static const uint8_t start[] = { 0xFF, SOI };
    static const uint8_t adobe[] = { 0xFF, APP14, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, 0 };
    struct segment segment;
    size_t at = 2, begin = 2;

    if (!vt_buf_append(out, start, sizeof start, err) ||
        (rgb && !vt_buf_append(out, adobe, sizeof adobe, err)))
        return false;
    if (!tables || size == 0)
        return true;
    if (size < 4 || tables[0] != 0xFF || tables[1] != SOI)
        return vt_fail(err, VT_E_INVALID, "its JPEG tables are none");
    while (next_segment(tables, size, &at, &segment) && segment.marker != EOI) {
        bool table = segment.marker == DQT || segment.marker == DHT || segment.marker == DRI ||
                     segment.marker == DAC;
        if (is_sof(segment.marker) || segment.marker == SOS || segment.marker == SOI)
            return vt_fail(err, VT_E_INVALID, "its JPEG tables hold more than tables");
        if (table && !vt_buf_append(out, tables + begin, at - begin, err))
            return false;
        begin = at;
    }
    return true;
}

/* ---- JPEG 2000 ---- */

static bool take_siz(const uint8_t *body, size_t size, struct vt_codestream *out)
{
    if (size < 36)
        return false;
    uint32_t x1 = big_32(body + 2), y1 = big_32(body + 6), x0 = big_32(body + 10),
             y0 = big_32(body + 14), components = big_16(body + 34);
    if (x1 <= x0 || y1 <= y0 || components < 1 || components > 4 || size < 36 + 3u * components)
        return false;
    out->width = x1 - x0;
    out->height = y1 - y0;
    out->components = (uint8_t)components;
    out->bits = (uint8_t)((body[36] & 0x7f) + 1);
    for (size_t i = 0; i < components; i++) {
        if (body[36 + 3 * i] != body[36])
            return false;
        out->sampling[i] = (uint8_t)(body[37 + 3 * i] << 4 | (body[38 + 3 * i] & 15));
    }
    return true;
}

bool vt_j2k_read(const uint8_t *bytes, size_t size, struct vt_codestream *out, struct vt_err *err)
{
    struct vt_codestream found = { .codec = VT_CODEC_J2K };
    bool has_cod = false;
    size_t at = 2;

    if (size < 4 || big_16(bytes) != J2K_SOC)
        return vt_fail(err, VT_E_INVALID, "it is no JPEG 2000 codestream");
    while (at + 4 <= size && big_16(bytes + at) != J2K_SOT) {
        uint32_t marker = big_16(bytes + at), length = big_16(bytes + at + 2);
        const uint8_t *body = bytes + at + 4;
        if (marker < 0xFF4F || length < 2 || length > size - at - 2)
            break;
        if (marker == J2K_SIZ && !take_siz(body, length - 2, &found))
            return vt_fail(err, VT_E_INVALID, "its JPEG 2000 header is damaged");
        if (marker == J2K_COD && length >= 12) {
            has_cod = true;
            found.color_transform = body[4] != 0;
            found.reversible = body[9] == 1;
        }
        at += 2 + length;
    }
    if (found.width == 0 || !has_cod || at + 2 > size || big_16(bytes + at) != J2K_SOT)
        return vt_fail(err, VT_E_INVALID, "its JPEG 2000 header is not whole");
    *out = found;
    return true;
}

bool vt_codestream_same(const struct vt_codestream *a, const struct vt_codestream *b)
{
    return a->codec == b->codec && a->width == b->width && a->height == b->height &&
           a->bits == b->bits && a->components == b->components && a->sof == b->sof &&
           memcmp(a->sampling, b->sampling, sizeof a->sampling) == 0 &&
           memcmp(a->ids, b->ids, sizeof a->ids) == 0 && a->has_adobe == b->has_adobe &&
           a->adobe_transform == b->adobe_transform && a->color_transform == b->color_transform &&
           a->reversible == b->reversible;
}
