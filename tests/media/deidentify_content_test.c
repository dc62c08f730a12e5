/* De-identification of what is said by content: reports, graphic annotations, acquisition context. */
#include "tests/media/deidentified.h"

#include "tests/support/torture.h"

#define REPORT "1.2.840.10008.5.1.4.1.1.88.33"
#define STATE "1.2.840.10008.5.1.4.1.1.11.1"

static void begin_item(struct vt_buf *buf)
{
    put_mark(buf, vt_write_item_begin);
}

static void end_item(struct vt_buf *buf)
{
    put_mark(buf, vt_write_item_end);
}

static void put_code(struct vt_buf *buf, uint32_t tag, const char *code, const char *scheme, const char *meaning)
{
    put_sequence(buf, tag);
    put(buf, 0x00080100, "SH", code);
    put(buf, 0x00080102, "SH", scheme);
    put(buf, 0x00080104, "LO", meaning);
    end_sequence(buf);
}

/* Of what, and its text; a text behind '!' is a person, one behind '#' a date. */
static void put_content(struct vt_buf *buf, const char *code, const char *meaning, const char *value)
{
    begin_item(buf);
    put_code(buf, 0x0040a043, code, "DCM", meaning);
    if (*value == '#')
        put(buf, 0x0040a121, "DA", value + 1);
    else if (*value == '!')
        put(buf, 0x0040a123, "PN", value + 1);
    else
        put(buf, 0x0040a160, "UT", value);
    end_item(buf);
}

static void put_sex(struct vt_buf *buf)
{
    begin_item(buf);
    put_code(buf, 0x0040a043, "121032", "DCM", "Subject Sex");
    put_code(buf, 0x0040a168, "F", "DCM", "Female");
    end_item(buf);
}

static void put_age(struct vt_buf *buf)
{
    begin_item(buf);
    put_code(buf, 0x0040a043, "121033", "DCM", "Subject Age");
    put_sequence(buf, 0x0040a300);
    put_code(buf, 0x004008ea, "a", "UCUM", "year");
    put(buf, 0x0040a30a, "DS", "69.25");
    end_sequence(buf);
    end_item(buf);
}

