/* Files that are made behind the answer, seen while the thread that makes them is held up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "archive/admin.h"
#include "archive/inside.h"
#include "core/clock.h"
#include "tests/archive/objects.h"

static sem_t gate;
static atomic_bool closed;

static void hold_up(const char *name)
{
    if (atomic_load(&closed) && strcmp(name, "late-file") == 0) {
        sem_wait(&gate);
        sem_post(&gate);
    }
}

/* The folder is made: only in such are files late. */
static struct vt_archive *begin(const char *path)
{
    struct vt_archive *archive = archive_at(path);
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, &err);
    struct vt_receive_result result;
    struct object object = OBJECT;

    object.sop = "1.2.3.1.1.0";
    assert_true(object_pass(receive, &object, &result, &err));
    assert_int_equal(count_files(path, "objects"), 1);
    return archive;
}

static void close_gate(void)
{
    sem_init(&gate, 0, 0);
    atomic_store(&closed, true);
}

static void open_gate(struct vt_archive *archive)
{
    struct vt_err err = { 0 };

    sem_post(&gate);
    assert_true(vt_late_settle(archive, &err));
    atomic_store(&closed, false);
}

static void store(struct vt_archive *archive, unsigned number)
{
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, &err);
    struct vt_receive_result result;
    struct object object = OBJECT;
    char sop[65];

    snprintf(sop, sizeof sop, "1.2.3.1.1.%u", number);
    object.sop = sop;
    if (!object_pass(receive, &object, &result, &err))
        fail_msg("%s", err.text);
    assert_int_equal(result.decision, VT_DECISION_STORED);
}

static struct vt_index_entry row_of(struct vt_archive *archive, unsigned number)
{
    struct vt_index_entry entry;
    struct vt_err err = { 0 };
    bool found = false;
    char sop[65];

    snprintf(sop, sizeof sop, "1.2.3.1.1.%u", number);
    assert_true(vt_index_lookup(vt_archive_index(archive), sop, &entry, &found, &err) && found);
    return entry;
}

static void read_all(struct vt_archive *archive, unsigned number, uint8_t *out, size_t room)
{
    const struct vt_index_entry entry = row_of(archive, number);
    struct vt_stored stored;
    struct vt_err err = { 0 };

    if (!vt_archive_open_instance(archive, &entry, &stored, &err))
        fail_msg("%s", err.text);
    assert_true(entry.file_size <= room);
    assert_int_equal(pread(stored.fd, out, room, 0), entry.file_size);
    vt_stored_close(&stored);
}

static void what_was_answered_is_read_before_its_file_is_there(void **state)
{
    struct vt_archive *archive = begin(*state);
    uint8_t before[4096] = { 0 }, after[4096] = { 0 };

    close_gate();
    store(archive, 1);
    assert_int_equal(count_files(*state, "objects"), 1);
    read_all(archive, 1, before, sizeof before);
    open_gate(archive);
    assert_int_equal(count_files(*state, "objects"), 2);
    read_all(archive, 1, after, sizeof after);
    assert_memory_equal(before, after, sizeof before);
    assert_memory_equal(before + 128, "DICM", 4);
    vt_archive_free(archive);
}

/* The journal has room for all of them: else they would wait for files, as a cut does. */
static void what_finds_no_room_among_the_late_is_made_at_once(void **state)
{
    struct vt_archive_options options = { .path = *state, .warn_free = 1, .stop_free = 1 };
    struct vt_err err = { 0 };
    struct vt_archive *archive = vt_archive_open(&options, &err);

    assert_non_null(archive);
    store(archive, 0);
    close_gate();
    for (unsigned i = 1; i <= VT_LATE_FILES + 3; i++)
        store(archive, i);
    assert_int_equal(count_files(*state, "objects"), 1 + 3);
    open_gate(archive);
    assert_int_equal(count_files(*state, "objects"), 1 + VT_LATE_FILES + 3);
    vt_archive_free(archive);
}

static void a_large_one_is_never_late(void **state)
{
    struct vt_archive *archive = begin(*state);
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, &err);
    struct vt_receive_result result;
    struct object object = OBJECT;

    close_gate();
    object.pixels = 100000;
    assert_true(object_pass(receive, &object, &result, &err));
    assert_int_equal(count_files(*state, "objects"), 2);
    open_gate(archive);
    vt_receive_free(vt_take(&receive));
    vt_archive_free(archive);
}

