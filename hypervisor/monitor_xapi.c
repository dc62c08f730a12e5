/* The monitor's pool over a XAPI session: looks, asks once, marks. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/driver.h"
#include "hypervisor/monitor.h"
#include "hypervisor/pool_keeper.h"
#include "hypervisor/verbs.h"

struct pool {
    struct vt_monitor_pool table; /* first: it is what callers hold */
    struct vt_keeper *keeper;
    atomic_bool stopping;

    pthread_mutex_t lock; /* guards what follows */
    struct vt_line *lines[VT_MONITOR_WORKERS]; /* what workers wait on */
};

/* ---- lines that a stop ends ---- */

/* Of one worker, until let_go. What it asks behind a stop ends at once. */
static struct vt_line *hold_line(struct pool *pool, struct vt_err *err)
{
    struct vt_line *line = vt_line_new(err);
    size_t i = 0;

    if (!line)
        return NULL;
    pthread_mutex_lock(&pool->lock);
    while (i < VT_MONITOR_WORKERS - 1 && pool->lines[i])
        i++;
    pool->lines[i] = line;
    if (atomic_load(&pool->stopping))
        vt_line_stop(line);
    pthread_mutex_unlock(&pool->lock);
    return line;
}

static void let_go(struct pool *pool, struct vt_line *line)
{
    pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < VT_MONITOR_WORKERS; i++)
        if (pool->lines[i] == line)
            pool->lines[i] = NULL;
    pthread_mutex_unlock(&pool->lock);
    vt_line_free(line);
}

/* ---- reading ---- */

static const struct vt_picture *read_picture(void *context)
{
    struct pool *pool = context;

    return vt_keeper_read(pool->keeper);
}

static void done_picture(void *context)
{
    struct pool *pool = context;

    vt_keeper_done(pool->keeper);
}

static bool answers(void *context)
{
    struct pool *pool = context;
    struct vt_keeper_status status;

    vt_keeper_status(pool->keeper, &status);
    return status.answers;
}

/* ---- a snapshot ---- */

struct taking {
    struct pool *pool;
    struct vt_xapi *xapi;
    struct vt_line *line;
    struct vt_snapshot_job *job;
    struct vt_err err;
};

static void end(struct taking *t, enum vt_snapshot_end how, const char *why)
{
    t->job->end = how;
    snprintf(t->job->why, sizeof t->job->why, "%s", why);
}

static bool call(struct taking *t, struct vt_xapi_reply *reply, const char *method,
                 const char *argument)
{
    return vt_xapi_call(t->xapi, t->line, reply, &t->err, method, "s", argument);
}

/* The picture is a moment old: the pool is asked once more before anything is done. */
static bool still_runs(struct taking *t)
{
    VT_AUTO_REPLY reply = { 0 };

    if (!call(t, &reply, "VM.get_record", t->job->vm)) {
        end(t, strcmp(t->err.xapi_code, "HANDLE_INVALID") == 0 ? VT_SNAPSHOT_EXCUSED
                                                                : VT_SNAPSHOT_FAILED,
            t->err.text);
        return false;
    }
    const char *power = vt_xmlrpc_text(vt_xmlrpc_member(reply.value, "power_state"), "");
    if (strcmp(power, "Running") != 0) {
        end(t, VT_SNAPSHOT_EXCUSED, "it no longer runs");
        return false;
    }
    if (vt_xmlrpc_first(vt_xmlrpc_member(reply.value, "current_operations"))) {
        end(t, VT_SNAPSHOT_BUSY, "another operation is in progress");
        return false;
    }
    return true;
}

/* One of that name was taken by an earlier run. true: out is it, or "" for none. */
static bool find_taken(struct taking *t, char out[static VT_XAPI_REF_MAX])
{
    VT_AUTO_REPLY reply = { 0 };

    out[0] = '\0';
    if (!call(t, &reply, "VM.get_by_name_label", t->job->name)) {
        end(t, VT_SNAPSHOT_FAILED, t->err.text);
        return false;
    }
    const struct vt_xmlrpc_value *first = vt_xmlrpc_first(reply.value);
    if (first)
        snprintf(out, VT_XAPI_REF_MAX, "%s", vt_xmlrpc_text(first, ""));
    return true;
}

