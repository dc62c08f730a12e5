#include "cmd/poold_wake.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "cmd/options.h"
#include "cmd/poold_settings.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "hypervisor/driver.h"
#include "hypervisor/explain.h"
#include "hypervisor/verbs.h"

enum { CATCH_UP_S = 5 };

/* What leads from a state to Running; Running needs nothing. */
static const struct {
    enum vt_power from;
    const char *verb;
} ways[] = {
    { VT_POWER_HALTED, "start" },
    { VT_POWER_SUSPENDED, "resume" },
    { VT_POWER_PAUSED, "unpause" },
};

static bool is_vm(const struct vt_object *vm)
{
    return !vt_object_bool(vm, "is_a_template") && !vt_object_bool(vm, "is_a_snapshot") &&
           !vt_object_bool(vm, "is_control_domain");
}

/* By name or uuid; one only. */
static const struct vt_object *find(const struct vt_picture *picture, const char *word,
                                    struct vt_err *err)
{
    const struct vt_object *found = NULL;

    VT_PICTURE_EACH(picture, VT_CLASS_VM, vm)
    {
        if (!is_vm(vm) || (strcmp(vt_object_text(vm, "name_label"), word) != 0 &&
                           strcmp(vt_object_text(vm, "uuid"), word) != 0))
            continue;
        if (found) {
            vt_fail(err, VT_E_INVALID, "several VMs have the name '%.60s': use the uuid", word);
            return NULL;
        }
        found = vm;
    }
    if (!found)
        vt_fail(err, VT_E_NOTFOUND, "the pool has no VM '%.60s'", word);
    return found;
}

/* Named by name or by uuid, as the section says it. */
static bool is_workstation(const struct vt_conf *conf, const struct vt_object *vm)
{
    const char *name;

    for (size_t i = 0; (name = vt_conf_name(conf, "workstation", i)); i++) {
        const char *said = vt_conf_text(conf, "workstation", name, "vm", name);
        if (strcmp(said, vt_object_text(vm, "name_label")) == 0 ||
            strcmp(said, vt_object_text(vm, "uuid")) == 0)
            return true;
    }
    return false;
}

/* Plans under the picture's lock; a job without a verb has nothing to do. */
static bool plan(const struct vt_conf *conf, struct vt_pool_call *call,
                 const struct vt_driver *driver, const struct vt_picture *picture, const char *word, struct vt_verb_job *out,
                 struct vt_err *err)
{
    const struct vt_object *vm = find(picture, word, err);

    if (!vm)
        return false;
    if (vt_call_is_console(call) && !is_workstation(conf, vm))
        return vt_fail(err, VT_E_DENIED, "no [workstation] names the VM '%.60s'", word);
    enum vt_power power = vt_power_from(vt_object_text(vm, "power_state"));
    for (size_t i = 0; i < VT_COUNT(ways); i++)
        if (ways[i].from == power)
            out->verb = vt_driver_verb(driver, ways[i].verb);
    snprintf(out->vm, sizeof out->vm, "%s", vt_object_ref(vm));
    if (!out->verb)
        return true;
    struct vt_vm_state state = vt_vm_state_of(vm, out->verb);
    return vt_verb_check(out->verb, &state, err);
}

static bool on_progress(void *context, double progress)
{
    struct vt_pool_call *call = context;

    vt_call_progress(call, (uint64_t)(progress * 100), 100, "% of the task");
    return !vt_call_cancelled(call);
}

static bool wake_one(const struct vt_conf *conf, struct vt_pool_call *call,
                     struct vt_keeper *keeper, struct vt_line *line, const char *word,
                     struct vt_err *err)
{
    struct vt_verb_job job = { 0 };

    void *session = NULL;
    const struct vt_driver *driver = vt_keeper_driver(keeper, &session);
    bool ok = plan(conf, call, driver, vt_keeper_read(keeper), word, &job, err);
    vt_keeper_done(keeper);
    if (!ok)
        return false;
    if (job.verb && session)
        driver->act(session, &job);
    else if (job.verb)
        vt_verb_do(vt_keeper_xapi(keeper), line, &job, on_progress, call);
    if (job.verb && job.end != VT_VERB_DONE) {
        *err = job.err;
        vt_explain(err, vt_keeper_read(keeper));
        vt_keeper_done(keeper);
        return vt_fail_context(err, "%.60s", word);
    }
    vt_call_row(call, json_pack("{s:s, s:s, s:s}", "name", word, "verb",
                                job.verb ? job.verb->name : "wake", "outcome",
                                job.verb ? "done" : "runs already"));
    return true;
}

static bool run(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    const struct vt_poold_wake *wake = context;
    struct vt_keeper *keeper = vt_call_pool(call, err);
    VT_AUTO(vt_line) line = keeper ? vt_line_new(err) : NULL;
    size_t count = 0;
    const char *const *args = vt_call_args(call, &count);
    bool ok = line != NULL;

    if (ok && count == 0)
        return vt_fail(err, VT_E_INVALID, "which VM?");
    const struct vt_options *options = vt_poold_settings_take(wake->settings);
    for (size_t i = 0; i < count && ok; i++)
        ok = wake_one(options->conf, call, keeper, line, args[i], err);
    vt_poold_settings_drop(wake->settings, options);
    if (line)
        vt_keeper_catch_up(keeper, line, vt_clock_mono() + CATCH_UP_S * VT_NS_PER_S);
    return ok;
}

static const struct vt_pool_verb verbs[] = {
    { "vm.wake", VT_NEED_WAKE, run },
    { .name = NULL },
};

void vt_poold_wake_module(struct vt_poold_wake *wake, struct vt_poold_settings *settings,
                          struct vt_pool_module *out)
{
    wake->settings = settings;
    *out = (struct vt_pool_module){ .name = "wake", .context = wake, .verbs = verbs };
}
