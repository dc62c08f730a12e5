/* Modality Performed Procedure Step (PS3.4 F.7): N-CREATE and N-SET into archive/worklist_step.h. */
#include <stdio.h>
#include <string.h>

#include "archive/archive.h"
#include "archive/worklist.h"
#include "archive/worklist_step.h"
#include "core/err.h"
#include "scp/session.h"
#include "scp/tell.h"

enum { RESOURCE_LIMITATION = 0x0213, MISSING_ATTRIBUTE = 0x0120 };

/* What the command alone tells to be wrong; 0: nothing. */
static uint16_t command_fault(const struct vt_command *command, bool create, const char **out_text)
{
    *out_text = "not the Modality Performed Procedure Step class";
    if (strcmp(command->sop_class_uid, VT_UID_MPPS) != 0)
        return VT_STATUS_NO_SUCH_SOP_CLASS;
    *out_text = "no usable SOP Instance UID";
    if (!(create && !command->sop_instance_uid[0]) && !vt_uid_usable(command->sop_instance_uid))
        return VT_STATUS_INVALID_INSTANCE;
    *out_text = "no attributes";
    return command->has_data_set ? VT_STATUS_SUCCESS : MISSING_ATTRIBUTE;
}

/* Into `attributes`. false: *why, or the association is of no more use (*err). */
static bool read_attributes(struct vt_session *session, uint8_t context_id, struct vt_buf *attributes,
                            struct vt_err *why, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, VT_STEP_BYTES_MAX / 2);

    if (!vt_assoc_read_identifier(session->assoc, &bytes, why)) {
        if (why->code != VT_E_LIMIT && why->code != VT_E_NOMEM)
            *err = *why;
        why->dimse_status = RESOURCE_LIMITATION;
        return false;
    }
    if (vt_worklist_from_bytes(bytes.data, bytes.size, vt_session_encoding(session, context_id),
                               vt_session_charset(session), attributes, why))
        return true;
    why->dimse_status = why->code == VT_E_NOMEM || why->code == VT_E_LIMIT ? RESOURCE_LIMITATION
                                                                          : VT_STATUS_MISTYPED_ARGUMENT;
    return false;
}

static bool send_answer(struct vt_session *session, uint8_t context_id, const struct vt_command *command,
                        const char *sop_uid, const struct vt_step_answer *answer, struct vt_err *err)
{
    struct vt_command response = vt_command_response(command, answer->status);

    snprintf(response.sop_instance_uid, sizeof response.sop_instance_uid, "%s", sop_uid);
    snprintf(response.comment, sizeof response.comment, "%.*s", VT_COMMENT_MAX, answer->comment);
    response.has_error_id = answer->error_id != 0;
    response.error_id = answer->error_id;
    for (size_t i = 0; i < answer->offending_count; i++)
        response.offending[response.offending_count++] = answer->offending[i];
    return vt_assoc_send_command(session->assoc, context_id, &response, err);
}

static void tell_answered(const struct vt_session *session, const char *operation, const char *sop_uid,
                          const struct vt_step_answer *answer)
{
    char code[8];

    snprintf(code, sizeof code, "%04X", answer->status);
    vt_tell(session->options->events, "mpps.answered", session->calling_ae_title, "host", session->host, "operation",
            operation, "step", sop_uid, "status", code, "text", answer->comment, NULL);
}

static bool serve(struct vt_session *session, uint8_t context_id, const struct vt_command *command, bool create,
                  struct vt_err *err)
{
    VT_AUTO_BUF(attributes, VT_STEP_BYTES_MAX);
    struct vt_archive *archive = session->options->archive;
    struct vt_step_answer answer = { .status = 0 };
    struct vt_err why = { 0 };
    char sop_uid[VT_UID_MAX + 1];
    const char *text;
    uint16_t fault = command_fault(command, create, &text);

    if (fault != VT_STATUS_SUCCESS)
        return vt_session_refuse(session, context_id, command, fault, text, err);
    snprintf(sop_uid, sizeof sop_uid, "%s", command->sop_instance_uid);
    if (!sop_uid[0])
        vt_uid_new(sop_uid);
    bool ok = read_attributes(session, context_id, &attributes, &why, err);
    if (vt_failed(err))
        return false;
    ok = ok && (create ? vt_step_create(archive, sop_uid, session->calling_ae_title, attributes.data, attributes.size,
                                        &answer, &why)
                       : vt_step_set(archive, sop_uid, attributes.data, attributes.size, &answer, &why));
    if (!ok) {
        answer = (struct vt_step_answer){ .status = vt_session_status(&why, VT_STATUS_PROCESSING_FAILURE) };
        snprintf(answer.comment, sizeof answer.comment, "%.*s", VT_STEP_COMMENT_MAX, why.text);
    }
    tell_answered(session, create ? "create" : "set", sop_uid, &answer);
    return send_answer(session, context_id, command, sop_uid, &answer, err);
}

bool vt_serve_mpps_create(struct vt_session *session, uint8_t context_id, const struct vt_command *command,
                          struct vt_err *err)
{
    return serve(session, context_id, command, true, err);
}

bool vt_serve_mpps_set(struct vt_session *session, uint8_t context_id, const struct vt_command *command,
                       struct vt_err *err)
{
    return serve(session, context_id, command, false, err);
}
