/* What the pool has: vm list|show|snapshots, host list|show, sr list|show, pool status. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "cmd/table.h"
#include "cmd/vm_commands.h"
#include "cmd/vm_pool.h"
#include "cmd/vm_rows.h"
#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/driver.h"
#include "hypervisor/pool_service.h"

#define TRUST_WAIT_NS (20 * VT_NS_PER_S)

#define HOSTS                                                                                      \
    (VT_CLASS_BIT(VT_CLASS_POOL) | VT_CLASS_BIT(VT_CLASS_HOST) |                                   \
     VT_CLASS_BIT(VT_CLASS_HOST_METRICS))
#define VMS (HOSTS | VT_CLASS_BIT(VT_CLASS_VM) | VT_CLASS_BIT(VT_CLASS_VM_GUEST_METRICS))
#define STORAGE (HOSTS | VT_CLASS_BIT(VT_CLASS_SR) | VT_CLASS_BIT(VT_CLASS_PBD))

static struct vt_table *open_table(const struct vt_cli *cli, enum vt_layout layout)
{
    const struct vt_table_options options = { .out = cli->out,
                                              .json = cli->options->json,
                                              .layout = layout };

    return vt_table_new(&options);
}

static bool put_row(struct vt_table *table, json_t *row, struct vt_err *err)
{
    bool ok = table && row && vt_table_row(table, row);

    json_decref(row);
    return ok || vt_fail(err, VT_E_NOMEM, "no memory for a row, or standard output is closed");
}

static bool print_sorted(const struct vt_pool *pool, enum vt_class class,
                         json_t *(*row_of)(const struct vt_pool *, const struct vt_object *),
                         struct vt_err *err)
{
    size_t count = 0;
    vt_autofree const struct vt_object **objects = vt_pool_sorted(pool, class, &count, err);
    VT_AUTO(vt_table) table = open_table(pool->cli, VT_LAYOUT_TABLE);

    for (size_t i = 0; objects && i < count; i++)
        if (!put_row(table, row_of(pool, objects[i]), err))
            return false;
    return objects;
}

/* ---- vm list ---- */

static bool print_vms(const struct vt_pool *pool, struct vt_err *err)
{
    const char *network = vt_cli_value(pool->cli, "--network");
    struct vt_vm_filter filter;
    vt_autofree const struct vt_object **vms = NULL;
    size_t count = 0;

    if (!vt_pool_filter(pool, false, &filter, err))
        return false;
    filter.templates = vt_cli_switch(pool->cli, "--templates");
    if (!vt_pool_select(pool, &filter, &vms, &count, err))
        return false;
    VT_AUTO(vt_table) table = open_table(pool->cli, VT_LAYOUT_TABLE);
    for (size_t i = 0; i < count; i++) {
        if (network && strcasecmp(network, vt_vm_network(pool, vms[i])) != 0)
            continue;
        if (!put_row(table, vt_row_of_vm(pool, vms[i], !pool->cli->options->json), err))
            return false;
    }
    return true;
}

typedef bool (*print_fn)(const struct vt_pool *pool, struct vt_err *err);

static int with_pool(struct vt_cli *cli, unsigned classes, print_fn print, struct vt_err *err)
{
    struct vt_pool pool;

    if (vt_pool_open_any(cli, &pool, err) && vt_pool_look(&pool, classes, err))
        print(&pool, err);
    vt_pool_close(&pool);
    return vt_pool_status(err);
}

int vt_cli_vm_list(struct vt_cli *cli, struct vt_err *err)
{
    return with_pool(cli, VMS, print_vms, err);
}

/* ---- vm show ---- */

static void set_text(json_t *row, const char *key, const char *text)
{
    if (text && *text)
        json_object_set_new(row, key, json_string(text));
}

static json_t *list_field(const struct vt_object *object, const char *field)
{
    const char *const *texts = NULL;
    size_t count = vt_object_list(object, field, &texts);
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(texts[i]));
    return list;
}

/* "0 on Imaging, 0a:1b:..., attached" */
static json_t *vifs_of(const struct vt_pool *pool, const struct vt_object *vm)
{
    const char *const *refs = NULL;
    size_t count = vt_object_list(vm, "VIFs", &refs);
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        const struct vt_object *vif = vt_picture_get(pool->picture, refs[i]);
        const struct vt_object *network =
            vif ? vt_picture_follow(pool->picture, vif, "network") : NULL;
        if (vif)
            json_array_append_new(
                list, json_pack("{s:s, s:s, s:s, s:b}", "device", vt_object_text(vif, "device"),
                                "network", network ? vt_object_text(network, "name_label") : "",
                                "mac", vt_object_text(vif, "MAC"), "attached",
                                vt_object_bool(vif, "currently_attached")));
    }
    return list;
}

