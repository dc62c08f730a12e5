/* tests/dicom/mini_scp.h: a small SCP on the door and associations, in this process: accepts every
 * context with its first transfer syntax and the role it proposes, answers C-ECHO, keeps what
 * C-STORE brings (size and sum), answers C-FIND with pending responses until it is cancelled or
 * `matches` are out. Included by test programs, once. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "dicom/assoc.h"
#include "dicom/net.h"

enum { MINI_IDENTIFIER_MAX = 1 << 20 };

struct mini_scp {
    /* set before mini_scp_start; the atomic ones at any time */
    struct vt_door_options door;
    struct vt_door_listener listener;
    _Atomic int64_t idle; /* ns between messages; 0: 20 s */
    _Atomic int64_t gap;  /* of data sets; 0: the default */
    _Atomic uint32_t rate;
    atomic_bool reject;                  /* every association: called AE title not recognized */
    atomic_uint matches;                 /* of a C-FIND */
    const char *_Atomic answer_extended; /* this SOP class: the offer goes back as it came */
    /* read behind mini_scp_stop or with care */
    struct vt_door *opened;
    uint16_t port;
    atomic_uint associations, ended, failed, refused, stored, echoes, found, cancelled, released,
        aborted, closed;
    atomic_ullong stored_bytes;
    atomic_ulong stored_sum;
    pthread_mutex_t lock;
    char last_error[VT_ERR_TEXT_MAX]; /* under lock, as the rest */
    char last_refusal[VT_ERR_TEXT_MAX];
    char last_calling[VT_AE_TITLE_MAX + 1];
    struct vt_command last_command;
    size_t last_contexts;
    char last_user[64], last_passcode[64];
    enum vt_role last_role;
    char last_version[17];
    uint32_t last_max_pdu;
};

struct mini_visit {
    struct mini_scp *scp;
    struct vt_incoming *incoming;
};

static bool mini_sum(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct mini_scp *scp = context;
    unsigned long sum = 0;

    (void)err;
    for (size_t i = 0; i < size; i++)
        sum += bytes[i];
    scp->stored_sum += sum;
    scp->stored_bytes += size;
    return true;
}

static bool mini_find(struct mini_scp *scp, struct vt_assoc *assoc, uint8_t context,
                      const struct vt_command *request, struct vt_err *err)
{
    static const uint8_t identifier[] = { 8,   0,   5,   0,   10,  0,   0,   0,   'I',
                                          'S', 'O', '_', 'I', 'R', ' ', '1', '0', '0' };
    struct vt_command pending = vt_command_response(request, VT_STATUS_PENDING);
    VT_AUTO_BUF(keys, MINI_IDENTIFIER_MAX);
    bool cancelled = false;

    if (!vt_assoc_read_identifier(assoc, &keys, err)) {
        if (err->code != VT_E_LIMIT)
            return false;
        vt_err_clear(err);
        struct vt_command refusal = vt_command_response(request, VT_STATUS_CANNOT_UNDERSTAND);
        return vt_assoc_send_command(assoc, context, &refusal, err);
    }
    for (unsigned i = 0; i < scp->matches && !cancelled; i++) {
        if (!vt_assoc_queue(assoc, context, &pending, identifier, sizeof identifier, err) ||
            (i % 16 == 0 && !vt_assoc_flush(assoc, err)) ||
            !vt_assoc_cancelled(assoc, request->message_id, &cancelled, err))
            return false;
        scp->found++;
    }
    scp->cancelled += cancelled;
    struct vt_command final =
        vt_command_response(request, cancelled ? VT_STATUS_CANCEL : VT_STATUS_SUCCESS);
    return vt_assoc_send_command(assoc, context, &final, err);
}

static bool mini_answer(struct mini_scp *scp, struct vt_assoc *assoc, uint8_t context,
                        const struct vt_command *request, struct vt_err *err)
{
    struct vt_command response = vt_command_response(request, VT_STATUS_SUCCESS);

    if (request->field == VT_C_FIND_RQ)
        return mini_find(scp, assoc, context, request, err);
    if (request->field == VT_C_CANCEL_RQ)
        return true;
    if (request->has_data_set && !vt_assoc_read_data(assoc, mini_sum, scp, NULL, err))
        return false;
    scp->stored += request->field == VT_C_STORE_RQ;
    scp->echoes += request->field == VT_C_ECHO_RQ;
    return vt_assoc_send_command(assoc, context, &response, err);
}

static bool mini_serve(struct mini_scp *scp, struct vt_assoc *assoc, struct vt_err *err)
{
    for (;;) {
        enum vt_next next;
        uint8_t context;
        struct vt_command command;
        if (!vt_assoc_next(assoc, vt_clock_mono() + scp->idle, &next, &context, &command, err))
            return false;
        if (next == VT_NEXT_RELEASE) {
            scp->released++;
            vt_assoc_acknowledge_release(assoc);
            return true;
        }
        scp->aborted += next == VT_NEXT_ABORT;
        scp->closed += next == VT_NEXT_CLOSED;
        if (next != VT_NEXT_COMMAND)
            return true;
        pthread_mutex_lock(&scp->lock);
        scp->last_command = command;
        pthread_mutex_unlock(&scp->lock);
        if (!mini_answer(scp, assoc, context, &command, err))
            return false;
    }
}

