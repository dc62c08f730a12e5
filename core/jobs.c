#include "core/jobs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/jobs_inside.h"

enum { BUSY_MS = 5000, WORKERS = 8, WORKER_STACK = 1 << 20, CACHE_KIB = 512, WAL_PAGES = 1000 };

static const int64_t default_back_off[] = { 60 * VT_NS_PER_S, 300 * VT_NS_PER_S, 1800 * VT_NS_PER_S,
                                            3600 * VT_NS_PER_S };
#define GIVE_UP (3 * 24 * 3600 * VT_NS_PER_S)

/* ---- opening, starting, stopping ---- */

static bool prepare_all(struct vt_jobs *jobs, struct vt_err *err)
{
    for (size_t i = 0; i < VT_JOBS_STATEMENTS; i++)
        if (!(jobs->statements[i] = vt_db_prepare(jobs->db, vt_jobs_sql[i], err)))
            return false;
    return true;
}

static uint64_t count_state(struct vt_jobs *jobs, enum vt_job_state state)
{
    struct sqlite3_stmt *stmt = jobs->statements[VT_JOBS_COUNT_STATE];
    struct vt_err err = { 0 };
    uint64_t count = 0;
    bool row;

    if (vt_stmt_bind(jobs->db, stmt, &err, "i", (int64_t)state) &&
        vt_stmt_step(jobs->db, stmt, &row, &err) && row)
        count = (uint64_t)sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return count;
}

/* What ran when the process died waits again; what killed it too often has failed. */
static bool recover(struct vt_jobs *jobs, struct vt_err *err)
{
    char sql[512];

    snprintf(
        sql, sizeof sql,
        "BEGIN IMMEDIATE;"
        "UPDATE job SET state = 0, crashes = crashes + 1, next_attempt = 0 WHERE state = 1;"
        "UPDATE job SET state = 4, ended = %lld, reason = 'the program ended %d times while it ran'"
        " WHERE state = 0 AND crashes >= %d;"
        "COMMIT",
        (long long)vt_clock_wall(), VT_JOB_CRASHES_MAX, VT_JOB_CRASHES_MAX);
    if (!vt_db_exec(jobs->db, sql, err))
        return false;
    for (int state = VT_JOB_WAITING; state <= VT_JOB_PAUSED; state++)
        jobs->unfinished += count_state(jobs, (enum vt_job_state)state);
    return true;
}

static void init_locks(struct vt_jobs *jobs)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->wake, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&jobs->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static void set_options(struct vt_jobs *jobs, const struct vt_jobs_options *options)
{
    const int64_t *list = options->back_off ? options->back_off : default_back_off;
    size_t count = options->back_off ? options->back_off_count : VT_COUNT(default_back_off);

    jobs->workers = options->workers ? options->workers : WORKERS;
    if (jobs->workers > VT_JOBS_WORKERS_MAX)
        jobs->workers = VT_JOBS_WORKERS_MAX;
    jobs->back_off_count = count < VT_JOBS_BACK_OFF_MAX ? count : VT_JOBS_BACK_OFF_MAX;
    memcpy(jobs->back_off, list, jobs->back_off_count * sizeof *list);
    jobs->give_up = options->give_up ? options->give_up : GIVE_UP;
    jobs->events = options->events;
}

struct vt_jobs *vt_jobs_open(const struct vt_jobs_options *options, struct vt_err *err)
{
    static const struct vt_db_options database = { .sync = VT_DB_SYNC_FULL,
                                                   .busy_ms = BUSY_MS,
                                                   .cache_kib = CACHE_KIB,
                                                   .wal_autocheckpoint = WAL_PAGES };
    struct vt_jobs *fresh = calloc(1, sizeof *fresh);

    if (fresh)
        init_locks(fresh);
    VT_AUTO(vt_jobs) jobs = fresh;
    if (!jobs || !(jobs->path = strdup(options->path))) {
        vt_fail(err, VT_E_NOMEM, "no memory for the jobs");
        return NULL;
    }
    set_options(jobs, options);
    jobs->syncing = true;
    jobs->db = vt_db_open(options->path, &database, err);
    if (!jobs->db || !prepare_all(jobs, err) || !recover(jobs, err))
        return NULL;
    return vt_take(&jobs);
}

