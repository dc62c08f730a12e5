#include "dicom/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/text.h"

enum { CHARSET_MAX = 256, PATH_MAX_CHARS = 512, DEPTH_MAX = 32, NUMBER_MAX = 64, TEXT_MAX = 256 << 20 };

struct writing {
    const struct vt_json_rules *rules;
    enum vt_encoding encoding;
    struct vt_buf *out;
    struct vt_err *err;
    char charset[CHARSET_MAX];  /* of the data set or item that is being written */
    char path[PATH_MAX_CHARS];  /* tags and item numbers down to the element */
    unsigned depth;
};

static bool text(struct writing *w, const char *plain)
{
    return vt_buf_append_text(w->out, plain, w->err);
}

bool vt_json_string(const char *utf8, size_t size, struct vt_buf *out, struct vt_err *err)
{
    size_t start = 0;

    if (!vt_buf_append_byte(out, '"', err))
        return false;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)utf8[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        if (!vt_buf_append(out, utf8 + start, i - start, err) ||
            !(c == '"' || c == '\\' ? vt_buf_printf(out, err, "\\%c", c) : vt_buf_printf(out, err, "\\u%04x", c)))
            return false;
        start = i + 1;
    }
    return vt_buf_append(out, utf8 + start, size - start, err) && vt_buf_append_byte(out, '"', err);
}

static bool begin_member(uint32_t tag, const char *vr, bool *first, struct vt_buf *out, struct vt_err *err)
{
    bool ok = vt_buf_printf(out, err, "%s\"%08X\":{\"vr\":\"%s\"", *first ? "" : ",", tag, vr);

    *first = false;
    return ok;
}

/* ---- values ---- */

