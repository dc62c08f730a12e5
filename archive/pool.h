/* archive/pool.h: large aligned buffers for receivers, used again while they are warm: the first
 * touch of fresh memory costs more than writing it to disk. Any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_pool;

/* Blocks of `block` bytes, aligned for O_DIRECT; up to `keep` are kept for the next taker. NULL
 * when out of memory. */
struct vt_pool *vt_pool_new(size_t block, size_t keep);
void vt_pool_free(struct vt_pool *pool);
VT_DEFINE_AUTO(vt_pool)

uint8_t *vt_pool_take(struct vt_pool *pool); /* NULL when out of memory */
void vt_pool_give(struct vt_pool *pool, uint8_t *block);
/* Frees what is kept: nobody has stored for a while. */
void vt_pool_trim(struct vt_pool *pool);
