/* From a query to a plan: what a driver can search for, and what is left to match on its rows. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/query_impl.h"
#include "core/err.h"
#include "dicom/tags.h"

enum { CONDITIONS_MAX = 2 * VT_COLUMNS };

struct combined {
    const struct vt_query_key *date, *time;
};

struct vt_plan {
    const struct vt_query *query; /* borrowed */
    struct vt_arena arena;
    struct vt_condition conditions[CONDITIONS_MAX];
    size_t condition_count;
    const struct vt_query_key **residue;
    size_t residue_count;
    struct combined combined[8];
    size_t combined_count;
};

enum vt_level vt_column_level(enum vt_column column)
{
    if (column <= VT_COL_PATIENT_SEX)
        return VT_LEVEL_PATIENT;
    if (column <= VT_COL_STUDY_MODALITIES)
        return VT_LEVEL_STUDY;
    return column <= VT_COL_SERIES_NUMBER ? VT_LEVEL_SERIES : VT_LEVEL_IMAGE;
}

/* ---- conditions ---- */

static bool add(struct vt_plan *plan, const struct vt_query_key *key, enum vt_operation operation,
                const char *const *values, size_t count, bool exact)
{
    if (plan->condition_count == CONDITIONS_MAX)
        return false;
    plan->conditions[plan->condition_count++] = (struct vt_condition){
        .column = (enum vt_column)key->key->column,
        .operation = operation,
        .values = values,
        .value_count = count,
        .exact = exact,
        .or_empty = plan->query->rules.match_unknown && key->key->use == VT_KEY_REQUIRED,
    };
    return true;
}

static const char **texts(struct vt_plan *plan, const struct vt_query_key *key, struct vt_err *err)
{
    const char **values =
        vt_arena_take(&plan->arena, (key->wanted_count + 2) * sizeof *values, err);

    for (size_t i = 0; values && i < key->wanted_count; i++)
        values[i] = key->wanted[i].text;
    return values;
}

static bool any_wild(const struct vt_query_key *key)
{
    for (size_t i = 0; i < key->wanted_count; i++)
        if (key->wanted[i].wild)
            return true;
    return false;
}

/* A pattern as prefix, as pattern, or as both: the prefix leads to few rows, the pattern tells
 * which of them. */
static bool plan_pattern(struct vt_plan *plan, const struct vt_query_key *key, const char **values,
                         size_t count, bool exact, struct vt_err *err)
{
    size_t literal = strcspn(values[0], "*?");
    bool prefix_only = count == 1 && strcmp(values[0] + literal, "*") == 0;

    if (count == 1 && literal > 0) {
        const char **prefix = vt_arena_take(&plan->arena, sizeof *prefix, err);
        if (!prefix || !(prefix[0] = vt_arena_text(&plan->arena, values[0], literal, err)))
            return false;
        add(plan, key, VT_OP_PREFIX, prefix, 1, exact || !prefix_only);
        if (prefix_only)
            return true;
    }
    add(plan, key, VT_OP_LIKE, values, count, exact);
    return true;
}

static bool plan_text(struct vt_plan *plan, const struct vt_query_key *key, bool *out_exact,
                      struct vt_err *err)
{
    const char **values = texts(plan, key, err);

    *out_exact = true;
    if (!values)
        return false;
    if (any_wild(key))
        return plan_pattern(plan, key, values, key->wanted_count, true, err);
    return add(plan, key, VT_OP_EQUAL, values, key->wanted_count, true) || true;
}

/* The first group that says something stands for a pattern of several. */
static const char *leading_group(struct vt_plan *plan, const char *pattern, bool *out_whole,
                                 struct vt_err *err)
{
    size_t size = strcspn(pattern, "=");

    *out_whole = pattern[size] == '\0';
    if (*out_whole)
        return pattern;
    while (size == 0 && *pattern == '=')
        size = strcspn(++pattern, "=");
    return vt_arena_text(&plan->arena, pattern, size, err);
}

