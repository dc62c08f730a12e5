#include "dicom/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <string.h>

#include <cmocka.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "tests/support/torture.h"

enum { ROOM = 1 << 20 };

static void reads_as(const char *charset, const char *vr, const char *bytes, const char *utf8)
{
    VT_AUTO_BUF(buf, ROOM);
    struct vt_err err = { 0 };

    assert_true(vt_text_to_utf8(charset, NULL, vr, bytes, strlen(bytes), "?", &buf, &err));
    assert_string_equal(vt_buf_string(&buf, &err), utf8);
}

static void writes_as(const char *charset, const char *vr, const char *utf8, const char *bytes)
{
    VT_AUTO_BUF(buf, ROOM);
    struct vt_err err = { 0 };

    assert_true(vt_text_from_utf8(charset, vr, utf8, strlen(utf8), &buf, &err));
    assert_string_equal(vt_buf_string(&buf, &err), bytes);
}

/* PS3.5 Annex H, I, J and K. */
static const struct {
    const char *charset, *bytes, *utf8;
} examples[] = {
    { "ISO_IR 100", "Buc^J\xe9r\xf4me", "Buc^Jérôme" },
    { "ISO_IR 101", "Wa\xb3\xeasa", "Wałęsa" },
    { "ISO_IR 144", "\xbb\xee\xda\x63\x65\xdc\xd1\x79\x70\xd3", "Люкceмбypг" },
    { "ISO_IR 126", "\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος" },
    { "ISO_IR 127", "\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", "قباني^لنزار" },
    { "ISO_IR 138", "\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה" },
    { "ISO_IR 203", "\xa4", "€" },
    { "ISO_IR 166", "\xb9\xd2\xc2", "นาย" },
    { "ISO_IR 192", "Wang^XiaoDong=王^小东", "Wang^XiaoDong=王^小东" },
    { "GB18030", "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东" },
    { "GBK", "\xcd\xf5^\xd0\xa1\xb6\xab", "王^小东" },
    { "\\ISO 2022 IR 87",
      "Yamada^Tarou=\033$B;3ED\033(B^\033$BB@O:\033(B=\033$B$d$^$@\033(B^\033$B$?$m$&\033(B",
      "Yamada^Tarou=山田^太郎=やまだ^たろう" },
    { "\\ISO 2022 IR 149",
      "Hong^Gildong=\033$)C\xfb\xf3^\033$)C\xd1\xce\xd4\xd7=\033$)C\xc8\xab^\033$)C\xb1\xe6\xb5\xbf",
      "Hong^Gildong=洪^吉洞=홍^길동" },
    { "\\ISO 2022 IR 58", "Zhang^XiaoDong=\033$)A\xd5\xc5^\033$)A\xd0\xa1\xb6\xab", "Zhang^XiaoDong=张^小东" },
};

static void the_examples_of_the_standard_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < VT_COUNT(examples); i++)
        reads_as(examples[i].charset, "PN", examples[i].bytes, examples[i].utf8);
}

static void the_examples_of_the_standard_are_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < VT_COUNT(examples); i++)
        writes_as(examples[i].charset, "PN", examples[i].utf8, examples[i].bytes);
}

