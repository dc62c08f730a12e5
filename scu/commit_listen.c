/* The report comes on an association that the peer opens: a door, and behind it one association at
 * a time. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "dicom/door.h"
#include "scu/commit.h"

enum {
    LISTENER_QUEUE = 8, /* associations that wait */
    LISTENER_IDLE_S = 30,
};

struct vt_commit_listener {
    struct vt_door *door;
    pthread_mutex_t lock;
    pthread_cond_t came;
    /* guarded by lock */
    struct vt_incoming *waiting[LISTENER_QUEUE];
    size_t count;
};

static void arrived(void *context, struct vt_incoming *incoming)
{
    struct vt_commit_listener *listener = context;

    pthread_mutex_lock(&listener->lock);
    bool taken = listener->count < LISTENER_QUEUE;
    if (taken)
        listener->waiting[listener->count++] = incoming;
    pthread_cond_signal(&listener->came);
    pthread_mutex_unlock(&listener->lock);
    if (!taken)
        vt_incoming_reject(incoming, 2, 3, 2);
}

struct vt_commit_listener *vt_commit_listener_open(const char *address, uint16_t port,
                                                   struct ssl_ctx_st *tls, struct vt_err *err)
{
    struct vt_commit_listener *listener = calloc(1, sizeof *listener);
    const struct vt_door_listener where = { .address = address, .port = port, .tls = tls };
    pthread_condattr_t monotonic;

    if (!listener) {
        vt_fail(err, VT_E_NOMEM, "no memory to listen");
        return NULL;
    }
    pthread_mutex_init(&listener->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&listener->came, &monotonic);
    pthread_condattr_destroy(&monotonic);
    const struct vt_door_options options = {
        .listeners = &where, .listener_count = 1, .arrived = arrived, .context = listener
    };
    listener->door = vt_door_open(&options, err);
    if (listener->door)
        return listener;
    vt_commit_listener_free(listener);
    return NULL;
}

void vt_commit_listener_free(struct vt_commit_listener *listener)
{
    if (!listener)
        return;
    vt_door_free(listener->door);
    for (size_t i = 0; i < listener->count; i++)
        vt_incoming_free(listener->waiting[i]);
    pthread_cond_destroy(&listener->came);
    pthread_mutex_destroy(&listener->lock);
    free(listener);
}

uint16_t vt_commit_listener_port(const struct vt_commit_listener *listener)
{
    return vt_door_port(listener->door, 0);
}

static struct vt_incoming *next_incoming(struct vt_commit_listener *listener, int64_t deadline)
{
    struct timespec until = { .tv_sec = deadline / VT_NS_PER_S, .tv_nsec = deadline % VT_NS_PER_S };
    struct vt_incoming *incoming = NULL;
    int waited = 0;

    pthread_mutex_lock(&listener->lock);
    while (listener->count == 0 && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&listener->came, &listener->lock, &until);
    if (listener->count > 0) {
        incoming = listener->waiting[0];
        listener->count--;
        memmove(listener->waiting, listener->waiting + 1,
                listener->count * sizeof *listener->waiting);
    }
    pthread_mutex_unlock(&listener->lock);
    return incoming;
}

/* Reports come from the one who is asked to commit: the requestor is the SCP. */
static bool accept_contexts(struct vt_assoc *assoc, struct vt_err *err)
{
    for (size_t i = 0; i < vt_assoc_context_count(assoc); i++) {
        const struct vt_context *context = vt_assoc_context_at(assoc, i);
        bool report = strcmp(context->abstract_syntax, VT_UID_STORAGE_COMMITMENT) == 0;
        bool echo = strcmp(context->abstract_syntax, VT_UID_VERIFICATION) == 0;
        const char *syntax = NULL;
        for (size_t k = 0; k < context->proposed_count && !syntax; k++)
            if (strcmp(context->proposed[k], VT_UID_EXPLICIT_LE) == 0 ||
                strcmp(context->proposed[k], VT_UID_IMPLICIT_LE) == 0)
                syntax = context->proposed[k];
        if (!report && !echo)
            vt_assoc_refuse_context(assoc, context->id, VT_CONTEXT_ABSTRACT_SYNTAX);
        else if (!syntax)
            vt_assoc_refuse_context(assoc, context->id, VT_CONTEXT_TRANSFER_SYNTAXES);
        else if (!vt_assoc_accept_context(assoc, context->id, syntax,
                                          report && context->proposed_role != VT_ROLE_DEFAULT
                                              ? VT_ROLE_SCP
                                              : VT_ROLE_DEFAULT,
                                          err))
            return false;
    }
    return vt_assoc_acknowledge(assoc, false, err);
}

