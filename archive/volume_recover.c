/* What a crash in the middle of a move leaves: two copies, one of them with a row in the index. And
 * moves that an operation makes from one file system to another. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/inside.h"
#include "archive/volume_copy.h"
#include "archive/volume_inside.h"
#include "core/err.h"
#include "core/event.h"

struct noted {
    char to[VT_FILE_MAX], from[VT_FILE_MAX], sop_uid[VT_UID_MAX + 1];
};

/* The first one behind `after`. */
static bool next_note(struct vt_archive *archive, const char *after, struct noted *out,
                      bool *out_more, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(db,
                                              "SELECT to_file, from_file, sop_uid FROM volume_copy "
                                              "WHERE to_file > ? ORDER BY to_file LIMIT 1",
                                              err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "t", after) &&
              vt_stmt_step(db, stmt, out_more, err);

    if (ok && *out_more) {
        snprintf(out->to, sizeof out->to, "%s", (const char *)sqlite3_column_text(stmt, 0));
        snprintf(out->from, sizeof out->from, "%s", (const char *)sqlite3_column_text(stmt, 1));
        snprintf(out->sop_uid, sizeof out->sop_uid, "%s",
                 (const char *)sqlite3_column_text(stmt, 2));
    }
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

/* A version that is not served, and a second copy, may be named by state.db alone. */
static bool is_named(struct vt_archive *archive, const char *file, bool *out_named,
                       struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(db,
                                              "SELECT 1 FROM version WHERE file = ?1 UNION ALL"
                                              " SELECT 1 FROM volume_second WHERE file = ?1",
                                              err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "t", file) &&
              vt_stmt_step(db, stmt, out_named, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

static bool run_for(struct vt_archive *archive, const struct noted *noted, const char *sql,
                    struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(db, sql, err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "ttt", noted->to, noted->from, noted->sop_uid) &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

static bool is_whole(struct vt_archive *archive, const struct vt_index_entry *entry)
{
    struct stat info;

    return fstatat(archive->root, entry->file, &info, 0) == 0 &&
           (uint64_t)info.st_size == entry->file_size;
}

/* Removes what is one too many, never while the other is not there. */
static bool decide(struct vt_archive *archive, const struct noted *noted, struct vt_err *err)
{
    struct vt_index_entry entry;
    bool found = false, named = false;

    if (!vt_index_lookup(atomic_load(&archive->index), noted->sop_uid, &entry, &found, err))
        return false;
    bool moved = found && strcmp(entry.file, noted->to) == 0;
    const char *extra = moved ? noted->from : noted->to;
    if (moved && !run_for(archive, noted, VT_VOLUME_RENAME, err))
        return false;
    if (!is_named(archive, extra, &named, err))
        return false;
    /* The copy of a version that is not served has its row: the first one goes. */
    if (named && !moved && (!found || strcmp(entry.file, noted->from) != 0)) {
        extra = noted->from;
        if (!is_named(archive, extra, &named, err))
            return false;
    }
    if (!named && (!found || is_whole(archive, &entry)) &&
        unlinkat(archive->root, extra, 0) == 0 && vt_volume_below(extra) == extra)
        vt_folders_prune(archive->folders, extra);
    else if (!named && vt_volume_below(extra) != extra)
        vt_volume_prune(archive->root, extra);
    return run_for(archive, noted, VT_VOLUME_FORGET, err);
}

static void sweep_staging(struct vt_archive *archive, const struct vt_volume *volume)
{
    struct vt_err away = { 0 };
    vt_autoclose root = vt_volume_root(archive, volume->name, &away);
    int fd = root >= 0 ? openat(root, "staging", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;

    for (struct dirent *entry = folder ? readdir(folder) : NULL; entry; entry = readdir(folder))
        if (strncmp(entry->d_name, "volume-", 7) == 0)
            unlinkat(fd, entry->d_name, 0);
    if (folder)
        closedir(folder);
    else if (fd >= 0)
        close(fd);
}

/* Notes about volumes that are away wait until they are back. */
bool vt_volumes_recover(struct vt_archive *archive, struct vt_err *err)
{
    struct noted noted = { .to = "" };
    char to[VT_VOLUME_NAME_MAX + 1], from[VT_VOLUME_NAME_MAX + 1];
    bool more = true;

    while (more) {
        struct vt_err away = { 0 };
        if (!next_note(archive, noted.to, &noted, &more, err))
            return false;
        vt_volume_of(noted.to, to);
        vt_volume_of(noted.from, from);
        if (more && vt_volume_is_ready(archive, to, &away) &&
            vt_volume_is_ready(archive, from, &away) && !decide(archive, &noted, err))
            return false;
    }
    for (size_t i = 0; i < archive->volumes->count; i++)
        sweep_staging(archive, &archive->volumes->list[i]);
    return true;
}

bool vt_volume_carry(struct vt_archive *archive, int from, const char *from_file,
                     const char *to_file, struct vt_err *err)
{
    char name[VT_VOLUME_NAME_MAX + 1];

    vt_volume_of(to_file, name);
    vt_autoclose root = vt_volume_root(archive, name, err);
    if (root < 0)
        return false;
    if (vt_volume_carry_file(from, from_file, root, vt_volume_below(to_file), err))
        return unlinkat(archive->root, from_file, 0) == 0 || errno == ENOENT ||
               vt_fail_errno(err, "removing %s", from_file);
    if (err->code != VT_E_CORRUPT)
        return false;
    vt_err_clear(err);
    vt_events_publish(archive->options.events, "instance.corrupt", from_file, NULL);
    return true;
}
