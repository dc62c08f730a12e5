/* What is done with domains: the table of verbs and what each does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/virterror.h>

#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/libvirt_state.h"
#include "hypervisor/verbs.h"

enum { LOOK_MS = 200, DESCRIPTION_MAX = 4096, DEED_S = 2 * VT_LIBVIRT_SHUTDOWN_S };

#define HALTED VT_POWER_HALTED
#define PAUSED VT_POWER_PAUSED
#define RUNNING VT_POWER_RUNNING
#define SUSPENDED VT_POWER_SUSPENDED

/* clang-format off */
static const struct vt_verb libvirt_verbs[] = {
    { "start", "start", "", VT_ARGS_VM_FLAGS, HALTED, RUNNING, false, false, "starting", "started" },
    { "clean_shutdown", "clean_shutdown", "", VT_ARGS_VM, RUNNING, HALTED, false, false, "shutting down", "shut down" },
    { "hard_shutdown", "hard_shutdown", "", VT_ARGS_VM, PAUSED | SUSPENDED | RUNNING, HALTED, false, false,
      "switching off", "switched off" },
    { "clean_reboot", "clean_reboot", "", VT_ARGS_VM, RUNNING, 0, false, false, "rebooting", "told to reboot" },
    { "hard_reboot", "hard_reboot", "", VT_ARGS_VM, PAUSED | RUNNING, 0, false, false, "resetting", "reset" },
    { "suspend", "suspend", "", VT_ARGS_VM, RUNNING | PAUSED, SUSPENDED, false, false, "suspending", "suspended" },
    { "resume", "resume", "", VT_ARGS_VM_FLAGS, SUSPENDED, RUNNING, false, false, "resuming", "resumed" },
    { "pause", "pause", "", VT_ARGS_VM, RUNNING, PAUSED, false, false, "pausing", "paused" },
    { "unpause", "unpause", "", VT_ARGS_VM, PAUSED, RUNNING, false, false, "unpausing", "unpaused" },
    { "snapshot", "snapshot", "", VT_ARGS_VM_NAME, HALTED | PAUSED | RUNNING, 0, false, false,
      "taking a snapshot of", "snapshot taken" },
    { VT_VERB_QUIESCED, VT_VERB_QUIESCED, "", VT_ARGS_VM_NAME, RUNNING, 0, false, false,
      "taking a quiesced snapshot of", "quiesced snapshot taken" },
    { "checkpoint", "checkpoint", "", VT_ARGS_VM_NAME, PAUSED | RUNNING, 0, false, false,
      "taking a checkpoint of", "checkpoint taken" },
    { "clone", "clone", "", VT_ARGS_VM_NAME, HALTED, 0, false, false, "cloning", "cloned" },
    { "revert", "revert", "", VT_ARGS_VM, VT_POWER_ANY, 0, false, true, "reverting", "reverted" },
    { "destroy", "destroy", "", VT_ARGS_DESTROY, HALTED | SUSPENDED, 0, true, true, "destroying", "destroyed" },
    { .name = NULL },
};
/* clang-format on */

struct doing {
    struct vt_libvirt *libvirt;
    virConnectPtr connection;
    virDomainPtr domain; /* NULL for what is done with a snapshot */
    struct vt_verb_job *job;
    struct vt_err *err;
};

static struct vt_libvirt_deeds *deeds_of(struct vt_libvirt *libvirt)
{
    return vt_libvirt_watching_deeds(vt_libvirt_watching(libvirt));
}

/* Who watches knows why the guest is silent before it is. */
static void begin_deed(struct doing *d)
{
    char uuid[VIR_UUID_STRING_BUFLEN];

    if (virDomainGetUUIDString(d->domain, uuid) != 0)
        return;
    vt_libvirt_deed_begin(deeds_of(d->libvirt), uuid, d->job->verb->operation, DEED_S * VT_NS_PER_S);
    vt_libvirt_touch(d->libvirt, uuid);
}

