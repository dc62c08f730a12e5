/* hypervisor/watch.h: what is watched and how: rules, the settings they give a VM, windows of
 * maintenance, and the detector that turns probe results into "lost" and "back".
 *
 * Plain records and pure functions; the monitor (hypervisor/monitor.h) keeps them and does things.
 * A rule names a VM, a tag, a host or all, with settings of its own; of several rules that fit a VM
 * the most exact one counts (VM, tag, host, all), within a kind the newest. What a rule does not
 * say comes from the configuration ([watch]). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypervisor/probe.h"

struct json_t;
struct vt_conf;
struct vt_err;

/* ---- windows of maintenance ---- */

enum { VT_WINDOWS_MAX = 8, VT_WINDOW_MINUTES = 24 * 60 };

struct vt_windows {
    struct {
        uint8_t days;      /* bit 0: Sunday */
        uint16_t from, to; /* minutes of the day; to below from: over midnight */
    } items[VT_WINDOWS_MAX];
    unsigned count;
};

/* "Sat 02:00-04:30, daily 12:00-12:15, Mon-Fri 23:30-00:30"; "" for none. VT_E_INVALID. */
bool vt_windows_parse(const char *text, struct vt_windows *out, struct vt_err *err);
/* day 0: Sunday. */
bool vt_windows_open(const struct vt_windows *windows, int day, int minute);
bool vt_windows_open_at(const struct vt_windows *windows, int64_t wall_ns); /* local time */

/* ---- settings ---- */

/* The numbers are kept in databases: a new one goes to the end. Quiesced: the guest's agent stops what
 * writes meanwhile; where the pool or the guest cannot, it is taken as disk, and the record says so. */
enum vt_shot_kind { VT_SHOT_DISK, VT_SHOT_CHECKPOINT, VT_SHOT_NONE, VT_SHOT_QUIESCED };
const char *vt_shot_kind_name(enum vt_shot_kind kind); /* "disk", "checkpoint", "none", "quiesced" */

enum {
    VT_WATCH_TEXT_MAX = 256,
    VT_WATCH_PORT = 11104, /* registered for DICOM, as 104 and 11112 are */
    VT_WATCH_THRESHOLD = 3,
    VT_WATCH_THRESHOLD_MAX = 100,
    VT_WATCH_RECOVER = 2, /* answers that end a loss */
};
#define VT_WATCH_INTERVAL (10 * VT_NS_PER_S)
#define VT_WATCH_TIMEOUT (2 * VT_NS_PER_S)
#define VT_WATCH_GRACE (180 * VT_NS_PER_S)

/* How a VM is watched. */
struct vt_watch_settings {
    enum vt_probe_kind kind;
    uint16_t port;
    int64_t interval, timeout; /* ns */
    uint32_t threshold;        /* misses in all */
    uint32_t recover;
    int64_t grace; /* ns behind a start; a third behind a resume, a sixth behind a move,
                      an eighteenth behind other operations */
    enum vt_shot_kind shot;
    bool always; /* also when the link or network is lost for many */
    bool dry_run;
    char ae_title[VT_PROBE_PEER_MAX];                          /* of the guest, for the exchange */
    struct vt_probe_address addresses[VT_PROBE_ADDRESSES_MAX]; /* instead of what the guest says */
    uint8_t address_count;
    char maintenance[VT_WATCH_TEXT_MAX];
    struct vt_windows windows; /* of maintenance, parsed */
};

void vt_watch_defaults(struct vt_watch_settings *out);
/* By the names of [watch] and of the command's options: "probe", "port", "interval", "timeout",
 * "threshold", "recover", "grace", "snapshot", "always", "dry-run", "ae-title", "address",
 * "maintenance". VT_E_INVALID: the value; VT_E_NOTFOUND: no such setting. */
bool vt_watch_set(struct vt_watch_settings *settings, const char *name, const char *value,
                  struct vt_err *err);
extern const char *const vt_watch_names[]; /* NULL behind the last */
/* [watch]: every setting, checked; bounds: interval 50 ms to 1 day, timeout 10 ms to 5 min. */
bool vt_watch_configure(struct vt_watch_settings *settings, const struct vt_conf *conf,
                        struct vt_err *err);
/* How long after the first silent probe a loss is classified at the latest. */
int64_t vt_watch_bound(const struct vt_watch_settings *settings);

/* ---- rules ---- */

enum vt_rule_kind { VT_RULE_VM, VT_RULE_TAG, VT_RULE_HOST, VT_RULE_ALL };
const char *vt_rule_kind_name(enum vt_rule_kind kind); /* "vm", "tag", "host", "all" */
bool vt_rule_kind_find(const char *name, enum vt_rule_kind *out_kind);

struct vt_rule {
    int64_t id;
    enum vt_rule_kind kind;
    char subject[VT_WATCH_TEXT_MAX]; /* uuid of the VM or host, the tag, "" */
    char *settings;                  /* JSON object: names to values as text; owned */
};

struct vt_rule_vm {
    const char *uuid, *host_uuid;
    const char *const *tags;
    size_t tag_count;
};

/* Does the rule fit that VM? */
bool vt_rule_fits(const struct vt_rule *rule, const struct vt_rule_vm *vm);
/* The rule that counts for it; NULL: it is not watched. */
const struct vt_rule *vt_rules_choose(const struct vt_rule *rules, size_t count,
                                      const struct vt_rule_vm *vm);
/* The configuration's settings with the rule's over them. */
bool vt_rule_apply(const struct vt_rule *rule, const struct vt_watch_settings *configured,
                   struct vt_watch_settings *out, struct vt_err *err);

/* ---- the detector ---- */

enum vt_detected {
    VT_DETECTED_NOTHING,
    VT_DETECTED_SUSPECT, /* the first miss: look at the neighbours */
    VT_DETECTED_LOST,    /* silent for the threshold, or refused for it */
    VT_DETECTED_BACK,    /* answers again, often enough */
};

struct vt_detector {
    uint32_t misses, refusals, hits; /* in a row */
    bool lost;
    int64_t first_miss, last_result; /* monotonic ns, of the start of the probe; 0: none */
    enum vt_probe_end last;
};

/* One result more. Local ends say nothing and change nothing but `last`. */
enum vt_detected vt_detector_feed(struct vt_detector *detector, enum vt_probe_end end,
                                  int64_t started, uint32_t threshold, uint32_t recover);
/* Forgets what it heard: the address changed, or nothing that was heard can be believed. */
void vt_detector_reset(struct vt_detector *detector);
