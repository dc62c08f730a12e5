/* What may be done with a VM, in the order in which XAPI looks: blocked, power state, other
 * operations, template, snapshot, control domain. And where it may boot. Nothing here changes
 * anything but allowed_operations. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "poolsim/sim.h"

enum { HALTED = 1, PAUSED = 2, SUSPENDED = 4, RUNNING = 8, ANY = 15 };

static const struct state {
    const char *name, *lower;
    int bit;
} states[] = {
    /* in the order in which XAPI lists the expected ones */
    { "Halted", "halted", HALTED },
    { "Paused", "paused", PAUSED },
    { "Suspended", "suspended", SUSPENDED },
    { "Running", "running", RUNNING },
};

static const struct operation {
    const char *name;
    int states;
    bool on_template, on_snapshot, on_control_domain;
} operations[] = {
    { "start", HALTED, false, false, false },
    { "start_on", HALTED, false, false, false },
    { "provision", HALTED, true, false, false },
    { "unpause", PAUSED, false, false, false },
    { "resume", SUSPENDED, false, false, false },
    { "resume_on", SUSPENDED, false, false, false },
    { "pause", RUNNING, false, false, false },
    { "suspend", RUNNING, false, false, false },
    { "clean_shutdown", RUNNING, false, false, false },
    { "clean_reboot", RUNNING, false, false, false },
    { "pool_migrate", RUNNING, false, false, false },
    { "hard_reboot", PAUSED | RUNNING, false, false, false },
    { "shutdown", PAUSED | SUSPENDED | RUNNING, false, false, false },
    { "hard_shutdown", PAUSED | SUSPENDED | RUNNING, false, false, false },
    { "checkpoint", PAUSED | SUSPENDED | RUNNING, false, false, false },
    { "clone", HALTED, true, true, false },
    { "copy", HALTED, true, true, false },
    { "destroy", HALTED | SUSPENDED, true, true, false },
    { "export", HALTED | SUSPENDED, true, true, false },
    { "snapshot", ANY, false, false, false },
    { "revert", ANY, true, true, false },
    { "power_state_reset", ANY, false, false, false },
};

static int state_bit(const struct vt_sim_object *vm)
{
    for (size_t i = 0; i < VT_COUNT(states); i++)
        if (vt_sim_is(vm, VT_VM_power_state, states[i].name))
            return states[i].bit;
    return 0;
}

static bool wrong_state(struct vt_sim_failure *failure, const char *ref,
                        const struct vt_sim_object *vm, int wanted)
{
    char expected[64] = "";
    const char *actual = "";

    for (size_t i = 0; i < VT_COUNT(states); i++) {
        if (wanted & states[i].bit)
            snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%s%s",
                     *expected ? ", " : "", states[i].lower);
        if (vt_sim_is(vm, VT_VM_power_state, states[i].name))
            actual = states[i].lower;
    }
    return vt_sim_refuse(failure, "VM_BAD_POWER_STATE", ref, expected, actual, NULL);
}

static bool either(const char *a, const char *b, const char *const *pair, size_t count)
{
    bool first = false, second = false;

    for (size_t i = 0; i < count; i++) {
        first |= strcmp(a, pair[i]) == 0;
        second |= strcmp(b, pair[i]) == 0;
    }
    return first && second;
}

/* May `wanted` run beside `current`? */
static bool together(const char *wanted, const char *current)
{
    static const char *const snapshots[] = { "snapshot", "checkpoint" };
    static const char *const copies[] = { "clone", "copy", "export" };

    if (either(wanted, current, snapshots, 2) || either(wanted, current, copies, 3))
        return true;
    if (strcmp(wanted, "hard_shutdown") == 0)
        return strcmp(current, "hard_shutdown") != 0;
    if (strcmp(wanted, "hard_reboot") == 0)
        return strncmp(current, "hard_", 5) != 0;
    return false;
}

static bool busy(struct vt_sim_failure *failure, const char *ref, const struct vt_sim_object *vm)
{
    char *const *pairs = NULL;
    uint32_t count = vt_sim_texts(vm, VT_VM_current_operations, &pairs);
    char names[256] = "", tasks[256] = "";

    for (uint32_t i = 0; i + 1 < count; i += 2) {
        const char *comma = i ? "," : "";
        snprintf(tasks + strlen(tasks), sizeof tasks - strlen(tasks), "%s%s", comma, pairs[i]);
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", comma, pairs[i + 1]);
    }
    if (count > 2) {
        char many_names[260], many_tasks[260];
        snprintf(many_names, sizeof many_names, "{%s}", names);
        snprintf(many_tasks, sizeof many_tasks, "{%s}", tasks);
        return vt_sim_refuse(failure, "OTHER_OPERATION_IN_PROGRESS", "VM", ref, many_names,
                             many_tasks, NULL);
    }
    return vt_sim_refuse(failure, "OTHER_OPERATION_IN_PROGRESS", "VM", ref, names, tasks, NULL);
}

