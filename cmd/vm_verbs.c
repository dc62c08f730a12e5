/* What is done with VMs: the commands' words become jobs, the jobs a report line each. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "cmd/progress.h"
#include "cmd/vm_commands.h"
#include "cmd/vm_pool.h"
#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/driver.h"
#include "hypervisor/pool_service.h"
#include "hypervisor/verbs.h"

#define CLASSES                                                                                    \
    (VT_CLASS_BIT(VT_CLASS_POOL) | VT_CLASS_BIT(VT_CLASS_HOST) | VT_CLASS_BIT(VT_CLASS_VM) |       \
     VT_CLASS_BIT(VT_CLASS_SR) | VT_CLASS_BIT(VT_CLASS_NETWORK))

/* A word of the command line and the driver's verbs for it: plain, with a switch, with a host. */
static const struct {
    const char *word, *plain, *other, *other_switch, *on_host, *host_option;
} words[] = {
    { "start", "start", NULL, NULL, "start_on", "--on" },
    { "shutdown", "clean_shutdown", "hard_shutdown", "--force", NULL, NULL },
    { "reboot", "clean_reboot", "hard_reboot", "--force", NULL, NULL },
    { "suspend", "suspend", NULL, NULL, NULL, NULL },
    { "resume", "resume", NULL, NULL, "resume_on", "--on" },
    { "pause", "pause", NULL, NULL, NULL, NULL },
    { "unpause", "unpause", NULL, NULL, NULL, NULL },
    { "migrate", NULL, NULL, NULL, "migrate", "--to" },
    { "destroy", "destroy", NULL, NULL, NULL, NULL },
    { "snapshot", "snapshot", VT_VERB_QUIESCED, "--quiesced", NULL, NULL },
    { "checkpoint", "checkpoint", NULL, NULL, NULL, NULL },
};

struct batch {
    struct vt_pool *pool;
    struct vt_verb_job *jobs;
    char **names; /* of the VM of each job */
    size_t count, room;
    size_t refused; /* by the check before */
    struct vt_progress progress;
    uint64_t percent; /* that was told last */
};

static void batch_fini(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        free(batch->names[i]);
    free(batch->jobs);
    free(batch->names);
}

/* ---- reports ---- */

static void print_json(const struct vt_cli *cli, const char *name, const struct vt_verb *verb,
                       const char *outcome, const struct vt_verb_job *job, const struct vt_err *err,
                       const char *result)
{
    json_t *row =
        json_pack("{s:s, s:s, s:s}", "name", name, "verb", verb->name, "outcome", outcome);

    if (job && job->ns)
        json_object_set_new(row, "seconds", json_real((double)job->ns / 1e9));
    if (result && *result)
        json_object_set_new(row, "uuid", json_string(result));
    if (err && vt_failed(err)) {
        json_object_set_new(row, "error", json_string(err->text));
        json_object_set_new(row, "code", json_string(err->xapi_code));
    }
    json_dumpf(row, cli->out, JSON_COMPACT);
    fputc('\n', cli->out);
    json_decref(row);
}

static const char *outcome_of(const struct vt_verb_job *job)
{
    switch (job->end) {
    case VT_VERB_DONE:
        return "done";
    case VT_VERB_UNKNOWN:
        return "unknown";
    case VT_VERB_CANCELLED:
        return "cancelled";
    default:
        return "failed";
    }
}

/* The uuid of what was made; "" when nothing was. */
static void uuid_of(struct vt_pool *pool, const struct vt_verb_job *job,
                    char out[static VT_XAPI_UUID_MAX])
{
    VT_AUTO_REPLY reply = { 0 };
    struct vt_err ignored = { 0 };

    out[0] = '\0';
    if (job->verb->args != VT_ARGS_VM_NAME || job->end != VT_VERB_DONE)
        return;
    const char *colon = pool->session ? strrchr(job->result, ':') : NULL;
    if (colon)
        snprintf(out, VT_XAPI_UUID_MAX, "%s", colon + 1);
    else if (pool->xapi &&
             vt_xapi_call(pool->xapi, pool->line, &reply, &ignored, "VM.get_uuid", "s", job->result))
        snprintf(out, VT_XAPI_UUID_MAX, "%s", vt_xmlrpc_text(reply.value, ""));
}

