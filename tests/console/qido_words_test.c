#include "console/qido_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/auto.h"
#include "core/err.h"
#include "tests/support/torture.h"

static struct vt_qido_words words;

static int setup(void **state)
{
    (void)state;
    vt_qido_words_init(&words);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    vt_qido_words_fini(&words);
    return 0;
}

static void take(const char *key, const char *value)
{
    struct vt_err err = { 0 };

    if (!vt_qido_words_parameter(&words, key, value, &err))
        fail_msg("%s=%s: %s", key, value, err.text);
}

static void attributes_are_keys_by_keyword_and_by_tag(void **state)
{
    (void)state;
    take("PatientName", "Smith*");
    take("00100020", "P 1");
    take("RequestAttributesSequence.ScheduledProcedureStepID", "S1");
    take("00400275.00400009", "");
    assert_int_equal(words.count, 4);
    assert_string_equal(words.words[0], "PatientName=Smith*");
    assert_string_equal(words.words[1], "00100020=P 1");
    assert_string_equal(words.words[2], "RequestAttributesSequence.ScheduledProcedureStepID=S1");
    assert_string_equal(words.words[3], "00400275.00400009=");
    assert_false(words.ignored);
}

static void lists_of_uids_have_commas_and_names_keep_theirs(void **state)
{
    (void)state;
    take("StudyInstanceUID", "1.2,1.3");
    take("0020000E", "1.2\\1.3,1.4");
    take("PatientName", "Doe, John");
    assert_string_equal(words.words[0], "StudyInstanceUID=1.2\\1.3");
    assert_string_equal(words.words[1], "0020000E=1.2\\1.3\\1.4");
    assert_string_equal(words.words[2], "PatientName=Doe, John");
}

static void fields_to_return_come_in_lists(void **state)
{
    (void)state;
    take("includefield", "00081030,StudyID,,nonsense,");
    take("includefield", "all");
    assert_int_equal(words.count, 2);
    assert_string_equal(words.words[0], "00081030");
    assert_string_equal(words.words[1], "StudyID");
}

static void what_is_no_attribute_is_ignored_and_noted(void **state)
{
    static const char *const keys[] = { "nonsense", "", "PatientNam", "0010001", "00100010x", ".PatientName", "=", "limit " };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(keys); i++) {
        words.ignored = false;
        take(keys[i], "1");
        if (!words.ignored)
            fail_msg("'%s' is no attribute", keys[i]);
    }
    assert_int_equal(words.count, 0);
}

static void limits_and_offsets_are_numbers_within_bounds(void **state)
{
    static const char *const wrong[] = { "", "x", "-1", "1x", " 1", "+1", "0x10", "1.5", "1e3" };
    struct vt_err err = { 0 };

    (void)state;
    assert_int_equal(words.limit, VT_QIDO_RESULTS);
    take("limit", "5");
    take("offset", "10");
    assert_true(words.limit == 5 && words.offset == 10);
    take("limit", "99999999999999999999999");
    assert_int_equal(words.limit, VT_QIDO_RESULTS_MAX);
    for (size_t i = 0; i < VT_COUNT(wrong); i++) {
        vt_err_clear(&err);
        assert_false(vt_qido_words_parameter(&words, i % 2 ? "limit" : "offset", wrong[i], &err));
        assert_int_equal(err.code, VT_E_INVALID);
    }
    assert_int_equal(words.offset, 10);
}

static void fuzzy_is_true_or_not(void **state)
{
    (void)state;
    take("fuzzymatching", "TRUE");
    assert_false(words.fuzzy);
    take("fuzzymatching", "true");
    assert_true(words.fuzzy);
    take("fuzzymatching", "false");
    assert_false(words.fuzzy);
    assert_int_equal(words.count, 0);
}

static void keys_have_a_bound(void **state)
{
    struct vt_err err = { 0 };

    (void)state;
    for (int i = 0; i < VT_QIDO_WORDS_MAX; i++)
        take("PatientID", "x");
    assert_false(vt_qido_words_parameter(&words, "PatientID", "x", &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    vt_err_clear(&err);
    assert_false(vt_qido_words_usual(&words, VT_LEVEL_STUDY, true, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
}

static void counts_are_asked_for_at_their_level(void **state)
{
    struct vt_err err = { 0 };

    (void)state;
    assert_true(vt_qido_words_usual(&words, VT_LEVEL_SERIES, false, &err));
    assert_int_equal(words.count, 1);
    assert_string_equal(words.words[0], "NumberOfSeriesRelatedInstances");
    assert_true(vt_qido_words_usual(&words, VT_LEVEL_IMAGE, true, &err));
    assert_int_equal(words.count, 1 + 1 + 4);
}

static bool fill(void *context, struct vt_err *err)
{
    struct vt_qido_words filled;

    (void)context;
    vt_qido_words_init(&filled);
    bool ok = vt_qido_words_parameter(&filled, "PatientName", "A", err) && vt_qido_words_parameter(&filled, "includefield", "StudyID", err) &&
              vt_qido_words_usual(&filled, VT_LEVEL_STUDY, true, err);
    vt_qido_words_fini(&filled);
    return ok;
}

static void every_failed_allocation_is_told_without_a_leak(void **state)
{
    (void)state;
    vt_torture(fill, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(attributes_are_keys_by_keyword_and_by_tag, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_of_uids_have_commas_and_names_keep_theirs, setup, teardown),
        cmocka_unit_test_setup_teardown(fields_to_return_come_in_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_attribute_is_ignored_and_noted, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_and_offsets_are_numbers_within_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(fuzzy_is_true_or_not, setup, teardown),
        cmocka_unit_test_setup_teardown(keys_have_a_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(counts_are_asked_for_at_their_level, setup, teardown),
        cmocka_unit_test(every_failed_allocation_is_told_without_a_leak),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
