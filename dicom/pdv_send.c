/* Writing P-DATA-TF: command and data in as few segments as may be. A PDV fills a PDU of its own,
 * since some receivers (DCMTK's DUL_NextPDV among them) stumble over several in one. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/assoc_impl.h"
#include "dicom/wire.h"

enum {
    PDV_OVERHEAD = VT_PDU_HEADER + VT_PDV_HEADER,
    CHUNK = 256 << 10, /* read and sent at once: small enough to stay in the processor's cache */
    CHUNK_PDUS_MAX = 64,
    SEND_PDUS_MAX =
        CHUNK_PDUS_MAX + CHUNK_PDUS_MAX / 2 + 1, /* a chunk and the half one that ends it */
    BUFFER_ALIGNMENT = 4096,
};

/* What fits into a PDV: the peer's maximum, but no more than is of use. */
static size_t pdv_room(const struct vt_assoc *assoc)
{
    uint32_t most = assoc->info.max_pdu;

    if (most == 0 || most > VT_PDU_MAX)
        most = VT_PDU_MAX;
    return (most - VT_PDV_HEADER) & ~(uint32_t)1;
}

static void put_pdv_header(uint8_t *p, uint8_t context, uint8_t control, size_t size)
{
    p[0] = VT_PDU_P_DATA;
    p[1] = 0;
    vt_put_be32(p + 2, (uint32_t)size + VT_PDV_HEADER);
    vt_put_be32(p + 6, (uint32_t)size + 2);
    p[10] = context;
    p[11] = control;
}

static bool append_pdv(struct vt_assoc *assoc, uint8_t context, uint8_t control,
                       const uint8_t *bytes, size_t size, struct vt_err *err)
{
    uint8_t header[PDV_OVERHEAD];

    put_pdv_header(header, context, control, size);
    return vt_buf_append(&assoc->out, header, sizeof header, err) &&
           vt_buf_append(&assoc->out, bytes, size, err);
}

static bool encode_command(struct vt_buf *out, uint8_t context, const struct vt_command *command,
                           struct vt_err *err)
{
    uint8_t header[PDV_OVERHEAD] = { 0 };
    size_t at = out->size;

    if (!vt_buf_append(out, header, sizeof header, err))
        return false;
    if (!vt_command_encode(command, out, err)) {
        out->size = at;
        return false;
    }
    size_t size = out->size - at - sizeof header;
    put_pdv_header(out->data + at, context, VT_PDV_COMMAND | VT_PDV_LAST, size);
    return true;
}

static bool append_command(struct vt_assoc *assoc, uint8_t context,
                           const struct vt_command *command, bool has_data_set, struct vt_err *err)
{
    struct vt_command copy = *command;

    if (assoc->over)
        return vt_fail(err, VT_E_INTERNAL, "the association is over");
    copy.has_data_set = has_data_set;
    return encode_command(&assoc->out, context, &copy, err);
}

bool vt_assoc_flush(struct vt_assoc *assoc, struct vt_err *err)
{
    size_t size = assoc->out.size;

    if (size == 0)
        return true;
    vt_buf_reset(&assoc->out);
    return vt_conn_send_bytes(assoc->conn, assoc->out.data, size,
                              vt_assoc_slowest(assoc, vt_clock_mono(), size), err);
}

bool vt_assoc_queue(struct vt_assoc *assoc, uint8_t context_id, const struct vt_command *command,
                    const uint8_t *identifier, size_t size, struct vt_err *err)
{
    size_t room = pdv_room(assoc);
    bool last = identifier == NULL;

    if (!append_command(assoc, context_id, command, identifier != NULL, err))
        return false;
    while (!last) {
        size_t step = size < room ? size : room;
        last = step == size;
        if (!append_pdv(assoc, context_id, last ? VT_PDV_LAST : 0, identifier, step, err))
            return false;
        identifier += step;
        size -= step;
        if (assoc->out.size >= VT_QUEUE_FLUSH && !vt_assoc_flush(assoc, err))
            return false;
    }
    return assoc->out.size < VT_QUEUE_FLUSH || vt_assoc_flush(assoc, err);
}

bool vt_assoc_send(struct vt_assoc *assoc, uint8_t context_id, const struct vt_command *command,
                   const uint8_t *identifier, size_t size, struct vt_err *err)
{
    return vt_assoc_queue(assoc, context_id, command, identifier, size, err) &&
           vt_assoc_flush(assoc, err);
}

bool vt_assoc_send_command(struct vt_assoc *assoc, uint8_t context_id,
                           const struct vt_command *command, struct vt_err *err)
{
    return vt_assoc_send(assoc, context_id, command, NULL, 0, err);
}

/* ---- an answer from another thread ---- */

/* The response carries the acknowledgement of what was received. */
bool vt_assoc_answers_beside(struct vt_assoc *assoc)
{
    if (assoc->conn->tls || assoc->over || assoc->out.size > 0)
        return false;
    assoc->conn->owes_ack = false;
    vt_buf_reset(&assoc->beside);
    assoc->beside_sent = 0;
    return true;
}

