#include "core/db.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"

static char folder[] = "/tmp/vt-db-XXXXXX";
static char path[64];

static const struct vt_db_options writer = { .sync = VT_DB_SYNC_NORMAL, .busy_ms = 100 };

static struct vt_db *opened(void)
{
    struct vt_err err = { 0 };
    struct vt_db *db = vt_db_open(path, &writer, &err);

    if (!db)
        fail_msg("%s", err.text);
    return db;
}

static const struct vt_db_migration steps[] = {
    { "CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT, bytes BLOB)" },
    { "ALTER TABLE a ADD COLUMN more INTEGER" },
};

static void migrations_run_once_and_in_order(void **state)
{
    (void)state;
    VT_AUTO(vt_db) db = opened();
    struct vt_err err = { 0 };

    assert_true(vt_db_migrate(db, steps, 1, &err));
    assert_true(vt_db_migrate(db, steps, 2, &err));
    assert_true(vt_db_migrate(db, steps, 2, &err));
    assert_true(vt_db_exec(db, "INSERT INTO a (name, more) VALUES ('x', 1)", &err));
}

static void a_newer_schema_is_refused_with_the_remedy(void **state)
{
    (void)state;
    VT_AUTO(vt_db) db = opened();
    struct vt_err err = { 0 };

    assert_false(vt_db_migrate(db, steps, 1, &err));
    assert_int_equal(err.code, VT_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "start the newer program"));
}

static void a_failing_step_leaves_the_version_as_it_was(void **state)
{
    (void)state;
    static const struct vt_db_migration broken[] = { { "" }, { "" }, { "CREATE TABLE b (x); CREATE NONSENSE" } };
    VT_AUTO(vt_db) db = opened();
    struct vt_err err = { 0 };

    assert_false(vt_db_migrate(db, broken, 3, &err));
    vt_err_clear(&err);
    assert_false(vt_db_exec(db, "INSERT INTO b VALUES (1)", &err));
    vt_err_clear(&err);
    assert_true(vt_db_migrate(db, steps, 2, &err));
}

static void what_is_bound_comes_back(void **state)
{
    (void)state;
    VT_AUTO(vt_db) db = opened();
    struct vt_err err = { 0 };
    bool row = false;
    struct sqlite3_stmt *put = vt_db_prepare(db, "INSERT INTO a VALUES (?, ?, ?, ?)", &err);
    struct sqlite3_stmt *get = vt_db_prepare(db, "SELECT name, bytes, more FROM a WHERE id = ?", &err);

    assert_true(vt_stmt_bind(db, put, &err, "iTbn", (int64_t)77, "name+", (size_t)4, "\0\1", (size_t)2));
    assert_true(vt_stmt_run(db, put, &err));
    assert_true(vt_stmt_bind(db, get, &err, "i", (int64_t)77));
    assert_true(vt_stmt_step(db, get, &row, &err));
    assert_true(row);
    assert_string_equal((const char *)sqlite3_column_text(get, 0), "name");
    assert_int_equal(sqlite3_column_bytes(get, 1), 2);
    assert_int_equal(sqlite3_column_type(get, 2), SQLITE_NULL);
    assert_true(vt_stmt_step(db, get, &row, &err));
    assert_false(row);
    assert_true(vt_stmt_bind(db, put, &err, "iTbn", (int64_t)77, "again", (size_t)5, "", (size_t)0));
    assert_false(vt_stmt_run(db, put, &err));
    assert_int_equal(err.code, VT_E_EXISTS);
    vt_stmt_free(put);
    vt_stmt_free(get);
}

static void a_file_that_is_no_database_is_corrupt(void **state)
{
    (void)state;
    char other[80];
    struct vt_err err = { 0 };

    snprintf(other, sizeof other, "%s/other.db", folder);
    FILE *file = fopen(other, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is no database ", file);
    fclose(file);
    assert_null(vt_db_open(other, &writer, &err));
    assert_int_equal(err.code, VT_E_CORRUPT);
    unlink(other);
}

static void a_writer_that_waits_too_long_is_busy(void **state)
{
    (void)state;
    VT_AUTO(vt_db) one = opened();
    VT_AUTO(vt_db) two = opened();
    struct vt_err err = { 0 };

    assert_true(vt_db_exec(one, "BEGIN IMMEDIATE", &err));
    assert_false(vt_db_exec(two, "BEGIN IMMEDIATE", &err));
    assert_int_equal(err.code, VT_E_BUSY);
    assert_true(vt_db_exec(one, "ROLLBACK", &(struct vt_err){ 0 }));
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/test.db", folder);
    return 0;
}

static int remove_folder(void **state)
{
    static const char *const names[] = { "test.db", "test.db-wal", "test.db-shm" };
    char name[80];

    (void)state;
    for (size_t i = 0; i < VT_COUNT(names); i++) {
        snprintf(name, sizeof name, "%s/%s", folder, names[i]);
        unlink(name);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(migrations_run_once_and_in_order),
        cmocka_unit_test(a_newer_schema_is_refused_with_the_remedy),
        cmocka_unit_test(a_failing_step_leaves_the_version_as_it_was),
        cmocka_unit_test(what_is_bound_comes_back),
        cmocka_unit_test(a_file_that_is_no_database_is_corrupt),
        cmocka_unit_test(a_writer_that_waits_too_long_is_busy),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
