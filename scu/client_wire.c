#include "scu/client_wire.h"

#include <stdio.h>
#include <string.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "dicom/element.h"

const char *const vt_wire_plain_syntaxes[2] = { VT_UID_EXPLICIT_LE, VT_UID_IMPLICIT_LE };

#define ANSWER_WAIT (60 * VT_NS_PER_S)
#define ASSOCIATE_WAIT (30 * VT_NS_PER_S)

struct vt_assoc *vt_wire_open(const struct vt_client *client, const struct vt_propose *contexts,
                              size_t count, const struct vt_extended *extended,
                              size_t extended_count, struct vt_err *err)
{
    const struct vt_peer *peer = client->peer;

    if (!peer->host || peer->port == 0) {
        vt_fail(err, VT_E_INVALID, "peer %s has no host and port: set peer.%s.host and .port",
                peer->ae_title, peer->name ? peer->name : peer->ae_title);
        return NULL;
    }
    const struct vt_assoc_request request = {
        .calling_ae_title = peer->local_ae_title ? peer->local_ae_title : client->calling_ae_title,
        .called_ae_title = peer->ae_title,
        .host = peer->host,
        .port = peer->port,
        .tls = client->tls ? client->tls : peer->tls_context,
        .tls_any_name = peer->tls_any_name,
        .tls_wanted = vt_certificate_is_wanted(&peer->certificate) ? &peer->certificate : NULL,
        .contexts = contexts,
        .context_count = count,
        .extended = extended,
        .extended_count = extended_count,
        .max_pdu = client->max_pdu,
        .stop_fd = client->stop_fd,
        /* The defaults are 10 s to connect and 30 s for the answer: a longer wait for answers does
         * not make a dead address better. */
        .timeout = client->timeout < ASSOCIATE_WAIT ? client->timeout : 0,
    };
    return vt_assoc_request(&request, err);
}

int64_t vt_wire_deadline(const struct vt_client *client)
{
    int64_t wait = client->timeout         ? client->timeout
                   : client->peer->timeout ? client->peer->timeout
                                           : ANSWER_WAIT;

    return vt_clock_mono() + wait;
}

bool vt_wire_next(struct vt_assoc *assoc, int64_t deadline, uint8_t *out_context_id,
                  struct vt_command *out, struct vt_err *err)
{
    enum vt_next next;

    if (!vt_assoc_next(assoc, deadline, &next, out_context_id, out, err)) {
        if (err->code == VT_E_TIMEOUT)
            return vt_fail(err, VT_E_TIMEOUT, "the peer did not answer in time");
        return false;
    }
    switch (next) {
    case VT_NEXT_COMMAND:
        return true;
    case VT_NEXT_RELEASE:
        vt_assoc_acknowledge_release(assoc);
        return vt_fail(err, VT_E_CLOSED,
                       "the peer released the association before it had answered");
    case VT_NEXT_ABORT:
        return vt_fail(err, VT_E_ABORTED, "the peer aborted the association");
    default:
        return vt_fail(err, VT_E_CLOSED, "the peer closed the connection");
    }
}

bool vt_wire_answer(struct vt_assoc *assoc, int64_t deadline, const struct vt_command *request,
                    struct vt_command *out, struct vt_err *err)
{
    uint8_t context_id;

    if (!vt_wire_next(assoc, deadline, &context_id, out, err))
        return false;
    if (out->field != (request->field | 0x8000) || out->responded_id != request->message_id ||
        !out->has_status)
        return vt_fail(err, VT_E_PROTOCOL, "the peer answered %s with %s",
                       vt_command_name(request->field), vt_command_name(out->field));
    return true;
}

const struct vt_context *vt_wire_context(const struct vt_assoc *assoc, const char *abstract_syntax,
                                         struct vt_err *err)
{
    static const char *const reasons[] = { "accepted", "not allowed to us", "no reason given",
                                           "service not supported",
                                           "transfer syntaxes not supported" };
    const struct vt_context *context = vt_assoc_context_for(assoc, abstract_syntax, NULL);

    if (context)
        return context;
    const struct vt_sop_class *sop_class = vt_sop_class_find(abstract_syntax);
    const char *reason = reasons[2];
    for (size_t i = 0; i < vt_assoc_context_count(assoc); i++) {
        const struct vt_context *refused = vt_assoc_context_at(assoc, i);
        if (strcmp(refused->abstract_syntax, abstract_syntax) == 0 &&
            (size_t)refused->result < VT_COUNT(reasons))
            reason = reasons[refused->result];
    }
    vt_fail(err, VT_E_REFUSED, "the peer refused %s: %s",
            sop_class ? sop_class->name : abstract_syntax, reason);
    return NULL;
}

bool vt_wire_fail_status(const struct vt_command *answer, struct vt_err *err)
{
    return vt_fail_dimse(err, VT_E_STATUS, answer->status,
                         "the peer answered %s with status %04XH%s%s",
                         vt_command_name(answer->field & 0x7fff), answer->status,
                         *answer->comment ? ": " : "", answer->comment);
}

static enum vt_encoding encoding_of(const struct vt_context *context)
{
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(context->transfer_syntax);

    return syntax ? syntax->encoding : VT_IMPLICIT_LE;
}

static bool reencode(const uint8_t *bytes, size_t size, enum vt_encoding from, enum vt_encoding to,
                     struct vt_buf *out, struct vt_err *err)
{
    struct vt_writer writer = { .buf = out, .encoding = to };
    struct vt_walk walk;
    struct vt_element element;
    bool more;

    if (!vt_element_check(bytes, size, from, &VT_ELEMENT_LIMITS_DEFAULT, err))
        return false;
    vt_walk_init(&walk, bytes, size, from);
    while (vt_walk_next(&walk, &element, &more, err) && more)
        if (!vt_write_element(&writer, &element, from, err))
            return false;
    return !vt_failed(err);
}

bool vt_wire_send_identifier(struct vt_assoc *assoc, const struct vt_context *context,
                             const struct vt_command *command, const uint8_t *identifier,
                             size_t size, struct vt_err *err)
{
    VT_AUTO_BUF(other, 2 * size + 1024);
    enum vt_encoding encoding = encoding_of(context);

    if (encoding == VT_EXPLICIT_LE)
        return vt_assoc_send(assoc, context->id, command, identifier, size, err);
    return reencode(identifier, size, VT_EXPLICIT_LE, encoding, &other, err) &&
           vt_assoc_send(assoc, context->id, command, other.data, other.size, err);
}

bool vt_wire_read_identifier(struct vt_assoc *assoc, const struct vt_context *context,
                             struct vt_buf *raw, struct vt_buf *out, struct vt_err *err)
{
    enum vt_encoding encoding = encoding_of(context);

    vt_buf_reset(raw);
    vt_buf_reset(out);
    if (!vt_assoc_read_identifier(assoc, raw, err))
        return false;
    if (encoding == VT_EXPLICIT_LE)
        return vt_element_check(raw->data, raw->size, encoding, &VT_ELEMENT_LIMITS_DEFAULT, err) &&
               vt_buf_append(out, raw->data, raw->size, err);
    return reencode(raw->data, raw->size, encoding, VT_EXPLICIT_LE, out, err);
}

bool vt_wire_cancel(struct vt_assoc *assoc, const struct vt_context *context, uint16_t message_id,
                    struct vt_err *err)
{
    const struct vt_command cancel = { .field = VT_C_CANCEL_RQ, .responded_id = message_id };

    return vt_assoc_send_command(assoc, context->id, &cancel, err);
}
