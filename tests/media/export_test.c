/* Exports out of a small archive: several media, names, what is left when an allocation fails. */
#include "media/export.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "tests/archive/world.h"
#include "tests/support/torture.h"

enum { PATH_ROOM = 400, INSTANCES = 3, LARGE = 700 << 10 };

static const char *const words[] = { "PatientID=P1" };

static bool on_row(void *context, json_t *row)
{
    (void)context, (void)row;
    return true;
}

static struct vt_export_call call_of(const struct world *world, const char *output)
{
    return (struct vt_export_call){ .archive = world->archive, .words = words, .word_count = 1, .output = output, .row = on_row };
}

static void take_three(struct world *world)
{
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(world->archive, &err);
    char sop[32];

    for (int i = 0; i < INSTANCES; i++) {
        struct vt_receive_result result;
        struct object object = OBJECT;
        snprintf(sop, sizeof sop, "1.2.3.1.1.%d", i + 1);
        object.sop = sop;
        object.pixels = LARGE;
        object.shade = (uint8_t)i;
        OK(object_send(receive, &object, &result, &err));
        assert_int_equal(result.decision, VT_DECISION_STORED);
    }
}

static bool there(const char *path)
{
    return access(path, F_OK) == 0;
}

static void what_does_not_fit_goes_on_further_media_with_numbers(void **state)
{
    struct world *world = *state;
    char output[PATH_ROOM], name[PATH_ROOM];
    struct vt_export_result result;
    struct vt_err err = { 0 };

    take_three(world);
    snprintf(output, sizeof output, "%s/out.zip", world->folder);
    struct vt_export_call call = call_of(world, output);
    call.capacity = 2 << 20;
    OK(vt_export(&call, &result, &err));
    assert_int_equal(result.instances, INSTANCES);
    assert_int_equal(result.media, 2);
    assert_false(there(output));
    for (size_t i = 0; i < 2; i++) {
        OK(vt_export_name(&call, i, 2, name, sizeof name, &err));
        assert_true(there(name));
    }
}

static void a_run_that_was_stopped_before_the_names_is_finished_by_the_next(void **state)
{
    struct world *world = *state;
    char output[PATH_ROOM], name[PATH_ROOM], left[PATH_ROOM];
    struct vt_export_result result;
    struct vt_err err = { 0 };

    take_three(world);
    snprintf(output, sizeof output, "%s/out.zip", world->folder);
    struct vt_export_call call = call_of(world, output);
    call.capacity = 2 << 20;
    OK(vt_export(&call, &result, &err));
    /* As if it had been killed between the two. */
    OK(vt_export_name(&call, 1, 2, name, sizeof name, &err));
    snprintf(left, sizeof left, "%s/.out-2.zip.partial", world->folder);
    assert_int_equal(rename(name, left), 0);
    OK(vt_export_publish(&call, 2, &err));
    assert_true(there(name));
    assert_false(there(left));
    assert_false(vt_export_publish(&call, 3, &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
}

static bool stop_at_once(void *context, uint64_t done, uint64_t total, const char *unit)
{
    (void)context, (void)done, (void)total, (void)unit;
    return false;
}

static void a_stopped_one_leaves_nothing(void **state)
{
    struct world *world = *state;
    char output[PATH_ROOM];
    struct vt_export_result result;

    take_three(world);
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = { "out", "out.iso", "out.zip" };
        struct vt_err err = { 0 };
        snprintf(output, sizeof output, "%s/%s", world->folder, names[i]);
        struct vt_export_call call = call_of(world, output);
        call.progress = stop_at_once;
        assert_false(vt_export(&call, &result, &err));
        assert_int_equal(err.code, VT_E_CANCELLED);
        assert_false(there(output));
        snprintf(output, sizeof output, "%s/.%s.partial", world->folder, names[i]);
        assert_false(there(output));
    }
}

static void what_a_call_cannot_be_is_told_before_it_begins(void **state)
{
    struct world *world = *state;
    char output[PATH_ROOM];
    struct vt_export_call list[6];

    snprintf(output, sizeof output, "%s/out", world->folder);
    for (size_t i = 0; i < VT_COUNT(list); i++)
        list[i] = call_of(world, output);
    list[0].output = "relative";
    list[1].profile = "STD-NONE";
    list[2].capacity = 5;
    list[3].patient_id = "T1";
    list[4].deidentify = "advanced";
    list[5].output = world->folder;
    for (size_t i = 0; i < VT_COUNT(list); i++) {
        struct vt_err err = { 0 };
        assert_false(vt_export_check(&list[i], &err));
        assert_int_equal(err.code, i == 5 ? VT_E_EXISTS : VT_E_INVALID);
    }
}

struct tortured {
    struct world *world;
    const char *deidentify, *viewer;
};

static bool work(void *context, struct vt_err *err)
{
    const struct tortured *tortured = context;
    char output[PATH_ROOM];
    struct vt_export_result result;

    snprintf(output, sizeof output, "%s/tortured.zip", tortured->world->folder);
    struct vt_export_call call = call_of(tortured->world, output);
    call.deidentify = tortured->deidentify;
    call.icons = true;
    call.viewer = tortured->viewer;
    bool ok = vt_export(&call, &result, err);
    /* An instance may be told as failed for want of memory: then the rest goes. */
    unlink(output);
    return ok;
}

static void each_allocation_may_fail(void **state)
{
    struct tortured tortured = { *state, NULL, NULL };
    char viewer[PATH_ROOM];

    take_three(*state);
    vt_torture(work, &tortured);
    tortured.deidentify = "basic,clean-descriptors";
    world_shell(*state, "mkdir viewer && echo picture > viewer/VIEW.EXE");
    snprintf(viewer, sizeof viewer, "%s/viewer", tortured.world->folder);
    tortured.viewer = viewer;
    vt_torture(work, &tortured);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(what_does_not_fit_goes_on_further_media_with_numbers),
        WORLD_TEST(a_run_that_was_stopped_before_the_names_is_finished_by_the_next),
        WORLD_TEST(a_stopped_one_leaves_nothing),
        WORLD_TEST(what_a_call_cannot_be_is_told_before_it_begins),
        WORLD_TEST(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
