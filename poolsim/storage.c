/* Disks and their chains: a snapshot freezes a disk into a hidden base that the disk and its
 * snapshot both grow from; deleting leaves the base until the collector merges it. Space is
 * accounted per storage repository. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "poolsim/mem.h"
#include "poolsim/sim.h"

#define MIB (INT64_C(1) << 20)

enum { LEAF_MIB = 16, COLLECT_MS = 5000 };

int64_t vt_sim_sr_free(const struct vt_sim_object *sr)
{
    return vt_sim_int(sr, VT_SR_physical_size) - vt_sim_int(sr, VT_SR_physical_utilisation);
}

void vt_sim_sr_take(struct vt_sim_db *db, struct vt_sim_object *sr, int64_t bytes)
{
    int64_t used = vt_sim_int(sr, VT_SR_physical_utilisation) + bytes;

    vt_sim_set_int(db, sr, VT_SR_physical_utilisation, used > 0 ? used : 0);
}

static struct vt_sim_object *parent_of(const struct vt_sim_db *db, const struct vt_sim_object *vdi)
{
    const char *uuid = vt_sim_map_get(vdi, VT_VDI_sm_config, "vhd-parent");
    const struct vt_sim_object *sr = vt_sim_follow(db, vdi, VT_VDI_SR);
    const uint32_t *ids = NULL;
    uint32_t count = sr && uuid ? vt_sim_ids(sr, VT_SR_VDIs, &ids) : 0;

    for (uint32_t i = 0; i < count; i++) {
        struct vt_sim_object *other = vt_sim_get(db, ids[count - 1 - i]);
        if (other && vt_sim_is(other, VT_VDI_uuid, uuid))
            return other;
    }
    return NULL;
}

uint32_t vt_sim_chain_depth(const struct vt_sim_db *db, const struct vt_sim_object *vdi)
{
    uint32_t depth = 1;

    for (const struct vt_sim_object *up = parent_of(db, vdi); up && depth < 2 * VT_SIM_CHAIN_MAX;
         up = parent_of(db, up))
        depth++;
    return depth;
}

static bool is_thick(const struct vt_sim_object *sr)
{
    return strncmp(vt_sim_text(sr, VT_SR_type), "lvm", 3) == 0;
}

static struct vt_sim_object *make_node(struct vt_sim_pool *pool, struct vt_sim_object *sr,
                                       const struct vt_sim_object *like, int64_t used)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *vdi = vt_sim_add(db, VT_SIM_VDI);
    const uint32_t *ids = NULL;

    vt_sim_copy_values(db, vdi, like);
    while (vt_sim_ids(vdi, VT_VDI_VBDs, &ids) > 0)
        vt_sim_ids_remove(db, vdi, VT_VDI_VBDs, ids[0]);
    while (vt_sim_ids(vdi, VT_VDI_snapshots, &ids) > 0)
        vt_sim_ids_remove(db, vdi, VT_VDI_snapshots, ids[0]);
    vt_sim_set_text(db, vdi, VT_VDI_location, vt_sim_text(vdi, VT_VDI_uuid));
    vt_sim_set_int(db, vdi, VT_VDI_physical_utilisation, used);
    vt_sim_ids_add(db, sr, VT_SR_VDIs, vdi->id);
    vt_sim_sr_take(db, sr, used);
    return vdi;
}

static void set_parent(struct vt_sim_db *db, struct vt_sim_object *vdi, const char *uuid)
{
    if (uuid)
        vt_sim_map_set(db, vdi, VT_VDI_sm_config, "vhd-parent", uuid);
    else
        vt_sim_map_remove(db, vdi, VT_VDI_sm_config, "vhd-parent");
}

/* The disk becomes base + leaf; the second leaf is the snapshot, or the clone. */
struct vt_sim_object *vt_sim_vdi_snapshot(struct vt_sim_pool *pool, struct vt_sim_object *vdi,
                                          bool is_snapshot, struct vt_sim_failure *failure)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *sr = vt_sim_follow(db, vdi, VT_VDI_SR);
    int64_t used = vt_sim_int(vdi, VT_VDI_physical_utilisation);
    int64_t leaf = sr && is_thick(sr) ? vt_sim_int(vdi, VT_VDI_virtual_size) : LEAF_MIB * MIB;

    if (!sr)
        return vt_sim_refuse_storage(failure, 46, "The VDI is not available"), NULL;
    if (vt_sim_chain_depth(db, vdi) >= VT_SIM_CHAIN_MAX)
        return vt_sim_refuse_storage(failure, 109, "The snapshot chain is too long"), NULL;
    if (vt_sim_sr_free(sr) < leaf)
        return vt_sim_refuse_storage(failure, 44, "There is insufficient space"), NULL;
    struct vt_sim_object *base = make_node(pool, sr, vdi, used);
    vt_sim_set_text(db, base, VT_VDI_name_label, "base copy");
    vt_sim_set_bool(db, base, VT_VDI_managed, false);
    vt_sim_set_bool(db, base, VT_VDI_read_only, true);
    vt_sim_set_bool(db, base, VT_VDI_is_a_snapshot, false);
    vt_sim_set_ref(db, base, VT_VDI_snapshot_of, 0);
    vt_sim_sr_take(db, sr, leaf - used);
    vt_sim_set_int(db, vdi, VT_VDI_physical_utilisation, leaf);
    struct vt_sim_object *copy = make_node(pool, sr, vdi, MIB);
    set_parent(db, vdi, vt_sim_text(base, VT_VDI_uuid));
    set_parent(db, copy, vt_sim_text(base, VT_VDI_uuid));
    vt_sim_set_bool(db, copy, VT_VDI_is_a_snapshot, is_snapshot);
    vt_sim_set_ref(db, copy, VT_VDI_snapshot_of, is_snapshot ? vdi->id : 0);
    vt_sim_set_int(db, copy, VT_VDI_snapshot_time, is_snapshot ? vt_sim_pool_wall(pool) : 0);
    if (is_snapshot)
        vt_sim_ids_add(db, vdi, VT_VDI_snapshots, copy->id);
    return copy;
}

