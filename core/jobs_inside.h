/* core/jobs_inside.h: the queue from within: what core/jobs*.c share. Nobody else includes it. */
#pragma once

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "core/db.h"
#include "core/jobs.h"

enum { VT_JOBS_BACK_OFF_MAX = 16 };

enum vt_jobs_statement {
    VT_JOBS_ADD, VT_JOBS_ARGUMENTS, VT_JOBS_ONCE, VT_JOBS_GET, VT_JOBS_NEXT_KEY, VT_JOBS_BEST, VT_JOBS_DUE, VT_JOBS_CLAIM,
    VT_JOBS_PROGRESS, VT_JOBS_CHECKPOINT, VT_JOBS_END, VT_JOBS_SET_STATE, VT_JOBS_RETRY, VT_JOBS_RETRY_ITEMS,
    VT_JOBS_ITEM, VT_JOBS_ITEM_GET, VT_JOBS_ITEM_COUNT, VT_JOBS_ITEM_GONE, VT_JOBS_COUNT_STATE, VT_JOBS_PRUNE,
    VT_JOBS_MARK, VT_JOBS_SET_MARK,
    VT_JOBS_STATEMENTS
};

enum vt_job_intent { VT_JOB_GO_ON, VT_JOB_TO_PAUSE, VT_JOB_TO_CANCEL };

struct vt_job_run {
    struct vt_jobs *jobs;
    const struct vt_job_kind *kind;
    struct vt_job *job;         /* a copy of ours */
    int stop_fd;                /* eventfd */
    int64_t since;              /* made or retried */
    atomic_bool stop;
    _Atomic uint64_t done, done_bytes, total, total_bytes, failed;
    _Atomic int64_t written;    /* monotonic: progress was written to the row */
    _Atomic int64_t later;      /* wall */
    enum vt_job_intent intent;  /* guarded by the queue's lock */
};

struct vt_jobs {
    /* fixed after vt_jobs_start */
    char *path;
    unsigned workers;
    int64_t back_off[VT_JOBS_BACK_OFF_MAX];
    size_t back_off_count;
    int64_t give_up;
    struct vt_events *events;
    struct vt_job_kind kinds[VT_JOBS_KINDS_MAX];
    size_t kind_count;

    pthread_mutex_t lock;       /* guards all below */
    pthread_cond_t wake;        /* there may be work, or it stops; wall clock */
    pthread_cond_t changed;     /* a job ended or was paused; monotonic */
    struct vt_db *db;
    struct sqlite3_stmt *statements[VT_JOBS_STATEMENTS];
    bool syncing;               /* the connection syncs each commit */
    uint64_t unfinished;
    int64_t pruned;             /* wall */
    struct vt_job_run *runs[VT_JOBS_WORKERS_MAX];
    pthread_t threads[VT_JOBS_WORKERS_MAX];
    size_t thread_count;
    bool stopping;
};

/* ---- rows (core/jobs_rows.c) ---- */

#define VT_JOBS_COLUMNS                                                                                        \
    "id, kind, key, subject, coalesce((SELECT a.arguments FROM job_arguments a WHERE a.job = id), arguments), cursor, who, reason, priority, state, attempts, next_attempt, created," \
    " started, ended, done, total, done_bytes, total_bytes, failed, since"
enum { VT_JOBS_COLUMN_SINCE = 20 };

extern const char *const vt_jobs_sql[VT_JOBS_STATEMENTS];
void vt_jobs_read_row(struct sqlite3_stmt *stmt, struct vt_job *out);   /* borrows */
struct vt_job *vt_jobs_copy_row(const struct vt_job *job);              /* one block: free() */
/* Under the lock. How the next commits are made durable: synced, or left to the system (safe from a kill). */
bool vt_jobs_sync(struct vt_jobs *jobs, bool synced, struct vt_err *err);
/* Binds and runs a statement that gives no row. Under the lock. */
bool vt_jobs_do(struct vt_jobs *jobs, enum vt_jobs_statement statement, bool synced, struct vt_err *err,
                const char *letters, ...);
/* A copy of the row, under the lock. out_job NULL: no such job. */
bool vt_jobs_get_row(struct vt_jobs *jobs, int64_t id, struct vt_job **out_job, int64_t *out_since,
                     struct vt_err *err);
static inline bool vt_job_state_ended(enum vt_job_state state)
{
    return state >= VT_JOB_DONE;
}

/* ---- telling (core/jobs_tell.c): outside the lock ---- */

void vt_jobs_tell(struct vt_jobs *jobs, const char *event, const struct vt_job *job);

/* ---- workers (core/jobs_work.c) ---- */

void *vt_jobs_worker(void *jobs);
/* The run of a job, or NULL; under the lock. */
struct vt_job_run *vt_jobs_run_of(struct vt_jobs *jobs, int64_t id);
void vt_jobs_stop_run(struct vt_job_run *run);
void vt_jobs_fill_progress(const struct vt_job_run *run, struct vt_job *out);
