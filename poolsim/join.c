/* Joining: the joining host (J) asks its own daemon to join the pool (P) at an address. The checks
 * stand in a table in the server's order; each looks at both databases, so that what `ctl
 * break-join` changes is what a client sees beforehand. Codes whose cause the simulator does not
 * model are raised by name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "poolsim/mem.h"
#include "poolsim/import.h"
#include "poolsim/sim.h"

struct side {
    struct vt_sim_pool *pool;
    struct vt_sim_db *db;
    struct vt_sim_object *self, *host; /* the pool object; the joining host, or the pool's master */
};

typedef bool (*check_fn)(const struct side *j, const struct side *p,
                         struct vt_sim_failure *failure);
typedef void (*break_fn)(struct side *j);

static bool ha_of_j(const struct side *j, const struct side *p, struct vt_sim_failure *failure)
{
    (void)p;
    return !vt_sim_bool(j->self, VT_pool_ha_enabled) ||
           vt_sim_refuse(failure, "HA_IS_ENABLED", NULL);
}

static bool ha_of_p(const struct side *j, const struct side *p, struct vt_sim_failure *failure)
{
    (void)j;
    return !vt_sim_bool(p->self, VT_pool_ha_enabled) ||
           vt_sim_refuse(failure, "HA_IS_ENABLED", NULL);
}

static void break_ha(struct side *j)
{
    vt_sim_set_bool(j->db, j->self, VT_pool_ha_enabled, true);
}

static bool other_pool(const struct side *j, const struct side *p, struct vt_sim_failure *failure)
{
    if (j->pool == p->pool)
        return vt_sim_refuse(failure, "OPERATION_NOT_ALLOWED",
                             j->host == p->host ? "Host cannot become slave of itself"
                                                : "Host is already part of a pool",
                             NULL);
    return j->db->rows[VT_SIM_host].count == 1 ||
           vt_sim_refuse(failure, "JOINING_HOST_CANNOT_BE_MASTER_OF_OTHER_HOSTS", NULL);
}

static bool no_running_vms(const struct side *j, const struct side *p,
                           struct vt_sim_failure *failure)
{
    (void)p;
    VT_SIM_EACH(j->db, VT_SIM_VM, vm)
    if (vt_sim_vm_is_real(vm) && vt_sim_is(vm, VT_VM_power_state, "Running"))
        return vt_sim_refuse(failure, "JOINING_HOST_CANNOT_HAVE_RUNNING_VMS", NULL);
    return true;
}

static struct vt_sim_object *local_vm(struct side *j)
{
    struct vt_sim_object *vm = vt_sim_by_name(j->db, VT_SIM_VM, "own-vm");

    return vm ? vm
              : vt_sim_make_vm(j->pool, "own-vm", j->host, j->db->rows[VT_SIM_SR].oldest, false);
}

static void break_running(struct side *j)
{
    vt_sim_vm_run(j->pool, local_vm(j), j->host, false, true);
}

static void break_suspended(struct side *j)
{
    vt_sim_vm_stop(j->pool, local_vm(j), "Suspended");
}

static bool no_operations(const struct side *j, const struct side *p,
                          struct vt_sim_failure *failure)
{
    char *const *texts = NULL;

    (void)p;
    VT_SIM_EACH(j->db, VT_SIM_VM, vm)
    if (vt_sim_texts(vm, VT_VM_current_operations, &texts) > 0)
        return vt_sim_refuse(failure, "JOINING_HOST_CANNOT_HAVE_VMS_WITH_CURRENT_OPERATIONS", NULL);
    return true;
}

static void break_operations(struct side *j)
{
    vt_sim_map_set(j->db, local_vm(j), VT_VM_current_operations,
                   "OpaqueRef:7a5c0000-0000-4000-8000-000000000031", "export");
}

static bool no_guidance(const struct side *j, const struct side *p, struct vt_sim_failure *failure)
{
    char *const *texts = NULL;
    char ref[VT_SIM_REF_MAX];

    (void)p;
    vt_sim_ref_text(j->db, j->host->id, ref);
    return vt_sim_texts(j->host, VT_host_pending_guidances, &texts) == 0 ||
           vt_sim_refuse(failure, "HOST_PENDING_MANDATORY_GUIDANCE_NOT_EMPTY", ref, NULL);
}

