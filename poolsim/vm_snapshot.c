/* Copies of VMs: snapshot, checkpoint, revert, clone, copy, provision, destroy. */
#include <stdio.h>
#include <string.h>

#include "poolsim/mem.h"
#include "poolsim/sim.h"

#define GIB (INT64_C(1) << 30)

static void forget_lists(struct vt_sim_db *db, struct vt_sim_object *vm)
{
    static const enum vt_sim_field lists[] = { VT_VM_VBDs, VT_VM_VIFs, VT_VM_consoles,
                                               VT_VM_snapshots, VT_VM_children };
    const uint32_t *ids = NULL;

    for (size_t i = 0; i < VT_COUNT(lists); i++)
        while (vt_sim_ids(vm, lists[i], &ids) > 0)
            vt_sim_ids_remove(db, vm, lists[i], ids[0]);
    vt_sim_set_texts(db, vm, VT_VM_current_operations, NULL, 0);
    vt_sim_set_texts(db, vm, VT_VM_blocked_operations, NULL, 0);
    vt_sim_set_ref(db, vm, VT_VM_guest_metrics, 0);
    vt_sim_set_ref(db, vm, VT_VM_resident_on, 0);
    vt_sim_set_ref(db, vm, VT_VM_suspend_VDI, 0);
    vt_sim_set_int(db, vm, VT_VM_domid, -1);
    vt_sim_set_text(db, vm, VT_VM_power_state, "Halted");
}

static void copy_vifs(struct vt_sim_pool *pool, struct vt_sim_object *to,
                      const struct vt_sim_object *from)
{
    const uint32_t *ids = NULL;
    uint32_t count = vt_sim_ids(from, VT_VM_VIFs, &ids);

    for (uint32_t i = 0; i < count; i++) {
        const struct vt_sim_object *vif = vt_sim_get(pool->db, ids[i]);
        struct vt_sim_object *network = vif ? vt_sim_follow(pool->db, vif, VT_VIF_network) : NULL;
        if (network)
            vt_sim_set_text(pool->db, vt_sim_make_vif(pool, to, network), VT_VIF_device,
                            vt_sim_text(vif, VT_VIF_device));
    }
}

/* Either every disk is copied or the ones that were are taken back. */
static bool copy_disks(struct vt_sim_pool *pool, struct vt_sim_object *to,
                       const struct vt_sim_object *from, bool is_snapshot,
                       struct vt_sim_failure *failure)
{
    struct vt_sim_db *db = pool->db;
    const uint32_t *ids = NULL;
    uint32_t count = vt_sim_ids(from, VT_VM_VBDs, &ids);

    for (uint32_t i = 0; i < count; i++) {
        struct vt_sim_object *vbd = vt_sim_get(db, ids[i]);
        struct vt_sim_object *vdi = vbd ? vt_sim_follow(db, vbd, VT_VBD_VDI) : NULL;
        struct vt_sim_object *copy =
            vdi ? vt_sim_vdi_snapshot(pool, vdi, is_snapshot, failure) : NULL;
        if (vdi && !copy)
            return false;
        if (copy)
            vt_sim_make_vbd(pool, to, copy);
    }
    return true;
}

