#include "hypervisor/xapi_local.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "hypervisor/xapi_state.h"

struct vt_xapi_local {
    struct vt_xapi *xapi;
    struct vt_line *line;
    struct vt_xapi_session at; /* the member, and our session there */
};

struct vt_xapi_local *vt_xapi_slave_local_login(struct vt_xapi *xapi, const char *address,
                                                struct vt_err *err)
{
    VT_AUTO(vt_xapi_local) local = calloc(1, sizeof *local);
    VT_AUTO_REPLY reply = { 0 };

    if (!local) {
        vt_fail(err, VT_E_NOMEM, "no memory for a local session");
        return NULL;
    }
    local->xapi = xapi;
    local->line = vt_line_new(err);
    if (!local->line || !vt_xapi_member_session(xapi, address, &local->at, err) ||
        !vt_xapi_post_login(xapi, local->line, &local->at.host, &reply, err,
                            "session.slave_local_login_with_password"))
        return NULL;
    const char *session = vt_xmlrpc_text(reply.value, "");
    if (*session == '\0' || strlen(session) >= sizeof local->at.ref) {
        vt_fail(err, VT_E_PROTOCOL, "%s gave no session", address);
        return NULL;
    }
    snprintf(local->at.ref, sizeof local->at.ref, "%s", session);
    return vt_take(&local);
}

static bool call(struct vt_xapi_local *local, const char *method, const char *argument,
                 struct vt_xapi_reply *reply, struct vt_err *err)
{
    return vt_xapi_post(local->line, &local->at.host, local->at.ref, reply, err, method,
                        argument ? "s" : "", argument);
}

static bool act(struct vt_xapi_local *local, const char *method, const char *argument,
                struct vt_err *err)
{
    VT_AUTO_REPLY reply = { 0 };

    return call(local, method, argument, &reply, err);
}

void vt_xapi_local_free(struct vt_xapi_local *local)
{
    struct vt_err ignored = { 0 };

    if (!local)
        return;
    if (local->at.ref[0])
        act(local, "session.local_logout", NULL, &ignored);
    vt_line_free(local->line);
    free(local);
}

bool vt_xapi_local_is_in_emergency_mode(struct vt_xapi_local *local, bool *out_emergency,
                                        struct vt_err *err)
{
    VT_AUTO_REPLY reply = { 0 };

    if (!call(local, "host.is_in_emergency_mode", NULL, &reply, err))
        return false;
    if (reply.value->type != VT_XMLRPC_BOOL)
        return vt_fail(err, VT_E_PROTOCOL, "%s does not say whether it is in emergency mode",
                       local->at.address);
    *out_emergency = reply.value->as.boolean;
    return true;
}

bool vt_xapi_local_look(struct vt_xapi_local *local, struct vt_xapi_local_state *out,
                        struct vt_err *err)
{
    struct vt_xapi_local_state state = { 0 };
    VT_AUTO_REPLY reply = { 0 };
    struct vt_err told = { 0 };

    if (!vt_xapi_local_is_in_emergency_mode(local, &state.emergency, err))
        return false;
    if (vt_xapi_post_login(local->xapi, local->line, &local->at.host, &reply, &told,
                           "session.login_with_password")) {
        VT_AUTO_REPLY bye = { 0 };
        vt_xapi_post(local->line, &local->at.host, vt_xmlrpc_text(reply.value, ""), &bye, &told,
                     "session.logout", "");
        *out = state;
        return true;
    }
    if (told.code != VT_E_STATUS) {
        *err = told;
        return false;
    }
    snprintf(state.reason, sizeof state.reason, "%s", told.xapi_code);
    if (strcmp(told.xapi_code, "HOST_IS_SLAVE") == 0 && reply.failure.count > 0)
        snprintf(state.master, sizeof state.master, "%.63s", reply.failure.params[0]);
    *out = state;
    return true;
}

bool vt_xapi_local_transition_to_master(struct vt_xapi_local *local, struct vt_err *err)
{
    return act(local, "pool.emergency_transition_to_master", NULL, err);
}

bool vt_xapi_local_reset_master(struct vt_xapi_local *local, const char *master_address,
                                struct vt_err *err)
{
    return act(local, "pool.emergency_reset_master", master_address, err);
}

bool vt_xapi_local_ha_disable(struct vt_xapi_local *local, struct vt_err *err)
{
    return act(local, "host.emergency_ha_disable", NULL, err);
}

bool vt_xapi_local_management_reconfigure(struct vt_xapi_local *local, const char *device,
                                          struct vt_err *err)
{
    return act(local, "host.local_management_reconfigure", device, err);
}
