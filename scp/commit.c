/* N-ACTION and N-EVENT-REPORT of storage commitment on an association that we serve. */
#include <stdio.h>
#include <string.h>

#include "archive/commitment.h"
#include "core/clock.h"
#include "core/err.h"
#include "scp/commit_inside.h"
#include "scp/tell.h"

enum {
    NO_SUCH_INSTANCE = 0x0112,
    NO_SUCH_EVENT_TYPE = 0x0113,
    NO_SUCH_ARGUMENT = 0x0114,
    INVALID_ARGUMENT = 0x0115,
    NO_SUCH_ACTION = 0x0123,
    RESOURCE_LIMITATION = 0x0213,
};

/* ---- N-ACTION ---- */

/* What the command alone tells to be wrong. */
static uint16_t command_fault(const struct vt_command *command, const char **out_text)
{
    *out_text = "not the storage commitment class";
    if (strcmp(command->sop_class_uid, VT_UID_STORAGE_COMMITMENT) != 0)
        return VT_STATUS_NO_SUCH_SOP_CLASS;
    *out_text = "not the well-known instance of storage commitment";
    if (strcmp(command->sop_instance_uid, VT_UID_STORAGE_COMMITMENT_INSTANCE) != 0)
        return NO_SUCH_INSTANCE;
    *out_text = "no such action";
    if (!command->has_action_type || command->action_type != 1)
        return NO_SUCH_ACTION;
    *out_text = "no Transaction UID and no references";
    return command->has_data_set ? VT_STATUS_SUCCESS : INVALID_ARGUMENT;
}

/* One whom we cannot call hears the report here, or never. */
static bool can_be_told(const struct vt_session *session)
{
    const struct vt_peer *peer = session->peer;
    int64_t same = vt_commits_options(session->options->commits)->same;

    return (peer && peer->host) || (same > 0 && !(peer && peer->commit_elsewhere));
}

static bool queue(struct vt_session *session, const struct vt_commit_list *list, int64_t *out_id,
                  struct vt_err *err)
{
    vt_autofree struct vt_commitment_item *items = calloc(list->count, sizeof *items);
    bool known = false;

    if (!items)
        return vt_fail(err, VT_E_NOMEM, "no memory for a list of instances");
    for (size_t i = 0; i < list->count; i++)
        items[i] = (struct vt_commitment_item){ list->items[i].sop_class, list->items[i].sop_uid };
    const struct vt_commitment_request request = {
        .transaction_uid = list->transaction_uid,
        .peer_ae_title = session->calling_ae_title,
        .host = session->host,
        .called_ae_title = vt_session_title(session),
        .items = items,
        .count = list->count,
    };
    return vt_commitment_queue(session->options->archive, &request, out_id, &known, err);
}

/* Reads the list, writes it down. The status to answer; 0: *out_id is its number. */
static bool take_list(struct vt_session *session, uint8_t context_id, uint16_t *out_status,
                      int64_t *out_id, struct vt_err *why, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, VT_COMMIT_BYTES_MAX);
    struct vt_commit_list list = { .count = 0 };

    if (!vt_assoc_read_identifier(session->assoc, &bytes, why)) {
        *out_status = RESOURCE_LIMITATION;
        if (why->code == VT_E_LIMIT || why->code == VT_E_NOMEM)
            return true;
        *err = *why;
        return false;
    }
    bool ok = vt_commit_decode(bytes.data, bytes.size, vt_session_encoding(session, context_id),
                               &list, why);
    *out_status = ok ? VT_STATUS_SUCCESS : vt_session_status(why, RESOURCE_LIMITATION);
    if (ok && !queue(session, &list, out_id, why))
        *out_status = RESOURCE_LIMITATION;
    if (*out_status == VT_STATUS_SUCCESS) {
        char count[24];
        snprintf(count, sizeof count, "%zu", list.count);
        vt_tell(session->options->events, "commitment.asked", session->calling_ae_title,
                "transaction", list.transaction_uid, "instances", count, NULL);
    }
    vt_commit_list_fini(&list);
    return true;
}

