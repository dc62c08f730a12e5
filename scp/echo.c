#include "scp/session.h"

/* PS3.7 9.1.5: nothing to do but to answer. */
bool vt_serve_echo(struct vt_session *session, uint8_t context_id, const struct vt_command *command,
                   struct vt_err *err)
{
    return vt_session_refuse(session, context_id, command, VT_STATUS_SUCCESS, NULL, err);
}
