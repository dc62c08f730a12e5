/* cmd/verbs_slide.h: the archive verbs about slides. */
#pragma once

#include <stdbool.h>

struct json_t;
struct vt_admin_call;
struct vt_err;

/* Words choose the slide, option `output` names the file (absolute). VT_E_INVALID: several slides match. */
bool vt_verb_slide_restore(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
/* The slides that words choose: a row each. */
bool vt_verb_slide_list(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
