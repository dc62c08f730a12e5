/* What is read out of libvirt's XML, and the little that is written. It comes from the hypervisor's
 * own daemon: parsed without network, entities or DTDs all the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <strings.h>

#include <libxml/parser.h>
#include <libxml/tree.h>

#include "hypervisor/libvirt_state.h"

enum { DISKS_MAX = 64 };

static xmlDocPtr parse(const char *xml)
{
    return xmlReadMemory(xml, (int)strlen(xml), NULL, NULL,
                         XML_PARSE_NONET | XML_PARSE_NOWARNING | XML_PARSE_NOERROR);
}

static bool is(const xmlNode *node, const char *name)
{
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

static xmlNodePtr child(xmlNodePtr node, const char *name)
{
    for (xmlNodePtr at = node ? node->children : NULL; at; at = at->next)
        if (is(at, name))
            return at;
    return NULL;
}

static void attribute(xmlNodePtr node, const char *name, char *out, size_t room)
{
    xmlChar *text = node ? xmlGetProp(node, (const xmlChar *)name) : NULL;

    snprintf(out, room, "%s", text ? (const char *)text : "");
    xmlFree(text);
}

static void content(xmlNodePtr node, char *out, size_t room)
{
    xmlChar *text = node ? xmlNodeGetContent(node) : NULL;

    snprintf(out, room, "%s", text ? (const char *)text : "");
    xmlFree(text);
}

/* <source bridge="br0"/>, network="default", dev="eth0" ... */
static void network_of(xmlNodePtr interface, char *out, size_t room)
{
    static const char *const names[] = { "network", "bridge", "dev", "portgroup" };
    xmlNodePtr source = child(interface, "source");

    out[0] = '\0';
    for (size_t i = 0; i < VT_COUNT(names) && !*out; i++)
        attribute(source, names[i], out, room);
}

size_t vt_libvirt_vifs(const char *xml, struct vt_libvirt_vif out[static VT_LIBVIRT_VIFS_MAX])
{
    xmlDocPtr document = parse(xml);
    xmlNodePtr devices = document ? child(xmlDocGetRootElement(document), "devices") : NULL;
    size_t count = 0;

    for (xmlNodePtr at = devices ? devices->children : NULL; at && count < VT_LIBVIRT_VIFS_MAX;
         at = at->next) {
        struct vt_libvirt_vif *vif = &out[count];
        char state[8];
        if (!is(at, "interface"))
            continue;
        attribute(child(at, "mac"), "address", vif->mac, sizeof vif->mac);
        attribute(child(at, "link"), "state", state, sizeof state);
        network_of(at, vif->network, sizeof vif->network);
        vif->up = strcmp(state, "down") != 0;
        count++;
    }
    xmlFreeDoc(document);
    return count;
}

static xmlNodePtr find_vif(xmlDocPtr document, const char *mac)
{
    xmlNodePtr devices = document ? child(xmlDocGetRootElement(document), "devices") : NULL;
    char own[24];

    for (xmlNodePtr at = devices ? devices->children : NULL; at; at = at->next) {
        if (!is(at, "interface"))
            continue;
        attribute(child(at, "mac"), "address", own, sizeof own);
        if (strcasecmp(own, mac) == 0)
            return at;
    }
    return NULL;
}

char *vt_libvirt_vif_xml(const char *xml, const char *mac, bool up)
{
    xmlDocPtr document = parse(xml);
    xmlNodePtr vif = find_vif(document, mac), link = child(vif, "link");
    xmlBufferPtr buffer = xmlBufferCreate();
    char *copy = NULL;

    if (vif && !link)
        link = xmlNewChild(vif, NULL, (const xmlChar *)"link", NULL);
    if (link && buffer) {
        xmlSetProp(link, (const xmlChar *)"state", (const xmlChar *)(up ? "up" : "down"));
        if (xmlNodeDump(buffer, document, vif, 0, 0) > 0)
            copy = strdup((const char *)xmlBufferContent(buffer));
    }
    xmlBufferFree(buffer);
    xmlFreeDoc(document);
    return copy;
}

char **vt_libvirt_disks(const char *xml)
{
    static const char *const names[] = { "file", "dev", "name" };
    xmlDocPtr document = parse(xml);
    xmlNodePtr devices = document ? child(xmlDocGetRootElement(document), "devices") : NULL;
    char **disks = calloc(DISKS_MAX + 1, sizeof *disks), kind[16], path[4096];
    size_t count = 0;
    bool whole = disks;

    for (xmlNodePtr at = devices ? devices->children : NULL; whole && at && count < DISKS_MAX;
         at = at->next) {
        if (!is(at, "disk") || child(at, "readonly"))
            continue;
        attribute(at, "device", kind, sizeof kind);
        if (*kind && strcmp(kind, "disk") != 0)
            continue;
        path[0] = '\0';
        for (size_t i = 0; i < VT_COUNT(names) && !*path; i++)
            attribute(child(at, "source"), names[i], path, sizeof path);
        if (*path)
            whole = (disks[count++] = strdup(path));
    }
    xmlFreeDoc(document);
    if (whole)
        return disks;
    vt_libvirt_disks_free(disks);
    return NULL;
}