/* A reboot that the guest was asked for ends with its reset. */
static void end_deed(struct doing *d)
{
    char uuid[VIR_UUID_STRING_BUFLEN];
    bool goes_on = d->job->end == VT_VERB_DONE && strcmp(d->job->verb->name, "clean_reboot") == 0;

    if (!d->domain || virDomainGetUUIDString(d->domain, uuid) != 0)
        return;
    if (!goes_on)
        vt_libvirt_deed_end(deeds_of(d->libvirt), uuid);
    vt_libvirt_touch(d->libvirt, uuid);
}

/* The domain of a snapshot, so that the watch reads it anew. */
static void keep_domain(struct doing *d, virDomainSnapshotPtr snapshot)
{
    virDomainPtr domain = virDomainSnapshotGetDomain(snapshot); /* borrowed */

    if (!domain || virDomainRef(domain) != 0)
        return;
    d->domain = domain;
    begin_deed(d);
}

/* ---- power ---- */

static bool done(int result, struct vt_err *err, const char *what)
{
    return result == 0 || vt_libvirt_failed(err, what);
}

static bool start(struct doing *d) /* from a managed save too */
{
    return done(virDomainCreate(d->domain), d->err, "starting it");
}

static bool clean_shutdown(struct doing *d)
{
    int64_t deadline = vt_clock_mono() + VT_LIBVIRT_SHUTDOWN_S * VT_NS_PER_S;

    if (!done(virDomainShutdown(d->domain), d->err, "asking the guest to shut down"))
        return false;
    while (virDomainIsActive(d->domain) == 1) {
        if (vt_clock_mono() > deadline)
            return vt_fail(d->err, VT_E_TIMEOUT,
                           "the guest did not shut down in %d s: 'shutdown --force' switches it off",
                           VT_LIBVIRT_SHUTDOWN_S);
        vt_clock_sleep(LOOK_MS * VT_NS_PER_MS);
    }
    return true;
}

static bool hard_shutdown(struct doing *d)
{
    if (virDomainIsActive(d->domain) == 1)
        return done(virDomainDestroy(d->domain), d->err, "switching it off");
    return done(virDomainManagedSaveRemove(d->domain, 0), d->err, "dropping its saved memory");
}

static bool clean_reboot(struct doing *d)
{
    return done(virDomainReboot(d->domain, 0), d->err, "asking the guest to reboot");
}

static bool hard_reboot(struct doing *d)
{
    return done(virDomainReset(d->domain, 0), d->err, "resetting it");
}

static bool suspend(struct doing *d)
{
    return done(virDomainManagedSave(d->domain, 0), d->err, "saving its memory");
}

static bool pause_it(struct doing *d)
{
    return done(virDomainSuspend(d->domain), d->err, "pausing it");
}

static bool unpause(struct doing *d)
{
    int state = 0;

    virDomainGetState(d->domain, &state, NULL, 0);
    if (state == VIR_DOMAIN_PMSUSPENDED)
        return done(virDomainPMWakeup(d->domain, 0), d->err, "waking it");
    return done(virDomainResume(d->domain), d->err, "unpausing it");
}

/* ---- snapshots ---- */

static bool keep_result(struct doing *d, virDomainSnapshotPtr snapshot)
{
    char own[VIR_UUID_STRING_BUFLEN], uuid[VT_LIBVIRT_UUID_MAX];

    if (!snapshot || virDomainGetUUIDString(d->domain, own) != 0)
        return vt_libvirt_failed(d->err, "the snapshot");
    vt_libvirt_snapshot_uuid(own, virDomainSnapshotGetName(snapshot), uuid);
    vt_libvirt_ref("snapshot", uuid, d->job->result);
    virDomainSnapshotFree(snapshot);
    return true;
}

static virDomainSnapshotPtr create(struct doing *d, const char *description, unsigned flags)
{
    vt_autofree char *xml = vt_libvirt_snapshot_xml(d->job->name, description);

    if (!xml) {
        vt_fail(d->err, VT_E_NOMEM, "no memory for a snapshot");
        return NULL;
    }
    return virDomainSnapshotCreateXML(d->domain, xml, flags);
}

