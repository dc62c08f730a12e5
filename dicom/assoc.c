#include "dicom/assoc.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "dicom/assoc_impl.h"
#include "dicom/wire.h"

enum {
    OUT_LIMIT = VT_QUEUE_FLUSH + 2 * VT_PDU_MAX
}; /* a full queue, one more PDV, one more command */

struct vt_assoc *vt_assoc_new(struct vt_conn *conn)
{
    struct vt_assoc *assoc = calloc(1, sizeof *assoc);

    if (!assoc) {
        vt_conn_free(conn);
        return NULL;
    }
    assoc->conn = conn;
    assoc->our_max_pdu = VT_PDU_MAX;
    vt_buf_init(&assoc->command, VT_COMMAND_MAX);
    vt_buf_init(&assoc->out, OUT_LIMIT);
    vt_buf_init(&assoc->beside, VT_COMMAND_MAX);
    vt_assoc_set_pace(assoc, VT_DATA_GAP, VT_DATA_RATE);
    return assoc;
}

static void wipe(uint8_t *secret, size_t size)
{
    if (secret)
        explicit_bzero(secret, size);
    free(secret);
}

void vt_assoc_free(struct vt_assoc *assoc)
{
    if (!assoc)
        return;
    if (!assoc->over)
        vt_assoc_abort(assoc, 0, 0);
    for (size_t i = 0; i < assoc->extended_count; i++)
        free(assoc->extended[i].bytes);
    free(assoc->extended);
    wipe(assoc->identity[0], assoc->identity_size[0]);
    wipe(assoc->identity[1], assoc->identity_size[1]);
    free(assoc->contexts);
    free(assoc->syntaxes);
    free(assoc->syntax_list);
    free(assoc->send_buffer);
    vt_buf_fini(&assoc->command);
    vt_buf_fini(&assoc->out);
    vt_buf_fini(&assoc->beside);
    vt_conn_free(assoc->conn);
    free(assoc);
}

/* ---- contexts ---- */

bool vt_assoc_make_contexts(struct vt_assoc *assoc, size_t contexts, size_t syntaxes,
                            struct vt_err *err)
{
    assoc->contexts = calloc(contexts, sizeof *assoc->contexts);
    assoc->syntaxes = calloc(syntaxes, sizeof *assoc->syntaxes);
    assoc->syntax_list = calloc(syntaxes, sizeof *assoc->syntax_list);
    if (!assoc->contexts || !assoc->syntaxes || !assoc->syntax_list)
        return vt_fail(err, VT_E_NOMEM, "no memory for presentation contexts");
    for (size_t i = 0; i < syntaxes; i++)
        assoc->syntax_list[i] = assoc->syntaxes[i];
    return true;
}

bool vt_assoc_add_extended(struct vt_assoc *assoc, const char *sop_class, const uint8_t *bytes,
                           size_t size, struct vt_err *err)
{
    if (assoc->extended_count == VT_EXTENDED_MAX)
        return true; /* nobody negotiates so many classes: the rest counts as not offered */
    struct vt_extended_item *grown =
        reallocarray(assoc->extended, assoc->extended_count + 1, sizeof *grown);
    if (grown)
        assoc->extended = grown;
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (!grown || !copy) {
        free(copy);
        return vt_fail(err, VT_E_NOMEM, "no memory for extended negotiation");
    }
    if (size > 0)
        memcpy(copy, bytes, size);
    struct vt_extended_item *item = &assoc->extended[assoc->extended_count++];
    *item = (struct vt_extended_item){ .bytes = copy, .size = size };
    strncpy(item->sop_class, sop_class, VT_UID_MAX);
    return true;
}

bool vt_assoc_extended_offer(const struct vt_assoc *assoc, const char *sop_class,
                             const uint8_t **out_bytes, size_t *out_size)
{
    for (size_t i = 0; i < assoc->extended_count; i++) {
        if (strcmp(assoc->extended[i].sop_class, sop_class) != 0)
            continue;
        *out_bytes = assoc->extended[i].bytes;
        *out_size = assoc->extended[i].size;
        return true;
    }
    return false;
}

void vt_assoc_identity(const struct vt_assoc *assoc, const uint8_t **out_primary,
                       size_t *out_primary_size, const uint8_t **out_secondary,
                       size_t *out_secondary_size)
{
    *out_primary = assoc->identity[0];
    *out_primary_size = assoc->identity_size[0];
    *out_secondary = assoc->identity[1];
    *out_secondary_size = assoc->identity_size[1];
}

const struct vt_assoc_info *vt_assoc_info(const struct vt_assoc *assoc)
{
    return &assoc->info;
}

size_t vt_assoc_context_count(const struct vt_assoc *assoc)
{
    return assoc->context_count;
}

const struct vt_context *vt_assoc_context_at(const struct vt_assoc *assoc, size_t i)
{
    return i < assoc->context_count ? &assoc->contexts[i] : NULL;
}