void vt_libvirt_disks_free(char **disks)
{
    for (char **disk = disks; disk && *disk; disk++)
        free(*disk);
    free(disks);
}

/* ---- copies ---- */

static void drop(xmlNodePtr node)
{
    if (!node)
        return;
    xmlUnlinkNode(node);
    xmlFreeNode(node);
}

/* Where a disk's source says that it lies, when that is one of those in `from`. */
static void move_disk(xmlNodePtr disk, char *const *from, char *const *to)
{
    static const char *const names[] = { "file", "dev", "name" };
    xmlNodePtr source = child(disk, "source");
    char path[4096];

    for (size_t i = 0; i < VT_COUNT(names); i++) {
        attribute(source, names[i], path, sizeof path);
        for (size_t at = 0; *path && from[at]; at++)
            if (strcmp(from[at], path) == 0)
                xmlSetProp(source, (const xmlChar *)names[i], (const xmlChar *)to[at]);
    }
}

/* What may exist only once on this machine is libvirt's to choose anew. */
static void make_own(xmlNodePtr device, char *const *from, char *const *to)
{
    if (is(device, "disk")) {
        move_disk(device, from, to);
        drop(child(device, "backingStore"));
    } else if (is(device, "interface")) {
        drop(child(device, "mac"));
        drop(child(device, "target"));
    } else if (is(device, "graphics")) {
        xmlUnsetProp(device, (const xmlChar *)"port");
        xmlSetProp(device, (const xmlChar *)"autoport", (const xmlChar *)"yes");
    }
}

char *vt_libvirt_copy_xml(const char *xml, const char *name, char *const *from, char *const *to)
{
    xmlDocPtr document = parse(xml);
    xmlNodePtr root = document ? xmlDocGetRootElement(document) : NULL;
    xmlNodePtr label = child(root, "name"), devices = child(root, "devices"),
               nvram = child(child(root, "os"), "nvram");
    xmlChar *text = NULL;
    char *copy = NULL;
    int size = 0;

    if (label) {
        xmlNodeSetContent(label, (const xmlChar *)"");
        xmlNodeAddContent(label, (const xmlChar *)name);
        drop(child(root, "uuid"));
        if (nvram)
            xmlNodeSetContent(nvram, (const xmlChar *)"");
        for (xmlNodePtr at = devices ? devices->children : NULL; at; at = at->next)
            make_own(at, from, to);
        xmlDocDumpMemory(document, &text, &size);
        copy = text ? strdup((const char *)text) : NULL;
    }
    xmlFree(text);
    xmlFreeDoc(document);
    return copy;
}

/* The format of the volume that is copied, no more: a copy has no files behind it. */
static void put_format(xmlNodePtr volume, const char *like)
{
    xmlDocPtr document = parse(like);
    xmlNodePtr root = document ? xmlDocGetRootElement(document) : NULL;
    char format[32];

    attribute(child(child(root, "target"), "format"), "type", format, sizeof format);
    xmlNodePtr target = *format ? xmlNewChild(volume, NULL, (const xmlChar *)"target", NULL) : NULL;
    xmlNodePtr node = target ? xmlNewChild(target, NULL, (const xmlChar *)"format", NULL) : NULL;
    if (node)
        xmlSetProp(node, (const xmlChar *)"type", (const xmlChar *)format);
    xmlFreeDoc(document);
}

char *vt_libvirt_volume_xml(const char *like, const char *name, unsigned long long capacity)
{
    xmlDocPtr document = xmlNewDoc((const xmlChar *)"1.0");
    xmlNodePtr root = document ? xmlNewNode(NULL, (const xmlChar *)"volume") : NULL;
    char bytes[24], *copy = NULL;
    xmlChar *text = NULL;
    int size = 0;

    snprintf(bytes, sizeof bytes, "%llu", capacity);
    if (root) {
        xmlDocSetRootElement(document, root);
        xmlNewTextChild(root, NULL, (const xmlChar *)"name", (const xmlChar *)name);
        xmlNewTextChild(root, NULL, (const xmlChar *)"capacity", (const xmlChar *)bytes);
        put_format(root, like);
        xmlDocDumpMemory(document, &text, &size);
        copy = text ? strdup((const char *)text) : NULL;
    }
    xmlFree(text);
    xmlFreeDoc(document);
    return copy;
}

/* ---- what a domain has ---- */

int vt_libvirt_vnc(const char *xml)
{
    xmlDocPtr document = parse(xml);
    xmlNodePtr devices = document ? child(xmlDocGetRootElement(document), "devices") : NULL;
    int index = -1, count = 0;
    char kind[16];

    for (xmlNodePtr at = devices ? devices->children : NULL; at && index < 0; at = at->next) {
        if (!is(at, "graphics"))
            continue;
        attribute(at, "type", kind, sizeof kind);
        if (strcmp(kind, "vnc") == 0)
            index = count;
        count++;
    }
    xmlFreeDoc(document);
    return index;
}

