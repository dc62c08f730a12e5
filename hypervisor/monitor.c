/* Options, threads, and what other threads tell the judge. */
#include "hypervisor/monitor.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/conf.h"
#include "hypervisor/monitor_state.h"

/* ---- options ---- */

void vt_monitor_defaults(struct vt_monitor_options *out)
{
    *out = (struct vt_monitor_options){
        .guard = vt_guard_defaults,
        .classify = vt_classify_defaults,
        .kept = VT_KEPT_MAX,
        .expire = VT_MONITOR_EXPIRE_NS,
        .snapshot_deadline = VT_MONITOR_SNAPSHOT_NS,
        .host_port = 443,
        .in_flight = VT_PROBE_IN_FLIGHT,
    };
    vt_watch_defaults(&out->settings);
}

/* "10.0.0.1, 10.0.0.2:53, [fd00::1]:443"; without a port it is asked by ICMP. */
static bool parse_anchor(char *text, struct vt_monitor_anchor *out)
{
    char *port = strrchr(text, ':'), *end = NULL;
    unsigned long number = 0;
    bool bracketed = text[0] == '[';

    if (port && !bracketed && strchr(text, ':') != port)
        port = NULL; /* IPv6 without a port */
    if (port && bracketed && port[-1] != ']')
        port = NULL;
    if (port) {
        number = strtoul(port + 1, &end, 10);
        if (number < 1 || number > 65535 || *end)
            return false;
        *port = '\0';
    }
    size_t length = strlen(text);
    if (bracketed && length > 1 && text[length - 1] == ']') {
        text[length - 1] = '\0';
        text++;
    }
    out->port = (uint16_t)number;
    return vt_probe_address_parse(text, &out->address);
}

static bool configure_anchors(struct vt_monitor_options *options, const char *value,
                              struct vt_err *err)
{
    char copy[1024] = "", *rest = NULL;

    snprintf(copy, sizeof copy, "%s", value);
    options->anchor_count = 0;
    for (char *item = strtok_r(copy, ", ", &rest); item; item = strtok_r(NULL, ", ", &rest)) {
        if (options->anchor_count == VT_MONITOR_ANCHORS_MAX)
            return vt_fail(err, VT_E_INVALID, "watch.anchors: more than %d",
                           VT_MONITOR_ANCHORS_MAX);
        if (!parse_anchor(item, &options->anchors[options->anchor_count++]))
            return vt_fail(err, VT_E_INVALID,
                           "watch.anchors: '%.60s' is no address: say 10.0.0.1 or 10.0.0.1:53",
                           item);
    }
    return true;
}

static bool configure_guard(struct vt_monitor_options *options, const struct vt_conf *conf,
                            struct vt_err *err)
{
    struct {
        const char *key;
        int *at;
        int min, max;
    } numbers[] = {
        { "chain_max", &options->guard.chain_max, 1, VT_CHAIN_LIMIT - 1 },
        { "free_percent", &options->guard.free_percent, 0, 90 },
        { "storm_host", &options->guard.storm_host, 0, 1000 },
        { "storm_storage", &options->guard.storm_sr, 0, 1000 },
        { "storm_minute", &options->guard.storm_minute, 0, 1000 },
        { "storm_hour", &options->guard.storm_hour, 0, 1000 },
        { "running", &options->guard.running, 1, VT_MONITOR_WORKERS },
        { "running_storage", &options->guard.running_sr, 1, VT_MONITOR_WORKERS },
        { "kept", &options->kept, 0, VT_CHAIN_MAX },
    };

    for (size_t i = 0; i < VT_COUNT(numbers); i++) {
        int64_t value = *numbers[i].at;
        if (!vt_conf_int(conf, "watch", NULL, numbers[i].key, numbers[i].min, numbers[i].max, value,
                         &value, err))
            return false;
        *numbers[i].at = (int)value;
    }
    uint64_t bytes = (uint64_t)options->guard.free_bytes;
    if (!vt_conf_size(conf, "watch", NULL, "free_bytes", 0, UINT64_C(1) << 50, bytes, &bytes, err))
        return false;
    options->guard.free_bytes = (int64_t)bytes;
    return true;
}

