#include "dicom/render.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jpeglib.h>
#include <png.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "tests/support/torture.h"

enum { COLUMNS = 32, ROWS = 16, ROOM = 1 << 20 };

struct world {
    struct vt_buf attributes, jpeg;
    uint16_t pixels[COLUMNS * ROWS];
    uint8_t colours[COLUMNS * ROWS * 3];
    uint8_t *shown;    /* the JPEG, decoded */
    unsigned columns, rows, samples;
};

static void put_text(struct vt_buf *buf, uint32_t tag, const char *vr, const char *text)
{
    struct vt_writer w = { buf, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };

    assert_true(vt_write_text(&w, tag, vr, text, &err));
}

static void put_us(struct vt_buf *buf, uint32_t tag, uint16_t value)
{
    struct vt_writer w = { buf, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };

    assert_true(vt_write_us(&w, tag, value, &err));
}

static void describe(struct world *world, uint16_t samples, const char *photometric, uint16_t bits, uint16_t stored)
{
    struct vt_buf *buf = &world->attributes;

    put_us(buf, VT_TAG_SAMPLES_PER_PIXEL, samples);
    put_text(buf, VT_TAG_PHOTOMETRIC_INTERPRETATION, "CS", photometric);
    put_us(buf, VT_TAG_ROWS, ROWS);
    put_us(buf, VT_TAG_COLUMNS, COLUMNS);
    put_us(buf, VT_TAG_BITS_ALLOCATED, bits);
    put_us(buf, VT_TAG_BITS_STORED, stored);
    put_us(buf, VT_TAG_HIGH_BIT, (uint16_t)(stored - 1));
    put_us(buf, VT_TAG_PIXEL_REPRESENTATION, 0);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    assert_non_null(world);
    vt_buf_init(&world->attributes, ROOM);
    vt_buf_init(&world->jpeg, ROOM);
    for (size_t i = 0; i < COLUMNS * ROWS; i++)
        world->pixels[i] = i % COLUMNS < COLUMNS / 2 ? 100 : 1100; /* dark left, bright right */
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;

    vt_buf_fini(&world->attributes);
    vt_buf_fini(&world->jpeg);
    free(world->shown);
    free(world);
    return 0;
}

static struct vt_render grey(const struct world *world)
{
    return (struct vt_render){ .attributes = world->attributes.data,
                               .attributes_size = world->attributes.size,
                               .transfer_syntax = VT_UID_EXPLICIT_LE,
                               .pixels = (const uint8_t *)world->pixels,
                               .pixels_size = sizeof world->pixels,
                               .quality = 95 };
}

