/* The verbs of the class VM: a table of operation, duration and effect. The check happens when a
 * verb begins and again when it ends, because a hard shutdown may have come in between. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "poolsim/mem.h"
#include "poolsim/sim.h"

static struct vt_sim_object *job_vm(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = vt_sim_get(job->pool->db, job->object);
    char ref[VT_SIM_REF_MAX];

    if (!vm) {
        vt_sim_ref_text(job->pool->db, job->object, ref);
        vt_sim_refuse(failure, "HANDLE_INVALID", "VM", ref, NULL);
    }
    return vm;
}

static void lower(const char *text, char out[static 16])
{
    size_t i = 0;

    for (; text[i] && i < 15; i++)
        out[i] = (char)tolower((unsigned char)text[i]);
    out[i] = '\0';
}

/* The state may have changed since the verb began. */
static struct vt_sim_object *vm_in(struct vt_sim_job *job, const char *state,
                                   struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = job_vm(job, failure);
    char ref[VT_SIM_REF_MAX], wanted[16], actual[16];

    if (!vm || vt_sim_is(vm, VT_VM_power_state, state))
        return vm;
    vt_sim_ref_text(job->pool->db, vm->id, ref);
    lower(state, wanted);
    lower(vt_sim_text(vm, VT_VM_power_state), actual);
    vt_sim_refuse(failure, "VM_BAD_POWER_STATE", ref, wanted, actual, NULL);
    return NULL;
}

static bool finish_start(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = vm_in(job, job->other ? "Suspended" : "Halted", failure);
    struct vt_sim_object *host = vt_sim_get(job->pool->db, job->host);

    if (!vm || !host || !vt_sim_vm_fits(job->pool, vm, host, failure))
        return false;
    vt_sim_vm_run(job->pool, vm, host, job->flag, !job->other);
    struct vt_sim_object *image = vt_sim_follow(job->pool->db, vm, VT_VM_suspend_VDI);
    if (job->other && image) {
        vt_sim_set_ref(job->pool->db, vm, VT_VM_suspend_VDI, 0);
        vt_sim_vdi_destroy(job->pool, image);
    }
    vt_sim_message(job->pool, job->other ? "VM_RESUMED" : "VM_STARTED", "VM",
                   vt_sim_text(vm, VT_VM_uuid), "");
    return true;
}

static bool finish_stop(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = job_vm(job, failure);

    if (!vm || (vt_sim_is(vm, VT_VM_power_state, "Halted") && !vm_in(job, "Running", failure)))
        return false;
    struct vt_sim_object *image = vt_sim_follow(job->pool->db, vm, VT_VM_suspend_VDI);
    vt_sim_vm_stop(job->pool, vm, "Halted");
    if (image) {
        vt_sim_set_ref(job->pool->db, vm, VT_VM_suspend_VDI, 0);
        vt_sim_vdi_destroy(job->pool, image);
    }
    vt_sim_message(job->pool, "VM_SHUTDOWN", "VM", vt_sim_text(vm, VT_VM_uuid), "");
    return true;
}

static bool finish_reboot(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = job_vm(job, failure);
    struct vt_sim_object *host = vm ? vt_sim_follow(job->pool->db, vm, VT_VM_resident_on) : NULL;

    if (!host)
        return vm && vm_in(job, "Running", failure) && false;
    vt_sim_vm_stop(job->pool, vm, "Halted");
    vt_sim_vm_run(job->pool, vm, host, false, true);
    vt_sim_message(job->pool, "VM_REBOOTED", "VM", vt_sim_text(vm, VT_VM_uuid), "");
    return true;
}

