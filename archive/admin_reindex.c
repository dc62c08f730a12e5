/* reindex and status. */
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
#include "archive/late.h"
#include "archive/rebuild.h"
#include "archive/reindex.h"
#include "archive/volume.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"
#include "core/io.h"

enum {
    FOLLOW_ROUNDS =
        100, /* of following beside others: who stores faster than we follow must wait at the end */
    FOLLOW_LAST = 256 << 10, /* bytes of notes that may be left for when nobody else is there */
};

static struct vt_index *open_fresh(struct vt_archive *archive, struct vt_err *err)
{
    char path[PATH_MAX];
    struct vt_index_options options = { .path = path, .readers = archive->options.readers };

    snprintf(path, sizeof path, "%s/" VT_REINDEX_FOLDER, archive->path);
    return vt_index_open(archive->options.index, &options, err);
}

/* Others go on: the walk, then what they changed during it, then what they changed during that. */
static bool build_beside(const struct vt_admin *admin, struct vt_index *fresh,
                         uint64_t *out_instances, struct vt_err *err)
{
    uint64_t left = 0;

    vt_point("reindex-begun");
    if (!vt_rebuild_index(admin->archive, fresh, admin, out_instances, err))
        return false;
    vt_point("reindex-walked");
    for (int round = 0; round == 0 || (round < FOLLOW_ROUNDS && left > FOLLOW_LAST); round++)
        if (!vt_reindex_follow(admin->archive, fresh, false, &left, err))
            return false;
    return true;
}

/* A failure before the files change places leaves the old index as it was. */
static bool change_places(struct vt_archive *archive, struct vt_index **fresh, struct vt_err *err)
{
    struct vt_index_options options = { .path = archive->path,
                                        .readers = archive->options.readers };
    struct vt_index *index = vt_take(fresh);

    if (archive->options.index == &vt_index_sqlite) {
        vt_index_free(index);
        if (!vt_reindex_ready(archive, err))
            return false;
        if (!vt_reindex_take_place(archive, err))
            return vt_archive_break(archive, err);
        index = vt_index_open(archive->options.index, &options, err);
        if (!index)
            return vt_archive_break(archive, err);
    }
    archive->retired[archive->retired_count++] = atomic_exchange(&archive->index, index);
    return true;
}

/* Nobody else is there but the cutter. */
static bool take_over(struct vt_archive *archive, struct vt_index **fresh, struct vt_err *err)
{
    uint64_t left = 0;

    if (!vt_reindex_follow(archive, *fresh, true, &left, err))
        return false;
    pthread_mutex_lock(&archive->durable_lock);
    bool ok = change_places(archive, fresh, err);
    pthread_mutex_unlock(&archive->durable_lock);
    return ok;
}

static bool build(const struct vt_admin *admin, uint64_t *out_instances, struct vt_err *err)
{
    struct vt_archive *archive = admin->archive;
    VT_AUTO(vt_index) fresh = open_fresh(archive, err);

    if (!fresh || !build_beside(admin, fresh, out_instances, err) ||
        !vt_exclusive_begin(archive, err))
        return false;
    bool ok = take_over(archive, &fresh, err);
    vt_exclusive_end(archive);
    return ok;
}

bool vt_admin_reindex(const struct vt_admin *admin, uint64_t *out_instances, struct vt_err *err)
{
    struct vt_archive *archive = admin->archive;

    if (!vt_archive_writable(archive, err) || !vt_reindex_begin(archive, err))
        return false;
    bool ok = archive->retired_count < VT_COUNT(archive->retired) ||
              vt_fail(err, VT_E_LIMIT,
                      "reindexed %zu times since the start: restart before the next time",
                      VT_COUNT(archive->retired));
    /* What comes from here on is noted; what came before has its file when the walk begins. */
    ok = ok && vt_late_settle(archive, err);
    /* No file changes its volume from before the walk on. */
    if (ok && vt_volumes_hold(archive, true, err)) {
        ok = build(admin, out_instances, err);
        vt_volumes_release(archive);
    }
    vt_reindex_remove(archive);
    vt_reindex_end(archive);
    if (!ok || !vt_state_log(archive->state, admin->who, "reindex", NULL, NULL, err))
        return false;
    vt_events_publish(archive->options.events, "index.rebuilt", archive->path, NULL);
    return true;
}