static json_t *vm_record(const struct vt_pool *pool, const struct vt_object *vm)
{
    const struct vt_object *guest = vt_picture_follow(pool->picture, vm, "guest_metrics");
    const struct vt_object *metrics = vt_picture_follow(pool->picture, vm, "metrics");
    json_t *row = vt_row_of_vm(pool, vm, false);

    set_text(row, "description", vt_object_text(vm, "name_description"));
    json_object_set_new(row, "network", json_string(vt_vm_network(pool, vm)));
    json_object_set_new(row, "memory_bytes", json_integer(vt_object_int(vm, "memory_static_max")));
    json_object_set_new(row, "vcpus", json_integer(vt_object_int(vm, "VCPUs_max")));
    json_object_set_new(row, "tags", list_field(vm, "tags"));
    json_object_set_new(row, "vifs", vifs_of(pool, vm));
    set_text(row, "started", metrics ? vt_object_text(metrics, "start_time") : NULL);
    set_text(row, "os", guest ? vt_object_map(guest, "os_version", "name") : NULL);
    json_object_set_new(row, "guest_tools",
                        json_boolean(guest && vt_object_bool(guest, "PV_drivers_detected")));
    json_object_set_new(row, "allowed_operations", list_field(vm, "allowed_operations"));
    json_object_set_new(row, "operations", list_field(vm, "current_operations"));
    return row;
}

static bool show_vms(const struct vt_pool *pool, struct vt_err *err)
{
    VT_AUTO(vt_table) table = open_table(pool->cli, VT_LAYOUT_RECORD);

    int count = pool->cli->arg_count;
    vt_autofree const struct vt_object **vms =
        vt_pool_find_vms(pool, pool->cli->args, count, err);

    for (int i = 0; vms && i < count; i++)
        if (!put_row(table, vm_record(pool, vms[i]), err))
            return false;
    return vms;
}

int vt_cli_vm_show(struct vt_cli *cli, struct vt_err *err)
{
    return with_pool(cli,
                     VMS | VT_CLASS_BIT(VT_CLASS_VM_METRICS) | VT_CLASS_BIT(VT_CLASS_VIF) |
                         VT_CLASS_BIT(VT_CLASS_NETWORK),
                     show_vms, err);
}

static bool list_snapshots(const struct vt_pool *pool, struct vt_err *err)
{
    struct vt_vm_filter filter;
    vt_autofree const struct vt_object **vms = NULL;
    size_t count = 0;

    if (!vt_pool_filter(pool, false, &filter, err) ||
        !vt_pool_select(pool, &filter, &vms, &count, err))
        return false;
    VT_AUTO(vt_table) table = open_table(pool->cli, VT_LAYOUT_TABLE);
    for (size_t i = 0; i < count; i++) {
        const char *const *refs = NULL;
        size_t snapshots = vt_object_list(vms[i], "snapshots", &refs);
        for (size_t k = 0; k < snapshots; k++) {
            const struct vt_object *snapshot = vt_picture_get(pool->picture, refs[k]);
            if (snapshot && !put_row(table, vt_row_of_snapshot(pool, snapshot), err))
                return false;
        }
    }
    return true;
}

int vt_cli_vm_snapshots(struct vt_cli *cli, struct vt_err *err)
{
    return with_pool(cli, VMS, list_snapshots, err);
}

/* ---- host, sr ---- */

static bool on_host(void *table, json_t *row, struct vt_err *err)
{
    return put_row(table, row, err);
}

static bool list_hosts(const struct vt_pool *pool, struct vt_err *err)
{
    size_t count = 0;
    vt_autofree const struct vt_object **hosts = vt_pool_sorted(pool, VT_CLASS_HOST, &count, err);
    VT_AUTO(vt_table) table = open_table(pool->cli, VT_LAYOUT_TABLE);

    return hosts && vt_rows_of_hosts(pool, hosts, count, on_host, table, err);
}

int vt_cli_host_list(struct vt_cli *cli, struct vt_err *err)
{
    return with_pool(cli, VMS, list_hosts, err);
}

static json_t *running_vms(const struct vt_pool *pool, const struct vt_object *host)
{
    json_t *list = json_array();

    VT_PICTURE_EACH(pool->picture, VT_CLASS_VM, vm)
    if (vt_pool_is_vm(vm) && vt_pool_host_of(pool, vm) == host)
        json_array_append_new(list, json_string(vt_object_text(vm, "name_label")));
    return list;
}

