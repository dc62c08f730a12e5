/* Crashes: a child process stores and ends itself at a named point of the commit, without any
 * clean-up; what it acknowledged before must be there afterwards, once, with nothing left over.
 * (kill -9 and power cuts of the whole node: tests/faults.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <sys/wait.h>

#include "archive/admin.h"
#include "archive/inside.h"
#include "tests/archive/objects.h"

enum { KILL_AT = 5 };

static const char *point;
static int passes;

static void crash(const char *name)
{
    if (strcmp(name, point) == 0 && ++passes == KILL_AT)
        _exit(9);
}

static struct object numbered(unsigned i, char sop[static 65])
{
    struct object object = OBJECT;

    snprintf(sop, 65, "1.2.3.1.1.%u", i + 1);
    object.sop = sop;
    object.pixels = i % 2 ? 100000 : 500;
    return object;
}

/* In the child: stores until it is killed; a byte to the pipe for each success. */
static void ingest(const char *folder, int acknowledged)
{
    struct vt_archive *archive = archive_at(folder);
    struct vt_err err = { 0 };
    struct vt_receive *receive = vt_receive_new(archive, &err);
    struct vt_receive_result result;
    char sop[65];

    vt_archive_point = crash;
    for (unsigned i = 0; i < 40; i++) {
        struct object object = numbered(i, sop);
        if (!object_send(receive, &object, &result, &err) || result.status != 0 ||
            write(acknowledged, "+", 1) != 1)
            _exit(1);
    }
    _exit(0);
}

static unsigned crash_at(const char *folder, const char *name)
{
    int pipes[2], status;
    unsigned count = 0;
    char byte;

    assert_int_equal(pipe(pipes), 0);
    point = name;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        ingest(folder, pipes[1]);
    close(pipes[1]);
    while (read(pipes[0], &byte, 1) == 1)
        count++;
    close(pipes[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 9)
        fail_msg("at %s the child ended with status %x, not by the crash", name, (unsigned)status);
    return count;
}

static bool see_fault(void *context, json_t *row)
{
    (void)context;
    json_dumpf(row, stderr, 0);
    fputc('\n', stderr);
    return true;
}

static void assert_sound(struct vt_archive *archive, const char *folder, unsigned at_least)
{
    struct vt_admin admin = { .archive = archive, .who = "test", .row = see_fault };
    struct vt_index_entry entry;
    struct vt_index_counts counts;
    uint64_t checked = 0, faults = 0;
    struct vt_err err = { 0 };
    bool found = false;
    char sop[65];

    for (unsigned i = 0; i < at_least; i++) {
        struct object object = numbered(i, sop);
        assert_true(vt_index_lookup(vt_archive_index(archive), object.sop, &entry, &found, &err));
        if (!found)
            fail_msg("%s was acknowledged and is lost", sop);
    }
    assert_true(vt_admin_verify(&admin, NULL, false, &checked, &faults, &err));
    assert_int_equal(faults, 0);
    assert_true(vt_index_counts(vt_archive_index(archive), &counts, &err));
    assert_true(counts.instances >= at_least && counts.instances <= at_least + 1);
    assert_int_equal(count_files(folder, "objects"), counts.instances);
    assert_int_equal(count_files(folder, "staging"), 0);
}

static void what_was_acknowledged_survives_a_crash_at_every_point(void **state)
{
    static const char *const points[] = { "staged",       "journal-appended", "journal-synced",
                                          "files-placed", "index-put",        "index-committed",
                                          "late-file" };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(points); i++) {
        char folder[256];
        snprintf(folder, sizeof folder, "%s", folder_new());
        unsigned count = crash_at(folder, points[i]);
        assert_true(count >= KILL_AT - 1);
        struct vt_archive *archive = archive_at(folder);
        assert_non_null(archive);
        assert_sound(archive, folder, count);
        vt_archive_free(archive);
        archive = archive_at(folder);
        assert_sound(archive, folder, count);
        vt_archive_free(archive);
        folder_remove(folder);
    }
}

/* A power cut may lose what was not synced: renames, small files, index rows. Taken away by hand
 * here. */
static void lose(const char *folder, const char *what)
{
    char command[1024];

    if (strcmp(what, "objects") == 0)
        snprintf(command, sizeof command,
                 "cd '%s' && find objects -size -10k -name '*.dcm' -delete", folder);
    else if (strcmp(what, "content") == 0)
        snprintf(command, sizeof command,
                 "cd '%s' && find objects -size -10k -name '*.dcm' -exec truncate -s 0 {} +",
                 folder);
    else if (strcmp(what, "index") == 0)
        snprintf(command, sizeof command, "cd '%s' && rm -f index.db index.db-wal index.db-shm",
                 folder);
    else
        snprintf(command, sizeof command, "cd '%s' && rm -f index.db-wal index.db-shm", folder);
    assert_int_equal(system(command), 0);
}

