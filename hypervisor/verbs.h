/* hypervisor/verbs.h: what can be done with a VM: may it be done now, and doing it, with one VM or
 * with many.
 *
 * The check is a pure function on a plain struct, in the server's order, so that its sentence
 * agrees with the server's. Doing it runs as a task of the pool that is followed to its end. When
 * an answer is lost nothing is repeated: the VM is looked at, and what cannot be seen is reported
 * as unknown. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "hypervisor/xapi.h"

struct vt_driver;
struct vt_object;

enum vt_power {
    VT_POWER_HALTED = 1,
    VT_POWER_PAUSED = 2,
    VT_POWER_RUNNING = 4,
    VT_POWER_SUSPENDED = 8,
    VT_POWER_ANY = 15
};

enum {
    VT_VERB_NAME_MAX = 256,
    VT_VERB_PER_HOST = 4,
    VT_VERB_PER_HOST_MAX = 16,
    VT_VERB_THREADS_MAX = 32,
    VT_VERB_WAIT_S = 3600
};

/* XAPI's old word for a snapshot with the guest's help; today's XAPI has it no more, libvirt has. */
#define VT_VERB_QUIESCED "snapshot_with_quiesce"

/* What the call takes behind the session. */
enum vt_verb_args {
    VT_ARGS_VM,           /* vm */
    VT_ARGS_VM_FLAGS,     /* vm, start_paused, force */
    VT_ARGS_HOST_FLAGS,   /* vm, host, start_paused, force */
    VT_ARGS_HOST_OPTIONS, /* vm, host, { live = true } */
    VT_ARGS_VM_NAME,      /* vm, new name */
    VT_ARGS_DESTROY,      /* no single call: disks, then the VM */
};

struct vt_verb {
    const char *name;      /* "start" */
    const char *operation; /* as allowed_operations and blocked_operations call it */
    const char *call;      /* "VM.start" */
    enum vt_verb_args args;
    unsigned states;     /* power states it begins in */
    enum vt_power after; /* the state it ends in; 0: not seen from the state */
    bool on_template, on_snapshot;
    const char *doing, *done; /* "starting", "started" */
};

/* ---- the check ---- */

struct vt_vm_state {
    const char *name;
    enum vt_power power;
    bool is_template, is_default_template, is_snapshot, is_control_domain;
    const char *blocked;           /* the reason, NULL when the operation is not blocked */
    const char *const *operations; /* task, operation, task, operation ... */
    size_t operation_count;        /* texts: twice the operations */
    const char *const *allowed;    /* the server's own answer */
    size_t allowed_count;
};

enum vt_power vt_power_from(const char *text);  /* 0: not one of XAPI's words */
const char *vt_power_name(enum vt_power power); /* "Halted" */

/* Borrows from the object. */
struct vt_vm_state vt_vm_state_of(const struct vt_object *vm, const struct vt_verb *verb);

/* VT_E_DENIED with one sentence; xapi_code is the one the server would answer with. */
bool vt_verb_check(const struct vt_verb *verb, const struct vt_vm_state *vm, struct vt_err *err);

/* ---- doing it ---- */

enum vt_verb_end {
    VT_VERB_WAITING,
    VT_VERB_RUNNING,
    VT_VERB_DONE,
    VT_VERB_FAILED,
    VT_VERB_UNKNOWN,
    VT_VERB_CANCELLED
};

struct vt_verb_job {
    /* filled by the caller */
    const struct vt_verb *verb;
    char vm[VT_XAPI_REF_MAX];   /* of the VM; of the snapshot for revert and destroy */
    char host[VT_XAPI_REF_MAX]; /* where to, for the verbs with a host */
    char lane[VT_XAPI_REF_MAX]; /* the host that carries the load; "": the pool chooses, no bound */
    char name[VT_VERB_NAME_MAX]; /* of the copy or snapshot */
    const char *description; /* of a snapshot, for drivers that take it with the name; NULL */
    bool keep_disks;
    bool provision; /* behind a clone of a template */
    void *tag;      /* the caller's */
    /* filled by the run */
    enum vt_verb_end end;
    double progress;
    char result[VT_XAPI_REF_MAX]; /* what it made */
    bool looked;                  /* the answer was lost; the VM says that it was done */
    int64_t ns;
    struct vt_err err;
};

/* One job, in this thread. progress may be NULL; it returns false to cancel. */
void vt_verb_do(struct vt_xapi *xapi, struct vt_line *line, struct vt_verb_job *job,
                vt_xapi_progress_fn progress, void *context);

struct vt_verbs_run {
    unsigned per_host; /* 0: VT_VERB_PER_HOST */
    const struct vt_driver *driver; /* NULL: xapi; else its session does the jobs */
    void *session;
    void *context;
    void (*report)(void *context, const struct vt_verb_job *job); /* one job has ended */
    bool (*tick)(void *context, double progress, size_t done,
                 size_t count); /* false: begin no more, cancel the tasks */
};

/* All jobs (xapi is NULL with a session of another driver), at most per_host of a lane at a time; reports come in the order in which they end, in
 * the caller's thread. true when every one is VT_VERB_DONE. err is for what concerns all (memory).
 */
bool vt_verbs_run(struct vt_xapi *xapi, struct vt_verb_job *jobs, size_t count,
                  const struct vt_verbs_run *run, struct vt_err *err);

/* Which job a free worker takes: the first that waits and whose lane is not full; count when there
 * is none. At most VT_VERB_THREADS_MAX run. Pure. */
size_t vt_verbs_next(const struct vt_verb_job *jobs, size_t count, unsigned per_host);
