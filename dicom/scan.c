#include "dicom/scan.h"

#include <string.h>

#include "core/err.h"

enum {
    TRUNCATED = 0xc005,
    TOO_DEEP = 0xc006,
    TOO_LONG = 0xc007,
};

static uint16_t read_16(const uint8_t *p, bool big)
{
    return (uint16_t)(big ? p[0] << 8 | p[1] : p[1] << 8 | p[0]);
}

static uint32_t read_32(const uint8_t *p, bool big)
{
    return big ? (uint32_t)read_16(p, true) << 16 | read_16(p + 2, true)
               : (uint32_t)read_16(p + 2, false) << 16 | read_16(p, false);
}

static bool capital(char c)
{
    return c >= 'A' && c <= 'Z';
}

#define VR(a, b) ((uint16_t)((a) << 8 | (b)))

/* VRs with a length of two bytes; every other pair of capitals, known or not, has four (PS3.5 7.1.2). */
static bool short_length(const char *vr)
{
    if (!capital(vr[0]) || !capital(vr[1]))
        return true;
    switch (VR(vr[0], vr[1])) {
    case VR('A', 'E'): case VR('A', 'S'): case VR('A', 'T'): case VR('C', 'S'): case VR('D', 'A'):
    case VR('D', 'S'): case VR('D', 'T'): case VR('F', 'D'): case VR('F', 'L'): case VR('I', 'S'):
    case VR('L', 'O'): case VR('L', 'T'): case VR('P', 'N'): case VR('S', 'H'): case VR('S', 'L'):
    case VR('S', 'S'): case VR('S', 'T'): case VR('T', 'M'): case VR('U', 'I'): case VR('U', 'L'):
    case VR('U', 'S'):
        return true;
    default:
        return false;
    }
}

static bool letter(char c)
{
    return capital((char)(c & ~0x20)) && c >= 'A';
}

/* What is no pair of letters is "??": it may be printed later. */
static void set_vr(struct vt_raw_header *header, const char *vr)
{
    bool fine = letter(vr[0]) && letter(vr[1]);

    header->vr[0] = fine ? vr[0] : '?';
    header->vr[1] = fine ? vr[1] : '?';
    header->vr[2] = '\0';
}

bool vt_raw_header_read(const uint8_t *bytes, size_t have, enum vt_encoding encoding,
                        struct vt_raw_header *out)
{
    bool big = encoding == VT_EXPLICIT_BE;

    if (have < 8)
        return false;
    uint32_t tag = VT_TAG(read_16(bytes, big), read_16(bytes + 2, big));
    out->tag = tag;
    out->size = 8;
    if (VT_TAG_GROUP(tag) == 0xfffe) {
        memset(out->vr, 0, sizeof out->vr);
        out->length = read_32(bytes + 4, big);
    } else if (encoding == VT_IMPLICIT_LE) {
        set_vr(out, vt_dict_vr(tag));
        out->length = read_32(bytes + 4, big);
    } else {
        set_vr(out, (const char *)bytes + 4);
        if (short_length((const char *)bytes + 4)) {
            out->length = read_16(bytes + 6, big);
        } else {
            if (have < VT_SCAN_HEADER_MAX)
                return false;
            out->size = VT_SCAN_HEADER_MAX;
            out->length = read_32(bytes + 8, big);
        }
    }
    return true;
}

void vt_scan_init(struct vt_scan *scan, enum vt_encoding encoding, const struct vt_element_limits *limits,
                  const struct vt_scan_events *events, void *context)
{
    /* The levels above the first are written when they are opened: no need to clear them each time. */
    memset(scan, 0, offsetof(struct vt_scan, levels));
    scan->events = events;
    scan->context = context;
    scan->limits = limits ? *limits : VT_ELEMENT_LIMITS_DEFAULT;
    if (scan->limits.depth > VT_SCAN_DEPTH_MAX)
        scan->limits.depth = VT_SCAN_DEPTH_MAX;
    scan->levels[0] = (struct vt_scan_level){
        .end = UINT64_MAX,
        .kind = VT_SCAN_DATA_SET,
        .encoding = encoding == VT_DEFLATED_LE ? VT_EXPLICIT_LE : encoding,
    };
}

