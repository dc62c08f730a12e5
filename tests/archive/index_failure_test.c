/* The index refuses what the journal has taken already: it must not have happened, now and after a
 * crash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "archive/admin.h"
#include "archive/inside.h"
#include "core/clock.h"
#include "tests/archive/objects.h"

static struct vt_index_driver failing; /* SQLite's, but for what a test replaces */
static atomic_int commits_to_fail;
static const char *refused_sop;

static bool fail_commit(struct vt_index *index, uint64_t sequence, struct vt_err *err)
{
    if (atomic_load(&commits_to_fail) > 0) {
        atomic_fetch_sub(&commits_to_fail, 1);
        return vt_fail(err, VT_E_BUSY, "index.db is locked");
    }
    return vt_index_sqlite.commit(index, sequence, err);
}

static bool refuse_put(struct vt_index *index, const struct vt_instance *instance,
                       unsigned *out_flags, struct vt_err *err)
{
    if (refused_sop && strcmp(instance->sop_uid, refused_sop) == 0)
        return vt_fail(err, VT_E_INVALID, "refused by the test");
    return vt_index_sqlite.put(index, instance, out_flags, err);
}

static struct vt_archive *open_failing(const char *path)
{
    struct vt_archive *archive = archive_at(path);

    assert_non_null(archive);
    failing = vt_index_sqlite;
    failing.commit = fail_commit;
    failing.put = refuse_put;
    *(const struct vt_index_driver **)vt_archive_index(archive) = &failing;
    return archive;
}

static bool send(struct vt_archive *archive, const char *sop, size_t pixels, struct vt_err *err)
{
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, err);
    struct vt_receive_result result;
    struct object object = OBJECT;

    object.sop = sop;
    object.pixels = pixels;
    return receive && object_send(receive, &object, &result, err);
}

static uint64_t instances_of(struct vt_archive *archive)
{
    struct vt_index_counts counts;
    struct vt_err err = { 0 };

    assert_true(vt_index_counts(vt_archive_index(archive), &counts, &err));
    return counts.instances;
}

static void a_transaction_that_fails_answers_a703_and_leaves_nothing(void **state)
{
    static const size_t sizes[] = { 500, 200000 };
    struct vt_archive *archive = open_failing(*state);

    for (size_t i = 0; i < VT_COUNT(sizes); i++) {
        struct vt_err err = { 0 };
        atomic_store(&commits_to_fail, 1);
        assert_false(send(archive, "1.2.3.1.1.1", sizes[i], &err));
        assert_int_equal(err.dimse_status, 0xA703);
        assert_int_equal(count_files(*state, "objects"), 0);
        assert_int_equal(count_files(*state, "staging"), 0);
        assert_int_equal(instances_of(archive), 0);
    }
    struct vt_err err = { 0 };
    assert_true(send(archive, "1.2.3.1.1.1", 500, &err));
    assert_int_equal(instances_of(archive), 1);
    vt_archive_free(archive);
}

/* In the child: one that fails, one that is stored, one under the UID of the first; then the end,
 * without any clean-up. */
static void fail_store_and_crash(const char *path)
{
    struct vt_archive *archive = open_failing(path);
    struct vt_err err = { 0 };

    atomic_store(&commits_to_fail, 1);
    bool ok = !send(archive, "1.2.3.1.1.1", 500, &err);
    vt_err_clear(&err);
    atomic_store(&commits_to_fail, 1);
    ok = ok && !send(archive, "1.2.3.1.1.2", 200000, &err);
    vt_err_clear(&err);
    ok =
        ok && send(archive, "1.2.3.1.1.3", 500, &err) && send(archive, "1.2.3.1.1.2", 300000, &err);
    _exit(ok ? 9 : 1);
}

