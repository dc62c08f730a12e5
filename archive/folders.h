/* archive/folders.h: the folders below the archive's root that are in use, as open descriptors: a
 * series sends its instances one after another, and each costs one openat or renameat in a folder
 * that is already open. The least recently used one is closed when there are too many. One thread
 * at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/auto.h"

struct vt_err;
struct vt_folders;

/* More than a busy node has series arriving at once. */
enum {
    VT_FOLDERS_MAX = 256,
    VT_FOLDERS_MADE = 4096, /* that are remembered as made here */
};

struct vt_folders *vt_folders_new(int root); /* borrows the descriptor; NULL when out of memory */
void vt_folders_free(struct vt_folders *folders);
VT_DEFINE_AUTO(vt_folders)

/* The folder that `file` (relative to the root) lies in, made with its parents if `make`. Borrowed
 * until the next call. -1 on failure; VT_E_NOTFOUND when it is not there and is not to be made. */
int vt_folders_of(struct vt_folders *folders, const char *file, bool make, struct vt_err *err);
/* The name behind the last slash. */
const char *vt_folders_name(const char *file);
/* The folder of `file` was made here and not forgotten since: nothing is in it but what the callers of
 * vt_folders_of put there, so nobody need look whether a name is free before it is made exclusively.
 * Any thread. */
bool vt_folders_made(const struct vt_folders *folders, const char *file);
/* Something else than arrivals may be put into folders, or lies in the way of one. */
void vt_folders_forget_made(struct vt_folders *folders);
/* Closes all: folders may have been removed. */
void vt_folders_forget(struct vt_folders *folders);

/* Removes the file's folder and its parents up to, without, the first component as far as they are
 * empty. */
void vt_folders_prune(struct vt_folders *folders, const char *file);