static bool element_begins(struct vt_scan *scan, const struct vt_raw_header *header,
                           const uint8_t *at, struct vt_err *err)
{
    if (scan->top > 0)
        return true;
    scan->open = true;
    scan->value_offset = scan->offset;
    return !scan->events || scan->events->begin(scan->context, header, scan->offset, at, err);
}

static bool element_ends(struct vt_scan *scan, uint64_t length, const uint8_t *at, struct vt_err *err)
{
    if (scan->top > 0)
        return true;
    scan->open = false;
    return !scan->events || scan->events->end(scan->context, length, at, err);
}

static void push(struct vt_scan *scan, enum vt_scan_kind kind, uint32_t length,
                 enum vt_encoding encoding)
{
    bool undefined = length == VT_UNDEFINED_LENGTH;
    uint64_t end = undefined ? scan->levels[scan->top].end : scan->offset + length;

    scan->levels[++scan->top] = (struct vt_scan_level){
        .end = end, .kind = kind, .encoding = encoding, .undefined = undefined,
    };
    scan->sequences += kind == VT_SCAN_SEQUENCE || kind == VT_SCAN_FRAGMENTS;
}

/* delimiter: how many of the last bytes do not belong to the value. */
static bool pop(struct vt_scan *scan, uint64_t delimiter, const uint8_t *at, struct vt_err *err)
{
    enum vt_scan_kind kind = scan->levels[scan->top--].kind;

    if (kind == VT_SCAN_ITEM)
        return true;
    scan->sequences--;
    return element_ends(scan, scan->offset - scan->value_offset - delimiter, at, err);
}

static bool looks_like_items(const uint8_t *value, size_t length)
{
    static const uint8_t item[4] = { 0xfe, 0xff, 0x00, 0xe0 };

    return length >= 8 && memcmp(value, item, 4) == 0;
}

/* An element that holds items: opens a level. */
static bool open_sequence(struct vt_scan *scan, const struct vt_raw_header *header, bool fragments,
                          struct vt_err *err)
{
    const struct vt_scan_level *level = &scan->levels[scan->top];
    bool unknown = strcmp(header->vr, "UN") == 0;

    if (scan->sequences >= scan->limits.depth)
        return vt_fail_dimse(err, VT_E_LIMIT, TOO_DEEP,
                             "sequences nested deeper than %u at (%04x,%04x)", scan->limits.depth,
                             VT_TAG_GROUP(header->tag), VT_TAG_ELEMENT(header->tag));
    push(scan, fragments ? VT_SCAN_FRAGMENTS : VT_SCAN_SEQUENCE, header->length,
         unknown ? VT_IMPLICIT_LE : level->encoding);
    return true;
}

static bool is_pixel_data(uint32_t tag)
{
    return tag == VT_TAG_PIXEL_DATA || tag == VT_TAG_FLOAT_PIXEL_DATA ||
           tag == VT_TAG_DOUBLE_PIXEL_DATA;
}

static bool too_long(const struct vt_raw_header *header, const char *why, struct vt_err *err)
{
    return vt_fail_dimse(err, VT_E_INVALID, TOO_LONG, "(%04x,%04x) %.2s of length %u %s",
                         VT_TAG_GROUP(header->tag), VT_TAG_ELEMENT(header->tag),
                         header->vr[0] ? header->vr : "--", header->length, why);
}

/* Values without an end of their own: sequences, unknown ones that must be sequences, fragments. */
static bool undefined_length(struct vt_scan *scan, const struct vt_raw_header *header,
                             struct vt_err *err)
{
    bool other = header->vr[0] == 'O' && (header->vr[1] == 'B' || header->vr[1] == 'W');

    if (other || header->tag == VT_TAG_PIXEL_DATA)
        return open_sequence(scan, header, true, err);
    if (strcmp(header->vr, "SQ") == 0 || strcmp(header->vr, "UN") == 0)
        return open_sequence(scan, header, false, err);
    return too_long(header, "(undefined) is no sequence", err);
}

