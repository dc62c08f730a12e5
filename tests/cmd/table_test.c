#include "cmd/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "cmd/progress.h"
#include "core/clock.h"

/* What a table prints of some rows; free() it. */
static char *printed(const struct vt_table_options *wanted, const char *const rows[], size_t count)
{
    char *text = NULL;
    size_t size = 0;
    struct vt_table_options options = *wanted;

    options.out = open_memstream(&text, &size);
    assert_non_null(options.out);
    struct vt_table *table = vt_table_new(&options);
    assert_non_null(table);
    for (size_t i = 0; i < count; i++) {
        json_t *row = json_loads(rows[i], 0, NULL);
        assert_non_null(row);
        assert_true(vt_table_row(table, row));
        json_decref(row);
    }
    vt_table_free(table);
    fclose(options.out);
    return text;
}

static void columns_are_as_wide_as_what_is_in_them(void **state)
{
    (void)state;
    const struct vt_table_options options = { 0 };
    const char *const rows[] = { "{\"name\":\"a\",\"n\":5}", "{\"name\":\"longer\",\"n\":12}" };
    char *text = printed(&options, rows, 2);

    assert_string_equal(text, "name     n\na        5\nlonger  12\n");
    free(text);
}

static void wide_and_combining_characters_are_counted_as_shown(void **state)
{
    (void)state;
    const struct vt_table_options options = { 0 };
    const char *const rows[] = { "{\"name\":\"\xe5\xb1\xb1\xe7\x94\xb0\",\"x\":\"1\"}",
                                 "{\"name\":\"M\xc3\xbcller\",\"x\":\"2\"}" };
    char *text = printed(&options, rows, 2);

    assert_int_equal(vt_text_width("\xe5\xb1\xb1\xe7\x94\xb0"), 4);
    assert_non_null(strstr(text, "\xe5\xb1\xb1\xe7\x94\xb0    1\n"));
    assert_non_null(strstr(text, "M\xc3\xbcller  2\n"));
    free(text);
}

static void control_characters_of_a_peer_do_not_reach_the_terminal(void **state)
{
    (void)state;
    const struct vt_table_options options = { 0 };
    const char *const rows[] = { "{\"name\":\"a\\u001b[2Jb\\nc\\u009bd\"}" };
    char *text = printed(&options, rows, 1);

    assert_string_equal(text, "name\na?[2Jb?c?d\n");
    free(text);
}

static void a_column_that_nobody_filled_is_left_out(void **state)
{
    (void)state;
    static const struct vt_column_spec columns[] = { { "a", "A" }, { "b", "B" }, { "c", "C" } };
    const struct vt_table_options options = { .columns = columns, .column_count = 3 };
    const char *const rows[] = { "{\"c\":\"z\",\"a\":\"x\",\"hidden\":1}" };
    char *text = printed(&options, rows, 1);

    assert_string_equal(text, "A  C\nx  z\n");
    free(text);
}

static void long_texts_are_cut_and_uids_are_not(void **state)
{
    (void)state;
    const struct vt_table_options options = { 0 };
    const char *const rows[] = {
        "{\"text\":\"0123456789012345678901234567890123456789012345678901234567890123456789\","
        "\"study_uid\":\"1.2.840.113619.2.55.3.604688119.971.1451470573.482.11111111\"}"
    };
    char *text = printed(&options, rows, 1);

    assert_non_null(strstr(
        text,
        "0123456\xe2\x80\xa6  1.2.840.113619.2.55.3.604688119.971.1451470573.482.11111111\n"));
    free(text);
}

static void json_is_one_object_a_line(void **state)
{
    (void)state;
    const struct vt_table_options options = { .json = true };
    const char *const rows[] = { "{\"b\":1,\"a\":[1,2]}", "{\"b\":\"x\"}" };
    char *text = printed(&options, rows, 2);

    assert_string_equal(text, "{\"b\":1,\"a\":[1,2]}\n{\"b\":\"x\"}\n");
    free(text);
}

static void a_record_shows_lists_below_their_key(void **state)
{
    (void)state;
    const struct vt_table_options options = { .layout = VT_LAYOUT_RECORD };
    const char *const rows[] = {
        "{\"uid\":\"1.2\",\"bytes\":1500000,\"series\":[{\"n\":1},{\"n\":2}]}"
    };
    char *text = printed(&options, rows, 1);

    assert_string_equal(text, "uid    1.2\nbytes  1.5 MB\nseries\n  n 1\n\n  n 2\n");
    free(text);
}

static void rows_beyond_those_that_wait_keep_the_columns(void **state)
{
    (void)state;
    const struct vt_table_options options = { 0 };
    const char *rows[VT_TABLE_AHEAD + 5];
    size_t lines = 0;

    for (size_t i = 0; i < VT_TABLE_AHEAD + 5; i++)
        rows[i] = i < VT_TABLE_AHEAD ? "{\"a\":\"x\"}" : "{\"a\":\"y\",\"b\":\"z\"}";
    char *text = printed(&options, rows, VT_TABLE_AHEAD + 5);
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, VT_TABLE_AHEAD + 6);
    assert_null(strchr(text, 'z'));
    free(text);
}

static void progress_tells_share_rate_and_time_left(void **state)
{
    (void)state;
    char line[240];

    vt_progress_text(50, 200, "instances", 20000000, 10 * VT_NS_PER_S, line, sizeof line);
    assert_string_equal(
        line, "[######                  ]  25 % 50/200 instances, 20.0 MB, 2.0 MB/s, 0:30 left");
    vt_progress_text(7, 0, "files", 0, 2 * VT_NS_PER_S, line, sizeof line);
    assert_string_equal(line, "7 files, 4/s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_what_is_in_them),
        cmocka_unit_test(wide_and_combining_characters_are_counted_as_shown),
        cmocka_unit_test(control_characters_of_a_peer_do_not_reach_the_terminal),
        cmocka_unit_test(a_column_that_nobody_filled_is_left_out),
        cmocka_unit_test(long_texts_are_cut_and_uids_are_not),
        cmocka_unit_test(json_is_one_object_a_line),
        cmocka_unit_test(a_record_shows_lists_below_their_key),
        cmocka_unit_test(rows_beyond_those_that_wait_keep_the_columns),
        cmocka_unit_test(progress_tells_share_rate_and_time_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
