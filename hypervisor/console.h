/* hypervisor/console.h: a VM's console: the bytes of its RFB server, through the host it runs on.
 *
 * XAPI hands a console out as the answer to `CONNECT /console?ref=...&session_id=...` sent to the
 * host that runs the VM. The session's reference goes to members of the pool only, over a
 * connection that is trusted as every other. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_console;
struct vt_err;
struct vt_line;
struct vt_xapi;

/* The RFB console of the VM; `line` is for the calls. VT_E_NOTFOUND: it has none now (it does not
 * run); VT_E_DENIED: the pool names a host that is no member. */
struct vt_console *vt_console_open(struct vt_xapi *xapi, struct vt_line *line, const char *vm,
                                   struct vt_err *err);
/* One that another driver has connected; takes the socket over, also when it fails. */
struct vt_console *vt_console_take(int socket, struct vt_err *err);
void vt_console_free(struct vt_console *console);
VT_DEFINE_AUTO(vt_console)

/* As vt_line_read and vt_line_write. */
bool vt_console_read(struct vt_console *console, void *bytes, size_t room, size_t *out_size,
                     struct vt_err *err);
bool vt_console_write(struct vt_console *console, const void *bytes, size_t size, size_t *out_size,
                      struct vt_err *err);
int vt_console_socket(struct vt_console *console);