static bool element_header(struct vt_scan *scan, const struct vt_raw_header *header, const uint8_t *at,
                           size_t size, struct vt_err *err)
{
    const struct vt_scan_level *level = &scan->levels[scan->top];

    if (VT_TAG_GROUP(header->tag) == 0xfffe) {
        /* Delimiters that nobody waits for are passed over; nothing else of this group has a place here. */
        if (header->tag != VT_TAG_ITEM_END && header->tag != VT_TAG_SEQUENCE_END)
            return vt_fail_dimse(err, VT_E_INVALID, TRUNCATED, "(fffe,%04x) outside of a sequence at byte %llu",
                                 VT_TAG_ELEMENT(header->tag), (unsigned long long)scan->offset);
        scan->left = 0;
        return true;
    }
    if (++scan->elements > scan->limits.elements)
        return vt_fail_dimse(err, VT_E_LIMIT, TOO_LONG, "more than %u elements", scan->limits.elements);
    if (!element_begins(scan, header, at, err))
        return false;
    if (header->length == VT_UNDEFINED_LENGTH)
        return undefined_length(scan, header, err);
    if (!is_pixel_data(header->tag) && header->length > scan->limits.value)
        return too_long(header, "is longer than the limit", err);
    if (header->length > level->end - scan->offset)
        return too_long(header, "does not fit in its item", err);
    if (header->length > 0) {
        if (strcmp(header->vr, "SQ") == 0)
            return open_sequence(scan, header, false, err);
        if (scan->guesses && strcmp(header->vr, "UN") == 0 &&
            header->length <= size && looks_like_items(at, header->length)) {
            bool ok = open_sequence(scan, header, false, err);
            scan->levels[scan->top].guess = ok;
            return ok;
        }
        scan->left = header->length;
        return true;
    }
    return element_ends(scan, 0, at, err);
}

static bool item_header(struct vt_scan *scan, const struct vt_raw_header *header, const uint8_t *at,
                        struct vt_err *err)
{
    const struct vt_scan_level *level = &scan->levels[scan->top];
    bool undefined = header->length == VT_UNDEFINED_LENGTH;

    if (++scan->elements > scan->limits.elements)
        return vt_fail_dimse(err, VT_E_LIMIT, TOO_LONG, "more than %u elements and items",
                             scan->limits.elements);
    if (!undefined && header->length > level->end - scan->offset)
        return too_long(header, "does not fit in its sequence", err);
    if (level->kind == VT_SCAN_SEQUENCE) {
        push(scan, VT_SCAN_ITEM, header->length, level->encoding);
        return true;
    }
    if (undefined)
        return too_long(header, "is no fragment", err);
    scan->left = header->length;
    if (scan->top == 1 && scan->events)
        return scan->events->fragment(scan->context, scan->offset - header->size, header->length, at, err);
    return true;
}

/* A header inside a sequence or between fragments: item or delimiter, nothing else. */
static bool sequence_header(struct vt_scan *scan, const struct vt_raw_header *header, const uint8_t *at,
                            struct vt_err *err)
{
    bool undefined = scan->levels[scan->top].undefined;

    if (header->tag == VT_TAG_ITEM)
        return item_header(scan, header, at, err);
    if (header->tag == VT_TAG_SEQUENCE_END)
        return undefined ? pop(scan, header->size, at, err) : true;
    if (header->tag == VT_TAG_ITEM_END)
        return true;
    return vt_fail_dimse(err, VT_E_INVALID, TRUNCATED, "(%04x,%04x) in a sequence where an item was due",
                         VT_TAG_GROUP(header->tag), VT_TAG_ELEMENT(header->tag));
}

static bool half_element(struct vt_err *err)
{
    return vt_fail_dimse(err, VT_E_INVALID, TRUNCATED, "half an element at the end of an item");
}

