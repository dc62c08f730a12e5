/* Second copies on a volume: kept, read, released, killed on the way. */
#include "tests/archive/volumes.h"

static void a_copy_is_kept_beside_the_first_one(void **state)
{
    struct world *world = *state;
    char file[VT_FILE_MAX];

    fill(world, INSTANCES);
    assert_int_equal(turn(world, VT_VOLUME_KEEP).instances, INSTANCES);
    assert_int_equal(files_in(world->folder), INSTANCES);
    assert_int_equal(files_in(long_term), INSTANCES);
    file_of(world, "1.2.3.1.1.1", file);
    assert_true(starts(file, "objects/"));
    assert_int_equal(world_faults(world), 0);
    assert_int_equal(turn(world, VT_VOLUME_KEEP).instances, 0); /* once is enough */
    reopen(world);
    assert_int_equal(files_in(long_term), INSTANCES);
    assert_int_equal(world_faults(world), 0);
}

static void when_the_first_one_is_lost_the_copy_is_read(void **state)
{
    struct world *world = *state;
    char file[VT_FILE_MAX];

    fill(world, 3);
    turn(world, VT_VOLUME_KEEP);
    file_of(world, "1.2.3.1.1.2", file);
    world_shell(world, "rm '%s'", file);
    file_of(world, "1.2.3.1.1.3", file);
    world_shell(world, "truncate -s 100 '%s'", file);
    assert_readable(world, 3);
    assert_true(world_faults(world) >= 2); /* and is told all the same */
}

static void a_copy_is_read_while_the_volume_of_the_first_one_is_away(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    struct vt_volume both[2] = { volume, volume };
    char other[320];

    snprintf(other, sizeof other, "%s2", long_term);
    snprintf(both[1].name, sizeof both[1].name, "L2");
    both[1].path = other;
    struct vt_archive_options options = archive_options(world->folder);
    options.volumes = both;
    options.volume_count = 2;
    fill(world, 3);
    drain(world, "MAIN", "LT");
    world_close(world);
    world->archive = vt_archive_open(&options, &err);
    assert_non_null(world->archive);
    world->admin.archive = world->archive;
    OK(vt_admin_volume_add(&world->admin, "L2", &err));
    const struct vt_volume_turn keep = { .way = VT_VOLUME_KEEP, .to = "L2" };
    struct vt_volume_moved moved = { 0 };
    OK(vt_admin_volume_turn_study(&world->admin, OBJECT.study, &keep, &moved, &err));
    assert_int_equal(moved.instances, 3);
    world_shell(world, "mv '%s' '%s.away'", long_term, long_term);
    assert_readable(world, 3);
    world_shell(world, "test ! -e '%s' && mv '%s.away' '%s'", long_term, long_term, long_term);
    assert_int_equal(world_faults(world), 0);
    /* A drain of the second one leaves the first ones alone, and nothing behind. */
    OK(vt_admin_volume_drain(&world->admin, "L2", "MAIN", &moved, &err));
    assert_int_equal(files_in(other), 0);
    assert_int_equal(files_in(long_term), 3);
    assert_int_equal(world_faults(world), 0);
    world_close(world);
    world_shell(world, "rm volumes/L2");
    folder_remove(other);
    reopen(world);
}

static void the_first_one_is_released_when_the_copy_is_whole(void **state)
{
    struct world *world = *state;
    char file[VT_FILE_MAX];

    fill(world, 3);
    turn(world, VT_VOLUME_KEEP);
    file_of(world, "1.2.3.1.1.2", file);
    world_shell(world, "printf x | dd of='%s/%s' bs=1 seek=900 conv=notrunc status=none", long_term,
                file);
    struct vt_volume_moved moved = turn(world, VT_VOLUME_RELEASE);
    assert_int_equal(moved.instances, 2);
    assert_int_equal(moved.faults, 1);
    assert_int_equal(files_in(world->folder), 1);
    assert_int_equal(files_in(long_term), 3);
    assert_readable(world, 3);
    file_of(world, "1.2.3.1.1.1", file);
    assert_true(starts(file, "volumes/LT/"));
    reopen(world);
    assert_readable(world, 3);
    assert_int_equal(world_faults(world), 1); /* the copy that is not whole */
}

static void nothing_is_released_without_a_copy(void **state)
{
    struct world *world = *state;

    fill(world, 3);
    assert_int_equal(turn(world, VT_VOLUME_RELEASE).instances, 0);
    assert_int_equal(files_in(world->folder), 3);
}

static void a_held_study_is_neither_released_nor_deleted(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    int64_t trash = 0;

    fill(world, 3);
    turn(world, VT_VOLUME_KEEP);
    OK(vt_hold_study(&world->admin, OBJECT.study, "lawsuit", &err));
    assert_int_equal(turn(world, VT_VOLUME_RELEASE).instances, 0);
    assert_false(vt_admin_study_delete(&world->admin, OBJECT.study, "", &trash, &instances, &err));
    assert_int_equal(err.code, VT_E_DENIED);
    vt_err_clear(&err);
    OK(vt_hold_release(&world->admin, OBJECT.study, &err));
    assert_false(vt_hold_release(&world->admin, OBJECT.study, &err));
    vt_err_clear(&err);
    assert_int_equal(turn(world, VT_VOLUME_RELEASE).instances, 3);
}

