/* Domains, snapshots and the host as records with XAPI's names, so that one picture shows both. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/statvfs.h>
#include <time.h>

#include "core/buf.h"
#include "core/err.h"
#include "hypervisor/guard.h"
#include "hypervisor/libvirt_state.h"
#include "hypervisor/verbs.h"
#include "hypervisor/xmlrpc.h"

enum { RECORD_MAX = 256 * 1024, KIB = 1024, SNAPSHOTS_MAX = 512, DISKS_MAX = 64, DESCRIPTION_MAX = 4096, RESETS_MAX = 1000000, NEIGHBOUR_KNOWN = 2 /* ATF_COM */ };

#define NO_REF "OpaqueRef:NULL"

struct record {
    struct vt_buf buf;
    struct vt_xmlrpc_writer writer;
};

static void begin(struct record *record, const char *uuid, const char *name, struct vt_err *err)
{
    vt_buf_init(&record->buf, RECORD_MAX);
    record->writer = (struct vt_xmlrpc_writer){ .buf = &record->buf, .err = err };
    vt_xmlrpc_struct_begin(&record->writer);
    vt_xmlrpc_member_begin(&record->writer, "uuid");
    vt_xmlrpc_put_string(&record->writer, uuid);
    vt_xmlrpc_member_end(&record->writer);
    vt_xmlrpc_member_begin(&record->writer, "name_label");
    vt_xmlrpc_put_string(&record->writer, name);
    vt_xmlrpc_member_end(&record->writer);
}

static void put_text(struct record *record, const char *field, const char *text)
{
    vt_xmlrpc_member_begin(&record->writer, field);
    vt_xmlrpc_put_string(&record->writer, text);
    vt_xmlrpc_member_end(&record->writer);
}

static void put_bool(struct record *record, const char *field, bool value)
{
    vt_xmlrpc_member_begin(&record->writer, field);
    vt_xmlrpc_put_bool(&record->writer, value);
    vt_xmlrpc_member_end(&record->writer);
}

static void put_int(struct record *record, const char *field, int64_t value)
{
    vt_xmlrpc_member_begin(&record->writer, field);
    vt_xmlrpc_put_int(&record->writer, value);
    vt_xmlrpc_member_end(&record->writer);
}

/* A map of one; of none when it has no value. */
static void put_pair(struct record *record, const char *field, const char *key, const char *value)
{
    vt_xmlrpc_member_begin(&record->writer, field);
    vt_xmlrpc_struct_begin(&record->writer);
    if (*value)
        put_text(record, key, value);
    vt_xmlrpc_struct_end(&record->writer);
    vt_xmlrpc_member_end(&record->writer);
}

static void put_list(struct record *record, const char *field,
                     const char (*texts)[VT_XAPI_REF_MAX], size_t count)
{
    vt_xmlrpc_member_begin(&record->writer, field);
    vt_xmlrpc_array_begin(&record->writer);
    for (size_t i = 0; i < count; i++)
        vt_xmlrpc_put_string(&record->writer, texts[i]);
    vt_xmlrpc_array_end(&record->writer);
    vt_xmlrpc_member_end(&record->writer);
}

/* Hands it out. */
static bool end(struct record *record, const struct vt_libvirt_sink *sink, enum vt_class class,
                const char *ref, struct vt_err *err)
{
    vt_xmlrpc_struct_end(&record->writer);
    bool ok = vt_xmlrpc_written(&record->writer);
    const char *xml = ok ? vt_buf_string(&record->buf, err) : NULL;
    VT_AUTO(vt_xmlrpc_message) message = xml ? vt_xmlrpc_decode_value(xml, err) : NULL;

    ok = message && sink->put(sink->context, class, ref, message->params, err);
    vt_buf_fini(&record->buf);
    return ok;
}

/* ---- the host ---- */

static const char *host_uuid(virConnectPtr connection, char out[static VT_LIBVIRT_UUID_MAX])
{
    char *name = virConnectGetHostname(connection);

    vt_libvirt_snapshot_uuid("host", name ? name : "", out);
    free(name);
    return out;
}

static void host_ref(virConnectPtr connection, char out[static VT_XAPI_REF_MAX])
{
    char uuid[VT_LIBVIRT_UUID_MAX];

    vt_libvirt_ref("host", host_uuid(connection, uuid), out);
}

