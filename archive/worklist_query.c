/* The worklist asked (PS3.4 K.6.1.2.2): keys are matched on whole entries, so any attribute of theirs may be one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/attributes.h"
#include "archive/query_impl.h"
#include "archive/worklist_inside.h"
#include "core/err.h"
#include "dicom/tags.h"

/* ---- the request ---- */

static struct vt_query_key *key_in(struct vt_query_key *keys, size_t count, uint32_t tag)
{
    for (size_t i = 0; i < count; i++)
        if (keys[i].tag == tag)
            return &keys[i];
    return NULL;
}

static bool is_moment(const struct vt_query_key *key)
{
    return (key->compare == VT_COMPARE_DATE || key->compare == VT_COMPARE_TIME) && key->wanted &&
           key->wanted_count == 1;
}

static bool is_range(const struct vt_query_key *key)
{
    return key && key->rule == VT_RULE_VALUES && is_moment(key) && key->wanted[0].range;
}

/* Ranges of date and time are one interval: taken out of the matching of single keys, and left to `combined` below. */
static bool combine(struct vt_query *query, struct vt_err *err)
{
    struct vt_query_key *keys =
        vt_arena_take(&query->arena, (query->key_count + 1) * sizeof *keys, err);

    if (!keys)
        return false;
    memcpy(keys, query->keys, query->key_count * sizeof *keys);
    struct vt_query_key *step = key_in(keys, query->key_count, TAG_STEP_SEQUENCE);
    query->keys = keys;
    if (!step || step->item_count == 0)
        return true;
    struct vt_query_key *items = vt_arena_take(&query->arena, step->item_count * sizeof *items, err);
    if (!items)
        return false;
    memcpy(items, step->items, step->item_count * sizeof *items);
    struct vt_query_key *date = key_in(items, step->item_count, TAG_STEP_DATE);
    struct vt_query_key *time = key_in(items, step->item_count, TAG_STEP_TIME);
    if (is_range(date) && is_range(time))
        date->rule = time->rule = VT_RULE_UNIVERSAL;
    step->items = items;
    return true;
}

struct vt_query *vt_worklist_parse(const uint8_t *identifier, size_t size, enum vt_encoding encoding,
                                   const struct vt_query_rules *rules, struct vt_err *err)
{
    VT_AUTO(vt_query) query = vt_query_parse_plain(identifier, size, encoding, rules, err);

    if (!query || !combine(query, err))
        return NULL;
    return vt_take(&query);
}

/* ---- matching ---- */

struct vt_worklist_cursor {
    struct vt_archive *archive;
    const struct vt_query *query;
    const struct vt_query_key *step, *date, *time; /* the last two: one interval; NULL: none */
    bool status;                                   /* is asked for */
    struct vt_worklist_page page;
    struct vt_worklist_row rows[VT_WORKLIST_PAGE];
    size_t count, at;
    bool last; /* page */
    struct vt_buf attributes, entry, answer;
};

static bool combined_matches(const struct vt_worklist_cursor *cursor, const char *start)
{
    const struct vt_wanted *date, *time;
    char low[24], high[24];

    if (!cursor->date)
        return true;
    date = &cursor->date->wanted[0];
    time = &cursor->time->wanted[0];
    snprintf(low, sizeof low, "%.8s%.13s", date->text, time->text);
    snprintf(high, sizeof high, "%.8s%.13s", date->high, time->high[0] ? time->high : "999999");
    return (!date->text[0] || strcmp(start, low) >= 0) && (!date->high[0] || strcmp(start, high) <= 0);
}

static bool entry_matches(const struct vt_worklist_cursor *cursor, const struct vt_worklist_row *row,
                          const struct vt_buf *entry)
{
    const struct vt_query_key whole = { .items = cursor->query->keys, .item_count = cursor->query->key_count };

    return vt_query_item_matches(cursor->query, &whole, entry->data, entry->size) &&
           combined_matches(cursor, row->start);
}

