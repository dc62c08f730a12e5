/* hypervisor/join.h: the facts of one side for the rules of joining (hypervisor/join_rules.h),
 * asked of a host. */
#pragma once

#include <stdbool.h>

#include "hypervisor/join_rules.h"
#include "hypervisor/xapi.h"

struct vt_err;

/* What the pool behind the session says of itself and of its master. joiner: its VMs and storage
 * too, which for a host that wants to join are few. `address` is where the session was opened: an
 * answer from elsewhere means that the host is a member of a pool (slave_of). Classes that the
 * server does not know count as empty. */
bool vt_join_look(struct vt_xapi *xapi, struct vt_line *line, const char *address, bool joiner,
                  struct vt_join_facts *out, struct vt_err *err);
