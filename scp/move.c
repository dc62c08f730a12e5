/* C-MOVE (PS3.4 C.4.2): the instances go to a third AE, over associations of our own
 * (scu/client.h).
 *
 * The association's thread keeps to the mover: pending answers every second, also while one slide
 * is on its way, and the look for a C-CANCEL. Sender threads (dicom.move_parallel of them) do the
 * sub-operations, each its share of the selection; they meet in `struct moving`. A sender first
 * asks whether the destination must be woken. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/err.h"
#include "scp/retrieve.h"
#include "scu/client.h"
#include "scu/peers.h"

enum {
    MOVE_SENDERS_MAX = 8,
    MOVE_LOOK_MS = 100, /* for a cancel, and for the end of an association */
};

struct moving {
    struct vt_retrieval retrieval; /* fixed while senders run */
    const struct vt_peer *destination;
    size_t step;      /* senders: the k-th takes k, k + step ... */
    atomic_bool stop; /* cancelled, or the mover is gone */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* guarded by lock */
    struct vt_tally tally;
    size_t running;               /* senders */
    char reason[VT_ERR_TEXT_MAX]; /* of the first failure */
};

struct sender {
    struct moving *moving;
    pthread_t thread;
    size_t first, count;
    /* the sender's thread's */
    struct vt_reader reader;
    struct vt_stored stored; /* while open */
    bool open;
    uint8_t *told; /* count bits: done was called */
};

/* ---- the source of a sender's instances ---- */

static size_t place_of(const struct sender *sender, size_t i)
{
    return sender->first + i * sender->moving->step;
}

static void copy_uid(char out[static VT_UID_MAX + 1], const char *uid)
{
    snprintf(out, VT_UID_MAX + 1, "%s", uid);
}

static bool describe(void *context, size_t i, struct vt_outgoing *out, struct vt_err *err)
{
    struct sender *sender = context;
    const struct vt_selection *selection = sender->moving->retrieval.selection;
    size_t place = place_of(sender, i);

    (void)err;
    *out = (struct vt_outgoing){ .fd = -1 };
    copy_uid(out->sop_class, vt_selection_sop_class(selection, place));
    copy_uid(out->sop_uid, vt_selection_sop_uid(selection, place));
    copy_uid(out->transfer_syntax, vt_selection_transfer_syntax(selection, place));
    return true;
}

static bool open_instance(void *context, size_t i, struct vt_outgoing *out, struct vt_err *err)
{
    struct sender *sender = context;

    if (!vt_reader_open(&sender->reader, place_of(sender, i), &sender->stored, err))
        return false;
    sender->open = true;
    *out = (struct vt_outgoing){
        .fd = sender->stored.fd,
        .offset = sender->stored.data_set_offset,
        .size = sender->stored.data_set_size,
    };
    copy_uid(out->sop_class, sender->stored.entry.sop_class);
    copy_uid(out->sop_uid, sender->stored.entry.sop_uid);
    copy_uid(out->transfer_syntax, sender->stored.entry.transfer_syntax);
    return true;
}

static void count_one(struct moving *moving, size_t place, enum vt_outcome outcome,
                      const char *reason)
{
    pthread_mutex_lock(&moving->lock);
    vt_tally_add(&moving->tally, outcome, vt_selection_sop_uid(moving->retrieval.selection, place));
    if (outcome == VT_OUTCOME_FAILED && !*moving->reason)
        snprintf(moving->reason, sizeof moving->reason, "%s", reason);
    if ((moving->tally.total - vt_tally_remaining(&moving->tally)) % VT_PENDING_EVERY == 0)
        pthread_cond_signal(&moving->changed);
    pthread_mutex_unlock(&moving->lock);
}

