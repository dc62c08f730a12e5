/* hypervisor/monitor_state.h: what the files of the monitor share; nobody else includes it.
 *
 * The judge's thread alone adds, removes and judges VMs; others read them, and the probe thread
 * writes what it heard, under the lock. Order of locks: the pool's picture first, then `lock`; the
 * database's own lock and the inbox are taken without either. */
#pragma once

#include <jansson.h>
#include <pthread.h>

#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/monitor.h"
#include "hypervisor/verbs.h"

enum {
    VT_HEARD_KEPT = 16,
    VT_REMARKS_KEPT = 8,
    VT_REMARK_MAX = 64,
    VT_BEACONS_MAX = VT_MONITOR_HOSTS_MAX + VT_MONITOR_ANCHORS_MAX,
    VT_NETWORKS_MAX = 512,
    VT_NO_INDEX = UINT16_MAX,
    VT_DIRTY_MAX = 4096,
    VT_SHOTS_MAX = 8192, /* in memory: waiting, meant, unknown */
    VT_JOBS_MAX = 16,    /* for the workers */
    VT_JUDGE_TICK_MS = 1000,
    VT_SWEEP_MS = 2000,          /* the shortest time between two looks at the whole picture */
    VT_CHORES_S = 5,             /* looks for expired snapshots */
    VT_SETTLE_AFTER_START_S = 3, /* before an intent of an earlier run is taken up */
    VT_CLOCK_JUMP_S = 30,
    VT_CLOCK_DISTRUST_S = 3600, /* nothing expires that long behind a jump */
};

struct vt_remark {
    int64_t at; /* wall ns */
    char text[VT_REMARK_MAX];
};

struct vt_remarks {
    struct vt_remark items[VT_REMARKS_KEPT];
    unsigned next;
};

struct vt_heard {
    int64_t at; /* wall ns of the start */
    uint32_t took_us;
    uint8_t end;
    int code;
    struct vt_probe_address address;
};

/* A VM that is watched. */
struct vt_watched {
    bool used, dirty, swept;
    uint64_t tag;
    char uuid[VT_XAPI_UUID_MAX], ref[VT_XAPI_REF_MAX], guest_ref[VT_XAPI_REF_MAX];
    char name[VT_INCIDENT_NAME_MAX];
    uint32_t next_by_ref, next_by_guest; /* in the tables of references */
    struct vt_watch_settings *settings;  /* of its rule, shared */
    enum vt_rule_kind rule;

    /* as the picture says */
    bool known, working, moving, keeping, unplugged, blocked, withdrawn;
    int power;
    int64_t domid;
    uint16_t host, network; /* indexes, VT_NO_INDEX */
    enum vt_settling settling;
    int64_t settles; /* monotonic ns */
    struct vt_probe_address addresses[VT_PROBE_ADDRESSES_MAX];
    uint8_t address_count;
    struct vt_remarks remarks;

    /* as the probes say */
    struct vt_detector detector;
    struct vt_heard heard[VT_HEARD_KEPT];
    unsigned heard_next;
    uint64_t probes, bad_probes;
    bool seen, seen_kept, seen_fresh; /* has answered once; that is, or is being, written down */

    /* judged */
    enum vt_loss loss;
    const char *reason;
    int64_t since;         /* wall ns */
    int64_t incident;      /* 0: none */
    int64_t differs_since; /* monotonic ns: another class than the incident's, 0 */
    int64_t last_shot;     /* monotonic ns, 0: none lately */
    bool looked_up;        /* what the database knows of it was read */
};

/* A host or an anchor: asked like a VM, in slots of their own. */
struct vt_beacon {
    bool used, anchor;
    char ref[VT_XAPI_REF_MAX]; /* of the host */
    struct vt_probe_address address;
    uint64_t tag;
    struct vt_detector detector;
    bool ever; /* has answered */
    int64_t hurried;
};

struct vt_network {
    char ref[VT_XAPI_REF_MAX];
};

/* An incident that is open. Belongs to the judge. */
struct vt_open_incident {
    struct vt_incident incident;
    uint32_t vms;
    bool pool_wide; /* stays while the pool is away, with or without VMs */
};

/* A VM of an incident that was open when the daemon ended. Belongs to the judge. */
struct vt_restored {
    char uuid[VT_INCIDENT_UUID_MAX];
    int64_t incident;
    enum vt_loss loss;
    bool claimed;
};

/* A snapshot on its way. */
struct vt_pending_shot {
    struct vt_shot shot;
    bool handed;                    /* to a worker */
    bool inherited;                 /* of an earlier run */
    int64_t not_before, classified; /* monotonic ns */
    char sr_uuids[8][VT_XAPI_UUID_MAX];
    unsigned sr_count;
};

