/* cmd/verbs_commitment.h: the verbs `commitment ...` of the table in cmd/admin_verbs.c. */
#pragma once

#include <stdbool.h>

struct json_t;
struct vt_admin_call;
struct vt_err;

bool vt_verb_commitment_list(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_commitment_show(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_verb_commitment_export(struct vt_admin_call *call, struct json_t *result,
                               struct vt_err *err);
bool vt_verb_commitment_check(struct vt_admin_call *call, struct json_t *result,
                              struct vt_err *err);
bool vt_verb_commitment_resend(struct vt_admin_call *call, struct json_t *result,
                               struct vt_err *err);
/* For `vitrine commit`: what matches, as it is named in a request; a report that will come to this
 * node; what it said. */
bool vt_verb_commitment_instances(struct vt_admin_call *call, struct json_t *result,
                                  struct vt_err *err);
bool vt_verb_commitment_expect(struct vt_admin_call *call, struct json_t *result,
                               struct vt_err *err);
bool vt_verb_commitment_answer(struct vt_admin_call *call, struct json_t *result,
                               struct vt_err *err);
/* Jobs of the node (cmd/vitrined_request.h). */
bool vt_verb_commitment_ask(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