static bool done(void *context, size_t i, struct vt_outgoing *sent, enum vt_sent result,
                 uint16_t status, const char *text)
{
    static const enum vt_outcome outcomes[] = {
        [VT_SENT_OK] = VT_OUTCOME_COMPLETED,      [VT_SENT_WARNING] = VT_OUTCOME_WARNING,
        [VT_SENT_FAILED] = VT_OUTCOME_FAILED,     [VT_SENT_NO_CONTEXT] = VT_OUTCOME_FAILED,
        [VT_SENT_UNREADABLE] = VT_OUTCOME_FAILED,
    };
    struct sender *sender = context;
    struct moving *moving = sender->moving;
    char reason[VT_ERR_TEXT_MAX];

    (void)sent;
    if (sender->open)
        vt_stored_close(&sender->stored);
    sender->open = false;
    sender->told[i / 8] |= (uint8_t)(1u << (i % 8));
    if (result == VT_SENT_OK || result == VT_SENT_WARNING)
        atomic_fetch_add(&moving->retrieval.session->traffic->sent, 1);
    if (text && *text)
        snprintf(reason, sizeof reason, "%s", text);
    else
        snprintf(reason, sizeof reason, "%s answered status %04X", moving->destination->ae_title,
                 status);
    count_one(moving, place_of(sender, i), outcomes[result], reason);
    return !atomic_load(&moving->stop);
}

/* ---- a sender ---- */

static bool send_share(struct sender *sender, struct vt_err *err)
{
    struct moving *moving = sender->moving;
    const struct vt_session *session = moving->retrieval.session;
    const struct vt_server_options *options = session->options;
    const struct vt_peer *destination = moving->destination;

    if (options->wake && !options->wake(options->wake_context, destination->ae_title, err))
        return false;
    if (atomic_load(&moving->stop))
        return true;
    struct vt_client client = {
        .calling_ae_title =
            destination->local_ae_title ? destination->local_ae_title : options->ae_title,
        .peer = destination,
        .max_pdu = options->max_pdu,
        .timeout = destination->timeout,
    };
    struct vt_source source = { sender->count, describe, open_instance, done, sender };
    struct vt_store_options store = {
        .originator_ae_title = session->calling_ae_title,
        .originator_message_id = moving->retrieval.command->message_id,
        .priority = moving->retrieval.command->priority,
    };
    return vt_client_store(&client, &source, &store, err);
}

/* What was never reached because the association could not be had or was lost. */
static void fail_rest(struct sender *sender, const struct vt_err *why)
{
    for (size_t i = 0; i < sender->count; i++)
        if (!(sender->told[i / 8] & (1u << (i % 8))))
            count_one(sender->moving, place_of(sender, i), VT_OUTCOME_FAILED, why->text);
}

static void *sender_thread(void *context)
{
    struct sender *sender = context;
    struct moving *moving = sender->moving;
    struct vt_err err = { 0 };

    bool ok = send_share(sender, &err);
    if (!ok && !atomic_load(&moving->stop))
        fail_rest(sender, &err);
    if (sender->open)
        vt_stored_close(&sender->stored);
    vt_reader_fini(&sender->reader);
    pthread_mutex_lock(&moving->lock);
    moving->running--;
    pthread_cond_signal(&moving->changed);
    pthread_mutex_unlock(&moving->lock);
    return NULL;
}

