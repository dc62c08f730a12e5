#include "core/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "tests/support/torture.h"

static void a_buffer_takes_exactly_its_limit(void **state)
{
    (void)state;
    VT_AUTO_BUF(buf, 5);
    struct vt_err err = { 0 };

    assert_true(vt_buf_append(&buf, "abcde", 5, &err));
    assert_false(vt_buf_append_byte(&buf, 'f', &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    assert_int_equal(buf.size, 5);
    assert_memory_equal(buf.data, "abcde", 5);
}

static void a_reservation_near_size_max_is_refused(void **state)
{
    (void)state;
    VT_AUTO_BUF(buf, 100);
    struct vt_err err = { 0 };

    assert_true(vt_buf_append(&buf, "x", 1, &err));
    assert_false(vt_buf_reserve(&buf, SIZE_MAX, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
}

static void printing_keeps_to_the_limit_without_its_zero_byte(void **state)
{
    (void)state;
    VT_AUTO_BUF(buf, 4);
    struct vt_err err = { 0 };

    assert_true(vt_buf_printf(&buf, &err, "%d", 1234));
    assert_int_equal(buf.size, 4);
    assert_false(vt_buf_printf(&buf, &err, "%d", 5));
    assert_string_equal(vt_buf_string(&buf, &err), "1234");
}

static void printing_appends_behind_what_is_there(void **state)
{
    (void)state;
    VT_AUTO_BUF(buf, 4096);
    struct vt_err err = { 0 };

    for (int i = 0; i < 1000; i++)
        assert_true(vt_buf_printf(&buf, &err, "%03d", i));
    assert_int_equal(buf.size, 3000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(strtol((char[]){ (char)buf.data[3 * i], (char)buf.data[3 * i + 1], (char)buf.data[3 * i + 2], 0 }, NULL, 10), i);
}

static bool fill(void *context, struct vt_err *err)
{
    (void)context;
    VT_AUTO_BUF(buf, 1 << 20);

    return vt_buf_append_text(&buf, "text", err) && vt_buf_printf(&buf, err, "%0600d", 1) &&
           vt_buf_reserve(&buf, 5000, err) && vt_buf_string(&buf, err) != NULL;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_true(vt_torture(fill, NULL) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_takes_exactly_its_limit),
        cmocka_unit_test(a_reservation_near_size_max_is_refused),
        cmocka_unit_test(printing_keeps_to_the_limit_without_its_zero_byte),
        cmocka_unit_test(printing_appends_behind_what_is_there),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
