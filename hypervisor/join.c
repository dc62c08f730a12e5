/* From records to facts. */
#include "hypervisor/join.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"

enum { SERVER_TIME_NS = 500000000 /* the server tells whole seconds */, UPDATES_MAX = 256 };

struct looking {
    struct vt_xapi *xapi;
    struct vt_line *line;
    struct vt_join_facts *out;
    struct vt_err *err;
    const char *host; /* reference of the master */
};

typedef const struct vt_xmlrpc_value value;

static const char *text_of(value *record, const char *name)
{
    return vt_xmlrpc_text(vt_xmlrpc_member(record, name), "");
}

static bool flag_of(value *record, const char *name)
{
    return vt_xmlrpc_bool(vt_xmlrpc_member(record, name), false);
}

static size_t size_of(value *record, const char *name)
{
    size_t count = 0;

    for (value *item = vt_xmlrpc_first(vt_xmlrpc_member(record, name)); item; item = item->next)
        count++;
    return count;
}

#define TAKE(field, text) snprintf((field), sizeof(field), "%s", (text))

/* A record's reference may be null, or empty, for "none". */
static bool refers(value *record, const char *name)
{
    return !vt_xapi_ref_is_null(text_of(record, name));
}

static bool get_records(struct looking *look, struct vt_xapi_reply *reply, const char *class)
{
    char method[64];

    snprintf(method, sizeof method, "%s.get_all_records", class);
    if (vt_xapi_call(look->xapi, look->line, reply, look->err, method, ""))
        return true;
    if (strcmp(look->err->xapi_code, "MESSAGE_METHOD_UNKNOWN") != 0)
        return false;
    vt_err_clear(look->err);
    return true;
}

static void add_name(size_t *count, char names[static VT_JOIN_NAMES_MAX], const char *name)
{
    size_t used = strlen(names);

    (*count)++;
    if (used + 1 < VT_JOIN_NAMES_MAX)
        snprintf(names + used, VT_JOIN_NAMES_MAX - used, "%s%s", used ? ", " : "", name);
}

/* ---- the pool and its master ---- */

static void take_pool(value *pool, struct vt_join_facts *out)
{
    value *operations = vt_xmlrpc_member(pool, "current_operations");

    TAKE(out->pool_uuid, text_of(pool, "uuid"));
    out->ha_enabled = flag_of(pool, "ha_enabled");
    out->tls_verification = flag_of(pool, "tls_verification_enabled");
    out->restrict_pooling =
        strcmp(text_of(vt_xmlrpc_member(pool, "restrictions"), "restrict_pooling"), "true") == 0;
    for (value *item = vt_xmlrpc_first(operations); item; item = item->next) {
        out->pool_operations++;
        out->updating |= strcmp(vt_xmlrpc_text(item, ""), "apply_updates") == 0;
    }
}

static void take_cpu(value *cpu, struct vt_join_facts *out)
{
    value *features = vt_xmlrpc_member(cpu, "features_hvm_host");

    TAKE(out->cpu_vendor, text_of(cpu, "vendor"));
    TAKE(out->cpu_modelname, text_of(cpu, "modelname"));
    TAKE(out->cpu_family, text_of(cpu, "family"));
    TAKE(out->cpu_model, text_of(cpu, "model"));
    TAKE(out->cpu_stepping, text_of(cpu, "stepping"));
    TAKE(out->cpu_features,
         vt_xmlrpc_text(features ? features : vt_xmlrpc_member(cpu, "features"), ""));
}

static void take_software(value *software, struct vt_join_facts *out)
{
    TAKE(out->brand, text_of(software, "product_brand"));
    TAKE(out->platform_name, text_of(software, "platform_name"));
    TAKE(out->platform_version, text_of(software, "platform_version"));
    TAKE(out->xapi, text_of(software, "xapi"));
    TAKE(out->git_id, text_of(software, "git_id"));
    TAKE(out->db_schema, text_of(software, "db_schema"));
    TAKE(out->network_backend, text_of(software, "network_backend"));
}

static void take_host(value *host, struct vt_join_facts *out)
{
    TAKE(out->name, text_of(host, "name_label"));
    TAKE(out->address, text_of(host, "address"));
    TAKE(out->host_uuid, text_of(host, "uuid"));
    TAKE(out->auth_type, text_of(host, "external_auth_type"));
    TAKE(out->auth_name, text_of(host, "external_auth_service_name"));
    TAKE(out->edition, text_of(host, "edition"));
    out->api_major = vt_xmlrpc_int(vt_xmlrpc_member(host, "API_version_major"), 0);
    out->api_minor = vt_xmlrpc_int(vt_xmlrpc_member(host, "API_version_minor"), 0);
    out->pending_guidances = size_of(host, "pending_guidances");
    take_cpu(vt_xmlrpc_member(host, "cpu_info"), out);
    take_software(vt_xmlrpc_member(host, "software_version"), out);
}

