/* Volumes: moves between two folders, and what is served meanwhile. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mount.h>

#include "tests/archive/volumes.h"

static void a_drain_moves_every_file_and_serves_it_from_there(void **state)
{
    struct world *world = *state;
    char file[VT_FILE_MAX];

    fill(world, INSTANCES);
    struct vt_volume_moved moved = drain(world, "MAIN", "LT");
    assert_int_equal(moved.instances, INSTANCES);
    assert_int_equal(moved.faults, 0);
    file_of(world, "1.2.3.1.1.1", file);
    assert_true(starts(file, "volumes/LT/objects/2026/01/02/"));
    assert_int_equal(files_in(world->folder), 0);
    assert_int_equal(files_in(long_term), INSTANCES);
    assert_readable(world, INSTANCES);
    assert_int_equal(world_faults(world), 0);
}

static void a_drain_back_brings_every_file_home(void **state)
{
    struct world *world = *state;

    fill(world, INSTANCES);
    drain(world, "MAIN", "LT");
    assert_int_equal(drain(world, "LT", "MAIN").instances, INSTANCES);
    assert_int_equal(files_in(world->folder), INSTANCES);
    assert_int_equal(files_in(long_term), 0);
    assert_readable(world, INSTANCES);
    assert_int_equal(world_faults(world), 0);
    fill(world, INSTANCES); /* identical ones write nothing */
    assert_int_equal(files_in(world->folder), INSTANCES);
}

static void what_was_moved_is_there_after_a_restart_and_a_reindex(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    char sop[40];

    fill(world, INSTANCES);
    drain(world, "MAIN", "LT");
    struct object late = nth(INSTANCES, sop);
    assert_int_equal(world_send(world, &late), 0);
    reopen(world);
    assert_readable(world, INSTANCES + 1);
    OK(vt_admin_reindex(&world->admin, &instances, &err));
    assert_int_equal(instances, INSTANCES + 1);
    assert_int_equal(world_instances(world), INSTANCES + 1);
    assert_readable(world, INSTANCES + 1);
    assert_int_equal(world_faults(world), 0);
}

static void a_second_copy_is_one_instance_for_a_reindex(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    char file[VT_FILE_MAX];

    fill(world, 3);
    world_shell(world, "mkdir -p '%s/objects' && cp -a objects/. '%s/objects/'", long_term,
                long_term);
    OK(vt_admin_reindex(&world->admin, &instances, &err));
    assert_int_equal(instances, 3);
    assert_int_equal(world_instances(world), 3);
    file_of(world, "1.2.3.1.1.1", file);
    assert_true(starts(file, "objects/"));
}

static void a_study_on_another_volume_is_deleted_and_restored(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    int64_t trash = 0;

    fill(world, INSTANCES);
    drain(world, "MAIN", "LT");
    OK(vt_admin_study_delete(&world->admin, OBJECT.study, "test", &trash, &instances, &err));
    assert_int_equal(instances, INSTANCES);
    assert_int_equal(files_in(long_term), 0);
    OK(vt_admin_study_restore(&world->admin, trash, NULL, &instances, &err));
    assert_readable(world, INSTANCES);
    assert_int_equal(world_faults(world), 0);
}

static void a_version_of_what_lies_elsewhere_is_kept_and_resolved(void **state)
{
    struct world *world = *state;
    struct object changed = OBJECT;
    struct vt_err err = { 0 };
    char file[VT_FILE_MAX];

    fill(world, 1);
    drain(world, "MAIN", "LT");
    changed.shade = 0;
    changed.description = "Abdomen";
    assert_int_equal(world_send(world, &changed), 0);
    file_of(world, changed.sop, file);
    assert_true(starts(file, "objects/"));
    assert_int_equal(files_in(long_term), 1);
    OK(vt_admin_version_resolve(&world->admin, changed.sop, 1, &err));
    file_of(world, changed.sop, file);
    assert_true(starts(file, "volumes/LT/"));
    assert_int_equal(world_faults(world), 0);
}

static void the_version_that_is_given_up_leaves_its_volume(void **state)
{
    struct world *world = *state;
    struct object changed = OBJECT;
    struct vt_err err = { 0 };

    fill(world, 1);
    drain(world, "MAIN", "LT");
    changed.shade = 0;
    changed.description = "Abdomen";
    assert_int_equal(world_send(world, &changed), 0);
    OK(vt_admin_version_resolve(&world->admin, changed.sop, 2, &err));
    assert_int_equal(files_in(long_term), 0);
    assert_readable(world, 1);
    assert_int_equal(world_faults(world), 0);
}

