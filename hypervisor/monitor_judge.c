/* The judge: looks at what changed, classifies what is lost, decides; woken by results and changes,
 * and once a second. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor/monitor_state.h"

/* ---- facts ---- */

static bool is_judged(const struct vt_watched *vm, int64_t now)
{
    int64_t fresh = 2 * (vm->settings->interval + vm->settings->timeout);

    return vm->used && vm->known && vm->seen && vm->address_count > 0 &&
           (vm->power == VT_POWER_RUNNING || vm->power == 0) && !vm->working && !vm->moving &&
           vm->settles <= now && vm->detector.last_result != 0 &&
           now - vm->detector.last_result <= fresh;
}

static void count(struct vt_share *share, bool silent)
{
    share->watched++;
    share->silent += silent;
}

/* Who shares what with whom, for all at once. */
static void count_shares(struct vt_monitor *monitor, int64_t now)
{
    memset(monitor->host_shares, 0, sizeof monitor->host_shares);
    memset(monitor->network_shares, 0, sizeof monitor->network_shares);
    memset(monitor->link_shares, 0,
           (size_t)VT_MONITOR_HOSTS_MAX * VT_NETWORKS_MAX * sizeof *monitor->link_shares);
    for (uint32_t i = 0; i < monitor->vm_count; i++) {
        const struct vt_watched *vm = &monitor->vms[i];
        if (!is_judged(vm, now))
            continue;
        bool silent = vm->detector.misses > 0;
        if (vm->host != VT_NO_INDEX)
            count(&monitor->host_shares[vm->host], silent);
        if (vm->network != VT_NO_INDEX)
            count(&monitor->network_shares[vm->network], silent);
        if (vm->host != VT_NO_INDEX && vm->network != VT_NO_INDEX)
            count(&monitor->link_shares[vm->host * VT_NETWORKS_MAX + vm->network], silent);
    }
}

static enum vt_truth host_live(const struct vt_monitor *monitor, const struct vt_picture *picture,
                               uint16_t host)
{
    const struct vt_object *object =
        host == VT_NO_INDEX ? NULL : vt_picture_get(picture, monitor->beacons[host].ref);
    const struct vt_object *metrics = object ? vt_picture_follow(picture, object, "metrics") : NULL;

    if (!metrics)
        return VT_UNKNOWN;
    return vt_object_bool(metrics, "live") ? VT_YES : VT_NO;
}

/* Of the host's physical interfaces into the network: one with a carrier is enough. */
static enum vt_truth carrier(const struct vt_monitor *monitor, const struct vt_picture *picture,
                             const struct vt_watched *vm)
{
    enum vt_truth truth = VT_UNKNOWN;

    if (vm->host == VT_NO_INDEX || vm->network == VT_NO_INDEX)
        return truth;
    VT_PICTURE_EACH(picture, VT_CLASS_PIF, pif)
    {
        if (strcmp(vt_object_text(pif, "host"), monitor->beacons[vm->host].ref) != 0 ||
            strcmp(vt_object_text(pif, "network"), monitor->networks[vm->network].ref) != 0)
            continue;
        const struct vt_object *metrics = vt_picture_follow(picture, pif, "metrics");
        if (!metrics)
            continue;
        if (vt_object_bool(metrics, "carrier"))
            return VT_YES;
        truth = VT_NO;
    }
    return truth;
}

static enum vt_reach reach_of(const struct vt_watched *vm)
{
    if (vm->address_count == 0 || (!vm->seen && vm->detector.lost))
        return VT_REACH_NO_ADDRESS;
    if (!vm->detector.lost)
        return vm->known && (vm->power == VT_POWER_RUNNING || vm->power == 0) ? VT_REACH_ANSWERS
                                                                              : VT_REACH_SILENT;
    return vm->detector.refusals > 0 ? VT_REACH_REFUSED : VT_REACH_SILENT;
}

