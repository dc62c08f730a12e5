/* Snapshots: asking the guard, handing them to the workers, what came of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor/monitor_state.h"

static const int retry_s[] = { 5, 15, 45 };

/* ---- the guard ---- */

static bool is_allowed(const struct vt_object *object, enum vt_shot_kind kind)
{
    const char *const *allowed = NULL;

    if (vt_object_list(object, "allowed_operations", &allowed) == 0)
        return true; /* a pool that does not say refuses by itself */
    return vt_object_has(object, "allowed_operations",
                         kind == VT_SHOT_CHECKPOINT ? "checkpoint" : "snapshot");
}

static void uuids_of(const struct vt_picture *picture, const struct vt_guard_storage *storage,
                     struct vt_pending_shot *pending)
{
    pending->sr_count = 0;
    for (unsigned i = 0; i < storage->sr_count; i++) {
        const struct vt_object *sr = vt_picture_get(picture, storage->srs[i]);
        if (sr)
            snprintf(pending->sr_uuids[pending->sr_count++], VT_XAPI_UUID_MAX, "%s",
                     vt_object_text(sr, "uuid"));
    }
}

static bool is_quarantined(struct vt_monitor *monitor, const struct vt_pending_shot *pending)
{
    for (unsigned i = 0; i < pending->sr_count; i++) {
        struct vt_err ignored = { 0 };
        int64_t until = 0;
        if (vt_quarantine_until(monitor->incidents, pending->sr_uuids[i], &until, &ignored) &&
            until > vt_clock_wall())
            return true;
    }
    return false;
}

/* One on its way, or one that nobody knows the end of, for as long as a repetition waits. */
static bool has_pending(const struct vt_monitor *monitor, const struct vt_pending_shot *but)
{
    int64_t wall = vt_clock_wall();

    for (size_t i = 0; i < monitor->shot_count; i++)
        if (monitor->shots[i].shot.id != but->shot.id &&
            wall - monitor->shots[i].shot.asked < monitor->options.guard.repeat &&
            strcmp(monitor->shots[i].shot.vm_uuid, but->shot.vm_uuid) == 0)
            return true;
    return false;
}

static int count_waiting(const struct vt_monitor *monitor)
{
    int waiting = 0;

    for (size_t i = 0; i < monitor->shot_count; i++)
        waiting += monitor->shots[i].shot.state == VT_SHOT_WAITING;
    return waiting;
}

static struct vt_guard_facts guard_facts(struct vt_monitor *monitor,
                                         const struct vt_picture *picture,
                                         const struct vt_watched *vm,
                                         struct vt_pending_shot *pending, int64_t now)
{
    const struct vt_object *object = vt_picture_get(picture, vm->ref);
    const char *host = vm->host == VT_NO_INDEX ? "" : monitor->beacons[vm->host].ref;
    struct vt_guard_facts facts = {
        .wanted = vm->settings->shot != VT_SHOT_NONE,
        .allowed = object && is_allowed(object, vm->settings->shot),
        .age = now - pending->classified,
        .since_last = vm->last_shot ? now - vm->last_shot : -1,
        .has_one = has_pending(monitor, pending),
    };

    if (!object || !facts.wanted)
        return facts;
    vt_guard_storage_of(picture, object, vm->settings->shot == VT_SHOT_CHECKPOINT, &facts.storage);
    uuids_of(picture, &facts.storage, pending);
    facts.quarantined = is_quarantined(monitor, pending);
    vt_budget_count(monitor->budget, now, host, facts.storage.sr, &facts);
    return facts;
}

/* OK: it counts in the budget from now on. */
static enum vt_guard ask_guard(struct vt_monitor *monitor, const struct vt_picture *picture,
                               const struct vt_watched *vm, struct vt_pending_shot *pending,
                               struct vt_guard_facts *out_facts, int64_t now)
{
    const char *host = vm->host == VT_NO_INDEX ? "" : monitor->beacons[vm->host].ref;

    *out_facts = guard_facts(monitor, picture, vm, pending, now);
    enum vt_guard guard = vt_guard_check(out_facts, &monitor->options.guard, pending->shot.reason,
                                         sizeof pending->shot.reason);
    if (guard == VT_GUARD_OK && !vm->settings->dry_run &&
        !vt_budget_begin(monitor->budget, vm->tag, now, host, out_facts->storage.sr))
        guard = VT_GUARD_STORM_HOUR;
    return guard;
}