static void break_guidance(struct side *j)
{
    vt_sim_texts_add(j->db, j->host, VT_host_pending_guidances, "reboot_host");
}

static const char *software(const struct side *side, const char *key)
{
    const char *text = vt_sim_map_get(side->host, VT_host_software_version, key);

    return text ? text : "";
}

static bool same_software(const struct side *j, const struct side *p, const char *key)
{
    return strcmp(software(j, key), software(p, key)) == 0;
}

static bool compatible(const struct side *j, const struct side *p, struct vt_sim_failure *failure)
{
    return same_software(j, p, "platform_name") ||
           vt_sim_refuse(failure, "HOSTS_NOT_COMPATIBLE", NULL);
}

static void break_platform(struct side *j)
{
    vt_sim_map_set(j->db, j->host, VT_host_software_version, "platform_name", "XCP2");
}

static bool same_cpu(const struct side *j, const struct side *p, struct vt_sim_failure *failure)
{
    const char *ours = vt_sim_map_get(j->host, VT_host_cpu_info, "vendor");
    const char *theirs = vt_sim_map_get(p->self, VT_pool_cpu_info, "vendor");

    if (strcmp(ours ? ours : "", theirs ? theirs : "") != 0)
        return vt_sim_refuse(failure, "HOSTS_NOT_HOMOGENEOUS", "CPUs differ", NULL);
    return same_software(j, p, "xapi") ||
           vt_sim_refuse(failure, "HOSTS_NOT_HOMOGENEOUS", "Software version differs", NULL);
}

static void break_cpu_vendor(struct side *j)
{
    vt_sim_map_set(j->db, j->host, VT_host_cpu_info, "vendor", "AuthenticAMD");
    vt_sim_map_set(j->db, j->host, VT_host_cpu_info, "modelname",
                   "AMD EPYC 7313 16-Core Processor");
    vt_sim_map_set(j->db, j->self, VT_pool_cpu_info, "vendor", "AuthenticAMD");
}

/* No rule of today's server: a client that is strict looks by itself. */
static void break_cpu_model(struct side *j)
{
    vt_sim_map_set(j->db, j->host, VT_host_cpu_info, "model", "106");
    vt_sim_map_set(j->db, j->host, VT_host_cpu_info, "modelname",
                   "Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz");
}

static void break_cpu_features(struct side *j)
{
    vt_sim_map_set(j->db, j->host, VT_host_cpu_info, "features_hvm_host",
                   "1fcbfbff-f7fa3223-2d93fbff-00000023");
}

static void break_version(struct side *j)
{
    vt_sim_map_set(j->db, j->host, VT_host_software_version, "xapi", "23.31");
}

static bool no_shared_storage(const struct side *j, const struct side *p,
                              struct vt_sim_failure *failure)
{
    (void)p;
    VT_SIM_EACH(j->db, VT_SIM_SR, sr)
    if (vt_sim_bool(sr, VT_SR_shared) && !vt_sim_bool(sr, VT_SR_is_tools_sr))
        return vt_sim_refuse(failure, "JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS", NULL);
    return true;
}

static void break_storage(struct side *j)
{
    struct vt_sim_object *sr =
        vt_sim_make_sr(j->pool, "Own shared storage", "nfs", true, INT64_C(1) << 40);

    vt_sim_make_pbd(j->pool, j->host, sr);
}

static struct vt_sim_object *management(const struct side *side)
{
    VT_SIM_EACH(side->db, VT_SIM_PIF, pif)
    if (vt_sim_ref(pif, VT_PIF_host) == side->host->id && vt_sim_bool(pif, VT_PIF_management))
        return pif;
    return NULL;
}

static bool no_bonds(const struct side *j, const struct side *p, struct vt_sim_failure *failure)
{
    (void)p;
    return j->db->rows[VT_SIM_Bond].count == 0 ||
           vt_sim_refuse(failure, "POOL_JOINING_HOST_HAS_BONDS", NULL);
}

