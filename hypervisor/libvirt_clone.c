/* A VM's copy: its disks copied beside the originals, its description under another name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "hypervisor/libvirt_state.h"

enum { DISKS_MAX = 64, PATH_MAX_BYTES = 4096, NAME_MAX_BYTES = 512 };

/* A pool does not see by itself what came into its folder. */
static void refresh_pool_of(virConnectPtr connection, const char *path)
{
    char folder[PATH_MAX_BYTES];

    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder)
        return;
    *slash = '\0';
    virStoragePoolPtr pool = virStoragePoolLookupByTargetPath(connection, folder);
    if (!pool)
        return;
    virStoragePoolRefresh(pool, 0);
    virStoragePoolFree(pool);
}

virStorageVolPtr vt_libvirt_volume(virConnectPtr connection, const char *path)
{
    virStorageVolPtr volume = virStorageVolLookupByPath(connection, path);

    if (volume)
        return volume;
    refresh_pool_of(connection, path);
    return virStorageVolLookupByPath(connection, path);
}

/* ---- disks ---- */

/* "CT-2-0.qcow2" beside "anything.qcow2" */
static void name_copy(const char *path, const char *name, size_t number,
                      char out[static NAME_MAX_BYTES])
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');

    snprintf(out, NAME_MAX_BYTES, "%.256s-%zu%.32s", name, number, dot ? dot : "");
}

static char *copy_volume(virStorageVolPtr from, const char *name, struct vt_err *err)
{
    vt_autofree char *like = virStorageVolGetXMLDesc(from, 0);
    virStorageVolInfo info = { .capacity = 0 };
    virStoragePoolPtr pool = virStoragePoolLookupByVolume(from);
    char *path = NULL;

    virStorageVolGetInfo(from, &info);
    vt_autofree char *xml = like ? vt_libvirt_volume_xml(like, name, info.capacity) : NULL;
    virStorageVolPtr to = pool && xml ? virStorageVolCreateXMLFrom(pool, xml, from, 0) : NULL;
    if (to)
        path = virStorageVolGetPath(to);
    if (!path)
        vt_libvirt_failed(err, "copying a disk");
    if (to)
        virStorageVolFree(to);
    if (pool)
        virStoragePoolFree(pool);
    return path;
}

static bool copy_disk(virConnectPtr connection, const char *path, const char *name, size_t number,
                      char **out, struct vt_err *err)
{
    char own[NAME_MAX_BYTES];
    virStorageVolPtr from = vt_libvirt_volume(connection, path);

    if (!from)
        return vt_fail(err, VT_E_DENIED,
                       "its disk %.120s lies in no storage pool: libvirt can copy only those that do",
                       path);
    name_copy(path, name, number, own);
    *out = copy_volume(from, own, err);
    virStorageVolFree(from);
    return *out;
}

static void delete_copies(virConnectPtr connection, char *const *copies)
{
    for (size_t i = 0; copies[i]; i++) {
        virStorageVolPtr volume = virStorageVolLookupByPath(connection, copies[i]);
        if (!volume)
            continue;
        virStorageVolDelete(volume, 0);
        virStorageVolFree(volume);
    }
}

/* ---- the domain ---- */

static bool define(virDomainPtr domain, const char *xml, const char *name, char *const *disks,
                   char *const *copies, char out_ref[static VT_XAPI_REF_MAX], struct vt_err *err)
{
    vt_autofree char *own = vt_libvirt_copy_xml(xml, name, disks, copies);
    char uuid[VIR_UUID_STRING_BUFLEN];

    if (!own)
        return vt_fail(err, VT_E_NOMEM, "no memory for a copy's description");
    virDomainPtr made = virDomainDefineXML(virDomainGetConnect(domain), own);
    bool ok = made && virDomainGetUUIDString(made, uuid) == 0;
    if (ok)
        vt_libvirt_ref("vm", uuid, out_ref);
    else
        vt_libvirt_failed(err, "defining the copy");
    if (made)
        virDomainFree(made);
    return ok;
}

static bool is_taken(virConnectPtr connection, const char *name)
{
    virDomainPtr there = virDomainLookupByName(connection, name);

    if (there)
        virDomainFree(there);
    return there;
}

/* All or nothing: copies of disks that no domain has are taken away again. */
bool vt_libvirt_clone(virDomainPtr domain, const char *name, char out_ref[static VT_XAPI_REF_MAX],
                      struct vt_err *err)
{
    virConnectPtr connection = virDomainGetConnect(domain);
    vt_autofree char *xml =
        virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
    char **disks = xml ? vt_libvirt_disks(xml) : NULL, *copies[DISKS_MAX + 1] = { NULL };
    bool ok = true;

    if (!xml)
        return vt_libvirt_failed(err, "its description");
    if (!disks)
        return vt_fail(err, VT_E_NOMEM, "no memory for the names of its disks");
    if (is_taken(connection, name))
        ok = vt_fail(err, VT_E_EXISTS, "there is a VM '%.60s' already", name);
    for (size_t i = 0; ok && disks[i] && i < DISKS_MAX; i++)
        ok = copy_disk(connection, disks[i], name, i, &copies[i], err);
    ok = ok && define(domain, xml, name, disks, copies, out_ref, err);
    if (!ok)
        delete_copies(connection, copies);
    for (size_t i = 0; copies[i]; i++)
        free(copies[i]);
    vt_libvirt_disks_free(disks);
    return ok;
}
