/* What the values of a key ask for, and which keys of a query take part (reference 6.3, 6.4). */
#include <stdlib.h>
#include <string.h>

#include "archive/match.h"
#include "archive/query_impl.h"
#include "core/err.h"
#include "dicom/tags.h"

enum vt_compare vt_compare_of(const char *vr)
{
    static const struct {
        char vr[3];
        enum vt_compare compare;
    } table[] = {
        { "PN", VT_COMPARE_NAME },   { "UI", VT_COMPARE_UID },      { "DA", VT_COMPARE_DATE },
        { "TM", VT_COMPARE_TIME },   { "DT", VT_COMPARE_DATETIME }, { "IS", VT_COMPARE_NUMBER },
        { "DS", VT_COMPARE_NUMBER }, { "US", VT_COMPARE_NUMBER },   { "SS", VT_COMPARE_NUMBER },
        { "UL", VT_COMPARE_NUMBER }, { "SL", VT_COMPARE_NUMBER },   { "SQ", VT_COMPARE_SEQUENCE },
        { "FL", VT_COMPARE_NEVER },  { "FD", VT_COMPARE_NEVER },    { "OB", VT_COMPARE_NEVER },
        { "OW", VT_COMPARE_NEVER },  { "AT", VT_COMPARE_NEVER },    { "UN", VT_COMPARE_NEVER },
    };

    for (size_t i = 0; i < VT_COUNT(table); i++)
        if (vr[0] == table[i].vr[0] && vr[1] == table[i].vr[1])
            return table[i].compare;
    return VT_COMPARE_TEXT;
}

static bool vr_is(const char *vr, const char *names)
{
    for (; *names; names += 2)
        if (vr[0] == names[0] && vr[1] == names[1])
            return true;
    return false;
}

static bool refuse(struct vt_query *query, uint32_t tag, uint16_t status, struct vt_err *err,
                   const char *why)
{
    struct vt_query_offending *offending = query->rules.offending;

    if (offending && offending->count < VT_QUERY_OFFENDING_MAX)
        offending->tags[offending->count++] = tag;
    return vt_fail_dimse(err, VT_E_INVALID, status, "(%04x,%04x) %s", VT_TAG_GROUP(tag),
                         VT_TAG_ELEMENT(tag), why);
}

/* ---- values ---- */

static bool is_wild(const char *text, size_t size)
{
    return memchr(text, '*', size) || memchr(text, '?', size);
}

static bool set_text(struct vt_query *query, struct vt_wanted *wanted, const char *text,
                     size_t size, struct vt_err *err)
{
    wanted->text = vt_arena_text(&query->arena, text, size, err);
    wanted->size = size;
    return wanted->text != NULL;
}

static bool want_text(struct vt_query *query, const struct vt_query_key *key, const char *text,
                      size_t size, struct vt_wanted *wanted, bool *out_any, struct vt_err *err)
{
    *out_any = true;
    wanted->wild = vr_is(key->vr, "AECSLOLTSHSTUCURUT") && is_wild(text, size);
    return set_text(query, wanted, text, size, err);
}

static bool want_name(struct vt_query *query, const struct vt_query_key *key, const char *text,
                      size_t size, struct vt_wanted *wanted, bool *out_any, struct vt_err *err)
{
    (void)key;
    VT_AUTO_BUF(folded, 16 * (size_t)VT_IDENTIFIER_MAX);
    if (!vt_match_fold(text, size, false, &folded, err))
        return false;
    *out_any = folded.size > 0;
    wanted->wild = folded.size > 0 && is_wild((const char *)folded.data, folded.size);
    if (!set_text(query, wanted, (const char *)folded.data, folded.size, err) ||
        !query->rules.keep_accents)
        return wanted->text != NULL;
    vt_buf_reset(&folded);
    if (!vt_match_fold(text, size, true, &folded, err))
        return false;
    wanted->high = vt_arena_text(&query->arena, (const char *)folded.data, folded.size, err);
    return wanted->high != NULL;
}

static bool want_uid(struct vt_query *query, const struct vt_query_key *key, const char *text,
                     size_t size, struct vt_wanted *wanted, bool *out_any, struct vt_err *err)
{
    for (size_t i = 0; i < size; i++)
        if ((text[i] < '0' || text[i] > '9') && text[i] != '.')
            return !query->rules.strict ||
                   refuse(query, key->tag, 0xa900, err, "is matched by whole UIDs only");
    *out_any = true;
    return set_text(query, wanted, text, size, err);
}

