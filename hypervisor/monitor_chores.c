/* The deletion of our own expired snapshots, and the workers, which take and delete. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor/monitor_state.h"

/* ---- our own expired ones ---- */

static const char *mark_of(const struct vt_object *snapshot, const char *key)
{
    const char *value = vt_object_map(snapshot, "other_config", key);

    return value ? value : "";
}

/* Beyond what a VM keeps: the oldest of them. Times in our marks compare as text. */
static bool is_surplus(const struct vt_monitor *monitor, const struct vt_picture *picture,
                       const struct vt_object *snapshot)
{
    const char *of = vt_object_text(snapshot, "snapshot_of");
    const char *owner = vt_incidents_owner(monitor->incidents);
    int newer = 0;

    VT_PICTURE_EACH(picture, VT_CLASS_VM, other)
    {
        if (other == snapshot || !vt_object_bool(other, "is_a_snapshot") ||
            strcmp(vt_object_text(other, "snapshot_of"), of) != 0 ||
            strcmp(mark_of(other, VT_MARK_OWNER), owner) != 0)
            continue;
        newer += strcmp(mark_of(other, VT_MARK_NAME), mark_of(snapshot, VT_MARK_NAME)) > 0;
    }
    return monitor->options.kept > 0 && newer >= monitor->options.kept;
}

static const struct vt_object *find_expired(const struct vt_monitor *monitor,
                                            const struct vt_picture *picture)
{
    const char *owner = vt_incidents_owner(monitor->incidents);
    char now[VT_CLOCK_TEXT_MAX];

    vt_clock_text(vt_clock_wall(), now);
    VT_PICTURE_EACH(picture, VT_CLASS_VM, snapshot)
    {
        const char *expires = mark_of(snapshot, VT_MARK_EXPIRES);
        if (!vt_object_bool(snapshot, "is_a_snapshot") ||
            strcmp(mark_of(snapshot, VT_MARK_OWNER), owner) != 0)
            continue;
        if ((*expires && strcmp(expires, now) < 0) || is_surplus(monitor, picture, snapshot))
            return snapshot;
    }
    return NULL;
}

/* One deletion at a time; none while our clock cannot be trusted. */
void vt_shots_chores(struct vt_monitor *monitor)
{
    int64_t now = vt_clock_mono();

    if (monitor->removing || now - monitor->last_chores < VT_CHORES_S * VT_NS_PER_S ||
        (monitor->clock_jumped && now - monitor->clock_jumped < VT_CLOCK_DISTRUST_S * VT_NS_PER_S))
        return;
    monitor->last_chores = now;
    struct vt_monitor_job *job = calloc(1, sizeof *job);
    if (!job)
        return;
    const struct vt_picture *picture = monitor->pool->read(monitor->pool->context);
    pthread_mutex_lock(&monitor->lock);
    const struct vt_object *expired = monitor->control ? find_expired(monitor, picture) : NULL;
    if (expired)
        snprintf(job->ref, sizeof job->ref, "%s", vt_object_ref(expired));
    pthread_mutex_unlock(&monitor->lock);
    monitor->pool->done(monitor->pool->context);
    job->is_removal = true;
    if (job->ref[0] && vt_monitor_push(monitor, job))
        monitor->removing = true;
    else
        free(job);
}

/* ---- the workers ---- */

static void do_job(struct vt_monitor *monitor, struct vt_monitor_job *job)
{
    const char *owner = vt_incidents_owner(monitor->incidents);
    const char *const marks[] = { VT_MARK_OWNER,   owner,        VT_MARK_INCIDENT,
                                  job->incident,   VT_MARK_NAME, job->snapshot.name,
                                  VT_MARK_EXPIRES, job->expires };
    const struct vt_monitor_pool *pool = monitor->pool;

    if (job->is_removal) {
        job->ok = pool->remove(pool->context, job->ref, marks, 2, &job->err);
        return;
    }
    job->snapshot.marks = marks;
    job->snapshot.mark_count =
        strncmp(job->expires, "1970", 4) == 0 ? VT_COUNT(marks) - 2 : VT_COUNT(marks);
    pool->snapshot(pool->context, &job->snapshot);
    job->snapshot.marks = NULL;
}

static struct vt_monitor_job *next_job(struct vt_monitor *monitor)
{
    struct vt_monitor_job *job = NULL;

    pthread_mutex_lock(&monitor->job_lock);
    while (monitor->job_count == 0 && !monitor->job_stop)
        pthread_cond_wait(&monitor->job_wake, &monitor->job_lock);
    if (!monitor->job_stop) {
        job = monitor->jobs[0];
        memmove(monitor->jobs, monitor->jobs + 1, --monitor->job_count * sizeof *monitor->jobs);
    }
    pthread_mutex_unlock(&monitor->job_lock);
    return job;
}

/* Room in `finished`: no more jobs than it holds are handed out before they were taken back. */
void *vt_worker_run(void *context)
{
    struct vt_monitor *monitor = context;

    for (struct vt_monitor_job *job = next_job(monitor); job; job = next_job(monitor)) {
        do_job(monitor, job);
        pthread_mutex_lock(&monitor->job_lock);
        bool room = monitor->finished_count < VT_COUNT(monitor->finished);
        if (room)
            monitor->finished[monitor->finished_count++] = job;
        pthread_mutex_unlock(&monitor->job_lock);
        if (!room)
            free(job);
        pthread_mutex_lock(&monitor->lock);
        monitor->woken = true;
        pthread_cond_signal(&monitor->wake);
        pthread_mutex_unlock(&monitor->lock);
    }
    return NULL;
}
