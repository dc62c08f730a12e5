#include "dicom/json_values.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/auto.h"
#include "core/err.h"

enum { WORD_MAX = 400 /* a number as JSON may spell it */, DS_MAX = 16, IS_MAX = 12 };

enum way { TEXTS, ONE_TEXT, NAMES, DECIMALS, INTEGERS, REALS, TAGS, BINARY, SEQUENCE };

/* width: bytes of a number; of a binary value, what its length is a multiple of. */
struct vr {
    char name[3];
    enum way way;
    unsigned width;
    bool is_signed;
};

static const struct vr vrs[] = {
    { "AE", TEXTS, 0, false },     { "AS", TEXTS, 0, false },     { "AT", TAGS, 4, false },      { "CS", TEXTS, 0, false },
    { "DA", TEXTS, 0, false },     { "DS", DECIMALS, 0, false },  { "DT", TEXTS, 0, false },     { "FD", REALS, 8, false },
    { "FL", REALS, 4, false },     { "IS", DECIMALS, 0, false },  { "LO", TEXTS, 0, false },     { "LT", ONE_TEXT, 0, false },
    { "OB", BINARY, 1, false },    { "OD", BINARY, 8, false },    { "OF", BINARY, 4, false },    { "OL", BINARY, 4, false },
    { "OV", BINARY, 8, false },    { "OW", BINARY, 2, false },    { "PN", NAMES, 0, false },     { "SH", TEXTS, 0, false },
    { "SL", INTEGERS, 4, true },   { "SQ", SEQUENCE, 0, false },  { "SS", INTEGERS, 2, true },   { "ST", ONE_TEXT, 0, false },
    { "SV", INTEGERS, 8, true },   { "TM", TEXTS, 0, false },     { "UC", TEXTS, 0, false },     { "UI", TEXTS, 0, false },
    { "UL", INTEGERS, 4, false },  { "UN", BINARY, 1, false },    { "UR", ONE_TEXT, 0, false },  { "US", INTEGERS, 2, false },
    { "UT", ONE_TEXT, 0, false },  { "UV", INTEGERS, 8, false },
};

static const struct vr *find(const char *name)
{
    for (size_t i = 0; i < VT_COUNT(vrs); i++)
        if (strcmp(vrs[i].name, name) == 0)
            return &vrs[i];
    return NULL;
}

bool vt_json_vr_known(const char *vr)
{
    return find(vr);
}

void vt_json_values_init(struct vt_json_values *values, const struct vt_json_tree *tree, size_t limit)
{
    values->tree = tree;
    vt_buf_init(&values->bytes, limit);
    vt_buf_init(&values->scratch, limit);
}

void vt_json_values_fini(struct vt_json_values *values)
{
    vt_buf_fini(&values->bytes);
    vt_buf_fini(&values->scratch);
}

/* ---- texts ---- */

/* Without its escapes, in scratch. What divides values or groups must not stand within one. */
static bool unescape(struct vt_json_values *v, uint32_t string, const char *dividers, struct vt_err *err)
{
    if (v->tree->nodes[string].kind != VT_JSON_STRING)
        return vt_fail(err, VT_E_INVALID, "a value that is no string");
    vt_buf_reset(&v->scratch);
    if (!vt_json_tree_string(v->tree, string, &v->scratch, err))
        return false;
    for (const char *p = dividers; *p; p++)
        if (v->scratch.size > 0 && memchr(v->scratch.data, *p, v->scratch.size))
            return vt_fail(err, VT_E_INVALID, "a value with '%c' in it", *p);
    return true;
}

static bool put_text(struct vt_json_values *v, uint32_t string, const char *dividers, struct vt_err *err)
{
    return unescape(v, string, dividers, err) && vt_buf_append(&v->bytes, v->scratch.data, v->scratch.size, err);
}

static bool put_name(struct vt_json_values *v, uint32_t node, struct vt_err *err)
{
    static const char *const groups[] = { "Alphabetic", "Ideographic", "Phonetic" };
    size_t last = v->bytes.size;

    if (v->tree->nodes[node].kind == VT_JSON_STRING)
        return put_text(v, node, "\\", err);
    if (v->tree->nodes[node].kind != VT_JSON_OBJECT)
        return vt_fail(err, VT_E_INVALID, "a name that is no object");
    for (size_t i = 0; i < VT_COUNT(groups); i++) {
        uint32_t group = vt_json_tree_member(v->tree, node, groups[i]);
        if ((i > 0 && !vt_buf_append_byte(&v->bytes, '=', err)) ||
            (group && v->tree->nodes[group].kind != VT_JSON_NULL && !put_text(v, group, "\\=", err)))
            return false;
        if (v->bytes.size > 0 && v->bytes.data[v->bytes.size - 1] != '=')
            last = v->bytes.size;
    }
    v->bytes.size = last; /* empty groups at the end are left out */
    return true;
}

