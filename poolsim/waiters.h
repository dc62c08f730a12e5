/* poolsim/waiters.h: for the world that owns the blocked event.from calls. */
#pragma once

struct vt_sim_pool;

void vt_sim_waiters_free(struct vt_sim_pool *pool);
