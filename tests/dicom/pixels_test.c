#include "dicom/dataset.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"

#define JPEG_LOSSLESS "1.2.840.10008.1.2.4.70"
#define JPEG_LS "1.2.840.10008.1.2.4.80"
#define JPEG_2000 "1.2.840.10008.1.2.4.90"
#define BASELINE "1.2.840.10008.1.2.4.50"
#define JPEG_2000_LOSSY "1.2.840.10008.1.2.4.91"
#define RLE "1.2.840.10008.1.2.5"
#define ENCAPSULATED "1.2.840.10008.1.2.1.98"
#define DEFLATED_FRAMES "1.2.840.10008.1.2.8.1"

enum { COLUMNS = 20, ROWS = 16, FRAMES = 3, ROOM = 1 << 20 };

static char folder[] = "/tmp/vt-pixels-XXXXXX";

static void put(struct vt_dataset *data_set, const char *path, const char *value)
{
    struct vt_err err = { 0 };

    if (!vt_dataset_put(data_set, path, value, &err))
        fail_msg("%s: %s", path, err.text);
}

/* Three frames of 12 bits in 16. `seed` changes the last pixel. */
static struct vt_dataset *image(uint16_t seed)
{
    struct vt_dataset *data_set = vt_dataset_new();
    uint16_t pixels[FRAMES * ROWS * COLUMNS];
    struct vt_err err = { 0 };

    for (size_t i = 0; i < VT_COUNT(pixels); i++)
        pixels[i] = (uint16_t)((i * 37 + (i / COLUMNS) * 11) & 0xfff);
    pixels[VT_COUNT(pixels) - 1] = (uint16_t)(pixels[VT_COUNT(pixels) - 1] ^ seed);
    put(data_set, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.7.3");
    put(data_set, "SOPInstanceUID", "1.2.3.4");
    put(data_set, "SamplesPerPixel", "1");
    put(data_set, "PhotometricInterpretation", "MONOCHROME2");
    put(data_set, "NumberOfFrames", "3");
    put(data_set, "Rows", "16");
    put(data_set, "Columns", "20");
    put(data_set, "BitsAllocated", "16");
    put(data_set, "BitsStored", "12");
    put(data_set, "HighBit", "11");
    put(data_set, "PixelRepresentation", "0");
    assert_true(vt_dataset_put_bytes(data_set, VT_TAG_PIXEL_DATA, "OW", pixels, sizeof pixels, &err));
    return data_set;
}

static struct vt_dataset *colour(bool planar)
{
    struct vt_dataset *data_set = vt_dataset_new();
    uint8_t pixels[ROWS * COLUMNS * 3];
    struct vt_err err = { 0 };

