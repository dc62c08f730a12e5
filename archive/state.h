/* archive/state.h: state.db, what the objects cannot rebuild: versions, quarantine, trash and the
 * log of what administrators did; merges, conflicts and later jobs add their tables. SQLite, WAL,
 * synchronous FULL: what a transaction wrote survives a power cut.
 *
 * One connection, one user at a time: vt_state_lock gives it, vt_state_unlock gives it back. Hold
 * it briefly, and never while waiting for the archive (vt_exclusive_begin, a receive). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/auto.h"
#include "core/db.h"

struct vt_err;
struct vt_archive;
struct vt_state;

/* `folder`/state.db, migrated (archive/state_schema.c has all steps in one list). */
struct vt_state *vt_state_open(const char *folder, struct vt_err *err);
void vt_state_free(struct vt_state *state);
VT_DEFINE_AUTO(vt_state)

struct vt_db *vt_state_lock(struct vt_state *state);
void vt_state_unlock(struct vt_state *state);

/* The archive's; borrowed as long as the archive. */
struct vt_state *vt_archive_state(struct vt_archive *archive);

/* A line in the log of administrators' actions. `who`, `subject` and `detail` may be NULL. Takes
 * the lock itself. */
bool vt_state_log(struct vt_state *state, const char *who, const char *action, const char *subject,
                  const char *detail, struct vt_err *err);

/* The schema: append steps, never change one that was released. */
extern const struct vt_db_migration vt_state_migrations[];
extern const size_t vt_state_migration_count;
