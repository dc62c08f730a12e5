/* archive/locks.h: what an arrival holds from the decision what to do with it until its answer: its
 * SOP Instance UID, alone, and the identities of patients, with all others. An association holds
 * one of each at a time, so nobody waits in a circle. Any thread; who gives one back need not be
 * who took it, since the group commit answers for others. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
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

/* Many pass, or one closes it; who wants to close it goes first. */
struct vt_gate {
    atomic_size_t passing;
    atomic_bool closed;
    pthread_mutex_t lock; /* one closes it at a time; taken before turn_lock */
    pthread_mutex_t turn_lock;
    pthread_cond_t turn; /* with turn_lock: opened, or the last one left */
};

void vt_gate_init(struct vt_gate *gate);
void vt_gate_fini(struct vt_gate *gate);
void vt_gate_enter(struct vt_gate *gate);
void vt_gate_leave(struct vt_gate *gate);
/* Waits until all have left; new ones wait until it is opened, by the same thread. */
void vt_gate_close(struct vt_gate *gate);
void vt_gate_open(struct vt_gate *gate);
