/* The table of commands and the table of archive verbs, and how words are read with them. */
#include "cmd/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cmd/admin_verbs.h"
#include "cmd/samples.h"
#include "core/err.h"

struct reading {
    struct vt_options options;
    struct vt_cli cli;
    struct vt_err err;
    bool fine;
};

static struct reading read_words(const char *const words[])
{
    struct reading reading = { 0 };
    char *argv[17];
    int argc = 0;

    for (; words[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    argv[argc] = NULL;
    setenv("VITRINE_CONF", "", 1);
    assert_true(vt_options_parse(&reading.options, argc, argv, &reading.err));
    reading.fine = vt_cli_read(&reading.cli, &reading.options, &reading.err);
    return reading;
}
#define READ(...) read_words((const char *const[]){ "vitrine", __VA_ARGS__, NULL })

static void done(struct reading *reading)
{
    free(reading->cli.args);
    vt_options_fini(&reading->options);
}

static void options_of_a_command_are_read_in_every_spelling(void **state)
{
    (void)state;
    struct reading a = READ("find", "PEER", "--level", "series", "PatientID=1", "--limit=5");
    assert_true(a.fine);
    assert_string_equal(a.cli.command->words[0], "find");
    assert_int_equal(a.cli.arg_count, 2);
    assert_string_equal(a.cli.values[0], "series");
    done(&a);

    struct reading b = READ("get", "PEER", "-o", "folder", "PatientID=1");
    assert_true(b.fine);
    assert_int_equal(b.cli.arg_count, 2);
    assert_string_equal(b.cli.values[0], "folder");
    done(&b);
}

static void an_unknown_verb_is_wrong_usage_and_says_so(void **state)
{
    (void)state;
    struct reading a = READ("paint", "list");
    assert_false(a.fine);
    assert_int_equal(a.err.code, VT_E_INVALID);
    assert_non_null(strstr(a.err.text, "unknown command 'paint'"));
    done(&a);

    struct reading b = READ("study", "paint");
    assert_false(b.fine);
    assert_non_null(strstr(b.err.text, "restore"));
    done(&b);

    struct reading c = READ("study");
    assert_false(c.fine);
    assert_non_null(strstr(c.err.text, "one more word"));
    done(&c);
}

static void unknown_options_and_missing_words_are_wrong_usage(void **state)
{
    (void)state;
    struct reading a = READ("echo", "PEER", "--fast");
    assert_false(a.fine);
    assert_non_null(strstr(a.err.text, "--fast"));
    done(&a);

    struct reading b = READ("echo");
    assert_false(b.fine);
    assert_non_null(strstr(b.err.text, "usage: vitrine echo PEER"));
    done(&b);

    struct reading c = READ("find", "PEER", "--level");
    assert_false(c.fine);
    done(&c);

    struct reading d = READ("status", "-o", "nonsense");
    assert_false(d.fine);
    assert_non_null(strstr(d.err.text, "section.key=value"));
    done(&d);
}

static void words_behind_two_dashes_are_no_options(void **state)
{
    (void)state;
    struct reading a = READ("send", "PEER", "--", "--odd-name.dcm");
    assert_true(a.fine);
    assert_string_equal(a.cli.args[1], "--odd-name.dcm");
    done(&a);
}

static void every_archive_verb_has_a_command_that_takes_as_many_words(void **state)
{
    (void)state;
    const struct vt_admin_verb *verb;
    size_t commands = 0, verbs = 0;

    for (const struct vt_cli_command *c = vt_cli_commands; c->words[0]; c++) {
        assert_non_null(c->help);
        assert_non_null(c->arguments);
        assert_non_null(c->run);
        verb = vt_admin_verb_find(c->words, c->words[1] ? 2 : 1);
        commands += verb != NULL;
        if (c->run != vt_cli_archive)
            continue; /* `send` does more than its verb */
        assert_non_null(verb);
        assert_int_equal(verb->min_args, c->min_args);
        assert_true(verb->max_args >= (size_t)c->max_args || c->max_args == VT_CLI_NO_LIMIT);
    }
    while (vt_admin_verb_at(verbs))
        verbs++;
    assert_int_equal(commands, verbs);
}

static void no_two_commands_have_the_same_words(void **state)
{
    (void)state;
    for (const struct vt_cli_command *a = vt_cli_commands; a->words[0]; a++)
        for (const struct vt_cli_command *b = a + 1; b->words[0]; b++)
            assert_false(strcmp(a->words[0], b->words[0]) == 0 &&
                         (!a->words[1] || !b->words[1] || strcmp(a->words[1], b->words[1]) == 0));
}

static void sample_uids_are_valid_and_always_the_same(void **state)
{
    (void)state;
    char a[VT_UID_MAX + 1], b[VT_UID_MAX + 1], c[VT_UID_MAX + 1];

    vt_samples_uid("one", a);
    vt_samples_uid("one", b);
    vt_samples_uid("two", c);
    assert_true(vt_uid_valid(a));
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_of_a_command_are_read_in_every_spelling),
        cmocka_unit_test(an_unknown_verb_is_wrong_usage_and_says_so),
        cmocka_unit_test(unknown_options_and_missing_words_are_wrong_usage),
        cmocka_unit_test(words_behind_two_dashes_are_no_options),
        cmocka_unit_test(every_archive_verb_has_a_command_that_takes_as_many_words),
        cmocka_unit_test(no_two_commands_have_the_same_words),
        cmocka_unit_test(sample_uids_are_valid_and_always_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