/* (0040,0020) is what we know: a step that runs is STARTED; what came with one keeps it until then. */
static bool with_status(const struct vt_worklist_row *row, const uint8_t *attributes, struct vt_buf *out,
                        struct vt_err *err)
{
    VT_AUTO_BUF(status, 64);
    VT_AUTO_BUF(made, VT_WORKLIST_BYTES_MAX);
    const uint8_t *step = attributes;
    size_t size = 0, sequence, item;
    struct vt_attribute found;
    bool started = row->state == VT_WORKLIST_STARTED;
    const char *text = started ? "STARTED" : "SCHEDULED";

    vt_worklist_step(attributes, row->size, &step, &size);
    if (!started && vt_attributes_find(step, size, TAG_STEP_STATUS, &found))
        return vt_buf_append(out, attributes, row->size, err);
    if (!vt_attributes_append(&status, TAG_STEP_STATUS, "CS", text, strlen(text), err) ||
        !vt_attributes_sequence_begin(&made, TAG_STEP_SEQUENCE, &sequence, err) ||
        !vt_attributes_item_begin(&made, &item, err) ||
        !vt_attributes_merge(status.data, status.size, step, size, &made, err))
        return false;
    vt_attributes_close(&made, item);
    vt_attributes_close(&made, sequence);
    return vt_attributes_merge(made.data, made.size, attributes, row->size, out, err);
}

/* ---- answers ---- */

static bool answer_keys(const struct vt_query *query, const struct vt_query_key *keys, size_t count,
                        const uint8_t *attributes, size_t size, struct vt_buf *out, struct vt_err *err);

static bool answer_sequence(const struct vt_query *query, const struct vt_query_key *key,
                            const struct vt_attribute *found, struct vt_buf *out, struct vt_err *err)
{
    struct vt_attributes items, item;
    size_t mark, item_mark;

    if (key->item_count == 0)
        return vt_attributes_append(out, key->tag, "SQ", found->value, found->size, err);
    if (!vt_attributes_sequence_begin(out, key->tag, &mark, err))
        return false;
    vt_attributes_begin(&items, found->value, found->size);
    while (vt_attributes_next_item(&items, &item)) {
        size_t size = (size_t)(item.end - item.at);
        if (!vt_query_item_matches(query, key, item.at, size))
            continue;
        if (!vt_attributes_item_begin(out, &item_mark, err) ||
            !answer_keys(query, key->items, key->item_count, item.at, size, out, err))
            return false;
        vt_attributes_close(out, item_mark);
    }
    vt_attributes_close(out, mark);
    return true;
}

/* What was asked for, nothing else; without a value where there is none. */
static bool answer_keys(const struct vt_query *query, const struct vt_query_key *keys, size_t count,
                        const uint8_t *attributes, size_t size, struct vt_buf *out, struct vt_err *err)
{
    struct vt_attribute found;

    for (size_t i = 0; i < count; i++) {
        bool sequence = memcmp(keys[i].vr, "SQ", 2) == 0;
        bool there = vt_attributes_find(attributes, size, keys[i].tag, &found) &&
                     (memcmp(found.vr, "SQ", 2) == 0) == sequence;
        bool ok = !there ? vt_attributes_append(out, keys[i].tag, keys[i].vr, NULL, 0, err)
                  : sequence
                      ? answer_sequence(query, &keys[i], &found, out, err)
                      : vt_attributes_append(out, found.tag, found.vr, found.value, found.size, err);
        if (!ok)
            return false;
    }
    return true;
}

/* ---- the walk ---- */