/* DS has room for 16 characters, IS for 12 and no point (PS3.5 6.2). */
static bool put_decimal(struct vt_json_values *v, const struct vr *vr, uint32_t node, struct vt_err *err)
{
    bool whole = vr->name[0] == 'I';
    size_t most = whole ? IS_MAX : DS_MAX;
    char word[WORD_MAX], text[64];

    if (v->tree->nodes[node].kind == VT_JSON_STRING)
        return put_text(v, node, "\\", err);
    if (v->tree->nodes[node].kind != VT_JSON_NUMBER || !vt_json_tree_short(v->tree, node, word, sizeof word))
        return vt_fail(err, VT_E_INVALID, "a value that is no number");
    double number = strtod(word, NULL);
    if (strlen(word) <= most && (!whole || !strpbrk(word, ".eE")))
        return vt_buf_append_text(&v->bytes, word, err);
    if (whole && (!(fabs(number) <= INT32_MAX) || trunc(number) != number))
        return vt_fail(err, VT_E_INVALID, "%.40s is no integer of 32 bits", word);
    int digits = whole ? snprintf(text, sizeof text, "%.0f", number) : 0;
    for (int precision = 15; !whole && (digits == 0 || digits > (int)most); precision--)
        digits = snprintf(text, sizeof text, "%.*g", precision, number);
    return (isfinite(number) || vt_fail(err, VT_E_INVALID, "a number without end")) && vt_buf_append_text(&v->bytes, text, err);
}

/* ---- numbers ---- */

static bool put_little(struct vt_json_values *v, uint64_t bits, unsigned width, struct vt_err *err)
{
    uint8_t bytes[8];

    for (unsigned i = 0; i < width; i++)
        bytes[i] = (uint8_t)(bits >> (8 * i));
    return vt_buf_append(&v->bytes, bytes, width, err);
}

/* "12", also 12.0 and 1.2e1 of languages that have one kind of number. */
static bool read_integer(const char *word, bool *out_negative, uint64_t *out)
{
    char *end;

    *out_negative = *word == '-';
    const char *digits = word + *out_negative;
    if (*digits < '0' || *digits > '9')
        return false;
    errno = 0;
    *out = strtoull(digits, &end, 10);
    if (!*end && errno == 0)
        return true;
    double number = strtod(digits, &end);
    if (*end || !(number < 9007199254740992.0) || trunc(number) != number)
        return false;
    *out = (uint64_t)number;
    return true;
}

static bool put_integer(struct vt_json_values *v, const struct vr *vr, uint32_t node, struct vt_err *err)
{
    uint64_t most = UINT64_MAX >> (64 - 8 * vr->width), size = 0;
    char word[WORD_MAX];
    bool negative = false;

    if (!vt_json_tree_short(v->tree, node, word, sizeof word) || !read_integer(word, &negative, &size))
        return vt_fail(err, VT_E_INVALID, "a value that is no integer");
    uint64_t bound = !vr->is_signed ? (negative ? 0 : most) : negative ? most / 2 + 1 : most / 2;
    if (size > bound)
        return vt_fail(err, VT_E_INVALID, "%.40s does not fit %s", word, vr->name);
    return put_little(v, negative ? UINT64_C(0) - size : size, vr->width, err);
}

static bool read_real(const char *word, double *out)
{
    static const struct {
        const char *word;
        double value;
    } others[] = { { "NaN", NAN }, { "inf", INFINITY }, { "-inf", -INFINITY }, { "Infinity", INFINITY }, { "-Infinity", -INFINITY } };
    char *end;

    for (size_t i = 0; i < VT_COUNT(others); i++)
        if (strcmp(word, others[i].word) == 0) {
            *out = others[i].value;
            return true;
        }
    if (!strchr("-0123456789", *word) || strpbrk(word, "xXpPnN"))
        return false;
    *out = strtod(word, &end);
    return end != word && !*end;
}

