/* What was decided is written, then it counts, then it is told: one transaction a pass. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypervisor/monitor_state.h"

void vt_steps_free(struct vt_step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(steps[i].evidence);
        free(steps[i].heard);
        json_decref(steps[i].guard_facts);
    }
    free(steps);
}

void vt_monitor_publish(struct vt_monitor *monitor, const char *kind, const char *subject,
                        json_t *detail)
{
    if (monitor->events.publish)
        monitor->events.publish(monitor->events.context, kind, subject, detail);
    else
        json_decref(detail);
}

/* ---- open incidents ---- */

struct vt_open_incident *vt_open_find(struct vt_monitor *monitor, enum vt_loss loss,
                                      const char *cause)
{
    for (size_t i = 0; i < monitor->open_count; i++)
        if (monitor->open[i].incident.loss == loss &&
            strcmp(monitor->open[i].incident.cause, cause) == 0)
            return &monitor->open[i];
    return NULL;
}

struct vt_open_incident *vt_open_by_id(struct vt_monitor *monitor, int64_t id)
{
    for (size_t i = 0; i < monitor->open_count; i++)
        if (monitor->open[i].incident.id == id)
            return &monitor->open[i];
    return NULL;
}

static struct vt_open_incident *open_add(struct vt_monitor *monitor,
                                         const struct vt_incident *incident, struct vt_err *err)
{
    if (monitor->open_count == monitor->open_room) {
        size_t room = monitor->open_room + 64;
        struct vt_open_incident *wider = reallocarray(monitor->open, room, sizeof *wider);
        if (!wider) {
            vt_fail(err, VT_E_NOMEM, "no memory for an incident");
            return NULL;
        }
        monitor->open = wider;
        monitor->open_room = room;
    }
    struct vt_open_incident *open = &monitor->open[monitor->open_count++];
    *open = (struct vt_open_incident){ .incident = *incident };
    return open;
}

static void open_remove(struct vt_monitor *monitor, int64_t id)
{
    struct vt_open_incident *open = vt_open_by_id(monitor, id);

    if (open)
        *open = monitor->open[--monitor->open_count];
}

/* ---- writing a step ---- */

static bool leave(struct vt_monitor *monitor, struct vt_step *step, int64_t wall,
                  struct vt_err *err)
{
    const struct vt_watched *vm = &monitor->vms[step->vm];
    struct vt_open_incident *open = vt_open_by_id(monitor, vm->incident);
    char reason[VT_INCIDENT_TEXT_MAX];

    step->left = vm->incident;
    snprintf(reason, sizeof reason, "%s: %s", vt_loss_name(step->verdict.loss),
             step->verdict.reason);
    if (open && open->vms > 0)
        open->vms--;
    step->closed = open && open->vms == 0 && !open->pool_wide;
    if (!step->closed)
        return vt_incident_vm_leaves(monitor->incidents, vm->incident, vm->uuid, wall, reason, err);
    return vt_incident_close(monitor->incidents, vm->incident, wall, reason, step->heard, err);
}

static bool join(struct vt_monitor *monitor, struct vt_step *step, int64_t wall, struct vt_err *err)
{
    const struct vt_watched *vm = &monitor->vms[step->vm];
    struct vt_open_incident *open = vt_loss_is_shared(step->verdict.loss)
                                        ? vt_open_find(monitor, step->verdict.loss, step->cause)
                                        : NULL;

    if (!open) {
        struct vt_incident incident = { .loss = step->verdict.loss, .opened = wall };
        snprintf(incident.cause, sizeof incident.cause, "%s", step->cause);
        snprintf(incident.reason, sizeof incident.reason, "%s", step->verdict.reason);
        if (!vt_incident_open(monitor->incidents, &incident, step->evidence, err))
            return false;
        open = open_add(monitor, &incident, err);
        step->opened = open;
    }
    if (!open)
        return false;
    open->vms++;
    step->incident = open->incident.id;
    return vt_incident_vm_joins(monitor->incidents, step->incident, vm->uuid, vm->name, wall,
                                step->verdict.reason, err);
}