/* What the judge decided about one VM in a pass, before it is written. */
struct vt_step {
    uint32_t vm;
    struct vt_verdict verdict;
    bool leave, join, shoot;
    char cause[VT_INCIDENT_TEXT_MAX];
    char *evidence;      /* owned */
    char *heard;         /* owned; what the probes said when it leaves */
    int64_t incident;    /* that it joined */
    bool opened, closed; /* filled by the writing */
    int64_t left;
    enum vt_guard guard;
    json_t *guard_facts; /* owned */
    struct vt_pending_shot pending;
};

struct vt_monitor_job {
    bool is_removal;
    int64_t shot; /* id */
    struct vt_snapshot_job snapshot;
    char incident[24], expires[VT_CLOCK_TEXT_MAX];
    char ref[VT_XAPI_REF_MAX]; /* to be removed */
    char sr_uuids[8][VT_XAPI_UUID_MAX];
    unsigned sr_count;
    bool ok;
    struct vt_err err;
};

struct vt_hook {
    char *json;
    struct vt_hook *next;
};

struct vt_monitor_counts {
    uint64_t opened[VT_LOSSES], shots[VT_SHOT_DRY + 1], guards[VT_GUARDS];
    uint64_t hooks, hooks_failed, hooks_dropped, removed, passes, sweeps;
    int64_t slowest_request; /* ns from classification to the request */
    int64_t slowest_loss;    /* ns from the first miss to classification */
};

struct vt_monitor {
    const struct vt_monitor_pool *pool; /* fixed, as are events, incidents, probes */
    struct vt_monitor_events events;
    struct vt_incidents *incidents;
    struct vt_probes *probes;
    pthread_t judge, workers[VT_MONITOR_WORKERS], hooker;
    bool judging, hooking;
    unsigned worker_count;
    int64_t begun; /* monotonic ns */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake, swept;
    bool stop, woken, rules_dirty, options_dirty;
    uint64_t sweep_number; /* of sweeps with new rules that are over */
    uint64_t rules_asked;
    struct vt_monitor_options options;
    struct vt_watched *vms;
    uint32_t vm_count, vm_room, free_places;
    uint32_t *by_ref, *by_guest, table_size; /* chains, by hash */
    struct vt_beacon beacons[VT_BEACONS_MAX];
    struct vt_network networks[VT_NETWORKS_MAX];
    unsigned network_count;
    struct vt_share host_shares[VT_MONITOR_HOSTS_MAX + 1];
    struct vt_share network_shares[VT_NETWORKS_MAX + 1];
    struct vt_share *link_shares; /* hosts x networks */
    bool isolated, control;
    int64_t control_lost_at; /* monotonic ns, 0: it answers */
    uint64_t next_tag;
    struct vt_remarks remarks; /* of the pool */
    struct vt_monitor_counts counts;
    uint32_t local_failures; /* probes in a row that could not be sent */

    pthread_mutex_t inbox; /* guards what follows; taken alone */
    char (*dirty)[VT_XAPI_REF_MAX];
    size_t dirty_count;
    bool dirty_all;

    pthread_mutex_t job_lock; /* guards what follows; taken alone */
    pthread_cond_t job_wake;
    struct vt_monitor_job *jobs[VT_JOBS_MAX];
    size_t job_count;
    struct vt_monitor_job *finished[VT_JOBS_MAX + VT_MONITOR_WORKERS];
    size_t finished_count;
    bool job_stop;

    pthread_mutex_t hook_lock; /* guards what follows; taken alone */
    pthread_cond_t hook_wake;
    struct vt_hook *hooks, *last_hook;
    size_t hook_count;
    char hook[VT_MONITOR_PATH_MAX];
    bool hook_stop;
    uint64_t hooks_run, hooks_failed, hooks_dropped;

    /* the judge's own */
    struct vt_rule *rules;
    size_t rule_count, shared_rules;    /* behind those that are shared: of one VM each, by uuid */
    struct vt_watch_settings **applied; /* for each rule */
    struct vt_watch_settings **retired; /* of earlier rules, until the next sweep is over */
    size_t retired_count;
    struct vt_open_incident *open;
    size_t open_count, open_room;
    struct vt_restored *restored;
    size_t restored_count;
    struct vt_pending_shot *shots;
    size_t shot_count, shot_room;
    struct vt_budget *budget;
    int64_t last_sweep, last_chores, clock_offset, clock_jumped;
    int pass_waiting; /* snapshots that this pass has put into the line */
    bool removing, sweep_wanted, never_swept;
};