static json_t *pifs_of(const struct vt_pool *pool, const struct vt_object *host)
{
    json_t *list = json_array();

    VT_PICTURE_EACH(pool->picture, VT_CLASS_PIF, pif)
    if (vt_picture_follow(pool->picture, pif, "host") == host)
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:b, s:b}", "device", vt_object_text(pif, "device"),
                            "ip", vt_object_text(pif, "IP"), "mode",
                            vt_object_text(pif, "ip_configuration_mode"), "management",
                            vt_object_bool(pif, "management"), "attached",
                            vt_object_bool(pif, "currently_attached")));
    return list;
}

static json_t *storage_of(const struct vt_pool *pool, const struct vt_object *host)
{
    json_t *list = json_array();

    VT_PICTURE_EACH(pool->picture, VT_CLASS_PBD, pbd)
    {
        const struct vt_object *sr = vt_picture_follow(pool->picture, pbd, "SR");
        if (sr && vt_picture_follow(pool->picture, pbd, "host") == host)
            json_array_append_new(list,
                                  json_pack("{s:s, s:b}", "name", vt_object_text(sr, "name_label"),
                                            "plugged", vt_object_bool(pbd, "currently_attached")));
    }
    return list;
}

/* The hosts that are shown, and the table that their rows go to. */
struct showing {
    const struct vt_pool *pool;
    const struct vt_object **hosts;
    size_t next;
    struct vt_table *table;
};

static bool show_host(void *context, json_t *row, struct vt_err *err)
{
    static const char *const cpu_keys[] = { "vendor", "modelname", "cpu_count" };
    struct showing *showing = context;
    const struct vt_object *host = showing->hosts[showing->next++];

    for (size_t i = 0; i < VT_COUNT(cpu_keys); i++)
        set_text(row, cpu_keys[i], vt_object_map(host, "cpu_info", cpu_keys[i]));
    set_text(row, "product", vt_object_map(host, "software_version", "product_brand"));
    json_object_set_new(row, "running", running_vms(showing->pool, host));
    json_object_set_new(row, "interfaces", pifs_of(showing->pool, host));
    json_object_set_new(row, "storage", storage_of(showing->pool, host));
    return put_row(showing->table, row, err);
}

static bool show_hosts(const struct vt_pool *pool, struct vt_err *err)
{
    size_t count = (size_t)pool->cli->arg_count;
    vt_autofree const struct vt_object **hosts = calloc(count + 1, sizeof *hosts);
    VT_AUTO(vt_table) table = open_table(pool->cli, VT_LAYOUT_RECORD);
    struct showing showing = { pool, hosts, 0, table };

    if (!hosts)
        return vt_fail(err, VT_E_NOMEM, "no memory for a list of hosts");
    for (size_t i = 0; i < count; i++)
        if (!(hosts[i] = vt_pool_find(pool, VT_CLASS_HOST, pool->cli->args[i], err)))
            return false;
    return vt_rows_of_hosts(pool, hosts, count, show_host, &showing, err);
}

int vt_cli_host_show(struct vt_cli *cli, struct vt_err *err)
{
    return with_pool(cli, VMS | STORAGE | VT_CLASS_BIT(VT_CLASS_PIF), show_hosts, err);
}

static bool list_srs(const struct vt_pool *pool, struct vt_err *err)
{
    return print_sorted(pool, VT_CLASS_SR, vt_row_of_sr, err);
}

int vt_cli_sr_list(struct vt_cli *cli, struct vt_err *err)
{
    return with_pool(cli, STORAGE, list_srs, err);
}

static json_t *plugs_of(const struct vt_pool *pool, const struct vt_object *sr)
{
    json_t *list = json_array();

    VT_PICTURE_EACH(pool->picture, VT_CLASS_PBD, pbd)
    {
        const struct vt_object *host = vt_picture_follow(pool->picture, pbd, "host");
        if (host && vt_picture_follow(pool->picture, pbd, "SR") == sr)
            json_array_append_new(list, json_pack("{s:s, s:b}", "host",
                                                  vt_object_text(host, "name_label"), "plugged",
                                                  vt_object_bool(pbd, "currently_attached")));
    }
    return list;
}

static bool show_srs(const struct vt_pool *pool, struct vt_err *err)
{
    VT_AUTO(vt_table) table = open_table(pool->cli, VT_LAYOUT_RECORD);

    for (int i = 0; i < pool->cli->arg_count; i++) {
        const struct vt_object *sr = vt_pool_find(pool, VT_CLASS_SR, pool->cli->args[i], err);
        if (!sr)
            return false;
        const char *const *vdis = NULL;
        json_t *row = vt_row_of_sr(pool, sr);
        set_text(row, "description", vt_object_text(sr, "name_description"));
        json_object_set_new(row, "disks",
                            json_integer((json_int_t)vt_object_list(sr, "VDIs", &vdis)));
        json_object_set_new(row, "longest_chain", json_integer((json_int_t)vt_sr_chain(pool, sr)));
        json_object_set_new(row, "hosts", plugs_of(pool, sr));
        if (!put_row(table, row, err))
            return false;
    }
    return true;
}

