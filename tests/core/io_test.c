#include "core/io.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"

static char folder[] = "/tmp/vt-io-XXXXXX";

static const char *inside(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void a_file_is_replaced_whole(void **state)
{
    (void)state;
    VT_AUTO_BUF(buf, 100);
    struct vt_err err = { 0 };
    struct stat info;

    assert_true(vt_io_write_file(inside("a"), "first", 5, 0600, &err));
    assert_true(vt_io_write_file(inside("a"), "second!", 7, 0600, &err));
    assert_true(vt_io_read_file(inside("a"), &buf, &err));
    assert_int_equal(buf.size, 7);
    assert_memory_equal(buf.data, "second!", 7);
    assert_int_equal(stat(inside("a"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_not_equal(access(inside("a.part"), F_OK), 0);
    unlink(inside("a"));
}

static void a_file_that_ends_early_is_corrupt(void **state)
{
    (void)state;
    struct vt_err err = { 0 };
    char bytes[10];

    assert_true(vt_io_write_file(inside("b"), "12345", 5, 0600, &err));
    vt_autoclose fd = open(inside("b"), O_RDONLY);
    assert_true(vt_io_pread(fd, bytes, 3, 2, "b", &err));
    assert_memory_equal(bytes, "345", 3);
    assert_false(vt_io_pread(fd, bytes, 10, 0, "b", &err));
    assert_int_equal(err.code, VT_E_CORRUPT);
    unlink(inside("b"));
}

static void a_larger_file_than_the_bound_is_not_read(void **state)
{
    (void)state;
    VT_AUTO_BUF(buf, 4);
    struct vt_err err = { 0 };

    assert_true(vt_io_write_file(inside("c"), "12345", 5, 0600, &err));
    assert_false(vt_io_read_file(inside("c"), &buf, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    unlink(inside("c"));
}

static void missing_parents_are_made(void **state)
{
    (void)state;
    struct vt_err err = { 0 };

    assert_true(vt_io_make_folder(inside("x/y/z"), &err));
    assert_true(vt_io_make_folder(inside("x/y/z"), &err));
    rmdir(inside("x/y/z"));
    rmdir(inside("x/y"));
    rmdir(inside("x"));
}

static void folders_to_last_are_made_once_whatever_the_path_ends_with(void **state)
{
    (void)state;
    struct vt_err err = { 0 };

    assert_true(vt_io_make_synced_folder(inside("x/y//"), &err));
    assert_true(vt_io_make_synced_folder(inside("x/y"), &err));
    assert_int_equal(rmdir(inside("x/y")), 0);
    assert_int_equal(rmdir(inside("x")), 0);
    assert_false(vt_io_make_synced_folder("/proc/vitrine", &err));
    assert_non_null(strstr(err.text, "/proc/vitrine"));
}

static void a_second_lock_is_busy_until_the_first_ends(void **state)
{
    (void)state;
    struct vt_err err = { 0 };
    int first = vt_io_lock(inside("lock"), &err);

    assert_true(first >= 0);
    assert_int_equal(vt_io_lock(inside("lock"), &err), -1);
    assert_int_equal(err.code, VT_E_BUSY);
    close(first);
    vt_autoclose again = vt_io_lock(inside("lock"), &err);
    assert_true(again >= 0);
    unlink(inside("lock"));
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_replaced_whole),
        cmocka_unit_test(a_file_that_ends_early_is_corrupt),
        cmocka_unit_test(a_larger_file_than_the_bound_is_not_read),
        cmocka_unit_test(missing_parents_are_made),
        cmocka_unit_test(folders_to_last_are_made_once_whatever_the_path_ends_with),
        cmocka_unit_test(a_second_lock_is_busy_until_the_first_ends),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
