/* Daemons and machines that stop and come back, masters that die, slaves in emergency mode, new
 * masters. */
#include <stdio.h>
#include <string.h>

#include "poolsim/sim.h"

enum { EMERGENCY_MS = 10000, DEAD_MS = 600000 };

static struct vt_sim_object *host_of(const struct vt_sim_machine *machine)
{
    return vt_sim_get(machine->pool->db, machine->host);
}

static void set_live(struct vt_sim_machine *machine, bool live)
{
    struct vt_sim_object *host = host_of(machine);
    struct vt_sim_object *metrics =
        host ? vt_sim_follow(machine->pool->db, host, VT_host_metrics) : NULL;

    if (metrics)
        vt_sim_set_bool(machine->pool->db, metrics, VT_host_metrics_live, live);
}

static void refresh_guests(struct vt_sim_machine *machine)
{
    const uint32_t *ids = NULL;
    struct vt_sim_object *host = host_of(machine);
    uint32_t count = host ? vt_sim_ids(host, VT_host_resident_VMs, &ids) : 0;

    for (uint32_t i = 0; i < count; i++) {
        struct vt_sim_object *vm = vt_sim_get(machine->pool->db, ids[i]);
        if (vm && vt_sim_vm_is_real(vm))
            vt_sim_guests_refresh(machine->pool, vm);
    }
}

void vt_sim_expire_sessions(struct vt_sim_pool *pool)
{
    VT_SIM_EACH(pool->db, VT_SIM_session, session)
    vt_sim_remove(pool->db, session);
}

/* The master's heartbeat has been missing for ten minutes. */
static void declare_silent(struct vt_sim_world *world, void *context)
{
    struct vt_sim_machine *machine = context;

    (void)world;
    if (!machine->up && machine->failed)
        set_live(machine, false);
}

/* A slave without a master restarts its daemon and does not find it. */
static void enter_emergency(struct vt_sim_world *world, void *context)
{
    struct vt_sim_machine *machine = context;
    const struct vt_sim_machine *master = vt_sim_machine_at(world, machine->master_address);

    if (machine->up && !vt_sim_is_master(machine) && (!master || !master->up))
        machine->emergency = "HOST_STILL_BOOTING";
}

void vt_sim_machine_stop(struct vt_sim_machine *machine, bool failed)
{
    struct vt_sim_world *world = machine->world;

    if (!machine->up)
        return;
    machine->up = false;
    machine->failed = failed;
    memset(machine->local_sessions, 0, sizeof machine->local_sessions);
    if (vt_sim_is_master(machine)) {
        vt_sim_jobs_lost(machine->pool);
        vt_sim_waiters_fail(machine->pool, "SESSION_INVALID");
        vt_sim_expire_sessions(machine->pool);
        for (uint32_t i = 0; i < world->machine_count; i++)
            if (world->machines[i].pool == machine->pool && failed)
                vt_sim_after(world, vt_sim_paced(world, EMERGENCY_MS), enter_emergency,
                             &world->machines[i]);
    }
    if (failed) {
        refresh_guests(machine);
        vt_sim_after(world, vt_sim_paced(world, DEAD_MS), declare_silent, machine);
    }
    if (world->machine_changed)
        world->machine_changed(world->context, machine);
}

/* A machine that lost power has no guests any more; those that nobody reset meanwhile read Halted
 * now. */
static void reset_residents(struct vt_sim_machine *machine)
{
    const uint32_t *ids = NULL;
    struct vt_sim_object *host = host_of(machine);
    uint32_t index = 0;

    while (host && index < vt_sim_ids(host, VT_host_resident_VMs, &ids)) {
        struct vt_sim_object *vm = vt_sim_get(machine->pool->db, ids[index]);
        if (vm && vt_sim_vm_is_real(vm))
            vt_sim_vm_stop(machine->pool, vm, "Halted"); /* takes it out of the list */
        else
            index++;
    }
}

static void find_master(struct vt_sim_machine *machine)
{
    struct vt_sim_pool *pool = machine->pool;

    machine->emergency = NULL;
    if (vt_sim_is_master(machine)) {
        machine->master_address[0] = '\0';
        return;
    }
    if (pool->master->up)
        snprintf(machine->master_address, sizeof machine->master_address, "%s",
                 pool->master->address);
    else
        machine->emergency = "HOST_STILL_BOOTING";
}

void vt_sim_machine_start(struct vt_sim_machine *machine)
{
    struct vt_sim_world *world = machine->world;
    struct vt_sim_object *host = host_of(machine);
    char started[32];

    if (machine->up)
        return;
    if (machine->failed)
        reset_residents(machine);
    machine->up = true;
    machine->failed = false;
    find_master(machine);
    set_live(machine, true);
    snprintf(started, sizeof started, "%lld.", (long long)vt_sim_wall(machine));
    if (host)
        vt_sim_map_set(machine->pool->db, host, VT_host_other_config, "agent_start_time", started);
    for (uint32_t i = 0; i < world->machine_count && vt_sim_is_master(machine); i++) {
        struct vt_sim_machine *slave = &world->machines[i];
        if (slave->pool == machine->pool && slave != machine &&
            strcmp(slave->master_address, machine->address) == 0)
            slave->emergency = NULL; /* the master answers again */
    }
    if (world->machine_changed)
        world->machine_changed(world->context, machine);
}

static void start_again(struct vt_sim_world *world, void *context)
{
    (void)world;
    vt_sim_machine_start(context);
}

void vt_sim_machine_restart(struct vt_sim_machine *machine, int64_t down_ms)
{
    vt_sim_machine_stop(machine, false);
    vt_sim_after(machine->world, vt_sim_paced(machine->world, down_ms), start_again, machine);
}

/* The other slaves do not follow by themselves: pool.recover_slaves makes them. */
void vt_sim_become_master(struct vt_sim_machine *machine)
{
    struct vt_sim_pool *pool = machine->pool;
    struct vt_sim_machine *old = pool->master;

    if (old == machine)
        return;
    vt_sim_jobs_lost(pool);
    vt_sim_waiters_fail(pool, "SESSION_INVALID");
    vt_sim_expire_sessions(pool);
    pool->master = machine;
    machine->emergency = NULL;
    machine->master_address[0] = '\0';
    vt_sim_set_ref(pool->db, vt_sim_get(pool->db, pool->self), VT_pool_master, machine->host);
    snprintf(old->master_address, sizeof old->master_address, "%s", machine->address);
}
