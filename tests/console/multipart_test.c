#include "console/multipart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "tests/support/torture.h"

enum { PARTS = 4, ROOM = 4096 };

/* What a reader was told. */
struct seen {
    size_t begun, ended;
    char types[PARTS][256], locations[PARTS][64];
    struct vt_buf bytes[PARTS];
    size_t refuse;    /* the part whose begin says no; from 1 */
};

static bool on_begin(void *context, const char *type, const char *location, struct vt_err *err)
{
    struct seen *seen = context;

    if (seen->begun == PARTS)
        return vt_fail(err, VT_E_LIMIT, "too many parts for this test");
    snprintf(seen->types[seen->begun], sizeof seen->types[0], "%s", type);
    snprintf(seen->locations[seen->begun], sizeof seen->locations[0], "%s", location);
    return ++seen->begun != seen->refuse || vt_fail(err, VT_E_DENIED, "not this one");
}

static bool on_bytes(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct seen *seen = context;

    return vt_buf_append(&seen->bytes[seen->begun - 1], bytes, size, err);
}

static bool on_end(void *context, struct vt_err *err)
{
    struct seen *seen = context;

    (void)err;
    seen->ended++;
    return true;
}

static void forget(struct seen *seen)
{
    for (size_t i = 0; i < PARTS; i++)
        vt_buf_fini(&seen->bytes[i]);
    *seen = (struct seen){ .refuse = 0 };
    for (size_t i = 0; i < PARTS; i++)
        vt_buf_init(&seen->bytes[i], ROOM);
}

static bool read_all(struct seen *seen, const char *type, const char *body, size_t size, size_t piece, struct vt_err *err)
{
    struct vt_multipart reader = { .begin = on_begin, .bytes = on_bytes, .end = on_end, .context = seen };
    bool ok = vt_multipart_init(&reader, type, err);

    for (size_t at = 0; ok && at < size; at += piece)
        ok = vt_multipart_feed(&reader, (const uint8_t *)body + at, size - at < piece ? size - at : piece, err);
    ok = ok && vt_multipart_finish(&reader, err);
    vt_multipart_fini(&reader);
    return ok;
}

static const char plain[] = "multipart/related; type=\"application/dicom\"; boundary=xyz";
/* Values that look like delimiters, an empty part, headers in other cases. */
static const char body[] = "preamble\r\n--xyz\r\nContent-Type: application/dicom\r\nContent-Location: /a/b\r\n\r\n\r\n--xy\r\n--x\r\r\n--xyy"
                           "\r\n--xyz \t\r\ncontent-TYPE:image/jpeg\r\n\r\n\r\n--xyz\r\n\r\nno headers\r\n--xyz--epilogue\r\n--xyz\r\n";

static void assert_body(const struct seen *seen)
{
    static const char first[] = "\r\n--xy\r\n--x\r\r\n--xyy";

    assert_int_equal(seen->begun, 3);
    assert_int_equal(seen->ended, 3);
    assert_string_equal(seen->types[0], "application/dicom");
    assert_string_equal(seen->locations[0], "/a/b");
    assert_int_equal(seen->bytes[0].size, sizeof first - 1);
    assert_memory_equal(seen->bytes[0].data, first, sizeof first - 1);
    assert_string_equal(seen->types[1], "image/jpeg");
    assert_int_equal(seen->bytes[1].size, 0);
    assert_string_equal(seen->types[2], "");
    assert_memory_equal(seen->bytes[2].data, "no headers", 10);
}

static void parts_are_the_same_in_pieces_of_any_size(void **state)
{
    struct seen seen = { .begun = 0 };
    struct vt_err err = { 0 };

    (void)state;
    for (size_t piece = 1; piece <= sizeof body; piece++) {
        forget(&seen);
        if (!read_all(&seen, plain, body, sizeof body - 1, piece, &err))
            fail_msg("pieces of %zu: %s", piece, err.text);
        assert_body(&seen);
    }
    forget(&seen);
}

static void a_body_may_begin_with_its_first_delimiter(void **state)
{
    static const char text[] = "--xyz\r\n\r\nA\r\n--xyz--";
    struct seen seen = { .begun = 0 };
    struct vt_err err = { 0 };

    (void)state;
    forget(&seen);
    assert_true(read_all(&seen, "multipart/related;boundary=\"xyz\"", text, sizeof text - 1, sizeof text, &err));
    assert_int_equal(seen.bytes[0].size, 1);
    forget(&seen);
}

static void a_body_that_was_cut_is_refused(void **state)
{
    struct seen seen = { .begun = 0 };

    (void)state;
    for (size_t size = 0; size < sizeof body - 1 - strlen("epilogue\r\n--xyz\r\n"); size++) {
        struct vt_err err = { 0 };
        forget(&seen);
        assert_false(read_all(&seen, plain, body, size, 7, &err));
        assert_int_equal(err.code, VT_E_INVALID);
    }
    forget(&seen);
}