/* Inside the disks' own files, with the memory of a guest that runs. Disks that cannot hold one
 * (raw) get overlay files instead, which libvirt cannot go back to. */
static bool snapshot(struct doing *d)
{
    const char *said = d->job->description ? d->job->description : "";
    virDomainSnapshotPtr made = create(d, said, VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC);
    const virError *error = virGetLastError();
    int code = error ? error->code : 0;
    bool cannot = code == VIR_ERR_CONFIG_UNSUPPORTED || code == VIR_ERR_OPERATION_INVALID ||
                  code == VIR_ERR_OPERATION_UNSUPPORTED;

    if (!made && cannot && strcmp(d->job->verb->name, "snapshot") == 0 && !vt_failed(d->err)) {
        struct vt_err first = { 0 };
        char text[DESCRIPTION_MAX];
        vt_libvirt_failed(&first, "the snapshot");
        snprintf(text, sizeof text, "disks only: it cannot be reverted to%s%s", *said ? "\n" : "",
                 said);
        made = create(d, text,
                      VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC);
        if (!made) {
            *d->err = first;
            return false;
        }
    }
    return keep_result(d, made);
}

/* What the agent could not or would not do; nothing was taken then. */
static bool agent_failed(struct vt_err *err)
{
    const virError *error = virGetLastError();
    int code = error ? error->code : VIR_ERR_OK;

    vt_libvirt_failed(err, "the guest agent");
    if (code == VIR_ERR_AGENT_UNRESPONSIVE || code == VIR_ERR_AGENT_UNSYNCED ||
        code == VIR_ERR_OPERATION_TIMEOUT ||
        (error && error->message && strstr(error->message, "agent command")))
        err->code = VT_E_UNSUPPORTED;
    return false;
}

/* The agent writes out what the guest holds and stops what writes, until the overlay files are there.
 * libvirt cannot go back to those. */
static bool snapshot_quiesced(struct doing *d)
{
    const char *said = d->job->description ? d->job->description : "";
    vt_autofree char *xml = virDomainGetXMLDesc(d->domain, 0);
    char text[DESCRIPTION_MAX];

    if (!xml)
        return vt_libvirt_failed(d->err, "its guest agent");
    if (!vt_libvirt_has_agent(xml))
        return vt_fail(d->err, VT_E_UNSUPPORTED,
                       "no guest agent is connected: it wants qemu-guest-agent in the guest and the "
                       "channel org.qemu.guest_agent.0");
    snprintf(text, sizeof text, "quiesced, disks only: it cannot be reverted to%s%s",
             *said ? "\n" : "", said);
    virDomainSnapshotPtr made = create(d, text,
                                       VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY |
                                           VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC |
                                           VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE);
    if (!made)
        return vt_failed(d->err) ? false : agent_failed(d->err);
    return keep_result(d, made);
}

/* Cables that were cut when it was taken: who reverts wants a VM that works. */
static bool raise_links(virDomainPtr domain, struct vt_err *err)
{
    vt_autofree char *xml = virDomainGetXMLDesc(domain, 0);
    struct vt_libvirt_vif vifs[VT_LIBVIRT_VIFS_MAX];
    size_t count = xml ? vt_libvirt_vifs(xml, vifs) : 0;
    bool ok = xml || vt_libvirt_failed(err, "its interfaces");

    for (size_t i = 0; i < count && ok; i++) {
        if (vifs[i].up)
            continue;
        vt_autofree char *up = vt_libvirt_vif_xml(xml, vifs[i].mac, true);
        if (!up)
            return vt_fail(err, VT_E_NOMEM, "no memory for an interface");
        ok = done(virDomainUpdateDeviceFlags(domain, up, VIR_DOMAIN_AFFECT_CURRENT), err,
                  "raising a link");
    }
    return ok;
}