static bool plan_name(struct vt_plan *plan, const struct vt_query_key *key, bool *out_exact,
                      struct vt_err *err)
{
    const char **values = texts(plan, key, err);
    bool wild = false;

    if (!values)
        return false;
    *out_exact = !plan->query->rules.fuzzy && !plan->query->rules.keep_accents;
    if (plan->query->rules.fuzzy)
        return true;
    for (size_t i = 0; i < key->wanted_count; i++) {
        bool whole;
        if (!(values[i] = leading_group(plan, values[i], &whole, err)))
            return false;
        *out_exact = *out_exact && whole;
        wild = wild || strpbrk(values[i], "*?");
    }
    if (wild)
        return plan_pattern(plan, key, values, key->wanted_count, *out_exact, err);
    return add(plan, key, VT_OP_EQUAL, values, key->wanted_count, *out_exact) || true;
}

/* One range, or single values; what mixes them is matched on the rows. */
static bool plan_moment(struct vt_plan *plan, const struct vt_query_key *key, bool *out_exact,
                        struct vt_err *err)
{
    const char **values = texts(plan, key, err);
    size_t ranges = 0;

    if (!values)
        return false;
    for (size_t i = 0; i < key->wanted_count; i++)
        ranges += key->wanted[i].range;
    *out_exact = ranges == 0 || (ranges == 1 && key->wanted_count == 1);
    if (ranges == 0)
        add(plan, key, VT_OP_EQUAL, values, key->wanted_count, true);
    if (ranges == 1 && key->wanted_count == 1) {
        values[1] = key->wanted[0].high;
        add(plan, key, VT_OP_RANGE, values, 2, true);
    }
    return true;
}

static bool plan_number(struct vt_plan *plan, const struct vt_query_key *key, bool *out_exact,
                        struct vt_err *err)
{
    const char **values = texts(plan, key, err);
    char text[32];

    *out_exact = false;
    for (size_t i = 0; values && i < key->wanted_count; i++) {
        double number = key->wanted[i].number;
        if (fabs(number) > 1e15 || floor(number) < number)
            return true;
        int size = snprintf(text, sizeof text, "%lld", (long long)number);
        if (!(values[i] = vt_arena_text(&plan->arena, text, (size_t)size, err)))
            return false;
    }
    *out_exact = true;
    return values && (add(plan, key, VT_OP_EQUAL, values, key->wanted_count, true) || true);
}

static bool (*const planners[])(struct vt_plan *plan, const struct vt_query_key *key,
                                bool *out_exact, struct vt_err *err) = {
    [VT_COMPARE_TEXT] = plan_text,   [VT_COMPARE_NAME] = plan_name,
    [VT_COMPARE_UID] = plan_text,    [VT_COMPARE_DATE] = plan_moment,
    [VT_COMPARE_TIME] = plan_moment, [VT_COMPARE_NUMBER] = plan_number,
};

static bool plan_key(struct vt_plan *plan, const struct vt_query_key *key, struct vt_err *err)
{
    bool exact = false;

    if (key->rule == VT_RULE_NEVER && key->key->column != VT_KEY_NO_COLUMN) {
        exact = add(plan, key, VT_OP_EQUAL, NULL, 0, true);
    } else if (key->rule == VT_RULE_VALUES && key->key->column != VT_KEY_NO_COLUMN &&
               (size_t)key->compare < VT_COUNT(planners) && planners[key->compare]) {
        if (!planners[key->compare](plan, key, &exact, err))
            return false;
    }
    if (!exact)
        plan->residue[plan->residue_count++] = key;
    return true;
}

/* ---- combined date and time ---- */

static bool is_one_range(const struct vt_query_key *key)
{
    return key && key->matched && key->rule == VT_RULE_VALUES && key->wanted_count == 1 &&
           key->wanted[0].range;
}

/* Ranges of the same form: both closed, or both open on the same side. */
static bool combines(const struct vt_plan *plan, const struct vt_query_key *date,
                     const struct vt_query_key *time)
{
    return plan->query->rules.combined_date_time && is_one_range(date) && is_one_range(time) &&
           !date->wanted[0].text[0] == !time->wanted[0].text[0] &&
           !date->wanted[0].high[0] == !time->wanted[0].high[0];
}

