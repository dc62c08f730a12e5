/* cmd/poold_screen.h: the verb "vm.screen": the bytes of a VM's RFB server for the console, which shows them in a browser. The session
 * with the pool stays here. */
#pragma once

#include <stdatomic.h>

#include "hypervisor/pool_service.h"

enum { VT_SCREENS_MAX = 16 };   /* at once */

struct vt_poold_screen {
    atomic_int open;
};

/* Fills a module that borrows `screen`. */
void vt_poold_screen_module(struct vt_poold_screen *screen, struct vt_pool_module *out);
