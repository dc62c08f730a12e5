#include "console/users.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <unistd.h>

#include "core/auto.h"
#include "core/db.h"
#include "core/err.h"
#include "tests/archive/world.h"
#include "tests/support/torture.h"

static struct vt_users *users_at(const struct world *world)
{
    char path[300];
    struct vt_err err = { 0 };

    snprintf(path, sizeof path, "%s/state.db", world->folder);
    struct vt_users *users = vt_users_open(path, &err);
    if (!users)
        fail_msg("%s", err.text);
    return users;
}

static void add(struct vt_users *users, const char *name, enum vt_user_role role)
{
    struct vt_err err = { 0 };

    if (!vt_users_add(users, name, role, "correct horse", &err))
        fail_msg("%s", err.text);
}

static void a_user_is_let_in_by_the_right_password_only(void **state)
{
    VT_AUTO(vt_users) users = users_at(*state);
    struct vt_account account = { .role = VT_USER_NOBODY };
    struct vt_err err = { 0 };

    add(users, "ada", VT_USER_OPERATOR);
    assert_true(vt_users_verify(users, "ada", "correct horse", &account, &err));
    assert_int_equal(account.role, VT_USER_OPERATOR);
    static const char *const wrong[][2] = { { "ada", "Correct horse" }, { "ada", "correct hors" }, { "ada", "" }, { "Ada", "correct horse" },
                                            { "nobody", "correct horse" } };
    for (size_t i = 0; i < VT_COUNT(wrong); i++) {
        vt_err_clear(&err);
        assert_false(vt_users_verify(users, wrong[i][0], wrong[i][1], &account, &err));
        assert_int_equal(err.code, VT_E_DENIED);
        assert_string_equal(err.text, "The name or the password is wrong.");
    }
}

static void read_secret(const char *path, char *out, size_t room)
{
    static const struct vt_db_options options = { .read_only = true };
    struct vt_err err = { 0 };
    char name[400];
    bool row = false;

    snprintf(name, sizeof name, "%s/state.db", path);
    VT_AUTO(vt_db) db = vt_db_open(name, &options, &err);
    assert_non_null(db);
    struct sqlite3_stmt *stmt = vt_db_prepare(db, "SELECT secret FROM web_user", &err);
    assert_non_null(stmt);
    assert_true(vt_stmt_step(db, stmt, &row, &err));
    assert_true(row);
    snprintf(out, room, "%s", (const char *)sqlite3_column_text(stmt, 0));
    vt_stmt_free(stmt);
}

static void passwords_are_kept_as_yescrypt_only(void **state)
{
    const struct world *world = *state;
    VT_AUTO(vt_users) users = users_at(world);
    char secret[300];

    add(users, "ada", VT_USER_ADMIN);
    read_secret(world->folder, secret, sizeof secret);
    assert_memory_equal(secret, "$y$", 3);
    assert_null(strstr(secret, "horse"));
}

static void names_and_passwords_have_bounds(void **state)
{
    VT_AUTO(vt_users) users = users_at(*state);
    char longer[VT_PASSWORD_MAX + 2];
    static const char *const names[] = { "", "a b", "a/b", "<script>", "a'b", "\xc3\xa4" };
    struct vt_err err = { 0 };

    for (size_t i = 0; i < VT_COUNT(names); i++) {
        assert_false(vt_users_add(users, names[i], VT_USER_ADMIN, "long enough", &err));
        assert_int_equal(err.code, VT_E_INVALID);
    }
    assert_false(vt_users_add(users, "ada", VT_USER_ADMIN, "seven77", &err));
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_false(vt_users_add(users, "ada", VT_USER_ADMIN, longer, &err));
    add(users, "ada", VT_USER_ADMIN);
    vt_err_clear(&err);
    assert_false(vt_users_add(users, "ada", VT_USER_VIEWER, "long enough", &err));
    assert_int_equal(err.code, VT_E_EXISTS);
}

