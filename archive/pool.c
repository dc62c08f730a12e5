#include "archive/pool.h"

#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>

enum { POOL_ALIGNMENT = 4096 };

struct vt_pool {
    size_t block, keep;   /* fixed */
    pthread_mutex_t lock; /* guards the rest */
    size_t count;
    uint8_t *kept[];
};

struct vt_pool *vt_pool_new(size_t block, size_t keep)
{
    struct vt_pool *pool = calloc(1, sizeof *pool + keep * sizeof pool->kept[0]);

    if (!pool)
        return NULL;
    pool->block = block;
    pool->keep = keep;
    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

void vt_pool_free(struct vt_pool *pool)
{
    if (!pool)
        return;
    for (size_t i = 0; i < pool->count; i++)
        free(pool->kept[i]);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

uint8_t *vt_pool_take(struct vt_pool *pool)
{
    void *block = NULL;

    pthread_mutex_lock(&pool->lock);
    if (pool->count > 0)
        block = pool->kept[--pool->count];
    pthread_mutex_unlock(&pool->lock);
    return block || posix_memalign(&block, POOL_ALIGNMENT, pool->block) == 0 ? block : NULL;
}

void vt_pool_give(struct vt_pool *pool, uint8_t *block)
{
    if (!block)
        return;
    pthread_mutex_lock(&pool->lock);
    bool kept = pool->count < pool->keep;
    if (kept)
        pool->kept[pool->count++] = block;
    pthread_mutex_unlock(&pool->lock);
    if (!kept)
        free(block);
}

void vt_pool_trim(struct vt_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t count = pool->count;
    for (size_t i = 0; i < count; i++)
        free(pool->kept[i]);
    pool->count = 0;
    pthread_mutex_unlock(&pool->lock);
    if (count > 0)
        malloc_trim(0);
}
