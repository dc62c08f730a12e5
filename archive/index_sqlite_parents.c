/* The writer: patients, studies and series of the instances that come. */
#include "archive/index_sqlite.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "archive/attributes.h"
#include "core/err.h"

static int64_t last_id(struct sq_index *index)
{
    return sqlite3_last_insert_rowid(vt_db_handle(index->db));
}

static bool same_bytes(const struct vt_buf *a, const void *b, size_t size)
{
    return a->size == size && (size == 0 || memcmp(a->data, b, size) == 0);
}

/* ---- names ---- */

bool sq_patient_names(struct sq_index *index, int64_t patient, const char *name, bool insert,
                      struct vt_err *err)
{
    struct vt_name_groups groups = vt_columns_name_groups(name);

    if (groups.count == 0)
        groups = (struct vt_name_groups){ .text = { "" }, .size = { 0 }, .count = 1 };
    for (size_t i = 0; i < groups.count; i++) {
        bool ok = insert ? sq_run(index, SQ_W_PATIENT_NAME_INSERT, err, "Tii", groups.text[i],
                                  groups.size[i], patient, (int64_t)(i == 0))
                         : sq_run(index, SQ_W_PATIENT_NAME_DELETE, err, "Ti", groups.text[i],
                                  groups.size[i], patient);
        if (!ok)
            return false;
    }
    return !name[0] || sq_run(index, insert ? SQ_W_PATIENT_WORDS_INSERT : SQ_W_PATIENT_WORDS_DELETE,
                              err, "it", patient, name);
}

bool sq_study_names(struct sq_index *index, int64_t study, const struct vt_patient_columns *patient,
                    const struct vt_study_columns *columns, bool insert, struct vt_err *err)
{
    struct vt_name_groups groups = vt_columns_name_groups(patient->name);

    for (size_t i = 0; i < groups.count; i++) {
        bool ok = insert ? sq_run(index, SQ_W_STUDY_NAME_INSERT, err, "Tttii", groups.text[i],
                                  groups.size[i], columns->date, columns->time, study, (int64_t)i)
                         : sq_run(index, SQ_W_STUDY_NAME_DELETE, err, "Ttti", groups.text[i],
                                  groups.size[i], columns->date, columns->time, study);
        if (!ok)
            return false;
    }
    return sq_run(index, insert ? SQ_W_STUDY_WORDS_INSERT : SQ_W_STUDY_WORDS_DELETE, err, "itttt",
                  study, patient->name, columns->description, columns->referring,
                  columns->accession);
}

/* ---- patients ---- */

static bool differ(const char *a, const char *b)
{
    return a[0] && b[0] && strcmp(a, b) != 0;
}

/* The row carries the newest (reference 4.5). The find statement stands on the patient's row. */
static bool refresh_patient(struct sq_index *index, struct sqlite3_stmt *row, int64_t patient,
                            const struct vt_patient_columns *columns, const uint8_t *attributes,
                            size_t size, unsigned *flags, struct vt_err *err)
{
    const char *name = (const char *)sqlite3_column_text(row, 1),
               *birth = (const char *)sqlite3_column_text(row, 2);
    const void *old = sqlite3_column_blob(row, 3);
    size_t old_size = (size_t)sqlite3_column_bytes(row, 3);
    struct vt_patient_columns merged;

    if (!name || !birth)
        return vt_fail(err, VT_E_NOMEM, "no memory for a row of %s", index->path);
    bool mismatch = differ(name, columns->name) || differ(birth, columns->birth_date);
    if (mismatch)
        *flags |= VT_PUT_PATIENT_MISMATCH;
    vt_buf_reset(&index->merged);
    if (!vt_attributes_merge(attributes, size, old, old_size, &index->merged, err))
        return false;
    if (same_bytes(&index->merged, old, old_size))
        return true;
    if (!vt_columns_patient(index->merged.data, index->merged.size, &merged, err))
        return false;
    bool renamed = strcmp(name, merged.name) != 0;
    if (renamed && (!sq_patient_names(index, patient, name, false, err) ||
                    !sq_patient_names(index, patient, merged.name, true, err)))
        return false;
    return sq_run(index, SQ_W_PATIENT_UPDATE, err, "tttbii", merged.name, merged.birth_date,
                  merged.sex, index->merged.data, index->merged.size, (int64_t)mismatch, patient);
}

