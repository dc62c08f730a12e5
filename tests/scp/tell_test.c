#include "scp/tell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/err.h"
#include "core/event.h"

struct heard {
    unsigned count;
    char kind[64], subject[64], detail[2048];
};

static void hear(void *context, const struct vt_event *event)
{
    struct heard *heard = context;

    heard->count++;
    snprintf(heard->kind, sizeof heard->kind, "%s", event->kind);
    snprintf(heard->subject, sizeof heard->subject, "%s", event->subject);
    snprintf(heard->detail, sizeof heard->detail, "%s", event->detail);
}

static struct vt_events *events_to(struct heard *heard)
{
    struct vt_events *events = vt_events_new();
    struct vt_err err = { 0 };

    assert_non_null(events);
    assert_true(vt_events_subscribe(events, NULL, hear, heard, &err));
    return events;
}

static void an_event_carries_its_pairs_as_json(void **state)
{
    (void)state;
    struct heard heard = { 0 };
    VT_AUTO(vt_events) events = events_to(&heard);

    vt_tell(events, "association.refused", "CT1", "host", "10.0.0.7", "reason", "limit", NULL);
    assert_string_equal(heard.kind, "association.refused");
    assert_string_equal(heard.subject, "CT1");
    assert_string_equal(heard.detail, "{\"host\":\"10.0.0.7\",\"reason\":\"limit\"}");
}

static void what_a_peer_wrote_cannot_break_the_json(void **state)
{
    (void)state;
    struct heard heard = { 0 };
    VT_AUTO(vt_events) events = events_to(&heard);

    vt_tell(events, "k", "", "text", "a\"b\\c\n\x01\xff", NULL);
    assert_string_equal(heard.detail, "{\"text\":\"a\\\"b\\\\c???\"}");
}

static void a_long_value_leaves_whole_pairs(void **state)
{
    (void)state;
    struct heard heard = { 0 };
    VT_AUTO(vt_events) events = events_to(&heard);
    char text[4000];

    memset(text, '"', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    vt_tell(events, "k", "", "first", "1", "second", text, "third", "3", NULL);
    json_t *detail = json_loads(heard.detail, 0, NULL);
    assert_non_null(detail);
    assert_string_equal(json_string_value(json_object_get(detail, "first")), "1");
    assert_int_equal(json_object_size(detail), 1);
    json_decref(detail);
}

static void nothing_to_say_is_an_empty_object(void **state)
{
    (void)state;
    struct heard heard = { 0 };
    VT_AUTO(vt_events) events = events_to(&heard);

    vt_tell(events, "k", "s", NULL);
    assert_string_equal(heard.detail, "{}");
    vt_tell(NULL, "k", "s", NULL);
    assert_int_equal(heard.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_carries_its_pairs_as_json),
        cmocka_unit_test(what_a_peer_wrote_cannot_break_the_json),
        cmocka_unit_test(a_long_value_leaves_whole_pairs),
        cmocka_unit_test(nothing_to_say_is_an_empty_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
