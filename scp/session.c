#include "scp/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/archive.h"
#include "archive/query.h"
#include "core/clock.h"
#include "core/err.h"
#include "scp/access.h"
#include "scp/tell.h"
#include "scp/trail.h"

struct vt_session *vt_session_new(struct vt_incoming *incoming)
{
    struct vt_session *session = calloc(1, sizeof *session);

    if (!session)
        return NULL;
    session->incoming = incoming;
    snprintf(session->host, sizeof session->host, "%s", vt_incoming_host(incoming));
    vt_buf_init(&session->identifier, VT_IDENTIFIER_MAX);
    pthread_mutex_init(&session->lock, NULL);
    return session;
}

void vt_session_free(struct vt_session *session)
{
    if (!session)
        return;
    if (session->incoming)
        vt_incoming_free(session->incoming);
    vt_receive_free(session->receive);
    vt_assoc_free(session->assoc);
    vt_buf_fini(&session->identifier);
    pthread_mutex_destroy(&session->lock);
    free(session);
}

/* ---- what the server's thread may touch ---- */

static void share(struct vt_session *session, struct vt_assoc *assoc)
{
    pthread_mutex_lock(&session->lock);
    session->shared = assoc;
    session->waiting_since = 0;
    pthread_mutex_unlock(&session->lock);
}

void vt_session_waiting(struct vt_session *session, bool waiting)
{
    int64_t now = waiting ? vt_clock_mono() : 0;

    pthread_mutex_lock(&session->lock);
    session->waiting_since = now;
    pthread_mutex_unlock(&session->lock);
}

void vt_session_interrupt(struct vt_session *session, int64_t idle_for)
{
    int64_t now = vt_clock_mono();

    pthread_mutex_lock(&session->lock);
    bool idle = session->waiting_since != 0 && now - session->waiting_since >= idle_for;
    if (session->shared && (idle_for == 0 || idle))
        vt_assoc_interrupt(session->shared);
    pthread_mutex_unlock(&session->lock);
}

/* ---- what services share ---- */

uint16_t vt_session_status(const struct vt_err *why, uint16_t otherwise)
{
    return why->dimse_status ? why->dimse_status : otherwise;
}

bool vt_session_answer(struct vt_session *session, uint8_t context_id,
                       const struct vt_command *request, uint16_t status, const char *comment,
                       struct vt_err *err)
{
    struct vt_command response = vt_command_response(request, status);

    if (comment)
        snprintf(response.comment, sizeof response.comment, "%.*s", VT_COMMENT_MAX, comment);
    return vt_assoc_send_command(session->assoc, context_id, &response, err);
}

bool vt_session_refuse(struct vt_session *session, uint8_t context_id,
                       const struct vt_command *request, uint16_t status, const char *comment,
                       struct vt_err *err)
{
    if (request->has_data_set && !vt_assoc_drop_data(session->assoc, err))
        return false;
    return vt_session_answer(session, context_id, request, status, comment, err);
}

bool vt_session_identifier(struct vt_session *session, uint8_t context_id,
                           const struct vt_command *request, bool *out_read, struct vt_err *err)
{
    struct vt_err why = { 0 };

    *out_read = false;
    if (!request->has_data_set)
        return vt_session_answer(session, context_id, request, VT_STATUS_DOES_NOT_MATCH,
                                 "the request has no identifier", err);
    vt_buf_reset(&session->identifier);
    *out_read = vt_assoc_read_identifier(session->assoc, &session->identifier, &why);
    if (*out_read)
        return true;
    if (why.code == VT_E_LIMIT || why.code == VT_E_NOMEM)
        return vt_session_answer(session, context_id, request, VT_STATUS_OUT_OF_RESOURCES, why.text,
                                 err);
    *err = why;
    return false;
}

enum vt_encoding vt_session_encoding(const struct vt_session *session, uint8_t context_id)
{
    const struct vt_context *context = vt_assoc_context(session->assoc, context_id);

    return strcmp(context->transfer_syntax, VT_UID_IMPLICIT_LE) == 0 ? VT_IMPLICIT_LE
                                                                     : VT_EXPLICIT_LE;
}

bool vt_session_extended(const struct vt_session *session, uint8_t context_id, size_t byte)
{
    const char *sop_class = vt_assoc_context(session->assoc, context_id)->abstract_syntax;
    uint8_t answer[VT_EXTENDED_MAX];
    const uint8_t *offer;
    size_t size;

    if (!vt_assoc_extended_offer(session->assoc, sop_class, &offer, &size))
        return false;
    return byte < vt_negotiate_extended(vt_negotiate_kind(sop_class), &session->rules, offer, size,
                                        answer) &&
           answer[byte] == 1;
}

const char *vt_session_title(const struct vt_session *session)
{
    return session->options->any_called_title ? session->options->ae_title
                                              : vt_assoc_info(session->assoc)->called_ae_title;
}

const char *vt_session_charset(const struct vt_session *session)
{
    return session->peer && session->peer->charset ? session->peer->charset
                                                   : session->options->default_charset;
}

/* ---- negotiation ---- */

