/* tests/scu/fake_scp.h: an SCP in this process that does what a test tells it: refuses syntaxes,
 * loses associations, answers with given statuses. Included by one test program. One association at
 * a time is enough for it; each has a thread. */
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
#include "dicom/element.h"
#include "dicom/net.h"

enum { FAKE_STORED_MAX = 64, FAKE_THREADS_MAX = 256, FAKE_DATA_MAX = 1 << 20 };

struct fake_scp;

struct fake_stored {
    struct vt_command command;
    char transfer_syntax[VT_UID_MAX + 1];
    uint8_t *data;
    size_t size;
};

struct fake_scp {
    /* Set by the test before fake_scp_start. */
    const char *only_syntax;  /* NULL: the first proposed; else this one wherever it is offered */
    const char *refuse_class; /* abstract syntax to refuse; NULL: none */
    uint16_t store_status[4]; /* answered in turn, the last one again and again */
    size_t store_status_count;
    unsigned
        abort_every;  /* the n-th C-STORE of each association is answered by an abort; 0: never */
    unsigned matches; /* of a C-FIND */
    uint16_t final_status; /* of C-FIND, C-GET, C-MOVE; FE00 when cancelled */
    const char *comment;
    bool silent;             /* never answers a C-ECHO */
    const uint8_t *instance; /* what a C-GET sends, Explicit VR LE */
    size_t instance_size;
    const char *failed_uids; /* (0008,0058) of a final C-GET or C-MOVE answer; NULL: none */
    /* Answers what is not in this file; its data set is in `identifier`. NULL: the association ends. */
    bool (*other)(struct fake_scp *scp, struct vt_assoc *assoc, uint8_t id,
                  const struct vt_command *command, struct vt_err *err);
    void *other_context;

    /* Read behind fake_scp_stop. */
    atomic_uint associations, released, cancels;
    struct fake_stored stored[FAKE_STORED_MAX];
    atomic_size_t stored_count;
    uint16_t sub_status; /* what the other side answered to a sub-operation */
    char destination[VT_AE_TITLE_MAX + 1];
    struct vt_buf identifier; /* of the last request, as it came */
    char identifier_syntax[VT_UID_MAX + 1];

    struct vt_door *door;
    uint16_t port;
    pthread_t threads[FAKE_THREADS_MAX];
    atomic_size_t thread_count;
};

struct fake_visit {
    struct fake_scp *scp;
    struct vt_incoming *incoming;
};

static bool fake_decide(struct fake_scp *scp, struct vt_assoc *assoc, struct vt_err *err)
{
    for (size_t i = 0; i < vt_assoc_context_count(assoc); i++) {
        const struct vt_context *context = vt_assoc_context_at(assoc, i);
        bool storage = strstr(context->abstract_syntax, ".5.1.4.1.1.") != NULL;
        const char *syntax = scp->only_syntax && storage ? NULL : context->proposed[0];
        for (size_t j = 0; !syntax && j < context->proposed_count; j++)
            if (strcmp(context->proposed[j], scp->only_syntax) == 0)
                syntax = scp->only_syntax;
        if (scp->refuse_class && strcmp(context->abstract_syntax, scp->refuse_class) == 0)
            vt_assoc_refuse_context(assoc, context->id, VT_CONTEXT_USER_REJECTION);
        else if (!syntax)
            vt_assoc_refuse_context(assoc, context->id, VT_CONTEXT_TRANSFER_SYNTAXES);
        else if (!vt_assoc_accept_context(assoc, context->id, syntax, context->proposed_role, err))
            return false;
    }
    return vt_assoc_acknowledge(assoc, false, err);
}

static bool fake_keep(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    return vt_buf_append(context, bytes, size, err);
}

/* false: abort now. */
static bool fake_store(struct fake_scp *scp, struct vt_assoc *assoc, uint8_t id,
                       const struct vt_command *command, unsigned nth, struct vt_err *err)
{
    VT_AUTO_BUF(data, FAKE_DATA_MAX);
    size_t i = atomic_load(&scp->stored_count);

    if (!vt_assoc_read_data(assoc, fake_keep, &data, NULL, err))
        return false;
    if (scp->abort_every && nth % scp->abort_every == 0) {
        vt_assoc_abort(assoc, 0, 0);
        return false;
    }
    if (i < FAKE_STORED_MAX) {
        struct fake_stored *stored = &scp->stored[i];
        stored->command = *command;
        snprintf(stored->transfer_syntax, sizeof stored->transfer_syntax, "%s",
                 vt_assoc_context(assoc, id)->transfer_syntax);
        stored->size = data.size;
        stored->data = data.data;
        data = (struct vt_buf){ 0 };
    }
    atomic_store(&scp->stored_count, i + 1);
    size_t last = scp->store_status_count ? scp->store_status_count - 1 : 0;
    struct vt_command answer = vt_command_response(command, scp->store_status[i < last ? i : last]);
    if (answer.status && scp->comment)
        snprintf(answer.comment, sizeof answer.comment, "%s", scp->comment);
    return vt_assoc_send_command(assoc, id, &answer, err);
}

