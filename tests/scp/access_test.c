/* What a peer may store in a day. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/clock.h"
#include "scp/access.h"
#include "scu/peers.h"

#define DAY (24 * 3600 * VT_NS_PER_S)

static void instances_are_counted_until_the_day_ends(void **state)
{
    VT_AUTO(vt_usage) usage = vt_usage_new();
    const struct vt_peer peer = { .ae_title = "CT1", .instances_per_day = 2 };

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_true(vt_usage_may_store(usage, &peer, 5 * DAY + i));
        vt_usage_add(usage, &peer, 5 * DAY + i, 100);
    }
    assert_false(vt_usage_may_store(usage, &peer, 6 * DAY - 1));
    assert_true(vt_usage_may_store(usage, &peer, 6 * DAY));
}

static void bytes_bound_what_begins_not_what_runs(void **state)
{
    VT_AUTO(vt_usage) usage = vt_usage_new();
    const struct vt_peer peer = { .ae_title = "CT1", .bytes_per_day = 1000 };

    (void)state;
    assert_true(vt_usage_may_store(usage, &peer, DAY));
    vt_usage_add(usage, &peer, DAY, 5000);
    assert_false(vt_usage_may_store(usage, &peer, DAY));
}

static void peers_have_their_own_counts_and_others_none(void **state)
{
    VT_AUTO(vt_usage) usage = vt_usage_new();
    const struct vt_peer one = { .ae_title = "CT1", .instances_per_day = 1 },
                         two = { .ae_title = "CT2", .instances_per_day = 1 },
                         free_one = { .ae_title = "CT3" };

    (void)state;
    vt_usage_add(usage, &one, DAY, 1);
    assert_false(vt_usage_may_store(usage, &one, DAY));
    assert_true(vt_usage_may_store(usage, &two, DAY));
    vt_usage_add(usage, &free_one, DAY, 1);
    assert_true(vt_usage_may_store(usage, &free_one, DAY));
    assert_true(vt_usage_may_store(usage, NULL, DAY));
    assert_true(vt_usage_may_store(NULL, &one, DAY));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instances_are_counted_until_the_day_ends),
        cmocka_unit_test(bytes_bound_what_begins_not_what_runs),
        cmocka_unit_test(peers_have_their_own_counts_and_others_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
