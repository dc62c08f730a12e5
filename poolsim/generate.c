/* The first state of the world, the same for the same seed: a pool object, hosts with network and
 * local storage, shared storage, templates, virtual machines with disks and addresses. */
#include <stdio.h>
#include <string.h>

#include "poolsim/sim.h"

#define GIB (INT64_C(1) << 30)
#define TIB (INT64_C(1) << 40)

enum { VMS_PER_SR = 400, HOST_MEMORY_GIB = 512, VM_MEMORY_GIB = 2, DISK_GIB = 40 };

static void set_map(struct vt_sim_db *db, struct vt_sim_object *object, enum vt_sim_field field,
                    const char *const *pairs, uint32_t count)
{
    vt_sim_set_texts(db, object, field, pairs, count);
}
#define SET_MAP(db, object, field, ...)                                                            \
    set_map(db, object, field, (const char *const[]){ __VA_ARGS__ },                               \
            (uint32_t)(sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)))

static const char *const cpu_common[] = {
    "vendor",
    "GenuineIntel",
    "speed",
    "2400.000",
    "modelname",
    "Intel(R) Xeon(R) Gold 6240R CPU @ 2.40GHz",
    "family",
    "6",
    "model",
    "85",
    "stepping",
    "7",
    "flags",
    "fpu de tsc msr pae sse sse2 avx avx2",
    "features_pv",
    "1fc9cbf5-f6f83203-2991cbf5-00000023",
    "features_hvm",
    "1fcbfbff-f7fa3223-2d93fbff-00000123",
    "features_pv_host",
    "1fc9cbf5-f6f83203-2991cbf5-00000023",
    "features_hvm_host",
    "1fcbfbff-f7fa3223-2d93fbff-00000123",
    "cpu_count",
    "32",
    "socket_count",
    "2",
    "threads_per_core",
    "2",
    "nr_nodes",
    "2",
};
static const char *const software[] = {
    "product_version",
    "8.3.0",
    "product_version_text",
    "8.3",
    "product_brand",
    "XCP-ng",
    "platform_name",
    "XCP",
    "platform_version",
    "3.4.0",
    "build_number",
    "cloud",
    "xapi",
    "24.19",
    "xapi_build",
    "24.19.2",
    "git_id",
    "0",
    "db_schema",
    "5.780",
    "network_backend",
    "openvswitch",
    "hostname",
    "localhost",
    "date",
    "2024-10-07",
};

void vt_sim_generate_pool(struct vt_sim_pool *pool, const char *name)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *self = vt_sim_add(db, VT_SIM_pool);
    struct vt_sim_object *network = vt_sim_add(db, VT_SIM_network);
    struct vt_sim_object *sm = vt_sim_add(db, VT_SIM_SM);

    pool->self = self->id;
    vt_sim_set_text(db, self, VT_pool_name_label, name);
    set_map(db, self, VT_pool_cpu_info, cpu_common, (uint32_t)VT_COUNT(cpu_common));
    vt_sim_set_bool(db, self, VT_pool_tls_verification_enabled, true);
    SET_MAP(db, self, VT_pool_restrictions, "restrict_pooling", "false");
    vt_sim_set_text(db, network, VT_network_name_label, "Pool-wide network associated with eth0");
    vt_sim_set_text(db, network, VT_network_bridge, "xenbr0");
    vt_sim_set_int(db, network, VT_network_MTU, 1500);
    vt_sim_set_bool(db, network, VT_network_managed, true);
    vt_sim_set_text(db, network, VT_network_default_locking_mode, "unlocked");
    vt_sim_set_text(db, sm, VT_SM_name_label, "NFS VHD");
    vt_sim_set_text(db, sm, VT_SM_type, "nfs");
    SET_MAP(db, sm, VT_SM_features, "SR_UPDATE", "1", "VDI_SNAPSHOT", "1", "VDI_CLONE", "1");
}