static void break_bond(struct side *j)
{
    struct vt_sim_object *bond = vt_sim_add(j->db, VT_SIM_Bond), *pif = management(j);

    vt_sim_set_ref(j->db, bond, VT_Bond_master, pif->id);
    vt_sim_set_text(j->db, bond, VT_Bond_mode, "active-backup");
    vt_sim_set_int(j->db, bond, VT_Bond_links_up, 2);
    vt_sim_ids_add(j->db, pif, VT_PIF_bond_master_of, bond->id);
}

static bool no_tunnels(const struct side *j, const struct side *p, struct vt_sim_failure *failure)
{
    const uint32_t *ids = NULL;

    (void)p;
    VT_SIM_EACH(j->db, VT_SIM_PIF, pif)
    {
        if (vt_sim_ids(pif, VT_PIF_tunnel_access_PIF_of, &ids) > 0)
            return vt_sim_refuse(failure, "POOL_JOINING_HOST_HAS_TUNNELS", NULL);
        if (vt_sim_ids(pif, VT_PIF_sriov_logical_PIF_of, &ids) > 0)
            return vt_sim_refuse(failure, "POOL_JOINING_HOST_HAS_NETWORK_SRIOVS", NULL);
    }
    return true;
}

/* Tunnels and SR-IOV networks are no classes here: the reference points at the PIF itself. */
static void break_tunnel(struct side *j)
{
    vt_sim_ids_add(j->db, management(j), VT_PIF_tunnel_access_PIF_of, management(j)->id);
}

static void break_sriov(struct side *j)
{
    vt_sim_ids_add(j->db, management(j), VT_PIF_sriov_logical_PIF_of, management(j)->id);
}

static bool same_vlan(const struct side *j, const struct side *p, struct vt_sim_failure *failure)
{
    const struct vt_sim_object *mine = management(j), *theirs = management(p);
    char my_vlan[24], their_vlan[24];

    if (!mine || !theirs)
        return vt_sim_refuse(failure, "HOST_STILL_BOOTING", NULL);
    VT_SIM_EACH(j->db, VT_SIM_PIF, pif)
    if (vt_sim_int(pif, VT_PIF_VLAN) >= 0 && !vt_sim_bool(pif, VT_PIF_management))
        return vt_sim_refuse(failure, "POOL_JOINING_HOST_HAS_NON_MANAGEMENT_VLANS", NULL);
    snprintf(my_vlan, sizeof my_vlan, "%d", (int)vt_sim_int(mine, VT_PIF_VLAN));
    snprintf(their_vlan, sizeof their_vlan, "%d", (int)vt_sim_int(theirs, VT_PIF_VLAN));
    return strcmp(my_vlan, their_vlan) == 0 ||
           vt_sim_refuse(failure, "POOL_JOINING_HOST_MANAGEMENT_VLAN_DOES_NOT_MATCH", my_vlan,
                         their_vlan, NULL);
}

static void break_vlan(struct side *j)
{
    struct vt_sim_object *pif = vt_sim_add(j->db, VT_SIM_PIF);

    vt_sim_copy_values(j->db, pif, management(j));
    vt_sim_set_bool(j->db, pif, VT_PIF_management, false);
    vt_sim_set_bool(j->db, pif, VT_PIF_physical, false);
    vt_sim_set_int(j->db, pif, VT_PIF_VLAN, 77);
    vt_sim_ids_add(j->db, j->host, VT_host_PIFs, pif->id);
}

static void break_management_vlan(struct side *j)
{
    vt_sim_set_int(j->db, management(j), VT_PIF_VLAN, 40);
}

/* No rule of today's server either. */
static void break_dhcp(struct side *j)
{
    vt_sim_set_text(j->db, management(j), VT_PIF_ip_configuration_mode, "DHCP");
}

static void break_clock(struct side *j)
{
    j->pool->master->clock_offset = 90;
}

static bool same_directory(const struct side *j, const struct side *p,
                           struct vt_sim_failure *failure)
{
    return (vt_sim_is(j->host, VT_host_external_auth_type,
                      vt_sim_text(p->host, VT_host_external_auth_type)) &&
            strcasecmp(vt_sim_text(j->host, VT_host_external_auth_service_name),
                       vt_sim_text(p->host, VT_host_external_auth_service_name)) == 0) ||
           vt_sim_refuse(failure, "POOL_JOINING_EXTERNAL_AUTH_MISMATCH", NULL);
}

