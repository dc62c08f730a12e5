/* De-identification by PS3.15 Annex E: what stays, what goes, and what it becomes. */
#include "tests/media/deidentified.h"
#include "tests/support/torture.h"

/* A CT of Mary Jones, with something of every kind. */
static void write_mary(struct vt_buf *buf)
{
    vt_buf_reset(buf);
    put(buf, 0x00080016, "UI", VT_UID_CT_IMAGE);
    put(buf, 0x00080018, "UI", "1.2.826.1.3");
    put(buf, 0x00080020, "DA", "20200301");
    put(buf, 0x00080030, "TM", "101112");
    put(buf, 0x00080050, "SH", "ACC4711");
    put(buf, 0x00080060, "CS", "CT");
    put(buf, 0x00080080, "LO", "Saint Elsewhere");
    put(buf, 0x00080090, "PN", "Doctor^Who");
    put(buf, 0x00081010, "SH", "STATION7");
    put(buf, 0x00081030, "LO", "Thorax of Jones 12345678 again");
    put_sequence(buf, 0x00081140);
    put(buf, 0x00081150, "UI", VT_UID_CT_IMAGE);
    put(buf, 0x00081155, "UI", "1.2.826.1.4");
    end_sequence(buf);
    put(buf, 0x00090010, "LO", "ACME 1.0");
    put(buf, 0x00091001, "LO", "Mary Jones in private");
    put(buf, 0x00100010, "PN", "Jones^Mary");
    put(buf, 0x00100020, "LO", "PID0815");
    put(buf, 0x00100030, "DA", "19501224");
    put(buf, 0x00100040, "CS", "F");
    put(buf, 0x00101010, "AS", "069Y");
    put(buf, 0x00180050, "DS", "1.5");
    put(buf, 0x00190010, "LO", "SIEMENS MR HEADER");
    put(buf, 0x0019100c, "IS", "800");
    put(buf, 0x00191010, "LO", "Mary once more");
    put(buf, 0x0020000d, "UI", "1.2.826.1.1");
    put(buf, 0x0020000e, "UI", "1.2.826.1.2");
    put(buf, 0x00200010, "SH", "STUDY9");
    put(buf, 0x00200052, "UI", "1.2.826.1.5");
    put_sequence(buf, 0x0040a730);
    put_sequence(buf, 0x0040a168);
    put(buf, 0x00080100, "SH", "111");
    put(buf, 0x00080102, "SH", "DCM");
    put(buf, 0x00080104, "LO", "A public code");
    end_sequence(buf);
    put(buf, 0x0040a160, "UT", "Mary Jones is well");
    end_sequence(buf);
    put(buf, 0x60003000, "OB", "overlay of Mary");
}

static void the_basic_profile_leaves_nothing_that_says_who(void **state)
{
    static const char *const gone[] = { "Jones", "Mary", "PID0815", "19501224", "ACC4711", "Elsewhere", "Who", "STATION7",
                                        "20200301", "101112", "1.2.826.1", "069Y", "STUDY9", "ACME", "SIEMENS", "12345678" };
    VT_AUTO_BUF(in, DATA_MAX);
    VT_AUTO_BUF(out, DATA_MAX);
    struct vt_err err = { 0 };

    (void)state;
    write_mary(&in);
    assert_true(run("basic", &in, &out, &err));
    assert_gone(&out, gone, VT_COUNT(gone));
    assert_true(contains(&out, "A public code"));
    EXPECT(0x00080016, VT_UID_CT_IMAGE);
    EXPECT(0x00080050, "");
    EXPECT(0x00080080, "REMOVED");
    EXPECT(0x00100040, "");
    EXPECT(0x00101010, "(none)");
    EXPECT(0x00180050, "1.5");
    EXPECT(0x00120062, "YES");
    EXPECT(0x00280303, "REMOVED");
    assert_true(vt_element_check(out.data, out.size, VT_EXPLICIT_LE, &VT_ELEMENT_LIMITS_DEFAULT, &err));
}