static void what_failed_does_not_come_back_with_replay(void **state)
{
    struct vt_index_entry entry;
    struct vt_err err = { 0 };
    bool found = false;
    int status;

    pid_t child = fork();
    if (child == 0)
        fail_store_and_crash(*state);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 9);
    struct vt_archive *archive = archive_at(*state);
    assert_int_equal(instances_of(archive), 2);
    assert_int_equal(count_files(*state, "objects"), 2);
    assert_true(vt_index_lookup(vt_archive_index(archive), "1.2.3.1.1.2", &entry, &found, &err) &&
                found);
    assert_true(entry.file_size > 300000);
    vt_archive_free(archive);
}

static bool send_described(struct vt_archive *archive, const char *description, struct vt_err *err)
{
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, err);
    struct vt_receive_result result;
    struct object object = OBJECT;

    object.description = description;
    return receive && object_send(receive, &object, &result, err);
}

/* In the child: the first place is taken by one that fails, then by one that is stored; the second
 * by a version that fails, then by one that is stored; a third version is served in the end. */
static void fail_versions_and_crash(const char *path)
{
    static const char *const words[] = { "first", "second", "third" };
    struct vt_archive *archive = open_failing(path);
    bool ok = true;

    for (size_t i = 0; ok && i < VT_COUNT(words); i++) {
        struct vt_err err = { 0 };
        char failed[32];
        snprintf(failed, sizeof failed, "%s, in vain", words[i]);
        atomic_store(&commits_to_fail, 1);
        ok = !send_described(archive, failed, &err);
        vt_err_clear(&err);
        ok = ok && send_described(archive, words[i], &err);
    }
    _exit(ok ? 9 : 1);
}

static void what_failed_does_not_take_the_versions_along_that_came_to_its_place(void **state)
{
    uint64_t checked = 0, faults = 0;
    struct vt_err err = { 0 };
    int status;

    pid_t child = fork();
    if (child == 0)
        fail_versions_and_crash(*state);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 9);
    struct vt_archive *archive = archive_at(*state);
    struct vt_admin admin = { .archive = archive, .who = "test" };
    assert_int_equal(count_files(*state, "objects"), 3);
    assert_true(vt_admin_verify(&admin, NULL, false, &checked, &faults, &err));
    assert_int_equal(faults, 0);
    assert_int_equal(checked, 3);
    vt_archive_free(archive);
}

struct sender {
    pthread_t thread;
    struct vt_archive *archive;
    unsigned number, stored;
};

static void *send_some(void *context)
{
    struct sender *sender = context;

    for (unsigned i = 0; i < 20; i++) {
        struct vt_err err = { 0 };
        char sop[65];
        snprintf(sop, sizeof sop, "1.2.3.1.1.%u", sender->number);
        if (sender->number > 1)
            snprintf(sop, sizeof sop, "1.2.3.1.1.%u.%u", sender->number, i + 1);
        sender->stored += send(sender->archive, sop, 500, &err);
    }
    return NULL;
}

static void one_that_is_refused_takes_nobody_of_its_group_along(void **state)
{
    struct vt_archive *archive = open_failing(*state);
    struct sender senders[8];

    refused_sop = "1.2.3.1.1.1";
    for (unsigned i = 0; i < VT_COUNT(senders); i++) {
        senders[i] = (struct sender){ .archive = archive, .number = i + 1 };
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_some, &senders[i]), 0);
    }
    for (unsigned i = 0; i < VT_COUNT(senders); i++) {
        pthread_join(senders[i].thread, NULL);
        assert_int_equal(senders[i].stored, i == 0 ? 0 : 20);
    }
    refused_sop = NULL;
    assert_int_equal(instances_of(archive), 7 * 20);
    assert_int_equal(count_files(*state, "objects"), 7 * 20);
    vt_archive_free(archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(a_transaction_that_fails_answers_a703_and_leaves_nothing),
        FOLDER_TEST(what_failed_does_not_come_back_with_replay),
        FOLDER_TEST(what_failed_does_not_take_the_versions_along_that_came_to_its_place),
        FOLDER_TEST(one_that_is_refused_takes_nobody_of_its_group_along),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