int vt_cli_sr_show(struct vt_cli *cli, struct vt_err *err)
{
    return with_pool(cli, STORAGE | VT_CLASS_BIT(VT_CLASS_VDI), show_srs, err);
}

/* ---- pool status ---- */

static void count_vms(const struct vt_pool *pool, json_t *row)
{
    json_int_t all = 0, running = 0, busy = 0;
    const char *const *texts = NULL;

    VT_PICTURE_EACH(pool->picture, VT_CLASS_VM, vm)
    {
        all += vt_pool_is_vm(vm);
        running += vt_pool_is_vm(vm) && strcmp(vt_object_text(vm, "power_state"), "Running") == 0;
        busy += vt_pool_is_vm(vm) && vt_object_list(vm, "current_operations", &texts) > 0;
    }
    json_object_set_new(row, "vms", json_integer(all));
    json_object_set_new(row, "vms_running", json_integer(running));
    json_object_set_new(row, "vms_busy", json_integer(busy));
}

static void count_hosts(const struct vt_pool *pool, json_t *row)
{
    json_int_t all = 0, usable = 0;

    VT_PICTURE_EACH(pool->picture, VT_CLASS_HOST, host)
    {
        const struct vt_object *metrics = vt_picture_follow(pool->picture, host, "metrics");
        all++;
        usable += metrics && vt_object_bool(metrics, "live") && vt_object_bool(host, "enabled");
    }
    json_object_set_new(row, "hosts", json_integer(all));
    json_object_set_new(row, "hosts_usable", json_integer(usable));
}

static bool print_status(const struct vt_pool *pool, struct vt_err *err)
{
    const struct vt_object *self = vt_picture_first(pool->picture, VT_CLASS_POOL);
    const struct vt_object *master = self ? vt_picture_follow(pool->picture, self, "master") : NULL;
    const struct vt_object *sr = self ? vt_picture_follow(pool->picture, self, "default_SR") : NULL;
    VT_AUTO(vt_table) table = open_table(pool->cli, VT_LAYOUT_RECORD);
    char time[VT_CLOCK_TEXT_MAX];

    if (!self)
        return vt_fail(err, VT_E_PROTOCOL, "the server names no pool");
    vt_clock_text(vt_picture_time(pool->picture), time);
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:b, s:b}", "name", vt_object_text(self, "name_label"), "uuid",
        vt_object_text(self, "uuid"), "master", master ? vt_object_text(master, "name_label") : "",
        "address", master ? vt_object_text(master, "address") : "", "default_storage",
        sr ? vt_object_text(sr, "name_label") : "", "ha", vt_object_bool(self, "ha_enabled"),
        "answers", !pool->stale);
    count_hosts(pool, row);
    count_vms(pool, row);
    json_object_set_new(row, "tasks",
                        json_integer((json_int_t)vt_picture_count(pool->picture, VT_CLASS_TASK)));
    json_object_set_new(row, "as_of", json_string(time));
    return put_row(table, row, err);
}

/* The next use of the address learns the key that it shows. */
static bool trust_anew(struct vt_pool *pool, const char *address, struct vt_err *err)
{
    if (pool->cli->call && vt_call_is_console(pool->cli->call))
        return vt_fail(err, VT_E_DENIED, "--trust is not for the console: ask an administrator");
    if (!pool->xapi)
        return vt_fail(err, VT_E_UNSUPPORTED, "the driver %s has no certificates",
                       pool->driver->name);
    if (!vt_xapi_forget_pin(pool->xapi, address, err))
        return false;
    return !pool->keeper || vt_keeper_again(pool->keeper, vt_clock_mono() + TRUST_WAIT_NS);
}

int vt_cli_pool_status(struct vt_cli *cli, struct vt_err *err)
{
    const char *trust = vt_cli_value(cli, "--trust");
    struct vt_pool pool;

    if (vt_pool_open_any(cli, &pool, err) && (!trust || trust_anew(&pool, trust, err)) &&
        vt_pool_look(&pool, VMS | STORAGE | VT_CLASS_BIT(VT_CLASS_TASK), err) &&
        print_status(&pool, err) && pool.stale)
        vt_fail(err, VT_E_REFUSED,
                "no master answers: 'vitrine pool emergency' tells what can be done");
    vt_pool_close(&pool);
    return vt_pool_status(err);
}
