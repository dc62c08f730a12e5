#include "core/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void a_failure_carries_code_and_sentence(void **state)
{
    (void)state;
    struct vt_err err = { 0 };

    assert_false(vt_fail(&err, VT_E_LIMIT, "%d associations", 256));
    assert_int_equal(err.code, VT_E_LIMIT);
    assert_string_equal(err.text, "256 associations");
}

static void no_space_left_is_full_and_keeps_the_reason(void **state)
{
    (void)state;
    struct vt_err err = { 0 };

    errno = ENOSPC;
    assert_false(vt_fail_errno(&err, "writing %s", "a"));
    assert_int_equal(err.code, VT_E_FULL);
    assert_string_equal(err.text, "writing a: No space left on device");
}

static void context_goes_before_the_sentence_and_keeps_the_status(void **state)
{
    (void)state;
    struct vt_err err = { 0 };

    vt_fail_dimse(&err, VT_E_FULL, 0xa700, "volume full");
    assert_false(vt_fail_context(&err, "storing %d", 7));
    assert_string_equal(err.text, "storing 7: volume full");
    assert_int_equal(err.dimse_status, 0xa700);
    assert_int_equal(err.code, VT_E_FULL);
}

static void a_sentence_may_be_made_of_itself(void **state)
{
    (void)state;
    struct vt_err err = { 0 };

    vt_fail(&err, VT_E_IO, "inner");
    vt_fail(&err, VT_E_IO, "outer (%s)", err.text);
    assert_string_equal(err.text, "outer (inner)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_carries_code_and_sentence),
        cmocka_unit_test(no_space_left_is_full_and_keeps_the_reason),
        cmocka_unit_test(context_goes_before_the_sentence_and_keeps_the_status),
        cmocka_unit_test(a_sentence_may_be_made_of_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