static void report(void *context, const struct vt_verb_job *job)
{
    struct batch *batch = context;
    const struct vt_cli *cli = batch->pool->cli;
    const char *name = batch->names[job - batch->jobs];
    struct vt_err err = job->err;
    char uuid[VT_XAPI_UUID_MAX];

    vt_progress_clear(&batch->progress);
    vt_pool_explain(batch->pool, &err);
    uuid_of(batch->pool, job, uuid);
    if (cli->options->json) {
        print_json(cli, name, job->verb, outcome_of(job), job, &err, uuid);
    } else if (job->end == VT_VERB_DONE) {
        fprintf(cli->out, "%s: %s in %.1f s%s%s%s\n", name, job->verb->done, (double)job->ns / 1e9,
                *uuid ? ", " : "", uuid,
                job->looked ? " (the answer was lost; the VM was looked at)" : "");
    } else {
        fflush(cli->out);
        vt_cli_complain(cli, "%s: %s %s: %s", name, job->verb->doing,
                        job->end == VT_VERB_UNKNOWN ? "ended unseen" : "failed", err.text);
    }
    fflush(cli->out);
}

static bool tick(void *context, double progress, size_t done, size_t count)
{
    struct batch *batch = context;
    const struct vt_cli *cli = batch->pool->cli;
    const char *unit = count == 1 ? "% of the task" : "% of all tasks";
    uint64_t percent = (uint64_t)(progress * 100);

    (void)done;
    if (cli->call && percent != batch->percent)
        vt_call_progress(cli->call, percent, 100, unit);
    else
        vt_progress_show(&batch->progress, percent, 100, unit, 0);
    batch->percent = percent;
    return !vt_cli_stopped(cli);
}

/* ---- jobs ---- */

static bool add_job(struct batch *batch, const struct vt_verb_job *job, const char *name,
                    struct vt_err *err)
{
    if (batch->count == batch->room) {
        size_t room = batch->room ? batch->room * 2 : 16;
        struct vt_verb_job *jobs = reallocarray(batch->jobs, room, sizeof *jobs);
        if (jobs)
            batch->jobs = jobs;
        char **names = reallocarray(batch->names, room, sizeof *names);
        if (names)
            batch->names = names;
        if (!jobs || !names)
            return vt_fail(err, VT_E_NOMEM, "no memory for a list of VMs");
        batch->room = room;
    }
    char *copy = strdup(name);
    if (!copy)
        return vt_fail(err, VT_E_NOMEM, "no memory for a list of VMs");
    batch->jobs[batch->count] = *job;
    batch->names[batch->count++] = copy;
    return true;
}

static void refuse(struct batch *batch, const struct vt_verb *verb, const struct vt_object *vm,
                   const struct vt_err *why)
{
    const struct vt_cli *cli = batch->pool->cli;
    const char *name = vt_object_text(vm, "name_label");

    batch->refused++;
    if (cli->options->json)
        print_json(cli, name, verb, "refused", NULL, why, NULL);
    else
        vt_cli_complain(cli, "%s", why->text);
}

/* A job for the VM when it may be done; a report line when not. The report calls it `called`. */
static bool plan_as(struct batch *batch, const struct vt_object *vm, const char *called,
                    const struct vt_verb_job *pattern, struct vt_err *err)
{
    struct vt_vm_state state = vt_vm_state_of(vm, pattern->verb);
    struct vt_verb_job job = *pattern;
    struct vt_err why = { 0 };

    if (!vt_verb_check(pattern->verb, &state, &why)) {
        refuse(batch, pattern->verb, vm, &why);
        return true;
    }
    snprintf(job.vm, sizeof job.vm, "%s", vt_object_ref(vm));
    snprintf(job.lane, sizeof job.lane, "%s",
             *job.host ? job.host : vt_object_text(vm, "resident_on"));
    if (vt_xapi_ref_is_null(job.lane))
        job.lane[0] = '\0';
    return add_job(batch, &job, called, err);
}

static bool plan(struct batch *batch, const struct vt_object *vm, const struct vt_verb_job *pattern,
                 struct vt_err *err)
{
    return plan_as(batch, vm, vt_object_text(vm, "name_label"), pattern, err);
}

static void print_dry(const struct batch *batch)
{
    const struct vt_cli *cli = batch->pool->cli;

    for (size_t i = 0; i < batch->count; i++) {
        const struct vt_verb_job *job = &batch->jobs[i];
        const char *name = batch->names[i];
        const struct vt_object *host = vt_picture_get(batch->pool->picture, job->host);
        if (cli->options->json)
            print_json(cli, name, job->verb, "would", NULL, NULL, NULL);
        else
            fprintf(cli->out, "%s: would %s%s%s%s%s\n", name, job->verb->name, host ? " to " : "",
                    host ? vt_object_text(host, "name_label") : "", *job->name ? " as " : "",
                    job->name);
    }
}

