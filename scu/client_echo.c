#include <stdio.h>

#include "core/clock.h"
#include "core/err.h"
#include "scu/client_wire.h"

bool vt_client_echo(const struct vt_client *client, struct vt_echo_times *out, struct vt_err *err)
{
    const struct vt_propose propose = {
        .abstract_syntax = VT_UID_VERIFICATION,
        .transfer_syntaxes = vt_wire_plain_syntaxes,
        .transfer_syntax_count = VT_COUNT(vt_wire_plain_syntaxes),
    };
    struct vt_echo_times times = { 0 };
    struct vt_command answer;
    int64_t start = vt_clock_mono();

    VT_AUTO(vt_assoc) assoc = vt_wire_open(client, &propose, 1, NULL, 0, err);
    if (!assoc)
        return false;
    times.associate = vt_clock_mono() - start;
    snprintf(times.implementation_version, sizeof times.implementation_version, "%s",
             vt_assoc_info(assoc)->implementation_version);

    const struct vt_context *context = vt_wire_context(assoc, VT_UID_VERIFICATION, err);
    struct vt_command request = {
        .field = VT_C_ECHO_RQ,
        .message_id = vt_assoc_message_id(assoc),
        .sop_class_uid = VT_UID_VERIFICATION,
    };
    start = vt_clock_mono();
    if (!context || !vt_assoc_send_command(assoc, context->id, &request, err) ||
        !vt_wire_answer(assoc, vt_wire_deadline(client), &request, &answer, err))
        return false;
    times.echo = vt_clock_mono() - start;
    vt_assoc_release(assoc);
    if (answer.status != VT_STATUS_SUCCESS)
        return vt_wire_fail_status(&answer, err);
    *out = times;
    return true;
}
