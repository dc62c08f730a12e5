#include "scp/recode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/archive.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/net.h"
#include "dicom/tags.h"
#include "tests/support/torture.h"

enum { BYTES_MAX = 4096 };

/* An Implicit VR image of so many rows and columns that claims them, with four pixels. */
static struct vt_stored stored_image(uint16_t rows, uint16_t columns)
{
    static const uint8_t pixels[4] = { 1, 2, 3, 4 };
    struct vt_stored stored = { .fd = memfd_create("image", MFD_CLOEXEC) };
    VT_AUTO_BUF(bytes, BYTES_MAX);
    struct vt_writer writer = { &bytes, VT_IMPLICIT_LE };
    struct vt_err err = { 0 };

    assert_true(vt_write_text(&writer, VT_TAG_PATIENT_ID, "LO", "P1", &err));
    assert_true(vt_write_us(&writer, VT_TAG_SAMPLES_PER_PIXEL, 1, &err));
    assert_true(vt_write_us(&writer, VT_TAG_ROWS, rows, &err));
    assert_true(vt_write_us(&writer, VT_TAG_COLUMNS, columns, &err));
    assert_true(vt_write_us(&writer, VT_TAG_BITS_ALLOCATED, 8, &err));
    assert_true(vt_write_bytes(&writer, VT_TAG_PIXEL_DATA, "OW", pixels, sizeof pixels, &err));
    assert_true(stored.fd >= 0);
    assert_int_equal(write(stored.fd, bytes.data, bytes.size), (ssize_t)bytes.size);
    stored.data_set_size = bytes.size;
    snprintf(stored.entry.transfer_syntax, sizeof stored.entry.transfer_syntax, "%s",
             VT_UID_IMPLICIT_LE);
    return stored;
}

static void an_implicit_instance_becomes_explicit_with_the_same_values(void **state)
{
    (void)state;
    struct vt_stored stored = stored_image(2, 2);
    VT_AUTO_BUF(out, VT_RECODE_MAX);
    struct vt_element element;
    struct vt_err err = { 0 };
    char text[8];

    if (!vt_recode(&stored, VT_UID_EXPLICIT_LE, &out, &err))
        fail_msg("%s", err.text);
    assert_true(vt_element_find(out.data, out.size, VT_EXPLICIT_LE, VT_TAG_PATIENT_ID, &element));
    vt_element_text(&element, text, sizeof text);
    assert_string_equal(text, "P1");
    assert_true(vt_element_find(out.data, out.size, VT_EXPLICIT_LE, VT_TAG_PIXEL_DATA, &element));
    assert_int_equal(element.length, 4);
    assert_memory_equal(element.value, "\1\2\3\4", 4);
    close(stored.fd);
}

static void what_is_too_large_is_refused_before_it_is_read(void **state)
{
    (void)state;
    struct vt_stored stored = { .fd = -1, .data_set_size = (uint64_t)VT_RECODE_STORED_MAX + 1 };
    VT_AUTO_BUF(out, VT_RECODE_MAX);
    struct vt_err err = { 0 };

    assert_false(vt_recode(&stored, VT_UID_EXPLICIT_LE, &out, &err));
    assert_int_equal(err.code, VT_E_LIMIT);

    stored.data_set_size = 1000; /* deflated: small here, large when it is read */
    stored.entry.has_pixels = true;
    stored.entry.pixel_offset = 1000;
    stored.entry.pixel_length = VT_RECODE_MAX;
    vt_err_clear(&err);
    assert_false(vt_recode(&stored, VT_UID_EXPLICIT_LE, &out, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
}

static void attributes_that_claim_too_many_pixels_are_refused_before_decoding(void **state)
{
    (void)state;
    struct vt_stored stored = stored_image(65535, 65535);
    VT_AUTO_BUF(out, VT_RECODE_MAX);
    struct vt_err err = { 0 };

    assert_false(vt_recode(&stored, VT_UID_EXPLICIT_LE, &out, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    close(stored.fd);
}

static void only_what_lost_nothing_is_re_encoded(void **state)
{
    (void)state;
    assert_true(vt_recode_possible(VT_UID_IMPLICIT_LE));
    assert_true(vt_recode_possible("1.2.840.10008.1.2.4.70"));
    assert_false(vt_recode_possible("1.2.840.10008.1.2.4.50"));
    assert_false(vt_recode_possible("1.2.3.4"));
}

static bool recode_once(void *context, struct vt_err *err)
{
    VT_AUTO_BUF(out, VT_RECODE_MAX);

    return vt_recode(context, VT_UID_EXPLICIT_LE, &out, err);
}

static void a_failing_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    struct vt_stored stored = stored_image(2, 2);

    assert_true(vt_torture(recode_once, &stored) > 2);
    close(stored.fd);
}

static int start(void **state)
{
    struct vt_net_options options = { 0 };
    struct vt_err err = { 0 };

    (void)state;
    return vt_net_start(&options, &err) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    vt_net_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_implicit_instance_becomes_explicit_with_the_same_values),
        cmocka_unit_test(what_is_too_large_is_refused_before_it_is_read),
        cmocka_unit_test(attributes_that_claim_too_many_pixels_are_refused_before_decoding),
        cmocka_unit_test(only_what_lost_nothing_is_re_encoded),
        cmocka_unit_test(a_failing_allocation_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