/* ---- networks ---- */

static void take_management(value *pif, struct vt_join_facts *out)
{
    out->management_known = true;
    out->management_physical = flag_of(pif, "physical");
    out->management_bonded = refers(pif, "bond_slave_of") || size_of(pif, "bond_master_of") > 0;
    out->management_vlan = vt_xmlrpc_int(vt_xmlrpc_member(pif, "VLAN"), -1);
    TAKE(out->management_device, text_of(pif, "device"));
    TAKE(out->ip_mode, text_of(pif, "ip_configuration_mode"));
    TAKE(out->ip, text_of(pif, "IP"));
    TAKE(out->address_type, text_of(pif, "primary_address_type"));
}

static bool look_at_pifs(struct looking *look)
{
    VT_AUTO_REPLY reply = { 0 };
    struct vt_join_facts *out = look->out;

    if (!get_records(look, &reply, "PIF"))
        return false;
    for (value *pif = vt_xmlrpc_first(reply.value); pif; pif = pif->next) {
        bool management = flag_of(pif, "management");
        if (strcmp(text_of(pif, "host"), look->host) != 0)
            continue;
        if (management)
            take_management(pif, out);
        out->tunnels += size_of(pif, "tunnel_access_PIF_of");
        out->sriovs += size_of(pif, "sriov_logical_PIF_of");
        out->other_vlans += !management && vt_xmlrpc_int(vt_xmlrpc_member(pif, "VLAN"), -1) >= 0;
    }
    return true;
}

static bool look_at_networks(struct looking *look)
{
    VT_AUTO_REPLY networks = { 0 }, bonds = { 0 };

    if (!get_records(look, &networks, "network") || !get_records(look, &bonds, "Bond"))
        return false;
    for (value *network = vt_xmlrpc_first(networks.value); network; network = network->next) {
        for (value *purpose = vt_xmlrpc_first(vt_xmlrpc_member(network, "purpose")); purpose;
             purpose = purpose->next) {
            look->out->nbd |= strcmp(vt_xmlrpc_text(purpose, ""), "nbd") == 0;
            look->out->insecure_nbd |= strcmp(vt_xmlrpc_text(purpose, ""), "insecure_nbd") == 0;
        }
    }
    for (value *bond = vt_xmlrpc_first(bonds.value); bond; bond = bond->next)
        look->out->bonds++;
    return true;
}

/* ---- storage, VMs, clustering, time ---- */

static bool look_at_drivers(struct looking *look)
{
    VT_AUTO_REPLY reply = { 0 };
    struct vt_join_facts *out = look->out;

    if (!get_records(look, &reply, "SM"))
        return false;
    for (value *sm = vt_xmlrpc_first(reply.value); sm; sm = sm->next) {
        value *feature = vt_xmlrpc_first(vt_xmlrpc_member(sm, "features"));
        for (; feature && out->driver_count < VT_JOIN_DRIVERS_MAX; feature = feature->next) {
            struct vt_join_driver *driver = &out->drivers[out->driver_count++];
            TAKE(driver->type, text_of(sm, "type"));
            TAKE(driver->feature, feature->name ? feature->name : "");
            driver->version = vt_xmlrpc_int(feature, 0);
        }
    }
    return true;
}

static bool look_at_storage(struct looking *look)
{
    VT_AUTO_REPLY reply = { 0 };

    if (!get_records(look, &reply, "SR"))
        return false;
    for (value *sr = vt_xmlrpc_first(reply.value); sr; sr = sr->next)
        if (flag_of(sr, "shared") && !flag_of(sr, "is_tools_sr"))
            add_name(&look->out->shared_srs, look->out->shared_sr_names, text_of(sr, "name_label"));
    return true;
}

static bool look_at_vms(struct looking *look)
{
    VT_AUTO_REPLY reply = { 0 };
    struct vt_join_facts *out = look->out;

    if (!get_records(look, &reply, "VM"))
        return false;
    for (value *vm = vt_xmlrpc_first(reply.value); vm; vm = vm->next) {
        const char *state = text_of(vm, "power_state"), *name = text_of(vm, "name_label");
        if (size_of(vm, "current_operations") > 0)
            add_name(&out->busy_vms, out->busy_names, name);
        if (flag_of(vm, "is_control_domain") || flag_of(vm, "is_a_template") ||
            flag_of(vm, "is_a_snapshot"))
            continue;
        if (strcmp(state, "Running") == 0)
            add_name(&out->running_vms, out->running_names, name);
        else if (strcmp(state, "Halted") != 0)
            add_name(&out->stopped_vms, out->stopped_names, name);
    }
    return true;
}

static bool look_at_clusters(struct looking *look)
{
    VT_AUTO_REPLY reply = { 0 };

    if (!get_records(look, &reply, "Cluster_host"))
        return false;
    look->out->clustered = vt_xmlrpc_first(reply.value);
    return true;
}

