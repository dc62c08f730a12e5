#include "core/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"

static void append(void *context, const struct vt_event *event)
{
    strcat(context, event->subject);
}

static void a_subscriber_gets_its_kind_its_family_or_all(void **state)
{
    (void)state;
    VT_AUTO(vt_events) events = vt_events_new();
    struct vt_err err = { 0 };
    char one[16] = "", family[16] = "", all[16] = "";

    assert_true(vt_events_subscribe(events, "study.deleted", append, one, &err));
    assert_true(vt_events_subscribe(events, "study.", append, family, &err));
    assert_true(vt_events_subscribe(events, NULL, append, all, &err));
    vt_events_publish(events, "study.stored", "a", NULL);
    vt_events_publish(events, "study.deleted", "b", NULL);
    vt_events_publish(events, "volume.full", "c", NULL);
    assert_string_equal(one, "b");
    assert_string_equal(family, "ab");
    assert_string_equal(all, "abc");
}

static void the_bound_on_subscribers_is_told(void **state)
{
    (void)state;
    VT_AUTO(vt_events) events = vt_events_new();
    struct vt_err err = { 0 };
    char text[4] = "";

    for (int i = 0; i < VT_EVENT_SUBSCRIBERS_MAX; i++)
        assert_true(vt_events_subscribe(events, "none", append, text, &err));
    assert_false(vt_events_subscribe(events, "none", append, text, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
}

static void publishing_to_nobody_is_fine(void **state)
{
    (void)state;
    vt_events_publish(NULL, "study.stored", "a", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subscriber_gets_its_kind_its_family_or_all),
        cmocka_unit_test(the_bound_on_subscribers_is_told),
        cmocka_unit_test(publishing_to_nobody_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