static bool configure_times(struct vt_monitor_options *options, const struct vt_conf *conf,
                            struct vt_err *err)
{
    const int64_t year = INT64_C(366) * 86400 * VT_NS_PER_S;
    struct {
        const char *key;
        int64_t *at, min;
    } times[] = {
        { "repeat", &options->guard.repeat, 0 },
        { "queue", &options->guard.queue, VT_NS_PER_S },
        { "quarantine", &options->guard.quarantine, 0 },
        { "expire", &options->expire, 0 },
        { "snapshot_deadline", &options->snapshot_deadline, VT_NS_PER_S },
    };

    for (size_t i = 0; i < VT_COUNT(times); i++)
        if (!vt_conf_duration(conf, "watch", NULL, times[i].key, times[i].min, year, *times[i].at,
                              times[i].at, err))
            return false;
    return true;
}

static bool configure_rest(struct vt_monitor_options *options, const struct vt_conf *conf,
                           struct vt_err *err)
{
    int64_t share_min = options->classify.share_min, percent = options->classify.share_percent;
    int64_t in_flight = options->in_flight, port = options->host_port;
    const char *anchors = vt_conf_text(conf, "watch", NULL, "anchors", NULL);

    snprintf(options->hook, sizeof options->hook, "%s",
             vt_conf_text(conf, "watch", NULL, "hook", ""));
    if (!vt_conf_int(conf, "watch", NULL, "share_min", 2, 100000, share_min, &share_min, err) ||
        !vt_conf_int(conf, "watch", NULL, "share_percent", 1, 99, percent, &percent, err) ||
        !vt_conf_int(conf, "watch", NULL, "in_flight", 16, VT_PROBE_IN_FLIGHT_MAX, in_flight,
                     &in_flight, err) ||
        !vt_conf_int(conf, "watch", NULL, "host_port", 1, 65535, port, &port, err))
        return false;
    options->classify.share_min = (uint32_t)share_min;
    options->classify.share_percent = (uint32_t)percent;
    options->in_flight = (unsigned)in_flight;
    options->host_port = (uint16_t)port;
    return !anchors || configure_anchors(options, anchors, err);
}

bool vt_monitor_configure(struct vt_monitor_options *options, const struct vt_conf *conf,
                          struct vt_err *err)
{
    return vt_watch_configure(&options->settings, conf, err) &&
           configure_guard(options, conf, err) && configure_times(options, conf, err) &&
           configure_rest(options, conf, err);
}

/* ---- from start to end ---- */

static void init_locks(struct vt_monitor *monitor)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&monitor->lock, NULL);
    pthread_mutex_init(&monitor->inbox, NULL);
    pthread_mutex_init(&monitor->job_lock, NULL);
    pthread_mutex_init(&monitor->hook_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&monitor->wake, &attr);
    pthread_cond_init(&monitor->swept, &attr);
    pthread_cond_init(&monitor->job_wake, &attr);
    pthread_cond_init(&monitor->hook_wake, &attr);
    pthread_condattr_destroy(&attr);
}

static bool start_threads(struct vt_monitor *monitor, struct vt_err *err)
{
    if (pthread_create(&monitor->hooker, NULL, vt_hook_run, monitor) != 0)
        return vt_fail(err, VT_E_NOMEM, "no memory for the monitor's threads");
    monitor->hooking = true;
    while (monitor->worker_count < VT_MONITOR_WORKERS) {
        if (pthread_create(&monitor->workers[monitor->worker_count], NULL, vt_worker_run,
                           monitor) != 0)
            return vt_fail(err, VT_E_NOMEM, "no memory for the monitor's threads");
        monitor->worker_count++;
    }
    if (pthread_create(&monitor->judge, NULL, vt_judge_run, monitor) != 0)
        return vt_fail(err, VT_E_NOMEM, "no memory for the monitor's threads");
    monitor->judging = true;
    return true;
}

static bool set_up(struct vt_monitor *monitor, const struct vt_probe_exchange *exchange,
                   const char *path, struct vt_err *err)
{
    const struct vt_probes_options probing = { .in_flight = monitor->options.in_flight,
                                               .exchange = exchange,
                                               .context = monitor,
                                               .result = vt_monitor_result };

    monitor->budget = calloc(1, sizeof *monitor->budget);
    monitor->link_shares =
        calloc((size_t)VT_MONITOR_HOSTS_MAX * VT_NETWORKS_MAX, sizeof *monitor->link_shares);
    if (!monitor->budget || !monitor->link_shares)
        return vt_fail(err, VT_E_NOMEM, "no memory for the monitor");
    monitor->incidents = vt_incidents_open(path, err);
    if (!monitor->incidents || !vt_steps_restore(monitor, err) || !vt_shots_restore(monitor, err))
        return false;
    monitor->probes = vt_probes_new(&probing, err);
    return monitor->probes && start_threads(monitor, err);
}

