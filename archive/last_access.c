#include "archive/last_access.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/inside.h"
#include "archive/volume.h"
#include "archive/volume_inside.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"

#define DAY (24 * 3600 * VT_NS_PER_S)
#define RECALL_AGAIN (60 * VT_NS_PER_S) /* the same study is asked to come back so often at most */

enum { SLOTS = 1024 }; /* a power of two */

struct slot {
    char study_uid[VT_UID_MAX + 1];
    int64_t day;      /* since 1970 */
    int64_t recalled; /* monotonic */
    bool pending;     /* not in state.db yet */
};

struct vt_accesses {
    pthread_mutex_t lock; /* guards slots */
    struct slot slots[SLOTS];
};

struct vt_accesses *vt_accesses_new(void)
{
    struct vt_accesses *accesses = calloc(1, sizeof *accesses);

    if (accesses)
        pthread_mutex_init(&accesses->lock, NULL);
    return accesses;
}

void vt_accesses_free(struct vt_accesses *accesses)
{
    if (!accesses)
        return;
    pthread_mutex_destroy(&accesses->lock);
    free(accesses);
}

static struct slot *slot_of(struct vt_accesses *accesses, const char *study_uid)
{
    uint32_t hash = 2166136261u;

    for (const char *p = study_uid; *p; p++)
        hash = (hash ^ (uint8_t)*p) * 16777619u;
    return &accesses->slots[(hash ^ hash >> 16) & (SLOTS - 1)];
}

/* ---- writing ---- */

static bool write_row(struct vt_db *db, const struct slot *slot, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "INSERT OR REPLACE INTO study_access (study_uid, day) VALUES (?, ?)", err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "ti", slot->study_uid, slot->day) &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    return ok;
}

static bool write_rows(struct vt_archive *archive, const struct slot *list, size_t count,
                       struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct vt_err ignored = { 0 };
    bool begun = vt_db_exec(db, "BEGIN IMMEDIATE", err), ok = begun;

    for (size_t i = 0; ok && i < count; i++)
        ok = write_row(db, &list[i], err);
    ok = ok && vt_db_exec(db, "COMMIT", err);
    if (!ok && begun)
        vt_db_exec(db, "ROLLBACK", &ignored);
    vt_state_unlock(archive->state);
    return ok;
}

bool vt_accesses_flush(struct vt_archive *archive, struct vt_err *err)
{
    struct vt_accesses *accesses = archive->accesses;
    vt_autofree struct slot *list = malloc(SLOTS * sizeof *list);
    size_t count = 0;

    if (!list)
        return vt_fail(err, VT_E_NOMEM, "no memory to note what was looked at");
    pthread_mutex_lock(&accesses->lock);
    for (size_t i = 0; i < SLOTS; i++)
        if (accesses->slots[i].pending) {
            list[count++] = accesses->slots[i];
            accesses->slots[i].pending = false;
        }
    pthread_mutex_unlock(&accesses->lock);
    return count == 0 || write_rows(archive, list, count, err);
}

/* ---- noting ---- */

/* Under the lock. Another study's day that is still to be written comes out. */
static bool take_slot(struct slot *slot, const char *study_uid, int64_t day, struct slot *out_other)
{
    bool same = strcmp(slot->study_uid, study_uid) == 0;
    bool displaced = !same && slot->pending;

    if (same && slot->day == day)
        return false;
    if (displaced)
        *out_other = *slot;
    if (!same)
        *slot = (struct slot){ .recalled = 0 };
    snprintf(slot->study_uid, sizeof slot->study_uid, "%s", study_uid);
    slot->day = day;
    slot->pending = true;
    return displaced;
}

/* Once a minute at most for each study. */
static bool is_recall_due(struct slot *slot, int64_t now)
{
    bool due = slot->recalled == 0 || now - slot->recalled > RECALL_AGAIN;

    if (due)
        slot->recalled = now;
    return due;
}

void vt_archive_accessed(struct vt_archive *archive, const struct vt_index_entry *entry)
{
    struct vt_accesses *accesses = archive->accesses;
    char name[VT_VOLUME_NAME_MAX + 1];
    struct slot other;
    struct vt_err ignored = { 0 };

    vt_volume_of(entry->file, name);
    const struct vt_volume *volume = vt_volume_find(archive, name);
    pthread_mutex_lock(&accesses->lock);
    struct slot *slot = slot_of(accesses, entry->study_uid);
    bool displaced = take_slot(slot, entry->study_uid, vt_clock_wall() / DAY, &other);
    bool recall = volume && volume->recall && is_recall_due(slot, vt_clock_mono());
    pthread_mutex_unlock(&accesses->lock);
    if (displaced)
        write_rows(archive, &other, 1, &ignored);
    if (recall)
        vt_events_publish(archive->options.events, "study.recall", entry->study_uid, NULL);
}

bool vt_accesses_of(struct vt_archive *archive, const char *study_uid, int64_t *out_wall,
                    struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db, "SELECT day FROM study_access WHERE study_uid = ?", err);
    bool row = false, ok = stmt && vt_stmt_bind(db, stmt, err, "t", study_uid) &&
                           vt_stmt_step(db, stmt, &row, err);

    *out_wall = ok && row ? sqlite3_column_int64(stmt, 0) * DAY : 0;
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}
