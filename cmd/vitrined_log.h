/* cmd/vitrined_log.h: events of the rooms as lines of the log: kind, subject and the members of the
 * detail as fields.
 *
 * What a stranger can cause as often as he likes (refusals, failed associations) is written at most
 * VT_LOG_RATE times a second; how many lines were left out is told in the next second. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct vt_err;
struct vt_events;

bool vt_log_events(struct vt_events *events, struct vt_err *err);

enum { VT_LOG_RATE = 50 };

/* A count for each second. Any thread may ask. */
struct vt_log_rate {
    pthread_mutex_t lock;
    /* guarded by lock */
    int64_t second;
    uint32_t passed;
    uint64_t left_out;
};
/* May a line be written in this second? *out_left_out: lines of an earlier second to be told of
 * now. */
bool vt_log_rate_pass(struct vt_log_rate *rate, int64_t second, uint64_t *out_left_out);