static size_t trimmed(const char *bytes, size_t size)
{
    while (size > 0 && (bytes[size - 1] == ' ' || bytes[size - 1] == '\0'))
        size--;
    return size;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t digits(const char *p, size_t size, size_t at)
{
    while (at < size && is_digit(p[at]))
        at++;
    return at;
}

/* As JSON spells them (RFC 8259, 6). */
static bool is_json_number(const char *p, size_t size)
{
    size_t at = size > 0 && p[0] == '-', begin = at;

    at = digits(p, size, at);
    if (at == begin || (at - begin > 1 && p[begin] == '0'))
        return false;
    if (at < size && p[at] == '.') {
        size_t point = ++at;
        if ((at = digits(p, size, at)) == point)
            return false;
    }
    if (at < size && (p[at] == 'e' || p[at] == 'E')) {
        at++;
        if (at < size && (p[at] == '+' || p[at] == '-'))
            at++;
        size_t exponent = at;
        if ((at = digits(p, size, at)) == exponent)
            return false;
    }
    return at == size;
}

/* IS and DS: a number where it is one, as it was written if JSON can; else the text. */
static bool decimal(struct writing *w, const char *p, size_t size)
{
    char number[NUMBER_MAX], *end;

    while (size > 0 && *p == ' ')
        p++, size--;
    size = trimmed(p, size);
    if (size > 1 && *p == '+')
        p++, size--;
    if (is_json_number(p, size))
        return vt_buf_append(w->out, p, size, w->err);
    if (size == 0)
        return text(w, "null");
    if (size < sizeof number) {
        memcpy(number, p, size);
        number[size] = '\0';
        double value = strtod(number, &end);
        if (*end == '\0' && end != number && isfinite(value))
            return vt_buf_printf(w->out, w->err, "%.17g", value);
    }
    return vt_json_string(p, size, w->out, w->err);
}

static bool person_name(struct writing *w, const char *p, size_t size)
{
    static const char *const groups[] = { "Alphabetic", "Ideographic", "Phonetic" };
    bool first = true;

    if (!text(w, "{"))
        return false;
    for (size_t i = 0; i < VT_COUNT(groups); i++) {
        const char *end = memchr(p, '=', size);
        size_t length = end ? (size_t)(end - p) : size;
        size_t kept = trimmed(p, length);
        if (kept > 0) {
            if (!vt_buf_printf(w->out, w->err, "%s\"%s\":", first ? "" : ",", groups[i]) ||
                !vt_json_string(p, kept, w->out, w->err))
                return false;
            first = false;
        }
        if (!end)
            break;
        p = end + 1;
        size -= length + 1;
    }
    return text(w, "}");
}

static bool is_one_of(const char *vr, const char *list)
{
    const char *found = strstr(list, vr);

    return found && (found - list) % 3 == 0;
}

static bool one_text(struct writing *w, const char *vr, const char *p, size_t size)
{
    if (is_one_of(vr, "IS DS"))
        return decimal(w, p, size);
    while (size > 0 && *p == ' ' && !is_one_of(vr, "ST LT UT UC"))
        p++, size--;
    size = trimmed(p, size);
    if (size == 0)
        return text(w, "null");
    return is_one_of(vr, "PN") ? person_name(w, p, size) : vt_json_string(p, size, w->out, w->err);
}

static bool texts(struct writing *w, const char *vr, const char *p, size_t size)
{
    bool single = is_one_of(vr, "ST LT UT UR");

    size = trimmed(p, size);
    if (size == 0)
        return true;
    if (!text(w, ",\"Value\":["))
        return false;
    for (bool more = true; more;) {
        const char *end = single ? NULL : memchr(p, '\\', size);
        size_t length = end ? (size_t)(end - p) : size;
        if (!one_text(w, vr, p, length))
            return false;
        more = end;
        if (more) {
            p = end + 1;
            size -= length + 1;
            if (!text(w, ","))
                return false;
        }
    }
    return text(w, "]");
}

static bool encoded_texts(struct writing *w, const struct vt_element *element)
{
    const char *bytes = (const char *)element->value;
    size_t size = (size_t)element->length;

    if (w->rules->utf8 || !vt_text_vr_has_charset(element->vr) || vt_text_is_ascii(bytes, size))
        return texts(w, element->vr, bytes, size);
    VT_AUTO_BUF(utf8, TEXT_MAX);
    return vt_text_to_utf8(w->charset, w->rules->charset, element->vr, bytes, size, "\xef\xbf\xbd", &utf8, w->err) &&
           texts(w, element->vr, (const char *)utf8.data, utf8.size);
}

static uint64_t little(const struct writing *w, const uint8_t *p, size_t width)
{
    uint64_t value = 0;

    for (size_t i = 0; i < width; i++)
        value |= (uint64_t)p[w->encoding == VT_EXPLICIT_BE ? width - 1 - i : i] << (8 * i);
    return value;
}

static bool real(struct writing *w, double value)
{
    if (isfinite(value))
        return vt_buf_printf(w->out, w->err, "%.17g", value);
    return text(w, isnan(value) ? "\"NaN\"" : value > 0 ? "\"inf\"" : "\"-inf\"");
}

static bool one_number(struct writing *w, const char *vr, const uint8_t *p)
{
    if (strcmp(vr, "FL") == 0) {
        uint32_t bits = (uint32_t)little(w, p, 4);
        float value;
        memcpy(&value, &bits, sizeof value);
        return isfinite(value) ? vt_buf_printf(w->out, w->err, "%.9g", (double)value) : real(w, (double)value);
    }
    if (strcmp(vr, "FD") == 0) {
        uint64_t bits = little(w, p, 8);
        double value;
        memcpy(&value, &bits, sizeof value);
        return real(w, value);
    }
    if (strcmp(vr, "AT") == 0)
        return vt_buf_printf(w->out, w->err, "\"%04X%04X\"", (unsigned)little(w, p, 2), (unsigned)little(w, p + 2, 2));
    if (strcmp(vr, "SS") == 0)
        return vt_buf_printf(w->out, w->err, "%d", (int)(int16_t)little(w, p, 2));
    if (strcmp(vr, "SL") == 0)
        return vt_buf_printf(w->out, w->err, "%d", (int)(int32_t)little(w, p, 4));
    if (strcmp(vr, "SV") == 0)
        return vt_buf_printf(w->out, w->err, "%lld", (long long)little(w, p, 8));
    size_t width = strcmp(vr, "US") == 0 ? 2 : strcmp(vr, "UL") == 0 ? 4 : 8;
    return vt_buf_printf(w->out, w->err, "%llu", (unsigned long long)little(w, p, width));
}

/* Bytes of one value of a binary number; 0: the VR is none. */
static size_t width_of(const char *vr)
{
    return is_one_of(vr, "US SS") ? 2 : is_one_of(vr, "UL SL FL AT") ? 4 : is_one_of(vr, "FD SV UV") ? 8 : 0;
}

static bool numbers(struct writing *w, const struct vt_element *element, size_t width)
{
    size_t count = (size_t)element->length / width;

    if (count == 0)
        return true;
    if (!text(w, ",\"Value\":["))
        return false;
    for (size_t i = 0; i < count; i++)
        if ((i > 0 && !text(w, ",")) || !one_number(w, element->vr, element->value + i * width))
            return false;
    return text(w, "]");
}

/* Words are little endian in JSON (PS3.18 F.2.7). */
static uint8_t byte_at(const uint8_t *p, size_t size, size_t i, size_t word)
{
    size_t begin = i - i % word;

    if (i >= size)
        return 0;
    return word > 1 && begin + word <= size ? p[begin + word - 1 - i % word] : p[i];
}

static size_t word_of(const struct writing *w, const char *vr)
{
    if (w->encoding != VT_EXPLICIT_BE)
        return 1;
    return is_one_of(vr, "OW") ? 2 : is_one_of(vr, "OF OL") ? 4 : is_one_of(vr, "OD OV") ? 8 : 1;
}

static bool inline_binary(struct writing *w, const struct vt_element *element)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = element->value;
    size_t size = (size_t)element->length, word = word_of(w, element->vr);

    if (size == 0)
        return true;
    if (!text(w, ",\"InlineBinary\":\"") || !vt_buf_reserve(w->out, (size + 2) / 3 * 4 + 1, w->err))
        return false;
    for (size_t i = 0; i < size; i += 3) {
        uint32_t three = (uint32_t)byte_at(p, size, i, word) << 16 | (uint32_t)byte_at(p, size, i + 1, word) << 8 |
                         byte_at(p, size, i + 2, word);
        char four[4] = { letters[three >> 18], letters[three >> 12 & 63], i + 1 < size ? letters[three >> 6 & 63] : '=',
                         i + 2 < size ? letters[three & 63] : '=' };
        memcpy(w->out->data + w->out->size, four, 4);
        w->out->size += 4;
    }
    return text(w, "\"");
}

