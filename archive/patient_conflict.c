/* Conflicts that arrivals made: studies under several patients, patients with several names
 * (reference 4.5). */
#include <jansson.h>
#include <sqlite3.h>
#include <string.h>

#include "archive/attributes.h"
#include "archive/inside.h"
#include "archive/patient.h"
#include "archive/patient_inside.h"
#include "core/clock.h"
#include "core/err.h"
#include "dicom/tags.h"

enum { NAME_ROOM = 260 };

struct first {
    struct vt_identity identity;
    char name[NAME_ROOM];
};

static bool note_first(void *context, const struct vt_row *row, struct vt_err *err)
{
    struct first *first = context;
    const struct vt_bytes *bytes = &row->attributes[VT_LEVEL_PATIENT];

    (void)err;
    first->identity = vt_identity_of(bytes->data, bytes->size);
    vt_attributes_text(bytes->data, bytes->size, VT_TAG_PATIENT_NAME, first->name,
                       sizeof first->name);
    return true;
}

static bool write_conflict(struct vt_archive *archive, const struct vt_instance *instance,
                           const char *kind, struct vt_err *err)
{
    const struct vt_buf *own = &instance->attributes[VT_LEVEL_PATIENT];
    struct vt_identity identity = vt_identity_of(own->data, own->size);
    char name[NAME_ROOM];

    vt_attributes_text(own->data, own->size, VT_TAG_PATIENT_NAME, name, sizeof name);
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db,
                      "INSERT OR IGNORE INTO patient_conflict (at, kind, study_uid, patient_id, "
                      "issuer, name, sop_uid,"
                      " calling_ae_title, resolved) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '')",
                      err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "ittttttt", vt_clock_wall(), kind, instance->study_uid,
                           identity.id, identity.issuer, name, instance->sop_uid,
                           instance->calling_ae_title) &&
              vt_stmt_run(db, stmt, err);
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

bool vt_patient_note_conflict(struct vt_archive *archive, const struct vt_instance *instance,
                              unsigned put_flags, struct vt_err *err)
{
    return (!(put_flags & VT_PUT_PATIENT_CONFLICT) ||
            write_conflict(archive, instance, "study", err)) &&
           (!(put_flags & VT_PUT_PATIENT_MISMATCH) ||
            write_conflict(archive, instance, "name", err));
}

/* ---- lists ---- */

#define CONFLICT_FIELDS                                                                            \
    "SELECT id, at, kind, study_uid, patient_id, issuer, name, sop_uid, calling_ae_title, "        \
    "resolved FROM patient_conflict"

static json_t *conflict_row(struct sqlite3_stmt *stmt)
{
    char at[VT_CLOCK_TEXT_MAX];

    vt_clock_text(sqlite3_column_int64(stmt, 1), at);
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "id",
                     (json_int_t)sqlite3_column_int64(stmt, 0), "at", at, "kind",
                     sqlite3_column_text(stmt, 2), "study", sqlite3_column_text(stmt, 3),
                     "PatientID", sqlite3_column_text(stmt, 4), "IssuerOfPatientID",
                     sqlite3_column_text(stmt, 5), "PatientName", sqlite3_column_text(stmt, 6),
                     "instance", sqlite3_column_text(stmt, 7), "from", sqlite3_column_text(stmt, 8),
                     "resolved", sqlite3_column_text(stmt, 9));
}

static json_t *read_rows(struct vt_archive *archive, const char *sql, int64_t id,
                         struct vt_err *err)
{
    json_t *rows = json_array();
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(db, sql, err);
    bool row = false, ok = stmt && (rows || vt_fail(err, VT_E_NOMEM, "no memory for conflicts")) &&
                           vt_stmt_bind(db, stmt, err, "i", id);

    while (ok && (ok = vt_stmt_step(db, stmt, &row, err)) && row)
        ok = json_array_append_new(rows, conflict_row(stmt)) == 0 ||
             vt_fail(err, VT_E_NOMEM, "no memory for conflicts");
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    if (ok)
        return rows;
    json_decref(rows);
    return NULL;
}

