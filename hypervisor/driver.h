/* hypervisor/driver.h: what a kind of hypervisor can do: its table of verbs, and its session.
 *
 * A verb that a driver has not is reported as unsupported, with the driver's name. Drivers: xapi,
 * whose session is a vt_xapi with its lines, and libvirt, when it was built with libvirt. The url of
 * a pool says which: https and http are xapi, qemu, xen and test are libvirt. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_err;
struct vt_picture;
struct vt_verb;
struct vt_verb_job;
struct vt_xapi_watch;

struct vt_driver {
    const char *name;            /* "xapi" */
    const struct vt_verb *verbs; /* the last one has no name */
    /* NULL in xapi: hypervisor/xapi.h is its session. */
    bool (*takes)(const char *url);
    void *(*open)(const char *url, struct vt_err *err);
    void (*close)(void *session);
    bool (*load)(void *session, struct vt_picture *picture, struct vt_err *err); /* all classes */
    void (*act)(void *session, struct vt_verb_job *job); /* as vt_verb_do; any thread */
    /* As vt_xapi_watch, until stop; resume takes the stop back. */
    bool (*watch)(void *session, const struct vt_xapi_watch *watch, struct vt_err *err);
    void (*stop)(void *session);
    void (*resume)(void *session);
    /* Waits until the watch has handed out what was true when this was called; false: not by the
     * deadline (monotonic ns). */
    bool (*catch_up)(void *session, int64_t deadline);
    /* A connected socket on which the VM's screen speaks RFB, the caller's; -1: err. */
    int (*console)(void *session, const char *vm, struct vt_err *err);
    /* Why it has no such verb, as a clause; NULL: nothing to say. NULL in xapi. */
    const char *(*lacks)(const char *verb);
};

extern const struct vt_driver vt_driver_xapi;
#ifdef VT_HAVE_LIBVIRT
extern const struct vt_driver vt_driver_libvirt;
#endif

/* NULL when there is no such driver. */
const struct vt_driver *vt_driver_find(const char *name);
/* The one that takes the url; xapi when no other does. */
const struct vt_driver *vt_driver_for(const char *url);
/* NULL: unsupported. */
const struct vt_verb *vt_driver_verb(const struct vt_driver *driver, const char *name);
