#include "dicom/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/dataset.h"
#include "dicom/element.h"
#include "tests/support/torture.h"

enum { ROOM = 1 << 20 };

static const struct vt_json_rules plain = { .bulk_above = 0 };

static void put(struct vt_dataset *data_set, const char *path, const char *value)
{
    struct vt_err err = { 0 };

    if (!vt_dataset_put(data_set, path, value, &err))
        fail_msg("%s: %s", path, err.text);
}

/* One of each kind of value. */
static struct vt_dataset *sample(void)
{
    static const uint8_t words[] = { 1, 2, 3, 250, 255 };
    struct vt_dataset *data_set = vt_dataset_new();
    struct vt_err err = { 0 };

    put(data_set, "SpecificCharacterSet", "ISO_IR 192");
    put(data_set, "ImageType", "ORIGINAL\\PRIMARY\\\\AXIAL");
    put(data_set, "SOPInstanceUID", "1.2.3.4");
    put(data_set, "PatientName", "Yamada^Tarou=\xe5\xb1\xb1\xe7\x94\xb0^\xe5\xa4\xaa\xe9\x83\x8e=\xe3\x82\x84\xe3\x81\xbe");
    put(data_set, "PatientID", "\"quoted\" / \\ second");
    put(data_set, "PatientComments", "a \\ stays in a long text\r\n\ttab");
    put(data_set, "AccessionNumber", "");
    put(data_set, "PixelSpacing", "+0.50\\.25\\1.5e-2");
    put(data_set, "InstanceNumber", "-7");
    put(data_set, "Rows", "512");
    put(data_set, "RequestAttributesSequence[0].ScheduledProcedureStepID", "SPS\xc3\xa9");
    put(data_set, "RequestAttributesSequence[1].RequestedProcedureID", "RP2");
    put(data_set, "FrameIncrementPointer", "(0018,1063)");
    put(data_set, "RecommendedDisplayFrameRateInFloat", "29.97");
    assert_true(vt_dataset_put_bytes(data_set, 0x00281201, "OW", words, 4, &err));
    assert_true(vt_dataset_put_bytes(data_set, 0x00091001, "OB", words, 4, &err));
    return data_set;
}

static json_t *object_of(const struct vt_buf *members)
{
    VT_AUTO_BUF(text, ROOM);
    struct vt_err err = { 0 };
    json_error_t wrong;

    assert_true(vt_buf_printf(&text, &err, "{%.*s}", (int)members->size, (const char *)members->data));
    json_t *object = json_loadb((const char *)text.data, text.size, JSON_DECODE_ANY, &wrong);
    if (!object)
        fail_msg("%s at %d in %.*s", wrong.text, wrong.position, (int)text.size, (const char *)text.data);
    return object;
}

static json_t *json_of(struct vt_dataset *data_set, const char *syntax, const struct vt_json_rules *rules)
{
    VT_AUTO_BUF(bytes, ROOM);
    VT_AUTO_BUF(members, ROOM);
    struct vt_err err = { 0 };
    bool first = true;

    assert_true(vt_dataset_encode(data_set, syntax, &bytes, &err));
    assert_true(vt_json_charset(&first, &members, &err));
    if (!vt_json_elements(bytes.data, bytes.size, vt_transfer_syntax_find(syntax)->encoding, rules, &first, &members,
                          &err))
        fail_msg("%s", err.text);
    return object_of(&members);
}

static const char *compact(json_t *object)
{
    static char text[8192];
    size_t size = json_dumpb(object, text, sizeof text - 1, JSON_COMPACT);

    text[size < sizeof text ? size : 0] = '\0';
    return text;
}

/* The other writer goes through DCMTK's objects. */
static void both_writers_agree_in_every_encoding(void **state)
{
    (void)state;
    static const char *const syntaxes[] = { VT_UID_EXPLICIT_LE, VT_UID_EXPLICIT_BE };
    VT_AUTO(vt_dataset) data_set = sample();
    VT_AUTO_BUF(text, ROOM);
    struct vt_err err = { 0 };
    json_error_t wrong;

    assert_true(vt_dataset_json(data_set, UINT64_MAX, NULL, &text, &err));
    json_t *expected = json_loadb((const char *)text.data, text.size, 0, &wrong);
    assert_non_null(expected);
    for (size_t i = 0; i < VT_COUNT(syntaxes); i++) {
        json_t *found = json_of(data_set, syntaxes[i], &plain);
        if (!json_equal(found, expected))
            fail_msg("%s\n is not what the object gives\n%.*s", compact(found), (int)text.size, (char *)text.data);
        json_decref(found);
    }
    json_decref(expected);
}

