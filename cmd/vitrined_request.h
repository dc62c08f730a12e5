/* cmd/vitrined_request.h: we ask another archive to keep what we hold (storage commitment, PS3.4 J), and go on asking until it
 * said so: the kind of job "commit.ask". Made by `vitrine commitment ask`, `vitrine send --commit`, a `vitrine commit` whose
 * report did not come while it waited, and [expire] rules.
 *
 * Arguments: {"peer":"NAME","instances":["1.2.3", ...]}. The report may come on the association that asked or on one of the
 * peer's, now or in days; when commit.repeat has passed without it, it is asked again under a new Transaction UID, commit.times
 * times in all. What the peer committed to is noted with the content that it had when it was asked (archive/commitment.h);
 * what it did not is a failed item of the job, with the Failure Reason. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_err;
struct vt_job_world;

bool vt_request_kind(struct vt_job_world *world, struct vt_err *err);

/* At most VT_JOB_ITEMS_MAX instances. */
struct vt_request_new {
    const char *peer; /* as the configuration names it, or AET@HOST:PORT */
    const char *subject, *who;
    const char *const *instances;
    size_t count;
};
bool vt_request_enqueue(struct vt_job_world *world, const struct vt_request_new *new, int64_t *out_id,
                        struct vt_err *err);
/* All of a study, in as many jobs as it takes; one that is not ended is not made again. */
bool vt_request_enqueue_study(struct vt_job_world *world, const char *peer, const char *study_uid, const char *who,
                              struct vt_err *err);
