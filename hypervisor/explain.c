/* The table of sentences. {0} is the first parameter, a reference becomes a name; {0b} is a number
 * of bytes. */
#include "hypervisor/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "hypervisor/picture.h"

/* clang-format off */
static const struct sentence {
    const char *code;
    const char *text;
} sentences[] = {
    /* sessions */
    { "SESSION_AUTHENTICATION_FAILED", "the pool refuses this user and password: check pool.user and pool.password_file" },
    { "SESSION_AUTHORIZATION_FAILED", "the user may log in but has no role in the pool: give it vm-power-admin" },
    { "SESSION_INVALID", "the session ended: ask again" },
    { "RBAC_PERMISSION_DENIED", "the user's role does not allow {0}: use a user with a higher role" },
    { "PERMISSION_DENIED", "the user may not do that: use a user with a higher role" },
    { "HOST_IS_SLAVE", "this host is a member, the master is {0}: ask there" },
    { "HOST_STILL_BOOTING", "the host is starting, or cannot reach its master: wait, or see 'vitrine pool emergency'" },
    { "HANDLE_INVALID", "it is gone: somebody removed it; list again" },
    { "UUID_INVALID", "no object has the uuid {1}: list again" },
    { "TOO_MANY_PENDING_TASKS", "the pool has too many tasks waiting: try again in a minute" },
    { "MESSAGE_METHOD_UNKNOWN", "this server does not know {0}: it is too old or too new for that" },
    { "LICENCE_RESTRICTION", "the pool's licence does not include this" },
    { "INTERNAL_ERROR", "the server failed inside: {0}; its log (xensource.log) says more" },
    { "TASK_CANCELLED", "it was cancelled" },
    /* the state of a VM */
    { "VM_BAD_POWER_STATE", "{0} is {2}, this wants {1}" },
    { "OPERATION_BLOCKED", "an administrator blocked this for {0}: {1}" },
    { "OTHER_OPERATION_IN_PROGRESS", "{1} is busy with another operation ({2}): wait until it is done" },
    { "OPERATION_NOT_ALLOWED", "the pool does not allow that: {0}" },
    { "VM_IS_TEMPLATE", "{0} is a template: clone it and use the copy" },
    { "VM_IS_SNAPSHOT", "{0} is a snapshot: revert to it or delete it" },
    { "VM_IS_PROTECTED", "{0} is protected by high availability: take it out of the plan first" },
    { "VM_CANNOT_DELETE_DEFAULT_TEMPLATE", "{0} is a template of the product and stays" },
    { "VM_IS_IMMOBILE", "{0} has a device that ties it to its host: shut it down instead" },
    { "VM_LACKS_FEATURE", "{0} has no guest tools that run: install them, or use --force" },
    { "VM_NON_SUSPENDABLE", "{0} cannot be suspended: {1}" },
    { "VM_HAS_PCI_ATTACHED", "{0} has a PCI device passed through: detach it first" },
    { "VM_HAS_VGPU", "{0} has a virtual GPU that does not allow this: shut it down first" },
    { "VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT", "{0} did not react to the request to shut down: try again with --force" },
    { "VM_SHUTDOWN_TIMEOUT", "{0} did not shut down within {1} s: try again with --force" },
    { "VM_NO_SUSPEND_SR", "there is no storage for the memory of {0}: set a default with 'vitrine sr set-default'" },
    { "VM_FAILED_SUSPEND_ACKNOWLEDGMENT", "{0} did not react to the request to suspend: are its guest tools running?" },
    { "VM_SUSPEND_TIMEOUT", "{0} did not suspend within {1} s: are its guest tools running?" },
    { "VM_CHECKPOINT_SUSPEND_FAILED", "{0} could not be suspended for the checkpoint: take a snapshot instead" },
    { "VM_CHECKPOINT_RESUME_FAILED", "{0} did not come back behind the checkpoint: look at it, then 'vitrine vm resume'" },
    { "VM_HAS_TOO_MANY_SNAPSHOTS", "{0} has too many snapshots: delete some" },
    { "VM_REVERT_FAILED", "going back failed and may have left the VM without disks: look at it before it is started" },
    { "VM_MIGRATE_FAILED", "moving {0} failed: {3}" },
    { "VM_CRASHED", "{0} crashed while it was asked to stop" },
    { "VM_HALTED", "{0} stopped while it was asked for something else" },
    { "VM_REBOOTED", "{0} started anew while it was asked for something else" },
    { "PROVISION_ONLY_ALLOWED_ON_TEMPLATE", "only a template can be provisioned" },
    { "REVERT_ONLY_ALLOWED_ON_SNAPSHOT", "only a snapshot can be reverted to" },
    { "VM_REQUIRES_SR", "{0} needs the storage {1}, which is not plugged there: 'vitrine sr show' tells where it is" },
    { "VM_REQUIRES_NETWORK", "{0} needs the network {1}, which that host does not have: choose another host" },
    { "VM_REQUIRES_IOMMU", "{0} needs a host with an IOMMU: choose another host" },
    { "VM_REQUIRES_GPU", "{0} needs a host with a free GPU: choose another host" },
    { "VM_HVM_REQUIRED", "the host cannot run hardware virtual machines: switch virtualisation on in its firmware" },
    { "VM_INCOMPATIBLE_WITH_THIS_HOST", "{0} cannot run on {1}: {2}" },
    { "BOOTLOADER_FAILED", "{0} does not boot: {1}" },
    { "VDI_IN_USE", "a disk is in use by another VM or operation: wait, or find out which" },
    /* hosts */
    { "NO_HOSTS_AVAILABLE", "no host can take it: free memory, or enable a host ('vitrine host list')" },
    { "HOST_DISABLED", "host {0} is disabled: 'vitrine host enable {0}'" },
    { "HOST_NOT_LIVE", "the host is not there: has it failed?" },
    { "HOST_OFFLINE", "host {0} does not answer: has it failed? 'vitrine pool emergency' tells what can be done" },
    { "CANNOT_CONTACT_HOST", "host {0} does not answer: has it failed? 'vitrine pool emergency' tells what can be done" },
    { "HOST_NOT_ENOUGH_FREE_MEMORY", "the host has {1b} of memory free, {0b} are needed: choose another host or stop a VM" },
    { "HOST_NOT_ENOUGH_PCPUS", "the host has too few processors: choose another host" },
    { "HOST_CANNOT_ATTACH_NETWORK", "host {0} cannot reach the network {1}: choose another host" },
    { "HOST_IN_USE", "host {0} still has running VMs: evacuate it first" },
    { "HOST_NOT_DISABLED", "the host is enabled: disable it first" },
    { "HOST_EVACUATE_IN_PROGRESS", "host {0} is being evacuated already" },
    { "HOST_IS_LIVE", "host {0} is alive and answers" },
    { "HA_IS_ENABLED", "high availability is on: switch it off first" },
    { "HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN", "high availability could no longer restart all VMs: free memory first" },
    { "NOT_SUPPORTED_DURING_UPGRADE", "the pool is being updated: wait until that is done" },
    /* storage */
    { "SR_FULL", "the storage is full: free space, or delete snapshots" },
    { "SR_NOT_ATTACHED", "the storage {0} is not plugged on the host" },
    { "SR_OPERATION_NOT_SUPPORTED", "the storage {0} cannot do that" },
    { "SR_BACKEND_FAILURE_16", "the storage is in use" },
    { "SR_BACKEND_FAILURE_24", "a disk is in use" },
    { "SR_BACKEND_FAILURE_44", "there is too little space on the storage: free some, or delete snapshots" },
    { "SR_BACKEND_FAILURE_46", "a disk is not available, often since a host that failed still holds it" },
    { "SR_BACKEND_FAILURE_47", "the storage is not available: is its server running?" },
    { "SR_BACKEND_FAILURE_73", "the NFS storage cannot be mounted: is its server running?" },
    { "SR_BACKEND_FAILURE_82", "the snapshot failed: a disk could not be paused; try again" },
    { "SR_BACKEND_FAILURE_109", "a disk has too many snapshots behind each other: delete some, then wait for the merge" },
    { "SR_BACKEND_FAILURE_141", "the iSCSI target does not answer" },
    { "SR_BACKEND_FAILURE_", "the storage reports: {1} {2}" },   /* any other number */
    /* joining and leaving a pool */
    { "HOSTS_NOT_HOMOGENEOUS", "the hosts are not alike: {0}" },
    { "HOSTS_NOT_COMPATIBLE", "the hosts run software that does not fit together: install the same product" },
    { "JOINING_HOST_CANNOT_CONTAIN_SHARED_SRS", "the host has shared storage: forget it there, join, add it to the pool" },
    { "JOINING_HOST_CANNOT_HAVE_RUNNING_VMS", "VMs run on the host: shut them down first" },
    { "JOINING_HOST_CANNOT_HAVE_RUNNING_OR_SUSPENDED_VMS", "VMs of the host run or are suspended: shut them down first" },
    { "JOINING_HOST_CANNOT_HAVE_VMS_WITH_CURRENT_OPERATIONS", "VMs of the host are busy: wait until they are done" },
    { "JOINING_HOST_CANNOT_BE_MASTER_OF_OTHER_HOSTS", "the host is the master of a pool of its own: eject the others first" },
    { "JOINING_HOST_CONNECTION_FAILED", "the host cannot reach the pool's master: check the network between them" },
    { "JOINING_HOST_SERVICE_FAILED", "the pool's master did not answer as it must" },
    { "POOL_JOINING_HOST_HAS_BONDS", "the host has bonded network interfaces: remove the bond, join, bond again" },
    { "POOL_JOINING_HOST_HAS_TUNNELS", "the host has tunnels: remove them first" },
    { "POOL_JOINING_HOST_HAS_NETWORK_SRIOVS", "the host has SR-IOV networks: remove them first" },
    { "POOL_JOINING_HOST_HAS_NON_MANAGEMENT_VLANS", "the host has VLANs of its own: remove them first" },
    { "POOL_JOINING_HOST_MANAGEMENT_VLAN_DOES_NOT_MATCH", "the management VLANs differ: {0} and {1}" },
    { "POOL_JOINING_EXTERNAL_AUTH_MISMATCH", "host and pool use different directory services: make them the same" },
    { "LICENSE_HOST_POOL_MISMATCH", "host and pool have different editions: give the host the pool's licence" },
    { "POOL_JOINING_HOST_MUST_HAVE_SAME_API_VERSION", "the API versions differ ({0}, {1}): install the same release" },
    { "POOL_JOINING_HOST_MUST_HAVE_SAME_DB_SCHEMA", "the database schemas differ ({0}, {1}): install the same release" },
    { "POOL_JOINING_HOST_TLS_VERIFICATION_MISMATCH", "one side checks certificates and the other does not: make it the same" },
    { "POOL_JOINING_SM_FEATURES_INCOMPATIBLE", "the storage drivers differ: install the same release" },
    { "HOST_PENDING_MANDATORY_GUIDANCE_NOT_EMPTY", "the host waits for a restart that an update asked for: restart it" },
    { "CLUSTERING_ENABLED", "clustering is on: switch it off first" },
};
/* clang-format on */