/* Does what was planned. false with err set, or some failed (then err is empty and the lines say
 * it). */
static bool run_batch(struct batch *batch, struct vt_err *err)
{
    const struct vt_cli *cli = batch->pool->cli;
    struct vt_verbs_run run = { .driver = batch->pool->driver,
                                .session = batch->pool->session,
                                .context = batch,
                                .report = report,
                                .tick = tick };
    long per_host = 0;

    if (!vt_cli_number(cli, "--parallel", 1, VT_VERB_PER_HOST_MAX, VT_VERB_PER_HOST, &per_host,
                       err))
        return false;
    if (vt_cli_switch(cli, "--dry-run")) {
        print_dry(batch);
        return batch->refused == 0;
    }
    run.per_host = (unsigned)per_host;
    vt_pool_release(batch->pool);
    vt_progress_init(&batch->progress, cli->options->json);
    bool ok = vt_verbs_run(batch->pool->xapi, batch->jobs, batch->count, &run, err);
    vt_progress_clear(&batch->progress);
    return ok && batch->refused == 0;
}

/* ---- the commands ---- */

static const char *chosen_verb(const struct vt_cli *cli, const char **out_host, struct vt_err *err)
{
    size_t i = 0;

    while (i < VT_COUNT(words) - 1 && strcmp(words[i].word, cli->command->words[1]) != 0)
        i++;
    *out_host = words[i].host_option ? vt_cli_value(cli, words[i].host_option) : NULL;
    if (!words[i].plain && !*out_host) {
        vt_fail(err, VT_E_INVALID, "where to? Say %s HOST", words[i].host_option);
        return NULL;
    }
    if (*out_host)
        return words[i].on_host;
    return words[i].other && vt_cli_switch(cli, words[i].other_switch) ? words[i].other : words[i].plain;
}

static const struct vt_verb *find_verb(const struct vt_pool *pool, const char *name,
                                      struct vt_err *err)
{
    const struct vt_driver *driver = pool->driver;
    const struct vt_verb *verb = vt_driver_verb(driver, name);
    const char *why = verb || !driver->lacks ? NULL : driver->lacks(name);

    if (!verb)
        vt_fail(err, VT_E_DENIED, "the driver %s cannot %s%s%s", driver->name, name,
                why ? ": " : "", why ? why : "");
    return verb;
}

/* "vitrine-20261122T120000Z", or what --name says. */
static void name_snapshot(const struct vt_cli *cli, char out[static VT_VERB_NAME_MAX])
{
    const char *given = vt_cli_value(cli, "--name");
    time_t now = (time_t)(vt_clock_wall() / VT_NS_PER_S);
    struct tm utc;

    if (given)
        snprintf(out, VT_VERB_NAME_MAX, "%s", given);
    else if (gmtime_r(&now, &utc))
        strftime(out, VT_VERB_NAME_MAX, "vitrine-%Y%m%dT%H%M%SZ", &utc);
}

static bool prepare(struct vt_pool *pool, struct vt_verb_job *pattern, struct vt_err *err)
{
    const char *host = NULL, *name = chosen_verb(pool->cli, &host, err);

    if (!name || !(pattern->verb = find_verb(pool, name, err)))
        return false;
    if (host) {
        const struct vt_object *to = vt_pool_find(pool, VT_CLASS_HOST, host, err);
        if (!to)
            return false;
        snprintf(pattern->host, sizeof pattern->host, "%s", vt_object_ref(to));
    }
    if (pattern->verb->args == VT_ARGS_VM_NAME)
        name_snapshot(pool->cli, pattern->name);
    pattern->keep_disks = pool->cli->command->words[1] && vt_cli_switch(pool->cli, "--keep-disks");
    return true;
}

/* The snapshots of a VM go before it. */
static bool plan_snapshots_of(struct batch *batch, const struct vt_object *vm,
                              const struct vt_verb_job *pattern, struct vt_err *err)
{
    const char *const *refs = NULL;
    size_t count = vt_object_list(vm, "snapshots", &refs);

    for (size_t i = 0; i < count; i++) {
        const struct vt_object *snapshot = vt_picture_get(batch->pool->picture, refs[i]);
        if (snapshot && !plan(batch, snapshot, pattern, err))
            return false;
    }
    return true;
}

