/* media/medium.h: where an exported file-set is written to: a folder, an ISO 9660 image, a ZIP file. Everything goes to a temporary
 * name beside the target; vt_medium_publish gives it its own. What is freed unpublished leaves nothing. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_medium;

enum vt_medium_form { VT_MEDIUM_FOLDER, VT_MEDIUM_ISO, VT_MEDIUM_ZIP };
enum { VT_MEDIUM_SHA256 = 32, VT_MEDIUM_NAME_MAX = 200, VT_MEDIUM_FILES_MAX = 400000 };
enum {
    VT_MEDIUM_LONG_NAMES = 1 << 0,   /* an ISO image has Joliet and Rock Ridge beside the names of level 1 */
    VT_MEDIUM_AGAIN = 1 << 1,        /* what a killed run left under the temporary name is removed first */
};

/* By the name: *.iso, *.zip, else a folder. */
enum vt_medium_form vt_medium_form_of(const char *path);

struct vt_medium *vt_medium_new(const char *target, enum vt_medium_form form, unsigned flags, struct vt_err *err);
void vt_medium_free(struct vt_medium *medium);
VT_DEFINE_AUTO(vt_medium)
/* A file of exactly `size` bytes: begin, write ..., end. Paths are relative, of our own making. */
bool vt_medium_begin(struct vt_medium *medium, const char *path, uint64_t size, struct vt_err *err);
bool vt_medium_write(struct vt_medium *medium, const void *bytes, size_t size, struct vt_err *err);
bool vt_medium_end(struct vt_medium *medium, struct vt_err *err);
bool vt_medium_put(struct vt_medium *medium, const char *path, const void *bytes, size_t size, struct vt_err *err);
/* Of what was written so far: "<sha256>  <path>" lines. */
struct vt_buf;
bool vt_medium_sums(const struct vt_medium *medium, struct vt_buf *out, struct vt_err *err);
/* No more files: synced, then read back, each file compared by SHA-256. VT_E_CORRUPT. */
bool vt_medium_close(struct vt_medium *medium, struct vt_err *err);
/* How long the reading took, ns. */
int64_t vt_medium_verified(const struct vt_medium *medium);
/* The name becomes `path`, which must not be there: VT_E_EXISTS. */
bool vt_medium_publish(struct vt_medium *medium, const char *path, struct vt_err *err);
/* The same for one that was closed by a process that was killed then. VT_E_NOTFOUND: neither is there. */
bool vt_medium_publish_left(const char *target, const char *path, struct vt_err *err);
/* What it left under the temporary name goes. false: nothing was there. */
bool vt_medium_sweep(const char *target);