/* ---- structure ---- */

static bool elements(struct writing *w, struct vt_walk *walk, bool *first);

static void learn_charset(struct writing *w, struct vt_walk walk)
{
    struct vt_element element;
    struct vt_err ignored = { 0 };
    bool more = true;

    while (vt_walk_next(&walk, &element, &more, &ignored) && more && element.tag <= VT_TAG_SPECIFIC_CHARACTER_SET)
        if (element.tag == VT_TAG_SPECIFIC_CHARACTER_SET)
            vt_element_text(&element, w->charset, sizeof w->charset);
}

static bool one_item(struct writing *w, const struct vt_element *item)
{
    struct vt_walk walk;
    char outer[CHARSET_MAX];
    bool first = true;

    memcpy(outer, w->charset, sizeof outer);
    vt_walk_item(&walk, item, w->encoding);
    learn_charset(w, walk);
    bool ok = text(w, "{") && elements(w, &walk, &first) && text(w, "}");
    memcpy(w->charset, outer, sizeof outer);
    return ok;
}

static bool sequence(struct writing *w, const struct vt_element *element)
{
    struct vt_walk items;
    struct vt_element item;
    size_t length = strlen(w->path), count = 0;
    enum vt_encoding encoding = w->encoding;
    bool more = true;

    if (element->length == 0)
        return true;
    if (++w->depth > DEPTH_MAX)
        return vt_fail(w->err, VT_E_LIMIT, "sequences are nested deeper than %d", DEPTH_MAX);
    vt_walk_items(&items, element, w->encoding);
    w->encoding = items.encoding; /* what was unknown is implicit inside */
    bool ok = true;
    while ((ok = ok && vt_walk_next(&items, &item, &more, w->err)) && more) {
        snprintf(w->path + length, sizeof w->path - length, "/%zu", ++count);
        ok = text(w, count == 1 ? ",\"Value\":[" : ",") && one_item(w, &item);
    }
    w->path[length] = '\0';
    w->encoding = encoding;
    w->depth--;
    return ok && (count == 0 || text(w, "]"));
}

