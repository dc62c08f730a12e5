/* The journal's cutter: when a segment is full, and all in it applied, everything is made durable
 * where it belongs (syncfs, index checkpoint), and the segment can be used again. Its thread does
 * the archive's other chores as well. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "archive/inside.h"
#include "archive/late.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"

enum { CUTTER_TICK_S = 2 };

struct chores {
    int64_t next;    /* monotonic */
    uint64_t groups; /* committed at the last tick */
    bool prepared;   /* both segments are there */
};

static bool make_durable(struct vt_archive *archive, struct vt_err *err)
{
    if (!vt_late_settle(archive, err))
        return false;
    vt_point("cut");
    if (syncfs(archive->root) < 0) {
        vt_fail_errno(err, "syncing the file system");
        return vt_archive_break(archive, err);
    }
    pthread_mutex_lock(&archive->durable_lock);
    bool ok = vt_index_checkpoint(atomic_load(&archive->index), err);
    pthread_mutex_unlock(&archive->durable_lock);
    return ok;
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
    snprintf(archive->cut_error, sizeof archive->cut_error, "%.*s",
             (int)sizeof archive->cut_error - 1, ok ? "" : err.text);
    pthread_cond_broadcast(&archive->journal_room);
}

static void wait_a_tick(struct vt_archive *archive)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += CUTTER_TICK_S;
    pthread_cond_timedwait(&archive->cut_wanted, &archive->journal_lock, &until);
}

/* Without its second segment the journal fills up once: those who wait for room are told why there
 * is none. */
static void prepare(struct vt_archive *archive, struct chores *chores)
{
    struct vt_err err = { 0 };

    chores->prepared = vt_journal_prepare(archive->journal, &err);
    pthread_mutex_lock(&archive->journal_lock);
    archive->cut_failed = !chores->prepared;
    snprintf(archive->cut_error, sizeof archive->cut_error, "%.*s",
             (int)sizeof archive->cut_error - 1, err.text);
    pthread_cond_broadcast(&archive->journal_room);
    pthread_mutex_unlock(&archive->journal_lock);
}

/* Without journal_lock. Nothing came in between two ticks: warm buffers are of no use. */
static void do_chores(struct vt_archive *archive, struct chores *chores)
{
    struct vt_err ignored = { 0 };
    int64_t now = vt_clock_mono();

    /* Without slots arrivals make their files themselves. */
    if (vt_slots_wanted(archive->slots))
        vt_slots_fill(archive->slots, &ignored);
    if (now < chores->next)
        return;
    chores->next = now + CUTTER_TICK_S * VT_NS_PER_S;
    uint64_t groups = atomic_load(&archive->groups);
    if (groups == chores->groups)
        vt_pool_trim(archive->pool);
    chores->groups = groups;
    if (!chores->prepared)
        prepare(archive, chores);
}

static void *run(void *context)
{
    struct vt_archive *archive = context;
    struct chores chores = { 0 };

    do_chores(archive, &chores);
    pthread_mutex_lock(&archive->journal_lock);
    while (!archive->closing) {
        uint64_t sequence = vt_journal_to_release(archive->journal);
        if (sequence > 0)
            cut(archive, sequence);
        bool again = sequence > 0 && !archive->cut_failed;
        if (!archive->closing && !again && !vt_slots_wanted(archive->slots))
            wait_a_tick(archive);
        pthread_mutex_unlock(&archive->journal_lock);
        do_chores(archive, &chores);
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
