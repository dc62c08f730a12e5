/* Layouts, words, and the data sets of printing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "scu/print_inside.h"
#include "tests/support/torture.h"

static void layouts_are_said_in_words_or_as_the_standard_does(void **state)
{
    static const struct {
        const char *said, *format;
        size_t boxes;
    } list[] = { { "2x3", "STANDARD\\2,3", 6 },        { "1x1", "STANDARD\\1,1", 1 },  { "4X5", "STANDARD\\4,5", 20 },
                 { "STANDARD\\3,2", "STANDARD\\3,2", 6 }, { "row:1,2,1", "ROW\\1,2,1", 4 }, { "col:2,1", "COL\\2,1", 3 },
                 { "ROW\\2", "ROW\\2", 2 } };
    char format[VT_PRINT_LAYOUT_TEXT];
    size_t boxes;

    (void)state;
    for (size_t i = 0; i < VT_COUNT(list); i++) {
        struct vt_err err = { 0 };
        assert_true(vt_print_layout(list[i].said, format, &boxes, &err));
        assert_string_equal(format, list[i].format);
        assert_int_equal(boxes, list[i].boxes);
    }
}

static void what_is_no_layout_is_refused(void **state)
{
    static const char *const list[] = { "", "x", "2", "0x3", "2x", "2x3x4", "-1x2", "101x1", "11x11", "row:", "row:1,", "row:a",
                                        "STANDARD\\2", "SLIDE", "99999999999999999999x1", "1,1,1,1,1,1,1,1,1,1,1" };
    char format[VT_PRINT_LAYOUT_TEXT];
    size_t boxes;

    (void)state;
    for (size_t i = 0; i < VT_COUNT(list); i++) {
        struct vt_err err = { 0 };
        assert_false(vt_print_layout(list[i], format, &boxes, &err));
        assert_int_equal(err.code, VT_E_INVALID);
    }
}

static void a_refusal_for_good_is_not_tried_again(void **state)
{
    struct vt_err queue_full = { .code = VT_E_STATUS, .dimse_status = 0xc601 };
    struct vt_err bad_layout = { .code = VT_E_STATUS, .dimse_status = 0x0106 };
    struct vt_err away = { .code = VT_E_REFUSED };
    struct vt_err no_picture = { .code = VT_E_UNSUPPORTED };

    (void)state;
    assert_true(vt_print_may_retry(&queue_full));
    assert_true(vt_print_may_retry(&away));
    assert_false(vt_print_may_retry(&bad_layout));
    assert_false(vt_print_may_retry(&no_picture));
    assert_non_null(strstr(vt_print_status_text(0xc601), "queue is full"));
    assert_non_null(strstr(vt_printer_info_text("SUPPLY EMPTY"), "out of film"));
    assert_null(vt_print_status_text(0x1234));
    assert_null(vt_printer_info_text("HUNGRY"));
}

static const struct vt_print_options plain = { .layout = "STANDARD\\1,1", .boxes = 1, .copies = 1, .min_density = -1,
                                               .max_density = -1, .illumination = -1, .reflection = -1 };

static bool text_is(const struct vt_buf *bytes, uint32_t tag, const char *wanted)
{
    struct vt_element element;
    char text[128];

    if (!vt_element_find(bytes->data, bytes->size, VT_EXPLICIT_LE, tag, &element))
        return wanted == NULL;
    vt_element_text(&element, text, sizeof text);
    return wanted && strcmp(text, wanted) == 0;
}

static void what_nobody_said_is_left_to_the_printer(void **state)
{
    VT_AUTO_BUF(bytes, 4096);
    struct vt_writer w = { .buf = &bytes, .encoding = VT_EXPLICIT_LE };
    struct vt_err err = { 0 };

    (void)state;
    assert_true(vt_print_write_film(&w, &plain, "1.2", "", false, &err));
    assert_true(vt_element_check(bytes.data, bytes.size, VT_EXPLICIT_LE, &VT_ELEMENT_LIMITS_DEFAULT, &err));
    assert_true(text_is(&bytes, 0x20100010, "STANDARD\\1,1"));
    assert_true(text_is(&bytes, 0x20100050, NULL));
    assert_true(text_is(&bytes, 0x20100130, NULL));
    assert_true(text_is(&bytes, 0x20500500, NULL));
}

static void a_presentation_lut_brings_its_light_along(void **state)
{
    VT_AUTO_BUF(bytes, 4096);
    struct vt_writer w = { .buf = &bytes, .encoding = VT_EXPLICIT_LE };
    struct vt_print_options options = plain;
    struct vt_element element;
    struct vt_err err = { 0 };
    int64_t value;

    (void)state;
    options.illumination = 2000;
    assert_true(vt_print_write_film(&w, &options, "1.2", "1.3", false, &err));
    assert_true(vt_element_find(bytes.data, bytes.size, VT_EXPLICIT_LE, 0x2010015e, &element));
    assert_true(vt_element_number(&element, VT_EXPLICIT_LE, &value));
    assert_int_equal(value, 2000);
    assert_true(vt_element_find(bytes.data, bytes.size, VT_EXPLICIT_LE, 0x20500500, &element));
}

static void colours_go_by_plane(void **state)
{
    static const uint8_t rgb[] = { 1, 2, 3, 4, 5, 6 }, planes[] = { 1, 4, 2, 5, 3, 6 };
    VT_AUTO_BUF(bytes, 4096);
    struct vt_writer w = { .buf = &bytes, .encoding = VT_EXPLICIT_LE };
    struct vt_print_image image = { .columns = 2, .rows = 1, .bits = 8, .samples = 3, .pixels = { .limit = 64 } };
    struct vt_err err = { 0 };

    (void)state;
    assert_true(vt_buf_append(&image.pixels, rgb, sizeof rgb, &err));
    assert_true(vt_print_write_image(&w, &plain, 1, &image, &err));
    assert_non_null(memmem(bytes.data, bytes.size, planes, sizeof planes));
    image.rows = 2;
    assert_false(vt_print_write_image(&w, &plain, 1, &image, &err));
    vt_buf_fini(&image.pixels);
}

static void references_that_are_no_uids_are_passed_over(void **state)
{
    VT_AUTO_BUF(bytes, 4096);
    struct vt_writer w = { .buf = &bytes, .encoding = VT_EXPLICIT_LE };
    char found[2][VT_UID_MAX + 1];
    struct vt_err err = { 0 };
    static const char *const uids[] = { "1.1", "no uid", "1.2", "1.3" };

    (void)state;
    assert_true(vt_write_sequence_begin(&w, VT_PRINT_TAG_IMAGE_BOXES, &err));
    for (size_t i = 0; i < VT_COUNT(uids); i++)
        assert_true(vt_write_item_begin(&w, &err) &&
                    vt_write_text(&w, VT_TAG_REFERENCED_SOP_INSTANCE_UID, "UI", uids[i], &err) &&
                    vt_write_item_end(&w, &err));
    assert_true(vt_write_sequence_end(&w, &err));
    assert_int_equal(vt_print_references(bytes.data, bytes.size, VT_PRINT_TAG_IMAGE_BOXES, found, 2), 2);
    assert_string_equal(found[1], "1.2");
    assert_int_equal(vt_print_references(bytes.data, bytes.size, VT_PRINT_TAG_ANNOTATION_BOXES, found, 2), 0);
}

static bool write_all(void *context, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, 4096);
    struct vt_writer w = { .buf = &bytes, .encoding = VT_IMPLICIT_LE };

    (void)context;
    return vt_print_write_session(&w, &plain, err) && vt_print_write_film(&w, &plain, "1.2", "1.3", true, err) &&
           vt_print_write_lut(&w, err) && vt_print_write_annotation(&w, 1, "Room 4", err);
}

static void a_lack_of_memory_is_only_that(void **state)
{
    (void)state;
    assert_true(vt_torture(write_all, NULL) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_are_said_in_words_or_as_the_standard_does),
        cmocka_unit_test(what_is_no_layout_is_refused),
        cmocka_unit_test(a_refusal_for_good_is_not_tried_again),
        cmocka_unit_test(what_nobody_said_is_left_to_the_printer),
        cmocka_unit_test(a_presentation_lut_brings_its_light_along),
        cmocka_unit_test(colours_go_by_plane),
        cmocka_unit_test(references_that_are_no_uids_are_passed_over),
        cmocka_unit_test(a_lack_of_memory_is_only_that),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
