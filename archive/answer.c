/* A row as the identifier of a pending answer (reference 6.5, 6.6). */
#include <string.h>

#include "archive/attributes.h"
#include "archive/query_impl.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/tags.h"
#include "dicom/text.h"

#define UTF_8 "ISO_IR 192"

struct answering {
    const struct vt_query *query;
    const struct vt_row *row;
    const struct vt_answer_rules *rules;
    struct vt_writer writer;
    const char *charset; /* "" plain ASCII: the first other character ends the attempt */
    bool as_is;          /* UTF-8 */
    struct vt_bytes whole; /* without a row: what is answered */
    struct {             /* the attributes of each level, walked once beside the keys */
        struct vt_attributes walk;
        struct vt_attribute at;
        bool more;
    } levels[VT_LEVELS];
};

static bool is_ascii(const uint8_t *bytes, size_t size)
{
    uint8_t any = 0;

    for (size_t i = 0; i < size; i++)
        any |= bytes[i];
    return any < 0x80;
}

static bool write_value(struct answering *a, uint32_t tag, const char *vr, const uint8_t *value,
                        size_t size, struct vt_err *err)
{
    if (a->as_is || !vt_text_vr_has_charset(vr) || is_ascii(value, size))
        return vt_write_bytes(&a->writer, tag, vr, value, size, err);
    if (!a->charset[0])
        return vt_fail(err, VT_E_INVALID, "not ASCII");
    VT_AUTO_BUF(text, VT_ATTRIBUTES_MAX);
    return vt_text_from_utf8(a->charset, vr, (const char *)value, size, &text, err) &&
           vt_write_bytes(&a->writer, tag, vr, text.data, text.size, err);
}

/* ---- sequences ---- */

static bool write_sequence(struct answering *a, uint32_t tag, const struct vt_query_key *key,
                           const uint8_t *value, size_t size, int depth, struct vt_err *err);

static const struct vt_query_key *asked_for(const struct vt_query_key *key, uint32_t tag)
{
    for (size_t i = 0; i < key->item_count; i++)
        if (key->items[i].tag == tag)
            return &key->items[i];
    return NULL;
}

/* key NULL or without items: everything. */
static bool write_item(struct answering *a, const struct vt_query_key *key,
                       struct vt_attributes item, int depth, struct vt_err *err)
{
    struct vt_attribute at;

    if (!vt_write_item_begin(&a->writer, err))
        return false;
    while (vt_attributes_next(&item, &at)) {
        const struct vt_query_key *below =
            key && key->item_count > 0 ? asked_for(key, at.tag) : NULL;
        if (key && key->item_count > 0 && !below)
            continue;
        bool ok = memcmp(at.vr, "SQ", 2) == 0
                      ? write_sequence(a, at.tag, below, at.value, at.size, depth + 1, err)
                      : write_value(a, at.tag, at.vr, at.value, at.size, err);
        if (!ok)
            return false;
    }
    return vt_write_item_end(&a->writer, err);
}

static bool write_sequence(struct answering *a, uint32_t tag, const struct vt_query_key *key,
                           const uint8_t *value, size_t size, int depth, struct vt_err *err)
{
    struct vt_attributes items, item;

    if (depth > VT_QUERY_DEPTH_MAX || size == 0)
        return vt_write_bytes(&a->writer, tag, "SQ", NULL, 0, err);
    if (!vt_write_sequence_begin(&a->writer, tag, err))
        return false;
    vt_attributes_begin(&items, value, size);
    while (vt_attributes_next_item(&items, &item)) {
        bool fits = !key || key->rule != VT_RULE_SEQUENCE ||
                    vt_query_item_matches(a->query, key, item.at, (size_t)(item.end - item.at));
        if (fits && !write_item(a, key, item, depth, err))
            return false;
    }
    return vt_write_sequence_end(&a->writer, err);
}

/* ---- keys ---- */

static bool write_special(struct answering *a, uint32_t tag, struct vt_err *err)
{
    const char *text = tag == VT_TAG_QUERY_RETRIEVE_LEVEL ? vt_level_name(a->query->level)
                       : tag == VT_TAG_RETRIEVE_AE_TITLE  ? a->rules->retrieve_ae_title
                                                          : a->row->availability;

    if (!text || !text[0])
        return true;
    return vt_write_text(&a->writer, tag, tag == VT_TAG_RETRIEVE_AE_TITLE ? "AE" : "CS", text, err);
}