/* The line of those that wait is part of the budget: it is as long as a minute's. */
static enum vt_guard bound_line(struct vt_monitor *monitor, struct vt_pending_shot *pending,
                                enum vt_guard guard)
{
    int waiting = count_waiting(monitor) + monitor->pass_waiting;

    if (guard != VT_GUARD_LATER)
        return guard;
    if (waiting < monitor->options.guard.storm_minute) {
        monitor->pass_waiting++;
        return guard;
    }
    snprintf(pending->shot.reason, sizeof pending->shot.reason, "%d wait already, %d may", waiting,
             monitor->options.guard.storm_minute);
    return VT_GUARD_STORM_MINUTE;
}

static enum vt_shot_state state_for(enum vt_guard guard, bool dry_run)
{
    if (guard == VT_GUARD_OK)
        return dry_run ? VT_SHOT_DRY : VT_SHOT_INTENT;
    return guard == VT_GUARD_LATER ? VT_SHOT_WAITING : VT_SHOT_REFUSED;
}

static void explain(struct vt_pending_shot *pending, enum vt_guard guard)
{
    char sentence[VT_INCIDENT_TEXT_MAX];

    snprintf(sentence, sizeof sentence, "%s", pending->shot.reason);
    if (pending->shot.state == VT_SHOT_DRY)
        snprintf(pending->shot.reason, sizeof pending->shot.reason,
                 "dry run: it would have been taken");
    else if (guard != VT_GUARD_OK)
        snprintf(pending->shot.reason, sizeof pending->shot.reason, "%s: %.200s",
                 vt_guard_name(guard), sentence);
}

void vt_shot_decide(struct vt_monitor *monitor, const struct vt_picture *picture,
                    const struct vt_watched *vm, struct vt_step *step, int64_t now)
{
    struct vt_pending_shot *pending = &step->pending;
    struct vt_guard_facts facts;

    step->shoot = true;
    pending->classified = now;
    pending->shot.kind = vm->settings->shot;
    snprintf(pending->shot.vm_uuid, sizeof pending->shot.vm_uuid, "%s", vm->uuid);
    snprintf(pending->shot.vm_name, sizeof pending->shot.vm_name, "%s", vm->name);
    if (monitor->options.expire)
        pending->shot.expires = vt_clock_wall() + monitor->options.expire;
    step->guard =
        bound_line(monitor, pending, ask_guard(monitor, picture, vm, pending, &facts, now));
    step->guard_facts = vt_evidence_guard(&facts);
    pending->shot.state = state_for(step->guard, vm->settings->dry_run);
    explain(pending, step->guard);
}

/* ---- to the workers ---- */

static struct vt_pending_shot *find_pending(struct vt_monitor *monitor, int64_t id)
{
    for (size_t i = 0; i < monitor->shot_count; i++)
        if (monitor->shots[i].shot.id == id)
            return &monitor->shots[i];
    return NULL;
}

bool vt_monitor_push(struct vt_monitor *monitor, struct vt_monitor_job *job)
{
    pthread_mutex_lock(&monitor->job_lock);
    bool room = monitor->job_count < VT_JOBS_MAX;
    if (room)
        monitor->jobs[monitor->job_count++] = job;
    pthread_cond_signal(&monitor->job_wake);
    pthread_mutex_unlock(&monitor->job_lock);
    return room;
}

static struct vt_monitor_job *make_job(struct vt_monitor *monitor,
                                       const struct vt_pending_shot *pending,
                                       const struct vt_watched *vm)
{
    struct vt_monitor_job *job = calloc(1, sizeof *job);
    const struct vt_shot *shot = &pending->shot;

    if (!job)
        return NULL;
    job->shot = shot->id;
    snprintf(job->incident, sizeof job->incident, "%lld", (long long)shot->incident);
    vt_clock_text(shot->expires ? shot->expires : 0, job->expires);
    snprintf(job->snapshot.vm, sizeof job->snapshot.vm, "%s", vm->ref);
    snprintf(job->snapshot.name, sizeof job->snapshot.name, "%s", shot->name);
    snprintf(job->snapshot.description, sizeof job->snapshot.description,
             "Taken by Vitrine when %s lost its network (incident %lld)", shot->vm_name,
             (long long)shot->incident);
    job->snapshot.checkpoint = shot->kind == VT_SHOT_CHECKPOINT;
    job->snapshot.quiesced = shot->kind == VT_SHOT_QUIESCED;
    job->snapshot.deadline = vt_clock_mono() + monitor->options.snapshot_deadline;
    memcpy(job->sr_uuids, pending->sr_uuids, sizeof job->sr_uuids);
    job->sr_count = pending->sr_count;
    return job;
}

