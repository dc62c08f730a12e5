#include "dicom/json_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "dicom/element.h"
#include "dicom/json.h"
#include "dicom/tags.h"
#include "tests/support/torture.h"

enum { ROOM = 4 << 20 };

static const struct vt_json_rules plain = { .bulk_above = 0 };

/* The first data set of a text. */
static bool read_text(const char *text, size_t size, struct vt_json_data_set *out, struct vt_err *err)
{
    struct vt_json_tree tree;
    uint32_t *nodes = NULL;
    size_t count = 0;
    bool ok = vt_json_tree_read(text, size, &tree, err) && vt_json_data_sets(&tree, &nodes, &count, err) &&
              (count > 0 || vt_fail(err, VT_E_NOTFOUND, "none")) && vt_json_data_set_read(&tree, nodes[0], out, err);

    free(nodes);
    vt_json_tree_fini(&tree);
    return ok;
}

static void assert_reads(const char *json, uint32_t tag, const void *value, size_t size)
{
    struct vt_json_data_set data_set;
    struct vt_element element;
    struct vt_err err = { 0 };

    vt_json_data_set_init(&data_set);
    if (!read_text(json, strlen(json), &data_set, &err))
        fail_msg("%s: %s", json, err.text);
    assert_true(vt_element_find(data_set.bytes.data, data_set.bytes.size, VT_EXPLICIT_LE, tag, &element));
    if (element.length != size || memcmp(element.value, value, size) != 0)
        fail_msg("%s gives %.*s", json, (int)element.length, (const char *)element.value);
    vt_json_data_set_fini(&data_set);
}

/* ---- what fits ---- */

static void put_sample(struct vt_writer *w)
{
    static const uint8_t words[] = { 1, 2, 250, 255 }, reals[] = { 0, 0, 0xc0, 0x3f };
    struct vt_err err = { 0 };

    vt_write_text(w, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 192", &err);
    vt_write_text(w, VT_TAG_IMAGE_TYPE, "CS", "ORIGINAL\\PRIMARY\\\\AXIAL", &err);
    vt_write_text(w, VT_TAG_SOP_CLASS_UID, "UI", "1.2.840.10008.5.1.4.1.1.7", &err);
    vt_write_text(w, VT_TAG_SOP_INSTANCE_UID, "UI", "1.2.3", &err);
    vt_write_text(w, VT_TAG_PATIENT_NAME, "PN", "Yamada^Tarou=\xe5\xb1\xb1\xe7\x94\xb0=\xe3\x82\x84", &err);
    vt_write_text(w, VT_TAG_PATIENT_ID, "LO", "\"quoted\"", &err);
    vt_write_text(w, 0x00104000, "LT", "a \\ stays\r\n\ttab", &err);
    vt_write_text(w, 0x00181310, "DS", "0.50\\25\\1.5e-2", &err);
    vt_write_text(w, VT_TAG_STUDY_INSTANCE_UID, "UI", "1.2", &err);
    vt_write_text(w, VT_TAG_INSTANCE_NUMBER, "IS", "-7", &err);
    vt_write_text(w, VT_TAG_NUMBER_OF_FRAMES, "IS", "12", &err);
    vt_write_us(w, VT_TAG_ROWS, 512, &err);
    vt_write_sequence_begin(w, VT_TAG_REQUEST_ATTRIBUTES_SEQUENCE, &err);
    vt_write_item_begin(w, &err);
    vt_write_text(w, 0x00400009, "SH", "SPS\xc3\xa9", &err);
    vt_write_item_end(w, &err);
    vt_write_item_begin(w, &err);
    vt_write_item_end(w, &err);
    vt_write_sequence_end(w, &err);
    vt_write_bytes(w, 0x00720026, "AT", "\x28\x00\x10\x00", 4, &err);
    vt_write_bytes(w, 0x00720074, "FL", reals, sizeof reals, &err);
    vt_write_bytes(w, VT_TAG_PIXEL_DATA, "OB", words, sizeof words, &err);
    assert_false(vt_failed(&err));
}

static bool to_json(const struct vt_buf *bytes, struct vt_buf *out, struct vt_err *err)
{
    bool first = true;

    return vt_buf_append_text(out, "[{", err) && vt_json_charset(&first, out, err) &&
           vt_json_elements(bytes->data, bytes->size, VT_EXPLICIT_LE, &plain, &first, out, err) && vt_buf_append_text(out, "}]", err);
}

static void what_the_writer_wrote_is_read_byte_for_byte(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, ROOM);
    VT_AUTO_BUF(json, ROOM);
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE };
    struct vt_json_data_set data_set;
    struct vt_err err = { 0 };

    put_sample(&w);
    assert_true(to_json(&bytes, &json, &err));
    vt_json_data_set_init(&data_set);
    if (!read_text((const char *)json.data, json.size, &data_set, &err))
        fail_msg("%s in %.*s", err.text, (int)json.size, (const char *)json.data);
    assert_string_equal(data_set.sop_instance_uid, "1.2.3");
    assert_string_equal(data_set.study_uid, "1.2");
    assert_int_equal(data_set.frames, 12);
    assert_true(data_set.has_pixels);
    assert_int_equal(data_set.bytes.size, bytes.size);
    assert_memory_equal(data_set.bytes.data, bytes.data, bytes.size);
    vt_json_data_set_fini(&data_set);
}

