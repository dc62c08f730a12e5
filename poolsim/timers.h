/* poolsim/timers.h: what a timer is; for the world that owns them. */
#pragma once

#include "poolsim/sim.h"

struct vt_sim_timer {
    int64_t when;
    uint64_t serial;
    vt_sim_timer_fn fn;
    void *context;
    bool owned;
};

void vt_sim_timers_free(struct vt_sim_world *world);
