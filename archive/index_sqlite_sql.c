/* A plan as SQL, by tables: which condition leads to the rows (the driving one), through which
 * index, in which order; all conditions are tested again as filters where the driving one does not
 * already imply them. CROSS JOIN, INDEXED BY and LIMIT -1 (which keeps a subquery apart) fix the
 * order of loops: SQLite has no statistics to choose by. */
#include "archive/index_sqlite.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "dicom/tags.h"

enum { TRIGRAMS_MAX = 8, NARROW_DAYS = 62 };

enum kind { TEXT, NAME, NUMBER, LIST, WORD };

static const struct {
    const char *study;   /* below patient level */
    const char *patient; /* at patient level */
    enum kind kind;
    const char *fts; /* column of study_words */
} columns[VT_COLUMNS] = {
    [VT_COL_PATIENT_ID] = { "s.pid", "p.pid", TEXT, NULL },
    [VT_COL_PATIENT_ISSUER] = { "s.issuer", "p.issuer", TEXT, NULL },
    [VT_COL_PATIENT_NAME] = { "s.name", "p.name", NAME, "name" },
    [VT_COL_PATIENT_BIRTH_DATE] = { "s.birth", "p.birth", TEXT, NULL },
    [VT_COL_PATIENT_SEX] = { "s.sex", "p.sex", TEXT, NULL },
    [VT_COL_STUDY_UID] = { "s.uid", NULL, TEXT, NULL },
    [VT_COL_STUDY_DATE] = { "s.date", NULL, TEXT, NULL },
    [VT_COL_STUDY_TIME] = { "s.time", NULL, TEXT, NULL },
    [VT_COL_STUDY_ACCESSION] = { "s.accession", NULL, TEXT, "accession" },
    [VT_COL_STUDY_ID] = { "s.study_id", NULL, TEXT, NULL },
    [VT_COL_STUDY_DESCRIPTION] = { "s.description", NULL, TEXT, "description" },
    [VT_COL_STUDY_REFERRING] = { "s.referring", NULL, NAME, "referring" },
    [VT_COL_STUDY_MODALITIES] = { "s.modalities", NULL, LIST, NULL },
    [VT_COL_SERIES_UID] = { "e.uid", NULL, TEXT, NULL },
    [VT_COL_SERIES_MODALITY] = { "e.modality", NULL, TEXT, NULL },
    [VT_COL_SERIES_NUMBER] = { "e.number", NULL, NUMBER, NULL },
    [VT_COL_INSTANCE_UID] = { "i.uid", NULL, TEXT, NULL },
    [VT_COL_INSTANCE_CLASS] = { "i.class", NULL, WORD, NULL },
    [VT_COL_INSTANCE_NUMBER] = { "i.number", NULL, NUMBER, NULL },
};

/* The ways to the rows, best first. */
enum way { WAY_INDEX, WAY_NAMES, WAY_WORDS, WAY_UID };
static const struct access {
    enum vt_column column;
    enum vt_operation operation;
    enum way way;
    const char *index;
    bool narrow_only; /* date ranges of some weeks at most */
} accesses[] = {
    { VT_COL_INSTANCE_UID, VT_OP_EQUAL, WAY_UID, NULL, false },
    { VT_COL_SERIES_UID, VT_OP_EQUAL, WAY_UID, NULL, false },
    { VT_COL_STUDY_UID, VT_OP_EQUAL, WAY_UID, NULL, false },
    { VT_COL_STUDY_ACCESSION, VT_OP_EQUAL, WAY_INDEX, "study_accession", false },
    { VT_COL_PATIENT_ID, VT_OP_EQUAL, WAY_INDEX, "study_pid", false },
    { VT_COL_PATIENT_NAME, VT_OP_EQUAL, WAY_NAMES, NULL, false },
    { VT_COL_STUDY_ID, VT_OP_EQUAL, WAY_INDEX, "study_study_id", false },
    { VT_COL_STUDY_DATE, VT_OP_EQUAL, WAY_INDEX, "study_date", false },
    { VT_COL_STUDY_DATE, VT_OP_RANGE, WAY_INDEX, "study_date", true },
    { VT_COL_PATIENT_BIRTH_DATE, VT_OP_EQUAL, WAY_INDEX, "study_birth", false },
    { VT_COL_PATIENT_NAME, VT_OP_PREFIX, WAY_NAMES, NULL, false },
    { VT_COL_STUDY_ACCESSION, VT_OP_PREFIX, WAY_INDEX, "study_accession", false },
    { VT_COL_PATIENT_ID, VT_OP_PREFIX, WAY_INDEX, "study_pid", false },
    { VT_COL_STUDY_REFERRING, VT_OP_EQUAL, WAY_WORDS, NULL, false },
    { VT_COL_STUDY_DESCRIPTION, VT_OP_EQUAL, WAY_INDEX, "study_description", false },
    { VT_COL_PATIENT_NAME, VT_OP_LIKE, WAY_WORDS, NULL, false },
    { VT_COL_STUDY_ACCESSION, VT_OP_LIKE, WAY_WORDS, NULL, false },
    { VT_COL_STUDY_DESCRIPTION, VT_OP_PREFIX, WAY_INDEX, "study_description", false },
    { VT_COL_STUDY_REFERRING, VT_OP_PREFIX, WAY_WORDS, NULL, false },
    { VT_COL_STUDY_REFERRING, VT_OP_LIKE, WAY_WORDS, NULL, false },
    { VT_COL_STUDY_DESCRIPTION, VT_OP_LIKE, WAY_WORDS, NULL, false },
    { VT_COL_STUDY_ID, VT_OP_PREFIX, WAY_INDEX, "study_study_id", false },
    { VT_COL_STUDY_DATE, VT_OP_RANGE, WAY_INDEX, "study_date", false },
};

