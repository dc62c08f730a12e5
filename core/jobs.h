/* core/jobs.h: what takes longer than a moment: a queue of jobs that survives a restart.
 *
 *   vt_jobs_open ─> vt_jobs_kind (each kind, from cmd) ─> vt_jobs_start ─> vt_jobs_add ... ─> vt_jobs_stop
 *
 * A job is a row (core/jobs_schema.h) of a database, with a connection of the queue's own; its transactions are
 * short, and nothing is locked while a job works. vt_jobs_add returns when the row is durable. A worker thread takes
 * the oldest due job of the highest priority whose key has room, and calls its kind's `run`. What was running when
 * the process died waits again at the next start and goes on from its cursor: a run must be able to do its last
 * stretch twice. A job that ended stays listed for a while.
 *
 * Any thread may call anything here, but a vt_job_run belongs to the run that got it (its functions may be
 * called from threads of that run). Events, when the options name some: "job.added", "job.started", "job.progress"
 * (once a second and job at most) and "job.ended", the subject is the number, the detail a JSON object
 * {"id","kind","key","subject","state","done","total","done_bytes","total_bytes","failed","attempts","reason"}. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_events;
struct vt_jobs;
struct vt_job_run;

enum {
    VT_JOBS_UNFINISHED_MAX = 100000,   /* waiting, running and paused ones together; one more is VT_E_LIMIT */
    VT_JOBS_KEPT = 10000,              /* ended ones stay listed: so many, */
    VT_JOBS_KEPT_DAYS = 30,            /* so long */
    VT_JOBS_KINDS_MAX = 32,
    VT_JOBS_WORKERS_MAX = 64,
    VT_JOB_NAME_MAX = 64,              /* kind, key */
    VT_JOB_TEXT_MAX = 240,             /* subject, once, who, reason */
    VT_JOB_ARGUMENTS_MAX = 4 << 20,
    VT_JOB_CURSOR_MAX = 64 << 10,
    VT_JOB_ITEMS_MAX = 10000,          /* failed items listed of one job; the rest is only counted */
    VT_JOB_CRASHES_MAX = 5,            /* the process died so often while it ran: it fails */
};

enum vt_job_state {
    VT_JOB_WAITING,     /* for its turn, or for next_attempt */
    VT_JOB_RUNNING,
    VT_JOB_PAUSED,
    VT_JOB_DONE,        /* `failed` may be above 0: these items failed for good */
    VT_JOB_FAILED,
    VT_JOB_CANCELLED,
    VT_JOB_STATES,
};
const char *vt_job_state_name(enum vt_job_state state);   /* "waiting" ... */
bool vt_job_state_parse(const char *name, enum vt_job_state *out_state);

enum vt_job_end {
    VT_JOB_END_DONE,      /* also when single items failed for good: err may say so */
    VT_JOB_END_AGAIN,     /* a temporary failure, err says which: later, as the back-off says; at its end, failed */
    VT_JOB_END_LATER,     /* no failure: goes on at the time that vt_job_later named; costs no attempt */
    VT_JOB_END_FAILED,    /* for good, err says why */
    VT_JOB_END_STOPPED,   /* vt_job_should_stop said so: paused, cancelled, or waiting until the next start */
};

/* What to do with jobs of one kind. Copied; `name` and `context` must outlive the queue. */
struct vt_job_kind {
    const char *name;      /* "send", "fetch", "commit.report" */
    unsigned parallel;     /* running at once of this kind; 0: as many as there are workers */
    unsigned per_key;      /* running at once of this kind with one key; 0: 1 */
    /* In a worker's thread; what err says for DONE, AGAIN and FAILED becomes the job's reason. */
    enum vt_job_end (*run)(void *context, struct vt_job_run *run, struct vt_err *err);
    /* After the row was set to its new state; NULL: nobody asks. Not when it is only to wait for the next start. */
    void (*ended)(void *context, int64_t id, enum vt_job_state state);
    void *context;
};

/* A job as it is listed. Text is borrowed: from the run until it ends, from a listing until the next row. */
struct vt_job {
    int64_t id;
    const char *kind;
    const char *key;         /* whom it loads: a peer's name, a volume; with `kind` the unit of parallelism. Few different ones */
    const char *subject;     /* what it is about, for people: a study UID, a file */
    const char *arguments;   /* JSON, the kind's own */
    const char *cursor;      /* where to go on; "" at the beginning */
    const char *who;         /* asked for it: a user, a route; "" */
    const char *reason;      /* of the last failure; "" */
    int priority;            /* higher first; 0 is normal */
    enum vt_job_state state;
    unsigned attempts;       /* that failed since the last retry */
    int64_t next_attempt, created, started, ended;   /* wall ns; 0: not yet */
    uint64_t done, total, done_bytes, total_bytes;   /* instances, or what the kind counts; total 0: not known */
    uint64_t failed;         /* items that failed for good */
};

struct vt_jobs_options {
    const char *path;             /* the database, with VT_JOBS_SCHEMA in it */
    unsigned workers;             /* threads; 0: 8 */
    const int64_t *back_off;      /* ns after the 1st, 2nd ... failed attempt; the last one repeats. NULL: 1, 5, 30 min, 1 h */
    size_t back_off_count;
    int64_t give_up;              /* ns since it was made or retried; 0: 3 days */
    struct vt_events *events;     /* borrowed; NULL: nobody listens */
};

