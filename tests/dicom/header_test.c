#include "tests/dicom/header_made.h"

static void small_elements_are_kept_and_others_not(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, ROOM);
    VT_AUTO(vt_header) header = vt_header_new();
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    struct vt_element element;
    char text[VT_UID_MAX + 1];
    int64_t rows;

    assert_true(write_native(&w, &err));
    read_whole(header, &bytes, VT_EXPLICIT_LE);
    vt_header_text(header, VT_TAG_SOP_INSTANCE_UID, text, sizeof text);
    assert_string_equal(text, "1.2.3.4");
    vt_header_text(header, VT_TAG_STUDY_INSTANCE_UID, text, sizeof text);
    assert_string_equal(text, "");
    assert_true(vt_header_find(header, VT_TAG_ROWS, &element));
    assert_true(vt_element_number(&element, VT_EXPLICIT_LE, &rows));
    assert_int_equal(rows, 2);
    assert_false(vt_header_find(header, 0x00a00010, &element));
    assert_false(vt_header_find(header, VT_TAG_PIXEL_DATA, &element));
    assert_int_equal(vt_header_size(header), bytes.size);
}

static void a_kept_sequence_can_be_walked(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, ROOM);
    VT_AUTO(vt_header) header = vt_header_new();
    struct vt_writer w = { &bytes, VT_IMPLICIT_LE };
    struct vt_err err = { 0 };
    struct vt_walk items, elements;
    struct vt_element sequence, item, element;
    bool more;
    char text[8];

    assert_true(write_native(&w, &err));
    read_whole(header, &bytes, VT_IMPLICIT_LE);
    assert_true(vt_header_find(header, VT_TAG_REQUEST_ATTRIBUTES_SEQUENCE, &sequence));
    vt_walk_items(&items, &sequence, vt_header_encoding(header));
    assert_true(vt_walk_next(&items, &item, &more, &err) && more);
    vt_walk_item(&elements, &item, vt_header_encoding(header));
    assert_true(vt_walk_next(&elements, &element, &more, &err) && more);
    vt_element_text(&element, text, sizeof text);
    assert_string_equal(text, "Head");
    assert_true(vt_walk_next(&items, &item, &more, &err) && !more);
}

static void known_elements_that_came_as_unknown_have_their_vr(void **state)
{
    (void)state;
    static const uint8_t rows[] = { 2, 0 };
    VT_AUTO_BUF(bytes, ROOM);
    VT_AUTO(vt_header) header = vt_header_new();
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    struct vt_element element;
    int64_t number;

    assert_true(vt_write_bytes(&w, VT_TAG_PATIENT_ID, "UN", "ID", 2, &err));
    assert_true(vt_write_bytes(&w, VT_TAG_ROWS, "UN", rows, sizeof rows, &err));
    assert_true(vt_write_bytes(&w, 0x00291010, "UN", "ab", 2, &err));
    read_whole(header, &bytes, VT_EXPLICIT_LE);
    assert_true(vt_header_find(header, VT_TAG_PATIENT_ID, &element));
    assert_string_equal(element.vr, "LO");
    assert_true(vt_header_find(header, VT_TAG_ROWS, &element));
    assert_true(vt_element_number(&element, VT_EXPLICIT_LE, &number));
    assert_int_equal(number, 2);
}