struct vt_facts vt_judge_facts(const struct vt_monitor *monitor, const struct vt_picture *picture,
                               const struct vt_watched *vm, int64_t now)
{
    struct vt_facts facts = {
        .reach = reach_of(vm),
        .isolated = monitor->isolated,
        .control = monitor->control,
        .known = vm->known,
        .power = vm->power,
        .doing = vm->moving    ? VT_DOING_MIGRATION
                 : vm->working ? VT_DOING_OTHER
                               : VT_DOING_NOTHING,
        .settling = vm->settles > now ? vm->settling : VT_SETTLING_NOT,
        .maintenance = vt_windows_open_at(&vm->settings->windows, vt_clock_wall()),
        .unplugged = vm->unplugged,
        .blocked = vm->blocked,
        .withdrawn = vm->withdrawn,
    };

    if (facts.reach != VT_REACH_SILENT)
        return facts;
    facts.host_live = host_live(monitor, picture, vm->host);
    facts.host_answers = vt_host_answers(monitor, vm->host, now);
    facts.carrier = carrier(monitor, picture, vm);
    if (vm->host != VT_NO_INDEX)
        facts.host = monitor->host_shares[vm->host];
    if (vm->network != VT_NO_INDEX)
        facts.network = monitor->network_shares[vm->network];
    if (vm->host != VT_NO_INDEX && vm->network != VT_NO_INDEX)
        facts.link = monitor->link_shares[vm->host * VT_NETWORKS_MAX + vm->network];
    return facts;
}

/* ---- from a verdict to a step ---- */

static void find_cause(const struct vt_monitor *monitor, const struct vt_watched *vm,
                       enum vt_loss loss, char out[static VT_INCIDENT_TEXT_MAX])
{
    const char *cause = vm->uuid;

    if (loss == VT_LOSS_HOST_LOST)
        cause = vm->host == VT_NO_INDEX ? "" : monitor->beacons[vm->host].ref;
    else if (loss == VT_LOSS_LINK_LOST)
        cause = vm->network == VT_NO_INDEX ? "" : monitor->networks[vm->network].ref;
    else if (vt_loss_is_shared(loss))
        cause = "pool";
    snprintf(out, VT_INCIDENT_TEXT_MAX, "%s", cause);
}

static bool is_outside(enum vt_loss loss)
{
    return loss == VT_LOSS_NETWORK_LOST || loss == VT_LOSS_LINK_LOST || loss == VT_LOSS_HOST_LOST;
}

/* The class of an incident stays while something is done with the VM (our own snapshot is such an
 * operation) and while nobody can tell better. Between VM, link and host it changes when the other
 * one holds for as long as a loss takes: those that come back last are no incidents of their own,
 * and a toolstack that restarts is no dead host. */
static bool stays(struct vt_watched *vm, enum vt_loss next, int64_t now)
{
    bool blind = next == VT_LOSS_CONTROL_LOST || next == VT_LOSS_ISOLATED;
    bool settled = is_outside(vm->loss) && is_outside(next);
    bool busy = next == VT_LOSS_OPERATION || next == VT_LOSS_MIGRATING ||
                next == VT_LOSS_MAINTENANCE || next == VT_LOSS_UNMONITORABLE;

    if (next == vm->loss || busy ||
        (blind && vm->loss != VT_LOSS_CONTROL_LOST && vm->loss != VT_LOSS_ISOLATED)) {
        vm->differs_since = 0;
        return true;
    }
    if (!settled)
        return false;
    if (vm->differs_since == 0)
        vm->differs_since = now;
    return now - vm->differs_since < vt_watch_bound(vm->settings);
}

struct pass {
    struct vt_monitor *monitor;
    const struct vt_picture *picture;
    int64_t now;
    struct vt_step *steps;
    size_t count, room;
    bool failed;
};

static struct vt_step *new_step(struct pass *pass, uint32_t index, struct vt_verdict verdict)
{
    if (pass->count == pass->room) {
        size_t room = pass->room ? pass->room * 2 : 64;
        struct vt_step *wider = reallocarray(pass->steps, room, sizeof *wider);
        if (!wider) {
            pass->failed = true; /* the next pass sees the same */
            return NULL;
        }
        pass->steps = wider;
        pass->room = room;
    }
    struct vt_step *step = &pass->steps[pass->count++];
    *step = (struct vt_step){ .vm = index, .verdict = verdict };
    return step;
}

/* The first VM's evidence is kept whole, that of those who join in their reasons. */
static void add_evidence(struct pass *pass, const struct vt_watched *vm,
                         const struct vt_facts *facts, struct vt_step *step)
{
    if (vt_loss_is_shared(step->verdict.loss) &&
        vt_open_find(pass->monitor, step->verdict.loss, step->cause))
        return;
    json_t *json = vt_evidence_of(pass->monitor, pass->picture, vm, facts);
    if (json && step->guard_facts)
        json_object_set(json, "guard", step->guard_facts);
    step->evidence = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
}

