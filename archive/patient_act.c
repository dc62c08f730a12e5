/* Doing and undoing: state.db decides, the index follows. An action stands there as pending first;
 * what a crash leaves pending is done again when the archive opens. */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "archive/attributes.h"
#include "archive/inside.h"
#include "archive/late.h"
#include "archive/patient.h"
#include "archive/patient_inside.h"
#include "archive/reindex.h"
#include "core/clock.h"
#include "core/err.h"

struct moving {
    struct vt_archive *archive;
    char (*uids)[VT_UID_MAX + 1]; /* studies, collected before the index is written */
    size_t count, room;
};

static bool note_study(void *context, const struct vt_row *row, struct vt_err *err)
{
    struct moving *moving = context;

    if (moving->count == moving->room) {
        size_t room = moving->room ? 2 * moving->room : 64;
        void *grown = reallocarray(moving->uids, room, sizeof *moving->uids);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for %zu studies", room);
        moving->uids = grown;
        moving->room = room;
    }
    strncpy(moving->uids[moving->count], row->study_uid, VT_UID_MAX);
    moving->uids[moving->count++][VT_UID_MAX] = '\0';
    return true;
}

/* The first object of a study, read again with what is decided now. */
static bool reread_study(struct vt_archive *archive, const char *study_uid,
                         struct vt_instance *instance, struct vt_err *err)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_NONE };
    struct vt_index_entry entry;
    bool more = false;
    VT_AUTO_BUF(word, 256);

    if (!vt_buf_printf(&word, err, "StudyInstanceUID=%s", study_uid))
        return false;
    const char *words[] = { (const char *)word.data };
    VT_AUTO(vt_query) query = vt_query_from_words(VT_LEVEL_STUDY, words, 1, &rules, err);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, err) : NULL;
    VT_AUTO(vt_cursor) cursor = plan ? vt_index_select(vt_archive_index(archive), plan, err) : NULL;
    if (!cursor || !vt_cursor_select_next(cursor, &entry, &more, err))
        return false;
    if (!more)
        return vt_fail(err, VT_E_NOTFOUND, "study %s has no instances", study_uid);
    return vt_late_wait(archive, entry.file, err) && vt_archive_reread(archive, entry.file, instance, err);
}

static bool move_all(struct moving *moving, struct vt_err *err)
{
    struct vt_index *index = vt_archive_index(moving->archive);
    struct vt_instance instance;
    bool ok = true;

    vt_instance_init(&instance);
    for (size_t i = 0; ok && i < moving->count; i++) {
        ok = reread_study(moving->archive, moving->uids[i], &instance, err) &&
             vt_index_begin(index, err);
        if (!ok)
            break;
        const struct vt_buf *attributes = &instance.attributes[VT_LEVEL_PATIENT];
        ok = vt_index_move_study(index, moving->uids[i], attributes->data, attributes->size, err) &&
             vt_exclusive_commit(moving->archive, err);
        if (!ok)
            vt_index_rollback(index);
        else
            vt_reindex_note_move(moving->archive, moving->uids[i], attributes->data,
                                 attributes->size);
    }
    vt_instance_fini(&instance);
    return ok && vt_index_checkpoint(index, err);
}

/* The studies that stand under one of the two identities (NULL: not asked), or the one study. */
static bool collect(struct moving *moving, const char *study_uid, const struct vt_identity *from,
                    const struct vt_identity *to, struct vt_err *err)
{
    struct vt_row row = { .study_uid = study_uid };

    if (study_uid[0])
        return note_study(moving, &row, err);
    return (!from ||
            vt_patient_studies(moving->archive, from->id, from->issuer, note_study, moving, err)) &&
           (!to ||
            vt_patient_studies(moving->archive, to->id, to->issuer, note_study, moving, err));
}

static bool follow(struct vt_archive *archive, const char *study_uid,
                   const struct vt_identity *from, const struct vt_identity *to, struct vt_err *err)
{
    struct moving moving = { .archive = archive };

    vt_reindex_note_identities(archive);
    bool ok = vt_patients_reload(archive, err) && collect(&moving, study_uid, from, to, err) &&
              move_all(&moving, err);

    free(moving.uids);
    return ok;
}

