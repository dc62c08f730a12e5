#include "archive/patient_rewrite.h"

#include <string.h>

#include "archive/attributes.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/tags.h"
#include "dicom/text.h"

enum { ORIGINAL_ATTRIBUTES = 0x04000561, MODIFIED_ATTRIBUTES = 0x04000550, DEPTH_MAX = 32 };
#define UTF_8 "ISO_IR 192"

struct rewriting {
    const struct vt_rewrite *rewrite;
    struct vt_buf *out;
    bool to_utf8;
};

/* ---- elements in any of the three encodings ---- */

static void put_number(uint8_t *p, uint32_t value, int bytes, bool big)
{
    for (int i = 0; i < bytes; i++)
        p[big ? bytes - 1 - i : i] = (uint8_t)(value >> (8 * i));
}

static bool has_long_header(const char *vr)
{
    static const char names[] = "OBOWODOFOLOVSQUCURUTUNSVUV";

    for (size_t i = 0; names[i]; i += 2)
        if (vr[0] == names[i] && vr[1] == names[i + 1])
            return true;
    return false;
}

static bool put_header(struct rewriting *r, uint32_t tag, const char *vr, uint32_t length,
                       struct vt_err *err)
{
    bool big = r->rewrite->encoding == VT_EXPLICIT_BE;
    uint8_t header[12] = { 0 };
    size_t size = 8;

    put_number(header, VT_TAG_GROUP(tag), 2, big);
    put_number(header + 2, VT_TAG_ELEMENT(tag), 2, big);
    if (r->rewrite->encoding == VT_IMPLICIT_LE || VT_TAG_GROUP(tag) == 0xfffe) {
        put_number(header + 4, length, 4, big);
    } else {
        memcpy(header + 4, vr, 2);
        if (has_long_header(vr)) {
            put_number(header + 8, length, 4, big);
            size = 12;
        } else {
            put_number(header + 6, length, 2, big);
        }
    }
    return vt_buf_append(r->out, header, size, err);
}

static bool put_text(struct rewriting *r, uint32_t tag, const char *vr, const char *text,
                     size_t size, struct vt_err *err)
{
    static const uint8_t space = ' ';
    return put_header(r, tag, vr, (uint32_t)(size + (size & 1)), err) &&
           vt_buf_append(r->out, text, size, err) &&
           (!(size & 1) || vt_buf_append(r->out, &space, 1, err));
}

static bool put_mark(struct rewriting *r, uint32_t tag, uint32_t length, struct vt_err *err)
{
    return put_header(r, tag, "", length, err);
}

/* ---- elements that stay ---- */

static bool copy_converted(struct rewriting *r, const struct vt_element *element,
                           const char *charset, int depth, struct vt_err *err);

static bool copy_items(struct rewriting *r, const struct vt_element *sequence, const char *charset,
                       int depth, struct vt_err *err)
{
    struct vt_walk items, walk;
    struct vt_element item, element;
    bool more;

    if (depth > DEPTH_MAX)
        return vt_fail(err, VT_E_LIMIT, "sequences nested more than %d deep", DEPTH_MAX);
    vt_walk_items(&items, sequence, r->rewrite->encoding);
    while (vt_walk_next(&items, &item, &more, err) && more) {
        if (!put_mark(r, VT_TAG_ITEM, UINT32_MAX, err))
            return false;
        vt_walk_item(&walk, &item, r->rewrite->encoding);
        char own[128];
        const char *here = charset;
        while (vt_walk_next(&walk, &element, &more, err) && more) {
            if (r->to_utf8 && element.tag == VT_TAG_SPECIFIC_CHARACTER_SET) {
                vt_element_text(&element, own, sizeof own);
                here = own;
            } else if (!copy_converted(r, &element, here, depth, err)) {
                return false;
            }
        }
        if (vt_failed(err) || !put_mark(r, VT_TAG_ITEM_END, 0, err))
            return false;
    }
    return !vt_failed(err);
}

/* The element with its text in UTF-8, when that is asked for. Lengths change, so sequences get
 * delimiters; group lengths inside them are dropped. */
static bool copy_converted(struct rewriting *r, const struct vt_element *element,
                           const char *charset, int depth, struct vt_err *err)
{
    if (VT_TAG_ELEMENT(element->tag) == 0)
        return true;
    if (memcmp(element->vr, "SQ", 2) == 0)
        return put_header(r, element->tag, "SQ", UINT32_MAX, err) &&
               copy_items(r, element, charset, depth + 1, err) &&
               put_mark(r, VT_TAG_SEQUENCE_END, 0, err);
    if (!r->to_utf8 || !vt_text_vr_has_charset(element->vr))
        return put_header(r, element->tag, element->vr, (uint32_t)element->length, err) &&
               vt_buf_append(r->out, element->value, element->length, err);
    VT_AUTO_BUF(utf8, 64 << 20);
    return vt_text_to_utf8(charset, NULL, element->vr, (const char *)element->value,
                           element->length, "\xef\xbf\xbd", &utf8, err) &&
           put_text(r, element->tag, element->vr, (const char *)utf8.data, utf8.size, err);
}

static bool copy_element(struct rewriting *r, const struct vt_element *element, const uint8_t *from,
                         const uint8_t *to, struct vt_err *err)
{
    if (r->to_utf8)
        return copy_converted(r, element, r->rewrite->charset, 0, err);
    return vt_buf_append(r->out, from, (size_t)(to - from), err);
}

/* ---- what changes ---- */