static bool is_binary(const char *vr)
{
    return is_one_of(vr, "OB OW OF OD OL OV UN");
}

static bool bulk(struct writing *w, const struct vt_element *element)
{
    uint64_t above = w->rules->bulk_above;

    return above > 0 && element->length > above && (is_binary(element->vr) || is_one_of(element->vr, "UT LT ST UC")) &&
           strcmp(element->vr, "SQ") != 0;
}

static bool value(struct writing *w, const struct vt_element *element)
{
    size_t width = width_of(element->vr);

    if (strcmp(element->vr, "SQ") == 0)
        return sequence(w, element);
    if (bulk(w, element) || element->undefined_length || !element->value)
        return !w->rules->bulk_prefix ||
               vt_buf_printf(w->out, w->err, ",\"BulkDataURI\":\"%s%s\"", w->rules->bulk_prefix, w->path);
    if (width > 0)
        return numbers(w, element, width);
    if (is_binary(element->vr))
        return inline_binary(w, element);
    return encoded_texts(w, element);
}

static bool elements(struct writing *w, struct vt_walk *walk, bool *first)
{
    struct vt_element element;
    size_t length = strlen(w->path);
    bool more = true;

    while (vt_walk_next(walk, &element, &more, w->err)) {
        if (!more)
            return true;
        if (VT_TAG_ELEMENT(element.tag) == 0 || VT_TAG_GROUP(element.tag) <= 2 ||
            element.tag == VT_TAG_SPECIFIC_CHARACTER_SET)
            continue;
        snprintf(w->path + length, sizeof w->path - length, "/%08X", element.tag);
        bool ok = begin_member(element.tag, element.vr, first, w->out, w->err) && value(w, &element) && text(w, "}");
        w->path[length] = '\0';
        if (!ok)
            return false;
    }
    return false;
}

bool vt_json_elements(const uint8_t *bytes, size_t size, enum vt_encoding encoding, const struct vt_json_rules *rules,
                      bool *inout_first, struct vt_buf *out, struct vt_err *err)
{
    struct writing w = { .rules = rules, .encoding = encoding, .out = out, .err = err };
    struct vt_walk walk;

    vt_walk_init(&walk, bytes, size, encoding);
    learn_charset(&w, walk);
    return elements(&w, &walk, inout_first);
}

bool vt_json_charset(bool *inout_first, struct vt_buf *out, struct vt_err *err)
{
    return vt_json_text(VT_TAG_SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 192", inout_first, out, err);
}

bool vt_json_text(uint32_t tag, const char *vr, const char *utf8, bool *inout_first, struct vt_buf *out,
                  struct vt_err *err)
{
    static const struct vt_json_rules rules = { .utf8 = true };
    struct writing w = { .rules = &rules, .out = out, .err = err };

    return begin_member(tag, vr, inout_first, out, err) && texts(&w, vr, utf8, strlen(utf8)) && text(&w, "}");
}

bool vt_json_number(uint32_t tag, const char *vr, int64_t number, bool *inout_first, struct vt_buf *out,
                    struct vt_err *err)
{
    return begin_member(tag, vr, inout_first, out, err) &&
           vt_buf_printf(out, err, ",\"Value\":[%lld]}", (long long)number);
}

bool vt_json_bulk(uint32_t tag, const char *vr, const char *uri, bool *inout_first, struct vt_buf *out,
                  struct vt_err *err)
{
    return begin_member(tag, vr, inout_first, out, err) && vt_buf_append_text(out, ",\"BulkDataURI\":", err) &&
           vt_json_string(uri, strlen(uri), out, err) && vt_buf_append_byte(out, '}', err);
}
