/* What ImageScope drew, read and written. */
#include "media/slide_marks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "tests/support/torture.h"

#define LAYER(color, name, inside) "<Annotation Id=\"1\" Name=\"" name "\" LineColor=\"" color "\"><Regions>" inside "</Regions></Annotation>"
#define REGION(type, text, inside) "<Region Type=\"" type "\" Text=\"" text "\"><Vertices>" inside "</Vertices></Region>"
#define V(x, y) "<Vertex X=\"" x "\" Y=\"" y "\" Z=\"0\"/>"
#define FILE_OF(inside) "<?xml version=\"1.0\"?>\n<Annotations MicronsPerPixel=\"0.499\">" inside "</Annotations>"

static bool read_text(const char *text, struct vt_slide_marks *out, struct vt_err *err)
{
    *err = (struct vt_err){ 0 };
    return vt_slide_marks_read((const uint8_t *)text, strlen(text), "made.xml", out, err);
}

static float point(const struct vt_mark_group *group, size_t i)
{
    float value;

    memcpy(&value, group->points.data + 4 * i, sizeof value);
    return value;
}

static void shapes_of_a_kind_a_layer_and_a_text_are_one_group(void **state)
{
    (void)state;
    struct vt_slide_marks marks;
    struct vt_err err;

    assert_true(read_text(FILE_OF(LAYER("65280", "Tumour",
        REGION("0", "", V("1", "2") V("3", "4") V("5,5", "6")) REGION("0", "", V("1", "1") V("2", "2") V("3", "1") V("1", "1"))
        REGION("0", "here", V("1", "2") V("3", "4") V("5", "6"))) LAYER("255", "", REGION("4", "", V("1", "2") V("3", "4")))), &marks, &err));
    assert_int_equal(marks.count, 3);
    assert_int_equal(marks.shapes, 4);
    assert_int_equal(marks.groups[0].count, 2);
    assert_int_equal(marks.groups[0].kind, VT_MARK_POLYGON);
    assert_int_equal(marks.groups[0].colour, 0x00ff00);
    assert_string_equal(marks.groups[0].label, "Tumour");
    assert_true(point(&marks.groups[0], 4) > 5.49f && point(&marks.groups[0], 4) < 5.51f);
    /* The second polygon begins behind three points; what closed it is not repeated. */
    assert_int_equal(marks.groups[0].indices.size, 8);
    assert_int_equal(marks.groups[0].indices.data[4], 7);
    assert_int_equal(marks.groups[0].points.size, 6 * 2 * 4);
    assert_string_equal(marks.groups[1].label, "here");
    assert_string_equal(marks.groups[2].label, "Layer 2");
    assert_int_equal(marks.groups[2].colour, 0xff0000);
    vt_slide_marks_fini(&marks);
}

static void boxes_become_corners_and_axes(void **state)
{
    (void)state;
    static const float corners[] = { 10, 20, 30, 20, 30, 80, 10, 80 };
    static const float axes[] = { 20, 20, 20, 80, 10, 50, 30, 50 };   /* the longer one first */
    struct vt_slide_marks marks;
    struct vt_err err;

    assert_true(read_text(FILE_OF(LAYER("0", "a", REGION("1", "", V("10", "20") V("30", "20") V("30", "80") V("10", "80"))
                                                      REGION("2", "", V("10", "20") V("30", "80")) REGION("5", "", V("7", "8")))), &marks, &err));
    assert_int_equal(marks.count, 3);
    for (size_t i = 0; i < 8; i++) {
        assert_true(point(&marks.groups[0], i) == corners[i]);
        assert_true(point(&marks.groups[1], i) == axes[i]);
    }
    assert_int_equal(marks.groups[2].kind, VT_MARK_POINT);
    vt_slide_marks_fini(&marks);
}

static void what_has_no_counterpart_is_counted_with_a_reason(void **state)
{
    (void)state;
    struct vt_slide_marks marks;
    struct vt_err err;

    assert_true(read_text(FILE_OF(LAYER("0", "a", REGION("9", "", V("1", "2") V("3", "4")) REGION("0", "", V("x", "2") V("3", "4") V("5", "4"))
                                                      REGION("1", "", "") "<Region Type=\"0\"/>" REGION("3", "", V("1", "2") V("9", "9")))), &marks, &err));
    assert_int_equal(marks.left, 4);
    assert_string_equal(marks.why, "DICOM has no such shape");
    assert_int_equal(marks.shapes, 1);
    vt_slide_marks_fini(&marks);
}

static void what_is_not_of_imagescope_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "no XML", "<Annotations>", "<Other/>", "<Annotations><Annotation></Annotations>",
        "<!DOCTYPE Annotations [<!ENTITY a \"aaaaaaaa\"><!ENTITY b \"&a;&a;\">]><Annotations><Annotation Name=\"&b;\"/></Annotations>",
        "<!DOCTYPE Annotations SYSTEM \"file:///etc/passwd\"><Annotations/>",
    };
    struct vt_slide_marks marks;
    struct vt_err err;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(read_text(bad[i], &marks, &err));
        assert_int_equal(err.code, VT_E_INVALID);
        assert_non_null(strstr(err.text, "made.xml"));
        vt_slide_marks_fini(&marks);
    }
}

static void texts_are_cut_at_a_character_and_hold_no_backslash(void **state)
{
    (void)state;
    struct vt_slide_marks marks;
    struct vt_err err;
    char text[4096] = "<Annotations><Annotation Name=\"a\\b";

    for (size_t i = 0; i < 100; i++)
        strcat(text, "\xc3\xbc");
    strcat(text, "\"><Regions>" REGION("4", "", V("1", "2") V("3", "4")) "</Regions></Annotation></Annotations>");
    assert_true(read_text(text, &marks, &err));
    assert_int_equal(strlen(marks.groups[0].label), 3 + 61 * 2);
    assert_memory_equal(marks.groups[0].label, "a b\xc3\xbc", 5);
    vt_slide_marks_fini(&marks);
}

static bool read_once(void *context, struct vt_err *err)
{
    (void)context;
    struct vt_slide_marks marks;

    bool ok = read_text(FILE_OF(LAYER("0", "a", REGION("0", "", V("1", "2") V("3", "4") V("5", "6")) REGION("1", "", V("1", "2") V("3", "4")))), &marks, err);
    vt_slide_marks_fini(&marks);
    return ok;
}

static void out_of_memory_leaves_nothing_behind(void **state)
{
    (void)state;
    assert_true(vt_torture(read_once, NULL) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_of_a_kind_a_layer_and_a_text_are_one_group),
        cmocka_unit_test(boxes_become_corners_and_axes),
        cmocka_unit_test(what_has_no_counterpart_is_counted_with_a_reason),
        cmocka_unit_test(what_is_not_of_imagescope_is_refused),
        cmocka_unit_test(texts_are_cut_at_a_character_and_hold_no_backslash),
        cmocka_unit_test(out_of_memory_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
