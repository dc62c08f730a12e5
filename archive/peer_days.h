/* archive/peer_days.h: what each peer sent in a day (UTC), in state.db: so that bounds of a day hold over a restart, and that
 * a forecast can say who fills the disk. Written by the server once a minute and at its end (scp/server.h). Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dicom/uids.h"

struct json_t;
struct vt_archive;
struct vt_err;

enum { VT_PEER_DAYS_KEPT = 400, VT_PEER_DAYS_RATE = 30 };

struct vt_peer_day {
    int64_t day; /* since 1970 */
    char ae_title[VT_AE_TITLE_MAX + 1];
    uint64_t instances, bytes;
};

/* In place of what stood there of the same days and peers. Days older than VT_PEER_DAYS_KEPT go. */
bool vt_peer_days_write(struct vt_archive *archive, const struct vt_peer_day *list, size_t count, struct vt_err *err);
/* That day and later ones, by peer and day. `each` borrows; false stops. */
bool vt_peer_days_each(struct vt_archive *archive, int64_t since, bool (*each)(void *context, const struct vt_peer_day *day),
                       void *context, struct vt_err *err);
/* An array, the largest first: {"peer","bytes_per_day","instances_per_day","days_until_full"} of the last VT_PEER_DAYS_RATE days,
 * the last one as if that peer alone had `room` bytes. The caller's. */
struct json_t *vt_peer_days_rates(struct vt_archive *archive, uint64_t room, struct vt_err *err);