bool sq_patient_find_or_insert(struct sq_index *index, const struct vt_patient_columns *columns,
                               const uint8_t *attributes, size_t size, const char *study_uid,
                               int64_t *out_patient, unsigned *flags, struct vt_err *err)
{
    struct sqlite3_stmt *find = index->write[SQ_W_PATIENT_FIND];
    const char *anonymous = columns->id[0] ? "" : study_uid;
    bool row = false;

    if (!vt_stmt_bind(index->db, find, err, "ttt", columns->id, columns->issuer, anonymous) ||
        !vt_stmt_step(index->db, find, &row, err))
        return false;
    if (row) {
        int64_t patient = sqlite3_column_int64(find, 0);
        bool ok = refresh_patient(index, find, patient, columns, attributes, size, flags, err);
        sqlite3_reset(find);
        *out_patient = ok ? patient : *out_patient;
        return ok;
    }
    if (!sq_run(index, SQ_W_PATIENT_INSERT, err, "ttttttb", columns->id, columns->issuer, anonymous,
                columns->name, columns->birth_date, columns->sex, attributes, size))
        return false;
    int64_t patient = last_id(index);
    if (!sq_patient_names(index, patient, columns->name, true, err))
        return false;
    *flags |= VT_PUT_NEW_PATIENT;
    *out_patient = patient;
    return true;
}

/* ---- studies ---- */

static bool study_columns_equal(const struct vt_study_columns *a, const struct vt_study_columns *b)
{
    return strcmp(a->date, b->date) == 0 && strcmp(a->time, b->time) == 0 &&
           strcmp(a->accession, b->accession) == 0 && strcmp(a->description, b->description) == 0 &&
           strcmp(a->referring, b->referring) == 0;
}

/* Newer attributes win only when the instance replaces one that was here (a correction), else they
 * fill what was missing. */
static bool refresh_study(struct sq_index *index, struct sqlite3_stmt *row,
                          const struct vt_instance *instance, bool replaces, int64_t study,
                          struct vt_err *err)
{
    const struct vt_buf *incoming = &instance->attributes[VT_LEVEL_STUDY];
    const void *old = sqlite3_column_blob(row, 5);
    size_t old_size = (size_t)sqlite3_column_bytes(row, 5);
    struct vt_study_columns before, after;
    struct vt_patient_columns patient;

    vt_buf_reset(&index->merged);
    bool ok = replaces ? vt_attributes_merge(incoming->data, incoming->size, old, old_size,
                                             &index->merged, err)
                       : vt_attributes_merge(old, old_size, incoming->data, incoming->size,
                                             &index->merged, err);
    if (!ok || same_bytes(&index->merged, old, old_size))
        return ok;
    if (!vt_columns_study(old, old_size, &before, err) ||
        !vt_columns_study(index->merged.data, index->merged.size, &after, err) ||
        !vt_columns_patient(sqlite3_column_blob(row, 4), (size_t)sqlite3_column_bytes(row, 4),
                            &patient, err))
        return false;
    if (!study_columns_equal(&before, &after) &&
        (!sq_study_names(index, study, &patient, &before, false, err) ||
         !sq_study_names(index, study, &patient, &after, true, err)))
        return false;
    return sq_run(index, SQ_W_STUDY_UPDATE, err, "ttttttbi", after.date, after.time,
                  after.accession, after.study_id, after.description, after.referring,
                  index->merged.data, index->merged.size, study);
}

/* A correction of the patient within the same identity reaches the study's own copy. */
static bool refresh_study_patient(struct sq_index *index, struct sqlite3_stmt *row,
                                  const struct vt_instance *instance,
                                  const struct vt_patient_columns *columns, int64_t study,
                                  struct vt_err *err)
{
    const struct vt_buf *incoming = &instance->attributes[VT_LEVEL_PATIENT];
    struct vt_patient_columns before;
    struct vt_study_columns own;

    if (same_bytes(incoming, sqlite3_column_blob(row, 4), (size_t)sqlite3_column_bytes(row, 4)))
        return true;
    if (!vt_columns_patient(sqlite3_column_blob(row, 4), (size_t)sqlite3_column_bytes(row, 4),
                            &before, err) ||
        !vt_columns_study(sqlite3_column_blob(row, 5), (size_t)sqlite3_column_bytes(row, 5), &own,
                          err))
        return false;
    if (strcmp(before.name, columns->name) != 0 &&
        (!sq_study_names(index, study, &before, &own, false, err) ||
         !sq_study_names(index, study, columns, &own, true, err)))
        return false;
    return sq_run(index, SQ_W_STUDY_PATIENT, err, "itttttbi", sqlite3_column_int64(row, 1),
                  columns->id, columns->issuer, columns->name, columns->birth_date, columns->sex,
                  incoming->data, incoming->size, study);
}

