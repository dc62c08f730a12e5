/* core/io.h: whole reads and writes, folders, locks: what read(2) and friends leave to their callers.
 * Interrupted calls are repeated, short ones continued. Nothing here syncs unless its name says so. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;
struct vt_buf;

/* VT_E_CORRUPT when the file ends before. */
bool vt_io_pread(int fd, void *bytes, size_t size, uint64_t offset, const char *path, struct vt_err *err);
bool vt_io_pwrite(int fd, const void *bytes, size_t size, uint64_t offset, const char *path, struct vt_err *err);
/* Appends the file; VT_E_LIMIT when it is larger than the buffer may become. */
bool vt_io_read_file(const char *path, struct vt_buf *out, struct vt_err *err);
/* Temporary name beside it, fdatasync, rename, fsync of the folder. mode e.g. 0600. */
bool vt_io_write_file(const char *path, const void *bytes, size_t size, unsigned mode, struct vt_err *err);

bool vt_io_sync_data(int fd, const char *path, struct vt_err *err);   /* fdatasync */
bool vt_io_sync_folder(int folder_fd, const char *path, struct vt_err *err);   /* fsync */

/* Makes the folder and its missing parents, 0750. */
bool vt_io_make_folder(const char *path, struct vt_err *err);
/* The same, and the names of all that it made are synced. When the last one was there already, who made it may have been
 * stopped before: so that is tried again, and may fail, since its parent need not be this user's. */
bool vt_io_make_synced_folder(const char *path, struct vt_err *err);

/* Exclusive lock on a file that is made if need be; holds until the descriptor closes. -1 and VT_E_BUSY:
 * another process has it. */
int vt_io_lock(const char *path, struct vt_err *err);

#ifdef __cplusplus
}
#endif
