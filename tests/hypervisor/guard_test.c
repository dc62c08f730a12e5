/* The snapshot guard: each bound, the order of the questions, and the storm budget. */
#include "hypervisor/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/auto.h"

#define GIB (INT64_C(1) << 30)

static struct vt_guard_facts good(void)
{
    return (struct vt_guard_facts){ .wanted = true,
                                    .allowed = true,
                                    .since_last = -1,
                                    .storage = { .disks = 1,
                                                 .chain_depth = 1,
                                                 .free_bytes = 500 * GIB,
                                                 .size_bytes = 1000 * GIB,
                                                 .sr_name = "SR" } };
}

static enum vt_guard check(const struct vt_guard_facts *facts)
{
    char text[256];
    enum vt_guard guard = vt_guard_check(facts, &vt_guard_defaults, text, sizeof text);

    assert_int_equal(text[0] == '\0', guard == VT_GUARD_OK);
    return guard;
}

static void a_healthy_vm_is_snapshotted(void **state)
{
    struct vt_guard_facts facts = good();

    (void)state;
    assert_int_equal(check(&facts), VT_GUARD_OK);
}

static void each_bound_is_the_documented_number(void **state)
{
    (void)state;
#define BOUND(field, last_good, first_bad, guard)                                                  \
    do {                                                                                           \
        struct vt_guard_facts facts = good();                                                      \
        facts.field = last_good;                                                                   \
        assert_int_equal(check(&facts), VT_GUARD_OK);                                              \
        facts.field = first_bad;                                                                   \
        assert_int_equal(check(&facts), guard);                                                    \
    } while (0)
    BOUND(storage.chain_depth, 19, 20, VT_GUARD_CHAIN);
    BOUND(storage.free_bytes, 100 * GIB, 100 * GIB - 1024, VT_GUARD_SPACE);
    BOUND(storage.need_bytes, 400 * GIB, 401 * GIB, VT_GUARD_SPACE);
    BOUND(storage.coalesce_pending, false, true, VT_GUARD_COALESCE);
    BOUND(storage.disks, 1, 0, VT_GUARD_NO_DISK);
    BOUND(quarantined, false, true, VT_GUARD_QUARANTINED);
    BOUND(wanted, true, false, VT_GUARD_NOT_WANTED);
    BOUND(allowed, true, false, VT_GUARD_NOT_ALLOWED);
    BOUND(has_one, false, true, VT_GUARD_REPEATED);
    BOUND(since_last, 1800 * VT_NS_PER_S, 1800 * VT_NS_PER_S - 1, VT_GUARD_TOO_SOON);
    BOUND(age, 600 * VT_NS_PER_S, 600 * VT_NS_PER_S + 1, VT_GUARD_TOO_OLD);
    BOUND(minute_host, 1, 2, VT_GUARD_STORM_HOST);
    BOUND(minute_sr, 1, 2, VT_GUARD_STORM_SR);
    BOUND(minute, 3, 4, VT_GUARD_STORM_MINUTE);
    BOUND(hour, 9, 10, VT_GUARD_STORM_HOUR);
    BOUND(running, 1, 2, VT_GUARD_LATER);
    BOUND(running_sr, 0, 1, VT_GUARD_LATER);
}

static void a_small_storage_keeps_twenty_gibibytes(void **state)
{
    struct vt_guard_facts facts = good();

    (void)state;
    facts.storage.size_bytes = 50 * GIB; /* a tenth would be 5 */
    facts.storage.free_bytes = 20 * GIB;
    assert_int_equal(check(&facts), VT_GUARD_OK);
    facts.storage.free_bytes = 19 * GIB;
    assert_int_equal(check(&facts), VT_GUARD_SPACE);
}

static void storage_comes_before_the_storm_and_the_vm_before_both(void **state)
{
    struct vt_guard_facts facts = good();

    (void)state;
    facts.hour = 100;
    facts.storage.chain_depth = 25;
    assert_int_equal(check(&facts), VT_GUARD_CHAIN);
    facts.has_one = true;
    assert_int_equal(check(&facts), VT_GUARD_REPEATED);
}

static void every_answer_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < VT_GUARDS; i++)
        assert_true(strlen(vt_guard_name((enum vt_guard)i)) > 1);
    assert_string_equal(vt_guard_name(VT_GUARDS), "");
}

static void the_budget_counts_by_host_storage_and_time(void **state)
{
    static struct vt_budget budget;
    struct vt_guard_facts facts = good();
    const int64_t s = VT_NS_PER_S;

    (void)state;
    memset(&budget, 0, sizeof budget);
    assert_true(vt_budget_begin(&budget, 1, 0, "h1", "s1"));
    assert_true(vt_budget_begin(&budget, 2, 10 * s, "h1", "s2"));
    assert_true(vt_budget_begin(&budget, 3, 20 * s, "h2", "s1"));
    vt_budget_count(&budget, 30 * s, "h1", "s1", &facts);
    assert_int_equal(facts.minute, 3);
    assert_int_equal(facts.minute_host, 2);
    assert_int_equal(facts.minute_sr, 2);
    assert_int_equal(facts.running, 3);
    vt_budget_end(&budget, 1);
    vt_budget_end(&budget, 3);
    vt_budget_count(&budget, 65 * s, "h1", "s1", &facts);
    assert_int_equal(facts.minute, 2);
    assert_int_equal(facts.hour, 3);
    assert_int_equal(facts.running_sr, 0);
    vt_budget_count(&budget, 3700 * s, "h1", "s1", &facts);
    assert_int_equal(facts.hour, 0);
    assert_int_equal(facts.running, 1); /* what runs is not forgotten */
}

static void a_budget_that_is_full_refuses(void **state)
{
    static struct vt_budget budget;

    (void)state;
    memset(&budget, 0, sizeof budget);
    for (unsigned i = 0; i < VT_SHOTS_HISTORY; i++)
        assert_true(vt_budget_begin(&budget, i, 0, "h", "s"));
    assert_false(vt_budget_begin(&budget, VT_SHOTS_HISTORY, 0, "h", "s"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_healthy_vm_is_snapshotted),
        cmocka_unit_test(each_bound_is_the_documented_number),
        cmocka_unit_test(a_small_storage_keeps_twenty_gibibytes),
        cmocka_unit_test(storage_comes_before_the_storm_and_the_vm_before_both),
        cmocka_unit_test(every_answer_has_a_name),
        cmocka_unit_test(the_budget_counts_by_host_storage_and_time),
        cmocka_unit_test(a_budget_that_is_full_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
