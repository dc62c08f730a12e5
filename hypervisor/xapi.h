/* hypervisor/xapi.h: a session with a XAPI pool, whoever its master is at the moment.
 *
 * A vt_xapi is shared by threads; each thread brings a line of its own (one for calls, one for
 * events). It knows all members that were ever seen, follows HOST_IS_SLAVE, logs in again once when
 * the session has died, and asks every member when the master is gone. The pool's uuid is
 * remembered: a member that was ejected answers as a pool of its own and is not believed.
 * Certificates are pinned per member: given, learnt at the first use of an address, or told by the
 * master over a trusted connection.
 *
 * What changes something is sent once. When its answer is lost the call fails with VT_E_CLOSED or
 * VT_E_TIMEOUT and the outcome is unknown: look, do not repeat. What only reads is repeated once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "hypervisor/cert.h"
#include "hypervisor/line.h"
#include "hypervisor/xmlrpc.h"

struct vt_err;
struct vt_xapi;

enum {
    VT_XAPI_MEMBERS_MAX = 128,
    VT_XAPI_REF_MAX = 64,
    VT_XAPI_UUID_MAX = 40,
    VT_XAPI_ADDRESS_MAX = 64,
    VT_XAPI_HOPS_MAX = 3,
    VT_XAPI_CALL_MS = 60000,
    VT_XAPI_LOGOUT_MS = 2000,
    VT_XAPI_PROBE_MS = 5000,
};

struct vt_xapi_member {
    char address[VT_XAPI_ADDRESS_MAX];
    char uuid[VT_XAPI_UUID_MAX]; /* of the host; "" until known */
    char pin[VT_CERT_PIN_MAX];   /* "" until known */
};

struct vt_xapi_options {
    const char *url; /* https://host[:port][/path]; http only to loopback, or with allow_plain */
    const char *user;
    const char *password;
    const char *
        fingerprint; /* pin or fingerprint that the url's host must show; NULL: believe the first */
    const char *ca_file;    /* NULL: pins */
    const char *originator; /* NULL: "vitrine" */
    bool allow_plain;
};

/* Copies its arguments, connects nowhere. VT_E_INVALID: the url. */
struct vt_xapi *vt_xapi_new(const struct vt_xapi_options *options, struct vt_err *err);
void vt_xapi_free(struct vt_xapi *xapi); /* forgets the password; log out before */
VT_DEFINE_AUTO(vt_xapi)

/* For the next login, and what the url's host must show: NULL: anything that is known. The session that
 * is there stays. true with *out_changed: they are others than before. Any thread. */
bool vt_xapi_set_login(struct vt_xapi *xapi, const char *user, const char *password,
                       const char *fingerprint, bool *out_changed, struct vt_err *err);

/* What was known when the program last ran: before the first call. pool_uuid may be "". */
bool vt_xapi_remember(struct vt_xapi *xapi, const char *pool_uuid,
                      const struct vt_xapi_member *members, size_t count, struct vt_err *err);
/* Copies what is known now; *out_count at most VT_XAPI_MEMBERS_MAX. */
void vt_xapi_members(struct vt_xapi *xapi, struct vt_xapi_member *out_members, size_t *out_count,
                     char out_pool_uuid[static VT_XAPI_UUID_MAX]);
/* Forgets the pin of a member, so that the next use learns it anew. VT_E_NOTFOUND. */
bool vt_xapi_forget_pin(struct vt_xapi *xapi, const char *address, struct vt_err *err);
void vt_xapi_master(struct vt_xapi *xapi,
                    char out_address[static VT_XAPI_ADDRESS_MAX]); /* "" when logged out */

/* Logs in unless a session is there: at the last master, else at every member in turn. Calls do it
 * by themselves. VT_E_STATUS with SESSION_AUTHENTICATION_FAILED is final; VT_E_REFUSED: no member
 * answers as the master. */
bool vt_xapi_login(struct vt_xapi *xapi, struct vt_line *line, struct vt_err *err);
bool vt_xapi_logout(struct vt_xapi *xapi, struct vt_line *line, struct vt_err *err);

/* A reply that was a success. Freed by vt_xapi_reply_fini; borrowed values live as long. */
struct vt_xapi_reply {
    struct vt_xmlrpc_message *message;
    const struct vt_xmlrpc_value *value;
    struct vt_xapi_failure failure; /* when the call failed with VT_E_STATUS */
    uint64_t login;                 /* number of the login it was answered under */
};
void vt_xapi_reply_fini(struct vt_xapi_reply *reply);
#define VT_AUTO_REPLY __attribute__((cleanup(vt_xapi_reply_fini))) struct vt_xapi_reply

