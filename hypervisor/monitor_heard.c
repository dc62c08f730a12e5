/* Results of probes: counted, remembered, and the judge is woken when they may mean something. */
#include <stdlib.h>
#include <string.h>

#include "hypervisor/monitor_state.h"

enum { HURRY_MS = 200 };

/* Its host tells whether it is the VM alone. */
static void hurry(struct vt_monitor *monitor, unsigned index, int64_t now)
{
    struct vt_beacon *beacon = &monitor->beacons[index];

    if (!beacon->used || now - beacon->hurried < HURRY_MS * VT_NS_PER_MS)
        return;
    beacon->hurried = now;
    vt_probes_hurry(monitor->probes, index);
}

static void ask_around(struct vt_monitor *monitor, const struct vt_watched *vm, int64_t now)
{
    if (vm->host != VT_NO_INDEX)
        hurry(monitor, vm->host, now);
    for (unsigned i = VT_MONITOR_HOSTS_MAX; i < VT_BEACONS_MAX; i++)
        hurry(monitor, i, now);
}

static void wake(struct vt_monitor *monitor)
{
    monitor->woken = true;
    pthread_cond_signal(&monitor->wake);
}

static void of_vm(struct vt_monitor *monitor, struct vt_watched *vm,
                  const struct vt_probe_result *result)
{
    const struct vt_watch_settings *settings = vm->settings;
    struct vt_detector *detector = &vm->detector;
    bool was_seen = vm->seen;

    vm->heard[vm->heard_next++ % VT_HEARD_KEPT] = (struct vt_heard){
        .at = result->started + monitor->clock_offset,
        .took_us = (uint32_t)(result->took / 1000),
        .end = (uint8_t)result->end,
        .code = result->code,
        .address = result->address,
    };
    vm->probes++;
    vm->bad_probes += result->end != VT_PROBE_ANSWERED;
    vm->seen |= result->end == VT_PROBE_ANSWERED;
    switch (vt_detector_feed(detector, result->end, result->started, settings->threshold,
                             settings->recover)) {
    case VT_DETECTED_SUSPECT:
        ask_around(monitor, vm, result->started + result->took);
        if (settings->threshold > 1)
            break;
        wake(monitor);
        break;
    case VT_DETECTED_LOST:
        if (detector->misses <= settings->threshold && detector->refusals <= settings->threshold)
            wake(monitor);
        break;
    case VT_DETECTED_BACK:
        wake(monitor);
        break;
    default:
        break;
    }
    if (!was_seen && vm->seen)
        wake(monitor);
    if (vm->probes == 1) /* somebody may wait for it */
        pthread_cond_broadcast(&monitor->swept);
}

static void of_beacon(struct vt_beacon *beacon, const struct vt_probe_result *result)
{
    /* An anchor that refuses is there; a host whose service refuses is not sure to be. */
    enum vt_probe_end end =
        beacon->anchor && result->end >= VT_PROBE_WRONG ? VT_PROBE_ANSWERED : result->end;

    beacon->ever |= end == VT_PROBE_ANSWERED;
    vt_detector_feed(&beacon->detector, end, result->started, 1, 1);
}

void vt_monitor_result(void *context, const struct vt_probe_result *result)
{
    struct vt_monitor *monitor = context;
    uint32_t slot = result->slot;

    pthread_mutex_lock(&monitor->lock);
    monitor->local_failures = result->end == VT_PROBE_LOCAL ? monitor->local_failures + 1 : 0;
    if (slot < VT_BEACONS_MAX) {
        if (monitor->beacons[slot].used && monitor->beacons[slot].tag == result->tag)
            of_beacon(&monitor->beacons[slot], result);
    } else if (slot - VT_BEACONS_MAX < monitor->vm_count) {
        struct vt_watched *vm = &monitor->vms[slot - VT_BEACONS_MAX];
        if (vm->used && vm->known && vm->tag == result->tag)
            of_vm(monitor, vm, result);
    }
    pthread_mutex_unlock(&monitor->lock);
}

enum vt_truth vt_host_answers(const struct vt_monitor *monitor, uint16_t host, int64_t now)
{
    const struct vt_beacon *beacon = host == VT_NO_INDEX ? NULL : &monitor->beacons[host];
    int64_t fresh = 2 * (monitor->options.settings.interval + monitor->options.settings.timeout);

    if (!beacon || !beacon->used || !beacon->ever || beacon->detector.last_result == 0 ||
        now - beacon->detector.last_result > fresh)
        return VT_UNKNOWN;
    return beacon->detector.misses + beacon->detector.refusals > 0 ? VT_NO : VT_YES;
}

/* How many of the beacons that were asked are silent? */
static void count_beacons(const struct vt_monitor *monitor, unsigned from, unsigned to,
                          bool must_have_answered, unsigned *out_asked, unsigned *out_silent)
{
    *out_asked = *out_silent = 0;
    for (unsigned i = from; i < to; i++) {
        const struct vt_beacon *beacon = &monitor->beacons[i];
        if (!beacon->used || (must_have_answered && !beacon->ever) ||
            (beacon->detector.last_result == 0 && beacon->detector.last != VT_PROBE_LOCAL))
            continue;
        ++*out_asked;
        *out_silent += beacon->detector.misses > 0;
    }
}

/* More than half of what is watched, on two hosts at least. */
static bool most_are_silent(const struct vt_monitor *monitor)
{
    uint64_t watched = 0, silent = 0, hosts = 0;

    for (unsigned i = 0; i < VT_MONITOR_HOSTS_MAX; i++) {
        watched += monitor->host_shares[i].watched;
        silent += monitor->host_shares[i].silent;
        hosts += monitor->host_shares[i].silent > 0;
    }
    return hosts >= 2 && silent * 2 > watched;
}

bool vt_monitor_is_isolated(const struct vt_monitor *monitor)
{
    unsigned asked = 0, silent = 0, hosts = 0, silent_hosts = 0;

    if (monitor->local_failures >= 3)
        return true;
    count_beacons(monitor, VT_MONITOR_HOSTS_MAX, VT_BEACONS_MAX, false, &asked, &silent);
    if (asked > 0)
        return silent == asked;
    /* Whether the pool answers does not count: its session may wait for minutes before it notices. */
    count_beacons(monitor, 0, VT_MONITOR_HOSTS_MAX, true, &hosts, &silent_hosts);
    return hosts >= 2 && silent_hosts == hosts && most_are_silent(monitor);
}
