/* media/slide_hash.h: what a slide file is told by: a fingerprint (XXH3-128), made at the speed of memory, that UIDs follow from, and SHA-256, that
 * proves that it came back. The second takes longer, so it is computed by a thread that reads the file by itself while the slide is converted; it
 * makes the fingerprint too, so that both are known to be of the same bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "media/slide.h"

struct vt_err;
struct vt_slide_hash;
struct vt_slide_summing;

enum { VT_SLIDE_FINGERPRINT = 16, VT_SLIDE_HASH_BLOCK = 256 << 10 };   /* a block stays in a cache from the copy to the hash */

struct vt_slide_sums {
    uint8_t fingerprint[VT_SLIDE_FINGERPRINT];   /* canonical (big endian) */
    uint8_t sha256[VT_SLIDE_SHA256];
};

/* Of bytes in order. sha256 false: the fingerprint only, the other stays as it was. One thread. */
struct vt_slide_hash *vt_slide_hash_new(bool sha256, struct vt_err *err);
void vt_slide_hash_free(struct vt_slide_hash *hash);
VT_DEFINE_AUTO(vt_slide_hash)
/* Has the type of a vt_slide_taker's take. */
bool vt_slide_hash_take(void *hash, const uint8_t *bytes, size_t size, struct vt_err *err);
bool vt_slide_hash_finish(struct vt_slide_hash *hash, struct vt_slide_sums *out, struct vt_err *err);

/* Of a file, in a thread of its own. The source is borrowed until free, which stops it. */
struct vt_slide_summing *vt_slide_summing_start(const struct vt_slide_source *source, struct vt_err *err);
void vt_slide_summing_free(struct vt_slide_summing *summing);
VT_DEFINE_AUTO(vt_slide_summing)
/* Once. */
bool vt_slide_summing_wait(struct vt_slide_summing *summing, struct vt_slide_sums *out, struct vt_err *err);