typedef bool (*normaliser)(const char *text, size_t size, bool upper, char out[VT_DATETIME_ROOM]);

static bool normal_date(const char *text, size_t size, bool upper, char out[VT_DATETIME_ROOM])
{
    (void)upper;
    return vt_match_date(text, size, out);
}

static bool normal_time(const char *text, size_t size, bool upper, char out[VT_DATETIME_ROOM])
{
    return vt_match_time(text, size, upper, out);
}

/* Dates, times and both: a range, or one value. What is none of these matches nothing. */
static bool want_moment(struct vt_query *query, const struct vt_query_key *key, const char *text,
                        size_t size, struct vt_wanted *wanted, bool *out_any, struct vt_err *err)
{
    normaliser normal = key->compare == VT_COMPARE_DATE   ? normal_date
                        : key->compare == VT_COMPARE_TIME ? normal_time
                                                          : vt_match_datetime;
    struct vt_match_range range;
    char low[VT_DATETIME_ROOM] = "", high[VT_DATETIME_ROOM] = "";
    bool good;

    wanted->range = vt_match_split_range(text, size, key->compare == VT_COMPARE_DATETIME, &range);
    if (wanted->range)
        good = (range.low_size > 0 || range.high_size > 0) &&
               (range.low_size == 0 || normal(range.low, range.low_size, false, low)) &&
               (range.high_size == 0 || normal(range.high, range.high_size, true, high));
    else
        good = normal(text, size, false, low);
    if (!good)
        return !query->rules.strict ||
               refuse(query, key->tag, 0xc002, err, "is no date or time, or range of them");
    /* A time that ends before it begins may be the end of an interval of days. */
    *out_any = key->compare == VT_COMPARE_TIME || !(low[0] && high[0]) || strcmp(low, high) <= 0;
    wanted->high = vt_arena_text(&query->arena, high, strlen(high), err);
    return wanted->high && set_text(query, wanted, low, strlen(low), err);
}

static bool want_number(struct vt_query *query, const struct vt_query_key *key, const char *text,
                        size_t size, struct vt_wanted *wanted, bool *out_any, struct vt_err *err)
{
    *out_any = vt_match_number(text, size, &wanted->number);
    if (!*out_any && query->rules.strict)
        return refuse(query, key->tag, 0xc002, err, "is no number");
    return true;
}

static bool want_never(struct vt_query *query, const struct vt_query_key *key, const char *text,
                       size_t size, struct vt_wanted *wanted, bool *out_any, struct vt_err *err)
{
    (void)query, (void)key, (void)text, (void)size, (void)wanted, (void)err;
    *out_any = false;
    return true;
}

static bool (*const wants[])(struct vt_query *query, const struct vt_query_key *key,
                             const char *text, size_t size, struct vt_wanted *wanted, bool *out_any,
                             struct vt_err *err) = {
    [VT_COMPARE_TEXT] = want_text,     [VT_COMPARE_NAME] = want_name,
    [VT_COMPARE_UID] = want_uid,       [VT_COMPARE_DATE] = want_moment,
    [VT_COMPARE_TIME] = want_moment,   [VT_COMPARE_DATETIME] = want_moment,
    [VT_COMPARE_NUMBER] = want_number, [VT_COMPARE_SEQUENCE] = want_never,
    [VT_COMPARE_NEVER] = want_never,
};

static bool only_stars(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] != '*')
            return false;
    return size > 0;
}

/* '*' alone is universal where there are wild cards at all; a name may say it in each group. */
static bool is_universal(const struct vt_query_key *key, const char *text, size_t size)
{
    return size == 0 || (vr_is(key->vr, "AECSLOLTPNSHSTUCURUT") && only_stars(text, size));
}

static int by_text(const void *a, const void *b)
{
    const struct vt_wanted *x = a, *y = b;
    int order = x->text && y->text ? strcmp(x->text, y->text) : 0;
    return order ? order : (x->range > y->range) - (x->range < y->range);
}

