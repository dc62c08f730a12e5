/* core/queue.h: a bounded queue of pointers between threads, many to many.
 *
 * The queue never owns what is in it: drain it before freeing it. Closing wakes everybody; what is in the
 * queue can still be taken out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_queue;

struct vt_queue *vt_queue_new(size_t bound);   /* NULL when out of memory */
void vt_queue_free(struct vt_queue *queue);
VT_DEFINE_AUTO(vt_queue)

/* Waits for room until the deadline (monotonic ns, 0: for ever). false: closed or too late. */
bool vt_queue_push(struct vt_queue *queue, void *item, int64_t deadline);

/* Waits for at least one, takes up to max in order. 0: closed and empty, or too late. */
size_t vt_queue_take(struct vt_queue *queue, void **out_items, size_t max, int64_t deadline);

void vt_queue_close(struct vt_queue *queue);
size_t vt_queue_length(struct vt_queue *queue);