static void look(struct world *world)
{
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr error;

    jpeg.err = jpeg_std_error(&error);
    jpeg_create_decompress(&jpeg);
    jpeg_mem_src(&jpeg, world->jpeg.data, world->jpeg.size);
    assert_int_equal(jpeg_read_header(&jpeg, TRUE), JPEG_HEADER_OK);
    jpeg_start_decompress(&jpeg);
    world->columns = jpeg.output_width;
    world->rows = jpeg.output_height;
    world->samples = (unsigned)jpeg.output_components;
    free(world->shown);
    world->shown = malloc((size_t)world->columns * world->rows * world->samples);
    assert_non_null(world->shown);
    while (jpeg.output_scanline < jpeg.output_height) {
        JSAMPROW row = world->shown + (size_t)jpeg.output_scanline * world->columns * world->samples;
        jpeg_read_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
}

static void draw(struct world *world, const struct vt_render *what, struct vt_rendered *out)
{
    struct vt_err err = { 0 };

    vt_buf_reset(&world->jpeg);
    if (!vt_render_jpeg(what, &world->jpeg, out, &err))
        fail_msg("%s", err.text);
    look(world);
}

static void assert_near(const struct world *world, unsigned x, unsigned y, unsigned sample, int expected)
{
    int got = world->shown[((size_t)y * world->columns + x) * world->samples + sample];

    if (abs(got - expected) > 6)
        fail_msg("%d at %u,%u is not about %d", got, x, y, expected);
}

static void without_a_window_the_least_is_black_and_the_largest_white(void **state)
{
    struct world *world = *state;
    struct vt_rendered used;

    describe(world, 1, "MONOCHROME2", 16, 12);
    struct vt_render what = grey(world);
    draw(world, &what, &used);
    assert_int_equal(used.columns, COLUMNS);
    assert_true(used.least == 100 && used.largest == 1100);
    assert_near(world, 4, 8, 0, 0);
    assert_near(world, 28, 8, 0, 255);
}

static void the_instances_window_counts_behind_its_rescale(void **state)
{
    struct world *world = *state;
    struct vt_rendered used;

    describe(world, 1, "MONOCHROME2", 16, 12);
    put_text(&world->attributes, 0x00281050, "DS", "40\\300");
    put_text(&world->attributes, 0x00281051, "DS", "400\\1500");
    put_text(&world->attributes, 0x00281052, "DS", "-160");
    put_text(&world->attributes, 0x00281053, "DS", "1");
    struct vt_render what = grey(world);
    draw(world, &what, &used);
    assert_true(used.center == 40 && used.width == 400 && used.least == -60);
    assert_near(world, 4, 8, 0, 64); /* -60 in -160 to 240 */
    assert_near(world, 28, 8, 0, 255);
}

static void a_window_that_is_asked_for_wins(void **state)
{
    struct world *world = *state;

    describe(world, 1, "MONOCHROME1", 16, 12);
    put_text(&world->attributes, 0x00281050, "DS", "40");
    put_text(&world->attributes, 0x00281051, "DS", "400");
    struct vt_render what = grey(world);
    what.window = VT_WINDOW_LINEAR_EXACT;
    what.center = 600;
    what.width = 2000;
    draw(world, &what, NULL);
    assert_near(world, 4, 8, 0, 191); /* a quarter, and MONOCHROME1 is white at the least */
    assert_near(world, 28, 8, 0, 64);
}

static void windows_of_functional_groups_are_found_by_the_frame(void **state)
{
    struct world *world = *state;
    struct vt_writer w = { &world->attributes, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    struct vt_rendered used;

    describe(world, 1, "MONOCHROME2", 16, 12);
    vt_write_sequence_begin(&w, 0x52009230, &err);
    for (int i = 0; i < 2; i++) {
        char center[8];
        snprintf(center, sizeof center, "%d", 100 + 500 * i);
        vt_write_item_begin(&w, &err);
        vt_write_sequence_begin(&w, 0x00289132, &err);
        vt_write_item_begin(&w, &err);
        vt_write_text(&w, 0x00281050, "DS", center, &err);
        vt_write_text(&w, 0x00281051, "DS", "50", &err);
        vt_write_item_end(&w, &err);
        vt_write_sequence_end(&w, &err);
        vt_write_item_end(&w, &err);
    }
    assert_true(vt_write_sequence_end(&w, &err));
    struct vt_render what = grey(world);
    what.number = 1;
    draw(world, &what, &used);
    assert_true(used.center == 600 && used.width == 50);
}

static void a_part_is_scaled_into_the_viewport_with_its_proportions(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };

    describe(world, 1, "MONOCHROME2", 16, 12);
    struct vt_render what = grey(world);
    what.columns = what.rows = 16;
    draw(world, &what, NULL);
    assert_int_equal(world->columns, 16);
    assert_int_equal(world->rows, 8);
    what.x = 16;
    what.part_columns = what.part_rows = 16;
    draw(world, &what, NULL);
    assert_int_equal(world->rows, 16);
    assert_near(world, 2, 8, 0, 255);
    what.part_columns = 17;
    assert_false(vt_render_jpeg(&what, &world->jpeg, NULL, &err));
    assert_int_equal(err.code, VT_E_INVALID);
}

static void colours_come_out_in_planes_and_in_ybr(void **state)
{
    struct world *world = *state;

    describe(world, 3, "RGB", 8, 8);
    put_us(&world->attributes, 0x00280006, 1);
    memset(world->colours, 200, COLUMNS * ROWS); /* all red */
    struct vt_render what = grey(world);
    what.pixels = world->colours;
    what.pixels_size = sizeof world->colours;
    draw(world, &what, NULL);
    assert_int_equal(world->samples, 3);
    assert_near(world, 8, 8, 0, 200);
    assert_near(world, 8, 8, 1, 0);
    world->attributes.size = 0;
    describe(world, 3, "YBR_FULL", 8, 8);
    for (size_t i = 0; i < sizeof world->colours; i++)
        world->colours[i] = i % 3 == 0 ? 90 : 128;
    what = grey(world);
    what.pixels = world->colours;
    what.pixels_size = sizeof world->colours;
    draw(world, &what, NULL);
    assert_near(world, 8, 8, 2, 90);
}

/* A sequence of one table, 16 bits an entry. */
static void put_lut(struct world *world, uint32_t sequence, uint16_t first, uint16_t bits, const uint16_t *entries, uint16_t count)
{
    struct vt_writer w = { &world->attributes, VT_EXPLICIT_LE };
    const uint16_t descriptor[] = { count, first, bits };
    struct vt_err err = { 0 };

    assert_true(vt_write_sequence_begin(&w, sequence, &err) && vt_write_item_begin(&w, &err) &&
                vt_write_bytes(&w, 0x00283002, "US", descriptor, sizeof descriptor, &err) &&
                vt_write_bytes(&w, 0x00283006, "OW", entries, 2 * (size_t)count, &err) && vt_write_item_end(&w, &err) &&
                vt_write_sequence_end(&w, &err));
}

static void a_voi_table_counts_without_a_window(void **state)
{
    struct world *world = *state;
    uint16_t entries[1024];

    for (size_t i = 0; i < VT_COUNT(entries); i++)
        entries[i] = i < 200 ? 3000 : 1000; /* dark comes out brighter */
    describe(world, 1, "MONOCHROME2", 16, 12);
    put_lut(world, 0x00283010, 0, 12, entries, VT_COUNT(entries));
    struct vt_render what = grey(world);
    draw(world, &what, NULL);
    assert_near(world, 4, 8, 0, 187);  /* 3000 of 4095 */
    assert_near(world, 28, 8, 0, 62);  /* 1100 is behind the last entry */
    what.window = VT_WINDOW_LINEAR_EXACT;
    what.center = 600;
    what.width = 1000;
    draw(world, &what, NULL);
    assert_near(world, 4, 8, 0, 0);
}

static void a_modality_table_takes_the_place_of_the_rescale(void **state)
{
    struct world *world = *state;
    static const uint16_t entries[] = { 7000, 500, 20 };
    struct vt_rendered used;

    describe(world, 1, "MONOCHROME2", 16, 12);
    put_lut(world, 0x00283000, 100, 16, entries, VT_COUNT(entries));
    struct vt_render what = grey(world);
    draw(world, &what, &used);
    assert_true(used.least == 20 && used.largest == 7000);
    assert_near(world, 4, 8, 0, 255);
    assert_near(world, 28, 8, 0, 0);
}

static void a_broken_table_is_no_table(void **state)
{
    struct world *world = *state;
    static const uint16_t entries[] = { 9, 9 };

    describe(world, 1, "MONOCHROME2", 16, 12);
    put_lut(world, 0x00283010, 0, 17, entries, VT_COUNT(entries));
    struct vt_render what = grey(world);
    draw(world, &what, NULL);
    assert_near(world, 28, 8, 0, 255);
}

static void a_png_has_the_very_values(void **state)
{
    struct world *world = *state;
    png_image image = { .version = PNG_IMAGE_VERSION };
    struct vt_err err = { 0 };

    describe(world, 3, "RGB", 8, 8);
    for (size_t i = 0; i < sizeof world->colours; i++)
        world->colours[i] = (uint8_t)(i * 31);
    struct vt_render what = grey(world);
    what.pixels = world->colours;
    what.pixels_size = sizeof world->colours;
    what.png = true;
    assert_true(vt_render_jpeg(&what, &world->jpeg, NULL, &err));
    assert_true(png_image_begin_read_from_memory(&image, world->jpeg.data, world->jpeg.size));
    assert_int_equal(image.width, COLUMNS);
    assert_int_equal(image.height, ROWS);
    image.format = PNG_FORMAT_RGB;
    world->shown = malloc(PNG_IMAGE_SIZE(image));
    assert_non_null(world->shown);
    assert_true(png_image_finish_read(&image, NULL, world->shown, 0, NULL));
    assert_memory_equal(world->shown, world->colours, sizeof world->colours);
}

static void a_plain_frame_is_the_decoded_one(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    VT_AUTO_BUF(plain, ROOM);

    describe(world, 1, "MONOCHROME2", 8, 8);
    for (size_t i = 0; i < COLUMNS * ROWS; i++)
        world->colours[i] = i % COLUMNS < COLUMNS / 2 ? 0 : 200;
    struct vt_render what = grey(world);
    what.pixels = world->colours;
    what.pixels_size = COLUMNS * ROWS;
    what.window = VT_WINDOW_LINEAR_EXACT;
    what.center = 127.5;
    what.width = 255;
    assert_true(vt_render_jpeg(&what, &world->jpeg, NULL, &err));
    what.pixels = world->jpeg.data;
    what.pixels_size = world->jpeg.size;
    what.transfer_syntax = "1.2.840.10008.1.2.4.50";
    assert_true(vt_frame_plain(&what, &plain, &err));
    assert_int_equal(plain.size, COLUMNS * ROWS);
    assert_true(plain.data[3] < 6 && plain.data[COLUMNS - 3] > 194);
    what.pixels_size = 20;
    assert_false(vt_frame_plain(&what, &plain, &err));
    assert_true(vt_failed(&err));
}

static void a_native_frame_is_as_it_is_stored(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    VT_AUTO_BUF(plain, ROOM);

    describe(world, 1, "MONOCHROME2", 16, 12);
    struct vt_render what = grey(world);
    assert_true(vt_frame_plain(&what, &plain, &err));
    assert_memory_equal(plain.data, world->pixels, sizeof world->pixels);
    what.pixels_size = 100;
    assert_false(vt_frame_plain(&what, &plain, &err));
    assert_int_equal(err.code, VT_E_INVALID);
}

static void what_cannot_be_drawn_is_told(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };

    describe(world, 1, "MONOCHROME2", 16, 12);
    struct vt_render what = grey(world);
    what.pixels_size -= 1;
    assert_false(vt_render_jpeg(&what, &world->jpeg, NULL, &err));
    assert_int_equal(err.code, VT_E_INVALID);
    what = grey(world);
    what.transfer_syntax = "1.2.840.10008.1.2.4.102"; /* a film */
    assert_false(vt_render_jpeg(&what, &world->jpeg, NULL, &err));
    assert_int_equal(err.code, VT_E_UNSUPPORTED);
    world->attributes.size = 0;
    describe(world, 1, "PALETTE COLOR", 16, 12);
    what = grey(world);
    assert_false(vt_render_jpeg(&what, &world->jpeg, NULL, &err));
    world->attributes.size = 0;
    describe(world, 1, "MONOCHROME2", 16, 17);
    what = grey(world);
    assert_false(vt_render_jpeg(&what, &world->jpeg, NULL, &err));
    assert_int_equal(err.code, VT_E_UNSUPPORTED);
}