static bool on_progress(void *context, double progress)
{
    const struct taking *t = context;

    (void)progress;
    return !atomic_load(&t->pool->stopping) && vt_clock_mono() < t->job->deadline;
}

/* Codes that say that the storage is ill: it is left alone for a while. */
static bool is_storage_ill(const char *code)
{
    static const char *const codes[] = { "SR_BACKEND_FAILURE", "SR_FULL", "VDI_NOT_AVAILABLE",
                                         "SR_HAS_NO_PBDS" };

    for (size_t i = 0; i < VT_COUNT(codes); i++)
        if (strncmp(code, codes[i], strlen(codes[i])) == 0)
            return true;
    return false;
}

static void judge_failure(struct taking *t, const struct vt_verb_job *verb)
{
    bool late = vt_clock_mono() >= t->job->deadline;
    bool busy = strcmp(verb->err.xapi_code, "OTHER_OPERATION_IN_PROGRESS") == 0;

    t->job->ill = is_storage_ill(verb->err.xapi_code) || late;
    if (late && verb->end == VT_VERB_CANCELLED)
        end(t, VT_SNAPSHOT_FAILED, "it did not end in time and was cancelled");
    else if (late)
        end(t, VT_SNAPSHOT_UNKNOWN, "it did not end in time and cannot be cancelled");
    else if (verb->end == VT_VERB_UNKNOWN || verb->end == VT_VERB_CANCELLED)
        end(t, VT_SNAPSHOT_UNKNOWN, verb->err.text);
    else
        end(t, busy ? VT_SNAPSHOT_BUSY : VT_SNAPSHOT_FAILED, verb->err.text);
}

static bool take(struct taking *t, char out[static VT_XAPI_REF_MAX])
{
    struct vt_verb_job verb = {
        .verb = vt_driver_verb(&vt_driver_xapi, t->job->checkpoint ? "checkpoint" : "snapshot"),
    };

    snprintf(verb.vm, sizeof verb.vm, "%s", t->job->vm);
    snprintf(verb.name, sizeof verb.name, "%s", t->job->name);
    vt_verb_do(t->xapi, t->line, &verb, on_progress, t);
    if (verb.end != VT_VERB_DONE) {
        judge_failure(t, &verb);
        return false;
    }
    snprintf(out, VT_XAPI_REF_MAX, "%s", verb.result);
    return true;
}

/* The snapshot is there; that its marks are not all written only keeps it longer. */
static void mark(struct taking *t, const char *ref)
{
    struct vt_err ignored = { 0 };

    for (size_t i = 0; i + 1 < t->job->mark_count; i += 2) {
        VT_AUTO_REPLY reply = { 0 };
        vt_xapi_call(t->xapi, t->line, &reply, &ignored, "VM.add_to_other_config", "sss", ref,
                     t->job->marks[i], t->job->marks[i + 1]);
    }
    VT_AUTO_REPLY described = { 0 };
    vt_xapi_call(t->xapi, t->line, &described, &ignored, "VM.set_name_description", "ss", ref,
                 t->job->description);
}

static void tell_uuid(struct taking *t, const char *ref)
{
    VT_AUTO_REPLY reply = { 0 };

    if (call(t, &reply, "VM.get_uuid", ref))
        snprintf(t->job->uuid, sizeof t->job->uuid, "%s", vt_xmlrpc_text(reply.value, ""));
    end(t, VT_SNAPSHOT_DONE, t->job->quiesced ? "not quiesced: XAPI no longer can" : "");
}

static void find_or_take(struct taking *t)
{
    char ref[VT_XAPI_REF_MAX] = "";

    if (!find_taken(t, ref))
        return;
    if (!ref[0] && (!still_runs(t) || !take(t, ref)))
        return;
    mark(t, ref);
    tell_uuid(t, ref);
}