/* ---- text ---- */

static bool add(struct sq_sql *sql, struct vt_err *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool add(struct sq_sql *sql, struct vt_err *err, const char *format, ...)
{
    size_t used = strlen(sql->text);
    va_list args;

    va_start(args, format);
    int size = vsnprintf(sql->text + used, sizeof sql->text - used, format, args);
    va_end(args);
    return (size >= 0 && (size_t)size < sizeof sql->text - used) ||
           vt_fail(err, VT_E_LIMIT, "the query needs more SQL than %zu bytes", sizeof sql->text);
}

static bool bind_text(struct sq_sql *sql, const char *text, size_t size, struct vt_err *err)
{
    sql->bind_count++;
    return vt_buf_append(&sql->binds, text, size, err) && vt_buf_append_byte(&sql->binds, 0, err);
}

/* The least text above all that begin with the prefix. */
static bool bind_above(struct sq_sql *sql, const char *prefix, struct vt_err *err)
{
    size_t size = strlen(prefix);

    if (!bind_text(sql, prefix, size, err))
        return false;
    if (size > 0)
        sql->binds.data[sql->binds.size - 2]++;
    return true;
}

static bool star_last_bind(struct sq_sql *sql, struct vt_err *err)
{
    sql->binds.data[sql->binds.size - 1] = '*';
    return vt_buf_append_byte(&sql->binds, 0, err);
}

static bool bind_json(struct sq_sql *sql, const struct vt_condition *condition, struct vt_err *err)
{
    struct vt_buf *out = &sql->binds;
    bool ok = vt_buf_append_byte(out, '[', err);

    sql->bind_count++;
    for (size_t i = 0; ok && i < condition->value_count; i++) {
        ok = vt_buf_append_text(out, i ? ",\"" : "\"", err);
        for (const char *c = condition->values[i]; ok && *c; c++)
            ok = (unsigned char)*c < 0x20 || *c == '"' || *c == '\\'
                     ? vt_buf_printf(out, err, "\\u%04x", (unsigned)(unsigned char)*c)
                     : vt_buf_append_byte(out, (uint8_t)*c, err);
        ok = ok && vt_buf_append_byte(out, '"', err);
    }
    return ok && vt_buf_append_byte(out, ']', err) && vt_buf_append_byte(out, 0, err);
}

/* ---- trigrams ---- */

static size_t characters(const char *at, const char *end, size_t wanted)
{
    const char *p = at;

    for (; wanted > 0; wanted--) {
        if (p >= end)
            return 0;
        p++;
        while (p < end && ((unsigned char)*p & 0xc0) == 0x80)
            p++;
    }
    return (size_t)(p - at);
}

static bool add_trigram(struct vt_buf *out, const char *text, size_t size, bool first,
                        struct vt_err *err)
{
    bool ok = vt_buf_append_text(out, first ? "\"" : " AND \"", err);

    for (size_t i = 0; ok && i < size; i++)
        ok = (text[i] != '"' || vt_buf_append_byte(out, '"', err)) &&
             vt_buf_append_byte(out, (uint8_t)text[i], err);
    return ok && vt_buf_append_byte(out, '"', err);
}

/* Appends the FTS5 query for the literal runs of a pattern; out_any: there is one of three
 * characters. */
static bool add_trigrams(struct vt_buf *out, const char *pattern, bool *out_any, struct vt_err *err)
{
    int count = 0;

    while (*pattern && count < TRIGRAMS_MAX) {
        const char *end = pattern + strcspn(pattern, "*?");
        for (size_t size; count < TRIGRAMS_MAX && (size = characters(pattern, end, 3)) > 0;
             count++) {
            if (!add_trigram(out, pattern, size, count == 0, err))
                return false;
            pattern += characters(pattern, end, 1);
        }
        pattern = end + (*end != '\0');
    }
    *out_any = count > 0;
    return true;
}

static bool has_trigram(const char *pattern)
{
    while (*pattern) {
        const char *end = pattern + strcspn(pattern, "*?");
        if (characters(pattern, end, 3) > 0)
            return true;
        pattern = end + (*end != '\0');
    }
    return false;
}

/* ---- conditions ---- */

static const char *column_of(const struct vt_plan *plan, enum vt_column column)
{
    return vt_plan_level(plan) == VT_LEVEL_PATIENT ? columns[column].patient
                                                   : columns[column].study;
}

static bool add_pattern(struct sq_sql *sql, const char *function, const char *column,
                        const struct vt_condition *condition, struct vt_err *err)
{
    bool ok = add(sql, err, "(");

    for (size_t i = 0; ok && i < condition->value_count; i++) {
        const char *value = condition->values[i];
        ok = add(sql, err, "%s%s(?,%s)", i ? " OR " : "", function, column) &&
             bind_text(sql, value, strlen(value), err);
        ok = ok && (condition->operation != VT_OP_PREFIX || star_last_bind(sql, err));
    }
    return ok && add(sql, err, ")");
}

static bool add_range(struct sq_sql *sql, const char *column, const struct vt_condition *condition,
                      struct vt_err *err)
{
    const char *low = condition->values[0], *high = condition->values[1];

    if (!(low[0] ? add(sql, err, "%s>=?", column) && bind_text(sql, low, strlen(low), err)
                 : add(sql, err, "%s>''", column)))
        return false;
    return !high[0] ||
           (add(sql, err, " AND %s<=?", column) && bind_text(sql, high, strlen(high), err));
}

static bool add_equal(struct sq_sql *sql, const char *column, enum kind kind,
                      const struct vt_condition *condition, struct vt_err *err)
{
    if (kind == WORD)
        return add(sql, err,
                   "(%s IN (SELECT w.id FROM word w WHERE w.text IN (SELECT value FROM "
                   "json_each(?)))"
                   " OR %s IN (SELECT value FROM json_each(?)))",
                   column, column) &&
               bind_json(sql, condition, err) && bind_json(sql, condition, err);
    if (condition->value_count == 1)
        return add(sql, err, "%s=?", column) &&
               bind_text(sql, condition->values[0], strlen(condition->values[0]), err);
    return add(sql, err,
               kind == NUMBER ? "%s IN (SELECT CAST(value AS INTEGER) FROM json_each(?))"
                              : "%s IN (SELECT value FROM json_each(?))",
               column) &&
           bind_json(sql, condition, err);
}

static bool add_prefix(struct sq_sql *sql, const char *column, const struct vt_condition *condition,
                       struct vt_err *err)
{
    const char *value = condition->values[0];
    return add(sql, err, "%s>=? AND %s<?", column, column) &&
           bind_text(sql, value, strlen(value), err) && bind_above(sql, value, err);
}

static bool add_test(struct sq_sql *sql, const char *column, enum kind kind,
                     const struct vt_condition *condition, struct vt_err *err)
{
    if (kind == NAME)
        return add_pattern(sql, "vt_name", column, condition, err);
    if (kind == LIST)
        return add_pattern(sql, "vt_list", column, condition, err);
    switch (condition->operation) {
    case VT_OP_EQUAL:
        return add_equal(sql, column, kind, condition, err);
    case VT_OP_PREFIX:
        return add_prefix(sql, column, condition, err);
    case VT_OP_RANGE:
        return add_range(sql, column, condition, err);
    default:
        return add_pattern(sql, "vt_wild", column, condition, err);
    }
}

static bool add_filter(struct sq_sql *sql, const struct vt_plan *plan,
                       const struct vt_condition *condition, bool first, struct vt_err *err)
{
    const char *column = column_of(plan, condition->column);
    enum kind kind = columns[condition->column].kind;

    if (!add(sql, err, first ? " WHERE (" : " AND (") ||
        !add_test(sql, column, kind, condition, err))
        return false;
    if (condition->or_empty &&
        !add(sql, err, kind == NUMBER ? " OR %s IS NULL" : " OR %s=''", column))
        return false;
    return add(sql, err, ")");
}

/* ---- the driving condition ---- */

static int day_number(const char *date)
{
    int year = 0, month = 0, day = 0;
    return sscanf(date, "%4d%2d%2d", &year, &month, &day) == 3 ? year * 372 + month * 31 + day : 0;
}

static bool is_narrow(const struct vt_condition *range)
{
    return range->values[0][0] && range->values[1][0] &&
           day_number(range->values[1]) - day_number(range->values[0]) <= NARROW_DAYS;
}

static bool can_drive(const struct vt_condition *condition, const struct access *access)
{
    if (condition->column != access->column || condition->operation != access->operation ||
        condition->or_empty)
        return false;
    if (condition->operation == VT_OP_PREFIX || condition->operation == VT_OP_LIKE) {
        if (condition->value_count != 1 || !condition->values[0][0])
            return false;
    }
    if (access->way == WAY_WORDS &&
        (condition->value_count != 1 || !has_trigram(condition->values[0])))
        return false;
    return !access->narrow_only || is_narrow(condition);
}

static const struct vt_condition *driving(const struct vt_plan *plan,
                                          const struct access **out_access)
{
    size_t count;
    const struct vt_condition *conditions = vt_plan_conditions(plan, &count);

    for (size_t a = 0; a < VT_COUNT(accesses); a++)
        for (size_t i = 0; i < count; i++)
            if (can_drive(&conditions[i], &accesses[a])) {
                *out_access = &accesses[a];
                return &conditions[i];
            }
    return NULL;
}

/* Names: ranges or values of study_name, patient_name. */
static bool add_name_test(struct sq_sql *sql, const struct vt_condition *condition,
                          struct vt_err *err)
{
    return condition->operation == VT_OP_PREFIX ? add_prefix(sql, "k.name", condition, err)
                                                : add_equal(sql, "k.name", TEXT, condition, err);
}

/* A study whose name fits in several groups is found once. For one pattern, rows of later groups
 * ask whether an earlier one fits too, which costs nothing where names have one group. */
static bool add_once(struct sq_sql *sql, const struct vt_condition *condition, struct vt_err *err)
{
    const char *value = condition->values[0];

    if (condition->value_count != 1)
        return add(sql, err, " GROUP BY k.study ORDER BY");
    return add(sql, err,
               " AND (k.place=0 OR NOT (SELECT vt_again(?, s.name, k.place) FROM study s WHERE "
               "s.id=k.study))"
               " ORDER BY") &&
           bind_text(sql, value, strlen(value), err) &&
           (condition->operation != VT_OP_PREFIX || star_last_bind(sql, err));
}

static bool add_match(struct sq_sql *sql, const struct vt_condition *condition, const char *table,
                      bool columns_named, struct vt_err *err)
{
    bool any;

    sql->bind_count++;
    if (!add(sql, err, "%s MATCH ?", table))
        return false;
    if (columns_named && !vt_buf_printf(&sql->binds, err, "%s : (", columns[condition->column].fts))
        return false;
    return add_trigrams(&sql->binds, condition->values[0], &any, err) &&
           (!columns_named || vt_buf_append_byte(&sql->binds, ')', err)) &&
           vt_buf_append_byte(&sql->binds, 0, err);
}

#define NEWEST_FIRST "s.date DESC, s.time DESC, s.name, s.id"

/* FROM ... up to the study row `s`, in the standard order. */
static bool add_study_source(struct sq_sql *sql, const struct vt_condition *condition,
                             const struct access *access, struct vt_err *err)
{
    const char *column = condition ? columns[condition->column].study : NULL;

    if (!condition)
        return add(sql, err, " FROM study s INDEXED BY study_date");
    switch (access->way) {
    case WAY_NAMES:
        return add(sql, err, " FROM (SELECT k.study AS id FROM study_name k WHERE ") &&
               add_name_test(sql, condition, err) && add_once(sql, condition, err) &&
               add(sql, err,
                   " k.date DESC, k.time DESC, %s, k.study LIMIT -1) k CROSS JOIN study s ON "
                   "s.id=k.id",
                   condition->value_count == 1 ? "k.name" : "min(k.name)");
    case WAY_WORDS:
        return add(sql, err,
                   " FROM (SELECT s.id AS id FROM study_words w CROSS JOIN study s ON s.id=w.rowid "
                   "WHERE ") &&
               add_match(sql, condition, "study_words", true, err) && add(sql, err, " AND ") &&
               add_test(sql, column, columns[condition->column].kind, condition, err) &&
               add(sql, err,
                   " ORDER BY " NEWEST_FIRST " LIMIT -1) k CROSS JOIN study s ON s.id=k.id");
    default:
        break;
    }
    if (condition->operation == VT_OP_EQUAL && condition->value_count > 1)
        return add(sql, err,
                   " FROM (SELECT s.id AS id FROM json_each(?) j CROSS JOIN study s%s%s ON "
                   "%s=j.value"
                   " ORDER BY " NEWEST_FIRST " LIMIT -1) k CROSS JOIN study s ON s.id=k.id",
                   access->index ? " INDEXED BY " : "", access->index ? access->index : "",
                   column) &&
               bind_json(sql, condition, err);
    if (condition->operation != VT_OP_PREFIX)
        return add(sql, err, " FROM study s%s%s", access->index ? " INDEXED BY " : "",
                   access->index ? access->index : "");
    return add(sql, err, " FROM (SELECT s.id AS id FROM study s INDEXED BY %s WHERE ",
               access->index) &&
           add_prefix(sql, column, condition, err) &&
           add(sql, err, " ORDER BY " NEWEST_FIRST " LIMIT -1) k CROSS JOIN study s ON s.id=k.id");
}

static bool add_patient_source(struct sq_sql *sql, const struct vt_condition *condition,
                               const struct access *access, struct vt_err *err)
{
    if (!condition)
        return add(sql, err,
                   " FROM patient_name k CROSS JOIN patient p ON p.id=k.patient AND k.first=1");
    if (access->way == WAY_NAMES)
        return add(sql, err, " FROM (SELECT DISTINCT k.patient AS id FROM patient_name k WHERE ") &&
               add_name_test(sql, condition, err) &&
               add(sql, err, " LIMIT -1) k CROSS JOIN patient p ON p.id=k.id");
    if (access->way == WAY_WORDS)
        return add(sql, err,
                   " FROM (SELECT p.id AS id FROM patient_words w CROSS JOIN patient p ON "
                   "p.id=w.rowid WHERE ") &&
               add_match(sql, condition, "patient_words", false, err) &&
               add(sql, err, " ORDER BY p.name LIMIT -1) k CROSS JOIN patient p ON p.id=k.id");
    return add(sql, err, " FROM patient p INDEXED BY %s",
               condition->column == VT_COL_PATIENT_ID ? "sqlite_autoindex_patient_1"
                                                      : "patient_birth");
}

/* A list of UIDs of series or instances is sorted as a whole; one UID needs no order. */
static bool add_uid_source(struct sq_sql *sql, const struct vt_plan *plan,
                           const struct vt_condition *condition, struct vt_err *err)
{
    bool list = condition->value_count > 1, series = condition->column == VT_COL_SERIES_UID;
    const char *table = series ? "series e" : "instance i";
    const char *up =
        series ? " CROSS JOIN study s ON s.id=e.study"
               : " CROSS JOIN series e ON e.id=i.series CROSS JOIN study s ON s.id=e.study";

    if (list && (!add(sql, err, " FROM json_each(?) j CROSS JOIN %s ON %s=j.value%s", table,
                      columns[condition->column].study, up) ||
                 !bind_json(sql, condition, err)))
        return false;
    if (!list && !add(sql, err, " FROM %s%s", table, up))
        return false;
    return !series || vt_plan_level(plan) != VT_LEVEL_IMAGE ||
           add(sql, err, " CROSS JOIN instance i INDEXED BY instance_series ON i.series=e.id");
}

static bool add_source(struct sq_sql *sql, const struct vt_plan *plan,
                       const struct vt_condition *condition, const struct access *access,
                       struct vt_err *err)
{
    enum vt_level level = vt_plan_level(plan);

    if (level == VT_LEVEL_PATIENT)
        return add_patient_source(sql, condition, access, err);
    if (condition &&
        (condition->column == VT_COL_SERIES_UID || condition->column == VT_COL_INSTANCE_UID))
        return add_uid_source(sql, plan, condition, err);
    if (!add_study_source(sql, condition, access, err))
        return false;
    if (level >= VT_LEVEL_SERIES &&
        !add(sql, err, " CROSS JOIN series e INDEXED BY series_study ON e.study=s.id"))
        return false;
    return level < VT_LEVEL_IMAGE ||
           add(sql, err, " CROSS JOIN instance i INDEXED BY instance_series ON i.series=e.id");
}

/* ---- the whole ---- */

static bool wants_patient_counts(const struct vt_plan *plan)
{
    return vt_plan_wants(plan, VT_TAG_PATIENT_RELATED_STUDIES) ||
           vt_plan_wants(plan, VT_TAG_PATIENT_RELATED_SERIES) ||
           vt_plan_wants(plan, VT_TAG_PATIENT_RELATED_INSTANCES);
}

static bool add_fields(struct sq_sql *sql, enum vt_level level, bool patient, struct vt_err *err)
{
    if (level == VT_LEVEL_PATIENT)
        return add(sql, err, "SELECT p.id, p.pid, p.attributes, p.studies, p.series, p.instances");
    if (!add(sql, err,
             "SELECT s.id, s.pid, s.patient_attributes, %s, s.uid, s.attributes, s.series, "
             "s.instances,"
             " s.modalities, s.classes",
             patient ? "p.studies, p.series, p.instances" : "0, 0, 0"))
        return false;
    if (level >= VT_LEVEL_SERIES && !add(sql, err, ", e.id, e.uid, e.attributes, e.instances"))
        return false;
    return level < VT_LEVEL_IMAGE || add(sql, err, ", i.uid, i.attributes, i.class, i.syntax");
}

/* Does the source already test it for good? */
static bool implied(const struct vt_condition *condition, const struct access *access,
                    enum vt_level level)
{
    bool list = condition->operation == VT_OP_EQUAL && condition->value_count > 1;
    bool uid_list =
        list && condition->column != VT_COL_SERIES_UID && condition->column != VT_COL_INSTANCE_UID;

    switch (access->way) {
    case WAY_NAMES:
        return true;
    case WAY_WORDS:
        return level != VT_LEVEL_PATIENT;
    case WAY_UID:
        return list || uid_list;
    default:
        return level != VT_LEVEL_PATIENT && (list || condition->operation == VT_OP_PREFIX);
    }
}

bool sq_sql_make(const struct vt_plan *plan, struct sq_sql *out, struct vt_err *err)
{
    enum vt_level level = vt_plan_level(plan);
    const struct access *access = NULL;
    const struct vt_condition *lead = driving(plan, &access);
    bool patient = level != VT_LEVEL_PATIENT && wants_patient_counts(plan), first = true;
    size_t count;
    const struct vt_condition *conditions = vt_plan_conditions(plan, &count);

    out->text[0] = '\0';
    out->bind_count = 0;
    vt_buf_reset(&out->binds);
    if (!add_fields(out, level, patient, err) || !add_source(out, plan, lead, access, err))
        return false;
    if (patient && !add(out, err, " CROSS JOIN patient p ON p.id=s.patient"))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (&conditions[i] == lead && implied(lead, access, level))
            continue;
        if (!add_filter(out, plan, &conditions[i], first, err))
            return false;
        first = false;
    }
    bool list = lead && lead->value_count > 1 &&
                (lead->column == VT_COL_SERIES_UID || lead->column == VT_COL_INSTANCE_UID);
    return !list || add(out, err, " ORDER BY " NEWEST_FIRST ", e.number%s",
                        level == VT_LEVEL_IMAGE ? ", i.number" : "");
}