static void *wait_for_one(void *context)
{
    struct vt_archive *archive = context;
    struct vt_err err = { 0 };
    const struct vt_index_entry entry = row_of(archive, 2);
    bool made = vt_late_wait(archive, entry.file, &err) &&
                faccessat(archive->root, entry.file, F_OK, 0) == 0;

    return made ? context : NULL;
}

static void *be_alone(void *context)
{
    struct vt_archive *archive = context;
    struct vt_err err = { 0 };
    const struct vt_index_entry first = row_of(archive, 1), last = row_of(archive, 3);

    if (!vt_exclusive_begin(archive, &err))
        return NULL;
    bool made = faccessat(archive->root, first.file, F_OK, 0) == 0 &&
                faccessat(archive->root, last.file, F_OK, 0) == 0;
    vt_exclusive_end(archive);
    return made ? context : NULL;
}

static void who_needs_the_files_waits_for_them(void **state)
{
    struct vt_archive *archive = begin(*state);
    pthread_t reader, owner;
    void *waited = NULL, *alone = NULL;

    close_gate();
    for (unsigned i = 1; i <= 3; i++)
        store(archive, i);
    assert_int_equal(pthread_create(&reader, NULL, wait_for_one, archive), 0);
    assert_int_equal(pthread_create(&owner, NULL, be_alone, archive), 0);
    vt_clock_sleep(20 * VT_NS_PER_MS);
    assert_int_equal(count_files(*state, "objects"), 1);
    open_gate(archive);
    pthread_join(reader, &waited);
    pthread_join(owner, &alone);
    assert_ptr_equal(waited, archive);
    assert_ptr_equal(alone, archive);
    vt_archive_free(archive);
}

static void *reindex(void *context)
{
    struct vt_admin admin = { .archive = context, .who = "tester" };
    struct vt_err err = { 0 };
    uint64_t instances = 0;

    return vt_admin_reindex(&admin, &instances, &err) ? context : NULL;
}

static void a_new_index_has_what_was_late_when_it_was_begun(void **state)
{
    struct vt_archive *archive = begin(*state);
    pthread_t administrator;
    void *done = NULL;

    close_gate();
    store(archive, 1);
    store(archive, 2);
    assert_int_equal(pthread_create(&administrator, NULL, reindex, archive), 0);
    vt_clock_sleep(50 * VT_NS_PER_MS);
    open_gate(archive);
    pthread_join(administrator, &done);
    assert_ptr_equal(done, archive);
    row_of(archive, 1);
    row_of(archive, 2);
    vt_archive_free(archive);
}

static void a_folder_that_was_taken_away_is_made_again(void **state)
{
    struct vt_archive *archive = begin(*state);
    char series[512];
    struct vt_err err = { 0 };

    snprintf(series, sizeof series, "%s/objects/2026/01/02/1.2.3.1/1.2.3.1.1", (const char *)*state);
    close_gate();
    store(archive, 1);
    folder_remove(series);
    sem_post(&gate);
    for (unsigned i = 0; i < 3000 && !vt_late_settle(archive, &err); i++) {
        vt_err_clear(&err);
        vt_clock_sleep(VT_NS_PER_MS);
    }
    atomic_store(&closed, false);
    assert_int_equal(err.code, VT_OK);
    assert_int_equal(count_files(*state, "objects"), 1);
    vt_archive_free(archive);
}

static void in_a_folder_that_is_new_nothing_is_late(void **state)
{
    struct vt_archive *archive = archive_at(*state);

    close_gate();
    store(archive, 1);
    assert_int_equal(count_files(*state, "objects"), 1);
    open_gate(archive);
    vt_archive_free(archive);
}

static void a_clean_stop_leaves_no_file_behind(void **state)
{
    struct vt_archive *archive = begin(*state);

    for (unsigned i = 1; i <= 50; i++)
        store(archive, i);
    vt_archive_free(archive);
    assert_int_equal(count_files(*state, "objects"), 51);
}



int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(what_was_answered_is_read_before_its_file_is_there),
        FOLDER_TEST(what_finds_no_room_among_the_late_is_made_at_once),
        FOLDER_TEST(a_large_one_is_never_late),
        FOLDER_TEST(a_new_index_has_what_was_late_when_it_was_begun),
        FOLDER_TEST(a_folder_that_was_taken_away_is_made_again),
        FOLDER_TEST(in_a_folder_that_is_new_nothing_is_late),
        FOLDER_TEST(who_needs_the_files_waits_for_them),
        FOLDER_TEST(a_clean_stop_leaves_no_file_behind),
    };

    vt_archive_point = hold_up;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