static void make_pif(struct vt_sim_pool *pool, struct vt_sim_object *host,
                     const struct vt_sim_machine *machine)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *pif = vt_sim_add(db, VT_SIM_PIF);
    struct vt_sim_object *metrics = vt_sim_add(db, VT_SIM_PIF_metrics);
    struct vt_sim_object *network = db->rows[VT_SIM_network].oldest;
    char mac[24];

    snprintf(mac, sizeof mac, "00:16:3e:00:%02x:01", machine->index);
    vt_sim_set_text(db, pif, VT_PIF_device, "eth0");
    vt_sim_set_ref(db, pif, VT_PIF_network, network->id);
    vt_sim_set_ref(db, pif, VT_PIF_host, host->id);
    vt_sim_set_ref(db, pif, VT_PIF_metrics, metrics->id);
    vt_sim_set_text(db, pif, VT_PIF_MAC, mac);
    vt_sim_set_int(db, pif, VT_PIF_MTU, 1500);
    vt_sim_set_int(db, pif, VT_PIF_VLAN, -1);
    vt_sim_set_bool(db, pif, VT_PIF_physical, true);
    vt_sim_set_bool(db, pif, VT_PIF_managed, true);
    vt_sim_set_bool(db, pif, VT_PIF_currently_attached, true);
    vt_sim_set_bool(db, pif, VT_PIF_management, true);
    vt_sim_set_text(db, pif, VT_PIF_ip_configuration_mode, "Static");
    vt_sim_set_text(db, pif, VT_PIF_ipv6_configuration_mode, "None");
    vt_sim_set_text(db, pif, VT_PIF_primary_address_type, "IPv4");
    vt_sim_set_text(db, pif, VT_PIF_igmp_snooping_status, "unknown");
    vt_sim_set_text(db, pif, VT_PIF_IP, machine->address);
    vt_sim_set_text(db, pif, VT_PIF_netmask, "255.0.0.0");
    vt_sim_set_bool(db, metrics, VT_PIF_metrics_carrier, true);
    vt_sim_set_bool(db, metrics, VT_PIF_metrics_duplex, true);
    vt_sim_set_int(db, metrics, VT_PIF_metrics_speed, 10000);
    vt_sim_set_text(db, metrics, VT_PIF_metrics_device_name, "simulated 10 GbE");
    vt_sim_ids_add(db, network, VT_network_PIFs, pif->id);
    vt_sim_ids_add(db, host, VT_host_PIFs, pif->id);
}

static void make_control_domain(struct vt_sim_pool *pool, struct vt_sim_object *host,
                                const char *host_name)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *vm = vt_sim_add(db, VT_SIM_VM);
    struct vt_sim_object *metrics = vt_sim_add(db, VT_SIM_VM_metrics);
    char name[96];

    snprintf(name, sizeof name, "Control domain on host: %s", host_name);
    vt_sim_set_text(db, vm, VT_VM_name_label, name);
    vt_sim_set_text(db, vm, VT_VM_power_state, "Running");
    vt_sim_set_bool(db, vm, VT_VM_is_control_domain, true);
    vt_sim_set_ref(db, vm, VT_VM_resident_on, host->id);
    vt_sim_set_ref(db, vm, VT_VM_metrics, metrics->id);
    vt_sim_set_int(db, vm, VT_VM_memory_static_max, 4 * GIB);
    vt_sim_set_text(db, vm, VT_VM_domain_type, "pv");
    vt_sim_set_ref(db, host, VT_host_control_domain, vm->id);
    vt_sim_ids_add(db, host, VT_host_resident_VMs, vm->id);
}

static void describe_host(struct vt_sim_pool *pool, struct vt_sim_object *host,
                          const struct vt_sim_machine *machine)
{
    struct vt_sim_db *db = pool->db;
    char started[32];

    snprintf(started, sizeof started, "%lld.", (long long)vt_sim_wall(machine));
    vt_sim_set_text(db, host, VT_host_hostname, vt_sim_text(host, VT_host_name_label));
    vt_sim_set_text(db, host, VT_host_address, machine->address);
    vt_sim_set_bool(db, host, VT_host_enabled, true);
    vt_sim_set_int(db, host, VT_host_API_version_major, 2);
    vt_sim_set_int(db, host, VT_host_API_version_minor, 21);
    vt_sim_set_text(db, host, VT_host_API_version_vendor, "XenSource");
    vt_sim_set_text(db, host, VT_host_edition, "xcp-ng");
    vt_sim_set_text(db, host, VT_host_display, "enabled");
    vt_sim_set_bool(db, host, VT_host_tls_verification_enabled, true);
    set_map(db, host, VT_host_cpu_info, cpu_common, (uint32_t)VT_COUNT(cpu_common));
    set_map(db, host, VT_host_software_version, software, (uint32_t)VT_COUNT(software));
    SET_MAP(db, host, VT_host_other_config, "agent_start_time", started, "boot_time", started);
    SET_MAP(db, host, VT_host_bios_strings, "system-manufacturer", "Vitrine", "system-product-name",
            "poolsim");
    vt_sim_set_texts(
        db, host, VT_host_allowed_operations,
        (const char *const[]){ "provision", "evacuate", "vm_start", "vm_resume", "vm_migrate" }, 5);
    vt_sim_set_texts(db, host, VT_host_capabilities,
                     (const char *const[]){ "xen-3.0-x86_64", "hvm-3.0-x86_64" }, 2);
}

