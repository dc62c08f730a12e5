#include "scp/retrieve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint16_t final_of(size_t completed, size_t warning, size_t failed, size_t never,
                         bool cancelled)
{
    struct vt_tally tally = { .total = completed + warning + failed + never,
                              .completed = completed,
                              .warning = warning,
                              .failed = failed };
    return vt_tally_final(&tally, cancelled);
}

static void the_final_status_follows_from_the_counts(void **state)
{
    (void)state;
    assert_int_equal(final_of(0, 0, 0, 0, false), VT_STATUS_SUCCESS);
    assert_int_equal(final_of(9, 0, 0, 0, false), VT_STATUS_SUCCESS);
    assert_int_equal(final_of(8, 1, 0, 0, false), VT_STATUS_SUBOPERATIONS_WARNING);
    assert_int_equal(final_of(0, 9, 0, 0, false), VT_STATUS_SUBOPERATIONS_WARNING);
    assert_int_equal(final_of(8, 0, 1, 0, false), VT_STATUS_SUBOPERATIONS_WARNING);
    assert_int_equal(final_of(0, 0, 9, 0, false), VT_STATUS_CANNOT_PERFORM);
    assert_int_equal(final_of(4, 0, 1, 4, true), VT_STATUS_CANCEL);
}

static void a_store_status_is_an_outcome(void **state)
{
    (void)state;
    assert_int_equal(vt_outcome_of(0x0000), VT_OUTCOME_COMPLETED);
    assert_int_equal(vt_outcome_of(0xb000), VT_OUTCOME_WARNING);
    assert_int_equal(vt_outcome_of(0xb007), VT_OUTCOME_WARNING);
    assert_int_equal(vt_outcome_of(0xa700), VT_OUTCOME_FAILED);
    assert_int_equal(vt_outcome_of(0x0122), VT_OUTCOME_FAILED);
}

static void remaining_is_only_in_pending_and_cancel_answers(void **state)
{
    (void)state;
    struct vt_tally tally = { .total = 10, .completed = 3, .failed = 1 };
    struct vt_command pending = { .status = VT_STATUS_PENDING },
                      final = { .status = VT_STATUS_SUCCESS },
                      cancel = { .status = VT_STATUS_CANCEL };

    vt_tally_counters(&tally, &pending);
    vt_tally_counters(&tally, &final);
    vt_tally_counters(&tally, &cancel);
    assert_true(pending.has_counters && pending.has_remaining);
    assert_int_equal(pending.remaining, 6);
    assert_int_equal(pending.completed, 3);
    assert_int_equal(pending.failed, 1);
    assert_true(final.has_counters);
    assert_false(final.has_remaining);
    assert_true(cancel.has_remaining);
    assert_int_equal(cancel.remaining, 6);
}

static void counters_of_more_than_sixteen_bits_are_clamped(void **state)
{
    (void)state;
    struct vt_tally tally = { .total = 200000, .completed = 70000 };
    struct vt_command pending = { .status = VT_STATUS_PENDING };

    vt_tally_counters(&tally, &pending);
    assert_int_equal(pending.remaining, 65535);
    assert_int_equal(pending.completed, 65535);
}

static void failed_instances_are_listed_and_others_are_not(void **state)
{
    (void)state;
    struct vt_tally tally;

    vt_tally_init(&tally, 3);
    vt_tally_add(&tally, VT_OUTCOME_FAILED, "1.2.3");
    vt_tally_add(&tally, VT_OUTCOME_COMPLETED, "1.2.4");
    vt_tally_add(&tally, VT_OUTCOME_FAILED, "1.2.5");
    assert_int_equal(tally.failed_uids.size, 11);
    assert_memory_equal(tally.failed_uids.data, "1.2.3\\1.2.5", 11);
    assert_int_equal(vt_tally_remaining(&tally), 0);
    vt_tally_fini(&tally);
}

static void the_list_of_failures_stays_within_a_value_of_sixteen_bits(void **state)
{
    (void)state;
    struct vt_tally tally;
    char uid[VT_UID_MAX + 1];

    vt_tally_init(&tally, 5000);
    for (int i = 0; i < 5000; i++) {
        snprintf(uid, sizeof uid, "1.2.826.0.1.3680043.8.498.1234567890123456789.%d", i);
        vt_tally_add(&tally, VT_OUTCOME_FAILED, uid);
    }
    assert_int_equal(tally.failed, 5000);
    assert_true(tally.failed_uids.size <= VT_FAILED_LIST_MAX);
    assert_true(tally.failed_uids.size > VT_FAILED_LIST_MAX - 100);
    assert_int_not_equal(tally.failed_uids.data[tally.failed_uids.size - 1], '\\');
    vt_tally_fini(&tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_final_status_follows_from_the_counts),
        cmocka_unit_test(a_store_status_is_an_outcome),
        cmocka_unit_test(remaining_is_only_in_pending_and_cancel_answers),
        cmocka_unit_test(counters_of_more_than_sixteen_bits_are_clamped),
        cmocka_unit_test(failed_instances_are_listed_and_others_are_not),
        cmocka_unit_test(the_list_of_failures_stays_within_a_value_of_sixteen_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
