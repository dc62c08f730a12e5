/* The rules in force, with the settings they give: read when they were changed. */
#include <stdlib.h>
#include <string.h>

#include "hypervisor/monitor_state.h"

static void retire(struct vt_monitor *monitor)
{
    for (size_t i = 0; i < monitor->retired_count; i++)
        free(monitor->retired[i]);
    free(monitor->retired);
    monitor->retired = monitor->applied;
    monitor->retired_count = monitor->rule_count;
    monitor->applied = NULL;
    vt_rules_free(monitor->rules, monitor->rule_count);
    monitor->rules = NULL;
    monitor->rule_count = 0;
}

/* Rules of single VMs go to the end, by uuid, to be found without a look at each. */
static int by_kind(const void *a, const void *b)
{
    const struct vt_rule *one = a, *other = b;
    bool single = one->kind == VT_RULE_VM, other_single = other->kind == VT_RULE_VM;

    if (single != other_single)
        return single - other_single;
    return single ? strcmp(one->subject, other->subject)
                  : (one->id > other->id) - (one->id < other->id);
}

static size_t sort_rules(struct vt_rule *rules, size_t count)
{
    size_t shared = 0;

    if (count > 0)
        qsort(rules, count, sizeof *rules, by_kind);
    while (shared < count && rules[shared].kind != VT_RULE_VM)
        shared++;
    return shared;
}

bool vt_sweep_rules(struct vt_monitor *monitor, struct vt_err *err)
{
    struct vt_watch_settings configured;
    struct vt_rule *rules = NULL;
    size_t count = 0;

    pthread_mutex_lock(&monitor->lock);
    configured = monitor->options.settings;
    pthread_mutex_unlock(&monitor->lock);
    if (!vt_incidents_rules(monitor->incidents, &rules, &count, err))
        return false;
    size_t shared = sort_rules(rules, count);
    struct vt_watch_settings **applied = calloc(count + 1, sizeof *applied);
    bool ok = applied;
    for (size_t i = 0; i < count && ok; i++) {
        struct vt_err bad = { 0 };
        applied[i] = malloc(sizeof *applied[i]);
        ok = applied[i];
        if (ok && !vt_rule_apply(&rules[i], &configured, applied[i], &bad))
            *applied[i] = configured;
    }
    if (!ok) {
        for (size_t i = 0; applied && i < count; i++)
            free(applied[i]);
        free(applied);
        vt_rules_free(rules, count);
        return vt_fail(err, VT_E_NOMEM, "no memory for the watches");
    }
    retire(monitor);
    monitor->rules = rules;
    monitor->rule_count = count;
    monitor->shared_rules = shared;
    monitor->applied = applied;
    return true;
}