static bool sender_start(struct sender *sender, struct moving *moving, size_t k)
{
    pthread_attr_t attributes;

    *sender = (struct sender){ .moving = moving, .first = k };
    vt_reader_init(&sender->reader, &moving->retrieval, moving->step);
    sender->count = (moving->tally.total - k + moving->step - 1) / moving->step;
    sender->told = calloc(sender->count / 8 + 1, 1);
    if (!sender->told || pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setstacksize(&attributes, VT_SESSION_STACK);
    bool started = pthread_create(&sender->thread, &attributes, sender_thread, sender) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

/* ---- the mover's association meanwhile ---- */

/* Waits until there is something to say or to look for; a copy of the counts, without the list. */
static struct vt_tally wait_a_while(struct moving *moving, bool *out_running)
{
    int64_t until = vt_clock_mono() + MOVE_LOOK_MS * VT_NS_PER_MS;
    struct timespec deadline = { .tv_sec = until / VT_NS_PER_S, .tv_nsec = until % VT_NS_PER_S };

    pthread_mutex_lock(&moving->lock);
    if (moving->running > 0)
        pthread_cond_timedwait(&moving->changed, &moving->lock, &deadline);
    *out_running = moving->running > 0;
    struct vt_tally counts = moving->tally;
    pthread_mutex_unlock(&moving->lock);
    counts.failed_uids = (struct vt_buf){ 0 };
    return counts;
}

/* Until all senders have ended. false: the mover is gone (and the senders are told to stop). */
static bool attend(struct moving *moving, bool *out_cancelled, struct vt_err *err)
{
    struct vt_retrieval *retrieval = &moving->retrieval;
    bool running = true, there = true;

    *out_cancelled = false;
    while (running) {
        struct vt_tally counts = wait_a_while(moving, &running);
        if (!running || !there || *out_cancelled)
            continue;
        there = vt_retrieval_pending(retrieval, &counts, err) &&
                vt_assoc_cancelled(retrieval->session->assoc, retrieval->command->message_id,
                                   out_cancelled, err);
        if (!there || *out_cancelled)
            atomic_store(&moving->stop, true);
    }
    return there;
}

/* ---- the whole ---- */

static size_t senders_wanted(const struct moving *moving)
{
    size_t wanted = moving->retrieval.session->options->move_parallel;

    if (wanted > MOVE_SENDERS_MAX)
        wanted = MOVE_SENDERS_MAX;
    if (wanted > moving->tally.total)
        wanted = moving->tally.total;
    return wanted == 0 && moving->tally.total > 0 ? 1 : wanted;
}

/* The share of a sender that could not be started fails. */
static void fail_share(struct moving *moving, size_t k)
{
    for (size_t place = k; place < moving->tally.total; place += moving->step)
        count_one(moving, place, VT_OUTCOME_FAILED, "no memory for a sender");
}

static size_t start_senders(struct moving *moving, struct sender senders[static MOVE_SENDERS_MAX])
{
    size_t started = 0;

    moving->running = moving->step;
    while (started < moving->step && sender_start(&senders[started], moving, started))
        started++;
    for (size_t k = started; k < moving->step; k++)
        fail_share(moving, k);
    pthread_mutex_lock(&moving->lock);
    moving->running -= moving->step - started;
    pthread_mutex_unlock(&moving->lock);
    return started;
}

static bool run(struct moving *moving, struct vt_err *err)
{
    struct sender senders[MOVE_SENDERS_MAX] = { 0 };
    bool cancelled;

    moving->step = senders_wanted(moving);
    size_t started = start_senders(moving, senders);
    bool there = attend(moving, &cancelled, err);
    for (size_t k = 0; k < started; k++)
        pthread_join(senders[k].thread, NULL);
    for (size_t k = 0; k < moving->step; k++)
        free(senders[k].told);
    return there && vt_retrieval_finish(&moving->retrieval, &moving->tally, cancelled,
                                        *moving->reason ? moving->reason : NULL, err);
}

static const struct vt_peer *find_destination(const struct vt_session *session,
                                              const struct vt_command *command)
{
    const struct vt_peers *peers = session->options->peers;
    const struct vt_peer *peer = peers ? vt_peers_by_title(peers, command->move_destination) : NULL;

    return peer && peer->move_destination && peer->host ? peer : NULL;
}

static void moving_init(struct moving *moving)
{
    pthread_condattr_t attributes;

    vt_tally_init(&moving->tally, vt_selection_count(moving->retrieval.selection));
    pthread_mutex_init(&moving->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&moving->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void moving_fini(struct moving *moving)
{
    pthread_cond_destroy(&moving->changed);
    pthread_mutex_destroy(&moving->lock);
    vt_tally_fini(&moving->tally);
    vt_retrieval_fini(&moving->retrieval);
}

bool vt_serve_move(struct vt_session *session, uint8_t context_id, const struct vt_command *command,
                   struct vt_err *err)
{
    struct moving moving = {
        .retrieval = { .session = session, .context_id = context_id, .command = command },
        .destination = find_destination(session, command),
    };
    bool go;

    if (!moving.destination)
        return vt_session_refuse(session, context_id, command, VT_STATUS_DESTINATION_UNKNOWN,
                                 "the move destination is not a configured peer", err);
    if (!vt_retrieval_begin(&moving.retrieval, &go, err) || !go)
        return !vt_failed(err);
    moving_init(&moving);
    bool ok = run(&moving, err);
    moving_fini(&moving);
    return ok;
}
