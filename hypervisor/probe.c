/* The loop: a heap of what is due, by time; a line of those that wait for a free socket; changes
 * from other threads through a list under a lock. */
#include "hypervisor/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/probe_state.h"

enum { EVENTS = 256, TURNS_MAX = 16, FILES_KEPT = 256, FILES_WANTED = 65536, JITTER_PART = 10, GROW = 256 };

enum what { PUT, REMOVE, HURRY };

struct vt_probe_change {
    enum what what;
    uint32_t slot;
    struct vt_probe_target target;
};

const char *vt_probe_end_name(enum vt_probe_end end)
{
    static const char *const names[] = { [VT_PROBE_LOCAL] = "not-sent",
                                         [VT_PROBE_SILENT] = "silent",
                                         [VT_PROBE_WRONG] = "wrong-answer",
                                         [VT_PROBE_REFUSED] = "refused",
                                         [VT_PROBE_ANSWERED] = "answered" };
    return names[end];
}

static const char *const kinds[] = { "tcp", "echo", "icmp" };

const char *vt_probe_kind_name(enum vt_probe_kind kind)
{
    return kinds[kind];
}

bool vt_probe_kind_find(const char *name, enum vt_probe_kind *out_kind)
{
    for (size_t i = 0; i < VT_COUNT(kinds); i++)
        if (strcmp(kinds[i], name) == 0) {
            *out_kind = (enum vt_probe_kind)i;
            return true;
        }
    return false;
}

bool vt_probe_address_parse(const char *text, struct vt_probe_address *out)
{
    struct vt_probe_address address = { 0 };

    if (inet_pton(AF_INET, text, address.bytes) == 1)
        address.family = AF_INET;
    else if (inet_pton(AF_INET6, text, address.bytes) == 1)
        address.family = AF_INET6;
    else
        return false;
    *out = address;
    return true;
}

const char *vt_probe_address_text(const struct vt_probe_address *address,
                                  char out[static VT_PROBE_ADDRESS_TEXT_MAX])
{
    if (!address->family ||
        !inet_ntop(address->family, address->bytes, out, VT_PROBE_ADDRESS_TEXT_MAX))
        out[0] = '\0';
    return out;
}

/* ---- the heap, by due ---- */

static int64_t due_at(const struct vt_probes *probes, uint32_t place)
{
    return probes->targets[probes->heap[place]].due;
}

static void place_at(struct vt_probes *probes, uint32_t place, uint32_t slot)
{
    probes->heap[place] = slot;
    probes->targets[slot].heap = place;
}

