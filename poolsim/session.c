/* Logging in: the pool's sessions on the master, local ones on every host. */
#include <stdio.h>
#include <string.h>

#include "poolsim/sim.h"

enum { GUESS_PAUSE_MS = 5000 };

static bool wrong_password(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    vt_sim_refuse(failure, "SESSION_AUTHENTICATION_FAILED", vt_sim_arg(call, 0),
                  "Authentication failure", NULL);
    return vt_sim_answer_later(call, GUESS_PAUSE_MS, failure);
}

static bool password_is_right(const struct vt_sim_call *call)
{
    return strcmp(vt_sim_arg(call, 0), "root") == 0 &&
           strcmp(vt_sim_arg(call, 1), call->world->options.password) == 0;
}

/* Over the limit the session that was idle longest dies without notice. */
static void limit_sessions(struct vt_sim_db *db, const char *originator)
{
    struct vt_sim_object *oldest = NULL;
    uint32_t count = 0;

    VT_SIM_EACH(db, VT_SIM_session, session)
    {
        if (!vt_sim_is(session, VT_session_originator, originator))
            continue;
        count++;
        if (!oldest)
            oldest = session;
    }
    if (count > VT_SIM_SESSIONS_MAX)
        vt_sim_remove(db, oldest);
}

static bool login(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_db *db = call->db;

    if (!password_is_right(call))
        return wrong_password(call, failure);
    struct vt_sim_object *session = vt_sim_add(db, VT_SIM_session);
    vt_sim_set_ref(db, session, VT_session_this_host, call->machine->host);
    vt_sim_set_bool(db, session, VT_session_is_local_superuser, true);
    vt_sim_set_text(db, session, VT_session_auth_user_name, vt_sim_arg(call, 0));
    vt_sim_set_text(db, session, VT_session_originator, vt_sim_arg(call, 3));
    vt_sim_set_int(db, session, VT_session_last_active, vt_sim_wall(call->machine));
    vt_sim_set_int(db, session, VT_session_validation_time, vt_sim_wall(call->machine));
    limit_sessions(db, vt_sim_arg(call, 3));
    vt_sim_put_ref(&call->writer, db, session->id);
    return true;
}

static bool logout(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    (void)failure;
    vt_sim_remove(call->db, call->session);
    call->session = NULL;
    return true;
}

static bool local_login(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_machine *machine = call->machine;
    char *slot = machine->local_sessions[machine->local_next++ % VT_SIM_LOCAL_SESSIONS_MAX];
    char uuid[VT_SIM_UUID_MAX];

    if (!password_is_right(call))
        return wrong_password(call, failure);
    vt_sim_random_uuid(call->db, uuid);
    snprintf(slot, VT_SIM_REF_MAX, "OpaqueRef:%s", uuid);
    vt_xmlrpc_put_string(&call->writer, slot);
    return true;
}

static bool local_logout(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    (void)failure;
    for (uint32_t i = 0; i < VT_SIM_LOCAL_SESSIONS_MAX; i++)
        if (strcmp(call->machine->local_sessions[i], call->session_ref) == 0)
            call->machine->local_sessions[i][0] = '\0';
    return true;
}

const struct vt_sim_method vt_sim_session_methods[] = {
    { "session.login_with_password", 2, 4, VT_SIM_NO_SESSION, login },
    { "session.logout", 0, 0, 0, logout },
    { "session.slave_local_login_with_password", 2, 2, VT_SIM_NO_SESSION | VT_SIM_LOCAL,
      local_login },
    { "session.local_logout", 0, 0, VT_SIM_LOCAL, local_logout },
    { 0 },
};
