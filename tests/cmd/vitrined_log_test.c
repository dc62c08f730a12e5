#include "cmd/vitrined_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void lines_of_a_second_are_bounded_and_the_rest_is_counted(void **state)
{
    (void)state;
    struct vt_log_rate rate = { .lock = PTHREAD_MUTEX_INITIALIZER };
    uint64_t left_out;
    unsigned passed = 0;

    for (int i = 0; i < 1000; i++) {
        passed += vt_log_rate_pass(&rate, 7, &left_out);
        assert_int_equal(left_out, 0);
    }
    assert_int_equal(passed, VT_LOG_RATE);
    assert_true(vt_log_rate_pass(&rate, 8, &left_out));
    assert_int_equal(left_out, 1000 - VT_LOG_RATE);
    assert_true(vt_log_rate_pass(&rate, 9, &left_out));
    assert_int_equal(left_out, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_a_second_are_bounded_and_the_rest_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