#define ONE(tag, vr, values) "{\"" tag "\":{\"vr\":\"" vr "\",\"Value\":[" values "]}}"

static void numbers_become_the_bytes_of_their_vr(void **state)
{
    (void)state;
    assert_reads(ONE("00280010", "US", "65535,0"), VT_TAG_ROWS, "\xff\xff\0\0", 4);
    assert_reads(ONE("00280106", "SS", "-2,\"7\",3.0"), 0x00280106, "\xfe\xff\x07\0\x03\0", 6);
    assert_reads(ONE("00081163", "FD", "-0.5,\"NaN\""), 0x00081163, "\0\0\0\0\0\0\xe0\xbf\0\0\0\0\0\0\xf8\x7f", 16);
    assert_reads(ONE("00720074", "FL", "\"-inf\""), 0x00720074, "\0\0\x80\xff", 4);
    assert_reads(ONE("00720083", "UV", "18446744073709551615"), 0x00720083, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    assert_reads(ONE("00720082", "SV", "\"-9223372036854775808\""), 0x00720082, "\0\0\0\0\0\0\0\x80", 8);
    assert_reads(ONE("00720026", "AT", "\"7fe00010\""), 0x00720026, "\xe0\x7f\x10\0", 4);
}

static void texts_become_the_bytes_of_their_vr(void **state)
{
    (void)state;
    assert_reads(ONE("00281050", "DS", "0.30000000000000004,\"+2.50\",null,-1234567.8901234567"), 0x00281050,
                 "0.3\\+2.50\\\\-1234567.8901235 ", 28);
    assert_reads(ONE("00200013", "IS", "1e2,12.0"), VT_TAG_INSTANCE_NUMBER, "100\\12", 6);
    assert_reads(ONE("00100010", "PN", "{\"Phonetic\":\"c\"},{\"Alphabetic\":\"\\u00e9\\ud83d\\ude00\"},{}"), VT_TAG_PATIENT_NAME,
                 "==c\\\xc3\xa9\xf0\x9f\x98\x80\\ ", 12);
    assert_reads("{\"00100010\":{\"Value\":[\"Z^A\"],\"vr\":\"PN\"}}", VT_TAG_PATIENT_NAME, "Z^A ", 4);
    assert_reads("{\"00100010\":{\"vr\":\"PN\"}}", VT_TAG_PATIENT_NAME, "", 0);
    assert_reads("{\"00100020\":{\"Value\":[\"no VR here\"]}}", VT_TAG_PATIENT_ID, "no VR here", 10);
    assert_reads("{\"00091001\":{\"vr\":\"OB\",\"InlineBinary\":\"AQID+g==\"}}", 0x00091001, "\1\2\3\xfa", 4);
    assert_reads("{\"00091001\":{\"vr\":\"UN\",\"InlineBinary\":\"\\/\\/8=\"}}", 0x00091001, "\xff\xff", 2);
    assert_reads("{\"00080005\":{\"vr\":\"CS\",\"Value\":[\"ISO_IR 100\"]},\"00100020\":{\"vr\":\"LO\"}}", VT_TAG_SPECIFIC_CHARACTER_SET,
                 "ISO_IR 192", 10);
}

static void attributes_come_out_by_tag_and_gaps_stand_between_them(void **state)
{
    (void)state;
    static const char json[] =
        "[{\"7FE00010\":{\"vr\":\"OW\",\"BulkDataURI\":\"pixels\"},\"00100020\":{\"vr\":\"LO\",\"Value\":[\"P\"]},"
        "\"00020010\":{\"vr\":\"UI\",\"Value\":[\"1.2.840.10008.1.2.4.50\"]},"
        "\"00480105\":{\"vr\":\"SQ\",\"Value\":[{\"00282000\":{\"vr\":\"OB\",\"BulkDataURI\":\"icc\"}}]}}]";
    struct vt_json_data_set data_set;
    struct vt_err err = { 0 };

    vt_json_data_set_init(&data_set);
    if (!read_text(json, sizeof json - 1, &data_set, &err))
        fail_msg("%s", err.text);
    assert_string_equal(data_set.transfer_syntax_uid, "1.2.840.10008.1.2.4.50");
    assert_false(data_set.has_pixels);
    assert_int_equal(data_set.gap_count, 2);
    assert_int_equal(data_set.gaps[0].tag, 0x00282000);
    assert_true(data_set.gaps[0].nested);
    assert_string_equal((char *)data_set.uris.data + data_set.gaps[0].uri, "icc");
    assert_int_equal(data_set.gaps[1].tag, VT_TAG_PIXEL_DATA);
    assert_string_equal(data_set.gaps[1].vr, "OW");
    assert_int_equal(data_set.gaps[1].at, data_set.bytes.size);
    assert_true(data_set.gaps[0].at < data_set.gaps[1].at);
    vt_json_data_set_fini(&data_set);
}

static void an_attribute_more_stands_where_its_tag_belongs(void **state)
{
    (void)state;
    static const char json[] = "{\"00280010\":{\"vr\":\"US\",\"Value\":[7]},\"7FE00010\":{\"vr\":\"OB\",\"BulkDataURI\":\"p\"},"
                               "\"00281201\":{\"vr\":\"OW\",\"BulkDataURI\":\"lut\"}}";
    VT_AUTO_BUF(expected, ROOM);
    struct vt_writer w = { &expected, VT_EXPLICIT_LE };
    struct vt_json_data_set data_set;
    struct vt_err err = { 0 };

    vt_json_data_set_init(&data_set);
    assert_true(read_text(json, sizeof json - 1, &data_set, &err));
    assert_true(vt_json_data_set_add(&data_set, VT_TAG_COLUMNS, "US", "\5\0", 2, &err));
    assert_true(vt_json_data_set_add(&data_set, VT_TAG_ROWS, "US", "\6\0", 2, &err)); /* is there */
    assert_true(vt_json_data_set_add(&data_set, 0x00281201, "OW", "\6\0", 2, &err));  /* stands elsewhere */
    assert_true(vt_json_data_set_add(&data_set, 0x00282110, "CS", "01", 2, &err));
    assert_true(vt_json_data_set_add(&data_set, VT_TAG_PATIENT_ID, "LO", "P", 1, &err));
    vt_write_text(&w, VT_TAG_PATIENT_ID, "LO", "P", &err);
    vt_write_us(&w, VT_TAG_ROWS, 7, &err);
    vt_write_us(&w, VT_TAG_COLUMNS, 5, &err);
    size_t lut = expected.size;
    vt_write_text(&w, 0x00282110, "CS", "01", &err);
    assert_int_equal(data_set.bytes.size, expected.size);
    assert_memory_equal(data_set.bytes.data, expected.data, expected.size);
    assert_int_equal(data_set.gaps[0].at, lut);
    assert_int_equal(data_set.gaps[1].at, expected.size);
    vt_json_data_set_fini(&data_set);
}

/* ---- what does not ---- */

static void what_is_wrong_is_refused_with_its_name(void **state)
{
    (void)state;
    static const struct {
        const char *json, *word;
    } rows[] = {
        { "", "missing" },
        { "{", "missing" },
        { "{}x", "behind" },
        { "[1]", "no JSON object" },
        { "{\"00100020\":{\"vr\":\"LO\",\"Value\":[\"a\"]}", "missing" },
        { "{\"00100020\":{\"vr\":\"LO\",\"Value\":[\"\xff\"]}}", "UTF-8" },
        { "{\"00100020\":{\"vr\":\"LO\",\"Value\":[\"\\ud800\"]}}", "character" },
        { "{\"00100020\":{\"vr\":\"LO\",\"Value\":[\"\\ud800\\u0041\"]}}", "character" },
        { "{\"00100020\":{\"vr\":\"LO\",\"Value\":[\"\\u0000\"]}}", "zero" },
        { "{\"00100020\":{\"vr\":\"LO\",\"Value\":[\"\n\"]}}", "control" },
        { "{\"00100020\":{\"vr\":\"LO\",\"Value\":[\"\\x\"]}}", "escape" },
        { "{\"00100020\":{\"vr\":\"LO\",\"Value\":[\"a\\\\b\"]}}", "00100020" },
        { "{\"00100020\":{\"vr\":\"LO\",\"Value\":[7]}}", "no string" },
        { "{\"00100020\":{\"vr\":\"LO\",\"Value\":\"a\"}}", "no array" },
        { "{\"00100020\":{\"vr\":\"XX\"}}", "VR" },
        { "{\"00100020\":{\"vr\":\"LO\",\"Value\":[\"a\"],\"InlineBinary\":\"\"}}", "more than one" },
        { "{\"00100020\":7}", "no object" },
        { "{\"PatientID\":{\"vr\":\"LO\"}}", "no tag" },
        { "{\"00100020\":{\"vr\":\"LO\"},\"00100020\":{\"vr\":\"LO\"}}", "twice" },
        { "{\"00041130\":{\"vr\":\"CS\"}}", "no attribute" },
        { "{\"FFFEE000\":{\"vr\":\"SQ\"}}", "no attribute" },
        { ONE("00280010", "US", "65536"), "fit" },
        { ONE("00280010", "US", "-1"), "fit" },
        { ONE("00280010", "US", "1.5"), "integer" },
        { ONE("00280010", "US", "null"), "empty" },
        { ONE("00280106", "SS", "-32769"), "fit" },
        { ONE("00720083", "UV", "18446744073709551616"), "integer" },
        { ONE("00200013", "IS", "99999999999999"), "integer" },
        { ONE("00281050", "DS", "1e99999"), NULL },
        { ONE("00281050", "DS", "1000000000000000000000000e99999"), "end" },
        { ONE("00281050", "DS", "01"), "zero" },
        { ONE("00081163", "FD", "\"0x10\""), "number" },
        { ONE("00720026", "AT", "\"PatientID\""), "tag" },
        { ONE("00104000", "LT", "\"a\",\"b\""), "one value" },
        { ONE("00091001", "OB", "1"), "no Value" },
        { "{\"00091001\":{\"vr\":\"OB\",\"InlineBinary\":\"A\"}}", "base64" },
        { "{\"00091001\":{\"vr\":\"OB\",\"InlineBinary\":\"A===\"}}", "base64" },
        { "{\"00091001\":{\"vr\":\"OW\",\"InlineBinary\":\"AA==\"}}", "whole number" },
        { "{\"00400275\":{\"vr\":\"SQ\",\"Value\":[7]}}", "item" },
        { "{\"00400275\":{\"vr\":\"SQ\",\"BulkDataURI\":\"x\"}}", "items" },
    };

    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        struct vt_json_data_set data_set;
        struct vt_err err = { 0 };
        vt_json_data_set_init(&data_set);
        bool ok = read_text(rows[i].json, strlen(rows[i].json), &data_set, &err);
        if (ok != !rows[i].word || (!ok && (err.code != VT_E_INVALID || !strstr(err.text, rows[i].word))))
            fail_msg("%s: %s", rows[i].json, ok ? "taken" : err.text);
        vt_json_data_set_fini(&data_set);
    }
}

