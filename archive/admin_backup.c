/* backup: both databases as of one moment, then every file they name. Objects never change, so the
 * files may be linked or copied while the archive goes on; what is deleted meanwhile is found in
 * the trash. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/admin_rows.h"
#include "archive/inside.h"
#include "archive/volume.h"
#include "core/err.h"
#include "core/io.h"

enum { COPY_BLOCK = 1 << 20, PROGRESS_EVERY = 100, BACKUP_READERS = 1 };

struct backup {
    const struct vt_admin *admin;
    struct vt_archive *archive;
    const char *folder;
    int target;
    struct vt_folders *folders;
    FILE *manifest;
    uint64_t total, done;
    uint64_t missing; /* files that rows name and nobody has; the rest is copied all the same */
};

/* ---- databases ---- */

/* A connection whose view stays as it is now. */
static struct vt_db *pin(struct vt_archive *archive, const char *name, struct vt_err *err)
{
    static const struct vt_db_options options = { .read_only = true, .busy_ms = 5000 };
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", archive->path, name);
    VT_AUTO(vt_db) db = vt_db_open(path, &options, err);
    if (!db || !vt_db_exec(db, "BEGIN; SELECT count(*) FROM sqlite_master", err))
        return NULL;
    return vt_take(&db);
}

static bool copy_database(struct vt_db *from, const char *folder, const char *name,
                          struct vt_err *err)
{
    char path[PATH_MAX];
    sqlite3 *to = NULL;

    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return vt_fail(err, VT_E_INVALID, "path is too long: %s", folder);
    if (sqlite3_open(path, &to) != SQLITE_OK) {
        sqlite3_close(to);
        return vt_fail(err, VT_E_IO, "cannot make %s", path);
    }
    sqlite3_backup *copy = sqlite3_backup_init(to, "main", vt_db_handle(from), "main");
    bool ok = copy && sqlite3_backup_step(copy, -1) == SQLITE_DONE;
    if (copy)
        sqlite3_backup_finish(copy);
    if (!ok)
        vt_fail(err, sqlite3_errcode(to) == SQLITE_FULL ? VT_E_FULL : VT_E_IO, "copying %s: %s",
                path, sqlite3_errmsg(to));
    sqlite3_close(to);
    return ok;
}

/* A backup has one file of each. */
static bool forget_copies(const struct backup *backup, struct vt_err *err)
{
    static const struct vt_db_options options = { .busy_ms = 5000 };
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/state.db", backup->folder);
    VT_AUTO(vt_db) db = vt_db_open(path, &options, err);
    return db && vt_db_exec(db, "DELETE FROM volume_second", err);
}

static bool copy_databases(struct backup *backup, struct vt_err *err)
{
    bool sqlite = backup->archive->options.index == &vt_index_sqlite;

    if (!vt_exclusive_begin(backup->archive, err))
        return false;
    VT_AUTO(vt_db)
    state = vt_archive_cut_all(backup->archive, err) ? pin(backup->archive, "state.db", err) : NULL;
    VT_AUTO(vt_db) index = state && sqlite ? pin(backup->archive, "index.db", err) : NULL;
    vt_exclusive_end(backup->archive);
    return state && (index || !sqlite) && copy_database(state, backup->folder, "state.db", err) &&
           forget_copies(backup, err) &&
           (!sqlite || copy_database(index, backup->folder, "index.db", err));
}

/* ---- files ---- */

static bool copy_bytes(int from, int to, const char *file, struct vt_err *err)
{
    vt_autofree uint8_t *block = malloc(COPY_BLOCK);
    uint64_t at = 0;
    ssize_t got = 0;

    if (!block)
        return vt_fail(err, VT_E_NOMEM, "no memory to copy %s", file);
    for (; (got = pread(from, block, COPY_BLOCK, (off_t)at)) > 0; at += (uint64_t)got)
        if (!vt_io_pwrite(to, block, (size_t)got, at, file, err))
            return false;
    return got == 0 || vt_fail_errno(err, "reading %s", file);
}

