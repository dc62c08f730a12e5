/* Instances turned into what a printer is given. */
#include "cmd/print_images.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cmd/print_state.h"
#include "cmd/printers.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/element.h"
#include "dicom/net.h"
#include "tests/support/torture.h"

enum { SIDE = 4, FRAMES = 3, FILE_MAX = 64 << 10 };

struct place {
    char folder[64], image[128], state[128];
    struct vt_printer printer;
};

static bool put_item_text(struct vt_writer *w, uint32_t tag, const char *vr, const char *text)
{
    struct vt_err err = { 0 };

    return vt_write_text(w, tag, vr, text, &err);
}

static void save(const struct vt_buf *bytes, const char *path)
{
    struct vt_err err = { 0 };

    assert_true(vt_io_write_file(path, bytes->data, bytes->size, 0600, &err));
}

/* Three frames of 16 bits; the values of frame n begin with 1000 * n. */
static void write_image(const struct place *place, size_t pixel_bytes)
{
    const struct vt_file_meta meta = { VT_UID_CT_IMAGE, "1.2.3.4", VT_UID_EXPLICIT_LE, NULL };
    VT_AUTO_BUF(bytes, FILE_MAX);
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    uint16_t pixels[FRAMES * SIDE * SIDE];

    for (size_t i = 0; i < VT_COUNT(pixels); i++)
        pixels[i] = (uint16_t)(1000 * (i / (SIDE * SIDE)) + 10 * (i % (SIDE * SIDE)));
    assert_true(vt_write_file_meta(&bytes, &meta, &err) && put_item_text(&w, VT_TAG_SOP_CLASS_UID, "UI", VT_UID_CT_IMAGE) &&
                put_item_text(&w, VT_TAG_SOP_INSTANCE_UID, "UI", "1.2.3.4") && vt_write_us(&w, VT_TAG_SAMPLES_PER_PIXEL, 1, &err) &&
                put_item_text(&w, VT_TAG_PHOTOMETRIC_INTERPRETATION, "CS", "MONOCHROME2") &&
                put_item_text(&w, VT_TAG_NUMBER_OF_FRAMES, "IS", "3") && vt_write_us(&w, VT_TAG_ROWS, SIDE, &err) &&
                vt_write_us(&w, VT_TAG_COLUMNS, SIDE, &err) && vt_write_us(&w, VT_TAG_BITS_ALLOCATED, 16, &err) &&
                vt_write_us(&w, VT_TAG_BITS_STORED, 16, &err) && vt_write_us(&w, VT_TAG_HIGH_BIT, 15, &err) &&
                vt_write_us(&w, VT_TAG_PIXEL_REPRESENTATION, 0, &err) &&
                vt_write_bytes(&w, VT_TAG_PIXEL_DATA, "OW", pixels, pixel_bytes, &err));
    save(&bytes, place->image);
}

static void put_window(struct vt_writer *w, const char *uid, const char *center, const char *width)
{
    struct vt_err err = { 0 };

    assert_true(vt_write_item_begin(w, &err) && vt_write_sequence_begin(w, 0x00081140, &err) && vt_write_item_begin(w, &err) &&
                put_item_text(w, VT_TAG_REFERENCED_SOP_CLASS_UID, "UI", VT_UID_CT_IMAGE) &&
                put_item_text(w, VT_TAG_REFERENCED_SOP_INSTANCE_UID, "UI", uid) && vt_write_item_end(w, &err) &&
                vt_write_sequence_end(w, &err) && put_item_text(w, 0x00281050, "DS", center) &&
                put_item_text(w, 0x00281051, "DS", width) && vt_write_item_end(w, &err));
}

/* A window for another instance, and one for ours. */
static void write_state(const struct place *place)
{
    const struct vt_file_meta meta = { "1.2.840.10008.5.1.4.1.1.11.1", "1.2.3.9", VT_UID_EXPLICIT_LE, NULL };
    VT_AUTO_BUF(bytes, FILE_MAX);
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };

    assert_true(vt_write_file_meta(&bytes, &meta, &err) &&
                put_item_text(&w, VT_TAG_SOP_CLASS_UID, "UI", "1.2.840.10008.5.1.4.1.1.11.1") &&
                put_item_text(&w, VT_TAG_SOP_INSTANCE_UID, "UI", "1.2.3.9") && vt_write_sequence_begin(&w, 0x00283110, &err));
    put_window(&w, "1.2.3.5", "5000", "10");
    put_window(&w, "1.2.3.4", "75.5", "151");
    assert_true(vt_write_sequence_end(&w, &err));
    save(&bytes, place->state);
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    strcpy(place->folder, "/var/tmp/vitrine-print-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->image, sizeof place->image, "%s/image.dcm", place->folder);
    snprintf(place->state, sizeof place->state, "%s/state.dcm", place->folder);
    place->printer.bits = 8;
    write_image(place, FRAMES * SIDE * SIDE * 2);
    write_state(place);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    unlink(place->image);
    unlink(place->state);
    rmdir(place->folder);
    free(place);
    return 0;
}

static bool draw(const struct place *place, size_t frame, struct vt_print_image *out, struct vt_err *err)
{
    VT_AUTO(vt_print_images) images = vt_print_images_new(&place->printer, err);
    size_t frames;

    *out = (struct vt_print_image){ .pixels = { .limit = 1 << 20 } };
    return images && vt_print_images_open(images, place->image, &frames, err) &&
           vt_print_images_draw(images, frame, out, err);
}

