/* Reading P-DATA-TF (PS3.8 9.3.5, Annex E): commands, data sets in pieces, the look ahead for a
 * cancel. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "dicom/assoc_impl.h"
#include "dicom/wire.h"

enum {
    SLOWEST_SECONDS_MAX = 1 << 30,
    MESSAGE_FILL = 16 << 10, /* at once when a message begins: the rest may land elsewhere */
    LANDING_MIN = 16 << 10,  /* less is copied */
};

int64_t vt_assoc_slowest(const struct vt_assoc *assoc, int64_t start, uint64_t bytes)
{
    if (assoc->bytes_per_second == 0)
        return 0;
    uint64_t seconds = bytes / assoc->bytes_per_second + 1;
    if (seconds > SLOWEST_SECONDS_MAX)
        return 0;
    return start + assoc->gap + (int64_t)seconds * VT_NS_PER_S;
}

/* Latest moment for the next byte of a data set. */
static int64_t next_byte(const struct vt_assoc *assoc, int64_t start, uint64_t bytes)
{
    int64_t quiet = vt_clock_mono() + assoc->gap, slowest = vt_assoc_slowest(assoc, start, bytes);

    return slowest && slowest < quiet ? slowest : quiet;
}

/* The header of the PDU at the front of the buffer, not consumed. */
static bool peek_pdu(struct vt_assoc *assoc, int64_t deadline, uint8_t *out_type,
                     uint32_t *out_length, struct vt_err *err)
{
    if (!vt_conn_have(assoc->conn, VT_PDU_HEADER, deadline, err))
        return false;
    *out_type = vt_conn_bytes(assoc->conn)[0];
    *out_length = vt_be32(vt_conn_bytes(assoc->conn) + 2);
    return true;
}

bool vt_assoc_read_short_pdu(struct vt_assoc *assoc, int64_t deadline, uint8_t *out_type,
                             uint8_t out_rest[4], struct vt_err *err)
{
    uint8_t type;
    uint32_t length;

    if (!peek_pdu(assoc, deadline, &type, &length, err))
        return false;
    if (type < VT_PDU_RELEASE_RQ || type > VT_PDU_ABORT)
        return vt_fail(err, VT_E_PROTOCOL,
                       "the peer sent a PDU of type %02XH within the association", type);
    if (length != 4)
        return vt_fail(err, VT_E_PROTOCOL, "a PDU of type %02XH with %u bytes", type, length);
    if (!vt_conn_have(assoc->conn, VT_SHORT_PDU, deadline, err))
        return false;
    *out_type = type;
    memcpy(out_rest, vt_conn_bytes(assoc->conn) + VT_PDU_HEADER, 4);
    vt_conn_consume(assoc->conn, VT_SHORT_PDU);
    return true;
}

/* Enters the P-DATA-TF at the front of the buffer. */
static bool open_pdu(struct vt_assoc *assoc, int64_t deadline, struct vt_err *err)
{
    uint8_t type;
    uint32_t length;

    if (!peek_pdu(assoc, deadline, &type, &length, err))
        return false;
    if (type == VT_PDU_ABORT)
        return vt_fail(err, VT_E_ABORTED, "the peer aborted the association");
    if (type != VT_PDU_P_DATA)
        return vt_fail(err, VT_E_PROTOCOL, "a PDU of type %02XH within a message", type);
    if (length < VT_PDV_HEADER || length > assoc->our_max_pdu)
        return vt_fail(err, VT_E_PROTOCOL, "a P-DATA-TF of %u bytes, at most %u were agreed on",
                       length, assoc->our_max_pdu);
    vt_conn_consume(assoc->conn, VT_PDU_HEADER);
    assoc->pdu_left = length;
    return true;
}

/* Has the header of a PDV read, in the next PDU if need be. */
static bool open_pdv(struct vt_assoc *assoc, int64_t deadline, struct vt_err *err)
{
    if (assoc->pdv_open)
        return true;
    if (assoc->pdu_left == 0 && !open_pdu(assoc, deadline, err))
        return false;
    if (assoc->pdu_left < VT_PDV_HEADER)
        return vt_fail(err, VT_E_PROTOCOL, "%u bytes are left over in a P-DATA-TF",
                       assoc->pdu_left);
    if (!vt_conn_have(assoc->conn, VT_PDV_HEADER, deadline, err))
        return false;
    const uint8_t *p = vt_conn_bytes(assoc->conn);
    uint32_t length = vt_be32(p);
    if (length < 2 || length > assoc->pdu_left - 4)
        return vt_fail(err, VT_E_PROTOCOL, "a PDV claims %u bytes, its PDU has %u", length,
                       assoc->pdu_left - 4);
    assoc->pdv_context = p[4];
    assoc->pdv_control = p[5];
    assoc->pdv_left = length - 2;
    assoc->pdu_left -= 4 + length;
    assoc->pdv_open = true;
    vt_conn_consume(assoc->conn, VT_PDV_HEADER);
    assoc->empty_pdvs = assoc->pdv_left == 0 ? assoc->empty_pdvs + 1 : 0;
    if (assoc->empty_pdvs > VT_EMPTY_PDVS_MAX)
        return vt_fail(err, VT_E_PROTOCOL, "more than %d empty PDVs in a row", VT_EMPTY_PDVS_MAX);
    return true;
}