static void hand_over(struct vt_monitor *monitor, struct vt_pending_shot *pending)
{
    pthread_mutex_lock(&monitor->lock);
    uint32_t index = vt_vm_by_uuid(monitor, pending->shot.vm_uuid);
    struct vt_monitor_job *job =
        index == VT_NO_VM ? NULL : make_job(monitor, pending, &monitor->vms[index]);
    if (job)
        monitor->vms[index].last_shot = vt_clock_mono();
    int64_t waited = vt_clock_mono() - pending->classified;
    if (job && pending->shot.tries == 0 && waited > monitor->counts.slowest_request)
        monitor->counts.slowest_request = waited;
    pthread_mutex_unlock(&monitor->lock);
    pending->handed = job && vt_monitor_push(monitor, job);
    if (!pending->handed)
        free(job); /* tried again in the next pass */
}

void vt_shot_accept(struct vt_monitor *monitor, const struct vt_pending_shot *pending)
{
    enum vt_shot_state state = pending->shot.state;

    if (state != VT_SHOT_INTENT && state != VT_SHOT_WAITING && state != VT_SHOT_UNKNOWN)
        return;
    if (monitor->shot_count == monitor->shot_room) {
        size_t room = monitor->shot_room + 32;
        struct vt_pending_shot *wider =
            room > VT_SHOTS_MAX ? NULL : reallocarray(monitor->shots, room, sizeof *wider);
        if (!wider)
            return; /* it stays written down: the next start finds it */
        monitor->shots = wider;
        monitor->shot_room = room;
    }
    monitor->shots[monitor->shot_count++] = *pending;
    if (state == VT_SHOT_INTENT && !pending->inherited)
        hand_over(monitor, &monitor->shots[monitor->shot_count - 1]);
}

/* ---- what came of it ---- */

static void write_end(struct vt_monitor *monitor, struct vt_shot *shot, enum vt_shot_state state,
                      const char *why)
{
    struct vt_err err = { 0 };

    shot->state = state;
    shot->ended = vt_clock_wall();
    if (why)
        snprintf(shot->reason, sizeof shot->reason, "%s", why);
    if (!vt_shot_update(monitor->incidents, shot, &err))
        vt_monitor_publish(monitor, "monitor.failed", shot->vm_uuid,
                           json_pack("{s:s}", "why", err.text));
    char note[2 * VT_INCIDENT_TEXT_MAX];
    snprintf(note, sizeof note, "snapshot of %s %s%s%s%s%s", shot->vm_name,
             vt_shot_state_name(state), *shot->uuid ? ": " : "", shot->uuid,
             *shot->reason ? ": " : "", shot->reason);
    vt_incident_note(monitor->incidents, shot->incident, shot->ended, note, &err);
    pthread_mutex_lock(&monitor->lock);
    monitor->counts.shots[state]++;
    pthread_mutex_unlock(&monitor->lock);
    static const char *const kinds[] = {
        [VT_SHOT_DONE] = "snapshot.taken",      [VT_SHOT_FAILED] = "snapshot.failed",
        [VT_SHOT_UNKNOWN] = "snapshot.unknown", [VT_SHOT_REFUSED] = "snapshot.refused",
        [VT_SHOT_DROPPED] = "snapshot.dropped", [VT_SHOT_DRY] = "snapshot.dry-run",
    };
    if (!kinds[state])
        return;
    vt_monitor_publish(monitor, kinds[state], shot->vm_uuid,
                       json_pack("{s:I, s:s, s:s, s:s, s:s}", "incident",
                                 (json_int_t)shot->incident, "vm", shot->vm_name, "snapshot",
                                 shot->uuid, "name", shot->name, "reason", shot->reason));
    struct vt_err ignored = { 0 };
    json_t *whole = vt_incident_json(monitor->incidents, shot->incident, &ignored);
    if (whole)
        json_object_set_new(whole, "event", json_string(kinds[state]));
    vt_hook_send(monitor, whole);
    json_decref(whole);
}

static void quarantine(struct vt_monitor *monitor, const struct vt_monitor_job *job)
{
    int64_t until = vt_clock_wall() + monitor->options.guard.quarantine;

    for (unsigned i = 0; i < job->sr_count; i++) {
        struct vt_err ignored = { 0 };
        vt_quarantine_put(monitor->incidents, job->sr_uuids[i], until, job->snapshot.why, &ignored);
    }
    vt_monitor_publish(monitor, "storage.quarantined", job->sr_count ? job->sr_uuids[0] : "",
                       json_pack("{s:s}", "reason", job->snapshot.why));
}

