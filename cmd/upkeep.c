#include "cmd/upkeep.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "archive/admin.h"
#include "core/auto.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"

struct vt_upkeep {
    /* fixed after the start */
    struct vt_chore chores[VT_CHORES_MAX];
    size_t count;
    void *context;
    pthread_t thread;

    atomic_bool stopping;
    pthread_mutex_t lock;
    pthread_cond_t stop; /* `stopping` changed; waits by the monotonic clock */

    /* the thread's */
    int64_t due[VT_CHORES_MAX];
};

/* false: stopping. */
static bool wait_until(struct vt_upkeep *upkeep, int64_t moment)
{
    struct timespec until = { (time_t)(moment / VT_NS_PER_S), (long)(moment % VT_NS_PER_S) };
    int waited = 0;

    pthread_mutex_lock(&upkeep->lock);
    while (!atomic_load(&upkeep->stopping) && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&upkeep->stop, &upkeep->lock, &until);
    pthread_mutex_unlock(&upkeep->lock);
    return !atomic_load(&upkeep->stopping);
}

static void *work(void *argument)
{
    struct vt_upkeep *upkeep = argument;
    int64_t started = vt_clock_mono();

    for (size_t i = 0; i < upkeep->count; i++)
        upkeep->due[i] = started + upkeep->chores[i].first;
    for (;;) {
        size_t next = 0;
        for (size_t i = 1; i < upkeep->count; i++)
            if (upkeep->due[i] < upkeep->due[next])
                next = i;
        if (!wait_until(upkeep, upkeep->due[next]))
            return NULL;
        upkeep->chores[next].run(upkeep->context, &upkeep->stopping);
        upkeep->due[next] = vt_clock_mono() + upkeep->chores[next].every;
    }
}

static void make_stop(struct vt_upkeep *upkeep)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&upkeep->lock, NULL);
    pthread_cond_init(&upkeep->stop, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static void release(struct vt_upkeep *upkeep)
{
    pthread_cond_destroy(&upkeep->stop);
    pthread_mutex_destroy(&upkeep->lock);
    free(upkeep);
}

struct vt_upkeep *vt_upkeep_start(const struct vt_chore *chores, size_t count, void *context,
                                  struct vt_err *err)
{
    if (count == 0 || count > VT_CHORES_MAX) {
        vt_fail(err, VT_E_INVALID, "%zu chores", count);
        return NULL;
    }
    struct vt_upkeep *upkeep = calloc(1, sizeof *upkeep);
    if (!upkeep) {
        vt_fail(err, VT_E_NOMEM, "no memory for the upkeep");
        return NULL;
    }
    memcpy(upkeep->chores, chores, count * sizeof *chores);
    upkeep->count = count;
    upkeep->context = context;
    make_stop(upkeep);
    int failed = pthread_create(&upkeep->thread, NULL, work, upkeep);
    if (failed == 0)
        return upkeep;
    release(upkeep);
    errno = failed;
    vt_fail_errno(err, "starting the upkeep");
    return NULL;
}

void vt_upkeep_stop(struct vt_upkeep *upkeep)
{
    if (!upkeep)
        return;
    pthread_mutex_lock(&upkeep->lock);
    atomic_store(&upkeep->stopping, true);
    pthread_cond_signal(&upkeep->stop);
    pthread_mutex_unlock(&upkeep->lock);
    pthread_join(upkeep->thread, NULL);
    release(upkeep);
}

/* ---- the trash ---- */

static bool go_on(void *context, uint64_t done, uint64_t total, const char *unit)
{
    const atomic_bool *const *stopping = context;

    (void)done;
    (void)total;
    (void)unit;
    return !atomic_load(*stopping);
}

void vt_upkeep_purge_trash(struct vt_archive *archive, const atomic_bool *stopping)
{
    struct vt_admin admin = {
        .archive = archive, .who = "vitrined", .progress = go_on, .context = &stopping
    };
    struct vt_err err = { 0 };
    uint64_t instances = 0;

    bool done = vt_admin_trash_purge(&admin, false, &instances, &err);
    if (instances > 0)
        vt_log(VT_LOG_INFO, "trash.purged", "instances=%" PRIu64, instances);
    if (!done && err.code != VT_E_CANCELLED)
        vt_log(VT_LOG_WARN, "trash.failed", "text=\"%s\"", err.text);
}
