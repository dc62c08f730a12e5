#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/charsets.h"
#include "dicom/text.h"

struct encoder {
    const struct vt_charset *list[VT_CHARSET_VALUES_MAX];
    size_t count;
    const struct vt_charset *g0, *g1;      /* as invoked now; NULL: ASCII, none */
    const struct vt_charset *first_g1;
    bool is_name;
    struct vt_buf *out;
};

static bool is_g0(const struct vt_charset *charset)
{
    return charset->shape == VT_SHAPE_G0_DOUBLE || charset->shape == VT_SHAPE_G0_JIS_0212;
}

/* The bytes of iconv's encoding as they stand in the set; 0: the set does not have it. */
static size_t fit(const struct vt_charset *charset, const uint8_t *in, size_t size, uint8_t out[static 4])
{
    switch (charset->shape) {
    case VT_SHAPE_G1_SINGLE:
        out[0] = in[0];
        return size == 1 && in[0] >= 0x80 ? 1 : 0;
    case VT_SHAPE_KATAKANA:
        out[0] = in[1];
        return size == 2 && in[0] == 0x8e ? 1 : 0;
    case VT_SHAPE_G1_DOUBLE:
        memcpy(out, in, 2);
        return size == 2 && in[0] >= 0xa1 && in[1] >= 0xa1 ? 2 : 0;
    case VT_SHAPE_G0_DOUBLE:
        out[0] = in[0] & 0x7f;
        out[1] = in[1] & 0x7f;
        return size == 2 && in[0] >= 0xa1 ? 2 : 0;
    case VT_SHAPE_G0_JIS_0212:
        out[0] = in[1] & 0x7f;
        out[1] = in[2] & 0x7f;
        return size == 3 && in[0] == 0x8f ? 2 : 0;
    default:
        return 0;
    }
}

/* One character; out_size 0: the set does not have it. */
static bool encode_in(const struct vt_charset *charset, const char *utf8, size_t size,
                      uint8_t out[static 4], size_t *out_size, struct vt_err *err)
{
    uint8_t bytes[8] = { 0 };
    char *in = (char *)(uintptr_t)utf8, *to = (char *)bytes;
    size_t left = size, room = sizeof bytes;

    *out_size = 0;
    if (charset->shape == VT_SHAPE_ASCII || charset->shape == VT_SHAPE_STATELESS)
        return true;
    iconv_t converter = vt_charset_converter(charset->encoding, false, err);
    if (converter == (iconv_t)-1)
        return false;
    if (iconv(converter, &in, &left, &to, &room) != (size_t)-1 && left == 0)
        *out_size = fit(charset, bytes, sizeof bytes - room, out);
    return true;
}

static bool append_escape(struct encoder *e, const char *sequence, struct vt_err *err)
{
    return vt_buf_append_byte(e->out, 0x1b, err) && vt_buf_append_text(e->out, sequence, err);
}

static bool back_to_ascii(struct encoder *e, struct vt_err *err)
{
    if (!e->g0)
        return true;
    e->g0 = NULL;
    return append_escape(e, "(B", err);
}

static bool encode_ascii(struct encoder *e, char c, struct vt_err *err)
{
    if (!back_to_ascii(e, err))
        return false;
    if (c == '\\' || c == '\t' || c == '\n' || c == '\f' || c == '\r' ||
        (e->is_name && (c == '^' || c == '=')))
        e->g1 = e->first_g1;
    return vt_buf_append(e->out, &c, 1, err);
}

static bool use_set(struct encoder *e, const struct vt_charset *charset, struct vt_err *err)
{
    const struct vt_charset **slot = is_g0(charset) ? &e->g0 : &e->g1;

    if (!is_g0(charset) && !back_to_ascii(e, err))
        return false;
    if (*slot == charset)
        return true;
    *slot = charset;
    return append_escape(e, charset->escape, err);
}

static bool encode_character(struct encoder *e, const char *utf8, size_t size, struct vt_err *err)
{
    uint8_t bytes[4];
    size_t length;

    /* The set that is already there first, then as they are listed. */
    for (size_t i = 0; i < e->count + 2; i++) {
        const struct vt_charset *charset = i == 0 ? e->g0 : i == 1 ? e->g1 : e->list[i - 2];
        if (!charset)
            continue;
        if (!encode_in(charset, utf8, size, bytes, &length, err))
            return false;
        if (length > 0)
            return use_set(e, charset, err) && vt_buf_append(e->out, bytes, length, err);
    }
    return vt_fail(err, VT_E_INVALID, "the character set does not have '%.*s'", (int)size, utf8);
}

static size_t character_length(const char *utf8, size_t left)
{
    uint8_t lead = (uint8_t)utf8[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

    return length < left ? length : left;
}

static bool encode_escaped(struct encoder *e, const char *utf8, size_t size, struct vt_err *err)
{
    for (size_t i = 0; i < size;) {
        size_t length = character_length(utf8 + i, size - i);
        bool ok = length == 1 && !(utf8[i] & 0x80) ? encode_ascii(e, utf8[i], err)
                                                   : encode_character(e, utf8 + i, length, err);
        if (!ok)
            return false;
        i += length;
    }
    return back_to_ascii(e, err);
}

static bool encode_stateless(const char *encoding, const char *utf8, size_t size, struct vt_buf *out,
                             struct vt_err *err)
{
    iconv_t converter = vt_charset_converter(encoding, false, err);
    char *in = (char *)(uintptr_t)utf8;
    size_t left = size;

    if (converter == (iconv_t)-1)
        return false;
    while (left > 0) {
        char room[512], *to = room;
        size_t free_room = sizeof room;
        size_t done = iconv(converter, &in, &left, &to, &free_room);
        if (done == (size_t)-1 && errno != E2BIG)
            return vt_fail(err, VT_E_INVALID, "%s does not have a character of '%.*s'", encoding,
                           (int)(left < 40 ? left : 40), in);
        if (!vt_buf_append(out, room, sizeof room - free_room, err))
            return false;
    }
    return true;
}

bool vt_text_from_utf8(const char *charset, const char *vr, const char *utf8, size_t size, struct vt_buf *out,
                       struct vt_err *err)
{
    struct encoder e = { .is_name = strcmp(vr, "PN") == 0, .out = out };
    size_t before = out->size;
    bool ok;

    if (vt_text_is_ascii(utf8, size))
        return vt_buf_append(out, utf8, size, err);
    vt_charset_list(charset, e.list, &e.count);
    if (e.count > 0 && e.list[0]->shape == VT_SHAPE_STATELESS) {
        ok = encode_stateless(e.list[0]->encoding, utf8, size, out, err);
    } else {
        if (e.count > 0 && !is_g0(e.list[0]) && e.list[0]->shape != VT_SHAPE_ASCII)
            e.first_g1 = e.list[0];
        e.g1 = e.first_g1;
        ok = encode_escaped(&e, utf8, size, err);
    }
    if (!ok)
        out->size = before;
    return ok;
}
