/* cmd/get_files.h: instances that arrive by C-GET, written as Part 10 files
 * DIR/<study>/<series>/<sop instance uid>.dcm.
 *
 * Each is written under a temporary name in DIR and renamed when it is whole, so a file that is
 * there is complete. File names come from UIDs, which are checked to be nothing but digits and
 * dots. The data set is stored as it came. One thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/auto.h"
#include "scu/client.h"

struct vt_err;
struct vt_get_files;

struct vt_get_files *vt_get_files_new(const char *folder, const char *source_ae_title,
                                      struct vt_err *err);
void vt_get_files_free(struct vt_get_files *files);
VT_DEFINE_AUTO(vt_get_files)

/* For vt_client_get. */
struct vt_sink vt_get_files_sink(struct vt_get_files *files);

/* Told after each instance; path is borrowed. NULL: nobody. */
typedef void (*vt_get_files_told)(void *context, const char *path, const char *sop_uid,
                                  uint64_t size);
void vt_get_files_tell(struct vt_get_files *files, vt_get_files_told told, void *context);
uint64_t vt_get_files_count(const struct vt_get_files *files);
uint64_t vt_get_files_bytes(const struct vt_get_files *files);
/* Why the last instance could not be written; NULL: none failed. */
const char *vt_get_files_trouble(const struct vt_get_files *files);
