/* Steering: cancel, pause, resume, retry, wait; and the list of failed items. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/jobs_inside.h"

/* ---- items ---- */

static bool count_items(struct vt_jobs *jobs, int64_t id, int64_t *out_count, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = jobs->statements[VT_JOBS_ITEM_COUNT];
    bool row;

    if (!vt_stmt_bind(jobs->db, stmt, err, "i", id) || !vt_stmt_step(jobs->db, stmt, &row, err))
        return false;
    *out_count = row ? sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_reset(stmt);
    return true;
}

/* Was it counted as failed for good? */
static bool was_permanent(struct vt_jobs *jobs, int64_t id, const char *item, bool *out_known,
                          bool *out_permanent, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = jobs->statements[VT_JOBS_ITEM_GET];

    *out_permanent = false;
    if (!vt_stmt_bind(jobs->db, stmt, err, "it", id, item) ||
        !vt_stmt_step(jobs->db, stmt, out_known, err))
        return false;
    if (*out_known)
        *out_permanent = sqlite3_column_int(stmt, 0) != 0;
    sqlite3_reset(stmt);
    return true;
}

static bool set_failed(struct vt_job_run *run, uint64_t failed, struct vt_err *err)
{
    char sql[96];

    atomic_store(&run->failed, failed);
    snprintf(sql, sizeof sql, "UPDATE job SET failed = %llu WHERE id = %lld",
             (unsigned long long)failed, (long long)run->job->id);
    return vt_db_exec(run->jobs->db, sql, err);
}

static bool fail_item(struct vt_job_run *run, const char *item, bool permanent, const char *reason,
                      struct vt_err *err)
{
    struct vt_jobs *jobs = run->jobs;
    uint64_t failed = atomic_load(&run->failed);
    bool known, before;
    int64_t count = 0;

    if (!was_permanent(jobs, run->job->id, item, &known, &before, err) ||
        (!known && !count_items(jobs, run->job->id, &count, err)))
        return false;
    if (count < VT_JOB_ITEMS_MAX &&
        !vt_jobs_do(jobs, VT_JOBS_ITEM, false, err, "ititi", run->job->id, item, (int64_t)permanent,
                    reason, vt_clock_wall()))
        return false;
    if (permanent == before)
        return true;
    return set_failed(run, permanent ? failed + 1 : failed - (failed > 0), err);
}

bool vt_job_fail_item(struct vt_job_run *run, const char *item, bool permanent, const char *reason,
                      struct vt_err *err)
{
    pthread_mutex_lock(&run->jobs->lock);
    bool ok = fail_item(run, item, permanent, reason, err);
    pthread_mutex_unlock(&run->jobs->lock);
    return ok;
}

bool vt_job_settle_item(struct vt_job_run *run, const char *item, struct vt_err *err)
{
    struct vt_jobs *jobs = run->jobs;
    bool known, permanent;

    pthread_mutex_lock(&jobs->lock);
    bool ok = was_permanent(jobs, run->job->id, item, &known, &permanent, err);
    if (ok && known)
        ok = vt_jobs_do(jobs, VT_JOBS_ITEM_GONE, false, err, "it", run->job->id, item);
    if (ok && permanent && atomic_load(&run->failed) > 0)
        ok = set_failed(run, atomic_load(&run->failed) - 1, err);
    pthread_mutex_unlock(&jobs->lock);
    return ok;
}

/* ---- steering ---- */

enum action { CANCEL, PAUSE, RESUME, RETRY };

static const struct {
    const char *name;
    unsigned from; /* states it may be done in */
} actions[] = {
    [CANCEL] = { "cancelled", 1u << VT_JOB_WAITING | 1u << VT_JOB_RUNNING | 1u << VT_JOB_PAUSED },
    [PAUSE] = { "paused", 1u << VT_JOB_WAITING | 1u << VT_JOB_RUNNING },
    [RESUME] = { "resumed", 1u << VT_JOB_PAUSED },
    [RETRY] = { "retried", 1u << VT_JOB_WAITING | 1u << VT_JOB_DONE | 1u << VT_JOB_FAILED |
                               1u << VT_JOB_CANCELLED },
};

