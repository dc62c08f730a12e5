/* archive/reindex.h: what changes in the living index while a new one is built beside it.
 *
 * The walk over the objects (archive/rebuild.h) runs beside arrivals and operations. Whoever
 * changes the living index notes it here, in the order of the changes; the builder does the same to
 * the new index once its walk is done, most of it while others go on, the last few with nobody else
 * there. Then the files change places. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_archive;
struct vt_err;
struct vt_index;
struct vt_instance;
struct vt_reindex;

/* ---- who changes the index: under the apply stage, at once after the change. Nothing happens
 * while no index is built. What cannot be noted makes the reindex fail, never its caller. ---- */
void vt_reindex_note_put(struct vt_archive *archive, const struct vt_instance *instance);
void vt_reindex_note_remove(struct vt_archive *archive, const char *sop_uid);
/* A file that lay in its place for a moment is gone: the walk may have seen it. */
void vt_reindex_note_undone(struct vt_archive *archive, const char *sop_uid);
/* Identities change from now on; then each study that moves for it. */
void vt_reindex_note_identities(struct vt_archive *archive);
void vt_reindex_note_move(struct vt_archive *archive, const char *study_uid,
                          const uint8_t *patient_attributes, size_t size);

/* ---- the builder ---- */

/* Notes from now on. VT_E_BUSY: another one is building. */
bool vt_reindex_begin(struct vt_archive *archive, struct vt_err *err);
/* Notes no more; the new index is taken, or forgotten. */
void vt_reindex_end(struct vt_archive *archive);
/* Did an identity change since the beginning? What the walk finds of patients may be older. */
bool vt_reindex_identities_changed(struct vt_archive *archive);
/* Does to `fresh` what was noted and not yet done. With `last`, the caller holds
 * vt_exclusive_begin, and `fresh` has all of it, committed as of the journal's last record, when it
 * returns; else what was noted until now, others go on, and *out_left says how much came meanwhile.
 */
bool vt_reindex_follow(struct vt_archive *archive, struct vt_index *fresh, bool last,
                       uint64_t *out_left, struct vt_err *err);

/* ---- files: <archive>/reindex/ while it is built, reindex.ready/ while it takes its place ---- */

#define VT_REINDEX_FOLDER "reindex"
/* By the exclusive holder; the index in reindex/ is closed. From here on it is the one to be used:
 * the next start makes good what a crash leaves undone. */
bool vt_reindex_ready(struct vt_archive *archive, struct vt_err *err);
/* It becomes index.db. */
bool vt_reindex_take_place(struct vt_archive *archive, struct vt_err *err);
/* At the start, before the index is opened: finishes a swap, and forgets what was being built. */
bool vt_reindex_recover(struct vt_archive *archive, struct vt_err *err);
/* Removes reindex/ and what is in it. */
void vt_reindex_remove(struct vt_archive *archive);
