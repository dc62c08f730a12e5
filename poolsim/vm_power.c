/* The effects of power verbs: who runs where, since when, with which devices plugged, and what the
 * agent says. */
#include <stdio.h>
#include <string.h>

#include "poolsim/mem.h"
#include "poolsim/sim.h"

enum { AGENT_MS = 1500 }; /* after this long the guest agent reports */

static void plug_devices(struct vt_sim_db *db, const struct vt_sim_object *vm, bool attached)
{
    const uint32_t *ids = NULL;
    uint32_t count = vt_sim_ids(vm, VT_VM_VIFs, &ids);

    for (uint32_t i = 0; i < count; i++)
        if (vt_sim_get(db, ids[i]))
            vt_sim_set_bool(db, vt_sim_get(db, ids[i]), VT_VIF_currently_attached, attached);
    count = vt_sim_ids(vm, VT_VM_VBDs, &ids);
    for (uint32_t i = 0; i < count; i++)
        if (vt_sim_get(db, ids[i]))
            vt_sim_set_bool(db, vt_sim_get(db, ids[i]), VT_VBD_currently_attached, attached);
}

static void agent_address(const struct vt_sim_db *db, const struct vt_sim_object *vm,
                          char out[static 24])
{
    const uint32_t *ids = NULL;
    uint32_t count = vt_sim_ids(vm, VT_VM_VIFs, &ids);
    const struct vt_sim_object *vif = count ? vt_sim_get(db, ids[0]) : NULL;
    unsigned high = 0, middle = 0, low = 0;

    snprintf(out, 24, "127.127.255.254");
    if (vif &&
        sscanf(vt_sim_text(vif, VT_VIF_MAC), "%*x:%*x:%*x:%x:%x:%x", &high, &middle, &low) == 3)
        snprintf(out, 24, "127.%u.%u.%u", 64 + (high & 0x3f), middle & 0xff, low & 0xff);
}

static void agent_reports(struct vt_sim_pool *pool, struct vt_sim_object *vm)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *metrics = vt_sim_follow(db, vm, VT_VM_guest_metrics);
    char address[24];

    if (!metrics) {
        metrics = vt_sim_add(db, VT_SIM_VM_guest_metrics);
        vt_sim_set_ref(db, vm, VT_VM_guest_metrics, metrics->id);
    }
    agent_address(db, vm, address);
    vt_sim_set_texts(db, metrics, VT_VM_guest_metrics_os_version,
                     (const char *const[]){ "name", "Microsoft Windows 11 Pro", "distro", "windows",
                                            "major", "10" },
                     6);
    vt_sim_set_texts(
        db, metrics, VT_VM_guest_metrics_PV_drivers_version,
        (const char *const[]){ "major", "9", "minor", "3", "micro", "0", "build", "42" }, 8);
    vt_sim_set_texts(db, metrics, VT_VM_guest_metrics_networks,
                     (const char *const[]){ "0/ip", address, "0/ipv4/0", address }, 4);
    vt_sim_set_texts(db, metrics, VT_VM_guest_metrics_other,
                     (const char *const[]){ "feature-suspend", "1", "feature-shutdown", "1",
                                            "feature-reboot", "1" },
                     6);
    vt_sim_set_bool(db, metrics, VT_VM_guest_metrics_live, true);
    vt_sim_set_bool(db, metrics, VT_VM_guest_metrics_PV_drivers_detected, true);
    vt_sim_set_text(db, metrics, VT_VM_guest_metrics_can_use_hotplug_vbd, "yes");
    vt_sim_set_text(db, metrics, VT_VM_guest_metrics_can_use_hotplug_vif, "yes");
    vt_sim_set_int(db, metrics, VT_VM_guest_metrics_last_updated, vt_sim_pool_wall(pool));
    vt_sim_guests_refresh(pool, vm);
}

struct boot {
    struct vt_sim_pool *pool;
    uint32_t vm;
    int64_t domid;
};

static void agent_starts(struct vt_sim_world *world, void *context)
{
    struct boot *boot = context;
    struct vt_sim_object *vm = vt_sim_get(boot->pool->db, boot->vm);

    (void)world;
    if (vm && vt_sim_is(vm, VT_VM_power_state, "Running") &&
        vt_sim_int(vm, VT_VM_domid) == boot->domid)
        agent_reports(boot->pool, vm);
}

void vt_sim_vm_boot_agent(struct vt_sim_pool *pool, struct vt_sim_object *vm)
{
    if (pool->generating) { /* in the first state of the world it has reported long ago */
        agent_reports(pool, vm);
        return;
    }
    struct boot *boot = vt_sim_alloc(sizeof *boot);
    *boot = (struct boot){ pool, vm->id, vt_sim_int(vm, VT_VM_domid) };
    vt_sim_after_owned(pool->world, vt_sim_paced(pool->world, AGENT_MS), agent_starts, boot);
}

