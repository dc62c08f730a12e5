/* What is asked of the monitor: the list of watched VMs, its state, its numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "hypervisor/monitor_state.h"

static const char *state_of(const struct vt_watched *vm)
{
    if (vm->power != 0 && vm->power != VT_POWER_RUNNING)
        return "not-asked";
    if (vm->address_count == 0)
        return "no-address";
    if (vm->detector.last_result == 0)
        return "waiting";
    if (!vm->detector.lost)
        return vm->detector.misses + vm->detector.refusals > 0 ? "suspect" : "answers";
    return vm->detector.refusals > 0 ? "refused" : "silent";
}

/* Until it has answered for the first time nobody knows whether it can be asked at all. */
static enum vt_loss class_of(const struct vt_watched *vm)
{
    bool waited_for = vm->loss == VT_LOSS_NONE && !vm->seen;

    return waited_for ? VT_LOSS_UNMONITORABLE : vm->loss;
}

/* Somebody has to look at it. */
static bool is_trouble(const struct vt_watched *vm)
{
    enum vt_loss class = class_of(vm);

    return class == VT_LOSS_UNMONITORABLE || vt_loss_is_incident(class);
}

static const char *reason_of(const struct vt_watched *vm)
{
    if (class_of(vm) != vm->loss)
        return "it has not answered yet";
    return vm->reason ? vm->reason : "";
}

static json_t *row_of(const struct vt_watched *vm)
{
    char address[VT_PROBE_ADDRESS_TEXT_MAX] = "", since[VT_CLOCK_TEXT_MAX];
    const struct vt_heard *last =
        vm->heard_next ? &vm->heard[(vm->heard_next - 1) % VT_HEARD_KEPT] : NULL;

    if (vm->address_count > 0)
        vt_probe_address_text(&vm->addresses[0], address);
    vt_clock_text(vm->since, since);
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:b}", "vm", vm->name, "vm_uuid",
        vm->uuid, "state", state_of(vm), "class", vt_loss_name(class_of(vm)), "since", since, "reason",
        reason_of(vm), "address", address, "probe",
        vt_probe_kind_name(vm->settings->kind), "port", (int)vm->settings->port, "snapshot",
        vt_shot_kind_name(vm->settings->shot), "dry_run", vm->settings->dry_run);
    json_object_set_new(row, "interval", json_real((double)vm->settings->interval / 1e9));
    json_object_set_new(row, "threshold", json_integer((json_int_t)vm->settings->threshold));
    json_object_set_new(row, "by", json_string(vt_rule_kind_name(vm->rule)));
    json_object_set_new(row, "incident", vm->incident ? json_integer(vm->incident) : json_null());
    json_object_set_new(row, "last_ms", last ? json_real(last->took_us / 1000.0) : json_null());
    return row;
}

bool vt_monitor_list(struct vt_monitor *monitor, bool (*fn)(void *context, struct json_t *row),
                     void *context, struct vt_err *err)
{
    json_t *list = json_array();
    bool ok = list;

    pthread_mutex_lock(&monitor->lock);
    for (int trouble = 1; trouble >= 0; trouble--)
        for (uint32_t i = 0; i < monitor->vm_count && ok; i++)
            if (monitor->vms[i].used && monitor->vms[i].known &&
                is_trouble(&monitor->vms[i]) == (trouble == 1))
                ok = json_array_append_new(list, row_of(&monitor->vms[i])) == 0;
    pthread_mutex_unlock(&monitor->lock);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!fn(context, json_incref(json_array_get(list, i))))
            break;
    json_decref(list);
    return ok || vt_fail(err, VT_E_NOMEM, "no memory for a list");
}

/* ---- numbers ---- */

struct numbers {
    uint64_t by_class[VT_LOSSES], watched, probes, bad;
    uint64_t open[VT_LOSSES], all[VT_LOSSES];
    struct vt_monitor_counts counts;
    struct vt_probes_stats stats;
    uint64_t hooks, hooks_failed, hooks_dropped;
    bool control, isolated;
};