static void judge_one(struct pass *pass, uint32_t index)
{
    struct vt_monitor *monitor = pass->monitor;
    struct vt_watched *vm = &monitor->vms[index];
    struct vt_facts facts = vt_judge_facts(monitor, pass->picture, vm, pass->now);
    struct vt_verdict verdict = vt_classify(&facts, &monitor->options.classify);

    if (!vm->known && vt_picture_get(pass->picture, vm->ref))
        verdict.reason = "it is no longer watched";
    if (facts.reach == VT_REACH_NO_ADDRESS && vm->address_count > 0)
        verdict.reason = "it has never answered: check --address, --port and --probe of its watch";
    bool opens = vt_loss_is_incident(verdict.loss);
    if (vm->incident != 0 && stays(vm, verdict.loss, pass->now))
        return;
    if (vm->incident == 0 && !opens && vm->known) {
        if (vm->loss != verdict.loss)
            vm->since = vt_clock_wall();
        vm->loss = verdict.loss;
        vm->reason = verdict.reason;
        return;
    }
    struct vt_step *step = new_step(pass, index, verdict);
    if (!step)
        return;
    step->leave = vm->incident != 0;
    step->join = opens;
    find_cause(monitor, vm, verdict.loss, step->cause);
    if (!opens)
        return;
    int64_t took = pass->now - vm->detector.first_miss;
    if (vm->detector.first_miss && took > monitor->counts.slowest_loss)
        monitor->counts.slowest_loss = took;
    if (verdict.loss == VT_LOSS_NETWORK_LOST ||
        (verdict.loss == VT_LOSS_LINK_LOST && vm->settings->always))
        vt_shot_decide(monitor, pass->picture, vm, step, pass->now);
    add_evidence(pass, vm, &facts, step);
}

static bool needs_judging(const struct vt_watched *vm, int64_t now)
{
    return vm->used && (vm->detector.lost || vm->incident != 0 || vm->loss != VT_LOSS_NONE ||
                        vm->dirty || !vm->known || vm->power != VT_POWER_RUNNING ||
                        vm->address_count == 0 || vm->settles > now);
}

static void judge_all(struct pass *pass)
{
    struct vt_monitor *monitor = pass->monitor;

    for (uint32_t i = 0; i < monitor->vm_count && !pass->failed; i++) {
        if (!needs_judging(&monitor->vms[i], pass->now) || !monitor->vms[i].looked_up)
            continue;
        monitor->vms[i].dirty = false;
        judge_one(pass, i);
    }
}

/* ---- what changed ---- */

static void take_inbox(struct vt_monitor *monitor, bool *out_all,
                       char (**out_refs)[VT_XAPI_REF_MAX], size_t *out_count)
{
    pthread_mutex_lock(&monitor->inbox);
    *out_all = monitor->dirty_all;
    *out_refs = monitor->dirty;
    *out_count = monitor->dirty_count;
    monitor->dirty = NULL;
    monitor->dirty_count = 0;
    monitor->dirty_all = false;
    pthread_mutex_unlock(&monitor->inbox);
}

/* What the database knows of VMs that are new here. */
static void look_up(struct vt_monitor *monitor)
{
    int64_t now = vt_clock_mono(), wall = vt_clock_wall();

    for (uint32_t i = 0; i < monitor->vm_count; i++) {
        struct vt_watched *vm = &monitor->vms[i];
        int64_t asked = 0;
        struct vt_err ignored = { 0 };
        if (!vm->used || vm->looked_up)
            continue;
        bool known = vt_shots_last(monitor->incidents, vm->uuid, &asked, &ignored);
        bool seen = vt_incidents_is_seen(monitor->incidents, vm->uuid);
        pthread_mutex_lock(&monitor->lock);
        vm->seen_kept = seen;
        vm->seen |= seen;
        vm->last_shot = known && asked > 0 && asked < wall ? now - (wall - asked) : 0;
        if (asked > 0 && vm->last_shot == 0)
            vm->last_shot = 1;
        vt_steps_claim(monitor, vm);
        vm->looked_up = true;
        pthread_mutex_unlock(&monitor->lock);
    }
}