/* <channel><target type="virtio" name="org.qemu.guest_agent.0" state="connected"/></channel> */
static bool is_agent(xmlNodePtr channel)
{
    xmlNodePtr target = child(channel, "target");
    char name[64], state[16];

    attribute(target, "name", name, sizeof name);
    attribute(target, "state", state, sizeof state);
    return strcmp(name, "org.qemu.guest_agent.0") == 0 && strcmp(state, "connected") == 0;
}

bool vt_libvirt_has_agent(const char *xml)
{
    xmlDocPtr document = parse(xml);
    xmlNodePtr devices = document ? child(xmlDocGetRootElement(document), "devices") : NULL;
    bool found = false;

    for (xmlNodePtr at = devices ? devices->children : NULL; at && !found; at = at->next)
        found = is(at, "channel") && is_agent(at);
    xmlFreeDoc(document);
    return found;
}

static bool lies_at(xmlNodePtr disk, const char *path)
{
    static const char *const names[] = { "file", "dev", "name" };
    xmlNodePtr source = child(disk, "source");
    char own[4096];

    for (size_t i = 0; i < VT_COUNT(names); i++) {
        attribute(source, names[i], own, sizeof own);
        if (strcmp(own, path) == 0)
            return true;
    }
    return false;
}

/* <backingStore><source/><backingStore>...<backingStore/></backingStore></backingStore> */
unsigned vt_libvirt_behind(const char *xml, const char *path)
{
    xmlDocPtr document = parse(xml);
    xmlNodePtr devices = document ? child(xmlDocGetRootElement(document), "devices") : NULL;
    unsigned count = 0;

    for (xmlNodePtr at = devices ? devices->children : NULL; at; at = at->next) {
        if (!is(at, "disk") || !lies_at(at, path))
            continue;
        for (xmlNodePtr store = child(at, "backingStore"); child(store, "source");
             store = child(store, "backingStore"))
            count++;
    }
    xmlFreeDoc(document);
    return count;
}

void vt_libvirt_description(const char *xml, char *out, size_t room)
{
    xmlDocPtr document = parse(xml);

    content(document ? child(xmlDocGetRootElement(document), "description") : NULL, out, room);
    xmlFreeDoc(document);
}

bool vt_libvirt_has_memory(const char *snapshot_xml)
{
    xmlDocPtr document = parse(snapshot_xml);
    xmlNodePtr memory = document ? child(xmlDocGetRootElement(document), "memory") : NULL;
    char kind[16], state[24];

    attribute(memory, "snapshot", kind, sizeof kind);
    content(document ? child(xmlDocGetRootElement(document), "state") : NULL, state, sizeof state);
    xmlFreeDoc(document);
    if (*kind)
        return strcmp(kind, "no") != 0;
    return strcmp(state, "running") == 0 || strcmp(state, "paused") == 0;
}

bool vt_libvirt_is_external(const char *snapshot_xml)
{
    xmlDocPtr document = parse(snapshot_xml);
    xmlNodePtr root = document ? xmlDocGetRootElement(document) : NULL, disks = child(root, "disks");
    char kind[16];
    bool external = false;

    attribute(child(root, "memory"), "snapshot", kind, sizeof kind);
    external = strcmp(kind, "external") == 0;
    for (xmlNodePtr at = disks ? disks->children : NULL; at; at = at->next) {
        if (!is(at, "disk"))
            continue;
        attribute(at, "snapshot", kind, sizeof kind);
        external = external || strcmp(kind, "external") == 0;
    }
    xmlFreeDoc(document);
    return external;
}

long long vt_libvirt_creation_time(const char *snapshot_xml)
{
    xmlDocPtr document = parse(snapshot_xml);
    char text[32];

    content(document ? child(xmlDocGetRootElement(document), "creationTime") : NULL, text,
            sizeof text);
    xmlFreeDoc(document);
    return strtoll(text, NULL, 10);
}

char *vt_libvirt_snapshot_xml(const char *name, const char *description)
{
    xmlDocPtr document = xmlNewDoc((const xmlChar *)"1.0");
    xmlNodePtr root = document ? xmlNewNode(NULL, (const xmlChar *)"domainsnapshot") : NULL;
    xmlChar *text = NULL;
    char *copy = NULL;
    int size = 0;

    if (root) {
        xmlDocSetRootElement(document, root);
        xmlNewTextChild(root, NULL, (const xmlChar *)"name", (const xmlChar *)name);
        xmlNewTextChild(root, NULL, (const xmlChar *)"description", (const xmlChar *)description);
        xmlDocDumpMemory(document, &text, &size);
        copy = text ? strdup((const char *)text) : NULL;
    }
    xmlFree(text);
    xmlFreeDoc(document);
    return copy;
}