static bool draw_once(void *context, struct vt_err *err)
{
    struct world *world = context;
    const struct vt_render what = grey(world);

    vt_buf_fini(&world->jpeg);
    vt_buf_init(&world->jpeg, ROOM);
    return vt_render_jpeg(&what, &world->jpeg, NULL, err);
}

static void every_failed_allocation_is_told_without_a_leak(void **state)
{
    struct world *world = *state;
    static const uint16_t entries[] = { 1, 2 };

    describe(world, 1, "MONOCHROME2", 16, 12);
    put_lut(world, 0x00283000, 100, 16, entries, VT_COUNT(entries));
    put_lut(world, 0x00283010, 0, 12, entries, VT_COUNT(entries));
    vt_torture(draw_once, world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_window_the_least_is_black_and_the_largest_white, setup, teardown),
        cmocka_unit_test_setup_teardown(the_instances_window_counts_behind_its_rescale, setup, teardown),
        cmocka_unit_test_setup_teardown(a_window_that_is_asked_for_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(windows_of_functional_groups_are_found_by_the_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(a_part_is_scaled_into_the_viewport_with_its_proportions, setup, teardown),
        cmocka_unit_test_setup_teardown(colours_come_out_in_planes_and_in_ybr, setup, teardown),
        cmocka_unit_test_setup_teardown(a_voi_table_counts_without_a_window, setup, teardown),
        cmocka_unit_test_setup_teardown(a_modality_table_takes_the_place_of_the_rescale, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broken_table_is_no_table, setup, teardown),
        cmocka_unit_test_setup_teardown(a_png_has_the_very_values, setup, teardown),
        cmocka_unit_test_setup_teardown(a_plain_frame_is_the_decoded_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_native_frame_is_as_it_is_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_drawn_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(every_failed_allocation_is_told_without_a_leak, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