static bool note_shot(struct vt_monitor *monitor, struct vt_step *step, int64_t wall,
                      struct vt_err *err)
{
    struct vt_shot *shot = &step->pending.shot;
    char utc[VT_CLOCK_TEXT_MAX];

    vt_clock_text(wall, utc);
    shot->incident = step->incident;
    shot->asked = wall;
    snprintf(shot->name, sizeof shot->name, "vitrine-netloss-%.19sZ-%lld-%.8s", utc,
             (long long)step->incident, shot->vm_uuid);
    return vt_shot_add(monitor->incidents, shot, err);
}

static bool write_one(struct vt_monitor *monitor, struct vt_step *step, int64_t wall,
                      struct vt_err *err)
{
    return (!step->leave || leave(monitor, step, wall, err)) &&
           (!step->join || join(monitor, step, wall, err)) &&
           (!step->shoot || note_shot(monitor, step, wall, err));
}

/* ---- behind the commit ---- */

static void count_in(struct vt_monitor *monitor, const struct vt_step *step, int64_t wall)
{
    struct vt_watched *vm = &monitor->vms[step->vm];

    pthread_mutex_lock(&monitor->lock);
    vm->incident = step->join ? step->incident : 0;
    vm->loss = step->verdict.loss;
    vm->reason = step->verdict.reason;
    vm->since = wall;
    vm->differs_since = 0;
    if (step->opened)
        monitor->counts.opened[step->verdict.loss]++;
    if (step->shoot) {
        monitor->counts.guards[step->guard]++;
        monitor->counts.shots[step->pending.shot.state]++;
    }
    pthread_mutex_unlock(&monitor->lock);
}

static json_t *detail_of(const struct vt_watched *vm, int64_t incident, struct vt_verdict verdict)
{
    return json_pack("{s:I, s:s, s:s, s:s, s:s}", "incident", (json_int_t)incident, "vm", vm->name,
                     "vm_uuid", vm->uuid, "class", vt_loss_name(verdict.loss), "reason",
                     verdict.reason);
}

static void tell_closed(struct vt_monitor *monitor, const struct vt_watched *vm, int64_t incident)
{
    json_t *detail = json_pack("{s:I, s:s, s:s, s:s}", "incident", (json_int_t)incident, "vm",
                               vm->name, "vm_uuid", vm->uuid, "reason", vm->reason);
    struct vt_err ignored = { 0 };
    json_t *whole = vt_incident_json(monitor->incidents, incident, &ignored);

    if (whole)
        json_object_set_new(whole, "event", json_string("incident.closed"));
    vt_hook_send(monitor, whole);
    json_decref(whole);
    vt_monitor_publish(monitor, "incident.closed", vm->uuid, detail);
}

static void tell(struct vt_monitor *monitor, const struct vt_step *step)
{
    const struct vt_watched *vm = &monitor->vms[step->vm];
    struct vt_err ignored = { 0 };

    if (step->closed)
        tell_closed(monitor, vm, step->left);
    if (!step->join)
        return;
    vt_monitor_publish(monitor, step->opened ? "incident.opened" : "incident.updated", vm->uuid,
                       detail_of(vm, step->incident, step->verdict));
    if (step->shoot && step->guard != VT_GUARD_OK && step->guard != VT_GUARD_LATER)
        vt_monitor_publish(monitor, "snapshot.refused", vm->uuid,
                           json_pack("{s:I, s:s, s:s}", "incident", (json_int_t)step->incident,
                                     "vm", vm->name, "reason", step->pending.shot.reason));
    if (!step->opened)
        return;
    json_t *whole = vt_incident_json(monitor->incidents, step->incident, &ignored);
    if (whole)
        json_object_set_new(whole, "event", json_string("incident.opened"));
    vt_hook_send(monitor, whole);
    json_decref(whole);
}