static void the_last_admin_stays_while_there_are_others(void **state)
{
    VT_AUTO(vt_users) users = users_at(*state);
    struct vt_err err = { 0 };

    add(users, "ada", VT_USER_ADMIN);
    add(users, "vera", VT_USER_VIEWER);
    assert_false(vt_users_remove(users, "ada", &err));
    assert_int_equal(err.code, VT_E_DENIED);
    vt_err_clear(&err);
    assert_true(vt_users_remove(users, "vera", &err));
    assert_true(vt_users_remove(users, "ada", &err));
    assert_false(vt_users_remove(users, "ada", &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
}

static void what_another_connection_changes_counts_at_once(void **state)
{
    VT_AUTO(vt_users) users = users_at(*state);
    VT_AUTO(vt_users) other = users_at(*state);
    struct vt_account account;
    struct vt_err err = { 0 };
    bool any = true, there = true;

    assert_true(vt_users_any(users, &any, &err));
    assert_false(any);
    assert_true(vt_users_look(users, "ada", &account, &there, &err));
    assert_false(there);
    add(other, "ada", VT_USER_VIEWER);
    assert_true(vt_users_any(users, &any, &err));
    assert_true(any);
    for (int i = 0; i < 2; i++) {
        assert_true(vt_users_look(users, "ada", &account, &there, &err));
        assert_true(there && account.role == VT_USER_VIEWER);
    }
    assert_true(vt_users_remove(other, "ada", &err));
    assert_true(vt_users_look(users, "ada", &account, &there, &err));
    assert_false(there);
    add(other, "ada", VT_USER_OPERATOR);
    assert_true(vt_users_look(users, "ada", &account, &there, &err));
    assert_int_equal(account.role, VT_USER_OPERATOR);
}

static void another_password_gives_another_stamp_and_another_role_does_not(void **state)
{
    VT_AUTO(vt_users) users = users_at(*state);
    struct vt_account before, after;
    struct vt_err err = { 0 };
    bool there;

    add(users, "ada", VT_USER_ADMIN);
    add(users, "otto", VT_USER_OPERATOR);
    assert_true(vt_users_verify(users, "otto", "correct horse", &before, &err));
    assert_true(vt_users_change(users, "otto", VT_USER_VIEWER, NULL, &err));
    assert_true(vt_users_look(users, "otto", &after, &there, &err));
    assert_true(there && after.role == VT_USER_VIEWER && after.stamp == before.stamp);
    assert_true(vt_users_change(users, "otto", VT_USER_NOBODY, "battery staple", &err));
    assert_true(vt_users_look(users, "otto", &after, &there, &err));
    assert_true(after.role == VT_USER_VIEWER && after.stamp != before.stamp);
    assert_false(vt_users_verify(users, "otto", "correct horse", &after, &err));
    vt_err_clear(&err);
    assert_true(vt_users_verify(users, "otto", "battery staple", &after, &err));
    assert_true(vt_users_remove(users, "otto", &err));
    add(users, "otto", VT_USER_VIEWER);
    assert_true(vt_users_look(users, "otto", &after, &there, &err));
    assert_true(there && after.stamp != before.stamp);
}

static void the_last_admin_keeps_the_role_but_may_have_another_password(void **state)
{
    static const struct {
        const char *name, *password;
        enum vt_user_role role;
        enum vt_code code;
    } rows[] = {
        { "ada", NULL, VT_USER_VIEWER, VT_E_DENIED },     { "ada", "short", VT_USER_NOBODY, VT_E_INVALID },
        { "ada", "battery staple", VT_USER_NOBODY, VT_OK }, { "ada", NULL, VT_USER_ADMIN, VT_OK },
        { "nobody", NULL, VT_USER_ADMIN, VT_E_NOTFOUND },
    };
    VT_AUTO(vt_users) users = users_at(*state);

    add(users, "ada", VT_USER_ADMIN);
    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        struct vt_err err = { 0 };
        assert_int_equal(vt_users_change(users, rows[i].name, rows[i].role, rows[i].password, &err), rows[i].code == VT_OK);
        assert_int_equal(err.code, rows[i].code);
    }
}

static bool look_and_list(void *context, struct vt_err *err)
{
    const struct world *world = context;
    char path[300];
    struct vt_account account;
    bool any, there;

    snprintf(path, sizeof path, "%s/state.db", world->folder);
    VT_AUTO(vt_users) users = vt_users_open(path, err);
    return users && vt_users_any(users, &any, err) && vt_users_look(users, "ada", &account, &there, err) && there &&
           vt_users_verify(users, "ada", "correct horse", &account, err);
}

static void every_failed_allocation_is_told_without_a_leak(void **state)
{
    VT_AUTO(vt_users) users = users_at(*state);

    add(users, "ada", VT_USER_ADMIN);
    vt_torture(look_and_list, *state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_user_is_let_in_by_the_right_password_only, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(passwords_are_kept_as_yescrypt_only, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(names_and_passwords_have_bounds, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(the_last_admin_stays_while_there_are_others, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(what_another_connection_changes_counts_at_once, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(another_password_gives_another_stamp_and_another_role_does_not, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(the_last_admin_keeps_the_role_but_may_have_another_password, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(every_failed_allocation_is_told_without_a_leak, world_set_up, world_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