/* A UID asked for twice is found once. */
static void drop_repeats(struct vt_query_key *key, struct vt_wanted *wanted)
{
    size_t kept = 0;

    if (key->compare != VT_COMPARE_UID || key->wanted_count < 2)
        return;
    qsort(wanted, key->wanted_count, sizeof *wanted, by_text);
    for (size_t i = 0; i < key->wanted_count; i++)
        if (i == 0 || strcmp(wanted[i].text, wanted[kept - 1].text) != 0)
            wanted[kept++] = wanted[i];
    key->wanted_count = kept;
}

bool vt_query_key_set(struct vt_query *query, struct vt_query_key *key, const char *text,
                      size_t size, struct vt_err *err)
{
    bool one = vr_is(key->vr, "LTSTUTUR");
    const char *end = text + size, *at = text, *value;
    size_t value_size, values = 1;

    key->compare = vt_compare_of(key->vr);
    key->rule = VT_RULE_UNIVERSAL;
    key->wanted = NULL;
    key->wanted_count = 0;
    if (size == 0)
        return true;
    for (size_t i = 0; !one && i < size; i++)
        values += text[i] == '\\';
    if (values > VT_QUERY_VALUES_MAX)
        return vt_fail_dimse(err, VT_E_LIMIT, 0xa700, "more than %d values in a key",
                             VT_QUERY_VALUES_MAX);
    if (values > 1 && query->rules.strict && key->compare != VT_COMPARE_UID)
        return refuse(query, key->tag, 0xa900, err, "has several values");
    struct vt_wanted *wanted = vt_arena_take(&query->arena, values * sizeof *wanted, err);
    if (!wanted)
        return false;
    bool said = false;
    while (one ? at == text : vt_match_next_value(&at, end, &value, &value_size)) {
        if (one) {
            value = text;
            value_size = size;
            at = end;
        }
        if (value_size == 0)
            continue;
        if (is_universal(key, value, value_size)) {
            key->wanted_count = 0;
            return true;
        }
        bool any = false;
        said = true;
        if (!wants[key->compare](query, key, value, value_size, &wanted[key->wanted_count], &any,
                                 err))
            return false;
        key->wanted_count += any;
    }
    key->wanted = wanted;
    key->rule = !said ? VT_RULE_UNIVERSAL : key->wanted_count > 0 ? VT_RULE_VALUES : VT_RULE_NEVER;
    drop_repeats(key, wanted);
    return true;
}

/* ---- which keys take part ---- */

static bool level_in_model(enum vt_model model, enum vt_level level)
{
    switch (model) {
    case VT_MODEL_STUDY_ROOT:
        return level >= VT_LEVEL_STUDY;
    case VT_MODEL_PATIENT_STUDY_ONLY:
        return level <= VT_LEVEL_STUDY;
    default:
        return true;
    }
}

static enum vt_level level_of(const struct vt_query *query, const struct vt_key *key)
{
    return query->rules.model == VT_MODEL_STUDY_ROOT && key->level == VT_LEVEL_PATIENT
               ? VT_LEVEL_STUDY
               : key->level;
}

static bool is_special(uint32_t tag)
{
    return tag == VT_TAG_QUERY_RETRIEVE_LEVEL || tag == VT_TAG_RETRIEVE_AE_TITLE ||
           tag == VT_TAG_INSTANCE_AVAILABILITY;
}

static bool judge_retrieve(struct vt_query *query, struct vt_query_key *key, struct vt_err *err)
{
    bool useful = key->key->use == VT_KEY_UNIQUE || key->tag == VT_TAG_ACCESSION_NUMBER;

    key->matched = useful;
    return useful || !query->rules.strict ||
           refuse(query, key->tag, 0xa900, err, "is no unique key");
}

static bool judge(struct vt_query *query, struct vt_query_key *key, struct vt_err *err)
{
    bool hierarchical =
        query->rules.strict && !query->rules.relational && query->rules.model != VT_MODEL_NONE;

    if (query->rules.retrieve)
        return judge_retrieve(query, key, err);
    if (key->key->use == VT_KEY_RETURN_ONLY) {
        query->unsupported = query->unsupported || key->rule != VT_RULE_UNIVERSAL;
        return true;
    }
    key->matched = !hierarchical || key->key->use == VT_KEY_UNIQUE ||
                   level_of(query, key->key) == query->level;
    return true;
}

static bool is_single(const struct vt_query_key *key)
{
    return key && key->rule == VT_RULE_VALUES && key->wanted_count == 1 && !key->wanted[0].wild;
}

