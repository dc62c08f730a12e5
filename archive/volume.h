/* archive/volume.h: volumes: other file systems on which objects of the archive lie, for long-term
 * storage or because the first one is small.
 *
 * Arrivals always go to the archive's own folder, the volume MAIN; what lies elsewhere was moved
 * there. Below the archive's root, volumes/NAME is a symbolic link to the volume's folder, and the
 * file of such an instance is "volumes/NAME/objects/...", so that whoever opens, compares, verifies
 * or copies files of the archive needs to know nothing of volumes. In the folder of a volume lie
 *
 *   vitrine-volume     its name: without it the volume is away (not mounted, not prepared), and
 *                      nothing is written there
 *   objects/, staging/ as in the archive
 *
 * A move copies a file, reads the copy back from the disk and compares, makes it durable, changes
 * the index, makes that durable, and only then removes the first one. Which copies are being made
 * stands in state.db: the next start removes what is one too many.
 *
 * Any thread. One move at a time, never beside a reindex (VT_E_BUSY). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/archive.h"
#include "core/auto.h"

struct vt_admin;
struct vt_err;
struct vt_volumes;

#define VT_VOLUME_MAIN "MAIN"

/* ---- of the archive ---- */

/* Checks names and paths, makes the links. Volumes that are away are no failure. */
bool vt_volumes_open(struct vt_archive *archive, struct vt_err *err);
/* After the replay of the journal: copies that a crash left. */
bool vt_volumes_recover(struct vt_archive *archive, struct vt_err *err);
void vt_volumes_free(struct vt_volumes *volumes);
VT_DEFINE_AUTO(vt_volumes)

/* The volume that a file lies on, by its name. */
void vt_volume_of(const char *file, char out_name[static VT_VOLUME_NAME_MAX + 1]);
/* Calls back for "objects" and each "volumes/NAME/objects", also of volumes that the configuration
 * does not name any more. VT_E_NOTFOUND: one of them is away; `away` NULL: that is a failure, else
 * they are told there and left out. */
bool vt_volumes_each(struct vt_archive *archive,
                     bool (*each)(void *context, const char *folder, struct vt_err *err),
                     bool (*away)(void *context, const char *name, struct vt_err *err),
                     void *context, struct vt_err *err);
/* Is the volume there? VT_E_NOTFOUND says why not. MAIN always is. */
bool vt_volume_is_ready(struct vt_archive *archive, const char *name, struct vt_err *err);
/* No move runs while it is held. false: VT_E_BUSY, when `wait` is not set and it took too long. */
bool vt_volumes_hold(struct vt_archive *archive, bool wait, struct vt_err *err);
void vt_volumes_release(struct vt_archive *archive);

/* Sets row->availability: of the instances below it, the one that is hardest to reach. NEARLINE: on a
 * volume that says so; OFFLINE: on one that is away. Rows of patients stay as they are. */
bool vt_volume_availability(struct vt_archive *archive, struct vt_row *row, struct vt_err *err);

/* Of one instance: "ONLINE", "NEARLINE" or "OFFLINE"; a constant. false: err of state.db. */
bool vt_volume_availability_of(struct vt_archive *archive, const struct vt_index_entry *entry, const char **out,
                               struct vt_err *err);

/* For operations (archive/operation.h): a file goes to another file system, durable there before it
 * goes here. What cannot be read any more stays where it is. */
bool vt_volume_carry(struct vt_archive *archive, int from, const char *from_file,
                     const char *to_file, struct vt_err *err);

/* ---- for administrators ---- */

/* The first use of a volume that the configuration names: makes its folders and its mark. */
bool vt_admin_volume_add(const struct vt_admin *admin, const char *name, struct vt_err *err);
/* A row for each volume, MAIN first. */
bool vt_admin_volume_list(const struct vt_admin *admin, struct vt_err *err);
/* All instances of a study that are served go to volume `to`; those that cannot be read stay, with a row
 * each. Adds to *moved. VT_E_BUSY: the index is built anew, or a backup made. */
struct vt_volume_moved {
    uint64_t instances, bytes, faults;
};
/* A move; a second copy, and both are kept (archive/copies.h); or the first one is given up because a copy on `to` was read
 * and is whole: not of what is held or was committed to others (archive/hold.h), nor of what has no copy there. */
enum vt_volume_way { VT_VOLUME_MOVE, VT_VOLUME_KEEP, VT_VOLUME_RELEASE };
struct vt_volume_turn {
    enum vt_volume_way way;
    const char *from, *to; /* from NULL: wherever it lies; KEEP and RELEASE go not to MAIN */
    bool dry;              /* only counts what would be done */
    bool recall;           /* may use the room that is reserved */
};
bool vt_admin_volume_turn_study(const struct vt_admin *admin, const char *study_uid, const struct vt_volume_turn *turn,
                                struct vt_volume_moved *moved, struct vt_err *err);
bool vt_admin_volume_move_study(const struct vt_admin *admin, const char *study_uid, const char *to,
                                struct vt_volume_moved *moved, struct vt_err *err);
/* Every file of one volume against its row, and each of its rows; as vt_admin_verify. */
bool vt_admin_volume_verify(const struct vt_admin *admin, const char *name, uint64_t *out_checked,
                            uint64_t *out_faults, struct vt_err *err);
/* Studies that are served from volume `from`, and of which nothing came since `arrived_before`, go to volume
 * `to`. Goes on where it was stopped, when called again: what is on `to` already is no work. */
struct vt_volume_rule {
    const char *from, *to;
    const struct vt_query *query; /* which studies; NULL: all */
    int64_t arrived_before;       /* wall ns; 0: whenever */
    int64_t accessed_before;      /* studies that were retrieved since stay (archive/last_access.h); 0: whenever */
    enum vt_volume_way way;
    /* Instead of moving: is asked for each study. NULL: none. */
    bool (*study)(void *context, const char *study_uid, struct vt_err *err);
    void *context;
};
bool vt_admin_volume_migrate(const struct vt_admin *admin, const struct vt_volume_rule *rule,
                             struct vt_volume_moved *out, struct vt_err *err);
/* Everything leaves `name`: what is served, versions that are not, second copies (which go when the first one was read
 * and is whole; on `to` other ones are made before, unless the first ones lie there). */
bool vt_admin_volume_drain(const struct vt_admin *admin, const char *name, const char *to,
                           struct vt_volume_moved *out, struct vt_err *err);