/* Destroying asks, and takes the snapshots first. */
static bool before_destroy(struct batch *batch, const struct vt_object **vms, size_t count,
                           const struct vt_verb_job *pattern, struct vt_err *err)
{
    struct batch snapshots = { .pool = batch->pool };
    char question[200];

    if (!vt_cli_switch(batch->pool->cli, "--dry-run") && batch->count > 0) {
        const char *name = batch->names[0];
        snprintf(question, sizeof question,
                 "%zu VM%s (%.60s%s) would be destroyed, with %s and snapshots", batch->count,
                 batch->count == 1 ? "" : "s", name, batch->count == 1 ? "" : ", ...",
                 pattern->keep_disks ? "disks kept" : "their disks");
        if (!vt_pool_confirm(batch->pool->cli, question, batch->count == 1 ? name : "destroy", err))
            return false;
    }
    bool ok = true;
    for (size_t i = 0; i < count && ok; i++) {
        struct vt_vm_state state = vt_vm_state_of(vms[i], pattern->verb);
        struct vt_err none = { 0 };
        if (vt_verb_check(pattern->verb, &state, &none))
            ok = plan_snapshots_of(&snapshots, vms[i], pattern, err);
    }
    ok = ok && run_batch(&snapshots, err);
    batch->refused += snapshots.refused;
    batch_fini(&snapshots);
    return ok;
}

/* Of a group, those in a state in which the verb means nothing are passed over; a VM that was named
 * gets its line. */
static bool is_meant(const struct vt_vm_filter *filter, const struct vt_verb *verb,
                     const struct vt_object *vm)
{
    return filter->word_count > 0 ||
           (verb->states & vt_power_from(vt_object_text(vm, "power_state")));
}

static bool act_on(struct batch *batch, const struct vt_vm_filter *filter,
                   const struct vt_object **vms, size_t count, const struct vt_verb_job *pattern,
                   struct vt_err *err)
{
    size_t passed_over = 0;

    for (size_t i = 0; i < count; i++) {
        bool meant = is_meant(filter, pattern->verb, vms[i]);
        passed_over += !meant;
        if (meant && !plan(batch, vms[i], pattern, err))
            return false;
    }
    if (passed_over && !batch->pool->cli->options->json)
        vt_cli_complain(batch->pool->cli, "%zu VMs are not in a state to %s and are passed over",
                        passed_over, pattern->verb->name);
    if (pattern->verb->args == VT_ARGS_DESTROY && !before_destroy(batch, vms, count, pattern, err))
        return false;
    return run_batch(batch, err);
}

static bool verb_on_vms(struct batch *batch, struct vt_err *err)
{
    struct vt_pool *pool = batch->pool;
    struct vt_verb_job pattern = { 0 };
    struct vt_vm_filter filter;
    vt_autofree const struct vt_object **vms = NULL;
    size_t count = 0;

    if (!prepare(pool, &pattern, err) || !vt_pool_filter(pool, true, &filter, err) ||
        !vt_pool_select(pool, &filter, &vms, &count, err))
        return false;
    if (count == 0)
        return vt_fail(err, VT_E_NOTFOUND,
                       "no VM is meant: 'vitrine vm list' with the same options shows none");
    return act_on(batch, &filter, vms, count, &pattern, err);
}

typedef bool (*act_fn)(struct batch *batch, struct vt_err *err);

static int with_batch(struct vt_cli *cli, act_fn act, struct vt_err *err)
{
    struct vt_pool pool;
    struct batch batch = { .pool = &pool };
    bool ok =
        vt_pool_open_any(cli, &pool, err) && vt_pool_look_now(&pool, CLASSES, err) && act(&batch, err);

    batch_fini(&batch);
    vt_pool_close(&pool);
    return vt_failed(err) ? vt_pool_status(err) : ok ? VT_EXIT_DONE : VT_EXIT_FAILED;
}

int vt_cli_vm_verb(struct vt_cli *cli, struct vt_err *err)
{
    return with_batch(cli, verb_on_vms, err);
}

/* ---- clone ---- */

/* A VM, or a template, which becomes a VM of its own. */
static const struct vt_object *clone_source(struct vt_pool *pool, const char *word,
                                            struct vt_err *err)
{
    const struct vt_object *found = vt_pool_find(pool, VT_CLASS_VM, word, err);

