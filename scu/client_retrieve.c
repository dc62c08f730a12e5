#include "scu/client_retrieve.h"

#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"

enum { FAILED_LIST_MAX = 8 << 20 }; /* 65535 UIDs are 4.2 MB */

static void read_counts(const struct vt_command *answer, struct vt_retrieve_counts *counts)
{
    counts->status = answer->status;
    if (answer->has_counters) {
        counts->completed = answer->completed;
        counts->failed = answer->failed;
        counts->warning = answer->warning;
    }
    counts->remaining = answer->has_remaining ? answer->remaining : 0;
    memcpy(counts->comment, answer->comment, sizeof counts->comment);
}

/* (0008,0058) of a final answer. An identifier that cannot be read costs the list, not the result.
 */
static bool read_failed_list(struct vt_retrieve *retrieve, struct vt_err *err)
{
    VT_AUTO_BUF(raw, FAILED_LIST_MAX);
    VT_AUTO_BUF(identifier, FAILED_LIST_MAX);
    struct vt_buf *list = retrieve->request->failed_uids;
    struct vt_element element;
    struct vt_err why = { 0 };

    if (!list)
        return vt_assoc_drop_data(retrieve->assoc, err);
    if (!vt_wire_read_identifier(retrieve->assoc, retrieve->presentation, &raw, &identifier,
                                 &why)) {
        bool in_step = why.code == VT_E_LIMIT || why.code == VT_E_INVALID;
        if (!in_step)
            *err = why;
        return in_step;
    }
    if (!vt_element_find(identifier.data, identifier.size, VT_EXPLICIT_LE,
                         VT_TAG_FAILED_SOP_INSTANCE_UID_LIST, &element))
        return true;
    size_t length = (size_t)element.length;
    while (length > 0 && (element.value[length - 1] == '\0' || element.value[length - 1] == ' '))
        length--;
    return vt_buf_append(list, element.value, length, err);
}

static bool on_pending(struct vt_retrieve *retrieve, const struct vt_retrieve_counts *counts,
                       struct vt_err *err)
{
    if (!retrieve->progress || retrieve->cancelled || retrieve->progress(retrieve->context, counts))
        return true;
    retrieve->cancelled = true;
    return vt_wire_cancel(retrieve->assoc, retrieve->presentation, retrieve->command.message_id,
                          err);
}

bool vt_retrieve_run(struct vt_retrieve *retrieve, struct vt_retrieve_counts *out,
                     struct vt_err *err)
{
    struct vt_retrieve_counts counts = { 0 };
    struct vt_command answer;
    uint8_t context_id;

    do {
        if (!vt_wire_next(retrieve->assoc, vt_wire_deadline(retrieve->client), &context_id, &answer,
                          err)) {
            struct vt_err ignored = { 0 };
            if (err->code == VT_E_CANCELLED && !retrieve->cancelled)
                vt_wire_cancel(retrieve->assoc, retrieve->presentation,
                               retrieve->command.message_id, &ignored);
            return false;
        }
        bool ours = answer.field == (retrieve->command.field | 0x8000) &&
                    answer.responded_id == retrieve->command.message_id && answer.has_status;
        if (!ours && retrieve->other) {
            if (!retrieve->other(retrieve, context_id, &answer, err))
                return false;
            counts.status = VT_STATUS_PENDING;
            continue;
        }
        if (!ours)
            return vt_fail(err, VT_E_PROTOCOL, "the peer answered %s with %s",
                           vt_command_name(retrieve->command.field), vt_command_name(answer.field));
        read_counts(&answer, &counts);
        bool pending = vt_status_pending(counts.status);
        if (answer.has_data_set &&
            !(pending ? vt_assoc_drop_data(retrieve->assoc, err) : read_failed_list(retrieve, err)))
            return false;
        if (pending && !on_pending(retrieve, &counts, err))
            return false;
    } while (vt_status_pending(counts.status));
    vt_assoc_release(retrieve->assoc);
    *out = counts;
    return true;
}