static const struct sentence *sentence_of(const char *code)
{
    for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++) {
        size_t length = strlen(sentences[i].code);
        bool open_ended = sentences[i].code[length - 1] == '_';
        if (open_ended ? strncmp(sentences[i].code, code, length) == 0
                       : strcmp(sentences[i].code, code) == 0)
            return &sentences[i];
    }
    return NULL;
}

static const char *name_of(const char *ref, const struct vt_picture *names)
{
    const struct vt_object *object = names ? vt_picture_get(names, ref) : NULL;
    enum vt_class class = object ? vt_object_class(object) : VT_CLASSES;

    if (class == VT_CLASS_VM || class == VT_CLASS_HOST || class == VT_CLASS_SR ||
        class == VT_CLASS_NETWORK)
        return vt_object_text(object, "name_label");
    return strncmp(ref, "OpaqueRef:", 10) == 0 ? "it" : ref;
}

static void bytes_text(const char *number, char out[static 32])
{
    snprintf(out, 32, "%.1f GiB", (double)strtoll(number, NULL, 10) / (1024.0 * 1024.0 * 1024.0));
}

/* "{N}" or "{Nb}" at text: its length, 0 when it is none. */
static size_t placeholder(const char *text, size_t *out_index, bool *out_bytes)
{
    if (text[0] != '{' || text[1] < '0' || text[1] > '7')
        return 0;
    *out_index = (size_t)(text[1] - '0');
    *out_bytes = text[2] == 'b';
    return *out_bytes ? 4 : 3;
}

