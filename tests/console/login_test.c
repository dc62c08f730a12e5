#include "console/login.h"

#include <setjmp.h>

#include "core/auto.h"
#include "core/clock.h"
#include "core/err.h"
#include "tests/archive/world.h"
#include "tests/console/web.h"

struct site {
    struct world *world;
    struct vt_users *users;
    struct vt_login *login;
    struct vt_http *http;
    uint16_t port;
};

enum { IDLE_MS = 60000 };

static struct vt_login *login_of(const struct vt_request *request)
{
    return vt_request_context(request);
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

static struct vt_login_pass seen;
static void pass_to_see(struct vt_request *request);

static const struct vt_route routes[] = {
    { "GET", "/pass", VT_USER_VIEWER, pass_to_see, NULL, 0 },
    { "POST", "/api/login", VT_USER_NOBODY, log_in, NULL, 4096 },
    { "POST", "/api/logout", VT_USER_NOBODY, log_out, NULL, 4096 },
    { "GET", "/api/me", VT_USER_NOBODY, me, NULL, 0 },
    { "GET", "/see", VT_USER_VIEWER, me, NULL, 0 },
    { "GET", "/do", VT_USER_OPERATOR, me, NULL, 0 },
    { "GET", "/rule", VT_USER_ADMIN, me, NULL, 0 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};

static int setup(void **state)
{
    static const struct vt_route *const tables[] = { routes };
    struct site *site = calloc(1, sizeof *site);
    struct vt_err err = { 0 };
    char path[300];
    void *world;

    world_set_up(&world);
    site->world = world;
    snprintf(path, sizeof path, "%s/state.db", site->world->folder);
    site->users = vt_users_open(path, &err);
    site->login = vt_login_new(site->users, IDLE_MS * VT_NS_PER_MS, NULL);
    const struct vt_http_options options = { .listen = "127.0.0.1", .tables = tables, .table_count = 1, .gate = vt_login_gate,
                                             .gate_context = site->login, .context = site->login };
    site->http = vt_http_start(&options, &err);
    if (!site->http)
        fail_msg("%s", err.text);
    site->port = vt_http_port(site->http);
    *state = site;
    return 0;
}

static int teardown(void **state)
{
    struct site *site = *state;
    void *world = site->world;

    vt_http_stop(site->http);
    vt_login_free(site->login);
    vt_users_free(site->users);
    world_tear_down(&world);
    free(site);
    return 0;
}

static void add(const struct site *site, const char *name, enum vt_user_role role)
{
    struct vt_err err = { 0 };

    if (!vt_users_add(site->users, name, role, "correct horse", &err))
        fail_msg("%s", err.text);
}

/* "Cookie: ..." of the session; "" when there is none. */
static unsigned enter(const struct site *site, const char *name, const char *password, char *cookie, size_t room)
{
    char body[200], value[200];

    snprintf(body, sizeof body, "{\"user\":\"%s\",\"password\":\"%s\"}", name, password);
    struct web_answer answer = web_ask(site->port, "POST /api/login", "Content-Type: application/json\r\n", body);
    web_header(&answer, "Set-Cookie", value, sizeof value);
    if (*value) {
        assert_non_null(strstr(value, "HttpOnly"));
        assert_non_null(strstr(value, "SameSite=Strict"));
    }
    value[strcspn(value, ";")] = '\0';
    snprintf(cookie, room, *value ? "Cookie: %s\r\n" : "%s", value);
    free(answer.text);
    return answer.status;
}

static void without_users_everybody_on_loopback_is_an_admin(void **state)
{
    const struct site *site = *state;

    assert_int_equal(web_status(site->port, "GET /rule", NULL, NULL), 200);
    add(site, "ada", VT_USER_ADMIN);
    assert_int_equal(web_status(site->port, "GET /rule", NULL, NULL), 401);
    assert_int_equal(web_status(site->port, "GET /api/me", NULL, NULL), 200);
}

static void a_role_reaches_as_far_as_it_goes(void **state)
{
    static const struct {
        const char *name;
        enum vt_user_role role;
        unsigned see, act, rule;
    } rows[] = { { "vera", VT_USER_VIEWER, 200, 403, 403 }, { "otto", VT_USER_OPERATOR, 200, 200, 403 }, { "ada", VT_USER_ADMIN, 200, 200, 200 } };
    const struct site *site = *state;
    char cookie[300];

    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        add(site, rows[i].name, rows[i].role);
        assert_int_equal(enter(site, rows[i].name, "correct horse", cookie, sizeof cookie), 200);
        assert_int_equal(web_status(site->port, "GET /see", cookie, NULL), rows[i].see);
        assert_int_equal(web_status(site->port, "GET /do", cookie, NULL), rows[i].act);
        assert_int_equal(web_status(site->port, "GET /rule", cookie, NULL), rows[i].rule);
    }
}

static void a_session_ends_with_its_logout_or_its_user(void **state)
{
    const struct site *site = *state;
    char cookie[300], other[300];
    struct vt_err err = { 0 };

    add(site, "ada", VT_USER_ADMIN);
    add(site, "vera", VT_USER_VIEWER);
    assert_int_equal(enter(site, "vera", "correct horse", cookie, sizeof cookie), 200);
    assert_int_equal(enter(site, "vera", "correct horse", other, sizeof other), 200);
    assert_string_not_equal(cookie, other);
    assert_int_equal(web_status(site->port, "POST /api/logout", cookie, ""), 204);
    assert_int_equal(web_status(site->port, "GET /see", cookie, NULL), 401);
    assert_int_equal(web_status(site->port, "GET /see", other, NULL), 200);
    assert_true(vt_users_remove(site->users, "vera", &err));
    assert_int_equal(web_status(site->port, "GET /see", other, NULL), 401);
}

static void another_password_ends_the_sessions_and_what_programs_remember(void **state)
{
    static const char basic[] = "Authorization: Basic dmVyYTpjb3JyZWN0IGhvcnNl\r\n"; /* vera:correct horse */
    const struct site *site = *state;
    char cookie[300];
    struct vt_err err = { 0 };

    add(site, "ada", VT_USER_ADMIN);
    add(site, "vera", VT_USER_VIEWER);
    assert_int_equal(enter(site, "vera", "correct horse", cookie, sizeof cookie), 200);
    assert_int_equal(web_status(site->port, "GET /see", basic, NULL), 200);
    assert_true(vt_users_change(site->users, "vera", VT_USER_OPERATOR, NULL, &err));
    assert_int_equal(web_status(site->port, "GET /do", cookie, NULL), 200);
    assert_true(vt_users_change(site->users, "vera", VT_USER_NOBODY, "battery staple", &err));
    assert_int_equal(web_status(site->port, "GET /see", cookie, NULL), 401);
    assert_int_equal(web_status(site->port, "GET /see", basic, NULL), 401);
}

/* What goes on behind its answer keeps this of who asked. */
static void pass_to_see(struct vt_request *request)
{
    struct vt_login_pass *pass = &seen;

    vt_login_pass_of(request, VT_USER_OPERATOR, pass);
    vt_answer_bytes(request, 204, NULL, "", 0);
}

static bool holds(const struct site *site, const char **out_why)
{
    return vt_login_holds(site->login, &seen, false, out_why);
}

static void what_goes_on_ends_with_its_login_its_user_and_its_role(void **state)
{
    const struct site *site = *state;
    char cookie[300];
    const char *why = "";
    struct vt_err err = { 0 };

    assert_int_equal(web_status(site->port, "GET /pass", NULL, NULL), 204);
    assert_true(holds(site, &why));
    add(site, "ada", VT_USER_ADMIN);
    add(site, "otto", VT_USER_OPERATOR);
    assert_false(holds(site, &why));
    assert_string_equal(why, "There are users now: please log in.");
    assert_int_equal(enter(site, "otto", "correct horse", cookie, sizeof cookie), 200);
    assert_int_equal(web_status(site->port, "GET /pass", cookie, NULL), 204);
    assert_true(holds(site, &why));
    assert_true(vt_users_change(site->users, "otto", VT_USER_VIEWER, NULL, &err));
    assert_false(holds(site, &why));
    assert_string_equal(why, "The role of this user was changed.");
    assert_true(vt_users_change(site->users, "otto", VT_USER_OPERATOR, NULL, &err));
    assert_true(holds(site, &why));
    assert_int_equal(web_status(site->port, "POST /api/logout", cookie, ""), 204);
    assert_false(holds(site, &why));
    assert_string_equal(why, "The login has ended: please log in again.");
    assert_int_equal(enter(site, "otto", "correct horse", cookie, sizeof cookie), 200);
    assert_int_equal(web_status(site->port, "GET /pass", cookie, NULL), 204);
    assert_true(vt_users_remove(site->users, "otto", &err));
    assert_false(holds(site, &why));
    assert_string_equal(why, "This user was removed.");
}

static void forged_cookies_open_nothing(void **state)
{
    static const char *const forged[] = {
        "Cookie: vitrine_session=\r\n", "Cookie: vitrine_session=0\r\n",
        "Cookie: vitrine_session=0000000000000000000000000000000000000000000000000000000000000000\r\n",
        "Cookie: vitrine_session=00000000000000000000000000000000000000000000000000000000000000000000000000\r\n", "Authorization: Basic\r\n",
        "Authorization: Basic !!!!\r\n", "Authorization: Basic YWRh\r\n", "Authorization: Bearer x\r\n"
    };
    const struct site *site = *state;

    add(site, "ada", VT_USER_ADMIN);
    for (size_t i = 0; i < VT_COUNT(forged); i++)
        assert_int_equal(web_status(site->port, "GET /see", forged[i], NULL), 401);
}

static void programs_may_send_the_password_each_time(void **state)
{
    const struct site *site = *state;
    struct vt_err err = { 0 };

    add(site, "ada", VT_USER_ADMIN);
    add(site, "vera", VT_USER_VIEWER);
    static const char basic[] = "Authorization: Basic dmVyYTpjb3JyZWN0IGhvcnNl\r\n"; /* vera:correct horse */
    for (int i = 0; i < 3; i++)
        assert_int_equal(web_status(site->port, "GET /see", basic, NULL), 200);
    assert_true(vt_users_remove(site->users, "vera", &err));
    assert_int_equal(web_status(site->port, "GET /see", basic, NULL), 401);
}

static void wrong_passwords_make_wait_also_the_right_one(void **state)
{
    const struct site *site = *state;
    char cookie[300];

    add(site, "ada", VT_USER_ADMIN);
    for (int i = 0; i < VT_LOGIN_FAILURES; i++)
        assert_int_equal(enter(site, "ada", "wrong horse", cookie, sizeof cookie), 401);
    assert_int_equal(enter(site, "ada", "correct horse", cookie, sizeof cookie), 429);
    assert_string_equal(cookie, "");
}

static void a_login_is_json_of_two_texts(void **state)
{
    static const char *const bodies[] = { "", "{", "[]", "{\"user\":\"ada\"}", "{\"user\":1,\"password\":2}", "{\"user\":null,\"password\":\"x\"}" };
    const struct site *site = *state;
    char big[5000];

    add(site, "ada", VT_USER_ADMIN);
    for (size_t i = 0; i < VT_COUNT(bodies); i++)
        assert_int_equal(web_status(site->port, "POST /api/login", "Content-Type: application/json\r\n", bodies[i]), 400);
    assert_int_equal(web_status(site->port, "POST /api/login", "Content-Type: text/plain\r\n", "{\"user\":\"ada\",\"password\":\"correct horse\"}"), 400);
    memset(big, ' ', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    assert_int_equal(web_status(site->port, "POST /api/login", "Content-Type: application/json\r\n", big), 413);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_users_everybody_on_loopback_is_an_admin, setup, teardown),
        cmocka_unit_test_setup_teardown(a_role_reaches_as_far_as_it_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_session_ends_with_its_logout_or_its_user, setup, teardown),
        cmocka_unit_test_setup_teardown(another_password_ends_the_sessions_and_what_programs_remember, setup, teardown),
        cmocka_unit_test_setup_teardown(what_goes_on_ends_with_its_login_its_user_and_its_role, setup, teardown),
        cmocka_unit_test_setup_teardown(forged_cookies_open_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(programs_may_send_the_password_each_time, setup, teardown),
        cmocka_unit_test_setup_teardown(wrong_passwords_make_wait_also_the_right_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_login_is_json_of_two_texts, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
