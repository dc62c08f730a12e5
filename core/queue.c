#include "core/queue.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "core/clock.h"

struct vt_queue {
    size_t bound;              /* fixed */
    pthread_mutex_t lock;      /* guards all below */
    pthread_cond_t filled;
    pthread_cond_t drained;
    bool closed;
    size_t first;
    size_t count;
    void *items[];
};

struct vt_queue *vt_queue_new(size_t bound)
{
    if (bound > (SIZE_MAX - sizeof(struct vt_queue)) / sizeof(void *))
        return NULL;
    struct vt_queue *queue = calloc(1, sizeof *queue + bound * sizeof(void *));
    if (!queue)
        return NULL;

    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    queue->bound = bound;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->filled, &monotonic);
    pthread_cond_init(&queue->drained, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return queue;
}

void vt_queue_free(struct vt_queue *queue)
{
    if (!queue)
        return;
    pthread_cond_destroy(&queue->filled);
    pthread_cond_destroy(&queue->drained);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

/* Under the lock. false: the deadline is past. */
static bool wait_for(struct vt_queue *queue, pthread_cond_t *condition, int64_t deadline)
{
    if (deadline == 0)
        return pthread_cond_wait(condition, &queue->lock) == 0;
    struct timespec until = { .tv_sec = deadline / VT_NS_PER_S, .tv_nsec = deadline % VT_NS_PER_S };
    return pthread_cond_timedwait(condition, &queue->lock, &until) != ETIMEDOUT;
}

bool vt_queue_push(struct vt_queue *queue, void *item, int64_t deadline)
{
    bool in_time = true;

    pthread_mutex_lock(&queue->lock);
    while (!queue->closed && queue->count == queue->bound && in_time)
        in_time = wait_for(queue, &queue->drained, deadline);
    bool fits = !queue->closed && queue->count < queue->bound;
    if (fits) {
        queue->items[(queue->first + queue->count++) % queue->bound] = item;
        pthread_cond_signal(&queue->filled);
    }
    pthread_mutex_unlock(&queue->lock);
    return fits;
}

size_t vt_queue_take(struct vt_queue *queue, void **out_items, size_t max, int64_t deadline)
{
    size_t taken = 0;
    bool in_time = true;

    pthread_mutex_lock(&queue->lock);
    while (!queue->closed && queue->count == 0 && in_time)
        in_time = wait_for(queue, &queue->filled, deadline);
    while (queue->count > 0 && taken < max) {
        out_items[taken++] = queue->items[queue->first];
        queue->first = (queue->first + 1) % queue->bound;
        queue->count--;
    }
    if (taken > 0)
        pthread_cond_broadcast(&queue->drained);
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

void vt_queue_close(struct vt_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_cond_broadcast(&queue->drained);
    pthread_mutex_unlock(&queue->lock);
}

size_t vt_queue_length(struct vt_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    size_t count = queue->count;
    pthread_mutex_unlock(&queue->lock);
    return count;
}