static void a_volume_that_is_away_stops_only_what_needs_it(void **state)
{
    struct world *world = *state;
    struct vt_index_entry entry;
    struct vt_stored stored;
    struct vt_volume_moved moved = { 0 };
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    int64_t trash = 0;
    bool found = false;
    char sop[40];

    fill(world, 3);
    drain(world, "MAIN", "LT");
    world_shell(world, "mv '%s' '%s.away'", long_term, long_term);
    OK(vt_index_lookup(vt_archive_index(world->archive), "1.2.3.1.1.1", &entry, &found, &err));
    assert_false(vt_archive_open_instance(world->archive, &entry, &stored, &err));
    assert_int_equal(err.code, VT_E_BUSY);
    assert_non_null(strstr(err.text, "volume LT is away"));
    assert_false(vt_admin_study_delete(&world->admin, OBJECT.study, "", &trash, &instances, &err));
    assert_false(vt_admin_reindex(&world->admin, &instances, &err));
    assert_false(vt_admin_volume_drain(&world->admin, "MAIN", "LT", &moved, &err));
    struct object late = nth(3, sop);
    assert_int_equal(world_send(world, &late), 0);
    assert_int_equal(world_faults(world), 1);
    assert_string_equal(world_text(world, 0, "fault"), "away");
    reopen(world); /* starts all the same */
    world_shell(world, "test ! -e '%s' && mv '%s.away' '%s'", long_term, long_term, long_term);
    assert_readable(world, 4);
    assert_int_equal(world_faults(world), 0);
}

static void a_folder_without_the_mark_is_never_written(void **state)
{
    struct world *world = *state;
    struct vt_volume_moved moved = { 0 };
    struct vt_err err = { 0 };

    fill(world, 3);
    world_shell(world, "rm '%s/vitrine-volume'", long_term);
    assert_false(vt_admin_volume_drain(&world->admin, "MAIN", "LT", &moved, &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
    assert_int_equal(files_in(long_term), 0);
    assert_readable(world, 3);
}

static void a_damaged_file_stays_and_is_told(void **state)
{
    struct world *world = *state;
    char file[VT_FILE_MAX];

    fill(world, 3);
    file_of(world, "1.2.3.1.1.2", file);
    world_shell(world, "printf x | dd of='%s' bs=1 seek=900 conv=notrunc status=none", file);
    world_forget_rows(world);
    struct vt_volume_moved moved = drain(world, "MAIN", "LT");
    assert_int_equal(moved.instances, 2);
    assert_int_equal(moved.faults, 1);
    assert_string_equal(world_text(world, 0, "SOPInstanceUID"), "1.2.3.1.1.2");
    assert_int_equal(files_in(world->folder), 1);
}

static void another_file_in_the_way_is_left_alone(void **state)
{
    struct world *world = *state;
    char file[VT_FILE_MAX];

    fill(world, 3);
    file_of(world, "1.2.3.1.1.2", file);
    world_shell(world, "mkdir -p \"$(dirname '%s/%s')\" && echo mine > '%s/%s'", long_term, file,
                long_term, file);
    struct vt_volume_moved moved = drain(world, "MAIN", "LT");
    assert_int_equal(moved.instances, 2);
    assert_int_equal(moved.faults, 1);
    world_shell(world, "grep -q mine '%s/%s'", long_term, file);
    assert_readable(world, 3);
}

static void a_backup_holds_all_volumes_and_serves_them(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    char folder[sizeof world->folder], own[sizeof world->folder];

    fill(world, INSTANCES);
    drain(world, "MAIN", "LT");
    memcpy(own, world->folder, sizeof own);
    snprintf(folder, sizeof folder, "%.200s-backup", own);
    OK(vt_admin_backup(&world->admin, folder, &instances, &err));
    assert_int_equal(instances, INSTANCES);
    memcpy(world->folder, folder, sizeof folder);
    reopen(world);
    assert_readable(world, INSTANCES);
    assert_int_equal(world_faults(world), 0);
    assert_int_equal(drain(world, "LT", "MAIN").instances, INSTANCES);
    assert_int_equal(files_in(long_term), INSTANCES);
    world_close(world);
    folder_remove(folder);
    memcpy(world->folder, own, sizeof own);
    reopen(world);
}

static void a_study_that_still_grows_is_left_by_a_rule(void **state)
{
    struct world *world = *state;
    struct vt_volume_rule rule = { .from = "MAIN", .to = "LT", .arrived_before = 1 };
    struct vt_volume_moved moved = { 0 };
    struct vt_err err = { 0 };

    fill(world, 3);
    OK(vt_admin_volume_migrate(&world->admin, &rule, &moved, &err));
    assert_int_equal(moved.instances, 0);
    rule.arrived_before = INT64_MAX;
    OK(vt_admin_volume_migrate(&world->admin, &rule, &moved, &err));
    assert_int_equal(moved.instances, 3);
}

/* ---- beside others ---- */

struct storing {
    struct world *world;
    atomic_bool stop;
    atomic_int stored;
};

static void *store_on(void *context)
{
    struct storing *storing = context;
    struct vt_receive_result result;
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(storing->world->archive, &err);

    while (receive && !atomic_load(&storing->stop) && storing->stored < 2000) {
        struct object object = OBJECT;
        char sop[40];
        snprintf(sop, sizeof sop, "1.2.3.1.1.%d", storing->stored + 1);
        object.sop = sop;
        if (!object_send(receive, &object, &result, &err) || result.status != 0)
            break;
        atomic_fetch_add(&storing->stored, 1);
    }
    return NULL;
}

static void who_stores_and_deletes_meanwhile_loses_nothing(void **state)
{
    struct world *world = *state;
    struct storing storing = { .world = world };
    struct vt_err err = { 0 };
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, store_on, &storing), 0);
    for (int i = 0; i < 3 || (i < 1000 && storing.stored < 100); i++) {
        drain(world, "MAIN", "LT");
        drain(world, "LT", "MAIN");
    }
    atomic_store(&storing.stop, true);
    pthread_join(thread, NULL);
    assert_true(storing.stored >= 100);
    assert_int_equal(world_instances(world), storing.stored);
    assert_int_equal(files_in(world->folder) + files_in(long_term), storing.stored);
    assert_readable(world, storing.stored);
    drain(world, "MAIN", "LT");
    uint64_t instances = 0;
    int64_t trash = 0;
    OK(vt_admin_study_delete(&world->admin, OBJECT.study, "", &trash, &instances, &err));
    assert_int_equal(instances, storing.stored);
    assert_int_equal(world_faults(world), 0);
}