static bool check_pdv(const struct vt_assoc *assoc, bool command, uint8_t context,
                      struct vt_err *err)
{
    if (((assoc->pdv_control & VT_PDV_COMMAND) != 0) != command)
        return vt_fail(err, VT_E_PROTOCOL,
                       command ? "a data set without a command" : "a command within a data set");
    if (assoc->pdv_context != context)
        return vt_fail(err, VT_E_PROTOCOL, "a message changes from presentation context %u to %u",
                       context, assoc->pdv_context);
    return true;
}

static void close_pdv(struct vt_assoc *assoc)
{
    vt_conn_consume(assoc->conn, assoc->pdv_left);
    assoc->pdv_left = 0;
    assoc->pdv_open = false;
}

/* ---- commands ---- */

/* A command in several PDVs: the first one is open. */
static bool join_command(struct vt_assoc *assoc, uint8_t context, int64_t deadline,
                         struct vt_err *err)
{
    bool last = false;

    vt_buf_reset(&assoc->command);
    while (!last) {
        if (!open_pdv(assoc, deadline, err) || !check_pdv(assoc, true, context, err))
            return false;
        if (assoc->pdv_left > VT_COMMAND_MAX - assoc->command.size)
            return vt_fail(err, VT_E_PROTOCOL, "a command set of more than %d bytes",
                           VT_COMMAND_MAX);
        if (!vt_conn_have(assoc->conn, assoc->pdv_left, deadline, err) ||
            !vt_buf_append(&assoc->command, vt_conn_bytes(assoc->conn), assoc->pdv_left, err))
            return false;
        last = (assoc->pdv_control & VT_PDV_LAST) != 0;
        close_pdv(assoc);
    }
    return true;
}

static bool read_command(struct vt_assoc *assoc, int64_t deadline, uint8_t *out_context,
                         struct vt_command *out, struct vt_err *err)
{
    if (!open_pdv(assoc, deadline, err))
        return false;
    uint8_t context = assoc->pdv_context;
    const struct vt_context *agreed = vt_assoc_context(assoc, context);
    if (!agreed || agreed->result != VT_CONTEXT_ACCEPTED)
        return vt_fail(err, VT_E_PROTOCOL, "presentation context %u was not accepted", context);
    if (!check_pdv(assoc, true, context, err))
        return false;

    bool ok;
    if ((assoc->pdv_control & VT_PDV_LAST) && assoc->pdv_left <= VT_COMMAND_MAX) {
        ok = vt_conn_have(assoc->conn, assoc->pdv_left, deadline, err) &&
             vt_command_decode(vt_conn_bytes(assoc->conn), assoc->pdv_left, out, err);
        if (ok)
            close_pdv(assoc);
    } else {
        ok = join_command(assoc, context, deadline, err) &&
             vt_command_decode(assoc->command.data, assoc->command.size, out, err);
    }
    if (ok)
        *out_context = context;
    return ok;
}

/* The PDU at the front ends the association, or is none that may stand here. */
static bool read_end(struct vt_assoc *assoc, int64_t deadline, enum vt_next *out_next,
                     struct vt_err *err)
{
    uint8_t type, rest[4];

    if (!vt_assoc_read_short_pdu(assoc, deadline, &type, rest, err))
        return false;
    if (type == VT_PDU_RELEASE_RP)
        return vt_fail(err, VT_E_PROTOCOL, "the peer answered a release that nobody asked for");
    *out_next = type == VT_PDU_RELEASE_RQ ? VT_NEXT_RELEASE : VT_NEXT_ABORT;
    return true;
}