static void remove_vm(struct vt_sim_pool *pool, struct vt_sim_object *vm, bool with_disks)
{
    struct vt_sim_db *db = pool->db;
    const uint32_t *ids = NULL;
    struct vt_sim_object *origin = vt_sim_follow(db, vm, VT_VM_snapshot_of);
    struct vt_sim_object *metrics = vt_sim_follow(db, vm, VT_VM_metrics);

    while (vt_sim_ids(vm, VT_VM_VBDs, &ids) > 0) {
        struct vt_sim_object *vbd = vt_sim_get(db, ids[0]);
        struct vt_sim_object *vdi = vbd ? vt_sim_follow(db, vbd, VT_VBD_VDI) : NULL;
        vt_sim_ids_remove(db, vm, VT_VM_VBDs, ids[0]);
        if (vdi)
            vt_sim_ids_remove(db, vdi, VT_VDI_VBDs, vbd->id);
        if (vbd)
            vt_sim_remove(db, vbd);
        if (vdi && with_disks)
            vt_sim_vdi_destroy(pool, vdi);
    }
    while (vt_sim_ids(vm, VT_VM_VIFs, &ids) > 0) {
        struct vt_sim_object *vif = vt_sim_get(db, ids[0]);
        struct vt_sim_object *network = vif ? vt_sim_follow(db, vif, VT_VIF_network) : NULL;
        vt_sim_ids_remove(db, vm, VT_VM_VIFs, ids[0]);
        if (network)
            vt_sim_ids_remove(db, network, VT_network_VIFs, vif->id);
        if (vif)
            vt_sim_remove(db, vif);
    }
    if (origin)
        vt_sim_ids_remove(db, origin, VT_VM_snapshots, vm->id);
    if (metrics)
        vt_sim_remove(db, metrics);
    vt_sim_remove(db, vm);
}

/* A VM object like `from` with its own devices; NULL with a failure, nothing left behind. */
static struct vt_sim_object *duplicate(struct vt_sim_pool *pool, const struct vt_sim_object *from,
                                       const char *name, bool is_snapshot,
                                       struct vt_sim_failure *failure)
{
    struct vt_sim_db *db = pool->db;
    struct vt_sim_object *vm = vt_sim_add(db, VT_SIM_VM);
    struct vt_sim_object *metrics = vt_sim_add(db, VT_SIM_VM_metrics);

    vt_sim_copy_values(db, vm, from);
    forget_lists(db, vm);
    vt_sim_set_text(db, vm, VT_VM_name_label, name);
    vt_sim_set_ref(db, vm, VT_VM_metrics, metrics->id);
    vt_sim_set_int(db, metrics, VT_VM_metrics_install_time, vt_sim_pool_wall(pool));
    vt_sim_set_bool(db, vm, VT_VM_is_default_template, false);
    if (!copy_disks(pool, vm, from, is_snapshot, failure)) {
        remove_vm(pool, vm, true);
        return NULL;
    }
    copy_vifs(pool, vm, from);
    return vm;
}

static void mark_snapshot(struct vt_sim_pool *pool, struct vt_sim_object *snapshot,
                          struct vt_sim_object *vm, bool checkpoint, bool running)
{
    struct vt_sim_db *db = pool->db;

    vt_sim_set_bool(db, snapshot, VT_VM_is_a_snapshot, true);
    vt_sim_set_bool(db, snapshot, VT_VM_is_a_template, true);
    vt_sim_set_ref(db, snapshot, VT_VM_snapshot_of, vm->id);
    vt_sim_set_int(db, snapshot, VT_VM_snapshot_time, vt_sim_pool_wall(pool));
    vt_sim_set_ref(db, snapshot, VT_VM_parent, vt_sim_ref(vm, VT_VM_parent));
    vt_sim_set_ref(db, vm, VT_VM_parent, snapshot->id);
    vt_sim_set_texts(
        db, snapshot, VT_VM_snapshot_info,
        (const char *const[]){ "power-state-at-snapshot",
                               running ? "Running" : vt_sim_text(vm, VT_VM_power_state) },
        2);
    vt_sim_ids_add(db, vm, VT_VM_snapshots, snapshot->id);
    if (checkpoint)
        vt_sim_set_text(db, snapshot, VT_VM_power_state, "Suspended");
    vt_sim_vm_allow(pool, snapshot);
}

static struct vt_sim_object *subject(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = vt_sim_get(job->pool->db, job->object);
    char ref[VT_SIM_REF_MAX];

    if (!vm) {
        vt_sim_ref_text(job->pool->db, job->object, ref);
        vt_sim_refuse(failure, "HANDLE_INVALID", "VM", ref, NULL);
    }
    return vm;
}

