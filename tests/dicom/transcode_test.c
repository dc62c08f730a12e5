#include "dicom/transcode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/auto.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/dataset.h"
#include "dicom/element.h"
#include "dicom/header.h"
#include "tests/support/torture.h"

#define RLE "1.2.840.10008.1.2.5"
#define JPEG_LOSSLESS "1.2.840.10008.1.2.4.70"
#define BASELINE "1.2.840.10008.1.2.4.50"

enum {
    SIDE = 1024,                                           /* columns and rows of a large frame */
    FRAMES = VT_TRANSCODE_MEMORY_MAX / (SIDE * SIDE) + 2,  /* more than is decoded in memory */
    COLOUR_FRAMES = FRAMES / 3 + 1,
    ROOM = 16 << 20,
};

static void put(struct vt_dataset *data_set, const char *path, const char *value)
{
    struct vt_err err = { 0 };

    if (!vt_dataset_put(data_set, path, value, &err))
        fail_msg("%s: %s", path, err.text);
}

static void put_number(struct vt_dataset *data_set, const char *path, unsigned value)
{
    char text[16];

    snprintf(text, sizeof text, "%u", value);
    put(data_set, path, text);
}

static struct vt_dataset *image(unsigned side, unsigned samples, const void *pixels)
{
    struct vt_dataset *data_set = vt_dataset_new();
    struct vt_err err = { 0 };

    put(data_set, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.7.2");
    put(data_set, "SOPInstanceUID", "1.2.3.4");
    put(data_set, "PatientName", "Streamed^Large");
    put_number(data_set, "SamplesPerPixel", samples);
    put(data_set, "PhotometricInterpretation", samples == 3 ? "RGB" : "MONOCHROME2");
    if (samples == 3)
        put(data_set, "PlanarConfiguration", "0");
    put_number(data_set, "NumberOfFrames", 1);
    put_number(data_set, "Rows", side);
    put_number(data_set, "Columns", side);
    put(data_set, "BitsAllocated", "8");
    put(data_set, "BitsStored", "8");
    put(data_set, "HighBit", "7");
    put(data_set, "PixelRepresentation", "0");
    assert_true(vt_dataset_put_bytes(data_set, VT_TAG_PIXEL_DATA, "OB", pixels,
                                     (size_t)side * side * samples, &err));
    return data_set;
}

/* A file in memory with that data set in it, 100 bytes from its start. */
static struct vt_transcode stored(struct vt_dataset *data_set, const char *syntax, const char *to)
{
    struct vt_transcode what = { .fd = memfd_create("stored", MFD_CLOEXEC), .offset = 100, .from = syntax, .to = to };
    VT_AUTO_BUF(bytes, (size_t)1 << 30);
    struct vt_err err = { 0 };

