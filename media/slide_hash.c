#include "media/slide_hash.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/err.h"

enum { BLOCKS = 2 };

struct vt_slide_hash {
    EVP_MD_CTX *sha;              /* the thread's until it ended */
    uint8_t *blocks[BLOCKS];      /* fixed */
    pthread_t thread;
    bool started;
    size_t turn;                  /* the caller's: block that is filled next */

    pthread_mutex_t lock;         /* guards what follows */
    pthread_cond_t changed;
    size_t sizes[BLOCKS];         /* > 0: waits to be hashed */
    bool ending, failed;
};

static void *work(void *context)
{
    struct vt_slide_hash *hash = context;

    for (size_t turn = 0;; turn = (turn + 1) % BLOCKS) {
        pthread_mutex_lock(&hash->lock);
        while (hash->sizes[turn] == 0 && !hash->ending)
            pthread_cond_wait(&hash->changed, &hash->lock);
        size_t size = hash->sizes[turn];
        pthread_mutex_unlock(&hash->lock);
        if (size == 0)
            return NULL;
        bool ok = EVP_DigestUpdate(hash->sha, hash->blocks[turn], size);
        pthread_mutex_lock(&hash->lock);
        hash->failed = hash->failed || !ok;
        hash->sizes[turn] = 0;
        pthread_cond_signal(&hash->changed);
        pthread_mutex_unlock(&hash->lock);
    }
}

struct vt_slide_hash *vt_slide_hash_new(struct vt_err *err)
{
    VT_AUTO(vt_slide_hash) hash = calloc(1, sizeof *hash);
    bool ok = hash != NULL;

    if (ok) {
        pthread_mutex_init(&hash->lock, NULL);
        pthread_cond_init(&hash->changed, NULL);
        hash->sha = EVP_MD_CTX_new();
        for (size_t i = 0; i < BLOCKS; i++)
            ok = (hash->blocks[i] = malloc(VT_SLIDE_HASH_BLOCK)) && ok;
        ok = ok && hash->sha && EVP_DigestInit_ex(hash->sha, EVP_sha256(), NULL);
    }
    if (!ok) {
        vt_fail(err, VT_E_NOMEM, "no memory for SHA-256");
        return NULL;
    }
    int failed = pthread_create(&hash->thread, NULL, work, hash);
    if (failed) {
        errno = failed;
        vt_fail_errno(err, "a thread for SHA-256");
        return NULL;
    }
    hash->started = true;
    return vt_take(&hash);
}

static void end(struct vt_slide_hash *hash)
{
    if (!hash->started)
        return;
    pthread_mutex_lock(&hash->lock);
    hash->ending = true;
    pthread_cond_signal(&hash->changed);
    pthread_mutex_unlock(&hash->lock);
    pthread_join(hash->thread, NULL);
    hash->started = false;
}

void vt_slide_hash_free(struct vt_slide_hash *hash)
{
    if (!hash)
        return;
    end(hash);
    for (size_t i = 0; i < BLOCKS; i++)
        free(hash->blocks[i]);
    EVP_MD_CTX_free(hash->sha);
    pthread_cond_destroy(&hash->changed);
    pthread_mutex_destroy(&hash->lock);
    free(hash);
}

uint8_t *vt_slide_hash_block(struct vt_slide_hash *hash)
{
    pthread_mutex_lock(&hash->lock);
    while (hash->sizes[hash->turn] > 0)
        pthread_cond_wait(&hash->changed, &hash->lock);
    pthread_mutex_unlock(&hash->lock);
    return hash->blocks[hash->turn];
}

void vt_slide_hash_pass(struct vt_slide_hash *hash, size_t size)
{
    if (size == 0)
        return;
    pthread_mutex_lock(&hash->lock);
    hash->sizes[hash->turn] = size;
    pthread_cond_signal(&hash->changed);
    pthread_mutex_unlock(&hash->lock);
    hash->turn = (hash->turn + 1) % BLOCKS;
}

bool vt_slide_hash_finish(struct vt_slide_hash *hash, uint8_t out[static 32], struct vt_err *err)
{
    end(hash);
    return (!hash->failed && EVP_DigestFinal_ex(hash->sha, out, NULL)) ||
           vt_fail(err, VT_E_NOMEM, "no memory for SHA-256");
}
