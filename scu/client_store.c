#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "dicom/dataset.h"
#include "dicom/transcode.h"
#include "scu/client_wire.h"
#include "scu/store_plan.h"

#define NO_PAIR SIZE_MAX /* describe failed, done() was told */

/* An instance may take the answer's time and this many bytes a second more (reference 9). */
#define SLOWEST_BYTES_PER_SECOND (256 << 10)

struct job {
    const struct vt_client *client;
    const struct vt_source *source;
    struct vt_store_options options;
    struct vt_store_plan plan;
    size_t *pair_of;        /* of each instance */
    struct vt_assoc *assoc; /* of the present batch; NULL: none is open */
    unsigned losses;        /* associations lost since the last answer */
    struct vt_transcoded other;
};

/* What became of one instance. */
struct outcome {
    enum vt_sent result;
    uint16_t status;
    bool lost; /* the association is of no use any more */
    char text[VT_ERR_TEXT_MAX];
};

static bool tell(const struct job *job, size_t i, struct vt_outgoing *sent,
                 const struct outcome *outcome, struct vt_err *err)
{
    const struct vt_source *source = job->source;

    if (source->done(source->context, i, sent, outcome->result, outcome->status, outcome->text))
        return true;
    return vt_fail(err, VT_E_CANCELLED, "sending was stopped");
}

static void set_outcome(struct outcome *outcome, enum vt_sent result, const char *text)
{
    outcome->result = result;
    snprintf(outcome->text, sizeof outcome->text, "%s", text);
}

/* ---- before the association: who needs which context ---- */

/* One instance without a class must not cost all others their association. */
static bool proposable(const struct vt_outgoing *described, struct vt_err *err)
{
    if (!vt_uid_usable(described->sop_class))
        return vt_fail(err, VT_E_INVALID, "'%s' is no SOP Class UID", described->sop_class);
    if (!vt_uid_usable(described->transfer_syntax))
        return vt_fail(err, VT_E_INVALID, "'%s' is no Transfer Syntax UID",
                       described->transfer_syntax);
    return true;
}

static bool describe_all(struct job *job, struct vt_err *err)
{
    const struct vt_source *source = job->source;

    job->pair_of = calloc(source->count, sizeof *job->pair_of);
    if (!job->pair_of)
        return vt_fail(err, VT_E_NOMEM, "no memory for a list of %zu instances", source->count);
    for (size_t i = 0; i < source->count; i++) {
        struct vt_outgoing described = { .fd = -1 };
        struct outcome outcome = { 0 };
        struct vt_err why = { 0 };
        if (source->describe(source->context, i, &described, &why) &&
            proposable(&described, &why)) {
            if (!vt_store_plan_pair(&job->plan, described.sop_class, described.transfer_syntax,
                                    &job->pair_of[i], err))
                return false;
            continue;
        }
        job->pair_of[i] = NO_PAIR;
        set_outcome(&outcome, VT_SENT_UNREADABLE, why.text);
        if (!tell(job, i, &described, &outcome, err))
            return false;
    }
    return true;
}

static bool open_batch(struct job *job, uint32_t batch, struct vt_err *err)
{
    vt_autofree struct vt_propose *proposals = calloc(VT_CONTEXTS_MAX, sizeof *proposals);

    if (!proposals)
        return vt_fail(err, VT_E_NOMEM, "no memory for presentation contexts");
    size_t count = vt_store_plan_propose(&job->plan, batch, proposals);
    job->assoc = vt_wire_open(job->client, proposals, count, NULL, 0, err);
    return job->assoc != NULL;
}

/* ---- one instance ---- */

/* The context to send on: the stored syntax, else the best of what it can become. NULL: none. */
static const struct vt_context *choose_context(const struct job *job,
                                               const struct vt_outgoing *sent)
{
    const struct vt_context *best = NULL;
    unsigned best_rank = 0;

    for (size_t i = 0; i < vt_assoc_context_count(job->assoc) && best_rank < UINT_MAX; i++) {
        const struct vt_context *context = vt_assoc_context_at(job->assoc, i);
        bool lossy = job->client->peer->transcoding.lossy;
        if (context->result != VT_CONTEXT_ACCEPTED ||
            strcmp(context->abstract_syntax, sent->sop_class) != 0)
            continue;
        unsigned rank = strcmp(context->transfer_syntax, sent->transfer_syntax) == 0
                            ? UINT_MAX
                            : vt_transcode_rank(sent->transfer_syntax, context->transfer_syntax,
                                                lossy);
        if (rank > best_rank) {
            best = context;
            best_rank = rank;
        }
    }
    return best;
}

