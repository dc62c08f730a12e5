/* hypervisor/pool_service.h: the core of vitrine-poold: the Unix socket, who may ask what, the verbs,
 * the events. What the verbs do is brought by modules: cmd brings the commands of the command line,
 * the network monitor brings "watch.*" and threads of its own.
 *
 * One accepting thread, one thread a caller, at most VT_SERVICE_CALLERS of them, of which the console
 * may hold VT_SERVICE_CONSOLE; who comes beyond waits in the socket's backlog. The protocol is in
 * hypervisor/client.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "core/auto.h"
#include "hypervisor/pool_keeper.h"

struct json_t;
struct vt_err;
struct vt_pool_call;
struct vt_service;

enum {
    VT_SERVICE_CALLERS = 64,
    VT_SERVICE_CONSOLE = 24,       /* of them, for the console's user */
    VT_SERVICE_REQUEST_WAIT_S = 10, /* for the request's line */
    VT_SERVICE_WRITE_WAIT_S = 20,  /* for a caller to take what is written */
    VT_SERVICE_EVENTS_MAX = 1024,  /* waiting for one reader */
    VT_SERVICE_POOLS_MAX = 16,
    VT_SERVICE_MODULES_MAX = 8,
    VT_SERVICE_WHO_MAX = 128,
    VT_SERVICE_ARGS_MAX = 4096,
    VT_SERVICE_HELD_MAX = 64 << 20, /* bytes of answers that wait for one caller */
};

/* What a verb needs of its caller. */
enum vt_pool_need {
    VT_NEED_READ,   /* everybody who gets in */
    VT_NEED_WAKE,   /* the console for workstations: the verb looks itself (vt_call_is_console) */
    VT_NEED_CHANGE, /* the console when console_verbs is on; audited, rate-limited */
    VT_NEED_ADMIN,  /* the daemon's user and root */
};

/* NULL name: the last one. run: true, or false with err (VT_E_INVALID: exit status 2). When some of
 * what was asked failed and its rows say so: vt_call_status(call, 1), true. */
struct vt_pool_verb {
    const char *name; /* "watch.add"; one that ends in '.': the whole family */
    enum vt_pool_need need;
    bool (*run)(void *context, struct vt_pool_call *call, struct vt_err *err);
};

/* Verbs and what runs beside them. start and stop may be NULL; keepers run between them. A module
 * that wants to follow the picture calls vt_keeper_listen for each keeper in start. */
struct vt_pool_module {
    const char *name;
    void *context;
    const struct vt_pool_verb *verbs;
    bool (*start)(void *context, struct vt_service *service, struct vt_err *err);
    void (*stop)(void *context);
    /* Adds to the answer of "status" (a row of its own under the module's name). May be NULL. */
    void (*status)(void *context, struct json_t *row);
    /* SIGHUP: the configuration was read anew. May be NULL. */
    void (*reload)(void *context);
};

struct vt_service_options {
    const char *socket;
    uid_t console_uid; /* (uid_t)-1: there is none */
    bool console_verbs;
    unsigned console_per_minute; /* changes; 0: 60 */
};

/* ---- putting it together, in this order ---- */

struct vt_service *vt_service_new(const struct vt_service_options *options, struct vt_err *err);
/* The service frees the keeper. VT_E_LIMIT. */
bool vt_service_add_pool(struct vt_service *service, struct vt_keeper *keeper, struct vt_err *err);
/* Borrows the module until vt_service_free. VT_E_LIMIT. */
bool vt_service_add_module(struct vt_service *service, const struct vt_pool_module *module,
                           struct vt_err *err);
/* Starts modules and keepers, then makes the socket and accepts. */
bool vt_service_start(struct vt_service *service, struct vt_err *err);
/* Cancels what runs, stops modules and keepers, removes the socket. NULL is fine. */
void vt_service_free(struct vt_service *service);
VT_DEFINE_AUTO(vt_service)
/* console_* of the options anew; the socket stays. Then the modules' reload. */
void vt_service_reload(struct vt_service *service, const struct vt_service_options *options);

/* ---- for modules ---- */

size_t vt_service_pool_count(const struct vt_service *service);
struct vt_keeper *vt_service_pool(const struct vt_service *service, size_t index);

/* Tells every reader of "events". Any thread; takes the detail (an object or NULL) over. */
void vt_service_publish(struct vt_service *service, const char *kind, const char *pool,
                        const char *subject, struct json_t *detail);

/* ---- inside a verb: in the caller's thread ---- */

const char *vt_call_verb(const struct vt_pool_call *call);
/* args: strings, borrowed while the verb runs. */
const char *const *vt_call_args(const struct vt_pool_call *call, size_t *out_count);
/* The value of an option, "" for a switch that is on; NULL: not given. */
const char *vt_call_option(const struct vt_pool_call *call, const char *name);
/* All of them: an object, or NULL. */
const struct json_t *vt_call_options(const struct vt_pool_call *call);
const char *vt_call_who(const struct vt_pool_call *call); /* "root", "vitrine for alice" */
bool vt_call_is_console(const struct vt_pool_call *call);
bool vt_call_json(const struct vt_pool_call *call);
/* The pool that the request names, or the only one. NULL: err. */
struct vt_keeper *vt_call_pool(struct vt_pool_call *call, struct vt_err *err);
/* Was this word confirmed? If not, the question is asked and the verb returns false with err
 * (VT_E_DENIED); the caller comes again. */
bool vt_call_confirm(struct vt_pool_call *call, const char *question, const char *word,
                     struct vt_err *err);

/* Answers. Each is false when the caller is gone; then end soon. row: taken over. */
bool vt_call_row(struct vt_pool_call *call, struct json_t *row);
bool vt_call_row_text(struct vt_pool_call *call, const char *json, size_t size); /* one object */
bool vt_call_out(struct vt_pool_call *call, const char *text, size_t size);
bool vt_call_note(struct vt_pool_call *call, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool vt_call_progress(struct vt_pool_call *call, uint64_t done, uint64_t total, const char *unit);
void vt_call_status(struct vt_pool_call *call, int status);
/* Rows and text wait for a good size; this sends them now. Notes, progress and vt_call_cancelled do so
 * too. */
bool vt_call_flush(struct vt_pool_call *call);
/* The answer is bytes, both ways, over the (non-blocking) socket of the caller: lent until the verb returns. Nothing else may be
 * answered behind it; an error is only in the audit. false: the caller is gone, or spoke out of turn. */
bool vt_call_raw(struct vt_pool_call *call, int *out_fd);
/* The service stops: for a verb that speaks raw. */
bool vt_call_stopping(struct vt_pool_call *call);
/* While held nothing is sent, whatever is said: for who reads a picture (vt_keeper_read) and must not
 * wait for a slow caller. At most VT_SERVICE_HELD_MAX bytes. */
void vt_call_hold(struct vt_pool_call *call, bool hold);
/* The caller hung up or said cancel, or the service stops: ask every 100 ms or so. */
bool vt_call_cancelled(struct vt_pool_call *call);
