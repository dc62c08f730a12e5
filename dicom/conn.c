#include "dicom/conn.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "core/clock.h"
#include "core/err.h"

enum {
    TLS_PIECE = 16 << 10, /* one TLS record */
    DROPPED_AT_END_MAX = 1 << 20,
    PARTS_AT_ONCE_MAX = 512, /* below IOV_MAX */
};

void vt_conn_tune(int fd)
{
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
}

struct vt_conn *vt_conn_new(int fd, struct ssl_st *tls)
{
    struct vt_conn *conn = calloc(1, sizeof *conn);

    if (!conn) {
        SSL_free(tls);
        close(fd);
        return NULL;
    }
    conn->fd = fd;
    conn->tls = tls;
    conn->gap = 60 * VT_NS_PER_S;
    return conn;
}

void vt_conn_free(struct vt_conn *conn)
{
    if (!conn)
        return;
    SSL_free(conn->tls);
    close(conn->fd);
    free(conn->buffer);
    free(conn);
}

void vt_conn_preload(struct vt_conn *conn, uint8_t *bytes, size_t size)
{
    free(conn->buffer);
    conn->buffer = bytes;
    conn->capacity = conn->high = size;
    conn->low = conn->kept = 0;
}

void vt_conn_rest(struct vt_conn *conn)
{
    if (conn->low < conn->high || conn->keeping)
        return;
    free(conn->buffer);
    conn->buffer = NULL;
    conn->capacity = conn->low = conn->high = 0;
    conn->full_receive = false;
}

void vt_conn_interrupt(const struct vt_conn *conn)
{
    shutdown(conn->fd, SHUT_RDWR);
}

/* ---- receiving ---- */

static bool wait_for(const struct vt_conn *conn, short events, int64_t deadline, struct vt_err *err)
{
    struct pollfd items[] = { { .fd = conn->fd, .events = events },
                              { .fd = conn->stop_fd, .events = POLLIN } };
    const nfds_t count = conn->stop_fd > 0 ? 2 : 1;
    int ready = 0;

    if (deadline != VT_CONN_NOW) {
        do {
            int64_t left = deadline ? deadline - vt_clock_mono() : 1;
            if (left <= 0)
                break;
            ready = poll(items, count, vt_clock_poll_ms(deadline));
        } while (ready == 0 || (ready < 0 && errno == EINTR));
    }
    if (ready < 0)
        return vt_fail_errno(err, "poll failed");
    if (items[1].revents != 0)
        return vt_fail(err, VT_E_CANCELLED, "stopped while the peer was waited for");
    return ready > 0 || vt_fail(err, VT_E_TIMEOUT, "the peer was silent for too long");
}

/* Room behind high, moving or growing where needed. */
static bool make_room(struct vt_conn *conn, struct vt_err *err)
{
    size_t first = conn->low - conn->kept, used = conn->high - first;

    if (used == 0) {
        conn->low = conn->high = 0;
        first = 0;
    }
    bool small = conn->high == conn->capacity || conn->full_receive;
    if (small && conn->capacity < VT_CONN_BUFFER_MAX &&
        (used * 2 >= conn->capacity || conn->full_receive)) {
        size_t wanted =
            conn->capacity < VT_CONN_BUFFER_MIN ? VT_CONN_BUFFER_MIN : conn->capacity * 4;
        if (wanted > VT_CONN_BUFFER_MAX)
            wanted = VT_CONN_BUFFER_MAX;
        uint8_t *larger = malloc(wanted);
        if (!larger)
            return vt_fail(err, VT_E_NOMEM, "no memory for a receive buffer");
        if (used > 0)
            memcpy(larger, conn->buffer + first, used);
        free(conn->buffer);
        conn->buffer = larger;
        conn->capacity = wanted;
        conn->full_receive = false;
    } else if (conn->high == conn->capacity && first > 0) {
        memmove(conn->buffer, conn->buffer + first, used);
    } else {
        return conn->high < conn->capacity ||
               vt_fail(err, VT_E_LIMIT, "the receive buffer is full");
    }
    conn->low -= first;
    conn->high -= first;
    return true;
}