static bool refresh_lists(struct sq_index *index, struct sqlite3_stmt *row,
                          const struct vt_instance *instance, const char *modality, int64_t study,
                          struct vt_err *err)
{
    char modalities[SQ_LIST_MODALITIES], classes[SQ_LIST_CLASSES];
    const char *m = (const char *)sqlite3_column_text(row, 6),
               *c = (const char *)sqlite3_column_text(row, 7);

    if (!m || !c || strlen(m) >= sizeof modalities || strlen(c) >= sizeof classes)
        return vt_fail(err, VT_E_NOMEM, "no memory for a row of %s", index->path);
    strcpy(modalities, m);
    strcpy(classes, c);
    bool more_modalities = vt_columns_list_add(modalities, sizeof modalities, modality);
    bool more_classes = vt_columns_list_add(classes, sizeof classes, instance->sop_class);
    return (!more_modalities && !more_classes) ||
           sq_run(index, SQ_W_STUDY_LISTS, err, "tti", modalities, classes, study);
}

static bool known_study(struct sq_index *index, struct sqlite3_stmt *row,
                        const struct vt_instance *instance, bool replaces,
                        const struct vt_patient_columns *patient, const char *modality,
                        struct sq_recent *recent, unsigned *flags, struct vt_err *err)
{
    const struct vt_buf *attributes = &instance->attributes[VT_LEVEL_PATIENT];
    const char *pid = (const char *)sqlite3_column_text(row, 2),
               *issuer = (const char *)sqlite3_column_text(row, 3);
    int64_t same = 0;

    if (!pid || !issuer)
        return vt_fail(err, VT_E_NOMEM, "no memory for a row of %s", index->path);
    recent->study = sqlite3_column_int64(row, 0);
    recent->patient = sqlite3_column_int64(row, 1);
    if (strcmp(pid, patient->id) != 0 || strcmp(issuer, patient->issuer) != 0)
        *flags |= VT_PUT_PATIENT_CONFLICT;
    else if (!sq_patient_find_or_insert(index, patient, attributes->data, attributes->size,
                                        instance->study_uid, &same, flags, err) ||
             (replaces &&
              !refresh_study_patient(index, row, instance, patient, recent->study, err)))
        return false;
    return refresh_study(index, row, instance, replaces, recent->study, err) &&
           refresh_lists(index, row, instance, modality, recent->study, err);
}

static bool new_study(struct sq_index *index, const struct vt_instance *instance,
                      const struct vt_patient_columns *patient, const char *modality,
                      struct sq_recent *recent, unsigned *flags, struct vt_err *err)
{
    const struct vt_buf *about = &instance->attributes[VT_LEVEL_PATIENT];
    const struct vt_buf *own = &instance->attributes[VT_LEVEL_STUDY];
    struct vt_study_columns columns;

    if (!vt_columns_study(own->data, own->size, &columns, err) ||
        !sq_patient_find_or_insert(index, patient, about->data, about->size, instance->study_uid,
                                   &recent->patient, flags, err) ||
        !sq_run(index, SQ_W_STUDY_INSERT, err, "titttttttttttttbb", instance->study_uid,
                recent->patient, patient->id, patient->issuer, patient->name, patient->birth_date,
                patient->sex, columns.date, columns.time, columns.accession, columns.study_id,
                columns.description, columns.referring, modality, instance->sop_class, about->data,
                about->size, own->data, own->size))
        return false;
    recent->study = last_id(index);
    *flags |= VT_PUT_NEW_STUDY;
    return sq_study_names(index, recent->study, patient, &columns, true, err) &&
           sq_run(index, SQ_W_PATIENT_COUNT, err, "iiii", INT64_C(1), INT64_C(0), INT64_C(0),
                  recent->patient);
}

static bool find_study(struct sq_index *index, const struct vt_instance *instance, bool replaces,
                       const char *modality, struct sq_recent *recent, unsigned *flags,
                       struct vt_err *err)
{
    struct sqlite3_stmt *find = index->write[SQ_W_STUDY_FIND];
    const struct vt_buf *about = &instance->attributes[VT_LEVEL_PATIENT];
    struct vt_patient_columns patient;
    bool row = false;

