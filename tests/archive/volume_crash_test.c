/* Moves between volumes, killed at each point. */
#include "tests/archive/volumes.h"

static void a_kill_at_any_point_leaves_one_copy_of_each(void **state)
{
    static const char *const points[] = { "volume-noted", "volume-copied", "volume-placed",
                                          "volume-indexed", "volume-released" };
    static const char *const ways[][2] = { { "MAIN", "LT" }, { "LT", "MAIN" } };
    struct world *world = *state;

    fill(world, INSTANCES);
    for (size_t way = 0; way < 2; way++) {
        for (size_t i = 0; i < VT_COUNT(points); i++) {
            drain_and_die(world, ways[way][0], ways[way][1], points[i], (int)(i % 2));
            assert_int_equal(files_in(world->folder) + files_in(long_term), INSTANCES);
            assert_int_equal(world_instances(world), INSTANCES);
            assert_readable(world, INSTANCES);
            assert_int_equal(world_faults(world), 0);
            drain(world, ways[way][1], ways[way][0]);
        }
        drain(world, ways[way][0], ways[way][1]);
        assert_int_equal(world_faults(world), 0);
    }
}

static void copies_that_a_crash_left_wait_for_their_volume(void **state)
{
    struct world *world = *state;

    fill(world, INSTANCES);
    drain_and_die(world, "MAIN", "LT", "volume-noted", 0); /* nothing is there yet */
    world_close(world);
    world_shell(world, "mv '%s' '%s.away'", long_term, long_term);
    reopen(world);
    world_shell(world, "mv '%s.away' '%s'", long_term, long_term);
    reopen(world);
    assert_readable(world, INSTANCES);
    assert_int_equal(drain(world, "MAIN", "LT").instances, INSTANCES);
    assert_int_equal(world_faults(world), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(a_kill_at_any_point_leaves_one_copy_of_each),
        VOLUME_TEST(copies_that_a_crash_left_wait_for_their_volume),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