static void put_versions(struct record *record, virConnectPtr connection)
{
    unsigned long version = 0;
    const char *type = virConnectGetType(connection);
    char text[32] = "";

    if (virConnectGetLibVersion(connection, &version) == 0)
        snprintf(text, sizeof text, "%lu.%lu.%lu", version / 1000000, version / 1000 % 1000,
                 version % 1000);
    vt_xmlrpc_member_begin(&record->writer, "software_version");
    vt_xmlrpc_struct_begin(&record->writer);
    put_text(record, "product_brand", type ? type : "libvirt");
    put_text(record, "product_version", text);
    vt_xmlrpc_struct_end(&record->writer);
    vt_xmlrpc_member_end(&record->writer);
}

static bool put_metrics(virConnectPtr connection, const char *uuid,
                        const struct vt_libvirt_sink *sink, struct vt_err *err)
{
    virNodeInfo info = { .memory = 0 };
    char ref[VT_XAPI_REF_MAX];
    struct record record;

    virNodeGetInfo(connection, &info);
    vt_libvirt_ref("metrics", uuid, ref);
    begin(&record, uuid, "", err);
    put_bool(&record, "live", true);
    put_int(&record, "memory_total", (int64_t)info.memory * KIB);
    return end(&record, sink, VT_CLASS_HOST_METRICS, ref, err);
}

bool vt_libvirt_put_host(virConnectPtr connection, const struct vt_libvirt_sink *sink,
                         struct vt_err *err)
{
    char uuid[VT_LIBVIRT_UUID_MAX], ref[VT_XAPI_REF_MAX], metrics[VT_XAPI_REF_MAX],
        pool[VT_XAPI_REF_MAX], *name = virConnectGetHostname(connection);
    struct record record;

    vt_libvirt_ref("host", host_uuid(connection, uuid), ref);
    vt_libvirt_ref("metrics", uuid, metrics);
    vt_libvirt_ref("pool", uuid, pool);
    begin(&record, uuid, name ? name : "host", err);
    put_text(&record, "hostname", name ? name : "");
    put_text(&record, "address", "127.0.0.1");
    put_text(&record, "metrics", metrics);
    put_bool(&record, "enabled", true);
    put_versions(&record, connection);
    bool ok = end(&record, sink, VT_CLASS_HOST, ref, err) &&
              put_metrics(connection, uuid, sink, err);
    if (ok) {
        begin(&record, uuid, name ? name : "libvirt", err);
        put_text(&record, "master", ref);
        ok = end(&record, sink, VT_CLASS_POOL, pool, err);
    }
    free(name);
    return ok;
}

/* ---- a domain's guest ---- */

struct addresses {
    struct record *record;
    int number;
};

static void put_address(struct addresses *to, size_t interface, const char *address)
{
    char key[48];

    snprintf(key, sizeof key, "%zu/ipv4/%d", interface, to->number++);
    put_text(to->record, key, address);
}

/* What libvirt's own networks leased. Asking it for the neighbour table fails with newer kernels
 * ("wrong nlmsg len", libvirt 9), so that is read below. */
static void put_leases(struct addresses *to, virDomainPtr domain)
{
    virDomainInterfacePtr *interfaces = NULL;
    int count = virDomainInterfaceAddresses(domain, &interfaces,
                                            VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE, 0);

    for (int i = 0; i < count; i++) {
        for (unsigned a = 0; a < interfaces[i]->naddrs; a++)
            put_address(to, (size_t)i, interfaces[i]->addrs[a].addr);
        virDomainInterfaceFree(interfaces[i]);
    }
    free(interfaces);
}

/* This machine's neighbours: "10.0.0.7  0x1  0x2  52:54:00:00:00:01  *  br0". */
static void put_neighbours(struct addresses *to, const struct vt_libvirt_vif *vifs, size_t count)
{
    FILE *table = fopen("/proc/net/arp", "re");
    char line[256], address[64], mac[32];
    unsigned flags = 0;

    while (table && fgets(line, sizeof line, table)) {
        if (sscanf(line, "%63s %*s %x %31s", address, &flags, mac) != 3 || !(flags & NEIGHBOUR_KNOWN))
            continue;
        for (size_t i = 0; i < count; i++)
            if (strcasecmp(vifs[i].mac, mac) == 0)
                put_address(to, i, address);
    }
    if (table)
        fclose(table);
}

