#include "console/sessions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "tests/support/torture.h"

static void a_session_is_found_by_its_token_only(void **state)
{
    VT_AUTO(vt_sessions) sessions = vt_sessions_new(0);
    char token[VT_SESSION_TOKEN_TEXT], other[VT_SESSION_TOKEN_TEXT];
    struct vt_session session;

    (void)state;
    assert_true(vt_sessions_begin(sessions, "ada", 7, token));
    assert_true(vt_sessions_begin(sessions, "otto", 8, other));
    assert_string_not_equal(token, other);
    assert_true(vt_sessions_find(sessions, token, true, &session));
    assert_string_equal(session.user, "ada");
    assert_int_equal(session.stamp, 7);
    const char *const forged[] = { NULL, "", "0", "00000000000000000000000000000000000000000000000000000000000000000" };
    for (size_t i = 0; i < VT_COUNT(forged); i++)
        assert_false(vt_sessions_find(sessions, forged[i], true, &session));
    token[0] = token[0] == 'a' ? 'b' : 'a';
    assert_false(vt_sessions_find(sessions, token, true, &session));
}

static void a_session_that_ended_is_over_for_everything_of_it(void **state)
{
    VT_AUTO(vt_sessions) sessions = vt_sessions_new(0);
    char token[VT_SESSION_TOKEN_TEXT];
    struct vt_session session;

    (void)state;
    assert_true(vt_sessions_begin(sessions, "ada", 7, token));
    assert_true(vt_sessions_find(sessions, token, true, &session));
    assert_true(vt_sessions_holds(sessions, session.number, false));
    vt_sessions_end(sessions, session.number);
    assert_false(vt_sessions_find(sessions, token, true, &session));
    assert_false(vt_sessions_holds(sessions, session.number, true));
}

/* Looks that are no use for longer than it may be idle, and uses. */
static void only_use_keeps_a_session(void **state)
{
    const int64_t idle = 400 * VT_NS_PER_MS;
    VT_AUTO(vt_sessions) sessions = vt_sessions_new(idle);
    char kept[VT_SESSION_TOKEN_TEXT], left[VT_SESSION_TOKEN_TEXT];
    struct vt_session session, other;

    (void)state;
    assert_true(vt_sessions_begin(sessions, "ada", 7, kept));
    assert_true(vt_sessions_begin(sessions, "otto", 8, left));
    assert_true(vt_sessions_find(sessions, left, false, &other));
    int64_t until = vt_clock_mono() + 2 * idle, used = vt_clock_mono();
    bool late = false;
    while (vt_clock_mono() < until) {
        late |= vt_clock_mono() - used > idle / 2; /* this machine is busy: then it may be over */
        used = vt_clock_mono();
        vt_sessions_find(sessions, kept, true, &session);
        vt_sessions_holds(sessions, other.number, false);
        vt_clock_sleep(10 * VT_NS_PER_MS);
    }
    assert_true(late || vt_sessions_find(sessions, kept, true, &session));
    assert_false(vt_sessions_find(sessions, left, true, &other));
}

static void the_one_that_nobody_used_gives_way_when_all_places_are_taken(void **state)
{
    VT_AUTO(vt_sessions) sessions = vt_sessions_new(0);
    char first[VT_SESSION_TOKEN_TEXT], second[VT_SESSION_TOKEN_TEXT], token[VT_SESSION_TOKEN_TEXT];
    struct vt_session session;

    (void)state;
    assert_true(vt_sessions_begin(sessions, "first", 1, first));
    assert_true(vt_sessions_begin(sessions, "second", 2, second));
    for (int i = 2; i < VT_SESSIONS_MAX; i++)
        assert_true(vt_sessions_begin(sessions, "other", 3, token));
    assert_true(vt_sessions_find(sessions, first, true, &session));
    assert_true(vt_sessions_begin(sessions, "late", 4, token));
    assert_true(vt_sessions_find(sessions, first, true, &session));
    assert_false(vt_sessions_find(sessions, second, true, &session));
}

static bool make_one(void *context, struct vt_err *err)
{
    VT_AUTO(vt_sessions) sessions = vt_sessions_new(0);

    (void)context;
    return sessions || vt_fail(err, VT_E_NOMEM, "no memory");
}

static void without_memory_there_are_no_sessions(void **state)
{
    (void)state;
    vt_torture(make_one, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_is_found_by_its_token_only),
        cmocka_unit_test(a_session_that_ended_is_over_for_everything_of_it),
        cmocka_unit_test(only_use_keeps_a_session),
        cmocka_unit_test(the_one_that_nobody_used_gives_way_when_all_places_are_taken),
        cmocka_unit_test(without_memory_there_are_no_sessions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