/* Nothing was kept: what was counted in memory is taken back. */
static void take_back(struct vt_monitor *monitor, const struct vt_step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct vt_open_incident *open =
            steps[i].left ? vt_open_by_id(monitor, steps[i].left) : NULL;
        if (open)
            open->vms++;
        open = steps[i].incident ? vt_open_by_id(monitor, steps[i].incident) : NULL;
        if (open && open->vms > 0)
            open->vms--;
    }
    for (size_t i = 0; i < count; i++)
        if (steps[i].opened)
            open_remove(monitor, steps[i].incident);
}

/* Before the transaction: the incidents' lock comes behind the monitor's, never before it. */
static void keep_heard(struct vt_monitor *monitor, struct vt_step *steps, size_t count)
{
    pthread_mutex_lock(&monitor->lock);
    for (size_t i = 0; i < count; i++) {
        json_t *heard = steps[i].leave ? vt_heard_json(&monitor->vms[steps[i].vm]) : NULL;
        steps[i].heard = heard ? json_dumps(heard, JSON_COMPACT) : NULL;
        json_decref(heard);
    }
    pthread_mutex_unlock(&monitor->lock);
}

bool vt_steps_write(struct vt_monitor *monitor, struct vt_step *steps, size_t count,
                    struct vt_err *err)
{
    int64_t wall = vt_clock_wall();

    keep_heard(monitor, steps, count);
    bool ok = vt_incidents_begin(monitor->incidents, err);

    if (!ok)
        return false;
    for (size_t i = 0; i < count && ok; i++)
        ok = write_one(monitor, &steps[i], wall, err);
    if (!vt_incidents_end(monitor->incidents, ok, err) || !ok) {
        take_back(monitor, steps, count);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        count_in(monitor, &steps[i], wall);
        if (steps[i].closed)
            open_remove(monitor, steps[i].left);
        if (steps[i].shoot)
            vt_shot_accept(monitor, &steps[i].pending);
    }
    for (size_t i = 0; i < count; i++)
        tell(monitor, &steps[i]);
    return true;
}

/* ---- incidents of the pool itself ---- */

static bool pool_opens(struct vt_monitor *monitor, enum vt_loss loss, const char *reason,
                       struct vt_err *err)
{
    struct vt_incident incident = { .loss = loss, .opened = vt_clock_wall() };
    struct vt_open_incident *open = NULL;

    snprintf(incident.cause, sizeof incident.cause, "pool");
    snprintf(incident.reason, sizeof incident.reason, "%s", reason);
    if (!vt_incident_open(monitor->incidents, &incident, NULL, err) ||
        !(open = open_add(monitor, &incident, err)))
        return false;
    open->pool_wide = true;
    pthread_mutex_lock(&monitor->lock);
    monitor->counts.opened[loss]++;
    pthread_mutex_unlock(&monitor->lock);
    vt_monitor_publish(monitor, "incident.opened", "",
                       json_pack("{s:I, s:s, s:s}", "incident", (json_int_t)incident.id, "class",
                                 vt_loss_name(loss), "reason", reason));
    json_t *whole = vt_incident_json(monitor->incidents, incident.id, err);
    if (whole)
        json_object_set_new(whole, "event", json_string("incident.opened"));
    vt_hook_send(monitor, whole);
    json_decref(whole);
    return true;
}

static bool pool_closes(struct vt_monitor *monitor, const struct vt_open_incident *open,
                        const char *reason, struct vt_err *err)
{
    int64_t id = open->incident.id;

    if (!vt_incident_close(monitor->incidents, id, vt_clock_wall(), reason, NULL, err))
        return false;
    open_remove(monitor, id);
    pthread_mutex_lock(&monitor->lock);
    for (uint32_t i = 0; i < monitor->vm_count; i++)
        if (monitor->vms[i].incident == id) {
            monitor->vms[i].incident = 0;
            monitor->vms[i].dirty = true;
        }
    pthread_mutex_unlock(&monitor->lock);
    vt_monitor_publish(monitor, "incident.closed", "",
                       json_pack("{s:I, s:s}", "incident", (json_int_t)id, "reason", reason));
    return true;
}