/* Lets go of idle memory when nothing comes for a while. */
static bool await_message(struct vt_assoc *assoc, int64_t deadline, struct vt_err *err)
{
    int64_t rest_at = vt_clock_mono() + VT_NS_PER_S;

    if (assoc->pdu_left > 0)
        return true;
    if (deadline == 0 || deadline > rest_at) {
        if (vt_conn_await(assoc->conn, rest_at, err))
            return true;
        if (err->code != VT_E_TIMEOUT)
            return false;
        vt_err_clear(err);
        int64_t before = vt_clock_mono();
        if (assoc->resting)
            assoc->resting(assoc->resting_context);
        if (deadline != 0)
            deadline += vt_clock_mono() - before;
        vt_conn_rest(assoc->conn);
        vt_buf_fini(&assoc->command);
        vt_buf_fini(&assoc->out);
        vt_buf_fini(&assoc->beside);
        free(vt_take(&assoc->send_buffer));
        assoc->send_capacity = 0;
    }
    return vt_conn_await(assoc->conn, deadline, err);
}

bool vt_assoc_next(struct vt_assoc *assoc, int64_t deadline, enum vt_next *out_next,
                   uint8_t *out_context_id, struct vt_command *out_command, struct vt_err *err)
{
    uint8_t type;
    uint32_t length;

    if (assoc->data_pending || assoc->over)
        return vt_fail(err, VT_E_INTERNAL,
                       assoc->over ? "the association is over" : "a data set was left unread");
    if (!vt_assoc_flush(assoc, err) || !await_message(assoc, deadline, err))
        return false;

    assoc->conn->fill_most = MESSAGE_FILL;
    int64_t until = vt_clock_mono() + VT_COMMAND_TIME;
    bool ok = assoc->pdu_left > 0 || peek_pdu(assoc, until, &type, &length, err);
    if (ok && assoc->pdu_left == 0 && type != VT_PDU_P_DATA)
        ok = read_end(assoc, until, out_next, err);
    else if (ok) {
        *out_next = VT_NEXT_COMMAND;
        ok = read_command(assoc, until, out_context_id, out_command, err);
        if (ok) {
            assoc->data_pending = out_command->has_data_set;
            assoc->data_context = *out_context_id;
        }
    }
    if (!ok && err->code == VT_E_CLOSED) {
        vt_err_clear(err);
        *out_next = VT_NEXT_CLOSED;
        return true;
    }
    return ok;
}

/* ---- data sets ---- */

/* Who takes a data set. */
struct taker {
    vt_assoc_landing landing; /* NULL: none */
    vt_assoc_sink sink;
    void *context;
};

/* From the socket to where it is wanted, and the header of the next PDV into the buffer. *out_size
 * 0: nobody wants it anywhere. */
static bool land(struct vt_assoc *assoc, const struct taker *taker, int64_t deadline,
                 size_t *out_size, struct vt_err *err)
{
    size_t room = 0;
    uint8_t *to = NULL;

    *out_size = 0;
    if (taker->landing && assoc->pdv_left >= LANDING_MIN)
        to = taker->landing(taker->context, &room);
    if (!to || room < LANDING_MIN)
        return true;
    bool all = room >= assoc->pdv_left;
    return vt_conn_receive(assoc->conn, to, all ? assoc->pdv_left : room,
                           all ? VT_PDU_HEADER + VT_PDV_HEADER : 0, deadline, out_size, err) &&
           taker->sink(taker->context, to, *out_size, err);
}

static bool read_pdv_data(struct vt_assoc *assoc, const struct taker *taker, int64_t start,
                          uint64_t *total, struct vt_err *err)
{
    while (assoc->pdv_left > 0) {
        size_t size = vt_conn_buffered(assoc->conn);
        if (size == 0) {
            int64_t deadline = next_byte(assoc, start, *total);
            if (!land(assoc, taker, deadline, &size, err))
                return false;
            if (size == 0 && !vt_conn_fill(assoc->conn, deadline, err))
                return false;
        } else {
            if (size > assoc->pdv_left)
                size = assoc->pdv_left;
            if (!taker->sink(taker->context, vt_conn_bytes(assoc->conn), size, err))
                return false;
            vt_conn_consume(assoc->conn, size);
        }
        assoc->pdv_left -= (uint32_t)size;
        *total += size;
    }
    return true;
}

bool vt_assoc_read_data(struct vt_assoc *assoc, vt_assoc_sink sink, void *context,
                        uint64_t *out_size, struct vt_err *err)
{
    return vt_assoc_land_data(assoc, NULL, sink, context, out_size, err);
}