/* The attribute with that tag, moving forward only: keys ascend. */
static bool next_attribute(struct answering *a, enum vt_level level, uint32_t tag,
                           struct vt_bytes *out)
{
    while (a->levels[level].more && a->levels[level].at.tag < tag)
        a->levels[level].more = vt_attributes_next(&a->levels[level].walk, &a->levels[level].at);
    if (!a->levels[level].more || a->levels[level].at.tag != tag)
        return false;
    *out = (struct vt_bytes){ a->levels[level].at.value, a->levels[level].at.size };
    return true;
}

static bool write_key(struct answering *a, const struct vt_query_key *key, struct vt_err *err)
{
    char scratch[VT_ROW_VALUE_ROOM];
    struct vt_bytes value = { NULL, 0 };

    if (!key->key)
        return write_special(a, key->tag, err);
    bool there = vt_key_in_attributes(key->key)
                     ? next_attribute(a, key->key->level, key->tag, &value)
                     : vt_row_value(a->row, key->key, scratch, &value);
    if (!there)
        value = (struct vt_bytes){ NULL, 0 };
    if (memcmp(key->vr, "SQ", 2) == 0)
        return write_sequence(a, key->tag, key, value.data, value.size, 0, err);
    return write_value(a, key->tag, key->vr, value.data, value.size, err);
}

static bool write_row(struct answering *a, struct vt_err *err)
{
    for (int i = 0; i < VT_LEVELS; i++) {
        vt_attributes_begin(&a->levels[i].walk, a->row->attributes[i].data,
                            a->row->attributes[i].size);
        a->levels[i].more = vt_attributes_next(&a->levels[i].walk, &a->levels[i].at);
    }
    for (size_t i = 0; i < a->query->answer_count; i++)
        if (!write_key(a, &a->query->answers[i], err))
            return false;
    return true;
}

static bool write_whole(struct answering *a, struct vt_err *err)
{
    struct vt_attributes walk;
    struct vt_attribute at;

    vt_attributes_begin(&walk, a->whole.data, a->whole.size);
    while (vt_attributes_next(&walk, &at)) {
        bool ok = memcmp(at.vr, "SQ", 2) == 0
                      ? write_sequence(a, at.tag, NULL, at.value, at.size, 0, err)
                      : write_value(a, at.tag, at.vr, at.value, at.size, err);
        if (!ok)
            return false;
    }
    return true;
}

static bool attempt(struct answering *a, const char *charset, struct vt_err *err)
{
    a->charset = charset;
    a->as_is = strcmp(charset, UTF_8) == 0;
    if (charset[0] && !vt_write_text(&a->writer, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", charset, err))
        return false;
    return a->row ? write_row(a, err) : write_whole(a, err);
}

static bool write_answer(struct answering *a, struct vt_buf *out, struct vt_err *err)
{
    const char *peer_charset = a->rules->peer_charset;
    const char *const charsets[] = { "", a->query->charset, peer_charset ? peer_charset : "",
                                     UTF_8 };
    size_t start = out->size;

    for (size_t i = 0; i < VT_COUNT(charsets); i++) {
        if (i > 0 && (!charsets[i][0] || !vt_text_charset_known(charsets[i])))
            continue;
        vt_err_clear(err);
        if (attempt(a, charsets[i], err))
            return true;
        out->size = start;
        if (err->code != VT_E_INVALID)
            return false;
    }
    return false;
}

bool vt_answer_write(const struct vt_query *query, const struct vt_row *row,
                     const struct vt_answer_rules *rules, struct vt_buf *out, struct vt_err *err)
{
    struct answering a = { .query = query,
                           .row = row,
                           .rules = rules,
                           .writer = { .buf = out, .encoding = rules->encoding } };

    return write_answer(&a, out, err);
}

bool vt_answer_encode(const struct vt_query *query, const uint8_t *attributes, size_t size,
                      const struct vt_answer_rules *rules, struct vt_buf *out, struct vt_err *err)
{
    struct answering a = { .query = query,
                           .rules = rules,
                           .whole = { attributes, size },
                           .writer = { .buf = out, .encoding = rules->encoding } };

    return write_answer(&a, out, err);
}