    for (size_t i = 0; i < ROWS * COLUMNS; i++)
        for (size_t s = 0; s < 3; s++)
            pixels[planar ? s * ROWS * COLUMNS + i : i * 3 + s] = (uint8_t)(i * (s + 3));
    put(data_set, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.7");
    put(data_set, "SOPInstanceUID", "1.2.3.5");
    put(data_set, "SamplesPerPixel", "3");
    put(data_set, "PhotometricInterpretation", "RGB");
    put(data_set, "PlanarConfiguration", planar ? "1" : "0");
    put(data_set, "Rows", "16");
    put(data_set, "Columns", "20");
    put(data_set, "BitsAllocated", "8");
    put(data_set, "BitsStored", "8");
    put(data_set, "HighBit", "7");
    put(data_set, "PixelRepresentation", "0");
    assert_true(vt_dataset_put_bytes(data_set, VT_TAG_PIXEL_DATA, "OB", pixels, sizeof pixels, &err));
    return data_set;
}

static void pixels_of(struct vt_dataset *data_set, struct vt_buf *out)
{
    VT_AUTO_BUF(bytes, ROOM);
    struct vt_err err = { 0 };
    struct vt_element pixels;

    if (!vt_dataset_encode(data_set, VT_UID_EXPLICIT_LE, &bytes, &err))
        fail_msg("%s", err.text);
    assert_true(vt_element_find(bytes.data, bytes.size, VT_EXPLICIT_LE, VT_TAG_PIXEL_DATA, &pixels));
    assert_true(vt_buf_append(out, pixels.value, (size_t)pixels.length, &err));
}

static void transcode(struct vt_dataset *data_set, const char *syntax)
{
    struct vt_err err = { 0 };

    if (!vt_dataset_transcode(data_set, syntax, &err))
        fail_msg("%s: %s", syntax, err.text);
}

static void lossless_syntaxes_give_the_same_pixels_back(void **state)
{
    (void)state;
    static const char *const syntaxes[] = { JPEG_LOSSLESS, JPEG_LS, JPEG_2000, RLE, VT_UID_IMPLICIT_LE,
                                            VT_UID_EXPLICIT_BE, VT_UID_DEFLATED_LE };

    for (size_t i = 0; i < 2 * VT_COUNT(syntaxes); i++) {
        VT_AUTO(vt_dataset) data_set = i % 2 ? colour(false) : image(0);
        VT_AUTO_BUF(before, ROOM);
        VT_AUTO_BUF(encoded, ROOM);
        VT_AUTO_BUF(after, ROOM);
        struct vt_err err = { 0 };

        pixels_of(data_set, &before);
        transcode(data_set, syntaxes[i / 2]);
        assert_true(vt_dataset_encode(data_set, syntaxes[i / 2], &encoded, &err));
        VT_AUTO(vt_dataset) read = vt_dataset_parse(encoded.data, encoded.size, syntaxes[i / 2], &err);
        assert_non_null(read);
        transcode(read, VT_UID_EXPLICIT_LE);
        pixels_of(read, &after);
        assert_int_equal(before.size, after.size);
        assert_memory_equal(before.data, after.data, before.size);
    }
}

static void one_lossless_syntax_turns_into_another(void **state)
{
    (void)state;
    VT_AUTO(vt_dataset) data_set = image(0);
    VT_AUTO_BUF(before, ROOM);
    VT_AUTO_BUF(after, ROOM);

    pixels_of(data_set, &before);
    transcode(data_set, RLE);
    transcode(data_set, JPEG_LS);
    transcode(data_set, JPEG_LOSSLESS);
    transcode(data_set, VT_UID_IMPLICIT_LE);
    pixels_of(data_set, &after);
    assert_memory_equal(before.data, after.data, before.size);
}

static void what_cannot_be_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const syntaxes[] = { JPEG_2000_LOSSY, BASELINE, "1.2.840.10008.1.2.4.201", "1.2.3" };