static void half_width_katakana_and_romaji_are_read(void **state)
{
    (void)state;
    reads_as("ISO 2022 IR 13\\ISO 2022 IR 87", "PN",
             "\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\033$B;3ED\033(J^\033$BB@O:\033(J", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎");
    reads_as("ISO_IR 13", "PN", "\xd4\xcf\xc0\xde", "ﾔﾏﾀﾞ");
    writes_as("ISO_IR 13", "PN", "ﾔﾏﾀﾞ", "\xd4\xcf\xc0\xde");
}

static void supplementary_kanji_are_read_and_written(void **state)
{
    (void)state;
    reads_as("\\ISO 2022 IR 87\\ISO 2022 IR 159", "LO", "\033$(D\x30\x21\033(B", "丂");
    writes_as("\\ISO 2022 IR 87\\ISO 2022 IR 159", "LO", "丂", "\033$(D\x30\x21\033(B");
}

static void a_second_alphabet_is_invoked_by_an_escape(void **state)
{
    (void)state;
    writes_as("ISO 2022 IR 100\\ISO 2022 IR 144", "LO", "é Я", "\xe9 \033-L\xcf");
    reads_as("ISO 2022 IR 100\\ISO 2022 IR 144", "LO", "\xe9 \033-L\xcf", "é Я");
}

static void escapes_end_at_the_delimiters_of_their_vr(void **state)
{
    (void)state;
    /* In a name '^' brings back Latin-1; in LO only a backslash does. */
    reads_as("ISO 2022 IR 100\\ISO 2022 IR 144", "PN", "\033-L\xcf^\xe9", "Я^é");
    reads_as("ISO 2022 IR 100\\ISO 2022 IR 144", "LO", "\033-L\xcf^\xcf\\\xe9", "Я^Я\\é");
}

static void a_backslash_within_a_double_byte_character_is_no_delimiter(void **state)
{
    (void)state;
    reads_as("GBK", "LO", "\x81\x5c\\A", "乗\\A");
}

static void bytes_that_mean_nothing_cost_one_replacement_each(void **state)
{
    (void)state;
    reads_as("ISO_IR 192", "LO", "a\xff\xc3\xa9\xe2\x82", "a?é??");
    reads_as("ISO_IR 192", "LO", "\xc0\xaf\xed\xa0\x80", "?????");
    reads_as("ISO 2022 IR 6\\ISO 2022 IR 87", "LO", "a\033Xb\xe9", "a?Xb?");
    reads_as("GB18030", "LO", "a\xff", "a?");
}

static void misspelt_sets_are_read_as_meant(void **state)
{
    (void)state;
    static const char *const spellings[] = { "ISO IR 100", "ISO-IR 100", "ISO_IR_100", "iso_ir 100 ",
                                             "ISO8859-1", "LATIN1", "ISO 2022 IR 100" };

    for (size_t i = 0; i < VT_COUNT(spellings); i++) {
        assert_true(vt_text_charset_known(spellings[i]));
        reads_as(spellings[i], "LO", "\xe9", "é");
    }
    reads_as("UTF-8", "LO", "é", "é");
    assert_false(vt_text_charset_known("KLINGON"));
    assert_false(vt_text_charset_known("ISO_IR 100\\KLINGON"));
}

static void without_a_set_eight_bit_text_is_read_by_the_fallback(void **state)
{
    (void)state;
    VT_AUTO_BUF(buf, ROOM);
    struct vt_err err = { 0 };

    reads_as(NULL, "LO", "\xe9", "é");
    reads_as("", "LO", "é", "é");
    reads_as("KLINGON", "LO", "\xe9", "é");
    assert_true(vt_text_to_utf8("", "ISO_IR 144", "LO", "\xcf", 1, "?", &buf, &err));
    assert_string_equal(vt_buf_string(&buf, &err), "Я");
}

static void a_character_that_the_set_lacks_is_refused_and_leaves_the_output(void **state)
{
    (void)state;
    static const char *const sets[] = { "", "ISO_IR 6", "ISO_IR 100", "\\ISO 2022 IR 87", "GBK" };

    for (size_t i = 0; i < VT_COUNT(sets); i++) {
        VT_AUTO_BUF(buf, ROOM);
        struct vt_err err = { 0 };
        assert_true(vt_buf_append_text(&buf, "x", &err));
        assert_false(vt_text_from_utf8(sets[i], "LO", "a😀", 5, &buf, &err));
        assert_int_equal(err.code, VT_E_INVALID);
        assert_int_equal(buf.size, 1);
    }
}

static void folds_to(const char *text, const char *folded)
{
    VT_AUTO_BUF(buf, ROOM);
    struct vt_err err = { 0 };

    assert_true(vt_text_fold(text, strlen(text), &buf, &err));
    assert_string_equal(vt_buf_string(&buf, &err), folded);
}

static void names_fold_as_matching_wants_them(void **state)
{
    (void)state;
    folds_to("Doe^Jane", "doe^jane");
    folds_to("MÜLLER^Jürgen", "muller^jurgen");
    folds_to("Müller", "muller");
    folds_to("Straße", "strasse");
    folds_to("  Doe   von ^ Jane  ", "doe von^jane");
    folds_to("Doe^Jane^^^", "doe^jane");
    folds_to("Yamada^Tarou^^=山田^太郎^=", "yamada^tarou=山田^太郎");
    folds_to("A^^\\B^=", "a\\b");
    folds_to("SM?TH*", "sm?th*");
    folds_to("ＡＢＣ　ｄ", "abc d");
    folds_to("ŁUKASZ Ž", "łukasz z");
    folds_to("", "");
    folds_to("^^^", "");
    folds_to("=^^", "");
    folds_to("=山", "=山");
}

static void text_that_is_no_utf8_still_folds(void **state)
{
    (void)state;
    folds_to("A\xff\xc3\x89", "a\xEF\xBF\xBD" "e");
}

static void long_text_folds_like_short_text(void **state)
{
    (void)state;
    char text[4001], folded[2001];

    for (size_t i = 0; i < 4000; i += 2)
        memcpy(text + i, "É", 2);
    text[4000] = '\0';
    memset(folded, 'e', 2000);
    folded[2000] = '\0';
    folds_to(text, folded);
}

static void plain_ascii_is_told_from_the_rest(void **state)
{
    (void)state;
    assert_true(vt_text_is_ascii("", 0));
    assert_true(vt_text_is_ascii("sixteen letters!", 16));
    for (size_t i = 0; i < 11; i++) {
        char text[] = "elevenbytes";
        text[i] = (char)0xe9;
        assert_false(vt_text_is_ascii(text, 11));
    }
    assert_true(vt_text_vr_has_charset("PN"));
    assert_false(vt_text_vr_has_charset("UI"));
    assert_false(vt_text_vr_has_charset("CS"));
}

static bool round_trip(void *context, struct vt_err *err)
{
    (void)context;
    VT_AUTO_BUF(buf, ROOM);
    VT_AUTO_BUF(back, ROOM);
    const char *text = "Yamada=山田^太郎";

    return vt_text_from_utf8("\\ISO 2022 IR 87", "PN", text, strlen(text), &buf, err) &&
           vt_text_to_utf8("\\ISO 2022 IR 87", NULL, "PN", (const char *)buf.data, buf.size, "?", &back, err) &&
           vt_text_fold((const char *)back.data, back.size, &back, err);
}

static void *torture_thread(void *out)
{
    *(unsigned long *)out = vt_torture(round_trip, NULL);
    return NULL;
}

/* In a thread of its own, where the converters are not open yet; their end shows as no leak. */
static void no_allocation_failure_leaks_or_crashes(void **state)
{
    (void)state;
    pthread_t thread;
    unsigned long allocations = 0;

    assert_int_equal(pthread_create(&thread, NULL, torture_thread, &allocations), 0);
    pthread_join(thread, NULL);
    assert_true(allocations > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_standard_are_read),
        cmocka_unit_test(the_examples_of_the_standard_are_written),
        cmocka_unit_test(half_width_katakana_and_romaji_are_read),
        cmocka_unit_test(supplementary_kanji_are_read_and_written),
        cmocka_unit_test(a_second_alphabet_is_invoked_by_an_escape),
        cmocka_unit_test(escapes_end_at_the_delimiters_of_their_vr),
        cmocka_unit_test(a_backslash_within_a_double_byte_character_is_no_delimiter),
        cmocka_unit_test(bytes_that_mean_nothing_cost_one_replacement_each),
        cmocka_unit_test(misspelt_sets_are_read_as_meant),
        cmocka_unit_test(without_a_set_eight_bit_text_is_read_by_the_fallback),
        cmocka_unit_test(a_character_that_the_set_lacks_is_refused_and_leaves_the_output),
        cmocka_unit_test(names_fold_as_matching_wants_them),
        cmocka_unit_test(text_that_is_no_utf8_still_folds),
        cmocka_unit_test(long_text_folds_like_short_text),
        cmocka_unit_test(plain_ascii_is_told_from_the_rest),
        cmocka_unit_test(no_allocation_failure_leaks_or_crashes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
