/* scp/seen.h: which matches of a query were answered already, when several archives answer it: a set of the unique keys of its
 * level (PS3.4 C.6), by 64-bit hashes. Belongs to one query. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/query.h"

struct vt_err;

struct vt_seen {
    enum vt_level level;
    uint64_t *slots; /* owned; 0: free */
    size_t count, capacity;
};

void vt_seen_fini(struct vt_seen *seen);
/* The unique key of an identifier; *out_new false: it was there. What has no such key is always new. */
bool vt_seen_add(struct vt_seen *seen, const uint8_t *identifier, size_t size, enum vt_encoding encoding, bool *out_new,
                 struct vt_err *err);
