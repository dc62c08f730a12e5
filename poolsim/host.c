/* The calls of the class host: enable, evacuate, power, clocks, and what works in emergency mode.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "poolsim/mem.h"
#include "poolsim/sim.h"

static struct vt_sim_object *host_arg(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    return vt_sim_arg_object(call, 0, VT_SIM_host, failure);
}

static bool host_enable(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *host = host_arg(call, failure);

    if (!host)
        return false;
    vt_sim_set_bool(call->db, host, VT_host_enabled, strcmp(call->method, "host.enable") == 0);
    return true;
}

/* The first VM on the host that nothing else can take; NULL: all can go. */
static struct vt_sim_object *immovable(struct vt_sim_pool *pool, struct vt_sim_object *host,
                                       struct vt_sim_failure *failure)
{
    const uint32_t *ids = NULL;
    uint32_t count = vt_sim_ids(host, VT_host_resident_VMs, &ids);
    bool enabled = vt_sim_bool(host, VT_host_enabled);
    struct vt_sim_object *found = NULL;

    vt_sim_set_bool(pool->db, host, VT_host_enabled, false); /* it is no target itself */
    for (uint32_t i = 0; i < count && !found; i++) {
        struct vt_sim_object *vm = vt_sim_get(pool->db, ids[i]);
        if (!vm || vt_sim_bool(vm, VT_VM_is_control_domain))
            continue;
        if (!vt_sim_vm_check(pool, vm, "pool_migrate", failure) ||
            !vt_sim_vm_place(pool, vm, failure))
            found = vm;
    }
    vt_sim_set_bool(pool->db, host, VT_host_enabled, enabled);
    return found;
}

static bool finish_evacuate(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_pool *pool = job->pool;
    struct vt_sim_object *host = vt_sim_get(pool->db, job->object);
    const uint32_t *ids = NULL;
    uint32_t index = 0;

    if (!host)
        return true;
    vt_sim_set_bool(pool->db, host, VT_host_enabled, false);
    while (index < vt_sim_ids(host, VT_host_resident_VMs, &ids)) {
        struct vt_sim_object *vm = vt_sim_get(pool->db, ids[index]);
        if (!vm || vt_sim_bool(vm, VT_VM_is_control_domain)) {
            index++;
            continue;
        }
        struct vt_sim_object *target = vt_sim_vm_place(pool, vm, failure);
        if (!target)
            return false;
        vt_sim_vm_move(pool, vm, target);
    }
    return true;
}

static bool host_evacuate(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *host = host_arg(call, failure);

    if (!host || immovable(call->pool, host, failure))
        return false;
    if (strcmp(call->method, "host.evacuate") == 0)
        vt_sim_job_start(call, host, "evacuate", 4000, finish_evacuate);
    return true;
}

static bool host_preventers(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *host = host_arg(call, failure);
    struct vt_sim_failure reason;
    char ref[VT_SIM_REF_MAX];

    if (!host)
        return false;
    struct vt_sim_object *vm = immovable(call->pool, host, &reason);
    vt_xmlrpc_struct_begin(&call->writer);
    if (vm) {
        vt_sim_ref_text(call->db, vm->id, ref);
        vt_xmlrpc_member_begin(&call->writer, ref);
        vt_xmlrpc_array_begin(&call->writer);
        vt_xmlrpc_put_string(&call->writer, reason.code);
        for (size_t i = 0; i < reason.count; i++)
            vt_xmlrpc_put_string(&call->writer, reason.params[i]);
        vt_xmlrpc_array_end(&call->writer);
        vt_xmlrpc_member_end(&call->writer);
    }
    vt_xmlrpc_struct_end(&call->writer);
    return true;
}

static bool finish_power(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_machine *machine = vt_sim_machine_of(job->pool, job->object);
    struct vt_sim_object *host = vt_sim_get(job->pool->db, job->object);
    struct vt_sim_object *metrics = host ? vt_sim_follow(job->pool->db, host, VT_host_metrics) : NULL;

    (void)failure;
    if (metrics) /* it says goodbye: nobody waits for its heartbeat */
        vt_sim_set_bool(job->pool->db, metrics, VT_host_metrics_live, false);
    if (machine && job->flag)
        vt_sim_machine_restart(machine, 20000);
    else if (machine)
        vt_sim_machine_stop(machine, false);
    return true;
}

static bool host_power(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *host = host_arg(call, failure);
    const uint32_t *ids = NULL;

    if (!host)
        return false;
    if (vt_sim_bool(host, VT_host_enabled))
        return vt_sim_refuse(failure, "HOST_NOT_DISABLED", NULL);
    uint32_t count = vt_sim_ids(host, VT_host_resident_VMs, &ids);
    for (uint32_t i = 0; i < count; i++) {
        const struct vt_sim_object *vm = vt_sim_get(call->db, ids[i]);
        char ref[VT_SIM_REF_MAX];
        if (!vm || vt_sim_bool(vm, VT_VM_is_control_domain))
            continue;
        vt_sim_ref_text(call->db, vm->id, ref);
        return vt_sim_refuse(failure, "HOST_IN_USE", vt_sim_arg(call, 0), "VM", ref, NULL);
    }
    bool reboot = strcmp(call->method, "host.reboot") == 0;
    vt_sim_job_start(call, host, reboot ? "reboot" : "shutdown", 500, finish_power)->flag = reboot;
    return true;
}

static bool host_power_on(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *host = host_arg(call, failure);
    struct vt_sim_machine *machine = host ? vt_sim_machine_of(call->pool, host->id) : NULL;

    if (machine)
        vt_sim_machine_start(machine);
    return host;
}

