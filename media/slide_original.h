/* media/slide_original.h: the original slide file, put together again from its instances: any byte range, ready for HTTP.
 *
 * The Raw Data instance knows what goes where (media/slide_residue.h); the tiles come from the levels' frames. Where the instances lie is the
 * finder's matter: a folder, the archive. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "media/slide.h"
#include "media/slide_part.h"

struct vt_err;
struct vt_slide_original;
struct vt_slide_sums;

struct vt_slide_finder {
    /* VT_E_NOTFOUND: it is not there. The part is the caller's. */
    bool (*open)(void *context, const char *sop_uid, struct vt_slide_part *out, struct vt_err *err);
    void *context;
};

/* raw: the Raw Data instance, taken over in any case. VT_E_INVALID: it holds no slide of ours; VT_E_NOTFOUND names the instance that is
 * missing. */
struct vt_slide_original *vt_slide_original_open(struct vt_slide_part *raw,
                                                 const struct vt_slide_finder *finder,
                                                 struct vt_err *err);
void vt_slide_original_free(struct vt_slide_original *original);
VT_DEFINE_AUTO(vt_slide_original)

uint64_t vt_slide_original_size(const struct vt_slide_original *original);
const uint8_t *vt_slide_original_sha256(const struct vt_slide_original *original);   /* 32 bytes */
const char *vt_slide_original_name(const struct vt_slide_original *original);

/* What follows reads from the first byte to the last: the kernel may read ahead. */
void vt_slide_original_in_order(struct vt_slide_original *original);
/* Like pread(2) on the original: *out_read is less than size only at its end. */
bool vt_slide_pread(struct vt_slide_original *original, void *bytes, size_t size, uint64_t offset,
                    size_t *out_read, struct vt_err *err);
/* All of it through SHA-256: VT_E_CORRUPT when it is not what the Raw Data instance says. Progress may be NULL; false stops. */
bool vt_slide_original_verify(struct vt_slide_original *original,
                              bool (*progress)(void *context, uint64_t done, uint64_t total),
                              void *context, struct vt_err *err);
/* The same against the file that it was made of: by its fingerprint, which is quicker, since its SHA-256 and the fingerprint are known to be of
 * the same bytes. */
bool vt_slide_original_compare(struct vt_slide_original *original, const struct vt_slide_sums *sums,
                               bool (*progress)(void *context, uint64_t done, uint64_t total),
                               void *context, struct vt_err *err);
/* Into a file: a temporary name beside it, verified while it is written, synced, renamed. A file that is there is not touched
 * (VT_E_EXISTS). */
bool vt_slide_original_save(struct vt_slide_original *original, const char *path,
                            bool (*progress)(void *context, uint64_t done, uint64_t total),
                            void *context, struct vt_err *err);
