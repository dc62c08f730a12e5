#include "core/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "tests/support/torture.h"

static char path[] = "/tmp/vt-conf-XXXXXX";

static void write_conf(const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static struct vt_conf *loaded(const char *text)
{
    struct vt_conf *conf = vt_conf_new();
    struct vt_err err = { 0 };

    write_conf(text);
    if (!vt_conf_load(conf, path, &err))
        fail_msg("%s", err.text);
    return conf;
}

static void a_named_section_is_found_by_its_name(void **state)
{
    (void)state;
    VT_AUTO(vt_conf) conf = loaded("[peer \"CT1\"]\nhost = 10.0.0.7\n[peer \"MR 2\"]\nhost = mr\n");

    assert_string_equal(vt_conf_text(conf, "peer", "CT1", "host", NULL), "10.0.0.7");
    assert_string_equal(vt_conf_text(conf, "peer", "MR 2", "host", NULL), "mr");
    assert_string_equal(vt_conf_name(conf, "peer", 0), "CT1");
    assert_string_equal(vt_conf_name(conf, "peer", 1), "MR 2");
    assert_null(vt_conf_name(conf, "peer", 2));
}

static void an_override_wins_and_may_make_a_section(void **state)
{
    (void)state;
    VT_AUTO(vt_conf) conf = loaded("[dicom]\nport = 104\n");
    struct vt_err err = { 0 };
    int64_t port = 0;

    assert_true(vt_conf_override(conf, "dicom.port=11112", &err));
    assert_true(vt_conf_override(conf, "peer.WS.1.host=a=b", &err));
    assert_true(vt_conf_int(conf, "dicom", NULL, "port", 1, 65535, 0, &port, &err));
    assert_int_equal(port, 11112);
    assert_string_equal(vt_conf_text(conf, "peer", "WS.1", "host", NULL), "a=b");
}

static void an_override_without_section_or_key_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = { "port=1", "dicom.=1", ".port=1", "dicom.port", "" };
    VT_AUTO(vt_conf) conf = vt_conf_new();

    for (size_t i = 0; i < VT_COUNT(wrong); i++) {
        struct vt_err err = { 0 };
        assert_false(vt_conf_override(conf, wrong[i], &err));
        assert_int_equal(err.code, VT_E_INVALID);
    }
}

static void a_value_out_of_bounds_names_where_it_stands(void **state)
{
    (void)state;
    VT_AUTO(vt_conf) conf = loaded("[dicom]\nport = 70000\n");
    struct vt_err err = { 0 };
    int64_t port = 7;

    assert_false(vt_conf_int(conf, "dicom", NULL, "port", 1, 65535, 0, &port, &err));
    assert_int_equal(port, 7);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "dicom.port = 70000 is not a number from 1 to 65535"));
}

static void sizes_and_times_have_units(void **state)
{
    (void)state;
    VT_AUTO(vt_conf) conf = loaded("[a]\nsize = 64M\nhuge = 99999999999T\nshort = 500ms\nbare = 30\nday = 7d\n");
    struct vt_err err = { 0 };
    uint64_t size = 0;
    int64_t ns = 0;

    assert_true(vt_conf_size(conf, "a", NULL, "size", 0, UINT64_MAX, 0, &size, &err));
    assert_int_equal(size, 64 << 20);
    assert_false(vt_conf_size(conf, "a", NULL, "huge", 0, UINT64_MAX, 0, &size, &err));
    assert_true(vt_conf_duration(conf, "a", NULL, "short", 0, INT64_MAX, 0, &ns, &err));
    assert_int_equal(ns, 500 * VT_NS_PER_MS);
    assert_true(vt_conf_duration(conf, "a", NULL, "bare", 0, INT64_MAX, 0, &ns, &err));
    assert_int_equal(ns, 30 * VT_NS_PER_S);
    assert_true(vt_conf_duration(conf, "a", NULL, "day", 0, INT64_MAX, 0, &ns, &err));
    assert_int_equal(ns, 7 * 86400 * VT_NS_PER_S);
}

static void a_key_that_nobody_asked_for_is_told(void **state)
{
    (void)state;
    VT_AUTO(vt_conf) conf = loaded("[dicom]\nport = 104\nprot = 105\n");
    char text[256];

    assert_non_null(vt_conf_text(conf, "dicom", NULL, "port", NULL));
    assert_true(vt_conf_unread(conf, 0, text, sizeof text));
    assert_non_null(strstr(text, "dicom.prot"));
    assert_false(vt_conf_unread(conf, 1, text, sizeof text));
}

static void a_broken_line_is_told_with_its_number(void **state)
{
    (void)state;
    VT_AUTO(vt_conf) conf = vt_conf_new();
    struct vt_err err = { 0 };
    char expected[64];

    write_conf("[dicom]\nport = 104\nthis is nothing\n");
    assert_false(vt_conf_load(conf, path, &err));
    snprintf(expected, sizeof expected, "%s:3:", path);
    assert_non_null(strstr(err.text, expected));
}

static void yes_no_and_choices_refuse_other_words(void **state)
{
    (void)state;
    static const char *const words[] = { "commit", "relaxed", NULL };
    VT_AUTO(vt_conf) conf = loaded("[a]\nyes = On\nodd = perhaps\nmode = relaxed\n");
    struct vt_err err = { 0 };
    bool flag = false;
    size_t mode = 0;

    assert_true(vt_conf_bool(conf, "a", NULL, "yes", false, &flag, &err));
    assert_true(flag);
    assert_false(vt_conf_bool(conf, "a", NULL, "odd", false, &flag, &err));
    assert_true(vt_conf_choice(conf, "a", NULL, "mode", words, 0, &mode, &err));
    assert_int_equal(mode, 1);
    assert_false(vt_conf_choice(conf, "a", NULL, "odd", words, 0, &mode, &err));
    assert_non_null(strstr(err.text, "one of commit, relaxed"));
}

static bool set_two(void *context, struct vt_err *err)
{
    (void)context;
    VT_AUTO(vt_conf) conf = vt_conf_new();

    if (!conf)
        return vt_fail(err, VT_E_NOMEM, "no memory");
    return vt_conf_set(conf, "a", NULL, "b", "c", err) && vt_conf_override(conf, "a.n.b=1", err) &&
           vt_conf_set(conf, "a", NULL, "b", "d", err);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_true(vt_torture(set_two, NULL) >= 10);
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_named_section_is_found_by_its_name),
        cmocka_unit_test(an_override_wins_and_may_make_a_section),
        cmocka_unit_test(an_override_without_section_or_key_is_refused),
        cmocka_unit_test(a_value_out_of_bounds_names_where_it_stands),
        cmocka_unit_test(sizes_and_times_have_units),
        cmocka_unit_test(a_key_that_nobody_asked_for_is_told),
        cmocka_unit_test(a_broken_line_is_told_with_its_number),
        cmocka_unit_test(yes_no_and_choices_refuse_other_words),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