static void deflated_data_are_read_as_what_they_inflate_to(void **state)
{
    (void)state;
    VT_AUTO_BUF(plain, ROOM);
    VT_AUTO_BUF(deflated, ROOM);
    VT_AUTO(vt_header) a = vt_header_new();
    VT_AUTO(vt_header) b = vt_header_new();
    struct vt_writer w = { &plain, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    struct vt_digest all, pixels_a, pixels_b;
    uint64_t offset, length;

    assert_true(write_native(&w, &err));
    deflate_into(plain.data, plain.size, &deflated);
    read_whole(a, &plain, VT_EXPLICIT_LE);
    read_whole(b, &deflated, VT_DEFLATED_LE);
    vt_header_digests(a, &all, &pixels_a);
    vt_header_digests(b, &all, &pixels_b);
    assert_memory_equal(&pixels_a, &pixels_b, sizeof pixels_a);
    assert_true(vt_header_pixel_data(b, &offset, &length));
    assert_int_equal(offset, plain.size - PIXELS);
    assert_int_equal(vt_header_size(b), deflated.size);
    assert_int_equal(vt_header_encoding(b), VT_EXPLICIT_LE);
    assert_pieces_make_no_difference(&deflated, VT_DEFLATED_LE);

    vt_header_reset(b, VT_DEFLATED_LE, false, NULL);
    assert_true(vt_header_feed(b, deflated.data, deflated.size - 1, &err));
    assert_false(vt_header_finish(b, &err));
    assert_int_equal(err.dimse_status, 0xc005);
}

static void a_deflate_bomb_is_refused_before_it_has_grown(void **state)
{
    (void)state;
    enum { BOMB = 270 << 20 };
    VT_AUTO_BUF(deflated, ROOM);
    VT_AUTO(vt_header) header = vt_header_new();
    static const uint8_t head[12] = { 0xe0, 0x7f, 0x10, 0, 'O', 'W', 0, 0, LE_32(BOMB) };
    vt_autofree uint8_t *zeros = calloc(1, BOMB);
    struct vt_err err = { 0 };

    memcpy(zeros, head, sizeof head);
    deflate_into(zeros, BOMB, &deflated);
    assert_true(deflated.size < 300000);
    vt_header_reset(header, VT_DEFLATED_LE, false, NULL);
    assert_false(vt_header_feed(header, deflated.data, deflated.size, &err));
    assert_int_equal(err.dimse_status, 0xc007);
    assert_int_equal(err.code, VT_E_LIMIT);
}

static void corrupt_deflated_data_are_refused(void **state)
{
    (void)state;
    static const uint8_t rubbish[] = { 0xff, 0xff, 0xff, 0xff, 0x12, 0x34 };
    VT_AUTO(vt_header) header = vt_header_new();
    struct vt_err err = { 0 };

    vt_header_reset(header, VT_DEFLATED_LE, false, NULL);
    assert_false(vt_header_feed(header, rubbish, sizeof rubbish, &err));
    assert_int_equal(err.dimse_status, 0xc005);
}

static void every_truncation_is_found_at_the_end(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, ROOM);
    VT_AUTO(vt_header) header = vt_header_new();
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    size_t whole = 0;

    assert_true(write_native(&w, &err));
    for (size_t size = 0; size <= bytes.size; size++) {
        struct vt_err cut = { 0 };
        vt_header_reset(header, VT_EXPLICIT_LE, false, NULL);
        assert_true(vt_header_feed(header, bytes.data, size, &cut));
        if (vt_header_finish(header, &cut))
            whole++;
        else
            assert_int_equal(cut.dimse_status, 0xc005);
    }
    assert_int_equal(whole, 10);
}

static void a_failure_stays_and_the_digest_goes_on(void **state)
{
    (void)state;
    static const uint8_t bad[] = { 0x10, 0, 0x20, 0, 'U', 'T', 0, 0, 0xf0, 0xff, 0xff, 0xff };
    VT_AUTO(vt_header) header = vt_header_new();
    VT_AUTO(vt_header) other = vt_header_new();
    struct vt_err err = { 0 }, again = { 0 };
    struct vt_digest a, b, pixels;

    vt_header_reset(header, VT_EXPLICIT_LE, false, NULL);
    vt_header_reset(other, VT_EXPLICIT_LE, false, NULL);
    assert_false(vt_header_feed(header, bad, sizeof bad, &err));
    assert_int_equal(err.dimse_status, 0xc007);
    assert_false(vt_header_feed(header, (const uint8_t *)"abc", 3, &again));
    assert_int_equal(again.dimse_status, 0xc007);
    assert_false(vt_header_finish(header, &again));
    assert_false(vt_header_feed(other, bad, sizeof bad, &err));
    vt_header_digests(header, &a, &pixels);
    vt_header_digests(other, &b, &pixels);
    assert_memory_not_equal(&a, &b, sizeof a);
    assert_int_equal(vt_header_size(header), sizeof bad + 3);
}