static void end_budget(struct vt_monitor *monitor, const char *vm_uuid)
{
    pthread_mutex_lock(&monitor->lock);
    uint32_t index = vt_vm_by_uuid(monitor, vm_uuid);
    if (index != VT_NO_VM)
        vt_budget_end(monitor->budget, monitor->vms[index].tag);
    pthread_mutex_unlock(&monitor->lock);
}

/* false: it stays pending. */
static bool take_end(struct vt_monitor *monitor, struct vt_pending_shot *pending,
                     const struct vt_monitor_job *job)
{
    const struct vt_snapshot_job *done = &job->snapshot;

    end_budget(monitor, pending->shot.vm_uuid);
    if (done->ill)
        quarantine(monitor, job);
    snprintf(pending->shot.uuid, sizeof pending->shot.uuid, "%s", done->uuid);
    if (done->end == VT_SNAPSHOT_BUSY && pending->shot.tries < VT_COUNT(retry_s)) {
        pending->not_before = vt_clock_mono() + retry_s[pending->shot.tries++] * VT_NS_PER_S;
        pending->handed = false;
        return false;
    }
    switch (done->end) {
    case VT_SNAPSHOT_DONE:
        write_end(monitor, &pending->shot, VT_SHOT_DONE, done->why);
        return true;
    case VT_SNAPSHOT_EXCUSED:
        write_end(monitor, &pending->shot, VT_SHOT_DROPPED, done->why);
        return true;
    case VT_SNAPSHOT_UNKNOWN:
        write_end(monitor, &pending->shot, VT_SHOT_UNKNOWN, done->why);
        return false;
    default:
        write_end(monitor, &pending->shot, VT_SHOT_FAILED, done->why);
        return true;
    }
}

static void drop_pending(struct vt_monitor *monitor, struct vt_pending_shot *pending)
{
    *pending = monitor->shots[--monitor->shot_count];
}

void vt_shots_finished(struct vt_monitor *monitor)
{
    struct vt_monitor_job *jobs[VT_JOBS_MAX + VT_MONITOR_WORKERS];
    size_t count = 0;

    pthread_mutex_lock(&monitor->job_lock);
    count = monitor->finished_count;
    memcpy(jobs, monitor->finished, count * sizeof *jobs);
    monitor->finished_count = 0;
    pthread_mutex_unlock(&monitor->job_lock);
    for (size_t i = 0; i < count; i++) {
        struct vt_pending_shot *pending =
            jobs[i]->is_removal ? NULL : find_pending(monitor, jobs[i]->shot);
        if (jobs[i]->is_removal) {
            monitor->removing = false;
            pthread_mutex_lock(&monitor->lock);
            monitor->counts.removed += jobs[i]->ok;
            pthread_mutex_unlock(&monitor->lock);
            vt_monitor_publish(
                monitor, jobs[i]->ok ? "snapshot.expired" : "snapshot.kept", "",
                json_pack("{s:s, s:s}", "ref", jobs[i]->ref, "why", jobs[i]->err.text));
        } else if (pending && take_end(monitor, pending, jobs[i])) {
            drop_pending(monitor, pending);
        }
        free(jobs[i]);
    }
}

/* ---- those that wait, and those of an earlier run ---- */

/* The snapshot of that name, when the pool has it. */
static const struct vt_object *by_name(const struct vt_picture *picture, const char *name)
{
    VT_PICTURE_EACH(picture, VT_CLASS_VM, object)
    if (vt_object_bool(object, "is_a_snapshot") &&
        strcmp(vt_object_text(object, "name_label"), name) == 0)
        return object;
    return NULL;
}

enum next { NEXT_WAIT, NEXT_GO, NEXT_DONE, NEXT_DROP, NEXT_REFUSE };

static enum next review_vm(struct vt_monitor *monitor, const struct vt_picture *picture,
                           struct vt_pending_shot *pending, int64_t now)
{
    uint32_t index = vt_vm_by_uuid(monitor, pending->shot.vm_uuid);
    const struct vt_watched *vm = index == VT_NO_VM ? NULL : &monitor->vms[index];
    struct vt_guard_facts facts;

