#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "scu/client_retrieve.h"

bool vt_client_move(const struct vt_client *client, const struct vt_retrieve_request *request,
                    vt_retrieve_progress progress, void *context, struct vt_retrieve_counts *out,
                    struct vt_err *err)
{
    const char *sop_class = vt_sop_class_of_model(VT_SOP_MOVE, request->model);
    const struct vt_propose propose = {
        .abstract_syntax = sop_class,
        .transfer_syntaxes = vt_wire_plain_syntaxes,
        .transfer_syntax_count = VT_COUNT(vt_wire_plain_syntaxes),
    };
    struct vt_retrieve retrieve = {
        .client = client,
        .request = request,
        .progress = progress,
        .context = context,
    };

    if (!sop_class)
        return vt_fail(err, VT_E_INVALID, "C-MOVE has no such information model");
    VT_AUTO(vt_assoc) assoc = vt_wire_open(client, &propose, 1, NULL, 0, err);
    if (!assoc)
        return false;
    retrieve.assoc = assoc;
    retrieve.presentation = vt_wire_context(assoc, sop_class, err);
    if (!retrieve.presentation)
        return false;
    retrieve.command = (struct vt_command){
        .field = VT_C_MOVE_RQ,
        .message_id = vt_assoc_message_id(assoc),
        .has_data_set = true,
    };
    snprintf(retrieve.command.sop_class_uid, sizeof retrieve.command.sop_class_uid, "%s",
             sop_class);
    if (!request->destination ||
        !vt_ae_title_trim(request->destination, retrieve.command.move_destination))
        return vt_fail(err, VT_E_INVALID, "'%s' is not an AE title to move to",
                       request->destination ? request->destination : "");
    return vt_wire_send_identifier(assoc, retrieve.presentation, &retrieve.command,
                                   request->identifier, request->size, err) &&
           vt_retrieve_run(&retrieve, out, err);
}