static struct vt_command store_request(const struct job *job, const struct vt_outgoing *sent)
{
    struct vt_command request = {
        .field = VT_C_STORE_RQ,
        .message_id = vt_assoc_message_id(job->assoc),
        .has_data_set = true,
        .priority = job->options.priority,
    };

    memcpy(request.sop_class_uid, sent->sop_class, sizeof request.sop_class_uid);
    memcpy(request.sop_instance_uid, sent->sop_uid, sizeof request.sop_instance_uid);
    if (job->options.originator_ae_title) {
        snprintf(request.originator_ae_title, sizeof request.originator_ae_title, "%s",
                 job->options.originator_ae_title);
        request.has_originator_id = true;
        request.originator_id = job->options.originator_message_id;
    }
    return request;
}

/* The data set in the context's syntax instead of its own. */
static bool transcode(const struct job *job, const struct vt_outgoing *sent,
                      const char *transfer_syntax, struct vt_transcoded *out, struct vt_err *err)
{
    struct vt_transcode what = {
        .fd = sent->fd,
        .offset = sent->offset,
        .size = sent->size,
        .from = sent->transfer_syntax,
        .to = transfer_syntax,
        .lossy = job->client->peer->transcoding.lossy,
    };

    return vt_transcode(&what, out, err);
}

static void judge_answer(const struct vt_command *answer, struct outcome *outcome)
{
    char text[VT_COMMENT_MAX + 32];

    outcome->status = answer->status;
    if (answer->status == VT_STATUS_SUCCESS) {
        outcome->result = VT_SENT_OK;
        return;
    }
    /* 0111H: the peer has it already (reference 4.7). */
    bool kept = vt_status_warning(answer->status) || answer->status == 0x0111;
    snprintf(text, sizeof text, "status %04XH%s%s", answer->status, *answer->comment ? ": " : "",
             answer->comment);
    set_outcome(outcome, kept ? VT_SENT_WARNING : VT_SENT_FAILED, text);
}

/* From the file as it is stored, else what was made of it. */
static bool write_instance(struct job *job, const struct vt_context *context,
                           const struct vt_outgoing *sent, bool as_stored,
                           const struct vt_command *request, struct vt_err *err)
{
    const struct vt_transcoded *other = &job->other;

    if (as_stored)
        return vt_assoc_send_file(job->assoc, context->id, request, sent->fd, sent->offset,
                                  sent->size, err);
    if (other->fd >= 0)
        return vt_assoc_send_file(job->assoc, context->id, request, other->fd, 0, other->size, err);
    return vt_assoc_send(job->assoc, context->id, request, other->bytes.data, other->bytes.size,
                         err);
}

static bool transfer(struct job *job, const struct vt_context *context,
                     const struct vt_outgoing *sent, bool as_stored, struct vt_command *out_answer,
                     struct vt_err *err)
{
    struct vt_command request = store_request(job, sent);
    uint64_t size = as_stored ? sent->size : job->other.size;
    int64_t more = (int64_t)(size / SLOWEST_BYTES_PER_SECOND) * VT_NS_PER_S;

    if (!as_stored && *job->other.sop_uid)
        memcpy(request.sop_instance_uid, job->other.sop_uid, sizeof request.sop_instance_uid);
    return write_instance(job, context, sent, as_stored, &request, err) &&
           vt_wire_answer(job->assoc, vt_wire_deadline(job->client) + more, &request, out_answer,
                          err);
}

