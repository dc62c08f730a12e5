/* hypervisor/libvirt.h: QEMU/KVM and Xen under libvirt, seen as a pool of one host: the same picture, the
 * same verbs, the same events as of a XAPI pool.
 *
 * References are "libvirt:CLASS:UUID". A snapshot has no uuid of its own there: its name and its
 * domain's uuid make one, the same each time. A managed save is a suspended VM. What a single host cannot (migrate, start on a host)
 * is not in its table of verbs.
 *
 * A session is shared by threads; libvirt serialises what must be. When the daemon dies the next call
 * opens a new connection. */
#pragma once

#include <stdbool.h>

#include "core/auto.h"
#include "hypervisor/driver.h"
#include "hypervisor/xapi.h"

struct vt_err;
struct vt_libvirt;
struct vt_picture;
struct vt_verb_job;

enum { VT_LIBVIRT_SHUTDOWN_S = 180, VT_LIBVIRT_REFRESH_S = 30, VT_LIBVIRT_ANEW_S = 600 };

/* "qemu:///system", "qemu+unix:///...", "xen:///", "test:///default": anything with a driver's name.
 * Connects nowhere: the first call does, with VT_E_REFUSED when nobody answers there. */
struct vt_libvirt *vt_libvirt_open(const char *url, struct vt_err *err);
void vt_libvirt_free(struct vt_libvirt *libvirt);
VT_DEFINE_AUTO(vt_libvirt)

/* All that is there, whatever the classes; what is no longer there goes. */
bool vt_libvirt_load(struct vt_libvirt *libvirt, struct vt_picture *picture, struct vt_err *err);

/* As vt_verb_do: one job to its end, in this thread. */
void vt_libvirt_do(struct vt_libvirt *libvirt, struct vt_verb_job *job);

/* A socket on which the VM's VNC server speaks, the caller's; -1: err, VT_E_NOTFOUND when it has no
 * such screen. Needs a libvirtd on this machine: the socket is handed over. */
int vt_libvirt_console(struct vt_libvirt *libvirt, const char *vm, struct vt_err *err);

/* The cable of a VIF (its reference): in or out. */
bool vt_libvirt_set_link(struct vt_libvirt *libvirt, const char *vif, bool up, struct vt_err *err);

/* As vt_xapi_watch, until vt_libvirt_stop: the whole state first and after every reconnect, then each
 * domain that an event names is read anew and handed out; every VT_LIBVIRT_REFRESH_S all of them,
 * because libvirt tells of no change of a link, a snapshot or an address. What is gone without an
 * event (a snapshot that others deleted) goes every VT_LIBVIRT_ANEW_S. One watch a session. */
bool vt_libvirt_watch(struct vt_libvirt *libvirt, const struct vt_xapi_watch *watch,
                      struct vt_err *err);
void vt_libvirt_stop(struct vt_libvirt *libvirt);
void vt_libvirt_resume(struct vt_libvirt *libvirt); /* before the next watch */
/* Waits until the watch has handed out all that is true now. */
bool vt_libvirt_catch_up(struct vt_libvirt *libvirt, int64_t deadline);

/* The uuid in a reference of this driver. */
const char *vt_libvirt_uuid(const char *ref);
