/* archive/slots.h: empty files in staging/, made ahead.
 *
 * A large arrival needs its name in staging/ to be durable before the journal may speak of it. Made
 * one by one, each group would wait for a sync of the folder; made sixty-four at a time, in the
 * background, that sync is paid once for all of them. The first to find none makes its own file,
 * and its group syncs the folder. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_slots;

enum { VT_SLOTS_BATCH = 64 };

struct vt_slots *vt_slots_new(int staging,
                              uint64_t first_id); /* borrows the folder; NULL when out of memory */
void vt_slots_free(struct vt_slots *slots);       /* removes what is left */
VT_DEFINE_AUTO(vt_slots)

/* A file for one arrival. *out_synced: its name is durable. *out_direct: opened with O_DIRECT. -1
 * on failure. */
int vt_slots_take(struct vt_slots *slots, uint64_t *out_id, bool *out_synced, bool *out_direct,
                  struct vt_err *err);
/* Someone took one, and there are fewer than a batch. */
bool vt_slots_wanted(struct vt_slots *slots);
/* Makes a batch and syncs the folder. One thread. */
bool vt_slots_fill(struct vt_slots *slots, struct vt_err *err);
