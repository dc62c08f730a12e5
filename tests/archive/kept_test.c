/* What is kept aside: quarantine, the trash, notes of conflicts, and that none of it is lost from
 * sight. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/wait.h>

#include "tests/archive/world.h"

static void a_quarantined_file_is_verified_by_its_digest(void **state)
{
    struct world *world = *state;
    struct object object = OBJECT;

    world_send(world, &object);
    object.shade = 8;
    assert_int_equal(world_send(world, &object), 0xC010);
    assert_int_equal(world_faults(world), 0);
    /* The last byte of its pixels, at the same size. */
    world_shell(world, "f=$(find quarantine -type f) && printf x | dd of=\"$f\" bs=1 "
                       "seek=$(($(stat -c %%s \"$f\") - 1)) conv=notrunc 2>/dev/null");
    assert_int_equal(world_faults(world), 1);
    assert_string_equal(world_text(world, 0, "fault"), "digest");
    assert_string_equal(world_text(world, 0, "SOPInstanceUID"), object.sop);
}

/* Two versions in the trash; meanwhile something lies where the one that was not served belongs. */
static void a_version_whose_place_is_taken_stays_listed_in_the_trash(void **state)
{
    struct world *world = *state;
    struct object object = OBJECT;
    struct vt_index_entry entry;
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    int64_t id = 0;
    bool found = false;

    world_send(world, &object);
    OK(vt_index_lookup(vt_archive_index(world->archive), object.sop, &entry, &found, &err));
    object.description = "changed";
    world_send(world, &object);
    OK(vt_admin_study_delete(&world->admin, object.study, "", &id, &instances, &err));
    world_shell(world, "mkdir -p $(dirname '%s') && echo other >'%s'", entry.file, entry.file);

    OK(vt_admin_study_restore(&world->admin, id, NULL, &instances, &err));
    assert_int_equal(instances, 1);
    world_forget_rows(world);
    OK(vt_admin_trash_list(&world->admin, &err));
    assert_int_equal(world_rows(world), 1);
    assert_int_equal(world_number(world, 0, "instances"), 1);
    assert_int_equal(count_files(world->folder, "trash"), 1);
    assert_false(vt_admin_study_restore(&world->admin, id, NULL, &instances, &err));
    assert_int_equal(err.code, VT_E_EXISTS);

    vt_err_clear(&err);
    world_shell(world, "rm '%s'", entry.file);
    OK(vt_admin_study_restore(&world->admin, id, NULL, &instances, &err));
    world_forget_rows(world);
    OK(vt_admin_trash_list(&world->admin, &err));
    assert_int_equal(world_rows(world), 0);
    assert_int_equal(count_files(world->folder, "trash"), 0);
    assert_int_equal(world_faults(world), 0);
}

static void end_when_the_index_has_it(const char *name)
{
    if (strcmp(name, "index-committed") == 0)
        _exit(9);
}

/* The study is there under another patient; the crash comes right after the rows are. */
static void a_conflict_is_noted_though_the_crash_comes_right_after_its_row(void **state)
{
    struct world *world = *state;
    struct object object = OBJECT;
    struct vt_err err = { 0 };
    int status;

    world_send(world, &object);
    world_close(world);
    pid_t child = fork();
    if (child == 0) {
        world_open(world);
        vt_archive_point = end_when_the_index_has_it;
        object.sop = "1.2.3.1.1.2";
        object.patient = "P2";
        world_send(world, &object);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 9);
    world_open(world);
    assert_int_equal(world_instances(world), 2);
    OK(vt_admin_conflict_list(&world->admin, &err));
    assert_int_equal(world_rows(world), 1);
    assert_string_equal(world_text(world, 0, "PatientID"), "P2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_quarantined_file_is_verified_by_its_digest),
        WORLD_TEST(a_version_whose_place_is_taken_stays_listed_in_the_trash),
        WORLD_TEST(a_conflict_is_noted_though_the_crash_comes_right_after_its_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