static void keep_seen(struct vt_monitor *monitor)
{
    struct vt_err err = { 0 };
    uint32_t fresh = 0;

    pthread_mutex_lock(&monitor->lock);
    for (uint32_t i = 0; i < monitor->vm_count; i++) {
        struct vt_watched *vm = &monitor->vms[i];
        vm->seen_fresh = vm->used && vm->looked_up && vm->seen && !vm->seen_kept;
        vm->seen_kept |= vm->seen_fresh;
        fresh += vm->seen_fresh;
    }
    pthread_mutex_unlock(&monitor->lock);
    if (fresh == 0 || !vt_incidents_begin(monitor->incidents, &err))
        return;
    bool ok = true;
    for (uint32_t i = 0; i < monitor->vm_count && ok; i++)
        if (monitor->vms[i].seen_fresh)
            ok = vt_incidents_seen_add(monitor->incidents, monitor->vms[i].uuid, &err);
    vt_incidents_end(monitor->incidents, ok, &err);
}

/* Incidents of an earlier run find their VMs again. */
static void sweep(struct vt_monitor *monitor)
{
    char(*refs)[VT_XAPI_REF_MAX] = NULL;
    bool all = false;
    size_t count = 0;
    int64_t now = vt_clock_mono();

    take_inbox(monitor, &all, &refs, &count);
    const struct vt_picture *picture = monitor->pool->read(monitor->pool->context);
    pthread_mutex_lock(&monitor->lock);
    monitor->sweep_wanted |= all;
    bool rules = monitor->rules_dirty;
    bool due = now - monitor->last_sweep >= VT_SWEEP_MS * VT_NS_PER_MS || monitor->never_swept;
    bool there = vt_picture_count(picture, VT_CLASS_HOST) > 0;
    if (there && (rules || (monitor->sweep_wanted && due))) {
        vt_sweep_all(monitor, picture);
        monitor->last_sweep = now;
        monitor->sweep_wanted = monitor->never_swept = monitor->rules_dirty = false;
    } else if (there) {
        vt_sweep_some(monitor, picture, refs, count);
    }
    pthread_mutex_unlock(&monitor->lock);
    monitor->pool->done(monitor->pool->context);
    free(refs);
}

/* ---- a pass ---- */

/* What was heard while we were cut off says nothing: everything is heard anew. */
static void forget_heard(struct vt_monitor *monitor)
{
    for (uint32_t i = 0; i < monitor->vm_count; i++)
        vt_detector_reset(&monitor->vms[i].detector);
}

static bool set_isolated(struct vt_monitor *monitor, bool *out_changed)
{
    bool isolated = vt_monitor_is_isolated(monitor);

    *out_changed = isolated != monitor->isolated;
    if (*out_changed && !isolated)
        forget_heard(monitor);
    monitor->isolated = isolated;
    return isolated;
}

/* The pool's own incidents: it does not answer, or we hear nobody. */
static void judge_pool(struct vt_monitor *monitor, int64_t now, bool isolated)
{
    struct vt_err err = { 0 };

    pthread_mutex_lock(&monitor->lock);
    bool away = monitor->control_lost_at &&
                now - monitor->control_lost_at >= vt_watch_bound(&monitor->options.settings);
    bool control = monitor->control;
    pthread_mutex_unlock(&monitor->lock);
    vt_pool_incident(
        monitor, VT_LOSS_ISOLATED, isolated,
        isolated ? "nothing answers: it is our own network" : "something answers again", &err);
    if (away && !isolated)
        vt_pool_incident(monitor, VT_LOSS_CONTROL_LOST, true, "the pool does not answer", &err);
    else if (control)
        vt_pool_incident(monitor, VT_LOSS_CONTROL_LOST, false, "the pool answers again", &err);
    if (vt_failed(&err))
        vt_monitor_publish(monitor, "monitor.failed", "", json_pack("{s:s}", "why", err.text));
}

static void forget_gone(struct vt_monitor *monitor, const struct vt_step *steps, size_t count)
{
    bool forgotten = false;

    pthread_mutex_lock(&monitor->lock);
    for (size_t i = 0; i < count; i++) {
        struct vt_watched *vm = &monitor->vms[steps[i].vm];
        if (vm->known || vm->incident != 0)
            continue;
        vt_sweep_forget(monitor, steps[i].vm);
        forgotten = true;
    }
    if (forgotten)
        vt_sweep_forgotten(monitor);
    pthread_mutex_unlock(&monitor->lock);
}

