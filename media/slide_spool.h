/* media/slide_spool.h: bytes kept aside on disk until their number is known: an unnamed file, gone when it is closed. One
 * thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_slide_spool;

/* In this folder, on the volume where the result will lie. */
struct vt_slide_spool *vt_slide_spool_new(const char *folder, struct vt_err *err);
void vt_slide_spool_free(struct vt_slide_spool *spool);
VT_DEFINE_AUTO(vt_slide_spool)

bool vt_slide_spool_write(struct vt_slide_spool *spool, const uint8_t *bytes, size_t size,
                          struct vt_err *err);
uint64_t vt_slide_spool_size(const struct vt_slide_spool *spool);
bool vt_slide_spool_read(struct vt_slide_spool *spool, uint8_t *bytes, size_t size, uint64_t offset,
                         struct vt_err *err);
