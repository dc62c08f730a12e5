/* The memory driver: matches by walking everything. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/index_memory.h"
#include "core/err.h"

struct match {
    size_t patient, study, series, instance;
};

struct mem_cursor {
    const struct vt_index_driver *driver;
    struct mem_index *index;
    struct mem_world *world;
    const struct vt_plan *plan; /* borrowed */
    struct match *matches;
    size_t count, at;
    struct match *below; /* select: instances of the match at hand, in order */
    size_t below_count, below_at;
};

static struct mem_cursor *self(struct vt_cursor *base)
{
    return (struct mem_cursor *)(void *)base;
}

/* ---- columns and conditions ---- */

enum kind { TEXT, NAME, LIST };

/* The column's text of a match; numbers as text without leading zeros. */
static const char *column_text(const struct mem_world *world, enum vt_level level,
                               const struct match *m, enum vt_column column, char number[24],
                               enum kind *out_kind)
{
    const struct vt_patient_columns *about = level == VT_LEVEL_PATIENT
                                                 ? &world->patients[m->patient].columns
                                                 : &world->studies[m->study].about;
    const struct mem_study *study = level >= VT_LEVEL_STUDY ? &world->studies[m->study] : NULL;
    const struct mem_series *series = level >= VT_LEVEL_SERIES ? &world->series[m->series] : NULL;
    const struct mem_instance *instance =
        level >= VT_LEVEL_IMAGE ? &world->instances[m->instance] : NULL;

    *out_kind = column == VT_COL_PATIENT_NAME || column == VT_COL_STUDY_REFERRING ? NAME
                : column == VT_COL_STUDY_MODALITIES                               ? LIST
                                                                                  : TEXT;
    number[0] = '\0';
    switch (column) {
    case VT_COL_PATIENT_ID:
        return about->id;
    case VT_COL_PATIENT_ISSUER:
        return about->issuer;
    case VT_COL_PATIENT_NAME:
        return about->name;
    case VT_COL_PATIENT_BIRTH_DATE:
        return about->birth_date;
    case VT_COL_PATIENT_SEX:
        return about->sex;
    case VT_COL_STUDY_UID:
        return study->uid;
    case VT_COL_STUDY_DATE:
        return study->columns.date;
    case VT_COL_STUDY_TIME:
        return study->columns.time;
    case VT_COL_STUDY_ACCESSION:
        return study->columns.accession;
    case VT_COL_STUDY_ID:
        return study->columns.study_id;
    case VT_COL_STUDY_DESCRIPTION:
        return study->columns.description;
    case VT_COL_STUDY_REFERRING:
        return study->columns.referring;
    case VT_COL_STUDY_MODALITIES:
        return study->modalities;
    case VT_COL_SERIES_UID:
        return series->uid;
    case VT_COL_SERIES_MODALITY:
        return series->columns.modality;
    case VT_COL_SERIES_NUMBER:
        if (series->columns.has_number)
            snprintf(number, 24, "%" PRId64, series->columns.number);
        return number;
    case VT_COL_INSTANCE_UID:
        return instance->entry.sop_uid;
    case VT_COL_INSTANCE_CLASS:
        return instance->entry.sop_class;
    case VT_COL_INSTANCE_NUMBER:
        if (instance->has_number)
            snprintf(number, 24, "%" PRId64, instance->number);
        return number;
    default:
        return number;
    }
}

static bool pattern_fits(enum kind kind, const char *pattern, const char *text)
{
    size_t size = strlen(pattern), value_size;
    const char *at = text, *end = text + strlen(text), *value;

    if (kind == NAME)
        return vt_match_name(pattern, size, text, (size_t)(end - text));
    if (kind == TEXT)
        return vt_match_wild(pattern, size, text, (size_t)(end - text));
    while (vt_match_next_value(&at, end, &value, &value_size))
        if (vt_match_wild(pattern, size, value, value_size))
            return true;
    return false;
}

static bool value_fits(enum kind kind, enum vt_operation operation, const char *value,
                       const char *text)
{
    char pattern[VT_COLUMN_NAME + 2];

    if (operation == VT_OP_LIKE || (operation == VT_OP_EQUAL && kind != TEXT))
        return pattern_fits(kind, value, text);
    if (operation == VT_OP_EQUAL)
        return strcmp(value, text) == 0;
    if (kind == TEXT)
        return strncmp(value, text, strlen(value)) == 0;
    snprintf(pattern, sizeof pattern, "%s*", value);
    return pattern_fits(kind, pattern, text);
}

static bool condition_fits(const struct vt_condition *condition, enum kind kind, const char *text)
{
    if (!text[0] && condition->or_empty)
        return true;
    if (condition->operation == VT_OP_RANGE)
        return text[0] && strcmp(text, condition->values[0]) >= 0 &&
               (!condition->values[1][0] || strcmp(text, condition->values[1]) <= 0);
    for (size_t i = 0; i < condition->value_count; i++)
        if (value_fits(kind, condition->operation, condition->values[i], text))
            return true;
    return false;
}

static void fill_row(const struct mem_world *world, enum vt_level level, const struct match *m,
                     struct vt_row *out);

