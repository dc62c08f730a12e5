/* Pixel data: found, digested, cut into frames. */
#include "tests/dicom/header_made.h"

static void native_pixels_are_found_and_digested(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, ROOM);
    VT_AUTO_BUF(other, ROOM);
    VT_AUTO(vt_header) a = vt_header_new();
    VT_AUTO(vt_header) b = vt_header_new();
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE }, x = { &other, VT_IMPLICIT_LE };
    struct vt_err err = { 0 };
    struct vt_digest all_a, all_b, pixels_a, pixels_b;
    uint64_t offset, length;

    assert_true(write_native(&w, &err) && write_native(&x, &err));
    read_whole(a, &bytes, VT_EXPLICIT_LE);
    read_whole(b, &other, VT_IMPLICIT_LE);
    assert_true(vt_header_pixel_data(a, &offset, &length));
    assert_int_equal(offset, bytes.size - PIXELS);
    assert_int_equal(length, PIXELS);
    vt_header_digests(a, &all_a, &pixels_a);
    vt_header_digests(b, &all_b, &pixels_b);
    assert_memory_not_equal(&all_a, &all_b, sizeof all_a);
    assert_memory_equal(&pixels_a, &pixels_b, sizeof pixels_a);
}

static void native_data_may_come_in_any_pieces(void **state)
{
    (void)state;
    for (enum vt_encoding encoding = VT_IMPLICIT_LE; encoding <= VT_EXPLICIT_LE; encoding++) {
        VT_AUTO_BUF(bytes, ROOM);
        struct vt_writer w = { &bytes, encoding };
        struct vt_err err = { 0 };
        assert_true(write_native(&w, &err));
        assert_pieces_make_no_difference(&bytes, encoding);
    }
}

static void assert_frames(const char *number, const uint32_t *table, uint32_t table_count,
                          const uint64_t *lengths, size_t count)
{
    VT_AUTO_BUF(bytes, ROOM);
    VT_AUTO(vt_header) header = vt_header_new();
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    size_t found;

    assert_true(write_head(&w, number, &err));
    size_t first = bytes.size + 12 + 8 + table_count * 4;
    assert_true(write_fragments(&w, table, table_count, four_sizes, 4, &err));
    read_whole(header, &bytes, VT_EXPLICIT_LE);
    const struct vt_frame *frames = vt_header_frames(header, &found);
    assert_int_equal(found, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(frames[i].offset, first);
        assert_int_equal(frames[i].length, lengths[i]);
        first += frames[i].length;
    }
    assert_pieces_make_no_difference(&bytes, VT_EXPLICIT_LE);
}

static void frames_are_found_by_count_or_by_table(void **state)
{
    (void)state;
    static const uint32_t two[] = { 0, 18 + 28 }, wrong[] = { 0, 17 }, four[] = { 0, 18, 46, 84 };
    static const uint32_t late[] = { 8, 18 }, three[] = { 0, 18, 84 };
    static const uint64_t one_frame[] = { 132 }, two_frames[] = { 46, 86 },
                          each[] = { 18, 28, 38, 48 };
    static const uint64_t three_frames[] = { 18, 66, 48 };

    assert_frames("1", NULL, 0, one_frame, 1);
    assert_frames("1", four, 4, one_frame, 1);
    assert_frames("4", NULL, 0, each, 4);
    assert_frames("4", four, 4, each, 4);
    assert_frames("4", wrong, 2, each, 4);
    assert_frames("2", two, 2, two_frames, 2);
    assert_frames("3", three, 3, three_frames, 3);
    assert_frames("2", wrong, 2, NULL, 0);
    assert_frames("2", late, 2, NULL, 0);
    assert_frames("2", NULL, 0, NULL, 0);
    assert_frames("5", NULL, 0, NULL, 0);
    assert_frames("", NULL, 0, one_frame, 1);
    assert_frames("999999999", NULL, 0, NULL, 0);
}