/* Calls a method with the session and the arguments that `format` names, one letter each:
 *   s text, reference, enum    i int64_t    b int (bool)    d double    S const char *const *,
 * size_t (a set of text) e an empty map             m const char *const *, size_t (keys and values
 * in turn) false: err, and reply->failure for VT_E_STATUS. reply must be { 0 }; free it in either
 * case. */
bool vt_xapi_call(struct vt_xapi *xapi, struct vt_line *line, struct vt_xapi_reply *reply,
                  struct vt_err *err, const char *method, const char *format, ...);

/* The same with the reply handed out item by item (line.fn NULL: in one piece), and a time limit of
 * its own. A read that is repeated hands out its items from the beginning. */
struct vt_xapi_stream {
    struct vt_line_stream line;
    int64_t timeout_ms;
    bool new_login_fails; /* a dead session is not renewed: the caller has to begin anew (events) */
};
bool vt_xapi_call_stream(struct vt_xapi *xapi, struct vt_line *line,
                         const struct vt_xapi_stream *stream, struct vt_xapi_reply *reply,
                         struct vt_err *err, const char *method, const char *format, ...);

/* Does the method only read? */
bool vt_xapi_is_read(const char *method);

/* How often a login has happened: references and tokens of an earlier one are void. */
uint64_t vt_xapi_login_count(struct vt_xapi *xapi);

/* ---- tasks (xapi_task.c) ---- */

enum vt_xapi_task_end {
    VT_XAPI_TASK_SUCCESS,
    VT_XAPI_TASK_FAILURE,
    VT_XAPI_TASK_CANCELLED,
    VT_XAPI_TASK_UNKNOWN
};

/* Called between looks; false asks for the task to be cancelled. */
typedef bool (*vt_xapi_progress_fn)(void *context, double progress);

struct vt_xapi_task {
    enum vt_xapi_task_end end;
    char result[VT_XAPI_REF_MAX]; /* the reference that it made, or "" */
};

/* Follows the task until it ends or the deadline (monotonic ns) passes, then destroys it. true:
 * SUCCESS. Else err says why: VT_E_STATUS with XAPI's code, VT_E_CANCELLED, or, with UNKNOWN, that
 * the task vanished or its master died: the caller looks at the object. */
bool vt_xapi_task_wait(struct vt_xapi *xapi, struct vt_line *line, const char *task,
                       int64_t deadline, vt_xapi_progress_fn progress, void *context,
                       struct vt_xapi_task *out, struct vt_err *err);

/* Who keeps a picture of the pool sees its tasks end: asked before each look. Waits for at most
 * wait_ns until the task has ended; true: it has. *out_progress is set when it is known. Tasks are
 * then looked at once they ended, and every VT_XAPI_TASK_LOOK_S in case an event was lost. Set before
 * threads start. */
enum { VT_XAPI_TASK_LOOK_S = 5 };
typedef bool (*vt_xapi_sight_fn)(void *context, const char *task, int64_t wait_ns,
                                 double *out_progress);
void vt_xapi_see_tasks(struct vt_xapi *xapi, vt_xapi_sight_fn sight, void *context);

/* ---- events (xapi_event.c) ---- */

enum vt_xapi_operation { VT_XAPI_ADD, VT_XAPI_MOD, VT_XAPI_DEL };

struct vt_xapi_event {
    const char *class; /* lower case, as the server writes it */
    enum vt_xapi_operation operation;
    const char *ref;
    const struct vt_xmlrpc_value *snapshot; /* NULL for DEL */
};

struct vt_xapi_watch {
    void *context;
    /* What is known is void: the whole state follows as ADD events. */
    void (*reset)(void *context);
    bool (*event)(void *context, const struct vt_xapi_event *event, struct vt_err *err);
    /* Behind each batch: how many objects the server has, by class in lower case; first: the batch
     * that began the state anew. May be NULL. */
    void (*batch)(void *context, const struct vt_xmlrpc_value *valid_ref_counts, bool first);
    /* The connection is gone (err says why; again when the reason changes) or back (err NULL). May be
     * NULL. */
    void (*state)(void *context, const struct vt_err *err);
    /* Behind `batch`: up to here the events are known; tokens grow, as text. May be NULL. */
    void (*token)(void *context, const char *token);
};

enum { VT_XAPI_TOKEN_MAX = 128, VT_XAPI_EVENT_TIMEOUT_S = 30 };

/* Runs until vt_line_stop(line). Begins anew after a login, EVENTS_LOST or a token that is not
 * understood; waits 1, 2, 5, 10, 20, 30 s between tries when nothing answers. Returns false with
 * VT_E_CANCELLED, or for an authentication that failed. */
bool vt_xapi_watch(struct vt_xapi *xapi, struct vt_line *line, const char *const *classes,
                   size_t count, const struct vt_xapi_watch *watch, struct vt_err *err);