static void mini_note(struct mini_scp *scp, const struct vt_assoc *assoc)
{
    const struct vt_assoc_info *info = vt_assoc_info(assoc);
    const uint8_t *fields[2];
    size_t sizes[2];

    vt_assoc_identity(assoc, &fields[0], &sizes[0], &fields[1], &sizes[1]);
    pthread_mutex_lock(&scp->lock);
    memcpy(scp->last_calling, info->calling_ae_title, sizeof scp->last_calling);
    memcpy(scp->last_version, info->implementation_version, sizeof scp->last_version);
    scp->last_max_pdu = info->max_pdu;
    scp->last_contexts = vt_assoc_context_count(assoc);
    scp->last_role = vt_assoc_context_at(assoc, 0)->proposed_role;
    snprintf(scp->last_user, sizeof scp->last_user, "%.*s", (int)sizes[0],
             fields[0] ? (const char *)fields[0] : "");
    snprintf(scp->last_passcode, sizeof scp->last_passcode, "%.*s", (int)sizes[1],
             fields[1] ? (const char *)fields[1] : "");
    pthread_mutex_unlock(&scp->lock);
}

static bool mini_accept(struct mini_scp *scp, struct vt_assoc *assoc, struct vt_err *err)
{
    const uint8_t *offer;
    size_t size;

    for (size_t i = 0; i < vt_assoc_context_count(assoc); i++) {
        const struct vt_context *context = vt_assoc_context_at(assoc, i);
        if (!vt_assoc_accept_context(assoc, context->id, context->proposed[0],
                                     context->proposed_role, err))
            return false;
    }
    if (scp->answer_extended &&
        vt_assoc_extended_offer(assoc, scp->answer_extended, &offer, &size) &&
        !vt_assoc_extended_answer(assoc, scp->answer_extended, offer, size, err))
        return false;
    return vt_assoc_acknowledge(assoc, true, err);
}

static void *mini_visit(void *argument)
{
    struct mini_visit *visit = argument;
    struct mini_scp *scp = visit->scp;
    struct vt_err err = { 0 };
    VT_AUTO(vt_assoc) assoc = vt_assoc_receive(visit->incoming, &err);
    bool ok = assoc != NULL;

    free(visit);
    if (ok && scp->reject) {
        vt_assoc_reject(assoc, 1, 1, 7);
    } else if (ok) {
        if (scp->gap > 0)
            vt_assoc_set_pace(assoc, scp->gap, scp->rate);
        mini_note(scp, assoc);
        scp->associations++;
        ok = mini_accept(scp, assoc, &err) && mini_serve(scp, assoc, &err);
    }
    if (!ok) {
        pthread_mutex_lock(&scp->lock);
        memcpy(scp->last_error, err.text, sizeof err.text);
        pthread_mutex_unlock(&scp->lock);
        scp->failed++;
        if (assoc)
            vt_assoc_abort(assoc, 2, 0);
    }
    vt_assoc_free(vt_take(&assoc));
    scp->ended++;
    return NULL;
}

static void mini_arrived(void *context, struct vt_incoming *incoming)
{
    struct mini_visit *visit = malloc(sizeof *visit);
    pthread_t thread;

    *visit = (struct mini_visit){ context, incoming };
    pthread_create(&thread, NULL, mini_visit, visit);
    pthread_detach(thread);
}

static void mini_refused(void *context, const char *host, const char *reason)
{
    struct mini_scp *scp = context;

    (void)host;
    pthread_mutex_lock(&scp->lock);
    snprintf(scp->last_refusal, sizeof scp->last_refusal, "%s", reason);
    pthread_mutex_unlock(&scp->lock);
    scp->refused++;
}

static bool mini_scp_start(struct mini_scp *scp, struct vt_err *err)
{
    pthread_mutex_init(&scp->lock, NULL);
    if (!scp->listener.address)
        scp->listener.address = "127.0.0.1";
    if (scp->idle == 0)
        scp->idle = 20 * VT_NS_PER_S;
    scp->door.listeners = &scp->listener;
    scp->door.listener_count = 1;
    scp->door.arrived = mini_arrived;
    scp->door.refused = mini_refused;
    scp->door.context = scp;
    if (!vt_net_start(NULL, err))
        return false;
    scp->opened = vt_door_open(&scp->door, err);
    scp->port = scp->opened ? vt_door_port(scp->opened, 0) : 0;
    return scp->opened != NULL;
}

/* Until the counter reaches what is wanted, at most five seconds. */
static bool mini_wait(const atomic_uint *counter, unsigned wanted)
{
    for (int i = 0; i < 5000 && *counter < wanted; i++)
        usleep(1000);
    return *counter >= wanted;
}

/* Waits for the associations to end first (their peers must have gone). */
static void mini_scp_stop(struct mini_scp *scp)
{
    vt_door_free(scp->opened);
    mini_wait(&scp->ended, scp->associations);
    usleep(2000);
    pthread_mutex_destroy(&scp->lock);
}
