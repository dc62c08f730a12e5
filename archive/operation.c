#include "archive/operation.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/inside.h"
#include "archive/place.h"
#include "archive/reindex.h"
#include "archive/volume.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"

enum { MOVE_CHUNK = 64, COMPARE_BLOCK = 64 << 10 };

/* ---- planning ---- */

static bool insert_operation(struct vt_archive *archive, struct vt_db *db,
                             const struct vt_file_operation *operation, int64_t *out_id,
                             struct vt_err *err)
{
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db,
                      "INSERT INTO operation (kind, subject, part, who, reason, at, state, also, trash, "
                      "purge_after, instances, bytes)"
                      " VALUES (?, ?, ?, ?, ?, ?, 'planned', ?, ?, ?, 0, 0)",
                      err);
    int64_t now = vt_clock_wall();
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "tttttitii", operation->kind, operation->subject,
                           operation->part ? operation->part : "",
                           operation->who ? operation->who : "",
                           operation->reason ? operation->reason : "", now,
                           operation->also ? operation->also : "", (int64_t)operation->trash,
                           now + archive->options.trash_retention) &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    *out_id = sqlite3_last_insert_rowid(vt_db_handle(db));
    return ok;
}

static bool insert_moves(struct vt_db *db, int64_t id,
                         bool (*next)(void *context, int64_t id, struct vt_move *out,
                                      bool *out_more, struct vt_err *err),
                         void *context, uint64_t *out_instances, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = vt_db_prepare(db,
                                              "INSERT INTO operation_file (operation, n, sop_uid, "
                                              "version, from_file, to_file, size, action)"
                                              " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                                              err);
    struct vt_move move;
    bool more = true, ok = stmt != NULL;

    *out_instances = 0;
    for (int64_t n = 0; ok && more; n++) {
        ok = next(context, id, &move, &more, err);
        if (!ok || !more)
            break;
        ok = vt_stmt_bind(db, stmt, err, "iitittii", id, n, move.sop_uid, (int64_t)move.version,
                          move.from_file, move.to_file, (int64_t)move.size, (int64_t)move.action) &&
             vt_stmt_run(db, stmt, err);
        *out_instances += move.action != VT_MOVE_FILE;
    }
    vt_stmt_free(stmt);
    return ok;
}

bool vt_operation_plan(struct vt_archive *archive, const struct vt_file_operation *operation,
                       bool (*next)(void *context, int64_t id, struct vt_move *out, bool *out_more,
                                    struct vt_err *err),
                       void *context, int64_t *out_id, uint64_t *out_instances, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    char sql[256];
    int64_t id = 0;
    bool ok = vt_db_exec(db, "BEGIN IMMEDIATE", err);

    if (ok) {
        ok = insert_operation(archive, db, operation, &id, err) &&
             insert_moves(db, id, next, context, out_instances, err);
        snprintf(sql, sizeof sql,
                 "UPDATE operation SET instances = %llu, bytes = (SELECT coalesce(sum(size), 0) "
                 "FROM operation_file"
                 " WHERE operation = %lld) WHERE id = %lld; COMMIT",
                 (unsigned long long)*out_instances, (long long)id, (long long)id);
        ok = ok && vt_db_exec(db, sql, err);
        struct vt_err ignored = { 0 };
        if (!ok)
            vt_db_exec(db, "ROLLBACK", &ignored);
    }
    vt_state_unlock(archive->state);
    if (ok)
        *out_id = id;
    return ok;
}

/* ---- doing ---- */

static void column_text(struct sqlite3_stmt *stmt, int column, char *out, size_t room)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);

    snprintf(out, room, "%s", text ? text : "");
}

/* The next moves behind n; rereading an object takes the lock of state.db, so none is held while
 * they are done. */
static bool load_moves(struct vt_archive *archive, int64_t id, int64_t after,
                       struct vt_move out[static MOVE_CHUNK], size_t *out_count, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db,
        "SELECT sop_uid, version, from_file, to_file, size, action FROM operation_file"
        " WHERE operation = ? AND n > ? ORDER BY n",
        err);
    bool row = false, ok = stmt && vt_stmt_bind(db, stmt, err, "ii", id, after);
    size_t count = 0;

    while (ok && count < MOVE_CHUNK && (ok = vt_stmt_step(db, stmt, &row, err)) && row) {
        struct vt_move *move = &out[count++];
        column_text(stmt, 0, move->sop_uid, sizeof move->sop_uid);
        move->version = (uint32_t)sqlite3_column_int64(stmt, 1);
        column_text(stmt, 2, move->from_file, sizeof move->from_file);
        column_text(stmt, 3, move->to_file, sizeof move->to_file);
        move->size = (uint64_t)sqlite3_column_int64(stmt, 4);
        move->action = (enum vt_move_action)sqlite3_column_int(stmt, 5);
    }
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    *out_count = count;
    return ok;
}