    if (!vt_dataset_encode(data_set, syntax, &bytes, &err))
        fail_msg("%s", err.text);
    assert_true(what.fd >= 0);
    assert_true(vt_io_pwrite(what.fd, bytes.data, bytes.size, what.offset, "memory", &err));
    what.size = bytes.size;
    return what;
}

/* The first frame encoded, that many times over. */
static void repeat_frame(struct vt_dataset *data_set, const char *syntax, unsigned times)
{
    VT_AUTO_BUF(bytes, ROOM);
    vt_autofree const void **frames = calloc(times, sizeof *frames);
    vt_autofree size_t *sizes = calloc(times, sizeof *sizes);
    struct vt_element pixels, item;
    struct vt_walk walk;
    struct vt_err err = { 0 };
    bool more = true;

    assert_true(vt_dataset_encode(data_set, syntax, &bytes, &err));
    assert_true(vt_element_find(bytes.data, bytes.size, VT_EXPLICIT_LE, VT_TAG_PIXEL_DATA, &pixels));
    const uint8_t *value = pixels.value;
    vt_walk_init(&walk, value, (size_t)(bytes.data + bytes.size - value), VT_EXPLICIT_LE);
    assert_true(vt_walk_next(&walk, &item, &more, &err) && more); /* the offset table */
    assert_true(vt_walk_next(&walk, &item, &more, &err) && more);
    for (unsigned i = 0; i < times; i++) {
        frames[i] = item.value;
        sizes[i] = (size_t)item.length;
    }
    put_number(data_set, "NumberOfFrames", times);
    if (!vt_dataset_put_frames(data_set, syntax, frames, sizes, times, &err))
        fail_msg("%s", err.text);
}

static void run(const struct vt_transcode *what, struct vt_transcoded *out)
{
    struct vt_err err = { 0 };

    vt_transcoded_init(out);
    if (!vt_transcode(what, out, &err))
        fail_msg("%s", err.text);
}

static uint8_t *gradient(unsigned samples)
{
    uint8_t *pixels = malloc((size_t)SIDE * SIDE * samples);

    for (size_t i = 0; i < (size_t)SIDE * SIDE * samples; i++)
        pixels[i] = (uint8_t)(i / samples / SIDE / 4);
    return pixels;
}

/* What the unnamed file holds: its header, and where the pixels are. */
static struct vt_header *read_result(const struct vt_transcoded *out, enum vt_encoding encoding, uint64_t *offset,
                                     uint64_t *length)
{
    struct vt_element_limits limits = VT_ELEMENT_LIMITS_DEFAULT;
    struct vt_header *header = vt_header_new();
    vt_autofree uint8_t *piece = malloc(ROOM);
    struct vt_err err = { 0 };

    vt_header_reset(header, encoding, false, &limits);
    for (uint64_t at = 0; at < out->size; at += ROOM) {
        size_t size = out->size - at < ROOM ? (size_t)(out->size - at) : ROOM;
        assert_true(vt_io_pread(out->fd, piece, size, at, "result", &err));
        if (!vt_header_feed(header, piece, size, &err))
            fail_msg("%s", err.text);
    }
    if (!vt_header_finish(header, &err))
        fail_msg("%s", err.text);
    assert_true(vt_header_pixel_data(header, offset, length));
    return header;
}

static void assert_frame(const struct vt_transcoded *out, uint64_t at, const uint8_t *expected, size_t size,
                         int tolerance)
{
    vt_autofree uint8_t *bytes = malloc(size);
    struct vt_err err = { 0 };

    assert_true(vt_io_pread(out->fd, bytes, size, at, "result", &err));
    for (size_t i = 0; i < size; i += tolerance ? 97 : 1)
        if (abs(bytes[i] - expected[i]) > tolerance)
            fail_msg("byte %zu of a frame is %u, not %u", i, bytes[i], expected[i]);
}

static void large_frames_are_decoded_one_by_one(void **state)
{
    (void)state;
    static const struct {
        const char *syntax;
        unsigned samples, frames;
        int tolerance;
        const char *to;
        enum vt_encoding encoding;
    } rows[] = { { RLE, 1, FRAMES, 0, VT_UID_EXPLICIT_LE, VT_EXPLICIT_LE },
                 { JPEG_LOSSLESS, 3, COLOUR_FRAMES, 0, VT_UID_IMPLICIT_LE, VT_IMPLICIT_LE },
                 { BASELINE, 3, COLOUR_FRAMES, 8, VT_UID_EXPLICIT_LE, VT_EXPLICIT_LE } };

    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        vt_autofree uint8_t *pixels = gradient(rows[i].samples);
        VT_AUTO(vt_dataset) data_set = image(SIDE, rows[i].samples, pixels);
        struct vt_err err = { 0 };
        struct vt_transcoded out;
        uint64_t offset, length;
        char text[32];
        size_t frame = (size_t)SIDE * SIDE * rows[i].samples;

        assert_true(rows[i].tolerance ? vt_dataset_transcode_lossy(data_set, rows[i].syntax, &err)
                                      : vt_dataset_transcode(data_set, rows[i].syntax, &err));
        repeat_frame(data_set, rows[i].syntax, rows[i].frames);
        struct vt_transcode what = stored(data_set, rows[i].syntax, rows[i].to);
        run(&what, &out);
        assert_true(out.fd >= 0);
        VT_AUTO(vt_header) header = read_result(&out, rows[i].encoding, &offset, &length);
        assert_int_equal(length, frame * rows[i].frames);
        vt_header_text(header, VT_TAG_PATIENT_NAME, text, sizeof text);
        assert_string_equal(text, "Streamed^Large");
        vt_header_text(header, VT_TAG_PHOTOMETRIC_INTERPRETATION, text, sizeof text);
        assert_string_equal(text, rows[i].samples == 3 ? "RGB" : "MONOCHROME2");
        assert_frame(&out, offset, pixels, frame, rows[i].tolerance);
        assert_frame(&out, offset + frame * (rows[i].frames - 1), pixels, frame, rows[i].tolerance);
        vt_transcoded_fini(&out);
        close(what.fd);
    }
}

