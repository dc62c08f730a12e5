#include "media/slide_hash.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <openssl/evp.h>
#include <xxhash.h>

#include "core/err.h"

/* ---- of bytes ---- */

struct vt_slide_hash {
    XXH3_state_t *fingerprint;
    EVP_MD_CTX *sha;              /* NULL: not wanted */
};

struct vt_slide_hash *vt_slide_hash_new(bool sha256, struct vt_err *err)
{
    VT_AUTO(vt_slide_hash) hash = calloc(1, sizeof *hash);
    bool ok = hash && (hash->fingerprint = XXH3_createState()) &&
              XXH3_128bits_reset(hash->fingerprint) == XXH_OK;

    if (ok && sha256)
        ok = (hash->sha = EVP_MD_CTX_new()) && EVP_DigestInit_ex(hash->sha, EVP_sha256(), NULL);
    if (!ok) {
        vt_fail(err, VT_E_NOMEM, "no memory for SHA-256");
        return NULL;
    }
    return vt_take(&hash);
}

void vt_slide_hash_free(struct vt_slide_hash *hash)
{
    if (!hash)
        return;
    XXH3_freeState(hash->fingerprint);
    EVP_MD_CTX_free(hash->sha);
    free(hash);
}

bool vt_slide_hash_take(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct vt_slide_hash *hash = context;

    return (XXH3_128bits_update(hash->fingerprint, bytes, size) == XXH_OK &&
            (!hash->sha || EVP_DigestUpdate(hash->sha, bytes, size))) ||
           vt_fail(err, VT_E_NOMEM, "no memory for SHA-256");
}

bool vt_slide_hash_finish(struct vt_slide_hash *hash, struct vt_slide_sums *out, struct vt_err *err)
{
    XXH128_canonical_t canonical;

    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(hash->fingerprint));
    memcpy(out->fingerprint, canonical.digest, sizeof out->fingerprint);
    return !hash->sha || EVP_DigestFinal_ex(hash->sha, out->sha256, NULL) ||
           vt_fail(err, VT_E_NOMEM, "no memory for SHA-256");
}

/* ---- of a file ---- */

struct vt_slide_summing {
    const struct vt_slide_source *source;      /* fixed until the thread ended, and the next three */
    uint8_t *block;
    struct vt_slide_hash *hash;
    pthread_t thread;
    bool running;                              /* the caller's: to be joined */
    atomic_bool stop;
    struct vt_err fault;                       /* the thread's until it ended */
};

static void *sum(void *context)
{
    struct vt_slide_summing *summing = context;
    const struct vt_slide_source *source = summing->source;

    for (uint64_t at = 0; at < source->size && !atomic_load(&summing->stop);) {
        size_t part = source->size - at < VT_SLIDE_HASH_BLOCK ? (size_t)(source->size - at)
                                                               : VT_SLIDE_HASH_BLOCK;
        if (!vt_slide_read(source, summing->block, part, at, &summing->fault) ||
            !vt_slide_hash_take(summing->hash, summing->block, part, &summing->fault))
            return NULL;
        at += part;
    }
    return NULL;
}

struct vt_slide_summing *vt_slide_summing_start(const struct vt_slide_source *source, struct vt_err *err)
{
    VT_AUTO(vt_slide_summing) summing = calloc(1, sizeof *summing);

    if (summing)
        summing->block = malloc(VT_SLIDE_HASH_BLOCK);
    if (!summing || !summing->block) {
        vt_fail(err, VT_E_NOMEM, "no memory for SHA-256");
        return NULL;
    }
    summing->source = source;
    summing->hash = vt_slide_hash_new(true, err);
    if (!summing->hash)
        return NULL;
    int failed = pthread_create(&summing->thread, NULL, sum, summing);
    if (failed) {
        errno = failed;
        vt_fail_errno(err, "a thread for SHA-256");
        return NULL;
    }
    summing->running = true;
    return vt_take(&summing);
}

static void join(struct vt_slide_summing *summing)
{
    if (summing->running)
        pthread_join(summing->thread, NULL);
    summing->running = false;
}

void vt_slide_summing_free(struct vt_slide_summing *summing)
{
    if (!summing)
        return;
    atomic_store(&summing->stop, true);
    join(summing);
    vt_slide_hash_free(summing->hash);
    free(summing->block);
    free(summing);
}

bool vt_slide_summing_wait(struct vt_slide_summing *summing, struct vt_slide_sums *out, struct vt_err *err)
{
    join(summing);
    if (vt_failed(&summing->fault)) {
        *err = summing->fault;
        return false;
    }
    return vt_slide_hash_finish(summing->hash, out, err);
}
