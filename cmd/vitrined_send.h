/* cmd/vitrined_send.h: the kind of job "send": instances of the archive to a peer by C-STORE. Made by
 * `vitrine send PEER KEY=VALUE...`, by routes, by whoever calls vt_send_enqueue.
 *
 * Arguments: {"peer":"NAME","instances":["1.2.3", ...],"commit":true}. A job holds references, never copies. The cursor is the number
 * of instances that are settled, from the front; what failed for the time being is listed and tried
 * again by the next attempt. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/jobs.h"

struct vt_err;
struct vt_job_world;

enum {
    VT_SEND_JOB_MAX = VT_JOB_ITEMS_MAX, /* instances of one job: all may fail and be listed */
};

bool vt_send_kind(struct vt_job_world *world, struct vt_err *err);

struct vt_send_new {
    const char *peer;    /* as the configuration names it, or AET@HOST:PORT */
    const char *subject; /* a study */
    const char *who;
    const char *const *instances;
    size_t count;        /* 1 to VT_SEND_JOB_MAX */
    uint64_t bytes;      /* 0: not known */
    int priority;
    bool commit;         /* when all are there, the peer is asked to commit to them (cmd/vitrined_request.h) */
};
/* All or none; durable. out_ids: `count` numbers, or NULL. */
bool vt_send_enqueue(struct vt_job_world *world, const struct vt_send_new *list, size_t count, int64_t *out_ids,
                     struct vt_err *err);
