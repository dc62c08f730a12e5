/* Identifiers of ISO 9660 level 1 and of Joliet, out of names of any kind. */
#include <stdio.h>

#include "core/err.h"
#include "media/iso_inside.h"

enum {
    STEM_MAX = 8,           /* of level 1 */
    EXTENSION_MAX = 3,
    JOLIET_MAX = 103,       /* characters */
    JOLIET_EXTENSION_MAX = 32,
    DIGITS_MAX = 10,
};

/* Where the extension begins, with its dot; the whole length: it has none. */
static size_t find_extension(const struct vt_iso_node *node)
{
    const char *dot = node->folder || node->length < 2 ? NULL : memrchr(node->name + 1, '.', node->length - 1u);

    return dot ? (size_t)(dot - node->name) : node->length;
}

/* ---- level 1 ---- */

static size_t put_plain(uint8_t *out, const char *from, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        uint8_t c = (uint8_t)from[i];
        bool lower = c >= 'a' && c <= 'z', fine = lower || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        out[i] = lower ? (uint8_t)(c - 'a' + 'A') : fine ? c : '_';
    }
    return length;
}

static size_t name_plain(const struct vt_iso_node *node, const char *digits, uint8_t out[static VT_ISO_RECORD_MAX], uint8_t *out_stem)
{
    size_t extension = find_extension(node), number = strlen(digits), room = STEM_MAX - (number < STEM_MAX ? number : STEM_MAX);
    size_t used = put_plain(out, node->name, extension < room ? extension : room);

    memcpy(out + used, digits, number);
    used += number;
    *out_stem = (uint8_t)used;
    if (node->folder)
        return used;
    out[used++] = '.';
    if (extension < node->length) {
        size_t rest = node->length - extension - 1;
        used += put_plain(out + used, node->name + extension + 1, rest < EXTENSION_MAX ? rest : EXTENSION_MAX);
    }
    out[used++] = ';';
    out[used++] = '1';
    return used;
}

/* ---- Joliet ---- */

/* A character of UTF-8; what is none counts as an underscore for each byte. */
static uint32_t next_character(const uint8_t **at, const uint8_t *end)
{
    static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
    uint8_t first = *(*at)++;
    unsigned more = first < 0x80 ? 0 : first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    uint32_t code = more ? first & (0x3fu >> more) : first;

    if (more && (first < 0xc2 || first > 0xf4 || end - *at < (ptrdiff_t)more))
        return '_';
    for (unsigned i = 0; i < more; i++) {
        if (((*at)[i] & 0xc0) != 0x80)
            return '_';
        code = code << 6 | ((*at)[i] & 0x3f);
    }
    if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return '_';
    *at += more;
    return code;
}

/* As UTF-16, big endian; no more than so many units. */
static size_t put_joliet(uint8_t *out, const char *from, size_t length, size_t most)
{
    const uint8_t *at = (const uint8_t *)from, *end = at + length;
    size_t used = 0;

    while (at < end) {
        uint32_t code = next_character(&at, end);
        uint16_t units[2] = { (uint16_t)code, 0 };
        size_t count = 1;
        if (code < ' ' || (code < 0x80 && strchr("*/:;?\\", (int)code)))
            units[0] = '_';
        if (code > 0xffff) {
            units[0] = (uint16_t)(0xd800 | ((code - 0x10000) >> 10));
            units[1] = (uint16_t)(0xdc00 | ((code - 0x10000) & 0x3ff));
            count = 2;
        }
        if (used / 2 + count > most)
            break;
        for (size_t i = 0; i < count; i++) {
            out[used++] = (uint8_t)(units[i] >> 8);
            out[used++] = (uint8_t)units[i];
        }
    }
    return used;
}

static size_t name_joliet(const struct vt_iso_node *node, const char *digits, uint8_t out[static VT_ISO_RECORD_MAX], uint8_t *out_stem)
{
    uint8_t behind[2 * JOLIET_EXTENSION_MAX];
    size_t extension = find_extension(node), number = strlen(digits);

    if (node->length - extension > JOLIET_EXTENSION_MAX)
        extension = node->length;
    size_t rest = put_joliet(behind, node->name + extension, node->length - extension, JOLIET_EXTENSION_MAX);
    size_t used = put_joliet(out, node->name, extension, JOLIET_MAX - rest / 2 - number);
    used += put_joliet(out + used, digits, number, number);
    *out_stem = (uint8_t)used;
    memcpy(out + used, behind, rest);
    return used + rest;
}

bool vt_iso_name(struct vt_iso_tree *tree, struct vt_iso_node *node, struct vt_err *err)
{
    uint8_t id[VT_ISO_RECORD_MAX];
    char digits[DIGITS_MAX + 1] = "";

    if (node->attempt > 0)
        snprintf(digits, sizeof digits, "%u", node->attempt);
    size_t length = tree->names == VT_ISO_JOLIET ? name_joliet(node, digits, id, &node->stem) : name_plain(node, digits, id, &node->stem);
    node->id = (uint32_t)tree->ids.size;
    node->id_length = (uint8_t)length;
    return vt_buf_append(&tree->ids, id, length, err);
}