static void a_boundary_has_one_to_seventy_characters(void **state)
{
    char type[200] = "multipart/related; boundary=";
    struct seen seen = { .begun = 0 };
    struct vt_err err = { 0 };

    (void)state;
    forget(&seen);
    assert_false(read_all(&seen, "multipart/related", "", 0, 1, &err));
    assert_int_equal(err.code, VT_E_INVALID);
    assert_false(read_all(&seen, "multipart/related; boundary=\"\"", "", 0, 1, &err));
    assert_false(read_all(&seen, "multipart/related; boundary=\"open", "", 0, 1, &err));
    assert_false(read_all(&seen, NULL, "", 0, 1, &err));
    memset(type + 28, 'b', VT_BOUNDARY_MAX + 1);
    assert_false(read_all(&seen, type, "", 0, 1, &err));
    forget(&seen);
}

static void headers_of_a_part_have_a_bound(void **state)
{
    char long_headers[VT_PART_HEADERS_MAX + 200];
    struct seen seen = { .begun = 0 };
    struct vt_err err = { 0 };

    (void)state;
    forget(&seen);
    memset(long_headers, 'h', sizeof long_headers);
    memcpy(long_headers, "--xyz\r\n", 7);
    assert_false(read_all(&seen, plain, long_headers, sizeof long_headers, 100, &err));
    assert_int_equal(err.code, VT_E_INVALID);
    assert_int_equal(seen.begun, 0);
    forget(&seen);
}

static void more_parts_than_the_bound_are_refused(void **state)
{
    struct vt_multipart reader = { .begin = on_begin, .bytes = on_bytes, .end = on_end };
    struct seen seen = { .begun = 0 };
    struct vt_err err = { 0 };

    (void)state;
    forget(&seen);
    reader.context = &seen;
    assert_true(vt_multipart_init(&reader, plain, &err));
    reader.parts = VT_PARTS_MAX;
    assert_false(vt_multipart_feed(&reader, (const uint8_t *)"--xyz\r\n\r\n", 9, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    vt_multipart_fini(&reader);
    forget(&seen);
}

static void who_listens_can_stop_it(void **state)
{
    struct seen seen = { .begun = 0 };
    struct vt_err err = { 0 };

    (void)state;
    forget(&seen);
    seen.refuse = 2;
    assert_false(read_all(&seen, plain, body, sizeof body - 1, sizeof body, &err));
    assert_int_equal(err.code, VT_E_DENIED);
    assert_int_equal(seen.begun, 2);
    forget(&seen);
}

static void what_is_written_is_read_again(void **state)
{
    struct vt_boundary boundary;
    struct seen seen = { .begun = 0 };
    struct vt_err err = { 0 };
    char type[200];
    VT_AUTO_BUF(out, ROOM);

    (void)state;
    forget(&seen);
    vt_boundary_new(&boundary);
    vt_boundary_type(&boundary, "image/jpeg", type, sizeof type);
    assert_true(vt_boundary_part(&boundary, "image/jpeg", "/there", &out, &err) && vt_buf_append_text(&out, "one", &err) &&
                vt_boundary_part(&boundary, "image/png", NULL, &out, &err) && vt_buf_append_text(&out, "two", &err) &&
                vt_boundary_end(&boundary, &out, &err));
    assert_true(read_all(&seen, type, (const char *)out.data, out.size, 5, &err));
    assert_int_equal(seen.ended, 2);
    assert_string_equal(seen.locations[0], "/there");
    assert_memory_equal(seen.bytes[0].data, "one", 3);
    assert_string_equal(seen.types[1], "image/png");
    assert_memory_equal(seen.bytes[1].data, "two", 3);
    forget(&seen);
}

static bool read_once(void *context, struct vt_err *err)
{
    struct seen *seen = context;

    forget(seen);
    return read_all(seen, plain, body, sizeof body - 1, 11, err);
}

static void every_failed_allocation_is_told_without_a_leak(void **state)
{
    struct seen seen = { .begun = 0 };

    (void)state;
    vt_torture(read_once, &seen);
    forget(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_the_same_in_pieces_of_any_size),
        cmocka_unit_test(a_body_may_begin_with_its_first_delimiter),
        cmocka_unit_test(a_body_that_was_cut_is_refused),
        cmocka_unit_test(a_boundary_has_one_to_seventy_characters),
        cmocka_unit_test(headers_of_a_part_have_a_bound),
        cmocka_unit_test(more_parts_than_the_bound_are_refused),
        cmocka_unit_test(who_listens_can_stop_it),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(every_failed_allocation_is_told_without_a_leak),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