static bool same_content(int a, int b)
{
    vt_autofree uint8_t *block = malloc(2 * COMPARE_BLOCK);
    ssize_t got = 0;

    for (off_t at = 0; block && (got = pread(a, block, COMPARE_BLOCK, at)) > 0; at += got)
        if (pread(b, block + COMPARE_BLOCK, (size_t)got, at) != got ||
            memcmp(block, block + COMPARE_BLOCK, (size_t)got) != 0)
            return false;
    struct stat sa, sb;
    return block && got == 0 && fstat(a, &sa) == 0 && fstat(b, &sb) == 0 &&
           sa.st_size == sb.st_size;
}

/* Idempotent. What is in both places was made again by replay when it is the same; else neither is
 * touched. */
static bool move_file(struct vt_archive *archive, const struct vt_move *move, struct vt_err *err)
{
    int root = archive->root;

    if (strcmp(move->from_file, move->to_file) == 0)
        return true;
    vt_autoclose from = openat(root, move->from_file, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return errno == ENOENT || vt_fail_errno(err, "%s", move->from_file);
    if (vt_folders_of(archive->folders, move->to_file, true, err) < 0)
        return false;
    if (renameat2(root, move->from_file, root, move->to_file, RENAME_NOREPLACE) == 0)
        return true;
    if (errno == EXDEV)
        return vt_volume_carry(archive, from, move->from_file, move->to_file, err);
    if (errno != EEXIST)
        return vt_fail_errno(err, "moving %s to %s", move->from_file, move->to_file);
    vt_autoclose to = openat(root, move->to_file, O_RDONLY | O_CLOEXEC);
    if (to >= 0 && same_content(from, to))
        unlinkat(root, move->from_file, 0);
    return true;
}

static bool add_version(struct vt_archive *archive, const struct vt_instance *instance,
                        struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db,
                      "INSERT OR REPLACE INTO version (sop_uid, version, file, study_uid, size, "
                      "digest, pixel_digest, transfer_syntax,"
                      " arrived) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                      err);
    bool ok =
        stmt &&
        vt_stmt_bind(db, stmt, err, "tittibbti", instance->sop_uid, (int64_t)instance->version,
                     instance->file, instance->study_uid, (int64_t)instance->file_size,
                     instance->data_set_digest.bytes, sizeof(struct vt_digest),
                     instance->pixel_digest.bytes, sizeof(struct vt_digest),
                     instance->transfer_syntax, instance->arrived) &&
        vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

/* What cannot be read any more keeps neither the other files back nor the archive from starting: it
 * stays without a row, where verify finds it. */
static bool read_moved(struct vt_archive *archive, const struct vt_move *move,
                       struct vt_instance *instance, bool *out_whole, struct vt_err *err)
{
    *out_whole = vt_archive_reread(archive, move->to_file, instance, err);
    if (*out_whole ||
        (err->code != VT_E_NOTFOUND && err->code != VT_E_CORRUPT && err->code != VT_E_IO))
        return *out_whole;
    vt_err_clear(err);
    vt_events_publish(archive->options.events, "instance.corrupt", move->sop_uid, NULL);
    return true;
}

static bool put_row(struct vt_archive *archive, const struct vt_move *move,
                    struct vt_instance *instance, struct vt_err *err)
{
    bool in_objects = vt_place_is_object(move->to_file);
    struct vt_index *index = atomic_load(&archive->index);
    bool removed = false, whole = false;
    unsigned flags = 0;

    if (move->action == VT_MOVE_REMOVE) {
        vt_reindex_note_remove(archive, move->sop_uid);
        return vt_index_remove(index, move->sop_uid, &removed, err);
    }
    if (!in_objects)
        return true;
    if (!read_moved(archive, move, instance, &whole, err))
        return false;
    if (!whole)
        return true;
    if ((move->action == VT_MOVE_FILE || instance->version > 1) &&
        !add_version(archive, instance, err))
        return false;
    if (move->action != VT_MOVE_PUT)
        return true;
    vt_reindex_note_put(archive, instance);
    return vt_index_put(index, instance, &flags, err);
}

static bool do_moves(struct vt_archive *archive, int64_t id, struct vt_err *err)
{
    vt_autofree struct vt_move *moves = calloc(MOVE_CHUNK, sizeof *moves);
    struct vt_instance instance;
    size_t count = MOVE_CHUNK;
    bool ok = moves || vt_fail(err, VT_E_NOMEM, "no memory to move files");

    vt_instance_init(&instance);
    for (int64_t n = -1; ok && count == MOVE_CHUNK; n += MOVE_CHUNK) {
        ok = load_moves(archive, id, n, moves, &count, err);
        for (size_t i = 0; ok && i < count; i++) {
            ok = move_file(archive, &moves[i], err) && put_row(archive, &moves[i], &instance, err);
            if (i % 16 == 0)
                vt_point("move");
        }
        for (size_t i = 0; ok && i < count; i++)
            if (i + 1 == count || strcmp(vt_folders_name(moves[i].from_file),
                                         vt_folders_name(moves[i + 1].from_file)) != 0)
                vt_folders_prune(archive->folders, moves[i].from_file);
    }
    vt_instance_fini(&instance);
    return ok;
}

/* Rows of versions whose files went away, what the operation brings along, and its end. */
static bool end_operation(struct vt_archive *archive, int64_t id, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(db, "SELECT also FROM operation WHERE id = ?", err);
    bool row = false;
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "i", id) && vt_stmt_step(db, stmt, &row, err);
    const char *also = ok && row ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    char *sql = ok ? sqlite3_mprintf("BEGIN IMMEDIATE; DELETE FROM version WHERE file IN (SELECT "
                                     "from_file FROM operation_file WHERE operation = %lld"
                                     " AND from_file <> to_file); %s; UPDATE operation SET state = "
                                     "'done' WHERE id = %lld; COMMIT",
                                     (long long)id, also ? also : "", (long long)id)
                   : NULL;

    vt_stmt_free(stmt);
    if (ok && !row)
        ok = vt_fail(err, VT_E_CORRUPT,
                     "state.db does not know operation %lld, which the journal names",
                     (long long)id);
    else if (ok && !sql)
        ok = vt_fail(err, VT_E_NOMEM, "no memory to end operation %lld", (long long)id);
    struct vt_err ignored = { 0 };
    if (ok && !vt_db_exec(db, sql, err)) {
        vt_db_exec(db, "ROLLBACK", &ignored);
        ok = false;
    }
    sqlite3_free(sql);
    vt_state_unlock(archive->state);
    return ok;
}

static bool carry_out(struct vt_archive *archive, int64_t id, struct vt_err *err)
{
    struct vt_index *index = atomic_load(&archive->index);

    if (!vt_index_begin(index, err))
        return false;
    atomic_fetch_add(&archive->moving, 1);
    bool moved = do_moves(archive, id, err) && vt_exclusive_commit(archive, err);
    atomic_fetch_sub(&archive->moving, 1);
    if (!moved) {
        vt_index_rollback(index);
        return false;
    }
    vt_point("moved");
    return end_operation(archive, id, err);
}

bool vt_operation_run(struct vt_archive *archive, int64_t id, enum vt_record kind,
                      struct vt_err *err)
{
    uint64_t sequence = 0;

    if (!vt_archive_cut_all(archive, err))
        return false;
    vt_point("planned");
    pthread_mutex_lock(&archive->journal_lock);
    bool decided =
        vt_journal_append(archive->journal, kind, &id, sizeof id, NULL, 0, &sequence, err) &&
        vt_journal_sync(archive->journal, err);
    pthread_mutex_unlock(&archive->journal_lock);
    if (!decided)
        return vt_archive_break(archive, err);
    vt_point("decided");
    /* Halfway is no state to go on in: the next start does the rest. */
    if (!carry_out(archive, id, err) || !vt_archive_cut_all(archive, err))
        return vt_archive_break(archive, err);
    return true;
}

static bool is_planned(struct vt_archive *archive, int64_t id, bool *out_planned,
                       struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db, "SELECT 1 FROM operation WHERE id = ? AND state = 'planned'", err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "i", id) &&
              vt_stmt_step(db, stmt, out_planned, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

bool vt_operation_redo(struct vt_archive *archive, const uint8_t *body, size_t size, bool doubtful,
                       struct vt_err *err)
{
    bool planned = true;
    int64_t id = 0;

    if (size != sizeof id)
        return vt_fail(err, VT_E_CORRUPT, "an operation record of %zu bytes", size);
    memcpy(&id, body, sizeof id);
    if (doubtful && !is_planned(archive, id, &planned, err))
        return false;
    return !planned || carry_out(archive, id, err);
}

bool vt_operation_forget_plans(struct vt_archive *archive, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    bool ok = vt_db_exec(db, "DELETE FROM operation WHERE state = 'planned'", err);

    vt_state_unlock(archive->state);
    return ok;
}
