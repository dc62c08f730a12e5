/* hypervisor/driver.h: what a kind of hypervisor can do: its table of verbs.
 *
 * A verb that a driver has not is reported as unsupported, with the driver's name. The only driver
 * is xapi. */
#pragma once

#include <stddef.h>

struct vt_verb;

struct vt_driver {
    const char *name;            /* "xapi" */
    const struct vt_verb *verbs; /* the last one has no name */
};

extern const struct vt_driver vt_driver_xapi;

/* NULL when there is no such driver. */
const struct vt_driver *vt_driver_find(const char *name);
/* NULL: unsupported. */
const struct vt_verb *vt_driver_verb(const struct vt_driver *driver, const char *name);
