/* cmd/verbs_burn.h: the archive verbs `burn list|show|cancel`: jobs of the kind "burn" (cmd/vitrined_burn.h) with their discs. */
#pragma once

#include <stdbool.h>

struct json_t;
struct vt_admin_call;
struct vt_err;

bool vt_verb_burn_list(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
/* A row for each disc. */
bool vt_verb_burn_show(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
/* Of jobs that are no burn job nothing is cancelled. */
bool vt_verb_burn_cancel(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
