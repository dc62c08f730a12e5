#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/scan.h"

static void put_16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static void put_32(uint8_t *p, uint32_t value)
{
    put_16(p, (uint16_t)value);
    put_16(p + 2, (uint16_t)(value >> 16));
}

/* VRs whose explicit header has a length of two bytes: the rule of the reader, asked with a header of our own. */
static bool has_short_length(const char *vr)
{
    const uint8_t probe[8] = { 8, 0, 0, 0, (uint8_t)vr[0], (uint8_t)vr[1], 0, 0 };
    struct vt_raw_header header;

    return vt_raw_header_read(probe, sizeof probe, VT_EXPLICIT_LE, &header);
}

bool vt_write_header(struct vt_writer *w, uint32_t tag, const char *vr, uint32_t length, struct vt_err *err)
{
    uint8_t header[12] = { 0 };
    size_t size = 8;

    put_16(header, VT_TAG_GROUP(tag));
    put_16(header + 2, VT_TAG_ELEMENT(tag));
    if (w->encoding == VT_IMPLICIT_LE || VT_TAG_GROUP(tag) == 0xfffe) {
        put_32(header + 4, length);
    } else if (has_short_length(vr) && length <= 0xffff) {
        memcpy(header + 4, vr, 2);
        put_16(header + 6, (uint16_t)length);
    } else {
        /* Too long for its VR: UN (PS3.5 6.2.2, note). */
        memcpy(header + 4, has_short_length(vr) ? "UN" : vr, 2);
        put_32(header + 8, length);
        size = 12;
    }
    return vt_buf_append(w->buf, header, size, err);
}

static char padding_of(const char *vr)
{
    static const char texts[][3] = { "AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN",
                                     "SH", "ST", "TM", "UC", "UR", "UT" };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (memcmp(vr, texts[i], 2) == 0)
            return ' ';
    return '\0';
}

bool vt_write_bytes(struct vt_writer *w, uint32_t tag, const char *vr, const void *value, size_t size,
                    struct vt_err *err)
{
    size_t padded = size + size % 2;
    char padding = padding_of(vr);

    if (padded >= VT_UNDEFINED_LENGTH)
        return vt_fail(err, VT_E_LIMIT, "(%04x,%04x) of %zu bytes does not fit a length field",
                       VT_TAG_GROUP(tag), VT_TAG_ELEMENT(tag), size);
    if (!vt_buf_reserve(w->buf, padded + VT_SCAN_HEADER_MAX, err))
        return false;
    return vt_write_header(w, tag, vr, (uint32_t)padded, err) && vt_buf_append(w->buf, value, size, err) &&
           (padded == size || vt_buf_append(w->buf, &padding, 1, err));
}

bool vt_write_text(struct vt_writer *w, uint32_t tag, const char *vr, const char *text, struct vt_err *err)
{
    return vt_write_bytes(w, tag, vr, text, strlen(text), err);
}

bool vt_write_us(struct vt_writer *w, uint32_t tag, uint16_t value, struct vt_err *err)
{
    uint8_t bytes[2];

    put_16(bytes, value);
    return vt_write_bytes(w, tag, "US", bytes, sizeof bytes, err);
}

bool vt_write_ul(struct vt_writer *w, uint32_t tag, uint32_t value, struct vt_err *err)
{
    uint8_t bytes[4];

    put_32(bytes, value);
    return vt_write_bytes(w, tag, "UL", bytes, sizeof bytes, err);
}

bool vt_write_sequence_begin(struct vt_writer *w, uint32_t tag, struct vt_err *err)
{
    return vt_write_header(w, tag, "SQ", VT_UNDEFINED_LENGTH, err);
}

bool vt_write_item_begin(struct vt_writer *w, struct vt_err *err)
{
    return vt_write_header(w, VT_TAG_ITEM, "", VT_UNDEFINED_LENGTH, err);
}

bool vt_write_item_end(struct vt_writer *w, struct vt_err *err)
{
    return vt_write_header(w, VT_TAG_ITEM_END, "", 0, err);
}

bool vt_write_sequence_end(struct vt_writer *w, struct vt_err *err)
{
    return vt_write_header(w, VT_TAG_SEQUENCE_END, "", 0, err);
}

/* Bytes of one number in a value of that VR; 1 when order does not matter. */
static size_t number_width(const char *vr)
{
    static const struct {
        char vr[3];
        uint8_t width;
    } widths[] = {
        { "US", 2 }, { "SS", 2 }, { "OW", 2 }, { "AT", 2 }, { "UL", 4 }, { "SL", 4 }, { "FL", 4 },
        { "OF", 4 }, { "OL", 4 }, { "FD", 8 }, { "OD", 8 }, { "SV", 8 }, { "UV", 8 }, { "OV", 8 },
    };

    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++)
        if (memcmp(vr, widths[i].vr, 2) == 0)
            return widths[i].width;
    return 1;
}

