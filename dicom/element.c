#include "dicom/element.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "dicom/scan.h"

bool vt_element_check(const uint8_t *bytes, size_t size, enum vt_encoding encoding,
                      const struct vt_element_limits *limits, struct vt_err *err)
{
    struct vt_scan scan;
    size_t used;

    vt_scan_init(&scan, encoding, limits, NULL, NULL);
    scan.guesses = true;
    return vt_scan_feed(&scan, bytes, size, &used, err) && vt_scan_finish(&scan, err);
}

void vt_walk_init(struct vt_walk *walk, const uint8_t *bytes, size_t size, enum vt_encoding encoding)
{
    *walk = (struct vt_walk){
        .at = bytes,
        .end = bytes ? bytes + size : NULL,
        .encoding = encoding == VT_DEFLATED_LE ? VT_EXPLICIT_LE : encoding,
        .limits = VT_ELEMENT_LIMITS_DEFAULT,
    };
}

/* What is in an unknown element is implicit (PS3.5 6.2.2); items carry the VR of their sequence. */
void vt_walk_items(struct vt_walk *walk, const struct vt_element *sequence, enum vt_encoding encoding)
{
    bool unknown = strcmp(sequence->vr, "UN") == 0;

    vt_walk_init(walk, sequence->value, (size_t)sequence->length, unknown ? VT_IMPLICIT_LE : encoding);
    memcpy(walk->vr, sequence->vr, sizeof walk->vr);
}

void vt_walk_item(struct vt_walk *walk, const struct vt_element *item, enum vt_encoding encoding)
{
    vt_walk_items(walk, item, encoding);
    walk->vr[0] = '\0';
}

/* How long the value of undefined length at `at` is, without its delimiter. */
struct extent {
    uint64_t length;
    bool ended;
};

static bool extent_begins(void *context, const struct vt_raw_header *header, uint64_t value_offset,
                          const uint8_t *at, struct vt_err *err)
{
    (void)context, (void)header, (void)value_offset, (void)at, (void)err;
    return true;
}

static bool extent_ends(void *context, uint64_t value_length, const uint8_t *at, struct vt_err *err)
{
    struct extent *extent = context;

    (void)at, (void)err;
    extent->length = value_length;
    extent->ended = true;
    return true;
}

static bool extent_fragment(void *context, uint64_t item_offset, uint32_t length, const uint8_t *at,
                            struct vt_err *err)
{
    (void)context, (void)item_offset, (void)length, (void)at, (void)err;
    return true;
}

static const struct vt_scan_events extent_events = { extent_begins, extent_ends, extent_fragment };

/* Steps over one element of undefined length from its header on. */
static bool skip_undefined(struct vt_walk *walk, const struct vt_raw_header *header,
                           struct vt_element *out, struct vt_err *err)
{
    struct vt_scan scan;
    struct extent extent = { 0 };
    size_t used;

    vt_scan_init(&scan, walk->encoding, &walk->limits, &extent_events, &extent);
    scan.stop_after_element = true;
    if (!vt_scan_feed(&scan, walk->at, (size_t)(walk->end - walk->at), &used, err))
        return false;
    if (!extent.ended)
        return vt_fail_dimse(err, VT_E_INVALID, 0xc005, "(%04x,%04x) has no end",
                             VT_TAG_GROUP(out->tag), VT_TAG_ELEMENT(out->tag));
    out->value = walk->at + header->size;
    out->length = extent.length;
    out->undefined_length = true;
    walk->at += used;
    return true;
}

/* An item of undefined length ends where its own delimiter is: its elements are stepped over one by one. */
static bool skip_undefined_item(struct vt_walk *walk, struct vt_element *out, struct vt_err *err)
{
    struct vt_walk inner;
    struct vt_element element;
    struct vt_raw_header header;

    vt_walk_init(&inner, walk->at + 8, (size_t)(walk->end - walk->at) - 8, walk->encoding);
    inner.limits = walk->limits;
    out->value = inner.at;
    out->undefined_length = true;
    for (;;) {
        bool more = true;
        bool there = vt_raw_header_read(inner.at, (size_t)(inner.end - inner.at), inner.encoding, &header);
        bool item_ends = there && header.tag == VT_TAG_ITEM_END;
        if (item_ends || !there || header.tag == VT_TAG_SEQUENCE_END) {
            out->length = (uint64_t)(inner.at - out->value);
            walk->at = inner.at + (item_ends ? header.size : 0);
            return true;
        }
        if (header.tag == VT_TAG_ITEM)
            return vt_fail_dimse(err, VT_E_INVALID, 0xc005, "an item directly inside an item");
        if (!vt_walk_next(&inner, &element, &more, err))
            return false;
    }
}

