#include "archive/match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "archive/columns.h"
#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"

static bool wild(const char *pattern, const char *text)
{
    return vt_match_wild(pattern, strlen(pattern), text, strlen(text));
}

static void wild_cards_match_runs_and_characters(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool fits;
    } rows[] = {
        { "", "", true },          { "*", "", true },        { "?", "", false },
        { "a*", "abc", true },     { "*c", "abc", true },    { "*b*", "abc", true },
        { "a?c", "abc", true },    { "a?c", "abbc", false }, { "a*b*c", "aXbYc", true },
        { "a*b*c", "aXc", false }, { "A*", "abc", false },   { "**", "x", true },
        { "a[b", "a[b", true },    { "a%", "abc", false },   { "*ab", "aab", true },
        { "abc", "abc ", false },
    };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(rows); i++)
        assert_int_equal(wild(rows[i].pattern, rows[i].text), rows[i].fits);
}

static void a_question_mark_is_one_character_not_one_byte(void **state)
{
    (void)state;
    assert_true(wild("M?ller", "Müller"));
    assert_false(wild("M??ller", "Müller"));
    assert_true(wild("?田", "山田"));
    assert_true(wild("*田", "山田"));
}

static void a_pattern_of_many_stars_ends_in_time(void **state)
{
    char pattern[400], text[4000];

    (void)state;
    for (size_t i = 0; i + 2 < sizeof pattern; i += 2)
        memcpy(pattern + i, "a*", 2);
    pattern[398] = 'b';
    memset(text, 'a', sizeof text);
    assert_false(vt_match_wild(pattern, 399, text, sizeof text));
}

static void dates_compare_by_meaning(void **state)
{
    char out[VT_DATE_ROOM];

    (void)state;
    assert_true(vt_match_date("20200131", 8, out));
    assert_string_equal(out, "20200131");
    assert_true(vt_match_date("2020.01.31", 10, out));
    assert_string_equal(out, "20200131");
    static const char *const wrong[] = { "",         "2020",       "20201301", "20200100",
                                         "2020013x", "2020-01-31", "202001311" };
    for (size_t i = 0; i < VT_COUNT(wrong); i++)
        assert_false(vt_match_date(wrong[i], strlen(wrong[i]), out));
}

static void times_are_padded_to_the_end_that_is_asked_for(void **state)
{
    static const struct {
        const char *text, *low, *high;
    } rows[] = {
        { "10", "100000.000000", "105959.999999" },
        { "2230", "223000.000000", "223059.999999" },
        { "223015", "223015.000000", "223015.999999" },
        { "223015.5", "223015.500000", "223015.599999" },
        { "22:30:15", "223015.000000", "223015.999999" },
        { "223015.123456", "223015.123456", "223015.123456" },
    };
    static const char *const wrong[] = { "",       "1",   "24",      "2260",
                                         "101",    "10*", "101530.", "101530.1234567",
                                         "1015.5", "ab" };
    char out[VT_TIME_ROOM];

    (void)state;
    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        assert_true(vt_match_time(rows[i].text, strlen(rows[i].text), false, out));
        assert_string_equal(out, rows[i].low);
        assert_true(vt_match_time(rows[i].text, strlen(rows[i].text), true, out));
        assert_string_equal(out, rows[i].high);
    }
    for (size_t i = 0; i < VT_COUNT(wrong); i++)
        assert_false(vt_match_time(wrong[i], strlen(wrong[i]), false, out));
}

static void date_times_compare_in_utc(void **state)
{
    char out[VT_DATETIME_ROOM];

    (void)state;
    assert_true(vt_match_datetime("20200101003000+0100", 19, false, out));
    assert_string_equal(out, "20191231233000.000000");
    assert_true(vt_match_datetime("20191231193000-0400", 19, false, out));
    assert_string_equal(out, "20191231233000.000000");
    assert_true(vt_match_datetime("2020", 4, true, out));
    assert_string_equal(out, "20201231235959.999999");
    assert_false(vt_match_datetime("202", 3, false, out));
    assert_false(vt_match_datetime("2020010110x", 11, false, out));
}

static void split(const char *text, bool datetime, const char *low, const char *high)
{
    struct vt_match_range range;
    char a[64], b[64];

    assert_true(vt_match_split_range(text, strlen(text), datetime, &range));
    snprintf(a, sizeof a, "%.*s", (int)range.low_size, range.low);
    snprintf(b, sizeof b, "%.*s", (int)range.high_size, range.high);
    assert_string_equal(a, low);
    assert_string_equal(b, high);
}

static void ranges_split_at_the_dash_that_is_no_offset(void **state)
{
    struct vt_match_range range;

    (void)state;
    split("20200101-20200131", false, "20200101", "20200131");
    split("20200101 - 20200131", false, "20200101", "20200131");
    split("20200101-", false, "20200101", "");
    split("-20200131", false, "", "20200131");
    split("2020-2021", true, "2020", "2021");
    split("20200101120000-0500-20200102120000-0500", true, "20200101120000-0500",
          "20200102120000-0500");
    split("2020-", true, "2020", "");
    assert_false(vt_match_split_range("20200101", 8, false, &range));
    assert_false(vt_match_split_range("20200101-0102-03", 16, false, &range));
    assert_false(vt_match_split_range("20200101120000-0500", 19, true, &range));
}

static void numbers_compare_by_value(void **state)
{
    double a, b;

    (void)state;
    assert_true(vt_match_number("01", 2, &a) && vt_match_number("+1", 2, &b));
    assert_true(!(a < b) && !(a > b));
    assert_true(vt_match_number("1.50", 4, &a) && vt_match_number("15e-1", 5, &b));
    assert_true(!(a < b) && !(a > b));
    static const char *const wrong[] = { "", "x", "1*", "0x10", "nan", "inf", "1-2", "1e999" };
    for (size_t i = 0; i < VT_COUNT(wrong); i++)
        assert_false(vt_match_number(wrong[i], strlen(wrong[i]), &a));
}

