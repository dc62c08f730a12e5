/* cmd/admin_verbs.h: the archive verbs: one table from words to vt_admin_* calls, run by vitrined
 * for callers of its control socket and by the CLI itself when it holds the archive's lock. Rows
 * and progress go to the callbacks; what remains is one result object. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "archive/admin.h"

struct json_t;
struct vt_err;
struct vt_job_world;

struct vt_admin_call {
    struct vt_admin admin;
    const char *const *args;
    size_t arg_count;
    const struct json_t *options; /* object or NULL: {"reason":"...","all":true} */
    const struct vt_query_rules *rules;
    struct vt_job_world *world; /* of the node that runs; NULL: none does */
    void (*status)(void *context,
                   struct json_t *row); /* see vt_control_options; NULL: nothing to add */
    void *status_context;
};

struct vt_admin_verb {
    const char *words[2]; /* the second NULL for a verb of one word */
    size_t min_args, max_args;
    bool changes; /* worth a line in the log */
    /* Adds to result. A result with "faults" or "failed" above 0 is a finished verb that makes the
     * CLI exit with 1. */
    bool (*run)(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
};

/* NULL: no such verb. */
const struct vt_admin_verb *vt_admin_verb_find(const char *const *words, size_t count);
const struct vt_admin_verb *vt_admin_verb_at(size_t i); /* NULL behind the last */
/* Checks the count of arguments, runs. out_result is the caller's. */
bool vt_admin_verb_run(const struct vt_admin_verb *verb, struct vt_admin_call *call,
                       struct json_t **out_result, struct vt_err *err);
