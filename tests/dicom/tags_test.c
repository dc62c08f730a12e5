#include "dicom/tags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/auto.h"

static void tags_have_the_vr_of_the_standard(void **state)
{
    (void)state;
    static const struct {
        uint32_t tag;
        const char *vr;
    } cases[] = {
        { VT_TAG_PATIENT_NAME, "PN" },      { VT_TAG_SOP_INSTANCE_UID, "UI" },
        { VT_TAG_ROWS, "US" },              { VT_TAG_PIXEL_DATA, "OW" },
        { 0x00280106, "US" },               { VT_TAG_REQUEST_ATTRIBUTES_SEQUENCE, "SQ" },
        { 0x00080000, "UL" },               { 0x00090010, "LO" },
        { 0x00091001, "UN" },               { 0x0008ffff, "UN" },
        { 0x60003000, "OW" },               { 0x60023000, "OW" },
        { 0x60020010, "US" },               { 0x60030010, "LO" },
        { 0x50020005, "US" },               { 0x00203102, "CS" },
        { UINT32_C(0x7fe00001), "OV" },
        { VT_TAG_ITEM, "UN" },
    };

    for (size_t i = 0; i < VT_COUNT(cases); i++)
        assert_string_equal(vt_dict_vr(cases[i].tag), cases[i].vr);
}

static void keywords_lead_to_tags_and_back_in_any_case(void **state)
{
    (void)state;
    uint32_t tag = 0;

    assert_string_equal(vt_dict_keyword(VT_TAG_PATIENT_NAME), "PatientName");
    assert_string_equal(vt_dict_keyword(0x60020010), "OverlayRows");
    assert_null(vt_dict_keyword(0x00091001));
    assert_true(vt_dict_tag("patientname", &tag));
    assert_int_equal(tag, VT_TAG_PATIENT_NAME);
    assert_true(vt_dict_tag("StudyInstanceUID", &tag));
    assert_int_equal(tag, VT_TAG_STUDY_INSTANCE_UID);
}

static void retired_keywords_are_known_by_their_plain_name(void **state)
{
    (void)state;
    uint32_t tag = 0;

    assert_true(vt_dict_tag("OtherPatientIDs", &tag));
    assert_int_equal(tag, 0x00101000);
}

static void numbers_are_read_in_three_forms(void **state)
{
    (void)state;
    static const char *const forms[] = { "0010,0010", "(0010,0010)", "00100010" };

    for (size_t i = 0; i < VT_COUNT(forms); i++) {
        uint32_t tag = 0;
        assert_true(vt_dict_tag(forms[i], &tag));
        assert_int_equal(tag, VT_TAG_PATIENT_NAME);
    }
}

static void what_is_no_tag_is_refused_and_leaves_the_output(void **state)
{
    (void)state;
    static const char *const forms[] = { "", "(", "(0010", "0010,001", "(0010,0010", "00100010x",
                                         "NoSuchKeyword", "(00100010)", "0010,00100" };

    for (size_t i = 0; i < VT_COUNT(forms); i++) {
        uint32_t tag = 7;
        assert_false(vt_dict_tag(forms[i], &tag));
        assert_int_equal(tag, 7);
    }
}

/* The names in the header are ours; the dictionary must mean the same by them. */
static void the_named_tags_agree_with_the_dictionary(void **state)
{
    (void)state;
    static const struct {
        uint32_t tag;
        const char *keyword;
    } cases[] = {
        { VT_TAG_SPECIFIC_CHARACTER_SET, "SpecificCharacterSet" },
        { VT_TAG_PPS_START_DATE, "PerformedProcedureStepStartDate" },
        { VT_TAG_MODALITIES_IN_STUDY, "ModalitiesInStudy" },
        { VT_TAG_CONTAINER_IDENTIFIER, "ContainerIdentifier" },
        { VT_TAG_NUMBER_OF_FRAMES, "NumberOfFrames" },
        { VT_TAG_STUDY_RELATED_INSTANCES, "NumberOfStudyRelatedInstances" },
        { VT_TAG_FAILED_SOP_INSTANCE_UID_LIST, "FailedSOPInstanceUIDList" },
        { VT_TAG_FILE_SET_UID, "StorageMediaFileSetUID" },
        { VT_TAG_FLOAT_PIXEL_DATA, "FloatPixelData" },
        { VT_TAG_DOUBLE_PIXEL_DATA, "DoubleFloatPixelData" },
    };

    for (size_t i = 0; i < VT_COUNT(cases); i++)
        assert_string_equal(vt_dict_keyword(cases[i].tag), cases[i].keyword);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_have_the_vr_of_the_standard),
        cmocka_unit_test(keywords_lead_to_tags_and_back_in_any_case),
        cmocka_unit_test(retired_keywords_are_known_by_their_plain_name),
        cmocka_unit_test(numbers_are_read_in_three_forms),
        cmocka_unit_test(what_is_no_tag_is_refused_and_leaves_the_output),
        cmocka_unit_test(the_named_tags_agree_with_the_dictionary),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