    if (!vt_columns_patient(about->data, about->size, &patient, err) ||
        !vt_stmt_bind(index->db, find, err, "t", instance->study_uid) ||
        !vt_stmt_step(index->db, find, &row, err))
        return false;
    if (!row)
        return new_study(index, instance, &patient, modality, recent, flags, err);
    bool ok = known_study(index, find, instance, replaces, &patient, modality, recent, flags, err);
    sqlite3_reset(find);
    return ok;
}

/* ---- series ---- */

static bool run_series(struct sq_index *index, enum sq_write which, struct vt_err *err,
                       const char *uid, int64_t id, const struct vt_series_columns *columns,
                       const struct vt_buf *attributes)
{
    if (which == SQ_W_SERIES_INSERT)
        return columns->has_number ? sq_run(index, which, err, "titib", uid, id, columns->modality,
                                            columns->number, attributes->data, attributes->size)
                                   : sq_run(index, which, err, "titnb", uid, id, columns->modality,
                                            attributes->data, attributes->size);
    return columns->has_number ? sq_run(index, which, err, "tibi", columns->modality,
                                        columns->number, attributes->data, attributes->size, id)
                               : sq_run(index, which, err, "tnbi", columns->modality,
                                        attributes->data, attributes->size, id);
}

static bool refresh_series(struct sq_index *index, struct sqlite3_stmt *row,
                           const struct vt_instance *instance, bool replaces, int64_t series,
                           struct vt_err *err)
{
    const struct vt_buf *incoming = &instance->attributes[VT_LEVEL_SERIES];
    const void *old = sqlite3_column_blob(row, 1);
    size_t old_size = (size_t)sqlite3_column_bytes(row, 1);
    struct vt_series_columns columns;

    vt_buf_reset(&index->merged);
    bool ok = replaces ? vt_attributes_merge(incoming->data, incoming->size, old, old_size,
                                             &index->merged, err)
                       : vt_attributes_merge(old, old_size, incoming->data, incoming->size,
                                             &index->merged, err);
    if (!ok || same_bytes(&index->merged, old, old_size))
        return ok;
    vt_columns_series(index->merged.data, index->merged.size, &columns);
    return run_series(index, SQ_W_SERIES_UPDATE, err, NULL, series, &columns, &index->merged);
}

static bool find_series(struct sq_index *index, const struct vt_instance *instance, bool replaces,
                        const struct vt_series_columns *columns, struct sq_recent *recent,
                        unsigned *flags, struct vt_err *err)
{
    struct sqlite3_stmt *find = index->write[SQ_W_SERIES_FIND];
    bool row = false;

    if (!vt_stmt_bind(index->db, find, err, "ti", instance->series_uid, recent->study) ||
        !vt_stmt_step(index->db, find, &row, err))
        return false;
    if (row) {
        recent->series = sqlite3_column_int64(find, 0);
        bool ok = refresh_series(index, find, instance, replaces, recent->series, err);
        sqlite3_reset(find);
        return ok;
    }
    if (!run_series(index, SQ_W_SERIES_INSERT, err, instance->series_uid, recent->study, columns,
                    &instance->attributes[VT_LEVEL_SERIES]))
        return false;
    recent->series = last_id(index);
    *flags |= VT_PUT_NEW_SERIES;
    return sq_run(index, SQ_W_STUDY_COUNT, err, "iii", INT64_C(1), INT64_C(0), recent->study) &&
           sq_run(index, SQ_W_PATIENT_COUNT, err, "iiii", INT64_C(0), INT64_C(1), INT64_C(0),
                  recent->patient);
}

bool sq_parents(struct sq_index *index, const struct vt_instance *instance, bool replaces,
                struct sq_recent *recent, unsigned *flags, struct vt_err *err)
{
    const struct vt_buf *about = &instance->attributes[VT_LEVEL_SERIES];
    struct vt_series_columns columns;

    vt_columns_series(about->data, about->size, &columns);
    if (!find_study(index, instance, replaces, columns.modality, recent, flags, err) ||
        !find_series(index, instance, replaces, &columns, recent, flags, err)) {
        if (!recent->dirty)
            recent->series = 0;
        return sq_explain(err);
    }
    strcpy(recent->series_uid, instance->series_uid);
    strcpy(recent->study_uid, instance->study_uid);
    return true;
}