static void put_console(struct vt_sim_pool *pool, struct vt_sim_object *vm,
                        const struct vt_sim_object *host)
{
    struct vt_sim_db *db = pool->db;
    const struct vt_sim_options *options = &pool->world->options;
    struct vt_sim_object *console = vt_sim_add(db, VT_SIM_console);
    char location[160];

    snprintf(location, sizeof location, "%s://%s:%u/console?uuid=%s",
             options->tls ? "https" : "http", vt_sim_text(host, VT_host_address), options->port,
             vt_sim_text(console, VT_console_uuid));
    vt_sim_set_text(db, console, VT_console_protocol, "rfb");
    vt_sim_set_text(db, console, VT_console_location, location);
    vt_sim_set_ref(db, console, VT_console_VM, vm->id);
    vt_sim_ids_add(db, vm, VT_VM_consoles, console->id);
}

static void drop_consoles(struct vt_sim_db *db, struct vt_sim_object *vm)
{
    const uint32_t *ids = NULL;

    while (vt_sim_ids(vm, VT_VM_consoles, &ids) > 0) {
        uint32_t id = ids[0];
        vt_sim_ids_remove(db, vm, VT_VM_consoles, id);
        if (vt_sim_get(db, id))
            vt_sim_remove(db, vt_sim_get(db, id));
    }
}

static void leave_host(struct vt_sim_pool *pool, struct vt_sim_object *vm)
{
    struct vt_sim_object *host = vt_sim_follow(pool->db, vm, VT_VM_resident_on);

    if (host)
        vt_sim_ids_remove(pool->db, host, VT_host_resident_VMs, vm->id);
    vt_sim_set_ref(pool->db, vm, VT_VM_resident_on, 0);
}

static void set_metrics(struct vt_sim_pool *pool, struct vt_sim_object *vm, bool booted)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *metrics = vt_sim_follow(db, vm, VT_VM_metrics);

    if (!metrics)
        return;
    vt_sim_set_int(db, metrics, VT_VM_metrics_memory_actual,
                   vt_sim_int(vm, VT_VM_memory_static_max));
    vt_sim_set_int(db, metrics, VT_VM_metrics_VCPUs_number, vt_sim_int(vm, VT_VM_VCPUs_at_startup));
    vt_sim_set_bool(db, metrics, VT_VM_metrics_hvm, true);
    if (booted)
        vt_sim_set_int(db, metrics, VT_VM_metrics_start_time, vt_sim_pool_wall(pool));
}

void vt_sim_vm_run(struct vt_sim_pool *pool, struct vt_sim_object *vm, struct vt_sim_object *host,
                   bool paused, bool booted)
{
    struct vt_sim_db *db = pool->db;

    leave_host(pool, vm);
    vt_sim_set_text(db, vm, VT_VM_power_state, paused ? "Paused" : "Running");
    vt_sim_set_ref(db, vm, VT_VM_resident_on, host->id);
    vt_sim_ids_add(db, host, VT_host_resident_VMs, vm->id);
    vt_sim_set_int(db, vm, VT_VM_domid, pool->next_domid++);
    drop_consoles(db, vm);
    put_console(pool, vm, host);
    plug_devices(db, vm, true);
    set_metrics(pool, vm, booted);
    vt_sim_vm_allow(pool, vm);
    if (!paused)
        vt_sim_vm_boot_agent(pool, vm);
    vt_sim_guests_refresh(pool, vm);
}

void vt_sim_vm_stop(struct vt_sim_pool *pool, struct vt_sim_object *vm, const char *state)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *guest = vt_sim_follow(db, vm, VT_VM_guest_metrics);

    leave_host(pool, vm);
    vt_sim_set_text(db, vm, VT_VM_power_state, state);
    vt_sim_set_int(db, vm, VT_VM_domid, -1);
    drop_consoles(db, vm);
    plug_devices(db, vm, false);
    if (guest) {
        vt_sim_set_ref(db, vm, VT_VM_guest_metrics, 0);
        vt_sim_remove(db, guest);
    }
    vt_sim_vm_allow(pool, vm);
    vt_sim_guests_refresh(pool, vm);
}

void vt_sim_vm_move(struct vt_sim_pool *pool, struct vt_sim_object *vm, struct vt_sim_object *host)
{
    struct vt_sim_db *db = pool->db;

    leave_host(pool, vm);
    vt_sim_set_ref(db, vm, VT_VM_resident_on, host->id);
    vt_sim_ids_add(db, host, VT_host_resident_VMs, vm->id);
    vt_sim_set_int(db, vm, VT_VM_domid, pool->next_domid++);
    drop_consoles(db, vm);
    put_console(pool, vm, host);
    vt_sim_vm_allow(pool, vm);
    vt_sim_guests_refresh(pool, vm);
}
