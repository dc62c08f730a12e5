/* What leaves a volume by a rule and comes back; lists, names, marks. */
#include "tests/archive/volumes.h"

static int recalls;

static void count_recall(void *context, const struct vt_event *event)
{
    (void)context, (void)event;
    recalls++;
}

static void what_was_looked_at_is_left_by_a_rule_and_asked_back(void **state)
{
    struct world *world = *state;
    struct vt_volume_rule rule = { .from = "MAIN", .to = "LT", .accessed_before = 1 };
    struct vt_volume_moved moved = { 0 };
    struct vt_index_entry entry;
    struct vt_err err = { 0 };
    int64_t when = 0;
    bool found = false;

    fill(world, 2);
    OK(vt_accesses_of(world->archive, OBJECT.study, &when, &err));
    assert_int_equal(when, 0);
    OK(vt_index_lookup(vt_archive_index(world->archive), "1.2.3.1.1.1", &entry, &found, &err));
    for (int i = 0; i < 3; i++)
        vt_archive_accessed(world->archive, &entry);
    OK(vt_admin_volume_migrate(&world->admin, &rule, &moved, &err));
    assert_int_equal(moved.instances, 0);
    reopen(world);
    OK(vt_accesses_of(world->archive, OBJECT.study, &when, &err));
    assert_true(when > 0);
    rule.accessed_before = INT64_MAX;
    OK(vt_admin_volume_migrate(&world->admin, &rule, &moved, &err));
    assert_int_equal(moved.instances, 2);

    VT_AUTO(vt_events) events = vt_events_new();
    struct vt_archive_options options = archive_options(world->folder);
    OK(vt_events_subscribe(events, "study.recall", count_recall, NULL, &err));
    options.events = events;
    volume.recall = true;
    world_close(world);
    world->archive = vt_archive_open(&options, &err);
    volume.recall = false;
    assert_non_null(world->archive);
    OK(vt_index_lookup(vt_archive_index(world->archive), "1.2.3.1.1.1", &entry, &found, &err));
    recalls = 0;
    for (int i = 0; i < 3; i++)
        vt_archive_accessed(world->archive, &entry);
    assert_int_equal(recalls, 1);
    reopen(world);
}

static void only_a_move_to_or_from_slow_storage_is_told(void **state)
{
    struct world *world = *state;
    VT_AUTO(vt_events) events = vt_events_new();
    struct vt_archive_options options = archive_options(world->folder);
    struct vt_err err = { 0 };

    fill(world, 2);
    OK(vt_events_subscribe(events, "study.moved", count_recall, NULL, &err));
    options.events = events;
    for (int slow = 0; slow < 2; slow++) {
        volume.nearline = slow == 1;
        world_close(world);
        world->archive = vt_archive_open(&options, &err);
        assert_non_null(world->archive);
        world->admin.archive = world->archive;
        recalls = 0;
        drain(world, "MAIN", "LT");
        drain(world, "LT", "MAIN");
        assert_int_equal(recalls, 2 * slow);
    }
    volume.nearline = false;
    reopen(world);
}

static void a_reserve_is_left_to_recalls(void **state)
{
    struct world *world = *state;
    struct vt_archive_options options = archive_options(world->folder);
    struct vt_volume_turn home = { .to = "MAIN" };
    struct vt_volume_moved moved = { 0 };
    struct vt_err err = { 0 };

    fill(world, 2);
    drain(world, "MAIN", "LT");
    options.reserve_free = UINT64_C(1) << 50;
    world_close(world);
    world->archive = vt_archive_open(&options, &err);
    assert_non_null(world->archive);
    world->admin.archive = world->archive;
    assert_false(vt_admin_volume_turn_study(&world->admin, OBJECT.study, &home, &moved, &err));
    assert_int_equal(err.code, VT_E_FULL);
    vt_err_clear(&err);
    home.recall = true;
    OK(vt_admin_volume_turn_study(&world->admin, OBJECT.study, &home, &moved, &err));
    assert_int_equal(moved.instances, 2);
    reopen(world);
}

/* ---- list, names, memory ---- */

static void the_list_names_class_and_contents(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };

    fill(world, 3);
    drain(world, "MAIN", "LT");
    world_forget_rows(world);
    OK(vt_admin_volume_list(&world->admin, &err));
    assert_int_equal(world_rows(world), 2);
    assert_string_equal(world_text(world, 0, "volume"), "MAIN");
    assert_int_equal(world_number(world, 0, "instances"), 0);
    assert_true(world_number(world, 0, "days_until_full") > 0);
    assert_string_equal(world_text(world, 1, "volume"), "LT");
    assert_string_equal(world_text(world, 1, "class"), "long-term");
    assert_int_equal(world_number(world, 1, "instances"), 3);
}

static void a_name_that_could_leave_the_folder_is_refused(void **state)
{
    static const char *const names[] = { "..", "a/b", "MAIN", "", "with space" };
    struct world *world = *state;
    struct vt_volume bad = { .path = "/tmp" };
    struct vt_archive_options options = archive_options(world->folder);

    world_close(world);
    options.volumes = &bad;
    for (size_t i = 0; i < VT_COUNT(names); i++) {
        struct vt_err err = { 0 };
        snprintf(bad.name, sizeof bad.name, "%s", names[i]);
        assert_null(vt_archive_open(&options, &err));
        assert_int_equal(err.code, VT_E_INVALID);
    }
    reopen(world);
}

static void a_volume_that_keeps_its_mark_takes_nothing(void **state)
{
    struct world *world = *state;
    struct vt_volume_moved moved = { 0 };
    struct vt_err err = { 0 };

    fill(world, 3);
    volume.stop_free = UINT64_C(1) << 60;
    reopen(world);
    assert_false(vt_admin_volume_drain(&world->admin, "MAIN", "LT", &moved, &err));
    assert_int_equal(err.code, VT_E_FULL);
    volume.stop_free = 1;
    reopen(world);
    assert_readable(world, 3);
    assert_int_equal(files_in(long_term), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(what_was_looked_at_is_left_by_a_rule_and_asked_back),
        VOLUME_TEST(only_a_move_to_or_from_slow_storage_is_told),
        VOLUME_TEST(a_reserve_is_left_to_recalls),
        VOLUME_TEST(the_list_names_class_and_contents),
        VOLUME_TEST(a_name_that_could_leave_the_folder_is_refused),
        VOLUME_TEST(a_volume_that_keeps_its_mark_takes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
