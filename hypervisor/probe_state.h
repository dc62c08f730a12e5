/* hypervisor/probe_state.h: what probe.c, probe_flight.c and probe_icmp.c share; nobody else
 * includes it. All belongs to the probe thread unless it says otherwise. */
#pragma once

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "core/buf.h"
#include "hypervisor/probe.h"

enum { VT_PROBE_NONE = UINT32_MAX };

/* One socket on its way, or one echo request. */
struct vt_flight {
    int fd; /* -1: free, or ICMP */
    uint32_t slot;
    uint32_t next;       /* of the same target, or of the free ones */
    uint32_t generation; /* so that an event of an earlier flight is known */
    uint8_t address, step;
    bool connected, used;
    struct vt_buf in;
};

enum vt_target_phase { VT_TARGET_UNUSED, VT_TARGET_IDLE, VT_TARGET_WAITING, VT_TARGET_FLYING };

struct vt_target {
    struct vt_probe_target spec;
    enum vt_target_phase phase;
    int64_t due;     /* IDLE: the next start; FLYING: the deadline */
    int64_t planned; /* when the present attempt was due */
    int64_t started;
    uint32_t heap; /* place in the heap, NONE */
    uint32_t next_waiting;
    uint32_t flights, pending; /* the first of its flights, how many */
    uint8_t preferred;         /* the address that answered last */
    bool suspect;              /* all addresses are asked */
    enum vt_probe_end best;
    uint8_t best_address;
    int best_code;
};

struct vt_ping {
    int fd; /* -1: not possible */
    bool raw;
};

struct vt_probes {
    struct vt_probes_options options; /* fixed, as are epoll and wake */
    int epoll, wake;
    pthread_t thread;
    bool started;

    struct vt_target *targets;
    uint32_t target_room;
    uint32_t *heap, heap_count, heap_room;
    uint32_t waiting_first, waiting_last, waiting_count, target_count;
    struct vt_flight *flights;
    uint32_t flight_limit, flight_free, flights_used;
    struct vt_ping ping4, ping6;
    uint64_t cookie, random;
    int64_t now;

    pthread_mutex_t lock; /* guards what follows */
    struct vt_probe_change *changes;
    size_t change_count, change_room;
    struct vt_probes_stats stats;
    bool stop;
};

/* ---- probe_flight.c ---- */

/* Opens what the target's attempt needs. */
void vt_flight_begin(struct vt_probes *probes, uint32_t slot);
void vt_flight_ready(struct vt_probes *probes, uint32_t index, uint32_t generation,
                     uint32_t events);
/* The deadline: what has not answered is silent. */
void vt_flight_late(struct vt_probes *probes, uint32_t slot);
/* Closes all without a result. */
void vt_flight_drop(struct vt_probes *probes, uint32_t slot);
/* One flight has its end. */
void vt_flight_end(struct vt_probes *probes, struct vt_flight *flight, enum vt_probe_end end,
                   int code);
socklen_t vt_probe_sockaddr(const struct vt_probe_address *address, uint16_t port,
                            struct sockaddr_storage *out);

/* ---- probe.c ---- */

/* The attempt is over: the result goes out, the next one is planned. */
void vt_target_over(struct vt_probes *probes, uint32_t slot);

/* ---- probe_icmp.c ---- */

void vt_ping_open(struct vt_probes *probes);
void vt_ping_close(struct vt_probes *probes);
/* 0, or errno. */
int vt_ping_send(struct vt_probes *probes, const struct vt_flight *flight);
void vt_ping_ready(struct vt_probes *probes, struct vt_ping *ping);

enum {
    VT_WATCH_WAKE = UINT32_MAX,
    VT_WATCH_PING4 = UINT32_MAX - 1,
    VT_WATCH_PING6 = UINT32_MAX - 2
};
