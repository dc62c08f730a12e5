#include "media/slide_tiff_entry.h"

#include <string.h>

#include "core/err.h"
#include "media/slide_source.h"
#include "media/slide_tiff.h"

enum { TYPE_BYTE = 1, TYPE_SHORT = 3, TYPE_LONG = 4, TYPE_RATIONAL = 5, TYPE_IFD = 13,
       TYPE_LONG8 = 16, TYPE_IFD8 = 18 };

uint64_t vt_tiff_number(const struct vt_tiff_reader *in, const uint8_t *bytes, size_t width)
{
    uint64_t value = 0;

    for (size_t i = 0; i < width; i++)
        value |= (uint64_t)bytes[i] << 8 * (in->big_endian ? width - 1 - i : i);
    return value;
}

size_t vt_tiff_width(uint16_t type)
{
    static const uint8_t widths[] = { 0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8 };

    return type < sizeof widths ? widths[type] : 0;
}

bool vt_tiff_entry_read(struct vt_tiff_reader *in, uint64_t offset, struct vt_tiff_entry *out,
                        struct vt_err *err)
{
    size_t wide = in->big ? 8 : 4, size = 4 + 2 * wide;
    uint8_t bytes[20];

    if (!vt_slide_read(in->source, bytes, size, offset, err))
        return false;
    *out = (struct vt_tiff_entry){ .tag = (uint16_t)vt_tiff_number(in, bytes, 2),
                                   .type = (uint16_t)vt_tiff_number(in, bytes + 2, 2),
                                   .count = vt_tiff_number(in, bytes + 4, wide) };
    size_t width = vt_tiff_width(out->type);
    if (width == 0)
        out->count = 0;
    if (out->count == 0)
        return true;
    if (out->count > in->source->size / width)
        return vt_fail(err, VT_E_INVALID, "%s is damaged: tag %u has %llu values",
                       in->source->name, out->tag, (unsigned long long)out->count);
    bool inside = out->count * width <= wide;
    out->at = inside ? offset + 4 + wide : vt_tiff_number(in, bytes + 4 + wide, wide);
    if (!vt_slide_inside(in->source, out->at, out->count * width))
        return vt_fail(err, VT_E_CORRUPT, "%s is cut short or damaged: tag %u lies past its end",
                       in->source->name, out->tag);
    return true;
}

/* `width` bytes at `at`, through a window. */
static const uint8_t *look(struct vt_tiff_reader *in, size_t which, uint64_t at, size_t width,
                           struct vt_err *err)
{
    struct vt_tiff_window *window = &in->windows[which];

    if (at < window->at || at + width > window->at + window->size) {
        uint64_t left = in->source->size - at;
        size_t size = left < sizeof window->bytes ? (size_t)left : sizeof window->bytes;
        window->size = 0;
        if (!vt_slide_read(in->source, window->bytes, size, at, err))
            return NULL;
        window->at = at;
        window->size = size;
    }
    return window->bytes + (at - window->at);
}

static bool read_number(struct vt_tiff_reader *in, size_t which, const struct vt_tiff_entry *entry,
                        uint64_t i, uint64_t *out, struct vt_err *err)
{
    size_t width = vt_tiff_width(entry->type);
    bool integer = entry->type == TYPE_BYTE || entry->type == TYPE_SHORT ||
                   entry->type == TYPE_LONG || entry->type == TYPE_IFD ||
                   entry->type == TYPE_LONG8 || entry->type == TYPE_IFD8;

    if (!integer || i >= entry->count)
        return vt_fail(err, VT_E_INVALID, "%s is damaged: tag %u is no number", in->source->name,
                       entry->tag);
    const uint8_t *bytes = look(in, which, entry->at + i * width, width, err);
    if (!bytes)
        return false;
    *out = vt_tiff_number(in, bytes, width);
    return true;
}

bool vt_tiff_entry_number(struct vt_tiff_reader *in, const struct vt_tiff_entry *entry, uint64_t i,
                          uint64_t *out, struct vt_err *err)
{
    return read_number(in, 0, entry, i, out, err);
}

bool vt_tiff_entry_number_2(struct vt_tiff_reader *in, const struct vt_tiff_entry *entry, uint64_t i,
                            uint64_t *out, struct vt_err *err)
{
    return read_number(in, 1, entry, i, out, err);
}

bool vt_tiff_entry_ratio(struct vt_tiff_reader *in, const struct vt_tiff_entry *entry, double *out,
                         struct vt_err *err)
{
    if (entry->type != TYPE_RATIONAL || entry->count == 0)
        return true;
    const uint8_t *bytes = look(in, 0, entry->at, 8, err);
    if (!bytes)
        return false;
    uint64_t below = vt_tiff_number(in, bytes + 4, 4);
    *out = below == 0 ? 0 : (double)vt_tiff_number(in, bytes, 4) / (double)below;
    return true;
}

/* ---- text ---- */

/* Bytes of a UTF-8 character at p; 0: it is none. */
static size_t utf8_length(const uint8_t *p, size_t left)
{
    size_t length = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3
                    : p[0] < 0xf5                                              ? 4 : 0;

    if (length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if (length == 3 && ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f)))
        return 0;
    if (length == 4 && ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)))
        return 0;
    return length;
}

static bool all_utf8(const uint8_t *bytes, size_t size)
{
    for (size_t at = 0, length; at < size; at += length)
        if ((length = utf8_length(bytes + at, size - at)) == 0)
            return false;
    return true;
}

bool vt_tiff_text(const struct vt_slide_source *source, const struct vt_tiff_span *span, char *out,
                  size_t room, struct vt_err *err)
{
    size_t size = span->size < room - 1 ? (size_t)span->size : room - 1, used = 0;
    vt_autofree uint8_t *bytes = malloc(size + 1);

    if (!bytes)
        return vt_fail(err, VT_E_NOMEM, "no memory for a description");
    if (size > 0 && !vt_slide_read(source, bytes, size, span->offset, err))
        return false;
    size = strnlen((const char *)bytes, size);
    /* A cut in the middle of a character does not make the rest Latin-1. */
    size_t whole = size;
    while (size - whole < 3 && whole > 0 && !all_utf8(bytes, whole))
        whole--;
    bool utf8 = all_utf8(bytes, whole);
    size = utf8 ? whole : size;
    for (size_t i = 0; i < size; i++) {
        bool latin = !utf8 && bytes[i] >= 0x80;
        if (used + (latin ? 2 : 1) >= room)
            break;
        if (latin)
            out[used++] = (char)(0xc0 | bytes[i] >> 6);
        out[used++] = latin ? (char)(0x80 | (bytes[i] & 0x3f))
                      : bytes[i] < ' ' && bytes[i] != '\n' && bytes[i] != '\r' ? ' ' : (char)bytes[i];
    }
    out[used] = '\0';
    return true;
}
