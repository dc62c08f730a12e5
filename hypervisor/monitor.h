/* hypervisor/monitor.h: watches the network of a pool's VMs, opens incidents, has snapshots taken.
 *
 *   picture ──┐
 *   probes ───┴> classify (pure) ─> incident ─> guard (pure) ─> snapshot ─> event, hook
 *
 * One monitor a pool. It knows no hypervisor: the pool is a table of functions (struct
 * vt_monitor_pool), the picture is what hypervisor/picture.h says. Threads: one for the probes, one
 * that judges, VT_MONITOR_WORKERS that take snapshots and delete expired ones, one for the hook.
 * Everything that must survive is written to monitor.db first (hypervisor/incident.h).
 *
 * What costs grows with what changes: a VM that answers costs its probe and nothing else. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "hypervisor/classify.h"
#include "hypervisor/guard.h"
#include "hypervisor/incident.h"
#include "hypervisor/picture.h"
#include "hypervisor/watch.h"

struct json_t;
struct vt_buf;
struct vt_conf;
struct vt_err;
struct vt_monitor;

enum {
    VT_MONITOR_WORKERS = 2,
    VT_MONITOR_VMS_MAX = 100000,
    VT_MONITOR_ANCHORS_MAX = 16,
    VT_MONITOR_HOSTS_MAX = 128,
    VT_MONITOR_HOOKS_WAITING = 1024, /* beyond that the oldest is dropped, and counted */
    VT_MONITOR_HOOK_S = 30,          /* then the command is killed */
    VT_MONITOR_PATH_MAX = 4096,
};
#define VT_MONITOR_EXPIRE_NS (INT64_C(14) * 86400 * VT_NS_PER_S)
#define VT_MONITOR_SNAPSHOT_NS (15 * 60 * VT_NS_PER_S)

/* ---- what a pool can do: a driver's part ---- */

enum vt_snapshot_end {
    VT_SNAPSHOT_DONE,
    VT_SNAPSHOT_FAILED,
    VT_SNAPSHOT_BUSY,    /* another operation is in progress: try again later */
    VT_SNAPSHOT_EXCUSED, /* the VM no longer runs, or something is done with it: not asked for */
    VT_SNAPSHOT_UNKNOWN, /* the answer was lost */
};

struct vt_snapshot_job {
    /* filled by the monitor */
    char vm[VT_XAPI_REF_MAX];
    char name[VT_INCIDENT_NAME_MAX]; /* unique: one of that name is the one that is meant */
    char description[VT_INCIDENT_TEXT_MAX];
    bool checkpoint;
    bool quiesced;            /* when it can be had; else a plain one, and why says so */
    int64_t deadline;         /* monotonic ns: then it is cancelled */
    const char *const *marks; /* keys and values in turn, for other_config */
    size_t mark_count;        /* texts */
    /* filled by the pool */
    enum vt_snapshot_end end;
    char uuid[VT_XAPI_UUID_MAX];
    bool ill; /* the storage is the cause, or hung: keep away from it for a while */
    char why[VT_INCIDENT_TEXT_MAX]; /* of one that was taken too: what it is not */
};

struct vt_monitor_pool {
    void *context;
    const char *name;
    /* The picture until done, always in pairs, in one thread. */
    const struct vt_picture *(*read)(void *context);
    void (*done)(void *context);
    /* Is the picture current? */
    bool (*answers)(void *context);
    /* Each may block; called by the workers, up to VT_MONITOR_WORKERS at once. Looks for one of that
     * name first; asks once. */
    void (*snapshot)(void *context, struct vt_snapshot_job *job);
    /* Deletes it and its disks, when it still carries these marks (keys and values in turn). */
    bool (*remove)(void *context, const char *ref, const char *const *marks, size_t count,
                   struct vt_err *err);
    /* The monitor ends: what blocks gives up soon. */
    void (*stop)(void *context);
};

/* The marks of our snapshots in other_config. */
#define VT_MARK_OWNER "vitrine:owner"
#define VT_MARK_INCIDENT "vitrine:incident"
#define VT_MARK_EXPIRES "vitrine:expires"
#define VT_MARK_NAME "vitrine:name"

/* ---- options ---- */

struct vt_monitor_anchor {
    struct vt_probe_address address;
    uint16_t port; /* 0: ICMP */
};

