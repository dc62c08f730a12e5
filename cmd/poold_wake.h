/* cmd/poold_wake.h: the verb "vm.wake": a VM is started, resumed or unpaused, whatever it needs to run.
 * The console may wake what a [workstation "NAME"] names as its vm (by name or uuid), nothing else. */
#pragma once

#include "hypervisor/pool_service.h"

struct vt_poold_settings;

struct vt_poold_wake {
    struct vt_poold_settings *settings;
};

/* Fills a module that borrows `wake`. */
void vt_poold_wake_module(struct vt_poold_wake *wake, struct vt_poold_settings *settings,
                          struct vt_pool_module *out);
