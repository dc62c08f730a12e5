/* A domain's devices: its screen and the cables of its interfaces. */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "hypervisor/libvirt_state.h"

/* ---- the screen ---- */

static int open_screen(virDomainPtr domain, struct vt_err *err)
{
    vt_autofree char *xml = virDomainGetXMLDesc(domain, 0);
    int index = xml ? vt_libvirt_vnc(xml) : -1, fd = -1;

    if (virDomainIsActive(domain) != 1)
        vt_fail(err, VT_E_NOTFOUND, "it has no console now: it must run");
    else if (index < 0)
        vt_fail(err, VT_E_NOTFOUND,
                "it has no VNC screen: give it <graphics type='vnc'/>; 'virsh console' shows a "
                "serial line");
    else if ((fd = virDomainOpenGraphicsFD(domain, (unsigned)index,
                                           VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH)) < 0)
        vt_libvirt_failed(err, "its screen");
    return fd;
}

int vt_libvirt_console(struct vt_libvirt *libvirt, const char *vm, struct vt_err *err)
{
    virConnectPtr connection = vt_libvirt_get(libvirt, err);
    virDomainPtr domain = connection ? vt_libvirt_domain(connection, vm, err) : NULL;
    int fd = domain ? open_screen(domain, err) : -1;

    if (domain)
        virDomainFree(domain);
    if (connection)
        virConnectClose(connection);
    return fd;
}

/* ---- the cable ---- */

static bool set_link(virDomainPtr domain, const char *vif, bool up, bool *out_found,
                     struct vt_err *err)
{
    vt_autofree char *xml = virDomainGetXMLDesc(domain, 0);
    struct vt_libvirt_vif vifs[VT_LIBVIRT_VIFS_MAX];
    char own[VIR_UUID_STRING_BUFLEN], made[VT_LIBVIRT_UUID_MAX];
    size_t count = xml && virDomainGetUUIDString(domain, own) == 0 ? vt_libvirt_vifs(xml, vifs) : 0;

    for (size_t i = 0; i < count; i++) {
        vt_libvirt_snapshot_uuid(own, vifs[i].mac, made);
        if (strcmp(made, vt_libvirt_uuid(vif)) != 0)
            continue;
        *out_found = true;
        vt_autofree char *wanted = vt_libvirt_vif_xml(xml, vifs[i].mac, up);
        if (!wanted)
            return vt_fail(err, VT_E_NOMEM, "no memory for an interface");
        return virDomainUpdateDeviceFlags(domain, wanted, VIR_DOMAIN_AFFECT_CURRENT) == 0 ||
               vt_libvirt_failed(err, up ? "raising the link" : "cutting the link");
    }
    return true;
}

bool vt_libvirt_set_link(struct vt_libvirt *libvirt, const char *vif, bool up, struct vt_err *err)
{
    virConnectPtr connection = vt_libvirt_get(libvirt, err);
    virDomainPtr *domains = NULL;
    int count = connection ? virConnectListAllDomains(connection, &domains, 0) : 0;
    bool ok = connection, found = false;

    for (int i = 0; i < count; i++) {
        if (ok && !found) {
            ok = set_link(domains[i], vif, up, &found, err);
            char uuid[VIR_UUID_STRING_BUFLEN];
            if (found && virDomainGetUUIDString(domains[i], uuid) == 0)
                vt_libvirt_touch(libvirt, uuid);
        }
        virDomainFree(domains[i]);
    }
    free(domains);
    if (connection)
        virConnectClose(connection);
    return ok && (found || vt_fail(err, VT_E_NOTFOUND, "the interface is gone"));
}
