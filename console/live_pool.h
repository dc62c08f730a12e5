/* console/live_pool.h: the events of vitrine-poold for the pages (console/live_pool.c). */
#pragma once

struct vt_err;
struct vt_live_pool;

/* socket: pool.socket, NULL: the usual one; it must last. */
struct vt_live_pool *vt_live_pool_start(const char *socket, struct vt_err *err);
void vt_live_pool_stop(struct vt_live_pool *live);   /* NULL is fine */
