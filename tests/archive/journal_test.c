#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/archive/journals.h"
#include "tests/support/torture.h"

static void what_was_synced_is_replayed_in_order_after_a_crash(void **state)
{
    const char *folder = *state;
    struct vt_err err = { 0 };
    struct vt_journal *journal = open_at(folder);

    assert_int_equal(add(journal, "one", 0), 1);
    assert_int_equal(add(journal, "two", 100), 2);
    assert_int_equal(add(journal, "three", 0), 3);
    assert_true(vt_journal_sync(journal, &err));
    vt_journal_free(journal);

    journal = open_at(folder);
    struct seen seen = replay(journal, 0);
    assert_int_equal(seen.count, 3);
    assert_string_equal(seen.body, "three");
    seen = replay(journal, 2);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.first, 3);
    assert_int_equal(vt_journal_last(journal), 3);
    vt_journal_free(journal);
}

static void an_emptied_journal_replays_nothing_and_counts_on(void **state)
{
    const char *folder = *state;
    struct vt_err err = { 0 };
    struct vt_journal *journal = open_at(folder);

    add(journal, "one", 0);
    add(journal, "two", 0);
    assert_true(vt_journal_sync(journal, &err) && vt_journal_empty(journal, &err));
    vt_journal_free(journal);
    journal = open_at(folder);
    assert_int_equal(replay(journal, 0).count, 0);
    assert_true(vt_journal_is_empty(journal));
    assert_int_equal(add(journal, "three", 0), 3);
    assert_true(vt_journal_sync(journal, &err));
    vt_journal_free(journal);
    journal = open_at(folder);
    assert_int_equal(replay(journal, 0).first, 3);
    vt_journal_free(journal);
}

static void both_segments_full_wants_a_release_and_reuses_the_older(void **state)
{
    const char *folder = *state;
    struct vt_err err = { 0 };
    struct vt_journal *journal = open_at(folder);
    uint64_t last = fill_journal(journal);

    uint64_t older = vt_journal_to_release(journal);
    assert_true(older > 0 && older < last);
    assert_true(vt_journal_sync(journal, &err) && vt_journal_release(journal, &err));
    assert_int_equal(vt_journal_to_release(journal), 0);
    assert_int_equal(add(journal, "next", 0), last + 1);
    assert_true(vt_journal_sync(journal, &err));
    vt_journal_free(journal);

    journal = open_at(folder);
    struct seen seen = replay(journal, 0);
    assert_int_equal(seen.first, older + 1);
    assert_int_equal(seen.last, last + 1);
    vt_journal_free(journal);
}

static void an_abort_still_fits_when_nothing_else_does(void **state)
{
    struct vt_err err = { 0 };
    struct vt_journal *journal = open_at(*state);
    uint64_t sequence = 0, aborted = 1;

    assert_true(vt_journal_prepare(journal, &err));
    while (add(journal, "r", 50000) > 0)
        ;
    while (add(journal, "r", 0) > 0)
        ;
    assert_true(vt_journal_append(journal, VT_RECORD_ABORT, &aborted, sizeof aborted, NULL, 0,
                                  &sequence, &err));
    vt_journal_free(journal);
}

static void replay_stops_at_a_record_that_was_torn(void **state)
{
    const char *folder = *state;
    struct vt_err err = { 0 };
    struct vt_journal *journal = open_at(folder);
    char path[300];

    add(journal, "one", 0);
    add(journal, "two", 5000);
    add(journal, "three", 0);
    assert_true(vt_journal_sync(journal, &err));
    vt_journal_free(journal);
    snprintf(path, sizeof path, "%s/0", folder);
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "x", 1, 4096 + 1000), 1); /* within the second */
    close(fd);

    journal = open_at(folder);
    assert_int_equal(replay(journal, 0).count, 1);
    assert_int_equal(vt_journal_last(journal), 1);
    vt_journal_free(journal);
}

static void a_record_larger_than_a_segment_is_refused(void **state)
{
    struct vt_err err = { 0 };
    struct vt_journal *journal = open_at(*state);
    char *large = calloc(1, 2 << 20);
    uint64_t sequence = 0;

    assert_false(
        vt_journal_append(journal, VT_RECORD_STORE, large, 2 << 20, NULL, 0, &sequence, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    free(large);
    vt_journal_free(journal);
}

static bool work(void *context, struct vt_err *err)
{
    VT_AUTO(vt_journal) journal = vt_journal_open(context, VT_JOURNAL_SEGMENT_MIN, err);
    struct seen seen = { 0 };
    uint64_t sequence = 0;

    return journal && vt_journal_replay(journal, 0, see, &seen, err) &&
           vt_journal_append(journal, VT_RECORD_STORE, "head", 4, "tail", 4, &sequence, err) &&
           vt_journal_sync(journal, err) && vt_journal_empty(journal, err);
}

static void every_allocation_may_fail(void **state)
{
    vt_torture(work, *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(what_was_synced_is_replayed_in_order_after_a_crash),
        FOLDER_TEST(an_emptied_journal_replays_nothing_and_counts_on),
        FOLDER_TEST(both_segments_full_wants_a_release_and_reuses_the_older),
        FOLDER_TEST(an_abort_still_fits_when_nothing_else_does),
        FOLDER_TEST(replay_stops_at_a_record_that_was_torn),
        FOLDER_TEST(a_record_larger_than_a_segment_is_refused),
        FOLDER_TEST(every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
