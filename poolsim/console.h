/* poolsim/console.h: a VM's console, as `CONNECT /console?uuid=...&session_id=...` opens it: RFB
 * (3.3 to 3.8, no authentication, raw encoding) with a test picture. Colour bars, the pointer as a
 * white square, and a band whose colour changes with every key, so that somebody who looks sees
 * that input arrives. Knows no socket. */
#pragma once

#include <stdbool.h>

struct vt_buf;
struct vt_sim_console;
struct vt_sim_machine;

enum { VT_SIM_CONSOLE_WIDTH = 320, VT_SIM_CONSOLE_HEIGHT = 200 };

/* NULL with the HTTP status to answer: "401 Unauthorized", "404 Not Found". Else the server's first
 * bytes are in out. */
struct vt_sim_console *vt_sim_console_open(struct vt_sim_machine *machine, const char *path,
                                           struct vt_buf *out, const char **out_status);
void vt_sim_console_free(struct vt_sim_console *console);

/* Takes whole messages out of `in`, puts answers into `out`. false: the client broke the protocol.
 */
bool vt_sim_console_feed(struct vt_sim_console *console, struct vt_buf *in, struct vt_buf *out);
