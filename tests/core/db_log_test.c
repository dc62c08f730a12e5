#include "core/db_log.h"

#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/db.h"
#include "core/err.h"

static char folder[] = "/tmp/vt-db-log-XXXXXX";
static char path[64];

static const struct vt_db_options gathering = { .sync = VT_DB_SYNC_NORMAL, .gather_log = true },
                                  plain = { .sync = VT_DB_SYNC_NORMAL },
                                  reading = { .read_only = true },
                                  small_cache = { .sync = VT_DB_SYNC_NORMAL, .gather_log = true, .cache_kib = 16 };

static struct vt_db *opened(const struct vt_db_options *options)
{
    struct vt_err err = { 0 };
    struct vt_db *db = vt_db_open(path, options, &err);

    if (!db)
        fail_msg("%s", err.text);
    return db;
}

static void run(struct vt_db *db, const char *sql)
{
    struct vt_err err = { 0 };

    if (!vt_db_exec(db, sql, &err))
        fail_msg("%s: %s", sql, err.text);
}

static int64_t number(struct vt_db *db, const char *sql)
{
    struct vt_err err = { 0 };
    struct sqlite3_stmt *stmt = vt_db_prepare(db, sql, &err);
    bool row = false;

    assert_non_null(stmt);
    assert_true(vt_stmt_step(db, stmt, &row, &err));
    assert_true(row);
    int64_t value = sqlite3_column_int64(stmt, 0);
    vt_stmt_free(stmt);
    return value;
}

static bool is_sound(struct vt_db *db)
{
    return number(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'") == 1;
}

/* Rows of 3,000 bytes: each is a page of its own. */
#define ROWS(count)                                                                                \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " #count ")"         \
    " INSERT INTO t (bytes) SELECT randomblob(3000) FROM n"

/* write(2) and its kin that this process has called. */
static int64_t writes(void)
{
    FILE *file = fopen("/proc/self/io", "r");
    char line[128];
    long long count = -1;

    assert_non_null(file);
    while (fgets(line, sizeof line, file))
        sscanf(line, "syscw: %lld", &count);
    fclose(file);
    assert_true(count >= 0);
    return count;
}

static int64_t writes_of_a_transaction(const struct vt_db_options *options)
{
    VT_AUTO(vt_db) db = opened(options);

    run(db, ROWS(1)); /* the log's own header is there now */
    int64_t before = writes();
    run(db, ROWS(20));
    return writes() - before;
}

static void a_transaction_is_one_write(void **state)
{
    (void)state;
    assert_true(writes_of_a_transaction(&plain) >= 40);
    assert_in_range(writes_of_a_transaction(&gathering), 1, 2);
}

static void readers_see_each_commit_at_once(void **state)
{
    (void)state;
    VT_AUTO(vt_db) db = opened(&gathering);
    VT_AUTO(vt_db) reader = opened(&reading);
    int64_t there = number(reader, "SELECT count(*) FROM t");

    for (int i = 1; i <= 50; i++) {
        run(db, ROWS(3));
        assert_int_equal(number(reader, "SELECT count(*) FROM t"), there + 3 * i);
        assert_int_equal(number(reader, "SELECT count(*) FROM t WHERE length(bytes) <> 3000"), 0);
    }
    assert_true(is_sound(reader));
}

/* More than the cache and more than the buffer hold: frames go out before their commit. */
static void large_transactions_commit_and_roll_back(void **state)
{
    (void)state;
    VT_AUTO(vt_db) db = opened(&small_cache);
    VT_AUTO(vt_db) reader = opened(&reading);
    int64_t there = number(reader, "SELECT count(*) FROM t");

    run(db, "BEGIN; " ROWS(500));
    assert_int_equal(number(db, "SELECT count(*) FROM t WHERE length(bytes) = 3000"), there + 500);
    assert_int_equal(number(reader, "SELECT count(*) FROM t"), there);
    run(db, "ROLLBACK");
    run(db, ROWS(2));
    assert_int_equal(number(reader, "SELECT count(*) FROM t"), there + 2);
    run(db, "BEGIN; " ROWS(500) "; UPDATE t SET bytes = randomblob(2999); COMMIT");
    assert_int_equal(number(reader, "SELECT count(*) FROM t WHERE length(bytes) = 2999"), there + 502);
    run(db, "UPDATE t SET bytes = randomblob(3000)");
    assert_true(is_sound(reader));
}

static void checkpoints_take_all_and_the_log_begins_anew(void **state)
{
    (void)state;
    VT_AUTO(vt_db) db = opened(&gathering);
    VT_AUTO(vt_db) other = opened(&plain);
    VT_AUTO(vt_db) reader = opened(&reading);
    int64_t there = number(reader, "SELECT count(*) FROM t");

    for (int i = 1; i <= 20; i++) {
        run(db, ROWS(5));
        run(i % 2 ? db : other, "PRAGMA wal_checkpoint(TRUNCATE)");
        assert_int_equal(number(reader, "SELECT count(*) FROM t"), there + 5 * i);
    }
    assert_true(is_sound(reader));
}

/* What was committed is there when the process ends without a word, and nothing else. */
static void a_killed_writer_loses_no_commit(void **state)
{
    (void)state;
    VT_AUTO(vt_db) reader = opened(&reading);
    int64_t there = number(reader, "SELECT count(*) FROM t");
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct vt_db *db = vt_db_open(path, &small_cache, &(struct vt_err){ 0 });
        for (int i = 0; db && i < 10; i++)
            if (!vt_db_exec(db, ROWS(4), &(struct vt_err){ 0 }))
                _exit(2);
        if (!db || !vt_db_exec(db, "BEGIN; " ROWS(300), &(struct vt_err){ 0 }))
            _exit(2);
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    VT_AUTO(vt_db) db = opened(&gathering);
    assert_int_equal(number(db, "SELECT count(*) FROM t"), there + 40);
    assert_true(is_sound(db));
}

static void a_write_that_fails_fails_its_commit(void **state)
{
    (void)state;
    VT_AUTO(vt_db) db = opened(&gathering);
    int64_t there = number(db, "SELECT count(*) FROM t");
    struct rlimit before;
    struct vt_err err = { 0 };

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 64 << 10, before.rlim_max }), 0);
    bool done = vt_db_exec(db, ROWS(40), &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_false(done);
    assert_int_equal(number(db, "SELECT count(*) FROM t"), there);
    run(db, ROWS(1));
    VT_AUTO(vt_db) reader = opened(&reading);
    assert_int_equal(number(reader, "SELECT count(*) FROM t"), there + 1);
    assert_true(is_sound(reader));
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/test.db", folder);
    VT_AUTO(vt_db) db = opened(&plain);
    run(db, "CREATE TABLE t (id INTEGER PRIMARY KEY, bytes BLOB)");
    return 0;
}

static int remove_folder(void **state)
{
    static const char *const names[] = { "test.db", "test.db-wal", "test.db-shm" };
    char name[80];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        unlink(name);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transaction_is_one_write),
        cmocka_unit_test(readers_see_each_commit_at_once),
        cmocka_unit_test(large_transactions_commit_and_roll_back),
        cmocka_unit_test(checkpoints_take_all_and_the_log_begins_anew),
        cmocka_unit_test(a_killed_writer_loses_no_commit),
        cmocka_unit_test(a_write_that_fails_fails_its_commit),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
