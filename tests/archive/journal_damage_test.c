/* Segments that were damaged on the disk between two starts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/archive/journals.h"
#include "tests/support/torture.h"

static void spoil(const char *folder, const char *name, off_t at, size_t size)
{
    char path[300], bytes[5000];

    assert_true(size <= sizeof bytes);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDWR);
    memset(bytes, 0xa5, size);
    assert_int_equal(pwrite(fd, bytes, size, at), (ssize_t)size);
    close(fd);
}

static const struct vt_journal_damage *only_damage(const struct vt_journal *journal)
{
    const struct vt_journal_damage *damage;

    assert_int_equal(vt_journal_damages(journal, &damage), 1);
    return damage;
}

static bool is_there(const char *folder, const char *name)
{
    char path[300];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static bool see_whether_doubtful(void *context, const struct vt_journal_entry *entry,
                                 struct vt_err *err)
{
    bool *doubtful = context;

    (void)err;
    *doubtful = *doubtful || entry->doubtful;
    return true;
}

/* Three records in segment 0, none in the other. */
static void make_three(const char *folder)
{
    struct vt_err err = { 0 };
    struct vt_journal *journal = open_at(folder);

    assert_true(vt_journal_prepare(journal, &err));
    add(journal, "one", 0);
    add(journal, "two", 5000);
    add(journal, "three", 0);
    assert_true(vt_journal_sync(journal, &err));
    vt_journal_free(journal);
}

static void records_behind_a_damaged_header_are_replayed_and_a_copy_is_kept(void **state)
{
    /* The checksum; the generation; all of the block. */
    static const struct {
        off_t at;
        size_t size;
    } wounds[] = { { 40, 4 }, { 8, 8 }, { 0, 4096 } };

    for (size_t i = 0; i < VT_COUNT(wounds); i++) {
        char folder[256];
        struct vt_err err = { 0 };
        bool doubtful = false;
        snprintf(folder, sizeof folder, "%s/%zu", (const char *)*state, i);
        make_three(folder);
        spoil(folder, "0", wounds[i].at, wounds[i].size);
        struct vt_journal *journal = open_at(folder);
        struct seen seen = replay(journal, 0);
        assert_int_equal(seen.count, 3);
        assert_string_equal(seen.body, "three");
        assert_true(vt_journal_replay(journal, 0, see_whether_doubtful, &doubtful, &err));
        assert_true(doubtful);
        assert_int_equal(only_damage(journal)->records, 3);
        assert_string_equal(only_damage(journal)->copy, "0.damaged");
        assert_true(is_there(folder, "0.damaged"));
        /* Emptied, it is whole again. */
        assert_true(vt_journal_empty(journal, &err));
        assert_int_equal(add(journal, "four", 0), 4);
        assert_true(vt_journal_sync(journal, &err));
        vt_journal_free(journal);
        journal = open_at(folder);
        const struct vt_journal_damage *none;
        assert_int_equal(vt_journal_damages(journal, &none), 0);
        assert_int_equal(replay(journal, 0).first, 4);
        vt_journal_free(journal);
    }
}

static void a_first_record_damaged_with_the_header_does_not_hide_the_others(void **state)
{
    const char *folder = *state;

    make_three(folder);
    spoil(folder, "0", 0, 4096 + 24);
    struct vt_journal *journal = open_at(folder);
    struct seen seen = replay(journal, 0);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.first, 2);
    assert_int_equal(vt_journal_last(journal), 3);
    vt_journal_free(journal);
}

static void a_damaged_segment_without_records_is_kept_beside_and_used_again(void **state)
{
    const char *folder = *state;
    struct vt_err err = { 0 };

    make_three(folder);
    spoil(folder, "1", 0, 100); /* never used: its header is blank */
    struct vt_journal *journal = open_at(folder);
    assert_int_equal(replay(journal, 0).count, 3);
    assert_int_equal(only_damage(journal)->records, 0);
    assert_true(is_there(folder, "1.damaged"));
    uint64_t last = 3, sequence;
    while ((sequence = add(journal, "r", 100000)) > 0)
        last = sequence;
    assert_true(last > 15 && vt_journal_sync(journal, &err));
    vt_journal_free(journal);
    journal = open_at(folder);
    assert_int_equal(replay(journal, 0).count, last);
    vt_journal_free(journal);
}

