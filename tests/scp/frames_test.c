/* Frames by UID: what is asked for, and the header of what comes. */
#include "scp/frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"

#define ROOM 4096

static struct vt_buf identifier(const char *level, uint32_t tag, const uint32_t *numbers, size_t count)
{
    struct vt_buf buf;
    struct vt_writer w = { &buf, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };

    vt_buf_init(&buf, ROOM);
    assert_true(vt_write_text(&w, VT_TAG_SOP_INSTANCE_UID, "UI", "1.2.3", &err) &&
                vt_write_text(&w, VT_TAG_QUERY_RETRIEVE_LEVEL, "CS", level, &err) &&
                (!tag || vt_write_bytes(&w, tag, "UL", numbers, count * sizeof *numbers, &err)));
    return buf;
}

/* The frames asked for of an instance of so many; their number, or minus the status. */
static int frames(const char *level, uint32_t tag, const uint32_t *numbers, size_t count, uint32_t total, uint32_t *out)
{
    struct vt_buf bytes = identifier(level, tag, numbers, count), list;
    struct vt_frame_request request;
    struct vt_err err = { 0 };

    vt_buf_init(&list, VT_FRAMES_LISTED_MAX * sizeof(uint32_t));
    vt_frame_request_init(&request);
    bool ok = vt_frame_request_read(bytes.data, bytes.size, VT_EXPLICIT_LE, &request, &err) &&
              vt_frame_request_resolve(&request, total, &list, &err);
    int result = ok ? (int)(list.size / sizeof *out) : -(int)err.dimse_status;
    memcpy(out, list.data ? list.data : (const uint8_t *)"", ok ? list.size : 0);
    vt_frame_request_fini(&request);
    vt_buf_fini(&list);
    vt_buf_fini(&bytes);
    return result;
}

static void lists_and_ranges_become_frames(void **state)
{
    (void)state;
    static const uint32_t simple[] = { 1, 4, 9 }, ranges[] = { 2, 6, 2, 9, UINT32_MAX, 1 };
    static const uint32_t wanted[] = { 2, 4, 6, 9, 10 };
    uint32_t found[ROOM];

    assert_int_equal(frames("FRAME", 0x00081161, simple, 3, 8, found), 2);
    assert_memory_equal(found, simple, 8);
    assert_int_equal(frames("FRAME", 0x00081162, ranges, 6, 10, found), 5);
    assert_memory_equal(found, wanted, sizeof wanted);
}

static void lists_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *level;
        uint32_t tag, numbers[6];
        size_t count;
        uint16_t status;
    } cases[] = {
        { "FRAME", 0x00081161, { 3, 2 }, 2, VT_STATUS_INVALID_FRAMES },
        { "FRAME", 0x00081161, { 0 }, 1, VT_STATUS_INVALID_FRAMES },
        { "FRAME", 0x00081161, { 11 }, 1, VT_STATUS_NO_SUCH_FRAMES },
        { "FRAME", 0x00081162, { 1, 2 }, 2, VT_STATUS_INVALID_FRAMES },
        { "FRAME", 0x00081162, { 1, 5, 0 }, 3, VT_STATUS_INVALID_FRAMES },
        { "FRAME", 0x00081162, { 5, 1, 1 }, 3, VT_STATUS_INVALID_FRAMES },
        { "FRAME", 0x00081162, { 1, 5, 1, 5, 6, 1 }, 6, VT_STATUS_INVALID_FRAMES },
        { "FRAME", 0x00081163, { 0, 0, 0, 0 }, 4, VT_STATUS_NOT_TIME_BASED },
        { "FRAME", 0, { 0 }, 0, VT_STATUS_INVALID_FRAMES },
        { "SERIES", 0x00081161, { 1 }, 1, 0xA900 },
    };
    uint32_t found[ROOM];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(frames(cases[i].level, cases[i].tag, cases[i].numbers, cases[i].count, 10, found), -(int)cases[i].status);
}

/* A small header: some of the elements that are written anew, one that is dropped. */
static struct vt_buf made_header(void)
{
    struct vt_buf buf;
    struct vt_writer w = { &buf, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };

    vt_buf_init(&buf, ROOM);
    assert_true(vt_write_text(&w, VT_TAG_SOP_INSTANCE_UID, "UI", "1.2.3", &err) &&
                vt_write_text(&w, VT_TAG_PATIENT_ID, "LO", "P", &err) &&
                vt_write_text(&w, 0x00209161, "UI", "1.2.4", &err) &&
                vt_write_text(&w, VT_TAG_NUMBER_OF_FRAMES, "IS", "12", &err) && vt_write_us(&w, VT_TAG_ROWS, 4, &err) &&
                vt_write_us(&w, VT_TAG_COLUMNS, 8, &err) && vt_write_us(&w, VT_TAG_BITS_ALLOCATED, 8, &err));
    return buf;
}

static bool rewrite(const struct vt_buf *header_bytes, struct vt_buf *out, struct vt_err *err)
{
    static const uint32_t numbers[] = { 2, 5 };
    struct vt_buf asked = identifier("FRAME", 0x00081161, numbers, 2);
    struct vt_frame_request request;
    struct vt_frame_header header;

    vt_frame_request_init(&request);
    bool ok = vt_frame_request_read(asked.data, asked.size, VT_EXPLICIT_LE, &request, err) &&
              vt_frame_header_read(header_bytes->data, header_bytes->size, VT_EXPLICIT_LE, &header, err) &&
              vt_frame_header_write(&header, &request, numbers, 2, "2.25.1", out, err);
    vt_frame_request_fini(&request);
    vt_buf_fini(&asked);
    return ok;
}

static void the_new_header_counts_its_frames_and_names_its_source(void **state)
{
    (void)state;
    struct vt_buf bytes = made_header(), out;
    struct vt_element element;
    struct vt_err err = { 0 };
    char text[80];

    vt_buf_init(&out, ROOM);
    assert_true(rewrite(&bytes, &out, &err));
    assert_true(vt_element_check(out.data, out.size, VT_EXPLICIT_LE, &VT_ELEMENT_LIMITS_DEFAULT, &err));
    assert_true(vt_element_find(out.data, out.size, VT_EXPLICIT_LE, VT_TAG_SOP_INSTANCE_UID, &element));
    vt_element_text(&element, text, sizeof text);
    assert_string_equal(text, "2.25.1");
    assert_true(vt_element_find(out.data, out.size, VT_EXPLICIT_LE, VT_TAG_NUMBER_OF_FRAMES, &element));
    vt_element_text(&element, text, sizeof text);
    assert_string_equal(text, "2");
    assert_true(vt_element_find(out.data, out.size, VT_EXPLICIT_LE, 0x00081164, &element));
    assert_true(vt_element_find(out.data, out.size, VT_EXPLICIT_LE, 0x0018A001, &element));
    assert_true(vt_element_find(out.data, out.size, VT_EXPLICIT_LE, VT_TAG_PATIENT_ID, &element));
    assert_false(vt_element_find(out.data, out.size, VT_EXPLICIT_LE, 0x00209161, &element));
    vt_buf_fini(&out);
    vt_buf_fini(&bytes);
}

static bool rewrite_once(void *context, struct vt_err *err)
{
    struct vt_buf out;

    vt_buf_init(&out, ROOM);
    bool ok = rewrite(context, &out, err);
    vt_buf_fini(&out);
    return ok;
}

static void any_damage_gives_an_error_or_nothing_worse(void **state)
{
    (void)state;
    struct vt_buf bytes = made_header();

    for (size_t i = 0; i < bytes.size; i++) {
        struct vt_err err = { 0 };
        bytes.data[i] ^= 0xff;
        (void)rewrite_once(&bytes, &err);
        bytes.data[i] ^= 0xff;
    }
    vt_buf_fini(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_and_ranges_become_frames),
        cmocka_unit_test(lists_that_make_no_sense_are_refused),
        cmocka_unit_test(the_new_header_counts_its_frames_and_names_its_source),
        cmocka_unit_test(any_damage_gives_an_error_or_nothing_worse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
