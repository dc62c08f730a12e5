#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "archive/admin_rows.h"
#include "archive/commitment.h"
#include "archive/inside.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"

/* ---- trash ---- */

bool vt_admin_trash_list(const struct vt_admin *admin, struct vt_err *err)
{
    return vt_admin_rows_of(
        admin,
        "SELECT id, kind, subject, part, who, reason, at, purge_after, instances, bytes FROM operation"
        " WHERE trash = 1 AND state = 'done' ORDER BY id",
        "", NULL, 0, NULL, err);
}

/* The newest deletion of a study, or of a part of one. */
static bool find_trash(struct vt_archive *archive, const char *study_uid, int64_t *in_out_id,
                       char kind[static 32], char subject[static 80], struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db,
                      "SELECT id, kind, subject FROM operation WHERE trash = 1 AND state = 'done' "
                      "AND (id = ?1 OR (?1 = 0 AND ?2 IN (subject, part)))"
                      " ORDER BY id DESC LIMIT 1",
                      err);
    bool row = false;
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "it", *in_out_id, study_uid ? study_uid : "") &&
              vt_stmt_step(db, stmt, &row, err);

    if (ok && row) {
        *in_out_id = sqlite3_column_int64(stmt, 0);
        snprintf(kind, 32, "%s", (const char *)sqlite3_column_text(stmt, 1));
        snprintf(subject, 80, "%s", (const char *)sqlite3_column_text(stmt, 2));
    }
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    if (ok && !row && *in_out_id != 0)
        return vt_fail(err, VT_E_NOTFOUND, "no entry %" PRId64 " in the trash", *in_out_id);
    return ok && (row || vt_fail(err, VT_E_NOTFOUND, "%s is not in the trash",
                                 study_uid ? study_uid : ""));
}

/* The next file of that deletion, which was served. */
static bool next_trashed(struct vt_archive *archive, int64_t id, int64_t *n,
                         char file[static VT_FILE_MAX], bool *out_more, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db,
                      "SELECT n, to_file FROM operation_file WHERE operation = ? AND n > ?"
                      " AND action = ? AND to_file LIKE 'trash/%' ORDER BY n LIMIT 1",
                      err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "iii", id, *n, (int64_t)VT_MOVE_REMOVE) &&
              vt_stmt_step(db, stmt, out_more, err);

    if (ok && *out_more) {
        *n = sqlite3_column_int64(stmt, 0);
        snprintf(file, VT_FILE_MAX, "%s", (const char *)sqlite3_column_text(stmt, 1));
    }
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

bool vt_admin_trash_each(const struct vt_admin *admin, const char *study_uid,
                         bool (*each)(void *context, const struct vt_instance *instance,
                                      struct vt_err *err),
                         void *context, struct vt_err *err)
{
    struct vt_archive *archive = admin->archive;
    char kind[32], subject[80], file[VT_FILE_MAX];
    struct vt_instance instance;
    int64_t id = 0, n = -1;
    bool more = true, ok = find_trash(archive, study_uid, &id, kind, subject, err);

    vt_instance_init(&instance);
    while (ok && (ok = next_trashed(archive, id, &n, file, &more, err)) && more) {
        struct vt_err wrong = { 0 };
        if (vt_archive_reread(archive, file, &instance, &wrong))
            ok = each(context, &instance, err);
        else if (wrong.code == VT_E_NOMEM)
            ok = vt_fail(err, VT_E_NOMEM, "no memory to read the trash");
    }
    vt_instance_fini(&instance);
    return ok;
}

struct restore {
    struct vt_archive *archive;
    int64_t id;
    struct vt_moves moves;
    size_t gone;  /* someone took them out of trash/ */
    size_t taken; /* versions in whose place something else lies: they stay in the trash */
};

static bool is_there(const struct vt_archive *archive, const char *file)
{
    return faccessat(archive->root, file, F_OK, 0) == 0 || errno != ENOENT;
}