bool vt_pool_incident(struct vt_monitor *monitor, enum vt_loss loss, bool on, const char *reason,
                      struct vt_err *err)
{
    struct vt_open_incident *open = vt_open_find(monitor, loss, "pool");

    if (on && !open)
        return pool_opens(monitor, loss, reason, err);
    if (on) {
        open->pool_wide = true;
        return true;
    }
    return !open || pool_closes(monitor, open, reason, err);
}

/* ---- an earlier run ---- */

static bool restore_one(void *context, const struct vt_incident *incident, const char *vm_uuid,
                        const char *vm_name)
{
    struct vt_monitor *monitor = context;
    struct vt_err ignored = { 0 };
    struct vt_open_incident *open = vt_open_by_id(monitor, incident->id);

    (void)vm_name;
    if (!open)
        open = open_add(monitor, incident, &ignored);
    if (!open)
        return false;
    if (!*vm_uuid) {
        open->pool_wide = vt_loss_is_shared(incident->loss);
        return true;
    }
    struct vt_restored *wider =
        reallocarray(monitor->restored, monitor->restored_count + 1, sizeof *wider);
    if (!wider)
        return false;
    monitor->restored = wider;
    wider[monitor->restored_count] =
        (struct vt_restored){ .incident = incident->id, .loss = incident->loss };
    snprintf(wider[monitor->restored_count++].uuid, VT_INCIDENT_UUID_MAX, "%s", vm_uuid);
    open->vms++;
    return true;
}

bool vt_steps_restore(struct vt_monitor *monitor, struct vt_err *err)
{
    return vt_incidents_open_each(monitor->incidents, restore_one, monitor, err) ||
           vt_failed(err) || vt_fail(err, VT_E_NOMEM, "no memory for the open incidents");
}

void vt_steps_claim(struct vt_monitor *monitor, struct vt_watched *vm)
{
    for (size_t i = 0; i < monitor->restored_count; i++) {
        struct vt_restored *restored = &monitor->restored[i];
        if (restored->claimed || strcmp(restored->uuid, vm->uuid) != 0)
            continue;
        restored->claimed = true;
        vm->incident = restored->incident;
        vm->loss = restored->loss;
        vm->reason = "it was lost when the monitor began";
        vm->seen = true;
        if (vm->detector.last_result != 0 || vm->detector.lost)
            continue; /* it was heard already */
        vm->detector.lost = true;
        if (restored->loss == VT_LOSS_SERVICE_DOWN)
            vm->detector.refusals = vm->settings->threshold;
        else
            vm->detector.misses = vm->settings->threshold;
    }
}

static void abandon_one(struct vt_monitor *monitor, const struct vt_restored *restored)
{
    struct vt_open_incident *open = vt_open_by_id(monitor, restored->incident);
    struct vt_err ignored = { 0 };
    int64_t wall = vt_clock_wall();
    static const char reason[] = "it is no longer watched";

    if (!open)
        return;
    if (open->vms > 0)
        open->vms--;
    vt_incident_vm_leaves(monitor->incidents, restored->incident, restored->uuid, wall, reason,
                          &ignored);
    if (open->vms > 0 || open->pool_wide)
        return;
    vt_incident_close(monitor->incidents, restored->incident, wall, reason, NULL, &ignored);
    open_remove(monitor, restored->incident);
}

/* Once, behind the first look at the whole picture. */
void vt_steps_abandon(struct vt_monitor *monitor)
{
    if (monitor->restored_count == 0 || monitor->never_swept)
        return;
    for (size_t i = 0; i < monitor->restored_count; i++)
        if (!monitor->restored[i].claimed)
            abandon_one(monitor, &monitor->restored[i]);
    free(monitor->restored);
    monitor->restored = NULL;
    monitor->restored_count = 0;
}