/* Where the file lies now: it may have been moved to the trash since. Empty: nobody moved it. */
static bool find_moved(struct backup *backup, const char *file, char out[static VT_FILE_MAX],
                       struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(backup->archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db,
                      "SELECT to_file FROM operation_file WHERE from_file = ? AND to_file <> "
                      "from_file ORDER BY operation DESC LIMIT 1",
                      err);
    bool row = false,
         ok = stmt && vt_stmt_bind(db, stmt, err, "t", file) && vt_stmt_step(db, stmt, &row, err);

    if (ok && row)
        snprintf(out, VT_FILE_MAX, "%s", (const char *)sqlite3_column_text(stmt, 0));
    vt_stmt_free(stmt);
    vt_state_unlock(backup->archive->state);
    return ok;
}

static bool link_or_copy(struct backup *backup, const char *source, const char *file,
                         struct vt_err *err)
{
    int folder = vt_folders_of(backup->folders, file, true, err);
    if (folder < 0)
        return false;
    const char *name = vt_folders_name(file);
    if (linkat(backup->archive->root, source, folder, name, 0) == 0)
        return true;
    if (errno == ENOENT)
        return vt_fail_errno(err, "%s", source);
    if (errno != EXDEV && errno != EPERM && errno != EMLINK && errno != EOPNOTSUPP)
        return vt_fail_errno(err, "linking %s", file);
    vt_autoclose from = openat(backup->archive->root, source, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return vt_fail_errno(err, "%s", source);
    vt_autoclose to = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    return to >= 0 ? copy_bytes(from, to, file, err)
                   : vt_fail_errno(err, "making %s/%s", backup->folder, file);
}

static bool tell_missing(struct backup *backup, const char *file, struct vt_err *err)
{
    vt_err_clear(err);
    backup->missing++;
    return vt_admin_send(backup->admin, json_pack("{s:s, s:s}", "fault", "missing", "file", file),
                         err);
}

static bool take_file(struct backup *backup, const char *file, uint64_t size, const char *digest,
                      struct vt_err *err)
{
    char moved[VT_FILE_MAX] = "";