static void break_directory(struct side *j)
{
    vt_sim_set_text(j->db, j->host, VT_host_external_auth_type, "AD");
    vt_sim_set_text(j->db, j->host, VT_host_external_auth_service_name, "hospital.example");
}

static bool same_licence(const struct side *j, const struct side *p, struct vt_sim_failure *failure)
{
    const char *restricted = vt_sim_map_get(p->self, VT_pool_restrictions, "restrict_pooling");

    if (restricted && strcmp(restricted, "true") == 0)
        return vt_sim_refuse(failure, "LICENCE_RESTRICTION", "Pooling", NULL);
    return vt_sim_is(j->host, VT_host_edition, vt_sim_text(p->host, VT_host_edition)) ||
           vt_sim_refuse(failure, "LICENSE_HOST_POOL_MISMATCH", NULL);
}

static void break_licence(struct side *j)
{
    vt_sim_set_text(j->db, j->host, VT_host_edition, "free");
}

static bool same_backend(const struct side *j, const struct side *p, struct vt_sim_failure *failure)
{
    return same_software(j, p, "network_backend") ||
           vt_sim_refuse(failure, "OPERATION_NOT_ALLOWED", "Network backends differ", NULL);
}

static void break_backend(struct side *j)
{
    vt_sim_map_set(j->db, j->host, VT_host_software_version, "network_backend", "bridge");
}

static bool same_api(const struct side *j, const struct side *p, struct vt_sim_failure *failure)
{
    char mine[32], theirs[32];

    snprintf(mine, sizeof mine, "%d.%d", (int)vt_sim_int(j->host, VT_host_API_version_major),
             (int)vt_sim_int(j->host, VT_host_API_version_minor));
    snprintf(theirs, sizeof theirs, "%d.%d", (int)vt_sim_int(p->host, VT_host_API_version_major),
             (int)vt_sim_int(p->host, VT_host_API_version_minor));
    if (strcmp(mine, theirs) != 0)
        return vt_sim_refuse(failure, "POOL_JOINING_HOST_MUST_HAVE_SAME_API_VERSION", mine, theirs,
                             NULL);
    return same_software(j, p, "db_schema") ||
           vt_sim_refuse(failure, "POOL_JOINING_HOST_MUST_HAVE_SAME_DB_SCHEMA",
                         software(j, "db_schema"), software(p, "db_schema"), NULL);
}

static void break_api(struct side *j)
{
    vt_sim_set_int(j->db, j->host, VT_host_API_version_minor, 20);
}

static void break_schema(struct side *j)
{
    vt_sim_map_set(j->db, j->host, VT_host_software_version, "db_schema", "5.602");
}

static bool same_address_type(const struct side *j, const struct side *p,
                              struct vt_sim_failure *failure)
{
    return vt_sim_is(management(j), VT_PIF_primary_address_type,
                     vt_sim_text(management(p), VT_PIF_primary_address_type)) ||
           vt_sim_refuse(failure, "OPERATION_NOT_ALLOWED", "Primary address type differs", NULL);
}

static void break_address_type(struct side *j)
{
    vt_sim_set_text(j->db, management(j), VT_PIF_primary_address_type, "IPv6");
}

static bool same_tls(const struct side *j, const struct side *p, struct vt_sim_failure *failure)
{
    return vt_sim_bool(j->self, VT_pool_tls_verification_enabled) ==
               vt_sim_bool(p->self, VT_pool_tls_verification_enabled) ||
           vt_sim_refuse(failure, "POOL_JOINING_HOST_TLS_VERIFICATION_MISMATCH", NULL);
}

static void break_tls(struct side *j)
{
    vt_sim_set_bool(j->db, j->self, VT_pool_tls_verification_enabled, false);
}

static bool not_updating(const struct side *j, const struct side *p, struct vt_sim_failure *failure)
{
    char *const *texts = NULL;

    (void)p;
    return vt_sim_texts(j->self, VT_pool_current_operations, &texts) == 0 ||
           vt_sim_refuse(failure, "NOT_SUPPORTED_DURING_UPGRADE", NULL);
}

