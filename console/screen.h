/* console/screen.h: a VM's screen in a browser: the bytes of its RFB server, which vitrine-poold relays, in binary messages of a
 * WebSocket. No password of the pool comes near: the daemon has the session. One thread. */
#pragma once

#include <stdbool.h>

struct vt_ws_line;

struct vt_screen {
    char *socket;   /* of vitrine-poold; NULL: the usual one */
    char *vm, *user;
};

/* Asks for the screen and carries bytes until one side ends; tells the browser why when there is none. */
void vt_screen_run(const struct vt_screen *screen, struct vt_ws_line *line);

/* The same over a socket that is connected to a peer that speaks bytes already; takes what came ahead. For the tests of the relay, too. */
void vt_screen_relay(struct vt_ws_line *line, int peer, const void *ahead, unsigned long ahead_size);
