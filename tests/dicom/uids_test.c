#include "dicom/uids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_transfer_syntax_is_found_by_its_uid(void **state)
{
    (void)state;
    const struct vt_transfer_syntax *syntax;
    size_t count = 0;

    for (; (syntax = vt_transfer_syntax_at(count)) != NULL; count++) {
        assert_ptr_equal(vt_transfer_syntax_find(syntax->uid), syntax);
        assert_true(vt_uid_valid(syntax->uid));
    }
    assert_true(count > 45);
}

static void every_sop_class_is_found_by_its_uid(void **state)
{
    (void)state;
    const struct vt_sop_class *sop_class;
    size_t storage = 0;

    for (size_t i = 0; (sop_class = vt_sop_class_at(i)) != NULL; i++) {
        assert_ptr_equal(vt_sop_class_find(sop_class->uid), sop_class);
        assert_true(vt_uid_valid(sop_class->uid));
        assert_int_equal(sop_class->kind >= VT_SOP_FIND && sop_class->kind <= VT_SOP_GET,
                         sop_class->model != VT_MODEL_NONE);
        storage += sop_class->kind == VT_SOP_STORAGE;
    }
    assert_true(storage > 180);
}

static void what_is_not_known_is_not_found(void **state)
{
    (void)state;

    assert_null(vt_transfer_syntax_find("1.2.840.113619.5.2"));
    assert_null(vt_transfer_syntax_find(""));
    assert_null(vt_transfer_syntax_find("1.2.840.10008.1.2.4.94"));
    assert_null(vt_sop_class_find("1.2.3"));
    assert_null(vt_sop_class_find(""));
}

static void newer_syntaxes_than_the_toolkits_are_known(void **state)
{
    (void)state;
    static const char *const newer[] = {
        "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203",
        "1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112",
        "1.2.840.10008.1.2.8.1",
    };

    for (size_t i = 0; i < sizeof newer / sizeof newer[0]; i++) {
        const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(newer[i]);
        assert_non_null(syntax);
        assert_true(syntax->encapsulated);
        assert_int_equal(syntax->encoding, VT_EXPLICIT_LE);
    }
}

static void lossy_and_lossless_are_told_apart(void **state)
{
    (void)state;

    assert_true(vt_transfer_syntax_find("1.2.840.10008.1.2.4.70")->lossless);
    assert_false(vt_transfer_syntax_find("1.2.840.10008.1.2.4.50")->lossless);
    assert_true(vt_transfer_syntax_find("1.2.840.10008.1.2.4.90")->lossless);
    assert_false(vt_transfer_syntax_find("1.2.840.10008.1.2.4.91")->lossless);
    assert_true(vt_transfer_syntax_find(VT_UID_EXPLICIT_BE)->lossless);
    assert_true(vt_transfer_syntax_find("1.2.840.10008.1.2.4.102.1")->video);
    assert_int_equal(vt_transfer_syntax_find(VT_UID_DEFLATED_LE)->encoding, VT_DEFLATED_LE);
    assert_false(vt_transfer_syntax_find(VT_UID_DEFLATED_LE)->encapsulated);
}

static void the_named_classes_have_their_kinds(void **state)
{
    (void)state;

    assert_int_equal(vt_sop_class_find(VT_UID_VERIFICATION)->kind, VT_SOP_VERIFICATION);
    assert_int_equal(vt_sop_class_find(VT_UID_CT_IMAGE)->kind, VT_SOP_STORAGE);
    assert_int_equal(vt_sop_class_find(VT_UID_WHOLE_SLIDE)->kind, VT_SOP_STORAGE);
    assert_int_equal(vt_sop_class_find(VT_UID_STORAGE_COMMITMENT)->kind, VT_SOP_COMMITMENT);
    assert_int_equal(vt_sop_class_find("1.2.840.10008.5.1.4.31")->kind, VT_SOP_WORKLIST);
    assert_string_equal(vt_sop_class_find(VT_UID_CT_IMAGE)->name, "CT Image Storage");
}

