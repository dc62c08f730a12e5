/* The session with libvirt: its connection, references, errors. */
#include "hypervisor/libvirt.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/virterror.h>
#include <openssl/sha.h>

#include "core/err.h"
#include "hypervisor/libvirt_state.h"

enum { KEEPALIVE_S = 5, KEEPALIVE_MISSES = 3 };

struct vt_libvirt {
    char *url; /* fixed */
    struct vt_libvirt_watching *watching;

    pthread_mutex_t lock; /* guards what follows */
    virConnectPtr connection;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Errors are ours to tell. */
static void be_silent(void *context, virErrorPtr error)
{
    (void)context, (void)error;
}

static void init_libvirt(void)
{
    virInitialize();
    virSetErrorFunc(NULL, be_silent);
    virEventRegisterDefaultImpl(); /* before the first connection */
}

bool vt_libvirt_failed(struct vt_err *err, const char *what)
{
    const virError *error = virGetLastError();
    const char *why = error && error->message ? error->message : "no reason given";

    switch (error ? error->code : VIR_ERR_INTERNAL_ERROR) {
    case VIR_ERR_NO_DOMAIN:
    case VIR_ERR_NO_DOMAIN_SNAPSHOT:
        return vt_fail(err, VT_E_NOTFOUND, "%s: %s", what, why);
    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_AUTH_UNAVAILABLE:
    case VIR_ERR_AUTH_CANCELLED:
    case VIR_ERR_OPERATION_DENIED:
    case VIR_ERR_ACCESS_DENIED:
        return vt_fail(err, VT_E_DENIED, "%s: %s", what, why);
    case VIR_ERR_NO_CONNECT:
    case VIR_ERR_INVALID_CONN:
        return vt_fail(err, VT_E_REFUSED, "%s: %s", what, why);
    case VIR_ERR_NO_MEMORY:
        return vt_fail(err, VT_E_NOMEM, "no memory: %s", what);
    case VIR_ERR_NO_SUPPORT:
    case VIR_ERR_CONFIG_UNSUPPORTED:
    case VIR_ERR_OPERATION_UNSUPPORTED:
        return vt_fail(err, VT_E_UNSUPPORTED, "%s: %s", what, why);
    case VIR_ERR_RPC:
    case VIR_ERR_SYSTEM_ERROR:
        return error && error->domain == VIR_FROM_RPC
                   ? vt_fail(err, VT_E_CLOSED, "%s: libvirt went away: %s", what, why)
                   : vt_fail(err, VT_E_STATUS, "%s: %s", what, why);
    default:
        return vt_fail(err, VT_E_STATUS, "%s: %s", what, why);
    }
}

static virConnectPtr connect_to(const char *url, struct vt_err *err)
{
    virConnectPtr connection = virConnectOpen(url);

    if (!connection) {
        const virError *error = virGetLastError();
        vt_libvirt_failed(err, url);
        if (err->code == VT_E_STATUS || err->code == VT_E_CLOSED) /* no socket, no such host */
            vt_fail(err, VT_E_REFUSED, "no libvirt answers at %s: %s", url,
                    error && error->message ? error->message : "no reason given");
        return NULL;
    }
    virConnectSetKeepAlive(connection, KEEPALIVE_S, KEEPALIVE_MISSES);
    return connection;
}

struct vt_libvirt *vt_libvirt_open(const char *url, struct vt_err *err)
{
    VT_AUTO(vt_libvirt) libvirt = calloc(1, sizeof *libvirt);

