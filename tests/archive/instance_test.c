#include "tests/archive/identifier.h"

#include <stdlib.h>

#include "archive/keys.h"
#include "tests/support/torture.h"

/* A header made of elements written by the test. */
struct made {
    struct vt_buf bytes;
    struct vt_header *header;
};

static void finish(struct made *made, enum vt_encoding encoding)
{
    struct vt_err err = { 0 };
    static const struct vt_element_limits limits = VT_ELEMENT_LIMITS_DEFAULT;

    made->header = vt_header_new();
    assert_non_null(made->header);
    vt_header_reset(made->header, encoding, false, &limits);
    if (!vt_header_feed(made->header, made->bytes.data, made->bytes.size, &err) ||
        !vt_header_finish(made->header, &err))
        fail_msg("%s", err.text);
}

static void fini(struct made *made)
{
    vt_header_free(made->header);
    vt_buf_fini(&made->bytes);
}

static void identity(struct made *made, const char *study, const char *series)
{
    with(&made->bytes, VT_TAG_STUDY_INSTANCE_UID, "UI", study);
    with(&made->bytes, VT_TAG_SERIES_INSTANCE_UID, "UI", series);
}

static void text_is(const struct vt_buf *buf, uint32_t tag, const char *expected)
{
    char text[3000];

    vt_attributes_text(buf->data, buf->size, tag, text, sizeof text);
    assert_string_equal(text, expected);
}

