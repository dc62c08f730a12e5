/* The monitor's snapshots through a driver's table, for pools that are not XAPI. The marks go into the
 * description, each a line "key=value"; the driver's picture shows them as other_config. */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/driver.h"
#include "hypervisor/monitor.h"
#include "hypervisor/pool_keeper.h"
#include "hypervisor/verbs.h"

enum { DESCRIPTION_MAX = 2048 };
#define CATCH_UP_NS (10 * VT_NS_PER_S)

static void end(struct vt_snapshot_job *job, enum vt_snapshot_end how, const char *why)
{
    job->end = how;
    snprintf(job->why, sizeof job->why, "%s", why);
}

static const char *uuid_in(const char *ref)
{
    const char *colon = strrchr(ref, ':');

    return colon ? colon + 1 : ref;
}

/* Of that name, taken by an earlier run. */
static const struct vt_object *find_taken(const struct vt_picture *picture,
                                          const struct vt_object *vm, const char *name)
{
    const char *const *refs = NULL;
    size_t count = vt_object_list(vm, "snapshots", &refs);

    for (size_t i = 0; i < count; i++) {
        const struct vt_object *snapshot = vt_picture_get(picture, refs[i]);
        if (snapshot && strcmp(vt_object_text(snapshot, "name_label"), name) == 0)
            return snapshot;
    }
    return NULL;
}

/* Is there anything to do? The picture is current: somebody waited for it. */
static bool is_wanted(const struct vt_picture *picture, struct vt_snapshot_job *job)
{
    const struct vt_object *vm = vt_picture_get(picture, job->vm);
    const struct vt_object *taken = vm ? find_taken(picture, vm, job->name) : NULL;

    if (!vm) {
        end(job, VT_SNAPSHOT_EXCUSED, "the VM is gone");
    } else if (taken) {
        snprintf(job->uuid, sizeof job->uuid, "%.39s", vt_object_text(taken, "uuid"));
        end(job, VT_SNAPSHOT_DONE, "");
    } else if (strcmp(vt_object_text(vm, "power_state"), "Running") != 0) {
        end(job, VT_SNAPSHOT_EXCUSED, "it no longer runs");
    } else {
        return true;
    }
    return false;
}

static void describe(const struct vt_snapshot_job *job, char out[static DESCRIPTION_MAX])
{
    snprintf(out, DESCRIPTION_MAX, "%s", job->description);
    for (size_t i = 0; i + 1 < job->mark_count; i += 2) {
        size_t used = strlen(out);
        snprintf(out + used, DESCRIPTION_MAX - used, "\n%s=%s", job->marks[i], job->marks[i + 1]);
    }
}

bool vt_monitor_driver_can(struct vt_keeper *keeper, const struct vt_watch_settings *settings,
                           struct vt_err *err)
{
    void *session = NULL;
    const struct vt_driver *driver = vt_keeper_driver(keeper, &session);

    return settings->shot != VT_SHOT_QUIESCED || vt_driver_verb(driver, VT_VERB_QUIESCED) ||
           vt_fail(err, VT_E_INVALID,
                   "the driver %s takes no quiesced snapshots: say disk, checkpoint or none",
                   driver->name);
}

static void take(const struct vt_driver *driver, void *session, const char *name,
                 const struct vt_snapshot_job *job, struct vt_verb_job *out)
{
    char text[DESCRIPTION_MAX];

    *out = (struct vt_verb_job){ .verb = vt_driver_verb(driver, name) };
    describe(job, text);
    out->description = text;
    snprintf(out->vm, sizeof out->vm, "%s", job->vm);
    snprintf(out->name, sizeof out->name, "%s", job->name);
    if (out->verb)
        driver->act(session, out);
    else
        vt_fail(&out->err, VT_E_UNSUPPORTED, "the driver %s has none", driver->name);
    out->description = NULL;
}

/* A plain one instead, when the guest did not help: nothing was taken then, so nothing is doubled. */
static void take_quiesced(const struct vt_driver *driver, void *session,
                          const struct vt_snapshot_job *job, struct vt_verb_job *out,
                          char why[static VT_INCIDENT_TEXT_MAX])
{
    take(driver, session, VT_VERB_QUIESCED, job, out);
    if (out->end == VT_VERB_DONE || out->end == VT_VERB_UNKNOWN ||
        out->err.code != VT_E_UNSUPPORTED)
        return;
    snprintf(why, VT_INCIDENT_TEXT_MAX, "not quiesced: %s", out->err.text);
    take(driver, session, "snapshot", job, out);
}

void vt_monitor_driver_snapshot(struct vt_keeper *keeper, struct vt_snapshot_job *job)
{
    void *session = NULL;
    const struct vt_driver *driver = vt_keeper_driver(keeper, &session);
    struct vt_verb_job verb;
    char why[VT_INCIDENT_TEXT_MAX] = "";

    if (!session) {
        end(job, VT_SNAPSHOT_FAILED, "the driver has no session");
        return;
    }
    vt_keeper_catch_up(keeper, NULL, vt_clock_mono() + CATCH_UP_NS);
    bool wanted = is_wanted(vt_keeper_read(keeper), job);
    vt_keeper_done(keeper);
    if (!wanted)
        return;
    if (job->quiesced)
        take_quiesced(driver, session, job, &verb, why);
    else
        take(driver, session, job->checkpoint ? "checkpoint" : "snapshot", job, &verb);
    if (verb.end == VT_VERB_DONE) {
        snprintf(job->uuid, sizeof job->uuid, "%.39s", uuid_in(verb.result));
        end(job, VT_SNAPSHOT_DONE, why);
    } else {
        end(job, verb.end == VT_VERB_UNKNOWN ? VT_SNAPSHOT_UNKNOWN : VT_SNAPSHOT_FAILED,
            verb.err.text);
    }
}

static bool is_ours(const struct vt_picture *picture, const char *ref, const char *const *marks,
                    size_t count, struct vt_err *err)
{
    const struct vt_object *snapshot = vt_picture_get(picture, ref);
    bool ours = snapshot && vt_object_bool(snapshot, "is_a_snapshot");

    for (size_t i = 0; i + 1 < count && ours; i += 2) {
        const char *value = vt_object_map(snapshot, "other_config", marks[i]);
        ours = value && strcmp(value, marks[i + 1]) == 0;
    }
    return ours || vt_fail(err, VT_E_DENIED, "it does not carry our marks any more");
}

bool vt_monitor_driver_remove(struct vt_keeper *keeper, const char *ref, const char *const *marks,
                              size_t count, struct vt_err *err)
{
    void *session = NULL;
    const struct vt_driver *driver = vt_keeper_driver(keeper, &session);
    struct vt_verb_job verb = { .verb = vt_driver_verb(driver, "destroy") };

    vt_keeper_catch_up(keeper, NULL, vt_clock_mono() + CATCH_UP_NS);
    bool ours = is_ours(vt_keeper_read(keeper), ref, marks, count, err);
    vt_keeper_done(keeper);
    if (!ours || !session || !verb.verb)
        return ours && vt_fail(err, VT_E_UNSUPPORTED, "the driver deletes no snapshots");
    snprintf(verb.vm, sizeof verb.vm, "%s", ref);
    driver->act(session, &verb);
    if (verb.end == VT_VERB_DONE)
        return true;
    *err = verb.err;
    return false;
}
