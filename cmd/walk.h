/* cmd/walk.h: the files below some files and folders, in a stable order. Symbolic links are
 * followed only when they are named; loops end. Main thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_err;

/* named: the path was given itself, not found in a folder. false stops with err. */
typedef bool (*vt_walk_file)(void *context, const char *path, uint64_t size, bool named,
                             struct vt_err *err);
/* A path that cannot be read. */
typedef void (*vt_walk_trouble)(void *context, const char *path, const char *why);

bool vt_walk_files(const char *const *paths, size_t count, vt_walk_file file,
                   vt_walk_trouble trouble, void *context, struct vt_err *err);
