/* archive/volume_inside.h: what the files about volumes share. */
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/volume.h"

struct vt_volumes {
    struct vt_volume list[VT_VOLUMES_MAX]; /* fixed after open */
    size_t count;
    pthread_mutex_t moving; /* files change places; or a reindex wants none to. Before all others */
};

/* Statements of state.db, bound to the copy's file, the first one's, and the SOP Instance UID: a copy is being made; it is
 * made, or given up; versions of that file have another one. */
#define VT_VOLUME_NOTE                                                                             \
    "INSERT OR REPLACE INTO volume_copy (to_file, from_file, sop_uid) VALUES (?1, ?2, ?3)"
#define VT_VOLUME_FORGET                                                                           \
    "DELETE FROM volume_copy WHERE to_file = ?1 AND from_file = ?2 AND sop_uid = ?3"
#define VT_VOLUME_RENAME "UPDATE version SET file = ?1 WHERE file = ?2 AND sop_uid = ?3"

/* NULL: the configuration does not name it (or it is MAIN). */
const struct vt_volume *vt_volume_find(const struct vt_archive *archive, const char *name);
/* Its folder, the caller's descriptor; -1 when it is away. */
int vt_volume_root(struct vt_archive *archive, const char *name, struct vt_err *err);
/* Its marks in bytes, of a file system with `total`. */
uint64_t vt_volume_stop(const struct vt_archive *archive, const char *name, uint64_t total);
uint64_t vt_volume_reserve(const struct vt_archive *archive, const char *name, uint64_t total);
uint64_t vt_volume_warn(const struct vt_archive *archive, const char *name, uint64_t total);
/* What was done on the volume of that file is durable. */
bool vt_volume_sync(struct vt_archive *archive, const char *file, struct vt_err *err);
/* The part of a file's name below the folder of its volume. */
const char *vt_volume_below(const char *file);
