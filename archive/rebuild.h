/* archive/rebuild.h: the index from the objects: walking the folder tree, reading each object,
 * putting its row. Before anyone else is there, or into a new index beside the living one
 * (archive/reindex.h). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vt_admin;
struct vt_archive;
struct vt_err;
struct vt_index;

/* Is there any file in objects/, or in those of volumes that are there? */
bool vt_rebuild_has_objects(struct vt_archive *archive);

/* Calls back for each file (path relative to the archive) below `folder`, in no order; symbolic
 * links are not followed. false of the callback ends the walk. */
bool vt_rebuild_walk(struct vt_archive *archive, const char *folder,
                     bool (*each)(void *context, const char *file, struct vt_err *err),
                     void *context, struct vt_err *err);

/* Puts rows for all objects into an empty index, committed as of the journal's last record. Others may
 * store, delete and correct meanwhile when vt_reindex_begin was called. `admin` for progress and a row for
 * each file that is no object; may be NULL. */
bool vt_rebuild_index(struct vt_archive *archive, struct vt_index *index,
                      const struct vt_admin *admin, uint64_t *out_instances, struct vt_err *err);