static bool retry(struct vt_jobs *jobs, struct vt_job *job, struct vt_err *err)
{
    bool was_over = vt_job_state_ended(job->state);

    if (job->state == VT_JOB_DONE && job->failed == 0)
        return vt_fail(err, VT_E_INVALID, "job %lld is done, nothing of it failed",
                       (long long)job->id);
    if (was_over && jobs->unfinished >= VT_JOBS_UNFINISHED_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d jobs are waiting", VT_JOBS_UNFINISHED_MAX);
    if (!vt_jobs_do(jobs, VT_JOBS_RETRY_ITEMS, true, err, "i", job->id) ||
        !vt_jobs_do(jobs, VT_JOBS_RETRY, true, err, "ii", vt_clock_wall(), job->id))
        return vt_fail_context(err, "job %lld", (long long)job->id);
    jobs->unfinished += was_over;
    job->state = VT_JOB_WAITING;
    job->attempts = 0;
    return true;
}

static bool set_state(struct vt_jobs *jobs, struct vt_job *job, enum vt_job_state state,
                      struct vt_err *err)
{
    bool over = vt_job_state_ended(state);

    if (!vt_jobs_do(jobs, VT_JOBS_SET_STATE, true, err, "iii", (int64_t)state,
                    over ? vt_clock_wall() : INT64_C(0), job->id))
        return false;
    jobs->unfinished -= over && jobs->unfinished > 0;
    job->state = state;
    return true;
}

static bool act(struct vt_jobs *jobs, struct vt_job *job, enum action action, struct vt_err *err)
{
    struct vt_job_run *run = vt_jobs_run_of(jobs, job->id);

    if (!(actions[action].from & 1u << job->state) || (run && action > PAUSE))
        return vt_fail(err, VT_E_INVALID, "job %lld is %s and cannot be %s", (long long)job->id,
                       vt_job_state_name(run ? VT_JOB_RUNNING : job->state), actions[action].name);
    if (run) {
        if (run->intent != VT_JOB_TO_CANCEL)
            run->intent = action == CANCEL ? VT_JOB_TO_CANCEL : VT_JOB_TO_PAUSE;
        vt_jobs_stop_run(run);
        return true;
    }
    if (action == RETRY)
        return retry(jobs, job, err);
    return set_state(jobs, job,
                     action == CANCEL  ? VT_JOB_CANCELLED
                     : action == PAUSE ? VT_JOB_PAUSED
                                       : VT_JOB_WAITING,
                     err);
}

static const struct vt_job_kind *kind_of(const struct vt_jobs *jobs, const char *name)
{
    for (size_t i = 0; i < jobs->kind_count; i++)
        if (strcmp(jobs->kinds[i].name, name) == 0)
            return &jobs->kinds[i];
    return NULL;
}

static bool steer(struct vt_jobs *jobs, int64_t id, enum action action, struct vt_err *err)
{
    vt_autofree struct vt_job *job = NULL;

    pthread_mutex_lock(&jobs->lock);
    bool ok = vt_jobs_get_row(jobs, id, &job, NULL, err) &&
              (job || vt_fail(err, VT_E_NOTFOUND, "there is no job %lld", (long long)id)) &&
              act(jobs, job, action, err);
    bool runs = ok && vt_jobs_run_of(jobs, id) != NULL;
    const struct vt_job_kind *kind = ok ? kind_of(jobs, job->kind) : NULL;
    pthread_cond_broadcast(&jobs->changed);
    pthread_cond_signal(&jobs->wake);
    pthread_mutex_unlock(&jobs->lock);
    if (!ok || runs)
        return ok;
    vt_jobs_tell(jobs, job->state == VT_JOB_WAITING ? "job.added" : "job.ended", job);
    if (kind && kind->ended && job->state != VT_JOB_WAITING)
        kind->ended(kind->context, id, job->state);
    return true;
}

bool vt_jobs_cancel(struct vt_jobs *jobs, int64_t id, struct vt_err *err)
{
    return steer(jobs, id, CANCEL, err);
}

bool vt_jobs_pause(struct vt_jobs *jobs, int64_t id, struct vt_err *err)
{
    return steer(jobs, id, PAUSE, err);
}

bool vt_jobs_resume(struct vt_jobs *jobs, int64_t id, struct vt_err *err)
{
    return steer(jobs, id, RESUME, err);
}

bool vt_jobs_retry(struct vt_jobs *jobs, int64_t id, struct vt_err *err)
{
    return steer(jobs, id, RETRY, err);
}

/* ---- marks ---- */

bool vt_jobs_mark(struct vt_jobs *jobs, const char *name, int64_t *out_value, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = jobs->statements[VT_JOBS_MARK];
    bool row = false;

    pthread_mutex_lock(&jobs->lock);
    bool ok =
        vt_stmt_bind(jobs->db, stmt, err, "t", name) && vt_stmt_step(jobs->db, stmt, &row, err);
    if (ok)
        *out_value = row ? sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_reset(stmt);
    pthread_mutex_unlock(&jobs->lock);
    return ok;
}

bool vt_jobs_set_mark(struct vt_jobs *jobs, const char *name, int64_t value, struct vt_err *err)
{
    pthread_mutex_lock(&jobs->lock);
    bool ok = vt_jobs_do(jobs, VT_JOBS_SET_MARK, false, err, "ti", name, value);
    pthread_mutex_unlock(&jobs->lock);
    return ok;
}

/* ---- waiting ---- */

static bool look(struct vt_jobs *jobs, int64_t id, enum vt_job_state *out_state, struct vt_err *err)
{
    vt_autofree struct vt_job *job = NULL;

    if (!vt_jobs_get_row(jobs, id, &job, NULL, err))
        return false;
    if (!job)
        return vt_fail(err, VT_E_NOTFOUND, "there is no job %lld", (long long)id);
    *out_state = vt_jobs_run_of(jobs, id) ? VT_JOB_RUNNING : job->state;
    return true;
}

static bool wait_for(struct vt_jobs *jobs, int64_t id, int64_t deadline,
                     enum vt_job_state *out_state, struct vt_err *err)
{
    struct timespec until = { .tv_sec = deadline / VT_NS_PER_S, .tv_nsec = deadline % VT_NS_PER_S };

    for (;;) {
        if (!look(jobs, id, out_state, err))
            return false;
        if (*out_state >= VT_JOB_PAUSED)
            return true;
        if (jobs->stopping)
            return vt_fail(err, VT_E_CANCELLED,
                           "the node stops; job %lld goes on at its next start", (long long)id);
        int waited = deadline ? pthread_cond_timedwait(&jobs->changed, &jobs->lock, &until)
                              : pthread_cond_wait(&jobs->changed, &jobs->lock);
        if (waited == ETIMEDOUT)
            return vt_fail(err, VT_E_TIMEOUT, "job %lld has not ended yet", (long long)id);
    }
}

bool vt_jobs_wait(struct vt_jobs *jobs, int64_t id, int64_t deadline, enum vt_job_state *out_state,
                  struct vt_err *err)
{
    enum vt_job_state state = VT_JOB_WAITING;

    pthread_mutex_lock(&jobs->lock);
    bool ok = wait_for(jobs, id, deadline, &state, err);
    pthread_mutex_unlock(&jobs->lock);
    if (ok)
        *out_state = state;
    return ok;
}