static void values_are_spelt_as_the_standard_says(void **state)
{
    (void)state;
    static const struct {
        const char *tag, *expected;
    } rows[] = {
        { "00080005", "{\"vr\":\"CS\",\"Value\":[\"ISO_IR 192\"]}" },
        { "00080008", "{\"vr\":\"CS\",\"Value\":[\"ORIGINAL\",\"PRIMARY\",null,\"AXIAL\"]}" },
        { "00080050", "{\"vr\":\"SH\"}" },
        { "00280030", "{\"vr\":\"DS\",\"Value\":[0.5,0.25,0.014999999999999999]}" },
        { "00200013", "{\"vr\":\"IS\",\"Value\":[-7]}" },
        { "00280009", "{\"vr\":\"AT\",\"Value\":[\"00181063\"]}" },
        { "00091001", "{\"vr\":\"OB\",\"InlineBinary\":\"AQID+g==\"}" },
    };
    VT_AUTO(vt_dataset) data_set = sample();
    json_t *object = json_of(data_set, VT_UID_EXPLICIT_LE, &plain);

    for (size_t i = 0; i < VT_COUNT(rows); i++)
        assert_string_equal(compact(json_object_get(object, rows[i].tag)), rows[i].expected);
    json_decref(object);
}

static void text_of_the_data_set_becomes_utf_8(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, ROOM);
    VT_AUTO_BUF(members, ROOM);
    struct vt_writer writer = { &bytes, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    bool first = true;

    assert_true(vt_write_text(&writer, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 100", &err));
    assert_true(vt_write_text(&writer, VT_TAG_PATIENT_NAME, "PN", "M\xfcller", &err));
    assert_true(vt_json_elements(bytes.data, bytes.size, VT_EXPLICIT_LE, &plain, &first, &members, &err));
    json_t *object = object_of(&members);
    assert_string_equal(compact(object), "{\"00100010\":{\"vr\":\"PN\",\"Value\":[{\"Alphabetic\":\"M\xc3\xbcller\"}]}}");
    json_decref(object);
}

static void long_values_are_bulk_data_named_by_their_path(void **state)
{
    (void)state;
    static const struct vt_json_rules bulk = { .bulk_above = 3, .bulk_prefix = "/bulk" };
    static const struct vt_json_rules none = { .bulk_above = 3 };
    VT_AUTO(vt_dataset) data_set = sample();
    static const uint8_t icc[] = "a profile";
    struct vt_err err = { 0 };

    VT_AUTO_BUF(bytes, ROOM);
    VT_AUTO_BUF(members, ROOM);
    struct vt_writer writer = { &bytes, VT_EXPLICIT_LE };
    bool first = true;
    assert_true(vt_write_sequence_begin(&writer, 0x00480105, &err));
    assert_true(vt_write_item_begin(&writer, &err));
    assert_true(vt_write_bytes(&writer, 0x00282000, "OB", icc, sizeof icc, &err));
    assert_true(vt_write_item_end(&writer, &err));
    assert_true(vt_write_sequence_end(&writer, &err));
    assert_true(vt_json_elements(bytes.data, bytes.size, VT_EXPLICIT_LE, &bulk, &first, &members, &err));
    json_t *nested = object_of(&members);
    assert_string_equal(compact(nested), "{\"00480105\":{\"vr\":\"SQ\",\"Value\":[{\"00282000\":{\"vr\":\"OB\","
                                         "\"BulkDataURI\":\"/bulk/00480105/1/00282000\"}}]}}");
    json_decref(nested);

    json_t *without = json_of(data_set, VT_UID_EXPLICIT_LE, &none);
    assert_string_equal(compact(json_object_get(without, "00091001")), "{\"vr\":\"OB\"}");
    json_decref(without);
}

static void members_made_here_fit_between_others(void **state)
{
    (void)state;
    VT_AUTO_BUF(members, ROOM);
    struct vt_err err = { 0 };
    bool first = true;

    assert_true(vt_json_text(0x00081190, "UR", "http://x/\"y\"", &first, &members, &err));
    assert_true(vt_json_number(0x00201208, "IS", 300, &first, &members, &err));
    assert_true(vt_json_bulk(0x7fe00010, "OW", "/p", &first, &members, &err));
    json_t *object = object_of(&members);
    assert_string_equal(compact(object), "{\"00081190\":{\"vr\":\"UR\",\"Value\":[\"http://x/\\\"y\\\"\"]},"
                                         "\"00201208\":{\"vr\":\"IS\",\"Value\":[300]},"
                                         "\"7FE00010\":{\"vr\":\"OW\",\"BulkDataURI\":\"/p\"}}");
    json_decref(object);
}

static bool write_once(void *context, struct vt_err *err)
{
    const struct vt_buf *bytes = context;
    VT_AUTO_BUF(members, ROOM);
    bool first = true;

    return vt_json_elements(bytes->data, bytes->size, VT_EXPLICIT_LE, &plain, &first, &members, err);
}

static void a_failing_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    VT_AUTO(vt_dataset) data_set = sample();
    VT_AUTO_BUF(bytes, ROOM);
    struct vt_err err = { 0 };

    assert_true(vt_dataset_encode(data_set, VT_UID_EXPLICIT_LE, &bytes, &err));
    assert_true(vt_torture(write_once, &bytes) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_writers_agree_in_every_encoding),
        cmocka_unit_test(values_are_spelt_as_the_standard_says),
        cmocka_unit_test(text_of_the_data_set_becomes_utf_8),
        cmocka_unit_test(long_values_are_bulk_data_named_by_their_path),
        cmocka_unit_test(members_made_here_fit_between_others),
        cmocka_unit_test(a_failing_allocation_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
