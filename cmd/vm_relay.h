/* cmd/vm_relay.h: bytes between a VM's console and a viewer, both ways, until one side ends. One thread. */
#pragma once

#include <stdbool.h>

struct vt_console;
struct vt_err;

/* `in` and `out` are the viewer's, non-blocking (may be one). An end of either side is no failure. `stopped` is asked five times
 * a second. */
bool vt_vm_relay(struct vt_console *console, int in, int out, bool (*stopped)(void *context), void *context, struct vt_err *err);