    if (!vm)
        return monitor->never_swept ? NEXT_WAIT : NEXT_DROP;
    if (vm->looked_up && vm->incident != pending->shot.incident)
        return NEXT_DROP;
    bool heard = vm->detector.last_result != 0 && vm->detector.lost;
    if (!monitor->control || !heard || vm->working || vm->moving)
        return NEXT_WAIT;
    if (pending->shot.state == VT_SHOT_INTENT && pending->shot.tries > 0)
        return NEXT_GO; /* it passed the guard; the pool was busy */
    if (pending->inherited) {
        struct vt_watched alone = *vm; /* its own intent is no earlier snapshot */
        alone.last_shot = 0;
        enum vt_guard guard = ask_guard(monitor, picture, &alone, pending, &facts, now);
        if (guard != VT_GUARD_OK && guard != VT_GUARD_LATER)
            explain(pending, guard);
        return guard == VT_GUARD_OK ? NEXT_GO : guard == VT_GUARD_LATER ? NEXT_WAIT : NEXT_REFUSE;
    }
    enum vt_guard guard = ask_guard(monitor, picture, vm, pending, &facts, now);
    if (guard == VT_GUARD_LATER)
        return NEXT_WAIT;
    if (guard == VT_GUARD_OK)
        return NEXT_GO;
    explain(pending, guard);
    monitor->counts.guards[guard]++;
    return NEXT_REFUSE;
}

static enum next review_one(struct vt_monitor *monitor, struct vt_pending_shot *pending,
                            int64_t now)
{
    enum next next = NEXT_WAIT;

    const struct vt_picture *picture = monitor->pool->read(monitor->pool->context);
    pthread_mutex_lock(&monitor->lock);
    const struct vt_object *taken =
        pending->shot.state == VT_SHOT_WAITING ? NULL : by_name(picture, pending->shot.name);
    if (taken && monitor->control) {
        snprintf(pending->shot.uuid, sizeof pending->shot.uuid, "%s",
                 vt_object_text(taken, "uuid"));
        next = NEXT_DONE;
    } else if (pending->shot.state != VT_SHOT_UNKNOWN &&
               now - monitor->begun > VT_SETTLE_AFTER_START_S * VT_NS_PER_S) {
        next = review_vm(monitor, picture, pending, now);
    }
    pthread_mutex_unlock(&monitor->lock);
    monitor->pool->done(monitor->pool->context);
    return next;
}

/* The intent is written before the worker has it. */
static bool intend(struct vt_monitor *monitor, struct vt_pending_shot *pending)
{
    struct vt_err ignored = { 0 };

    if (pending->shot.state == VT_SHOT_INTENT)
        return true;
    pending->shot.state = VT_SHOT_INTENT;
    pending->shot.reason[0] = '\0';
    if (vt_shot_update(monitor->incidents, &pending->shot, &ignored))
        return true;
    pending->shot.state = VT_SHOT_WAITING;
    end_budget(monitor, pending->shot.vm_uuid);
    return false;
}

/* false: it is over. */
static bool carry_out(struct vt_monitor *monitor, struct vt_pending_shot *pending, enum next next)
{
    switch (next) {
    case NEXT_DONE:
        write_end(monitor, &pending->shot, VT_SHOT_DONE, "");
        return false;
    case NEXT_DROP:
        write_end(monitor, &pending->shot, VT_SHOT_DROPPED,
                  "the incident was over before it was taken");
        return false;
    case NEXT_REFUSE:
        write_end(monitor, &pending->shot, VT_SHOT_REFUSED, NULL);
        return false;
    case NEXT_GO:
        pending->inherited = false;
        if (intend(monitor, pending))
            hand_over(monitor, pending);
        return true;
    default:
        return true;
    }
}

void vt_shots_review(struct vt_monitor *monitor)
{
    int64_t now = vt_clock_mono();

    for (size_t i = 0; i < monitor->shot_count;) {
        struct vt_pending_shot *pending = &monitor->shots[i];
        bool idle = !pending->handed && pending->not_before <= now;
        bool unknown = pending->shot.state == VT_SHOT_UNKNOWN;
        if ((idle || unknown) && !carry_out(monitor, pending, review_one(monitor, pending, now)))
            drop_pending(monitor, pending);
        else
            i++;
    }
}

static bool restore_one(void *context, const struct vt_shot *shot)
{
    struct vt_monitor *monitor = context;
    struct vt_pending_shot pending = { .shot = *shot, .inherited = true };

    pending.classified = vt_clock_mono();
    vt_shot_accept(monitor, &pending);
    return true;
}

bool vt_shots_restore(struct vt_monitor *monitor, struct vt_err *err)
{
    return vt_shots_each_pending(monitor->incidents, restore_one, monitor, err);
}