void vt_explain_code(const char *code, const char *const *params, size_t count,
                     const struct vt_picture *names, char *out, size_t room)
{
    const struct sentence *sentence = sentence_of(code);
    size_t used = 0;

    out[0] = '\0';
    for (const char *text = sentence ? sentence->text : ""; *text && used + 1 < room;) {
        size_t index = 0;
        bool bytes = false;
        size_t length = placeholder(text, &index, &bytes);
        char number[32];
        if (!length) {
            out[used++] = *text++;
            out[used] = '\0';
            continue;
        }
        const char *value = index < count ? name_of(params[index], names) : "?";
        if (bytes && index < count)
            bytes_text(value, number);
        int written =
            snprintf(out + used, room - used, "%s", bytes && index < count ? number : value);
        used = written > 0 && used + (size_t)written < room ? used + (size_t)written : room - 1;
        text += length;
    }
    for (size_t i = 0; !sentence && i < count && used + 1 < room; i++) {
        int written =
            snprintf(out + used, room - used, "%s%s", i ? ", " : "", name_of(params[i], names));
        used = written > 0 && used + (size_t)written < room ? used + (size_t)written : room - 1;
    }
    snprintf(out + used, room - used, used ? " [%s]" : "%s", code);
}

/* The text of a failure is "CODE (first, second)". */
static size_t split(char *text, const char *code, const char **params)
{
    size_t length = strlen(code), count = 0;

    if (strncmp(text, code, length) != 0 || strncmp(text + length, " (", 2) != 0)
        return 0;
    char *at = text + length + 2, *end = strrchr(at, ')');
    if (end)
        *end = '\0';
    while (at && count < VT_XAPI_PARAMS_MAX) {
        char *next = strstr(at, ", ");
        params[count++] = at;
        if (next)
            *next = '\0';
        at = next ? next + 2 : NULL;
    }
    return count;
}

void vt_explain(struct vt_err *err, const struct vt_picture *names)
{
    char text[VT_ERR_TEXT_MAX], code[VT_ERR_XAPI_MAX];
    const char *params[VT_XAPI_PARAMS_MAX];

    if (err->xapi_code[0] == '\0' || !sentence_of(err->xapi_code))
        return;
    snprintf(text, sizeof text, "%s", err->text);
    snprintf(code, sizeof code, "%s", err->xapi_code);
    size_t count = split(text, code, params);
    vt_explain_code(code, params, count, names, err->text, sizeof err->text);
}