static void tell_no_context(const struct vt_outgoing *sent, struct outcome *outcome)
{
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(sent->transfer_syntax);
    const struct vt_sop_class *sop_class = vt_sop_class_find(sent->sop_class);

    snprintf(outcome->text, sizeof outcome->text, "the peer takes no %s (of %s)",
             syntax ? syntax->name : sent->transfer_syntax,
             sop_class ? sop_class->name : sent->sop_class);
    outcome->result = VT_SENT_NO_CONTEXT;
}

static void send_opened(struct job *job, const struct vt_outgoing *sent, struct outcome *outcome)
{
    struct vt_command answer;
    struct vt_err why = { 0 };
    const struct vt_context *context = choose_context(job, sent);

    if (!context) {
        tell_no_context(sent, outcome);
        return;
    }
    bool as_stored = strcmp(context->transfer_syntax, sent->transfer_syntax) == 0;
    if (!as_stored && !transcode(job, sent, context->transfer_syntax, &job->other, &why)) {
        bool impossible = why.code == VT_E_UNSUPPORTED || why.code == VT_E_LIMIT;
        set_outcome(outcome, impossible ? VT_SENT_NO_CONTEXT : VT_SENT_UNREADABLE, why.text);
        return;
    }
    if (transfer(job, context, sent, as_stored, &answer, &why)) {
        job->losses = 0;
        judge_answer(&answer, outcome);
        return;
    }
    bool of_file = why.code == VT_E_IO || why.code == VT_E_CORRUPT;
    set_outcome(outcome, of_file ? VT_SENT_UNREADABLE : VT_SENT_FAILED, why.text);
    outcome->lost = true;
    job->losses += !of_file;
}

static bool send_one(struct job *job, size_t i, struct vt_err *err)
{
    const struct vt_store_pair *pair = job->plan.pairs[job->pair_of[i]];
    const struct vt_source *source = job->source;
    struct vt_outgoing sent = { .fd = -1 };
    struct outcome outcome = { 0 };
    struct vt_err why = { 0 };

    memcpy(sent.sop_class, pair->sop_class, sizeof sent.sop_class);
    memcpy(sent.transfer_syntax, pair->transfer_syntax, sizeof sent.transfer_syntax);
    if (!source->open(source->context, i, &sent, &why))
        set_outcome(&outcome, VT_SENT_UNREADABLE, why.text);
    else if (!*sent.sop_uid)
        set_outcome(&outcome, VT_SENT_UNREADABLE, "it has no SOP Instance UID");
    else
        send_opened(job, &sent, &outcome);

    if (outcome.lost) {
        vt_assoc_free(job->assoc);
        job->assoc = NULL;
    }
    if (!tell(job, i, &sent, &outcome, err))
        return false;
    if (job->losses > VT_STORE_LOSSES_MAX)
        return vt_fail(err, VT_E_CLOSED, "the association was lost %u times in a row, at last: %s",
                       job->losses, outcome.text);
    return true;
}

static bool send_batch(struct job *job, uint32_t batch, struct vt_err *err)
{
    for (size_t i = 0; i < job->source->count; i++) {
        if (job->pair_of[i] == NO_PAIR || job->plan.pairs[job->pair_of[i]]->batch != batch)
            continue;
        if ((!job->assoc && !open_batch(job, batch, err)) || !send_one(job, i, err))
            return false;
    }
    return true;
}

bool vt_client_store(const struct vt_client *client, const struct vt_source *source,
                     const struct vt_store_options *options, struct vt_err *err)
{
    struct job job = { .client = client,
                       .source = source,
                       .plan = { .transcoding = &client->peer->transcoding } };
    bool done = true;

    if (source->count == 0)
        return true;
    vt_transcoded_init(&job.other);
    if (options)
        job.options = *options;
    done = describe_all(&job, err);
    for (uint32_t batch = 0; done && batch < job.plan.batch_count; batch++) {
        done = send_batch(&job, batch, err);
        if (job.assoc && (done || err->code == VT_E_CANCELLED))
            vt_assoc_release(job.assoc);
        vt_assoc_free(job.assoc);
        job.assoc = NULL;
    }
    vt_transcoded_fini(&job.other);
    vt_store_plan_fini(&job.plan);
    free(job.pair_of);
    return done;
}