static bool finish_snapshot(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_pool *pool = job->pool;
    struct vt_sim_object *vm = subject(job, failure);
    struct vt_sim_object *sr =
        vt_sim_follow(pool->db, vt_sim_get(pool->db, pool->self), VT_pool_suspend_image_SR);

    if (!vm)
        return false;
    int64_t memory = vt_sim_int(vm, VT_VM_memory_static_max);
    if (job->flag && (!sr || vt_sim_sr_free(sr) < memory))
        return vt_sim_refuse_storage(failure, 44, "There is insufficient space");
    struct vt_sim_object *snapshot = duplicate(pool, vm, job->text, true, failure);
    if (!snapshot)
        return false;
    if (job->flag) {
        struct vt_sim_object *image = vt_sim_make_vdi(pool, sr, "Suspend image", memory);
        vt_sim_set_text(pool->db, image, VT_VDI_type, "suspend");
        vt_sim_set_ref(pool->db, snapshot, VT_VM_suspend_VDI, image->id);
    }
    mark_snapshot(pool, snapshot, vm, job->flag, job->resumes);
    job->result = snapshot->id;
    vt_sim_message(pool, job->flag ? "VM_CHECKPOINTED" : "VM_SNAPSHOTTED", "VM",
                   vt_sim_text(vm, VT_VM_uuid), "");
    return true;
}

static bool finish_clone(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_pool *pool = job->pool;
    struct vt_sim_object *vm = subject(job, failure);
    struct vt_sim_object *copy = vm ? duplicate(pool, vm, job->text, false, failure) : NULL;

    if (!copy)
        return false;
    vt_sim_set_bool(pool->db, copy, VT_VM_is_a_snapshot, false);
    vt_sim_set_ref(pool->db, copy, VT_VM_snapshot_of, 0);
    vt_sim_set_int(pool->db, copy, VT_VM_snapshot_time, 0);
    vt_sim_vm_allow(pool, copy);
    job->result = copy->id;
    return true;
}

static bool finish_provision(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_pool *pool = job->pool;
    struct vt_sim_object *vm = subject(job, failure);
    struct vt_sim_object *sr =
        vt_sim_follow(pool->db, vt_sim_get(pool->db, pool->self), VT_pool_default_SR);
    const uint32_t *ids = NULL;

    if (!vm)
        return false;
    if (vt_sim_ids(vm, VT_VM_VBDs, &ids) == 0 && sr)
        vt_sim_make_vbd(pool, vm,
                        vt_sim_make_vdi(pool, sr, vt_sim_text(vm, VT_VM_name_label), 40 * GIB));
    vt_sim_set_bool(pool->db, vm, VT_VM_is_a_template, false);
    vt_sim_vm_allow(pool, vm);
    return true;
}

static bool finish_revert(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_pool *pool = job->pool;
    struct vt_sim_object *snapshot = subject(job, failure);
    struct vt_sim_object *vm =
        snapshot ? vt_sim_follow(pool->db, snapshot, VT_VM_snapshot_of) : NULL;
    const uint32_t *ids = NULL;
    char vm_ref[VT_SIM_REF_MAX], snapshot_ref[VT_SIM_REF_MAX];

    if (!snapshot)
        return false;
    vt_sim_ref_text(pool->db, job->object, snapshot_ref);
    vt_sim_ref_text(pool->db, vm ? vm->id : 0, vm_ref);
    if (!vm)
        return vt_sim_refuse(failure, "VM_REVERT_FAILED", snapshot_ref, vm_ref, NULL);
    if (!vt_sim_is(vm, VT_VM_power_state, "Halted"))
        vt_sim_vm_stop(pool, vm, "Halted");
    while (vt_sim_ids(vm, VT_VM_VBDs, &ids) > 0) {
        struct vt_sim_object *vbd = vt_sim_get(pool->db, ids[0]);
        struct vt_sim_object *vdi = vbd ? vt_sim_follow(pool->db, vbd, VT_VBD_VDI) : NULL;
        if (!vdi)
            break;
        vt_sim_vdi_destroy(pool, vdi); /* takes the VBD with it */
    }
    if (!copy_disks(pool, vm, snapshot, false, failure))
        return false;
    if (vt_sim_is(snapshot, VT_VM_power_state, "Suspended"))
        vt_sim_set_text(pool->db, vm, VT_VM_power_state, "Suspended");
    vt_sim_set_ref(pool->db, vm, VT_VM_parent, snapshot->id);
    vt_sim_vm_allow(pool, vm);
    vt_sim_message(pool, "VM_SNAPSHOT_REVERTED", "VM", vt_sim_text(vm, VT_VM_uuid), "");
    return true;
}

