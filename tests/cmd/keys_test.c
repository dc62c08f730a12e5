#include "cmd/cli_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"

enum { IDENTIFIER_MAX = 8192 };

static bool find(const struct vt_buf *identifier, uint32_t tag, char *text, size_t room)
{
    struct vt_element element;

    text[0] = '\0';
    if (!vt_element_find(identifier->data, identifier->size, VT_EXPLICIT_LE, tag, &element))
        return false;
    vt_element_text(&element, text, room);
    return true;
}

static void words_become_an_identifier_of_their_level(void **state)
{
    (void)state;
    static const char *const words[] = { "PatientID=17", "0008,0060=CT", "StudyDate" };
    VT_AUTO_BUF(identifier, IDENTIFIER_MAX);
    struct vt_err err = { 0 };
    char text[64];

    if (!vt_keys_identifier(VT_LEVEL_SERIES, words, 3, false, NULL, &identifier, &err))
        fail_msg("%s", err.text);
    assert_true(find(&identifier, VT_TAG_QUERY_RETRIEVE_LEVEL, text, sizeof text));
    assert_string_equal(text, "SERIES");
    assert_true(find(&identifier, VT_TAG_PATIENT_ID, text, sizeof text));
    assert_string_equal(text, "17");
    assert_true(find(&identifier, VT_TAG_MODALITY, text, sizeof text));
    assert_string_equal(text, "CT");
    assert_true(find(&identifier, VT_TAG_STUDY_DATE, text, sizeof text));
    assert_string_equal(text, "");
    assert_false(find(&identifier, VT_TAG_SPECIFIC_CHARACTER_SET, text, sizeof text));
    assert_false(find(&identifier, VT_TAG_SERIES_INSTANCE_UID, text, sizeof text));
}

static void the_usual_keys_do_not_overwrite_what_was_named(void **state)
{
    (void)state;
    static const char *const words[] = { "00100020=17" };
    VT_AUTO_BUF(identifier, IDENTIFIER_MAX);
    struct vt_err err = { 0 };
    char text[64];

    assert_true(vt_keys_identifier(VT_LEVEL_STUDY, words, 1, true, NULL, &identifier, &err));
    assert_true(find(&identifier, VT_TAG_PATIENT_ID, text, sizeof text));
    assert_string_equal(text, "17");
    assert_true(find(&identifier, VT_TAG_STUDY_INSTANCE_UID, text, sizeof text));
}

static void names_are_written_in_the_peers_character_set_when_it_has_them(void **state)
{
    (void)state;
    static const char *const german[] = { "PatientName=M\xc3\xbcller*" };
    static const char *const japanese[] = { "PatientName=\xe5\xb1\xb1*" };
    VT_AUTO_BUF(identifier, IDENTIFIER_MAX);
    struct vt_err err = { 0 };
    char text[64];

    assert_true(
        vt_keys_identifier(VT_LEVEL_STUDY, german, 1, false, "ISO_IR 100", &identifier, &err));
    assert_true(find(&identifier, VT_TAG_SPECIFIC_CHARACTER_SET, text, sizeof text));
    assert_string_equal(text, "ISO_IR 100");
    assert_true(find(&identifier, VT_TAG_PATIENT_NAME, text, sizeof text));
    assert_string_equal(text, "M\xfcller*");

    vt_buf_reset(&identifier);
    assert_true(
        vt_keys_identifier(VT_LEVEL_STUDY, japanese, 1, false, "ISO_IR 100", &identifier, &err));
    assert_true(find(&identifier, VT_TAG_SPECIFIC_CHARACTER_SET, text, sizeof text));
    assert_string_equal(text, "ISO_IR 192");
    assert_true(find(&identifier, VT_TAG_PATIENT_NAME, text, sizeof text));
    assert_string_equal(text, "\xe5\xb1\xb1*");
}

static void a_word_that_is_no_key_is_named(void **state)
{
    (void)state;
    static const char *const words[] = { "Nonsense=1" }, *const group[] = { "0002,0010=1" };
    VT_AUTO_BUF(identifier, IDENTIFIER_MAX);
    struct vt_err err = { 0 };

    assert_false(vt_keys_identifier(VT_LEVEL_STUDY, words, 1, false, NULL, &identifier, &err));
    assert_int_equal(err.code, VT_E_INVALID);
    assert_non_null(strstr(err.text, "Nonsense"));
    vt_err_clear(&err);
    assert_false(vt_keys_identifier(VT_LEVEL_STUDY, group, 1, false, NULL, &identifier, &err));
    assert_int_equal(err.code, VT_E_INVALID);
}

static void only_plain_unique_keys_are_asked_for_directly(void **state)
{
    (void)state;
    static const char *const study[] = { "StudyInstanceUID=1.2", "PatientID=5" };
    static const char *const image[] = { "0020,000D=1.2", "SeriesInstanceUID=1.3",
                                         "SOPInstanceUID=1.4" };
    static const char *const wild[] = { "PatientID=5*" }, *const other[] = { "PatientID=5",
                                                                             "Modality=CT" };
    static const char *const empty[] = { "StudyInstanceUID=" };
    enum vt_level level = VT_LEVEL_PATIENT;

    assert_true(vt_keys_are_unique(study, 2, &level));
    assert_int_equal(level, VT_LEVEL_STUDY);
    assert_true(vt_keys_are_unique(image, 3, &level));
    assert_int_equal(level, VT_LEVEL_IMAGE);
    assert_false(vt_keys_are_unique(wild, 1, &level));
    assert_false(vt_keys_are_unique(other, 2, &level));
    assert_false(vt_keys_are_unique(empty, 1, &level));
    assert_false(vt_keys_are_unique(NULL, 0, &level));
}

static int load_dictionary(void **state)
{
    struct vt_err err = { 0 };

    (void)state;
    return vt_dict_load(&err) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_become_an_identifier_of_their_level),
        cmocka_unit_test(the_usual_keys_do_not_overwrite_what_was_named),
        cmocka_unit_test(names_are_written_in_the_peers_character_set_when_it_has_them),
        cmocka_unit_test(a_word_that_is_no_key_is_named),
        cmocka_unit_test(only_plain_unique_keys_are_asked_for_directly),
    };

    return cmocka_run_group_tests(tests, load_dictionary, NULL);
}