static void remove_vdi(struct vt_sim_db *db, struct vt_sim_object *vdi)
{
    struct vt_sim_object *sr = vt_sim_follow(db, vdi, VT_VDI_SR);
    struct vt_sim_object *origin = vt_sim_follow(db, vdi, VT_VDI_snapshot_of);
    const uint32_t *ids = NULL;

    while (vt_sim_ids(vdi, VT_VDI_VBDs, &ids) > 0) {
        struct vt_sim_object *vbd = vt_sim_get(db, ids[0]);
        struct vt_sim_object *vm = vbd ? vt_sim_follow(db, vbd, VT_VBD_VM) : NULL;
        vt_sim_ids_remove(db, vdi, VT_VDI_VBDs, ids[0]);
        if (vm)
            vt_sim_ids_remove(db, vm, VT_VM_VBDs, vbd->id);
        if (vbd)
            vt_sim_remove(db, vbd);
    }
    if (origin)
        vt_sim_ids_remove(db, origin, VT_VDI_snapshots, vdi->id);
    if (sr) {
        vt_sim_ids_remove(db, sr, VT_SR_VDIs, vdi->id);
        vt_sim_sr_take(db, sr, -vt_sim_int(vdi, VT_VDI_physical_utilisation));
    }
    vt_sim_remove(db, vdi);
}

/* The only child of a hidden base, or NULL; *out_count says how many it has. */
static struct vt_sim_object *child_of(struct vt_sim_db *db, const struct vt_sim_object *sr,
                                      const struct vt_sim_object *base, uint32_t *out_count)
{
    const uint32_t *ids = NULL;
    uint32_t count = vt_sim_ids(sr, VT_SR_VDIs, &ids);
    struct vt_sim_object *child = NULL;

    *out_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct vt_sim_object *vdi = vt_sim_get(db, ids[i]);
        const char *uuid = vdi ? vt_sim_map_get(vdi, VT_VDI_sm_config, "vhd-parent") : NULL;
        if (uuid && vt_sim_is(base, VT_VDI_uuid, uuid)) {
            child = vdi;
            ++*out_count;
        }
    }
    return child;
}

/* One merge: a hidden base without children goes, one with a single child is merged into it. */
static bool collect_once(struct vt_sim_db *db, struct vt_sim_object *sr)
{
    const uint32_t *ids = NULL;
    uint32_t count = vt_sim_ids(sr, VT_SR_VDIs, &ids);

    for (uint32_t i = 0; i < count; i++) {
        struct vt_sim_object *base = vt_sim_get(db, ids[i]);
        uint32_t children = 0;
        if (!base || vt_sim_bool(base, VT_VDI_managed))
            continue;
        struct vt_sim_object *child = child_of(db, sr, base, &children);
        if (children > 1)
            continue;
        if (child) {
            int64_t used = vt_sim_int(base, VT_VDI_physical_utilisation);
            set_parent(db, child, vt_sim_map_get(base, VT_VDI_sm_config, "vhd-parent"));
            vt_sim_sr_take(db, sr, used);
            vt_sim_set_int(db, child, VT_VDI_physical_utilisation,
                           vt_sim_int(child, VT_VDI_physical_utilisation) + used);
        }
        remove_vdi(db, base);
        return true;
    }
    return false;
}

struct collect {
    struct vt_sim_pool *pool;
    uint32_t sr;
};

static void collect(struct vt_sim_world *world, void *context)
{
    struct collect *due = context;
    struct vt_sim_object *sr = vt_sim_get(due->pool->db, due->sr);

    (void)world;
    while (sr && collect_once(due->pool->db, sr))
        ;
}

static void collect_later(struct vt_sim_pool *pool, uint32_t sr)
{
    struct collect *due = vt_sim_alloc(sizeof *due);

    *due = (struct collect){ pool, sr };
    vt_sim_after_owned(pool->world, vt_sim_paced(pool->world, COLLECT_MS), collect, due);
}