static void unsynced_files_and_rows_are_made_again_from_the_journal(void **state)
{
    static const char *const losses[] = { "objects", "content", "index", "index log" };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(losses); i++) {
        char folder[256];
        snprintf(folder, sizeof folder, "%s", folder_new());
        unsigned count = crash_at(folder, "index-committed");
        lose(folder, losses[i]);
        struct vt_archive *archive = archive_at(folder);
        assert_non_null(archive);
        assert_sound(archive, folder, count);
        vt_archive_free(archive);
        folder_remove(folder);
    }
}

/* ---- operations ---- */

static void delete_and_crash(const char *folder, const char *instance)
{
    const struct vt_admin_part part = { "1.2.3.1", instance ? OBJECT.series : NULL, instance };
    struct vt_archive *archive = archive_at(folder);
    struct vt_admin admin = { .archive = archive, .who = "test" };
    struct vt_err err = { 0 };
    uint64_t instances;
    int64_t id;

    passes = KILL_AT - 1;
    vt_archive_point = crash;
    vt_admin_part_delete(&admin, &part, "test", &id, &instances, &err);
    _exit(1);
}

static void store_twenty(const char *folder)
{
    struct vt_archive *archive = archive_at(folder);
    struct vt_err err = { 0 };
    struct vt_receive *receive = vt_receive_new(archive, &err);
    struct vt_receive_result result;
    char sop[65];

    for (unsigned i = 0; i < 20; i++) {
        struct object object = numbered(i, sop);
        assert_true(object_send(receive, &object, &result, &err));
    }
    vt_receive_free(receive);
    vt_archive_free(archive);
}

static void a_deletion_happens_wholly_or_not_at_all(void **state)
{
    static const struct {
        const char *point;
        unsigned left;
        bool one; /* an instance only */
    } cases[] = { { "planned", 20, false }, { "decided", 0, false }, { "move", 0, false }, { "moved", 0, false },
                  { "planned", 20, true },  { "decided", 19, true }, { "move", 19, true }, { "moved", 19, true } };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(cases); i++) {
        char folder[256], sop[65];
        int status;
        snprintf(folder, sizeof folder, "%s", folder_new());
        store_twenty(folder);
        numbered(7, sop);
        point = cases[i].point;
        pid_t child = fork();
        if (child == 0)
            delete_and_crash(folder, cases[i].one ? sop : NULL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WEXITSTATUS(status), 9);
        struct vt_archive *archive = archive_at(folder);
        assert_non_null(archive);
        assert_int_equal(count_files(folder, "objects"), cases[i].left);
        assert_int_equal(count_files(folder, "trash"), 20 - cases[i].left);
        struct vt_index_counts counts;
        struct vt_err err = { 0 };
        assert_true(vt_index_counts(vt_archive_index(archive), &counts, &err));
        assert_int_equal(counts.instances, cases[i].left);
        vt_archive_free(archive);
        folder_remove(folder);
    }
}

/* ---- the index ---- */

static void a_lost_index_is_named_and_can_be_rebuilt_at_the_start(void **state)
{
    struct vt_archive_options options = {
        .path = *state, .journal_segment = 1 << 20, .warn_free = 1, .stop_free = 1
    };
    struct vt_err err = { 0 };

    store_twenty(*state);
    lose(*state, "index");
    assert_null(vt_archive_open(&options, &err));
    assert_int_equal(err.code, VT_E_CORRUPT);
    assert_non_null(strstr(err.text, "vitrine reindex"));
    options.rebuild_index = true;
    vt_err_clear(&err);
    struct vt_archive *archive = vt_archive_open(&options, &err);
    assert_non_null(archive);
    assert_sound(archive, *state, 20);
    vt_archive_free(archive);
}