static void frames_without_a_table_are_found_by_their_first_bytes(void **state)
{
    (void)state;
    static const char *const fragments[] = { "\xff\xd8"
                                             "one",
                                             "1",
                                             "more",
                                             "\xff\xd8"
                                             "two",
                                             "",
                                             "x\xff\xd8" };
    static const struct {
        const char *number;
        size_t count;
    } cases[] = { { "2", 2 }, { "3", 0 }, { "1", 1 }, { "6", 6 }, { "5", 0 } };

    for (size_t c = 0; c < VT_COUNT(cases); c++) {
        VT_AUTO_BUF(bytes, ROOM);
        VT_AUTO(vt_header) header = vt_header_new();
        struct vt_writer w = { &bytes, VT_EXPLICIT_LE };
        struct vt_err err = { 0 };
        size_t count;

        assert_true(write_head(&w, cases[c].number, &err) &&
                    write_fragments(&w, NULL, 0, NULL, 0, &err));
        bytes.size -= 8;
        size_t first = bytes.size;
        for (size_t i = 0; i < VT_COUNT(fragments); i++)
            assert_true(write_item(&bytes, fragments[i], (uint32_t)strlen(fragments[i]), &err));
        assert_true(vt_write_sequence_end(&w, &err));
        read_whole(header, &bytes, VT_EXPLICIT_LE);
        const struct vt_frame *frames = vt_header_frames(header, &count);
        assert_int_equal(count, cases[c].count);
        if (count == 2) {
            assert_int_equal(frames[0].offset, first);
            assert_int_equal(frames[0].length, 3 * 8 + 5 + 1 + 4);
            assert_int_equal(frames[1].offset, first + frames[0].length);
            assert_int_equal(frames[1].length, 3 * 8 + 5 + 3);
        }
        assert_pieces_make_no_difference(&bytes, VT_EXPLICIT_LE);
    }
}

static void frames_are_found_by_the_extended_table(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, ROOM);
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    static const uint64_t offsets[] = { 0, 46 }, lengths[] = { 30, 70 };
    VT_AUTO(vt_header) header = vt_header_new();
    size_t count;

    assert_true(write_head(&w, "2", &err));
    assert_true(vt_write_bytes(&w, UINT32_C(0x7fe00001), "OV", offsets, sizeof offsets, &err));
    assert_true(vt_write_bytes(&w, UINT32_C(0x7fe00002), "OV", lengths, sizeof lengths, &err));
    assert_true(write_fragments(&w, NULL, 0, four_sizes, 4, &err));
    read_whole(header, &bytes, VT_EXPLICIT_LE);
    const struct vt_frame *frames = vt_header_frames(header, &count);
    assert_int_equal(count, 2);
    assert_int_equal(frames[0].length, 46);
    assert_int_equal(frames[1].length, 86);
    assert_pieces_make_no_difference(&bytes, VT_EXPLICIT_LE);
}

static void an_offset_table_does_not_change_the_digest_of_the_pixels(void **state)
{
    (void)state;
    static const uint32_t four[] = { 0, 18, 46, 84 };
    struct vt_digest all, pixels[2];

    for (uint32_t i = 0; i < 2; i++) {
        VT_AUTO_BUF(bytes, ROOM);
        VT_AUTO(vt_header) header = vt_header_new();
        struct vt_writer w = { &bytes, VT_EXPLICIT_LE };
        struct vt_err err = { 0 };
        assert_true(write_head(&w, "4", &err) &&
                    write_fragments(&w, four, i * 4, four_sizes, 4, &err));
        read_whole(header, &bytes, VT_EXPLICIT_LE);
        vt_header_digests(header, &all, &pixels[i]);
    }
    assert_memory_equal(&pixels[0], &pixels[1], sizeof pixels[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(native_pixels_are_found_and_digested),
        cmocka_unit_test(native_data_may_come_in_any_pieces),
        cmocka_unit_test(frames_are_found_by_count_or_by_table),
        cmocka_unit_test(frames_without_a_table_are_found_by_their_first_bytes),
        cmocka_unit_test(frames_are_found_by_the_extended_table),
        cmocka_unit_test(an_offset_table_does_not_change_the_digest_of_the_pixels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