struct vt_monitor *vt_monitor_new(const struct vt_monitor_options *options,
                                  const struct vt_monitor_pool *pool,
                                  const struct vt_probe_exchange *exchange,
                                  const struct vt_monitor_events *events, const char *path,
                                  struct vt_err *err)
{
    VT_AUTO(vt_monitor) monitor = calloc(1, sizeof *monitor);

    if (!monitor) {
        vt_fail(err, VT_E_NOMEM, "no memory for the monitor");
        return NULL;
    }
    init_locks(monitor);
    monitor->options = *options;
    monitor->pool = pool;
    if (events)
        monitor->events = *events;
    strcpy(monitor->hook, options->hook);
    monitor->begun = vt_clock_mono();
    monitor->clock_offset = vt_clock_wall() - monitor->begun;
    monitor->control = pool->answers(pool->context);
    monitor->control_lost_at = monitor->control ? 0 : monitor->begun;
    monitor->never_swept = monitor->dirty_all = true;
    monitor->rules_asked = 1;
    return set_up(monitor, exchange, path, err) ? vt_take(&monitor) : NULL;
}

static void stop_judge(struct vt_monitor *monitor)
{
    pthread_mutex_lock(&monitor->lock);
    monitor->stop = true;
    pthread_cond_broadcast(&monitor->wake);
    pthread_cond_broadcast(&monitor->swept);
    pthread_mutex_unlock(&monitor->lock);
    if (monitor->judging)
        pthread_join(monitor->judge, NULL);
}

static void stop_workers(struct vt_monitor *monitor)
{
    pthread_mutex_lock(&monitor->job_lock);
    monitor->job_stop = true;
    pthread_cond_broadcast(&monitor->job_wake);
    pthread_mutex_unlock(&monitor->job_lock);
    if (monitor->worker_count > 0 && monitor->pool->stop)
        monitor->pool->stop(monitor->pool->context);
    for (unsigned i = 0; i < monitor->worker_count; i++)
        pthread_join(monitor->workers[i], NULL);
}

static void stop_hook(struct vt_monitor *monitor)
{
    pthread_mutex_lock(&monitor->hook_lock);
    monitor->hook_stop = true;
    pthread_cond_broadcast(&monitor->hook_wake);
    pthread_mutex_unlock(&monitor->hook_lock);
    if (monitor->hooking)
        pthread_join(monitor->hooker, NULL);
    while (monitor->hooks) {
        struct vt_hook *hook = monitor->hooks;
        monitor->hooks = hook->next;
        free(hook->json);
        free(hook);
    }
}

static void free_records(struct vt_monitor *monitor)
{
    for (size_t i = 0; i < monitor->job_count; i++)
        free(monitor->jobs[i]);
    for (size_t i = 0; i < monitor->finished_count; i++)
        free(monitor->finished[i]);
    for (size_t i = 0; i < monitor->rule_count; i++)
        free(monitor->applied[i]);
    for (size_t i = 0; i < monitor->retired_count; i++)
        free(monitor->retired[i]);
    vt_rules_free(monitor->rules, monitor->rule_count);
    free(monitor->applied);
    free(monitor->retired);
    free(monitor->vms);
    free(monitor->by_ref);
    free(monitor->by_guest);
    free(monitor->dirty);
    free(monitor->open);
    free(monitor->restored);
    free(monitor->shots);
    free(monitor->budget);
    free(monitor->link_shares);
}

void vt_monitor_free(struct vt_monitor *monitor)
{
    if (!monitor)
        return;
    stop_judge(monitor); /* it is the one that uses the others */
    stop_workers(monitor);
    vt_probes_free(vt_take(&monitor->probes));
    stop_hook(monitor);
    free_records(monitor);
    vt_incidents_free(monitor->incidents);
    pthread_mutex_destroy(&monitor->lock);
    pthread_mutex_destroy(&monitor->inbox);
    pthread_mutex_destroy(&monitor->job_lock);
    pthread_mutex_destroy(&monitor->hook_lock);
    pthread_cond_destroy(&monitor->wake);
    pthread_cond_destroy(&monitor->swept);
    pthread_cond_destroy(&monitor->job_wake);
    pthread_cond_destroy(&monitor->hook_wake);
    free(monitor);
}

