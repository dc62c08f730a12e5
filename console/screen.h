/* console/screen.h: a VM's screen in a browser: the bytes of its RFB server, which vitrine-poold relays, in binary messages of a
 * WebSocket. No password of the pool comes near: the daemon has the session. One thread. */
#pragma once

#include <stdbool.h>

struct vt_ws_line;

struct vt_screen {
    char *socket;   /* of vitrine-poold; NULL: the usual one */
    char *vm, *user;
    /* Asked every second: may it go on? used: keys or the mouse came since. NULL: always. */
    bool (*may)(void *context, bool used, const char **out_why);
    void *context;
};

enum { VT_SCREEN_WHY_MAX = 240 };

/* Asks for the screen and carries bytes until one side ends, or it may no longer be seen; tells the browser why, and the caller, too. */
void vt_screen_run(const struct vt_screen *screen, struct vt_ws_line *line, char out_why[static VT_SCREEN_WHY_MAX]);

/* The same over a socket that is connected to a peer that speaks bytes already; takes what came ahead. For the tests of the relay, too. */
void vt_screen_relay(const struct vt_screen *screen, struct vt_ws_line *line, int peer, const void *ahead, unsigned long ahead_size,
                     char out_why[static VT_SCREEN_WHY_MAX]);
