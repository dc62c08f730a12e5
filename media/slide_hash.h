/* media/slide_hash.h: SHA-256 in a thread of its own: while one block is hashed the next one is read. One caller. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_slide_hash;

enum { VT_SLIDE_HASH_BLOCK = 256 << 10 };   /* stays in a cache from the copy to the hash */

struct vt_slide_hash *vt_slide_hash_new(struct vt_err *err);
void vt_slide_hash_free(struct vt_slide_hash *hash);
VT_DEFINE_AUTO(vt_slide_hash)

/* Memory of VT_SLIDE_HASH_BLOCK bytes to read into; the caller's until it is passed on. */
uint8_t *vt_slide_hash_block(struct vt_slide_hash *hash);
/* So many bytes of that block are hashed; they may still be read, not changed, until the next call of vt_slide_hash_block. */
void vt_slide_hash_pass(struct vt_slide_hash *hash, size_t size);
/* Behind the last block. */
bool vt_slide_hash_finish(struct vt_slide_hash *hash, uint8_t out[static 32], struct vt_err *err);
