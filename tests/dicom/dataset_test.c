#include "dicom/dataset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/header.h"

enum { ROOM = 16 << 20 };

static void put(struct vt_dataset *data_set, const char *path, const char *value)
{
    struct vt_err err = { 0 };

    if (!vt_dataset_put(data_set, path, value, &err))
        fail_msg("%s: %s", path, err.text);
}

static void assert_value(struct vt_dataset *data_set, const char *path, const char *value)
{
    VT_AUTO_BUF(buf, ROOM);
    struct vt_err err = { 0 };
    bool there = false;

    assert_true(vt_dataset_get(data_set, path, &buf, &there, &err));
    assert_true(there);
    assert_string_equal(vt_buf_string(&buf, &err), value);
}

static struct vt_dataset *encode_and_parse(struct vt_dataset *data_set, const char *syntax)
{
    VT_AUTO_BUF(bytes, ROOM);
    struct vt_err err = { 0 };

    if (!vt_dataset_encode(data_set, syntax, &bytes, &err))
        fail_msg("%s: %s", syntax, err.text);
    struct vt_dataset *parsed = vt_dataset_parse(bytes.data, bytes.size, syntax, &err);
    if (!parsed)
        fail_msg("%s: %s", syntax, err.text);
    return parsed;
}

static struct vt_dataset *sample(void)
{
    struct vt_dataset *data_set = vt_dataset_new();

    put(data_set, "SOPClassUID", VT_UID_CT_IMAGE);
    put(data_set, "SOPInstanceUID", "1.2.3.4");
    put(data_set, "PatientName", "Müller^Jürgen=山田^太郎");
    put(data_set, "PatientID", "A-1");
    put(data_set, "Rows", "2");
    put(data_set, "PixelSpacing", "0.50\\0.25");
    put(data_set, "InstanceNumber", "+7");
    put(data_set, "ImageType", "ORIGINAL\\PRIMARY\\\\X");
    put(data_set, "FrameIncrementPointer", "(0018,1063)");
    put(data_set, "RequestAttributesSequence[1].ScheduledProcedureStepID", "S1");
    return data_set;
}

static void what_was_put_is_got_in_every_encoding(void **state)
{
    (void)state;
    static const char *const syntaxes[] = { VT_UID_IMPLICIT_LE, VT_UID_EXPLICIT_LE, VT_UID_EXPLICIT_BE,
                                            VT_UID_DEFLATED_LE };

    for (size_t i = 0; i < VT_COUNT(syntaxes); i++) {
        VT_AUTO(vt_dataset) made = sample();
        VT_AUTO(vt_dataset) read = encode_and_parse(made, syntaxes[i]);
        assert_value(read, "PatientName", "Müller^Jürgen=山田^太郎");
        assert_value(read, "0010,0020", "A-1");
        assert_value(read, "Rows", "2");
        assert_value(read, "PixelSpacing", "0.50\\0.25");
        assert_value(read, "RequestAttributesSequence[1].ScheduledProcedureStepID", "S1");
        assert_value(read, "SpecificCharacterSet", "ISO_IR 192");
    }
}

static void what_is_not_there_is_an_answer(void **state)
{
    (void)state;
    static const char *const paths[] = { "StudyInstanceUID", "RequestAttributesSequence[7].PatientID",
                                         "ReferencedStudySequence[0].PatientID" };
    VT_AUTO(vt_dataset) data_set = sample();

    for (size_t i = 0; i < VT_COUNT(paths); i++) {
        VT_AUTO_BUF(buf, ROOM);
        struct vt_err err = { 0 };
        bool there = true;
        assert_true(vt_dataset_get(data_set, paths[i], &buf, &there, &err));
        assert_false(there);
        assert_int_equal(buf.size, 0);
    }
}

static void a_path_that_means_nothing_is_refused(void **state)
{
    (void)state;
    static const char *const paths[] = { "", "Nonsense", "RequestAttributesSequence[0]", "Rows.", "[0]",
                                         "RequestAttributesSequence[x].PatientID", "Rows.PatientID",
                                         "RequestAttributesSequence[99999999].PatientID",
                                         "RequestAttributesSequence[0]." };
    VT_AUTO(vt_dataset) data_set = sample();

    for (size_t i = 0; i < VT_COUNT(paths); i++) {
        struct vt_err err = { 0 };
        assert_false(vt_dataset_put(data_set, paths[i], "1", &err));
        assert_int_equal(err.code, VT_E_INVALID);
    }
}