/* `open` again and again, `core` within, then `close`. */
static void nest(struct vt_buf *out, const char *open, const char *core, const char *close, unsigned depth)
{
    struct vt_err err = { 0 };

    vt_buf_reset(out);
    for (unsigned i = 0; i < depth; i++)
        vt_buf_append_text(out, open, &err);
    vt_buf_append_text(out, core, &err);
    for (unsigned i = 0; i < depth; i++)
        vt_buf_append_text(out, close, &err);
    assert_false(vt_failed(&err));
}

static void depth_and_counts_are_bounded(void **state)
{
    (void)state;
    static const char open[] = "{\"00400275\":{\"vr\":\"SQ\",\"Value\":[", close[] = "]}}";
    VT_AUTO_BUF(json, ROOM);
    struct vt_json_data_set data_set;
    struct vt_err err = { 0 };

    vt_json_data_set_init(&data_set);
    nest(&json, open, "", close, VT_JSON_SEQUENCES_MAX);
    assert_true(read_text((char *)json.data, json.size, &data_set, &err));
    assert_true(vt_element_check(data_set.bytes.data, data_set.bytes.size, VT_EXPLICIT_LE, &VT_ELEMENT_LIMITS_DEFAULT, &err));
    nest(&json, open, "", close, VT_JSON_SEQUENCES_MAX + 1);
    assert_false(read_text((char *)json.data, json.size, &data_set, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    nest(&json, "[", "", "]", 100000);
    assert_false(read_text((char *)json.data, json.size, &data_set, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    vt_buf_reset(&json);
    vt_buf_append_text(&json, "{\"00080005\":{}", &err);
    for (unsigned i = 0; i <= VT_JSON_ELEMENTS_MAX; i++)
        vt_buf_printf(&json, &err, ",\"%08X\":{}", 0x00090000 + i);
    vt_buf_append_text(&json, "}", &err);
    assert_false(read_text((char *)json.data, json.size, &data_set, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    vt_json_data_set_fini(&data_set);
}

static bool read_once(void *context, struct vt_err *err)
{
    const struct vt_buf *json = context;
    struct vt_json_data_set data_set;

    vt_json_data_set_init(&data_set);
    bool ok = read_text((const char *)json->data, json->size, &data_set, err);
    vt_json_data_set_fini(&data_set);
    return ok;
}

static void a_failing_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, ROOM);
    VT_AUTO_BUF(json, ROOM);
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };

    put_sample(&w);
    assert_true(to_json(&bytes, &json, &err));
    assert_true(vt_torture(read_once, &json) > 5);
    vt_buf_reset(&json);
    vt_buf_append_text(&json, "{\"00282000\":{\"vr\":\"OB\",\"BulkDataURI\":\"a\\/b\"},\"00100010\":{\"vr\":\"PN\",\"Value\":[{\"Alphabetic\":\"\\u00e9\"}]}}", &err);
    assert_true(vt_torture(read_once, &json) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_writer_wrote_is_read_byte_for_byte),
        cmocka_unit_test(numbers_become_the_bytes_of_their_vr),
        cmocka_unit_test(texts_become_the_bytes_of_their_vr),
        cmocka_unit_test(attributes_come_out_by_tag_and_gaps_stand_between_them),
        cmocka_unit_test(an_attribute_more_stands_where_its_tag_belongs),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_name),
        cmocka_unit_test(depth_and_counts_are_bounded),
        cmocka_unit_test(a_failing_allocation_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
