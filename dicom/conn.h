/* dicom/conn.h: one TCP or TLS connection as an association uses it. Room only.
 *
 * The descriptor stays non-blocking; every wait is poll(2) up to a deadline. TCP_QUICKACK is armed
 * before each wait in which we owe an ACK, since senders with Nagle's algorithm on wait for it;
 * when we have answered, the answer carried it. Received bytes lie in one buffer between `low` and `high` and are handed out in place; it starts small,
 * grows to VT_CONN_BUFFER_MAX under load and is given back by vt_conn_rest. One thread at a time,
 * but vt_conn_interrupt and vt_conn_send_now. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;
struct ssl_st;

enum { VT_CONN_BUFFER_MIN = 8 << 10, VT_CONN_BUFFER_MAX = 256 << 10 };

/* A deadline (monotonic ns) that is always past: take what is there, do not wait. 0 is "no
 * deadline". */
#define VT_CONN_NOW INT64_C(1)

struct vt_conn {
    int fd;             /* fixed; closed by vt_conn_free only */
    struct ssl_st *tls; /* NULL: plain */
    uint8_t *buffer;    /* NULL while capacity is 0 */
    size_t capacity;
    size_t low, high;
    size_t fill_most; /* of one receive into the buffer; 0: what there is room for */
    size_t kept; /* bytes before low that a look ahead wants back; see vt_conn_keep */
    bool keeping;
    bool owes_ack;     /* received since the last send */
    bool full_receive; /* the last receive filled all the room: a larger buffer pays */
    int64_t gap;       /* ns without progress that end a send */
    int stop_fd;       /* borrowed; readable: every wait ends with VT_E_CANCELLED. 0: none */
};

/* Takes the descriptor and the session in any case. NULL: out of memory; both are closed then. */
struct vt_conn *vt_conn_new(int fd, struct ssl_st *tls);
void vt_conn_free(struct vt_conn *conn);

/* TCP_NODELAY, keep-alive and TCP_QUICKACK, for accept and connect. */
void vt_conn_tune(int fd);

/* Makes `bytes` (from malloc) the buffer, filled. */
void vt_conn_preload(struct vt_conn *conn, uint8_t *bytes, size_t size);

static inline size_t vt_conn_buffered(const struct vt_conn *conn)
{
    return conn->high - conn->low;
}

static inline const uint8_t *vt_conn_bytes(const struct vt_conn *conn)
{
    return conn->buffer + conn->low;
}

static inline void vt_conn_consume(struct vt_conn *conn, size_t size)
{
    conn->low += size;
    if (conn->keeping)
        conn->kept += size;
}

/* One receive of at least a byte. VT_E_TIMEOUT, VT_E_CLOSED, VT_E_IO; VT_E_LIMIT: the buffer is
 * full. */
bool vt_conn_fill(struct vt_conn *conn, int64_t deadline, struct vt_err *err);
/* One receive to where the caller wants the bytes, while nothing is buffered: 1 to `size` of them; only behind all of
 * these up to `behind` more, into the buffer. Not under TLS. */
bool vt_conn_receive(struct vt_conn *conn, uint8_t *to, size_t size, size_t behind, int64_t deadline,
                     size_t *out_size, struct vt_err *err);
/* Fills until `size` bytes lie in the buffer in one piece. */
bool vt_conn_have(struct vt_conn *conn, size_t size, int64_t deadline, struct vt_err *err);
/* Waits until something can be received; takes no buffer for it, but under TLS. */
bool vt_conn_await(struct vt_conn *conn, int64_t deadline, struct vt_err *err);

/* What is consumed between keep and unkeep comes back, unless kept for good by unkeep(conn, false).
 */
void vt_conn_keep(struct vt_conn *conn);
void vt_conn_unkeep(struct vt_conn *conn, bool restore);

/* All of it; `parts` is used up. */
bool vt_conn_send(struct vt_conn *conn, struct iovec *parts, size_t count, int64_t deadline,
                  struct vt_err *err);
bool vt_conn_send_bytes(struct vt_conn *conn, const void *bytes, size_t size, int64_t deadline,
                        struct vt_err *err);
/* What goes out at once, 0 to `size`; from a second thread while the first waits to receive. Not
 * under TLS. */
size_t vt_conn_send_now(const struct vt_conn *conn, const void *bytes, size_t size);
/* What goes out at once, then the end of our side: for last words. What has come in meanwhile is
 * dropped, so that the peer gets them before a reset. */
void vt_conn_last_words(struct vt_conn *conn, const void *bytes, size_t size);

/* Gives the buffer back while it is empty. */
void vt_conn_rest(struct vt_conn *conn);
/* From any thread while the connection exists: every wait ends. */
void vt_conn_interrupt(const struct vt_conn *conn);

#ifdef __cplusplus
}
#endif
