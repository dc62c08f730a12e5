/* C-GET (PS3.4 C.4.3): the instances go back on the association that asked for them, each as a
 * C-STORE of ours, on a context for whose class the peer took the SCP role. Stored bytes go from
 * the file into PDVs. A peer that accepted another syntax gets the instance transcoded
 * (dicom/transcode.h); anything else is a failed sub-operation with a reason. */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "dicom/dataset.h"
#include "dicom/transcode.h"
#include "scp/retrieve.h"
#include "scu/peers.h"

enum {
    ANSWER_WAIT_S = 60, /* for the peer's C-STORE response, and a second for each ... */
    ANSWER_BYTES_PER_S = 1 << 20,
};

struct getting {
    struct vt_retrieval retrieval;
    struct vt_tally tally;
    struct vt_reader reader;
    struct vt_transcoded other; /* what an instance became */
    char reason[VT_COMMENT_MAX + 1]; /* of the first failure */
    bool cancelled;
};

/* ---- which context ---- */

static bool takes_storage(const struct vt_context *context, const char *sop_class)
{
    return context->result == VT_CONTEXT_ACCEPTED &&
           strcmp(context->abstract_syntax, sop_class) == 0 &&
           (context->accepted_role == VT_ROLE_SCP || context->accepted_role == VT_ROLE_SCU_SCP);
}

/* NULL: none was chosen; *why says so. */
static const struct vt_context *no_context(const struct vt_index_entry *entry, bool any,
                                           struct vt_err *why)
{
    const struct vt_transfer_syntax *stored = vt_transfer_syntax_find(entry->transfer_syntax);

    if (any)
        vt_fail(why, VT_E_REFUSED, "transfer syntax %s not accepted",
                stored ? stored->name : entry->transfer_syntax);
    else
        vt_fail(why, VT_E_REFUSED, "class %s not proposed with SCP role", entry->sop_class);
    return NULL;
}

static struct vt_transcoding transcoding_of(const struct vt_session *session)
{
    return session->peer ? session->peer->transcoding : (struct vt_transcoding){ .count = 0 };
}

/* The stored syntax, else the best of what it can become. NULL: none; *why says so. */
static const struct vt_context *choose_context(const struct vt_session *session,
                                               const struct vt_index_entry *entry,
                                               struct vt_err *why)
{
    const struct vt_transcoding rules = transcoding_of(session);
    const struct vt_context *best = NULL;
    unsigned best_rank = 0;
    bool any = false;

    for (size_t i = 0; i < vt_assoc_context_count(session->assoc); i++) {
        const struct vt_context *context = vt_assoc_context_at(session->assoc, i);
        if (!takes_storage(context, entry->sop_class))
            continue;
        any = true;
        if (strcmp(context->transfer_syntax, entry->transfer_syntax) == 0)
            return context;
        unsigned rank = rules.never ? 0
                                    : vt_transcode_rank(entry->transfer_syntax,
                                                        context->transfer_syntax, rules.lossy);
        if (rank > best_rank) {
            best = context;
            best_rank = rank;
        }
    }
    return best ? best : no_context(entry, any, why);
}

/* ---- one sub-operation ---- */

static int64_t answer_deadline(uint64_t size)
{
    return vt_clock_mono() + (int64_t)(ANSWER_WAIT_S + size / ANSWER_BYTES_PER_S) * VT_NS_PER_S;
}

/* The answer to our C-STORE; a C-CANCEL may come before it. */
static bool await_answer(struct getting *getting, uint16_t message_id, uint64_t size,
                         uint16_t *out_status, struct vt_err *err)
{
    struct vt_assoc *assoc = getting->retrieval.session->assoc;
    int64_t deadline = answer_deadline(size);

    for (;;) {
        struct vt_command command;
        enum vt_next next;
        uint8_t context_id;

        if (!vt_assoc_next(assoc, deadline, &next, &context_id, &command, err))
            return false;
        if (next != VT_NEXT_COMMAND)
            return vt_fail(err, VT_E_CLOSED, "the peer left while it was sent instances");
        if (command.has_data_set && !vt_assoc_drop_data(assoc, err))
            return false;
        if (command.field == VT_C_CANCEL_RQ) {
            getting->cancelled |= command.responded_id == getting->retrieval.command->message_id;
        } else if (command.field == VT_C_STORE_RSP && command.responded_id == message_id) {
            *out_status = command.status;
            return true;
        } else {
            return vt_fail(err, VT_E_PROTOCOL, "%s instead of a C-STORE response",
                           vt_command_name(command.field));
        }
    }
}

