/* The JSON API of the pages, under /api: who is there. What else it serves is in files of its own. */
#include "console/console_inside.h"

static struct vt_login *login_of(const struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);

    return console->login;
}

static void log_in(struct vt_request *request)
{
    vt_login_serve(login_of(request), request);
}

static void log_out(struct vt_request *request)
{
    vt_login_leave(login_of(request), request);
}

static void me(struct vt_request *request)
{
    vt_login_tell(login_of(request), request);
}

enum { LOGIN_BODY_MAX = 4096 };

const struct vt_route vt_api_routes[] = {
    { "POST", "/api/login", VT_USER_NOBODY, log_in, NULL, LOGIN_BODY_MAX },
    { "POST", "/api/logout", VT_USER_NOBODY, log_out, NULL, LOGIN_BODY_MAX },
    { "GET", "/api/me", VT_USER_NOBODY, me, NULL, 0 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};