static bool collect_restored(struct restore *restore, struct sqlite3_stmt *stmt, struct vt_err *err)
{
    const char *from = (const char *)sqlite3_column_text(stmt, 2);
    const char *to = (const char *)sqlite3_column_text(stmt, 3);
    bool served = sqlite3_column_int(stmt, 5) == VT_MOVE_REMOVE;
    bool gone = !is_there(restore->archive, from);
    bool taken = !gone && !served && is_there(restore->archive, to);

    restore->gone += gone;
    restore->taken += taken;
    return gone || taken ||
           vt_moves_add(&restore->moves, (const char *)sqlite3_column_text(stmt, 0),
                        (uint32_t)sqlite3_column_int64(stmt, 1), from, to,
                        (uint64_t)sqlite3_column_int64(stmt, 4),
                        served ? VT_MOVE_PUT : VT_MOVE_FILE, err);
}

static bool collect_restore(struct restore *restore, struct vt_err *err)
{
    struct vt_archive *archive = restore->archive;
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(db,
                                              "SELECT sop_uid, version, to_file, from_file, size, "
                                              "action FROM operation_file WHERE operation = ?"
                                              " AND to_file LIKE 'trash/%' ORDER BY n",
                                              err);
    bool row = false, ok = stmt && vt_stmt_bind(db, stmt, err, "i", restore->id);

    while (ok && (ok = vt_stmt_step(db, stmt, &row, err)) && row)
        ok = collect_restored(restore, stmt, err);
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    if (!ok || restore->moves.count > 0)
        return ok;
    if (restore->taken > 0)
        return vt_fail(err, VT_E_EXISTS,
                       "other files lie where those of entry %" PRId64
                       " belong: they stay in the trash",
                       restore->id);
    return restore->gone == 0 ||
           vt_fail(err, VT_E_NOTFOUND, "the files of entry %" PRId64 " are not in trash/ any more",
                   restore->id);
}

/* What becomes of the entry. One that was discarded from quarantine waits there again; what could
 * not go back stays listed. */
#define NEWEST_RESTORE "(SELECT max(id) FROM operation WHERE kind = 'restore')"
static void end_entry(const struct restore *restore, const char *kind, const char *subject,
                      char *out, size_t room)
{
    bool discarded = strcmp(kind, "quarantine-discard") == 0;

    if (restore->taken > 0)
        snprintf(
            out, room,
            "DELETE FROM operation_file WHERE operation = %" PRId64
            " AND to_file IN (SELECT from_file FROM operation_file WHERE operation "
            "= " NEWEST_RESTORE
            "); UPDATE operation SET instances = %zu, bytes = (SELECT coalesce(sum(size), 0) FROM"
            " operation_file WHERE operation = %" PRId64 ") WHERE id = %" PRId64,
            restore->id, restore->taken, restore->id, restore->id);
    else
        snprintf(out, room, "UPDATE operation SET state = 'restored' WHERE id = %" PRId64 "%s%s",
                 restore->id,
                 discarded ? "; UPDATE quarantine SET resolved = NULL WHERE id = " : "",
                 discarded ? subject : "");
}

static bool none_is_there(struct vt_archive *archive, const struct vt_moves *moves,
                          struct vt_err *err)
{
    struct vt_index_entry entry;
    bool found = false;

    for (size_t i = 0; i < moves->count; i++) {
        if (moves->items[i].action != VT_MOVE_PUT)
            continue;
        if (!vt_index_lookup(vt_archive_index(archive), moves->items[i].sop_uid, &entry, &found,
                             err))
            return false;
        if (found)
            return vt_fail(err, VT_E_EXISTS,
                           "instance %s was stored again after it was deleted; delete that first",
                           moves->items[i].sop_uid);
        if (is_there(archive, moves->items[i].to_file))
            return vt_fail(
                err, VT_E_EXISTS,
                "a file that the index does not know lies at %.120s; move it away, or reindex",
                moves->items[i].to_file);
    }
    return true;
}

bool vt_admin_study_restore(const struct vt_admin *admin, int64_t trash_id, const char *study_uid,
                            uint64_t *out_instances, struct vt_err *err)
{
    struct vt_archive *archive = admin->archive;
    char also[640], kind[32], subject[80];
    struct vt_file_operation operation = {
        .kind = "restore", .subject = subject, .who = admin->who, .also = also
    };
    struct restore restore = { .archive = archive };
    int64_t id = 0;

    if (!find_trash(archive, study_uid, &trash_id, kind, subject, err) ||
        !vt_exclusive_begin(archive, err))
        return false;
    restore.id = trash_id;
    bool ok = collect_restore(&restore, err) && none_is_there(archive, &restore.moves, err);
    end_entry(&restore, kind, subject, also, sizeof also);
    ok = ok && vt_moves_run(archive, &restore.moves, &operation, &id, out_instances, err);
    vt_exclusive_end(archive);
    vt_moves_fini(&restore.moves);
    if (!ok || !vt_commitment_lift(archive, trash_id, false, err) ||
        !vt_state_log(archive->state, admin->who, "study.restore", subject, NULL, err))
        return false;
    vt_events_publish(archive->options.events, "study.restored", subject, NULL);
    return true;
}