/* ---- status ---- */

static bool count_state(struct vt_archive *archive, int64_t out[static 4], struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db,
        "SELECT (SELECT count(*) FROM quarantine WHERE resolved IS NULL),"
        " (SELECT count(*) FROM (SELECT 1 FROM version GROUP BY sop_uid HAVING count(*) > 1)),"
        " (SELECT coalesce(sum(instances), 0) FROM operation WHERE trash = 1 AND state = 'done'),"
        " (SELECT coalesce(sum(bytes), 0) FROM operation WHERE trash = 1 AND state = 'done')",
        err);
    bool row = false,
         ok = stmt && vt_stmt_bind(db, stmt, err, "") && vt_stmt_step(db, stmt, &row, err);

    for (int i = 0; ok && i < 4; i++)
        out[i] = sqlite3_column_int64(stmt, i);
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

static bool add_counts(struct vt_archive *archive, json_t *row, struct vt_err *err)
{
    struct vt_index_counts counts = { 0 };
    int64_t state[4] = { 0 };

    if (!vt_index_counts(vt_archive_index(archive), &counts, err) ||
        !count_state(archive, state, err))
        return false;
    json_t *more = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "patients", (json_int_t)counts.patients,
        "studies", (json_int_t)counts.studies, "series", (json_int_t)counts.series, "instances",
        (json_int_t)counts.instances, "bytes", (json_int_t)counts.bytes, "quarantined",
        (json_int_t)state[0], "with_versions", (json_int_t)state[1], "trash_instances",
        (json_int_t)state[2], "trash_bytes", (json_int_t)state[3]);
    bool ok = more && json_object_update(row, more) == 0;
    json_decref(more);
    return ok || vt_fail(err, VT_E_NOMEM, "no memory for the status");
}

static bool add_since_start(struct vt_archive *archive, json_t *row, struct vt_err *err)
{
    char opened[VT_CLOCK_TEXT_MAX];

    vt_clock_text(archive->opened, opened);
    json_t *since = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "start", opened, "stored",
                              (json_int_t)atomic_load(&archive->stored), "duplicates_identical",
                              (json_int_t)atomic_load(&archive->duplicates), "duplicates_changed",
                              (json_int_t)atomic_load(&archive->versions), "quarantined",
                              (json_int_t)atomic_load(&archive->quarantined), "refused",
                              (json_int_t)atomic_load(&archive->refused), "failed",
                              (json_int_t)atomic_load(&archive->failed), "groups",
                              (json_int_t)atomic_load(&archive->groups));
    return (since && json_object_set_new(row, "since", since) == 0) ||
           vt_fail(err, VT_E_NOMEM, "no memory for the status");
}

static json_t *make_status(struct vt_archive *archive, struct vt_err *err)
{
    static const char *const marks[] = { "ok", "warn", "full" };
    uint64_t free_bytes, total, used, room;
    enum vt_space space;
    struct vt_err fault = { 0 };

    vt_space_read(archive, &free_bytes, &total, &space);
    pthread_mutex_lock(&archive->journal_lock);
    vt_journal_usage(archive->journal, &used, &room);
    pthread_mutex_unlock(&archive->journal_lock);
    bool writable = vt_archive_writable(archive, &fault);
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:s, s:I, s:I, s:b}", "path", archive->path, "index",
        archive->options.index->name, "durability", archive->options.relaxed ? "relaxed" : "commit",
        "free", (json_int_t)free_bytes, "total", (json_int_t)total, "space", marks[space],
        "journal_used", (json_int_t)used, "journal_room", (json_int_t)room, "writable", writable);
    if (!row)
        vt_fail(err, VT_E_NOMEM, "no memory for the status");
    else if (!writable)
        json_object_set_new(row, "fault", json_string(fault.text));
    return row;
}

bool vt_admin_status(const struct vt_admin *admin, struct vt_err *err)
{
    json_t *row = make_status(admin->archive, err);

    if (!row)
        return false;
    if (!add_counts(admin->archive, row, err) || !add_since_start(admin->archive, row, err)) {
        json_decref(row);
        return false;
    }
    return vt_admin_send(admin, row, err);
}