/* Reads and changes rows from now on; runs nothing yet. */
struct vt_jobs *vt_jobs_open(const struct vt_jobs_options *options, struct vt_err *err);
/* Before the start. VT_E_EXISTS, VT_E_LIMIT. A job of a kind that nobody registered waits. */
bool vt_jobs_kind(struct vt_jobs *jobs, const struct vt_job_kind *kind, struct vt_err *err);
bool vt_jobs_start(struct vt_jobs *jobs, struct vt_err *err);
/* Running ones are told to stop and waited for; they wait for the next start. Adding still works. NULL is fine. */
void vt_jobs_stop(struct vt_jobs *jobs);
void vt_jobs_free(struct vt_jobs *jobs);   /* stops first */
VT_DEFINE_AUTO(vt_jobs)

/* ---- for those who have work ---- */

struct vt_job_new {
    const char *kind, *key;
    const char *subject, *arguments, *who;   /* NULL: "" */
    /* Not empty: as long as an unfinished job of this kind has the same text, adding gives that one's number. */
    const char *once;
    int priority;
    int64_t not_before;   /* wall ns; 0: now */
    uint64_t total, total_bytes;
    bool paused;          /* begins paused */
};
/* Durable on return. out_id may be NULL. VT_E_LIMIT: the queue is full; VT_E_INVALID: a text is too long. */
bool vt_jobs_add(struct vt_jobs *jobs, const struct vt_job_new *job, int64_t *out_id, struct vt_err *err);
/* All or none, in one transaction. out_ids: count numbers, or NULL. */
bool vt_jobs_add_all(struct vt_jobs *jobs, const struct vt_job_new *list, size_t count, int64_t *out_ids,
                     struct vt_err *err);

/* How far somebody who makes jobs has come; 0: never set. Safe from a kill, from a power cut a moment later. */
bool vt_jobs_mark(struct vt_jobs *jobs, const char *name, int64_t *out_value, struct vt_err *err);
bool vt_jobs_set_mark(struct vt_jobs *jobs, const char *name, int64_t value, struct vt_err *err);

/* ---- for the run of a kind ---- */

const struct vt_job *vt_job_of(const struct vt_job_run *run);   /* as it was when the run began */
/* Paused, cancelled, or the process ends: return VT_JOB_END_STOPPED soon. Cheap. */
bool vt_job_should_stop(const struct vt_job_run *run);
/* A descriptor that becomes readable when vt_job_should_stop becomes true: for poll(). Never read it. */
int vt_job_stop_fd(const struct vt_job_run *run);
/* Sums since the job began, not since this run. Cheap: the row follows once a second. */
void vt_job_progress(struct vt_job_run *run, uint64_t done, uint64_t done_bytes);
void vt_job_totals(struct vt_job_run *run, uint64_t total, uint64_t total_bytes);
/* Where the next run goes on when this one dies: safe from a kill on return, from a power cut a moment later. */
bool vt_job_checkpoint(struct vt_job_run *run, const char *cursor, struct vt_err *err);
/* One item of the job failed. permanent: it is counted and stays listed; else it is listed until it is settled. */
bool vt_job_fail_item(struct vt_job_run *run, const char *item, bool permanent, const char *reason,
                      struct vt_err *err);
/* It went well after all. */
bool vt_job_settle_item(struct vt_job_run *run, const char *item, struct vt_err *err);
/* For VT_JOB_END_LATER. */
void vt_job_later(struct vt_job_run *run, int64_t wall);

/* ---- for those who look and steer ---- */

struct vt_jobs_filter {
    unsigned states;        /* bits 1u << enum vt_job_state; 0: all */
    const char *kind, *key; /* NULL: any */
    int64_t id;             /* 0: any */
    int64_t before;         /* numbers below only; 0: all */
    unsigned limit;         /* rows; 0: all */
};
/* Newest first; false of `row` ends it. From a snapshot: `row` may take its time and call anything here. */
bool vt_jobs_list(struct vt_jobs *jobs, const struct vt_jobs_filter *filter,
                  bool (*row)(void *context, const struct vt_job *job), void *context, struct vt_err *err);
struct vt_job_item {
    const char *item, *reason;
    bool permanent;
    int64_t at;   /* wall ns */
};
bool vt_jobs_items(struct vt_jobs *jobs, int64_t id, bool (*row)(void *context, const struct vt_job_item *item),
                   void *context, struct vt_err *err);
uint64_t vt_jobs_count(struct vt_jobs *jobs, enum vt_job_state state);   /* 0 also when the database fails */

/* VT_E_NOTFOUND: no such job; VT_E_INVALID: its state does not allow it. A running job comes to it when its run returns. */
bool vt_jobs_cancel(struct vt_jobs *jobs, int64_t id, struct vt_err *err);
bool vt_jobs_pause(struct vt_jobs *jobs, int64_t id, struct vt_err *err);
bool vt_jobs_resume(struct vt_jobs *jobs, int64_t id, struct vt_err *err);   /* a paused one */
/* Failed, cancelled, done with failed items: once more, from its cursor, attempts counted anew, its failed items
 * listed as temporary ones, which the run takes up again. One that waits for its next attempt: now. */
bool vt_jobs_retry(struct vt_jobs *jobs, int64_t id, struct vt_err *err);
/* Waits until the job has ended (or is paused) or the deadline (monotonic ns, 0: none). VT_E_TIMEOUT, VT_E_NOTFOUND;
 * VT_E_CANCELLED: the queue stops. */
bool vt_jobs_wait(struct vt_jobs *jobs, int64_t id, int64_t deadline, enum vt_job_state *out_state, struct vt_err *err);
