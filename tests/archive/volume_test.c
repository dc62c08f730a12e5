/* Volumes: moves between two folders, killed at each point, and what is served meanwhile. */
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "archive/copies.h"
#include "archive/hold.h"
#include "archive/last_access.h"
#include "archive/volume.h"
#include "core/err.h"
#include "core/event.h"
#include "tests/archive/world.h"
#include "tests/support/torture.h"

static char long_term[300];
static struct vt_volume volume = { .name = "LT", .class = VT_VOLUME_LONG_TERM, .stop_free = 1,
                                   .warn_free = 1 };

static struct vt_archive_options archive_options(const char *folder)
{
    return (struct vt_archive_options){ .path = folder,
                                        .journal_segment = 1 << 20,
                                        .warn_free = 1,
                                        .stop_free = 1,
                                        .readers = 4,
                                        .volumes = &volume,
                                        .volume_count = 1 };
}

static void reopen(struct world *world)
{
    struct vt_archive_options options = archive_options(world->folder);
    struct vt_err err = { 0 };

    world_close(world);
    world->archive = vt_archive_open(&options, &err);
    if (!world->archive)
        fail_msg("%s", err.text);
    world->admin.archive = world->archive;
}

static int set_up(void **state)
{
    world_set_up(state);
    struct world *world = *state;
    struct vt_err err = { 0 };

    snprintf(long_term, sizeof long_term, "%s-lt", world->folder);
    volume.path = long_term;
    reopen(world);
    OK(vt_admin_volume_add(&world->admin, "LT", &err));
    return 0;
}

static int tear_down(void **state)
{
    folder_remove(long_term);
    return world_tear_down(state);
}

#define VOLUME_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

enum { INSTANCES = 20 };

static struct object nth(int n, char sop[static 40])
{
    struct object object = OBJECT;

    snprintf(sop, 40, "1.2.3.1.1.%d", n + 1);
    object.sop = sop;
    object.shade = (uint8_t)n;
    return object;
}

static void fill(struct world *world, int count)
{
    char sop[40];

    for (int i = 0; i < count; i++) {
        struct object object = nth(i, sop);
        assert_int_equal(world_send(world, &object), 0);
    }
}

static void file_of(struct world *world, const char *sop, char out[static VT_FILE_MAX])
{
    struct vt_index_entry entry;
    struct vt_err err = { 0 };
    bool found = false;

    OK(vt_index_lookup(vt_archive_index(world->archive), sop, &entry, &found, &err));
    assert_true(found);
    memcpy(out, entry.file, VT_FILE_MAX);
}

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Files below a folder's objects/. */
static int files_in(const char *folder)
{
    char command[400], text[32] = "";

    snprintf(command, sizeof command, "find '%s/objects' -type f 2>/dev/null | wc -l", folder);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(text, sizeof text, pipe));
    pclose(pipe);
    return atoi(text);
}

static void assert_readable(struct world *world, int count)
{
    char sop[40];

    for (int i = 0; i < count; i++) {
        struct vt_index_entry entry;
        struct vt_stored stored;
        struct vt_err err = { 0 };
        bool found = false;
        nth(i, sop);
        OK(vt_index_lookup(vt_archive_index(world->archive), sop, &entry, &found, &err));
        assert_true(found);
        OK(vt_archive_open_instance(world->archive, &entry, &stored, &err));
        vt_stored_close(&stored);
    }
}

static struct vt_volume_moved drain(struct world *world, const char *from, const char *to)
{
    struct vt_volume_moved moved = { 0 };
    struct vt_err err = { 0 };

    OK(vt_admin_volume_drain(&world->admin, from, to, &moved, &err));
    return moved;
}

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

/* ---- kills ---- */

static const char *die_at;
static int die_after;

static void die(const char *name)
{
    if (strcmp(name, die_at) == 0 && die_after-- == 0)
        _exit(7);
}

static void drain_and_die(struct world *world, const char *from, const char *to, const char *point,
                          int after)
{
    int status = 0;

    world_close(world);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct vt_archive_options options = archive_options(world->folder);
        struct vt_volume_moved moved;
        struct vt_err err = { 0 };
        struct vt_admin admin = { .archive = vt_archive_open(&options, &err) };
        if (!admin.archive)
            _exit(1);
        die_at = point;
        die_after = after;
        vt_archive_point = die;
        vt_admin_volume_drain(&admin, from, to, &moved, &err);
        _exit(0); /* the point was not reached: not a test */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    reopen(world);
}

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

/* ---- second copies ---- */

static struct vt_volume_moved turn(struct world *world, enum vt_volume_way way)
{
    const struct vt_volume_turn turn = { .way = way, .to = "LT" };
    struct vt_volume_moved moved = { 0 };
    struct vt_err err = { 0 };

    OK(vt_admin_volume_turn_study(&world->admin, OBJECT.study, &turn, &moved, &err));
    return moved;
}

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

/* ---- who looks at it ---- */

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
        VOLUME_TEST(a_kill_at_any_point_leaves_one_copy_of_each),
        VOLUME_TEST(copies_that_a_crash_left_wait_for_their_volume),
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
        VOLUME_TEST(what_was_looked_at_is_left_by_a_rule_and_asked_back),
        VOLUME_TEST(only_a_move_to_or_from_slow_storage_is_told),
        VOLUME_TEST(a_reserve_is_left_to_recalls),
        VOLUME_TEST(the_list_names_class_and_contents),
        VOLUME_TEST(a_name_that_could_leave_the_folder_is_refused),
        VOLUME_TEST(a_volume_that_keeps_its_mark_takes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
