/* poolsim/server.h: the HTTP face of the simulated hosts, each on its own loopback address, plain
 * or over TLS.
 *
 * One thread, one epoll instance, shared with the guests and the control socket. Requests follow
 * XAPI's limits: 1024 bytes of head, 300 KiB of body, a Content-Length; 800 connections. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_sim_server;
struct vt_sim_world;

enum vt_sim_watch {
    VT_SIM_WATCH_LISTENER,
    VT_SIM_WATCH_CONNECTION,
    VT_SIM_WATCH_GUEST,
    VT_SIM_WATCH_GUEST_CALL,
    VT_SIM_WATCH_CONTROL,
    VT_SIM_WATCH_CALLER,
    VT_SIM_WATCH_STOP
};

/* What epoll gives back: kind and index. */
static inline uint64_t vt_sim_watch(enum vt_sim_watch kind, uint32_t index)
{
    return (uint64_t)kind << 32 | index;
}

/* Listens for every machine that is up, raises the descriptor limit, opens guests and control
 * socket. */
struct vt_sim_server *vt_sim_server_new(struct vt_sim_world *world, struct vt_err *err);
void vt_sim_server_free(struct vt_sim_server *server);
VT_DEFINE_AUTO(vt_sim_server)

/* Until stop_fd is readable. */
bool vt_sim_server_run(struct vt_sim_server *server, int stop_fd, struct vt_err *err);

/* Makes a machine's certificate anew: pins must notice. */
bool vt_sim_server_new_certificate(struct vt_sim_server *server, uint32_t machine,
                                   struct vt_err *err);