static void a_file_system_that_fills_up_in_a_copy_keeps_the_first_ones(void **state)
{
    struct world *world = *state;
    struct vt_volume_moved moved = { 0 };
    struct vt_err err = { 0 };

    fill(world, INSTANCES);
    folder_remove(long_term);
    assert_int_equal(mkdir(long_term, 0750), 0);
    if (mount("tmpfs", long_term, "tmpfs", 0, "size=48k,mode=0750") != 0)
        skip();
    OK(vt_admin_volume_add(&world->admin, "LT", &err));
    bool all = vt_admin_volume_drain(&world->admin, "MAIN", "LT", &moved, &err);
    assert_int_equal(files_in(world->folder) + files_in(long_term), INSTANCES);
    assert_readable(world, INSTANCES);
    drain(world, "LT", "MAIN");
    assert_int_equal(files_in(world->folder), INSTANCES);
    assert_int_equal(umount(long_term), 0);
    assert_false(all);
    assert_int_equal(err.code, VT_E_FULL);
    assert_readable(world, INSTANCES);
}

/* ---- memory ---- */

struct torture {
    struct world *world;
    bool there;
};

static bool move_to_and_fro(void *context, struct vt_err *err)
{
    struct torture *torture = context;
    struct vt_volume_moved moved = { 0 };
    const char *to = torture->there ? "MAIN" : "LT";

    if (!vt_admin_volume_move_study(&torture->world->admin, OBJECT.study, to, &moved, err))
        return false;
    torture->there = !torture->there;
    return true;
}

static void a_move_without_memory_leaves_all_in_place(void **state)
{
    struct world *world = *state;
    struct torture torture = { world, false };

    fill(world, 2);
    assert_true(vt_torture(move_to_and_fro, &torture) > 0);
    assert_readable(world, 2);
    assert_int_equal(files_in(world->folder) + files_in(long_term), 2);
    assert_int_equal(world_faults(world), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(a_drain_moves_every_file_and_serves_it_from_there),
        VOLUME_TEST(a_drain_back_brings_every_file_home),
        VOLUME_TEST(what_was_moved_is_there_after_a_restart_and_a_reindex),
        VOLUME_TEST(a_second_copy_is_one_instance_for_a_reindex),
        VOLUME_TEST(a_study_on_another_volume_is_deleted_and_restored),
        VOLUME_TEST(a_version_of_what_lies_elsewhere_is_kept_and_resolved),
        VOLUME_TEST(the_version_that_is_given_up_leaves_its_volume),
        VOLUME_TEST(a_volume_that_is_away_stops_only_what_needs_it),
        VOLUME_TEST(a_folder_without_the_mark_is_never_written),
        VOLUME_TEST(a_damaged_file_stays_and_is_told),
        VOLUME_TEST(another_file_in_the_way_is_left_alone),
        VOLUME_TEST(a_backup_holds_all_volumes_and_serves_them),
        VOLUME_TEST(a_study_that_still_grows_is_left_by_a_rule),
        VOLUME_TEST(who_stores_and_deletes_meanwhile_loses_nothing),
        VOLUME_TEST(a_file_system_that_fills_up_in_a_copy_keeps_the_first_ones),
        VOLUME_TEST(a_move_without_memory_leaves_all_in_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