const struct vt_context *vt_assoc_context(const struct vt_assoc *assoc, uint8_t id)
{
    size_t at = id % 2 ? assoc->context_at[id / 2] : 0;

    return at > 0 ? &assoc->contexts[at - 1] : NULL;
}

const struct vt_context *vt_assoc_context_for(const struct vt_assoc *assoc,
                                              const char *abstract_syntax,
                                              const char *transfer_syntax)
{
    for (size_t i = 0; i < assoc->context_count; i++) {
        const struct vt_context *context = &assoc->contexts[i];
        if (context->result == VT_CONTEXT_ACCEPTED &&
            strcmp(context->abstract_syntax, abstract_syntax) == 0 &&
            (!transfer_syntax || strcmp(context->transfer_syntax, transfer_syntax) == 0))
            return context;
    }
    return NULL;
}

uint16_t vt_assoc_message_id(struct vt_assoc *assoc)
{
    if (++assoc->last_message_id == 0)
        assoc->last_message_id = 1;
    return assoc->last_message_id;
}

void vt_assoc_set_pace(struct vt_assoc *assoc, int64_t gap, uint32_t bytes_per_second)
{
    assoc->gap = gap > 0 ? gap : VT_DATA_GAP;
    assoc->bytes_per_second = bytes_per_second;
    assoc->conn->gap = assoc->gap;
}

void vt_assoc_on_rest(struct vt_assoc *assoc, void (*resting)(void *context), void *context)
{
    assoc->resting = resting;
    assoc->resting_context = context;
}

/* ---- the end ---- */

void vt_assoc_interrupt(struct vt_assoc *assoc)
{
    vt_conn_interrupt(assoc->conn);
}

void vt_assoc_abort(struct vt_assoc *assoc, uint8_t source, uint8_t reason)
{
    uint8_t pdu[VT_SHORT_PDU];

    if (assoc->over)
        return;
    assoc->over = true;
    vt_assoc_drop_negotiation(assoc);
    vt_put_short_pdu(pdu, VT_PDU_ABORT, 0, source, reason);
    vt_conn_last_words(assoc->conn, pdu, sizeof pdu);
    vt_conn_interrupt(assoc->conn);
}

void vt_assoc_acknowledge_release(struct vt_assoc *assoc)
{
    uint8_t pdu[VT_SHORT_PDU];

    if (assoc->over)
        return;
    assoc->over = true;
    vt_put_short_pdu(pdu, VT_PDU_RELEASE_RP, 0, 0, 0);
    vt_conn_last_words(assoc->conn, pdu, sizeof pdu);
}

/* Until the answer comes: data under way is dropped, a release that crosses ours is answered
 * (PS3.8 7.2.2.7). */
static bool await_release(struct vt_assoc *assoc, int64_t deadline, struct vt_err *err)
{
    uint8_t pdu[VT_SHORT_PDU], type, rest[4];

    while (vt_clock_mono() < deadline) {
        bool data = assoc->pdu_left > 0 || assoc->pdv_open;
        if (!data && !vt_conn_have(assoc->conn, VT_PDU_HEADER, deadline, err))
            return false;
        if (data || vt_conn_bytes(assoc->conn)[0] == VT_PDU_P_DATA) {
            if (!vt_assoc_skip_pdu(assoc, deadline, err))
                return false;
            continue;
        }
        if (!vt_assoc_read_short_pdu(assoc, deadline, &type, rest, err))
            return false;
        if (type != VT_PDU_RELEASE_RQ)
            return true;
        vt_put_short_pdu(pdu, VT_PDU_RELEASE_RP, 0, 0, 0);
        if (!vt_conn_send_bytes(assoc->conn, pdu, sizeof pdu, deadline, err))
            return false;
    }
    return vt_fail(err, VT_E_TIMEOUT, "no answer to the release");
}

/* Who is told to stop waits for a quick peer only. */
static int64_t release_time(const struct vt_assoc *assoc)
{
    struct pollfd stop = { .fd = assoc->conn->stop_fd, .events = POLLIN };

    return stop.fd > 0 && poll(&stop, 1, 0) > 0 ? VT_STOPPED_RELEASE_TIME : VT_RELEASE_TIME;
}

void vt_assoc_release(struct vt_assoc *assoc)
{
    uint8_t pdu[VT_SHORT_PDU];
    struct vt_err err = { 0 };
    int64_t deadline = vt_clock_mono() + release_time(assoc);

    if (assoc->over)
        return;
    assoc->conn->stop_fd = 0;
    vt_put_short_pdu(pdu, VT_PDU_RELEASE_RQ, 0, 0, 0);
    if (!vt_assoc_flush(assoc, &err) ||
        !vt_conn_send_bytes(assoc->conn, pdu, sizeof pdu, deadline, &err) ||
        !await_release(assoc, deadline, &err)) {
        vt_assoc_abort(assoc, 0, 0);
        return;
    }
    assoc->over = true;
    vt_conn_last_words(assoc->conn, NULL, 0);
}
