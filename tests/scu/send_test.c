#include "scu/send.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void what_the_peer_has_is_kept(void **state)
{
    (void)state;
    assert_int_equal(vt_send_fate(VT_SENT_OK, 0), VT_SEND_KEPT);
    assert_int_equal(vt_send_fate(VT_SENT_WARNING, 0xB000), VT_SEND_KEPT);
    assert_int_equal(vt_send_fate(VT_SENT_WARNING, 0x0111), VT_SEND_KEPT);
}

static void a_peer_without_room_or_without_an_answer_is_asked_again(void **state)
{
    (void)state;
    static const uint16_t statuses[] = { 0x0000, 0xA700, 0xA7FF, 0x0110, 0x0213 };

    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        assert_int_equal(vt_send_fate(VT_SENT_FAILED, statuses[i]), VT_SEND_LATER);
}

static void what_the_peer_does_not_want_is_not_sent_again(void **state)
{
    (void)state;
    static const uint16_t statuses[] = { 0xA900, 0xA9FF, 0xC000, 0xCFFF, 0x0117, 0x0122, 0x0124 };

    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        assert_int_equal(vt_send_fate(VT_SENT_FAILED, statuses[i]), VT_SEND_NEVER);
    assert_int_equal(vt_send_fate(VT_SENT_NO_CONTEXT, 0), VT_SEND_NEVER);
    assert_int_equal(vt_send_fate(VT_SENT_UNREADABLE, 0), VT_SEND_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_peer_has_is_kept),
        cmocka_unit_test(a_peer_without_room_or_without_an_answer_is_asked_again),
        cmocka_unit_test(what_the_peer_does_not_want_is_not_sent_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