/* Nothing but padding: zero bytes, or a delimiter that was not needed. */
static bool at_end(const struct vt_walk *walk, struct vt_raw_header *header)
{
    size_t left = (size_t)(walk->end - walk->at);

    return !vt_raw_header_read(walk->at, left, walk->encoding, header);
}

static bool walk_end(const struct vt_walk *walk, bool *out_more, struct vt_err *err)
{
    for (const uint8_t *p = walk->at; p < walk->end; p++)
        if (*p != 0)
            return vt_fail_dimse(err, VT_E_INVALID, 0xc005, "half an element at the end");
    *out_more = false;
    return true;
}

bool vt_walk_next(struct vt_walk *walk, struct vt_element *out, bool *out_more, struct vt_err *err)
{
    struct vt_raw_header header;
    struct vt_element element = { 0 };

    do {
        if (at_end(walk, &header))
            return walk_end(walk, out_more, err);
        if (header.tag == VT_TAG_ITEM_END || header.tag == VT_TAG_SEQUENCE_END)
            walk->at += header.size;
    } while (header.tag == VT_TAG_ITEM_END || header.tag == VT_TAG_SEQUENCE_END);

    if (walk->limits.elements == 0)
        return vt_fail_dimse(err, VT_E_LIMIT, 0xc007, "too many elements");
    walk->limits.elements--;
    element.tag = header.tag;
    memcpy(element.vr, header.tag == VT_TAG_ITEM ? walk->vr : header.vr, sizeof element.vr);
    bool ok = true;
    if (header.length != VT_UNDEFINED_LENGTH) {
        if (header.length > (size_t)(walk->end - walk->at) - header.size)
            return vt_fail_dimse(err, VT_E_INVALID, 0xc005, "(%04x,%04x) of length %u is cut off",
                                 VT_TAG_GROUP(header.tag), VT_TAG_ELEMENT(header.tag), header.length);
        element.value = walk->at + header.size;
        element.length = header.length;
        walk->at += header.size + (size_t)header.length;
    } else if (header.tag == VT_TAG_ITEM) {
        ok = skip_undefined_item(walk, &element, err);
    } else {
        ok = skip_undefined(walk, &header, &element, err);
    }
    if (!ok)
        return false;
    *out = element;
    *out_more = true;
    return true;
}

bool vt_element_find(const uint8_t *bytes, size_t size, enum vt_encoding encoding, uint32_t tag,
                     struct vt_element *out)
{
    struct vt_walk walk;
    struct vt_element element;
    struct vt_err err = { 0 };
    bool more = true;

    vt_walk_init(&walk, bytes, size, encoding);
    while (vt_walk_next(&walk, &element, &more, &err) && more)
        if (element.tag == tag) {
            *out = element;
            return true;
        }
    return false;
}

static bool keeps_leading_spaces(const char *vr)
{
    return strcmp(vr, "LT") == 0 || strcmp(vr, "ST") == 0 || strcmp(vr, "UT") == 0 ||
           strcmp(vr, "UC") == 0;
}

size_t vt_element_text(const struct vt_element *element, char *out, size_t room)
{
    const char *text = (const char *)element->value;
    size_t length = (size_t)element->length;

    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\0'))
        length--;
    if (!keeps_leading_spaces(element->vr))
        while (length > 0 && *text == ' ') {
            text++;
            length--;
        }
    if (room > 0) {
        size_t take = length < room - 1 ? length : room - 1;
        if (take > 0)
            memcpy(out, text, take);
        out[take] = '\0';
    }
    return length;
}

static bool text_number(const struct vt_element *element, int64_t *out)
{
    char text[32], *end;

    vt_element_text(element, text, sizeof text);
    text[strcspn(text, "\\")] = '\0';
    errno = 0;
    long long number = strtoll(text, &end, 10);
    end += strspn(end, " ");
    if (end == text || *end != '\0' || errno != 0)
        return false;
    *out = number;
    return true;
}

bool vt_element_number(const struct vt_element *element, enum vt_encoding encoding, int64_t *out)
{
    bool big = encoding == VT_EXPLICIT_BE;
    const char *vr = element->vr;
    const uint8_t *p = element->value;

    if (strcmp(vr, "IS") == 0)
        return text_number(element, out);
    size_t width = strcmp(vr, "US") == 0 || strcmp(vr, "SS") == 0   ? 2
                   : strcmp(vr, "UL") == 0 || strcmp(vr, "SL") == 0 ? 4
                                                                     : 0;
    if (width == 0 || element->length < width)
        return false;
    uint32_t number = 0;
    for (size_t i = 0; i < width; i++)
        number = number << 8 | p[big ? i : width - 1 - i];
    if (vr[0] == 'U')
        *out = number;
    else
        *out = width == 2 ? (int64_t)(int16_t)number : (int64_t)(int32_t)number;
    return true;
}