/* Its records were released; the other segment is two uses ahead. */
static void what_a_released_segment_still_holds_is_not_replayed(void **state)
{
    const char *folder = *state;
    struct vt_err err = { 0 };
    struct vt_journal *journal = open_at(folder);

    assert_true(vt_journal_prepare(journal, &err));
    while (add(journal, "old", 100000) > 0)
        ;
    assert_true(vt_journal_sync(journal, &err) && vt_journal_empty(journal, &err));
    uint64_t last = vt_journal_last(journal);
    assert_int_equal(add(journal, "new", 0), last + 1); /* segment 1 again */
    assert_true(vt_journal_sync(journal, &err));
    vt_journal_free(journal);
    spoil(folder, "0", 0, 48);
    journal = open_at(folder);
    struct seen seen = replay(journal, 0);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.first, last + 1);
    assert_int_equal(only_damage(journal)->records, 0);
    vt_journal_free(journal);
}

static void a_hole_before_the_next_segment_is_told_and_what_follows_it_is_replayed(void **state)
{
    const char *folder = *state;
    struct vt_err err = { 0 };
    struct vt_journal *journal = open_at(folder);
    uint64_t last = fill_journal(journal);

    assert_true(vt_journal_sync(journal, &err));
    vt_journal_free(journal);
    spoil(folder, "0", 4096 + 150000, 100); /* within the second record */
    journal = open_at(folder);
    assert_int_equal(replay(journal, 0).count, last - 1);
    assert_int_equal(only_damage(journal)->missing, 1);
    assert_true(is_there(folder, "0.damaged"));
    vt_journal_free(journal);
}

/* ---- damaged records ---- */

enum { RECORD_HEAD = 24, BULKY = 5000 };

static const off_t second = 4096 + RECORD_HEAD + 8; /* behind the header and "first" */

/* Four records, in groups: the bits say behind which a sync comes. */
static void make_groups(const char *folder, unsigned syncs)
{
    static const char *const heads[] = { "first", "second", "third", "fourth" };
    struct vt_err err = { 0 };
    struct vt_journal *journal = open_at(folder);

    for (size_t i = 0; i < VT_COUNT(heads); i++) {
        add(journal, heads[i], i == 0 ? 0 : BULKY);
        if (syncs & 1u << i)
            assert_true(vt_journal_sync(journal, &err));
    }
    assert_true(vt_journal_sync(journal, &err));
    vt_journal_free(journal);
}

static bool note_number(void *context, const struct vt_journal_entry *entry, struct vt_err *err)
{
    uint64_t *bits = context;

    (void)err;
    *bits |= UINT64_C(1) << entry->sequence;
    return true;
}

static uint64_t numbers(struct vt_journal *journal, bool broken)
{
    struct vt_err err = { 0 };
    uint64_t bits = 0;

    assert_true(broken ? vt_journal_broken(journal, note_number, &bits, &err)
                       : vt_journal_replay(journal, 0, note_number, &bits, &err));
    return bits;
}

#define NUMBERS_1_3_4 ((uint64_t)0x1a)

static void a_record_damaged_after_its_sync_does_not_hide_those_behind_it(void **state)
{
    /* Its body; its length, so that it leads nowhere; all of its head. */
    static const struct {
        off_t at;
        size_t size;
        bool told; /* which it was can still be read */
    } wounds[] = { { RECORD_HEAD + 3000, 1, true }, { 0, 4, false }, { 0, RECORD_HEAD, false } };

    for (size_t i = 0; i < VT_COUNT(wounds); i++) {
        char folder[256];
        struct vt_err err = { 0 };
        snprintf(folder, sizeof folder, "%s/%zu", (const char *)*state, i);
        make_groups(folder, 3); /* the second is the last of its group, two follow in another */
        spoil(folder, "0", second + wounds[i].at, wounds[i].size);
        struct vt_journal *journal = open_at(folder);
        assert_int_equal(numbers(journal, false), NUMBERS_1_3_4);
        assert_int_equal(only_damage(journal)->records, 3);
        assert_int_equal(only_damage(journal)->missing, 1);
        assert_int_equal(only_damage(journal)->first_missing, 2);
        assert_true(is_there(folder, "0.damaged"));
        assert_int_equal(numbers(journal, true), wounds[i].told ? 1u << 2 : 0);
        assert_int_equal(vt_journal_last(journal), 4);
        /* Emptied, it is whole again. */
        assert_true(vt_journal_empty(journal, &err));
        vt_journal_free(journal);
        journal = open_at(folder);
        const struct vt_journal_damage *none;
        assert_int_equal(vt_journal_damages(journal, &none), 0);
        vt_journal_free(journal);
    }
}

