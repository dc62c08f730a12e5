/* console/login.h: who may: the gate before every route (console/http.h), logins and logouts, and whether what goes on behind its answer
 * (events, screens) may still go on.
 *
 * A browser has a session (console/sessions.h): a random cookie that scripts cannot read, for twelve hours, half an hour without use.
 * What a page asks by itself, to keep what it shows fresh, says so by the header VT_UNATTENDED and is no use. Programs may send
 * a user and password with each request instead (Basic, RFC 7617). Without any user everybody on loopback is an admin and nobody
 * else gets in. Wrong passwords make an address and a name wait. Events "console.login", "console.refused" and "console.logout" (subject:
 * the user; {"host","text"}) are for the audit trail. Any thread. */
#pragma once

#include <stdbool.h>

#include "console/http.h"
#include "console/sessions.h"
#include "console/users.h"

struct vt_events;
struct vt_login;

#define VT_UNATTENDED "Vitrine-Unattended"

enum {
    VT_LOGIN_FAILURES = 5,        /* of an address or a name, then */
    VT_LOGIN_WAIT_S = 30,         /* so long nobody is let in from there, or by that name */
};

/* idle as for vt_sessions_new; events NULL: nobody listens. NULL: no memory. */
struct vt_login *vt_login_new(struct vt_users *users, int64_t idle, struct vt_events *events);
void vt_login_free(struct vt_login *login);

/* A vt_http_gate; its context is the vt_login. */
bool vt_login_gate(void *login, struct vt_request *request, enum vt_user_role needed);
/* Handlers of POST /api/login {"user","password"}, POST /api/logout, GET /api/me. */
void vt_login_serve(struct vt_login *login, struct vt_request *request);
void vt_login_leave(struct vt_login *login, struct vt_request *request);
void vt_login_tell(struct vt_login *login, struct vt_request *request);

/* ---- what goes on behind its answer ---- */

struct vt_login_pass {
    uint64_t session, stamp;
    char user[VT_USER_NAME_MAX + 1], address[64];
    enum vt_user_role needed;
};

void vt_login_pass_of(const struct vt_request *request, enum vt_user_role needed, struct vt_login_pass *out);
/* false: he logged out, was idle for too long, was removed, has another role or password; *out_why is a sentence that lasts. used: a person
 * did something since. */
bool vt_login_holds(struct vt_login *login, const struct vt_login_pass *pass, bool used, const char **out_why);