    for (size_t i = 0; i < VT_COUNT(syntaxes); i++) {
        VT_AUTO(vt_dataset) data_set = image(0);
        struct vt_err err = { 0 };
        assert_false(vt_dataset_transcode(data_set, syntaxes[i], &err));
        assert_int_equal(err.code, VT_E_UNSUPPORTED);
        assert_true(err.text[0] != '\0');
    }
}

static void pixels_that_would_be_cut_are_not_encoded(void **state)
{
    (void)state;
    VT_AUTO(vt_dataset) data_set = image(0);
    struct vt_err err = { 0 };

    put(data_set, "NumberOfFrames", "2");
    assert_false(vt_dataset_transcode(data_set, RLE, &err));
    assert_int_equal(err.code, VT_E_INVALID);
}

static void expect(struct vt_dataset *data_set, const char *path, const char *value)
{
    VT_AUTO_BUF(text, 1024);
    struct vt_err err = { 0 };
    bool there = false;

    assert_true(vt_dataset_get(data_set, path, &text, &there, &err));
    assert_true(there);
    assert_string_equal(vt_buf_string(&text, &err), value);
}

/* A gradient instead of what is hard to compress. */
static void smooth(struct vt_dataset *data_set, bool in_colour)
{
    uint8_t bytes[FRAMES * ROWS * COLUMNS * 2];
    size_t size = in_colour ? ROWS * COLUMNS * 3 : sizeof bytes;
    struct vt_err err = { 0 };

    for (size_t i = 0; i < size; i++) {
        size_t pixel = i / (in_colour ? 3 : 2), value = pixel % COLUMNS * 5 + pixel / COLUMNS % ROWS * 6;
        bytes[i] = (uint8_t)(in_colour ? value : i % 2 == 0 ? value * 16 : value * 16 >> 8);
    }
    assert_true(vt_dataset_put_bytes(data_set, VT_TAG_PIXEL_DATA, in_colour ? "OB" : "OW", bytes, size, &err));
}

/* Mean distance of samples, in parts of their range. */
static double distance(const struct vt_buf *a, const struct vt_buf *b, bool wide)
{
    size_t count = a->size / (wide ? 2 : 1);
    double sum = 0;

    for (size_t i = 0; i < count; i++) {
        int x = wide ? a->data[2 * i] | a->data[2 * i + 1] << 8 : a->data[i];
        int y = wide ? b->data[2 * i] | b->data[2 * i + 1] << 8 : b->data[i];
        sum += abs(x - y);
    }
    return sum / (double)count / (wide ? 4095 : 255);
}

static void lossy_ones_are_derived_instances_close_to_their_source(void **state)
{
    (void)state;
    static const struct {
        const char *syntax, *method;
        bool colour;
    } rows[] = { { BASELINE, "ISO_10918_1", true },
                 { JPEG_2000_LOSSY, "ISO_15444_1", true },
                 { JPEG_2000_LOSSY, "ISO_15444_1", false } };

    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        VT_AUTO(vt_dataset) data_set = rows[i].colour ? colour(false) : image(0);
        VT_AUTO_BUF(before, ROOM);
        VT_AUTO_BUF(after, ROOM);
        char uid[VT_UID_MAX + 1], name[128];
        struct vt_err err = { 0 };

        smooth(data_set, rows[i].colour);
        transcode(data_set, VT_UID_IMPLICIT_LE);
        pixels_of(data_set, &before);
        if (!vt_dataset_transcode_lossy(data_set, rows[i].syntax, &err))
            fail_msg("%s", err.text);
        snprintf(name, sizeof name, "%s in %s", rows[i].colour ? "1.2.3.5" : "1.2.3.4", rows[i].syntax);
        vt_uid_derive(name, uid);
        expect(data_set, "SOPInstanceUID", uid);
        expect(data_set, "SourceImageSequence[0].ReferencedSOPInstanceUID",
               rows[i].colour ? "1.2.3.5" : "1.2.3.4");
        expect(data_set, "LossyImageCompression", "01");
        expect(data_set, "LossyImageCompressionMethod", rows[i].method);
        expect(data_set, "ImageType", "DERIVED\\PRIMARY");
        transcode(data_set, VT_UID_EXPLICIT_LE);
        pixels_of(data_set, &after);
        assert_int_equal(before.size, after.size);
        double lost = distance(&before, &after, !rows[i].colour);
        assert_true(lost > 0 && lost < 0.1);
    }
}

static void ranks_put_the_stored_syntax_first_and_lossy_ones_last(void **state)
{
    (void)state;
    static const char *const order[] = { RLE, VT_UID_EXPLICIT_LE, VT_UID_IMPLICIT_LE, VT_UID_EXPLICIT_BE,
                                         VT_UID_DEFLATED_LE, JPEG_LOSSLESS, JPEG_LS, JPEG_2000, JPEG_2000_LOSSY,
                                         BASELINE };

    for (size_t i = 0; i + 1 < VT_COUNT(order); i++)
        assert_true(vt_transcode_rank(RLE, order[i], true) > vt_transcode_rank(RLE, order[i + 1], true));
    assert_true(vt_transcode_rank(RLE, BASELINE, true) > 0);
    assert_int_equal(vt_transcode_rank(RLE, BASELINE, false), 0);
    assert_int_equal(vt_transcode_rank(RLE, "1.2.840.10008.1.2.4.201", true), 0);
    assert_int_equal(vt_transcode_rank("1.2.840.10008.1.2.4.201", VT_UID_EXPLICIT_LE, true), 0);
    assert_int_equal(vt_transcode_rank("1.2.840.10008.1.2.4.100", VT_UID_EXPLICIT_LE, true), 0);
    assert_true(vt_transcode_rank("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.201", false) > 0);
}