static void the_end_of_a_group_that_was_never_synced_is_torn_quietly(void **state)
{
    const char *folder = *state;
    const struct vt_journal_damage *none;

    make_groups(folder, 1); /* the second to the fourth are one group */
    spoil(folder, "0", second + RECORD_HEAD + 3000, 1);
    struct vt_journal *journal = open_at(folder);
    assert_int_equal(numbers(journal, false), 1u << 1);
    assert_int_equal(vt_journal_damages(journal, &none), 0);
    assert_false(is_there(folder, "0.damaged"));
    vt_journal_free(journal);
}

static void damage_before_a_torn_group_is_told_and_the_torn_record_is_not(void **state)
{
    const char *folder = *state;

    make_groups(folder, 7); /* the fourth is a group of its own */
    spoil(folder, "0", second + RECORD_HEAD + 3000, 1);
    spoil(folder, "0", second + 3 * (off_t)(RECORD_HEAD + BULKY), 8); /* within the fourth */
    struct vt_journal *journal = open_at(folder);
    assert_int_equal(numbers(journal, false), 1u << 1 | 1u << 3);
    assert_int_equal(only_damage(journal)->missing, 1);
    vt_journal_free(journal);
}

static void a_record_within_a_damaged_body_is_not_taken_for_one(void **state)
{
    const char *folder = *state;
    struct vt_err err = { 0 };
    struct vt_journal *journal = open_at(folder);
    char path[300], kept[RECORD_HEAD + 8];

    add(journal, "first", 0);
    add(journal, "second", BULKY);
    assert_true(vt_journal_sync(journal, &err));
    add(journal, "third", 0);
    assert_true(vt_journal_sync(journal, &err));
    vt_journal_free(journal);
    /* Bytes of the third, which fit, stand in the body of the second as well. */
    off_t third = second + RECORD_HEAD + (BULKY + 6 + 7) / 8 * 8;
    snprintf(path, sizeof path, "%s/0", folder);
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, kept, sizeof kept, third), (ssize_t)sizeof kept);
    assert_int_equal(pwrite(fd, kept, sizeof kept, second + 1000), (ssize_t)sizeof kept);
    close(fd);
    journal = open_at(folder);
    assert_int_equal(numbers(journal, false), 1u << 1 | 1u << 3);
    assert_int_equal(numbers(journal, true), 1u << 2);
    vt_journal_free(journal);
}

static void copies_of_damaged_segments_are_never_written_over(void **state)
{
    const char *folder = *state;
    struct vt_err err = { 0 };
    char name[32];

    make_three(folder);
    for (int n = 1; n <= VT_JOURNAL_COPIES_MAX; n++) {
        spoil(folder, "0", 0, 48);
        struct vt_journal *journal = open_at(folder);
        assert_true(vt_journal_empty(journal, &err));
        vt_journal_free(journal);
        snprintf(name, sizeof name, n > 1 ? "0.damaged.%d" : "0.damaged", n);
        assert_true(is_there(folder, name));
    }
    spoil(folder, "0", 0, 48);
    assert_null(vt_journal_open(folder, VT_JOURNAL_SEGMENT_MIN, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    assert_non_null(strstr(err.text, "move them away"));
}

static bool mend(void *context, struct vt_err *err)
{
    const char *folder = context;
    struct seen seen = { 0 };
    char copy[300];

    snprintf(copy, sizeof copy, "%s/0.damaged", folder);
    unlink(copy);
    spoil(folder, "0", 40, 4);
    VT_AUTO(vt_journal) journal = vt_journal_open(folder, VT_JOURNAL_SEGMENT_MIN, err);
    return journal && vt_journal_replay(journal, 0, see, &seen, err);
}

static void mending_survives_every_allocation_that_fails(void **state)
{
    make_three(*state);
    vt_torture(mend, *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(records_behind_a_damaged_header_are_replayed_and_a_copy_is_kept),
        FOLDER_TEST(a_first_record_damaged_with_the_header_does_not_hide_the_others),
        FOLDER_TEST(a_damaged_segment_without_records_is_kept_beside_and_used_again),
        FOLDER_TEST(what_a_released_segment_still_holds_is_not_replayed),
        FOLDER_TEST(a_hole_before_the_next_segment_is_told_and_what_follows_it_is_replayed),
        FOLDER_TEST(a_record_damaged_after_its_sync_does_not_hide_those_behind_it),
        FOLDER_TEST(the_end_of_a_group_that_was_never_synced_is_torn_quietly),
        FOLDER_TEST(damage_before_a_torn_group_is_told_and_the_torn_record_is_not),
        FOLDER_TEST(a_record_within_a_damaged_body_is_not_taken_for_one),
        FOLDER_TEST(copies_of_damaged_segments_are_never_written_over),
        FOLDER_TEST(mending_survives_every_allocation_that_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
