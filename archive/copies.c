#include "archive/copies.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/admin_rows.h"
#include "archive/inside.h"
#include "archive/volume_copy.h"
#include "archive/volume_inside.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/io.h"

enum { COPIES_MAX = 8 }; /* of one instance that are looked at */

/* ---- one row ---- */

struct copy {
    char sop_uid[VT_UID_MAX + 1], file[VT_FILE_MAX];
    struct vt_digest digest;
};

static void read_copy(struct sqlite3_stmt *stmt, struct copy *out)
{
    snprintf(out->sop_uid, sizeof out->sop_uid, "%s", (const char *)sqlite3_column_text(stmt, 0));
    snprintf(out->file, sizeof out->file, "%s", (const char *)sqlite3_column_text(stmt, 1));
    memset(&out->digest, 0, sizeof out->digest);
    if (sqlite3_column_bytes(stmt, 2) == (int)sizeof out->digest)
        memcpy(&out->digest, sqlite3_column_blob(stmt, 2), sizeof out->digest);
}

static bool run_with(struct vt_archive *archive, const char *sql, const char *text,
                     struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(db, sql, err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "t", text) && vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

bool vt_copies_note(struct vt_db *db, const struct vt_index_entry *entry, const char *volume,
                    const char *file, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db,
        "INSERT OR REPLACE INTO volume_second (sop_uid, volume, file, study_uid, size, digest, made)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "ttttibi", entry->sop_uid, volume, file,
                           entry->study_uid, (int64_t)entry->file_size, &entry->data_set_digest,
                           sizeof entry->data_set_digest, vt_clock_wall()) &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    return ok;
}

bool vt_copies_forget(struct vt_archive *archive, const char *file, struct vt_err *err)
{
    return run_with(archive, "DELETE FROM volume_second WHERE file = ?", file, err);
}

bool vt_copies_is(struct vt_archive *archive, const char *file, bool *out_is, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db, "SELECT 1 FROM volume_second WHERE file = ?", err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "t", file) &&
              vt_stmt_step(db, stmt, out_is, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

/* ---- which one to read ---- */

static bool is_ready(struct vt_archive *archive, const char *file)
{
    char name[VT_VOLUME_NAME_MAX + 1];
    struct vt_err away = { 0 };

    vt_volume_of(file, name);
    return vt_volume_is_ready(archive, name, &away);
}

bool vt_copies_find(struct vt_archive *archive, const struct vt_index_entry *entry,
                    const char *volume, char out_file[static VT_FILE_MAX], bool *out_found,
                    struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db,
        "SELECT sop_uid, file, digest FROM volume_second WHERE sop_uid = ?1 AND file <> ?2"
        " AND (?3 = '' OR volume = ?3)",
        err);
    bool more = true, ok = stmt && vt_stmt_bind(db, stmt, err, "ttt", entry->sop_uid, entry->file,
                                                volume ? volume : "");
    struct copy list[COPIES_MAX];
    size_t count = 0;

    while (ok && count < COPIES_MAX && (ok = vt_stmt_step(db, stmt, &more, err)) && more)
        read_copy(stmt, &list[count++]);
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    *out_found = false;
    for (size_t i = 0; ok && i < count && !*out_found; i++) {
        *out_found = memcmp(&list[i].digest, &entry->data_set_digest, sizeof list[i].digest) == 0 &&
                     is_ready(archive, list[i].file);
        if (*out_found)
            memcpy(out_file, list[i].file, sizeof list[i].file);
    }
    return ok;
}

int vt_copies_open(struct vt_archive *archive, const struct vt_index_entry *entry)
{
    char file[VT_FILE_MAX];
    struct vt_err ignored = { 0 };
    struct stat info;
    bool found = false;

    if (!vt_copies_find(archive, entry, NULL, file, &found, &ignored) || !found)
        return -1;
    vt_autoclose fd = openat(archive->root, file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) < 0 || (uint64_t)info.st_size != entry->file_size)
        return -1;
    return vt_take_fd(&fd);
}

/* ---- what is to go ---- */

/* One behind `after`, of a study and a volume unless these are "". */
static bool next_copy(struct vt_archive *archive, const char *after, const char *study_uid,
                      const char *volume, struct copy *out, bool *out_more, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db,
        "SELECT sop_uid, file, digest FROM volume_second WHERE file > ?1"
        " AND (?2 = '' OR study_uid = ?2) AND (?3 = '' OR volume = ?3) ORDER BY file LIMIT 1",
        err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "ttt", after, study_uid, volume) &&
              vt_stmt_step(db, stmt, out_more, err);

    if (ok && *out_more)
        read_copy(stmt, out);
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

