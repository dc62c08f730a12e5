/* cmd/job_verbs.h: the verbs of the queue: `vitrine job ...`, `send KEY=VALUE...`. Rows of the
 * table in cmd/admin_verbs.c.
 *
 * Without a running node the queue can be looked at and steered (it is opened for the moment);
 * work is done by vitrined only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_t;
struct vt_admin_call;
struct vt_err;

bool vt_verb_job_list(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_job_show(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_job_cancel(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_job_pause(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_job_resume(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_job_retry(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_fetch(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_send(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);

/* Waits for jobs, with progress; stops waiting, not the jobs, when the caller goes away. Adds to
 * result: "sent" or the like under `counted`, "failed", "jobs". */
bool vt_verb_wait(struct vt_admin_call *call, const int64_t *ids, size_t count, const char *counted,
                  struct json_t *result, struct vt_err *err);