static bool finish_suspend(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_pool *pool = job->pool;
    struct vt_sim_object *vm = vm_in(job, "Running", failure);
    struct vt_sim_object *sr =
        vt_sim_follow(pool->db, vt_sim_get(pool->db, pool->self), VT_pool_suspend_image_SR);
    char ref[VT_SIM_REF_MAX];

    if (!vm)
        return false;
    vt_sim_ref_text(pool->db, vm->id, ref);
    if (!sr)
        return vt_sim_refuse(failure, "VM_NO_SUSPEND_SR", ref, NULL);
    int64_t memory = vt_sim_int(vm, VT_VM_memory_static_max);
    if (vt_sim_sr_free(sr) < memory)
        return vt_sim_refuse_storage(failure, 44, "There is insufficient space");
    struct vt_sim_object *image = vt_sim_make_vdi(pool, sr, "Suspend image", memory);
    vt_sim_set_text(pool->db, image, VT_VDI_type, "suspend");
    vt_sim_set_ref(pool->db, vm, VT_VM_suspend_VDI, image->id);
    vt_sim_vm_stop(pool, vm, "Suspended");
    vt_sim_message(pool, "VM_SUSPENDED", "VM", vt_sim_text(vm, VT_VM_uuid), "");
    return true;
}

static bool finish_pause(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = vm_in(job, job->flag ? "Running" : "Paused", failure);

    if (!vm)
        return false;
    vt_sim_set_text(job->pool->db, vm, VT_VM_power_state, job->flag ? "Paused" : "Running");
    if (!job->flag && !vt_sim_follow(job->pool->db, vm, VT_VM_guest_metrics))
        vt_sim_vm_boot_agent(job->pool, vm);
    vt_sim_guests_refresh(job->pool, vm);
    return true;
}

static bool finish_migrate(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = vm_in(job, "Running", failure);
    struct vt_sim_object *host = vt_sim_get(job->pool->db, job->host);

    if (!vm || !host)
        return false;
    if (vt_sim_ref(vm, VT_VM_resident_on) != host->id &&
        !vt_sim_vm_fits(job->pool, vm, host, failure))
        return false;
    vt_sim_vm_move(job->pool, vm, host);
    vt_sim_message(job->pool, "VM_MIGRATED", "VM", vt_sim_text(vm, VT_VM_uuid), "");
    return true;
}

static const struct verb {
    const char *method, *operation;
    int64_t ms;
    vt_sim_finish finish;
    bool flag;
} verbs[] = {
    { "VM.clean_shutdown", "clean_shutdown", 3000, finish_stop, false },
    { "VM.hard_shutdown", "hard_shutdown", 500, finish_stop, false },
    { "VM.shutdown", "shutdown", 3000, finish_stop, false },
    { "VM.clean_reboot", "clean_reboot", 4000, finish_reboot, false },
    { "VM.hard_reboot", "hard_reboot", 1500, finish_reboot, false },
    { "VM.suspend", "suspend", 2500, finish_suspend, false },
    { "VM.pause", "pause", 100, finish_pause, true },
    { "VM.unpause", "unpause", 100, finish_pause, false },
};

/* A host that is down cannot do anything with the VMs that were on it. */
static bool host_answers(struct vt_sim_call *call, const struct vt_sim_object *vm,
                         struct vt_sim_failure *failure)
{
    uint32_t host = vt_sim_ref(vm, VT_VM_resident_on);
    const struct vt_sim_machine *machine = host ? vt_sim_machine_of(call->pool, host) : NULL;
    char ref[VT_SIM_REF_MAX];

    if (!host || (machine && machine->up))
        return true;
    vt_sim_ref_text(call->db, host, ref);
    const struct vt_sim_object *object = vt_sim_get(call->db, host);
    const struct vt_sim_object *metrics =
        object ? vt_sim_follow(call->db, object, VT_host_metrics) : NULL;
    bool live = metrics && vt_sim_bool(metrics, VT_host_metrics_live);
    return vt_sim_refuse(failure, live ? "CANNOT_CONTACT_HOST" : "HOST_OFFLINE", ref, NULL);
}