static void the_same_uid_becomes_the_same_uid(void **state)
{
    const struct vt_deid_words words = { "basic", NULL, NULL, NULL };
    struct vt_err err = { 0 };
    VT_AUTO(vt_deid) deid = vt_deid_new(&words, &err);
    VT_AUTO(vt_deid) other = vt_deid_new(&words, &err);
    char first[VT_UID_MAX + 1], again[VT_UID_MAX + 1], elsewhere[VT_UID_MAX + 1];

    (void)state;
    vt_deid_uid(deid, "1.2.3", first);
    vt_deid_uid(deid, "1.2.3", again);
    vt_deid_uid(other, "1.2.3", elsewhere);
    assert_true(vt_uid_valid(first));
    assert_string_equal(first, again);
    assert_string_not_equal(first, elsewhere);
    vt_deid_uid(deid, "1.2.840.10008.1.4.1.1", again);
    assert_string_equal(again, "1.2.840.10008.1.4.1.1");
}

static void options_keep_what_they_name(void **state)
{
    VT_AUTO_BUF(in, DATA_MAX);
    VT_AUTO_BUF(out, DATA_MAX);
    struct vt_err err = { 0 };

    (void)state;
    write_mary(&in);
    assert_true(run("basic,retain-dates,retain-uids,retain-device,retain-institution,retain-patient", &in, &out, &err));
    EXPECT(0x00080020, "20200301");
    EXPECT(0x00080030, "101112");
    EXPECT(0x00280303, "UNMODIFIED");
    EXPECT(0x00080018, "1.2.826.1.3");
    EXPECT(0x00081010, "STATION7");
    EXPECT(0x00080080, "Saint Elsewhere");
    EXPECT(0x00100040, "F");
    EXPECT(0x00101010, "069Y");
    EXPECT(0x00100030, "");
    assert_false(contains(&out, "Jones"));
    assert_true(run("basic,retain-private", &in, &out, &err));
    EXPECT(0x00190010, "SIEMENS MR HEADER");
    EXPECT(0x0019100c, "800");
    EXPECT(0x00191010, "(none)");
    EXPECT(0x00090010, "(none)");
}

static void modified_dates_keep_their_distance(void **state)
{
    VT_AUTO_BUF(in, DATA_MAX);
    VT_AUTO_BUF(out, DATA_MAX);
    struct vt_err err = { 0 };
    char first[65], second[65];

    (void)state;
    write_mary(&in);
    assert_true(run("basic,modify-dates", &in, &out, &err));
    value(&out, 0x00080020, first);
    EXPECT(0x00080030, "101112");
    EXPECT(0x00280303, "MODIFIED");
    assert_int_equal(strlen(first), 8);
    assert_string_not_equal(first, "20200301");
    uint8_t *day = memmem(in.data, in.size, "20200301", 8);
    memcpy(day, "20200302", 8);
    assert_true(run("basic,modify-dates", &in, &out, &err));
    value(&out, 0x00080020, second);
    /* One day later, unless a month ends between them. */
    assert_true(second[7] == first[7] + 1 || second[7] == '0' || strcmp(second + 6, "01") == 0);
}

static void cleaned_descriptors_lose_names_and_numbers(void **state)
{
    VT_AUTO_BUF(in, DATA_MAX);
    VT_AUTO_BUF(out, DATA_MAX);
    struct vt_err err = { 0 };

    (void)state;
    write_mary(&in);
    assert_true(run("basic,clean-descriptors", &in, &out, &err));
    EXPECT(0x00081030, "Thorax of * * again");
}

static void given_names_stand_for_one_patient(void **state)
{
    const struct vt_deid_words words = { "basic", "Trial^One", "T1", NULL };
    struct vt_err err = { 0 };
    VT_AUTO(vt_deid) deid = vt_deid_new(&words, &err);
    VT_AUTO_BUF(in, DATA_MAX);
    VT_AUTO_BUF(out, DATA_MAX);

    (void)state;
    write_mary(&in);
    assert_true(vt_deid_run(deid, in.data, in.size, VT_EXPLICIT_LE, &out, &err));
    EXPECT(0x00100010, "Trial^One");
    EXPECT(0x00100020, "T1");
    memcpy(memmem(in.data, in.size, "PID0815", 7), "PID0816", 7);
    assert_false(vt_deid_run(deid, in.data, in.size, VT_EXPLICIT_LE, &out, &err));
    assert_int_equal(err.code, VT_E_EXISTS);
}

