/* hypervisor/incident.h: what the monitor must not forget: incidents with their evidence, the VMs
 * they took, the snapshots that were meant, taken or refused, the rules of what is watched, storage
 * in quarantine. One SQLite file (monitor.db in pool.state), every commit synced.
 *
 * A snapshot is written down as an intent before it is asked for: whoever starts behind a crash
 * finds the intent and the unique name, looks whether it was taken, and only then goes on.
 *
 * Any thread; one lock inside. Between vt_incidents_begin and vt_incidents_end the calling thread
 * holds it, and all it writes is one transaction. Times are wall clock ns. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "hypervisor/classify.h"
#include "hypervisor/watch.h"

struct json_t;
struct vt_err;
struct vt_incidents;

enum {
    VT_INCIDENT_TEXT_MAX = 256,
    VT_INCIDENT_NAME_MAX = 128,
    VT_INCIDENT_UUID_MAX = 40,
    VT_INCIDENT_LIST_MAX = 100000,
    VT_RULES_MAX = 20000,
};

struct vt_incidents *vt_incidents_open(const char *path, struct vt_err *err);
void vt_incidents_free(struct vt_incidents *incidents);
VT_DEFINE_AUTO(vt_incidents)

/* Made once, random: the owner in the marks of our snapshots. */
const char *vt_incidents_owner(const struct vt_incidents *incidents);

bool vt_incidents_begin(struct vt_incidents *incidents, struct vt_err *err);
/* keep: commit; when that fails all is rolled back. */
bool vt_incidents_end(struct vt_incidents *incidents, bool keep, struct vt_err *err);

/* ---- rules ---- */

/* The caller frees with vt_rules_free. */
bool vt_incidents_rules(struct vt_incidents *incidents, struct vt_rule **out_rules,
                        size_t *out_count, struct vt_err *err);
void vt_rules_free(struct vt_rule *rules, size_t count);
/* A rule of the same kind and subject is replaced. VT_E_LIMIT. */
bool vt_incidents_rule_add(struct vt_incidents *incidents, enum vt_rule_kind kind,
                           const char *subject, const char *settings, struct vt_err *err);
bool vt_incidents_rule_remove(struct vt_incidents *incidents, enum vt_rule_kind kind,
                              const char *subject, bool *out_was_there, struct vt_err *err);

/* ---- which VMs have ever answered ---- */

bool vt_incidents_seen_add(struct vt_incidents *incidents, const char *vm_uuid, struct vt_err *err);
bool vt_incidents_is_seen(struct vt_incidents *incidents, const char *vm_uuid);

/* ---- incidents ---- */

struct vt_incident {
    int64_t id; /* filled by vt_incident_open */
    enum vt_loss loss;
    int64_t opened, closed;            /* closed 0: open */
    char cause[VT_INCIDENT_TEXT_MAX];  /* what they share: a host, a network; of one VM its uuid */
    char reason[VT_INCIDENT_TEXT_MAX]; /* one sentence */
};

bool vt_incident_open(struct vt_incidents *incidents, struct vt_incident *incident,
                      const char *evidence, struct vt_err *err);
bool vt_incident_vm_joins(struct vt_incidents *incidents, int64_t id, const char *vm_uuid,
                          const char *vm_name, int64_t time, const char *reason,
                          struct vt_err *err);
bool vt_incident_vm_leaves(struct vt_incidents *incidents, int64_t id, const char *vm_uuid,
                           int64_t time, const char *reason, struct vt_err *err);
/* A line of its history. */
bool vt_incident_note(struct vt_incidents *incidents, int64_t id, int64_t time, const char *text,
                      struct vt_err *err);
/* evidence: what was gathered until the end, or NULL to leave it as it is. */
bool vt_incident_close(struct vt_incidents *incidents, int64_t id, int64_t time, const char *reason,
                       const char *evidence, struct vt_err *err);
