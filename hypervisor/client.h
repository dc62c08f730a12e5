/* hypervisor/client.h: the other end of vitrine-poold's socket: what the command line and the
 * console use of this room. Includes nothing else of it.
 *
 * One request a connection, one JSON object a line, in both directions:
 *   -> {"do":"vm.list","args":["CT-*"],"options":{"state":"running"},"json":true}
 *   <- {"row":{...}}  {"out":"text\n"}  {"note":"a sentence"}  {"event":{...}}        any number
 *   <- {"progress":{"done":40,"total":100,"unit":"% of all tasks"}}                   any number
 *   <- {"result":{"status":0}}  {"error":{"code":"not-found","text":"...","xapi":""},"status":1}
 *      {"ask":{"question":"...","word":"..."}}                                        the last one
 *      {"raw":true}                       the last one: behind it bytes go both ways as they are
 * `do` is a command of the command line with a dot ("vm.start", "pool.status", "watch.list"), or
 *   status   how the daemon is: a row for each pool
 *   events   stays open: {"event":{"kind":"vm.changed","pool":"MAIN","subject":uuid,"time":ns,
 *            "detail":{...}}}; a reader that is too slow gets kind "lost" and asks anew
 *   vm.wake  VM...: starts, resumes or unpauses what is needed, waits until it runs
 *   vm.screen  VM: the bytes of its RFB server, raw, until one side hangs up
 * json: rows, one object each, with the fields of `vitrine ... --json`; without it, text as the
 * command line prints it. ask: the same request with "confirmed": word does it. While it runs,
 * {"cancel":true} ends it in good order, with a report for what was begun; who hangs up cancels.
 *
 * Who may: the daemon's own user and root all; the user of [pool] console_user reads, and wakes VMs
 * that a [workstation "NAME"] names; changes with [pool] console_verbs = yes, naming the person in
 * "user"; joining, ejecting and emergencies never. Everybody else is refused before a byte is read.
 *
 * A client belongs to one thread. Deadlines are monotonic ns (core/clock.h); 0 waits for ever. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct json_t;
struct vt_err;
struct vt_pool_client;

#define VT_POOL_SOCKET "/run/vitrine-pool/pool.sock"

enum {
    VT_POOL_REQUEST_MAX = 1 << 20, /* of the request's line */
    VT_POOL_ANSWER_MAX = 8 << 20,  /* of one line of an answer */
};

/* path: pool.socket, or NULL for VT_POOL_SOCKET. NULL with VT_E_NOTFOUND: nobody listens there. */
struct vt_pool_client *vt_pool_client_open(const char *path, int64_t deadline, struct vt_err *err);
/* Over a socket that is connected already, which it closes, in any case. NULL: VT_E_NOMEM. */
struct vt_pool_client *vt_pool_client_over(int fd, struct vt_err *err);
void vt_pool_client_free(struct vt_pool_client *client); /* hangs up */
VT_DEFINE_AUTO(vt_pool_client)

struct vt_pool_request {
    const char *verb; /* "vm.start" */
    const char *const *args;
    size_t arg_count;
    const struct json_t *options; /* object: an option's name without dashes to its value, true for a
                                     switch; or NULL */
    const char *pool;             /* of [pool "NAME"]; NULL: the only one */
    const char *url;       /* what the caller thinks the pool's url is: a daemon of another pool
                              answers VT_E_UNSUPPORTED before anything is done; NULL: any */
    const char *confirmed; /* the word of an ask, or NULL */
    const char *user;      /* the person for whom a console asks, or NULL */
    bool json;
};
bool vt_pool_client_ask(struct vt_pool_client *client, const struct vt_pool_request *request,
                        int64_t deadline, struct vt_err *err);

enum vt_pool_answer_kind {
    VT_POOL_ROW,      /* json */
    VT_POOL_OUT,      /* text */
    VT_POOL_NOTE,     /* text */
    VT_POOL_PROGRESS, /* done, total, unit in text */
    VT_POOL_EVENT,    /* json */
    VT_POOL_RESULT,   /* the last one: status, 0 when all was done */
    VT_POOL_ASK,      /* the last one: nothing was done; text is the question, word the answer */
    VT_POOL_RAW,      /* the last one: vt_pool_client_ahead, then the socket itself */
};

struct vt_pool_answer {
    enum vt_pool_answer_kind kind;
    struct json_t *json; /* borrowed, as is all text: until the next call with this client */
    const char *line;    /* ROW: the same as one line of JSON text */
    const char *text;
    const char *word;
    uint64_t done, total;
    int status;
};

/* The next answer. An error is the last one and comes as false with err (code, text, xapi_code);
 * VT_E_TIMEOUT: nothing yet, ask again; VT_E_CLOSED: the daemon ended before it was done. */
bool vt_pool_client_next(struct vt_pool_client *client, int64_t deadline,
                         struct vt_pool_answer *out, struct vt_err *err);

/* Asks for an end in good order; answers go on to come. */
bool vt_pool_client_cancel(struct vt_pool_client *client, struct vt_err *err);

/* Behind VT_POOL_RAW: what came with it already, borrowed until the client is freed; then read and
 * write the (non-blocking) socket. */
const uint8_t *vt_pool_client_ahead(const struct vt_pool_client *client, size_t *out_size);

/* For poll(); vt_pool_client_next with a deadline in the past takes what has come. */
int vt_pool_client_fd(const struct vt_pool_client *client);

/* Asks, hands every row to `row` (false hangs up, VT_E_CANCELLED) and waits for the end: for who
 * wants no more than a list or a verb. out_status may be NULL. */
bool vt_pool_client_rows(const char *path, const struct vt_pool_request *request, int64_t deadline,
                         bool (*row)(void *context, const struct json_t *row), void *context,
                         int *out_status, struct vt_err *err);
