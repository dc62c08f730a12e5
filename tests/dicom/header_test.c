#include "dicom/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "tests/support/torture.h"

#define LE_32(n) (uint8_t)((n) & 0xff), (uint8_t)((n) >> 8 & 0xff), (uint8_t)((n) >> 16 & 0xff), (uint8_t)((n) >> 24 & 0xff)

enum { ROOM = 512 << 20, PIXELS = 300 };

static bool write_head(struct vt_writer *w, const char *frames, struct vt_err *err)
{
    return vt_write_text(w, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 100", err) &&
           vt_write_text(w, VT_TAG_SOP_CLASS_UID, "UI", VT_UID_CT_IMAGE, err) &&
           vt_write_text(w, VT_TAG_SOP_INSTANCE_UID, "UI", "1.2.3.4", err) &&
           vt_write_text(w, VT_TAG_PATIENT_NAME, "PN", "Doe^Jane", err) &&
           vt_write_text(w, VT_TAG_NUMBER_OF_FRAMES, "IS", frames, err) &&
           vt_write_us(w, VT_TAG_ROWS, 2, err) &&
           vt_write_sequence_begin(w, VT_TAG_REQUEST_ATTRIBUTES_SEQUENCE, err) &&
           vt_write_item_begin(w, err) && vt_write_text(w, 0x00400007, "LO", "Head", err) &&
           vt_write_item_end(w, err) && vt_write_sequence_end(w, err) &&
           vt_write_text(w, 0x00a00010, "LO", "above group 0088", err);
}

static bool write_native(struct vt_writer *w, struct vt_err *err)
{
    uint8_t pixels[PIXELS];

    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 7);
    return write_head(w, "1", err) &&
           vt_write_bytes(w, VT_TAG_PIXEL_DATA, "OW", pixels, sizeof pixels, err);
}

static bool write_item(struct vt_buf *buf, const void *bytes, uint32_t size, struct vt_err *err)
{
    const uint8_t header[8] = { 0xfe, 0xff, 0x00, 0xe0, LE_32(size) };

    return vt_buf_append(buf, header, sizeof header, err) && vt_buf_append(buf, bytes, size, err);
}

