/* media/slide_source.h: the bytes of a slide file, read at any offset. A file on disk, or bytes in memory (tests, fuzzing).
 * Borrowed by what reads it; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_err;

struct vt_slide_source {
    uint64_t size;
    int fd;                 /* -1: memory */
    const uint8_t *memory;
    const char *name;       /* for sentences */
};

/* The whole range must lie inside: VT_E_CORRUPT. */
bool vt_slide_read(const struct vt_slide_source *source, void *bytes, size_t size, uint64_t offset,
                   struct vt_err *err);
static inline bool vt_slide_inside(const struct vt_slide_source *source, uint64_t offset,
                                   uint64_t size)
{
    return offset <= source->size && size <= source->size - offset;
}
