/* hypervisor/xapi_local.h: the emergency logon to one member, checked by that host alone. It works
 * on a slave in normal mode too, and is how to ask each member how it is when no master answers.
 *
 * Only what XAPI allows there: state, become master, follow another master, the management
 * interface, high availability off. No VM and no host list: those come from the saved picture. Each
 * call says in XAPI's own words why it was refused; nothing is sent twice. One thread. */
#pragma once

#include <stdbool.h>

#include "core/auto.h"

struct vt_err;
struct vt_xapi;
struct vt_xapi_local;

/* With the pool's user (root) and password, the member's pin learnt or known. The xapi must outlive
 * it. VT_E_STATUS SESSION_AUTHENTICATION_FAILED; VT_E_REFUSED, VT_E_TIMEOUT: the member does not
 * answer. */
struct vt_xapi_local *vt_xapi_slave_local_login(struct vt_xapi *xapi, const char *address,
                                                struct vt_err *err);
/* Logs out, if the member still answers. */
void vt_xapi_local_free(struct vt_xapi_local *local);
VT_DEFINE_AUTO(vt_xapi_local)

bool vt_xapi_local_is_in_emergency_mode(struct vt_xapi_local *local, bool *out_emergency,
                                        struct vt_err *err);

/* What an ordinary login is told there: "" it is the master, "HOST_IS_SLAVE" (with the address of
 * its master), or the reason of the emergency. */
struct vt_xapi_local_state {
    bool emergency;
    char reason[64];
    char master[64];
};
bool vt_xapi_local_look(struct vt_xapi_local *local, struct vt_xapi_local_state *out,
                        struct vt_err *err);

/* The member answers, then its daemon restarts. HA_IS_ENABLED while high availability is armed. Two
 * live masters on one storage destroy data: the old one must be off. */
bool vt_xapi_local_transition_to_master(struct vt_xapi_local *local, struct vt_err *err);
bool vt_xapi_local_reset_master(struct vt_xapi_local *local, const char *master_address,
                                struct vt_err *err);
bool vt_xapi_local_ha_disable(struct vt_xapi_local *local, struct vt_err *err);
bool vt_xapi_local_management_reconfigure(struct vt_xapi_local *local, const char *device,
                                          struct vt_err *err);