/* With the identity that the study stands under now beside the one that came. */
static bool tell(const struct vt_admin *admin, json_t *row, bool *out_go_on, struct vt_err *err)
{
    const char *study = json_string_value(json_object_get(row, "study"));
    struct first first = { .name = "" };

    if (!vt_patient_of_study(admin->archive, study ? study : "", note_first, &first, err))
        return false;
    if (json_object_set_new(row, "stands_under", json_string(first.identity.id)) != 0 ||
        json_object_set_new(row, "stands_under_name", json_string(first.name)) != 0)
        return vt_fail(err, VT_E_NOMEM, "no memory for conflicts");
    *out_go_on = admin->row(admin->context, row);
    return true;
}

static bool tell_all(const struct vt_admin *admin, json_t *rows, struct vt_err *err)
{
    bool go_on = true, ok = rows != NULL;

    for (size_t i = 0; ok && go_on && i < json_array_size(rows); i++)
        ok = tell(admin, json_array_get(rows, i), &go_on, err);
    json_decref(rows);
    return ok;
}

bool vt_admin_conflict_list(const struct vt_admin *admin, struct vt_err *err)
{
    return tell_all(admin,
                    read_rows(admin->archive,
                              CONFLICT_FIELDS " WHERE resolved='' AND id>? ORDER BY id", 0, err),
                    err);
}

bool vt_admin_conflict_show(const struct vt_admin *admin, int64_t id, struct vt_err *err)
{
    json_t *rows = read_rows(admin->archive, CONFLICT_FIELDS " WHERE id=?", id, err);

    if (rows && json_array_size(rows) == 0) {
        json_decref(rows);
        return vt_fail(err, VT_E_NOTFOUND, "no conflict %lld", (long long)id);
    }
    return tell_all(admin, rows, err);
}

/* ---- resolving ---- */

static bool mark(struct vt_archive *archive, int64_t id, const char *how, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db, "UPDATE patient_conflict SET resolved=? WHERE id=?", err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "ti", how, id) && vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

bool vt_admin_study_move(const struct vt_admin *admin, const char *study_uid, const char *patient,
                         const char *reason, int64_t *out_id, struct vt_err *err)
{
    struct vt_patient_decision decision = {
        .kind = "move", .who = admin->who, .why = reason, .study_uid = study_uid
    };
    struct first first = { .name = "" };
    VT_AUTO_BUF(target, VT_ATTRIBUTES_MAX);
    VT_AUTO_BUF(set, VT_ATTRIBUTES_MAX);

    *out_id = 0;
    if (!vt_patient_find(admin->archive, patient, &decision.to, &target, err))
        return false;
    if (!study_uid)
        return true;
    if (!vt_patient_of_study(admin->archive, study_uid, note_first, &first, err) ||
        !vt_patient_identity_attributes(target.data, target.size, &set, err))
        return false;
    decision.from = first.identity;
    decision.attributes = set.data;
    decision.size = set.size;
    return vt_patient_act(admin->archive, &decision, out_id, err);
}

static bool move_to(const struct vt_admin *admin, const char *study_uid, const char *patient,
                    struct vt_err *err)
{
    int64_t id;

    return vt_admin_study_move(admin, study_uid, patient, "conflict", &id, err);
}

bool vt_admin_conflict_resolve(const struct vt_admin *admin, int64_t id, const char *how,
                               struct vt_err *err)
{
    bool move = strncmp(how, "to:", 3) == 0;
    json_t *rows;

    if (!move && strcmp(how, "accept") != 0)
        return vt_fail(err, VT_E_INVALID, "'%.40s' resolves nothing: say accept or to:PATIENTID",
                       how);
    if (!(rows = read_rows(admin->archive, CONFLICT_FIELDS " WHERE id=? AND resolved=''", id, err)))
        return false;
    const char *study = json_string_value(json_object_get(json_array_get(rows, 0), "study"));
    bool ok = json_array_size(rows) > 0 ||
              vt_fail(err, VT_E_NOTFOUND, "no open conflict %lld", (long long)id);
    ok = ok && (!move || move_to(admin, study, how + 3, err)) &&
         mark(admin->archive, id, how, err) &&
         vt_state_log(admin->archive->state, admin->who, "conflict", study, how, err);
    json_decref(rows);
    return ok;
}