static bool put_real(struct vt_json_values *v, const struct vr *vr, uint32_t node, struct vt_err *err)
{
    char word[WORD_MAX];
    double number;

    if (!vt_json_tree_short(v->tree, node, word, sizeof word) || !*word || !read_real(word, &number))
        return vt_fail(err, VT_E_INVALID, "a value that is no number");
    float narrow = (float)number;
    uint32_t narrow_bits;
    uint64_t bits;
    memcpy(&narrow_bits, &narrow, sizeof narrow_bits);
    memcpy(&bits, &number, sizeof bits);
    return put_little(v, vr->width == 4 ? narrow_bits : bits, vr->width, err);
}

static bool put_tag(struct vt_json_values *v, uint32_t node, struct vt_err *err)
{
    char word[WORD_MAX];

    if (!vt_json_tree_short(v->tree, node, word, sizeof word) || strlen(word) != 8 ||
        strspn(word, "0123456789abcdefABCDEF") != 8)
        return vt_fail(err, VT_E_INVALID, "a value that is no tag");
    uint32_t tag = (uint32_t)strtoul(word, NULL, 16);
    return put_little(v, tag >> 16, 2, err) && put_little(v, tag & 0xffff, 2, err);
}

/* ---- all of them ---- */

static bool put_value(struct vt_json_values *v, const struct vr *vr, uint32_t node, struct vt_err *err)
{
    switch (vr->way) {
    case TEXTS:
        return put_text(v, node, "\\", err);
    case ONE_TEXT:
        return put_text(v, node, "", err);
    case NAMES:
        return put_name(v, node, err);
    case DECIMALS:
        return put_decimal(v, vr, node, err);
    case INTEGERS:
        return put_integer(v, vr, node, err);
    case REALS:
        return put_real(v, vr, node, err);
    case TAGS:
        return put_tag(v, node, err);
    default:
        return vt_fail(err, VT_E_INVALID, "%s has no Value", vr->name);
    }
}

bool vt_json_values(struct vt_json_values *v, const char *name, uint32_t array, struct vt_err *err)
{
    const struct vt_json_node *nodes = v->tree->nodes;
    const struct vr *vr = find(name);
    bool divided = vr->way == TEXTS || vr->way == NAMES || vr->way == DECIMALS;

    for (uint32_t i = array + 1; i < nodes[array].next; i = nodes[i].next) {
        bool first = i == array + 1, empty = nodes[i].kind == VT_JSON_NULL;
        if (!first && !divided && vr->way == ONE_TEXT)
            return vt_fail(err, VT_E_INVALID, "%s has one value only", vr->name);
        if (!first && divided && !vt_buf_append_byte(&v->bytes, '\\', err))
            return false;
        if (empty && vr->width > 0)
            return vt_fail(err, VT_E_INVALID, "a number that is empty");
        if (!empty && !put_value(v, vr, i, err))
            return false;
    }
    return true;
}

/* ---- base64 (RFC 4648, 4) ---- */

static int sextet(uint8_t c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

static bool decode(const uint8_t *text, size_t size, struct vt_buf *out, struct vt_err *err)
{
    uint32_t bits = 0;
    unsigned count = 0;

    if (size > 0 && size % 4 == 0 && text[size - 1] == '=')
        size -= text[size - 2] == '=' ? 2 : 1;
    if (!vt_buf_reserve(out, size / 4 * 3 + 3, err))
        return false;
    for (size_t i = 0; i < size; i++) {
        int six = sextet(text[i]);
        if (six < 0)
            return vt_fail(err, VT_E_INVALID, "InlineBinary is no base64");
        bits = bits << 6 | (uint32_t)six;
        if (++count % 4 == 0)
            for (int shift = 16; shift >= 0; shift -= 8)
                out->data[out->size++] = (uint8_t)(bits >> shift);
    }
    if (count % 4 == 1)
        return vt_fail(err, VT_E_INVALID, "InlineBinary is no base64");
    if (count % 4 >= 2)
        out->data[out->size++] = (uint8_t)(bits >> (count % 4 == 2 ? 4 : 10));
    if (count % 4 == 3)
        out->data[out->size++] = (uint8_t)(bits >> 2);
    return true;
}

bool vt_json_inline(struct vt_json_values *v, const char *name, uint32_t string, struct vt_err *err)
{
    const struct vr *vr = find(name);

    if (vr->way != BINARY)
        return vt_fail(err, VT_E_INVALID, "%s has no InlineBinary", vr->name);
    if (!unescape(v, string, "", err) || !decode(v->scratch.data, v->scratch.size, &v->bytes, err))
        return false;
    return v->bytes.size % vr->width == 0 || vt_fail(err, VT_E_INVALID, "%zu bytes are no whole number of %s", v->bytes.size, vr->name);
}