/* ---- what the judge is told ---- */

static void wake(struct vt_monitor *monitor)
{
    pthread_mutex_lock(&monitor->lock);
    monitor->woken = true;
    pthread_cond_signal(&monitor->wake);
    pthread_mutex_unlock(&monitor->lock);
}

void vt_monitor_reconfigure(struct vt_monitor *monitor, const struct vt_monitor_options *options)
{
    pthread_mutex_lock(&monitor->hook_lock);
    strcpy(monitor->hook, options->hook);
    pthread_mutex_unlock(&monitor->hook_lock);
    pthread_mutex_lock(&monitor->lock);
    monitor->options = *options;
    monitor->options_dirty = true;
    pthread_mutex_unlock(&monitor->lock);
    wake(monitor);
}

static void remember_ref(struct vt_monitor *monitor, const char *ref)
{
    if (!monitor->dirty)
        monitor->dirty = calloc(VT_DIRTY_MAX, sizeof *monitor->dirty);
    if (!monitor->dirty || monitor->dirty_count == VT_DIRTY_MAX)
        monitor->dirty_all = true;
    else
        snprintf(monitor->dirty[monitor->dirty_count++], VT_XAPI_REF_MAX, "%s", ref);
}

void vt_monitor_changed(struct vt_monitor *monitor, enum vt_class class, const char *ref)
{
    bool one = ref && (class == VT_CLASS_VM || class == VT_CLASS_VM_GUEST_METRICS);
    bool all = !ref || class == VT_CLASS_HOST || class == VT_CLASS_VIF;

    if (!one && !all)
        return; /* read when they are needed */
    pthread_mutex_lock(&monitor->inbox);
    if (all)
        monitor->dirty_all = true;
    else
        remember_ref(monitor, ref);
    pthread_mutex_unlock(&monitor->inbox);
    wake(monitor);
}

void vt_monitor_answers(struct vt_monitor *monitor, bool answers)
{
    pthread_mutex_lock(&monitor->lock);
    if (monitor->control != answers)
        vt_remark(&monitor->remarks,
                  answers ? "the pool answers again" : "the pool does not answer");
    monitor->control = answers;
    monitor->control_lost_at = answers                    ? 0
                               : monitor->control_lost_at ? monitor->control_lost_at
                                                          : vt_clock_mono();
    pthread_mutex_unlock(&monitor->lock);
    if (answers)
        vt_monitor_changed(monitor, VT_CLASS_VM, NULL);
    else
        wake(monitor);
}

struct vt_incidents *vt_monitor_incidents(struct vt_monitor *monitor)
{
    return monitor->incidents;
}

/* Watched, running and with an address, but not asked yet. */
static bool some_unasked(const struct vt_monitor *monitor)
{
    for (uint32_t i = 0; i < monitor->vm_count; i++) {
        const struct vt_watched *vm = &monitor->vms[i];
        if (vm->used && vm->known && vm->probes == 0 && vm->address_count > 0 &&
            (vm->power == 0 || vm->power == VT_POWER_RUNNING))
            return true;
    }
    return false;
}

static void hurry_unasked(struct vt_monitor *monitor)
{
    enum { AT_ONCE = 256 };
    unsigned count = 0;

    for (uint32_t i = 0; i < monitor->vm_count && count < AT_ONCE; i++)
        if (monitor->vms[i].used && monitor->vms[i].probes == 0) {
            vt_probes_hurry(monitor->probes, VT_BEACONS_MAX + i);
            count++;
        }
}

void vt_monitor_rules_changed(struct vt_monitor *monitor, int64_t deadline)
{
    struct timespec until = { (time_t)(deadline / VT_NS_PER_S), (long)(deadline % VT_NS_PER_S) };
    bool hurried = false;

    pthread_mutex_lock(&monitor->lock);
    uint64_t mine = ++monitor->rules_asked;
    monitor->woken = true;
    pthread_cond_signal(&monitor->wake);
    while (!monitor->stop && (monitor->sweep_number < mine || some_unasked(monitor))) {
        if (monitor->sweep_number >= mine && !hurried) {
            hurried = true;
            hurry_unasked(monitor);
        }
        if (pthread_cond_timedwait(&monitor->swept, &monitor->lock, &until) != 0)
            break;
    }
    pthread_mutex_unlock(&monitor->lock);
}
