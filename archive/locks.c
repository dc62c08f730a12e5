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
