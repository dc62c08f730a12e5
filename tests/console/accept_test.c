#include "console/accept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct vt_accept read_header(const char *header)
{
    struct vt_accept accept;

    vt_accept_read(header, &accept);
    return accept;
}

static void no_header_takes_everything(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct vt_accept accept = read_header(i ? "" : NULL);
        assert_int_equal(accept.count, 1);
        assert_true(vt_media_takes(&accept.ranges[0], "image/jpeg"));
        assert_false(accept.ranges[0].multipart);
    }
}

static void the_type_of_parts_is_told_quoted_or_bare(void **state)
{
    static const char *const headers[] = { "multipart/related; type=\"image/jpeg\"; transfer-syntax=1.2.840.10008.1.2.4.50",
                                           "Multipart/Related;TYPE=image/JPEG;transfer-syntax=1.2.840.10008.1.2.4.50",
                                           "multipart/related ; transfer-syntax=\"1.2.840.10008.1.2.4.50\" ; type=image/jpeg" };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const struct vt_accept accept = read_header(headers[i]);
        assert_int_equal(accept.count, 1);
        assert_true(accept.ranges[0].multipart);
        assert_string_equal(accept.ranges[0].type, "image/jpeg");
        assert_string_equal(accept.ranges[0].transfer_syntax, "1.2.840.10008.1.2.4.50");
    }
}

static void the_most_wanted_comes_first_and_equals_in_order(void **state)
{
    const struct vt_accept accept = read_header("text/html;q=0.2, image/png, image/jpeg;q=0.9, image/gif, image/x;q=0");

    (void)state;
    assert_int_equal(accept.count, 4);
    assert_string_equal(accept.ranges[0].type, "image/png");
    assert_string_equal(accept.ranges[1].type, "image/gif");
    assert_string_equal(accept.ranges[2].type, "image/jpeg");
    assert_string_equal(accept.ranges[3].type, "text/html");
}

static void commas_in_quotes_do_not_part_ranges(void **state)
{
    const struct vt_accept accept = read_header("multipart/related; type=\"application/dicom\"; x=\"a, b;c\", image/png");

    (void)state;
    assert_int_equal(accept.count, 2);
    assert_string_equal(accept.ranges[0].type, "application/dicom");
    assert_string_equal(accept.ranges[1].type, "image/png");
}

static void wildcards_take_their_kind(void **state)
{
    const struct vt_accept accept = read_header("image/*, multipart/related");

    (void)state;
    assert_true(vt_media_takes(&accept.ranges[0], "image/jls"));
    assert_false(vt_media_takes(&accept.ranges[0], "imagery/jls"));
    assert_false(vt_media_takes(&accept.ranges[0], "application/dicom"));
    assert_true(accept.ranges[1].multipart && vt_media_takes(&accept.ranges[1], "application/dicom"));
}

static void what_cannot_be_read_is_skipped(void **state)
{
    static const char *const headers[] = { ",", ";;;", "image", "q=1", "\"", "image/png;q=0", ";q=0.5,,," };

    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        assert_int_equal(read_header(headers[i]).count, 0);
    assert_int_equal(read_header("image/png;q=nan").count, 1);
    assert_int_equal(read_header("image/png;q=-1").ranges[0].quality, 1000);
}

static void ranges_and_their_texts_have_a_bound(void **state)
{
    char many[64 * 16] = "", longer[4096];
    struct vt_accept accept;

    (void)state;
    for (int i = 0; i < 60; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), "image/x%d,", i);
    assert_int_equal(read_header(many).count, VT_ACCEPT_MAX);
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    memcpy(longer, "image/", 6);
    accept = read_header(longer);
    assert_int_equal(accept.count, 0);
    memcpy(longer, "image/png;transfer-syntax=", 26);
    accept = read_header(longer);
    assert_int_equal(accept.count, 1);
    assert_true(strlen(accept.ranges[0].transfer_syntax) <= VT_UID_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_header_takes_everything),
        cmocka_unit_test(the_type_of_parts_is_told_quoted_or_bare),
        cmocka_unit_test(the_most_wanted_comes_first_and_equals_in_order),
        cmocka_unit_test(commas_in_quotes_do_not_part_ranges),
        cmocka_unit_test(wildcards_take_their_kind),
        cmocka_unit_test(what_cannot_be_read_is_skipped),
        cmocka_unit_test(ranges_and_their_texts_have_a_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
