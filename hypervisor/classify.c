#include "hypervisor/classify.h"

#include <string.h>

#include "core/auto.h"
#include "hypervisor/verbs.h"

const struct vt_classify_limits vt_classify_defaults = { VT_SHARE_MIN, VT_SHARE_PERCENT };

static const struct {
    const char *name;
    bool incident, shared;
} losses[VT_LOSSES] = {
    [VT_LOSS_NONE] = { "reachable", false, false },
    [VT_LOSS_UNMONITORABLE] = { "unmonitorable", false, false },
    [VT_LOSS_OPERATION] = { "operation-in-progress", false, false },
    [VT_LOSS_SHUT_DOWN] = { "shut-down", false, false },
    [VT_LOSS_SUSPENDED] = { "suspended", false, false },
    [VT_LOSS_MIGRATING] = { "migrating", false, false },
    [VT_LOSS_MAINTENANCE] = { "maintenance", false, false },
    [VT_LOSS_ISOLATED] = { "monitor-isolated", true, true },
    [VT_LOSS_CONTROL_LOST] = { "control-lost", true, true },
    [VT_LOSS_HOST_LOST] = { "host-lost", true, true },
    [VT_LOSS_LINK_LOST] = { "link-lost", true, true },
    [VT_LOSS_SERVICE_DOWN] = { "service-down", true, false },
    [VT_LOSS_NETWORK_LOST] = { "network-lost", true, false },
};

const char *vt_loss_name(enum vt_loss loss)
{
    return loss < VT_LOSSES ? losses[loss].name : "";
}

enum vt_loss vt_loss_find(const char *name)
{
    for (size_t i = 0; i < VT_LOSSES; i++)
        if (strcmp(losses[i].name, name) == 0)
            return (enum vt_loss)i;
    return VT_LOSSES;
}

bool vt_loss_is_incident(enum vt_loss loss)
{
    return loss < VT_LOSSES && losses[loss].incident;
}

bool vt_loss_is_shared(enum vt_loss loss)
{
    return loss < VT_LOSSES && losses[loss].shared;
}

enum vt_doing vt_doing_of(const char *operation)
{
    static const char *const moves[] = { "pool_migrate", "migrate_send", "migrate" };
    static const char *const work[] = {
        "start",
        "start_on",
        "clean_shutdown",
        "hard_shutdown",
        "shutdown",
        "clean_reboot",
        "hard_reboot",
        "suspend",
        "resume",
        "resume_on",
        "pause",
        "unpause",
        "snapshot",
        "checkpoint",
        "revert",
        "reverting",
        "snapshot_with_quiesce",
        "destroy",
        "csvm",
        "power_state_reset",
        "import",
        "import_oci",
    };

    for (size_t i = 0; i < VT_COUNT(moves); i++)
        if (strcmp(moves[i], operation) == 0)
            return VT_DOING_MIGRATION;
    for (size_t i = 0; i < VT_COUNT(work); i++)
        if (strcmp(work[i], operation) == 0)
            return VT_DOING_OTHER;
    return VT_DOING_NOTHING;
}

/* ---- the questions, in order ---- */

static bool is_shared_by(const struct vt_share *share, const struct vt_classify_limits *limits)
{
    return share->silent >= limits->share_min &&
           (uint64_t)share->silent * 100 > (uint64_t)share->watched * limits->share_percent;
}

static bool all_silent(const struct vt_share *share)
{
    return share->silent > 0 && share->silent >= share->watched;
}