static void what_cannot_be_cleaned_does_not_go(void **state)
{
    static const struct {
        const char *sop_class, *burned, *type;
        bool allowed, warned, silent;
    } list[] = {
        { VT_UID_CT_IMAGE, NULL, "ORIGINAL\\PRIMARY\\AXIAL", true, false, false },
        { VT_UID_CT_IMAGE, "YES", "ORIGINAL\\PRIMARY\\AXIAL", false, false, false },
        { "1.2.840.10008.5.1.4.1.1.7", NULL, "DERIVED\\SECONDARY", true, true, false },
        { "1.2.840.10008.5.1.4.1.1.7", "NO", "DERIVED\\SECONDARY", true, false, false },
        { "1.2.840.10008.5.1.4.1.1.66", NULL, "", false, false, true },
        { VT_UID_WHOLE_SLIDE, "YES", "ORIGINAL\\PRIMARY\\LABEL\\NONE", false, false, true },
    };
    const struct vt_deid_words words = { "basic", NULL, NULL, NULL };
    struct vt_err err = { 0 };
    VT_AUTO(vt_deid) deid = vt_deid_new(&words, &err);
    VT_AUTO_BUF(in, DATA_MAX);
    const char *why, *warning;

    (void)state;
    for (size_t i = 0; i < VT_COUNT(list); i++) {
        vt_buf_reset(&in);
        put(&in, 0x00080008, "CS", list[i].type);
        put(&in, 0x00080016, "UI", list[i].sop_class);
        if (list[i].burned)
            put(&in, 0x00280301, "CS", list[i].burned);
        assert_int_equal(vt_deid_allows(deid, in.data, in.size, VT_EXPLICIT_LE, &why, &warning), list[i].allowed);
        assert_int_equal(warning != NULL, list[i].warned);
        assert_int_equal(why == NULL, list[i].allowed || list[i].silent);
    }
}

static void a_word_nobody_knows_is_refused(void **state)
{
    VT_AUTO_BUF(in, DATA_MAX);
    VT_AUTO_BUF(out, DATA_MAX);
    struct vt_err err = { 0 };

    (void)state;
    write_mary(&in);
    assert_false(run("basic,retain-everything", &in, &out, &err));
    assert_int_equal(err.code, VT_E_INVALID);
    err = (struct vt_err){ 0 };
    assert_false(run("basic,retain-dates,modify-dates", &in, &out, &err));
    err = (struct vt_err){ 0 };
    assert_false(run("retain-dates", &in, &out, &err));
}

static void the_table_ascends(void **state)
{
    const struct vt_deid_rule *rule, *last = NULL;

    (void)state;
    for (size_t i = 0; (rule = vt_deid_rule_at(i)); last = rule, i++) {
        assert_true(!last || last->tag < rule->tag);
        assert_non_null(strchr("XZDUER", rule->action));
        assert_ptr_equal(vt_deid_rule_find(rule->tag), rule);
    }
    assert_null(vt_deid_rule_find(0x00280010));
}

static bool work(void *context, struct vt_err *err)
{
    VT_AUTO_BUF(out, DATA_MAX);

    return run("basic,modify-dates,clean-descriptors,retain-private", context, &out, err);
}

static void each_allocation_may_fail(void **state)
{
    VT_AUTO_BUF(in, DATA_MAX);

    (void)state;
    write_mary(&in);
    vt_torture(work, &in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_basic_profile_leaves_nothing_that_says_who),
        cmocka_unit_test(the_same_uid_becomes_the_same_uid),
        cmocka_unit_test(options_keep_what_they_name),
        cmocka_unit_test(modified_dates_keep_their_distance),
        cmocka_unit_test(cleaned_descriptors_lose_names_and_numbers),
        cmocka_unit_test(given_names_stand_for_one_patient),
        cmocka_unit_test(what_cannot_be_cleaned_does_not_go),
        cmocka_unit_test(a_word_nobody_knows_is_refused),
        cmocka_unit_test(the_table_ascends),
        cmocka_unit_test(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
