/* hypervisor/guard.h: may this snapshot be taken? Bounds for what an automatic snapshot may cost:
 * pure decisions on plain facts, a refusal is a word and a sentence that is recorded.
 *
 * The order is fixed: what concerns the VM, then its storage, then the storm budget, the cheap
 * questions first. VT_GUARD_LATER is no refusal: other snapshots run, the request waits in the
 * queue until its age limit. docs/monitoring.md explains every guard. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/clock.h"

struct vt_object;
struct vt_picture;

enum vt_guard {
    VT_GUARD_OK,
    VT_GUARD_LATER,
    VT_GUARD_NOT_WANTED,  /* the VM's setting is none */
    VT_GUARD_NOT_ALLOWED, /* the pool does not allow it now */
    VT_GUARD_NO_DISK,
    VT_GUARD_REPEATED,    /* this incident has one already */
    VT_GUARD_TOO_SOON,    /* another incident of the VM had one a moment ago */
    VT_GUARD_TOO_OLD,     /* it waited too long */
    VT_GUARD_QUARANTINED, /* a snapshot on that storage failed a moment ago */
    VT_GUARD_CHAIN,       /* too many links already */
    VT_GUARD_COALESCE,    /* the storage has not merged the last deletions */
    VT_GUARD_SPACE,
    VT_GUARD_STORM_HOST,
    VT_GUARD_STORM_SR,
    VT_GUARD_STORM_MINUTE,
    VT_GUARD_STORM_HOUR,
    VT_GUARDS,
};

const char *vt_guard_name(enum vt_guard guard); /* "chain-depth" */

enum {
    VT_CHAIN_LIMIT = 30, /* the storage drivers' own */
    VT_CHAIN_MAX = 20,
    VT_CHAIN_WARN = 10,
    VT_FREE_PERCENT = 10,
    VT_STORM_HOST = 2, /* snapshots begun in a minute */
    VT_STORM_SR = 2,
    VT_STORM_MINUTE = 4,
    VT_STORM_HOUR = 10,
    VT_RUNNING_MAX = 2,
    VT_RUNNING_SR = 1,
    VT_KEPT_MAX = 3,         /* of a VM; the oldest goes behind a success */
    VT_SHOTS_HISTORY = 1024, /* remembered for the budget; more are refused */
};
#define VT_FREE_BYTES (INT64_C(20) << 30)
#define VT_REPEAT_NS (30 * 60 * VT_NS_PER_S)
#define VT_QUEUE_NS (10 * 60 * VT_NS_PER_S)
#define VT_QUARANTINE_NS (3600 * VT_NS_PER_S)

struct vt_guard_limits {
    int chain_max;
    int free_percent;
    int64_t free_bytes;
    int storm_host, storm_sr, storm_minute, storm_hour;
    int running, running_sr;
    int64_t repeat, queue, quarantine; /* ns */
};
extern const struct vt_guard_limits vt_guard_defaults;

/* ---- facts ---- */

/* Of the VM's disks, from the picture. */
struct vt_guard_storage {
    unsigned disks;
    int chain_depth;       /* the longest */
    bool coalesce_pending; /* on any of its disks */
    int64_t free_bytes;    /* of the SR that is shortest of it */
    int64_t size_bytes;    /* of that SR */
    int64_t need_bytes;    /* there: full size on storage that gives no thin disks */
    char sr[64]; /* reference of that SR; the first disk's when there is room everywhere */
    char sr_name[128];
    char srs[8][64]; /* all that hold a disk */
    unsigned sr_count;
};

struct vt_guard_facts {
    bool wanted, allowed;
    bool has_one;       /* of this incident */
    int64_t age;        /* since the classification, ns */
    int64_t since_last; /* since the VM's last one, ns; negative: never */
    bool quarantined;
    struct vt_guard_storage storage;
    int minute_host, minute_sr, minute, hour; /* begun lately */
    int running, running_sr;
};

/* In a disk's sm_config: files behind it, of drivers that show none of these as disks of their own. */
#define VT_GUARD_BEHIND "vitrine-behind"

/* out gets one sentence (empty for VT_GUARD_OK). */
enum vt_guard vt_guard_check(const struct vt_guard_facts *facts,
                             const struct vt_guard_limits *limits, char *out, size_t room);

/* The disks of a VM. checkpoint: memory is written as well, and needs as much room. */
void vt_guard_storage_of(const struct vt_picture *picture, const struct vt_object *vm,
                         bool checkpoint, struct vt_guard_storage *out);

/* ---- the storm budget ---- */

/* What was begun in the last hour, the oldest first. */
struct vt_budget {
    struct {
        int64_t at; /* monotonic ns */
        char host[64], sr[64];
        bool running;
        uint64_t id;
    } shots[VT_SHOTS_HISTORY];
    unsigned count;
};

/* false: too many to remember. */
bool vt_budget_begin(struct vt_budget *budget, uint64_t id, int64_t now, const char *host,
                     const char *sr);
void vt_budget_end(struct vt_budget *budget, uint64_t id);
/* Fills minute_host ... running_sr. Forgets what is older than an hour. */
void vt_budget_count(struct vt_budget *budget, int64_t now, const char *host, const char *sr,
                     struct vt_guard_facts *facts);
