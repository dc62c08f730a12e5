#include <string.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "scu/client_wire.h"

enum { MATCH_MAX = 4 << 20 }; /* bytes of one match */

struct finding {
    const struct vt_client *client;
    const struct vt_find_request *request;
    vt_find_match match;
    void *context;
    struct vt_assoc *assoc;
    const struct vt_context *presentation;
    struct vt_command command;
    struct vt_buf raw, identifier;
    uint64_t matches;
    bool cancelled; /* C-CANCEL was sent: matches that still come are passed over */
};

static struct vt_assoc *open_for_find(const struct vt_client *client,
                                      const struct vt_find_request *request, const char *sop_class,
                                      struct vt_err *err)
{
    const struct vt_propose propose = {
        .abstract_syntax = sop_class,
        .transfer_syntaxes = vt_wire_plain_syntaxes,
        .transfer_syntax_count = VT_COUNT(vt_wire_plain_syntaxes),
    };
    const uint8_t wishes[] = { request->relational, request->combined, request->fuzzy };
    const struct vt_extended extended = { sop_class, wishes, sizeof wishes };
    bool any = request->relational || request->combined || request->fuzzy;

    return vt_wire_open(client, &propose, 1, &extended, any, err);
}

/* One pending answer. */
static bool take_match(struct finding *finding, const struct vt_command *answer, struct vt_err *err)
{
    struct vt_err why = { 0 };

    if (!answer->has_data_set)
        return true;
    if (finding->cancelled)
        return vt_assoc_drop_data(finding->assoc, err);
    if (!vt_wire_read_identifier(finding->assoc, finding->presentation, &finding->raw,
                                 &finding->identifier, err))
        return false;
    finding->matches++;
    bool more = finding->match(finding->context, finding->identifier.data, finding->identifier.size,
                               answer->status, &why);
    bool enough = finding->request->limit && finding->matches >= finding->request->limit;
    if (!more && vt_failed(&why)) {
        *err = why;
        return false;
    }
    if (more && !enough)
        return true;
    finding->cancelled = true;
    return vt_wire_cancel(finding->assoc, finding->presentation, finding->command.message_id, err);
}

static bool read_answers(struct finding *finding, uint16_t *out_status, struct vt_err *err)
{
    struct vt_command answer;

    for (;;) {
        if (!vt_wire_answer(finding->assoc, vt_wire_deadline(finding->client), &finding->command,
                            &answer, err))
            return false;
        if (!vt_status_pending(answer.status))
            break;
        if (!take_match(finding, &answer, err))
            return false;
    }
    if (answer.has_data_set && !vt_assoc_drop_data(finding->assoc, err))
        return false;
    vt_assoc_release(finding->assoc);
    if (answer.status != VT_STATUS_SUCCESS &&
        !(answer.status == VT_STATUS_CANCEL && finding->cancelled))
        return vt_wire_fail_status(&answer, err);
    *out_status = answer.status;
    return true;
}

bool vt_client_find(const struct vt_client *client, const struct vt_find_request *request,
                    vt_find_match match, void *context, uint16_t *out_status, struct vt_err *err)
{
    const char *sop_class = vt_sop_class_of_model(VT_SOP_FIND, request->model);
    struct finding finding = {
        .client = client, .request = request, .match = match, .context = context
    };

    if (!sop_class)
        return vt_fail(err, VT_E_INVALID, "C-FIND has no such information model");
    VT_AUTO(vt_assoc) assoc = open_for_find(client, request, sop_class, err);
    if (!assoc)
        return false;
    finding.assoc = assoc;
    finding.presentation = vt_wire_context(assoc, sop_class, err);
    if (!finding.presentation)
        return false;
    finding.command = (struct vt_command){
        .field = VT_C_FIND_RQ,
        .message_id = vt_assoc_message_id(assoc),
        .has_data_set = true,
    };
    memcpy(finding.command.sop_class_uid, finding.presentation->abstract_syntax,
           sizeof finding.command.sop_class_uid);
    vt_buf_init(&finding.raw, MATCH_MAX);
    vt_buf_init(&finding.identifier, MATCH_MAX);
    bool found = vt_wire_send_identifier(assoc, finding.presentation, &finding.command,
                                         request->identifier, request->size, err) &&
                 read_answers(&finding, out_status, err);
    vt_buf_fini(&finding.raw);
    vt_buf_fini(&finding.identifier);
    return found;
}
