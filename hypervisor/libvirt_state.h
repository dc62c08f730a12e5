/* hypervisor/libvirt_state.h: what the files of the libvirt driver share; nobody else includes it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <libvirt/libvirt.h>

#include "hypervisor/libvirt.h"
#include "hypervisor/picture.h"

struct vt_xmlrpc_value;

enum { VT_LIBVIRT_UUID_MAX = 40, VT_LIBVIRT_VIFS_MAX = 32 };

/* A connection to use now, opened anew when the old one died; virConnectClose it. NULL: err. */
virConnectPtr vt_libvirt_get(struct vt_libvirt *libvirt, struct vt_err *err);
/* libvirt's last error of this thread as ours. Returns false. */
bool vt_libvirt_failed(struct vt_err *err, const char *what);

void vt_libvirt_ref(const char *class, const char *uuid, char out[static VT_XAPI_REF_MAX]);
/* The uuid of a snapshot, made of its domain's and its name. */
void vt_libvirt_snapshot_uuid(const char *domain_uuid, const char *name,
                              char out[static VT_LIBVIRT_UUID_MAX]);
/* NULL: err, VT_E_NOTFOUND when it is gone. */
virDomainPtr vt_libvirt_domain(virConnectPtr connection, const char *ref, struct vt_err *err);
/* The snapshot behind a reference. */
virDomainSnapshotPtr vt_libvirt_snapshot(virConnectPtr connection, const char *ref,
                                         struct vt_err *err);
/* Halted, Paused, Running or Suspended. */
const char *vt_libvirt_power(virDomainPtr domain);

/* ---- what is done with domains (libvirt_deeds.c) ---- */

/* libvirt tells neither what goes on with a domain nor that it was reset, later: its number stays the
 * same. Kept of what this session does itself and hears; any thread. */
struct vt_libvirt_deed {
    char operation[24]; /* XAPI's name of what goes on; "": nothing */
    uint32_t resets;    /* since the session began */
};
struct vt_libvirt_deeds;
struct vt_libvirt_deeds *vt_libvirt_deeds_new(void); /* NULL: out of memory */
void vt_libvirt_deeds_free(struct vt_libvirt_deeds *deeds);
/* Until its end, its reset when it is a reboot, or so long. */
void vt_libvirt_deed_begin(struct vt_libvirt_deeds *deeds, const char *uuid, const char *operation,
                           int64_t ns);
void vt_libvirt_deed_end(struct vt_libvirt_deeds *deeds, const char *uuid);
void vt_libvirt_deed_reset(struct vt_libvirt_deeds *deeds, const char *uuid);
struct vt_libvirt_deed vt_libvirt_deed_of(struct vt_libvirt_deeds *deeds, const char *uuid);

/* ---- records (libvirt_records.c) ---- */

struct vt_libvirt_sink {
    struct vt_libvirt_deeds *deeds;
    void *context;
    bool (*put)(void *context, enum vt_class class, const char *ref,
                const struct vt_xmlrpc_value *record, struct vt_err *err);
};
bool vt_libvirt_put_host(virConnectPtr connection, const struct vt_libvirt_sink *sink,
                         struct vt_err *err);
bool vt_libvirt_put_domain(virDomainPtr domain, const struct vt_libvirt_sink *sink,
                           struct vt_err *err);
/* The host and every domain. */
bool vt_libvirt_put_all(virConnectPtr connection, const struct vt_libvirt_sink *sink,
                        struct vt_err *err);

/* ---- interfaces (libvirt_xml.c) ---- */

struct vt_libvirt_vif {
    char mac[24], network[64];
    bool up; /* the cable is in */
};
size_t vt_libvirt_vifs(const char *xml, struct vt_libvirt_vif out[static VT_LIBVIRT_VIFS_MAX]);
/* The <interface> with that address and the link as wanted, for virDomainUpdateDeviceFlags; the
 * caller frees it. NULL: there is none. */
char *vt_libvirt_vif_xml(const char *xml, const char *mac, bool up);
/* The file or device of each disk that can be written, NULL behind the last. NULL: out of memory. */
char **vt_libvirt_disks(const char *xml);
void vt_libvirt_disks_free(char **disks);
/* How many files lie behind that one, in the XML of a VM that runs: what overlays are put upon. */
unsigned vt_libvirt_behind(const char *xml, const char *path);
/* What stands for a copy: another name, no uuid and no addresses (libvirt makes new ones), the disks in
 * `from` (NULL behind the last) at the places in `to`. The caller frees it. NULL: out of memory, or it
 * is no domain. */
char *vt_libvirt_copy_xml(const char *xml, const char *name, char *const *from, char *const *to);
/* <volume> for a copy; the caller frees it. NULL: out of memory. */
char *vt_libvirt_volume_xml(const char *like, const char *name, unsigned long long capacity);
/* Which of its <graphics> is a VNC server, counted from 0; -1: none. */
int vt_libvirt_vnc(const char *xml);
/* The guest's agent has opened its channel: there is somebody to ask. */
bool vt_libvirt_has_agent(const char *xml);
/* Of <description>, or "". */
void vt_libvirt_description(const char *xml, char *out, size_t room);
/* A snapshot keeps the memory (internal or in a file); false: disks only. */
bool vt_libvirt_has_memory(const char *snapshot_xml);
/* It lies in overlay files: libvirt cannot go back to it. */
bool vt_libvirt_is_external(const char *snapshot_xml);
long long vt_libvirt_creation_time(const char *snapshot_xml); /* seconds; 0: not known */
/* <domainsnapshot> with escaped texts; the caller frees it. NULL: out of memory. */
char *vt_libvirt_snapshot_xml(const char *name, const char *description);

/* ---- copies (libvirt_clone.c) ---- */

/* What lies there, when a storage pool has it. NULL: none. */
virStorageVolPtr vt_libvirt_volume(virConnectPtr connection, const char *path);
bool vt_libvirt_clone(virDomainPtr domain, const char *name, char out_ref[static VT_XAPI_REF_MAX],
                      struct vt_err *err);

/* ---- for the watch (libvirt_events.c) ---- */
struct vt_libvirt_watching;
/* A domain changed by our own hand. */
void vt_libvirt_touch(struct vt_libvirt *libvirt, const char *domain_uuid);
/* The session's watch is handed to libvirt_events.c. */
struct vt_libvirt_watching *vt_libvirt_watching(struct vt_libvirt *libvirt);
struct vt_libvirt_watching *vt_libvirt_watching_new(void);
/* libvirt's thread may still hold it: the last one ends it. */
void vt_libvirt_watching_unref(struct vt_libvirt_watching *watching);
/* How many there are: libvirt lets go of its callbacks in its own thread, a moment after they were taken out. */
unsigned vt_libvirt_watchings_alive(void);
struct vt_libvirt_deeds *vt_libvirt_watching_deeds(struct vt_libvirt_watching *watching);
