#include "cmd/verbs_volume.h"

#include <jansson.h>
#include <stdio.h>

#include "archive/hold.h"
#include "archive/volume.h"
#include "cmd/admin_verbs.h"
#include "cmd/job_verbs.h"
#include "cmd/vitrined_expire.h"
#include "cmd/vitrined_volumes.h"
#include "core/err.h"

bool vt_verb_volume_list(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    (void)result;
    return vt_admin_volume_list(&call->admin, err);
}

bool vt_verb_volume_add(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    (void)result;
    return vt_admin_volume_add(&call->admin, call->args[0], err);
}

static bool drain_here(struct vt_admin_call *call, const char *to, json_t *result,
                       struct vt_err *err)
{
    struct vt_volume_moved moved = { 0 };
    char text[96];

    if (!vt_admin_volume_drain(&call->admin, call->args[0], to, &moved, err))
        return false;
    snprintf(text, sizeof text, "%llu instances moved, %llu failed",
             (unsigned long long)moved.instances, (unsigned long long)moved.faults);
    json_object_set_new(result, "text", json_string(text));
    json_object_set_new(result, "moved", json_integer((json_int_t)moved.instances));
    json_object_set_new(result, "bytes", json_integer((json_int_t)moved.bytes));
    json_object_set_new(result, "failed", json_integer((json_int_t)moved.faults));
    return true;
}

bool vt_verb_volume_drain(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    const char *to = json_string_value(json_object_get(call->options, "to"));
    char text[96];
    int64_t id;

    to = to ? to : VT_VOLUME_MAIN;
    if (!call->world)
        return drain_here(call, to, result, err);
    if (!vt_volume_is_ready(call->admin.archive, call->args[0], err) ||
        !vt_volume_is_ready(call->admin.archive, to, err) ||
        !vt_migrate_enqueue(call->world, call->args[0], to, call->admin.who, &id, err))
        return false;
    if (!json_is_true(json_object_get(call->options, "background")))
        return vt_verb_wait(call, &id, 1, "moved", result, err);
    snprintf(text, sizeof text, "job %lld: 'vitrine job list' shows how far it is", (long long)id);
    json_object_set_new(result, "text", json_string(text));
    return true;
}

bool vt_verb_volume_verify(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    uint64_t checked = 0, faults = 0;

    if (!vt_admin_volume_verify(&call->admin, call->args[0], &checked, &faults, err))
        return false;
    json_object_set_new(result, "checked", json_integer((json_int_t)checked));
    json_object_set_new(result, "faults", json_integer((json_int_t)faults));
    return true;
}

/* Without the node nobody knows its peers and its jobs. */
bool vt_verb_volume_expire(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    bool dry = json_is_true(json_object_get(call->options, "dry-run"));
    struct vt_expired expired = { 0 };

    if (!call->world)
        return vt_fail(err, VT_E_NOTFOUND, "vitrined does not run on this archive: start it");
    if (!vt_expire_run(call->world, &call->admin, call->args[0], dry, &expired, err))
        return false;
    json_object_set_new(result, "studies", json_integer((json_int_t)expired.studies));
    json_object_set_new(result, "instances", json_integer((json_int_t)expired.instances));
    json_object_set_new(result, "bytes", json_integer((json_int_t)expired.bytes));
    json_object_set_new(result, "stay", json_integer((json_int_t)expired.kept));
    json_object_set_new(result, "failed", json_integer((json_int_t)expired.faults));
    return true;
}

/* ---- studies that stay ---- */

bool vt_verb_study_hold(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    const char *reason = json_string_value(json_object_get(call->options, "reason"));

    (void)result;
    return vt_hold_study(&call->admin, call->args[0], reason ? reason : "", err);
}

bool vt_verb_study_release(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    (void)result;
    return vt_hold_release(&call->admin, call->args[0], err);
}

bool vt_verb_study_holds(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    (void)result;
    return vt_hold_list(&call->admin, err);
}