static void put_addresses(struct record *record, virDomainPtr domain,
                          const struct vt_libvirt_vif *vifs, size_t count)
{
    struct addresses to = { .record = record };

    vt_xmlrpc_member_begin(&record->writer, "networks");
    vt_xmlrpc_struct_begin(&record->writer);
    put_leases(&to, domain);
    if (to.number == 0)
        put_neighbours(&to, vifs, count);
    vt_xmlrpc_struct_end(&record->writer);
    vt_xmlrpc_member_end(&record->writer);
}

/* ---- its interfaces ---- */

struct domain {
    virDomainPtr handle;
    char uuid[VIR_UUID_STRING_BUFLEN];
    char ref[VT_XAPI_REF_MAX];
    const char *name, *power;
    char *xml;
    struct vt_libvirt_vif vifs[VT_LIBVIRT_VIFS_MAX];
    char vif_refs[VT_LIBVIRT_VIFS_MAX][VT_XAPI_REF_MAX];
    size_t vif_count;
    char vbd_refs[DISKS_MAX][VT_XAPI_REF_MAX];
    size_t vbd_count;
    char (*snapshots)[VT_XAPI_REF_MAX];
    size_t snapshot_count;
};

static bool put_guest(const struct domain *domain, const struct vt_libvirt_sink *sink,
                      struct vt_err *err)
{
    char ref[VT_XAPI_REF_MAX];
    struct record record;

    vt_libvirt_ref("guest", domain->uuid, ref);
    begin(&record, domain->uuid, "", err);
    put_addresses(&record, domain->handle, domain->vifs, domain->vif_count);
    put_bool(&record, "live", true);
    put_bool(&record, "PV_drivers_detected", vt_libvirt_has_agent(domain->xml));
    return end(&record, sink, VT_CLASS_VM_GUEST_METRICS, ref, err);
}

static bool put_network(const char *name, const struct vt_libvirt_sink *sink,
                        char ref[static VT_XAPI_REF_MAX], struct vt_err *err)
{
    char uuid[VT_LIBVIRT_UUID_MAX];
    struct record record;

    vt_libvirt_snapshot_uuid("network", name, uuid);
    vt_libvirt_ref("network", uuid, ref);
    begin(&record, uuid, name, err);
    put_text(&record, "bridge", name);
    return end(&record, sink, VT_CLASS_NETWORK, ref, err);
}

static bool put_vifs(struct domain *domain, const struct vt_libvirt_sink *sink, struct vt_err *err)
{
    bool ok = true;

    for (size_t i = 0; i < domain->vif_count && ok; i++) {
        const struct vt_libvirt_vif *vif = &domain->vifs[i];
        char uuid[VT_LIBVIRT_UUID_MAX], network[VT_XAPI_REF_MAX], device[24];
        struct record record;
        vt_libvirt_snapshot_uuid(domain->uuid, vif->mac, uuid);
        vt_libvirt_ref("vif", uuid, domain->vif_refs[i]);
        snprintf(device, sizeof device, "%zu", i);
        ok = put_network(vif->network, sink, network, err);
        begin(&record, uuid, "", err);
        put_text(&record, "device", device);
        put_text(&record, "network", network);
        put_text(&record, "VM", domain->ref);
        put_text(&record, "MAC", vif->mac);
        put_bool(&record, "currently_attached",
                 vif->up && strcmp(domain->power, "Running") == 0);
        ok = end(&record, sink, VT_CLASS_VIF, domain->vif_refs[i], err) && ok;
    }
    return ok;
}

/* ---- its disks ---- */

/* A folder of this machine is a storage; of another machine's nothing but the name is known. */
static bool put_storage(const char *path, const struct vt_libvirt_sink *sink,
                        char ref[static VT_XAPI_REF_MAX], struct vt_err *err)
{
    char folder[4096], uuid[VT_LIBVIRT_UUID_MAX];
    struct statvfs space = { .f_frsize = 0 };
    struct record record;

    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    if (statvfs(folder, &space) != 0)
        space = (struct statvfs){ .f_frsize = 0 };
    vt_libvirt_snapshot_uuid("storage", folder, uuid);
    vt_libvirt_ref("sr", uuid, ref);
    begin(&record, uuid, folder, err);
    put_text(&record, "type", "dir");
    put_bool(&record, "shared", false);
    put_int(&record, "physical_size", (int64_t)(space.f_blocks * space.f_frsize));
    put_int(&record, "physical_utilisation",
            (int64_t)((space.f_blocks - space.f_bavail) * space.f_frsize));
    return end(&record, sink, VT_CLASS_SR, ref, err);
}

