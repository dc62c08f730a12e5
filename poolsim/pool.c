/* The calls of the class pool, joining left out: masters, recovery, eject. */
#include <stdio.h>
#include <string.h>

#include "poolsim/mem.h"
#include "poolsim/sim.h"

static bool ha_is_on(const struct vt_sim_call *call)
{
    return vt_sim_bool(vt_sim_get(call->db, call->pool->self), VT_pool_ha_enabled);
}

struct change {
    struct vt_sim_machine *machine;
    bool clean; /* everybody follows */
};

static void change_master(struct vt_sim_world *world, void *context)
{
    struct change *change = context;
    struct vt_sim_pool *pool = change->machine->pool;
    struct vt_sim_machine *old = pool->master;

    vt_sim_become_master(change->machine);
    for (uint32_t i = 0; i < world->machine_count && change->clean; i++) {
        struct vt_sim_machine *slave = &world->machines[i];
        if (slave->pool == pool && slave != change->machine)
            snprintf(slave->master_address, sizeof slave->master_address, "%s",
                     change->machine->address);
    }
    vt_sim_machine_restart(change->machine, 2000);
    if (old != change->machine && old->up)
        vt_sim_machine_restart(old, 2000);
}

/* The call answers first, then the daemons restart. */
static void change_soon(struct vt_sim_call *call, struct vt_sim_machine *machine, bool clean)
{
    struct change *change = vt_sim_alloc(sizeof *change);

    *change = (struct change){ machine, clean };
    vt_sim_after_owned(call->world, 100 * VT_NS_PER_MS, change_master, change);
}

static bool designate_new_master(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *host = vt_sim_arg_object(call, 0, VT_SIM_host, failure);
    struct vt_sim_machine *machine = host ? vt_sim_machine_of(call->pool, host->id) : NULL;

    if (!host)
        return false;
    if (!machine || !machine->up)
        return vt_sim_refuse(failure, "HOST_OFFLINE", vt_sim_arg(call, 0), NULL);
    if (!vt_sim_is_master(machine))
        change_soon(call, machine, true);
    return true;
}

static bool recover_slaves(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_world *world = call->world;

    (void)failure;
    vt_xmlrpc_array_begin(&call->writer);
    for (uint32_t i = 0; i < world->machine_count; i++) {
        struct vt_sim_machine *slave = &world->machines[i];
        bool lost = slave->emergency || strcmp(slave->master_address, call->machine->address) != 0;
        if (slave->pool != call->pool || slave == call->machine || !slave->up || !lost)
            continue;
        snprintf(slave->master_address, sizeof slave->master_address, "%s", call->machine->address);
        slave->emergency = NULL;
        vt_sim_put_ref(&call->writer, call->db, slave->host);
    }
    vt_xmlrpc_array_end(&call->writer);
    return true;
}

static bool emergency_transition(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    if (ha_is_on(call))
        return vt_sim_refuse(failure, "HA_IS_ENABLED", NULL);
    if (!vt_sim_is_master(call->machine))
        change_soon(call, call->machine, false);
    return true;
}

static void follow(struct vt_sim_world *world, void *context)
{
    struct vt_sim_machine *machine = context;
    const struct vt_sim_machine *master = vt_sim_machine_at(world, machine->master_address);

    machine->emergency =
        master && master->up && vt_sim_is_master(master) ? NULL : "HOST_STILL_BOOTING";
}

static bool emergency_reset_master(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_machine *machine = call->machine;

    if (ha_is_on(call))
        return vt_sim_refuse(failure, "HA_IS_ENABLED", NULL);
    snprintf(machine->master_address, sizeof machine->master_address, "%s", vt_sim_arg(call, 0));
    vt_sim_after(call->world, vt_sim_paced(call->world, 2000), follow, machine);
    return true;
}

/* What belongs to the host alone goes from the pool's database. */
static void forget_host(struct vt_sim_pool *pool, struct vt_sim_object *host)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *control = vt_sim_follow(db, host, VT_host_control_domain);
    struct vt_sim_object *metrics = vt_sim_follow(db, host, VT_host_metrics);

    VT_SIM_EACH(db, VT_SIM_PBD, pbd)
    {
        struct vt_sim_object *sr = vt_sim_follow(db, pbd, VT_PBD_SR);
        if (vt_sim_ref(pbd, VT_PBD_host) != host->id)
            continue;
        if (sr && !vt_sim_bool(sr, VT_SR_shared))
            vt_sim_remove(db, sr);
        else if (sr)
            vt_sim_ids_remove(db, sr, VT_SR_PBDs, pbd->id);
        vt_sim_remove(db, pbd);
    }
    VT_SIM_EACH(db, VT_SIM_PIF, pif)
    {
        struct vt_sim_object *network = vt_sim_follow(db, pif, VT_PIF_network);
        if (vt_sim_ref(pif, VT_PIF_host) != host->id)
            continue;
        if (network)
            vt_sim_ids_remove(db, network, VT_network_PIFs, pif->id);
        vt_sim_remove(db, pif);
    }
    if (control)
        vt_sim_remove(db, control);
    if (metrics)
        vt_sim_remove(db, metrics);
    vt_sim_remove(db, host);
}

static bool finish_eject(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_world *world = job->pool->world;
    struct vt_sim_object *host = vt_sim_get(job->pool->db, job->host);
    struct vt_sim_machine *machine = host ? vt_sim_machine_of(job->pool, host->id) : NULL;
    char name[64];

    (void)failure;
    if (!machine)
        return true;
    snprintf(name, sizeof name, "%s", vt_sim_text(host, VT_host_name_label));
    forget_host(job->pool, host);
    machine->pool = vt_sim_pool_new(world, machine);
    vt_sim_generate_pool(machine->pool, "");
    machine->host = vt_sim_generate_host(machine->pool, machine, name);
    vt_sim_set_ref(machine->pool->db, vt_sim_get(machine->pool->db, machine->pool->self),
                   VT_pool_master, machine->host);
    vt_sim_machine_restart(machine, 5000);
    return true;
}

static bool pool_eject(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *host = vt_sim_arg_object(call, 0, VT_SIM_host, failure);
    const uint32_t *ids = NULL;

    if (!host)
        return false;
    if (ha_is_on(call))
        return vt_sim_refuse(failure, "HA_IS_ENABLED", NULL);
    if (host->id == call->pool->master->host)
        return vt_sim_refuse(failure, "HOST_IS_MASTER", vt_sim_arg(call, 0), NULL);
    uint32_t count = vt_sim_ids(host, VT_host_resident_VMs, &ids);
    for (uint32_t i = 0; i < count; i++) {
        const struct vt_sim_object *vm = vt_sim_get(call->db, ids[i]);
        if (vm && vt_sim_vm_is_real(vm))
            return vt_sim_refuse(failure, "OPERATION_NOT_ALLOWED", "VM resident on host", NULL);
    }
    vt_sim_job_start(call, vt_sim_get(call->db, call->pool->self), "eject", 2000, finish_eject)
        ->host = host->id;
    return true;
}

const struct vt_sim_method vt_sim_pool_methods[] = {
    { "pool.designate_new_master", 1, 1, 0, designate_new_master },
    { "pool.recover_slaves", 0, 0, 0, recover_slaves },
    { "pool.emergency_transition_to_master", 0, 0, VT_SIM_LOCAL, emergency_transition },
    { "pool.emergency_reset_master", 1, 1, VT_SIM_LOCAL, emergency_reset_master },
    { "pool.eject", 1, 1, 0, pool_eject },
    { 0 },
};