static bool clashes(const struct vt_sim_object *vm, const char *operation)
{
    char *const *pairs = NULL;
    uint32_t count = vt_sim_texts(vm, VT_VM_current_operations, &pairs);

    for (uint32_t i = 0; i + 1 < count; i += 2)
        if (!together(operation, pairs[i + 1]))
            return true;
    return false;
}

static const struct operation *operation_of(const char *name)
{
    for (size_t i = 0; i < VT_COUNT(operations); i++)
        if (strcmp(operations[i].name, name) == 0)
            return &operations[i];
    return NULL;
}

/* The rules about what the VM is, after those about what it does. */
static bool check_kind(const struct vt_sim_object *vm, const struct operation *operation,
                       const char *ref, struct vt_sim_failure *failure)
{
    bool snapshot = vt_sim_bool(vm, VT_VM_is_a_snapshot);
    bool is_template = vt_sim_bool(vm, VT_VM_is_a_template) && !snapshot;

    if (is_template && !operation->on_template)
        return vt_sim_refuse(failure, "VM_IS_TEMPLATE", ref, operation->name, NULL);
    if (snapshot && !operation->on_snapshot)
        return vt_sim_refuse(failure, "VM_IS_SNAPSHOT", ref, operation->name, NULL);
    if (strcmp(operation->name, "provision") == 0 && !vt_sim_bool(vm, VT_VM_is_a_template))
        return vt_sim_refuse(failure, "PROVISION_ONLY_ALLOWED_ON_TEMPLATE", NULL);
    if (strcmp(operation->name, "revert") == 0 && !snapshot)
        return vt_sim_refuse(failure, "REVERT_ONLY_ALLOWED_ON_SNAPSHOT", NULL);
    if (vt_sim_bool(vm, VT_VM_is_control_domain) && !operation->on_control_domain)
        return vt_sim_refuse(failure, "OPERATION_NOT_ALLOWED",
                             "This operation is not allowed on dom0", NULL);
    if (strcmp(operation->name, "destroy") == 0 && vt_sim_bool(vm, VT_VM_is_default_template))
        return vt_sim_refuse(failure, "VM_CANNOT_DELETE_DEFAULT_TEMPLATE", ref, NULL);
    return true;
}

bool vt_sim_vm_check(struct vt_sim_pool *pool, const struct vt_sim_object *vm,
                     const char *operation, struct vt_sim_failure *failure)
{
    const struct operation *rule = operation_of(operation);
    const char *blocked = vt_sim_map_get(vm, VT_VM_blocked_operations, operation);
    char ref[VT_SIM_REF_MAX];

    vt_sim_ref_text(pool->db, vm->id, ref);
    if (!rule)
        return vt_sim_refuse(failure, "VALUE_NOT_SUPPORTED", "operation", operation, "unknown",
                             NULL);
    if (blocked)
        return vt_sim_refuse(failure, "OPERATION_BLOCKED", ref, blocked, NULL);
    int wanted = rule->states;
    if (vt_sim_bool(vm, VT_VM_is_a_snapshot) && (wanted & HALTED))
        wanted |= SUSPENDED; /* a checkpoint reads Suspended and may be cloned */
    if (!(state_bit(vm) & wanted))
        return wrong_state(failure, ref, vm, rule->states);
    if (clashes(vm, operation))
        return busy(failure, ref, vm);
    return check_kind(vm, rule, ref, failure);
}

void vt_sim_vm_allow(struct vt_sim_pool *pool, struct vt_sim_object *vm)
{
    const char *allowed[VT_COUNT(operations)];
    uint32_t count = 0;

    for (size_t i = 0; i < VT_COUNT(operations); i++) {
        struct vt_sim_failure failure;
        if (vt_sim_vm_check(pool, vm, operations[i].name, &failure))
            allowed[count++] = operations[i].name;
    }
    vt_sim_set_texts(pool->db, vm, VT_VM_allowed_operations, allowed, count);
}

bool vt_sim_vm_is_real(const struct vt_sim_object *vm)
{
    return !vt_sim_bool(vm, VT_VM_is_a_template) && !vt_sim_bool(vm, VT_VM_is_a_snapshot) &&
           !vt_sim_bool(vm, VT_VM_is_control_domain);
}

