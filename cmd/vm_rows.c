/* Rows of the pool's objects. */
#include "cmd/vm_rows.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "cmd/vm_pool.h"

enum { CHAIN_MAX = 64, SIZE_TEXT = 32 };

static const char *name_of(const struct vt_object *object)
{
    return object ? vt_object_text(object, "name_label") : "";
}

static json_t *name_or_null(const struct vt_object *object)
{
    return object ? json_string(name_of(object)) : json_null();
}

/* ---- VMs ---- */

/* Every key of the guest's networks that ends in an address: "0/ip", "eth0/ipv4/0", "1/ipv6/2". */
static bool is_address_key(const char *key)
{
    const char *slash = strchr(key, '/');

    return slash && (strcmp(slash, "/ip") == 0 || strncmp(slash, "/ipv4/", 6) == 0 ||
                     strncmp(slash, "/ipv6/", 6) == 0);
}

static bool has_text(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
            return true;
    return false;
}

static json_t *addresses_of(const struct vt_pool *pool, const struct vt_object *vm)
{
    const struct vt_object *guest = vt_picture_follow(pool->picture, vm, "guest_metrics");
    const char *const *texts = NULL;
    size_t count = guest ? vt_object_list(guest, "networks", &texts) : 0;
    json_t *list = json_array();

    for (size_t i = 0; i + 1 < count; i += 2)
        if (is_address_key(texts[i]) && *texts[i + 1] && !has_text(list, texts[i + 1]))
            json_array_append_new(list, json_string(texts[i + 1]));
    return list;
}

const char *vt_vm_network(const struct vt_pool *pool, const struct vt_object *vm)
{
    const struct vt_object *guest = vt_picture_follow(pool->picture, vm, "guest_metrics");

    if (strcmp(vt_object_text(vm, "power_state"), "Running") != 0)
        return "off";
    json_t *addresses = addresses_of(pool, vm);
    bool some = json_array_size(addresses) > 0;
    json_decref(addresses);
    return some ? "up" : guest ? "down" : "unknown";
}

static json_t *snapshot_uuids(const struct vt_pool *pool, const struct vt_object *vm)
{
    const char *const *refs = NULL;
    size_t count = vt_object_list(vm, "snapshots", &refs);
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        const struct vt_object *snapshot = vt_picture_get(pool->picture, refs[i]);
        if (snapshot)
            json_array_append_new(list, json_string(vt_object_text(snapshot, "uuid")));
    }
    return list;
}

static json_t *joined(json_t *list)
{
    char text[256] = "";

    for (size_t i = 0; i < json_array_size(list); i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s", used ? " " : "",
                 json_string_value(json_array_get(list, i)));
    }
    json_decref(list);
    return json_string(text);
}

json_t *vt_row_of_vm(const struct vt_pool *pool, const struct vt_object *vm, bool people)
{
    const struct vt_object *host = vt_pool_host_of(pool, vm);
    json_t *addresses = addresses_of(pool, vm), *snapshots = snapshot_uuids(pool, vm);

    if (!people)
        return json_pack("{s:s, s:s, s:o, s:s, s:o, s:o}", "name", name_of(vm), "uuid",
                         vt_object_text(vm, "uuid"), "host", name_or_null(host), "power_state",
                         vt_object_text(vm, "power_state"), "addresses", addresses, "snapshots",
                         snapshots);
    json_t *count = json_integer((json_int_t)json_array_size(snapshots));
    json_decref(snapshots);
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:s}", "name", name_of(vm), "power_state",
                     vt_object_text(vm, "power_state"), "host", name_of(host), "addresses",
                     joined(addresses), "snapshots", count, "uuid", vt_object_text(vm, "uuid"));
}

json_t *vt_row_of_snapshot(const struct vt_pool *pool, const struct vt_object *snapshot)
{
    const struct vt_object *vm = vt_picture_follow(pool->picture, snapshot, "snapshot_of");
    bool memory = strcmp(vt_object_text(snapshot, "power_state"), "Suspended") == 0;

    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "name", name_of(snapshot), "time",
                     vt_object_text(snapshot, "snapshot_time"), "kind",
                     memory ? "checkpoint" : "snapshot", "vm", name_of(vm), "uuid",
                     vt_object_text(snapshot, "uuid"), "description",
                     vt_object_text(snapshot, "name_description"));
}