/* What was open when the daemon ended; VMs by name and uuid. */
bool vt_incidents_open_each(struct vt_incidents *incidents,
                            bool (*fn)(void *context, const struct vt_incident *incident,
                                       const char *vm_uuid, const char *vm_name),
                            void *context, struct vt_err *err);

/* ---- snapshots ---- */

/* The numbers are kept in the file: a new one goes to the end. */
enum vt_shot_state {
    VT_SHOT_WAITING, /* others run */
    VT_SHOT_INTENT,  /* decided; perhaps asked for */
    VT_SHOT_DONE,
    VT_SHOT_FAILED,
    VT_SHOT_UNKNOWN, /* the answer was lost: looked for, never repeated */
    VT_SHOT_REFUSED, /* by the guard */
    VT_SHOT_DROPPED, /* no longer needed: it answers, or was shut down */
    VT_SHOT_DRY,     /* dry run: would have been taken */
};
const char *vt_shot_state_name(enum vt_shot_state state);

struct vt_shot {
    int64_t id, incident; /* id: filled by vt_shot_add */
    char vm_uuid[VT_INCIDENT_UUID_MAX];
    char vm_name[VT_INCIDENT_NAME_MAX];
    char name[VT_INCIDENT_NAME_MAX]; /* of the snapshot, unique */
    enum vt_shot_kind kind;
    enum vt_shot_state state;
    char reason[VT_INCIDENT_TEXT_MAX];
    char uuid[VT_INCIDENT_UUID_MAX]; /* of the snapshot, "" */
    int64_t asked, ended, expires;
    uint32_t tries;
};

bool vt_shot_add(struct vt_incidents *incidents, struct vt_shot *shot, struct vt_err *err);
/* State, reason, uuid, ended, tries. */
bool vt_shot_update(struct vt_incidents *incidents, const struct vt_shot *shot, struct vt_err *err);
/* Those that wait, were meant, or are unknown. */
bool vt_shots_each_pending(struct vt_incidents *incidents,
                           bool (*fn)(void *context, const struct vt_shot *shot), void *context,
                           struct vt_err *err);
/* When the VM's last one was asked for; 0: never. */
bool vt_shots_last(struct vt_incidents *incidents, const char *vm_uuid, int64_t *out_asked,
                   struct vt_err *err);

/* ---- quarantine ---- */

bool vt_quarantine_put(struct vt_incidents *incidents, const char *sr_uuid, int64_t until,
                       const char *reason, struct vt_err *err);
/* 0: it is not in quarantine. */
bool vt_quarantine_until(struct vt_incidents *incidents, const char *sr_uuid, int64_t *out_until,
                         struct vt_err *err);

/* ---- to be read by people and scripts (incident_json.c) ---- */

struct vt_incident_filter {
    const char *vm;    /* name or uuid; NULL: all */
    enum vt_loss loss; /* VT_LOSS_NONE: all */
    bool open_only;
    int64_t since; /* wall ns, 0 */
    size_t limit;  /* the newest so many; 0: all, up to VT_INCIDENT_LIST_MAX */
};

/* The contract's rows, the oldest first: vm, vm_uuid, class, opened, closed, snapshot, reason;
 * shared incidents carry `vms` too. The row is the callback's. detailed: with id, snapshot_state,
 * ended. */
bool vt_incidents_rows(struct vt_incidents *incidents, const struct vt_incident_filter *filter,
                       bool detailed, bool (*fn)(void *context, struct json_t *row), void *context,
                       struct vt_err *err);
/* All of one incident; the caller's. VT_E_NOTFOUND. */
struct json_t *vt_incident_json(struct vt_incidents *incidents, int64_t id, struct vt_err *err);
/* Incidents open now, by class: VT_LOSSES numbers. */
bool vt_incidents_count(struct vt_incidents *incidents, uint64_t out_open[static VT_LOSSES],
                        uint64_t out_all[static VT_LOSSES], struct vt_err *err);