/* ---- purge ---- */

enum { PURGE_BATCH = 256 };
#define PURGED_SOME                                                                                \
    "(operation, n) IN (SELECT operation, n FROM operation_file JOIN operation ON id = operation " \
    "WHERE state = 'purged' ORDER BY operation, n LIMIT ?)"

/* Marks first, removes then: what was marked and not removed goes with the next purge. */
static bool mark_purged(struct vt_archive *archive, bool everything, bool committed,
                        struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db,
        "UPDATE operation SET state = 'purged' WHERE trash = 1 AND state = 'done'"
        " AND (?1 OR purge_after < ?2) AND (?3 OR NOT EXISTS (SELECT 1 FROM operation_file f"
        " WHERE f.operation = operation.id AND " VT_COMMITMENT_HOLDS_FILE "))",
        err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "iii", (int64_t)everything, vt_clock_wall(),
                           (int64_t)(everything && committed)) &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

/* Some files of what is marked: a purge of many holds up those who store for a moment only. In any
 * case *out_files says how many rows were done. */
static bool remove_some(struct vt_archive *archive, size_t *out_files, uint64_t *removed,
                        struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "SELECT to_file FROM operation_file WHERE " PURGED_SOME " ORDER BY operation, n", err);
    bool row = false, ok = stmt && vt_stmt_bind(db, stmt, err, "i", (int64_t)PURGE_BATCH);

    for (*out_files = 0; ok && (ok = vt_stmt_step(db, stmt, &row, err)) && row; ++*out_files) {
        const char *file = (const char *)sqlite3_column_text(stmt, 0);
        if (strncmp(file, "trash/", 6) != 0)
            continue;
        *removed += unlinkat(archive->root, file, 0) == 0;
        vt_folders_prune(archive->folders, file);
    }
    vt_stmt_free(stmt);
    stmt = ok ? vt_db_prepare(db, "DELETE FROM operation_file WHERE " PURGED_SOME, err) : NULL;
    ok = stmt && vt_stmt_bind(db, stmt, err, "i", (int64_t)PURGE_BATCH) &&
         vt_stmt_run(db, stmt, err);
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

static bool any_purged(struct vt_archive *archive, bool *out_any, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db, "SELECT 1 FROM operation_file WHERE " PURGED_SOME, err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "i", (int64_t)1) &&
              vt_stmt_step(db, stmt, out_any, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

static bool remove_purged(const struct vt_admin *admin, uint64_t *removed, struct vt_err *err)
{
    struct vt_archive *archive = admin->archive;
    size_t files = PURGE_BATCH;

    while (files == PURGE_BATCH) {
        if (!vt_exclusive_begin_full(archive, err))
            return false;
        bool ok = remove_some(archive, &files, removed, err);
        vt_exclusive_end(archive);
        if (!ok)
            return false;
        if (files == PURGE_BATCH && admin->progress &&
            !admin->progress(admin->context, *removed, 0, "instances"))
            return vt_fail(err, VT_E_CANCELLED,
                           "the purge was cancelled; the next goes on with it");
    }
    return true;
}

bool vt_admin_trash_purge(const struct vt_admin *admin, bool everything, uint64_t *out_instances,
                          struct vt_err *err)
{
    struct vt_archive *archive = admin->archive;
    bool any = false;

    *out_instances = 0;
    if (!mark_purged(archive, everything, admin->committed, err) || !any_purged(archive, &any, err))
        return false;
    if (!any)
        return true;
    bool ok = remove_purged(admin, out_instances, err);
    vt_space_forget(archive);
    struct vt_err ignored = { 0 };
    return (*out_instances == 0 || vt_state_log(archive->state, admin->who, "trash.purge", NULL,
                                                NULL, ok ? err : &ignored)) &&
           ok;
}