static const char *save(struct vt_dataset *data_set, const char *name, const char *syntax)
{
    static char paths[32][128];
    static size_t next;
    char *path = paths[next++ % VT_COUNT(paths)];
    struct vt_err err = { 0 };

    snprintf(path, sizeof paths[0], "%s/%s.dcm", folder, name);
    unlink(path);
    transcode(data_set, syntax);
    if (!vt_dataset_save(data_set, path, syntax, &err))
        fail_msg("%s: %s", path, err.text);
    return path;
}

static void assert_equal_pixels(const char *a, const char *b, bool expected)
{
    struct vt_err err = { 0 };
    bool equal = !expected;

    if (!vt_pixels_equal(a, b, &equal, &err))
        fail_msg("%s %s: %s", a, b, err.text);
    assert_int_equal(equal, expected);
}

static void the_same_pixels_are_equal_in_every_lossless_syntax(void **state)
{
    (void)state;
    static const char *const syntaxes[] = { VT_UID_IMPLICIT_LE, VT_UID_EXPLICIT_BE, VT_UID_DEFLATED_LE, RLE,
                                            JPEG_LOSSLESS, JPEG_LS, JPEG_2000 };
    VT_AUTO(vt_dataset) plain = image(0);
    const char *first = save(plain, "plain", VT_UID_EXPLICIT_LE);

    for (size_t i = 0; i < VT_COUNT(syntaxes); i++) {
        VT_AUTO(vt_dataset) same = image(0);
        VT_AUTO(vt_dataset) other = image(1);
        assert_equal_pixels(first, save(same, "same", syntaxes[i]), true);
        assert_equal_pixels(save(other, "other", syntaxes[i]), first, false);
    }
}

static void colour_is_equal_by_plane_and_by_pixel(void **state)
{
    (void)state;
    VT_AUTO(vt_dataset) by_pixel = colour(false);
    VT_AUTO(vt_dataset) by_plane = colour(true);
    VT_AUTO(vt_dataset) encoded = colour(false);
    const char *a = save(by_pixel, "by-pixel", VT_UID_EXPLICIT_LE);
    const char *b = save(by_plane, "by-plane", VT_UID_EXPLICIT_LE);
    const char *c = save(encoded, "rle", JPEG_LS);

    assert_equal_pixels(a, b, true);
    assert_equal_pixels(a, c, true);
    assert_equal_pixels(c, b, true);
}

static void frames_in_plain_fragments_are_decoded(void **state)
{
    (void)state;
    VT_AUTO(vt_dataset) data_set = image(0);
    VT_AUTO_BUF(pixels, ROOM);
    struct vt_err err = { 0 };
    size_t size = ROWS * COLUMNS * 2;

    pixels_of(data_set, &pixels);
    const void *frames[] = { pixels.data, pixels.data + size, pixels.data + 2 * size };
    const size_t sizes[] = { size, size, size };
    VT_AUTO(vt_dataset) other = image(0);
    assert_true(vt_dataset_put_frames(other, ENCAPSULATED, frames, sizes, 3, &err));
    const char *a = save(data_set, "native", VT_UID_EXPLICIT_LE);
    assert_equal_pixels(a, save(other, "fragments", ENCAPSULATED), true);
}

