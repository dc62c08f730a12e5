/* archive/copies.h: second copies: the same instance on another volume as well. The index names the
 * first one, rows in state.db the others; a copy counts as long as its digest is the one of the index,
 * and is read when the first one is away or damaged. Rules make them and give them up
 * (archive/volume.h). Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "archive/index.h"

struct vt_admin;
struct vt_archive;
struct vt_db;
struct vt_err;

/* The copy on `volume` (NULL: on any that is there) of what `entry` says, other than entry->file. */
bool vt_copies_find(struct vt_archive *archive, const struct vt_index_entry *entry,
                    const char *volume, char out_file[static VT_FILE_MAX], bool *out_found,
                    struct vt_err *err);
/* Opens one of the right size; -1: there is none. */
int vt_copies_open(struct vt_archive *archive, const struct vt_index_entry *entry);
/* Is that file a copy? */
bool vt_copies_is(struct vt_archive *archive, const char *file, bool *out_is, struct vt_err *err);
/* In the caller's transaction, with state.db locked: a copy was made and is durable. */
bool vt_copies_note(struct vt_db *db, const struct vt_index_entry *entry, const char *volume,
                    const char *file, struct vt_err *err);
/* The row goes, the file stays: it became the first one. */
bool vt_copies_forget(struct vt_archive *archive, const char *file, struct vt_err *err);

/* Copies of instances that are deleted, or served in another version, go; those on a volume that is
 * away wait for it. study_uid NULL: of all. */
bool vt_copies_sweep(struct vt_archive *archive, const char *study_uid, struct vt_err *err);
/* All that lie on `volume` go, each when the first one was read and is whole; the others are told to
 * the admin's row. */
bool vt_copies_give_up(const struct vt_admin *admin, const char *volume, uint64_t *out_faults,
                       struct vt_err *err);
/* Studies with copies on `volume`, by UID, one after `behind`; *out_more false: no more. */
bool vt_copies_next_study(struct vt_archive *archive, const char *volume, char behind[static VT_UID_MAX + 1],
                          bool *out_more, struct vt_err *err);
