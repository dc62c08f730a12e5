/* archive/volume_copy.h: one file from one file system to another: written beside its place, synced,
 * read again from the disk and compared. Nothing here knows of the index. */
#pragma once

#include <stdbool.h>

#include "archive/index.h"

struct vt_archive;
struct vt_err;
struct vt_folders;

/* entry->file below `from_root` to staging/ of `to_root`. VT_E_CORRUPT, VT_E_NOTFOUND: the file is not what the
 * entry says; else the volume has a fault. Nothing is left in staging/ then. */
bool vt_volume_copy(int from_root, const struct vt_index_entry *entry, int to_root,
                    const char *to_file, struct vt_err *err);
/* From staging/ to its place; the same bytes there already are as good, and stay
 * there: *out_placed is false then. VT_E_EXISTS: others are. */
bool vt_volume_place(int to_root, struct vt_folders *folders, const struct vt_index_entry *entry,
                     const char *to_file, bool *out_placed, struct vt_err *err);
/* Is the file what the entry says? Read from the disk. VT_E_CORRUPT, VT_E_NOTFOUND. */
bool vt_volume_check(int root, const char *file, const struct vt_index_entry *entry, struct vt_err *err);
/* The copy goes; `placed`: it has its place. */
void vt_volume_drop(int to_root, const char *to_file, bool placed);
/* Folders above a file that is gone, up to objects/, as far as they are empty. */
void vt_volume_prune(int root, const char *file);
/* Any file, open as `from`, to `to_file` below `to_root` in the same way. VT_E_CORRUPT: it cannot be read. */
bool vt_volume_carry_file(int from, const char *from_file, int to_root, const char *to_file,
                          struct vt_err *err);
/* The name in staging/ of a copy. */
void vt_volume_staged(const char *to_file, char out[static VT_FILE_MAX]);
