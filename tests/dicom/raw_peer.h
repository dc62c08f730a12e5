/* tests/dicom/raw_peer.h: the other side of an association as bytes on a socket, for peers that
 * keep no rule. Every wait ends after ten seconds. Included by test programs behind cmocka.h. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "dicom/command.h"
#include "tests/dicom/request_bytes.h"

enum { RAW_PATIENCE_MS = 10000, RAW_PDU_MAX = 1 << 20 };

/* What raw_read gives in place of a PDU type. */
enum { RAW_CLOSED = -1, RAW_SILENT = -2 };

static inline int raw_connect(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* A peer that has gone is no failure here: the tests ask for what it said. */
static inline void raw_send(int fd, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;

    while (size > 0) {
        ssize_t sent = send(fd, p, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        p += sent;
        size -= (size_t)sent;
    }
}

static inline bool raw_take(int fd, uint8_t *out, size_t size, int patience_ms, int *out_end)
{
    int64_t deadline = vt_clock_mono() + patience_ms * VT_NS_PER_MS;

    while (size > 0) {
        struct pollfd item = { .fd = fd, .events = POLLIN };
        if (poll(&item, 1, vt_clock_poll_ms(deadline)) <= 0) {
            *out_end = RAW_SILENT;
            return false;
        }
        ssize_t got = recv(fd, out, size, 0);
        if (got <= 0) {
            *out_end = RAW_CLOSED;
            return false;
        }
        out += got;
        size -= (size_t)got;
    }
    return true;
}

/* The type of the next PDU, its value behind the six bytes of header in out (room RAW_PDU_MAX). */
static inline int raw_read_for(int fd, uint8_t *out, size_t *out_size, int patience_ms)
{
    uint8_t header[6];
    int end = 0;

    if (!raw_take(fd, header, sizeof header, patience_ms, &end))
        return end;
    size_t size = vt_be32(header + 2);
    assert_true(size <= RAW_PDU_MAX);
    if (!raw_take(fd, out, size, patience_ms, &end))
        return end;
    *out_size = size;
    return header[0];
}

static uint8_t raw_pdu[RAW_PDU_MAX];
static size_t raw_size;

static inline int raw_read(int fd)
{
    return raw_read_for(fd, raw_pdu, &raw_size, RAW_PATIENCE_MS);
}

/* An association with one context, 1, accepted. */
static inline int raw_associate(uint16_t port, const char *abstract_syntax)
{
    static struct request_bytes rb;
    int fd = raw_connect(port);

    rb_simple(&rb, abstract_syntax);
    raw_send(fd, rb.bytes, rb.size);
    assert_int_equal(raw_read(fd), VT_PDU_ASSOCIATE_AC);
    return fd;
}

/* ---- P-DATA ---- */

struct raw_out {
    uint8_t bytes[RAW_PDU_MAX];
    size_t size, pdu_at;
};

static struct raw_out raw_out;

static inline void raw_pdu_begin(void)
{
    raw_out.pdu_at = raw_out.size;
    memcpy(raw_out.bytes + raw_out.size, "\4\0\0\0\0\0", 6);
    raw_out.size += 6;
}

static inline void raw_pdv(uint8_t context, uint8_t control, const void *bytes, size_t size)
{
    uint8_t *p = raw_out.bytes + raw_out.size;

    vt_put_be32(p, (uint32_t)size + 2);
    p[4] = context;
    p[5] = control;
    memcpy(p + 6, bytes, size);
    raw_out.size += 6 + size;
    vt_put_be32(raw_out.bytes + raw_out.pdu_at + 2, (uint32_t)(raw_out.size - raw_out.pdu_at - 6));
}

static inline void raw_flush(int fd)
{
    raw_send(fd, raw_out.bytes, raw_out.size);
    raw_out.size = 0;
}

static inline size_t raw_command(uint16_t field, uint16_t id, bool data, uint8_t *out)
{
    struct vt_command command = { .field = field, .has_data_set = data };
    struct vt_buf buf = { .limit = VT_COMMAND_MAX };
    struct vt_err err = { 0 };

    if (field & 0x8000 || field == VT_C_CANCEL_RQ)
        command.responded_id = id;
    else
        command.message_id = id;
    strcpy(command.sop_class_uid, VT_UID_VERIFICATION);
    assert_true(vt_command_encode(&command, &buf, &err));
    size_t size = buf.size;
    memcpy(out, buf.data, size);
    vt_buf_fini(&buf);
    return size;
}

/* A command in a PDU of its own. */
static inline void raw_put_command(uint16_t field, uint16_t id, bool data)
{
    uint8_t bytes[1024];
    size_t size = raw_command(field, id, data, bytes);

    raw_pdu_begin();
    raw_pdv(1, VT_PDV_COMMAND | VT_PDV_LAST, bytes, size);
}

static inline void raw_put_data(const void *bytes, size_t size, bool last)
{
    raw_pdu_begin();
    raw_pdv(1, last ? VT_PDV_LAST : 0, bytes, size);
}

/* Reads a response; its field, status in out_status. */
static inline uint16_t raw_response(int fd, uint16_t *out_status)
{
    struct vt_command command;
    struct vt_err err = { 0 };
    int type = raw_read(fd);

    if (type != VT_PDU_P_DATA)
        fail_msg("a PDU of type %d in place of a response", type);
    if (!vt_command_decode(raw_pdu + 6, raw_size - 6, &command, &err))
        fail_msg("%s", err.text);
    *out_status = command.status;
    return command.field;
}

static inline void raw_expect(int fd, uint16_t field, uint16_t status)
{
    uint16_t got;

    assert_int_equal(raw_response(fd, &got), field);
    assert_int_equal(got, status);
}

static inline void raw_echo(int fd)
{
    raw_put_command(VT_C_ECHO_RQ, 1, false);
    raw_flush(fd);
    raw_expect(fd, VT_C_ECHO_RSP, 0);
}

/* Nothing but an A-ABORT or the end; says whether it was an A-ABORT. */
static inline bool raw_ended(int fd)
{
    int type = raw_read(fd);

    if (type != VT_PDU_ABORT && type != RAW_CLOSED)
        fail_msg("neither an A-ABORT nor the end, but %d", type);
    close(fd);
    return type == VT_PDU_ABORT;
}

static inline void raw_release(int fd)
{
    uint8_t pdu[VT_SHORT_PDU];

    vt_put_short_pdu(pdu, VT_PDU_RELEASE_RQ, 0, 0, 0);
    raw_send(fd, pdu, sizeof pdu);
    assert_int_equal(raw_read(fd), VT_PDU_RELEASE_RP);
    close(fd);
}