    VT_PICTURE_EACH(pool->picture, VT_CLASS_VM, vm)
    {
        bool named = strcmp(vt_object_text(vm, "name_label"), word) == 0 ||
                     strcmp(vt_object_text(vm, "uuid"), word) == 0;
        if (!found && named && vt_object_bool(vm, "is_a_template") &&
            !vt_object_bool(vm, "is_a_snapshot"))
            found = vm;
    }
    if (found)
        vt_err_clear(err);
    return found;
}

static bool clone(struct batch *batch, struct vt_err *err)
{
    struct vt_pool *pool = batch->pool;
    const struct vt_object *source = clone_source(pool, pool->cli->args[0], err);
    struct vt_verb_job job = { .verb = source ? find_verb(pool, "clone", err) : NULL };

    if (!job.verb)
        return false;
    snprintf(job.name, sizeof job.name, "%s", pool->cli->args[1]);
    job.provision = vt_object_bool(source, "is_a_template");
    return plan(batch, source, &job, err) && run_batch(batch, err);
}

int vt_cli_vm_clone(struct vt_cli *cli, struct vt_err *err)
{
    return with_batch(cli, clone, err);
}

/* ---- snapshots ---- */

/* A snapshot of the VM by name or uuid; the newest when `word` is NULL. */
static const struct vt_object *find_snapshot(struct vt_pool *pool, const struct vt_object *vm,
                                             const char *word, struct vt_err *err)
{
    const char *const *refs = NULL;
    const struct vt_object *found = NULL;
    size_t count = vt_object_list(vm, "snapshots", &refs), hits = 0;

    for (size_t i = 0; i < count; i++) {
        const struct vt_object *snapshot = vt_picture_get(pool->picture, refs[i]);
        if (!snapshot)
            continue;
        const char *uuid = vt_object_text(snapshot, "uuid");
        if (strcmp(vt_object_text(snapshot, "name_label"), word) != 0 &&
            (strlen(word) < 8 || strncmp(uuid, word, strlen(word)) != 0))
            continue;
        found = snapshot;
        hits++;
    }
    if (hits == 1)
        return found;
    if (hits == 0)
        vt_fail(err, VT_E_NOTFOUND,
                "%s has no snapshot '%.60s': 'vitrine vm snapshots %s' shows what it has",
                vt_object_text(vm, "name_label"), word, vt_object_text(vm, "name_label"));
    else
        vt_fail(err, VT_E_INVALID, "several snapshots have the name '%.60s': use the uuid, e.g. %s",
                word, vt_object_text(found, "uuid"));
    return NULL;
}

static bool revert(struct batch *batch, struct vt_err *err)
{
    struct vt_pool *pool = batch->pool;
    const struct vt_object *vm = vt_pool_find(pool, VT_CLASS_VM, pool->cli->args[0], err);
    const struct vt_object *snapshot = vm ? find_snapshot(pool, vm, pool->cli->args[1], err) : NULL;
    struct vt_verb_job job = { .verb = snapshot ? find_verb(pool, "revert", err) : NULL };
    char question[200];

    if (!job.verb)
        return false;
    snprintf(question, sizeof question,
             "%.60s would go back to '%.60s'; what it wrote since is lost",
             vt_object_text(vm, "name_label"), vt_object_text(snapshot, "name_label"));
    return (vt_cli_switch(pool->cli, "--dry-run") ||
            vt_pool_confirm(pool->cli, question, vt_object_text(vm, "name_label"), err)) &&
           plan_as(batch, snapshot, vt_object_text(vm, "name_label"), &job, err) &&
           run_batch(batch, err);
}

int vt_cli_vm_revert(struct vt_cli *cli, struct vt_err *err)
{
    return with_batch(cli, revert, err);
}

static bool snapshot_delete(struct batch *batch, struct vt_err *err)
{
    struct vt_pool *pool = batch->pool;
    const struct vt_object *vm = vt_pool_find(pool, VT_CLASS_VM, pool->cli->args[0], err);
    const struct vt_verb_job job = { .verb = vm ? find_verb(pool, "destroy", err) : NULL };

    if (!job.verb)
        return false;
    for (int i = 1; i < pool->cli->arg_count; i++) {
        const struct vt_object *snapshot = find_snapshot(pool, vm, pool->cli->args[i], err);
        if (!snapshot || !plan(batch, snapshot, &job, err))
            return false;
    }
    return run_batch(batch, err);
}

int vt_cli_vm_snapshot_delete(struct vt_cli *cli, struct vt_err *err)
{
    return with_batch(cli, snapshot_delete, err);
}