static bool simple_verb(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = vt_sim_arg_object(call, 0, VT_SIM_VM, failure);

    for (size_t i = 0; vm && i < VT_COUNT(verbs); i++) {
        if (strcmp(verbs[i].method, call->method) != 0)
            continue;
        if (!vt_sim_vm_check(call->pool, vm, verbs[i].operation, failure) ||
            !host_answers(call, vm, failure))
            return false;
        struct vt_sim_job *job =
            vt_sim_job_start(call, vm, verbs[i].operation, verbs[i].ms, verbs[i].finish);
        job->flag = verbs[i].flag;
        return true;
    }
    return false;
}

/* start, resume, and both with a host. */
static bool start_verb(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    bool on = strcmp(call->method + strlen(call->method) - 3, "_on") == 0;
    bool resume = strncmp(call->method, "VM.resume", 9) == 0;
    const char *operation = resume ? on ? "resume_on" : "resume" : on ? "start_on" : "start";
    struct vt_sim_object *vm = vt_sim_arg_object(call, 0, VT_SIM_VM, failure);
    struct vt_sim_object *host = NULL;

    if (!vm || (on && !(host = vt_sim_arg_object(call, 1, VT_SIM_host, failure))))
        return false;
    if (!vt_sim_vm_check(call->pool, vm, operation, failure))
        return false;
    if (on ? !vt_sim_vm_fits(call->pool, vm, host, failure)
           : !(host = vt_sim_vm_place(call->pool, vm, failure)))
        return false;
    struct vt_sim_job *job =
        vt_sim_job_start(call, vm, operation, resume ? 2000 : 1500, finish_start);
    job->host = host->id;
    job->other = resume;
    job->flag = vt_xmlrpc_bool(call->args[on ? 2 : 1], false);
    return true;
}

static bool vm_pool_migrate(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = vt_sim_arg_object(call, 0, VT_SIM_VM, failure);
    struct vt_sim_object *host = vm ? vt_sim_arg_object(call, 1, VT_SIM_host, failure) : NULL;

    if (!host || !vt_sim_vm_check(call->pool, vm, "pool_migrate", failure) ||
        !host_answers(call, vm, failure))
        return false;
    if (vt_sim_ref(vm, VT_VM_resident_on) != host->id &&
        !vt_sim_vm_fits(call->pool, vm, host, failure))
        return false;
    vt_sim_job_start(call, vm, "pool_migrate", 4000, finish_migrate)->host = host->id;
    return true;
}

static bool vm_power_state_reset(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = vt_sim_arg_object(call, 0, VT_SIM_VM, failure);
    char ref[VT_SIM_REF_MAX];

    if (!vm || !vt_sim_vm_check(call->pool, vm, "power_state_reset", failure))
        return false;
    const struct vt_sim_machine *machine =
        vt_sim_machine_of(call->pool, vt_sim_ref(vm, VT_VM_resident_on));
    if (machine && machine->up) {
        vt_sim_ref_text(call->db, machine->host, ref);
        return vt_sim_refuse(failure, "HOST_IS_LIVE", ref, NULL);
    }
    vt_sim_vm_stop(call->pool, vm, "Halted");
    return true;
}

static bool vm_assert_operation_valid(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = vt_sim_arg_object(call, 0, VT_SIM_VM, failure);

    return vm && vt_sim_vm_check(call->pool, vm, vt_sim_arg(call, 1), failure);
}

static bool vm_update_allowed_operations(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = vt_sim_arg_object(call, 0, VT_SIM_VM, failure);

    if (vm)
        vt_sim_vm_allow(call->pool, vm);
    return vm;
}

static bool vm_assert_can_boot_here(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = vt_sim_arg_object(call, 0, VT_SIM_VM, failure);
    struct vt_sim_object *host = vm ? vt_sim_arg_object(call, 1, VT_SIM_host, failure) : NULL;

    return host && vt_sim_vm_fits(call->pool, vm, host, failure);
}