static bool finish_destroy(struct vt_sim_job *job, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = subject(job, failure);

    if (!vm)
        return false;
    struct vt_sim_object *image = vt_sim_follow(job->pool->db, vm, VT_VM_suspend_VDI);
    if (image)
        vt_sim_vdi_destroy(job->pool, image);
    remove_vm(job->pool, vm, false);
    return true;
}

static const struct verb {
    const char *method, *operation;
    int64_t ms;
    vt_sim_finish finish;
    bool flag, uncancellable;
} verbs[] = {
    { "VM.snapshot", "snapshot", 1000, finish_snapshot, false, false },
    { "VM.checkpoint", "checkpoint", 3000, finish_snapshot, true, false },
    { "VM.clone", "clone", 1500, finish_clone, false, false },
    { "VM.copy", "copy", 5000, finish_clone, false, false },
    { "VM.provision", "provision", 500, finish_provision, false, false },
    { "VM.revert", "revert", 1500, finish_revert, false, true },
    { "VM.destroy", "destroy", 200, finish_destroy, false, true },
};

static bool copy_verb(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    struct vt_sim_object *vm = vt_sim_arg_object(call, 0, VT_SIM_VM, failure);

    for (size_t i = 0; vm && i < VT_COUNT(verbs); i++) {
        if (strcmp(verbs[i].method, call->method) != 0)
            continue;
        if (!vt_sim_vm_check(call->pool, vm, verbs[i].operation, failure))
            return false;
        struct vt_sim_job *job =
            vt_sim_job_start(call, vm, verbs[i].operation, verbs[i].ms, verbs[i].finish);
        job->text = vt_sim_copy(vt_sim_arg(call, 1));
        job->flag = verbs[i].flag;
        job->uncancellable = verbs[i].uncancellable;
        job->resumes = strcmp(verbs[i].operation, "checkpoint") == 0 &&
                       vt_sim_is(vm, VT_VM_power_state, "Running");
        if (job->resumes) {
            vt_sim_set_text(call->db, vm, VT_VM_power_state, "Suspended");
            vt_sim_guests_refresh(call->pool, vm);
        }
        return true;
    }
    return false;
}

static bool quiesce(struct vt_sim_call *call, struct vt_sim_failure *failure)
{
    return vt_sim_refuse(failure, "VM_SNAPSHOT_WITH_QUIESCE_NOT_SUPPORTED", vt_sim_arg(call, 0),
                         NULL);
}

const struct vt_sim_method vt_sim_snapshot_methods[] = {
    { "VM.snapshot", 2, 3, 0, copy_verb },
    { "VM.checkpoint", 2, 2, 0, copy_verb },
    { "VM.clone", 2, 2, 0, copy_verb },
    { "VM.copy", 3, 3, 0, copy_verb },
    { "VM.provision", 1, 1, 0, copy_verb },
    { "VM.revert", 1, 1, 0, copy_verb },
    { "VM.destroy", 1, 1, 0, copy_verb },
    { "VM.snapshot_with_quiesce", 2, 2, 0, quiesce },
    { 0 },
};
