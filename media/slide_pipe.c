#include "media/slide_pipe.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "core/err.h"

enum { ALIGNMENT = 4096 };

struct lane {
    struct vt_slide_pipe *pipe;         /* fixed */
    struct vt_slide_taker taker;        /* fixed */
    pthread_t thread;
    uint64_t taken;                     /* blocks; guarded by the pipe's lock */
};

struct vt_slide_pipe {
    uint8_t *memory;                    /* fixed */
    struct lane lanes[VT_SLIDE_TAKERS_MAX];
    size_t lane_count;                  /* of threads that run */
    uint8_t *open;                      /* the caller's: block that vt_slide_pipe_write fills */
    size_t used;

    pthread_mutex_t lock;               /* guards what follows */
    pthread_cond_t passing, taking;
    size_t sizes[VT_SLIDE_PIPE_BLOCKS];
    uint64_t passed;
    bool ending;
    struct vt_err fault;                /* of the taker that failed first */
};

static uint8_t *block_at(const struct vt_slide_pipe *pipe, uint64_t i)
{
    return pipe->memory + i % VT_SLIDE_PIPE_BLOCKS * VT_SLIDE_PIPE_BLOCK;
}

/* ---- the takers' threads ---- */

/* Waits for the lane's next block. 0: there is none any more. */
static size_t next_block(struct lane *lane, bool *out_skip)
{
    struct vt_slide_pipe *pipe = lane->pipe;
    size_t size = 0;

    pthread_mutex_lock(&pipe->lock);
    while (lane->taken == pipe->passed && !pipe->ending)
        pthread_cond_wait(&pipe->passing, &pipe->lock);
    if (lane->taken < pipe->passed)
        size = pipe->sizes[lane->taken % VT_SLIDE_PIPE_BLOCKS];
    *out_skip = vt_failed(&pipe->fault);
    pthread_mutex_unlock(&pipe->lock);
    return size;
}

static void *work(void *context)
{
    struct lane *lane = context;
    struct vt_slide_pipe *pipe = lane->pipe;
    size_t size;
    bool skip;

    while ((size = next_block(lane, &skip)) > 0) {
        struct vt_err err = { 0 };
        bool ok = skip || lane->taker.take(lane->taker.context, block_at(pipe, lane->taken), size, &err);
        pthread_mutex_lock(&pipe->lock);
        if (!ok && !vt_failed(&pipe->fault))
            pipe->fault = err;
        lane->taken++;
        pthread_cond_signal(&pipe->taking);
        pthread_mutex_unlock(&pipe->lock);
    }
    return NULL;
}

/* ---- making ---- */

static bool start(struct vt_slide_pipe *pipe, const struct vt_slide_taker *taker, struct vt_err *err)
{
    struct lane *lane = &pipe->lanes[pipe->lane_count];

    *lane = (struct lane){ .pipe = pipe, .taker = *taker };
    int failed = pthread_create(&lane->thread, NULL, work, lane);
    if (failed) {
        errno = failed;
        return vt_fail_errno(err, "a thread for blocks on their way");
    }
    pipe->lane_count++;
    return true;
}

struct vt_slide_pipe *vt_slide_pipe_new(const struct vt_slide_taker *takers, size_t count, struct vt_err *err)
{
    struct vt_slide_pipe *made = calloc(1, sizeof *made);
    void *memory = NULL;

    if (!made || posix_memalign(&memory, ALIGNMENT, VT_SLIDE_PIPE_BLOCKS * VT_SLIDE_PIPE_BLOCK) != 0) {
        free(made);
        vt_fail(err, VT_E_NOMEM, "no memory for blocks on their way");
        return NULL;
    }
    made->memory = memory;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->passing, NULL);
    pthread_cond_init(&made->taking, NULL);
    VT_AUTO(vt_slide_pipe) pipe = made;
    for (size_t i = 0; i < count; i++)
        if (!start(pipe, &takers[i], err))
            return NULL;
    return vt_take(&pipe);
}

void vt_slide_pipe_free(struct vt_slide_pipe *pipe)
{
    if (!pipe)
        return;
    pthread_mutex_lock(&pipe->lock);
    pipe->ending = true;
    pthread_cond_broadcast(&pipe->passing);
    pthread_mutex_unlock(&pipe->lock);
    for (size_t i = 0; i < pipe->lane_count; i++)
        pthread_join(pipe->lanes[i].thread, NULL);
    pthread_cond_destroy(&pipe->taking);
    pthread_cond_destroy(&pipe->passing);
    pthread_mutex_destroy(&pipe->lock);
    free(pipe->memory);
    free(pipe);
}

/* ---- the caller ---- */

static uint64_t slowest(const struct vt_slide_pipe *pipe)
{
    uint64_t least = pipe->passed;

    for (size_t i = 0; i < pipe->lane_count; i++)
        if (pipe->lanes[i].taken < least)
            least = pipe->lanes[i].taken;
    return least;
}

/* Until no more than so many blocks are under way, or a taker failed. */
static bool await_room(struct vt_slide_pipe *pipe, uint64_t under_way, struct vt_err *err)
{
    pthread_mutex_lock(&pipe->lock);
    while (pipe->passed - slowest(pipe) > under_way)
        pthread_cond_wait(&pipe->taking, &pipe->lock);
    bool ok = !vt_failed(&pipe->fault);
    if (!ok)
        *err = pipe->fault;
    pthread_mutex_unlock(&pipe->lock);
    return ok;
}

uint8_t *vt_slide_pipe_block(struct vt_slide_pipe *pipe, struct vt_err *err)
{
    /* Only the caller changes `passed`. */
    return await_room(pipe, VT_SLIDE_PIPE_BLOCKS - 1, err) ? block_at(pipe, pipe->passed) : NULL;
}

void vt_slide_pipe_pass(struct vt_slide_pipe *pipe, size_t size)
{
    if (size == 0)
        return;
    pthread_mutex_lock(&pipe->lock);
    pipe->sizes[pipe->passed % VT_SLIDE_PIPE_BLOCKS] = size;
    pipe->passed++;
    pthread_cond_broadcast(&pipe->passing);
    pthread_mutex_unlock(&pipe->lock);
}

bool vt_slide_pipe_write(struct vt_slide_pipe *pipe, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    while (size > 0) {
        if (!pipe->open && !(pipe->open = vt_slide_pipe_block(pipe, err)))
            return false;
        size_t room = VT_SLIDE_PIPE_BLOCK - pipe->used, part = size < room ? size : room;
        memcpy(pipe->open + pipe->used, bytes, part);
        pipe->used += part;
        bytes += part;
        size -= part;
        if (pipe->used == VT_SLIDE_PIPE_BLOCK) {
            vt_slide_pipe_pass(pipe, pipe->used);
            pipe->open = NULL;
            pipe->used = 0;
        }
    }
    return true;
}

bool vt_slide_pipe_drain(struct vt_slide_pipe *pipe, struct vt_err *err)
{
    if (pipe->open)
        vt_slide_pipe_pass(pipe, pipe->used);
    pipe->open = NULL;
    pipe->used = 0;
    return await_room(pipe, 0, err);
}