/* The file goes first, for good: what has no row might be served again by a reindex. Nobody relies on a row without having read
 * the file. */
static bool drop(struct vt_archive *archive, const char *file, struct vt_err *err)
{
    char folder[VT_FILE_MAX];

    snprintf(folder, sizeof folder, "%s", file);
    *strrchr(folder, '/') = '\0';
    vt_autoclose fd = openat(archive->root, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (unlinkat(archive->root, file, 0) < 0 && errno != ENOENT)
        return vt_fail_errno(err, "removing %s", file);
    if (fd >= 0 && !vt_io_sync_folder(fd, folder, err))
        return false;
    vt_volume_prune(archive->root, file);
    return vt_copies_forget(archive, file, err);
}

/* Does the index still name such an instance, and does it name another file? */
static bool look(struct vt_archive *archive, const struct copy *copy,
                 struct vt_index_entry *out_entry, bool *out_wanted, bool *out_first,
                 struct vt_err *err)
{
    bool found = false;

    if (!vt_index_lookup(atomic_load(&archive->index), copy->sop_uid, out_entry, &found, err))
        return false;
    *out_first = found && strcmp(out_entry->file, copy->file) == 0;
    *out_wanted = found && memcmp(&out_entry->data_set_digest, &copy->digest,
                                  sizeof copy->digest) == 0;
    return true;
}

static bool sweep_one(struct vt_archive *archive, const struct copy *copy, struct vt_err *err)
{
    struct vt_index_entry entry;
    struct vt_uid_lock lock;
    bool wanted = false, first = false;

    /* A restore or an arrival decides under the same lock. */
    vt_locks_take(archive->locks, &lock, copy->sop_uid);
    bool ok = look(archive, copy, &entry, &wanted, &first, err);
    if (ok && first)
        ok = vt_copies_forget(archive, copy->file, err);
    else if (ok && !wanted && is_ready(archive, copy->file))
        ok = drop(archive, copy->file, err);
    vt_locks_give(archive->locks, &lock);
    return ok;
}

bool vt_copies_sweep(struct vt_archive *archive, const char *study_uid, struct vt_err *err)
{
    struct copy copy = { .file = "" };
    bool more = true;

    for (;;) {
        if (!next_copy(archive, copy.file, study_uid ? study_uid : "", "", &copy, &more, err))
            return false;
        if (!more)
            return true;
        if (!sweep_one(archive, &copy, err))
            return false;
    }
}

static bool give_up_one(const struct vt_admin *admin, const struct copy *copy, uint64_t *faults,
                        struct vt_err *err)
{
    struct vt_archive *archive = admin->archive;
    struct vt_index_entry entry;
    struct vt_err wrong = { 0 };
    bool wanted = false, first = false;

    if (!look(archive, copy, &entry, &wanted, &first, err))
        return false;
    if (!wanted || first)
        return sweep_one(archive, copy, err);
    if (vt_volume_check(archive->root, entry.file, &entry, &wrong))
        return drop(archive, copy->file, err);
    if (wrong.code == VT_E_NOMEM) {
        *err = wrong;
        return false;
    }
    ++*faults;
    return vt_admin_send(admin,
                         json_pack("{s:s, s:s, s:s, s:s}", "fault", "copy kept", "file",
                                   copy->file, "SOPInstanceUID", copy->sop_uid, "reason",
                                   wrong.text),
                         err);
}

bool vt_copies_give_up(const struct vt_admin *admin, const char *volume, uint64_t *out_faults,
                       struct vt_err *err)
{
    struct copy copy = { .file = "" };
    bool more = true;

    for (;;) {
        if (!next_copy(admin->archive, copy.file, "", volume, &copy, &more, err))
            return false;
        if (!more)
            return true;
        if (!give_up_one(admin, &copy, out_faults, err))
            return false;
    }
}

bool vt_copies_next_study(struct vt_archive *archive, const char *volume,
                          char behind[static VT_UID_MAX + 1], bool *out_more, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(db,
                                              "SELECT study_uid FROM volume_second WHERE volume = ?"
                                              " AND study_uid > ? ORDER BY study_uid LIMIT 1",
                                              err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "tt", volume, behind) &&
              vt_stmt_step(db, stmt, out_more, err);

    if (ok && *out_more)
        snprintf(behind, VT_UID_MAX + 1, "%s", (const char *)sqlite3_column_text(stmt, 0));
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}
