/* tests/bench/load.h: what the parts of dicombench share: options, the phases of a run, a worker for each association.
 *
 * Workers run from the start; only what ends in the timed phase counts. A worker that cannot go on says why and ends. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/bench/dcm.h"
#include "tests/bench/images.h"
#include "tests/bench/measure.h"

enum { TIMEOUT_SECONDS = 60, WORKERS_MAX = 1024 };

struct options {
    const char *mode, *host, *called, *calling, *query, *scp_title, *level_keys;
    const struct image_set *set;
    uint16_t port, scp_port;
    unsigned associations, idle, silent, per_title;
    double seconds, warmup;
    uint64_t count, first, stored, huge_bytes;
    uint32_t run, days;
    pid_t server;
    FILE *acks;
    bool fresh_association, tls;
};

struct run {
    const struct options *options;
    atomic_int phase;              /* enum phase */
    atomic_uint_fast64_t next;     /* next instance (store), next choice (others) */
    pthread_mutex_t acks_lock;
};

enum phase { PHASE_WARM, PHASE_TIMED, PHASE_OVER };

struct worker {
    struct run *run;
    unsigned index;
    pthread_t thread;
    struct dcm dcm;
    struct samples latency, first;   /* first: to the first match (find) */
    uint64_t done, failed, bytes, matches;
    char why[160];
};

/* The calling title of worker i: one for every `per_title` associations. */
bool worker_open(struct worker *worker, const struct dcm_offer *offers, size_t count);
void worker_note(struct worker *worker, const char *why);      /* keeps the first */
static inline bool worker_goes_on(const struct worker *worker)
{
    return atomic_load(&worker->run->phase) != PHASE_OVER;
}
static inline bool worker_timed(const struct worker *worker)
{
    return atomic_load(&worker->run->phase) == PHASE_TIMED;
}

/* The modes: each is a thread's body. */
void *load_store(void *worker);
void *load_echo(void *worker);
void *load_find(void *worker);
void *load_get(void *worker);
void *load_move(void *worker);

/* Where C-MOVE sends to: a listener of its own threads. */
struct sink;
struct sink *sink_open(uint16_t port);
uint64_t sink_instances(struct sink *sink);
uint64_t sink_bytes(struct sink *sink);
void sink_close(struct sink *sink);
