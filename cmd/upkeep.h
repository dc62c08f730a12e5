/* cmd/upkeep.h: what the node does for itself from time to time, one chore after another in a
 * thread of its own. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_archive;
struct vt_err;
struct vt_upkeep;

enum { VT_CHORES_MAX = 8 };

struct vt_chore {
    int64_t first; /* ns after the start */
    int64_t every; /* ns from one end to the next begin */
    /* Ends soon when *stopping becomes true. */
    void (*run)(void *context, const atomic_bool *stopping);
};

/* Copies the table; the context is borrowed until vt_upkeep_stop. */
struct vt_upkeep *vt_upkeep_start(const struct vt_chore *chores, size_t count, void *context,
                                  struct vt_err *err);
/* Ends what runs, joins the thread. NULL is fine. */
void vt_upkeep_stop(struct vt_upkeep *upkeep);

/* The chore of the trash: removes what is past archive.trash_retention, and logs it. */
void vt_upkeep_purge_trash(struct vt_archive *archive, const atomic_bool *stopping);
