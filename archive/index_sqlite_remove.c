/* The writer: rows that go, studies that move to another patient. */
#include "archive/index_sqlite.h"

#include <sqlite3.h>
#include <string.h>

#include "core/err.h"

struct place {
    int64_t instance, series, study, patient, bytes;
};

static bool find_place(struct sq_index *index, const char *sop_uid, struct place *out,
                       bool *out_found, struct vt_err *err)
{
    struct sqlite3_stmt *find = index->write[SQ_W_INSTANCE_FIND];

    if (!vt_stmt_bind(index->db, find, err, "t", sop_uid) ||
        !vt_stmt_step(index->db, find, out_found, err))
        return false;
    if (*out_found) {
        *out = (struct place){ sqlite3_column_int64(find, 0), sqlite3_column_int64(find, 1),
                               sqlite3_column_int64(find, 2), sqlite3_column_int64(find, 3),
                               sqlite3_column_int64(find, 4) };
        sqlite3_reset(find);
    }
    return true;
}

static bool series_is_empty(struct sq_index *index, int64_t series, bool *out_empty,
                            struct vt_err *err)
{
    struct sqlite3_stmt *get = index->write[SQ_W_SERIES_GET];
    bool row = false;

    if (!vt_stmt_bind(index->db, get, err, "i", series) || !vt_stmt_step(index->db, get, &row, err))
        return false;
    *out_empty = row && sqlite3_column_int64(get, 0) <= 0;
    sqlite3_reset(get);
    return true;
}

static bool count_of(struct sq_index *index, const char *sql, int64_t id, int64_t *out,
                     struct vt_err *err)
{
    struct sqlite3_stmt *stmt = vt_db_prepare(index->db, sql, err);
    bool row = false;
    bool ok = stmt && vt_stmt_bind(index->db, stmt, err, "i", id) &&
              vt_stmt_step(index->db, stmt, &row, err);

    if (ok)
        *out = row ? sqlite3_column_int64(stmt, 0) : 0;
    vt_stmt_free(stmt);
    return ok;
}

/* What the words of a study were made of, from its row, for taking them out. */
static bool study_columns(struct sq_index *index, int64_t study, struct vt_patient_columns *patient,
                          struct vt_study_columns *columns, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = vt_db_prepare(
        index->db, "SELECT patient_attributes, attributes FROM study WHERE id=?", err);
    bool row = false;
    bool ok = stmt && vt_stmt_bind(index->db, stmt, err, "i", study) &&
              vt_stmt_step(index->db, stmt, &row, err);

    if (ok && !row)
        ok = vt_fail(err, VT_E_CORRUPT, "%s: study row is missing: run `vitrine reindex`",
                     index->path);
    ok = ok &&
         vt_columns_patient(sqlite3_column_blob(stmt, 0), (size_t)sqlite3_column_bytes(stmt, 0),
                            patient, err) &&
         vt_columns_study(sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1),
                          columns, err);
    vt_stmt_free(stmt);
    return ok;
}

static bool remove_patient_if_empty(struct sq_index *index, int64_t patient, struct vt_err *err)
{
    int64_t studies = 0;
    char name[VT_COLUMN_NAME] = "";
    struct sqlite3_stmt *stmt;
    bool row = false;

    if (!count_of(index, "SELECT studies FROM patient WHERE id=?", patient, &studies, err))
        return false;
    if (studies > 0)
        return true;
    if (!(stmt = vt_db_prepare(index->db, "SELECT name FROM patient WHERE id=?", err)))
        return false;
    bool ok = vt_stmt_bind(index->db, stmt, err, "i", patient) &&
              vt_stmt_step(index->db, stmt, &row, err);
    const char *text = ok && row ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    if (text)
        strncpy(name, text, sizeof name - 1);
    vt_stmt_free(stmt);
    return ok && sq_patient_names(index, patient, name, false, err) &&
           sq_run(index, SQ_W_PATIENT_DELETE, err, "i", patient);
}

static bool remove_study_if_empty(struct sq_index *index, const struct place *place,
                                  bool *out_removed, struct vt_err *err)
{
    struct vt_patient_columns patient;
    struct vt_study_columns columns;
    int64_t series = 0;

    if (!count_of(index, "SELECT series FROM study WHERE id=?", place->study, &series, err))
        return false;
    *out_removed = series <= 0;
    if (series > 0)
        return true;
    return study_columns(index, place->study, &patient, &columns, err) &&
           sq_study_names(index, place->study, &patient, &columns, false, err) &&
           sq_run(index, SQ_W_STUDY_DELETE, err, "i", place->study) &&
           sq_run(index, SQ_W_PATIENT_COUNT, err, "iiii", INT64_C(-1), INT64_C(0), INT64_C(0),
                  place->patient) &&
           remove_patient_if_empty(index, place->patient, err);
}

/* Modalities and SOP classes of the study are counted again at commit: once, however many instances
 * go. */
static bool relist_later(struct sq_index *index, int64_t study, struct vt_err *err)
{
    for (size_t i = 0; i < index->relisted_count; i++)
        if (index->relisted[i] == study)
            return true;
    if (index->relisted_count == VT_COUNT(index->relisted) && !sq_relist(index, err))
        return false;
    index->relisted[index->relisted_count++] = study;
    return true;
}

static void relist_never(struct sq_index *index, int64_t study)
{
    for (size_t i = 0; i < index->relisted_count; i++)
        if (index->relisted[i] == study)
            index->relisted[i--] = index->relisted[--index->relisted_count];
}