bool vt_jobs_kind(struct vt_jobs *jobs, const struct vt_job_kind *kind, struct vt_err *err)
{
    for (size_t i = 0; i < jobs->kind_count; i++)
        if (strcmp(jobs->kinds[i].name, kind->name) == 0)
            return vt_fail(err, VT_E_EXISTS, "two kinds of jobs have the name '%s'", kind->name);
    if (jobs->kind_count == VT_JOBS_KINDS_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d kinds of jobs", VT_JOBS_KINDS_MAX);
    jobs->kinds[jobs->kind_count] = *kind;
    if (kind->per_key == 0)
        jobs->kinds[jobs->kind_count].per_key = 1;
    jobs->kind_count++;
    return true;
}

bool vt_jobs_start(struct vt_jobs *jobs, struct vt_err *err)
{
    pthread_attr_t attr;
    int failed = 0;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, WORKER_STACK);
    pthread_mutex_lock(&jobs->lock);
    while (jobs->thread_count < jobs->workers && failed == 0) {
        failed = pthread_create(&jobs->threads[jobs->thread_count], &attr, vt_jobs_worker, jobs);
        jobs->thread_count += failed == 0;
    }
    pthread_mutex_unlock(&jobs->lock);
    pthread_attr_destroy(&attr);
    errno = failed;
    return failed == 0 || vt_fail_errno(err, "starting the workers of the jobs");
}

void vt_jobs_stop(struct vt_jobs *jobs)
{
    if (!jobs)
        return;
    pthread_mutex_lock(&jobs->lock);
    jobs->stopping = true;
    for (size_t i = 0; i < VT_JOBS_WORKERS_MAX; i++)
        if (jobs->runs[i])
            vt_jobs_stop_run(jobs->runs[i]);
    size_t count = jobs->thread_count;
    jobs->thread_count = 0;
    pthread_cond_broadcast(&jobs->wake);
    pthread_cond_broadcast(&jobs->changed);
    pthread_mutex_unlock(&jobs->lock);
    for (size_t i = 0; i < count; i++)
        pthread_join(jobs->threads[i], NULL);
}

void vt_jobs_free(struct vt_jobs *jobs)
{
    if (!jobs)
        return;
    vt_jobs_stop(jobs);
    for (size_t i = 0; i < VT_JOBS_STATEMENTS; i++)
        vt_stmt_free(jobs->statements[i]);
    vt_db_free(jobs->db);
    pthread_cond_destroy(&jobs->wake);
    pthread_cond_destroy(&jobs->changed);
    pthread_mutex_destroy(&jobs->lock);
    free(jobs->path);
    free(jobs);
}

/* ---- adding ---- */

static bool check_text(const char *what, const char *text, size_t max, struct vt_err *err)
{
    return !text || strlen(text) <= max ||
           vt_fail(err, VT_E_INVALID, "the %s of a job is too long", what);
}

