/* hypervisor/arena.h: memory that is given out in pieces and freed as a whole.
 * One thread at a time. Chunks grow to VT_ARENA_CHUNK_MAX, large enough that free() returns them to
 * the system. */
#pragma once

#include <stddef.h>

enum { VT_ARENA_CHUNK_MIN = 2048, VT_ARENA_CHUNK_MAX = 256 * 1024 };

struct vt_arena_chunk;

struct vt_arena {
    struct vt_arena_chunk *chunks; /* the newest first */
};

/* Aligned to 8 bytes, not zeroed; NULL when out of memory. */
void *vt_arena_alloc(struct vt_arena *arena, size_t size);
/* Copies `size` bytes and puts a zero byte behind. */
char *vt_arena_text(struct vt_arena *arena, const void *bytes, size_t size);
void vt_arena_fini(struct vt_arena *arena);

/* Takes back everything that was given out since the mark. */
struct vt_arena_mark {
    struct vt_arena_chunk *chunk;
    size_t used;
};
struct vt_arena_mark vt_arena_mark(const struct vt_arena *arena);
void vt_arena_release(struct vt_arena *arena, struct vt_arena_mark mark);
