/* dicom/door.h: the epoll thread that owns the DICOM listeners.
 *
 * It accepts, does the TLS handshake without blocking, collects one whole A-ASSOCIATE-RQ into a bounded buffer
 * under an ARTIM deadline (PS3.8 9.1.5), checks every length in it, and only then hands the connection on. A silent
 * peer costs a descriptor. What is refused here (not DICOM, half a PDU, a lie in a length) is answered by an
 * A-ABORT, closed, and told to `refused`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;
struct vt_door;
struct vt_incoming;     /* one connection with its A-ASSOCIATE-RQ, on the way to vt_assoc_receive */
struct ssl_ctx_st;

enum {
    VT_DOOR_RQ_MAX = 256 << 10,        /* a lawful RQ with 128 contexts stays below */
    VT_DOOR_PENDING_MAX = 1024,        /* connections without a whole RQ; beyond, the oldest is closed */
    VT_DOOR_PENDING_PER_HOST_MAX = 256,    /* the same for one host */
    VT_DOOR_LISTENERS_MAX = 8,
    VT_HOST_TEXT_MAX = 48,             /* "127.0.0.1", "fe80::1" */
};

struct vt_door_listener {
    const char *address;     /* "127.0.0.1", "::", "0.0.0.0" */
    uint16_t port;           /* 0: any free one, see vt_door_port */
    struct ssl_ctx_st *tls;  /* NULL: plain; the door holds a reference */
};

struct vt_door_options {
    const struct vt_door_listener *listeners;
    size_t listener_count;
    int64_t artim;           /* ns; 0: 30 s */
    bool strict_request;     /* PS3.8 to the letter where the wild deviates (blank titles, UID spelling, counts) */
    /* In the door's thread; must not block. Owns `incoming` from here on (vt_assoc_receive or vt_incoming_free). */
    void (*arrived)(void *context, struct vt_incoming *incoming);
    /* In the door's thread: a connection was closed before it became a request. */
    void (*refused)(void *context, const char *host, const char *reason);
    void *context;
};

/* Listens and starts the thread. vt_net_start must have been called. */
struct vt_door *vt_door_open(const struct vt_door_options *options, struct vt_err *err);
/* Stops listening, closes what is pending, joins the thread. */
void vt_door_free(struct vt_door *door);
VT_DEFINE_AUTO(vt_door)
uint16_t vt_door_port(const struct vt_door *door, size_t listener);
/* New connections of the TLS listeners use another context; those that are there keep theirs. Takes a reference of its
 * own. From any thread. */
void vt_door_set_tls(struct vt_door *door, struct ssl_ctx_st *tls);
size_t vt_door_pending(const struct vt_door *door);

/* Peer's address. Borrowed from incoming. */
const char *vt_incoming_host(const struct vt_incoming *incoming);
void vt_incoming_free(struct vt_incoming *incoming);
VT_DEFINE_AUTO(vt_incoming)
/* Answers with an A-ASSOCIATE-RJ (PS3.8 9.3.4) written without blocking, and frees: for limits, before a thread starts. */
void vt_incoming_reject(struct vt_incoming *incoming, uint8_t result, uint8_t source, uint8_t reason);
/* From the raw RQ: trimmed titles (room 17), and whether Verification is the only abstract syntax proposed. */
void vt_incoming_titles(const struct vt_incoming *incoming, char *out_calling, char *out_called);
bool vt_incoming_only_verification(const struct vt_incoming *incoming);

/* The raw check itself (PS3.8 9.3.2): pure, for tests and fuzzing. `bytes` is the whole PDU. */
bool vt_request_check(const uint8_t *bytes, size_t size, bool strict, struct vt_err *err);

#ifdef __cplusplus
}
#endif