/* ---- monitor_sweep.c: from the picture to the VMs; the judge, both locks held ---- */

void vt_sweep_all(struct vt_monitor *monitor, const struct vt_picture *picture);
void vt_sweep_some(struct vt_monitor *monitor, const struct vt_picture *picture,
                   char (*refs)[VT_XAPI_REF_MAX], size_t count);
/* Takes VMs out; behind the last one the tables are made anew. lock held. */
void vt_sweep_forget(struct vt_monitor *monitor, uint32_t index);
void vt_sweep_forgotten(struct vt_monitor *monitor);
/* VT_NO_VM when it is not watched. */
enum { VT_NO_VM = UINT32_MAX };
uint32_t vt_vm_by_ref(const struct vt_monitor *monitor, const char *ref);
uint32_t vt_vm_by_uuid(const struct vt_monitor *monitor, const char *uuid);
void vt_remark(struct vt_remarks *remarks, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- monitor_rules.c ---- */

/* Reads the rules and what they mean; without the picture, no lock held. */
bool vt_sweep_rules(struct vt_monitor *monitor, struct vt_err *err);

/* ---- monitor_heard.c: results; the probe thread ---- */

void vt_monitor_result(void *context, const struct vt_probe_result *result);
/* Are all anchors, or what stands for them, silent? lock held. */
bool vt_monitor_is_isolated(const struct vt_monitor *monitor);
enum vt_truth vt_host_answers(const struct vt_monitor *monitor, uint16_t host, int64_t now);

/* ---- monitor_judge.c ---- */

void *vt_judge_run(void *context);
struct vt_facts vt_judge_facts(const struct vt_monitor *monitor, const struct vt_picture *picture,
                               const struct vt_watched *vm, int64_t now);

/* ---- monitor_steps.c: the judge, no lock held ---- */

/* Writes what was decided, then tells of it. false: nothing was written; err. */
bool vt_steps_write(struct vt_monitor *monitor, struct vt_step *steps, size_t count,
                    struct vt_err *err);
void vt_steps_free(struct vt_step *steps, size_t count);
struct vt_open_incident *vt_open_find(struct vt_monitor *monitor, enum vt_loss loss,
                                      const char *cause);
struct vt_open_incident *vt_open_by_id(struct vt_monitor *monitor, int64_t id);
/* An incident of the pool itself, without a VM: the pool is away, we are isolated. */
bool vt_pool_incident(struct vt_monitor *monitor, enum vt_loss loss, bool on, const char *reason,
                      struct vt_err *err);
/* VMs and incidents of an earlier run: read at the start, given back as the VMs appear, closed when
 * they do not. */
bool vt_steps_restore(struct vt_monitor *monitor, struct vt_err *err);
void vt_steps_claim(struct vt_monitor *monitor, struct vt_watched *vm); /* lock held */
void vt_steps_abandon(struct vt_monitor *monitor);
void vt_monitor_publish(struct vt_monitor *monitor, const char *kind, const char *subject,
                        json_t *detail);

/* ---- monitor_shots.c ---- */

/* Guard and pending snapshot of a step: both locks held. */
void vt_shot_decide(struct vt_monitor *monitor, const struct vt_picture *picture,
                    const struct vt_watched *vm, struct vt_step *step, int64_t now);
/* Behind the writing: memory and workers. */
void vt_shot_accept(struct vt_monitor *monitor, const struct vt_pending_shot *pending);
/* Those that wait, and those of an earlier run; takes the picture itself. */
void vt_shots_review(struct vt_monitor *monitor);
void vt_shots_finished(struct vt_monitor *monitor);
bool vt_shots_restore(struct vt_monitor *monitor, struct vt_err *err);
/* A job for the workers; false: they have enough. Taken over when true. */
bool vt_monitor_push(struct vt_monitor *monitor, struct vt_monitor_job *job);

/* ---- monitor_chores.c ---- */

/* One expired snapshot a time. */
void vt_shots_chores(struct vt_monitor *monitor);
void *vt_worker_run(void *context);

/* ---- monitor_evidence.c ---- */

json_t *vt_evidence_of(const struct vt_monitor *monitor, const struct vt_picture *picture,
                       const struct vt_watched *vm, const struct vt_facts *facts);
json_t *vt_evidence_guard(const struct vt_guard_facts *facts);
json_t *vt_heard_json(const struct vt_watched *vm);

/* ---- monitor_hook.c ---- */

void vt_hook_send(struct vt_monitor *monitor, const json_t *detail);
void *vt_hook_run(void *context);