/* Encapsulated pixel data: fragments of the given sizes behind a basic offset table. */
static bool write_fragments(struct vt_writer *w, const uint32_t *table, uint32_t table_count,
                            const uint32_t *sizes, size_t count, struct vt_err *err)
{
    static const uint8_t header[12] = { 0xe0, 0x7f, 0x10, 0, 'O', 'B', 0, 0, 0xff, 0xff, 0xff, 0xff };
    static const uint8_t end[8] = { 0xfe, 0xff, 0xdd, 0xe0 };
    uint8_t fragment[256];

    if (!vt_buf_append(w->buf, header, sizeof header, err) || !write_item(w->buf, table, table_count * 4, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        memset(fragment, (int)i + 1, sizeof fragment);
        if (!write_item(w->buf, fragment, sizes[i], err))
            return false;
    }
    return vt_buf_append(w->buf, end, sizeof end, err);
}

static bool feed_in_pieces(struct vt_header *header, const struct vt_buf *bytes, size_t piece,
                           struct vt_err *err)
{
    for (size_t at = 0; at < bytes->size; at += piece) {
        size_t size = bytes->size - at < piece ? bytes->size - at : piece;
        /* A copy of its own, so that reading beside the piece is seen. */
        vt_autofree uint8_t *copy = malloc(size);
        if (!copy)
            return vt_fail(err, VT_E_NOMEM, "no memory");
        memcpy(copy, bytes->data + at, size);
        if (!vt_header_feed(header, copy, size, err))
            return false;
    }
    return vt_header_finish(header, err);
}

static void assert_same(const struct vt_header *a, const struct vt_header *b)
{
    struct vt_digest all_a, all_b, pixels_a, pixels_b;
    struct vt_element x, y;
    size_t frames_a, frames_b, i;
    uint64_t offset_a = 0, offset_b = 0, length_a = 0, length_b = 0;

    vt_header_digests(a, &all_a, &pixels_a);
    vt_header_digests(b, &all_b, &pixels_b);
    assert_memory_equal(&all_a, &all_b, sizeof all_a);
    assert_memory_equal(&pixels_a, &pixels_b, sizeof pixels_a);
    assert_int_equal(vt_header_pixel_data(a, &offset_a, &length_a), vt_header_pixel_data(b, &offset_b, &length_b));
    assert_int_equal(offset_a, offset_b);
    assert_int_equal(length_a, length_b);
    for (i = 0; vt_header_at(a, i, &x); i++) {
        assert_true(vt_header_at(b, i, &y));
        assert_int_equal(x.tag, y.tag);
        assert_int_equal(x.length, y.length);
        if (x.length > 0)
            assert_memory_equal(x.value, y.value, x.length);
    }
    assert_false(vt_header_at(b, i, &y));
    const struct vt_frame *frame_a = vt_header_frames(a, &frames_a);
    const struct vt_frame *frame_b = vt_header_frames(b, &frames_b);
    assert_int_equal(frames_a, frames_b);
    if (frames_a > 0)
        assert_memory_equal(frame_a, frame_b, frames_a * sizeof *frame_a);
}

static void read_whole(struct vt_header *header, const struct vt_buf *bytes, enum vt_encoding encoding)
{
    struct vt_err err = { 0 };

    vt_header_reset(header, encoding, false, NULL);
    assert_true(vt_header_feed(header, bytes->data, bytes->size, &err));
    assert_true(vt_header_finish(header, &err));
}

static void assert_pieces_make_no_difference(const struct vt_buf *bytes, enum vt_encoding encoding)
{
    VT_AUTO(vt_header) whole = vt_header_new();
    VT_AUTO(vt_header) parts = vt_header_new();

    read_whole(whole, bytes, encoding);
    for (size_t split = 1; split < bytes->size; split++) {
        struct vt_err err = { 0 };
        vt_header_reset(parts, encoding, false, NULL);
        assert_true(vt_header_feed(parts, bytes->data, split, &err));
        assert_true(vt_header_feed(parts, bytes->data + split, bytes->size - split, &err));
        assert_true(vt_header_finish(parts, &err));
        assert_same(whole, parts);
    }
    for (size_t piece = 1; piece < 40; piece++) {
        struct vt_err err = { 0 };
        vt_header_reset(parts, encoding, false, NULL);
        assert_true(feed_in_pieces(parts, bytes, piece, &err));
        assert_same(whole, parts);
    }
}

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

static const uint32_t four_sizes[] = { 10, 20, 30, 40 };

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
    static const uint64_t one_frame[] = { 132 }, two_frames[] = { 46, 86 }, each[] = { 18, 28, 38, 48 };
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
    static const char *const fragments[] = { "\xff\xd8" "one", "1", "more", "\xff\xd8" "two", "", "x\xff\xd8" };
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

        assert_true(write_head(&w, cases[c].number, &err) && write_fragments(&w, NULL, 0, NULL, 0, &err));
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
        assert_true(write_head(&w, "4", &err) && write_fragments(&w, four, i * 4, four_sizes, 4, &err));
        read_whole(header, &bytes, VT_EXPLICIT_LE);
        vt_header_digests(header, &all, &pixels[i]);
    }
    assert_memory_equal(&pixels[0], &pixels[1], sizeof pixels[0]);
}

static void deflate_into(const uint8_t *bytes, size_t size, struct vt_buf *out)
{
    z_stream stream = { 0 };
    struct vt_err err = { 0 };

    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_true(vt_buf_reserve(out, deflateBound(&stream, size), &err));
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.avail_in = (unsigned)size;
    stream.next_out = out->data;
    stream.avail_out = (unsigned)out->capacity;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out->size = stream.total_out;
    deflateEnd(&stream);
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
        cmocka_unit_test(native_pixels_are_found_and_digested),
        cmocka_unit_test(native_data_may_come_in_any_pieces),
        cmocka_unit_test(frames_are_found_by_count_or_by_table),
        cmocka_unit_test(frames_without_a_table_are_found_by_their_first_bytes),
        cmocka_unit_test(frames_are_found_by_the_extended_table),
        cmocka_unit_test(an_offset_table_does_not_change_the_digest_of_the_pixels),
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
