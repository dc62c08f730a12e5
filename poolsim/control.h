/* poolsim/control.h: the control socket: faults and changes on demand, from `vitrine-poolsim ctl`.
 *
 * An abstract Unix socket named after the port; only the user who runs the simulator may speak. One
 * command per connection, its words separated by zero bytes; the answer is "ok" or "error: <why>"
 * and, for some, lines. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_buf;
struct vt_err;
struct vt_sim_control;
struct vt_sim_server;
struct vt_sim_world;

struct vt_sim_control *vt_sim_control_new(struct vt_sim_server *server, struct vt_sim_world *world,
                                          int epoll, struct vt_err *err);
void vt_sim_control_free(struct vt_sim_control *control);
void vt_sim_control_ready(struct vt_sim_control *control); /* somebody calls */
void vt_sim_control_caller_ready(struct vt_sim_control *control,
                                 uint32_t slot); /* and says something */

/* Runs one command in the world; server may be NULL (tests). The answer is text. */
bool vt_sim_control_run(struct vt_sim_world *world, struct vt_sim_server *server, int argc,
                        const char *const *argv, struct vt_buf *out, struct vt_err *err);

/* Before every request: runs the command that `after` keeps when its time has come. It may close any
 * connection. */
void vt_sim_control_count(struct vt_sim_world *world, struct vt_sim_server *server);

/* The other end: sends the words to the simulator of that port, appends its answer. false: nobody
 * there, or it said no. */
bool vt_sim_control_call(uint16_t port, int argc, char *const *argv, struct vt_buf *out,
                         struct vt_err *err);
/* Every command with its words, for --help. */
const char *vt_sim_control_help(void);