static bool put_disk(struct domain *domain, const char *path, const struct vt_libvirt_sink *sink,
                     struct vt_err *err)
{
    char uuid[VT_LIBVIRT_UUID_MAX], vdi[VT_XAPI_REF_MAX], sr[VT_XAPI_REF_MAX], behind[12];
    char (*vbd)[VT_XAPI_REF_MAX] = &domain->vbd_refs[domain->vbd_count];
    virDomainBlockInfo info = { .capacity = 0 };
    struct record record;

    if (!put_storage(path, sink, sr, err))
        return false;
    virDomainGetBlockInfo(domain->handle, path, &info, 0);
    vt_libvirt_snapshot_uuid(domain->uuid, path, uuid);
    vt_libvirt_ref("vdi", uuid, vdi);
    vt_libvirt_ref("vbd", uuid, *vbd);
    begin(&record, uuid, path, err);
    put_text(&record, "SR", sr);
    put_text(&record, "type", "user");
    put_bool(&record, "managed", true);
    put_int(&record, "virtual_size", (int64_t)info.capacity);
    put_int(&record, "physical_utilisation", (int64_t)info.allocation);
    snprintf(behind, sizeof behind, "%u", vt_libvirt_behind(domain->xml, path));
    put_pair(&record, "sm_config", VT_GUARD_BEHIND, behind);
    put_list(&record, "VBDs", (const char (*)[VT_XAPI_REF_MAX])vbd, 1);
    if (!end(&record, sink, VT_CLASS_VDI, vdi, err))
        return false;
    begin(&record, uuid, "", err);
    put_text(&record, "VM", domain->ref);
    put_text(&record, "VDI", vdi);
    put_text(&record, "type", "Disk");
    put_text(&record, "mode", "RW");
    put_bool(&record, "currently_attached", strcmp(domain->power, "Halted") != 0);
    if (!end(&record, sink, VT_CLASS_VBD, *vbd, err))
        return false;
    domain->vbd_count++;
    return true;
}

static bool put_disks(struct domain *domain, const struct vt_libvirt_sink *sink, struct vt_err *err)
{
    char **disks = vt_libvirt_disks(domain->xml);
    bool ok = disks || vt_fail(err, VT_E_NOMEM, "no memory for the names of disks");

    for (char **disk = disks; ok && *disk && domain->vbd_count < DISKS_MAX; disk++)
        ok = put_disk(domain, *disk, sink, err);
    vt_libvirt_disks_free(disks);
    return ok;
}

/* ---- its snapshots ---- */

static void put_time(struct record *record, const char *field, long long seconds)
{
    time_t time = (time_t)seconds;
    char text[32] = "";
    struct tm utc;

    if (gmtime_r(&time, &utc))
        strftime(text, sizeof text, "%Y%m%dT%H:%M:%SZ", &utc);
    put_text(record, field, text);
}

/* Lines of the description that begin with "vitrine:" are marks: "vitrine:incident=7". The rest is
 * for people. */
static void put_description(struct record *record, char *text)
{
    char plain[DESCRIPTION_MAX] = "", *rest = NULL;

    vt_xmlrpc_member_begin(&record->writer, "other_config");
    vt_xmlrpc_struct_begin(&record->writer);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *equals = strchr(line, '=');
        size_t used = strlen(plain);
        if (strncmp(line, "vitrine:", 8) == 0 && equals) {
            *equals = '\0';
            put_text(record, line, equals + 1);
        } else {
            snprintf(plain + used, sizeof plain - used, "%s%s", used ? "\n" : "", line);
        }
    }
    vt_xmlrpc_struct_end(&record->writer);
    vt_xmlrpc_member_end(&record->writer);
    put_text(record, "name_description", plain);
}