struct vt_monitor_options {
    struct vt_watch_settings settings;
    struct vt_guard_limits guard;
    struct vt_classify_limits classify;
    struct vt_monitor_anchor anchors[VT_MONITOR_ANCHORS_MAX];
    unsigned anchor_count;
    int kept;                    /* snapshots of ours that a VM keeps */
    int64_t expire;              /* ns; 0: never */
    int64_t snapshot_deadline;   /* ns */
    uint16_t host_port;          /* of the hosts' own service, to see whether they live */
    unsigned in_flight;          /* of probes */
    char hook[VT_MONITOR_PATH_MAX]; /* program; "" for none */
};

void vt_monitor_defaults(struct vt_monitor_options *out);
/* [watch]. */
bool vt_monitor_configure(struct vt_monitor_options *options, const struct vt_conf *conf,
                          struct vt_err *err);

struct vt_monitor_events {
    void *context;
    /* "incident.opened", "incident.closed", "snapshot.taken" ...: subject is the VM's uuid or "";
     * detail is the callback's. Any thread. May be NULL. */
    void (*publish)(void *context, const char *kind, const char *subject, struct json_t *detail);
};

/* path: of monitor.db. Copies options; the pool's and the exchange's tables are borrowed. */
struct vt_monitor *vt_monitor_new(const struct vt_monitor_options *options,
                                  const struct vt_monitor_pool *pool,
                                  const struct vt_probe_exchange *exchange,
                                  const struct vt_monitor_events *events, const char *path,
                                  struct vt_err *err);
/* Stops all threads. What was meant and not done is found by the next one. NULL is fine. */
void vt_monitor_free(struct vt_monitor *monitor);
VT_DEFINE_AUTO(vt_monitor)

/* The configuration was read anew. */
void vt_monitor_reconfigure(struct vt_monitor *monitor, const struct vt_monitor_options *options);

/* ---- from the keeper of the picture, any thread ---- */

/* Something changed; ref NULL: everything. Cheap. */
void vt_monitor_changed(struct vt_monitor *monitor, enum vt_class class, const char *ref);
/* The pool went away or came back. */
void vt_monitor_answers(struct vt_monitor *monitor, bool answers);

/* ---- for the verbs, any thread ---- */

struct vt_incidents *vt_monitor_incidents(struct vt_monitor *monitor);
/* Rules were changed: returns when they are in force, and those VMs were asked once, or at the
 * deadline (monotonic ns). */
void vt_monitor_rules_changed(struct vt_monitor *monitor, int64_t deadline);

/* A row for each watched VM: vm, vm_uuid, state, class, since, reason, address, probe, rule ...;
 * those first that somebody has to look at (incidents, unmonitorable). The row is the callback's. */
bool vt_monitor_list(struct vt_monitor *monitor, bool (*fn)(void *context, struct json_t *row),
                     void *context, struct vt_err *err);
/* An incident judged again with other numbers: names and values as text, of vt_watch_names and
 * "share-min", "share-percent", "chain-max", "free-percent", "free-bytes", "storm-host",
 * "storm-storage", "storm-minute", "storm-hour". The caller's. */
struct json_t *vt_monitor_replay(struct vt_monitor *monitor, int64_t incident,
                                 const struct json_t *changes, struct vt_err *err);
/* Prometheus' text format. */
bool vt_monitor_metrics(struct vt_monitor *monitor, struct vt_buf *out, struct vt_err *err);
/* "watched", "reachable", "unmonitorable", "open_incidents", "probes" ... for a status row. */
void vt_monitor_status(struct vt_monitor *monitor, struct json_t *row);

/* ---- XAPI (monitor_xapi.c) ---- */

struct vt_keeper;
/* A pool table over a keeper of a XAPI pool; borrows the keeper. NULL: err. */
struct vt_monitor_pool *vt_monitor_xapi_new(struct vt_keeper *keeper, struct vt_err *err);
/* The same two jobs for a keeper whose driver is not xapi (monitor_driver.c). */
void vt_monitor_driver_snapshot(struct vt_keeper *keeper, struct vt_snapshot_job *job);
bool vt_monitor_driver_remove(struct vt_keeper *keeper, const char *ref, const char *const *marks,
                              size_t count, struct vt_err *err);
/* Can the keeper's driver do what a watch wants? VT_E_INVALID. */
bool vt_monitor_driver_can(struct vt_keeper *keeper, const struct vt_watch_settings *settings,
                           struct vt_err *err);
void vt_monitor_xapi_free(struct vt_monitor_pool *pool);
