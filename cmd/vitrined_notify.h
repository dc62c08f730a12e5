/* cmd/vitrined_notify.h: peers with `notify = yes` are told when a study is complete (scu/notify.h): nothing more of
 * it has come for jobs.study_idle; and when one was deleted, restored, or moved to slower or faster storage. The kind of job "notify", arguments {"peer":"NAME","study":"1.2.3",
 * "instances":[]}. */
#pragma once

#include <stdbool.h>

struct vt_arrivals_batch;
struct vt_err;
struct vt_job_world;
struct vt_notifications;

bool vt_notify_kind(struct vt_job_world *world, struct vt_err *err);
/* *out NULL: no peer wants to be told. */
bool vt_notifications_open(struct vt_job_world *world, struct vt_notifications **out, struct vt_err *err);
void vt_notifications_free(struct vt_notifications *notifications);
bool vt_notifications_complete(struct vt_notifications *notifications, const struct vt_arrivals_batch *batch,
                               struct vt_err *err);