static bool look_at_sdn(struct looking *look)
{
    VT_AUTO_REPLY reply = { 0 };

    if (!get_records(look, &reply, "SDN_controller"))
        return false;
    value *sdn = vt_xmlrpc_first(reply.value);
    if (sdn)
        snprintf(look->out->sdn, sizeof look->out->sdn, "%s %s:%lld", text_of(sdn, "protocol"),
                 text_of(sdn, "address"),
                 (long long)vt_xmlrpc_int(vt_xmlrpc_member(sdn, "port"), 0));
    return true;
}

static bool look_at_authorities(struct looking *look)
{
    VT_AUTO_REPLY reply = { 0 };
    struct vt_join_facts *out = look->out;

    if (!get_records(look, &reply, "Certificate"))
        return false;
    for (value *item = vt_xmlrpc_first(reply.value); item && out->ca_count < VT_JOIN_CAS_MAX;
         item = item->next) {
        struct vt_join_ca *ca = &out->cas[out->ca_count];
        if (strcmp(text_of(item, "type"), "ca") != 0)
            continue;
        TAKE(ca->name, text_of(item, "name"));
        TAKE(ca->fingerprint, text_of(item, "fingerprint"));
        out->ca_count++;
    }
    return true;
}

static int by_text(const void *a, const void *b)
{
    const char *const *one = a, *const *other = b;

    return strcmp(*one, *other);
}

/* The updates of the host that must be the same on all, by name. */
static bool look_at_updates(struct looking *look)
{
    VT_AUTO_REPLY reply = { 0 };
    const char *names[UPDATES_MAX];
    size_t count = 0, used = 0;

    if (!get_records(look, &reply, "pool_update"))
        return false;
    for (value *update = vt_xmlrpc_first(reply.value); update; update = update->next) {
        bool here = false;
        for (value *host = vt_xmlrpc_first(vt_xmlrpc_member(update, "hosts")); host;
             host = host->next)
            here |= strcmp(vt_xmlrpc_text(host, ""), look->host) == 0;
        if (here && flag_of(update, "enforce_homogeneity") && count < UPDATES_MAX)
            names[count++] = text_of(update, "name_label");
    }
    qsort(names, count, sizeof *names, by_text);
    for (size_t i = 0; i < count && used + 1 < sizeof look->out->updates; i++)
        used += (size_t)snprintf(look->out->updates + used, sizeof look->out->updates - used,
                                 "%s%s", i ? " " : "", names[i]);
    return true;
}

/* The server's clock between two looks at ours. */
static bool look_at_clock(struct looking *look)
{
    VT_AUTO_REPLY reply = { 0 };
    int64_t before = vt_clock_wall(), seconds = 0;

    if (!vt_xapi_call(look->xapi, look->line, &reply, look->err, "host.get_servertime", "s",
                      look->host))
        return false;
    int64_t after = vt_clock_wall();
    if (!vt_xmlrpc_get_time(reply.value, &seconds))
        return vt_fail(look->err, VT_E_PROTOCOL, "the server's time cannot be read");
    look->out->clock_offset_ns =
        seconds * VT_NS_PER_S + SERVER_TIME_NS - (before + (after - before) / 2);
    look->out->clock_error_ns = (after - before) / 2 + SERVER_TIME_NS;
    return true;
}

static bool look_at_hosts(struct looking *look, struct vt_xapi_reply *hosts)
{
    if (!get_records(look, hosts, "host"))
        return false;
    for (value *host = vt_xmlrpc_first(hosts->value); host; host = host->next) {
        look->out->host_count++;
        if (host->name && strcmp(host->name, look->host) == 0)
            take_host(host, look->out);
    }
    return true;
}

bool vt_join_look(struct vt_xapi *xapi, struct vt_line *line, const char *address, bool joiner,
                  struct vt_join_facts *out, struct vt_err *err)
{
    struct looking look = { .xapi = xapi, .line = line, .out = out, .err = err };
    char master[VT_XAPI_ADDRESS_MAX];
    VT_AUTO_REPLY pools = { 0 }, hosts = { 0 };

    *out = (struct vt_join_facts){ .management_vlan = -1 };
    if (!get_records(&look, &pools, "pool"))
        return false;
    value *pool = vt_xmlrpc_first(pools.value);
    vt_xapi_master(xapi, master);
    if (strcmp(master, address) != 0)
        TAKE(out->slave_of, master);
    look.host = text_of(pool, "master");
    take_pool(pool, out);
    if (!look_at_hosts(&look, &hosts) || !look_at_clock(&look) || !look_at_pifs(&look) ||
        !look_at_networks(&look) || !look_at_drivers(&look) || !look_at_updates(&look) ||
        !look_at_sdn(&look) || !look_at_authorities(&look))
        return false;
    return !joiner || (look_at_storage(&look) && look_at_vms(&look) && look_at_clusters(&look));
}
