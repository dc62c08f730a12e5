/* console/instances.h: the instances that a path of DICOMweb names: /studies/{s}[/series/{e}[/instances/{i}]]. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "archive/archive.h"
#include "console/console_inside.h"

enum { VT_INSTANCES_MAX = 200000 };

struct vt_instances {
    char (*uids)[VT_UID_MAX + 1];   /* in order of series and instance number */
    size_t count, room;
};
void vt_instances_fini(struct vt_instances *instances);

/* The wildcards of the route, as many as `levels` (1: a study ...). VT_E_NOTFOUND: nothing there. */
bool vt_instances_select(const struct vt_request *request, unsigned levels, struct vt_instances *out,
                         struct vt_err *err);
/* The i-th, corrections applied; the caller closes. VT_E_NOTFOUND: deleted meanwhile. */
bool vt_instances_open(const struct vt_console *console, const char *sop_uid, struct vt_stored *out,
                       struct vt_err *err);
/* The same of what stands before its pixel data only (data_set_size ends there), unless it is deflated. */
bool vt_instances_open_header(const struct vt_console *console, const char *sop_uid, struct vt_stored *out,
                              struct vt_err *err);
/* As it was stored, whoever its patient is now: for pixel data. */
bool vt_instances_open_stored(const struct vt_console *console, const char *sop_uid, struct vt_stored *out,
                              struct vt_err *err);