static void gather(struct vt_monitor *monitor, struct numbers *out)
{
    struct vt_err ignored = { 0 };

    *out = (struct numbers){ .watched = 0 };
    pthread_mutex_lock(&monitor->lock);
    for (uint32_t i = 0; i < monitor->vm_count; i++) {
        const struct vt_watched *vm = &monitor->vms[i];
        if (!vm->used || !vm->known)
            continue;
        out->watched++;
        out->by_class[class_of(vm)]++;
        out->probes += vm->probes;
        out->bad += vm->bad_probes;
    }
    out->counts = monitor->counts;
    out->control = monitor->control;
    out->isolated = monitor->isolated;
    pthread_mutex_unlock(&monitor->lock);
    pthread_mutex_lock(&monitor->hook_lock);
    out->hooks = monitor->hooks_run;
    out->hooks_failed = monitor->hooks_failed;
    out->hooks_dropped = monitor->hooks_dropped;
    pthread_mutex_unlock(&monitor->hook_lock);
    vt_probes_stats(monitor->probes, &out->stats);
    vt_incidents_count(monitor->incidents, out->open, out->all, &ignored);
}

void vt_monitor_status(struct vt_monitor *monitor, struct json_t *row)
{
    struct numbers numbers;
    uint64_t open = 0;

    gather(monitor, &numbers);
    for (size_t i = 0; i < VT_LOSSES; i++)
        open += numbers.open[i];
    json_object_set_new(row, "pool", json_string(monitor->pool->name));
    json_object_set_new(row, "watched", json_integer((json_int_t)numbers.watched));
    json_object_set_new(row, "reachable", json_integer((json_int_t)numbers.by_class[VT_LOSS_NONE]));
    json_object_set_new(row, "unmonitorable",
                        json_integer((json_int_t)numbers.by_class[VT_LOSS_UNMONITORABLE]));
    json_object_set_new(row, "open_incidents", json_integer((json_int_t)open));
    json_object_set_new(row, "probes", json_integer((json_int_t)numbers.stats.begun));
    json_object_set_new(row, "in_flight", json_integer((json_int_t)numbers.stats.in_flight));
    json_object_set_new(row, "pool_answers", json_boolean(numbers.control));
    json_object_set_new(row, "isolated", json_boolean(numbers.isolated));
    json_object_set_new(row, "icmp", json_boolean(numbers.stats.icmp));
    json_object_set_new(row, "slowest_classification_ms",
                        json_real((double)numbers.counts.slowest_loss / 1e6));
    json_object_set_new(row, "slowest_request_ms",
                        json_real((double)numbers.counts.slowest_request / 1e6));
}

/* ---- Prometheus ---- */

static bool family(struct vt_buf *out, struct vt_err *err, const char *name, const char *type,
                   const char *help)
{
    return vt_buf_printf(out, err, "# HELP vitrine_%s %s\n# TYPE vitrine_%s %s\n", name, help, name,
                         type);
}

static bool one(struct vt_monitor *monitor, struct vt_buf *out, struct vt_err *err,
                const char *name, const char *type, const char *help, double value)
{
    return family(out, err, name, type, help) &&
           vt_buf_printf(out, err, "vitrine_%s{pool=\"%s\"} %.15g\n", name, monitor->pool->name,
                         value);
}

static bool by_name(struct vt_monitor *monitor, struct vt_buf *out, struct vt_err *err,
                    const char *name, const char *label, const char *value, uint64_t count)
{
    return vt_buf_printf(out, err, "vitrine_%s{pool=\"%s\",%s=\"%s\"} %llu\n", name,
                         monitor->pool->name, label, value, (unsigned long long)count);
}

static bool vms_and_incidents(struct vt_monitor *monitor, const struct numbers *n,
                              struct vt_buf *out, struct vt_err *err)
{
    bool ok = family(out, err, "watched_vms", "gauge", "Watched VMs by class");