static bool put_new(struct rewriting *r, const struct vt_attribute *attribute, struct vt_err *err)
{
    const char *text;
    size_t size;

    vt_attribute_trim(attribute->value, attribute->size, &text, &size);
    if (r->to_utf8 || !vt_text_vr_has_charset(attribute->vr) || vt_text_is_ascii(text, size))
        return put_text(r, attribute->tag, attribute->vr, text, size, err);
    VT_AUTO_BUF(own, 64 << 10);
    return vt_text_from_utf8(r->rewrite->charset, attribute->vr, text, size, &own, err) &&
           put_text(r, attribute->tag, attribute->vr, (const char *)own.data, own.size, err);
}

/* The old values, as they were encoded. An attribute that was not there is listed empty. */
static bool put_old_values(struct rewriting *r, struct vt_err *err)
{
    struct vt_attributes set;
    struct vt_attribute attribute;

    vt_attributes_begin(&set, r->rewrite->set, r->rewrite->set_size);
    while (vt_attributes_next(&set, &attribute)) {
        struct vt_element old;
        bool there = vt_element_find(r->rewrite->bytes, r->rewrite->size, r->rewrite->encoding,
                                     attribute.tag, &old);
        bool ok = !there       ? put_text(r, attribute.tag, attribute.vr, "", 0, err)
                  : r->to_utf8 ? copy_converted(r, &old, r->rewrite->charset, 0, err)
                               : put_header(r, old.tag, old.vr, (uint32_t)old.length, err) &&
                                     vt_buf_append(r->out, old.value, old.length, err);
        if (!ok)
            return false;
    }
    return true;
}

/* Existing items stay; ours comes last. */
static bool put_original_attributes(struct rewriting *r, const struct vt_element *existing,
                                    struct vt_err *err)
{
    static const char system[] = "VITRINE";

    if (!put_header(r, ORIGINAL_ATTRIBUTES, "SQ", UINT32_MAX, err) ||
        (existing && !copy_items(r, existing, r->rewrite->charset, 0, err)))
        return false;
    return put_mark(r, VT_TAG_ITEM, UINT32_MAX, err) &&
           put_header(r, MODIFIED_ATTRIBUTES, "SQ", UINT32_MAX, err) &&
           put_mark(r, VT_TAG_ITEM, UINT32_MAX, err) && put_old_values(r, err) &&
           put_mark(r, VT_TAG_ITEM_END, 0, err) && put_mark(r, VT_TAG_SEQUENCE_END, 0, err) &&
           put_text(r, 0x04000562, "DT", r->rewrite->when, strlen(r->rewrite->when), err) &&
           put_text(r, 0x04000563, "LO", system, sizeof system - 1, err) &&
           put_text(r, 0x04000564, "LO", "", 0, err) &&
           put_text(r, 0x04000565, "CS", r->rewrite->reason, strlen(r->rewrite->reason), err) &&
           put_mark(r, VT_TAG_ITEM_END, 0, err) && put_mark(r, VT_TAG_SEQUENCE_END, 0, err);
}

/* ---- the whole ---- */

static bool is_dropped(uint32_t tag)
{
    return tag == 0x00100000 || tag == 0x04000000 ||
           tag == 0x00080000; /* group lengths that would be wrong */
}

struct due {
    struct vt_attributes set;
    struct vt_attribute next;
    bool more;
    bool charset, original;
};

static bool put_due(struct rewriting *r, struct due *due, uint32_t before, struct vt_err *err)
{
    if (due->charset && before > VT_TAG_SPECIFIC_CHARACTER_SET) {
        due->charset = false;
        if (r->to_utf8 &&
            !put_text(r, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", UTF_8, strlen(UTF_8), err))
            return false;
    }
    while (due->more && due->next.tag < before) {
        if (!put_new(r, &due->next, err))
            return false;
        due->more = vt_attributes_next(&due->set, &due->next);
    }
    if (due->original && before > ORIGINAL_ATTRIBUTES) {
        due->original = false;
        return put_original_attributes(r, NULL, err);
    }
    return true;
}

static bool pass(struct rewriting *r, struct vt_err *err)
{
    struct due due = { .charset = r->to_utf8, .original = true };
    struct vt_element element;
    struct vt_walk walk;
    bool more;

    vt_attributes_begin(&due.set, r->rewrite->set, r->rewrite->set_size);
    due.more = vt_attributes_next(&due.set, &due.next);
    vt_walk_init(&walk, r->rewrite->bytes, r->rewrite->size, r->rewrite->encoding);
    for (;;) {
        const uint8_t *from = walk.at;
        if (!vt_walk_next(&walk, &element, &more, err))
            return false;
        if (!more)
            return put_due(r, &due, UINT32_MAX, err);
        if (!put_due(r, &due, element.tag, err))
            return false;
        if (is_dropped(element.tag) || (r->to_utf8 && element.tag == VT_TAG_SPECIFIC_CHARACTER_SET))
            continue;
        if (due.more && due.next.tag == element.tag) {
            if (!put_new(r, &due.next, err))
                return false;
            due.more = vt_attributes_next(&due.set, &due.next);
            continue;
        }
        if (due.original && element.tag == ORIGINAL_ATTRIBUTES) {
            due.original = false;
            if (!put_original_attributes(r, &element, err))
                return false;
            continue;
        }
        if (!copy_element(r, &element, from, walk.at, err))
            return false;
    }
}

bool vt_rewrite_run(const struct vt_rewrite *rewrite, struct vt_buf *out, struct vt_err *err)
{
    struct rewriting r = { .rewrite = rewrite, .out = out };
    size_t start = out->size;

    if (pass(&r, err))
        return true;
    out->size = start;
    if (err->code != VT_E_INVALID)
        return false;
    vt_err_clear(err);
    r.to_utf8 = true;
    return pass(&r, err);
}