static void the_window_is_the_command_s_or_the_state_s(void **state)
{
    struct place *place = *state;
    struct vt_print_image image;
    struct vt_err err = { 0 };

    place->printer.has_window = true;
    place->printer.center = 1075.5;
    place->printer.width = 151;
    assert_true(draw(place, 1, &image, &err));
    assert_int_equal(image.pixels.size, SIDE * SIDE);
    assert_int_equal(image.pixels.data[0], 0);
    assert_int_equal(image.pixels.data[SIDE * SIDE - 1], 255);
    vt_buf_fini(&image.pixels);
    place->printer.has_window = false;
    snprintf(place->printer.state, sizeof place->printer.state, "%s", place->state);
    assert_true(draw(place, 0, &image, &err));
    assert_int_equal(image.pixels.data[SIDE * SIDE - 1], 255);
    vt_buf_fini(&image.pixels);
    assert_true(draw(place, 1, &image, &err));
    assert_int_equal(image.pixels.data[0], 255);
    vt_buf_fini(&image.pixels);
}

static void a_deep_printer_gets_twelve_bits_and_a_colour_one_rgb(void **state)
{
    struct place *place = *state;
    struct vt_print_image image;
    struct vt_err err = { 0 };

    place->printer.bits = 12;
    assert_true(draw(place, 0, &image, &err));
    assert_int_equal(image.bits, 12);
    assert_int_equal(image.pixels.size, SIDE * SIDE * 2);
    vt_buf_fini(&image.pixels);
    place->printer.options.colour = true;
    assert_true(draw(place, 0, &image, &err));
    assert_int_equal(image.samples, 3);
    assert_int_equal(image.pixels.size, SIDE * SIDE * 3);
    vt_buf_fini(&image.pixels);
}

static void draw_two_by_three(struct vt_print_image *image)
{
    static const uint8_t pixels[] = { 1, 2, 3, 4, 5, 6 };
    struct vt_err err = { 0 };

    *image = (struct vt_print_image){ .columns = 3, .rows = 2, .bits = 8, .samples = 1, .pixels = { .limit = 1 << 20 } };
    assert_true(vt_buf_append(&image->pixels, pixels, sizeof pixels, &err));
}

static void a_state_turns_first_and_flips_then(void **state)
{
    static const struct {
        unsigned turns;
        bool flip;
        uint8_t pixels[6];
    } list[] = {
        { 0, false, { 1, 2, 3, 4, 5, 6 } }, { 1, false, { 4, 1, 5, 2, 6, 3 } }, { 2, false, { 6, 5, 4, 3, 2, 1 } },
        { 3, false, { 3, 6, 2, 5, 1, 4 } }, { 0, true, { 3, 2, 1, 6, 5, 4 } },  { 1, true, { 1, 4, 2, 5, 3, 6 } },
    };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(list); i++) {
        const struct vt_print_shown shown = { .named = true, .turns = list[i].turns, .flip = list[i].flip };
        struct vt_print_image image;
        struct vt_err err = { 0 };
        draw_two_by_three(&image);
        assert_true(vt_print_shown_apply(&shown, false, &image, &err));
        assert_int_equal(image.columns, list[i].turns % 2 ? 2 : 3);
        assert_memory_equal(image.pixels.data, list[i].pixels, sizeof list[i].pixels);
        vt_buf_fini(&image.pixels);
    }
}

static void the_state_s_polarity_stands_for_the_image_s_own(void **state)
{
    static const struct {
        bool named, has_shape, inverse, mono1, inverted;
    } list[] = { { true, true, true, false, true },  { true, true, true, true, false },  { true, true, false, true, true },
                 { true, false, false, true, false }, { false, true, true, false, false } };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(list); i++) {
        const struct vt_print_shown shown = { .named = list[i].named, .has_shape = list[i].has_shape, .inverse = list[i].inverse };
        struct vt_print_image image;
        struct vt_err err = { 0 };
        draw_two_by_three(&image);
        assert_true(vt_print_shown_apply(&shown, list[i].mono1, &image, &err));
        assert_int_equal(image.pixels.data[0], list[i].inverted ? 254 : 1);
        vt_buf_fini(&image.pixels);
    }
}

static void what_cannot_be_drawn_says_why(void **state)
{
    struct place *place = *state;
    struct vt_print_image image;
    struct vt_err err = { 0 };

    assert_false(draw(place, FRAMES, &image, &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
    err = (struct vt_err){ 0 };
    write_image(place, SIDE * SIDE * 2);
    assert_false(draw(place, 0, &image, &err));
    assert_non_null(strstr(err.text, "cut short"));
    err = (struct vt_err){ 0 };
    snprintf(place->printer.state, sizeof place->printer.state, "/nowhere");
    assert_false(draw(place, 0, &image, &err));
    assert_non_null(strstr(err.text, "presentation state"));
}

static bool work(void *context, struct vt_err *err)
{
    struct vt_print_image image = { .pixels = { .limit = 0 } };
    bool ok = draw(context, 1, &image, err);

    vt_buf_fini(&image.pixels);
    return ok;
}

static void each_allocation_may_fail(void **state)
{
    struct place *place = *state;

    snprintf(place->printer.state, sizeof place->printer.state, "%s", place->state);
    assert_true(vt_torture(work, place) > 3);
    place->printer.options.colour = true;
    assert_true(vt_torture(work, place) > 3);
}

static int start(void **state)
{
    const struct vt_net_options net = { 0 };
    struct vt_err err = { 0 };

    (void)state;
    return vt_net_start(&net, &err) && vt_dict_load(&err) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    vt_net_stop();
    return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_window_is_the_command_s_or_the_state_s),
        CASE(a_deep_printer_gets_twelve_bits_and_a_colour_one_rgb),
        CASE(a_state_turns_first_and_flips_then),
        CASE(the_state_s_polarity_stands_for_the_image_s_own),
        CASE(what_cannot_be_drawn_says_why),
        CASE(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
