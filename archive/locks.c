#include "archive/locks.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

enum { BUCKETS = 128 };

struct bucket {
    pthread_mutex_t lock; /* guards the list */
    pthread_cond_t given;
    struct vt_uid_lock *held;
};

struct vt_locks {
    struct bucket buckets[BUCKETS];
};

struct vt_locks *vt_locks_new(void)
{
    struct vt_locks *locks = calloc(1, sizeof *locks);

    for (size_t i = 0; locks && i < BUCKETS; i++) {
        pthread_mutex_init(&locks->buckets[i].lock, NULL);
        pthread_cond_init(&locks->buckets[i].given, NULL);
    }
    return locks;
}

void vt_locks_free(struct vt_locks *locks)
{
    for (size_t i = 0; locks && i < BUCKETS; i++) {
        pthread_mutex_destroy(&locks->buckets[i].lock);
        pthread_cond_destroy(&locks->buckets[i].given);
    }
    free(locks);
}

static bool is_held(const struct bucket *bucket, const struct vt_uid_lock *wanted)
{
    for (const struct vt_uid_lock *held = bucket->held; held; held = held->next)
        if (held->hash == wanted->hash && strcmp(held->uid, wanted->uid) == 0)
            return true;
    return false;
}

void vt_locks_take(struct vt_locks *locks, struct vt_uid_lock *lock, const char *uid)
{
    lock->uid = uid;
    lock->hash = XXH3_64bits(uid, strlen(uid));
    struct bucket *bucket = &locks->buckets[lock->hash % BUCKETS];

    pthread_mutex_lock(&bucket->lock);
    while (is_held(bucket, lock))
        pthread_cond_wait(&bucket->given, &bucket->lock);
    lock->next = bucket->held;
    bucket->held = lock;
    pthread_mutex_unlock(&bucket->lock);
}

void vt_locks_give(struct vt_locks *locks, struct vt_uid_lock *lock)
{
    struct bucket *bucket = &locks->buckets[lock->hash % BUCKETS];
    struct vt_uid_lock **at = &bucket->held;

    pthread_mutex_lock(&bucket->lock);
    while (*at != lock)
        at = &(*at)->next;
    *at = lock->next;
    pthread_cond_broadcast(&bucket->given);
    pthread_mutex_unlock(&bucket->lock);
}

/* ---- the gate ---- */

void vt_gate_init(struct vt_gate *gate)
{
    atomic_init(&gate->passing, 0);
    atomic_init(&gate->closed, false);
    pthread_mutex_init(&gate->lock, NULL);
    pthread_mutex_init(&gate->turn_lock, NULL);
    pthread_cond_init(&gate->turn, NULL);
}

void vt_gate_fini(struct vt_gate *gate)
{
    pthread_mutex_destroy(&gate->lock);
    pthread_mutex_destroy(&gate->turn_lock);
    pthread_cond_destroy(&gate->turn);
}

/* Who enters is counted before it looks whether the gate is closed, who closes it does so before
 * it looks whether anyone is counted: one of the two sees the other. */
void vt_gate_enter(struct vt_gate *gate)
{
    for (;;) {
        atomic_fetch_add(&gate->passing, 1);
        if (!atomic_load(&gate->closed))
            return;
        vt_gate_leave(gate);
        pthread_mutex_lock(&gate->turn_lock);
        while (atomic_load(&gate->closed))
            pthread_cond_wait(&gate->turn, &gate->turn_lock);
        pthread_mutex_unlock(&gate->turn_lock);
    }
}

void vt_gate_leave(struct vt_gate *gate)
{
    if (atomic_fetch_sub(&gate->passing, 1) != 1 || !atomic_load(&gate->closed))
        return;
    pthread_mutex_lock(&gate->turn_lock);
    pthread_cond_broadcast(&gate->turn);
    pthread_mutex_unlock(&gate->turn_lock);
}

void vt_gate_close(struct vt_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    atomic_store(&gate->closed, true);
    pthread_mutex_lock(&gate->turn_lock);
    while (atomic_load(&gate->passing) > 0)
        pthread_cond_wait(&gate->turn, &gate->turn_lock);
    pthread_mutex_unlock(&gate->turn_lock);
}

void vt_gate_open(struct vt_gate *gate)
{
    pthread_mutex_lock(&gate->turn_lock);
    atomic_store(&gate->closed, false);
    pthread_cond_broadcast(&gate->turn);
    pthread_mutex_unlock(&gate->turn_lock);
    pthread_mutex_unlock(&gate->lock);
}