static bool check_new(const struct vt_job_new *job, struct vt_err *err)
{
    if (!job->kind || !*job->kind || !job->key)
        return vt_fail(err, VT_E_INVALID, "a job needs a kind and a key");
    return check_text("kind", job->kind, VT_JOB_NAME_MAX, err) &&
           check_text("key", job->key, VT_JOB_NAME_MAX, err) &&
           check_text("subject", job->subject, VT_JOB_TEXT_MAX, err) &&
           check_text("owner", job->who, VT_JOB_TEXT_MAX, err) &&
           check_text("mark", job->once, VT_JOB_TEXT_MAX, err) &&
           check_text("argument", job->arguments, VT_JOB_ARGUMENTS_MAX, err);
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static bool find_once(struct vt_jobs *jobs, const struct vt_job_new *job, int64_t *out_id,
                      struct vt_err *err)
{
    struct sqlite3_stmt *stmt = jobs->statements[VT_JOBS_ONCE];
    bool row = false;

    *out_id = 0;
    if (!job->once || !*job->once)
        return true;
    if (!vt_stmt_bind(jobs->db, stmt, err, "tt", job->kind, job->once) ||
        !vt_stmt_step(jobs->db, stmt, &row, err))
        return false;
    if (row)
        *out_id = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    return true;
}

/* *out_fresh: a row was made. */
static bool add_one(struct vt_jobs *jobs, const struct vt_job_new *job, int64_t *out_id,
                    bool *out_fresh, struct vt_err *err)
{
    if (!find_once(jobs, job, out_id, err))
        return false;
    *out_fresh = *out_id == 0;
    if (!*out_fresh)
        return true;
    if (!vt_jobs_do(jobs, VT_JOBS_ADD, true, err, "ttttttiiiiii", job->kind, job->key,
                    or_empty(job->subject), or_empty(job->once), "", or_empty(job->who),
                    (int64_t)job->priority, (int64_t)(job->paused ? VT_JOB_PAUSED : VT_JOB_WAITING),
                    job->not_before, vt_clock_wall(), (int64_t)job->total,
                    (int64_t)job->total_bytes))
        return false;
    *out_id = sqlite3_last_insert_rowid(vt_db_handle(jobs->db));
    return !job->arguments || !*job->arguments ||
           vt_jobs_do(jobs, VT_JOBS_ARGUMENTS, true, err, "it", *out_id, job->arguments);
}

static bool add_under_lock(struct vt_jobs *jobs, const struct vt_job_new *list, size_t count,
                           int64_t *ids, bool *fresh, struct vt_err *err)
{
    uint64_t added = 0;
    bool ok;

    if (jobs->unfinished + count > VT_JOBS_UNFINISHED_MAX)
        return vt_fail(err, VT_E_LIMIT,
                       "more than %d jobs are waiting: cancel some, or see why they wait",
                       VT_JOBS_UNFINISHED_MAX);
    ok = vt_jobs_sync(jobs, true, err) && vt_db_exec(jobs->db, "BEGIN IMMEDIATE", err);
    if (!ok)
        return false;
    for (size_t i = 0; i < count && ok; i++) {
        ok = add_one(jobs, &list[i], &ids[i], &fresh[i], err);
        added += ok && fresh[i];
    }
    ok = ok && vt_db_exec(jobs->db, "COMMIT", err);
    if (!ok)
        sqlite3_exec(vt_db_handle(jobs->db), "ROLLBACK", NULL, NULL, NULL);
    else
        jobs->unfinished += added;
    if (ok && added == 1)
        pthread_cond_signal(&jobs->wake);
    else if (ok && added > 1)
        pthread_cond_broadcast(&jobs->wake);
    return ok;
}

static void tell_added(struct vt_jobs *jobs, const struct vt_job_new *job, int64_t id)
{
    const struct vt_job row = { .id = id,
                                .kind = job->kind,
                                .key = job->key,
                                .subject = or_empty(job->subject),
                                .reason = "",
                                .state = job->paused ? VT_JOB_PAUSED : VT_JOB_WAITING,
                                .total = job->total,
                                .total_bytes = job->total_bytes };

    vt_jobs_tell(jobs, "job.added", &row);
}

bool vt_jobs_add_all(struct vt_jobs *jobs, const struct vt_job_new *list, size_t count,
                     int64_t *out_ids, struct vt_err *err)
{
    if (count == 0)
        return true;
    vt_autofree int64_t *ids = calloc(count, sizeof *ids);
    vt_autofree bool *fresh = calloc(count, sizeof *fresh);
    if (!ids || !fresh)
        return vt_fail(err, VT_E_NOMEM, "no memory for jobs");
    for (size_t i = 0; i < count; i++)
        if (!check_new(&list[i], err))
            return false;

    pthread_mutex_lock(&jobs->lock);
    bool ok = add_under_lock(jobs, list, count, ids, fresh, err);
    pthread_mutex_unlock(&jobs->lock);
    if (!ok)
        return false;
    for (size_t i = 0; i < count; i++)
        if (fresh[i])
            tell_added(jobs, &list[i], ids[i]);
    if (out_ids)
        memcpy(out_ids, ids, count * sizeof *ids);
    return true;
}

bool vt_jobs_add(struct vt_jobs *jobs, const struct vt_job_new *job, int64_t *out_id,
                 struct vt_err *err)
{
    return vt_jobs_add_all(jobs, job, 1, out_id, err);
}

uint64_t vt_jobs_count(struct vt_jobs *jobs, enum vt_job_state state)
{
    pthread_mutex_lock(&jobs->lock);
    uint64_t count = count_state(jobs, state);
    pthread_mutex_unlock(&jobs->lock);
    return count;
}