void vt_assoc_answer_beside(struct vt_assoc *assoc, uint8_t context_id,
                            const struct vt_command *response)
{
    struct vt_err ignored = { 0 };

    /* Without memory nothing is there to send: the owner ends the association. */
    if (encode_command(&assoc->beside, context_id, response, &ignored))
        assoc->beside_sent =
            vt_conn_send_now(assoc->conn, assoc->beside.data, assoc->beside.size);
}

bool vt_assoc_answer_rest(struct vt_assoc *assoc, struct vt_err *err)
{
    size_t left = assoc->beside.size - assoc->beside_sent;

    if (assoc->beside.size == 0)
        return vt_fail(err, VT_E_NOMEM, "no memory for a response");
    return left == 0 ||
           vt_conn_send_bytes(assoc->conn, assoc->beside.data + assoc->beside_sent, left,
                              vt_assoc_slowest(assoc, vt_clock_mono(), left), err);
}

/* ---- streams ---- */

static bool make_send_buffer(struct vt_assoc *assoc, size_t size, struct vt_err *err)
{
    if (assoc->send_capacity >= size)
        return true;
    free(vt_take(&assoc->send_buffer));
    assoc->send_capacity = 0;
    void *fresh = NULL;
    if (posix_memalign(&fresh, BUFFER_ALIGNMENT, size) != 0)
        return vt_fail(err, VT_E_NOMEM, "no memory for a send buffer");
    assoc->send_buffer = fresh;
    assoc->send_capacity = size;
    return true;
}

/* A transfer in progress. */
struct transfer {
    struct vt_assoc *assoc;
    uint8_t context;
    size_t room; /* of a PDV */
    int64_t start;
    uint64_t sent;
};

/* The chunk as PDVs, with what is queued before it, in one go. An empty one still makes a PDV when
 * it is the last. */
static bool send_chunk(struct transfer *transfer, const uint8_t *bytes, size_t size, bool last,
                       struct vt_err *err)
{
    struct vt_assoc *assoc = transfer->assoc;
    uint8_t headers[SEND_PDUS_MAX][PDV_OVERHEAD];
    struct iovec parts[2 * SEND_PDUS_MAX + 1];
    size_t count = 0, pdus = 0, total = size;

    if (assoc->out.size > 0)
        parts[count++] = (struct iovec){ assoc->out.data, assoc->out.size };
    do {
        size_t step = size < transfer->room ? size : transfer->room;
        size -= step;
        put_pdv_header(headers[pdus], transfer->context, last && size == 0 ? VT_PDV_LAST : 0, step);
        parts[count++] = (struct iovec){ headers[pdus++], PDV_OVERHEAD };
        parts[count++] = (struct iovec){ (void *)(uintptr_t)bytes, step };
        bytes += step;
    } while (size > 0);
    transfer->sent += total;
    vt_buf_reset(&assoc->out);
    return vt_conn_send(assoc->conn, parts, count,
                        vt_assoc_slowest(assoc, transfer->start, transfer->sent), err);
}

/* A whole number of PDVs, about CHUNK. */
static size_t chunk_size(size_t room)
{
    size_t pdus = CHUNK / room;

    if (pdus > CHUNK_PDUS_MAX)
        pdus = CHUNK_PDUS_MAX;
    return pdus * room;
}

bool vt_assoc_send_file(struct vt_assoc *assoc, uint8_t context_id,
                        const struct vt_command *command, int fd, uint64_t offset, uint64_t length,
                        struct vt_err *err)
{
    struct transfer transfer = { assoc, context_id, pdv_room(assoc), vt_clock_mono(), 0 };
    size_t chunk = chunk_size(transfer.room);
    size_t most = chunk + chunk / 2; /* a short rest goes with the chunk before it */

    if (!make_send_buffer(assoc, most, err) ||
        !append_command(assoc, context_id, command, true, err))
        return false;
    do {
        size_t step = length <= most ? (size_t)length : chunk;
        if (!vt_io_pread(fd, assoc->send_buffer, step, offset, "the instance", err) ||
            !send_chunk(&transfer, assoc->send_buffer, step, step == length, err))
            return false;
        offset += step;
        length -= step;
    } while (length > 0);
    return true;
}

bool vt_assoc_send_stream(struct vt_assoc *assoc, uint8_t context_id,
                          const struct vt_command *command, vt_assoc_source source, void *context,
                          struct vt_err *err)
{
    struct transfer transfer = { assoc, context_id, pdv_room(assoc), vt_clock_mono(), 0 };
    size_t chunk = chunk_size(transfer.room), used = 0;
    bool end = false;

    if (!make_send_buffer(assoc, chunk, err) ||
        !append_command(assoc, context_id, command, true, err))
        return false;
    while (!end) {
        size_t got = 0;
        if (!source(context, assoc->send_buffer + used, chunk - used, &got, err))
            return false;
        if (got > chunk - used)
            return vt_fail(err, VT_E_INTERNAL, "a source gave more than there was room for");
        used += got;
        end = got == 0;
        if (end || used == chunk) {
            /* One PDV is held back as long as it may be the last one. */
            size_t now = end || used <= transfer.room ? used : used - transfer.room;
            if (!send_chunk(&transfer, assoc->send_buffer, now, end, err))
                return false;
            used -= now;
            memmove(assoc->send_buffer, assoc->send_buffer + now, used);
        }
    }
    return true;
}
