/* cmd/vitrined_log.h: events of the rooms as lines of the log: kind, subject and the members of
 * the detail as fields. */
#pragma once

#include <stdbool.h>

struct vt_err;
struct vt_events;

bool vt_log_events(struct vt_events *events, struct vt_err *err);
