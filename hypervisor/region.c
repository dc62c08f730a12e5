#include "hypervisor/region.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct vt_region_chunk {
    struct vt_region_chunk *next;
    size_t used, size;
    unsigned char data[] __attribute__((aligned(8)));
};

static struct vt_region_chunk *grow(struct vt_region *region, size_t size)
{
    size_t chunk_size = region->chunks ? region->chunks->size * 2 : VT_REGION_CHUNK_MIN;

    if (chunk_size > VT_REGION_CHUNK_MAX)
        chunk_size = VT_REGION_CHUNK_MAX;
    if (chunk_size < size)
        chunk_size = size;
    struct vt_region_chunk *chunk = malloc(sizeof *chunk + chunk_size);
    if (!chunk)
        return NULL;
    chunk->next = region->chunks;
    chunk->used = 0;
    chunk->size = chunk_size;
    region->chunks = chunk;
    return chunk;
}

void *vt_region_alloc(struct vt_region *region, size_t size)
{
    struct vt_region_chunk *chunk = region->chunks;

    if (size > PTRDIFF_MAX / 2)
        return NULL;
    size = (size + 7) & ~(size_t)7;
    if (!chunk || chunk->size - chunk->used < size)
        chunk = grow(region, size);
    if (!chunk)
        return NULL;
    void *piece = chunk->data + chunk->used;
    chunk->used += size;
    return piece;
}

char *vt_region_text(struct vt_region *region, const void *bytes, size_t size)
{
    char *text = vt_region_alloc(region, size + 1);

    if (!text)
        return NULL;
    if (size > 0)
        memcpy(text, bytes, size);
    text[size] = '\0';
    return text;
}

struct vt_region_mark vt_region_mark(const struct vt_region *region)
{
    return (struct vt_region_mark){ region->chunks, region->chunks ? region->chunks->used : 0 };
}

void vt_region_release(struct vt_region *region, struct vt_region_mark mark)
{
    while (region->chunks != mark.chunk) {
        struct vt_region_chunk *next = region->chunks->next;
        free(region->chunks);
        region->chunks = next;
    }
    if (mark.chunk)
        mark.chunk->used = mark.used;
}

void vt_region_fini(struct vt_region *region)
{
    vt_region_release(region, (struct vt_region_mark){ 0 });
}