static struct vt_negotiation rules_of(const struct vt_session *session)
{
    const struct vt_server_options *options = session->options;

    return (struct vt_negotiation){
        .allow = session->peer ? session->peer->allow : VT_ALLOW_ALL,
        .prefer = session->peer ? session->peer->prefer : VT_PREFER_PROPOSED,
        .unknown_storage = options->unknown_storage,
        .fuzzy = options->fuzzy,
        .commitment = options->commits != NULL,
        .private_syntaxes = options->private_syntaxes,
        .private_syntax_count = options->private_syntax_count,
    };
}

static bool decide_context(struct vt_session *session, const struct vt_context *context,
                           struct vt_err *err)
{
    struct vt_context_answer answer = vt_negotiate_context(context, &session->rules);

    if (answer.result != VT_CONTEXT_ACCEPTED) {
        vt_assoc_refuse_context(session->assoc, context->id, answer.result);
        return true;
    }
    return vt_assoc_accept_context(session->assoc, context->id, answer.transfer_syntax, answer.role,
                                   err);
}

/* One answer a class, though several contexts may name it. */
static bool answer_extended(struct vt_session *session, size_t i, struct vt_err *err)
{
    const struct vt_context *context = vt_assoc_context_at(session->assoc, i);
    uint8_t answer[VT_EXTENDED_MAX];
    const uint8_t *offer;
    size_t size;

    if (context->result != VT_CONTEXT_ACCEPTED ||
        !vt_assoc_extended_offer(session->assoc, context->abstract_syntax, &offer, &size))
        return true;
    for (size_t k = 0; k < i; k++) {
        const struct vt_context *earlier = vt_assoc_context_at(session->assoc, k);
        if (earlier->result == VT_CONTEXT_ACCEPTED &&
            strcmp(earlier->abstract_syntax, context->abstract_syntax) == 0)
            return true;
    }
    size_t answered = vt_negotiate_extended(vt_negotiate_kind(context->abstract_syntax),
                                            &session->rules, offer, size, answer);
    return answered == 0 || vt_assoc_extended_answer(session->assoc, context->abstract_syntax,
                                                     answer, answered, err);
}

static bool negotiate(struct vt_session *session, struct vt_err *err)
{
    size_t count = vt_assoc_context_count(session->assoc);

    session->rules = rules_of(session);
    if (session->options->max_pdu != 0)
        vt_assoc_set_max_pdu(session->assoc, session->options->max_pdu);
    for (size_t i = 0; i < count; i++)
        if (!decide_context(session, vt_assoc_context_at(session->assoc, i), err))
            return false;
    for (size_t i = 0; i < count; i++)
        if (!answer_extended(session, i, err))
            return false;
    return vt_assoc_acknowledge(session->assoc, session->identified, err);
}

static void tell_refused(struct vt_session *session, const char *reason, const char *text)
{
    atomic_fetch_add(&session->traffic->refused, 1);
    vt_tell(session->options->events, "association.refused", session->calling_ae_title, "host",
            session->host, "reason", reason, "text", text, NULL);
}

/* The peer is silent for a while: one that stored keeps no more memory than one that did not. A
 * peer that does not take its answer ends the wait that follows. */
static void rest(void *context)
{
    struct vt_session *session = context;
    struct vt_err err = { 0 };

    if (!vt_session_settle(session, &err))
        vt_assoc_interrupt(session->assoc);
    vt_trail_end_stored(session, vt_take(&session->trail));
    if (session->receive)
        vt_receive_rest(session->receive);
}

/* false: refused or failed, and told. */
static bool open_association(struct vt_session *session)
{
    struct vt_err err = { 0 };
    struct vt_incoming *incoming = vt_take(&session->incoming);

    session->assoc = vt_assoc_receive(incoming, &err);
    if (!session->assoc) {
        tell_refused(session, vt_code_name(err.code), err.text);
        return false;
    }
    const char *text = "";
    const struct vt_rejection *code = vt_access_judge(session, &text);
    if (!code)
        code = vt_access_identify(session, &text);
    if (code) {
        vt_assoc_reject(session->assoc, code->result, code->source, code->reason);
        tell_refused(session, code->word, text);
        return false;
    }
    if (!negotiate(session, &err)) {
        vt_assoc_abort(session->assoc, 2, 0);
        tell_refused(session, vt_code_name(err.code), err.text);
        return false;
    }
    atomic_fetch_add(&session->traffic->associations, 1);
    vt_assoc_on_rest(session->assoc, rest, session);
    share(session, session->assoc);
    return true;
}

/* ---- messages ---- */

static bool role_serves(const struct vt_service *service, const struct vt_context *context)
{
    if (service->command == VT_N_EVENT_REPORT_RQ)
        return context->accepted_role == VT_ROLE_SCP ||
               context->accepted_role == VT_ROLE_SCU_SCP;
    return service->kind == VT_SOP_STORAGE || context->accepted_role != VT_ROLE_SCP;
}

static bool serve(struct vt_session *session, uint8_t context_id, const struct vt_command *command,
                  struct vt_err *err)
{
    const struct vt_context *context = vt_assoc_context(session->assoc, context_id);

