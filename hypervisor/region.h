/* hypervisor/region.h: memory that is given out in pieces and freed as a whole.
 * One thread at a time. Chunks grow to VT_REGION_CHUNK_MAX, large enough that free() returns them to
 * the system. */
#pragma once

#include <stddef.h>

enum { VT_REGION_CHUNK_MIN = 2048, VT_REGION_CHUNK_MAX = 256 * 1024 };

struct vt_region_chunk;

struct vt_region {
    struct vt_region_chunk *chunks; /* the newest first */
};

/* Aligned to 8 bytes, not zeroed; NULL when out of memory. */
void *vt_region_alloc(struct vt_region *region, size_t size);
/* Copies `size` bytes and puts a zero byte behind. */
char *vt_region_text(struct vt_region *region, const void *bytes, size_t size);
void vt_region_fini(struct vt_region *region);

/* Takes back everything that was given out since the mark. */
struct vt_region_mark {
    struct vt_region_chunk *chunk;
    size_t used;
};
struct vt_region_mark vt_region_mark(const struct vt_region *region);
void vt_region_release(struct vt_region *region, struct vt_region_mark mark);
