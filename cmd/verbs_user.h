/* cmd/verbs_user.h: vitrine user add, change, list, remove: who may log in to the console (console/users.h). */
#pragma once

#include <stdbool.h>

struct json_t;
struct vt_admin_call;
struct vt_buf;
struct vt_err;

/* options: "role", "password". */
bool vt_verb_user_add(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
/* Another role, another password, or both. */
bool vt_verb_user_change(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_user_list(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_user_remove(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);

/* On the command line's side: the first line of standard input; on a terminal asked for twice, without echo. Never an argument:
 * everybody on the machine sees those. */
bool vt_read_password(struct vt_buf *out, struct vt_err *err);