static void read_interval(struct vt_worklist_cursor *cursor)
{
    for (size_t i = 0; i < cursor->query->key_count; i++)
        if (cursor->query->keys[i].tag == TAG_STEP_SEQUENCE)
            cursor->step = &cursor->query->keys[i];
    for (size_t i = 0; cursor->step && i < cursor->step->item_count; i++) {
        const struct vt_query_key *key = &cursor->step->items[i];
        bool asked = is_moment(key);
        cursor->status = cursor->status || key->tag == TAG_STEP_STATUS;
        if (key->tag == TAG_STEP_DATE && asked) {
            const struct vt_wanted *wanted = &key->wanted[0];
            snprintf(cursor->page.low, sizeof cursor->page.low, "%.8s", wanted->text);
            snprintf(cursor->page.high, sizeof cursor->page.high, "%.8s",
                     wanted->range ? wanted->high : wanted->text);
        }
        if (key->tag == TAG_STEP_DATE && asked && key->rule == VT_RULE_UNIVERSAL)
            cursor->date = key;
        if (key->tag == TAG_STEP_TIME && asked && key->rule == VT_RULE_UNIVERSAL)
            cursor->time = key;
    }
    if (!cursor->time)
        cursor->date = NULL;
    cursor->status = cursor->status || (cursor->step && cursor->step->item_count == 0);
}

struct vt_worklist_cursor *vt_worklist_find(struct vt_archive *archive, const struct vt_query *query,
                                            struct vt_err *err)
{
    struct vt_worklist_cursor *cursor = calloc(1, sizeof *cursor);

    if (!cursor) {
        vt_fail_dimse(err, VT_E_NOMEM, 0xa700, "no memory for a query");
        return NULL;
    }
    cursor->archive = archive;
    cursor->query = query;
    cursor->page.states = VT_WORKLIST_COMPLETED;
    vt_buf_init(&cursor->attributes, (size_t)VT_WORKLIST_PAGE * VT_WORKLIST_BYTES_MAX);
    vt_buf_init(&cursor->entry, 2 * VT_WORKLIST_BYTES_MAX);
    vt_buf_init(&cursor->answer, 2 * VT_WORKLIST_BYTES_MAX);
    read_interval(cursor);
    return cursor;
}

void vt_worklist_cursor_free(struct vt_worklist_cursor *cursor)
{
    if (!cursor)
        return;
    vt_buf_fini(&cursor->attributes);
    vt_buf_fini(&cursor->entry);
    vt_buf_fini(&cursor->answer);
    free(cursor);
}

/* false with *out_row NULL: no more. */
static bool next_row(struct vt_worklist_cursor *cursor, const struct vt_worklist_row **out_row, struct vt_err *err)
{
    *out_row = NULL;
    if (cursor->at == cursor->count) {
        if (cursor->last)
            return true;
        cursor->at = 0;
        if (!vt_worklist_read_page(cursor->archive, &cursor->page, cursor->rows, &cursor->count,
                                   &cursor->attributes, err))
            return false;
        cursor->last = cursor->count < VT_WORKLIST_PAGE;
    }
    if (cursor->at < cursor->count)
        *out_row = &cursor->rows[cursor->at++];
    return true;
}

bool vt_worklist_next(struct vt_worklist_cursor *cursor, const struct vt_answer_rules *rules, struct vt_buf *out,
                      bool *out_more, struct vt_err *err)
{
    const struct vt_query *query = cursor->query;
    const struct vt_worklist_row *row;

    for (;;) {
        if (!next_row(cursor, &row, err))
            return false;
        *out_more = row != NULL;
        if (!row)
            return true;
        const uint8_t *attributes = cursor->attributes.data + row->at;
        vt_buf_reset(&cursor->entry);
        bool ok = cursor->status ? with_status(row, attributes, &cursor->entry, err)
                                 : vt_buf_append(&cursor->entry, attributes, row->size, err);
        if (!ok)
            return false;
        if (!entry_matches(cursor, row, &cursor->entry))
            continue;
        vt_buf_reset(&cursor->answer);
        return answer_keys(query, query->keys, query->key_count, cursor->entry.data, cursor->entry.size,
                           &cursor->answer, err) &&
               vt_answer_encode(query, cursor->answer.data, cursor->answer.size, rules, out, err);
    }
}