static bool revert(struct doing *d)
{
    virDomainSnapshotPtr snapshot = vt_libvirt_snapshot(d->connection, d->job->vm, d->err);

    if (!snapshot)
        return false;
    keep_domain(d, snapshot);
    bool ok = done(virDomainRevertToSnapshot(snapshot, 0), d->err, "going back to it");
    if (!ok && d->err->code == VT_E_UNSUPPORTED)
        vt_fail(d->err, VT_E_UNSUPPORTED,
                "the snapshot is of the disks only, in files of its own: libvirt cannot go back to it");
    ok = ok && raise_links(virDomainSnapshotGetDomain(snapshot), d->err);
    virDomainSnapshotFree(snapshot);
    return ok;
}

/* ---- destroying ---- */

static bool delete_snapshot(struct doing *d)
{
    virDomainSnapshotPtr snapshot = vt_libvirt_snapshot(d->connection, d->job->vm, d->err);

    if (!snapshot)
        return false;
    keep_domain(d, snapshot);
    bool ok = done(virDomainSnapshotDelete(snapshot, 0), d->err, "deleting it");
    virDomainSnapshotFree(snapshot);
    return ok;
}

/* All of them in storage pools, or nothing is touched: what libvirt does not manage it cannot
 * delete. */
static bool delete_disks(struct doing *d, char **disks)
{
    bool ok = true;

    for (int pass = 0; pass < 2 && ok; pass++) {
        for (char **disk = disks; *disk && ok; disk++) {
            virStorageVolPtr volume = vt_libvirt_volume(d->connection, *disk);
            if (!volume)
                return vt_fail(d->err, VT_E_DENIED,
                               "its disk %.120s lies in no storage pool: destroy it with --keep-disks",
                               *disk);
            if (pass == 1)
                ok = done(virStorageVolDelete(volume, 0), d->err, "deleting a disk");
            virStorageVolFree(volume);
        }
        if (pass == 0)
            ok = done(virDomainUndefineFlags(d->domain,
                                             VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
                                                 VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                                                 VIR_DOMAIN_UNDEFINE_NVRAM),
                      d->err, "undefining it");
    }
    return ok;
}

static bool destroy(struct doing *d)
{
    char *none = NULL;

    if (strncmp(d->job->vm, "libvirt:snapshot:", 17) == 0)
        return delete_snapshot(d);
    vt_autofree char *xml = virDomainGetXMLDesc(d->domain, 0);
    char **disks = xml && !d->job->keep_disks ? vt_libvirt_disks(xml) : NULL;
    bool ok = xml || vt_libvirt_failed(d->err, "its disks");
    if (ok && !disks && !d->job->keep_disks)
        ok = vt_fail(d->err, VT_E_NOMEM, "no memory for the names of its disks");
    ok = ok && delete_disks(d, disks ? disks : &none);
    vt_libvirt_disks_free(disks);
    return ok;
}

static bool clone(struct doing *d)
{
    return vt_libvirt_clone(d->domain, d->job->name, d->job->result, d->err);
}

/* ---- one job ---- */

static const struct {
    const char *verb;
    bool (*run)(struct doing *d);
} actions[] = {
    { "start", start },
    { "resume", start },
    { "clean_shutdown", clean_shutdown },
    { "hard_shutdown", hard_shutdown },
    { "clean_reboot", clean_reboot },
    { "hard_reboot", hard_reboot },
    { "suspend", suspend },
    { "pause", pause_it },
    { "unpause", unpause },
    { "snapshot", snapshot },
    { VT_VERB_QUIESCED, snapshot_quiesced },
    { "checkpoint", snapshot },
    { "clone", clone },
    { "revert", revert },
    { "destroy", destroy },
};

static bool run(struct doing *d)
{
    bool on_snapshot = strncmp(d->job->vm, "libvirt:snapshot:", 17) == 0;

    if (!on_snapshot && !(d->domain = vt_libvirt_domain(d->connection, d->job->vm, d->err)))
        return false;
    if (!on_snapshot)
        begin_deed(d);
    for (size_t i = 0; i < VT_COUNT(actions); i++)
        if (strcmp(actions[i].verb, d->job->verb->name) == 0)
            return actions[i].run(d);
    return vt_fail(d->err, VT_E_UNSUPPORTED, "the driver libvirt cannot %s", d->job->verb->name);
}