/* A peer without an address is waited for as long as it stays. */
static void claim(struct vt_session *session, uint8_t context_id, int64_t id)
{
    struct vt_commits *commits = session->options->commits;
    int64_t same = vt_commits_options(commits)->same;

    if (same <= 0 || (session->peer && session->peer->commit_elsewhere))
        return;
    bool callable = session->peer && session->peer->host;
    vt_claim_make(commits, session, id, context_id, callable ? vt_clock_mono() + same : INT64_MAX);
}

static bool answer_action(struct vt_session *session, uint8_t context_id,
                          const struct vt_command *command, uint16_t status, const char *comment,
                          struct vt_err *err)
{
    struct vt_command response = vt_command_response(command, status);

    response.has_action_type = command->has_action_type;
    response.action_type = command->action_type;
    if (comment)
        snprintf(response.comment, sizeof response.comment, "%.64s", comment);
    return vt_assoc_send_command(session->assoc, context_id, &response, err);
}

bool vt_serve_commit(struct vt_session *session, uint8_t context_id,
                     const struct vt_command *command, struct vt_err *err)
{
    struct vt_commits *commits = session->options->commits;
    struct vt_err why = { 0 };
    const char *text;
    uint16_t status = command_fault(command, &text);
    int64_t id = 0;

    if (status == VT_STATUS_SUCCESS && !can_be_told(session)) {
        status = VT_STATUS_NOT_AUTHORIZED;
        text = "this peer has no host here, and takes no report here";
    }
    if (status != VT_STATUS_SUCCESS)
        return vt_session_refuse(session, context_id, command, status, text, err);
    if (!vt_commits_reading_begin(commits))
        return vt_session_refuse(session, context_id, command, RESOURCE_LIMITATION,
                                 "too many requests at once", err);
    bool ok = take_list(session, context_id, &status, &id, &why, err);
    vt_commits_reading_end(commits);
    if (!ok)
        return false;
    if (status == VT_STATUS_SUCCESS) {
        claim(session, context_id, id);
        if (!vt_commits_add_job(commits, id, session->calling_ae_title, &why))
            status = RESOURCE_LIMITATION;
    }
    return answer_action(session, context_id, command, status, *why.text ? why.text : NULL, err);
}

/* ---- the report, on the same association ---- */

static bool send_report(struct vt_session *session, struct vt_claim *claim, struct vt_err *err)
{
    struct vt_commits *commits = session->options->commits;
    VT_AUTO_BUF(bytes, VT_COMMIT_BYTES_MAX);
    struct vt_commit_list list = { .count = 0 };
    struct vt_err why = { 0 };

    bool ok = vt_commits_report(commits, claim->transaction, &list, &why) &&
              vt_commit_encode(&list, vt_session_title(session),
                               vt_session_encoding(session, claim->context_id), &bytes, &why);
    size_t failed = vt_commit_list_failed(&list);
    vt_commit_list_fini(&list);
    if (!ok) {
        vt_claim_step(commits, claim, VT_CLAIM_READY, VT_CLAIM_GONE);
        return true;
    }
    claim->message_id = vt_assoc_message_id(session->assoc);
    const struct vt_command request = {
        .field = VT_N_EVENT_REPORT_RQ,
        .message_id = claim->message_id,
        .has_data_set = true,
        .sop_class_uid = VT_UID_STORAGE_COMMITMENT,
        .sop_instance_uid = VT_UID_STORAGE_COMMITMENT_INSTANCE,
        .has_event_type = true,
        .event_type = failed > 0 ? VT_COMMIT_EVENT_FAILURES : VT_COMMIT_EVENT_DONE,
    };
    if (!vt_claim_step(commits, claim, VT_CLAIM_READY, VT_CLAIM_SENT))
        return true;
    return vt_assoc_send(session->assoc, claim->context_id, &request, bytes.data, bytes.size, err);
}

bool vt_commit_look(struct vt_session *session, struct vt_err *err)
{
    struct vt_commits *commits = session->options->commits;

    for (struct vt_claim **at = &session->claims; *at;) {
        struct vt_claim *claim = *at;
        enum vt_claim_state state = vt_claim_state(commits, claim);
        if (state == VT_CLAIM_READY && !send_report(session, claim, err))
            return false;
        if (state == VT_CLAIM_WAITING && vt_clock_mono() > claim->until)
            vt_claim_step(commits, claim, VT_CLAIM_WAITING, VT_CLAIM_GONE);
        if (vt_claim_state(commits, claim) < VT_CLAIM_TAKEN) {
            at = &claim->follow;
            continue;
        }
        *at = claim->follow;
        vt_claim_drop(commits, claim);
    }
    return true;
}