static void models_lead_to_their_classes(void **state)
{
    (void)state;

    assert_string_equal(vt_sop_class_of_model(VT_SOP_FIND, VT_MODEL_PATIENT_ROOT),
                        "1.2.840.10008.5.1.4.1.2.1.1");
    assert_string_equal(vt_sop_class_of_model(VT_SOP_MOVE, VT_MODEL_STUDY_ROOT),
                        "1.2.840.10008.5.1.4.1.2.2.2");
    assert_string_equal(vt_sop_class_of_model(VT_SOP_GET, VT_MODEL_PATIENT_STUDY_ONLY),
                        "1.2.840.10008.5.1.4.1.2.3.3");
    assert_null(vt_sop_class_of_model(VT_SOP_STORAGE, VT_MODEL_STUDY_ROOT));
    assert_null(vt_sop_class_of_model(VT_SOP_FIND, VT_MODEL_NONE));
}

static void uids_are_judged_by_the_letter_and_by_use(void **state)
{
    (void)state;
    static const struct {
        const char *uid;
        bool valid, usable;
    } cases[] = {
        { "1.2.3", true, true },
        { "0.1", true, true },
        { "1.02.3", false, true },
        { "1..3", false, true },
        { ".1", false, true },
        { "1.", false, true },
        { "", false, false },
        { "1.2.a", false, false },
        { "1.2 ", false, false },
        { "1234567890123456789012345678901234567890123456789012345678901234", true, true },
        { "12345678901234567890123456789012345678901234567890123456789012345", false, false },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(vt_uid_valid(cases[i].uid), cases[i].valid);
        assert_int_equal(vt_uid_usable(cases[i].uid), cases[i].usable);
    }
}

static void fresh_uids_are_valid_and_differ(void **state)
{
    (void)state;
    char first[VT_UID_MAX + 1], second[VT_UID_MAX + 1];

    vt_uid_new(first);
    vt_uid_new(second);
    assert_true(vt_uid_valid(first));
    assert_memory_equal(first, "2.25.", 5);
    assert_string_not_equal(first, second);
}

static void derived_uids_are_the_same_each_time(void **state)
{
    (void)state;
    char first[VT_UID_MAX + 1], second[VT_UID_MAX + 1], other[VT_UID_MAX + 1];

    vt_uid_derive("slide 7, level 2", first);
    vt_uid_derive("slide 7, level 2", second);
    vt_uid_derive("slide 7, level 3", other);
    assert_true(vt_uid_valid(first));
    assert_string_equal(first, second);
    assert_string_not_equal(first, other);
}

static void titles_lose_outer_spaces_and_nothing_else(void **state)
{
    (void)state;
    char title[VT_AE_TITLE_MAX + 1] = "unchanged";

    assert_false(vt_ae_title_trim("SEVENTEEN-LETTERS", title));
    assert_false(vt_ae_title_trim("   ", title));
    assert_false(vt_ae_title_trim("A\\B", title));
    assert_false(vt_ae_title_trim("A\tB", title));
    assert_string_equal(title, "unchanged");
    assert_true(vt_ae_title_trim("  SIXTEEN LETTERS   ", title));
    assert_string_equal(title, "SIXTEEN LETTERS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_transfer_syntax_is_found_by_its_uid),
        cmocka_unit_test(every_sop_class_is_found_by_its_uid),
        cmocka_unit_test(what_is_not_known_is_not_found),
        cmocka_unit_test(newer_syntaxes_than_the_toolkits_are_known),
        cmocka_unit_test(lossy_and_lossless_are_told_apart),
        cmocka_unit_test(the_named_classes_have_their_kinds),
        cmocka_unit_test(models_lead_to_their_classes),
        cmocka_unit_test(uids_are_judged_by_the_letter_and_by_use),
        cmocka_unit_test(fresh_uids_are_valid_and_differ),
        cmocka_unit_test(derived_uids_are_the_same_each_time),
        cmocka_unit_test(titles_lose_outer_spaces_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
