#include "archive/attributes.h"

#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/tags.h"

enum { SHORT_HEADER = 8, LONG_HEADER = 12 };

static uint16_t le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (8 * i));
}

static bool is_long(const char *vr)
{
    static const char names[][3] = { "SQ", "UT", "UC", "UR", "UN", "OB", "OW",
                                     "OD", "OF", "OL", "OV", "SV", "UV" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (vr[0] == names[i][0] && vr[1] == names[i][1])
            return true;
    return false;
}

void vt_attributes_begin(struct vt_attributes *walk, const uint8_t *bytes, size_t size)
{
    walk->at = bytes;
    walk->end = size > 0 ? bytes + size : bytes;
}

bool vt_attributes_next(struct vt_attributes *walk, struct vt_attribute *out)
{
    size_t left = (size_t)(walk->end - walk->at);

    if (left < SHORT_HEADER)
        return false;
    const uint8_t *p = walk->at;
    out->tag = VT_TAG(le16(p), le16(p + 2));
    memcpy(out->vr, p + 4, 2);
    out->vr[2] = '\0';
    size_t header = is_long(out->vr) ? LONG_HEADER : SHORT_HEADER;
    if (left < header)
        return false;
    out->size = header == LONG_HEADER ? le32(p + 8) : le16(p + 6);
    if (out->size > left - header)
        return false;
    out->value = p + header;
    walk->at = p + header + out->size;
    return true;
}

bool vt_attributes_next_item(struct vt_attributes *walk, struct vt_attributes *out_item)
{
    size_t left = (size_t)(walk->end - walk->at);

    if (left < 8 || le16(walk->at) != 0xfffe || le16(walk->at + 2) != 0xe000)
        return false;
    uint32_t size = le32(walk->at + 4);
    if (size > left - 8)
        return false;
    vt_attributes_begin(out_item, walk->at + 8, size);
    walk->at += 8 + size;
    return true;
}

bool vt_attributes_find(const uint8_t *bytes, size_t size, uint32_t tag, struct vt_attribute *out)
{
    struct vt_attributes walk;
    struct vt_attribute found;

    vt_attributes_begin(&walk, bytes, size);
    while (vt_attributes_next(&walk, &found) && found.tag <= tag)
        if (found.tag == tag) {
            *out = found;
            return true;
        }
    return false;
}

void vt_attribute_trim(const uint8_t *value, size_t size, const char **out_text, size_t *out_size)
{
    while (size > 0 && (value[size - 1] == ' ' || value[size - 1] == '\0'))
        size--;
    while (size > 0 && *value == ' ') {
        value++;
        size--;
    }
    *out_text = (const char *)value;
    *out_size = size;
}

size_t vt_utf8_cut(const char *text, size_t size, size_t max)
{
    if (size <= max)
        return size;
    while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
        max--;
    return max;
}

void vt_attributes_text(const uint8_t *bytes, size_t size, uint32_t tag, char *out, size_t room)
{
    struct vt_attribute found;
    const char *text = "";
    size_t length = 0;

    if (vt_attributes_find(bytes, size, tag, &found))
        vt_attribute_trim(found.value, found.size, &text, &length);
    length = vt_utf8_cut(text, length, room - 1);
    memcpy(out, text, length);
    out[length] = '\0';
}

bool vt_attributes_append(struct vt_buf *buf, uint32_t tag, const char *vr, const void *value,
                          size_t size, struct vt_err *err)
{
    bool odd = size & 1;
    size_t padded = size + odd;
    size_t header = is_long(vr) ? LONG_HEADER : SHORT_HEADER;

    if (header == SHORT_HEADER && padded > UINT16_MAX)
        return vt_fail(err, VT_E_LIMIT, "a value of %zu bytes in VR %s", size, vr);
    if (!vt_buf_reserve(buf, header + padded, err))
        return false;
    uint8_t *p = buf->data + buf->size;
    put32(p, (uint32_t)VT_TAG_GROUP(tag) | (uint32_t)VT_TAG_ELEMENT(tag) << 16);
    memcpy(p + 4, vr, 2);
    p[6] = (uint8_t)padded;
    p[7] = (uint8_t)(padded >> 8);
    if (header == LONG_HEADER) {
        p[6] = p[7] = 0;
        put32(p + 8, (uint32_t)padded);
    }
    if (size > 0)
        memcpy(p + header, value, size);
    if (odd)
        p[header + size] = vr[0] == 'U' && vr[1] == 'I' ? '\0' : ' ';
    buf->size += header + padded;
    return true;
}

bool vt_attributes_sequence_begin(struct vt_buf *buf, uint32_t tag, size_t *out_mark,
                                  struct vt_err *err)
{
    if (!vt_attributes_append(buf, tag, "SQ", NULL, 0, err))
        return false;
    *out_mark = buf->size;
    return true;
}

bool vt_attributes_item_begin(struct vt_buf *buf, size_t *out_mark, struct vt_err *err)
{
    static const uint8_t item[8] = { 0xfe, 0xff, 0x00, 0xe0 };

    if (!vt_buf_append(buf, item, sizeof item, err))
        return false;
    *out_mark = buf->size;
    return true;
}

void vt_attributes_close(struct vt_buf *buf, size_t mark)
{
    put32(buf->data + mark - 4, (uint32_t)(buf->size - mark));
}

static bool copy(struct vt_buf *out, const struct vt_attribute *attribute, struct vt_err *err)
{
    return vt_attributes_append(out, attribute->tag, attribute->vr, attribute->value,
                                attribute->size, err);
}

bool vt_attributes_merge(const uint8_t *newer, size_t newer_size, const uint8_t *older,
                         size_t older_size, struct vt_buf *out, struct vt_err *err)
{
    struct vt_attributes a, b;
    struct vt_attribute x, y;

    vt_attributes_begin(&a, newer, newer_size);
    vt_attributes_begin(&b, older, older_size);
    bool more_a = vt_attributes_next(&a, &x), more_b = vt_attributes_next(&b, &y);
    while (more_a || more_b) {
        bool take_a = more_a && (!more_b || x.tag <= y.tag);
        bool drop_b = take_a && more_b && x.tag == y.tag;
        if (!copy(out, take_a ? &x : &y, err))
            return false;
        if (take_a)
            more_a = vt_attributes_next(&a, &x);
        if (!take_a || drop_b)
            more_b = vt_attributes_next(&b, &y);
    }
    return true;
}