static void attributes_go_to_their_level_in_utf8(void **state)
{
    struct made made = { .bytes = { .limit = 1 << 16 } };
    const struct vt_instance_rules rules = { 0 };
    struct vt_instance instance;
    struct vt_err err = { 0 };

    (void)state;
    with(&made.bytes, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 100");
    with(&made.bytes, VT_TAG_SOP_CLASS_UID, "UI", VT_UID_CT_IMAGE);
    with(&made.bytes, VT_TAG_SOP_INSTANCE_UID, "UI", "1.2.3.4");
    with(&made.bytes, VT_TAG_STUDY_DATE, "DA", "20200101");
    with(&made.bytes, VT_TAG_MODALITY, "CS", "CT");
    with(&made.bytes, VT_TAG_PATIENT_NAME, "PN", "M\xfcller^Eva");
    with(&made.bytes, VT_TAG_PATIENT_ID, "LO", " P1 ");
    identity(&made, "1.2", "1.2.3");
    with(&made.bytes, VT_TAG_INSTANCE_NUMBER, "IS", "7");
    finish(&made, VT_EXPLICIT_LE);
    vt_instance_init(&instance);
    assert_true(vt_instance_read(&instance, made.header, &rules, &err));
    assert_string_equal(instance.sop_uid, "1.2.3.4");
    assert_string_equal(instance.study_uid, "1.2");
    assert_string_equal(instance.series_uid, "1.2.3");
    assert_string_equal(instance.sop_class, VT_UID_CT_IMAGE);
    text_is(&instance.attributes[0], VT_TAG_PATIENT_NAME, "Müller^Eva");
    text_is(&instance.attributes[0], VT_TAG_PATIENT_ID, "P1");
    text_is(&instance.attributes[1], VT_TAG_STUDY_DATE, "20200101");
    text_is(&instance.attributes[2], VT_TAG_MODALITY, "CT");
    text_is(&instance.attributes[3], VT_TAG_INSTANCE_NUMBER, "7");
    assert_int_equal(instance.data_set_size, made.bytes.size);
    assert_false(instance.has_pixels);
    vt_instance_fini(&instance);
    fini(&made);
}

static void eight_bit_text_without_a_set_is_read_by_the_rules(void **state)
{
    struct made made = { .bytes = { .limit = 1 << 16 } };
    struct vt_instance_rules rules = { .default_charset = "ISO_IR 144", .default_issuer = "SITE" };
    struct vt_instance instance;
    struct vt_err err = { 0 };

    (void)state;
    with(&made.bytes, VT_TAG_SOP_CLASS_UID, "UI", VT_UID_CT_IMAGE);
    with(&made.bytes, VT_TAG_SOP_INSTANCE_UID, "UI", "1.2.3.4");
    with(&made.bytes, VT_TAG_PATIENT_NAME, "PN", "\xbb\xee\xda");
    with(&made.bytes, VT_TAG_PATIENT_ID, "LO", "P1");
    with(&made.bytes, VT_TAG_PATIENT_SEX, "CS", "F");
    identity(&made, "1.2", "1.2.3");
    finish(&made, VT_EXPLICIT_LE);
    vt_instance_init(&instance);
    assert_true(vt_instance_read(&instance, made.header, &rules, &err));
    text_is(&instance.attributes[0], VT_TAG_PATIENT_NAME, "Люк");
    text_is(&instance.attributes[0], VT_TAG_ISSUER_OF_PATIENT_ID, "SITE");
    text_is(&instance.attributes[0], VT_TAG_PATIENT_SEX, "F");
    vt_instance_fini(&instance);
    fini(&made);
}

static void what_is_missing_or_bad_has_its_status(void **state)
{
    static const struct {
        const char *class, *sop, *study, *series;
        uint16_t status;
    } rows[] = {
        { VT_UID_CT_IMAGE, "", "1.2", "1.3", 0xc001 },
        { VT_UID_CT_IMAGE, "1.4", "", "1.3", 0xc002 },
        { VT_UID_CT_IMAGE, "1.4", "1.2", "", 0xc003 },
        { VT_UID_CT_IMAGE, "1.x", "1.2", "1.3", 0xc004 },
        { VT_UID_CT_IMAGE, "1.4", "1..2", "1.3", 0xc004 },
        { "", "1.4", "1.2", "1.3", 0xa900 },
        { VT_UID_CT_IMAGE, "1.4", "1.02", "1.3", 0 },
        { VT_UID_CT_IMAGE, "1.4", "1.2",
          "1.23456789012345678901234567890123456789012345678901234567890123", 0 },
        { VT_UID_CT_IMAGE, "1.4", "1.2",
          "1.234567890123456789012345678901234567890123456789012345678901234", 0xc004 },
    };
    const struct vt_instance_rules rules = { 0 };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        struct made made = { .bytes = { .limit = 1 << 16 } };
        struct vt_instance instance;
        struct vt_err err = { 0 };
        with(&made.bytes, VT_TAG_SOP_CLASS_UID, "UI", rows[i].class);
        with(&made.bytes, VT_TAG_SOP_INSTANCE_UID, "UI", rows[i].sop);
        identity(&made, rows[i].study, rows[i].series);
        finish(&made, VT_EXPLICIT_LE);
        vt_instance_init(&instance);
        assert_int_equal(vt_instance_read(&instance, made.header, &rules, &err),
                         rows[i].status == 0);
        assert_int_equal(err.dimse_status, rows[i].status);
        vt_instance_fini(&instance);
        fini(&made);
    }
}