/* Twice what its share of the VMs may take. */
static int64_t host_memory(const struct vt_sim_options *options)
{
    int64_t gib =
        (int64_t)(options->vms / (options->hosts ? options->hosts : 1) + 1) * VM_MEMORY_GIB * 2;

    return (gib > HOST_MEMORY_GIB ? gib : HOST_MEMORY_GIB) * GIB;
}

uint32_t vt_sim_generate_host(struct vt_sim_pool *pool, struct vt_sim_machine *machine,
                              const char *name)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *host = vt_sim_add(db, VT_SIM_host);
    struct vt_sim_object *metrics = vt_sim_add(db, VT_SIM_host_metrics);
    char local[96];

    vt_sim_set_text(db, host, VT_host_name_label, name);
    vt_sim_set_ref(db, host, VT_host_metrics, metrics->id);
    vt_sim_set_int(db, metrics, VT_host_metrics_memory_total, host_memory(&pool->world->options));
    vt_sim_set_bool(db, metrics, VT_host_metrics_live, true);
    vt_sim_set_int(db, metrics, VT_host_metrics_last_updated, vt_sim_wall(machine));
    describe_host(pool, host, machine);
    make_pif(pool, host, machine);
    make_control_domain(pool, host, name);
    snprintf(local, sizeof local, "Local storage on %s", name);
    vt_sim_make_pbd(pool, host, vt_sim_make_sr(pool, local, "ext", false, 500 * GIB));
    return host->id;
}

struct vt_sim_object *vt_sim_make_sr(struct vt_sim_pool *pool, const char *name, const char *type,
                                     bool shared, int64_t size)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *sr = vt_sim_add(db, VT_SIM_SR);

    vt_sim_set_text(db, sr, VT_SR_name_label, name);
    vt_sim_set_text(db, sr, VT_SR_type, type);
    vt_sim_set_text(db, sr, VT_SR_content_type, "user");
    vt_sim_set_bool(db, sr, VT_SR_shared, shared);
    vt_sim_set_int(db, sr, VT_SR_physical_size, size);
    vt_sim_set_texts(db, sr, VT_SR_allowed_operations,
                     (const char *const[]){ "scan", "update", "vdi_create", "vdi_destroy",
                                            "vdi_clone", "vdi_snapshot" },
                     6);
    return sr;
}

void vt_sim_make_pbd(struct vt_sim_pool *pool, struct vt_sim_object *host, struct vt_sim_object *sr)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *pbd = vt_sim_add(db, VT_SIM_PBD);

    vt_sim_set_ref(db, pbd, VT_PBD_host, host->id);
    vt_sim_set_ref(db, pbd, VT_PBD_SR, sr->id);
    vt_sim_set_bool(db, pbd, VT_PBD_currently_attached, true);
    if (vt_sim_is(sr, VT_SR_type, "nfs"))
        SET_MAP(db, pbd, VT_PBD_device_config, "server", "192.0.2.40", "serverpath",
                "/export/images");
    else
        SET_MAP(db, pbd, VT_PBD_device_config, "device", "/dev/sda3");
    vt_sim_ids_add(db, sr, VT_SR_PBDs, pbd->id);
    vt_sim_ids_add(db, host, VT_host_PBDs, pbd->id);
}

