/* The journal's cutter: when a segment is full, and all in it applied, everything is made durable where it belongs
 * (syncfs, index checkpoint), and the segment can be used again. Its thread does the archive's other chores as well. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "archive/inside.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"

enum { CUTTER_TICK_S = 2 };

static bool make_durable(struct vt_archive *archive, struct vt_err *err)
{
    vt_point("cut");
    if (syncfs(archive->root) < 0) {
        vt_fail_errno(err, "syncing the file system");
        return vt_archive_break(archive, err);
    }
    return vt_index_checkpoint(atomic_load(&archive->index), err);
}

static void wait_until_applied(struct vt_archive *archive, uint64_t sequence)
{
    pthread_mutex_lock(&archive->progress_lock);
    while (archive->finished < sequence && archive->finished != archive->issued)
        pthread_cond_wait(&archive->progress, &archive->progress_lock);
    pthread_mutex_unlock(&archive->progress_lock);
}

/* Entered and left under journal_lock, without it in between. */
static void cut(struct vt_archive *archive, uint64_t sequence)
{
    struct vt_err err = { 0 };

    pthread_mutex_unlock(&archive->journal_lock);
    wait_until_applied(archive, sequence);
    bool ok = make_durable(archive, &err);
    pthread_mutex_lock(&archive->journal_lock);
    /* Someone else may have emptied the journal meanwhile. */
    if (ok && vt_journal_to_release(archive->journal) == sequence)
        ok = vt_journal_release(archive->journal, &err);
    archive->cut_failed = !ok;
    snprintf(archive->cut_error, sizeof archive->cut_error, "%.*s", (int)sizeof archive->cut_error - 1, ok ? "" : err.text);
    pthread_cond_broadcast(&archive->journal_room);
}

static void wait_a_tick(struct vt_archive *archive)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CUTTER_TICK_S;
    pthread_cond_timedwait(&archive->cut_wanted, &archive->journal_lock, &until);
}

/* Nothing came in between two ticks: warm buffers are of no use. */
static void rest(struct vt_archive *archive, uint64_t *seen)
{
    uint64_t groups = atomic_load(&archive->groups);

    if (groups == *seen)
        vt_pool_trim(archive->pool);
    *seen = groups;
}

static void *run(void *context)
{
    struct vt_archive *archive = context;
    struct vt_err err = { 0 };
    uint64_t seen = 0;

    bool prepared = vt_journal_prepare(archive->journal, &err);
    pthread_mutex_lock(&archive->journal_lock);
    if (!prepared) {
        archive->cut_failed = true;
        snprintf(archive->cut_error, sizeof archive->cut_error, "%.*s", (int)sizeof archive->cut_error - 1, err.text);
    }
    while (!archive->closing) {
        uint64_t sequence = vt_journal_to_release(archive->journal);
        if (sequence > 0)
            cut(archive, sequence);
        if (archive->closing || (sequence > 0 && !archive->cut_failed))
            continue;
        wait_a_tick(archive);
        pthread_mutex_unlock(&archive->journal_lock);
        rest(archive, &seen);
        prepared = prepared || vt_journal_prepare(archive->journal, &err);
        pthread_mutex_lock(&archive->journal_lock);
    }
    pthread_mutex_unlock(&archive->journal_lock);
    return NULL;
}

bool vt_cutter_start(struct vt_archive *archive, struct vt_err *err)
{
    int result = pthread_create(&archive->cutter, NULL, run, archive);

    if (result != 0) {
        errno = result;
        return vt_fail_errno(err, "starting the journal's thread");
    }
    archive->cutter_runs = true;
    return true;
}

void vt_cutter_stop(struct vt_archive *archive)
{
    if (!archive->cutter_runs)
        return;
    pthread_mutex_lock(&archive->journal_lock);
    archive->closing = true;
    pthread_cond_signal(&archive->cut_wanted);
    pthread_mutex_unlock(&archive->journal_lock);
    pthread_join(archive->cutter, NULL);
    archive->cutter_runs = false;
}

bool vt_archive_cut_all(struct vt_archive *archive, struct vt_err *err)
{
    pthread_mutex_lock(&archive->journal_lock);
    bool empty = vt_journal_is_empty(archive->journal);
    pthread_mutex_unlock(&archive->journal_lock);
    if (empty)
        return true;
    if (!make_durable(archive, err))
        return false;
    pthread_mutex_lock(&archive->journal_lock);
    bool ok = vt_journal_empty(archive->journal, err);
    pthread_cond_broadcast(&archive->journal_room);
    pthread_mutex_unlock(&archive->journal_lock);
    return ok || vt_archive_break(archive, err);
}