static bool names(const char *pattern, const char *name)
{
    struct vt_err err = { 0 };
    VT_AUTO_BUF(a, 4096);
    VT_AUTO_BUF(b, 4096);

    assert_true(vt_match_fold(pattern, strlen(pattern), false, &a, &err));
    assert_true(vt_match_fold(name, strlen(name), false, &b, &err));
    return vt_match_name((const char *)a.data, a.size, (const char *)b.data, b.size);
}

static void names_match_folded_whole_and_by_group(void **state)
{
    (void)state;
    assert_true(names("SMITH^JOHN", "Smith^John"));
    assert_true(names("smith^john^^^", "Smith^John"));
    assert_false(names("Smith", "Smith^John"));
    assert_true(names("Smith^*", "Smith^John"));
    assert_true(names("muller", "Müller"));
    assert_true(names("MÜLLER", "muller"));
    assert_true(names("山田*", "Yamada^Tarou=山田^太郎=やまだ^たろう"));
    assert_true(names("=山田^太郎", "Yamada^Tarou=山田^太郎"));
    assert_true(names("Yamada*=*=やまだ*", "Yamada^Tarou=山田^太郎=やまだ^たろう"));
    assert_false(names("Yamada*=佐藤*", "Yamada^Tarou=山田^太郎"));
    assert_true(names("a  b", "A B"));
}

static void accents_count_when_they_are_kept(void **state)
{
    struct vt_err err = { 0 };
    VT_AUTO_BUF(a, 256);
    VT_AUTO_BUF(b, 256);

    (void)state;
    assert_true(vt_match_fold("MÜLLER^^", strlen("MÜLLER^^"), true, &a, &err));
    assert_true(vt_match_fold("müller", strlen("müller"), true, &b, &err));
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    vt_buf_reset(&b);
    assert_true(vt_match_fold("muller", 6, true, &b, &err));
    assert_int_not_equal(a.size, b.size);
}

static bool fuzzy(const char *pattern, const char *name)
{
    return vt_match_name_fuzzy(pattern, strlen(pattern), name, strlen(name));
}

static void fuzzy_tokens_come_in_any_order_as_prefix_or_by_sound(void **state)
{
    (void)state;
    assert_true(fuzzy("john smith", "smith^john"));
    assert_true(fuzzy("jo smi", "smith^john"));
    assert_true(fuzzy("smythe", "smith^john"));
    assert_true(fuzzy("meier", "meyer^eva"));
    assert_false(fuzzy("jones", "smith^john"));
    assert_false(fuzzy("smith eva", "smith^john"));
    assert_true(fuzzy("山", "yamada=山田"));
}

static void soundex_is_the_american_one(void **state)
{
    static const char *const rows[][2] = {
        { "robert", "r163" },  { "rupert", "r163" },  { "ashcraft", "a261" },
        { "tymczak", "t522" }, { "pfister", "p236" }, { "honeyman", "h555" },
        { "lee", "l000" },
    };
    char out[VT_SOUNDEX_ROOM];

    (void)state;
    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        assert_true(vt_match_soundex(rows[i][0], strlen(rows[i][0]), out));
        assert_string_equal(out, rows[i][1]);
    }
    assert_false(vt_match_soundex("山田", 6, out));
}

static void name_groups_are_told_apart_without_repeats(void **state)
{
    struct vt_name_groups groups = vt_columns_name_groups("a^b=c^=a^b");

    (void)state;
    assert_int_equal(groups.count, 2);
    assert_int_equal(groups.size[1], 1);
    assert_int_equal(vt_columns_name_groups("").count, 0);
    assert_int_equal(vt_columns_name_groups("==x").count, 1);
}

static void lists_stay_sorted_and_free_of_repeats(void **state)
{
    char list[16] = "";

    (void)state;
    assert_true(vt_columns_list_add(list, sizeof list, "MR"));
    assert_true(vt_columns_list_add(list, sizeof list, "CT"));
    assert_false(vt_columns_list_add(list, sizeof list, "MR"));
    assert_true(vt_columns_list_add(list, sizeof list, "M"));
    assert_true(vt_columns_list_add(list, sizeof list, "SR"));
    assert_string_equal(list, "CT\\M\\MR\\SR");
    assert_false(vt_columns_list_add(list, sizeof list, "SEGMENT"));
    assert_false(vt_columns_list_add(list, sizeof list, ""));
    assert_string_equal(list, "CT\\M\\MR\\SR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wild_cards_match_runs_and_characters),
        cmocka_unit_test(a_question_mark_is_one_character_not_one_byte),
        cmocka_unit_test(a_pattern_of_many_stars_ends_in_time),
        cmocka_unit_test(dates_compare_by_meaning),
        cmocka_unit_test(times_are_padded_to_the_end_that_is_asked_for),
        cmocka_unit_test(date_times_compare_in_utc),
        cmocka_unit_test(ranges_split_at_the_dash_that_is_no_offset),
        cmocka_unit_test(numbers_compare_by_value),
        cmocka_unit_test(names_match_folded_whole_and_by_group),
        cmocka_unit_test(accents_count_when_they_are_kept),
        cmocka_unit_test(fuzzy_tokens_come_in_any_order_as_prefix_or_by_sound),
        cmocka_unit_test(soundex_is_the_american_one),
        cmocka_unit_test(name_groups_are_told_apart_without_repeats),
        cmocka_unit_test(lists_stay_sorted_and_free_of_repeats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