static bool header_read(struct vt_scan *scan, const struct vt_raw_header *header, const uint8_t *at,
                        size_t size, struct vt_err *err)
{
    const struct vt_scan_level *level = &scan->levels[scan->top];

    scan->offset += header->size;
    if (scan->offset > level->end)
        return half_element(err);
    if (level->kind == VT_SCAN_SEQUENCE || level->kind == VT_SCAN_FRAGMENTS)
        return sequence_header(scan, header, at, err);
    if (level->kind == VT_SCAN_ITEM && level->undefined) {
        if (header->tag == VT_TAG_ITEM_END)
            return pop(scan, 0, at, err);
        if (header->tag == VT_TAG_SEQUENCE_END) {    /* the item's own delimiter was forgotten */
            pop(scan, 0, at, err);
            return sequence_header(scan, header, at, err);
        }
    }
    return element_header(scan, header, at, size, err);
}

/* Levels that end here, also those whose delimiter was forgotten. */
static bool close_levels(struct vt_scan *scan, const uint8_t *at, struct vt_err *err)
{
    while (scan->top > 0 && scan->levels[scan->top].end == scan->offset)
        if (!pop(scan, 0, at, err))
            return false;
    return true;
}

/* Takes what completes the header that has come in part; false when it is still not whole. */
static bool complete_header(struct vt_scan *scan, const uint8_t **at, const uint8_t *end,
                            struct vt_raw_header *out)
{
    enum vt_encoding encoding = scan->levels[scan->top].encoding;

    if (scan->have == 0 && vt_raw_header_read(*at, (size_t)(end - *at), encoding, out)) {
        *at += out->size;
        return true;
    }
    while (*at < end) {
        scan->header[scan->have++] = *(*at)++;
        if (vt_raw_header_read(scan->header, scan->have, encoding, out)) {
            scan->have = 0;
            return true;
        }
    }
    return false;
}

/* A guess that failed is an opaque value after all. Only what is nested too deep stays wrong. */
static bool forgive(struct vt_scan *scan, const uint8_t *bytes, const uint8_t **at, struct vt_err *err)
{
    uint32_t i = scan->top;

    if (!scan->guesses || err->code == VT_E_LIMIT)
        return false;
    while (i > 0 && !scan->levels[i].guess)
        i--;
    if (i == 0)
        return false;
    scan->offset = scan->levels[i].end;
    *at = bytes + scan->offset;
    scan->left = 0;
    while (scan->top > i)
        if (scan->levels[scan->top--].kind != VT_SCAN_ITEM)
            scan->sequences--;
    vt_err_clear(err);
    return true;
}

bool vt_scan_feed(struct vt_scan *scan, const uint8_t *bytes, size_t size, size_t *out_used,
                  struct vt_err *err)
{
    const uint8_t *at = bytes, *end = bytes;
    struct vt_raw_header header;

    *out_used = 0;
    if (size == 0)
        return true;
    end += size;
    while (at < end || scan->left == 0) {
        if (scan->left > 0) {
            uint64_t take = scan->left < (uint64_t)(end - at) ? scan->left : (uint64_t)(end - at);
            at += take;
            scan->offset += take;
            scan->left -= take;
            if (scan->left > 0)
                break;
            if (scan->levels[scan->top].kind != VT_SCAN_FRAGMENTS &&
                !element_ends(scan, scan->offset - scan->value_offset, at, err))
                return false;
        }
        if (!close_levels(scan, at, err))
            return false;
        if (scan->stop_after_element && scan->elements > 0 && !scan->open)
            break;
        if (at == end)
            break;
        bool ok = scan->levels[scan->top].end - scan->offset >= VT_SCAN_HEADER_MIN || half_element(err);
        if (ok && !complete_header(scan, &at, end, &header))
            break;
        ok = ok && header_read(scan, &header, at, (size_t)(end - at), err);
        if (!ok && !forgive(scan, bytes, &at, err))
            return false;
    }
    *out_used = (size_t)(at - bytes);
    return true;
}

bool vt_scan_finish(const struct vt_scan *scan, struct vt_err *err)
{
    bool padding = scan->top == 0 && scan->left == 0;

    for (size_t i = 0; padding && i < scan->have; i++)
        padding = scan->header[i] == 0;
    if (padding)
        return true;
    return vt_fail_dimse(err, VT_E_INVALID, TRUNCATED, "the data set ends within an element, at byte %llu",
                         (unsigned long long)(scan->offset + scan->have));
}