/* How it ended behind a stop nobody asks: the intent stays, and who starts next looks. */
static void snapshot(void *context, struct vt_snapshot_job *job)
{
    struct pool *pool = context;
    struct taking t = { .pool = pool, .xapi = vt_keeper_xapi(pool->keeper), .job = job };

    if (!t.xapi) {
        vt_monitor_driver_snapshot(pool->keeper, job);
        return;
    }
    t.line = hold_line(pool, &t.err);
    if (!t.line) {
        end(&t, VT_SNAPSHOT_FAILED, t.err.text);
        return;
    }
    find_or_take(&t);
    let_go(pool, t.line);
}

/* ---- an expired one ---- */

/* It must still be a snapshot and carry the marks: the picture may be old. */
static bool is_ours(struct vt_xapi *xapi, struct vt_line *line, const char *ref,
                    const char *const *marks, size_t count, struct vt_err *err)
{
    VT_AUTO_REPLY reply = { 0 };

    if (!vt_xapi_call(xapi, line, &reply, err, "VM.get_record", "s", ref))
        return false;
    const struct vt_xmlrpc_value *config = vt_xmlrpc_member(reply.value, "other_config");
    bool ours = vt_xmlrpc_bool(vt_xmlrpc_member(reply.value, "is_a_snapshot"), false);
    for (size_t i = 0; i + 1 < count; i += 2)
        ours = ours && strcmp(vt_xmlrpc_text(vt_xmlrpc_member(config, marks[i]), ""),
                              marks[i + 1]) == 0;
    return ours || vt_fail(err, VT_E_DENIED, "it does not carry our marks any more");
}

static bool remove_snapshot(void *context, const char *ref, const char *const *marks,
                            size_t count, struct vt_err *err)
{
    struct pool *pool = context;
    struct vt_xapi *xapi = vt_keeper_xapi(pool->keeper);
    struct vt_verb_job verb = { .verb = vt_driver_verb(&vt_driver_xapi, "destroy") };

    if (!xapi)
        return vt_monitor_driver_remove(pool->keeper, ref, marks, count, err);
    struct vt_line *line = hold_line(pool, err);
    bool ok = line && is_ours(xapi, line, ref, marks, count, err);
    if (ok) {
        snprintf(verb.vm, sizeof verb.vm, "%s", ref);
        vt_verb_do(xapi, line, &verb, NULL, NULL);
        ok = verb.end == VT_VERB_DONE;
        if (!ok)
            *err = verb.err;
    }
    let_go(pool, line);
    return ok;
}

static void stop(void *context)
{
    struct pool *pool = context;

    atomic_store(&pool->stopping, true);
    pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < VT_MONITOR_WORKERS; i++)
        if (pool->lines[i])
            vt_line_stop(pool->lines[i]);
    pthread_mutex_unlock(&pool->lock);
}

struct vt_monitor_pool *vt_monitor_xapi_new(struct vt_keeper *keeper, struct vt_err *err)
{
    struct pool *pool = calloc(1, sizeof *pool);

    if (!pool) {
        vt_fail(err, VT_E_NOMEM, "no memory for the monitor's pool");
        return NULL;
    }
    pthread_mutex_init(&pool->lock, NULL);
    pool->keeper = keeper;
    pool->table = (struct vt_monitor_pool){ .context = pool,
                                            .name = vt_keeper_name(keeper),
                                            .read = read_picture,
                                            .done = done_picture,
                                            .answers = answers,
                                            .snapshot = snapshot,
                                            .remove = remove_snapshot,
                                            .stop = stop };
    return &pool->table;
}

void vt_monitor_xapi_free(struct vt_monitor_pool *pool)
{
    struct pool *all = pool ? pool->context : NULL;

    if (!all)
        return;
    pthread_mutex_destroy(&all->lock);
    free(all);
}