int64_t vt_sim_host_free(struct vt_sim_pool *pool, const struct vt_sim_object *host)
{
    const struct vt_sim_object *metrics = vt_sim_follow(pool->db, host, VT_host_metrics);
    int64_t bytes = metrics ? vt_sim_int(metrics, VT_host_metrics_memory_total) : 0;
    const uint32_t *ids = NULL;
    uint32_t count = vt_sim_ids(host, VT_host_resident_VMs, &ids);

    for (uint32_t i = 0; i < count; i++) {
        const struct vt_sim_object *vm = vt_sim_get(pool->db, ids[i]);
        bytes -= vm ? vt_sim_int(vm, VT_VM_memory_static_max) : 0;
    }
    return bytes;
}

/* Is the storage of each of its disks plugged on that host? */
static bool storage_there(struct vt_sim_pool *pool, const struct vt_sim_object *vm,
                          const struct vt_sim_object *host, struct vt_sim_failure *failure)
{
    const uint32_t *vbds = NULL, *pbds = NULL;
    uint32_t vbd_count = vt_sim_ids(vm, VT_VM_VBDs, &vbds),
             pbd_count = vt_sim_ids(host, VT_host_PBDs, &pbds);
    char vm_ref[VT_SIM_REF_MAX], sr_ref[VT_SIM_REF_MAX];

    for (uint32_t i = 0; i < vbd_count; i++) {
        const struct vt_sim_object *vbd = vt_sim_get(pool->db, vbds[i]);
        const struct vt_sim_object *vdi = vbd ? vt_sim_follow(pool->db, vbd, VT_VBD_VDI) : NULL;
        bool plugged = !vdi;
        for (uint32_t p = 0; p < pbd_count && !plugged; p++) {
            const struct vt_sim_object *pbd = vt_sim_get(pool->db, pbds[p]);
            plugged = pbd && vt_sim_ref(pbd, VT_PBD_SR) == vt_sim_ref(vdi, VT_VDI_SR) &&
                      vt_sim_bool(pbd, VT_PBD_currently_attached);
        }
        if (!plugged) {
            vt_sim_ref_text(pool->db, vm->id, vm_ref);
            vt_sim_ref_text(pool->db, vt_sim_ref(vdi, VT_VDI_SR), sr_ref);
            return vt_sim_refuse(failure, "VM_REQUIRES_SR", vm_ref, sr_ref, NULL);
        }
    }
    return true;
}

bool vt_sim_vm_fits(struct vt_sim_pool *pool, const struct vt_sim_object *vm,
                    const struct vt_sim_object *host, struct vt_sim_failure *failure)
{
    const struct vt_sim_object *metrics = vt_sim_follow(pool->db, host, VT_host_metrics);
    int64_t needed = vt_sim_int(vm, VT_VM_memory_static_max),
            available = vt_sim_host_free(pool, host);
    char ref[VT_SIM_REF_MAX], needed_text[24], available_text[24];

    vt_sim_ref_text(pool->db, host->id, ref);
    if (!metrics || !vt_sim_bool(metrics, VT_host_metrics_live))
        return vt_sim_refuse(failure, "HOST_NOT_LIVE", NULL);
    if (!vt_sim_bool(host, VT_host_enabled))
        return vt_sim_refuse(failure, "HOST_DISABLED", ref, NULL);
    if (!storage_there(pool, vm, host, failure))
        return false;
    if (available >= needed)
        return true;
    snprintf(needed_text, sizeof needed_text, "%" PRId64, needed);
    snprintf(available_text, sizeof available_text, "%" PRId64, available);
    return vt_sim_refuse(failure, "HOST_NOT_ENOUGH_FREE_MEMORY", needed_text, available_text, NULL);
}

struct vt_sim_object *vt_sim_vm_place(struct vt_sim_pool *pool, const struct vt_sim_object *vm,
                                      struct vt_sim_failure *failure)
{
    struct vt_sim_object *best = vt_sim_follow(pool->db, vm, VT_VM_affinity);
    struct vt_sim_failure reason;
    int64_t most = -1;

    if (best && vt_sim_vm_fits(pool, vm, best, &reason))
        return best;
    best = NULL;
    VT_SIM_EACH(pool->db, VT_SIM_host, host)
    {
        int64_t bytes = vt_sim_host_free(pool, host);
        if (bytes > most && vt_sim_vm_fits(pool, vm, host, &reason)) {
            most = bytes;
            best = host;
        }
    }
    if (!best)
        vt_sim_refuse(failure, "NO_HOSTS_AVAILABLE", NULL);
    return best;
}
