#include "scu/notify.h"

#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/tags.h"
#include "scu/client_wire.h"

enum {
    TAG_REFERENCED_PPS_SEQUENCE = 0x00081111,
    TAG_REFERENCED_SERIES_SEQUENCE = 0x00081115,
    TAG_REFERENCED_SOP_CLASS_UID = 0x00081150,
    TAG_REFERENCED_SOP_INSTANCE_UID = 0x00081155,
    TAG_REFERENCED_SOP_SEQUENCE = 0x00081199,
};

static bool write_instance(struct vt_writer *w, const struct vt_notify *notify,
                           const struct vt_notify_instance *one, struct vt_err *err)
{
    return vt_write_item_begin(w, err) &&
           vt_write_text(w, VT_TAG_RETRIEVE_AE_TITLE, "AE", notify->retrieve_ae_title, err) &&
           vt_write_text(w, VT_TAG_INSTANCE_AVAILABILITY, "CS", one->availability, err) &&
           vt_write_text(w, TAG_REFERENCED_SOP_CLASS_UID, "UI", one->sop_class, err) &&
           vt_write_text(w, TAG_REFERENCED_SOP_INSTANCE_UID, "UI", one->sop_uid, err) &&
           vt_write_item_end(w, err);
}

/* From the first instance of a series; *at goes behind its last. */
static bool write_series(struct vt_writer *w, const struct vt_notify *notify, size_t *at,
                         struct vt_err *err)
{
    const char *series = notify->instances[*at].series_uid;

    if (!vt_write_item_begin(w, err) ||
        !vt_write_sequence_begin(w, TAG_REFERENCED_SOP_SEQUENCE, err))
        return false;
    for (; *at < notify->count && strcmp(notify->instances[*at].series_uid, series) == 0; ++*at)
        if (!write_instance(w, notify, &notify->instances[*at], err))
            return false;
    return vt_write_sequence_end(w, err) &&
           vt_write_text(w, VT_TAG_SERIES_INSTANCE_UID, "UI", series, err) &&
           vt_write_item_end(w, err);
}

bool vt_notify_encode(const struct vt_notify *notify, struct vt_buf *out, struct vt_err *err)
{
    struct vt_writer w = { .buf = out, .encoding = VT_EXPLICIT_LE };

    if (!vt_write_sequence_begin(&w, TAG_REFERENCED_PPS_SEQUENCE, err) ||
        !vt_write_sequence_end(&w, err) ||
        !vt_write_sequence_begin(&w, TAG_REFERENCED_SERIES_SEQUENCE, err))
        return false;
    for (size_t at = 0; at < notify->count;)
        if (!write_series(&w, notify, &at, err))
            return false;
    return vt_write_sequence_end(&w, err) &&
           vt_write_text(&w, VT_TAG_STUDY_INSTANCE_UID, "UI", notify->study_uid, err);
}

static bool send_it(struct vt_assoc *assoc, const struct vt_client *client,
                    const struct vt_context *context, const struct vt_buf *data_set,
                    struct vt_err *err)
{
    struct vt_command answer, request = { .field = VT_N_CREATE_RQ,
                                          .message_id = vt_assoc_message_id(assoc),
                                          .has_data_set = true };

    snprintf(request.sop_class_uid, sizeof request.sop_class_uid, "%s",
             VT_UID_AVAILABILITY_NOTIFICATION);
    vt_uid_new(request.sop_instance_uid);
    if (!vt_wire_send_identifier(assoc, context, &request, data_set->data, data_set->size, err) ||
        !vt_wire_answer(assoc, vt_wire_deadline(client), &request, &answer, err) ||
        (answer.has_data_set && !vt_assoc_drop_data(assoc, err)))
        return false;
    return answer.status == VT_STATUS_SUCCESS || vt_status_warning(answer.status) ||
           vt_wire_fail_status(&answer, err);
}

bool vt_client_notify(const struct vt_client *client, const struct vt_notify *notify,
                      struct vt_err *err)
{
    const struct vt_propose propose = { .abstract_syntax = VT_UID_AVAILABILITY_NOTIFICATION,
                                        .transfer_syntaxes = vt_wire_plain_syntaxes,
                                        .transfer_syntax_count = VT_COUNT(vt_wire_plain_syntaxes) };
    VT_AUTO_BUF(data_set, VT_NOTIFY_BYTES_MAX);

    if (!vt_notify_encode(notify, &data_set, err))
        return false;
    VT_AUTO(vt_assoc) assoc = vt_wire_open(client, &propose, 1, NULL, 0, err);
    const struct vt_context *context =
        assoc ? vt_wire_context(assoc, propose.abstract_syntax, err) : NULL;
    if (!context || !send_it(assoc, client, context, &data_set, err))
        return false;
    vt_assoc_release(assoc);
    return true;
}