static void a_deleted_study_leaves_no_copies(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    int64_t trash = 0;

    fill(world, 3);
    turn(world, VT_VOLUME_KEEP);
    OK(vt_admin_study_delete(&world->admin, OBJECT.study, "", &trash, &instances, &err));
    assert_int_equal(files_in(long_term), 0);
    assert_int_equal(world_faults(world), 0);
    OK(vt_admin_study_restore(&world->admin, trash, NULL, &instances, &err));
    assert_int_equal(turn(world, VT_VOLUME_KEEP).instances, 3);
    assert_int_equal(world_faults(world), 0);
}

static void a_move_to_where_the_copy_lies_leaves_one_file(void **state)
{
    struct world *world = *state;

    fill(world, 3);
    turn(world, VT_VOLUME_KEEP);
    assert_int_equal(drain(world, "MAIN", "LT").instances, 3);
    assert_int_equal(files_in(world->folder), 0);
    assert_int_equal(files_in(long_term), 3);
    assert_int_equal(world_faults(world), 0);
    assert_int_equal(drain(world, "LT", "MAIN").instances, 3);
    assert_int_equal(files_in(long_term), 0);
    assert_int_equal(world_faults(world), 0);
}

static void a_reindex_without_the_first_one_serves_the_copy(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    char file[VT_FILE_MAX];

    fill(world, 3);
    turn(world, VT_VOLUME_KEEP);
    file_of(world, "1.2.3.1.1.2", file);
    world_shell(world, "rm '%s'", file);
    OK(vt_admin_reindex(&world->admin, &instances, &err));
    assert_int_equal(instances, 3);
    file_of(world, "1.2.3.1.1.1", file);
    assert_true(starts(file, "objects/"));
    file_of(world, "1.2.3.1.1.2", file);
    assert_true(starts(file, "volumes/LT/"));
    assert_readable(world, 3);
    assert_int_equal(world_faults(world), 0);
}

static void a_drain_takes_versions_that_are_not_served(void **state)
{
    struct world *world = *state;
    struct object changed = OBJECT;
    char sop[40];

    fill(world, 2);
    changed = nth(0, sop);
    changed.description = "Abdomen";
    assert_int_equal(world_send(world, &changed), 0);
    assert_int_equal(files_in(world->folder), 3);
    drain(world, "MAIN", "LT");
    assert_int_equal(files_in(world->folder), 0);
    assert_int_equal(files_in(long_term), 3);
    assert_int_equal(world_faults(world), 0);
    reopen(world);
    drain(world, "LT", "MAIN");
    assert_int_equal(files_in(long_term), 0);
    assert_int_equal(world_faults(world), 0);
}

static void a_kill_while_copies_are_made_leaves_all_whole(void **state)
{
    static const char *const points[] = { "volume-noted", "volume-copied", "volume-placed",
                                          "volume-kept" };
    struct world *world = *state;

    fill(world, INSTANCES);
    for (size_t i = 0; i < VT_COUNT(points); i++) {
        int status = 0;
        world_close(world);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            const struct vt_volume_turn keep = { .way = VT_VOLUME_KEEP, .to = "LT" };
            struct vt_archive_options options = archive_options(world->folder);
            struct vt_volume_moved moved = { 0 };
            struct vt_err err = { 0 };
            struct vt_admin admin = { .archive = vt_archive_open(&options, &err) };
            if (!admin.archive)
                _exit(1);
            die_at = points[i];
            die_after = 0;
            vt_archive_point = die;
            vt_admin_volume_turn_study(&admin, OBJECT.study, &keep, &moved, &err);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WEXITSTATUS(status), 7);
        reopen(world);
        assert_int_equal(files_in(world->folder), INSTANCES);
        assert_int_equal(world_faults(world), 0);
    }
    turn(world, VT_VOLUME_KEEP);
    assert_int_equal(files_in(long_term), INSTANCES);
    assert_int_equal(world_faults(world), 0);
}

static bool keep_and_drop(void *context, struct vt_err *err)
{
    struct world *world = context;
    const struct vt_volume_turn keep = { .way = VT_VOLUME_KEEP, .to = "LT" };
    struct vt_volume_moved moved = { 0 };
    uint64_t faults = 0;

    return vt_admin_volume_turn_study(&world->admin, OBJECT.study, &keep, &moved, err) &&
           vt_copies_give_up(&world->admin, "LT", &faults, err) &&
           (faults == 0 || vt_fail(err, VT_E_INTERNAL, "a fault"));
}

static void a_copy_without_memory_leaves_the_first_one(void **state)
{
    struct world *world = *state;

    fill(world, 2);
    assert_true(vt_torture(keep_and_drop, world) > 0);
    assert_int_equal(files_in(world->folder), 2);
    assert_readable(world, 2);
    assert_int_equal(world_faults(world), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(a_copy_is_kept_beside_the_first_one),
        VOLUME_TEST(when_the_first_one_is_lost_the_copy_is_read),
        VOLUME_TEST(a_copy_is_read_while_the_volume_of_the_first_one_is_away),
        VOLUME_TEST(the_first_one_is_released_when_the_copy_is_whole),
        VOLUME_TEST(nothing_is_released_without_a_copy),
        VOLUME_TEST(a_held_study_is_neither_released_nor_deleted),
        VOLUME_TEST(a_deleted_study_leaves_no_copies),
        VOLUME_TEST(a_move_to_where_the_copy_lies_leaves_one_file),
        VOLUME_TEST(a_reindex_without_the_first_one_serves_the_copy),
        VOLUME_TEST(a_drain_takes_versions_that_are_not_served),
        VOLUME_TEST(a_kill_while_copies_are_made_leaves_all_whole),
        VOLUME_TEST(a_copy_without_memory_leaves_the_first_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
