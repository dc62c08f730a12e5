/* The workers: which job is next, running it, what becomes of it; and the handle of a run. */
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/jobs_inside.h"
#include "core/log.h"

#define LOOK_AT_LEAST (60 * VT_NS_PER_S) /* the wall clock may have been set */
#define PRUNE_EVERY (3600 * VT_NS_PER_S)
#define PROGRESS_EVERY VT_NS_PER_S
#define DAY (24 * 3600 * VT_NS_PER_S)

/* ---- which one is next: under the lock ---- */

static bool has_room(const struct vt_jobs *jobs, const struct vt_job_kind *kind, const char *key)
{
    unsigned of_kind = 0, of_key = 0;

    for (size_t i = 0; i < VT_JOBS_WORKERS_MAX; i++) {
        const struct vt_job_run *run = jobs->runs[i];
        if (!run || run->kind != kind)
            continue;
        of_kind++;
        of_key += key && strcmp(run->job->key, key) == 0;
    }
    return (kind->parallel == 0 || of_kind < kind->parallel) && (!key || of_key < kind->per_key);
}

struct best {
    const struct vt_job_kind *kind;
    int64_t id, priority;
};

/* The next key behind `key` with jobs that wait; "" keys count too. out_more false: none. */
static bool next_key(struct vt_jobs *jobs, const char *kind, char key[static VT_JOB_NAME_MAX + 1],
                     bool *out_more, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = jobs->statements[VT_JOBS_NEXT_KEY];
    bool row;

    if (!vt_stmt_bind(jobs->db, stmt, err, "tt", kind, key) ||
        !vt_stmt_step(jobs->db, stmt, &row, err))
        return false;
    const char *found = row ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    *out_more = found != NULL;
    if (found)
        snprintf(key, VT_JOB_NAME_MAX + 1, "%s", found);
    sqlite3_reset(stmt);
    return true;
}

static bool look_at_key(struct vt_jobs *jobs, const struct vt_job_kind *kind, const char *key,
                        int64_t now, struct best *best, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = jobs->statements[VT_JOBS_BEST];
    bool row;

    if (!has_room(jobs, kind, key))
        return true;
    if (!vt_stmt_bind(jobs->db, stmt, err, "tti", kind->name, key, now) ||
        !vt_stmt_step(jobs->db, stmt, &row, err))
        return false;
    if (row) {
        int64_t id = sqlite3_column_int64(stmt, 0), priority = sqlite3_column_int64(stmt, 1);
        if (!best->kind || priority > best->priority ||
            (priority == best->priority && id < best->id))
            *best = (struct best){ kind, id, priority };
    }
    sqlite3_reset(stmt);
    return true;
}

static bool find_best(struct vt_jobs *jobs, int64_t now, struct best *best, struct vt_err *err)
{
    for (size_t i = 0; i < jobs->kind_count; i++) {
        const struct vt_job_kind *kind = &jobs->kinds[i];
        char key[VT_JOB_NAME_MAX + 1] = "";
        bool more = true;

        if (!has_room(jobs, kind, NULL))
            continue;
        if (!look_at_key(jobs, kind, "", now, best, err))
            return false;
        while (more) {
            if (!next_key(jobs, kind->name, key, &more, err))
                return false;
            if (more && !look_at_key(jobs, kind, key, now, best, err))
                return false;
        }
    }
    return true;
}

/* When the next one is due that is not yet. */
static int64_t next_due(struct vt_jobs *jobs, int64_t now)
{
    struct sqlite3_stmt *stmt = jobs->statements[VT_JOBS_DUE];
    int64_t due = now + LOOK_AT_LEAST;
    struct vt_err err = { 0 };
    bool row;

    if (vt_stmt_bind(jobs->db, stmt, &err, "i", now) && vt_stmt_step(jobs->db, stmt, &row, &err) &&
        row && sqlite3_column_type(stmt, 0) != SQLITE_NULL && sqlite3_column_int64(stmt, 0) < due)
        due = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return due;
}

/* ---- a run ---- */

static void run_free(struct vt_job_run *run)
{
    if (!run)
        return;
    if (run->stop_fd >= 0)
        close(run->stop_fd);
    free(run->job);
    free(run);
}

static struct vt_job_run *run_new(struct vt_jobs *jobs, const struct best *best, struct vt_err *err)
{
    struct vt_job_run *run = calloc(1, sizeof *run);

    if (!run) {
        vt_fail(err, VT_E_NOMEM, "no memory for a job");
        return NULL;
    }
    run->jobs = jobs;
    run->kind = best->kind;
    run->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (run->stop_fd < 0)
        vt_fail_errno(err, "a job");
    else if (vt_jobs_get_row(jobs, best->id, &run->job, &run->since, err) && !run->job)
        vt_fail(err, VT_E_NOTFOUND, "no job %lld", (long long)best->id);
    if (vt_failed(err)) {
        run_free(run);
        return NULL;
    }
    run->job->state = VT_JOB_RUNNING;
    run->job->started = vt_clock_wall();
    atomic_store(&run->done, run->job->done);
    atomic_store(&run->done_bytes, run->job->done_bytes);
    atomic_store(&run->total, run->job->total);
    atomic_store(&run->total_bytes, run->job->total_bytes);
    atomic_store(&run->failed, run->job->failed);
    return run;
}