static void sift_up(struct vt_probes *probes, uint32_t place)
{
    uint32_t slot = probes->heap[place];

    while (place > 0 && probes->targets[slot].due < due_at(probes, (place - 1) / 2)) {
        place_at(probes, place, probes->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    place_at(probes, place, slot);
}

static void sift_down(struct vt_probes *probes, uint32_t place)
{
    uint32_t slot = probes->heap[place];

    for (uint32_t child = 2 * place + 1; child < probes->heap_count; child = 2 * place + 1) {
        if (child + 1 < probes->heap_count && due_at(probes, child + 1) < due_at(probes, child))
            child++;
        if (probes->targets[slot].due <= due_at(probes, child))
            break;
        place_at(probes, place, probes->heap[child]);
        place = child;
    }
    place_at(probes, place, slot);
}

static void leave_heap(struct vt_probes *probes, uint32_t slot)
{
    uint32_t place = probes->targets[slot].heap;

    if (place == VT_PROBE_NONE)
        return;
    probes->targets[slot].heap = VT_PROBE_NONE;
    uint32_t last = probes->heap[--probes->heap_count];
    if (last == slot)
        return;
    place_at(probes, place, last);
    sift_up(probes, place);
    sift_down(probes, probes->targets[last].heap);
}

/* The heap has room for every slot. Times are rounded to ticks, so that many begin together. */
static void set_due(struct vt_probes *probes, uint32_t slot, int64_t due)
{
    struct vt_target *target = &probes->targets[slot];
    int64_t tick = VT_PROBE_TICK_MS * VT_NS_PER_MS;

    leave_heap(probes, slot);
    target->due = (due + tick - 1) / tick * tick;
    probes->heap[probes->heap_count] = slot;
    sift_up(probes, probes->heap_count++);
}

/* ---- the rhythm ---- */

/* xorshift: spread needs no more. */
static uint64_t next_random(struct vt_probes *probes)
{
    probes->random ^= probes->random << 13;
    probes->random ^= probes->random >> 7;
    probes->random ^= probes->random << 17;
    return probes->random;
}

static int64_t below(struct vt_probes *probes, int64_t limit)
{
    return limit > 0 ? (int64_t)(next_random(probes) % (uint64_t)limit) : 0;
}

static void plan_next(struct vt_probes *probes, uint32_t slot)
{
    struct vt_target *target = &probes->targets[slot];
    int64_t interval = target->spec.interval;

    target->phase = VT_TARGET_IDLE;
    target->planned += interval - below(probes, interval / JITTER_PART);
    if (target->planned < probes->now)
        target->planned = probes->now;
    set_due(probes, slot, target->planned);
}

void vt_target_over(struct vt_probes *probes, uint32_t slot)
{
    struct vt_target *target = &probes->targets[slot];
    struct vt_probe_result result = {
        .slot = slot,
        .tag = target->spec.tag,
        .end = target->best,
        .code = target->best_code,
        .started = target->started,
        .took = probes->now - target->started,
        .address = target->spec.addresses[target->best_address],
    };

    if (target->best == VT_PROBE_ANSWERED)
        target->preferred = target->best_address;
    target->suspect = target->best < VT_PROBE_REFUSED;
    plan_next(probes, slot);
    pthread_mutex_lock(&probes->lock);
    probes->stats.ends[result.end]++;
    pthread_mutex_unlock(&probes->lock);
    probes->options.result(probes->options.context, &result);
}

static void start(struct vt_probes *probes, uint32_t slot)
{
    struct vt_target *target = &probes->targets[slot];
    int64_t late = probes->now - target->planned;

    target->phase = VT_TARGET_FLYING;
    target->started = probes->now;
    set_due(probes, slot, probes->now + target->spec.timeout);
    pthread_mutex_lock(&probes->lock);
    probes->stats.begun++;
    if (late > probes->stats.latest)
        probes->stats.latest = late;
    pthread_mutex_unlock(&probes->lock);
    vt_flight_begin(probes, slot);
}

static void queue_up(struct vt_probes *probes, uint32_t slot)
{
    struct vt_target *target = &probes->targets[slot];

    leave_heap(probes, slot);
    target->phase = VT_TARGET_WAITING;
    target->next_waiting = VT_PROBE_NONE;
    if (probes->waiting_last == VT_PROBE_NONE)
        probes->waiting_first = slot;
    else
        probes->targets[probes->waiting_last].next_waiting = slot;
    probes->waiting_last = slot;
    probes->waiting_count++;
}

static void leave_queue(struct vt_probes *probes, uint32_t slot)
{
    uint32_t before = VT_PROBE_NONE, at = probes->waiting_first;

    while (at != VT_PROBE_NONE && at != slot) {
        before = at;
        at = probes->targets[at].next_waiting;
    }
    if (at == VT_PROBE_NONE)
        return;
    if (before == VT_PROBE_NONE)
        probes->waiting_first = probes->targets[slot].next_waiting;
    else
        probes->targets[before].next_waiting = probes->targets[slot].next_waiting;
    if (probes->waiting_last == slot)
        probes->waiting_last = before;
    probes->waiting_count--;
}

static bool has_room(const struct vt_probes *probes)
{
    return probes->flight_limit - probes->flights_used >= VT_PROBE_ADDRESSES_MAX;
}

static void run_due(struct vt_probes *probes)
{
    while (probes->waiting_first != VT_PROBE_NONE && has_room(probes)) {
        uint32_t slot = probes->waiting_first;
        leave_queue(probes, slot);
        start(probes, slot);
    }
    while (probes->heap_count > 0 && due_at(probes, 0) <= probes->now) {
        uint32_t slot = probes->heap[0];
        if (probes->targets[slot].phase == VT_TARGET_FLYING)
            vt_flight_late(probes, slot);
        else if (has_room(probes))
            start(probes, slot);
        else
            queue_up(probes, slot);
    }
}

/* ---- changes from other threads ---- */

static bool make_room(struct vt_probes *probes, uint32_t slot)
{
    uint32_t room = slot + GROW;

    if (slot < probes->target_room)
        return true;
    if (room < probes->target_room * 2)
        room = probes->target_room * 2;
    struct vt_target *targets = reallocarray(probes->targets, room, sizeof *targets);
    if (targets)
        probes->targets = targets;
    uint32_t *heap = reallocarray(probes->heap, room, sizeof *heap);
    if (heap)
        probes->heap = heap;
    if (!targets || !heap)
        return false;
    memset(targets + probes->target_room, 0, (room - probes->target_room) * sizeof *targets);
    for (uint32_t i = probes->target_room; i < room; i++)
        targets[i].heap = targets[i].flights = VT_PROBE_NONE;
    probes->target_room = room;
    return true;
}

static void take_out(struct vt_probes *probes, uint32_t slot)
{
    struct vt_target *target = &probes->targets[slot];

    if (target->phase == VT_TARGET_WAITING)
        leave_queue(probes, slot);
    vt_flight_drop(probes, slot);
    leave_heap(probes, slot);
    if (target->phase != VT_TARGET_UNUSED)
        probes->target_count--;
    target->phase = VT_TARGET_UNUSED;
}

static bool same(const struct vt_probe_target *a, const struct vt_probe_target *b)
{
    return a->kind == b->kind && a->port == b->port && a->tag == b->tag &&
           a->address_count == b->address_count && a->interval == b->interval &&
           a->timeout == b->timeout && strcmp(a->peer, b->peer) == 0 &&
           memcmp(a->addresses, b->addresses, sizeof a->addresses[0] * a->address_count) == 0;
}

static void put(struct vt_probes *probes, const struct vt_probe_change *change)
{
    const struct vt_probe_target *spec = &change->target;

    if (!make_room(probes, change->slot))
        return; /* the pool is swept again, and this with it */
    struct vt_target *target = &probes->targets[change->slot];
    if (target->phase != VT_TARGET_UNUSED && same(&target->spec, spec))
        return;
    take_out(probes, change->slot);
    if (spec->address_count == 0)
        return;
    target->spec = *spec;
    target->preferred = 0;
    target->suspect = true; /* the first time all are asked */
    target->phase = VT_TARGET_IDLE;
    target->planned = probes->now + below(probes, spec->interval);
    probes->target_count++;
    set_due(probes, change->slot, target->planned);
}

static void hurry(struct vt_probes *probes, uint32_t slot)
{
    struct vt_target *target = slot < probes->target_room ? &probes->targets[slot] : NULL;

    if (!target || target->phase != VT_TARGET_IDLE)
        return;
    target->planned = probes->now;
    set_due(probes, slot, probes->now);
}

static void apply(struct vt_probes *probes, const struct vt_probe_change *change)
{
    if (change->what == PUT)
        put(probes, change);
    else if (change->what == HURRY)
        hurry(probes, change->slot);
    else if (change->slot < probes->target_room)
        take_out(probes, change->slot);
}

/* false: stop. */
static bool take_changes(struct vt_probes *probes)
{
    pthread_mutex_lock(&probes->lock);
    struct vt_probe_change *changes = probes->changes;
    size_t count = probes->change_count;
    bool stop = probes->stop;
    probes->changes = NULL;
    probes->change_count = probes->change_room = 0;
    probes->stats.in_flight = probes->flights_used;
    probes->stats.waiting = probes->waiting_count;
    probes->stats.targets = probes->target_count;
    pthread_mutex_unlock(&probes->lock);
    for (size_t i = 0; i < count && !stop; i++)
        apply(probes, &changes[i]);
    free(changes);
    return !stop;
}

static bool send_change(struct vt_probes *probes, const struct vt_probe_change *change)
{
    bool ok = true;

    pthread_mutex_lock(&probes->lock);
    if (probes->change_count == probes->change_room) {
        size_t room = probes->change_room ? probes->change_room * 2 : 64;
        struct vt_probe_change *wider = reallocarray(probes->changes, room, sizeof *wider);
        ok = wider;
        if (wider) {
            probes->changes = wider;
            probes->change_room = room;
        }
    }
    if (ok)
        probes->changes[probes->change_count++] = *change;
    pthread_mutex_unlock(&probes->lock);
    eventfd_write(probes->wake, 1);
    return ok;
}

bool vt_probes_put(struct vt_probes *probes, uint32_t slot, const struct vt_probe_target *target,
                   struct vt_err *err)
{
    struct vt_probe_change change = { .what = PUT, .slot = slot, .target = *target };
    int64_t shortest = VT_PROBE_INTERVAL_MS_MIN * VT_NS_PER_MS;

    if (slot >= VT_PROBE_SLOTS_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d targets are watched", VT_PROBE_SLOTS_MAX);
    if (change.target.interval < shortest)
        change.target.interval = shortest;
    if (change.target.timeout < VT_PROBE_TICK_MS * VT_NS_PER_MS)
        change.target.timeout = VT_PROBE_TICK_MS * VT_NS_PER_MS;
    return send_change(probes, &change) || vt_fail(err, VT_E_NOMEM, "no memory for a target");
}

void vt_probes_remove(struct vt_probes *probes, uint32_t slot)
{
    send_change(probes, &(struct vt_probe_change){ .what = REMOVE, .slot = slot });
}

void vt_probes_hurry(struct vt_probes *probes, uint32_t slot)
{
    send_change(probes, &(struct vt_probe_change){ .what = HURRY, .slot = slot });
}

void vt_probes_stats(struct vt_probes *probes, struct vt_probes_stats *out)
{
    pthread_mutex_lock(&probes->lock);
    *out = probes->stats;
    probes->stats.latest = 0;
    pthread_mutex_unlock(&probes->lock);
}

/* ---- the thread ---- */

static void take_event(struct vt_probes *probes, const struct epoll_event *event)
{
    eventfd_t ignored;

    if (event->data.u64 == VT_WATCH_WAKE)
        eventfd_read(probes->wake, &ignored);
    else if (event->data.u64 == VT_WATCH_PING4)
        vt_ping_ready(probes, &probes->ping4);
    else if (event->data.u64 == VT_WATCH_PING6)
        vt_ping_ready(probes, &probes->ping6);
    else
        vt_flight_ready(probes, (uint32_t)event->data.u64, (uint32_t)(event->data.u64 >> 32),
                        event->events);
}

static int wait_ms(const struct vt_probes *probes)
{
    if (probes->heap_count == 0)
        return -1;
    return vt_clock_poll_ms(due_at(probes, 0));
}

/* Waits so long, 0: not at all. false: nothing came. */
static bool take_events(struct vt_probes *probes, int ms)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(probes->epoll, events, EVENTS, ms);

    probes->now = vt_clock_mono();
    for (int i = 0; i < count; i++)
        take_event(probes, &events[i]);
    return count > 0;
}

/* What has answered while this thread had to wait for a processor is heard before anything is given
 * up: a machine with too much to do is no silence. */
static void *run(void *context)
{
    struct vt_probes *probes = context;

    for (probes->now = vt_clock_mono(); take_changes(probes); probes->now = vt_clock_mono()) {
        for (int turn = 0; turn < TURNS_MAX && take_events(probes, 0); turn++)
            continue;
        run_due(probes);
        take_events(probes, wait_ms(probes));
    }
    return NULL;
}

/* ---- from start to end ---- */

static uint32_t raise_limit(unsigned wanted)
{
    struct rlimit files = { 0 };

    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return VT_PROBE_ADDRESSES_MAX;
    if (files.rlim_cur < files.rlim_max) {
        rlim_t most = files.rlim_max < FILES_WANTED ? files.rlim_max : FILES_WANTED;
        files.rlim_cur = files.rlim_cur > most ? files.rlim_cur : most;
        setrlimit(RLIMIT_NOFILE, &files);
        getrlimit(RLIMIT_NOFILE, &files);
    }
    rlim_t room = files.rlim_cur > 2 * FILES_KEPT ? files.rlim_cur - FILES_KEPT : FILES_KEPT;
    uint32_t limit = room < wanted ? (uint32_t)room : wanted;
    return limit < VT_PROBE_ADDRESSES_MAX ? VT_PROBE_ADDRESSES_MAX : limit;
}

static bool make_flights(struct vt_probes *probes)
{
    unsigned wanted =
        probes->options.in_flight ? probes->options.in_flight : (unsigned)VT_PROBE_IN_FLIGHT;

    probes->flight_limit =
        raise_limit(wanted > VT_PROBE_IN_FLIGHT_MAX ? VT_PROBE_IN_FLIGHT_MAX : wanted);
    probes->flights = calloc(probes->flight_limit, sizeof *probes->flights);
    if (!probes->flights)
        return false;
    for (uint32_t i = 0; i < probes->flight_limit; i++)
        probes->flights[i] =
            (struct vt_flight){ .fd = -1,
                                .next = i + 1 < probes->flight_limit ? i + 1 : VT_PROBE_NONE };
    return true;
}

static bool open_all(struct vt_probes *probes, struct vt_err *err)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = VT_WATCH_WAKE };

    probes->epoll = epoll_create1(EPOLL_CLOEXEC);
    probes->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (probes->epoll < 0 || probes->wake < 0 ||
        epoll_ctl(probes->epoll, EPOLL_CTL_ADD, probes->wake, &event) != 0)
        return vt_fail_errno(err, "probes cannot be made");
    if (getrandom(&probes->cookie, sizeof probes->cookie, 0) < 0)
        probes->cookie = (uint64_t)vt_clock_wall();
    probes->random = probes->cookie | 1;
    vt_ping_open(probes);
    return true;
}

