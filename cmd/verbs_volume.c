#include "cmd/verbs_volume.h"

#include <jansson.h>
#include <stdio.h>

#include "archive/volume.h"
#include "cmd/admin_verbs.h"
#include "cmd/job_verbs.h"
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