/* What was found, by whom, in whom. */
static void write_report(struct vt_buf *buf)
{
    vt_buf_reset(buf);
    put(buf, 0x00080016, "UI", REPORT);
    put(buf, 0x00080018, "UI", "1.2.826.1.3");
    put(buf, 0x00080020, "DA", "20200301");
    put(buf, 0x00100010, "PN", "Jones^Mary");
    put(buf, 0x00100020, "LO", "PIDA");
    put(buf, 0x00104000, "LT", "comment");
    struct vt_writer w = { buf, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    assert_true(vt_write_sequence_begin(&w, 0x0040a730, &err));
    put_content(buf, "121071", "Finding", "Mary Jones (PIDA) is well, said Doctor Strange on 20200301; see 113104");
    put_content(buf, "121008", "Person Observer Name", "!Strange^Stephen");
    put_content(buf, "121030", "Subject ID", "OTHERID");
    put_content(buf, "121071", "Finding", "otherid and Strange once more");
    put_content(buf, "121031", "Subject Birth Date", "#19501224");
    put_sex(buf);
    put_age(buf);
    begin_item(buf);
    put_code(buf, 0x0040a043, "111030", "DCM", "Image Region");
    put_code(buf, 0x0040a168, "9991", "99HOUSE", "Mary's room");
    end_item(buf);
    put_mark(buf, vt_write_sequence_end);
}

static void a_report_without_the_option_keeps_structure_and_codes_only(void **state)
{
    VT_AUTO_BUF(in, DATA_MAX);
    VT_AUTO_BUF(out, DATA_MAX);
    struct vt_err err = { 0 };
    static const char *const gone[] = { "Mary", "Jones", "PIDA", "well", "Strange", "OTHERID", "19501224", "20200301", "Female", "69.25" };

    (void)state;
    write_report(&in);
    assert_true(run("basic", &in, &out, &err));
    assert_gone(&out, gone, VT_COUNT(gone));
    assert_true(contains(&out, "121071"));
    assert_true(contains(&out, "Subject Age"));
    assert_true(vt_element_check(out.data, out.size, VT_EXPLICIT_LE, &VT_ELEMENT_LIMITS_DEFAULT, &err));
}

static void cleaned_content_keeps_its_text_without_who_it_was(void **state)
{
    VT_AUTO_BUF(in, DATA_MAX);
    VT_AUTO_BUF(out, DATA_MAX);
    struct vt_err err = { 0 };
    static const char *const gone[] = { "Mary", "Jones", "PIDA", "Strange", "OTHERID", "otherid", "19501224", "20200301", "Female", "69.25" };
    static const char *const there[] = { "* * (*) is well, said Doctor * on *; see *", "* and * once more", "121071", "111030", "113104", "9991" };

    (void)state;
    write_report(&in);
    assert_true(run("basic,clean-structured-content", &in, &out, &err));
    assert_gone(&out, gone, VT_COUNT(gone));
    for (size_t i = 0; i < VT_COUNT(there); i++)
        if (!contains(&out, there[i]))
            fail_msg("'%s' is not there", there[i]);
    assert_true(contains(&out, "Clean Structured Content Option"));
    assert_true(vt_element_check(out.data, out.size, VT_EXPLICIT_LE, &VT_ELEMENT_LIMITS_DEFAULT, &err));
}

static void what_is_retained_elsewhere_is_retained_in_content(void **state)
{
    VT_AUTO_BUF(in, DATA_MAX);
    VT_AUTO_BUF(out, DATA_MAX);
    struct vt_err err = { 0 };

    (void)state;
    write_report(&in);
    assert_true(run("basic,retain-patient,retain-dates", &in, &out, &err));
    assert_true(contains(&out, "Female"));
    assert_true(contains(&out, "69.25"));
    assert_false(contains(&out, "19501224"));
    assert_false(contains(&out, "Strange"));
}

static void write_state(struct vt_buf *buf)
{
    vt_buf_reset(buf);
    put(buf, 0x00080016, "UI", STATE);
    put(buf, 0x00100010, "PN", "Jones^Mary");
    put_sequence(buf, 0x00700001);
    put(buf, 0x00700002, "CS", "LAYER1");
    put_sequence(buf, 0x00700008);
    put(buf, 0x00700006, "ST", "nodule of Mary, seen 2020");
    end_sequence(buf);
    put_sequence(buf, 0x00700009);
    put(buf, 0x00700023, "CS", "POLYLINE");
    end_sequence(buf);
    end_sequence(buf);
    put(buf, 0x60003000, "OB", "overlay of Mary");
    put(buf, 0x60004000, "LT", "Mary again");
}

static void cleaned_graphics_keep_lines_and_texts_without_names(void **state)
{
    VT_AUTO_BUF(in, DATA_MAX);
    VT_AUTO_BUF(out, DATA_MAX);
    struct vt_err err = { 0 };

    (void)state;
    write_state(&in);
    assert_true(run("basic,clean-graphics", &in, &out, &err));
    assert_true(contains(&out, "nodule of *, seen *"));
    assert_true(contains(&out, "POLYLINE"));
    assert_true(contains(&out, "Clean Graphics Option"));
    assert_false(contains(&out, "Mary"));
    assert_true(run("basic", &in, &out, &err));
    assert_false(contains(&out, "nodule"));
}

static void codes_of_public_schemes_are_no_numbers_to_be_cleaned(void **state)
{
    VT_AUTO_BUF(in, DATA_MAX);
    VT_AUTO_BUF(out, DATA_MAX);
    struct vt_err err = { 0 };

    (void)state;
    vt_buf_reset(&in);
    put(&in, 0x00080016, "UI", VT_UID_CT_IMAGE);
    put_code(&in, 0x00081084, "113104", "DCM", "A code of 2020");
    assert_true(run("basic,clean-descriptors", &in, &out, &err));
    assert_true(contains(&out, "113104"));
    assert_true(contains(&out, "A code of 2020"));
}

static void options_that_change_pixels_are_refused_with_what_to_do(void **state)
{
    static const char *const list[] = { "basic,clean-pixel-data", "basic,clean-recognizable-visual-features" };
    VT_AUTO_BUF(in, DATA_MAX);
    VT_AUTO_BUF(out, DATA_MAX);

    (void)state;
    write_state(&in);
    for (size_t i = 0; i < VT_COUNT(list); i++) {
        struct vt_err err = { 0 };
        assert_false(run(list[i], &in, &out, &err));
        assert_int_equal(err.code, VT_E_INVALID);
        assert_non_null(strstr(err.text, "pixels are not changed"));
    }
}

static void a_face_that_can_be_recognised_is_told(void **state)
{
    const struct vt_deid_words words = { "basic", NULL, NULL, NULL };
    struct vt_err err = { 0 };
    VT_AUTO(vt_deid) deid = vt_deid_new(&words, &err);
    VT_AUTO_BUF(in, DATA_MAX);
    const char *why, *warning;

    (void)state;
    put(&in, 0x00080016, "UI", VT_UID_CT_IMAGE);
    put(&in, 0x00280301, "CS", "NO");
    put(&in, 0x00280302, "CS", "YES");
    assert_true(vt_deid_allows(deid, in.data, in.size, VT_EXPLICIT_LE, &why, &warning));
    assert_non_null(strstr(warning, "face"));
}

static bool work(void *context, struct vt_err *err)
{
    VT_AUTO_BUF(out, DATA_MAX);

    return run("basic,clean-structured-content,clean-graphics", context, &out, err);
}

static void each_allocation_may_fail(void **state)
{
    VT_AUTO_BUF(in, DATA_MAX);

    (void)state;
    write_report(&in);
    assert_true(vt_torture(work, &in) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_without_the_option_keeps_structure_and_codes_only),
        cmocka_unit_test(cleaned_content_keeps_its_text_without_who_it_was),
        cmocka_unit_test(what_is_retained_elsewhere_is_retained_in_content),
        cmocka_unit_test(cleaned_graphics_keep_lines_and_texts_without_names),
        cmocka_unit_test(codes_of_public_schemes_are_no_numbers_to_be_cleaned),
        cmocka_unit_test(options_that_change_pixels_are_refused_with_what_to_do),
        cmocka_unit_test(a_face_that_can_be_recognised_is_told),
        cmocka_unit_test(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
