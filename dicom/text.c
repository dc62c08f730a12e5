#include "dicom/text.h"

#include <stdint.h>
#include <errno.h>
#include <string.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/charsets.h"

/* iconv(3) of glibc, not DCMTK's OFCharacterEncoding: it is underneath that one anyway, tells where it
 * stopped, so that one bad byte costs one replacement and not the value, and it needs no C++. Escapes
 * (ISO 2022) are followed here, since no iconv encoding has DICOM's rules for resetting them. */

enum { ESCAPE = 0x1b };

bool vt_text_is_ascii(const char *bytes, size_t size)
{
    uint64_t word;
    size_t i = 0;

    for (; i + sizeof word <= size; i += sizeof word) {
        memcpy(&word, bytes + i, sizeof word);
        if (word & UINT64_C(0x8080808080808080))
            return false;
    }
    for (; i < size; i++)
        if (bytes[i] & 0x80)
            return false;
    return true;
}

static bool is_plain(const char *bytes, size_t size)
{
    return vt_text_is_ascii(bytes, size) && (size == 0 || !memchr(bytes, ESCAPE, size));
}

bool vt_text_charset_known(const char *charset)
{
    for (const char *at = charset ? charset : "";; at++) {
        size_t size = strcspn(at, "\\");
        if (!vt_charset_find(at, size))
            return false;
        at += size;
        if (*at == '\0')
            return true;
    }
}

bool vt_text_vr_has_charset(const char *vr)
{
    static const char vrs[][3] = { "LO", "LT", "PN", "SH", "ST", "UC", "UT" };

    for (size_t i = 0; i < VT_COUNT(vrs); i++)
        if (strcmp(vr, vrs[i]) == 0)
            return true;
    return false;
}