static void break_updating(struct side *j)
{
    vt_sim_map_set(j->db, j->self, VT_pool_current_operations,
                   "OpaqueRef:7a5c0000-0000-4000-8000-000000000032", "apply_updates");
}

static bool same_drivers(const struct side *j, const struct side *p, struct vt_sim_failure *failure)
{
    VT_SIM_EACH(p->db, VT_SIM_SM, theirs)
    {
        VT_SIM_EACH(j->db, VT_SIM_SM, mine)
        {
            const char *ours = vt_sim_map_get(mine, VT_SM_features, "VDI_SNAPSHOT");
            const char *wanted = vt_sim_map_get(theirs, VT_SM_features, "VDI_SNAPSHOT");
            char my_ref[VT_SIM_REF_MAX], their_ref[VT_SIM_REF_MAX];
            if (!vt_sim_is(mine, VT_SM_type, vt_sim_text(theirs, VT_SM_type)) || !wanted || ours)
                continue;
            vt_sim_ref_text(p->db, theirs->id, their_ref);
            vt_sim_ref_text(j->db, mine->id, my_ref);
            return vt_sim_refuse(failure, "POOL_JOINING_SM_FEATURES_INCOMPATIBLE", their_ref,
                                 my_ref, NULL);
        }
    }
    return true;
}

static void break_drivers(struct side *j)
{
    vt_sim_map_remove(j->db, j->db->rows[VT_SIM_SM].oldest, VT_SM_features, "VDI_SNAPSHOT");
}

/* In the server's order. A check without a word is broken by the word of another line, or on the
 * pool's side. */
static const struct rule {
    const char *word;
    check_fn check;
    break_fn make_fail;
    bool skipped_by_force;
} rules[] = {
    { "ha", ha_of_j, break_ha, false },
    { NULL, ha_of_p, NULL, false },
    { NULL, other_pool, NULL, false },
    { "running-vm", no_running_vms, break_running, false },
    { "suspended-vm", NULL, break_suspended, false },
    { "operation", no_operations, break_operations, false },
    { "guidance", no_guidance, break_guidance, false },
    { "platform", compatible, break_platform, false },
    { "cpu-vendor", same_cpu, break_cpu_vendor, true },
    { "cpu-model", NULL, break_cpu_model, false },
    { "cpu-features", NULL, break_cpu_features, false },
    { "version", NULL, break_version, false },
    { "shared-storage", no_shared_storage, break_storage, false },
    { "bond", no_bonds, break_bond, false },
    { "tunnel", no_tunnels, break_tunnel, false },
    { "sriov", NULL, break_sriov, false },
    { "vlan", same_vlan, break_vlan, false },
    { "management-vlan", NULL, break_management_vlan, false },
    { "dhcp", NULL, break_dhcp, false },
    { "clock", NULL, break_clock, false },
    { "directory", same_directory, break_directory, false },
    { "licence", same_licence, break_licence, false },
    { "network-backend", same_backend, break_backend, false },
    { "api-version", same_api, break_api, false },
    { "db-schema", NULL, break_schema, false },
    { "address-type", same_address_type, break_address_type, false },
    { "tls", same_tls, break_tls, false },
    { "updating", not_updating, break_updating, false },
    { "sm-features", same_drivers, break_drivers, false },
};

/* Causes that are not modelled, and codes of older servers: raised by name. */
static const char *const raised[] = {
    "JOINING_HOST_CANNOT_HAVE_RUNNING_OR_SUSPENDED_VMS",
    "CLUSTERING_ENABLED",
    "POOL_JOINING_HOST_MUST_HAVE_ONLY_ONE_IP_ON_CLUSTERING_NETWORK",
    "POOL_JOINING_HOST_CANNOT_ENABLE_CLUSTERING_ON_VLAN_NETWORK",
    "LICENCE_RESTRICTION",
    "POOL_JOINING_HOST_CA_CERTIFICATES_CONFLICT",
    "POOL_JOINING_HOST_TRUSTED_CERTIFICATES_CONFLICT",
    "POOL_JOINING_MASTER_CERTIFICATE_NOT_IN_POOL_BUNDLE",
    "JOINING_HOST_SERVICE_FAILED",
    "POOL_JOINING_HOST_MUST_HAVE_PHYSICAL_MANAGEMENT_NIC",
    "POOL_JOINING_HOST_MUST_ONLY_HAVE_PHYSICAL_PIFS",
    "POOL_JOINING_HOST_MUST_HAVE_SAME_PRODUCT_VERSION",
};

