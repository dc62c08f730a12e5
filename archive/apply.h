/* archive/apply.h: what a journal record means, done to files, state.db and index. The commit does
 * it the first time, recovery again: each of these finds out by itself whether it was done before.
 * Under the apply stage; what touches files under folders_lock as well. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/journal.h"
#include "archive/record.h"

struct vt_archive;
struct vt_err;

#define VT_FOREIGN ".foreign-" /* in the names of what was put aside */

enum { VT_STAGING_NAME = 32 };
void vt_staging_name(uint64_t id, char out[static VT_STAGING_NAME]);

/* The first time: the final path was free when it was chosen; VT_E_EXISTS when a restore took it
 * since. */
bool vt_apply_file(struct vt_archive *archive, const struct vt_record_body *body,
                   struct vt_err *err);
/* The file of a small object, made behind the answer. What somebody laid in its place is put aside
 * (volume.foreign tells). By who holds folders_lock. */
bool vt_apply_late_file(struct vt_archive *archive, const char *file, const uint8_t *bytes,
                        size_t size, struct vt_err *err);
/* Again, after a crash: whatever is there. *out_there false: neither staged nor in place. */
bool vt_apply_file_again(struct vt_archive *archive, const struct vt_record_body *body,
                         bool *out_there, struct vt_err *err);
/* What did not happen after all: removes it from staging and from its place, and a version's row.
 */
void vt_apply_undo_file(struct vt_archive *archive, const struct vt_record_body *body);

/* Rows of versions and quarantine; nothing for VT_RECORD_STORE. */
bool vt_apply_state(struct vt_archive *archive, enum vt_record kind,
                    const struct vt_record_body *body, struct vt_err *err);
/* Takes the row of a version back that did not happen. */
bool vt_apply_undo_state(struct vt_archive *archive, const struct vt_record_body *body,
                         struct vt_err *err);
/* Does a row of the index, of versions or of quarantine name the instance's file? Its own one, or
 * that of another arrival, told apart by the time of arrival. */
enum vt_named_by { VT_NAMED_BY_ITS_ROW, VT_NAMED_BY_ANOTHER };
bool vt_apply_is_named(struct vt_archive *archive, const struct vt_instance *instance,
                       enum vt_named_by by, bool *out_named, struct vt_err *err);
/* Within an index transaction; a conflict of patients is noted before it ends, since what the index
 * has is not asked again after a crash. Nothing for VT_RECORD_QUARANTINE. */
bool vt_apply_index(struct vt_archive *archive, enum vt_record kind,
                    const struct vt_record_body *body, unsigned *out_flags, struct vt_err *err);