static bool put_snapshot(const struct domain *domain, virDomainSnapshotPtr snapshot,
                         const struct vt_libvirt_sink *sink, char ref[static VT_XAPI_REF_MAX],
                         struct vt_err *err)
{
    const char *name = virDomainSnapshotGetName(snapshot);
    vt_autofree char *xml = virDomainSnapshotGetXMLDesc(snapshot, 0);
    char uuid[VT_LIBVIRT_UUID_MAX], description[DESCRIPTION_MAX];
    static const char allowed[2][VT_XAPI_REF_MAX] = { "destroy", "revert" };
    struct record record;

    if (!xml)
        return vt_libvirt_failed(err, "a snapshot");
    bool external = vt_libvirt_is_external(xml);
    vt_libvirt_snapshot_uuid(domain->uuid, name, uuid);
    vt_libvirt_ref("snapshot", uuid, ref);
    vt_libvirt_description(xml, description, sizeof description);
    begin(&record, uuid, name, err);
    put_description(&record, description);
    put_text(&record, "power_state",
             vt_libvirt_has_memory(xml) && !external ? "Suspended" : "Halted");
    put_bool(&record, "is_a_snapshot", true);
    put_bool(&record, "is_a_template", true);
    put_text(&record, "snapshot_of", domain->ref);
    put_time(&record, "snapshot_time", vt_libvirt_creation_time(xml));
    put_list(&record, "allowed_operations", allowed, external ? 1 : 2);
    return end(&record, sink, VT_CLASS_VM, ref, err);
}

static bool put_snapshots(struct domain *domain, const struct vt_libvirt_sink *sink,
                          struct vt_err *err)
{
    virDomainSnapshotPtr *all = NULL;
    int count = virDomainListAllSnapshots(domain->handle, &all, 0);
    bool ok = true;

    domain->snapshots = count > 0 ? calloc((size_t)count, sizeof *domain->snapshots) : NULL;
    for (int i = 0; i < count; i++) {
        if (ok && domain->snapshots && domain->snapshot_count < SNAPSHOTS_MAX)
            ok = put_snapshot(domain, all[i], sink, domain->snapshots[domain->snapshot_count++], err);
        virDomainSnapshotFree(all[i]);
    }
    free(all);
    return ok && (count <= 0 || domain->snapshots ||
                  vt_fail(err, VT_E_NOMEM, "no memory for %d snapshots", count));
}

/* ---- the domain ---- */

/* What the driver's table has for this state, and what has somebody in the guest to do it. */
static void put_allowed(struct record *record, const struct domain *domain)
{
    char allowed[32][VT_XAPI_REF_MAX];
    enum vt_power power = vt_power_from(domain->power);
    bool agent = vt_libvirt_has_agent(domain->xml);
    size_t count = 0;

    for (const struct vt_verb *verb = vt_driver_libvirt.verbs;
         verb->name && count < VT_COUNT(allowed); verb++)
        if ((verb->states & power) && strcmp(verb->name, "revert") != 0 &&
            (agent || strcmp(verb->name, VT_VERB_QUIESCED) != 0))
            snprintf(allowed[count++], VT_XAPI_REF_MAX, "%s", verb->operation);
    put_list(record, "allowed_operations", (const char (*)[VT_XAPI_REF_MAX])allowed, count);
}

/* Of our own doing, or a guest that is on its way out by itself. */
static void put_operations(struct record *record, const struct domain *domain,
                           const struct vt_libvirt_deed *deed)
{
    int state = VIR_DOMAIN_NOSTATE;
    const char *operation = deed->operation;

    virDomainGetState(domain->handle, &state, NULL, 0);
    if (!*operation && state == VIR_DOMAIN_SHUTDOWN)
        operation = "clean_shutdown";
    put_pair(record, "current_operations", domain->ref, operation);
}

/* libvirt's number of the domain stays through a reboot; XAPI's does not. "2000003" is domain 2,
 * reset three times. */
static int64_t run_number(const struct domain *domain, const struct vt_libvirt_deed *deed)
{
    return (int64_t)virDomainGetID(domain->handle) * RESETS_MAX + deed->resets % RESETS_MAX;
}

static bool put_vm(const struct domain *domain, const struct vt_libvirt_sink *sink,
                   struct vt_err *err)
{
    bool runs = strcmp(domain->power, "Running") == 0 || strcmp(domain->power, "Paused") == 0;
    char text[512], host[VT_XAPI_REF_MAX], guest[VT_XAPI_REF_MAX];
    virDomainInfo info = { .maxMem = 0 };
    struct vt_libvirt_deed deed = { .resets = 0 };
    struct record record;

