/* What we asked of others: the transactions whose reports may come here. */
#include <inttypes.h>
#include <sqlite3.h>
#include <string.h>

#include "archive/commitment.h"
#include "archive/inside.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"

bool vt_commitment_expect(struct vt_archive *archive, const char *transaction_uid, const char *peer,
                          struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "INSERT OR REPLACE INTO commitment_asked (transaction_uid, peer, at) VALUES (?, ?, ?)",
        err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "tti", transaction_uid, peer, vt_clock_wall()) &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

bool vt_commitment_answered(struct vt_archive *archive, const char *transaction_uid,
                            const char *peer, const uint8_t *report, size_t size, bool *out_known,
                            struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db,
                      "UPDATE commitment_asked SET answered = ?, report = ? WHERE transaction_uid ="
                      " ? AND peer = ?",
                      err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "ibtt", vt_clock_wall(), report, size, transaction_uid,
                           peer) &&
              vt_stmt_run(db, stmt, err);

    if (ok)
        *out_known = sqlite3_changes(vt_db_handle(db)) > 0;
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

bool vt_commitment_answer(struct vt_archive *archive, const char *transaction_uid,
                          struct vt_buf *out_report, bool *out_answered, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db, "SELECT report FROM commitment_asked WHERE transaction_uid = ?", err);
    bool row = false, ok = stmt && vt_stmt_bind(db, stmt, err, "t", transaction_uid) &&
                           vt_stmt_step(db, stmt, &row, err);

    *out_answered = ok && row && sqlite3_column_type(stmt, 0) == SQLITE_BLOB;
    if (*out_answered)
        ok = vt_buf_append(out_report, sqlite3_column_blob(stmt, 0),
                           (size_t)sqlite3_column_bytes(stmt, 0), err);
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok && (row || vt_fail(err, VT_E_NOTFOUND, "transaction %s was never asked here",
                                 transaction_uid));
}

bool vt_commitment_note_elsewhere(struct vt_archive *archive, const struct vt_index_entry *entry,
                                  const char *peer, const char *transaction_uid,
                                  struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db,
        "INSERT OR REPLACE INTO committed_elsewhere (sop_uid, peer, digest, transaction_uid, at)"
        " VALUES (?, ?, ?, ?, ?)",
        err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "ttbti", entry->sop_uid, peer, &entry->data_set_digest,
                           sizeof entry->data_set_digest, transaction_uid, vt_clock_wall()) &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

bool vt_commitment_elsewhere(struct vt_archive *archive, const struct vt_index_entry *entry,
                             const char *peer, bool *out_committed, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "SELECT 1 FROM committed_elsewhere WHERE sop_uid = ? AND peer = ? AND digest = ?", err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "ttb", entry->sop_uid, peer, &entry->data_set_digest,
                           sizeof entry->data_set_digest) &&
              vt_stmt_step(db, stmt, out_committed, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}