/* ---- hosts ---- */

static size_t count_running(const struct vt_pool *pool, const struct vt_object *host)
{
    size_t count = 0;

    VT_PICTURE_EACH(pool->picture, VT_CLASS_VM, vm)
    count += vt_pool_is_vm(vm) && vt_pool_host_of(pool, vm) == host;
    return count;
}

static json_int_t memory_free(const struct vt_pool *pool, const struct vt_object *host,
                              json_int_t total)
{
    VT_PICTURE_EACH(pool->picture, VT_CLASS_VM, vm)
    if (vt_pool_host_of(pool, vm) == host)
        total -= vt_object_int(vm, "memory_static_max");
    return total;
}

json_t *vt_row_of_host(const struct vt_pool *pool, const struct vt_object *host)
{
    const struct vt_object *self = vt_picture_first(pool->picture, VT_CLASS_POOL);
    const struct vt_object *metrics = vt_picture_follow(pool->picture, host, "metrics");
    const struct vt_object *master = self ? vt_picture_follow(pool->picture, self, "master") : NULL;
    json_int_t total = metrics ? vt_object_int(metrics, "memory_total") : 0;
    const char *version = vt_object_map(host, "software_version", "product_version");

    return json_pack(
        "{s:s, s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:s, s:s}", "name", name_of(host), "address",
        vt_object_text(host, "address"), "role", host == master ? "master" : "member", "enabled",
        vt_object_bool(host, "enabled"), "live", metrics && vt_object_bool(metrics, "live"), "vms",
        (json_int_t)count_running(pool, host), "memory_bytes", total, "memory_free_bytes",
        memory_free(pool, host, total), "version", version ? version : "", "uuid",
        vt_object_text(host, "uuid"));
}

/* ---- storage ---- */

static size_t plugged_on(const struct vt_pool *pool, const struct vt_object *sr, size_t *out_pbds)
{
    const char *const *refs = NULL;
    size_t count = vt_object_list(sr, "PBDs", &refs), plugged = 0;

    for (size_t i = 0; i < count; i++) {
        const struct vt_object *pbd = vt_picture_get(pool->picture, refs[i]);
        plugged += pbd && vt_object_bool(pbd, "currently_attached");
    }
    *out_pbds = count;
    return plugged;
}

static size_t chain_of(const struct vt_pool *pool, const struct vt_object *vdi)
{
    size_t depth = 0;

    while (vdi && depth < CHAIN_MAX) {
        const char *parent = vt_object_map(vdi, "sm_config", "vhd-parent");
        vdi = parent ? vt_picture_by_uuid(pool->picture, VT_CLASS_VDI, parent) : NULL;
        depth += vdi != NULL;
    }
    return depth;
}

size_t vt_sr_chain(const struct vt_pool *pool, const struct vt_object *sr)
{
    const char *const *refs = NULL;
    size_t count = vt_object_list(sr, "VDIs", &refs), longest = 0;

    for (size_t i = 0; i < count; i++) {
        const struct vt_object *vdi = vt_picture_get(pool->picture, refs[i]);
        size_t depth = vdi ? chain_of(pool, vdi) : 0;
        longest = depth > longest ? depth : longest;
    }
    return longest;
}

json_t *vt_row_of_sr(const struct vt_pool *pool, const struct vt_object *sr)
{
    const struct vt_object *self = vt_picture_first(pool->picture, VT_CLASS_POOL);
    json_int_t size = vt_object_int(sr, "physical_size"),
               used = vt_object_int(sr, "physical_utilisation");
    char plugged[SIZE_TEXT];
    size_t pbds = 0, up = plugged_on(pool, sr, &pbds);

    snprintf(plugged, sizeof plugged, "%zu/%zu", up, pbds);
    return json_pack("{s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:s, s:s}", "name", name_of(sr), "type",
                     vt_object_text(sr, "type"), "shared", vt_object_bool(sr, "shared"), "default",
                     self && vt_picture_follow(pool->picture, self, "default_SR") == sr,
                     "size_bytes", size, "free_bytes", size > used ? size - used : 0,
                     "allocated_bytes", vt_object_int(sr, "virtual_allocation"), "plugged", plugged,
                     "uuid", vt_object_text(sr, "uuid"));
}
