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

/* NULL: the configuration does not name it (or it is MAIN). */
const struct vt_volume *vt_volume_find(const struct vt_archive *archive, const char *name);
/* Its folder, the caller's descriptor; -1 when it is away. */
int vt_volume_root(struct vt_archive *archive, const char *name, struct vt_err *err);
/* Its marks in bytes, of a file system with `total`. */
uint64_t vt_volume_stop(const struct vt_archive *archive, const char *name, uint64_t total);
uint64_t vt_volume_warn(const struct vt_archive *archive, const char *name, uint64_t total);
/* The part of a file's name below the folder of its volume. */
const char *vt_volume_below(const char *file);
