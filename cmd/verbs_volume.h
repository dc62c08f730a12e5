/* cmd/verbs_volume.h: the verbs `volume ...` of the table in cmd/admin_verbs.c. */
#pragma once

#include <stdbool.h>

struct json_t;
struct vt_admin_call;
struct vt_err;

bool vt_verb_volume_list(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_volume_add(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
/* By a job when the node runs, else here. */
bool vt_verb_volume_drain(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_volume_verify(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_volume_expire(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_study_hold(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_study_release(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_study_holds(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