void vt_sim_vdi_destroy(struct vt_sim_pool *pool, struct vt_sim_object *vdi)
{
    uint32_t sr = vt_sim_ref(vdi, VT_VDI_SR);
    bool in_chain = vt_sim_map_get(vdi, VT_VDI_sm_config, "vhd-parent");

    remove_vdi(pool->db, vdi);
    if (in_chain)
        collect_later(pool, sr);
}

/* ---- calls ---- */

static bool vdi_destroy(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vdi = vt_sim_arg_object(call, 0, VT_SIM_VDI, failure);
    const uint32_t *ids = NULL;

    if (!vdi)
        return false;
    uint32_t count = vt_sim_ids(vdi, VT_VDI_VBDs, &ids);
    for (uint32_t i = 0; i < count; i++) {
        const struct vt_sim_object *vbd = vt_sim_get(call->db, ids[i]);
        if (vbd && vt_sim_bool(vbd, VT_VBD_currently_attached))
            return vt_sim_refuse(failure, "VDI_IN_USE", vt_sim_arg(call, 0), "destroy", NULL);
    }
    vt_sim_vdi_destroy(call->pool, vdi);
    return true;
}

static bool vdi_snapshot(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vdi = vt_sim_arg_object(call, 0, VT_SIM_VDI, failure);
    bool is_snapshot = strcmp(call->method, "VDI.snapshot") == 0;
    struct vt_sim_object *copy =
        vdi ? vt_sim_vdi_snapshot(call->pool, vdi, is_snapshot, failure) : NULL;

    if (copy)
        vt_sim_put_ref(&call->writer, call->db, copy->id);
    return copy;
}

static bool finish_scan(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_object *sr = vt_sim_get(job->pool->db, job->object);

    (void)failure;
    if (sr)
        vt_sim_touch(job->pool->db, sr);
    return true;
}

static bool sr_scan(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *sr = vt_sim_arg_object(call, 0, VT_SIM_SR, failure);
    const uint32_t *ids = NULL;

    if (!sr)
        return false;
    uint32_t count = vt_sim_ids(sr, VT_SR_PBDs, &ids);
    for (uint32_t i = 0; i < count; i++) {
        const struct vt_sim_object *pbd = vt_sim_get(call->db, ids[i]);
        if (pbd && vt_sim_bool(pbd, VT_PBD_currently_attached)) {
            vt_sim_job_start(call, sr, strcmp(call->method, "SR.scan") == 0 ? "scan" : "update",
                             500, finish_scan);
            return true;
        }
    }
    return vt_sim_refuse(failure, "SR_HAS_NO_PBDS", vt_sim_arg(call, 0), NULL);
}

static bool in_use_on(const struct vt_sim_db *db, const struct vt_sim_object *pbd)
{
    VT_SIM_EACH(db, VT_SIM_VBD, vbd)
    {
        const struct vt_sim_object *vdi = vt_sim_follow(db, vbd, VT_VBD_VDI);
        const struct vt_sim_object *vm = vt_sim_follow(db, vbd, VT_VBD_VM);
        if (vdi && vm && vt_sim_bool(vbd, VT_VBD_currently_attached) &&
            vt_sim_ref(vdi, VT_VDI_SR) == vt_sim_ref(pbd, VT_PBD_SR) &&
            vt_sim_ref(vm, VT_VM_resident_on) == vt_sim_ref(pbd, VT_PBD_host))
            return true;
    }
    return false;
}

static bool pbd_plug(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *pbd = vt_sim_arg_object(call, 0, VT_SIM_PBD, failure);
    bool plug = strcmp(call->method, "PBD.plug") == 0;

    if (!pbd)
        return false;
    if (!plug && in_use_on(call->db, pbd))
        return vt_sim_refuse_storage(failure, 16, "The SR is in use");
    vt_sim_set_bool(call->db, pbd, VT_PBD_currently_attached, plug);
    return true;
}

static bool sr_set_name(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *sr = vt_sim_arg_object(call, 0, VT_SIM_SR, failure);

    if (!sr)
        return false;
    bool label = strcmp(call->method, "SR.set_name_label") == 0;
    vt_sim_set_text(call->db, sr, label ? VT_SR_name_label : VT_SR_name_description,
                    vt_sim_arg(call, 1));
    return true;
}

const struct vt_sim_method vt_sim_storage_methods[] = {
    { "VDI.destroy", 1, 1, 0, vdi_destroy },
    { "VDI.snapshot", 1, 2, 0, vdi_snapshot },
    { "VDI.clone", 1, 2, 0, vdi_snapshot },
    { "SR.scan", 1, 1, 0, sr_scan },
    { "SR.update", 1, 1, 0, sr_scan },
    { "SR.set_name_label", 2, 2, 0, sr_set_name },
    { "SR.set_name_description", 2, 2, 0, sr_set_name },
    { "PBD.plug", 1, 1, 0, pbd_plug },
    { "PBD.unplug", 1, 1, 0, pbd_plug },
    { 0 },
};