bool vt_assoc_land_data(struct vt_assoc *assoc, vt_assoc_landing landing, vt_assoc_sink sink,
                        void *context, uint64_t *out_size, struct vt_err *err)
{
    const struct taker taker = { assoc->conn->tls ? NULL : landing, sink, context };
    int64_t start = vt_clock_mono();
    uint64_t total = 0;
    bool last = false;

    if (!assoc->data_pending)
        return vt_fail(err, VT_E_INTERNAL, "no data set was announced");
    if (!vt_assoc_flush(assoc, err))
        return false;
    while (!last) {
        if (!open_pdv(assoc, next_byte(assoc, start, total), err) ||
            !check_pdv(assoc, false, assoc->data_context, err))
            return false;
        /* What comes in small PDVs is copied anyway: as many as there are at once. */
        assoc->conn->fill_most = taker.landing && assoc->pdv_left >= LANDING_MIN ? MESSAGE_FILL : 0;
        if (!read_pdv_data(assoc, &taker, start, &total, err))
            return false;
        last = (assoc->pdv_control & VT_PDV_LAST) != 0;
        close_pdv(assoc);
    }
    assoc->data_pending = false;
    if (out_size)
        *out_size = total;
    return true;
}

struct identifier {
    struct vt_buf *out;
    bool too_long;
};

static bool collect(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct identifier *identifier = context;

    if (identifier->too_long || size > identifier->out->limit - identifier->out->size) {
        identifier->too_long = true;
        return true;
    }
    return vt_buf_append(identifier->out, bytes, size, err);
}

bool vt_assoc_read_identifier(struct vt_assoc *assoc, struct vt_buf *out, struct vt_err *err)
{
    struct identifier identifier = { .out = out };
    uint64_t size;

    if (!vt_assoc_read_data(assoc, collect, &identifier, &size, err))
        return false;
    if (identifier.too_long)
        return vt_fail(err, VT_E_LIMIT, "an identifier of %llu bytes, at most %zu are taken",
                       (unsigned long long)size, out->limit);
    return true;
}

static bool drop(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    (void)context, (void)bytes, (void)size, (void)err;
    return true;
}

bool vt_assoc_drop_data(struct vt_assoc *assoc, struct vt_err *err)
{
    return vt_assoc_read_data(assoc, drop, NULL, NULL, err);
}

bool vt_assoc_skip_pdu(struct vt_assoc *assoc, int64_t deadline, struct vt_err *err)
{
    if (assoc->pdv_open) {
        assoc->pdu_left += assoc->pdv_left;
        assoc->pdv_open = false;
        assoc->pdv_left = 0;
    } else if (assoc->pdu_left == 0 && !open_pdu(assoc, deadline, err)) {
        return false;
    }
    while (assoc->pdu_left > 0) {
        size_t size = vt_conn_buffered(assoc->conn);
        if (size == 0) {
            if (!vt_conn_fill(assoc->conn, deadline, err))
                return false;
            continue;
        }
        if (size > assoc->pdu_left)
            size = assoc->pdu_left;
        vt_conn_consume(assoc->conn, size);
        assoc->pdu_left -= (uint32_t)size;
    }
    return true;
}

/* ---- cancel ---- */

/* Reads ahead in what is there. VT_E_TIMEOUT: no whole command yet. */
static bool look_ahead(struct vt_assoc *assoc, struct vt_command *out, struct vt_err *err)
{
    uint8_t context, type;
    uint32_t length;

    if (assoc->pdu_left == 0) {
        if (!peek_pdu(assoc, VT_CONN_NOW, &type, &length, err))
            return false;
        if (type != VT_PDU_P_DATA && (type == VT_PDU_RELEASE_RQ || type == VT_PDU_ABORT))
            return vt_fail(err, VT_E_CLOSED, "the peer ends the association");
    }
    return read_command(assoc, VT_CONN_NOW, &context, out, err);
}

bool vt_assoc_cancelled(struct vt_assoc *assoc, uint16_t message_id, bool *out_cancelled,
                        struct vt_err *err)
{
    bool cancelled = false;

    while (!cancelled) {
        struct vt_command command;
        struct vt_err problem = { 0 };
        uint32_t pdu_left = assoc->pdu_left, pdv_left = assoc->pdv_left;
        bool pdv_open = assoc->pdv_open;

        vt_conn_keep(assoc->conn);
        bool whole = look_ahead(assoc, &command, &problem);
        bool cancel = whole && command.field == VT_C_CANCEL_RQ && !command.has_data_set;
        vt_conn_unkeep(assoc->conn, !cancel);
        if (!cancel) {
            assoc->pdu_left = pdu_left;
            assoc->pdv_left = pdv_left;
            assoc->pdv_open = pdv_open;
            assoc->empty_pdvs = 0;
            if (whole && !(command.field & 0x8000))
                return vt_fail(err, VT_E_PROTOCOL, "%s while an operation runs",
                               vt_command_name(command.field));
            if (!whole && problem.code != VT_E_TIMEOUT) {
                *err = problem;
                return false;
            }
            break;
        }
        cancelled = command.responded_id == message_id;
    }
    *out_cancelled = cancelled;
    return true;
}
