/* media/slide_pipe.h: bytes on their way to those who hash or write them, each in a thread of its own: while one block is hashed and written the
 * next one is read. All takers get all bytes, in order. One caller; memory is VT_SLIDE_PIPE_BLOCKS blocks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_slide_pipe;

enum {
    VT_SLIDE_PIPE_BLOCK = 1 << 20,     /* large enough for a disk, aligned for O_DIRECT */
    VT_SLIDE_PIPE_BLOCKS = 4,
    VT_SLIDE_TAKERS_MAX = 2,
};

struct vt_slide_taker {
    /* Whole blocks, but before a drain. false: it gets no more, and the caller is told. */
    bool (*take)(void *context, const uint8_t *bytes, size_t size, struct vt_err *err);
    void *context;
};

struct vt_slide_pipe *vt_slide_pipe_new(const struct vt_slide_taker *takers, size_t count, struct vt_err *err);
/* What was passed on and not taken yet is still taken. */
void vt_slide_pipe_free(struct vt_slide_pipe *pipe);
VT_DEFINE_AUTO(vt_slide_pipe)

/* Either: a block to fill, passed on with its size. NULL: a taker failed, err says how. */
uint8_t *vt_slide_pipe_block(struct vt_slide_pipe *pipe, struct vt_err *err);
void vt_slide_pipe_pass(struct vt_slide_pipe *pipe, size_t size);
/* Or: bytes, copied into blocks that are passed on when they are full. */
bool vt_slide_pipe_write(struct vt_slide_pipe *pipe, const uint8_t *bytes, size_t size, struct vt_err *err);

/* Everything was taken, and the takers rest until more comes. */
bool vt_slide_pipe_drain(struct vt_slide_pipe *pipe, struct vt_err *err);