struct vt_job_run *vt_jobs_run_of(struct vt_jobs *jobs, int64_t id)
{
    for (size_t i = 0; i < VT_JOBS_WORKERS_MAX; i++)
        if (jobs->runs[i] && jobs->runs[i]->job->id == id)
            return jobs->runs[i];
    return NULL;
}

static struct vt_job_run **slot_of(struct vt_jobs *jobs, const struct vt_job_run *run)
{
    for (size_t i = 0; i < VT_JOBS_WORKERS_MAX; i++)
        if (jobs->runs[i] == run)
            return &jobs->runs[i];
    return NULL;
}

void vt_jobs_stop_run(struct vt_job_run *run)
{
    if (!atomic_exchange(&run->stop, true))
        (void)eventfd_write(run->stop_fd, 1);
}

/* The next job, marked as running; NULL: none is due. */
static struct vt_job_run *claim(struct vt_jobs *jobs, int64_t now, struct vt_err *err)
{
    struct vt_job_run **slot = slot_of(jobs, NULL);
    struct best best = { 0 };

    if (!slot || !find_best(jobs, now, &best, err) || !best.kind)
        return NULL;
    struct vt_job_run *run = run_new(jobs, &best, err);
    if (!run)
        return NULL;
    if (!vt_jobs_do(jobs, VT_JOBS_CLAIM, false, err, "ii", run->job->started, run->job->id)) {
        run_free(run);
        return NULL;
    }
    *slot = run;
    return run;
}

/* ---- what becomes of it ---- */

struct ending {
    enum vt_job_state state;
    unsigned attempts;
    int64_t next_attempt;
    char reason[VT_ERR_TEXT_MAX];
};

/* After a failed attempt: once more, or given up. */
static void back_off(const struct vt_job_run *run, int64_t now, struct ending *ending)
{
    const struct vt_jobs *jobs = run->jobs;
    size_t step =
        run->job->attempts < jobs->back_off_count ? run->job->attempts : jobs->back_off_count - 1;

    ending->attempts++;
    ending->next_attempt = now + jobs->back_off[step];
    ending->state =
        ending->next_attempt - run->since > jobs->give_up ? VT_JOB_FAILED : VT_JOB_WAITING;
}

static struct ending decide(const struct vt_job_run *run, enum vt_job_end end,
                            const struct vt_err *why)
{
    struct ending ending = { .attempts = run->job->attempts };
    int64_t now = vt_clock_wall();

    snprintf(ending.reason, sizeof ending.reason, "%s",
             end == VT_JOB_END_LATER || end == VT_JOB_END_STOPPED ? run->job->reason : why->text);
    if (end == VT_JOB_END_DONE || end == VT_JOB_END_FAILED) {
        ending.state = end == VT_JOB_END_DONE ? VT_JOB_DONE : VT_JOB_FAILED;
    } else if (run->intent != VT_JOB_GO_ON) {
        ending.state = run->intent == VT_JOB_TO_PAUSE ? VT_JOB_PAUSED : VT_JOB_CANCELLED;
    } else if (end == VT_JOB_END_AGAIN && !run->jobs->stopping) {
        back_off(run, now, &ending);
    } else {
        ending.state = VT_JOB_WAITING;
        ending.next_attempt = end == VT_JOB_END_LATER ? atomic_load(&run->later) : 0;
    }
    return ending;
}

void vt_jobs_fill_progress(const struct vt_job_run *run, struct vt_job *out)
{
    out->done = atomic_load(&run->done);
    out->done_bytes = atomic_load(&run->done_bytes);
    out->total = atomic_load(&run->total);
    out->total_bytes = atomic_load(&run->total_bytes);
    out->failed = atomic_load(&run->failed);
}

/* The row's new state; when the database refuses, it stays running there, and waits at the next
 * start. */
static void finish(struct vt_jobs *jobs, struct vt_job_run *run, enum vt_job_end end,
                   const struct vt_err *why)
{
    struct vt_job *job = run->job;
    struct vt_err err = { 0 };

    pthread_mutex_lock(&jobs->lock);
    struct ending ending = decide(run, end, why);
    bool over = vt_job_state_ended(ending.state);
    vt_jobs_fill_progress(run, job);
    job->ended = over ? vt_clock_wall() : 0;
    job->state = ending.state;
    job->attempts = ending.attempts;
    if (!vt_jobs_do(jobs, VT_JOBS_END, over, &err, "iiiitiiiii", (int64_t)ending.state,
                    (int64_t)ending.attempts, ending.next_attempt, job->ended, ending.reason,
                    (int64_t)job->done, (int64_t)job->done_bytes, (int64_t)job->total,
                    (int64_t)job->total_bytes, job->id))
        vt_log(VT_LOG_ERROR, "job.failed", "job=%lld text=\"%s\"", (long long)job->id, err.text);
    jobs->unfinished -= over && jobs->unfinished > 0;
    *slot_of(jobs, run) = NULL;
    pthread_cond_broadcast(&jobs->changed);
    pthread_cond_signal(&jobs->wake); /* its key has room again */
    pthread_mutex_unlock(&jobs->lock);

    job->reason = ending.reason;
    vt_jobs_tell(jobs, "job.ended", job);
    if (run->kind->ended && (over || ending.state == VT_JOB_PAUSED))
        run->kind->ended(run->kind->context, job->id, ending.state);
    run_free(run);
}