    /* A cancel that comes after the final response (PS3.7 9.3.2.3). */
    if (command->field == VT_C_CANCEL_RQ)
        return !command->has_data_set || vt_assoc_drop_data(session->assoc, err);
    if (command->field == VT_N_EVENT_REPORT_RSP && session->claims)
        return vt_commit_answered(session, command, err);
    if (command->field & 0x8000)
        return vt_fail(err, VT_E_PROTOCOL, "%s that nobody asked for",
                       vt_command_name(command->field));

    enum vt_sop_kind kind = vt_negotiate_kind(context->abstract_syntax);
    const struct vt_service *service = vt_service_find(command->field, kind);
    if (!service)
        return vt_session_refuse(session, context_id, command, VT_STATUS_UNRECOGNIZED_OPERATION,
                                 "operation is not offered", err);
    if (kind != service->kind || !role_serves(service, context))
        return vt_session_refuse(session, context_id, command, VT_STATUS_SOP_CLASS_NOT_SUPPORTED,
                                 "operation does not fit the presentation context", err);
    return service->serve(session, context_id, command, err);
}

static int64_t idle_time(const struct vt_session *session)
{
    if (session->spare)
        return VT_SESSION_SPARE_IDLE_S * VT_NS_PER_S;
    if (session->peer && session->peer->timeout > 0)
        return session->peer->timeout;
    return session->options->idle > 0 ? session->options->idle : VT_SESSION_IDLE_S * VT_NS_PER_S;
}

/* While the peer waits for a report on this association, it is looked for in between. */
static bool next_message(struct vt_session *session, int64_t deadline, enum vt_next *out_next,
                         uint8_t *out_context_id, struct vt_command *command, struct vt_err *err)
{
    for (;;) {
        int64_t slice = vt_clock_mono() + VT_SESSION_CLAIM_MS * VT_NS_PER_MS;
        bool claims = session->claims != NULL;

        if (vt_assoc_next(session->assoc, claims && slice < deadline ? slice : deadline, out_next,
                          out_context_id, command, err))
            return true;
        if (!claims || err->code != VT_E_TIMEOUT || vt_clock_mono() >= deadline)
            return false;
        vt_err_clear(err);
        if (!vt_session_settle(session, err) || !vt_commit_look(session, err))
            return false;
    }
}

/* Until the association ends. How it ended is in *out_end; false: it failed. */
static bool serve_all(struct vt_session *session, enum vt_next *out_end, struct vt_err *err)
{
    int64_t idle = idle_time(session);

    for (;;) {
        struct vt_command command;
        uint8_t context_id = 0;

        if (!session->storing)
            vt_session_waiting(session, true);
        bool came = next_message(session, vt_clock_mono() + idle, out_end, &context_id, &command,
                                 err);
        struct vt_err unsent = { 0 };
        bool settled = vt_session_settle(session, &unsent);
        vt_session_waiting(session, false);
        if (came && !settled)
            *err = unsent;
        if (!came || !settled)
            return false;
        if (*out_end != VT_NEXT_COMMAND)
            return true;
        if (!serve(session, context_id, &command, err))
            return false;
    }
}

/* PS3.8 9.3.8: an unexpected PDU is the provider's word for a broken protocol; all else goes
 * without a reason. */
static const char *end_failed(struct vt_session *session, const struct vt_err *err)
{
    if (atomic_load(session->stopping)) {
        vt_assoc_abort(session->assoc, 0, 0);
        return "stopped";
    }
    if (err->code == VT_E_PROTOCOL)
        vt_assoc_abort(session->assoc, 2, 2);
    else if (err->code != VT_E_CLOSED && err->code != VT_E_ABORTED)
        vt_assoc_abort(session->assoc, 2, 0);
    return vt_code_name(err->code);
}

void vt_session_run(struct vt_session *session)
{
    static const char *const ends[] = {
        [VT_NEXT_RELEASE] = "released", [VT_NEXT_ABORT] = "aborted", [VT_NEXT_CLOSED] = "closed"
    };
    enum vt_next end = VT_NEXT_CLOSED;
    struct vt_err err = { 0 };

    if (open_association(session)) {
        vt_tell(session->options->events, "association.opened", session->calling_ae_title, "host",
                session->host, NULL);
        bool whole = serve_all(session, &end, &err);
        share(session, NULL);
        vt_commit_leave(session);
        vt_trail_end_stored(session, vt_take(&session->trail));
        session->leaving(session->leaving_context, session);
        if (whole && end == VT_NEXT_RELEASE)
            vt_assoc_acknowledge_release(session->assoc);
        const char *how = whole ? ends[end] : end_failed(session, &err);
        bool failed = !whole && !atomic_load(session->stopping);
        vt_tell(session->options->events, failed ? "association.failed" : "association.closed",
                session->calling_ae_title, "host", session->host, "how", how, "text", err.text,
                NULL);
    }
    vt_receive_free(vt_take(&session->receive));
    vt_assoc_free(vt_take(&session->assoc));
    vt_buf_fini(&session->identifier);
}