struct vt_sim_object *vt_sim_make_vdi(struct vt_sim_pool *pool, struct vt_sim_object *sr,
                                      const char *name, int64_t size)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *vdi = vt_sim_add(db, VT_SIM_VDI);
    bool thick = strncmp(vt_sim_text(sr, VT_SR_type), "lvm", 3) == 0;
    int64_t used = thick ? size : size / 16;

    vt_sim_set_text(db, vdi, VT_VDI_name_label, name);
    vt_sim_set_ref(db, vdi, VT_VDI_SR, sr->id);
    vt_sim_set_int(db, vdi, VT_VDI_virtual_size, size);
    vt_sim_set_int(db, vdi, VT_VDI_physical_utilisation, used);
    vt_sim_set_text(db, vdi, VT_VDI_type, "user");
    vt_sim_set_text(db, vdi, VT_VDI_on_boot, "persist");
    vt_sim_set_bool(db, vdi, VT_VDI_managed, true);
    vt_sim_set_text(db, vdi, VT_VDI_location, vt_sim_text(vdi, VT_VDI_uuid));
    SET_MAP(db, vdi, VT_VDI_sm_config, "vdi_type", "vhd");
    vt_sim_set_texts(db, vdi, VT_VDI_allowed_operations,
                     (const char *const[]){ "snapshot", "clone", "copy", "destroy" }, 4);
    vt_sim_ids_add(db, sr, VT_SR_VDIs, vdi->id);
    vt_sim_sr_take(db, sr, used);
    vt_sim_set_int(db, sr, VT_SR_virtual_allocation,
                   vt_sim_int(sr, VT_SR_virtual_allocation) + size);
    return vdi;
}

struct vt_sim_object *vt_sim_make_vbd(struct vt_sim_pool *pool, struct vt_sim_object *vm,
                                      struct vt_sim_object *vdi)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *vbd = vt_sim_add(db, VT_SIM_VBD);
    const uint32_t *ids = NULL;
    char number[12], device[16];
    uint32_t index = vt_sim_ids(vm, VT_VM_VBDs, &ids);

    snprintf(number, sizeof number, "%u", index);
    snprintf(device, sizeof device, "xvd%c", (char)('a' + index % 26));
    vt_sim_set_ref(db, vbd, VT_VBD_VM, vm->id);
    vt_sim_set_ref(db, vbd, VT_VBD_VDI, vdi->id);
    vt_sim_set_text(db, vbd, VT_VBD_device, device);
    vt_sim_set_text(db, vbd, VT_VBD_userdevice, number);
    vt_sim_set_bool(db, vbd, VT_VBD_bootable, index == 0);
    vt_sim_set_text(db, vbd, VT_VBD_mode, "RW");
    vt_sim_set_text(db, vbd, VT_VBD_type, "Disk");
    vt_sim_ids_add(db, vm, VT_VM_VBDs, vbd->id);
    vt_sim_ids_add(db, vdi, VT_VDI_VBDs, vbd->id);
    return vbd;
}

struct vt_sim_object *vt_sim_make_vif(struct vt_sim_pool *pool, struct vt_sim_object *vm,
                                      struct vt_sim_object *network)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *vif = vt_sim_add(db, VT_SIM_VIF);
    uint32_t number = ++pool->vms_made;
    char mac[24];

    snprintf(mac, sizeof mac, "00:16:3e:%02x:%02x:%02x", 0x40 | (number >> 16 & 0x3f),
             number >> 8 & 0xff, number & 0xff);
    vt_sim_set_text(db, vif, VT_VIF_device, "0");
    vt_sim_set_ref(db, vif, VT_VIF_network, network->id);
    vt_sim_set_ref(db, vif, VT_VIF_VM, vm->id);
    vt_sim_set_text(db, vif, VT_VIF_MAC, mac);
    vt_sim_set_bool(db, vif, VT_VIF_MAC_autogenerated, true);
    vt_sim_set_int(db, vif, VT_VIF_MTU, 1500);
    vt_sim_set_text(db, vif, VT_VIF_locking_mode, "network_default");
    vt_sim_set_text(db, vif, VT_VIF_ipv4_configuration_mode, "None");
    vt_sim_set_text(db, vif, VT_VIF_ipv6_configuration_mode, "None");
    vt_sim_ids_add(db, vm, VT_VM_VIFs, vif->id);
    vt_sim_ids_add(db, network, VT_network_VIFs, vif->id);
    return vif;
}