static bool fits(const struct mem_cursor *cursor, const struct match *m)
{
    enum vt_level level = vt_plan_level(cursor->plan);
    size_t count;
    const struct vt_condition *conditions = vt_plan_conditions(cursor->plan, &count);
    struct vt_row row;

    for (size_t i = 0; i < count; i++) {
        char number[24];
        enum kind kind;
        const char *text =
            column_text(cursor->world, level, m, conditions[i].column, number, &kind);
        if (!condition_fits(&conditions[i], kind, text))
            return false;
    }
    if (!vt_plan_has_residue(cursor->plan))
        return true;
    fill_row(cursor->world, level, m, &row);
    return vt_plan_matches(cursor->plan, &row);
}

/* ---- rows ---- */

static struct vt_bytes bytes_of(const struct vt_buf *buf)
{
    return (struct vt_bytes){ buf->data, buf->size };
}

static void count_below(const struct mem_world *world, const struct match *m, struct vt_row *row)
{
    for (size_t i = 0; i < world->study_count; i++)
        row->patient_studies += !world->studies[i].gone && world->studies[i].patient == m->patient;
    for (size_t i = 0; i < world->series_count; i++) {
        const struct mem_series *series = &world->series[i];
        row->patient_series += !series->gone && world->studies[series->study].patient == m->patient;
        row->study_series += !series->gone && series->study == m->study;
    }
    for (size_t i = 0; i < world->instance_count; i++) {
        const struct mem_instance *instance = &world->instances[i];
        size_t study = world->series[instance->series].study;
        if (instance->gone)
            continue;
        row->patient_instances += world->studies[study].patient == m->patient;
        row->study_instances += study == m->study;
        row->series_instances += instance->series == m->series;
    }
}

static void fill_row(const struct mem_world *world, enum vt_level level, const struct match *m,
                     struct vt_row *out)
{
    *out = (struct vt_row){ .level = level, .availability = "ONLINE" };
    count_below(world, m, out);
    if (level == VT_LEVEL_PATIENT) {
        out->attributes[0] = bytes_of(&world->patients[m->patient].attributes);
        out->patient_id = world->patients[m->patient].columns.id;
        return;
    }
    const struct mem_study *study = &world->studies[m->study];
    out->attributes[0] = bytes_of(&study->patient_attributes);
    out->attributes[1] = bytes_of(&study->attributes);
    out->patient_id = study->about.id;
    out->study_uid = study->uid;
    out->modalities = study->modalities;
    out->sop_classes = study->classes;
    if (level < VT_LEVEL_SERIES)
        return;
    out->attributes[2] = bytes_of(&world->series[m->series].attributes);
    out->series_uid = world->series[m->series].uid;
    if (level < VT_LEVEL_IMAGE)
        return;
    const struct mem_instance *instance = &world->instances[m->instance];
    out->attributes[3] = bytes_of(&instance->attributes);
    out->sop_uid = instance->entry.sop_uid;
    out->sop_class = instance->entry.sop_class;
    out->transfer_syntax = instance->entry.transfer_syntax;
}

/* ---- order: newest study, name; series number; instance number ---- */

static int numbers(bool has_a, int64_t a, bool has_b, int64_t b)
{
    if (has_a != has_b)
        return has_a - has_b;
    return !has_a ? 0 : (a > b) - (a < b);
}

static int by_standard(const void *a, const void *b, void *context)
{
    const struct mem_cursor *cursor = context;
    const struct mem_world *world = cursor->world;
    const struct match *x = a, *y = b;
    enum vt_level level = vt_plan_level(cursor->plan);
    int order;

    if (level == VT_LEVEL_PATIENT)
        return strcmp(world->patients[x->patient].columns.name,
                      world->patients[y->patient].columns.name);
    const struct mem_study *s = &world->studies[x->study], *t = &world->studies[y->study];
    if ((order = strcmp(t->columns.date, s->columns.date)) ||
        (order = strcmp(t->columns.time, s->columns.time)) ||
        (order = strcmp(s->about.name, t->about.name)) ||
        (order = (x->study > y->study) - (x->study < y->study)))
        return order;
    if (level < VT_LEVEL_SERIES)
        return 0;
    const struct vt_series_columns *e = &world->series[x->series].columns,
                                   *f = &world->series[y->series].columns;
    if ((order = numbers(e->has_number, e->number, f->has_number, f->number)) ||
        (order = (x->series > y->series) - (x->series < y->series)) || level < VT_LEVEL_IMAGE)
        return order;
    const struct mem_instance *i = &world->instances[x->instance],
                              *j = &world->instances[y->instance];
    return numbers(i->has_number, i->number, j->has_number, j->number);
}

/* ---- walking ---- */

static bool match_at(const struct mem_world *world, enum vt_level level, size_t i,
                     struct match *out)
{
    *out = (struct match){ 0 };
    switch (level) {
    case VT_LEVEL_PATIENT:
        out->patient = i;
        out->study = out->series = SIZE_MAX;
        return !world->patients[i].gone;
    case VT_LEVEL_IMAGE:
        out->instance = i;
        if (world->instances[i].gone)
            return false;
        i = world->instances[i].series;
        __attribute__((fallthrough));
    case VT_LEVEL_SERIES:
        out->series = i;
        if (world->series[i].gone)
            return false;
        i = world->series[i].study;
        __attribute__((fallthrough));
    default:
        out->study = i;
        out->patient = world->studies[i].patient;
        return !world->studies[i].gone;
    }
}

