#include "archive/hold.h"

#include <sqlite3.h>
#include <stddef.h>

#include "archive/admin_rows.h"
#include "archive/commitment.h"
#include "archive/inside.h"
#include "core/clock.h"
#include "core/err.h"

bool vt_hold_study(const struct vt_admin *admin, const char *study_uid, const char *reason,
                   struct vt_err *err)
{
    struct vt_state *state = admin->archive->state;

    if (!vt_uid_usable(study_uid))
        return vt_fail(err, VT_E_INVALID, "'%.80s' is no Study Instance UID", study_uid);
    struct vt_db *db = vt_state_lock(state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "INSERT OR REPLACE INTO study_hold (study_uid, at, who, reason) VALUES (?, ?, ?, ?)",
        err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "titt", study_uid, vt_clock_wall(),
                           admin->who ? admin->who : "", reason ? reason : "") &&
              vt_stmt_run(db, stmt, err);
    vt_stmt_free(stmt);
    vt_state_unlock(state);
    return ok && vt_state_log(state, admin->who, "study.hold", study_uid, reason, err);
}

bool vt_hold_release(const struct vt_admin *admin, const char *study_uid, struct vt_err *err)
{
    struct vt_state *state = admin->archive->state;
    struct vt_db *db = vt_state_lock(state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db, "DELETE FROM study_hold WHERE study_uid = ?", err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "t", study_uid) && vt_stmt_run(db, stmt, err);
    bool was = ok && sqlite3_changes(vt_db_handle(db)) > 0;

    vt_stmt_free(stmt);
    vt_state_unlock(state);
    if (ok && !was)
        return vt_fail(err, VT_E_NOTFOUND, "study %.80s is not held", study_uid);
    return ok && vt_state_log(state, admin->who, "study.release", study_uid, NULL, err);
}

bool vt_hold_list(const struct vt_admin *admin, struct vt_err *err)
{
    return vt_admin_rows_of(admin,
                            "SELECT study_uid AS StudyInstanceUID, at, who, reason FROM study_hold"
                            " ORDER BY study_hold.at",
                            "", NULL, 0, NULL, err);
}

bool vt_hold_is(struct vt_archive *archive, const char *study_uid, bool *out_held,
                struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db, "SELECT 1 FROM study_hold WHERE study_uid = ?", err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "t", study_uid) &&
              vt_stmt_step(db, stmt, out_held, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

bool vt_hold_allows(struct vt_archive *archive, const struct vt_index_entry *entry,
                    bool *out_allowed, struct vt_err *err)
{
    bool held = false, committed = false;

    if (!vt_hold_is(archive, entry->study_uid, &held, err) ||
        !vt_commitment_holds(archive, entry->sop_uid, entry->version, &committed, err))
        return false;
    *out_allowed = !held && !committed;
    return true;
}