static void judge(struct vt_monitor *monitor)
{
    struct pass pass = { .monitor = monitor };
    struct vt_err err = { 0 };
    bool changed = false;

    pass.picture = monitor->pool->read(monitor->pool->context);
    pthread_mutex_lock(&monitor->lock);
    pass.now = vt_clock_mono();
    monitor->counts.passes++;
    monitor->pass_waiting = 0;
    count_shares(monitor, pass.now);
    bool isolated = set_isolated(monitor, &changed);
    judge_all(&pass);
    pthread_mutex_unlock(&monitor->lock);
    monitor->pool->done(monitor->pool->context);
    if (pass.count > 0 && !vt_steps_write(monitor, pass.steps, pass.count, &err))
        vt_monitor_publish(monitor, "monitor.failed", "", json_pack("{s:s}", "why", err.text));
    else
        forget_gone(monitor, pass.steps, pass.count);
    vt_steps_free(pass.steps, pass.count);
    judge_pool(monitor, pass.now, isolated);
}

/* The wall clock counts only for what people read and for expiry; a jump is told. */
static void watch_clock(struct vt_monitor *monitor)
{
    int64_t now = vt_clock_mono(), offset = vt_clock_wall() - now;
    int64_t jump = offset - monitor->clock_offset;

    if (llabs(jump) < VT_CLOCK_JUMP_S * VT_NS_PER_S) {
        pthread_mutex_lock(&monitor->lock);
        monitor->clock_offset = offset;
        pthread_mutex_unlock(&monitor->lock);
        return;
    }
    pthread_mutex_lock(&monitor->lock);
    monitor->clock_offset = offset;
    monitor->clock_jumped = now;
    vt_remark(&monitor->remarks, "our clock jumped by %lld s", (long long)(jump / VT_NS_PER_S));
    pthread_mutex_unlock(&monitor->lock);
    vt_monitor_publish(monitor, "monitor.clock-jump", "",
                       json_pack("{s:I}", "seconds", (json_int_t)(jump / VT_NS_PER_S)));
}

static bool wait_for_work(struct vt_monitor *monitor)
{
    struct timespec until;
    int64_t end = vt_clock_mono() + VT_JUDGE_TICK_MS * VT_NS_PER_MS;

    until.tv_sec = (time_t)(end / VT_NS_PER_S);
    until.tv_nsec = (long)(end % VT_NS_PER_S);
    pthread_mutex_lock(&monitor->lock);
    while (!monitor->woken && !monitor->stop &&
           pthread_cond_timedwait(&monitor->wake, &monitor->lock, &until) == 0)
        ;
    monitor->woken = false;
    bool stop = monitor->stop;
    pthread_mutex_unlock(&monitor->lock);
    return !stop;
}

/* Rules that were asked for before this point are in force behind it. */
static void take_rules(struct vt_monitor *monitor, uint64_t *out_asked)
{
    struct vt_err err = { 0 };

    pthread_mutex_lock(&monitor->lock);
    bool fresh = monitor->rules_asked != monitor->sweep_number || monitor->options_dirty;
    *out_asked = monitor->rules_asked;
    monitor->options_dirty = false;
    pthread_mutex_unlock(&monitor->lock);
    if (!fresh)
        return;
    bool ok = vt_sweep_rules(monitor, &err);
    if (!ok)
        vt_monitor_publish(monitor, "monitor.failed", "", json_pack("{s:s}", "why", err.text));
    pthread_mutex_lock(&monitor->lock);
    monitor->rules_dirty |= ok;
    pthread_mutex_unlock(&monitor->lock);
}

void *vt_judge_run(void *context)
{
    struct vt_monitor *monitor = context;
    uint64_t asked = 0;

    do {
        watch_clock(monitor);
        take_rules(monitor, &asked);
        sweep(monitor);
        look_up(monitor);
        vt_steps_abandon(monitor);
        vt_shots_finished(monitor);
        judge(monitor);
        keep_seen(monitor);
        vt_shots_review(monitor);
        vt_shots_chores(monitor);
        pthread_mutex_lock(&monitor->lock);
        if (!monitor->rules_dirty)
            monitor->sweep_number = asked;
        pthread_cond_broadcast(&monitor->swept);
        pthread_mutex_unlock(&monitor->lock);
    } while (wait_for_work(monitor));
    return NULL;
}