static void plan_combined(struct vt_plan *plan)
{
    const struct vt_query *query = plan->query;

    for (size_t i = 0; i < query->key_count && plan->combined_count < VT_COUNT(plan->combined);
         i++) {
        uint32_t tag = vt_query_time_of_date(query->keys[i].tag);
        const struct vt_query_key *time = tag ? vt_query_key_at(query, tag) : NULL;
        if (combines(plan, &query->keys[i], time))
            plan->combined[plan->combined_count++] = (struct combined){ &query->keys[i], time };
    }
}

static const struct combined *combined_with(const struct vt_plan *plan,
                                            const struct vt_query_key *key)
{
    for (size_t i = 0; i < plan->combined_count; i++)
        if (plan->combined[i].date == key || plan->combined[i].time == key)
            return &plan->combined[i];
    return NULL;
}

/* The days of the interval lead to the rows; the rest is matched on them. */
static bool plan_combined_date(struct vt_plan *plan, const struct vt_query_key *date,
                               struct vt_err *err)
{
    const char **values = texts(plan, date, err);

    if (!values)
        return false;
    values[1] = date->wanted[0].high;
    return date->key->column == VT_KEY_NO_COLUMN || add(plan, date, VT_OP_RANGE, values, 2, false);
}

/* ---- the whole ---- */

static bool make(struct vt_plan *plan, struct vt_err *err)
{
    const struct vt_query *query = plan->query;

    plan->residue =
        vt_arena_take(&plan->arena, (query->key_count + 1) * sizeof *plan->residue, err);
    if (!plan->residue)
        return false;
    plan_combined(plan);
    for (size_t i = 0; i < query->key_count; i++) {
        const struct vt_query_key *key = &query->keys[i];
        if (!key->matched || key->rule == VT_RULE_UNIVERSAL)
            continue;
        const struct combined *combined = combined_with(plan, key);
        if (combined && combined->time == key)
            continue;
        if (combined ? !plan_combined_date(plan, key, err) : !plan_key(plan, key, err))
            return false;
    }
    return true;
}

struct vt_plan *vt_plan_make(const struct vt_query *query, struct vt_err *err)
{
    struct vt_plan *plan = calloc(1, sizeof *plan);

    if (!plan) {
        vt_fail_dimse(err, VT_E_NOMEM, 0xa700, "no memory for the plan");
        return NULL;
    }
    plan->query = query;
    if (!make(plan, err)) {
        vt_plan_free(plan);
        return NULL;
    }
    return plan;
}

void vt_plan_free(struct vt_plan *plan)
{
    if (!plan)
        return;
    vt_arena_fini(&plan->arena);
    free(plan);
}

enum vt_level vt_plan_level(const struct vt_plan *plan)
{
    return plan->query->level;
}

const struct vt_condition *vt_plan_conditions(const struct vt_plan *plan, size_t *out_count)
{
    *out_count = plan->condition_count;
    return plan->conditions;
}

enum vt_order vt_plan_order(const struct vt_plan *plan)
{
    (void)plan;
    return VT_ORDER_STANDARD;
}

bool vt_plan_has_residue(const struct vt_plan *plan)
{
    return plan->residue_count > 0 || plan->combined_count > 0;
}

bool vt_plan_wants(const struct vt_plan *plan, uint32_t tag)
{
    for (size_t i = 0; i < plan->query->answer_count; i++)
        if (plan->query->answers[i].tag == tag)
            return true;
    return false;
}

bool vt_plan_matches(const struct vt_plan *plan, const struct vt_row *row)
{
    for (size_t i = 0; i < plan->residue_count; i++)
        if (!vt_query_key_matches(plan->query, plan->residue[i], row))
            return false;
    for (size_t i = 0; i < plan->combined_count; i++)
        if (!vt_query_combined_matches(plan->query, plan->combined[i].date, plan->combined[i].time,
                                       row))
            return false;
    return true;
}