/* The answer was lost with the daemon: the VM is looked at through a new connection. */
static void settle(struct vt_libvirt *libvirt, struct vt_verb_job *job)
{
    struct vt_err ignored = { 0 };
    virConnectPtr connection = vt_libvirt_get(libvirt, &ignored);
    virDomainPtr domain = connection ? vt_libvirt_domain(connection, job->vm, &ignored) : NULL;

    job->end = VT_VERB_UNKNOWN;
    if (domain && job->verb->after &&
        vt_power_from(vt_libvirt_power(domain)) == job->verb->after) {
        job->end = VT_VERB_DONE;
        job->looked = true;
        vt_err_clear(&job->err);
    }
    if (domain)
        virDomainFree(domain);
    if (connection)
        virConnectClose(connection);
}

void vt_libvirt_do(struct vt_libvirt *libvirt, struct vt_verb_job *job)
{
    int64_t begun = vt_clock_mono();

    vt_err_clear(&job->err);
    struct doing d = { .libvirt = libvirt, .job = job, .err = &job->err };
    d.connection = vt_libvirt_get(libvirt, d.err);
    bool ok = d.connection && run(&d);
    job->end = ok ? VT_VERB_DONE : VT_VERB_FAILED;
    if (!ok && d.domain && job->err.code == VT_E_CLOSED)
        settle(libvirt, job);
    end_deed(&d);
    if (d.domain)
        virDomainFree(d.domain);
    if (d.connection)
        virConnectClose(d.connection);
    job->ns = vt_clock_mono() - begun;
}

/* ---- the driver ---- */

static bool takes(const char *url)
{
    static const char *const schemes[] = { "qemu", "xen", "test", "lxc", "libvirt" };
    size_t length = strcspn(url, "+:");

    for (size_t i = 0; i < VT_COUNT(schemes); i++)
        if (strlen(schemes[i]) == length && strncmp(url, schemes[i], length) == 0)
            return true;
    return false;
}

static void *open_session(const char *url, struct vt_err *err)
{
    return vt_libvirt_open(strncmp(url, "libvirt:", 8) == 0 ? url + 8 : url, err);
}

static void close_session(void *session)
{
    vt_libvirt_free(session);
}

static bool load(void *session, struct vt_picture *picture, struct vt_err *err)
{
    return vt_libvirt_load(session, picture, err);
}

static void act(void *session, struct vt_verb_job *job)
{
    vt_libvirt_do(session, job);
}

static bool watch(void *session, const struct vt_xapi_watch *what, struct vt_err *err)
{
    return vt_libvirt_watch(session, what, err);
}

static void stop(void *session)
{
    vt_libvirt_stop(session);
}

static void resume(void *session)
{
    vt_libvirt_resume(session);
}

static bool catch_up(void *session, int64_t deadline)
{
    return vt_libvirt_catch_up(session, deadline);
}

static int console(void *session, const char *vm, struct vt_err *err)
{
    return vt_libvirt_console(session, vm, err);
}

static const char *lacks(const char *verb)
{
    static const struct {
        const char *verb, *why;
    } reasons[] = {
        { "migrate", "its pool is one host, there is nowhere to move to" },
        { "start_on", "its pool is one host: leave --on away" },
        { "resume_on", "its pool is one host: leave --on away" },
    };

    for (size_t i = 0; i < VT_COUNT(reasons); i++)
        if (strcmp(reasons[i].verb, verb) == 0)
            return reasons[i].why;
    return NULL;
}

const struct vt_driver vt_driver_libvirt = {
    .name = "libvirt",
    .verbs = libvirt_verbs,
    .takes = takes,
    .open = open_session,
    .close = close_session,
    .load = load,
    .act = act,
    .watch = watch,
    .stop = stop,
    .resume = resume,
    .catch_up = catch_up,
    .console = console,
    .lacks = lacks,
};