static void describe_vm(struct vt_sim_db *db, struct vt_sim_object *vm)
{
    vt_sim_set_text(db, vm, VT_VM_power_state, "Halted");
    vt_sim_set_text(db, vm, VT_VM_domain_type, "hvm");
    vt_sim_set_text(db, vm, VT_VM_HVM_boot_policy, "BIOS order");
    vt_sim_set_text(db, vm, VT_VM_actions_after_shutdown, "destroy");
    vt_sim_set_text(db, vm, VT_VM_actions_after_reboot, "restart");
    vt_sim_set_text(db, vm, VT_VM_actions_after_crash, "restart");
    vt_sim_set_real(db, vm, VT_VM_HVM_shadow_multiplier, 1.0);
    vt_sim_set_int(db, vm, VT_VM_domid, -1);
    vt_sim_set_int(db, vm, VT_VM_VCPUs_max, 4);
    vt_sim_set_int(db, vm, VT_VM_VCPUs_at_startup, 4);
    for (int field = VT_VM_memory_static_max; field <= (int)VT_VM_memory_static_min; field++)
        vt_sim_set_int(db, vm, (enum vt_sim_field)field, VM_MEMORY_GIB * GIB);
    SET_MAP(db, vm, VT_VM_platform, "device-model", "qemu-upstream-compat", "secureboot", "false");
    vt_sim_set_int(db, vm, VT_VM_hardware_platform_version, 2);
}

struct vt_sim_object *vt_sim_make_vm(struct vt_sim_pool *pool, const char *name,
                                     struct vt_sim_object *host, struct vt_sim_object *sr,
                                     bool running)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *vm = vt_sim_add(db, VT_SIM_VM);
    struct vt_sim_object *metrics = vt_sim_add(db, VT_SIM_VM_metrics);
    struct vt_sim_object *network = db->rows[VT_SIM_network].oldest;
    char disk[160];

    vt_sim_set_text(db, vm, VT_VM_name_label, name);
    vt_sim_set_ref(db, vm, VT_VM_metrics, metrics->id);
    vt_sim_set_text(db, metrics, VT_VM_metrics_current_domain_type, "hvm");
    vt_sim_set_int(db, metrics, VT_VM_metrics_install_time, vt_sim_pool_wall(pool));
    describe_vm(db, vm);
    snprintf(disk, sizeof disk, "%s disk 0", name);
    vt_sim_make_vbd(pool, vm, vt_sim_make_vdi(pool, sr, disk, DISK_GIB * GIB));
    vt_sim_make_vif(pool, vm, network);
    if (running)
        vt_sim_vm_run(pool, vm, host, false, true);
    else
        vt_sim_vm_allow(pool, vm);
    return vm;
}

static void make_templates(struct vt_sim_pool *pool, struct vt_sim_object *sr)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *installed = vt_sim_make_vm(pool, "Reading workstation", NULL, sr, false);
    struct vt_sim_object *builtin = vt_sim_make_vm(pool, "Windows 11", NULL, sr, false);

    vt_sim_set_bool(db, installed, VT_VM_is_a_template, true);
    vt_sim_set_bool(db, builtin, VT_VM_is_a_template, true);
    vt_sim_set_bool(db, builtin, VT_VM_is_default_template, true);
    vt_sim_vm_allow(pool, installed);
    vt_sim_vm_allow(pool, builtin);
}

/* Two thirds run, spread over the hosts; names ws-0001 ... in the order of creation. */
void vt_sim_generate_vms(struct vt_sim_pool *pool, uint32_t count)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *srs[VT_SIM_VMS_MAX / VMS_PER_SR + 1];
    struct vt_sim_world *world = pool->world;
    uint32_t sr_count = count / VMS_PER_SR + 1;

    for (uint32_t i = 0; i < sr_count; i++) {
        char name[64];
        snprintf(name, sizeof name, i ? "Shared storage %u" : "Shared storage", i + 1);
        srs[i] = vt_sim_make_sr(pool, name, i % 2 ? "lvmoiscsi" : "nfs", true, 40 * TIB);
        for (uint32_t m = 0; m < world->options.hosts; m++)
            vt_sim_make_pbd(pool, vt_sim_get(db, world->machines[m].host), srs[i]);
    }
    struct vt_sim_object *self = vt_sim_get(db, pool->self);
    vt_sim_set_ref(db, self, VT_pool_default_SR, srs[0]->id);
    vt_sim_set_ref(db, self, VT_pool_suspend_image_SR, srs[0]->id);
    make_templates(pool, srs[0]);
    for (uint32_t i = 0; i < count; i++) {
        struct vt_sim_machine *machine = &world->machines[(i + i / 3) % world->options.hosts];
        char name[32];
        snprintf(name, sizeof name, "ws-%04u", i + 1);
        vt_sim_make_vm(pool, name, vt_sim_get(db, machine->host), srs[i / VMS_PER_SR], i % 3 != 2);
    }
}
