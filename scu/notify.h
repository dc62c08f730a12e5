/* scu/notify.h: Instance Availability Notification (PS3.4 Annex R): a peer is told by N-CREATE which
 * instances of a study can be retrieved, and from whom. A call belongs to one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scu/client.h"

struct vt_err;
struct vt_buf;

#define VT_UID_AVAILABILITY_NOTIFICATION "1.2.840.10008.5.1.4.33"

enum {
    VT_NOTIFY_INSTANCES_MAX = 100000,
    VT_NOTIFY_BYTES_MAX = 32 << 20,
};

struct vt_notify_instance {
    char series_uid[VT_UID_MAX + 1], sop_class[VT_UID_MAX + 1], sop_uid[VT_UID_MAX + 1];
    const char *availability;   /* "ONLINE", "NEARLINE", "OFFLINE", "UNAVAILABLE" */
};
struct vt_notify {
    const char *study_uid;
    const char *retrieve_ae_title;
    const struct vt_notify_instance *instances;   /* those of a series stand together */
    size_t count;
};

/* Appends the data set of the N-CREATE, Explicit VR LE. Pure. */
bool vt_notify_encode(const struct vt_notify *notify, struct vt_buf *out, struct vt_err *err);
/* VT_E_STATUS: the peer's answer; VT_E_REFUSED: it does not take the service. */
bool vt_client_notify(const struct vt_client *client, const struct vt_notify *notify, struct vt_err *err);
