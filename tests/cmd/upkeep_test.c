/* The node's chores: when they run, how they end, and the trash. */
#include "cmd/upkeep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "archive/admin.h"
#include "core/clock.h"
#include "tests/archive/objects.h"
#include "tests/support/torture.h"

struct tally {
    atomic_uint often, seldom, waiting;
};

static void count_often(void *context, const atomic_bool *stopping)
{
    struct tally *tally = context;

    (void)stopping;
    atomic_fetch_add(&tally->often, 1);
}

static void count_seldom(void *context, const atomic_bool *stopping)
{
    struct tally *tally = context;

    (void)stopping;
    atomic_fetch_add(&tally->seldom, 1);
}

static void wait_for_the_end(void *context, const atomic_bool *stopping)
{
    struct tally *tally = context;

    atomic_store(&tally->waiting, 1);
    while (!atomic_load(stopping))
        vt_clock_sleep(VT_NS_PER_MS);
}

static bool becomes(atomic_uint *counter, unsigned least)
{
    int64_t until = vt_clock_mono() + 10 * VT_NS_PER_S;

    while (atomic_load(counter) < least && vt_clock_mono() < until)
        vt_clock_sleep(VT_NS_PER_MS);
    return atomic_load(counter) >= least;
}

static void each_chore_runs_in_its_own_time(void **state)
{
    (void)state;
    static const struct vt_chore chores[] = {
        { 0, VT_NS_PER_MS, count_often },
        { 3600 * VT_NS_PER_S, 3600 * VT_NS_PER_S, count_seldom },
    };
    struct tally tally = { 0 };
    struct vt_err err = { 0 };
    struct vt_upkeep *upkeep = vt_upkeep_start(chores, 2, &tally, &err);

    assert_non_null(upkeep);
    assert_true(becomes(&tally.often, 5));
    int64_t begun = vt_clock_mono();
    vt_upkeep_stop(upkeep);
    assert_true(vt_clock_mono() - begun < 30 * VT_NS_PER_S);
    assert_int_equal(tally.seldom, 0);
}

static void a_chore_that_runs_is_told_to_end(void **state)
{
    (void)state;
    static const struct vt_chore chore = { 0, 0, wait_for_the_end };
    struct tally tally = { 0 };
    struct vt_err err = { 0 };
    struct vt_upkeep *upkeep = vt_upkeep_start(&chore, 1, &tally, &err);

    assert_true(becomes(&tally.waiting, 1));
    int64_t begun = vt_clock_mono();
    vt_upkeep_stop(upkeep);
    assert_true(vt_clock_mono() - begun < 30 * VT_NS_PER_S);
}

static void too_many_chores_are_refused(void **state)
{
    (void)state;
    static const struct vt_chore chores[VT_CHORES_MAX + 1];
    struct vt_err err = { 0 };

    assert_null(vt_upkeep_start(chores, VT_CHORES_MAX + 1, NULL, &err));
    assert_int_equal(err.code, VT_E_INVALID);
}

/* ---- the trash ---- */

static struct vt_archive *open_archive(const char *folder, int64_t retention)
{
    struct vt_archive_options options = { .path = folder,
                                          .journal_segment = 1 << 20,
                                          .warn_free = 1,
                                          .stop_free = 1,
                                          .trash_retention = retention };
    struct vt_err err = { 0 };
    struct vt_archive *archive = vt_archive_open(&options, &err);

    if (!archive)
        fail_msg("%s", err.text);
    return archive;
}

static void store_and_delete(struct vt_archive *archive, const char *study, unsigned instances)
{
    struct vt_admin admin = { .archive = archive, .who = "test" };
    struct object object = OBJECT;
    struct vt_receive_result result;
    struct vt_err err = { 0 };
    char series[64], sop[80];
    int64_t id = 0;
    uint64_t moved = 0;
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, &err);

    snprintf(series, sizeof series, "%s.1", study);
    object.study = study;
    object.series = series;
    object.sop = sop;
    for (unsigned i = 0; i < instances; i++) {
        snprintf(sop, sizeof sop, "%s.%u", series, i + 1);
        assert_true(object_send(receive, &object, &result, &err));
    }
    assert_true(vt_admin_study_delete(&admin, study, "test", &id, &moved, &err));
    assert_int_equal(moved, instances);
}

static void what_is_past_retention_is_removed_and_the_rest_stays(void **state)
{
    (void)state;
    static const atomic_bool stopping = false;
    const char *folder = folder_new();
    struct vt_archive *archive = open_archive(folder, 1);

    store_and_delete(archive, "1.2.3.1", 600);
    vt_archive_free(archive);
    archive = open_archive(folder, 3600 * VT_NS_PER_S);
    store_and_delete(archive, "1.2.3.2", 3);
    assert_int_equal(count_files(folder, "trash"), 603);
    vt_upkeep_purge_trash(archive, &stopping);
    assert_int_equal(count_files(folder, "trash"), 3);
    vt_upkeep_purge_trash(archive, &stopping);
    assert_int_equal(count_files(folder, "trash"), 3);
    vt_archive_free(archive);
    folder_remove(folder);
}

static void a_purge_that_is_stopped_goes_on_the_next_time(void **state)
{
    (void)state;
    atomic_bool stopping = true;
    const char *folder = folder_new();
    struct vt_archive *archive = open_archive(folder, 1);

    store_and_delete(archive, "1.2.3.1", 600);
    vt_upkeep_purge_trash(archive, &stopping);
    size_t left = count_files(folder, "trash");
    assert_in_range(left, 1, 599);
    atomic_store(&stopping, false);
    vt_upkeep_purge_trash(archive, &stopping);
    assert_int_equal(count_files(folder, "trash"), 0);
    vt_archive_free(archive);
    folder_remove(folder);
}

static bool start_once(void *context, struct vt_err *err)
{
    static const struct vt_chore chore = { 3600 * VT_NS_PER_S, 0, count_seldom };
    struct vt_upkeep *upkeep = vt_upkeep_start(&chore, 1, context, err);

    vt_upkeep_stop(upkeep);
    return upkeep != NULL;
}

static void a_failing_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    struct tally tally = { 0 };

    assert_true(vt_torture(start_once, &tally) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_chore_runs_in_its_own_time),
        cmocka_unit_test(a_chore_that_runs_is_told_to_end),
        cmocka_unit_test(too_many_chores_are_refused),
        cmocka_unit_test(what_is_past_retention_is_removed_and_the_rest_stays),
        cmocka_unit_test(a_purge_that_is_stopped_goes_on_the_next_time),
        cmocka_unit_test(a_failing_allocation_leaves_nothing_behind),
    };

    return cmocka_run_group_tests_name("upkeep", tests, NULL, NULL);
}
