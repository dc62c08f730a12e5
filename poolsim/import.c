#include "poolsim/import.h"

#include <stdlib.h>

#include "poolsim/mem.h"
#include "poolsim/sim.h"

static const enum vt_sim_class moved[] = {
    VT_SIM_host, VT_SIM_host_metrics, VT_SIM_host_cpu, VT_SIM_VM,          VT_SIM_VM_metrics,
    VT_SIM_VIF,  VT_SIM_network,      VT_SIM_PIF,      VT_SIM_PIF_metrics, VT_SIM_Bond,
    VT_SIM_VLAN, VT_SIM_SR,           VT_SIM_PBD,      VT_SIM_VBD,         VT_SIM_VDI,
};

static struct vt_sim_object *network_with_bridge(struct vt_sim_db *db,
                                                 const struct vt_sim_object *like)
{
    VT_SIM_EACH(db, VT_SIM_network, network)
    if (vt_sim_is(network, VT_network_bridge, vt_sim_text(like, VT_network_bridge)))
        return network;
    return NULL;
}

/* References of the copy, from the old database's ids to the new one's; what did not move becomes
 * null. */
static void remap(struct vt_sim_db *db, struct vt_sim_object *object,
                  const struct vt_sim_object *old, const uint32_t *map)
{
    const struct vt_sim_class_info *info = &vt_sim_classes[object->class];

    for (uint32_t i = 0; i < info->count; i++) {
        enum vt_sim_field field = (enum vt_sim_field)((uint32_t)info->first + i);
        const uint32_t *ids = NULL;
        if (vt_sim_fields[field].kind == VT_SIM_REF)
            vt_sim_set_ref(db, object, field, map[vt_sim_ref(old, field)]);
        if (vt_sim_fields[field].kind != VT_SIM_REFS)
            continue;
        while (vt_sim_ids(object, field, &ids) > 0)
            vt_sim_ids_remove(db, object, field, ids[0]);
        uint32_t count = vt_sim_ids(old, field, &ids);
        for (uint32_t k = 0; k < count; k++)
            if (map[ids[k]])
                vt_sim_ids_add(db, object, field, map[ids[k]]);
    }
}

/* The network that was there already gets the new members. */
static void join_network(struct vt_sim_db *db, struct vt_sim_object *network,
                         const struct vt_sim_object *old, const uint32_t *map)
{
    static const enum vt_sim_field lists[] = { VT_network_VIFs, VT_network_PIFs };

    for (size_t i = 0; i < VT_COUNT(lists); i++) {
        const uint32_t *ids = NULL;
        uint32_t count = vt_sim_ids(old, lists[i], &ids);
        for (uint32_t k = 0; k < count; k++)
            if (map[ids[k]])
                vt_sim_ids_add(db, network, lists[i], map[ids[k]]);
    }
}

uint32_t vt_sim_import(struct vt_sim_pool *to, struct vt_sim_pool *from, uint32_t host)
{
    uint32_t *map = vt_sim_alloc(from->db->next_id * sizeof *map);

    for (size_t c = 0; c < VT_COUNT(moved); c++) {
        VT_SIM_EACH(from->db, moved[c], old)
        {
            struct vt_sim_object *there =
                moved[c] == VT_SIM_network ? network_with_bridge(to->db, old) : NULL;
            struct vt_sim_object *copy = there ? there : vt_sim_add(to->db, moved[c]);
            enum vt_sim_field uuid = vt_sim_classes[moved[c]].first;
            map[old->id] = copy->id;
            if (!there)
                vt_sim_set_text(to->db, copy, uuid, vt_sim_text(old, uuid));
        }
    }
    for (size_t c = 0; c < VT_COUNT(moved); c++) {
        VT_SIM_EACH(from->db, moved[c], old)
        {
            struct vt_sim_object *copy = vt_sim_get(to->db, map[old->id]);
            bool was_there = moved[c] == VT_SIM_network &&
                             !vt_sim_is(copy, VT_network_uuid, vt_sim_text(old, VT_network_uuid));
            if (was_there) {
                join_network(to->db, copy, old, map);
                continue;
            }
            vt_sim_copy_values(to->db, copy, old);
            remap(to->db, copy, old, map);
        }
    }
    uint32_t moved_host = map[host];
    free(map);
    return moved_host;
}
