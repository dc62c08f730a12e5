#include "scu/commit.h"

#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "scu/client_wire.h"

enum { SLICE_MS = 100 /* how often a wait asks whether the report came another way */ };

static struct vt_assoc *open_for(const struct vt_client *client, enum vt_role role,
                                 struct vt_err *err)
{
    const struct vt_propose propose = {
        .abstract_syntax = VT_UID_STORAGE_COMMITMENT,
        .transfer_syntaxes = vt_wire_plain_syntaxes,
        .transfer_syntax_count = VT_COUNT(vt_wire_plain_syntaxes),
        .role = role,
    };

    return vt_wire_open(client, &propose, 1, NULL, 0, err);
}

static enum vt_encoding encoding_of(const struct vt_context *context)
{
    return strcmp(context->transfer_syntax, VT_UID_IMPLICIT_LE) == 0 ? VT_IMPLICIT_LE
                                                                     : VT_EXPLICIT_LE;
}

static bool send_list(const struct vt_client *client, struct vt_assoc *assoc,
                      const struct vt_context *context, const struct vt_command *request,
                      const struct vt_commit_list *list, const char *retrieve_ae_title,
                      struct vt_command *answer, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, VT_COMMIT_BYTES_MAX);

    return vt_commit_encode(list, retrieve_ae_title, encoding_of(context), &bytes, err) &&
           vt_assoc_send(assoc, context->id, request, bytes.data, bytes.size, err) &&
           vt_wire_answer(assoc, vt_wire_deadline(client), request, answer, err);
}

/* ---- we ask ---- */

/* A report on another transaction is answered and passed over. */
static bool take_report(struct vt_assoc *assoc, const struct vt_context *context,
                        const struct vt_command *request, const char *transaction_uid,
                        bool *out_reported, struct vt_commit_list *report, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, VT_COMMIT_BYTES_MAX);
    struct vt_command response = vt_command_response(request, VT_STATUS_SUCCESS);
    struct vt_err why = { 0 };

    response.has_event_type = request->has_event_type;
    response.event_type = request->event_type;
    if (request->field != VT_N_EVENT_REPORT_RQ || !request->has_data_set)
        return vt_fail(err, VT_E_PROTOCOL, "the peer sent %s instead of a report",
                       vt_command_name(request->field));
    if (!vt_assoc_read_identifier(assoc, &bytes, err))
        return false;
    bool read = vt_commit_decode(bytes.data, bytes.size, encoding_of(context), report, &why);
    if (!read)
        response.status = why.dimse_status ? why.dimse_status : VT_STATUS_PROCESSING_FAILURE;
    *out_reported = read && strcmp(report->transaction_uid, transaction_uid) == 0;
    return vt_assoc_send_command(assoc, context->id, &response, err);
}

/* The peer may end the association; then the report comes another way. */
static bool await_report(struct vt_assoc *assoc, const struct vt_context *context,
                         const struct vt_commit_wait *wait, const char *transaction_uid,
                         bool *out_reported, struct vt_commit_list *report, struct vt_err *err)
{
    int64_t until = vt_clock_mono() + (wait->wait ? wait->wait : VT_COMMIT_WAIT_S * VT_NS_PER_S);

    while (!*out_reported && vt_clock_mono() < until &&
           !(wait->elsewhere && wait->elsewhere(wait->context))) {
        enum vt_next next;
        struct vt_command command;
        uint8_t context_id;
        if (!vt_assoc_next(assoc, vt_clock_mono() + SLICE_MS * VT_NS_PER_MS, &next, &context_id,
                           &command, err)) {
            if (err->code != VT_E_TIMEOUT)
                return false;
            vt_err_clear(err);
            continue;
        }
        if (next == VT_NEXT_RELEASE)
            vt_assoc_acknowledge_release(assoc);
        if (next != VT_NEXT_COMMAND)
            return true;
        if (!take_report(assoc, context, &command, transaction_uid, out_reported, report, err))
            return false;
    }
    vt_assoc_release(assoc);
    return true;
}

bool vt_client_commit(const struct vt_client *client, const struct vt_commit_list *list,
                      const struct vt_commit_wait *wait, bool *out_reported,
                      struct vt_commit_list *report, struct vt_err *err)
{
    struct vt_command answer;

    *out_reported = false;
    VT_AUTO(vt_assoc) assoc = open_for(client, VT_ROLE_DEFAULT, err);
    const struct vt_context *context =
        assoc ? vt_wire_context(assoc, VT_UID_STORAGE_COMMITMENT, err) : NULL;
    if (!context)
        return false;
    const struct vt_command request = {
        .field = VT_N_ACTION_RQ,
        .message_id = vt_assoc_message_id(assoc),
        .has_data_set = true,
        .sop_class_uid = VT_UID_STORAGE_COMMITMENT,
        .sop_instance_uid = VT_UID_STORAGE_COMMITMENT_INSTANCE,
        .has_action_type = true,
        .action_type = 1,
    };
    if (!send_list(client, assoc, context, &request, list, NULL, &answer, err))
        return false;
    if (answer.has_data_set && !vt_assoc_drop_data(assoc, err))
        return false;
    if (answer.status != VT_STATUS_SUCCESS) {
        vt_assoc_release(assoc);
        return vt_wire_fail_status(&answer, err);
    }
    return await_report(assoc, context, wait, list->transaction_uid, out_reported, report, err);
}

/* ---- we report ---- */

bool vt_client_commit_report(const struct vt_client *client, const struct vt_commit_list *list,
                             const char *retrieve_ae_title, struct vt_err *err)
{
    bool failed = vt_commit_list_failed(list) > 0;
    struct vt_command answer;

    VT_AUTO(vt_assoc) assoc = open_for(client, VT_ROLE_SCP, err);
    const struct vt_context *context =
        assoc ? vt_wire_context(assoc, VT_UID_STORAGE_COMMITMENT, err) : NULL;
    if (!context)
        return false;
    if (context->accepted_role != VT_ROLE_SCP)
        return vt_fail(err, VT_E_REFUSED,
                       "the peer does not take us as the SCP of storage commitment");
    const struct vt_command request = {
        .field = VT_N_EVENT_REPORT_RQ,
        .message_id = vt_assoc_message_id(assoc),
        .has_data_set = true,
        .sop_class_uid = VT_UID_STORAGE_COMMITMENT,
        .sop_instance_uid = VT_UID_STORAGE_COMMITMENT_INSTANCE,
        .has_event_type = true,
        .event_type = failed ? VT_COMMIT_EVENT_FAILURES : VT_COMMIT_EVENT_DONE,
    };
    if (!send_list(client, assoc, context, &request, list, retrieve_ae_title, &answer, err))
        return false;
    if (answer.has_data_set && !vt_assoc_drop_data(assoc, err))
        return false;
    vt_assoc_release(assoc);
    return answer.status == VT_STATUS_SUCCESS || vt_wire_fail_status(&answer, err);
}
