/* console/login.h: sessions, and the gate before every route (console/http.h).
 *
 * A session is a random cookie that scripts cannot read, for twelve hours, half an hour without use. Programs may send
 * a user and password with each request instead (Basic, RFC 7617). Without any user everybody on loopback is an admin and nobody
 * else gets in. Wrong passwords make an address and a name wait. Any thread. */
#pragma once

#include <stdbool.h>

#include "console/http.h"
#include "console/users.h"

struct vt_login;

enum {
    VT_SESSIONS_MAX = 1024,
    VT_SESSION_HOURS = 12,
    VT_SESSION_IDLE_MINUTES = 30,
    VT_LOGIN_FAILURES = 5,        /* of an address or a name, then */
    VT_LOGIN_WAIT_S = 30,         /* so long nobody is let in from there, or by that name */
};

struct vt_login *vt_login_new(struct vt_users *users);   /* NULL: no memory */
void vt_login_free(struct vt_login *login);

/* A vt_http_gate; its context is the vt_login. */
bool vt_login_gate(void *login, struct vt_request *request, enum vt_user_role needed);
/* Handlers of POST /api/login {"user","password"}, POST /api/logout, GET /api/me. */
void vt_login_serve(struct vt_login *login, struct vt_request *request);
void vt_login_leave(struct vt_login *login, struct vt_request *request);
void vt_login_tell(struct vt_login *login, struct vt_request *request);