/* Length of the well-formed UTF-8 character at `p` (RFC 3629), 0 when there is none. */
static size_t utf8_length(const uint8_t *p, size_t left)
{
    static const struct {
        uint8_t first, last, low, high;   /* lead bytes, bounds of the second byte */
        uint8_t length;
    } forms[] = {
        { 0x00, 0x7f, 0x00, 0x00, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
        { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
        { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
    };

    for (size_t i = 0; i < VT_COUNT(forms); i++) {
        if (p[0] < forms[i].first || p[0] > forms[i].last)
            continue;
        size_t length = forms[i].length;
        if (length > left || (length > 1 && (p[1] < forms[i].low || p[1] > forms[i].high)))
            return 0;
        for (size_t j = 2; j < length; j++)
            if ((p[j] & 0xc0) != 0x80)
                return 0;
        return length;
    }
    return 0;
}

bool vt_text_is_utf8(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size;) {
        size_t length = utf8_length((const uint8_t *)bytes + i, size - i);
        if (length == 0)
            return false;
        i += length;
    }
    return true;
}

static bool copy_utf8(const char *bytes, size_t size, const char *replacement, struct vt_buf *out,
                      struct vt_err *err)
{
    for (size_t i = 0; i < size;) {
        size_t length = utf8_length((const uint8_t *)bytes + i, size - i);
        bool ok = length > 0 ? vt_buf_append(out, bytes + i, length, err)
                             : vt_buf_append_text(out, replacement, err);
        if (!ok)
            return false;
        i += length > 0 ? length : 1;
    }
    return true;
}

/* `bytes` in iconv's encoding; what cannot be read becomes `replacement`, a byte at a time. */
static bool decode(const char *encoding, const char *bytes, size_t size, const char *replacement,
                   struct vt_buf *out, struct vt_err *err)
{
    iconv_t converter = vt_charset_converter(encoding, true, err);
    char *in = (char *)(uintptr_t)bytes;
    size_t left = size;

    if (converter == (iconv_t)-1)
        return false;
    while (left > 0) {
        char room[512], *to = room;
        size_t free_room = sizeof room;
        size_t done = iconv(converter, &in, &left, &to, &free_room);
        int problem = done == (size_t)-1 ? errno : 0;
        if (!vt_buf_append(out, room, sizeof room - free_room, err))
            return false;
        if (problem == EILSEQ || problem == EINVAL) {
            if (!vt_buf_append_text(out, replacement, err))
                return false;
            in++;
            left--;
            iconv(converter, NULL, NULL, NULL, NULL);
        }
    }
    return true;
}

struct decoder {
    const struct vt_charset *g0, *g1;           /* as invoked now; g1 NULL: none */
    const struct vt_charset *first_g0, *first_g1;
    bool is_name;                               /* VR PN */
    const char *replacement;
    struct vt_buf *out;
};

static bool invokes_g0(const struct vt_charset *charset)
{
    return charset->shape == VT_SHAPE_ASCII || charset->shape == VT_SHAPE_G0_DOUBLE ||
           charset->shape == VT_SHAPE_G0_JIS_0212;
}

static void reset(struct decoder *d)
{
    d->g0 = d->first_g0;
    d->g1 = d->first_g1;
}

/* PS3.5 6.1.2.5.3: the initial sets are back after these. */
static bool is_delimiter(char c, bool is_name)
{
    return c == '\\' || c == '\t' || c == '\n' || c == '\f' || c == '\r' ||
           (is_name && (c == '^' || c == '='));
}

/* Behind ESC. Returns the bytes taken; an unknown sequence takes none. */
static size_t follow_escape(struct decoder *d, const char *bytes, size_t size)
{
    size_t length = 0;
    const struct vt_charset *charset = vt_charset_escaped(bytes, size, &length);

    if (!charset)
        return 0;
    if (invokes_g0(charset))
        d->g0 = charset;
    else
        d->g1 = charset;
    return length;
}

/* A run of bytes of one set, each character made what it is in iconv's encoding. Returns the bytes taken, 0 on
 * failure. */
static size_t decode_run(struct decoder *d, const struct vt_charset *charset, const char *bytes, size_t size,
                         struct vt_err *err)
{
    char euc[384];
    size_t used = 0, width = 2, length = 0;
    bool low = charset->shape == VT_SHAPE_G0_DOUBLE || charset->shape == VT_SHAPE_G0_JIS_0212;
    char prefix = charset->shape == VT_SHAPE_G0_JIS_0212 ? (char)0x8f
                  : charset->shape == VT_SHAPE_KATAKANA  ? (char)0x8e
                                                         : '\0';

    if (charset->shape == VT_SHAPE_G1_SINGLE || charset->shape == VT_SHAPE_KATAKANA)
        width = 1;
    while (length < size && used + 1 + width <= sizeof euc) {
        char c = bytes[length];
        if (low ? (c < 0x21 || c > 0x7e) : !(c & 0x80))
            break;
        if (prefix)
            euc[used++] = prefix;
        for (size_t i = 0; i < width && length < size; i++, length++)
            euc[used++] = (char)(bytes[length] | 0x80);
    }
    return decode(charset->encoding, euc, used, d->replacement, d->out, err) ? length : 0;
}

static size_t decode_some(struct decoder *d, const char *bytes, size_t size, struct vt_err *err)
{
    char c = bytes[0];

    if (c == ESCAPE) {
        size_t taken = follow_escape(d, bytes + 1, size - 1);
        if (taken > 0)
            return taken + 1;
        return vt_buf_append_text(d->out, d->replacement, err) ? 1 : 0;
    }
    if (c & 0x80) {
        if (d->g1)
            return decode_run(d, d->g1, bytes, size, err);
        return vt_buf_append_text(d->out, d->replacement, err) ? 1 : 0;
    }
    if (d->g0->shape != VT_SHAPE_ASCII && c >= 0x21 && c <= 0x7e)
        return decode_run(d, d->g0, bytes, size, err);
    if (is_delimiter(c, d->is_name))
        reset(d);
    return vt_buf_append(d->out, &c, 1, err) ? 1 : 0;
}

static bool decode_escaped(const struct vt_charset *first, const char *vr, const char *bytes, size_t size,
                           const char *replacement, struct vt_buf *out, struct vt_err *err)
{
    const struct vt_charset *ascii = vt_charset_find("", 0);
    struct decoder d = {
        .first_g0 = ascii,
        .first_g1 = invokes_g0(first) ? NULL : first,
        .is_name = strcmp(vr, "PN") == 0,
        .replacement = replacement,
        .out = out,
    };

    reset(&d);
    for (size_t i = 0; i < size;) {
        size_t taken = decode_some(&d, bytes + i, size - i, err);
        if (taken == 0)
            return false;
        i += taken;
    }
    return true;
}

/* The set that is meant when nothing, or nothing we know, is said. */
static const struct vt_charset *choose_default(const char *fallback, const char *bytes, size_t size)
{
    const struct vt_charset *chosen = fallback ? vt_charset_find(fallback, strcspn(fallback, "\\")) : NULL;

    if (chosen && chosen->shape != VT_SHAPE_ASCII)
        return chosen;
    return vt_text_is_utf8(bytes, size) ? vt_charset_find("IR192", 5) : vt_charset_find("IR100", 5);
}

bool vt_text_to_utf8(const char *charset, const char *fallback, const char *vr, const char *bytes, size_t size,
                     const char *replacement, struct vt_buf *out, struct vt_err *err)
{
    const struct vt_charset *list[VT_CHARSET_VALUES_MAX];
    const struct vt_charset *first;
    size_t count, before = out->size;

    if (is_plain(bytes, size))
        return vt_buf_append(out, bytes, size, err);
    vt_charset_list(charset, list, &count);
    first = count > 0 ? list[0] : NULL;
    bool escapes = memchr(bytes, ESCAPE, size) != NULL;
    if (!first || (first->shape == VT_SHAPE_ASCII && count == 1 && !escapes))
        first = choose_default(fallback, bytes, size);

    bool ok;
    if (strcmp(first->encoding, "UTF-8") == 0)
        ok = copy_utf8(bytes, size, replacement, out, err);
    else if (first->shape == VT_SHAPE_STATELESS)
        ok = decode(first->encoding, bytes, size, replacement, out, err);
    else
        ok = decode_escaped(first, vr, bytes, size, replacement, out, err);
    if (!ok)
        out->size = before;
    return ok;
}
