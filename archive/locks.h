/* archive/locks.h: one thread at a time for each SOP Instance UID, from the decision what to do
 * with an arrival until its answer. A thread holds one at a time, so nobody waits in a circle. Any
 * thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_locks;

/* In the holder's storage; the UID is borrowed while it is held. */
struct vt_uid_lock {
    const char *uid;
    uint64_t hash;
    struct vt_uid_lock *next;
};

struct vt_locks *vt_locks_new(void); /* NULL when out of memory */
void vt_locks_free(struct vt_locks *locks);
VT_DEFINE_AUTO(vt_locks)

/* Waits until nobody holds the UID. */
void vt_locks_take(struct vt_locks *locks, struct vt_uid_lock *lock, const char *uid);
void vt_locks_give(struct vt_locks *locks, struct vt_uid_lock *lock);
