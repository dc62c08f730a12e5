/* Keys against stored values (reference 6.4). */
#include <string.h>

#include "archive/attributes.h"
#include "archive/match.h"
#include "archive/query_impl.h"
#include "core/err.h"
#include "dicom/tags.h"

enum { FOLD_ROOM = 4096 };

static bool in_range(const struct vt_wanted *wanted, const char *text)
{
    return (!wanted->text[0] || strcmp(text, wanted->text) >= 0) &&
           (!wanted->high[0] || strcmp(text, wanted->high) <= 0);
}

static bool moment_matches(const struct vt_query_key *key, const struct vt_wanted *wanted,
                           const char *value, size_t size)
{
    char text[VT_DATETIME_ROOM];
    bool good = key->compare == VT_COMPARE_DATE   ? vt_match_date(value, size, text)
                : key->compare == VT_COMPARE_TIME ? vt_match_time(value, size, false, text)
                                                  : vt_match_datetime(value, size, false, text);
    return good && (wanted->range ? in_range(wanted, text) : strcmp(text, wanted->text) == 0);
}

/* Folds into the stack: a name that does not fit there is longer than any that we keep. */
static bool name_matches(const struct vt_query *query, const struct vt_wanted *wanted,
                         const char *value, size_t size)
{
    uint8_t room[FOLD_ROOM];
    struct vt_buf folded = { .data = room, .capacity = sizeof room, .limit = sizeof room };
    struct vt_err ignored = { 0 };
    bool accents = query->rules.keep_accents && !query->rules.fuzzy;

    if (!vt_match_fold(value, size, accents, &folded, &ignored))
        return false;
    if (query->rules.fuzzy)
        return vt_match_name_fuzzy(wanted->text, wanted->size, (const char *)room, folded.size);
    return accents
               ? vt_match_name(wanted->high, strlen(wanted->high), (const char *)room, folded.size)
               : vt_match_name(wanted->text, wanted->size, (const char *)room, folded.size);
}

static bool value_matches(const struct vt_query *query, const struct vt_query_key *key,
                          const char *value, size_t size)
{
    double number;

    for (size_t i = 0; i < key->wanted_count; i++) {
        const struct vt_wanted *wanted = &key->wanted[i];
        bool match = false;
        switch (key->compare) {
        case VT_COMPARE_NAME:
            match = name_matches(query, wanted, value, size);
            break;
        case VT_COMPARE_NUMBER:
            match = vt_match_number(value, size, &number) && !(number < wanted->number) &&
                    !(number > wanted->number);
            break;
        case VT_COMPARE_DATE:
        case VT_COMPARE_TIME:
        case VT_COMPARE_DATETIME:
            match = moment_matches(key, wanted, value, size);
            break;
        default:
            match = wanted->wild ? vt_match_wild(wanted->text, wanted->size, value, size)
                                 : wanted->size == size && memcmp(wanted->text, value, size) == 0;
        }
        if (match)
            return true;
    }
    return false;
}

static bool binary_matches(const struct vt_query_key *key, const struct vt_bytes *value)
{
    size_t width = key->vr[1] == 'S' ? 2 : 4;

    for (size_t at = 0; at + width <= value->size; at += width) {
        uint32_t raw = 0;
        for (size_t i = 0; i < width; i++)
            raw |= (uint32_t)value->data[at + i] << (8 * i);
        int64_t number = raw;
        if (key->vr[0] == 'S')
            number = width == 2 ? (int64_t)(int16_t)raw : (int64_t)(int32_t)raw;
        for (size_t i = 0; i < key->wanted_count; i++)
            if (!((double)number < key->wanted[i].number) &&
                !((double)number > key->wanted[i].number))
                return true;
    }
    return false;
}

static bool is_binary(const char *vr)
{
    return (vr[0] == 'U' || vr[0] == 'S') && (vr[1] == 'S' || vr[1] == 'L');
}

static bool bytes_match(const struct vt_query *query, const struct vt_query_key *key,
                        const struct vt_bytes *value);

static bool sequence_matches(const struct vt_query *query, const struct vt_query_key *key,
                             const struct vt_bytes *value)
{
    struct vt_attributes items, item;

    vt_attributes_begin(&items, value->data, value->size);
    while (vt_attributes_next_item(&items, &item))
        if (vt_query_item_matches(query, key, item.at, (size_t)(item.end - item.at)))
            return true;
    return false;
}