static bool send_bytes(struct getting *getting, const struct vt_context *context,
                       const struct vt_stored *stored, const struct vt_command *command,
                       bool as_stored, struct vt_err *err)
{
    struct vt_assoc *assoc = getting->retrieval.session->assoc;
    const struct vt_transcoded *other = &getting->other;

    if (as_stored)
        return vt_assoc_send_file(assoc, context->id, command, stored->fd, stored->data_set_offset,
                                  stored->data_set_size, err);
    if (other->fd >= 0)
        return vt_assoc_send_file(assoc, context->id, command, other->fd, 0, other->size, err);
    return vt_assoc_send(assoc, context->id, command, other->bytes.data, other->bytes.size, err);
}

static bool transcode(struct getting *getting, const struct vt_stored *stored,
                      const char *transfer_syntax, struct vt_err *why)
{
    struct vt_transcode what = {
        .fd = stored->fd,
        .offset = stored->data_set_offset,
        .size = stored->data_set_size,
        .from = stored->entry.transfer_syntax,
        .to = transfer_syntax,
        .lossy = transcoding_of(getting->retrieval.session).lossy,
    };

    return vt_transcode(&what, &getting->other, why);
}

/* false with *why: this one failed; false with *err: the association did. */
static bool send_stored(struct getting *getting, const struct vt_stored *stored,
                        enum vt_outcome *out, struct vt_err *why, struct vt_err *err)
{
    struct vt_session *session = getting->retrieval.session;
    const struct vt_context *context = choose_context(session, &stored->entry, why);
    uint16_t status = 0;

    if (!context)
        return false;
    bool as_stored = strcmp(context->transfer_syntax, stored->entry.transfer_syntax) == 0;
    if (!as_stored && !transcode(getting, stored, context->transfer_syntax, why))
        return false;
    uint64_t size = as_stored ? stored->data_set_size : getting->other.size;
    struct vt_command command = {
        .field = VT_C_STORE_RQ,
        .message_id = vt_assoc_message_id(session->assoc),
        .has_data_set = true,
        .priority = getting->retrieval.command->priority,
    };
    memcpy(command.sop_class_uid, stored->entry.sop_class, sizeof command.sop_class_uid);
    memcpy(command.sop_instance_uid,
           !as_stored && *getting->other.sop_uid ? getting->other.sop_uid : stored->entry.sop_uid,
           sizeof command.sop_instance_uid);
    if (!send_bytes(getting, context, stored, &command, as_stored, err) ||
        !await_answer(getting, command.message_id, size, &status, err))
        return false;
    atomic_fetch_add(&session->traffic->sent, 1);
    *out = vt_outcome_of(status);
    if (*out == VT_OUTCOME_FAILED)
        return vt_fail(why, VT_E_STATUS, "the peer answered status %04X", status);
    return true;
}

/* Counts the i-th; false: the association is of no more use. */
static bool send_one(struct getting *getting, size_t i, struct vt_err *err)
{
    struct vt_err why = { 0 };
    struct vt_stored stored;
    enum vt_outcome outcome = VT_OUTCOME_FAILED;

    if (vt_reader_open(&getting->reader, i, &stored, &why)) {
        send_stored(getting, &stored, &outcome, &why, err);
        vt_stored_close(&stored);
        if (vt_failed(err))
            return false;
    }
    if (vt_failed(&why) && !*getting->reason)
        snprintf(getting->reason, sizeof getting->reason, "%.*s", VT_COMMENT_MAX, why.text);
    vt_tally_add(&getting->tally, outcome, vt_selection_sop_uid(getting->retrieval.selection, i));
    return true;
}

/* ---- all of them ---- */

static bool send_all(struct getting *getting, struct vt_err *err)
{
    struct vt_retrieval *retrieval = &getting->retrieval;

    for (size_t i = 0; i < getting->tally.total && !getting->cancelled; i++) {
        bool cancelled = false;
        if (!send_one(getting, i, err) || !vt_retrieval_pending(retrieval, &getting->tally, err) ||
            !vt_assoc_cancelled(retrieval->session->assoc, retrieval->command->message_id,
                                &cancelled, err))
            return false;
        getting->cancelled |= cancelled;
    }
    return vt_retrieval_finish(retrieval, &getting->tally, getting->cancelled,
                               *getting->reason ? getting->reason : NULL, err);
}

bool vt_serve_get(struct vt_session *session, uint8_t context_id, const struct vt_command *command,
                  struct vt_err *err)
{
    struct getting getting = {
        .retrieval = { .session = session, .context_id = context_id, .command = command },
    };
    bool go;

    if (!vt_retrieval_begin(&getting.retrieval, &go, err) || !go)
        return !vt_failed(err);
    vt_transcoded_init(&getting.other);
    vt_tally_init(&getting.tally, vt_selection_count(getting.retrieval.selection));
    vt_reader_init(&getting.reader, &getting.retrieval, 1);
    bool ok = send_all(&getting, err);
    vt_reader_fini(&getting.reader);
    vt_tally_fini(&getting.tally);
    vt_transcoded_fini(&getting.other);
    vt_retrieval_fini(&getting.retrieval);
    return ok;
}