static bool fake_final(struct fake_scp *scp, struct vt_assoc *assoc, uint8_t id,
                       const struct vt_command *command, bool cancelled, bool counters,
                       struct vt_err *err)
{
    VT_AUTO_BUF(identifier, 4096);
    struct vt_writer writer = { .buf = &identifier, .encoding = VT_EXPLICIT_LE };
    struct vt_command answer =
        vt_command_response(command, cancelled ? VT_STATUS_CANCEL : scp->final_status);

    answer.has_counters = counters;
    answer.completed = counters ? 1 : 0;
    answer.failed = counters && scp->failed_uids ? 2 : 0;
    if (answer.status && scp->comment)
        snprintf(answer.comment, sizeof answer.comment, "%s", scp->comment);
    if (!counters || !scp->failed_uids)
        return vt_assoc_send_command(assoc, id, &answer, err);
    answer.has_data_set = true;
    if (strcmp(vt_assoc_context(assoc, id)->transfer_syntax, VT_UID_IMPLICIT_LE) == 0)
        writer.encoding = VT_IMPLICIT_LE;
    return vt_write_text(&writer, VT_TAG_FAILED_SOP_INSTANCE_UID_LIST, "UI", scp->failed_uids,
                         err) &&
           vt_assoc_send(assoc, id, &answer, identifier.data, identifier.size, err);
}

static bool fake_find(struct fake_scp *scp, struct vt_assoc *assoc, uint8_t id,
                      const struct vt_command *command, struct vt_err *err)
{
    struct vt_command pending = vt_command_response(command, VT_STATUS_PENDING);
    bool cancelled = false;
    char text[32];

    pending.has_data_set = true;
    for (unsigned i = 0; i < scp->matches && !cancelled; i++) {
        VT_AUTO_BUF(identifier, 4096);
        struct vt_writer writer = { .buf = &identifier, .encoding = VT_EXPLICIT_LE };
        if (strcmp(vt_assoc_context(assoc, id)->transfer_syntax, VT_UID_IMPLICIT_LE) == 0)
            writer.encoding = VT_IMPLICIT_LE;
        snprintf(text, sizeof text, "MATCH%u", i);
        if (!vt_write_text(&writer, VT_TAG_PATIENT_ID, "LO", text, err) ||
            !vt_assoc_send(assoc, id, &pending, identifier.data, identifier.size, err))
            return false;
        /* Room for a cancel to come. */
        if (i % 8 == 7)
            vt_clock_sleep(5 * VT_NS_PER_MS);
        if (!vt_assoc_cancelled(assoc, command->message_id, &cancelled, err))
            return false;
    }
    atomic_fetch_add(&scp->cancels, cancelled);
    return fake_final(scp, assoc, id, command, cancelled, false, err);
}

static bool fake_get(struct fake_scp *scp, struct vt_assoc *assoc, uint8_t id,
                     const struct vt_command *command, struct vt_err *err)
{
    const struct vt_context *context =
        vt_assoc_context_for(assoc, VT_UID_CT_IMAGE, VT_UID_EXPLICIT_LE);
    struct vt_command store = { .field = VT_C_STORE_RQ,
                                .message_id = 77,
                                .has_data_set = true,
                                .sop_class_uid = VT_UID_CT_IMAGE,
                                .sop_instance_uid = "1.2.3.4" };
    struct vt_command pending = vt_command_response(command, VT_STATUS_PENDING), answer;
    enum vt_next next;
    uint8_t answer_id;

    if (!context)
        return fake_final(scp, assoc, id, command, false, true, err);
    if (!vt_assoc_send(assoc, context->id, &store, scp->instance, scp->instance_size, err) ||
        !vt_assoc_next(assoc, vt_clock_mono() + 10 * VT_NS_PER_S, &next, &answer_id, &answer,
                       err) ||
        next != VT_NEXT_COMMAND)
        return false;
    scp->sub_status = answer.status;
    pending.has_counters = pending.has_remaining = true;
    pending.completed = 1;
    return vt_assoc_send_command(assoc, id, &pending, err) &&
           fake_final(scp, assoc, id, command, false, true, err);
}