/* The VM does not run, or something is being done with it: a silence is no loss. */
static bool excused(const struct vt_facts *f, struct vt_verdict *out)
{
    if (!f->known)
        *out = (struct vt_verdict){ VT_LOSS_SHUT_DOWN, "the pool no longer has it" };
    else if (f->power == VT_POWER_HALTED)
        *out = (struct vt_verdict){ VT_LOSS_SHUT_DOWN, "it is halted" };
    else if (f->power == VT_POWER_SUSPENDED)
        *out = (struct vt_verdict){ VT_LOSS_SUSPENDED, "it is suspended" };
    else if (f->power == VT_POWER_PAUSED)
        *out = (struct vt_verdict){ VT_LOSS_SUSPENDED, "it is paused" };
    else if (f->doing == VT_DOING_MIGRATION)
        *out = (struct vt_verdict){ VT_LOSS_MIGRATING, "it is being moved" };
    else if (f->doing == VT_DOING_OTHER)
        *out = (struct vt_verdict){ VT_LOSS_OPERATION, "an operation is in progress" };
    else if (f->settling == VT_SETTLING_MOVE)
        *out = (struct vt_verdict){ VT_LOSS_MIGRATING, "it was moved a moment ago" };
    else if (f->settling == VT_SETTLING_START)
        *out = (struct vt_verdict){ VT_LOSS_OPERATION, "it was started a moment ago" };
    else if (f->settling == VT_SETTLING_RESUME)
        *out = (struct vt_verdict){ VT_LOSS_OPERATION, "it was resumed a moment ago" };
    else if (f->settling == VT_SETTLING_WORK)
        *out = (struct vt_verdict){ VT_LOSS_OPERATION, "an operation ended a moment ago" };
    else if (f->maintenance)
        *out = (struct vt_verdict){ VT_LOSS_MAINTENANCE, "a maintenance window is open" };
    else
        return false;
    return true;
}

static bool host_lost(const struct vt_facts *f, struct vt_verdict *out)
{
    if (!all_silent(&f->host) || f->host_answers == VT_YES)
        return false;
    if (f->host_live == VT_NO)
        *out = (struct vt_verdict){ VT_LOSS_HOST_LOST, "the pool has no heartbeat of its host" };
    else if (f->host_answers == VT_NO)
        *out = (struct vt_verdict){ VT_LOSS_HOST_LOST,
                                    "its host and every watched VM there are silent" };
    else
        return false;
    return true;
}

static bool link_lost(const struct vt_facts *f, const struct vt_classify_limits *limits,
                      struct vt_verdict *out)
{
    if (f->carrier == VT_NO)
        *out = (struct vt_verdict){ VT_LOSS_LINK_LOST, "the host's interface has no carrier" };
    else if (is_shared_by(&f->link, limits))
        *out = (struct vt_verdict){ VT_LOSS_LINK_LOST,
                                    "most watched VMs of the network on its host are silent" };
    else if (is_shared_by(&f->network, limits))
        *out =
            (struct vt_verdict){ VT_LOSS_LINK_LOST, "most watched VMs of the network are silent" };
    else
        return false;
    return true;
}

static const char *own_reason(const struct vt_facts *f)
{
    if (f->unplugged)
        return "its virtual interface is unplugged";
    if (f->blocked)
        return "its virtual interface is locked";
    if (f->withdrawn)
        return "the guest withdrew its addresses";
    return "it runs, its host and its neighbours answer, it does not";
}

struct vt_verdict vt_classify(const struct vt_facts *f, const struct vt_classify_limits *limits)
{
    struct vt_verdict verdict = { VT_LOSS_NONE, "it answers" };

    if (f->reach == VT_REACH_ANSWERS)
        return verdict;
    if (f->reach == VT_REACH_REFUSED && !f->control)
        return (struct vt_verdict){ VT_LOSS_SERVICE_DOWN, "its network refuses the connection" };
    if (f->control && excused(f, &verdict))
        return verdict;
    if (f->reach == VT_REACH_NO_ADDRESS)
        return (struct vt_verdict){ VT_LOSS_UNMONITORABLE,
                                    "no address is known: install the guest agent, or say "
                                    "--address" };
    if (f->reach == VT_REACH_REFUSED)
        return (struct vt_verdict){ VT_LOSS_SERVICE_DOWN, "its network refuses the connection" };
    if (f->isolated)
        return (struct vt_verdict){ VT_LOSS_ISOLATED, "nothing answers: it is our own network" };
    if (!f->control)
        return (struct vt_verdict){ VT_LOSS_CONTROL_LOST, "the pool does not say whether it runs" };
    if (host_lost(f, &verdict) || link_lost(f, limits, &verdict))
        return verdict;
    return (struct vt_verdict){ VT_LOSS_NETWORK_LOST, own_reason(f) };
}
