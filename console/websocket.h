/* console/websocket.h: WebSocket (RFC 6455), the server's side: the key of the handshake, frames, and connections that a handler
 * hands over. What is read comes from a browser, so every length is bounded; frames are unmasked in place. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_err;
struct vt_request;

enum {
    VT_WS_PAYLOAD_MAX = 64 << 10,   /* of a frame that comes in */
    VT_WS_CONTROL_MAX = 125,        /* of a ping, a pong, a close */
    VT_WS_HEAD_MAX = 14,
    VT_WS_ACCEPT_MAX = 32,
    VT_WS_CONNECTIONS = 32,         /* at once */
};

enum vt_ws_opcode { VT_WS_MORE = 0, VT_WS_TEXT = 1, VT_WS_BINARY = 2, VT_WS_CLOSE = 8, VT_WS_PING = 9, VT_WS_PONG = 10 };

struct vt_ws_frame {
    enum vt_ws_opcode opcode;
    bool last;          /* of its message */
    uint8_t *payload;   /* in the bytes that were given, unmasked */
    size_t size;
};

/* ---- pure ---- */

/* The first frame in `bytes`, which it unmasks; *out_used 0 and true: it is not whole yet. inside: a message has begun and goes on;
 * kept by the caller, starts false. VT_E_PROTOCOL: what no client may send; VT_E_LIMIT: longer than VT_WS_PAYLOAD_MAX. */
bool vt_ws_take(uint8_t *bytes, size_t size, bool *inside, struct vt_ws_frame *out, size_t *out_used, struct vt_err *err);

/* The head of a frame that goes out whole; its length. */
size_t vt_ws_head(enum vt_ws_opcode opcode, uint64_t size, uint8_t out[static VT_WS_HEAD_MAX]);

/* ---- connections (console/upgrade.c) ---- */

/* Sec-WebSocket-Accept for a Sec-WebSocket-Key; false: that is no key. */
bool vt_ws_accept(const char *key, char out[static VT_WS_ACCEPT_MAX]);

/* A thread's own until run returns. socket: non-blocking, not to be closed; ahead: what the browser sent already, at most ahead_size
 * bytes; stopping: the server ends, asked every second at least. */
struct vt_ws_line {
    int socket;
    const uint8_t *ahead;
    size_t ahead_size;
    bool (*stopping)(const struct vt_ws_line *line);
    void *server;
};

/* Answers a GET that asks for it with 101; then `run` has the connection in a thread of its own, and `free` is called in any case, also
 * when the answer is a refusal (400: no WebSocket; 403: of a page that is not ours; 503: VT_WS_CONNECTIONS are there). */
void vt_answer_websocket(struct vt_request *request, void (*run)(void *state, struct vt_ws_line *line), void *state,
                         void (*free)(void *state));

struct vt_http;
/* Waits for them to end; before the library is stopped. */
void vt_ws_wait(struct vt_http *http);