    for (size_t i = 0; i < VT_LOSSES && ok; i++)
        ok = by_name(monitor, out, err, "watched_vms", "class", vt_loss_name((enum vt_loss)i),
                     n->by_class[i]);
    ok = ok && family(out, err, "incidents_open", "gauge", "Incidents that are open");
    for (size_t i = 0; i < VT_LOSSES && ok; i++)
        if (vt_loss_is_incident((enum vt_loss)i))
            ok = by_name(monitor, out, err, "incidents_open", "class",
                         vt_loss_name((enum vt_loss)i), n->open[i]);
    ok = ok && family(out, err, "incidents_total", "counter", "Incidents ever opened");
    for (size_t i = 0; i < VT_LOSSES && ok; i++)
        if (vt_loss_is_incident((enum vt_loss)i))
            ok = by_name(monitor, out, err, "incidents_total", "class",
                         vt_loss_name((enum vt_loss)i), n->all[i]);
    return ok;
}

static bool probes_and_shots(struct vt_monitor *monitor, const struct numbers *n,
                             struct vt_buf *out, struct vt_err *err)
{
    bool ok = family(out, err, "probes_total", "counter", "Probes by their end");

    for (size_t i = 0; i <= VT_PROBE_ANSWERED && ok; i++)
        ok = by_name(monitor, out, err, "probes_total", "end",
                     vt_probe_end_name((enum vt_probe_end)i), n->stats.ends[i]);
    ok = ok && family(out, err, "snapshots_total", "counter", "Automatic snapshots by outcome");
    for (size_t i = 0; i <= VT_SHOT_DRY && ok; i++)
        ok = by_name(monitor, out, err, "snapshots_total", "outcome",
                     vt_shot_state_name((enum vt_shot_state)i), n->counts.shots[i]);
    ok = ok && family(out, err, "snapshot_guard_total", "counter", "Answers of the guard");
    for (size_t i = 0; i < VT_GUARDS && ok; i++)
        ok = by_name(monitor, out, err, "snapshot_guard_total", "answer",
                     vt_guard_name((enum vt_guard)i), n->counts.guards[i]);
    return ok;
}

bool vt_monitor_metrics(struct vt_monitor *monitor, struct vt_buf *out, struct vt_err *err)
{
    struct numbers n;

    gather(monitor, &n);
    return vms_and_incidents(monitor, &n, out, err) && probes_and_shots(monitor, &n, out, err) &&
           one(monitor, out, err, "pool_answers", "gauge", "The pool answers", n.control) &&
           one(monitor, out, err, "monitor_isolated", "gauge", "Our own network does not work",
               n.isolated) &&
           one(monitor, out, err, "probes_in_flight", "gauge", "Probes on their way",
               n.stats.in_flight) &&
           one(monitor, out, err, "probes_waiting", "gauge", "Probes that wait for a socket",
               n.stats.waiting) &&
           one(monitor, out, err, "probe_latest_seconds", "gauge",
               "The latest beginning of a probe since the last look",
               (double)n.stats.latest / 1e9) &&
           one(monitor, out, err, "classification_slowest_seconds", "gauge",
               "From the first miss to the class, the slowest",
               (double)n.counts.slowest_loss / 1e9) &&
           one(monitor, out, err, "snapshot_request_slowest_seconds", "gauge",
               "From the class to the request, the slowest",
               (double)n.counts.slowest_request / 1e9) &&
           one(monitor, out, err, "snapshots_expired_total", "counter",
               "Our own expired snapshots that were deleted", (double)n.counts.removed) &&
           one(monitor, out, err, "hooks_total", "counter", "Runs of the hook", (double)n.hooks) &&
           one(monitor, out, err, "hooks_failed_total", "counter", "Runs of the hook that failed",
               (double)n.hooks_failed) &&
           one(monitor, out, err, "hooks_dropped_total", "counter",
               "Runs of the hook that were dropped", (double)n.hooks_dropped);
}
