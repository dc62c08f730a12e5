/* hypervisor/probe.h: do these addresses answer? One epoll thread asks thousands of targets, each
 * in its own rhythm: a TCP connection, an exchange of bytes over one, or an ICMP echo.
 *
 * A target is asked once an interval; the first time somewhere within the first one, so that many
 * targets spread, and a little earlier each time. An answer or a refusal ends the attempt at once,
 * silence ends it after the timeout. As long as a target answers, only the address that answered
 * last is asked; from the first silence on all of them are, at once. What an exchange says is
 * brought by whoever knows the protocol: this room knows bytes only.
 *
 * At most `in_flight` sockets are open; what is due beyond waits its turn, and how late it was is
 * counted. The limit of open files is raised as far as the system allows. Targets are named by
 * slots (small numbers, the caller's), and changed from any thread; results come in the probe
 * thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_buf;
struct vt_err;
struct vt_probes;

enum {
    VT_PROBE_SLOTS_MAX = 200000,
    VT_PROBE_ADDRESSES_MAX = 8,
    VT_PROBE_PEER_MAX = 32,
    VT_PROBE_IN_FLIGHT = 2048,
    VT_PROBE_IN_FLIGHT_MAX = 32768,
    VT_PROBE_ANSWER_MAX = 16 * 1024, /* bytes of one exchange's answers that are looked at */
    VT_PROBE_STEPS_MAX = 8,
    VT_PROBE_INTERVAL_MS_MIN = 50,
    VT_PROBE_TICK_MS = 10, /* what is due within one tick begins together */
};

enum vt_probe_kind { VT_PROBE_TCP, VT_PROBE_EXCHANGE, VT_PROBE_ICMP };

enum vt_probe_end {
    VT_PROBE_LOCAL,    /* could not be sent: our own network or descriptors; says nothing of it */
    VT_PROBE_SILENT,   /* nothing came in time, or a router said that it cannot be reached */
    VT_PROBE_WRONG,    /* something answers, but not the service */
    VT_PROBE_REFUSED,  /* the network is up, nobody listens */
    VT_PROBE_ANSWERED, /* the best end of several addresses counts: the order is that of worth */
};

const char *vt_probe_end_name(enum vt_probe_end end);    /* "answered" */
const char *vt_probe_kind_name(enum vt_probe_kind kind); /* "tcp", "echo", "icmp" */
bool vt_probe_kind_find(const char *name, enum vt_probe_kind *out_kind);

struct vt_probe_address {
    uint8_t family; /* AF_INET, AF_INET6; 0: none */
    uint8_t bytes[16];
};

/* Numbers only, no names: a resolver that is away must not look like a VM that is away. */
bool vt_probe_address_parse(const char *text, struct vt_probe_address *out);
enum { VT_PROBE_ADDRESS_TEXT_MAX = 48 };
const char *vt_probe_address_text(const struct vt_probe_address *address,
                                  char out[static VT_PROBE_ADDRESS_TEXT_MAX]);

struct vt_probe_target {
    enum vt_probe_kind kind;
    uint16_t port; /* of TCP and exchanges */
    uint8_t address_count;
    struct vt_probe_address addresses[VT_PROBE_ADDRESSES_MAX];
    int64_t interval, timeout; /* ns */
    uint64_t tag;              /* comes back with results: tells old targets of a slot from new */
    char peer[VT_PROBE_PEER_MAX]; /* handed to the exchange */
};

struct vt_probe_result {
    uint32_t slot;
    uint64_t tag;
    enum vt_probe_end end;
    int code;                        /* errno of the end, 0 */
    int64_t started, took;           /* monotonic ns; ns */
    struct vt_probe_address address; /* that gave the end */
};

/* What the bytes that came so far amount to. */
enum vt_probe_step {
    VT_PROBE_STEP_MORE,
    VT_PROBE_STEP_NEXT,
    VT_PROBE_STEP_DONE,
    VT_PROBE_STEP_WRONG
};

/* A conversation in steps: send what `say` writes, look at what comes, until DONE or WRONG. Both
 * are called in the probe thread and must be quick. */
struct vt_probe_exchange {
    void *context;
    bool (*say)(void *context, const char *peer, unsigned step, struct vt_buf *out,
                struct vt_err *err);
    enum vt_probe_step (*judge)(void *context, unsigned step, const uint8_t *bytes, size_t size);
    /* Behind DONE: sent without waiting for anything, for a polite end. May be NULL. */
    bool (*bye)(void *context, struct vt_buf *out, struct vt_err *err);
};

struct vt_probes_options {
    unsigned in_flight;                       /* 0: VT_PROBE_IN_FLIGHT */
    const struct vt_probe_exchange *exchange; /* borrowed; NULL: there is none */
    void *context;
    void (*result)(void *context, const struct vt_probe_result *result);
};

/* Raises the limit of open files and starts the thread. */
struct vt_probes *vt_probes_new(const struct vt_probes_options *options, struct vt_err *err);
void vt_probes_free(struct vt_probes *probes); /* no result comes behind it */
VT_DEFINE_AUTO(vt_probes)

/* Adds a target or changes it; one that stays the same keeps its rhythm. No address: it is not
 * asked. VT_E_LIMIT, VT_E_NOMEM. */
bool vt_probes_put(struct vt_probes *probes, uint32_t slot, const struct vt_probe_target *target,
                   struct vt_err *err);
/* Without memory for the message the target is still asked, which does no harm. */
void vt_probes_remove(struct vt_probes *probes, uint32_t slot);
/* Asks now instead of when it is due. */
void vt_probes_hurry(struct vt_probes *probes, uint32_t slot);

struct vt_probes_stats {
    uint64_t begun;
    uint64_t ends[VT_PROBE_ANSWERED + 1];
    uint32_t targets, in_flight, waiting;
    int64_t latest;   /* ns that an attempt began behind its time, the worst since the last look */
    bool icmp, icmp6; /* may be sent */
};
void vt_probes_stats(struct vt_probes *probes, struct vt_probes_stats *out);