static void values_that_are_too_long_are_noted_only(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, ROOM);
    VT_AUTO(vt_header) header = vt_header_new();
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    struct vt_element element;
    vt_autofree uint8_t *value = calloc(1, VT_HEADER_KEPT_VALUE_MAX + 2);

    assert_true(vt_write_bytes(&w, 0x00090001, "OB", value, VT_HEADER_KEPT_VALUE_MAX, &err));
    assert_true(vt_write_bytes(&w, 0x00090002, "OB", value, VT_HEADER_KEPT_VALUE_MAX + 2, &err));
    assert_true(vt_write_sequence_begin(&w, 0x00090003, &err) && vt_write_item_begin(&w, &err));
    assert_true(vt_write_bytes(&w, 0x00090001, "OB", value, VT_HEADER_KEPT_VALUE_MAX, &err));
    assert_true(vt_write_item_end(&w, &err) && vt_write_sequence_end(&w, &err));
    assert_true(vt_write_text(&w, VT_TAG_PATIENT_ID, "LO", "ID", &err));
    read_whole(header, &bytes, VT_EXPLICIT_LE);
    assert_true(vt_header_find(header, 0x00090001, &element));
    assert_int_equal(element.length, VT_HEADER_KEPT_VALUE_MAX);
    assert_false(vt_header_find(header, 0x00090002, &element));
    assert_int_equal(element.length, VT_HEADER_KEPT_VALUE_MAX + 2);
    assert_null(element.value);
    assert_false(vt_header_find(header, 0x00090003, &element));
    assert_true(vt_header_at(header, 1, &element));
    assert_int_equal(element.tag, VT_TAG_PATIENT_ID);
    assert_false(vt_header_at(header, 2, &element));
}

static void all_kept_values_together_are_bounded(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, ROOM);
    VT_AUTO(vt_header) header = vt_header_new();
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    struct vt_element element;
    vt_autofree uint8_t *value = calloc(1, VT_HEADER_KEPT_VALUE_MAX);
    size_t kept = 0;

    for (uint32_t i = 1; i <= 100; i++)
        assert_true(vt_write_bytes(&w, 0x00090000 + i, "OB", value, VT_HEADER_KEPT_VALUE_MAX, &err));
    read_whole(header, &bytes, VT_EXPLICIT_LE);
    while (vt_header_at(header, kept, &element))
        kept++;
    assert_int_equal(kept, VT_HEADER_KEPT_MAX / VT_HEADER_KEPT_VALUE_MAX);
}

static void the_first_of_two_equal_tags_is_found_in_any_order(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, ROOM);
    VT_AUTO(vt_header) header = vt_header_new();
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    char text[8];

    assert_true(vt_write_text(&w, VT_TAG_STUDY_ID, "SH", "S", &err));
    assert_true(vt_write_text(&w, VT_TAG_PATIENT_ID, "LO", "one", &err));
    assert_true(vt_write_text(&w, VT_TAG_PATIENT_ID, "LO", "two", &err));
    read_whole(header, &bytes, VT_EXPLICIT_LE);
    vt_header_text(header, VT_TAG_PATIENT_ID, text, sizeof text);
    assert_string_equal(text, "one");
    vt_header_text(header, VT_TAG_STUDY_ID, text, sizeof text);
    assert_string_equal(text, "S");
}