static void work(struct vt_jobs *jobs, struct vt_job_run *run)
{
    struct vt_err err = { 0 };

    vt_jobs_tell(jobs, "job.started", run->job);
    enum vt_job_end end = run->kind->run(run->kind->context, run, &err);
    finish(jobs, run, end, &err);
}

/* ---- the thread ---- */

static void prune(struct vt_jobs *jobs, int64_t now)
{
    struct vt_err err = { 0 };

    if (now - jobs->pruned < PRUNE_EVERY)
        return;
    jobs->pruned = now;
    (void)vt_jobs_do(jobs, VT_JOBS_PRUNE, false, &err, "ii", now - VT_JOBS_KEPT_DAYS * DAY,
                     (int64_t)VT_JOBS_KEPT);
}

static void wait_until(struct vt_jobs *jobs, int64_t wall)
{
    struct timespec until = { .tv_sec = wall / VT_NS_PER_S, .tv_nsec = wall % VT_NS_PER_S };

    pthread_cond_timedwait(&jobs->wake, &jobs->lock, &until);
}

void *vt_jobs_worker(void *context)
{
    struct vt_jobs *jobs = context;

    pthread_mutex_lock(&jobs->lock);
    while (!jobs->stopping) {
        struct vt_err err = { 0 };
        int64_t now = vt_clock_wall();
        prune(jobs, now);
        struct vt_job_run *run = claim(jobs, now, &err);
        if (run) {
            pthread_cond_signal(&jobs->wake); /* perhaps there is one more */
            pthread_mutex_unlock(&jobs->lock);
            work(jobs, run);
            pthread_mutex_lock(&jobs->lock);
            continue;
        }
        if (vt_failed(&err))
            vt_log(VT_LOG_ERROR, "jobs.failed", "text=\"%s\"", err.text);
        wait_until(jobs, vt_failed(&err) ? now + VT_NS_PER_S : next_due(jobs, now));
    }
    pthread_mutex_unlock(&jobs->lock);
    return NULL;
}

/* ---- the handle ---- */

const struct vt_job *vt_job_of(const struct vt_job_run *run)
{
    return run->job;
}

bool vt_job_should_stop(const struct vt_job_run *run)
{
    return atomic_load(&run->stop);
}

int vt_job_stop_fd(const struct vt_job_run *run)
{
    return run->stop_fd;
}

/* A picture of the job as it is now; the texts stay the run's. */
static struct vt_job picture(const struct vt_job_run *run)
{
    struct vt_job job = *run->job;

    vt_jobs_fill_progress(run, &job);
    return job;
}

static void show_progress(struct vt_job_run *run)
{
    int64_t now = vt_clock_mono(), before = atomic_load(&run->written);
    struct vt_jobs *jobs = run->jobs;
    struct vt_err err = { 0 };

    if (now - before < PROGRESS_EVERY ||
        !atomic_compare_exchange_strong(&run->written, &before, now))
        return;
    struct vt_job job = picture(run);
    pthread_mutex_lock(&jobs->lock);
    (void)vt_jobs_do(jobs, VT_JOBS_PROGRESS, false, &err, "iiiii", (int64_t)job.done,
                     (int64_t)job.done_bytes, (int64_t)job.total, (int64_t)job.total_bytes, job.id);
    pthread_mutex_unlock(&jobs->lock);
    vt_jobs_tell(jobs, "job.progress", &job);
}

void vt_job_progress(struct vt_job_run *run, uint64_t done, uint64_t done_bytes)
{
    atomic_store(&run->done, done);
    atomic_store(&run->done_bytes, done_bytes);
    show_progress(run);
}

void vt_job_totals(struct vt_job_run *run, uint64_t total, uint64_t total_bytes)
{
    atomic_store(&run->total, total);
    atomic_store(&run->total_bytes, total_bytes);
    show_progress(run);
}

bool vt_job_checkpoint(struct vt_job_run *run, const char *cursor, struct vt_err *err)
{
    struct vt_job job = picture(run);

    if (strlen(cursor) > VT_JOB_CURSOR_MAX)
        return vt_fail(err, VT_E_LIMIT, "the cursor of a job is too long");
    pthread_mutex_lock(&run->jobs->lock);
    bool ok =
        vt_jobs_do(run->jobs, VT_JOBS_CHECKPOINT, false, err, "tiiiii", cursor, (int64_t)job.done,
                   (int64_t)job.done_bytes, (int64_t)job.total, (int64_t)job.total_bytes, job.id);
    pthread_mutex_unlock(&run->jobs->lock);
    return ok;
}

void vt_job_later(struct vt_job_run *run, int64_t wall)
{
    atomic_store(&run->later, wall);
}