static struct side side_of(struct vt_sim_pool *pool)
{
    return (struct side){ pool, pool->db, vt_sim_get(pool->db, pool->self),
                          vt_sim_get(pool->db, pool->master->host) };
}

const char *vt_sim_join_rule(uint32_t index)
{
    for (size_t i = 0; i < VT_COUNT(rules); i++)
        if (rules[i].word && index-- == 0)
            return rules[i].word;
    return index < VT_COUNT(raised) ? raised[index] : NULL;
}

bool vt_sim_break_join(struct vt_sim_machine *machine, const char *word)
{
    struct side side = side_of(machine->pool);

    for (size_t i = 0; i < VT_COUNT(rules); i++) {
        if (rules[i].word && strcmp(rules[i].word, word) == 0) {
            rules[i].make_fail(&side);
            return true;
        }
    }
    for (size_t i = 0; i < VT_COUNT(raised); i++) {
        if (strcmp(raised[i], word) == 0) {
            machine->pool->join_fault = raised[i];
            return true;
        }
    }
    return false;
}

static bool finish_join(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_machine *machine = job->pool->master;
    struct vt_sim_machine *master = vt_sim_machine_at(job->pool->world, job->text);

    if (!master || !master->up)
        return vt_sim_refuse(failure, "JOINING_HOST_CONNECTION_FAILED", NULL);
    machine->host = vt_sim_import(master->pool, job->pool, machine->host);
    job->pool->retired = true;
    machine->pool = master->pool;
    snprintf(machine->master_address, sizeof machine->master_address, "%s", master->address);
    vt_sim_waiters_fail(job->pool, "SESSION_INVALID");
    vt_sim_machine_restart(machine, 3000);
    return true;
}

/* What J finds when it logs in at the address it was given. */
static bool reach_master(struct vt_sim_call *call, struct vt_sim_machine **out_master,
                         struct vt_sim_failure *failure)
{
    struct vt_sim_machine *master = vt_sim_machine_at(call->world, vt_sim_arg(call, 0));

    if (!master || !master->up)
        return vt_sim_refuse(failure, "JOINING_HOST_CONNECTION_FAILED", NULL);
    if (strcmp(vt_sim_arg(call, 1), "root") != 0 ||
        strcmp(vt_sim_arg(call, 2), call->world->options.password) != 0)
        return vt_sim_refuse(failure, "SESSION_AUTHENTICATION_FAILED", vt_sim_arg(call, 1),
                             "Authentication failure", NULL);
    if (master->emergency)
        return vt_sim_refuse(failure, master->emergency, NULL);
    if (!vt_sim_is_master(master) && master->pool != call->pool)
        return vt_sim_refuse(failure, "HOST_IS_SLAVE", master->master_address, NULL);
    *out_master = master;
    return true;
}

static bool pool_join(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_machine *master = NULL;
    bool force = strcmp(call->method, "pool.join_force") == 0;

    if (!reach_master(call, &master, failure))
        return false;
    struct side j = side_of(call->pool), p = side_of(master->pool);
    p.host = vt_sim_get(p.db, master->host);
    for (size_t i = 0; i < VT_COUNT(rules); i++)
        if (rules[i].check && !(force && rules[i].skipped_by_force) &&
            !rules[i].check(&j, &p, failure))
            return false;
    if (call->pool->join_fault) {
        const char *code = call->pool->join_fault;
        call->pool->join_fault = NULL;
        return vt_sim_refuse(failure, code, NULL);
    }
    struct vt_sim_job *job = vt_sim_job_start(call, j.self, NULL, 3000, finish_join);
    job->text = vt_sim_copy(vt_sim_arg(call, 0));
    return true;
}

const struct vt_sim_method vt_sim_join_methods[] = {
    { "pool.join", 3, 3, 0, pool_join },
    { "pool.join_force", 3, 3, 0, pool_join },
    { 0 },
};