static void a_character_set_that_is_there_is_kept(void **state)
{
    (void)state;
    VT_AUTO(vt_dataset) data_set = vt_dataset_new();
    struct vt_err err = { 0 };
    VT_AUTO_BUF(bytes, ROOM);
    struct vt_element name;

    put(data_set, "SpecificCharacterSet", "ISO_IR 100");
    put(data_set, "PatientName", "Müller");
    assert_value(data_set, "PatientName", "Müller");
    assert_false(vt_dataset_put(data_set, "PatientName", "山田", &err));
    assert_true(vt_dataset_encode(data_set, VT_UID_EXPLICIT_LE, &bytes, &err));
    assert_true(vt_element_find(bytes.data, bytes.size, VT_EXPLICIT_LE, VT_TAG_PATIENT_NAME, &name));
    assert_int_equal(name.length, 6);
    assert_memory_equal(name.value, "M\xfcller", 6);
}

static void elements_can_be_removed_once(void **state)
{
    (void)state;
    VT_AUTO(vt_dataset) data_set = sample();
    struct vt_err err = { 0 };

    assert_true(vt_dataset_remove(data_set, "RequestAttributesSequence[1].ScheduledProcedureStepID", &err));
    assert_true(vt_dataset_remove(data_set, "PatientID", &err));
    assert_false(vt_dataset_remove(data_set, "PatientID", &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
}

static void bytes_are_put_as_they_are(void **state)
{
    (void)state;
    static const uint16_t pixels[] = { 1, 2, 3, 0x1234 };
    VT_AUTO(vt_dataset) data_set = sample();
    struct vt_err err = { 0 };
    VT_AUTO_BUF(bytes, ROOM);
    struct vt_element element;

    assert_true(vt_dataset_put_bytes(data_set, VT_TAG_PIXEL_DATA, "OW", pixels, sizeof pixels, &err));
    assert_true(vt_dataset_put_bytes(data_set, 0x00090010, "LO", "VITRINE", 7, &err));
    assert_true(vt_dataset_put_bytes(data_set, 0x00091001, "UN", "abc", 3, &err));
    assert_true(vt_dataset_encode(data_set, VT_UID_EXPLICIT_BE, &bytes, &err));
    assert_true(vt_element_find(bytes.data, bytes.size, VT_EXPLICIT_BE, VT_TAG_PIXEL_DATA, &element));
    assert_int_equal(element.length, sizeof pixels);
    assert_memory_equal(element.value, "\0\1\0\2\0\3\x12\x34", 8);
    assert_true(vt_element_find(bytes.data, bytes.size, VT_EXPLICIT_BE, 0x00091001, &element));
}

static json_t *json_of(struct vt_dataset *data_set, uint64_t above, const char *prefix)
{
    VT_AUTO_BUF(buf, ROOM);
    struct vt_err err = { 0 };
    json_error_t problem;

    if (!vt_dataset_json(data_set, above, prefix, &buf, &err))
        fail_msg("%s", err.text);
    json_t *root = json_loadb((const char *)buf.data, buf.size, 0, &problem);
    if (!root)
        fail_msg("%s in %.*s", problem.text, (int)buf.size, (const char *)buf.data);
    return root;
}

static const char *string_at(json_t *root, const char *tag, size_t i)
{
    return json_string_value(json_array_get(json_object_get(json_object_get(root, tag), "Value"), i));
}

static void json_follows_the_model_of_the_standard(void **state)
{
    (void)state;
    VT_AUTO(vt_dataset) data_set = sample();
    struct vt_err err = { 0 };

    assert_true(vt_dataset_put_bytes(data_set, 0x00091001, "UN", "abcd", 4, &err));
    put(data_set, "StudyID", "");
    json_t *root = json_of(data_set, 1000, NULL);
    json_t *name = json_array_get(json_object_get(json_object_get(root, "00100010"), "Value"), 0);
    assert_string_equal(json_string_value(json_object_get(name, "Alphabetic")), "Müller^Jürgen");
    assert_string_equal(json_string_value(json_object_get(name, "Ideographic")), "山田^太郎");
    assert_null(json_object_get(name, "Phonetic"));
    assert_string_equal(json_string_value(json_object_get(json_object_get(root, "00100010"), "vr")), "PN");
    assert_string_equal(string_at(root, "00080005", 0), "ISO_IR 192");
    json_t *rows = json_object_get(json_object_get(root, "00280010"), "Value");
    assert_int_equal(json_integer_value(json_array_get(rows, 0)), 2);
    json_t *spacing = json_object_get(json_object_get(root, "00280030"), "Value");
    assert_true(json_real_value(json_array_get(spacing, 1)) == 0.25);
    json_t *number = json_object_get(json_object_get(root, "00200013"), "Value");
    assert_int_equal(json_number_value(json_array_get(number, 0)), 7);
    assert_string_equal(string_at(root, "00080008", 1), "PRIMARY");
    assert_true(json_is_null(json_array_get(json_object_get(json_object_get(root, "00080008"), "Value"), 2)));
    assert_string_equal(string_at(root, "00280009", 0), "00181063");
    assert_string_equal(json_string_value(json_object_get(json_object_get(root, "00091001"), "InlineBinary")),
                        "YWJjZA==");
    assert_null(json_object_get(json_object_get(root, "00200010"), "Value"));
    json_t *items = json_object_get(json_object_get(root, "00400275"), "Value");
    assert_int_equal(json_array_size(items), 2);
    assert_int_equal(json_object_size(json_array_get(items, 0)), 0);
    assert_string_equal(string_at(json_array_get(items, 1), "00400009", 0), "S1");
    json_decref(root);
}

static void base64_is_padded_by_what_is_missing(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *text;
    } cases[] = { { "ab", "YWI=" }, { "abcd", "YWJjZA==" }, { "abcdef", "YWJjZGVm" } };

    for (size_t i = 0; i < VT_COUNT(cases); i++) {
        VT_AUTO(vt_dataset) data_set = vt_dataset_new();
        struct vt_err err = { 0 };
        assert_true(vt_dataset_put_bytes(data_set, 0x00420011, "OB", cases[i].bytes, strlen(cases[i].bytes), &err));
        json_t *root = json_of(data_set, 1000, NULL);
        assert_string_equal(json_string_value(json_object_get(json_object_get(root, "00420011"), "InlineBinary")),
                            cases[i].text);
        json_decref(root);
    }
}

static void json_escapes_what_json_cannot_hold(void **state)
{
    (void)state;
    VT_AUTO(vt_dataset) data_set = vt_dataset_new();

    put(data_set, "ImageComments", "a\"b\\c\r\n\x01");
    json_t *root = json_of(data_set, 1000, NULL);
    assert_string_equal(string_at(root, "00204000", 0), "a\"b\\c\r\n\x01");
    json_decref(root);
}

static void long_values_become_bulk_data_or_are_left_out(void **state)
{
    (void)state;
    static const uint8_t many[2000];
    VT_AUTO(vt_dataset) data_set = sample();
    struct vt_err err = { 0 };

    assert_true(vt_dataset_put_bytes(data_set, VT_TAG_PIXEL_DATA, "OW", many, sizeof many, &err));
    put(data_set, "ReferencedImageSequence[0].PatientComments", "short");
    json_t *with = json_of(data_set, 1000, "http://x/bulk/");
    json_t *without = json_of(data_set, 1000, NULL);
    assert_string_equal(json_string_value(json_object_get(json_object_get(with, "7FE00010"), "BulkDataURI")),
                        "http://x/bulk/7FE00010");
    assert_null(json_object_get(without, "7FE00010"));
    json_decref(with);
    json_decref(without);
    with = json_of(data_set, 1, "b/");
    json_t *item = json_array_get(json_object_get(json_object_get(with, "00400275"), "Value"), 1);
    assert_string_equal(json_string_value(json_object_get(json_object_get(item, "00400009"), "BulkDataURI")),
                        "b/00400275/2/00400009");
    json_decref(with);
}

static void a_file_is_saved_once_and_loaded(void **state)
{
    (void)state;
    char path[] = "/tmp/vt-dataset-XXXXXX", other[64];
    static const uint8_t many[20000] = { 1, 2, 3 };
    VT_AUTO(vt_dataset) data_set = sample();
    struct vt_err err = { 0 };
    VT_AUTO_BUF(bytes, ROOM);
    struct vt_element pixels;

    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_true(vt_dataset_put_bytes(data_set, VT_TAG_PIXEL_DATA, "OW", many, sizeof many, &err));
    assert_false(vt_dataset_save(data_set, path, VT_UID_EXPLICIT_LE, &err));
    assert_int_equal(err.code, VT_E_EXISTS);
    snprintf(other, sizeof other, "%s.dcm", path);
    assert_true(vt_dataset_save(data_set, other, VT_UID_EXPLICIT_LE, &err));
    VT_AUTO(vt_dataset) loaded = vt_dataset_load(other, false, &err);
    VT_AUTO(vt_dataset) head = vt_dataset_load(other, true, &err);
    assert_non_null(loaded);
    assert_non_null(head);
    unlink(path);
    assert_value(loaded, "PatientID", "A-1");
    assert_value(head, "PatientID", "A-1");
    assert_true(vt_dataset_encode(loaded, VT_UID_EXPLICIT_LE, &bytes, &err));
    assert_true(vt_element_find(bytes.data, bytes.size, VT_EXPLICIT_LE, VT_TAG_PIXEL_DATA, &pixels));
    assert_memory_equal(pixels.value, many, sizeof many);
    vt_buf_reset(&bytes);
    assert_true(vt_dataset_encode(head, VT_UID_EXPLICIT_LE, &bytes, &err));
    assert_false(vt_element_find(bytes.data, bytes.size, VT_EXPLICIT_LE, VT_TAG_PIXEL_DATA, &pixels));
    unlink(other);
}

static void hostile_bytes_never_reach_the_toolkit(void **state)
{
    (void)state;
    static uint8_t nested[6000 * 20];
    static const uint8_t level[20] = { 0x40, 0, 0x30, 0xa7, 'S', 'Q', 0, 0, 0xff, 0xff, 0xff, 0xff,
                                       0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff, 0xff };
    static const uint8_t huge[15] = { 0x10, 0, 0x20, 0, 'U', 'T', 0, 0, 0xf0, 0xff, 0xff, 0xff, 'a', 'b', 'c' };
    struct vt_err err = { 0 };

    for (size_t i = 0; i < sizeof nested; i += sizeof level)
        memcpy(nested + i, level, sizeof level);
    assert_null(vt_dataset_parse(nested, sizeof nested, VT_UID_EXPLICIT_LE, &err));
    assert_int_equal(err.dimse_status, 0xc006);
    assert_null(vt_dataset_parse(huge, sizeof huge, VT_UID_EXPLICIT_LE, &err));
    assert_int_equal(err.dimse_status, 0xc007);
    assert_null(vt_dataset_parse(huge, sizeof huge, "1.2.3.4", &err));
    assert_int_equal(err.code, VT_E_UNSUPPORTED);
    assert_null(vt_dataset_parse(huge, sizeof huge, VT_UID_DEFLATED_LE, &err));
}

static void fragments_survive_under_a_syntax_the_toolkit_does_not_know(void **state)
{
    (void)state;
    static const char htj2k[] = "1.2.840.10008.1.2.4.201";
    const void *frames[] = { "first frame!", "second" };
    const size_t sizes[] = { 12, 6 };
    VT_AUTO(vt_dataset) data_set = sample();
    VT_AUTO(vt_header) header = vt_header_new();
    VT_AUTO_BUF(bytes, ROOM);
    struct vt_err err = { 0 };
    size_t count;

    put(data_set, "NumberOfFrames", "2");
    assert_true(vt_dataset_put_frames(data_set, htj2k, frames, sizes, 2, &err));
    VT_AUTO(vt_dataset) read = encode_and_parse(data_set, htj2k);
    assert_true(vt_dataset_encode(read, htj2k, &bytes, &err));
    vt_header_reset(header, VT_EXPLICIT_LE, true, NULL);
    assert_true(vt_header_feed(header, bytes.data, bytes.size, &err) && vt_header_finish(header, &err));
    const struct vt_frame *found = vt_header_frames(header, &count);
    assert_int_equal(count, 2);
    assert_memory_equal(bytes.data + found[0].offset + 8, "first frame!", 12);
    assert_memory_equal(bytes.data + found[1].offset + 8, "second", 6);
    assert_false(vt_dataset_encode(read, VT_UID_EXPLICIT_LE, &bytes, &err));
    assert_int_equal(err.code, VT_E_UNSUPPORTED);
    json_t *root = json_of(read, 1000, "b/");
    assert_string_equal(json_string_value(json_object_get(json_object_get(root, "7FE00010"), "BulkDataURI")),
                        "b/7FE00010");
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_got_in_every_encoding),
        cmocka_unit_test(what_is_not_there_is_an_answer),
        cmocka_unit_test(a_path_that_means_nothing_is_refused),
        cmocka_unit_test(a_character_set_that_is_there_is_kept),
        cmocka_unit_test(elements_can_be_removed_once),
        cmocka_unit_test(bytes_are_put_as_they_are),
        cmocka_unit_test(json_follows_the_model_of_the_standard),
        cmocka_unit_test(base64_is_padded_by_what_is_missing),
        cmocka_unit_test(json_escapes_what_json_cannot_hold),
        cmocka_unit_test(long_values_become_bulk_data_or_are_left_out),
        cmocka_unit_test(a_file_is_saved_once_and_loaded),
        cmocka_unit_test(hostile_bytes_never_reach_the_toolkit),
        cmocka_unit_test(fragments_survive_under_a_syntax_the_toolkit_does_not_know),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
