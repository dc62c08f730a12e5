#include "hypervisor/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct vt_arena_chunk {
    struct vt_arena_chunk *next;
    size_t used, size;
    unsigned char data[] __attribute__((aligned(8)));
};

static struct vt_arena_chunk *grow(struct vt_arena *arena, size_t size)
{
    size_t chunk_size = arena->chunks ? arena->chunks->size * 2 : VT_ARENA_CHUNK_MIN;

    if (chunk_size > VT_ARENA_CHUNK_MAX)
        chunk_size = VT_ARENA_CHUNK_MAX;
    if (chunk_size < size)
        chunk_size = size;
    struct vt_arena_chunk *chunk = malloc(sizeof *chunk + chunk_size);
    if (!chunk)
        return NULL;
    chunk->next = arena->chunks;
    chunk->used = 0;
    chunk->size = chunk_size;
    arena->chunks = chunk;
    return chunk;
}

void *vt_arena_alloc(struct vt_arena *arena, size_t size)
{
    struct vt_arena_chunk *chunk = arena->chunks;

    if (size > PTRDIFF_MAX / 2)
        return NULL;
    size = (size + 7) & ~(size_t)7;
    if (!chunk || chunk->size - chunk->used < size)
        chunk = grow(arena, size);
    if (!chunk)
        return NULL;
    void *piece = chunk->data + chunk->used;
    chunk->used += size;
    return piece;
}

char *vt_arena_text(struct vt_arena *arena, const void *bytes, size_t size)
{
    char *text = vt_arena_alloc(arena, size + 1);

    if (!text)
        return NULL;
    if (size > 0)
        memcpy(text, bytes, size);
    text[size] = '\0';
    return text;
}

struct vt_arena_mark vt_arena_mark(const struct vt_arena *arena)
{
    return (struct vt_arena_mark){ arena->chunks, arena->chunks ? arena->chunks->used : 0 };
}

void vt_arena_release(struct vt_arena *arena, struct vt_arena_mark mark)
{
    while (arena->chunks != mark.chunk) {
        struct vt_arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
    if (mark.chunk)
        mark.chunk->used = mark.used;
}

void vt_arena_fini(struct vt_arena *arena)
{
    vt_arena_release(arena, (struct vt_arena_mark){ 0 });
}