static void lossy_pixels_are_not_compared(void **state)
{
    (void)state;
    VT_AUTO(vt_dataset) data_set = image(0);
    VT_AUTO(vt_dataset) lossy = image(0);
    struct vt_err err = { 0 };
    const void *frames[] = { "abcd" };
    const size_t sizes[] = { 4 };
    bool equal;

    const char *a = save(data_set, "a", VT_UID_EXPLICIT_LE);
    assert_true(vt_dataset_put_frames(lossy, "1.2.840.10008.1.2.4.50", frames, sizes, 1, &err));
    assert_false(vt_pixels_equal(a, save(lossy, "lossy", "1.2.840.10008.1.2.4.50"), &equal, &err));
    assert_int_equal(err.code, VT_E_UNSUPPORTED);
}

static void hostile_frames_fail_without_harm(void **state)
{
    (void)state;
    static const char *const syntaxes[] = { RLE, JPEG_LOSSLESS, JPEG_LS, JPEG_2000, ENCAPSULATED, DEFLATED_FRAMES };
    uint8_t rubbish[200];

    for (size_t i = 0; i < sizeof rubbish; i++)
        rubbish[i] = (uint8_t)(i * 73 + 5);
    for (size_t i = 0; i < VT_COUNT(syntaxes); i++) {
        VT_AUTO(vt_dataset) data_set = image(0);
        struct vt_err err = { 0 };
        const void *frames[] = { rubbish, rubbish, "" };
        const size_t sizes[] = { sizeof rubbish, 7, 0 };
        assert_true(vt_dataset_put_frames(data_set, syntaxes[i], frames, sizes, 3, &err));
        assert_false(vt_dataset_transcode(data_set, VT_UID_EXPLICIT_LE, &err));
        assert_true(vt_failed(&err));
    }
}

static void shared_files_that_show_the_same_are_equal(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        { "multiframe/emri_small.dcm", "multiframe/emri_small_RLE.dcm" },
        { "multiframe/emri_small.dcm", "multiframe/emri_small_big_endian.dcm" },
        { "basic/MR_small.dcm", "basic/MR_small_implicit.dcm" },
        { "basic/MR_small.dcm", "transfer-syntax/MR_small_jp2klossless.dcm" },
        { "basic/MR_small.dcm", "transfer-syntax/MR_small_RLE.dcm" },
        { "transfer-syntax/MR_small_jpeg_ls_lossless.dcm", "transfer-syntax/MR_small_bigendian.dcm" },
    };
    const char *given = getenv("VT_SHARED_DATA"), *source = getenv("VT_SOURCE_DIR");
    char base[256], a[512], b[512];

    if (given)
        snprintf(base, sizeof base, "%s", given);
    else
        snprintf(base, sizeof base, "%s/../shared/data", source ? source : ".");
    for (size_t i = 0; i < VT_COUNT(pairs); i++) {
        snprintf(a, sizeof a, "%s/dicom/%s", base, pairs[i][0]);
        snprintf(b, sizeof b, "%s/dicom/%s", base, pairs[i][1]);
        if (access(a, R_OK) == 0 && access(b, R_OK) == 0)
            assert_equal_pixels(a, b, true);
    }
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
    (void)state;
    DIR *listing = opendir(folder);
    char path[512];

    for (struct dirent *entry; listing && (entry = readdir(listing)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    if (listing)
        closedir(listing);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lossless_syntaxes_give_the_same_pixels_back),
        cmocka_unit_test(one_lossless_syntax_turns_into_another),
        cmocka_unit_test(what_cannot_be_is_refused_by_name),
        cmocka_unit_test(lossy_ones_are_derived_instances_close_to_their_source),
        cmocka_unit_test(ranks_put_the_stored_syntax_first_and_lossy_ones_last),
        cmocka_unit_test(pixels_that_would_be_cut_are_not_encoded),
        cmocka_unit_test(the_same_pixels_are_equal_in_every_lossless_syntax),
        cmocka_unit_test(colour_is_equal_by_plane_and_by_pixel),
        cmocka_unit_test(frames_in_plain_fragments_are_decoded),
        cmocka_unit_test(lossy_pixels_are_not_compared),
        cmocka_unit_test(hostile_frames_fail_without_harm),
        cmocka_unit_test(shared_files_that_show_the_same_are_equal),
    };

    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
