#include "cmd/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "tests/support/torture.h"

enum { WORDS = 16 };

/* The words up to NULL, as argv. */
static bool parse(struct vt_options *out, struct vt_err *err, const char *const words[])
{
    char *argv[WORDS + 1];
    int argc = 0;

    for (; words[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    argv[argc] = NULL;
    setenv("VITRINE_CONF", "", 1);
    return vt_options_parse(out, argc, argv, err);
}
#define PARSE(out, err, ...) parse(out, err, (const char *const[]){ "vitrine", __VA_ARGS__, NULL })

static void global_options_are_read_wherever_they_stand(void **state)
{
    (void)state;
    struct vt_options options;
    struct vt_err err = { 0 };

    assert_true(PARSE(&options, &err, "--json", "echo", "-o", "dicom.port=99", "PEER", "-v"));
    assert_true(options.json && options.verbose);
    assert_int_equal(options.word_count, 2);
    assert_string_equal(options.words[0], "echo");
    assert_string_equal(options.words[1], "PEER");
    assert_string_equal(vt_conf_text(options.conf, "dicom", NULL, "port", ""), "99");
    vt_options_fini(&options);
}

static void a_folder_behind_o_stays_a_word(void **state)
{
    (void)state;
    struct vt_options options;
    struct vt_err err = { 0 };

    assert_true(PARSE(&options, &err, "get", "-o", "out/a.b=c", "-oother", "-oa.b=1"));
    assert_int_equal(options.word_count, 5);
    assert_string_equal(options.words[1], "-o");
    assert_string_equal(options.words[2], "out/a.b=c");
    assert_string_equal(options.words[4], "other");
    assert_string_equal(vt_conf_text(options.conf, "a", NULL, "b", ""), "1");
    vt_options_fini(&options);
}

static void an_override_names_section_and_key(void **state)
{
    (void)state;
    assert_true(vt_options_is_override("archive.path=/data"));
    assert_true(vt_options_is_override("peer.CT1.host=10.0.0.7"));
    assert_true(vt_options_is_override("peer.NAME.WITH.DOTS.port=1"));
    assert_true(vt_options_is_override("index.extra_tags="));
    assert_false(vt_options_is_override("out"));
    assert_false(vt_options_is_override("PatientID=1"));
    assert_false(vt_options_is_override("./a.b=c"));
    assert_false(vt_options_is_override(".a=c"));
    assert_false(vt_options_is_override("a.=c"));
}

static void an_override_wins_over_the_file_even_when_it_comes_first(void **state)
{
    (void)state;
    char path[] = "/tmp/vitrine-options-XXXXXX";
    struct vt_options options;
    struct vt_err err = { 0 };
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    dprintf(fd, "[dicom]\nport = 1\n[archive]\npath = /file\n");
    close(fd);
    assert_true(PARSE(&options, &err, "-o", "dicom.port=2", "-c", path, "status"));
    assert_string_equal(vt_conf_text(options.conf, "dicom", NULL, "port", ""), "2");
    assert_string_equal(vt_conf_text(options.conf, "archive", NULL, "path", ""), "/file");
    assert_string_equal(options.conf_path, path);
    vt_options_fini(&options);
    unlink(path);
}

static void what_follows_two_dashes_is_a_word(void **state)
{
    (void)state;
    struct vt_options options;
    struct vt_err err = { 0 };

    assert_true(PARSE(&options, &err, "send", "PEER", "--", "--json", "-v"));
    assert_false(options.json || options.verbose);
    assert_int_equal(options.word_count, 4);
    assert_int_equal(options.plain_from, 2);
    vt_options_fini(&options);
}

static void a_missing_value_and_a_missing_file_are_told(void **state)
{
    (void)state;
    struct vt_options options;
    struct vt_err err = { 0 };

    assert_false(PARSE(&options, &err, "echo", "-c"));
    assert_int_equal(err.code, VT_E_INVALID);
    vt_options_fini(&options);
    vt_err_clear(&err);
    assert_false(PARSE(&options, &err, "echo", "-c", "/nowhere/vitrine.conf"));
    assert_int_equal(err.code, VT_E_NOTFOUND);
    vt_options_fini(&options);
}

static void the_archive_section_fills_the_options(void **state)
{
    (void)state;
    struct vt_options options;
    struct vt_archive_conf conf;
    struct vt_err err = { 0 };

    assert_true(PARSE(&options, &err, "-o", "archive.path=/data", "-o",
                      "archive.durability=relaxed", "-o", "archive.changed_pixels=last_wins", "-o",
                      "archive.trash_retention=2d"));
    assert_true(vt_archive_conf_read(options.conf, &conf, &err));
    assert_string_equal(conf.options.path, "/data");
    assert_true(conf.options.relaxed);
    assert_int_equal(conf.options.changed_pixels, VT_POLICY_LAST_WINS);
    assert_int_equal(conf.options.changed_attributes, VT_POLICY_DEFAULT);
    assert_int_equal(conf.options.trash_retention, 172800 * VT_NS_PER_S);
    vt_options_fini(&options);
}

static void a_wrong_value_names_its_key(void **state)
{
    (void)state;
    struct vt_options options;
    struct vt_archive_conf conf;
    struct vt_err err = { 0 };

    assert_true(PARSE(&options, &err, "-o", "archive.durability=perhaps"));
    assert_false(vt_archive_conf_read(options.conf, &conf, &err));
    assert_non_null(strstr(err.text, "archive.durability"));
    assert_non_null(strstr(err.text, "relaxed"));
    vt_options_fini(&options);
}

static void an_ae_title_that_is_none_is_refused(void **state)
{
    (void)state;
    struct vt_options options;
    char title[VT_AE_TITLE_MAX + 1];
    struct vt_err err = { 0 };

    assert_true(PARSE(&options, &err, "-o", "dicom.ae_title=SEVENTEEN-LETTERS"));
    assert_false(vt_ae_title_conf_read(options.conf, title, &err));
    vt_options_fini(&options);
    vt_err_clear(&err);
    assert_true(PARSE(&options, &err, "status"));
    assert_true(vt_ae_title_conf_read(options.conf, title, &err));
    assert_string_equal(title, "VITRINE");
    vt_options_fini(&options);
}

static bool parse_some(void *context, struct vt_err *err)
{
    struct vt_options options;
    bool fine = PARSE(&options, err, "find", "-o", "dicom.port=1", "PEER", "-o", "archive.path=/x");

    (void)context;
    vt_options_fini(&options);
    return fine;
}

static void parsing_survives_every_failed_allocation(void **state)
{
    (void)state;
    assert_true(vt_torture(parse_some, NULL) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(global_options_are_read_wherever_they_stand),
        cmocka_unit_test(a_folder_behind_o_stays_a_word),
        cmocka_unit_test(an_override_names_section_and_key),
        cmocka_unit_test(an_override_wins_over_the_file_even_when_it_comes_first),
        cmocka_unit_test(what_follows_two_dashes_is_a_word),
        cmocka_unit_test(a_missing_value_and_a_missing_file_are_told),
        cmocka_unit_test(the_archive_section_fills_the_options),
        cmocka_unit_test(a_wrong_value_names_its_key),
        cmocka_unit_test(an_ae_title_that_is_none_is_refused),
        cmocka_unit_test(parsing_survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
