/* cmd/control.h: the control socket: the CLI's archive verbs, run inside the program that holds the
 * archive's lock.
 *
 * <archive.path>/control.sock, mode 0600; a caller must have our uid or be root (SO_PEERCRED). One
 * JSON object a line:
 *   -> {"verb":["study","list"],"args":["PatientID=1"],"options":{"sha256":true}}
 *   <- {"row":{...}}  {"progress":{"done":1,"total":9,"unit":"instances"}}   any number
 *   <- {"result":{...}}  or  {"error":{"code":"not-found","text":"..."}}     the last one
 * The verbs are the table of cmd/admin_verbs.h. A caller that goes away cancels what it started.
 * One thread a caller. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/archive.h"
#include "archive/query.h"
#include "core/auto.h"

struct json_t;
struct vt_err;
struct vt_control;
struct vt_job_world;

enum {
    VT_CONTROL_LINE_MAX = 1 << 20,    /* of a request */
    VT_CONTROL_ANSWER_MAX = 16 << 20, /* of one line of an answer */
    VT_CONTROL_CLIENTS = 16,          /* at once; one more is told so and closed */
    VT_CONTROL_REQUEST_WAIT = 10,     /* seconds for the request line */
    VT_CONTROL_WRITE_WAIT = 60,       /* seconds in which a caller must take a line of the answer */
};

struct vt_control_options {
    struct vt_archive *archive;  /* borrowed until vt_control_stop */
    struct vt_job_world *world;  /* borrowed; of the verbs that make jobs */
    struct vt_query_rules rules; /* of `study list`, `verify` words (vt_query_conf_read) */
    /* Adds to the row of `status` what only the daemon knows (associations, ports); NULL: nothing.
     * In the caller's thread. */
    void (*status)(void *context, struct json_t *row);
    void *context;
};

/* Makes the socket and starts the thread. A socket left behind by a dead process is replaced:
 * whoever calls this holds the lock. */
struct vt_control *vt_control_start(const struct vt_control_options *options, struct vt_err *err);
/* Cancels what runs, joins the threads, removes the socket. NULL is fine. */
void vt_control_stop(struct vt_control *control);

/* ---- the other end ---- */

struct vt_control_request {
    const char *const *verb; /* one or two words */
    size_t verb_count;
    const char *const *args;
    size_t arg_count;
    const struct json_t *options; /* object or NULL */
};

/* What comes back; the callbacks borrow. Returning false hangs up, which cancels (VT_E_CANCELLED).
 */
struct vt_control_answer {
    bool (*row)(void *context, struct json_t *row);
    bool (*progress)(void *context, uint64_t done, uint64_t total, const char *unit);
    void *context;
};

/* out_listening false: nobody listens there (and nothing was done), true is returned. Else the verb
 * ran: out_result is the caller's (json_decref). */
bool vt_control_call(const char *archive_path, const struct vt_control_request *request,
                     const struct vt_control_answer *answer, bool *out_listening,
                     struct json_t **out_result, struct vt_err *err);
