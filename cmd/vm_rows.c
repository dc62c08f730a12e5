/* Rows of the pool's objects. */
#include "cmd/vm_rows.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/vm_pool.h"
#include "core/auto.h"
#include "core/err.h"

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

/* Where it stands in the tree of its VM: behind which snapshot, and whether the VM goes on from it. */
static void add_place(const struct vt_pool *pool, const struct vt_object *snapshot, const struct vt_object *vm, json_t *row)
{
    const struct vt_object *parent = vt_picture_follow(pool->picture, snapshot, "parent");

    json_object_set_new(row, "parent", parent ? json_string(vt_object_text(parent, "uuid")) : json_null());
    json_object_set_new(row, "current", json_boolean(vm && vt_picture_follow(pool->picture, vm, "parent") == snapshot));
}

json_t *vt_row_of_snapshot(const struct vt_pool *pool, const struct vt_object *snapshot)
{
    const struct vt_object *vm = vt_picture_follow(pool->picture, snapshot, "snapshot_of");
    bool memory = strcmp(vt_object_text(snapshot, "power_state"), "Suspended") == 0;
    const char *const *allowed = NULL;
    bool revertible = vt_object_list(snapshot, "allowed_operations", &allowed) == 0 ||
                      vt_object_has(snapshot, "allowed_operations", "revert");

    json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "name", name_of(snapshot), "time",
                            vt_object_text(snapshot, "snapshot_time"), "kind",
                            memory ? "checkpoint" : "snapshot", "vm", name_of(vm), "uuid",
                            vt_object_text(snapshot, "uuid"), "description",
                            vt_object_text(snapshot, "name_description"), "revertible", revertible);
    if (row && pool->cli->options->json)
        add_place(pool, snapshot, vm, row);
    return row;
}

/* ---- hosts ---- */

/* What the VMs of a host take. */
struct use {
    const struct vt_object *host;
    json_int_t vms, memory;
};

static int by_host(const void *a, const void *b)
{
    uintptr_t one = (uintptr_t)((const struct use *)a)->host,
              other = (uintptr_t)((const struct use *)b)->host;

    return (one > other) - (one < other);
}

/* One look at each VM, however many hosts there are. */
static void count_use(const struct vt_pool *pool, struct use *uses, size_t count)
{
    qsort(uses, count, sizeof *uses, by_host);
    VT_PICTURE_EACH(pool->picture, VT_CLASS_VM, vm)
    {
        const struct use key = { .host = vt_pool_host_of(pool, vm) };
        struct use *use = key.host ? bsearch(&key, uses, count, sizeof *uses, by_host) : NULL;
        if (!use)
            continue;
        use->vms += vt_pool_is_vm(vm);
        use->memory += vt_object_int(vm, "memory_static_max");
    }
}

static json_t *row_of_host(const struct vt_pool *pool, const struct use *use)
{
    const struct vt_object *host = use->host;
    const struct vt_object *self = vt_picture_first(pool->picture, VT_CLASS_POOL);
    const struct vt_object *metrics = vt_picture_follow(pool->picture, host, "metrics");
    const struct vt_object *master = self ? vt_picture_follow(pool->picture, self, "master") : NULL;
    json_int_t total = metrics ? vt_object_int(metrics, "memory_total") : 0;
    const char *version = vt_object_map(host, "software_version", "product_version");

    return json_pack(
        "{s:s, s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:s, s:s}", "name", name_of(host), "address",
        vt_object_text(host, "address"), "role", host == master ? "master" : "member", "enabled",
        vt_object_bool(host, "enabled"), "live", metrics && vt_object_bool(metrics, "live"), "vms",
        use->vms, "memory_bytes", total, "memory_free_bytes", total - use->memory, "version", version ? version : "", "uuid",
        vt_object_text(host, "uuid"));
}

bool vt_rows_of_hosts(const struct vt_pool *pool, const struct vt_object *const *hosts,
                      size_t count, bool (*row)(void *context, json_t *row, struct vt_err *err),
                      void *context, struct vt_err *err)
{
    vt_autofree struct use *uses = calloc(count + 1, sizeof *uses);

    for (size_t i = 0; uses && i < count; i++)
        uses[i].host = hosts[i];
    if (uses)
        count_use(pool, uses, count);
    for (size_t i = 0; uses && i < count; i++) {
        const struct use key = { .host = hosts[i] };
        const struct use *use = bsearch(&key, uses, count, sizeof *uses, by_host);
        if (!row(context, row_of_host(pool, use), err))
            return false;
    }
    return uses || vt_fail(err, VT_E_NOMEM, "no memory for a list of hosts");
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

static int by_uuid(const void *a, const void *b)
{
    const struct vt_object *const *one = a, *const *other = b;

    return strcmp(vt_object_text(*one, "uuid"), vt_object_text(*other, "uuid"));
}

static int uuid_to_vdi(const void *uuid, const void *vdi)
{
    return strcmp(uuid, vt_object_text(*(const struct vt_object *const *)vdi, "uuid"));
}

static size_t chain_of(const struct vt_object *vdi, const struct vt_object *const *vdis,
                       size_t count)
{
    size_t depth = 0;

    while (depth < CHAIN_MAX) {
        const char *parent = vt_object_map(vdi, "sm_config", "vhd-parent");
        const struct vt_object *const *found =
            parent ? bsearch(parent, vdis, count, sizeof *vdis, uuid_to_vdi) : NULL;
        if (!found)
            break;
        vdi = *found;
        depth++;
    }
    return depth;
}

/* A disk and what it stands on are on the same storage. Without memory: none. */
size_t vt_sr_chain(const struct vt_pool *pool, const struct vt_object *sr)
{
    const char *const *refs = NULL;
    size_t all = vt_object_list(sr, "VDIs", &refs), count = 0, longest = 0;
    vt_autofree const struct vt_object **vdis = calloc(all + 1, sizeof *vdis);

    for (size_t i = 0; vdis && i < all; i++) {
        const struct vt_object *vdi = vt_picture_get(pool->picture, refs[i]);
        if (vdi)
            vdis[count++] = vdi;
    }
    if (count > 1)
        qsort(vdis, count, sizeof *vdis, by_uuid);
    for (size_t i = 0; i < count; i++) {
        size_t depth = chain_of(vdis[i], vdis, count);
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