static bool host_declare_dead(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *host = host_arg(call, failure);
    struct vt_sim_machine *machine = host ? vt_sim_machine_of(call->pool, host->id) : NULL;
    const uint32_t *ids = NULL;
    uint32_t index = 0;

    if (!host)
        return false;
    if (machine && machine->up)
        return vt_sim_refuse(failure, "HOST_IS_LIVE", vt_sim_arg(call, 0), NULL);
    vt_sim_set_bool(call->db, vt_sim_follow(call->db, host, VT_host_metrics), VT_host_metrics_live,
                    false);
    while (index < vt_sim_ids(host, VT_host_resident_VMs, &ids)) {
        struct vt_sim_object *vm = vt_sim_get(call->db, ids[index]);
        if (vm && !vt_sim_bool(vm, VT_VM_is_control_domain))
            vt_sim_vm_stop(call->pool, vm, "Halted");
        else
            index++;
    }
    return true;
}

static bool host_restart_agent(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *host = host_arg(call, failure);

    if (!host)
        return false;
    vt_sim_job_start(call, host, NULL, 200, finish_power)->flag = true;
    return true;
}

static bool host_time(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *host = host_arg(call, failure);
    struct vt_sim_machine *machine = host ? vt_sim_machine_of(call->pool, host->id) : NULL;

    if (!host)
        return false;
    vt_xmlrpc_put_time(&call->writer, vt_sim_wall(machine ? machine : call->machine));
    return true;
}

static bool host_management_interface(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *host = host_arg(call, failure);
    const uint32_t *ids = NULL;
    uint32_t count = host ? vt_sim_ids(host, VT_host_PIFs, &ids) : 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct vt_sim_object *pif = vt_sim_get(call->db, ids[i]);
        if (pif && vt_sim_bool(pif, VT_PIF_management)) {
            vt_sim_put_ref(&call->writer, call->db, pif->id);
            return true;
        }
    }
    return host && vt_sim_refuse(failure, "HOST_HAS_NO_MANAGEMENT_IP", NULL);
}

static bool host_free_memory(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *host = host_arg(call, failure);

    if (host)
        vt_xmlrpc_put_int(&call->writer, vt_sim_host_free(call->pool, host));
    return host;
}

static bool host_certificate(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *host = host_arg(call, failure);
    struct vt_sim_machine *machine = host ? vt_sim_machine_of(call->pool, host->id) : NULL;
    struct vt_sim_world *world = call->world;
    const char *pem =
        machine && world->certificate ? world->certificate(world->context, machine) : "";

    if (host)
        vt_xmlrpc_put_string(&call->writer, pem);
    return host;
}

/* ---- with a local session ---- */

static bool emergency_mode(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    (void)failure;
    vt_xmlrpc_put_bool(&call->writer, call->machine->emergency);
    return true;
}

static bool emergency_ha_disable(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *self = vt_sim_get(call->db, call->pool->self);

    (void)failure;
    vt_sim_set_bool(call->db, self, VT_pool_ha_enabled, false);
    return true;
}

static void restart_now(struct vt_sim_world *world, void *context)
{
    (void)world;
    vt_sim_machine_restart(context, 3000);
}

static bool shutdown_agent(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    (void)failure;
    vt_sim_after(call->world, 100 * VT_NS_PER_MS, restart_now, call->machine);
    return true;
}

static bool management_reconfigure(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    const uint32_t *ids = NULL;
    const struct vt_sim_object *host = vt_sim_get(call->db, call->machine->host);
    uint32_t count = host ? vt_sim_ids(host, VT_host_PIFs, &ids) : 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct vt_sim_object *pif = vt_sim_get(call->db, ids[i]);
        if (pif && vt_sim_is(pif, VT_PIF_device, vt_sim_arg(call, 0)))
            return true;
    }
    return vt_sim_refuse(failure, "INTERFACE_HAS_NO_IP", vt_sim_arg(call, 0), NULL);
}

static bool capabilities(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    (void)failure;
    vt_xmlrpc_put_string(&call->writer,
                         "<system-status-capabilities></system-status-capabilities>");
    return true;
}

const struct vt_sim_method vt_sim_host_methods[] = {
    { "host.enable", 1, 1, 0, host_enable },
    { "host.disable", 1, 2, 0, host_enable },
    { "host.evacuate", 1, 3, 0, host_evacuate },
    { "host.assert_can_evacuate", 1, 1, 0, host_evacuate },
    { "host.get_vms_which_prevent_evacuation", 1, 1, 0, host_preventers },
    { "host.reboot", 1, 1, 0, host_power },
    { "host.shutdown", 1, 1, 0, host_power },
    { "host.power_on", 1, 1, 0, host_power_on },
    { "host.declare_dead", 1, 1, 0, host_declare_dead },
    { "host.restart_agent", 1, 1, 0, host_restart_agent },
    { "host.get_servertime", 1, 1, 0, host_time },
    { "host.get_server_localtime", 1, 1, 0, host_time },
    { "host.get_management_interface", 1, 1, 0, host_management_interface },
    { "host.compute_free_memory", 1, 1, 0, host_free_memory },
    { "host.get_server_certificate", 1, 1, 0, host_certificate },
    { "host.is_in_emergency_mode", 0, 0, VT_SIM_LOCAL, emergency_mode },
    { "host.emergency_ha_disable", 0, 1, VT_SIM_LOCAL, emergency_ha_disable },
    { "host.shutdown_agent", 0, 0, VT_SIM_LOCAL, shutdown_agent },
    { "host.local_management_reconfigure", 1, 1, VT_SIM_LOCAL, management_reconfigure },
    { "host.get_system_status_capabilities", 1, 1, VT_SIM_LOCAL, capabilities },
    { 0 },
};