static bool answer(struct vt_assoc *assoc, uint8_t context_id, const struct vt_command *request,
                   uint16_t status, struct vt_err *err)
{
    struct vt_command response = vt_command_response(request, status);

    response.has_event_type = request->has_event_type;
    response.event_type = request->event_type;
    return vt_assoc_send_command(assoc, context_id, &response, err);
}

static bool take(struct vt_assoc *assoc, uint8_t context_id, const struct vt_command *request,
                 const char *transaction_uid, bool *out_reported, struct vt_commit_list *report,
                 struct vt_err *err)
{
    VT_AUTO_BUF(bytes, VT_COMMIT_BYTES_MAX);
    const struct vt_context *context = vt_assoc_context(assoc, context_id);
    bool implicit = strcmp(context->transfer_syntax, VT_UID_IMPLICIT_LE) == 0;
    struct vt_err why = { 0 };

    if (request->has_data_set && !vt_assoc_read_identifier(assoc, &bytes, err))
        return false;
    if (request->field == VT_C_ECHO_RQ)
        return answer(assoc, context_id, request, VT_STATUS_SUCCESS, err);
    if (request->field != VT_N_EVENT_REPORT_RQ)
        return answer(assoc, context_id, request, VT_STATUS_UNRECOGNIZED_OPERATION, err);
    if (!vt_commit_decode(bytes.data, bytes.size, implicit ? VT_IMPLICIT_LE : VT_EXPLICIT_LE,
                          report, &why))
        return answer(assoc, context_id, request,
                      why.dimse_status ? why.dimse_status : VT_STATUS_PROCESSING_FAILURE, err);
    *out_reported = strcmp(report->transaction_uid, transaction_uid) == 0;
    /* One that we never asked for: 0115, so that the peer does not try for days. */
    return answer(assoc, context_id, request, *out_reported ? VT_STATUS_SUCCESS : 0x0115, err);
}

static void serve(struct vt_incoming *incoming, const char *transaction_uid, int64_t deadline,
                  bool *out_reported, struct vt_commit_list *report)
{
    struct vt_err why = { 0 };
    VT_AUTO(vt_assoc) assoc = vt_assoc_receive(incoming, &why);

    if (!assoc || !accept_contexts(assoc, &why))
        return;
    for (;;) {
        int64_t idle = vt_clock_mono() + LISTENER_IDLE_S * VT_NS_PER_S;
        struct vt_command command;
        enum vt_next next;
        uint8_t context_id;
        /* One that was given the report may release in peace. */
        if (!vt_assoc_next(assoc, idle < deadline || *out_reported ? idle : deadline, &next,
                           &context_id, &command, &why))
            return;
        if (next == VT_NEXT_RELEASE)
            vt_assoc_acknowledge_release(assoc);
        if (next != VT_NEXT_COMMAND)
            return;
        bool reported = false;
        if (*out_reported ||
            !take(assoc, context_id, &command, transaction_uid, &reported, report, &why))
            return;
        *out_reported = reported;
    }
}

bool vt_commit_listener_wait(struct vt_commit_listener *listener, const char *transaction_uid,
                             int64_t deadline, bool *out_reported, struct vt_commit_list *report,
                             struct vt_err *err)
{
    (void)err;
    *out_reported = false;
    while (!*out_reported) {
        struct vt_incoming *incoming = next_incoming(listener, deadline);
        if (!incoming)
            return true;
        serve(incoming, transaction_uid, deadline, out_reported, report);
    }
    return true;
}
