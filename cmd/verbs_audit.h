/* cmd/verbs_audit.h: what administrators do, in the audit trail of the node that runs. */
#pragma once

#include <stdbool.h>

struct vt_admin_call;
struct vt_admin_verb;

/* A verb was run. Lists, and verbs without a node, write nothing. */
void vt_verb_audit(const struct vt_admin_verb *verb, const struct vt_admin_call *call, bool done);