static void large_native_pixels_are_copied(void **state)
{
    (void)state;
    size_t side = 8 << 10, size = side * side + 8 * side; /* more than is read into memory */
    vt_autofree uint8_t *pixels = malloc(size);
    struct vt_err err = { 0 };
    struct vt_transcoded out;
    uint64_t offset, length;

    for (size_t i = 0; i < size; i++)
        pixels[i] = (uint8_t)(i * 7 + i / side);
    VT_AUTO(vt_dataset) data_set = image(2, 1, "abcd");
    assert_true(vt_dataset_put_bytes(data_set, VT_TAG_PIXEL_DATA, "OB", pixels, size, &err));
    struct vt_transcode what = stored(data_set, VT_UID_EXPLICIT_LE, VT_UID_IMPLICIT_LE);
    run(&what, &out);
    VT_AUTO(vt_header) header = read_result(&out, VT_IMPLICIT_LE, &offset, &length);
    assert_int_equal(length, size);
    assert_frame(&out, offset, pixels, size, 0);
    vt_transcoded_fini(&out);

    what.to = VT_UID_EXPLICIT_BE; /* not in pieces */
    vt_transcoded_init(&out);
    assert_false(vt_transcode(&what, &out, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    vt_transcoded_fini(&out);
    close(what.fd);
}

static void small_ones_stay_in_memory_and_keep_their_uid(void **state)
{
    (void)state;
    VT_AUTO(vt_dataset) data_set = image(2, 1, "abcd");
    struct vt_transcode what = stored(data_set, VT_UID_EXPLICIT_LE, RLE);
    struct vt_transcoded out;

    run(&what, &out);
    assert_int_equal(out.fd, -1);
    assert_true(out.size > 0 && out.size == out.bytes.size);
    assert_string_equal(out.sop_uid, "");
    vt_transcoded_fini(&out);
    close(what.fd);
}

static void lossy_needs_permission_and_makes_another_instance(void **state)
{
    (void)state;
    vt_autofree uint8_t *pixels = gradient(1);
    VT_AUTO(vt_dataset) data_set = image(SIDE, 1, pixels);
    struct vt_transcode what = stored(data_set, VT_UID_EXPLICIT_LE, BASELINE);
    struct vt_transcoded out;
    struct vt_err err = { 0 };

    vt_transcoded_init(&out);
    assert_false(vt_transcode(&what, &out, &err));
    assert_int_equal(err.code, VT_E_UNSUPPORTED);
    what.lossy = true;
    run(&what, &out);
    assert_true(vt_uid_valid(out.sop_uid));
    assert_string_not_equal(out.sop_uid, "1.2.3.4");
    assert_true(out.size < SIDE * SIDE / 4);
    vt_transcoded_fini(&out);
    close(what.fd);
}

static void attributes_that_claim_too_much_are_refused(void **state)
{
    (void)state;
    VT_AUTO(vt_dataset) data_set = image(2, 1, "abcd");
    struct vt_transcoded out;
    struct vt_err err = { 0 };

    put(data_set, "Rows", "65535");
    put(data_set, "Columns", "65535");
    struct vt_transcode what = stored(data_set, VT_UID_EXPLICIT_LE, RLE);
    vt_transcoded_init(&out);
    assert_false(vt_transcode(&what, &out, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    vt_transcoded_fini(&out);
    close(what.fd);
}

static bool once(void *context, struct vt_err *err)
{
    struct vt_transcoded out;

    vt_transcoded_init(&out);
    bool ok = vt_transcode(context, &out, err);
    vt_transcoded_fini(&out);
    return ok;
}

static void a_failing_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    VT_AUTO(vt_dataset) data_set = image(2, 1, "abcd");
    struct vt_transcode what = stored(data_set, VT_UID_EXPLICIT_LE, VT_UID_IMPLICIT_LE);

    assert_true(vt_torture(once, &what) > 2);
    close(what.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_frames_are_decoded_one_by_one),
        cmocka_unit_test(large_native_pixels_are_copied),
        cmocka_unit_test(small_ones_stay_in_memory_and_keep_their_uid),
        cmocka_unit_test(lossy_needs_permission_and_makes_another_instance),
        cmocka_unit_test(attributes_that_claim_too_much_are_refused),
        cmocka_unit_test(a_failing_allocation_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