static bool remove_parents(struct sq_index *index, const struct place *place, struct vt_err *err)
{
    bool empty, study_gone = false;

    if (!sq_run(index, SQ_W_SERIES_COUNT, err, "ii", INT64_C(-1), place->series) ||
        !sq_run(index, SQ_W_STUDY_COUNT, err, "iii", INT64_C(0), INT64_C(-1), place->study) ||
        !sq_run(index, SQ_W_PATIENT_COUNT, err, "iiii", INT64_C(0), INT64_C(0), INT64_C(-1),
                place->patient) ||
        !series_is_empty(index, place->series, &empty, err))
        return false;
    if (empty &&
        (!sq_run(index, SQ_W_SERIES_DELETE, err, "i", place->series) ||
         !sq_run(index, SQ_W_STUDY_COUNT, err, "iii", INT64_C(-1), INT64_C(0), place->study) ||
         !sq_run(index, SQ_W_PATIENT_COUNT, err, "iiii", INT64_C(0), INT64_C(-1), INT64_C(0),
                 place->patient) ||
         !remove_study_if_empty(index, place, &study_gone, err)))
        return false;
    if (study_gone) {
        relist_never(index, place->study);
        return true;
    }
    return relist_later(index, place->study, err);
}

bool sq_remove(struct vt_index *base, const char *sop_uid, bool *out_removed, struct vt_err *err)
{
    struct sq_index *index = (struct sq_index *)(void *)base;
    struct place place;
    bool found = false;

    if (!find_place(index, sop_uid, &place, &found, err))
        return sq_explain(err);
    if (found) {
        if (!sq_flush(index, err) ||
            !sq_run(index, SQ_W_INSTANCE_DELETE, err, "i", place.instance) ||
            !sq_run(index, SQ_W_FRAMES_DELETE, err, "i", place.instance) ||
            !remove_parents(index, &place, err))
            return sq_explain(err);
        sq_forget(index);
        index->bytes_added -= place.bytes;
    }
    *out_removed = found;
    return true;
}

/* ---- moving studies ---- */

struct moved {
    int64_t study, patient, series, instances;
};

static bool find_moved(struct sq_index *index, const char *study_uid, struct moved *out,
                       bool *out_found, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = vt_db_prepare(
        index->db, "SELECT id, patient, series, instances FROM study WHERE uid=?", err);
    bool ok = stmt && vt_stmt_bind(index->db, stmt, err, "t", study_uid) &&
              vt_stmt_step(index->db, stmt, out_found, err);

    if (ok && *out_found)
        *out = (struct moved){ sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1),
                               sqlite3_column_int64(stmt, 2), sqlite3_column_int64(stmt, 3) };
    vt_stmt_free(stmt);
    return ok;
}

static bool move_one(struct sq_index *index, const char *study_uid,
                     const struct vt_patient_columns *to, const uint8_t *attributes, size_t size,
                     struct vt_err *err)
{
    struct vt_patient_columns before;
    struct vt_study_columns columns;
    struct moved moved = { 0 };
    int64_t patient = 0;
    unsigned flags = 0;
    bool found = false;

    if (!find_moved(index, study_uid, &moved, &found, err))
        return false;
    if (!found)
        return vt_fail(err, VT_E_NOTFOUND, "no study %s", study_uid);
    if (!sq_patient_find_or_insert(index, to, attributes, size, study_uid, &patient, &flags, err) ||
        !study_columns(index, moved.study, &before, &columns, err) ||
        !sq_study_names(index, moved.study, &before, &columns, false, err) ||
        !sq_study_names(index, moved.study, to, &columns, true, err) ||
        !sq_run(index, SQ_W_STUDY_PATIENT, err, "itttttbi", patient, to->id, to->issuer, to->name,
                to->birth_date, to->sex, attributes, size, moved.study))
        return false;
    if (patient == moved.patient)
        return true;
    return sq_run(index, SQ_W_PATIENT_COUNT, err, "iiii", INT64_C(1), moved.series, moved.instances,
                  patient) &&
           sq_run(index, SQ_W_PATIENT_COUNT, err, "iiii", INT64_C(-1), -moved.series,
                  -moved.instances, moved.patient) &&
           remove_patient_if_empty(index, moved.patient, err);
}

/* The first study of that patient behind `uid`, in place. */
static bool next_study(struct sq_index *index, const struct vt_patient_columns *patient, char *uid,
                       bool *out_found, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = index->write[SQ_W_STUDY_OF_PATIENT];
    char behind[VT_UID_MAX + 1];

    memcpy(behind, uid, sizeof behind);
    if (!vt_stmt_bind(index->db, stmt, err, "ttt", patient->id, patient->issuer, behind) ||
        !vt_stmt_step(index->db, stmt, out_found, err))
        return false;
    if (*out_found) {
        const char *text = (const char *)sqlite3_column_text(stmt, 0);
        strncpy(uid, text ? text : "", VT_UID_MAX);
        sqlite3_reset(stmt);
    }
    return true;
}

bool sq_move_study(struct vt_index *base, const char *study_uid, const uint8_t *attributes,
                   size_t size, struct vt_err *err)
{
    struct sq_index *index = (struct sq_index *)(void *)base;
    struct vt_patient_columns to;
    char uid[VT_UID_MAX + 1] = "";
    bool found = true;

    if (!vt_columns_patient(attributes, size, &to, err) || !sq_flush(index, err))
        return sq_explain(err);
    sq_forget(index);
    if (study_uid[0])
        return move_one(index, study_uid, &to, attributes, size, err) || sq_explain(err);
    for (;;) {
        if (!next_study(index, &to, uid, &found, err))
            return sq_explain(err);
        if (!found)
            return true;
        if (!move_one(index, uid, &to, attributes, size, err))
            return sq_explain(err);
    }
}
