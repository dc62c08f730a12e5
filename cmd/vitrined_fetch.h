/* cmd/vitrined_fetch.h: the kind of job "fetch": a study of a remote archive into ours (reference 7.1).
 *
 * Arguments: {"peer":"NAME","study":"1.2.3"}. What is there is asked first, what we hold is skipped, so
 * a job that was broken off goes on with what is missing. C-MOVE to ourselves; C-GET when the peer
 * does not know us, or [peer] fetch = get says so. Made by `vitrine fetch`, by prefetch rules, and by
 * retrievals of what only a peer with query_through has. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_err;
struct vt_job_world;

bool vt_fetch_kind(struct vt_job_world *world, struct vt_err *err);

struct vt_fetch_new {
    const char *peer;
    const char *study_uid;
    const char *who;
    int priority;
};
/* An unfinished job for the same study of the same peer is that one. Durable. */
bool vt_fetch_enqueue(struct vt_job_world *world, const struct vt_fetch_new *list, size_t count, int64_t *out_ids,
                      struct vt_err *err);
