/* C-STORE (PS3.4 B, PS3.7 9.1.1): the data set goes from the association straight into the
 * archive, and success is answered once the archive says that it is durable and indexed: by the
 * thread that committed the group, while ours waits for the next message, but under TLS. Whatever
 * goes wrong on our side, the data set is read to its end, so that the peer learns why and may go
 * on with the next. */
#include <stdio.h>
#include <string.h>

#include "archive/archive.h"
#include "core/clock.h"
#include "core/err.h"
#include "scp/access.h"
#include "scp/session.h"
#include "scp/trail.h"

struct arrival {
    struct vt_receive *receive;
    bool failed;
    struct vt_err why;
};

/* A failing disk does not end the data set: the rest is read and dropped. */
static bool take_piece(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct arrival *arrival = context;

    (void)err;
    if (!arrival->failed && !vt_receive_write(arrival->receive, bytes, size, &arrival->why))
        arrival->failed = true;
    return true;
}

static uint8_t *land_piece(void *context, size_t *out_room)
{
    struct arrival *arrival = context;

    return arrival->failed ? NULL : vt_receive_landing(arrival->receive, out_room);
}

static bool answer_failure(struct vt_session *session, uint8_t context_id,
                           const struct vt_command *command, const struct vt_err *why,
                           struct vt_err *err)
{
    return vt_session_answer(session, context_id, command,
                             vt_session_status(why, VT_STATUS_OUT_OF_RESOURCES), why->text, err);
}

/* The archive's word as a response; result NULL: `why` tells. */
static void complete_response(struct vt_session *session, const struct vt_receive_result *result,
                              const struct vt_err *why)
{
    struct vt_command *response = &session->storing_response;

    response->status =
        result ? result->status : vt_session_status(why, VT_STATUS_OUT_OF_RESOURCES);
    if (response->status == VT_STATUS_SUCCESS || vt_status_warning(response->status))
        atomic_fetch_add(&session->traffic->received, 1);
    if (result && response->status == VT_STATUS_SUCCESS)
        vt_trail_add(session->trail, result->study_uid, response->sop_class_uid);
    if (response->status == VT_STATUS_SUCCESS)
        return;
    snprintf(response->comment, sizeof response->comment, "%.*s", VT_COMMENT_MAX,
             result ? result->comment : why->text);
    for (size_t i = 0; result && i < result->offending_count && i < VT_OFFENDING_MAX; i++)
        response->offending[response->offending_count++] = result->offending[i];
}

static void answer_later(void *context, const struct vt_receive_result *result,
                         const struct vt_err *why)
{
    complete_response(context, result, why);
}

/* In the thread that committed, or in ours. */
static void answer_beside(void *context, const struct vt_receive_result *result,
                          const struct vt_err *why)
{
    struct vt_session *session = context;

    complete_response(session, result, why);
    vt_session_waiting(session, true);
    vt_assoc_answer_beside(session->assoc, session->storing_context, &session->storing_response);
}

static bool commit(struct vt_session *session, uint8_t context_id, const struct vt_command *command,
                   struct vt_err *err)
{
    session->storing_response = vt_command_response(command, VT_STATUS_SUCCESS);
    session->storing_context = context_id;
    session->storing = vt_assoc_answers_beside(session->assoc);
    vt_receive_commit_then(session->receive, session->storing ? answer_beside : answer_later,
                           session);
    if (session->storing)
        return true;
    vt_receive_wait(session->receive);
    return vt_assoc_send_command(session->assoc, context_id, &session->storing_response, err);
}

bool vt_session_settle(struct vt_session *session, struct vt_err *err)
{
    if (!session->storing)
        return true;
    session->storing = false;
    vt_receive_wait(session->receive);
    return vt_assoc_answer_rest(session->assoc, err);
}

static struct vt_receive_from arrival_from(const struct vt_session *session,
                                           const struct vt_context *context,
                                           const struct vt_command *command)
{
    struct vt_syntax syntax = { VT_EXPLICIT_LE, true, true };

    vt_negotiate_syntax(&session->rules, context->transfer_syntax, &syntax);
    return (struct vt_receive_from){
        .sop_class_uid = command->sop_class_uid,
        .sop_instance_uid = command->sop_instance_uid,
        .transfer_syntax_uid = context->transfer_syntax,
        .encoding = syntax.encoding,
        .encapsulated = syntax.encapsulated,
        .calling_ae_title = session->calling_ae_title,
        .host = session->host,
    };
}

/* What the command alone tells to be wrong; NULL: nothing. */
static const char *command_fault(const struct vt_context *context, const struct vt_command *command,
                                 uint16_t *out_status)
{
    *out_status = VT_STATUS_SOP_CLASS_NOT_SUPPORTED;
    if (strcmp(command->sop_class_uid, context->abstract_syntax) != 0)
        return "SOP class is not that of the presentation context";
    if (context->accepted_role == VT_ROLE_SCP)
        return "the SCU role was not negotiated";
    *out_status = VT_STATUS_INVALID_INSTANCE;
    if (!vt_uid_usable(command->sop_instance_uid))
        return "Affected SOP Instance UID is not a UID";
    *out_status = VT_STATUS_CANNOT_UNDERSTAND;
    return command->has_data_set ? NULL : "no data set";
}

bool vt_serve_store(struct vt_session *session, uint8_t context_id,
                    const struct vt_command *command, struct vt_err *err)
{
    const struct vt_context *context = vt_assoc_context(session->assoc, context_id);
    struct vt_err why = { 0 };
    uint16_t status;
    const char *fault = command_fault(context, command, &status);

    if (fault)
        return vt_session_refuse(session, context_id, command, status, fault, err);
    if (!vt_usage_may_store(session->traffic->usage, session->peer, vt_clock_wall()))
        return vt_session_refuse(session, context_id, command, VT_STATUS_OUT_OF_RESOURCES,
                                 "what this peer may store in a day is used up", err);

    if (!session->trail)
        session->trail = vt_trail_new(session);
    vt_trail_room_stored(session, session->trail);
    struct vt_receive_from from = arrival_from(session, context, command);
    if (!session->receive)
        session->receive = vt_receive_new(session->options->archive, &why);
    if (!session->receive || !vt_receive_begin(session->receive, &from, &why))
        return vt_assoc_drop_data(session->assoc, err) &&
               answer_failure(session, context_id, command, &why, err);

    struct arrival arrival = { .receive = session->receive };
    uint64_t size = 0;
    if (!vt_assoc_land_data(session->assoc, land_piece, take_piece, &arrival, &size, err)) {
        vt_receive_abandon(session->receive);
        return false;
    }
    vt_usage_count(session->traffic->usage,
                   session->peer ? session->peer->ae_title : session->calling_ae_title,
                   vt_clock_wall(), size);
    if (arrival.failed) {
        vt_receive_abandon(session->receive);
        return answer_failure(session, context_id, command, &arrival.why, err);
    }
    return commit(session, context_id, command, err);
}