/* Strict and hierarchical: one value of the unique key of each level above (C.4.1.1.3.1). */
static bool check_above(struct vt_query *query, struct vt_err *err)
{
    int top = query->rules.model == VT_MODEL_STUDY_ROOT ? VT_LEVEL_STUDY : VT_LEVEL_PATIENT;

    if (!query->rules.strict || query->rules.relational || query->rules.model == VT_MODEL_NONE)
        return true;
    for (int level = top; level < (int)query->level; level++) {
        uint32_t tag = vt_key_unique((enum vt_level)level)->tag;
        if (!is_single(vt_query_key_at(query, tag)))
            return refuse(query, tag, 0xa900, err, "must be one value at this level");
    }
    return true;
}

/* A pattern names nobody: `P*` would send half the archive. */
static bool names_something(const struct vt_query_key *key)
{
    bool names = key->rule != VT_RULE_UNIVERSAL;

    for (size_t i = 0; names && i < key->wanted_count; i++)
        names = !key->wanted[i].wild;
    return names;
}

/* A retrieve that names nothing would mean everything. */
static bool check_retrieve(struct vt_query *query, struct vt_err *err)
{
    uint32_t unique = vt_key_unique(query->level)->tag;
    const struct vt_query_key *own = vt_query_key_at(query, unique);

    if (!query->rules.retrieve)
        return true;
    bool named = own && names_something(own);
    for (size_t i = 0; !named && !query->rules.strict && i < query->key_count; i++)
        named = query->keys[i].matched && names_something(&query->keys[i]);
    return named || refuse(query, unique, 0xa900, err, "names nothing to retrieve");
}

static int by_tag(const void *a, const void *b)
{
    const struct vt_query_key *x = a, *y = b;
    return (x->tag > y->tag) - (x->tag < y->tag);
}

static bool list_answers(struct vt_query *query, struct vt_err *err)
{
    static const uint32_t always[] = { VT_TAG_QUERY_RETRIEVE_LEVEL, VT_TAG_RETRIEVE_AE_TITLE,
                                       VT_TAG_INSTANCE_AVAILABILITY };
    bool patient = query->level == VT_LEVEL_PATIENT ||
                   query->rules.model == VT_MODEL_PATIENT_ROOT ||
                   query->rules.model == VT_MODEL_PATIENT_STUDY_ONLY;
    struct vt_query_key *answers = vt_arena_take(
        &query->arena, (query->key_count + VT_COUNT(always) + VT_LEVELS) * sizeof *answers, err);
    size_t count = query->key_count;

    if (!answers)
        return false;
    if (count > 0)
        memcpy(answers, query->keys, count * sizeof *answers);
    for (size_t i = 0; i < VT_COUNT(always); i++)
        answers[count++] = (struct vt_query_key){ .tag = always[i] };
    for (int level = patient ? VT_LEVEL_PATIENT : VT_LEVEL_STUDY; level <= (int)query->level;
         level++) {
        const struct vt_key *unique = vt_key_unique((enum vt_level)level);
        if (vt_query_key_at(query, unique->tag))
            continue;
        answers[count] = (struct vt_query_key){ .tag = unique->tag, .key = unique };
        memcpy(answers[count++].vr, unique->vr, 3);
    }
    qsort(answers, count, sizeof *answers, by_tag);
    query->answers = answers;
    query->answer_count = count;
    return true;
}

bool vt_query_finish(struct vt_query *query, struct vt_query_key *keys, size_t count,
                     struct vt_err *err)
{
    size_t kept = 0;

    if (!level_in_model(query->rules.model, query->level))
        return refuse(query, VT_TAG_QUERY_RETRIEVE_LEVEL, 0xa900, err, "is no level of this model");
    if (count > 0)
        qsort(keys, count, sizeof *keys, by_tag);
    for (size_t i = 0; i < count; i++) {
        if (is_special(keys[i].tag) || (kept > 0 && keys[kept - 1].tag == keys[i].tag))
            continue;
        if (!keys[i].key || keys[i].key->level > query->level) {
            query->unsupported = true;
            continue;
        }
        if (!judge(query, &keys[i], err))
            return false;
        keys[kept++] = keys[i];
    }
    query->keys = keys;
    query->key_count = kept;
    return check_above(query, err) && check_retrieve(query, err) && list_answers(query, err);
}