static bool fake_serve(struct fake_scp *scp, struct vt_assoc *assoc, uint8_t id,
                       const struct vt_command *command, unsigned *stores, struct vt_err *err)
{
    struct vt_command answer = vt_command_response(command, VT_STATUS_SUCCESS);

    if (command->field == VT_C_STORE_RQ)
        return fake_store(scp, assoc, id, command, ++*stores, err);
    if (command->field == VT_C_ECHO_RQ)
        return scp->silent || vt_assoc_send_command(assoc, id, &answer, err);
    if (command->has_data_set) {
        vt_buf_reset(&scp->identifier);
        snprintf(scp->identifier_syntax, sizeof scp->identifier_syntax, "%s",
                 vt_assoc_context(assoc, id)->transfer_syntax);
        if (!vt_assoc_read_identifier(assoc, &scp->identifier, err))
            return false;
    }
    if (command->field == VT_C_FIND_RQ)
        return fake_find(scp, assoc, id, command, err);
    if (command->field == VT_C_GET_RQ)
        return fake_get(scp, assoc, id, command, err);
    if (command->field == VT_C_MOVE_RQ) {
        snprintf(scp->destination, sizeof scp->destination, "%s", command->move_destination);
        return fake_final(scp, assoc, id, command, false, true, err);
    }
    if (scp->other)
        return scp->other(scp, assoc, id, command, err);
    return command->field == VT_C_CANCEL_RQ; /* a late one */
}

static void *fake_thread(void *context)
{
    struct fake_visit visit = *(struct fake_visit *)context;
    struct fake_scp *scp = visit.scp;
    struct vt_err err = { 0 };
    struct vt_command command;
    enum vt_next next;
    unsigned stores = 0;
    uint8_t id;
    bool going;

    free(context);
    struct vt_assoc *assoc = vt_assoc_receive(visit.incoming, &err);
    going = assoc && fake_decide(scp, assoc, &err);
    atomic_fetch_add(&scp->associations, going);
    while (going &&
           vt_assoc_next(assoc, vt_clock_mono() + 20 * VT_NS_PER_S, &next, &id, &command, &err)) {
        if (next == VT_NEXT_RELEASE) {
            vt_assoc_acknowledge_release(assoc);
            atomic_fetch_add(&scp->released, 1);
        }
        going = next == VT_NEXT_COMMAND && fake_serve(scp, assoc, id, &command, &stores, &err);
    }
    vt_assoc_free(assoc);
    return NULL;
}

static void fake_arrived(void *context, struct vt_incoming *incoming)
{
    struct fake_scp *scp = context;
    struct fake_visit *visit = malloc(sizeof *visit);
    size_t i = atomic_load(&scp->thread_count);

    *visit = (struct fake_visit){ scp, incoming };
    if (i < FAKE_THREADS_MAX && pthread_create(&scp->threads[i], NULL, fake_thread, visit) == 0) {
        atomic_store(&scp->thread_count, i + 1);
        return;
    }
    vt_incoming_free(incoming);
    free(visit);
}

static void fake_refused(void *context, const char *host, const char *reason)
{
    (void)context;
    fprintf(stderr, "fake SCP refused %s: %s\n", host, reason);
}

static bool fake_scp_start(struct fake_scp *scp, struct vt_err *err)
{
    const struct vt_door_listener listener = { .address = "127.0.0.1" };
    const struct vt_door_options options = { .listeners = &listener,
                                             .listener_count = 1,
                                             .arrived = fake_arrived,
                                             .refused = fake_refused,
                                             .context = scp };

    vt_buf_init(&scp->identifier, FAKE_DATA_MAX);
    scp->door = vt_door_open(&options, err);
    if (!scp->door)
        return false;
    scp->port = vt_door_port(scp->door, 0);
    return true;
}

static void fake_scp_stop(struct fake_scp *scp)
{
    vt_door_free(scp->door);
    for (size_t i = 0; i < atomic_load(&scp->thread_count); i++)
        pthread_join(scp->threads[i], NULL);
}

static void fake_scp_fini(struct fake_scp *scp)
{
    for (size_t i = 0; i < FAKE_STORED_MAX; i++)
        free(scp->stored[i].data);
    vt_buf_fini(&scp->identifier);
}