static size_t rows_at(const struct mem_world *world, enum vt_level level)
{
    const size_t counts[VT_LEVELS] = { world->patient_count, world->study_count,
                                       world->series_count, world->instance_count };
    return counts[level];
}

struct vt_cursor *mem_find(struct vt_index *base, const struct vt_plan *plan, struct vt_err *err)
{
    struct mem_cursor *cursor = calloc(1, sizeof *cursor);
    enum vt_level level = vt_plan_level(plan);

    if (!cursor) {
        vt_fail(err, VT_E_NOMEM, "no memory for a cursor");
        return NULL;
    }
    cursor->driver = &vt_index_memory;
    cursor->index = (struct mem_index *)(void *)base;
    cursor->plan = plan;
    cursor->world = mem_world_take(cursor->index);
    size_t count = rows_at(cursor->world, level);
    cursor->matches = reallocarray(NULL, count + 1, sizeof *cursor->matches);
    if (!cursor->matches) {
        mem_cursor_free((struct vt_cursor *)(void *)cursor);
        vt_fail(err, VT_E_NOMEM, "no memory for %zu matches", count);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        if (match_at(cursor->world, level, i, &cursor->matches[cursor->count]) &&
            fits(cursor, &cursor->matches[cursor->count]))
            cursor->count++;
    qsort_r(cursor->matches, cursor->count, sizeof *cursor->matches, by_standard, cursor);
    return (struct vt_cursor *)(void *)cursor;
}

void mem_cursor_free(struct vt_cursor *base)
{
    struct mem_cursor *cursor = self(base);

    if (!cursor)
        return;
    mem_world_give(cursor->index, cursor->world);
    free(cursor->matches);
    free(cursor->below);
    free(cursor);
}

bool mem_next(struct vt_cursor *base, struct vt_row *out, bool *out_more, struct vt_err *err)
{
    struct mem_cursor *cursor = self(base);

    (void)err;
    *out_more = cursor->at < cursor->count;
    if (*out_more)
        fill_row(cursor->world, vt_plan_level(cursor->plan), &cursor->matches[cursor->at++], out);
    return true;
}

/* ---- instances below matches ---- */

static bool is_below(enum vt_level level, const struct match *match, const struct match *instance)
{
    switch (level) {
    case VT_LEVEL_PATIENT:
        return instance->patient == match->patient;
    case VT_LEVEL_STUDY:
        return instance->study == match->study;
    case VT_LEVEL_SERIES:
        return instance->series == match->series;
    default:
        return instance->instance == match->instance;
    }
}

static int by_place(const void *a, const void *b, void *context)
{
    const struct mem_world *world = context;
    const struct match *x = a, *y = b;
    const struct mem_study *s = &world->studies[x->study], *t = &world->studies[y->study];
    const struct vt_series_columns *e = &world->series[x->series].columns,
                                   *f = &world->series[y->series].columns;
    const struct mem_instance *i = &world->instances[x->instance],
                              *j = &world->instances[y->instance];
    int order;

    if ((order = strcmp(t->columns.date, s->columns.date)) ||
        (order = strcmp(t->columns.time, s->columns.time)) ||
        (order = (x->study > y->study) - (x->study < y->study)) ||
        (order = numbers(e->has_number, e->number, f->has_number, f->number)) ||
        (order = (x->series > y->series) - (x->series < y->series)))
        return order;
    return numbers(i->has_number, i->number, j->has_number, j->number);
}

static bool enter(struct mem_cursor *cursor, const struct match *match, struct vt_err *err)
{
    const struct mem_world *world = cursor->world;
    struct match *below = reallocarray(cursor->below, world->instance_count + 1, sizeof *below);

    if (!below)
        return vt_fail(err, VT_E_NOMEM, "no memory for %zu instances", world->instance_count);
    cursor->below = below;
    cursor->below_count = cursor->below_at = 0;
    for (size_t i = 0; i < world->instance_count; i++) {
        struct match instance;
        if (match_at(world, VT_LEVEL_IMAGE, i, &instance) &&
            is_below(vt_plan_level(cursor->plan), match, &instance))
            below[cursor->below_count++] = instance;
    }
    qsort_r(below, cursor->below_count, sizeof *below, by_place, cursor->world);
    return true;
}

bool mem_select_next(struct vt_cursor *base, struct vt_index_entry *out, bool *out_more,
                     struct vt_err *err)
{
    struct mem_cursor *cursor = self(base);

    while (cursor->below_at == cursor->below_count && cursor->at < cursor->count)
        if (!enter(cursor, &cursor->matches[cursor->at++], err))
            return false;
    *out_more = cursor->below_at < cursor->below_count;
    if (*out_more)
        *out = cursor->world->instances[cursor->below[cursor->below_at++].instance].entry;
    return true;
}