struct vt_probes *vt_probes_new(const struct vt_probes_options *options, struct vt_err *err)
{
    VT_AUTO(vt_probes) probes = calloc(1, sizeof *probes);

    if (!probes) {
        vt_fail(err, VT_E_NOMEM, "no memory for probes");
        return NULL;
    }
    probes->options = *options;
    probes->epoll = probes->wake = probes->ping4.fd = probes->ping6.fd = -1;
    probes->waiting_first = probes->waiting_last = VT_PROBE_NONE;
    pthread_mutex_init(&probes->lock, NULL);
    if (!make_flights(probes)) {
        vt_fail(err, VT_E_NOMEM, "no memory for probes");
        return NULL;
    }
    if (!open_all(probes, err))
        return NULL;
    if (pthread_create(&probes->thread, NULL, run, probes) != 0) {
        vt_fail(err, VT_E_NOMEM, "no memory for the thread of the probes");
        return NULL;
    }
    probes->started = true;
    return vt_take(&probes);
}

void vt_probes_free(struct vt_probes *probes)
{
    if (!probes)
        return;
    if (probes->started) {
        pthread_mutex_lock(&probes->lock);
        probes->stop = true;
        pthread_mutex_unlock(&probes->lock);
        eventfd_write(probes->wake, 1);
        pthread_join(probes->thread, NULL);
    }
    for (uint32_t i = 0; i < probes->target_room; i++)
        vt_flight_drop(probes, i);
    vt_ping_close(probes);
    if (probes->epoll >= 0)
        close(probes->epoll);
    if (probes->wake >= 0)
        close(probes->wake);
    free(probes->flights);
    free(probes->targets);
    free(probes->heap);
    free(probes->changes);
    pthread_mutex_destroy(&probes->lock);
    free(probes);
}
