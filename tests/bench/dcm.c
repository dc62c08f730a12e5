#include "tests/bench/dcm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { RQ_MAX = 16384, PDU_HEAD = 6, TLS_MAX = 1 << 30, TLS_BUFFER = 256 << 10 };

static bool fail(struct dcm *dcm, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(dcm->why, sizeof dcm->why, format, args);
    va_end(args);
    return false;
}

/* ---- bytes ---- */

static void put16be(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32be(uint8_t *at, size_t value)
{
    put16be(at, value >> 16);
    put16be(at + 2, value);
}

static uint32_t get32be(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t get16be(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t get32le(const uint8_t *at)
{
    return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

static size_t put_element(uint8_t *at, uint16_t number, const void *value, size_t size)
{
    const uint8_t head[8] = { 0, 0, (uint8_t)number, (uint8_t)(number >> 8), (uint8_t)size, (uint8_t)(size >> 8), 0, 0 };
    memcpy(at, head, sizeof head);
    memcpy(at + sizeof head, value, size);
    return sizeof head + size;
}

static size_t put_us(uint8_t *at, uint16_t number, uint16_t value)
{
    const uint8_t bytes[2] = { (uint8_t)value, (uint8_t)(value >> 8) };
    return put_element(at, number, bytes, sizeof bytes);
}

static size_t put_text(uint8_t *at, uint16_t number, const char *text)
{
    char padded[DCM_UID_MAX + 2] = { 0 };
    size_t size = strnlen(text, DCM_UID_MAX);
    memcpy(padded, text, size);
    if (size % 2 && number == 0x0600)
        padded[size] = ' ';
    return put_element(at, number, padded, size + size % 2);
}

void dcm_pdv_head(uint8_t out[DCM_PDV_HEAD], uint8_t context, size_t size, bool last)
{
    out[0] = 4;
    out[1] = 0;
    put32be(out + 2, size + 6);
    put32be(out + 6, size + 2);
    out[10] = context;
    out[11] = last ? 2 : 0;
}

size_t dcm_command_pdu(uint8_t *out, uint8_t context, const struct dcm_command *c, size_t *out_uid_at)
{
    uint8_t *body = out + DCM_PDV_HEAD;
    size_t at = 12;     /* behind the group length */
    bool response = c->command & 0x8000;

    if (c->sop_class)
        at += put_text(body + at, 0x0002, c->sop_class);
    at += put_us(body + at, 0x0100, c->command);
    at += response ? put_us(body + at, 0x0120, c->answered_id) : put_us(body + at, 0x0110, c->id);
    if (c->destination)
        at += put_text(body + at, 0x0600, c->destination);
    if (!response && c->command != DCM_C_ECHO_RQ)
        at += put_us(body + at, 0x0700, 0);
    at += put_us(body + at, 0x0800, c->has_data_set ? 0 : DCM_NO_DATA_SET);
    if (response)
        at += put_us(body + at, 0x0900, c->status);
    if (c->sop_uid) {
        if (out_uid_at)
            *out_uid_at = DCM_PDV_HEAD + at + 8;
        at += put_text(body + at, 0x1000, c->sop_uid);
    }
    const size_t length = at - 12;
    const uint8_t bytes[4] = { (uint8_t)length, (uint8_t)(length >> 8), 0, 0 };
    put_element(body, 0x0000, bytes, sizeof bytes);
    dcm_pdv_head(out, context, at, true);
    out[11] = 3;
    return DCM_PDV_HEAD + at;
}

/* ---- the socket ---- */

static bool prepare(struct dcm *dcm, int timeout_seconds)
{
    const struct timeval wait = { .tv_sec = timeout_seconds };
    const int on = 1;
    dcm->in = malloc(DCM_BUFFER);
    if (!dcm->in)
        return fail(dcm, "no memory");
    memset(dcm->in, 1, DCM_BUFFER);     /* pages touched before anything is timed */
    setsockopt(dcm->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(dcm->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(dcm->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    return true;
}

bool dcm_connect(struct dcm *dcm, const char *host, uint16_t port, int timeout_seconds)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    memset(dcm, 0, sizeof *dcm);
    dcm->fd = -1;
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
        return fail(dcm, "'%s' is not an IPv4 address", host);
    dcm->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (dcm->fd < 0 || connect(dcm->fd, (const struct sockaddr *)&to, sizeof to) != 0)
        return fail(dcm, "connect to %s:%u: %s", host, port, strerror(errno));
    return prepare(dcm, timeout_seconds);
}

static SSL_CTX *tls_context;
static pthread_once_t tls_once = PTHREAD_ONCE_INIT;

static void make_tls_context(void)
{
    tls_context = SSL_CTX_new(TLS_client_method());
}

/* Many records with one call to the system: what is measured is the server. */
static bool buffer_writes(SSL *tls)
{
    BIO *socket = SSL_get_rbio(tls), *buffer = BIO_new(BIO_f_buffer());
    if (!buffer || BIO_set_write_buffer_size(buffer, TLS_BUFFER) != 1)
        return false;
    BIO_up_ref(socket);
    BIO_push(buffer, socket);
    SSL_set0_wbio(tls, buffer);
    SSL_set_read_ahead(tls, 1);
    return true;
}

bool dcm_secure(struct dcm *dcm)
{
    pthread_once(&tls_once, make_tls_context);
    dcm->tls = tls_context ? SSL_new(tls_context) : NULL;
    if (!dcm->tls || SSL_set_fd(dcm->tls, dcm->fd) != 1)
        return fail(dcm, "no memory for TLS");
    if (SSL_connect(dcm->tls) != 1)
        return fail(dcm, "TLS handshake failed");
    return buffer_writes(dcm->tls) || fail(dcm, "no memory for TLS");
}

bool dcm_send(struct dcm *dcm, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size > 0) {
        ssize_t sent = dcm->tls ? SSL_write(dcm->tls, at, (int)(size < TLS_MAX ? size : TLS_MAX)) : send(dcm->fd, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR && !dcm->tls)
            continue;
        if (sent <= 0)
            return fail(dcm, "send: %s", strerror(errno));
        at += sent;
        size -= (size_t)sent;
    }
    if (dcm->tls && BIO_flush(SSL_get_wbio(dcm->tls)) != 1)
        return fail(dcm, "send: the connection broke");
    return true;
}

static bool fill(struct dcm *dcm)
{
    ssize_t got;
    do
        got = dcm->tls ? SSL_read(dcm->tls, dcm->in, DCM_BUFFER) : recv(dcm->fd, dcm->in, DCM_BUFFER, 0);
    while (got < 0 && errno == EINTR && !dcm->tls);
    if (got <= 0)
        return fail(dcm, "receive: %s", got == 0 ? "closed by the peer" : strerror(errno));
    dcm->in_at = 0;
    dcm->in_end = (size_t)got;
    return true;
}

/* Copies to out, or drops when out is NULL. */
static bool take(struct dcm *dcm, uint8_t *out, size_t size)
{
    while (size > 0) {
        if (dcm->in_at == dcm->in_end && !fill(dcm))
            return false;
        size_t piece = dcm->in_end - dcm->in_at;
        if (piece > size)
            piece = size;
        if (out) {
            memcpy(out, dcm->in + dcm->in_at, piece);
            out += piece;
        }
        dcm->in_at += piece;
        size -= piece;
    }
    return true;
}

void dcm_close(struct dcm *dcm)
{
    SSL_free(dcm->tls);
    dcm->tls = NULL;
    if (dcm->fd >= 0)
        close(dcm->fd);
    dcm->fd = -1;
    free(dcm->in);
    dcm->in = NULL;
}

/* ---- association ---- */

static size_t put_item(uint8_t *at, uint8_t kind, const void *bytes, size_t size)
{
    at[0] = kind;
    at[1] = 0;
    put16be(at + 2, size);
    if (bytes)
        memcpy(at + 4, bytes, size);
    return 4 + size;
}

static size_t put_context(uint8_t *at, uint8_t id, const struct dcm_offer *offer)
{
    size_t size = 8;
    memset(at + 4, 0, 4);
    at[4] = id;
    size += put_item(at + size, 0x30, offer->abstract, strlen(offer->abstract));
    size += put_item(at + size, 0x40, offer->syntax, strlen(offer->syntax));
    put_item(at, 0x20, NULL, size - 4);
    return size;
}

static size_t put_user_information(uint8_t *at, const struct dcm_offer *offers, size_t count)
{
    uint8_t max_pdu[4];
    size_t size = 4;
    put32be(max_pdu, DCM_MY_MAX_PDU);
    size += put_item(at + size, 0x51, max_pdu, sizeof max_pdu);
    size += put_item(at + size, 0x52, "2.25.7", 6);
    for (size_t i = 0; i < count; i++) {
        if (!offers[i].scp_role)
            continue;
        uint8_t role[DCM_UID_MAX + 4];
        size_t length = strlen(offers[i].abstract);
        put16be(role, length);
        memcpy(role + 2, offers[i].abstract, length);
        role[length + 2] = role[length + 3] = 1;
        size += put_item(at + size, 0x54, role, length + 4);
    }
    put_item(at, 0x50, NULL, size - 4);
    return size;
}

static size_t put_head(uint8_t *at, uint8_t kind, const char *called, const char *calling)
{
    char titles[33];
    memset(at, 0, 74);
    at[0] = kind;
    at[7] = 1;      /* protocol version */
    snprintf(titles, sizeof titles, "%-16.16s%-16.16s", called, calling);
    memcpy(at + 10, titles, 32);
    return 74 + put_item(at + 74, 0x10, "1.2.840.10008.3.1.1.1", 21);
}

static bool read_pdu_head(struct dcm *dcm, uint8_t *out_kind, uint32_t *out_size)
{
    uint8_t head[PDU_HEAD];
    if (!take(dcm, head, sizeof head))
        return false;
    *out_kind = head[0];
    *out_size = get32be(head + 2);
    return true;
}

static void read_accept(struct dcm *dcm, const uint8_t *body, size_t size)
{
    for (size_t at = 68; at + 4 <= size;) {
        size_t length = get16be(body + at + 2);
        const uint8_t *sub = body + at + 4;
        if (at + 4 + length > size)
            return;
        if (body[at] == 0x21 && length >= 4 && sub[2] == 0 && sub[0] / 2 < DCM_OFFERS_MAX)
            dcm->context[sub[0] / 2] = sub[0];
        for (size_t in = 0; body[at] == 0x50 && in + 8 <= length; in += 4 + get16be(sub + in + 2))
            if (sub[in] == 0x51)
                dcm->peer_max_pdu = get32be(sub + in + 4);
        at += 4 + length;
    }
}

bool dcm_associate(struct dcm *dcm, const struct dcm_offer *offers, size_t count, const char *called, const char *calling)
{
    uint8_t bytes[RQ_MAX];
    uint8_t kind;
    uint32_t length;
    size_t size = put_head(bytes, 1, called, calling);
    for (size_t i = 0; i < count && i < DCM_OFFERS_MAX; i++)
        size += put_context(bytes + size, (uint8_t)(2 * i + 1), &offers[i]);
    size += put_user_information(bytes + size, offers, count);
    put32be(bytes + 2, size - PDU_HEAD);
    if (!dcm_send(dcm, bytes, size) || !read_pdu_head(dcm, &kind, &length))
        return false;
    if (length > sizeof bytes || !take(dcm, bytes, length))
        return fail(dcm, "cannot read the answer to the association request");
    if (kind == 3)
        return fail(dcm, "association rejected: result %u source %u reason %u", bytes[1], bytes[2], bytes[3]);
    if (kind != 2)
        return fail(dcm, "PDU type %u instead of A-ASSOCIATE-AC", kind);
    read_accept(dcm, bytes, length);
    if (dcm->peer_max_pdu == 0 || dcm->peer_max_pdu > DCM_MY_MAX_PDU)
        dcm->peer_max_pdu = DCM_MY_MAX_PDU;
    return true;
}

/* Every proposed context with its first transfer syntax. */
static size_t put_results(uint8_t *out, const uint8_t *rq, size_t size)
{
    size_t written = 0;
    for (size_t at = 68; at + 4 <= size; at += 4 + get16be(rq + at + 2)) {
        const uint8_t *sub = rq + at + 4;
        size_t length = get16be(rq + at + 2);
        if (rq[at] != 0x20 || at + 4 + length > size)
            continue;
        for (size_t in = 4; in + 4 <= length; in += 4 + get16be(sub + in + 2)) {
            if (sub[in] != 0x40)
                continue;
            size_t syntax = get16be(sub + in + 2);
            memset(out + written + 4, 0, 4);
            out[written + 4] = sub[0];
            put_item(out + written + 8, 0x40, sub + in + 4, syntax);
            put_item(out + written, 0x21, NULL, 8 + syntax);
            written += 12 + syntax;
            break;
        }
    }
    return written;
}

bool dcm_accept(struct dcm *dcm, int fd, int timeout_seconds)
{
    uint8_t rq[RQ_MAX], ac[RQ_MAX];
    uint8_t kind;
    uint32_t length;
    memset(dcm, 0, sizeof *dcm);
    dcm->fd = fd;
    if (!prepare(dcm, timeout_seconds) || !read_pdu_head(dcm, &kind, &length))
        return false;
    if (kind != 1 || length > sizeof rq || !take(dcm, rq, length))
        return fail(dcm, "no association request");
    size_t size = put_head(ac, 2, "", "");
    memcpy(ac + 10, rq + 4, 32);
    size += put_results(ac + size, rq, length);
    size += put_user_information(ac + size, NULL, 0);
    put32be(ac + 2, size - PDU_HEAD);
    dcm->peer_max_pdu = DCM_MY_MAX_PDU;
    return dcm_send(dcm, ac, size);
}

bool dcm_release(struct dcm *dcm)
{
    static const uint8_t rq[10] = { 5, 0, 0, 0, 0, 4 };
    uint8_t kind = 0;
    uint32_t length = 0;
    if (!dcm_send(dcm, rq, sizeof rq))
        return false;
    while (read_pdu_head(dcm, &kind, &length) && take(dcm, NULL, length))
        if (kind == 6)
            return true;
    return false;
}

/* ---- messages ---- */

bool dcm_send_message(struct dcm *dcm, uint8_t context, const struct dcm_command *command, const uint8_t *data, size_t size)
{
    uint8_t bytes[2 * DCM_COMMAND_MAX + 4096];
    size_t at = dcm_command_pdu(bytes, context, command, NULL);
    if (data) {
        if (at + DCM_PDV_HEAD + size > sizeof bytes)
            return fail(dcm, "data set of %zu bytes is no identifier", size);
        dcm_pdv_head(bytes + at, context, size, true);
        memcpy(bytes + at + DCM_PDV_HEAD, data, size);
        at += DCM_PDV_HEAD + size;
    }
    return dcm_send(dcm, bytes, at);
}

bool dcm_send_command(struct dcm *dcm, uint8_t context, const struct dcm_command *command)
{
    return dcm_send_message(dcm, context, command, NULL, 0);
}

static uint16_t us_of(const uint8_t *value, size_t size)
{
    return size == 2 ? (uint16_t)((unsigned)value[0] | (unsigned)value[1] << 8) : (uint16_t)0;
}

static void uid_of(char out[DCM_UID_MAX + 2], const uint8_t *value, size_t size)
{
    size = size <= DCM_UID_MAX ? size : DCM_UID_MAX;
    memcpy(out, value, size);
    out[size] = '\0';
}

static void read_command(struct dcm_message *m, const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at + 8 <= size;) {
        const uint8_t *value = bytes + at + 8;
        size_t length = get32le(bytes + at + 4);
        if (length > size - at - 8)
            return;
        switch (bytes[at + 2] | bytes[at + 3] << 8) {
        case 0x0002: uid_of(m->sop_class, value, length); break;
        case 0x0100: m->command = us_of(value, length); break;
        case 0x0110: m->id = us_of(value, length); break;
        case 0x0120: m->answered_id = us_of(value, length); break;
        case 0x0800: m->has_data_set = us_of(value, length) != DCM_NO_DATA_SET; break;
        case 0x0900: m->status = us_of(value, length); break;
        case 0x1000: uid_of(m->sop_uid, value, length); break;
        case 0x1021: m->completed = us_of(value, length); break;
        case 0x1022: m->failed = us_of(value, length); break;
        default: break;
        }
        at += 8 + length;
    }
}

static bool answer_release(struct dcm *dcm, uint32_t length)
{
    static const uint8_t rp[10] = { 6, 0, 0, 0, 0, 4 };
    if (take(dcm, NULL, length))
        dcm_send(dcm, rp, sizeof rp);
    dcm->why[0] = '\0';
    return false;
}

/* One PDV; whole when the message ends with it. */
static bool read_pdv(struct dcm *dcm, struct dcm_message *m, uint8_t *command, size_t *held, uint32_t *left, bool *out_whole)
{
    uint8_t head[6];
    if (!take(dcm, head, sizeof head))
        return false;
    uint32_t size = get32be(head) - 2;
    if (get32be(head) < 2 || size + sizeof head > *left)
        return fail(dcm, "PDV of %u bytes in a PDU with %u", size, *left);
    *left -= size + (uint32_t)sizeof head;
    m->context = head[4];
    if (head[5] & 1) {
        if (*held + size > DCM_COMMAND_MAX)
            return fail(dcm, "command of more than %d bytes", DCM_COMMAND_MAX);
        if (!take(dcm, command + *held, size))
            return false;
        *held += size;
        if (head[5] & 2)
            read_command(m, command, *held);
        *out_whole = head[5] & 2 && !m->has_data_set;
        return true;
    }
    m->data_set_size += size;
    dcm->received += size;
    *out_whole = head[5] & 2;
    return take(dcm, NULL, size);
}

bool dcm_receive(struct dcm *dcm, struct dcm_message *out)
{
    uint8_t command[DCM_COMMAND_MAX];
    size_t held = 0;
    bool whole = false;
    memset(out, 0, sizeof *out);
    while (!whole) {
        uint8_t kind;
        uint32_t left;
        if (!read_pdu_head(dcm, &kind, &left))
            return false;
        if (kind == 5)
            return answer_release(dcm, left);
        if (kind == 7)
            return fail(dcm, "aborted by the peer");
        if (kind != 4)
            return fail(dcm, "PDU type %u instead of P-DATA-TF", kind);
        while (left > 0)
            if (!read_pdv(dcm, out, command, &held, &left, &whole))
                return false;
    }
    return true;
}