/* The journal holds the last arrivals only: they must not pass for all there is. */
static void a_lost_index_is_named_when_the_journal_holds_something(void **state)
{
    struct vt_archive_options options = {
        .path = *state, .journal_segment = 1 << 20, .warn_free = 1, .stop_free = 1
    };
    struct vt_err err = { 0 };
    char command[512];

    vt_archive_free(archive_at(*state));
    store_twenty(*state);
    assert_int_equal(crash_at(*state, "journal-synced"), 20 + KILL_AT - 1);
    snprintf(command, sizeof command, "cd '%s' && rm -f index.db*", (const char *)*state);
    assert_int_equal(system(command), 0);
    assert_null(vt_archive_open(&options, &err));
    assert_int_equal(err.code, VT_E_CORRUPT);
    assert_non_null(strstr(err.text, "vitrine reindex"));
    options.rebuild_index = true;
    vt_err_clear(&err);
    struct vt_archive *archive = vt_archive_open(&options, &err);
    assert_non_null(archive);
    vt_archive_free(archive);
}

static bool exists(const char *folder, const char *name)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void reindex_and_crash(const char *folder)
{
    static const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT, .relational = true };
    const char *words[] = { "SOPInstanceUID" };
    struct vt_archive *archive = archive_at(folder);
    struct vt_admin admin = { .archive = archive, .who = "test" };
    struct vt_receive_result result;
    struct vt_err err = { 0 };
    struct vt_row row;
    uint64_t instances;
    bool more;
    char sop[65];

    /* A reader that stays: what comes from now on is in the index's log only. */
    struct vt_query *query = vt_query_from_words(VT_LEVEL_IMAGE, words, 1, &rules, &err);
    struct vt_plan *plan = query ? vt_plan_make(query, &err) : NULL;
    struct vt_cursor *cursor = plan ? vt_index_find(vt_archive_index(archive), plan, &err) : NULL;
    struct vt_receive *receive = vt_receive_new(archive, &err);
    if (!cursor || !vt_cursor_next(cursor, &row, &more, &err))
        _exit(1);
    for (unsigned i = 20; i < 30; i++) {
        struct object object = numbered(i, sop);
        if (!object_send(receive, &object, &result, &err))
            _exit(1);
    }
    vt_archive_point = crash;
    vt_admin_reindex(&admin, &instances, &err);
    _exit(0);
}

static void a_reindex_that_is_cut_short_leaves_an_index_that_lacks_nothing(void **state)
{
    static const struct {
        const char *point;
        int pass;
    } cases[] = { { "reindex-begun", 1 }, { "reindex-walked", 1 }, { "ready", 1 },
                  { "unnamed", 1 },       { "unnamed", 2 },        { "unnamed", 3 },
                  { "renamed", 1 } };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(cases); i++) {
        char folder[256];
        int status;

        snprintf(folder, sizeof folder, "%s", folder_new());
        store_twenty(folder);
        point = cases[i].point;
        passes = KILL_AT - cases[i].pass;
        pid_t child = fork();
        if (child == 0)
            reindex_and_crash(folder);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WEXITSTATUS(status), 9);
        passes = 0;
        struct vt_archive *archive = archive_at(folder);
        assert_non_null(archive);
        assert_sound(archive, folder, 30);
        assert_false(exists(folder, "reindex") || exists(folder, "reindex.ready"));
        vt_archive_free(archive);
        folder_remove(folder);
    }
}

static void a_damaged_index_is_named_and_can_be_rebuilt_at_the_start(void **state)
{
    struct vt_archive_options options = {
        .path = *state, .journal_segment = 1 << 20, .warn_free = 1, .stop_free = 1
    };
    struct vt_err err = { 0 };
    char command[512];

    store_twenty(*state);
    snprintf(command, sizeof command,
             "cd '%s' && dd if=/dev/urandom of=index.db bs=4096 count=2 conv=notrunc 2>/dev/null",
             (const char *)*state);
    assert_int_equal(system(command), 0);
    assert_null(vt_archive_open(&options, &err));
    assert_int_equal(err.code, VT_E_CORRUPT);
    assert_non_null(strstr(err.text, "vitrine reindex"));
    options.rebuild_index = true;
    vt_err_clear(&err);
    struct vt_archive *archive = vt_archive_open(&options, &err);
    assert_non_null(archive);
    assert_sound(archive, *state, 20);
    vt_archive_free(archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(what_was_acknowledged_survives_a_crash_at_every_point),
        FOLDER_TEST(unsynced_files_and_rows_are_made_again_from_the_journal),
        FOLDER_TEST(a_deletion_happens_wholly_or_not_at_all),
        FOLDER_TEST(a_lost_index_is_named_and_can_be_rebuilt_at_the_start),
        FOLDER_TEST(a_lost_index_is_named_when_the_journal_holds_something),
        FOLDER_TEST(a_reindex_that_is_cut_short_leaves_an_index_that_lacks_nothing),
        FOLDER_TEST(a_damaged_index_is_named_and_can_be_rebuilt_at_the_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