/* 1: got some; 0: nothing yet, *out_events says what to wait for; -1: the end, err says which. */
static int receive_tls(struct vt_conn *conn, uint8_t *at, size_t room, size_t *out_size,
                       short *out_events, struct vt_err *err)
{
    ERR_clear_error();
    int result = SSL_read_ex(conn->tls, at, room, out_size);
    if (result == 1)
        return 1;
    switch (SSL_get_error(conn->tls, result)) {
    case SSL_ERROR_WANT_READ:
        *out_events = POLLIN;
        return 0;
    case SSL_ERROR_WANT_WRITE:
        *out_events = POLLOUT;
        return 0;
    case SSL_ERROR_ZERO_RETURN:
    case SSL_ERROR_SYSCALL:
        vt_fail(err, VT_E_CLOSED, "the peer closed the connection");
        return -1;
    default:
        vt_fail(err, VT_E_CLOSED, "TLS: %s",
                ERR_reason_error_string(ERR_peek_error())
                    ? ERR_reason_error_string(ERR_peek_error())
                    : "the session broke");
        return -1;
    }
}

static int receive_plain(struct vt_conn *conn, uint8_t *at, size_t room, size_t *out_size,
                         short *out_events, struct vt_err *err)
{
    ssize_t got = recv(conn->fd, at, room, 0);

    *out_events = POLLIN;
    if (got > 0) {
        *out_size = (size_t)got;
        return 1;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    vt_fail(err, VT_E_CLOSED, "the peer closed the connection");
    return -1;
}

/* The kernel takes TCP_QUICKACK back after a while, so it is armed for each wait. */
static bool wait_to_receive(struct vt_conn *conn, short events, int64_t deadline,
                            struct vt_err *err)
{
    int one = 1;

    if (conn->owes_ack)
        setsockopt(conn->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
    return wait_for(conn, events, deadline, err);
}

bool vt_conn_fill(struct vt_conn *conn, int64_t deadline, struct vt_err *err)
{
    if (!make_room(conn, err))
        return false;
    for (;;) {
        size_t room = conn->capacity - conn->high, got = 0;
        bool limited = conn->fill_most > 0 && conn->fill_most < room;
        if (limited)
            room = conn->fill_most;
        short events = POLLIN;
        int result = conn->tls
                         ? receive_tls(conn, conn->buffer + conn->high, room, &got, &events, err)
                         : receive_plain(conn, conn->buffer + conn->high, room, &got, &events, err);
        if (result > 0) {
            conn->owes_ack = true;
            conn->full_receive = !limited && (got == room || got >= conn->capacity / 2);
            conn->high += got;
            return true;
        }
        if (result < 0 || !wait_to_receive(conn, events, deadline, err))
            return false;
    }
}

bool vt_conn_receive(struct vt_conn *conn, uint8_t *to, size_t size, size_t behind,
                     int64_t deadline, size_t *out_size, struct vt_err *err)
{
    if (!make_room(conn, err))
        return false;
    if (behind > conn->capacity - conn->high)
        behind = conn->capacity - conn->high;
    for (;;) {
        struct iovec parts[] = { { to, size }, { conn->buffer + conn->high, behind } };
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = behind > 0 ? 2 : 1 };
        ssize_t got = recvmsg(conn->fd, &message, 0);
        if (got > 0) {
            conn->owes_ack = true;
            *out_size = (size_t)got < size ? (size_t)got : size;
            conn->high += (size_t)got - *out_size;
            return true;
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
            return vt_fail(err, VT_E_CLOSED, "the peer closed the connection");
        if (!wait_to_receive(conn, POLLIN, deadline, err))
            return false;
    }
}

bool vt_conn_have(struct vt_conn *conn, size_t size, int64_t deadline, struct vt_err *err)
{
    while (conn->high - conn->low < size)
        if (!vt_conn_fill(conn, deadline, err))
            return false;
    return true;
}

bool vt_conn_await(struct vt_conn *conn, int64_t deadline, struct vt_err *err)
{
    if (conn->high > conn->low)
        return true;
    /* A readable socket may hold a session ticket only. */
    return conn->tls ? vt_conn_fill(conn, deadline, err)
                     : wait_to_receive(conn, POLLIN, deadline, err);
}

void vt_conn_keep(struct vt_conn *conn)
{
    conn->keeping = true;
    conn->kept = 0;
}

void vt_conn_unkeep(struct vt_conn *conn, bool restore)
{
    if (restore)
        conn->low -= conn->kept;
    conn->kept = 0;
    conn->keeping = false;
}

/* ---- sending ---- */

static bool wait_to_send(struct vt_conn *conn, short events, int64_t deadline, struct vt_err *err)
{
    int64_t patience = vt_clock_mono() + conn->gap;

    if (deadline && deadline < patience)
        patience = deadline;
    if (wait_for(conn, events, patience, err))
        return true;
    if (err->code == VT_E_TIMEOUT)
        vt_fail(err, VT_E_TIMEOUT, "the peer took no more bytes");
    return false;
}

static bool send_failed(struct vt_err *err)
{
    if (errno == EPIPE || errno == ECONNRESET)
        return vt_fail(err, VT_E_CLOSED, "the peer closed the connection");
    return vt_fail_errno(err, "sending failed");
}

static bool send_plain(struct vt_conn *conn, struct iovec *parts, size_t count, int64_t deadline,
                       struct vt_err *err)
{
    conn->owes_ack = false;
    while (count > 0) {
        struct msghdr message = { .msg_iov = parts };
        message.msg_iovlen = count < PARTS_AT_ONCE_MAX ? count : PARTS_AT_ONCE_MAX;
        ssize_t sent = sendmsg(conn->fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            if (!wait_to_send(conn, POLLOUT, deadline, err))
                return false;
            continue;
        }
        if (sent < 0 && errno != EINTR)
            return send_failed(err);
        for (size_t left = sent > 0 ? (size_t)sent : 0; count > 0;) {
            size_t step = left < parts->iov_len ? left : parts->iov_len;
            parts->iov_base = (uint8_t *)parts->iov_base + step;
            parts->iov_len -= step;
            left -= step;
            if (parts->iov_len > 0)
                break;
            parts++;
            count--;
        }
    }
    return true;
}

static bool send_tls(struct vt_conn *conn, const uint8_t *bytes, size_t size, int64_t deadline,
                     struct vt_err *err)
{
    conn->owes_ack = false;
    while (size > 0) {
        size_t sent = 0;
        ERR_clear_error();
        int result = SSL_write_ex(conn->tls, bytes, size, &sent);
        if (result == 1) {
            bytes += sent;
            size -= sent;
            continue;
        }
        int why = SSL_get_error(conn->tls, result);
        if (why != SSL_ERROR_WANT_WRITE && why != SSL_ERROR_WANT_READ)
            return vt_fail(err, VT_E_CLOSED, "the peer closed the connection");
        if (!wait_to_send(conn, why == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN, deadline, err))
            return false;
    }
    return true;
}

/* Small parts are joined, so that a PDV's header and its first bytes are one record. */
static bool send_tls_parts(struct vt_conn *conn, struct iovec *parts, size_t count,
                           int64_t deadline, struct vt_err *err)
{
    uint8_t piece[TLS_PIECE];
    size_t used = 0;

    for (; count > 0; parts++, count--) {
        const uint8_t *bytes = parts->iov_base;
        size_t size = parts->iov_len;
        while (size > 0) {
            if (used == 0 && size >= sizeof piece) {
                if (!send_tls(conn, bytes, size, deadline, err))
                    return false;
                break;
            }
            size_t step = size < sizeof piece - used ? size : sizeof piece - used;
            memcpy(piece + used, bytes, step);
            used += step;
            bytes += step;
            size -= step;
            if (used == sizeof piece) {
                if (!send_tls(conn, piece, used, deadline, err))
                    return false;
                used = 0;
            }
        }
    }
    return send_tls(conn, piece, used, deadline, err);
}

bool vt_conn_send(struct vt_conn *conn, struct iovec *parts, size_t count, int64_t deadline,
                  struct vt_err *err)
{
    return conn->tls ? send_tls_parts(conn, parts, count, deadline, err)
                     : send_plain(conn, parts, count, deadline, err);
}

bool vt_conn_send_bytes(struct vt_conn *conn, const void *bytes, size_t size, int64_t deadline,
                        struct vt_err *err)
{
    struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };

    return vt_conn_send(conn, &part, 1, deadline, err);
}

size_t vt_conn_send_now(const struct vt_conn *conn, const void *bytes, size_t size)
{
    ssize_t sent;

    do
        sent = send(conn->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent > 0 ? (size_t)sent : 0;
}

void vt_conn_last_words(struct vt_conn *conn, const void *bytes, size_t size)
{
    uint8_t dropped[4096];
    ssize_t got;

    if (conn->tls) {
        size_t sent;
        ERR_clear_error();
        if (size > 0 && SSL_is_init_finished(conn->tls))
            SSL_write_ex(conn->tls, bytes, size, &sent);
        if (SSL_is_init_finished(conn->tls))
            SSL_shutdown(conn->tls);
    } else if (size > 0) {
        while (send(conn->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EINTR)
            ;
    }
    shutdown(conn->fd, SHUT_WR);
    for (size_t total = 0; total < DROPPED_AT_END_MAX; total += (size_t)got) {
        got = recv(conn->fd, dropped, sizeof dropped, MSG_DONTWAIT);
        if (got <= 0)
            break;
    }
}
