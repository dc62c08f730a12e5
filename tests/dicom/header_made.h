/* tests/dicom/header_made.h: data sets for the tests of the header reader, and reading them in pieces. */
#pragma once

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

static inline bool write_head(struct vt_writer *w, const char *frames, struct vt_err *err)
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

static inline bool write_native(struct vt_writer *w, struct vt_err *err)
{
    uint8_t pixels[PIXELS];

    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 7);
    return write_head(w, "1", err) &&
           vt_write_bytes(w, VT_TAG_PIXEL_DATA, "OW", pixels, sizeof pixels, err);
}

static inline bool write_item(struct vt_buf *buf, const void *bytes, uint32_t size, struct vt_err *err)
{
    const uint8_t header[8] = { 0xfe, 0xff, 0x00, 0xe0, LE_32(size) };

    return vt_buf_append(buf, header, sizeof header, err) && vt_buf_append(buf, bytes, size, err);
}

/* Encapsulated pixel data: fragments of the given sizes behind a basic offset table. */
static inline bool write_fragments(struct vt_writer *w, const uint32_t *table, uint32_t table_count,
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

static inline bool feed_in_pieces(struct vt_header *header, const struct vt_buf *bytes, size_t piece,
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

static inline void assert_same(const struct vt_header *a, const struct vt_header *b)
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

static inline void read_whole(struct vt_header *header, const struct vt_buf *bytes, enum vt_encoding encoding)
{
    struct vt_err err = { 0 };

    vt_header_reset(header, encoding, false, NULL);
    assert_true(vt_header_feed(header, bytes->data, bytes->size, &err));
    assert_true(vt_header_finish(header, &err));
}

static inline void assert_pieces_make_no_difference(const struct vt_buf *bytes, enum vt_encoding encoding)
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

static const uint32_t four_sizes[] = { 10, 20, 30, 40 };

static inline void deflate_into(const uint8_t *bytes, size_t size, struct vt_buf *out)
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