static void the_start_of_a_file_is_read(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, ROOM);
    struct vt_err err = { 0 };
    struct vt_file_meta meta = { VT_UID_CT_IMAGE, "1.2.3.4", VT_UID_DEFLATED_LE, "CT1" };
    struct vt_part10 part10;
    size_t start;

    assert_true(vt_write_file_meta(&bytes, &meta, &err));
    start = bytes.size;
    /* Deflated bytes that look like group 0002. */
    assert_true(vt_buf_append(&bytes, "\x02\x00\x13\x00SH\x02\x00xx", 10, &err));
    assert_true(vt_part10_read(bytes.data, bytes.size, &part10, &err));
    assert_int_equal(part10.data_set_offset, start);
    assert_string_equal(part10.transfer_syntax_uid, VT_UID_DEFLATED_LE);
    assert_string_equal(part10.sop_class_uid, VT_UID_CT_IMAGE);
    assert_string_equal(part10.sop_instance_uid, "1.2.3.4");
    assert_string_equal(part10.source_ae_title, "CT1");
    for (size_t size = 0; size < start; size++)
        assert_false(vt_part10_read(bytes.data, size, &part10, &err));
}

static void a_wrong_group_length_does_not_hide_the_data_set(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, ROOM);
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    struct vt_file_meta meta = { VT_UID_CT_IMAGE, "1.2.3.4", VT_UID_EXPLICIT_LE, NULL };
    struct vt_part10 part10;

    assert_true(vt_write_file_meta(&bytes, &meta, &err));
    size_t start = bytes.size;
    bytes.data[132 + 8] ^= 1;
    assert_true(write_native(&w, &err));
    assert_true(vt_part10_read(bytes.data, bytes.size, &part10, &err));
    assert_int_equal(part10.data_set_offset, start);
}

static bool read_in_pieces(void *context, struct vt_err *err)
{
    VT_AUTO(vt_header) header = vt_header_new();
    const struct vt_buf *both = context;

    if (!header)
        return vt_fail(err, VT_E_NOMEM, "no memory");
    vt_header_reset(header, VT_EXPLICIT_LE, true, NULL);
    if (!feed_in_pieces(header, &both[0], 1 << 20, err))
        return false;
    vt_header_reset(header, VT_DEFLATED_LE, false, NULL);
    return vt_header_feed(header, both[1].data, both[1].size, err) && vt_header_finish(header, err);
}

static void no_allocation_failure_leaks_or_crashes(void **state)
{
    (void)state;
    static const uint32_t two[] = { 0, 46 };
    struct vt_buf both[2];
    struct vt_err err = { 0 };
    vt_autofree uint8_t *value = calloc(1, VT_HEADER_KEPT_VALUE_MAX + 2);

    vt_buf_init(&both[0], ROOM);
    vt_buf_init(&both[1], ROOM);
    struct vt_writer w = { &both[0], VT_EXPLICIT_LE };
    assert_true(write_head(&w, "2", &err));
    assert_true(vt_write_bytes(&w, 0x00090002, "OB", value, VT_HEADER_KEPT_VALUE_MAX + 2, &err));
    assert_true(write_fragments(&w, two, 2, four_sizes, 4, &err));
    deflate_into(both[0].data, both[0].size, &both[1]);
    assert_true(vt_torture(read_in_pieces, both) > 5);
    vt_buf_fini(&both[0]);
    vt_buf_fini(&both[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_elements_are_kept_and_others_not),
        cmocka_unit_test(a_kept_sequence_can_be_walked),
        cmocka_unit_test(known_elements_that_came_as_unknown_have_their_vr),
        cmocka_unit_test(deflated_data_are_read_as_what_they_inflate_to),
        cmocka_unit_test(a_deflate_bomb_is_refused_before_it_has_grown),
        cmocka_unit_test(corrupt_deflated_data_are_refused),
        cmocka_unit_test(every_truncation_is_found_at_the_end),
        cmocka_unit_test(a_failure_stays_and_the_digest_goes_on),
        cmocka_unit_test(values_that_are_too_long_are_noted_only),
        cmocka_unit_test(all_kept_values_together_are_bounded),
        cmocka_unit_test(the_first_of_two_equal_tags_is_found_in_any_order),
        cmocka_unit_test(the_start_of_a_file_is_read),
        cmocka_unit_test(a_wrong_group_length_does_not_hide_the_data_set),
        cmocka_unit_test(no_allocation_failure_leaks_or_crashes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
