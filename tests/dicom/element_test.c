#include "dicom/element.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "tests/support/torture.h"

#define BYTES(name, ...) static const uint8_t name[] = { __VA_ARGS__ }
#define LE_TAG(g, e) (g) & 0xff, (g) >> 8, (e) & 0xff, (e) >> 8
#define LE_32(n) (uint8_t)((n) & 0xff), (uint8_t)((n) >> 8 & 0xff), (uint8_t)((n) >> 16 & 0xff), (uint8_t)((n) >> 24 & 0xff)
#define UNDEFINED 0xff, 0xff, 0xff, 0xff

enum { ROOM = 4 << 20 };

static bool check(const uint8_t *bytes, size_t size, enum vt_encoding encoding, struct vt_err *err)
{
    return vt_element_check(bytes, size, encoding, &VT_ELEMENT_LIMITS_DEFAULT, err);
}

/* A data set with a bit of everything, in the writer's encoding. */
static bool write_sample(struct vt_writer *w, struct vt_err *err)
{
    static const uint16_t pixels[4] = { 1, 2, 0x1234, 4 };

    return vt_write_text(w, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 100", err) &&
           vt_write_text(w, VT_TAG_SOP_INSTANCE_UID, "UI", "1.2.3", err) &&
           vt_write_text(w, VT_TAG_PATIENT_NAME, "PN", "Doe^Jane", err) &&
           vt_write_text(w, VT_TAG_INSTANCE_NUMBER, "IS", "7", err) &&
           vt_write_us(w, VT_TAG_ROWS, 2, err) && vt_write_ul(w, 0x00280009, 0x00181063, err) &&
           vt_write_sequence_begin(w, VT_TAG_REQUEST_ATTRIBUTES_SEQUENCE, err) &&
           vt_write_item_begin(w, err) && vt_write_text(w, 0x00400007, "LO", "Head", err) &&
           vt_write_item_end(w, err) && vt_write_item_begin(w, err) && vt_write_item_end(w, err) &&
           vt_write_sequence_end(w, err) &&
           vt_write_bytes(w, VT_TAG_PIXEL_DATA, "OW", pixels, sizeof pixels, err);
}

static void what_was_written_is_walked_over_again(void **state)
{
    (void)state;
    static const uint32_t tags[] = {
        VT_TAG_SPECIFIC_CHARACTER_SET, VT_TAG_SOP_INSTANCE_UID, VT_TAG_PATIENT_NAME,
        VT_TAG_INSTANCE_NUMBER, VT_TAG_ROWS, 0x00280009, VT_TAG_REQUEST_ATTRIBUTES_SEQUENCE,
        VT_TAG_PIXEL_DATA,
    };

    for (enum vt_encoding encoding = VT_IMPLICIT_LE; encoding <= VT_EXPLICIT_LE; encoding++) {
        VT_AUTO_BUF(buf, ROOM);
        struct vt_writer w = { &buf, encoding };
        struct vt_err err = { 0 };
        struct vt_walk walk;
        struct vt_element element;
        bool more = true;
        size_t count = 0;

        assert_true(write_sample(&w, &err));
        assert_true(check(buf.data, buf.size, encoding, &err));
        vt_walk_init(&walk, buf.data, buf.size, encoding);
        for (; vt_walk_next(&walk, &element, &more, &err) && more; count++)
            assert_int_equal(element.tag, tags[count]);
        assert_false(vt_failed(&err));
        assert_int_equal(count, VT_COUNT(tags));
    }
}

static void items_of_a_sequence_are_walked_level_by_level(void **state)
{
    (void)state;
    VT_AUTO_BUF(buf, ROOM);
    struct vt_writer w = { &buf, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    struct vt_walk items, elements;
    struct vt_element sequence, item, element;
    bool more = false;
    char text[16];

    assert_true(write_sample(&w, &err));
    assert_true(vt_element_find(buf.data, buf.size, VT_EXPLICIT_LE,
                                VT_TAG_REQUEST_ATTRIBUTES_SEQUENCE, &sequence));
    assert_true(sequence.undefined_length);
    vt_walk_items(&items, &sequence, VT_EXPLICIT_LE);
    assert_true(vt_walk_next(&items, &item, &more, &err) && more);
    assert_int_equal(item.tag, VT_TAG_ITEM);
    vt_walk_item(&elements, &item, VT_EXPLICIT_LE);
    assert_true(vt_walk_next(&elements, &element, &more, &err) && more);
    assert_int_equal(vt_element_text(&element, text, sizeof text), 4);
    assert_string_equal(text, "Head");
    assert_true(vt_walk_next(&elements, &element, &more, &err) && !more);
    assert_true(vt_walk_next(&items, &item, &more, &err) && more);
    assert_int_equal(item.length, 0);
    assert_true(vt_walk_next(&items, &item, &more, &err) && !more);
}

static void every_truncation_is_found_out(void **state)
{
    (void)state;
    VT_AUTO_BUF(buf, ROOM);
    struct vt_writer w = { &buf, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    size_t whole = 0;

    assert_true(write_sample(&w, &err));
    for (size_t size = 0; size <= buf.size; size++) {
        struct vt_err cut = { 0 };
        if (check(buf.data, size, VT_EXPLICIT_LE, &cut))
            whole++;
        else
            assert_int_equal(cut.dimse_status, 0xc005);
    }
    /* Between the eight elements it may end, at the start and at the end. */
    assert_int_equal(whole, 9);
}

static void a_length_of_four_gigabytes_in_fifteen_bytes_is_refused(void **state)
{
    (void)state;
    BYTES(bytes, LE_TAG(0x0010, 0x0020), 'U', 'T', 0, 0, 0xf0, 0xff, 0xff, 0xff, 'a', 'b', 'c');
    struct vt_err err = { 0 };

    assert_false(check(bytes, sizeof bytes, VT_EXPLICIT_LE, &err));
    assert_int_equal(err.dimse_status, 0xc007);
    assert_int_equal(err.code, VT_E_INVALID);
}

static size_t write_nested(uint8_t *out, size_t depth)
{
    BYTES(sequence, LE_TAG(0x0040, 0xa730), 'S', 'Q', 0, 0, UNDEFINED);
    BYTES(item, LE_TAG(0xfffe, 0xe000), UNDEFINED);
    size_t at = 0;

    for (size_t i = 0; i < depth; i++) {
        memcpy(out + at, sequence, sizeof sequence);
        memcpy(out + at + sizeof sequence, item, sizeof item);
        at += sizeof sequence + sizeof item;
    }
    return at;
}

static void six_thousand_nested_sequences_are_too_deep(void **state)
{
    (void)state;
    static uint8_t bytes[6000 * 20];
    struct vt_err err = { 0 };

    assert_false(check(bytes, write_nested(bytes, 6000), VT_EXPLICIT_LE, &err));
    assert_int_equal(err.dimse_status, 0xc006);
    assert_int_equal(err.code, VT_E_LIMIT);
}

static void depth_is_counted_to_the_limit_and_not_beyond(void **state)
{
    (void)state;
    uint8_t bytes[40 * 20];
    BYTES(ends, LE_TAG(0xfffe, 0xe00d), LE_32(0), LE_TAG(0xfffe, 0xe0dd), LE_32(0));

    for (size_t depth = 31; depth <= 33; depth++) {
        VT_AUTO_BUF(buf, ROOM);
        struct vt_err err = { 0 };
        assert_true(vt_buf_append(&buf, bytes, write_nested(bytes, depth), &err));
        for (size_t i = 0; i < depth; i++)
            assert_true(vt_buf_append(&buf, ends, sizeof ends, &err));
        assert_int_equal(check(buf.data, buf.size, VT_EXPLICIT_LE, &err), depth <= 32);
    }
}

/* An implicit reader with a private dictionary would take these for sequences, so their depth counts. */
static void nesting_hidden_in_unknown_elements_is_too_deep(void **state)
{
    (void)state;
    static uint8_t bytes[6000 * 16];
    size_t size = sizeof bytes;
    struct vt_err err = { 0 };

    for (size_t at = 0; at < size; at += 16) {
        uint32_t left = (uint32_t)(size - at - 8);
        const uint8_t level[16] = { LE_TAG(0x0029, 0x1010), LE_32(left), LE_TAG(0xfffe, 0xe000),
                                    LE_32(left - 8) };
        memcpy(bytes + at, level, sizeof level);
    }
    assert_false(check(bytes, size, VT_IMPLICIT_LE, &err));
    assert_int_equal(err.dimse_status, 0xc006);
}

static void an_unknown_value_that_only_looks_like_a_sequence_is_fine(void **state)
{
    (void)state;
    BYTES(bytes, LE_TAG(0x0029, 0x1010), LE_32(14), LE_TAG(0xfffe, 0xe000), LE_32(6), 1, 2, 3, 4, 5, 6,
          LE_TAG(0x0029, 0x1011), LE_32(8), LE_TAG(0xfffe, 0xe000), LE_32(99),
          LE_TAG(0x0029, 0x1012), LE_32(2), 'a', 'b');
    struct vt_err err = { 0 };

    assert_true(check(bytes, sizeof bytes, VT_IMPLICIT_LE, &err));
    assert_false(check(bytes, sizeof bytes - 1, VT_IMPLICIT_LE, &err));
}

static void unknown_elements_of_undefined_length_are_implicit_inside(void **state)
{
    (void)state;
    BYTES(bytes, LE_TAG(0x0029, 0x1010), 'U', 'N', 0, 0, UNDEFINED, LE_TAG(0xfffe, 0xe000), UNDEFINED,
          LE_TAG(0x0010, 0x0020), LE_32(2), 'I', 'D', LE_TAG(0xfffe, 0xe00d), LE_32(0),
          LE_TAG(0xfffe, 0xe0dd), LE_32(0), LE_TAG(0x0040, 0x0512), 'L', 'O', 2, 0, 'X', 'Y');
    struct vt_err err = { 0 };
    struct vt_walk walk, items, elements;
    struct vt_element element, item;
    bool more;

    assert_true(check(bytes, sizeof bytes, VT_EXPLICIT_LE, &err));
    vt_walk_init(&walk, bytes, sizeof bytes, VT_EXPLICIT_LE);
    assert_true(vt_walk_next(&walk, &element, &more, &err) && more);
    vt_walk_items(&items, &element, VT_EXPLICIT_LE);
    assert_true(vt_walk_next(&items, &item, &more, &err) && more);
    vt_walk_item(&elements, &item, VT_EXPLICIT_LE);
    assert_true(vt_walk_next(&elements, &item, &more, &err) && more);
    assert_int_equal(item.tag, VT_TAG_PATIENT_ID);
    assert_string_equal(item.vr, "LO");
    assert_true(vt_walk_next(&walk, &element, &more, &err) && more);
    assert_int_equal(element.tag, VT_TAG_CONTAINER_IDENTIFIER);
}

static void odd_vrs_of_the_wild_are_read_as_others_read_them(void **state)
{
    (void)state;
    BYTES(bytes, LE_TAG(0x0009, 0x1001), '?', '?', 2, 0, 'a', 'b',        /* short length */
          LE_TAG(0x0009, 0x1002), 'l', 'o', 2, 0, 'a', 'b',               /* the same */
          LE_TAG(0x0009, 0x1003), 'Z', 'Z', 0, 0, LE_32(2), 'a', 'b',     /* a VR to come: long length */
          LE_TAG(0x0010, 0x0020), 'L', 'O', 2, 0, 'I', 'D');
    struct vt_err err = { 0 };
    struct vt_element element;

    assert_true(check(bytes, sizeof bytes, VT_EXPLICIT_LE, &err));
    assert_true(vt_element_find(bytes, sizeof bytes, VT_EXPLICIT_LE, VT_TAG_PATIENT_ID, &element));
    assert_true(vt_element_find(bytes, sizeof bytes, VT_EXPLICIT_LE, 0x00091001, &element));
    assert_string_equal(element.vr, "??");
}

static void fragments_of_pixel_data_are_passed_over_by_length(void **state)
{
    (void)state;
    BYTES(bytes, LE_TAG(0x7fe0, 0x0010), 'O', 'B', 0, 0, UNDEFINED, LE_TAG(0xfffe, 0xe000), LE_32(0),
          LE_TAG(0xfffe, 0xe000), LE_32(8), LE_TAG(0xfffe, 0xe0dd), LE_32(0),   /* a delimiter as data */
          LE_TAG(0xfffe, 0xe0dd), LE_32(0), LE_TAG(0xfffc, 0xfffc), 'O', 'B', 0, 0, LE_32(2), 0, 0);
    struct vt_err err = { 0 };
    struct vt_element element;

    assert_true(check(bytes, sizeof bytes, VT_EXPLICIT_LE, &err));
    assert_true(vt_element_find(bytes, sizeof bytes, VT_EXPLICIT_LE, VT_TAG_PIXEL_DATA, &element));
    assert_int_equal(element.length, 24);
    assert_true(vt_element_find(bytes, sizeof bytes, VT_EXPLICIT_LE, UINT32_C(0xfffcfffc), &element));
}

static void trailing_zeros_are_no_element(void **state)
{
    (void)state;
    BYTES(zeros, LE_TAG(0x0010, 0x0020), 'L', 'O', 2, 0, 'I', 'D', 0, 0, 0, 0, 0);
    BYTES(rubbish, LE_TAG(0x0010, 0x0020), 'L', 'O', 2, 0, 'I', 'D', 0, 1, 0);
    struct vt_err err = { 0 };

    assert_true(check(zeros, sizeof zeros, VT_EXPLICIT_LE, &err));
    assert_false(check(rubbish, sizeof rubbish, VT_EXPLICIT_LE, &err));
}

static void a_nested_length_beyond_its_item_is_refused(void **state)
{
    (void)state;
    BYTES(bytes, LE_TAG(0x0040, 0x0275), 'S', 'Q', 0, 0, LE_32(18), LE_TAG(0xfffe, 0xe000), LE_32(10),
          LE_TAG(0x0040, 0x0007), 'L', 'O', 40, 0, 'a', 'b', LE_TAG(0x0040, 0x0512), 'L', 'O', 40, 0,
          'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a',
          'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a', 'a');
    struct vt_err err = { 0 };

    assert_false(check(bytes, sizeof bytes, VT_EXPLICIT_LE, &err));
    assert_int_equal(err.dimse_status, 0xc007);
}

static void items_in_items_do_not_recurse(void **state)
{
    (void)state;
    static uint8_t bytes[200000 * 8];
    BYTES(item, LE_TAG(0xfffe, 0xe000), UNDEFINED);
    struct vt_element sequence = { .tag = 0x0040a730, .vr = "SQ", .value = bytes, .length = sizeof bytes };
    struct vt_walk walk;
    struct vt_element element;
    struct vt_err err = { 0 };
    bool more;

    for (size_t at = 0; at < sizeof bytes; at += sizeof item)
        memcpy(bytes + at, item, sizeof item);
    vt_walk_items(&walk, &sequence, VT_EXPLICIT_LE);
    assert_false(vt_walk_next(&walk, &element, &more, &err));
}

static void numbers_are_read_in_both_orders(void **state)
{
    (void)state;
    BYTES(little, 0xfe, 0xff);
    BYTES(big, 0xff, 0xfe);
    BYTES(text, ' ', '-', '1', '2', '\\', '3', ' ');
    int64_t number = 0;
    struct vt_element element = { .tag = 0x00280106, .vr = "SS", .value = little, .length = 2 };

    assert_true(vt_element_number(&element, VT_EXPLICIT_LE, &number));
    assert_int_equal(number, -2);
    element.value = big;
    assert_true(vt_element_number(&element, VT_EXPLICIT_BE, &number));
    assert_int_equal(number, -2);
    memcpy(element.vr, "US", 3);
    assert_true(vt_element_number(&element, VT_EXPLICIT_BE, &number));
    assert_int_equal(number, 0xfffe);
    element = (struct vt_element){ .vr = "IS", .value = text, .length = sizeof text };
    assert_true(vt_element_number(&element, VT_EXPLICIT_LE, &number));
    assert_int_equal(number, -12);
    element.length = 0;
    assert_false(vt_element_number(&element, VT_EXPLICIT_LE, &number));
    element = (struct vt_element){ .vr = "US", .value = little, .length = 1 };
    assert_false(vt_element_number(&element, VT_EXPLICIT_LE, &number));
}

static void text_loses_its_padding_and_is_cut_to_the_room(void **state)
{
    (void)state;
    BYTES(value, ' ', 'A', 'B', 'C', ' ', '\0');
    struct vt_element element = { .vr = "LO", .value = value, .length = sizeof value };
    char out[8], small[3];

    assert_int_equal(vt_element_text(&element, out, sizeof out), 3);
    assert_string_equal(out, "ABC");
    assert_int_equal(vt_element_text(&element, small, sizeof small), 3);
    assert_string_equal(small, "AB");
    memcpy(element.vr, "LT", 3);
    assert_int_equal(vt_element_text(&element, out, sizeof out), 4);
    assert_string_equal(out, " ABC");
}

static void big_endian_becomes_little_in_sequences_too(void **state)
{
    (void)state;
    BYTES(bytes, 0x00, 0x40, 0x02, 0x75, 'S', 'Q', 0, 0, UNDEFINED, 0xff, 0xfe, 0xe0, 0x00, UNDEFINED,
          0x00, 0x28, 0x00, 0x10, 'U', 'S', 0, 2, 0x12, 0x34, 0xff, 0xfe, 0xe0, 0x0d, 0, 0, 0, 0, 0xff,
          0xfe, 0xe0, 0xdd, 0, 0, 0, 0);
    VT_AUTO_BUF(buf, ROOM);
    struct vt_writer w = { &buf, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    struct vt_walk walk, items, elements;
    struct vt_element element, item;
    bool more;
    int64_t number;

    assert_true(check(bytes, sizeof bytes, VT_EXPLICIT_BE, &err));
    vt_walk_init(&walk, bytes, sizeof bytes, VT_EXPLICIT_BE);
    assert_true(vt_walk_next(&walk, &element, &more, &err) && more);
    assert_true(vt_write_element(&w, &element, VT_EXPLICIT_BE, &err));
    assert_true(check(buf.data, buf.size, VT_EXPLICIT_LE, &err));
    assert_true(vt_element_find(buf.data, buf.size, VT_EXPLICIT_LE, 0x00400275, &element));
    vt_walk_items(&items, &element, VT_EXPLICIT_LE);
    assert_true(vt_walk_next(&items, &item, &more, &err) && more);
    vt_walk_item(&elements, &item, VT_EXPLICIT_LE);
    assert_true(vt_walk_next(&elements, &element, &more, &err) && more);
    assert_true(vt_element_number(&element, VT_EXPLICIT_LE, &number));
    assert_int_equal(number, 0x1234);
}

static void implicit_and_explicit_turn_into_each_other(void **state)
{
    (void)state;
    VT_AUTO_BUF(explicit_bytes, ROOM);
    VT_AUTO_BUF(implicit_bytes, ROOM);
    VT_AUTO_BUF(back, ROOM);
    struct vt_writer first = { &explicit_bytes, VT_EXPLICIT_LE };
    struct vt_writer second = { &implicit_bytes, VT_IMPLICIT_LE };
    struct vt_writer third = { &back, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    struct vt_walk walk;
    struct vt_element element;
    bool more;

    assert_true(write_sample(&first, &err));
    vt_walk_init(&walk, explicit_bytes.data, explicit_bytes.size, VT_EXPLICIT_LE);
    while (vt_walk_next(&walk, &element, &more, &err) && more)
        assert_true(vt_write_element(&second, &element, VT_EXPLICIT_LE, &err));
    vt_walk_init(&walk, implicit_bytes.data, implicit_bytes.size, VT_IMPLICIT_LE);
    while (vt_walk_next(&walk, &element, &more, &err) && more)
        assert_true(vt_write_element(&third, &element, VT_IMPLICIT_LE, &err));
    /* (0028,0009) is AT in the dictionary, UL in the sample: everything else is as it was. */
    assert_int_equal(back.size, explicit_bytes.size);
    assert_true(check(back.data, back.size, VT_EXPLICIT_LE, &err));
}

static void odd_values_are_padded_as_their_vr_wants(void **state)
{
    (void)state;
    VT_AUTO_BUF(buf, ROOM);
    struct vt_writer w = { &buf, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };

    assert_true(vt_write_text(&w, VT_TAG_SOP_INSTANCE_UID, "UI", "1.2", &err));
    assert_int_equal(buf.data[buf.size - 1], 0);
    assert_true(vt_write_text(&w, VT_TAG_PATIENT_ID, "LO", "abc", &err));
    assert_int_equal(buf.data[buf.size - 1], ' ');
    assert_int_equal(buf.size % 2, 0);
}

static void a_short_vr_with_a_long_value_becomes_unknown(void **state)
{
    (void)state;
    static char text[70000];
    VT_AUTO_BUF(buf, ROOM);
    struct vt_writer w = { &buf, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    struct vt_element element;

    memset(text, 'a', sizeof text - 1);
    assert_true(vt_write_text(&w, VT_TAG_PATIENT_ID, "LO", text, &err));
    assert_true(vt_element_find(buf.data, buf.size, VT_EXPLICIT_LE, VT_TAG_PATIENT_ID, &element));
    assert_string_equal(element.vr, "UN");
    assert_int_equal(element.length, 70000);
}

static void file_meta_counts_itself(void **state)
{
    (void)state;
    VT_AUTO_BUF(buf, ROOM);
    struct vt_err err = { 0 };
    struct vt_file_meta meta = { VT_UID_CT_IMAGE, "1.2.3.4", VT_UID_EXPLICIT_LE, "CT1" };
    struct vt_element element;
    int64_t length;

    assert_true(vt_write_file_meta(&buf, &meta, &err));
    assert_memory_equal(buf.data + 128, "DICM", 4);
    assert_true(check(buf.data + 132, buf.size - 132, VT_EXPLICIT_LE, &err));
    assert_true(vt_element_find(buf.data + 132, buf.size - 132, VT_EXPLICIT_LE, 0x00020000, &element));
    assert_true(vt_element_number(&element, VT_EXPLICIT_LE, &length));
    assert_int_equal(length, buf.size - 132 - 12);
    assert_true(vt_element_find(buf.data + 132, buf.size - 132, VT_EXPLICIT_LE, 0x00020016, &element));
}

static void an_empty_data_set_is_fine_and_has_nothing(void **state)
{
    (void)state;
    struct vt_err err = { 0 };
    struct vt_element element;

    assert_true(check(NULL, 0, VT_IMPLICIT_LE, &err));
    assert_false(vt_element_find(NULL, 0, VT_IMPLICIT_LE, VT_TAG_ROWS, &element));
}

static void more_elements_than_the_limit_are_refused(void **state)
{
    (void)state;
    VT_AUTO_BUF(buf, ROOM);
    struct vt_writer w = { &buf, VT_IMPLICIT_LE };
    struct vt_err err = { 0 };
    struct vt_element_limits limits = { 32, 100, 1000 };

    for (int i = 0; i < 101; i++)
        assert_true(vt_write_us(&w, VT_TAG_ROWS, 1, &err));
    assert_false(vt_element_check(buf.data, buf.size, VT_IMPLICIT_LE, &limits, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    err = (struct vt_err){ 0 };
    assert_true(vt_element_check(buf.data, buf.size - 10, VT_IMPLICIT_LE, &limits, &err));
}

static bool write_and_check(void *context, struct vt_err *err)
{
    (void)context;
    VT_AUTO_BUF(buf, ROOM);
    VT_AUTO_BUF(copy, ROOM);
    struct vt_writer w = { &buf, VT_EXPLICIT_LE }, again = { &copy, VT_IMPLICIT_LE };
    struct vt_file_meta meta = { VT_UID_CT_IMAGE, "1.2.3.4", VT_UID_EXPLICIT_LE, NULL };
    struct vt_element element;

    return write_sample(&w, err) && vt_element_check(buf.data, buf.size, VT_EXPLICIT_LE, NULL, err) &&
           vt_element_find(buf.data, buf.size, VT_EXPLICIT_LE, 0x00400275, &element) &&
           vt_write_element(&again, &element, VT_EXPLICIT_LE, err) &&
           vt_write_file_meta(&copy, &meta, err);
}

static void no_allocation_failure_leaks_or_crashes(void **state)
{
    (void)state;
    assert_true(vt_torture(write_and_check, NULL) > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_walked_over_again),
        cmocka_unit_test(items_of_a_sequence_are_walked_level_by_level),
        cmocka_unit_test(every_truncation_is_found_out),
        cmocka_unit_test(a_length_of_four_gigabytes_in_fifteen_bytes_is_refused),
        cmocka_unit_test(six_thousand_nested_sequences_are_too_deep),
        cmocka_unit_test(depth_is_counted_to_the_limit_and_not_beyond),
        cmocka_unit_test(nesting_hidden_in_unknown_elements_is_too_deep),
        cmocka_unit_test(an_unknown_value_that_only_looks_like_a_sequence_is_fine),
        cmocka_unit_test(unknown_elements_of_undefined_length_are_implicit_inside),
        cmocka_unit_test(odd_vrs_of_the_wild_are_read_as_others_read_them),
        cmocka_unit_test(fragments_of_pixel_data_are_passed_over_by_length),
        cmocka_unit_test(trailing_zeros_are_no_element),
        cmocka_unit_test(a_nested_length_beyond_its_item_is_refused),
        cmocka_unit_test(items_in_items_do_not_recurse),
        cmocka_unit_test(numbers_are_read_in_both_orders),
        cmocka_unit_test(text_loses_its_padding_and_is_cut_to_the_room),
        cmocka_unit_test(big_endian_becomes_little_in_sequences_too),
        cmocka_unit_test(implicit_and_explicit_turn_into_each_other),
        cmocka_unit_test(odd_values_are_padded_as_their_vr_wants),
        cmocka_unit_test(a_short_vr_with_a_long_value_becomes_unknown),
        cmocka_unit_test(file_meta_counts_itself),
        cmocka_unit_test(an_empty_data_set_is_fine_and_has_nothing),
        cmocka_unit_test(more_elements_than_the_limit_are_refused),
        cmocka_unit_test(no_allocation_failure_leaks_or_crashes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