bool vt_query_item_matches(const struct vt_query *query, const struct vt_query_key *sequence,
                           const uint8_t *item, size_t size)
{
    struct vt_attribute found;

    for (size_t i = 0; i < sequence->item_count; i++) {
        const struct vt_query_key *key = &sequence->items[i];
        if (key->rule == VT_RULE_UNIVERSAL)
            continue;
        if (key->rule == VT_RULE_NEVER || !vt_attributes_find(item, size, key->tag, &found))
            return false;
        struct vt_bytes value = { found.value, found.size };
        if (!bytes_match(query, key, &value))
            return false;
    }
    return true;
}

static bool bytes_match(const struct vt_query *query, const struct vt_query_key *key,
                        const struct vt_bytes *value)
{
    const char *at = (const char *)value->data, *end = at + value->size, *one;
    size_t size;

    if (key->rule == VT_RULE_SEQUENCE)
        return sequence_matches(query, key, value);
    if (is_binary(key->vr))
        return binary_matches(key, value);
    if (memcmp(key->vr, "LT", 2) == 0 || memcmp(key->vr, "ST", 2) == 0 ||
        memcmp(key->vr, "UT", 2) == 0) {
        vt_attribute_trim(value->data, value->size, &one, &size);
        return value_matches(query, key, one, size);
    }
    while (vt_match_next_value(&at, end, &one, &size))
        if (value_matches(query, key, one, size))
            return true;
    return false;
}

static bool is_empty(const struct vt_bytes *value)
{
    const char *text;
    size_t size;

    vt_attribute_trim(value->data, value->size, &text, &size);
    return size == 0;
}

bool vt_query_key_matches(const struct vt_query *query, const struct vt_query_key *key,
                          const struct vt_row *row)
{
    char scratch[VT_ROW_VALUE_ROOM];
    struct vt_bytes value;

    if (key->rule == VT_RULE_UNIVERSAL)
        return true;
    if (!vt_row_value(row, key->key, scratch, &value) || is_empty(&value))
        return query->rules.match_unknown && key->key->use == VT_KEY_REQUIRED;
    return key->rule != VT_RULE_NEVER && bytes_match(query, key, &value);
}

/* ---- dates and times as one interval (C.2.2.2.5.4) ---- */

uint32_t vt_query_time_of_date(uint32_t date_tag)
{
    static const uint32_t pairs[][2] = {
        { VT_TAG_STUDY_DATE, VT_TAG_STUDY_TIME },
        { VT_TAG_SERIES_DATE, VT_TAG_SERIES_TIME },
        { 0x00080022, 0x00080032 },
        { VT_TAG_CONTENT_DATE, VT_TAG_CONTENT_TIME },
        { VT_TAG_PPS_START_DATE, VT_TAG_PPS_START_TIME },
    };

    for (size_t i = 0; i < VT_COUNT(pairs); i++)
        if (pairs[i][0] == date_tag)
            return pairs[i][1];
    return 0;
}

bool vt_query_combined_matches(const struct vt_query *query, const struct vt_query_key *date,
                               const struct vt_query_key *time, const struct vt_row *row)
{
    const struct vt_wanted *d = &date->wanted[0], *t = &time->wanted[0];
    char scratch[VT_ROW_VALUE_ROOM], day[VT_DATE_ROOM], clock[VT_TIME_ROOM] = "000000.000000";
    struct vt_bytes value;
    const char *text;
    size_t size;

    if (!vt_row_value(row, date->key, scratch, &value) || is_empty(&value))
        return query->rules.match_unknown && date->key->use == VT_KEY_REQUIRED;
    vt_attribute_trim(value.data, value.size, &text, &size);
    if (!vt_match_date(text, size, day))
        return false;
    if (vt_row_value(row, time->key, scratch, &value)) {
        vt_attribute_trim(value.data, value.size, &text, &size);
        if (size > 0 && !vt_match_time(text, size, false, clock))
            return false;
    }
    int low = d->text[0] ? strcmp(day, d->text) : 1, high = d->high[0] ? strcmp(day, d->high) : -1;
    if (low < 0 || (low == 0 && strcmp(clock, t->text) < 0))
        return false;
    return high < 0 || (high == 0 && strcmp(clock, t->high) <= 0);
}