static void swap_numbers(uint8_t *bytes, size_t size, size_t width)
{
    for (size_t i = 0; i + width <= size; i += width)
        for (size_t j = 0; j < width / 2; j++) {
            uint8_t kept = bytes[i + j];
            bytes[i + j] = bytes[i + width - 1 - j];
            bytes[i + width - 1 - j] = kept;
        }
}

static bool write_value(struct vt_writer *w, const struct vt_element *element, enum vt_encoding from,
                        struct vt_err *err)
{
    size_t start;

    if (!vt_write_bytes(w, element->tag, element->vr, element->value, (size_t)element->length, err))
        return false;
    start = w->buf->size - (size_t)(element->length + element->length % 2);
    if (from == VT_EXPLICIT_BE)
        swap_numbers(w->buf->data + start, (size_t)element->length, number_width(element->vr));
    return true;
}

/* Fragments are the same bytes in every encoding that can have them. */
static bool write_fragments(struct vt_writer *w, const struct vt_element *element, struct vt_err *err)
{
    return vt_write_header(w, element->tag, "OB", VT_UNDEFINED_LENGTH, err) &&
           vt_buf_append(w->buf, element->value, (size_t)element->length, err) &&
           vt_write_sequence_end(w, err);
}

static bool write_any(struct vt_writer *w, const struct vt_element *element, enum vt_encoding from,
                      uint32_t depth, struct vt_err *err);

static bool write_item(struct vt_writer *w, const struct vt_element *item, enum vt_encoding from,
                       uint32_t depth, struct vt_err *err)
{
    struct vt_walk walk;
    struct vt_element element;
    bool more = true;

    if (!vt_write_item_begin(w, err))
        return false;
    vt_walk_item(&walk, item, from);
    while (vt_walk_next(&walk, &element, &more, err) && more)
        if (!write_any(w, &element, walk.encoding, depth, err))
            return false;
    return !more && vt_write_item_end(w, err);
}

/* Goes as deep as the sequences do, which `depth` bounds. */
static bool write_items(struct vt_writer *w, const struct vt_element *sequence, enum vt_encoding from,
                        uint32_t depth, struct vt_err *err)
{
    struct vt_walk walk;
    struct vt_element item;
    bool more = true;

    vt_walk_items(&walk, sequence, from);
    while (vt_walk_next(&walk, &item, &more, err) && more)
        if (!write_item(w, &item, from, depth, err))
            return false;
    return !more;
}

static bool write_any(struct vt_writer *w, const struct vt_element *element, enum vt_encoding from,
                      uint32_t depth, struct vt_err *err)
{
    bool sequence = strcmp(element->vr, "SQ") == 0 ||
                    (element->undefined_length && strcmp(element->vr, "UN") == 0);

    if (!sequence && element->undefined_length)
        return write_fragments(w, element, err);
    if (!sequence)
        return write_value(w, element, from, err);
    if (depth == 0)
        return vt_fail_dimse(err, VT_E_LIMIT, 0xc006, "sequences nested too deep at (%04x,%04x)",
                             VT_TAG_GROUP(element->tag), VT_TAG_ELEMENT(element->tag));
    return vt_write_sequence_begin(w, element->tag, err) &&
           write_items(w, element, from, depth - 1, err) && vt_write_sequence_end(w, err);
}

bool vt_write_element(struct vt_writer *w, const struct vt_element *element, enum vt_encoding from,
                      struct vt_err *err)
{
    size_t size = w->buf->size;

    if (write_any(w, element, from, VT_ELEMENT_LIMITS_DEFAULT.depth, err))
        return true;
    w->buf->size = size;
    return false;
}

bool vt_write_file_meta(struct vt_buf *buf, const struct vt_file_meta *meta, struct vt_err *err)
{
    static const uint8_t version[2] = { 0, 1 };
    static const uint8_t start[132] = { [128] = 'D', 'I', 'C', 'M' };
    struct vt_writer w = { buf, VT_EXPLICIT_LE };
    size_t begin = buf->size;

    bool ok = vt_buf_append(buf, start, sizeof start, err) && vt_write_ul(&w, 0x00020000, 0, err);
    size_t counted = buf->size;
    ok = ok && vt_write_bytes(&w, 0x00020001, "OB", version, sizeof version, err) &&
         vt_write_text(&w, 0x00020002, "UI", meta->sop_class_uid, err) &&
         vt_write_text(&w, 0x00020003, "UI", meta->sop_instance_uid, err) &&
         vt_write_text(&w, 0x00020010, "UI", meta->transfer_syntax_uid, err) &&
         vt_write_text(&w, 0x00020012, "UI", VT_UID_IMPLEMENTATION, err) &&
         vt_write_text(&w, 0x00020013, "SH", VT_IMPLEMENTATION_VERSION, err) &&
         (!meta->source_ae_title || !meta->source_ae_title[0] ||
          vt_write_text(&w, 0x00020016, "AE", meta->source_ae_title, err));
    if (!ok) {
        buf->size = begin;
        return false;
    }
    put_32(buf->data + counted - 4, (uint32_t)(buf->size - counted));
    return true;
}