    pthread_once(&once, init_libvirt);
    if (libvirt) {
        pthread_mutex_init(&libvirt->lock, NULL);
        libvirt->url = strdup(url);
        libvirt->watching = vt_libvirt_watching_new();
    }
    if (!libvirt || !libvirt->url || !libvirt->watching) {
        vt_fail(err, VT_E_NOMEM, "no memory for a session with libvirt");
        return NULL;
    }
    return vt_take(&libvirt);
}

void vt_libvirt_free(struct vt_libvirt *libvirt)
{
    if (!libvirt)
        return;
    if (libvirt->connection)
        virConnectClose(libvirt->connection);
    vt_libvirt_watching_unref(libvirt->watching);
    pthread_mutex_destroy(&libvirt->lock);
    free(libvirt->url);
    free(libvirt);
}

struct vt_libvirt_watching *vt_libvirt_watching(struct vt_libvirt *libvirt)
{
    return libvirt->watching;
}

virConnectPtr vt_libvirt_get(struct vt_libvirt *libvirt, struct vt_err *err)
{
    pthread_mutex_lock(&libvirt->lock);
    if (libvirt->connection && virConnectIsAlive(libvirt->connection) != 1) {
        virConnectClose(libvirt->connection);
        libvirt->connection = NULL;
    }
    if (!libvirt->connection)
        libvirt->connection = connect_to(libvirt->url, err);
    virConnectPtr connection = libvirt->connection;
    if (connection && virConnectRef(connection) != 0)
        connection = NULL;
    pthread_mutex_unlock(&libvirt->lock);
    return connection;
}

/* ---- references ---- */

void vt_libvirt_ref(const char *class, const char *uuid, char out[static VT_XAPI_REF_MAX])
{
    snprintf(out, VT_XAPI_REF_MAX, "libvirt:%.12s:%.39s", class, uuid);
}

const char *vt_libvirt_uuid(const char *ref)
{
    const char *colon = strrchr(ref, ':');

    return colon ? colon + 1 : ref;
}

void vt_libvirt_snapshot_uuid(const char *domain_uuid, const char *name,
                              char out[static VT_LIBVIRT_UUID_MAX])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char text[512];

    snprintf(text, sizeof text, "%s/%s", domain_uuid, name);
    SHA256((const unsigned char *)text, strlen(text), digest);
    digest[6] = (unsigned char)((digest[6] & 0x0f) | 0x80); /* version 8: of our own making */
    digest[8] = (unsigned char)((digest[8] & 0x3f) | 0x80);
    for (int i = 0, at = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        snprintf(out + at, 3, "%02x", digest[i]);
        at += 2;
    }
}

virDomainPtr vt_libvirt_domain(virConnectPtr connection, const char *ref, struct vt_err *err)
{
    virDomainPtr domain = virDomainLookupByUUIDString(connection, vt_libvirt_uuid(ref));

    if (!domain)
        vt_libvirt_failed(err, "the VM");
    return domain;
}

/* Takes those that are not it apart. */
static virDomainSnapshotPtr snapshot_of(virDomainPtr domain, const char *uuid)
{
    virDomainSnapshotPtr *all = NULL, found = NULL;
    char own[VIR_UUID_STRING_BUFLEN], made[VT_LIBVIRT_UUID_MAX];
    int count = virDomainListAllSnapshots(domain, &all, 0);

    for (int i = 0; i < count; i++) {
        if (!found && virDomainGetUUIDString(domain, own) == 0) {
            vt_libvirt_snapshot_uuid(own, virDomainSnapshotGetName(all[i]), made);
            if (strcmp(made, uuid) == 0) {
                found = all[i];
                continue;
            }
        }
        virDomainSnapshotFree(all[i]);
    }
    free(all);
    return found;
}

virDomainSnapshotPtr vt_libvirt_snapshot(virConnectPtr connection, const char *ref,
                                         struct vt_err *err)
{
    virDomainPtr *domains = NULL;
    virDomainSnapshotPtr found = NULL;
    int count = virConnectListAllDomains(connection, &domains, VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT);

    if (count < 0) {
        vt_libvirt_failed(err, "the snapshots");
        return NULL;
    }
    for (int i = 0; i < count; i++) {
        if (!found)
            found = snapshot_of(domains[i], vt_libvirt_uuid(ref));
        virDomainFree(domains[i]);
    }
    free(domains);
    if (!found)
        vt_fail(err, VT_E_NOTFOUND, "the snapshot is gone");
    return found;
}

/* It stands still for a moment of our own or others' making (a snapshot with memory, a save, a dump, its
 * start) and goes on or ends by itself. */
static bool is_held(int reason)
{
    return reason == VIR_DOMAIN_PAUSED_SNAPSHOT || reason == VIR_DOMAIN_PAUSED_SAVE ||
           reason == VIR_DOMAIN_PAUSED_DUMP || reason == VIR_DOMAIN_PAUSED_STARTING_UP;
}

const char *vt_libvirt_power(virDomainPtr domain)
{
    int state = VIR_DOMAIN_NOSTATE, reason = 0;

    virDomainGetState(domain, &state, &reason, 0);
    switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
    case VIR_DOMAIN_SHUTDOWN: /* on its way, not there yet */
        return "Running";
    case VIR_DOMAIN_PAUSED:
        return is_held(reason) ? "Running" : "Paused";
    case VIR_DOMAIN_PMSUSPENDED:
        return "Paused";
    default:
        return virDomainHasManagedSaveImage(domain, 0) == 1 ? "Suspended" : "Halted";
    }
}