static bool vm_get_possible_hosts(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = vt_sim_arg_object(call, 0, VT_SIM_VM, failure);
    struct vt_sim_failure reason;

    if (!vm)
        return false;
    vt_xmlrpc_array_begin(&call->writer);
    VT_SIM_EACH(call->db, VT_SIM_host, host)
    if (vt_sim_vm_fits(call->pool, vm, host, &reason))
        vt_sim_put_ref(&call->writer, call->db, host->id);
    vt_xmlrpc_array_end(&call->writer);
    return true;
}

static bool vm_block(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = vt_sim_arg_object(call, 0, VT_SIM_VM, failure);
    const char *operation = vt_sim_arg(call, 1);

    if (!vm)
        return false;
    if (strcmp(call->method, "VM.remove_from_blocked_operations") == 0)
        vt_sim_map_remove(call->db, vm, VT_VM_blocked_operations, operation);
    else
        vt_sim_map_set(call->db, vm, VT_VM_blocked_operations, operation, vt_sim_arg(call, 2));
    vt_sim_vm_allow(call->pool, vm);
    return true;
}

/* Fields with a setter of their own: the changes VM.other_config and memory, which the schema marks
 * read-only. */
static bool vm_other_config(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = vt_sim_arg_object(call, 0, VT_SIM_VM, failure);
    char ref[VT_SIM_REF_MAX];

    if (!vm)
        return false;
    if (strcmp(call->method, "VM.remove_from_other_config") == 0) {
        vt_sim_map_remove(call->db, vm, VT_VM_other_config, vt_sim_arg(call, 1));
        return true;
    }
    vt_sim_ref_text(call->db, vm->id, ref);
    if (vt_sim_map_get(vm, VT_VM_other_config, vt_sim_arg(call, 1)))
        return vt_sim_refuse(failure, "MAP_DUPLICATE_KEY", "VM", "other_config", ref,
                             vt_sim_arg(call, 1), NULL);
    vt_sim_map_set(call->db, vm, VT_VM_other_config, vt_sim_arg(call, 1), vt_sim_arg(call, 2));
    return true;
}

const struct vt_sim_method vt_sim_vm_methods[] = {
    { "VM.start", 3, 3, 0, start_verb },
    { "VM.start_on", 4, 4, 0, start_verb },
    { "VM.resume", 3, 3, 0, start_verb },
    { "VM.resume_on", 4, 4, 0, start_verb },
    { "VM.clean_shutdown", 1, 1, 0, simple_verb },
    { "VM.hard_shutdown", 1, 1, 0, simple_verb },
    { "VM.shutdown", 1, 1, 0, simple_verb },
    { "VM.clean_reboot", 1, 1, 0, simple_verb },
    { "VM.hard_reboot", 1, 1, 0, simple_verb },
    { "VM.suspend", 1, 1, 0, simple_verb },
    { "VM.pause", 1, 1, 0, simple_verb },
    { "VM.unpause", 1, 1, 0, simple_verb },
    { "VM.pool_migrate", 3, 3, 0, vm_pool_migrate },
    { "VM.power_state_reset", 1, 1, 0, vm_power_state_reset },
    { "VM.assert_operation_valid", 2, 2, 0, vm_assert_operation_valid },
    { "VM.update_allowed_operations", 1, 1, 0, vm_update_allowed_operations },
    { "VM.assert_can_boot_here", 2, 2, 0, vm_assert_can_boot_here },
    { "VM.get_possible_hosts", 1, 1, 0, vm_get_possible_hosts },
    { "VM.add_to_blocked_operations", 3, 3, 0, vm_block },
    { "VM.remove_from_blocked_operations", 2, 2, 0, vm_block },
    { "VM.add_to_other_config", 3, 3, 0, vm_other_config },
    { "VM.remove_from_other_config", 2, 2, 0, vm_other_config },
    { 0 },
};
