/* hypervisor/line.h: one HTTP connection to a XAPI host, kept open between requests.
 *
 * One line per purpose (calls, events, heartbeat), used by one thread; vt_line_stop may come from
 * any thread. The line knows nothing of sessions. Over TLS it trusts a CA file, or else the pin of
 * the host's key and nothing else: pins are learnt by vt_line_peek before anything is sent. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/auto.h"
#include "hypervisor/cert.h"
#include "hypervisor/xmlrpc.h"

struct vt_buf;
struct vt_err;
struct vt_line;

enum { VT_LINE_REQUEST_MAX = 300 * 1024, VT_LINE_CONNECT_MS = 10000 };

struct vt_line_host {
    const char *scheme;  /* "https" or "http" */
    const char *address; /* without brackets */
    uint16_t port;
    const char *path;    /* "/" */
    const char *ca_file; /* NULL: the pin decides */
    const char *pin;     /* NULL with a CA file */
};

struct vt_line *vt_line_new(struct vt_err *err);
void vt_line_free(struct vt_line *line);
VT_DEFINE_AUTO(vt_line)

/* Ends what is going on with VT_E_CANCELLED, and whatever begins until vt_line_resume. */
void vt_line_stop(struct vt_line *line);
void vt_line_resume(struct vt_line *line);
bool vt_line_stopped(struct vt_line *line);

/* Connects, reads the certificate, sends nothing. The line is of no use for posts behind it. */
bool vt_line_peek(struct vt_line *line, const struct vt_line_host *host, int64_t timeout_ms,
                  struct vt_cert *out, struct vt_err *err);

/* How a reply is read: in one piece, or handed out item by item (hypervisor/xmlrpc.h). */
struct vt_line_stream {
    const char *const *path;
    uint32_t path_length;
    vt_xmlrpc_item_fn fn;
    void *context;
};

/* Posts the body, decodes the reply. once: on a new connection, because libcurl sends a request
 * again when a kept one turns out to be dead, and what changes something must not be sent twice.
 * stream: NULL for one piece. Codes: VT_E_REFUSED no connection, VT_E_TIMEOUT, VT_E_CLOSED the
 * connection broke behind the request (whether it was carried out is unknown), VT_E_DENIED another
 * certificate than the pinned one, VT_E_PROTOCOL no XML-RPC or no status 200, VT_E_LIMIT. */
struct vt_xmlrpc_message *vt_line_post(struct vt_line *line, const struct vt_line_host *host,
                                       const struct vt_buf *body, int64_t timeout_ms, bool once,
                                       const struct vt_line_stream *stream, struct vt_err *err);

/* A bare connection to the host instead of requests, trusted as above: for consoles. Until the line
 * is freed it is of no use for anything else. */
bool vt_line_connect(struct vt_line *line, const struct vt_line_host *host, int64_t timeout_ms,
                     struct vt_err *err);
/* Neither waits: *out_size 0 means not now. VT_E_CLOSED. Read until it says 0 before waiting for
 * the socket: TLS may hold bytes that have arrived. */
bool vt_line_read(struct vt_line *line, void *bytes, size_t room, size_t *out_size,
                  struct vt_err *err);
bool vt_line_write(struct vt_line *line, const void *bytes, size_t size, size_t *out_size,
                   struct vt_err *err);
int vt_line_socket(struct vt_line *line); /* to poll; -1 without a connection */