    if (!link_or_copy(backup, file, file, err)) {
        if (err->code != VT_E_NOTFOUND)
            return false;
        vt_err_clear(err);
        if (!find_moved(backup, file, moved, err))
            return false;
        if (!moved[0])
            return tell_missing(backup, file, err);
        if (!link_or_copy(backup, moved, file, err))
            return err->code == VT_E_NOTFOUND && tell_missing(backup, file, err);
    }
    if (fprintf(backup->manifest, "%s %" PRIu64 " %s\n", digest, size, file) < 0)
        return vt_fail_errno(err, "writing the manifest");
    return ++backup->done % PROGRESS_EVERY != 0 ||
           vt_admin_tell_progress(backup->admin, backup->done, backup->total, "instances", err);
}

static bool take_object(void *context, const struct vt_index_entry *entry, struct vt_err *err)
{
    char digest[33];

    vt_admin_hex(&entry->data_set_digest, digest);
    return take_file(context, entry->file, entry->file_size, digest, err);
}

static bool take_objects(struct backup *backup, uint64_t *out_instances, struct vt_err *err)
{
    struct vt_index_options options = { .path = backup->folder,
                                        .read_only = true,
                                        .readers = BACKUP_READERS };
    bool sqlite = backup->archive->options.index == &vt_index_sqlite;
    VT_AUTO(vt_index)
    copy = sqlite ? vt_index_open(backup->archive->options.index, &options, err) : NULL;
    struct vt_index *index = sqlite ? copy : vt_archive_index(backup->archive);
    struct vt_index_counts counts = { 0 };

    if (!index || !vt_index_counts(index, &counts, err))
        return false;
    backup->total = counts.instances;
    if (!vt_admin_each_in(index, NULL, take_object, backup, err))
        return false;
    *out_instances = backup->done;
    return true;
}

/* What only state.db knows: versions that are not served, quarantine, trash. */
static bool take_others(struct backup *backup, struct vt_err *err)
{
    static const struct vt_db_options options = { .read_only = true, .busy_ms = 5000 };
    char path[PATH_MAX];
    struct stat info;

    snprintf(path, sizeof path, "%s/state.db", backup->folder);
    VT_AUTO(vt_db) db = vt_db_open(path, &options, err);
    struct sqlite3_stmt *stmt =
        db ? vt_db_prepare(db,
                           "SELECT file, size, lower(hex(digest)) FROM version UNION ALL"
                           " SELECT file, size, lower(hex(digest)) FROM quarantine WHERE resolved "
                           "IS NULL UNION ALL"
                           " SELECT to_file, f.size, '-' FROM operation_file f JOIN operation ON "
                           "id = operation"
                           " WHERE trash = 1 AND state = 'done' AND to_file LIKE 'trash/%'",
                           err)
           : NULL;
    bool row = false, ok = stmt && vt_stmt_bind(db, stmt, err, "");

    while (ok && (ok = vt_stmt_step(db, stmt, &row, err)) && row) {
        const char *file = (const char *)sqlite3_column_text(stmt, 0);
        if (fstatat(backup->target, file, &info, 0) < 0)
            ok = take_file(backup, file, (uint64_t)sqlite3_column_int64(stmt, 1),
                           (const char *)sqlite3_column_text(stmt, 2), err);
    }
    vt_stmt_free(stmt);
    return ok;
}

static bool run(struct backup *backup, uint64_t *out_instances, struct vt_err *err)
{
    bool ok = copy_databases(backup, err) && take_objects(backup, out_instances, err) &&
              take_others(backup, err);

    if (fflush(backup->manifest) != 0 && ok)
        ok = vt_fail_errno(err, "writing the manifest");
    if (ok && syncfs(backup->target) < 0)
        ok = vt_fail_errno(err, "syncing %s", backup->folder);
    ok = ok && vt_admin_tell_progress(backup->admin, backup->done, backup->done, "instances", err);
    if (ok && backup->missing > 0)
        return vt_fail(err, VT_E_CORRUPT,
                       "%" PRIu64 " files are missing in the archive, the backup has all others: "
                       "run 'vitrine verify'",
                       backup->missing);
    return ok;
}

bool vt_admin_backup(const struct vt_admin *admin, const char *folder, uint64_t *out_instances,
                     struct vt_err *err)
{
    struct backup backup = { .admin = admin, .archive = admin->archive, .folder = folder };
    char path[PATH_MAX];

    if (strlen(folder) > VT_ARCHIVE_PATH_MAX)
        return vt_fail(err, VT_E_INVALID, "the folder's path is longer than %d bytes",
                       VT_ARCHIVE_PATH_MAX);
    if (!vt_io_make_folder(folder, err))
        return false;
    snprintf(path, sizeof path, "%s/manifest", folder);
    vt_autoclose target = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (target < 0)
        return vt_fail_errno(err, "%s", folder);
    if (faccessat(target, "state.db", F_OK, 0) == 0 || faccessat(target, "manifest", F_OK, 0) == 0)
        return vt_fail(err, VT_E_EXISTS,
                       "%s holds a backup or an archive already: name an empty folder", folder);
    VT_AUTO(vt_folders) folders = vt_folders_new(target);
    backup.target = target;
    backup.folders = folders;
    backup.manifest = fopen(path, "wxe");
    bool ok = folders ? backup.manifest != NULL || vt_fail_errno(err, "%s", path)
                      : vt_fail(err, VT_E_NOMEM, "no memory");
    /* No file changes its volume meanwhile. */
    ok = ok && vt_volumes_hold(admin->archive, true, err);
    if (ok) {
        ok = run(&backup, out_instances, err);
        vt_volumes_release(admin->archive);
    }
    if (backup.manifest)
        fclose(backup.manifest);
    return ok && vt_state_log(admin->archive->state, admin->who, "backup", folder, NULL, err);
}