bool vt_commit_answered(struct vt_session *session, const struct vt_command *response,
                        struct vt_err *err)
{
    struct vt_commits *commits = session->options->commits;
    struct vt_claim *claim = session->claims;

    while (claim && (claim->message_id != response->responded_id ||
                     vt_claim_state(commits, claim) != VT_CLAIM_SENT))
        claim = claim->follow;
    if (response->has_data_set && !vt_assoc_drop_data(session->assoc, err))
        return false;
    if (!claim)
        return vt_fail(err, VT_E_PROTOCOL, "an answer to a report that was not sent");
    claim->status = response->status;
    /* Before the peer's next request: one with the same Transaction UID is a new one then. */
    if (response->status == VT_STATUS_SUCCESS &&
        !vt_commitment_told(session->options->archive, claim->transaction, NULL, false, err))
        return false;
    vt_claim_step(commits, claim, VT_CLAIM_SENT,
                  response->status == VT_STATUS_SUCCESS ? VT_CLAIM_TAKEN : VT_CLAIM_FAILED);
    return vt_commit_look(session, err);
}

void vt_commit_leave(struct vt_session *session)
{
    struct vt_commits *commits = session->options->commits;

    while (session->claims) {
        struct vt_claim *claim = session->claims;
        session->claims = claim->follow;
        for (int state = VT_CLAIM_WAITING; state < VT_CLAIM_TAKEN; state++)
            vt_claim_step(commits, claim, (enum vt_claim_state)state, VT_CLAIM_GONE);
        vt_claim_drop(commits, claim);
    }
}

/* ---- N-EVENT-REPORT: what we asked of others ---- */

static uint16_t keep_report(struct vt_session *session, const struct vt_command *command,
                            const struct vt_buf *bytes, enum vt_encoding encoding,
                            struct vt_err *why)
{
    VT_AUTO_BUF(plain, VT_COMMIT_BYTES_MAX);
    struct vt_commit_list list = { .count = 0 };
    bool known = false;

    if (!command->has_event_type || command->event_type < VT_COMMIT_EVENT_DONE ||
        command->event_type > VT_COMMIT_EVENT_FAILURES)
        return NO_SUCH_EVENT_TYPE;
    bool ok = vt_commit_decode(bytes->data, bytes->size, encoding, &list, why);
    uint16_t status = ok ? VT_STATUS_SUCCESS : vt_session_status(why, VT_STATUS_PROCESSING_FAILURE);
    if (ok && (!vt_commit_encode(&list, NULL, VT_EXPLICIT_LE, &plain, why) ||
               !vt_commitment_answered(session->options->archive, list.transaction_uid,
                                       session->calling_ae_title, plain.data, plain.size, &known,
                                       why)))
        status = VT_STATUS_PROCESSING_FAILURE;
    else if (ok && !known)
        status = INVALID_ARGUMENT;
    if (ok)
        vt_tell(session->options->events, "commitment.report", session->calling_ae_title,
                "transaction", list.transaction_uid, "known", known ? "yes" : "no", NULL);
    vt_commit_list_fini(&list);
    return status;
}

bool vt_serve_commit_report(struct vt_session *session, uint8_t context_id,
                            const struct vt_command *command, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, VT_COMMIT_BYTES_MAX);
    struct vt_command response = vt_command_response(command, NO_SUCH_ARGUMENT);
    struct vt_err why = { 0 };

    if (command->has_data_set && !vt_assoc_read_identifier(session->assoc, &bytes, &why)) {
        if (why.code != VT_E_LIMIT && why.code != VT_E_NOMEM) {
            *err = why;
            return false;
        }
        response.status = RESOURCE_LIMITATION;
    } else if (command->has_data_set) {
        response.status = keep_report(session, command, &bytes,
                                      vt_session_encoding(session, context_id), &why);
    }
    response.has_event_type = command->has_event_type;
    response.event_type = command->event_type;
    snprintf(response.comment, sizeof response.comment, "%.*s", VT_COMMENT_MAX, why.text);
    return vt_assoc_send_command(session->assoc, context_id, &response, err);
}
