/* cmd/poold_watch.h: the network monitor inside vitrine-poold: a monitor for each pool, wired to
 * its keeper, [watch] of the configuration, and the verbs "watch.*" and "pool.metrics". */
#pragma once

#include "hypervisor/monitor.h"
#include "hypervisor/pool_service.h"

struct vt_poold_settings;

struct vt_poold_watched {
    struct vt_poold_watch *watch;
    struct vt_keeper *keeper;
    struct vt_monitor_pool *pool;
    struct vt_monitor *monitor;
};

struct vt_poold_watch {
    struct vt_poold_settings *settings;
    struct vt_service *service;
    struct vt_probe_exchange echo;
    struct vt_poold_watched pools[VT_SERVICE_POOLS_MAX];
    size_t count;
};

/* Fills a module that borrows `watch`. */
void vt_poold_watch_module(struct vt_poold_watch *watch, struct vt_poold_settings *settings,
                           struct vt_pool_module *out);

/* The verbs (cmd/poold_watch_verbs.c); context is the struct above. */
extern const struct vt_pool_verb vt_poold_watch_verbs[];