    if (sink->deeds)
        deed = vt_libvirt_deed_of(sink->deeds, domain->uuid);
    virDomainGetInfo(domain->handle, &info);
    host_ref(virDomainGetConnect(domain->handle), host);
    vt_libvirt_ref("guest", domain->uuid, guest);
    begin(&record, domain->uuid, domain->name, err);
    vt_libvirt_description(domain->xml, text, sizeof text);
    put_text(&record, "name_description", text);
    put_text(&record, "power_state", domain->power);
    put_text(&record, "resident_on", runs ? host : NO_REF);
    put_text(&record, "guest_metrics", runs ? guest : NO_REF);
    put_int(&record, "memory_static_max", (int64_t)info.maxMem * KIB);
    put_int(&record, "VCPUs_max", info.nrVirtCpu);
    put_int(&record, "domid", runs ? run_number(domain, &deed) : -1);
    put_operations(&record, domain, &deed);
    put_list(&record, "VIFs", (const char (*)[VT_XAPI_REF_MAX])domain->vif_refs, domain->vif_count);
    put_list(&record, "VBDs", (const char (*)[VT_XAPI_REF_MAX])domain->vbd_refs, domain->vbd_count);
    put_list(&record, "snapshots", (const char (*)[VT_XAPI_REF_MAX])domain->snapshots,
             domain->snapshot_count);
    put_allowed(&record, domain);
    return end(&record, sink, VT_CLASS_VM, domain->ref, err) &&
           (!runs || put_guest(domain, sink, err));
}

bool vt_libvirt_put_domain(virDomainPtr handle, const struct vt_libvirt_sink *sink,
                           struct vt_err *err)
{
    struct domain *domain = calloc(1, sizeof *domain);

    if (!domain)
        return vt_fail(err, VT_E_NOMEM, "no memory for a VM");
    domain->handle = handle;
    domain->name = virDomainGetName(handle);
    domain->power = vt_libvirt_power(handle);
    domain->xml = virDomainGetXMLDesc(handle, 0);
    bool ok = domain->xml && virDomainGetUUIDString(handle, domain->uuid) == 0;
    if (ok) {
        vt_libvirt_ref("vm", domain->uuid, domain->ref);
        domain->vif_count = vt_libvirt_vifs(domain->xml, domain->vifs);
        ok = put_vifs(domain, sink, err) && put_disks(domain, sink, err) && put_snapshots(domain, sink, err) &&
             put_vm(domain, sink, err);
    } else {
        vt_libvirt_failed(err, "a VM");
    }
    free(domain->snapshots);
    free(domain->xml);
    free(domain);
    return ok;
}

/* A domain that goes while we look is no failure. */
bool vt_libvirt_put_all(virConnectPtr connection, const struct vt_libvirt_sink *sink,
                        struct vt_err *err)
{
    virDomainPtr *domains = NULL;
    int count = virConnectListAllDomains(connection, &domains, 0);
    bool ok = count >= 0 ? vt_libvirt_put_host(connection, sink, err)
                         : vt_libvirt_failed(err, "the list of VMs");

    for (int i = 0; i < count; i++) {
        if (ok && !vt_libvirt_put_domain(domains[i], sink, err)) {
            ok = err->code == VT_E_NOTFOUND;
            if (ok)
                vt_err_clear(err);
        }
        virDomainFree(domains[i]);
    }
    free(domains);
    return ok;
}

/* ---- into a picture ---- */

static bool into_picture(void *context, enum vt_class class, const char *ref,
                         const struct vt_xmlrpc_value *record, struct vt_err *err)
{
    return vt_picture_put(context, class, ref, record, err);
}

bool vt_libvirt_load(struct vt_libvirt *libvirt, struct vt_picture *picture, struct vt_err *err)
{
    const struct vt_libvirt_sink sink = { vt_libvirt_watching_deeds(vt_libvirt_watching(libvirt)), picture, into_picture };
    virConnectPtr connection = vt_libvirt_get(libvirt, err);

    if (!connection)
        return false;
    vt_picture_reset(picture);
    bool ok = vt_libvirt_put_all(connection, &sink, err);
    virConnectClose(connection);
    if (ok)
        vt_picture_batch(picture, true);
    return ok;
}