static bool run_id(struct vt_archive *archive, const char *sql, int64_t id, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(db, sql, err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "i", id) && vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

static bool insert(struct vt_archive *archive, const struct vt_patient_decision *d, int64_t *out_id,
                   struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db,
        "INSERT INTO patient_action (at, who, kind, why, reason, study_uid, from_id, from_issuer, "
        "to_id, to_issuer,"
        " attributes, pending, undone) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0)",
        err);
    bool ok =
        stmt &&
        vt_stmt_bind(db, stmt, err,
                     "ittttttttt"
                     "b",
                     vt_clock_wall(), d->who ? d->who : "", d->kind, d->why ? d->why : "",
                     strcmp(d->kind, "correct") == 0 ? "CORRECT" : "COERCE", d->study_uid,
                     d->from.id, d->from.issuer, d->to.id, d->to.issuer, d->attributes, d->size) &&
        vt_stmt_run(db, stmt, err);

    if (ok)
        *out_id = sqlite3_last_insert_rowid(vt_db_handle(db));
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

/* Arrivals that looked at the identities before are indexed by now, and the next ones look again.
 */
static bool identities_begin(struct vt_archive *archive, struct vt_err *err)
{
    vt_gate_close(&archive->identities);
    if (vt_exclusive_begin(archive, err))
        return true;
    vt_gate_open(&archive->identities);
    return false;
}

static void identities_end(struct vt_archive *archive)
{
    vt_exclusive_end(archive);
    vt_gate_open(&archive->identities);
}

bool vt_patient_act(struct vt_archive *archive, const struct vt_patient_decision *decision,
                    int64_t *out_id, struct vt_err *err)
{
    int64_t id = 0;

    if (!identities_begin(archive, err))
        return false;
    bool ok = insert(archive, decision, &id, err) &&
              follow(archive, decision->study_uid, &decision->from, NULL, err) &&
              run_id(archive, "UPDATE patient_action SET pending=0 WHERE id=?", id, err);
    identities_end(archive);
    if (!ok)
        return false;
    *out_id = id;
    return vt_state_log(archive->state, decision->who, decision->kind, decision->from.id,
                        decision->to.id, err);
}

/* ---- what is in state.db, by number ---- */

struct stored {
    int64_t id;
    char study_uid[VT_UID_MAX + 1];
    struct vt_identity from, to;
    bool undone;
};

static void text_at(struct sqlite3_stmt *stmt, int i, char *out, size_t room)
{
    const char *text = (const char *)sqlite3_column_text(stmt, i);
    strncpy(out, text ? text : "", room - 1);
    out[room - 1] = '\0';
}

/* The first that fits `where`; id 0 when there is none. */
static bool find_stored(struct vt_archive *archive, const char *sql, int64_t id, struct stored *out,
                        struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(db, sql, err);
    bool row = false;
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "i", id) && vt_stmt_step(db, stmt, &row, err);

    memset(out, 0, sizeof *out);
    if (ok && row) {
        out->id = sqlite3_column_int64(stmt, 0);
        text_at(stmt, 1, out->study_uid, sizeof out->study_uid);
        text_at(stmt, 2, out->from.id, sizeof out->from.id);
        text_at(stmt, 3, out->from.issuer, sizeof out->from.issuer);
        text_at(stmt, 4, out->to.id, sizeof out->to.id);
        text_at(stmt, 5, out->to.issuer, sizeof out->to.issuer);
        out->undone = sqlite3_column_int(stmt, 6) != 0;
    }
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

#define STORED_FIELDS                                                                              \
    "SELECT id, study_uid, from_id, from_issuer, to_id, to_issuer, undone FROM patient_action"

bool vt_admin_patient_undo(const struct vt_admin *admin, int64_t id, struct vt_err *err)
{
    struct vt_archive *archive = admin->archive;
    struct stored stored;

    if (!find_stored(archive, STORED_FIELDS " WHERE id=?", id, &stored, err))
        return false;
    if (stored.id == 0 || stored.undone)
        return vt_fail(err, VT_E_NOTFOUND, "no merge or correction %lld that could be undone",
                       (long long)id);
    if (!identities_begin(archive, err))
        return false;
    bool ok =
        run_id(archive, "UPDATE patient_action SET undone=1, pending=1 WHERE id=?", id, err) &&
        follow(archive, stored.study_uid, NULL, &stored.to, err) &&
        run_id(archive, "UPDATE patient_action SET pending=0 WHERE id=?", id, err);
    identities_end(archive);
    return ok &&
           vt_state_log(archive->state, admin->who, "undo", stored.from.id, stored.to.id, err);
}

bool vt_patients_recover(struct vt_archive *archive, struct vt_err *err)
{
    struct stored stored;

    for (int64_t behind = 0;; behind = stored.id) {
        if (!find_stored(archive, STORED_FIELDS " WHERE pending=1 AND id>? ORDER BY id LIMIT 1",
                         behind, &stored, err))
            return false;
        if (stored.id == 0)
            return true;
        if (!identities_begin(archive, err))
            return false;
        bool ok = follow(archive, stored.study_uid, &stored.from, &stored.to, err) &&
                  run_id(archive, "UPDATE patient_action SET pending=0 WHERE id=?", stored.id, err);
        identities_end(archive);
        if (!ok)
            return false;
    }
}
