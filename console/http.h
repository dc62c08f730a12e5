/* console/http.h: HTTP/1.1 (libmicrohttpd): a table of routes, requests with what was asked, answers.
 *
 *   connection ─> host, origin, route, gate (who may) ─> body, bounded ─> handler ─> answer
 *
 * A thread for each connection, at most VT_HTTP_CONNECTIONS of them; a handler may block. Every request gets exactly one
 * answer: a handler that returns without one is answered 500. Errors are JSON: {"error":"a sentence"}. Text that
 * is borrowed from a request lives as long as it does. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "core/buf.h"

struct vt_err;
struct vt_http;
struct vt_request;

enum {
    VT_HTTP_CONNECTIONS = 512,
    VT_HTTP_IDLE_S = 60,          /* without a byte */
    VT_HTTP_MEMORY = 64 << 10,    /* of a connection: request line and headers must fit */
    VT_HTTP_PARTS_MAX = 8,        /* '*' of a route */
    VT_HTTP_QUERIES_MAX = 256,
    VT_HTTP_TEXT_MAX = 4096,      /* of a decoded path segment or value */
    VT_HTTP_BODY_MAX = 16 << 20,  /* of a body that is kept in memory, unless the route says less */
    VT_HTTP_HEADERS_MAX = 16,     /* of an answer, besides those that are always there */
};

enum vt_user_role { VT_USER_NOBODY, VT_USER_VIEWER, VT_USER_OPERATOR, VT_USER_ADMIN };
const char *vt_user_role_name(enum vt_user_role role);   /* "viewer" ... */
bool vt_user_role_parse(const char *name, enum vt_user_role *out_role);

typedef void (*vt_http_handler)(struct vt_request *request);

/* "/studies/ * /series" without blanks: '*' is one segment, a last "**" is the rest of the path, also empty. */
struct vt_route {
    const char *method;          /* "GET" (answers HEAD as well), "POST", "PUT", "DELETE" */
    const char *path;
    enum vt_user_role role;      /* the least; VT_USER_NOBODY: anybody, without a login */
    vt_http_handler handle;      /* when the whole body is there */
    /* NULL: the body is collected (vt_request_body), up to body_max. Else each piece as it comes, before `handle`; false
     * when the handler has answered already: the rest is dropped. */
    bool (*piece)(struct vt_request *request, const uint8_t *bytes, size_t size);
    uint64_t body_max;           /* 0: VT_HTTP_BODY_MAX; more is 413 */
};

/* Who asks? Fills the request's user and role (vt_request_set_user); false: it has answered (401, 403, 429). Asked for
 * every request whose route is there, also for those that need no role. */
typedef bool (*vt_http_gate)(void *context, struct vt_request *request, enum vt_user_role needed);

struct vt_http_options {
    const char *listen;               /* an address; "127.0.0.1" */
    uint16_t port;                    /* 0: any free one */
    const char *certificate, *key;    /* PEM text; NULL: no TLS */
    const char *const *hosts;         /* further names in Host that are ours; loopback names and the address always are */
    size_t host_count;
    const char *shared;               /* what begins so may be read by pages of these origins ("*": all); NULL: nothing */
    const char *const *origins;
    size_t origin_count;
    const struct vt_route *const *tables;   /* each ends with a row whose method is NULL; the first match counts */
    size_t table_count;
    vt_http_gate gate;                /* NULL: everybody may do everything */
    void *gate_context;
    void *context;                    /* vt_request_context */
    /* A request is over; status 0: without an answer; `whole`: all of the answer was sent. NULL: nobody wants to know. */
    void (*over)(const struct vt_request *request, unsigned status, bool whole);
};

/* VT_E_IO: the port is taken. */
struct vt_http *vt_http_start(const struct vt_http_options *options, struct vt_err *err);
uint16_t vt_http_port(const struct vt_http *http);
/* No new connections; streams are told to end (vt_request_ending), then waited for. NULL is fine. */
void vt_http_stop(struct vt_http *http);

/* ---- the request ---- */

void *vt_request_context(const struct vt_request *request);
const char *vt_request_method(const struct vt_request *request);
const char *vt_request_path(const struct vt_request *request);             /* as it was sent, without the query */
const char *vt_request_part(const struct vt_request *request, size_t i);   /* of the i-th '*', decoded; "" */
const char *vt_request_header(const struct vt_request *request, const char *name);    /* NULL */
const char *vt_request_cookie(const struct vt_request *request, const char *name);    /* NULL */
const char *vt_request_address(const struct vt_request *request);          /* the peer's */
bool vt_request_is_tls(const struct vt_request *request);
/* Query parameters in order, decoded. NULL: no such one. */
const char *vt_request_query(const struct vt_request *request, const char *key);
bool vt_request_query_at(const struct vt_request *request, size_t i, const char **out_key, const char **out_value);
const struct vt_buf *vt_request_body(const struct vt_request *request);
/* A handler's own, from the first piece to the end; `free` is called when the request is over. */
void vt_request_set_state(struct vt_request *request, void *state, void (*free)(void *state));
void *vt_request_state(const struct vt_request *request);
const char *vt_request_user(const struct vt_request *request);             /* "" */
enum vt_user_role vt_request_role(const struct vt_request *request);
void vt_request_set_user(struct vt_request *request, const char *user, enum vt_user_role role);
/* Of the login that it came with (console/login.h); session 0: by name and password. */
void vt_request_set_login(struct vt_request *request, uint64_t session, uint64_t stamp);
void vt_request_login(const struct vt_request *request, uint64_t *out_session, uint64_t *out_stamp);
/* The server stops: a stream ends at its next turn. */
bool vt_request_ending(const struct vt_request *request);

/* ---- the answer: one of these, once ---- */

/* Before the answer. Further ones than VT_HTTP_HEADERS_MAX are dropped. The value is copied. */
void vt_answer_header(struct vt_request *request, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Before the answer, behind Cache-Control: its entity tag with quotes, "W/" before them when the bytes may differ. true: the
 * client has it and was answered 304. */
bool vt_answer_etag(struct vt_request *request, const char *etag);
/* Before vt_answer_stream: what of `size` bytes is asked for, and the status, 200 or 206. false: nothing there, 416 answered. */
bool vt_answer_range(struct vt_request *request, uint64_t size, uint64_t *out_from, uint64_t *out_count,
                     unsigned *out_status);
/* Bytes are copied; zstd or gzip when it is worth it and the client takes it. */
void vt_answer_bytes(struct vt_request *request, unsigned status, const char *type, const void *bytes, size_t size);
/* Takes the buffer's memory. */
void vt_answer_buf(struct vt_request *request, unsigned status, const char *type, struct vt_buf *body);
/* A part of a file, ranges as the client asks; takes the descriptor. */
void vt_answer_file(struct vt_request *request, const char *type, int fd, uint64_t offset, uint64_t size);
/* Pulls: gives up to `size` bytes, 0 to end, -1 to break off. `size` total when known, else UINT64_MAX. free may be NULL. */
typedef ptrdiff_t (*vt_http_pull)(void *state, uint64_t position, uint8_t *bytes, size_t size);
void vt_answer_stream(struct vt_request *request, unsigned status, const char *type, uint64_t size, vt_http_pull pull,
                      void *state, void (*free)(void *state));
void vt_answer_error(struct vt_request *request, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* 404, 400, 409, 503, 507 ... as the code means; the sentence is the error's. */
void vt_answer_err(struct vt_request *request, const struct vt_err *err);
bool vt_answered(const struct vt_request *request);