static void sequences_are_kept_whole_or_not_at_all(void **state)
{
    struct made made = { .bytes = { .limit = 1 << 20 } };
    struct vt_writer w = { &made.bytes, VT_EXPLICIT_LE };
    const struct vt_instance_rules rules = { 0 };
    struct vt_attribute sequence;
    struct vt_attributes items, item;
    struct vt_instance instance;
    struct vt_err err = { 0 };
    char text[64];

    (void)state;
    with(&made.bytes, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 100");
    with(&made.bytes, VT_TAG_SOP_CLASS_UID, "UI", VT_UID_CT_IMAGE);
    with(&made.bytes, VT_TAG_SOP_INSTANCE_UID, "UI", "1.4");
    assert_true(vt_write_sequence_begin(&w, VT_TAG_PROCEDURE_CODE_SEQUENCE, &err));
    for (int i = 0; i < 400; i++) {
        assert_true(vt_write_item_begin(&w, &err));
        assert_true(
            vt_write_text(&w, 0x00080104, "LO", "a code meaning of some length that fills", &err));
        assert_true(vt_write_item_end(&w, &err));
    }
    assert_true(vt_write_sequence_end(&w, &err));
    identity(&made, "1.2", "1.3");
    assert_true(vt_write_sequence_begin(&w, VT_TAG_REQUEST_ATTRIBUTES_SEQUENCE, &err) &&
                vt_write_item_begin(&w, &err));
    assert_true(vt_write_text(&w, 0x00400007, "LO",
                              "Sch\xe4"
                              "del",
                              &err));
    assert_true(vt_write_item_end(&w, &err) && vt_write_sequence_end(&w, &err));
    finish(&made, VT_EXPLICIT_LE);
    vt_instance_init(&instance);
    assert_true(vt_instance_read(&instance, made.header, &rules, &err));
    const struct vt_buf *study = &instance.attributes[1], *series = &instance.attributes[2];
    assert_false(
        vt_attributes_find(study->data, study->size, VT_TAG_PROCEDURE_CODE_SEQUENCE, &sequence));
    assert_true(vt_attributes_find(series->data, series->size, VT_TAG_REQUEST_ATTRIBUTES_SEQUENCE,
                                   &sequence));
    vt_attributes_begin(&items, sequence.value, sequence.size);
    assert_true(vt_attributes_next_item(&items, &item));
    vt_attributes_text(item.at, (size_t)(item.end - item.at), 0x00400007, text, sizeof text);
    assert_string_equal(text, "Schädel");
    vt_instance_fini(&instance);
    fini(&made);
}

static void long_values_are_cut_at_a_character(void **state)
{
    struct made made = { .bytes = { .limit = 1 << 20 } };
    const struct vt_instance_rules rules = { 0 };
    struct vt_instance instance;
    struct vt_err err = { 0 };
    char text[4001], kept[4001];

    (void)state;
    for (size_t i = 0; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "ü", 2);
    text[4000] = '\0';
    text[0] = 'x';
    text[1] = 'x';
    with(&made.bytes, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 192");
    with(&made.bytes, VT_TAG_SOP_CLASS_UID, "UI", VT_UID_CT_IMAGE);
    with(&made.bytes, VT_TAG_SOP_INSTANCE_UID, "UI", "1.4");
    with(&made.bytes, VT_TAG_PATIENT_ID, "LO", text + 1);
    identity(&made, "1.2", "1.3");
    finish(&made, VT_EXPLICIT_LE);
    vt_instance_init(&instance);
    assert_true(vt_instance_read(&instance, made.header, &rules, &err));
    vt_attributes_text(instance.attributes[0].data, instance.attributes[0].size, VT_TAG_PATIENT_ID,
                       kept, sizeof kept);
    assert_int_equal(strlen(kept), 1023);
    vt_instance_fini(&instance);
    fini(&made);
}

static void extra_tags_are_kept_and_can_be_asked_for(void **state)
{
    const uint32_t tags[] = { 0x00181020, VT_TAG_MODALITY, 0x00181000 };
    const uint32_t pixels[] = { VT_TAG_PIXEL_DATA };
    struct vt_err err = { 0 };

    (void)state;
    assert_true(vt_keys_set_extra(tags, 3, &err));
    assert_int_equal(vt_key_find(0x00181000)->level, VT_LEVEL_IMAGE);
    assert_non_null(vt_key_find(0x00181020));
    assert_false(vt_keys_set_extra(pixels, 1, &err));
    assert_true(vt_keys_set_extra(NULL, 0, &err));
    assert_null(vt_key_find(0x00181000));
}

static void the_table_of_keys_ascends(void **state)
{
    (void)state;
    for (size_t i = 1; vt_key_at(i); i++)
        assert_true(vt_key_at(i - 1)->tag < vt_key_at(i)->tag);
    for (size_t i = 0; vt_key_at(i); i++) {
        assert_true(vt_key_value_max(vt_key_at(i)->vr) > 0);
        if (vt_key_at(i)->column != VT_KEY_NO_COLUMN)
            assert_int_equal(vt_column_level((enum vt_column)vt_key_at(i)->column),
                             vt_key_at(i)->level);
    }
}

static void frame_tables_find_each_frame_alone(void **state)
{
    enum { COUNT = 1000 };
    struct vt_frame *frames = malloc(COUNT * sizeof *frames), frame;
    struct vt_err err = { 0 };
    size_t count;
    VT_AUTO_BUF(bytes, 1 << 20);

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        frames[i] = (struct vt_frame){ (i % 3 ? 1000 + i * 70000 : UINT64_C(5000000000) - i * 1000),
                                       100 + i * 13 };
    assert_true(vt_frames_encode(frames, COUNT, &bytes, &err));
    assert_true(vt_frames_count(bytes.data, bytes.size, &count));
    assert_int_equal(count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(vt_frames_at(bytes.data, bytes.size, i, &frame));
        assert_int_equal(frame.offset, frames[i].offset);
        assert_int_equal(frame.length, frames[i].length);
    }
    assert_false(vt_frames_at(bytes.data, bytes.size, COUNT, &frame));
    for (size_t size = 0; size < bytes.size; size++)
        vt_frames_at(bytes.data, size, 999, &frame);
    free(frames);
}

static void merging_keeps_the_newer_and_the_missing(void **state)
{
    struct vt_buf a = { 0 }, b = { 0 };
    struct vt_err err = { 0 };
    VT_AUTO_BUF(out, 4096);

    (void)state;
    stored(&a, VT_TAG_STUDY_DATE, "DA", "20200101");
    stored(&a, VT_TAG_STUDY_ID, "SH", "new");
    stored(&b, VT_TAG_ACCESSION_NUMBER, "SH", "A1");
    stored(&b, VT_TAG_STUDY_ID, "SH", "old");
    assert_true(vt_attributes_merge(a.data, a.size, b.data, b.size, &out, &err));
    text_is(&out, VT_TAG_STUDY_DATE, "20200101");
    text_is(&out, VT_TAG_ACCESSION_NUMBER, "A1");
    text_is(&out, VT_TAG_STUDY_ID, "new");
    vt_buf_fini(&a);
    vt_buf_fini(&b);
}

static bool read_again(void *context, struct vt_err *err)
{
    const struct made *made = context;
    const struct vt_instance_rules rules = { .default_issuer = "SITE" };
    struct vt_instance instance;

    vt_instance_init(&instance);
    bool ok = vt_instance_read(&instance, made->header, &rules, err);
    vt_instance_fini(&instance);
    return ok;
}

static void reading_survives_lost_memory(void **state)
{
    struct made made = { .bytes = { .limit = 1 << 16 } };

    (void)state;
    with(&made.bytes, VT_TAG_SOP_CLASS_UID, "UI", VT_UID_CT_IMAGE);
    with(&made.bytes, VT_TAG_SOP_INSTANCE_UID, "UI", "1.4");
    with(&made.bytes, VT_TAG_PATIENT_NAME, "PN", "M\xfcller");
    with(&made.bytes, VT_TAG_PATIENT_ID, "LO", "P1");
    identity(&made, "1.2", "1.3");
    finish(&made, VT_EXPLICIT_LE);
    assert_true(vt_torture(read_again, &made) >= 2);
    fini(&made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_go_to_their_level_in_utf8),
        cmocka_unit_test(eight_bit_text_without_a_set_is_read_by_the_rules),
        cmocka_unit_test(what_is_missing_or_bad_has_its_status),
        cmocka_unit_test(sequences_are_kept_whole_or_not_at_all),
        cmocka_unit_test(long_values_are_cut_at_a_character),
        cmocka_unit_test(extra_tags_are_kept_and_can_be_asked_for),
        cmocka_unit_test(the_table_of_keys_ascends),
        cmocka_unit_test(frame_tables_find_each_frame_alone),
        cmocka_unit_test(merging_keeps_the_newer_and_the_missing),
        cmocka_unit_test(reading_survives_lost_memory),
    };

    return cmocka_run_group_tests(tests, load_dictionary, NULL);
}
