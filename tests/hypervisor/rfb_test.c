#include "hypervisor/rfb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "tests/support/torture.h"

/* A server that says what was written down; what the client sends is counted. */
struct script {
    const uint8_t *bytes;
    size_t size, at, sent;
    uint8_t answers[256];
};

static bool play(void *context, void *bytes, size_t size, struct vt_err *err)
{
    struct script *script = context;

    if (script->at + size > script->size)
        return vt_fail(err, VT_E_CLOSED, "the script ends");
    memcpy(bytes, script->bytes + script->at, size);
    script->at += size;
    return true;
}

static bool hear(void *context, const void *bytes, size_t size, struct vt_err *err)
{
    struct script *script = context;

    (void)err;
    if (script->sent + size <= sizeof script->answers)
        memcpy(script->answers + script->sent, bytes, size);
    script->sent += size;
    return true;
}

static bool grab(const void *bytes, size_t size, struct vt_rfb_picture *out, struct script *script,
                 struct vt_err *err)
{
    *script = (struct script){ .bytes = bytes, .size = size };
    const struct vt_rfb_stream stream = { script, play, hear };

    return vt_rfb_grab(&stream, out, err);
}

/* Version 3.8, one security type (none), accepted, 2 by 1 pixels named "ws". */
#define HELLO "RFB 003.008\n\1\1\0\0\0\0\0\2\0\1"
#define FORMAT "\40\30\0\1\0\377\0\377\0\377\20\10\0\0\0\0"
#define NAME "\0\0\0\2ws"
#define UPDATE(count) "\0\0\0" count
#define RAW(x, width) "\0" x "\0\0\0" width "\0\1\0\0\0\0"
#define RED "\0\0\377\0"
#define BLUE "\377\0\0\0"
#define BEGIN HELLO FORMAT NAME

static void a_picture_of_two_pixels_has_their_colours(void **state)
{
    static const char text[] = BEGIN UPDATE("\1") RAW("\0", "\2") RED BLUE;
    struct vt_rfb_picture picture;
    struct script script;
    struct vt_err err = { 0 };

    (void)state;
    assert_true(grab(text, sizeof text - 1, &picture, &script, &err));
    assert_int_equal(picture.width, 2);
    assert_int_equal(picture.height, 1);
    assert_string_equal(picture.name, "ws");
    assert_memory_equal(picture.rgb, "\377\0\0\0\0\377", 6);
    assert_memory_equal(script.answers, "RFB 003.008\n\1\1", 14);
    vt_rfb_picture_fini(&picture);
}

static void pieces_bells_and_clipboards_on_the_way_do_not_matter(void **state)
{
    static const char text[] = BEGIN "\2" UPDATE("\1") RAW("\1", "\1") BLUE
        "\3\0\0\0\0\0\0\3abc"
        "\1\0\0\0\0\1rrggbb" UPDATE("\1") RAW("\0", "\1") RED;
    struct vt_rfb_picture picture;
    struct script script;
    struct vt_err err = { 0 };

    (void)state;
    assert_true(grab(text, sizeof text - 1, &picture, &script, &err));
    assert_memory_equal(picture.rgb, "\377\0\0\0\0\377", 6);
    vt_rfb_picture_fini(&picture);
}

static void the_oldest_version_is_spoken_too(void **state)
{
    static const char text[] =
        "RFB 003.003\n\0\0\0\1\0\2\0\1" FORMAT NAME UPDATE("\1") RAW("\0", "\2") RED BLUE;
    struct vt_rfb_picture picture;
    struct script script;
    struct vt_err err = { 0 };

    (void)state;
    assert_true(grab(text, sizeof text - 1, &picture, &script, &err));
    assert_memory_equal(script.answers, "RFB 003.003\n\1\0\0\0", 16);
    vt_rfb_picture_fini(&picture);
}

static const struct {
    const char *text;
    size_t size;
    enum vt_code code;
} bad[] = {
#define ROW(text, code) { text, sizeof text - 1, code }
    ROW("HTTP/1.1 200 OK\r\n", VT_E_PROTOCOL),
    ROW("RFB 003.008\n\0\0\0\0\4busy", VT_E_REFUSED),
    ROW("RFB 003.008\n\1\2", VT_E_UNSUPPORTED),
    ROW("RFB 003.008\n\1\1\0\0\0\1\0\0\0\2no", VT_E_REFUSED),
    ROW("RFB 003.008\n\1\1\0\0\0\0\0\0\0\1" FORMAT NAME, VT_E_LIMIT),
    ROW("RFB 003.008\n\1\1\0\0\0\0\377\377\377\377" FORMAT NAME, VT_E_LIMIT),
    ROW(HELLO FORMAT "\377\377\377\377ws", VT_E_CLOSED),
    ROW(BEGIN UPDATE("\1") RAW("\1", "\2") RED BLUE, VT_E_PROTOCOL),         /* out of the screen */
    ROW(BEGIN UPDATE("\1") "\0\0\0\0\0\2\0\1\0\0\0\7", VT_E_PROTOCOL),       /* tight */
    ROW(BEGIN "\0\0\377\377", VT_E_LIMIT),                                   /* 65535 pieces */
    ROW(BEGIN "\3\0\0\0\177\377\377\377", VT_E_LIMIT),                       /* 2 GB of clipboard */
    ROW(BEGIN "\311", VT_E_PROTOCOL),
    ROW(BEGIN UPDATE("\1") RAW("\0", "\2") RED, VT_E_CLOSED),
#undef ROW
};

static void what_is_no_picture_is_refused_with_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct vt_rfb_picture picture;
        struct script script;
        struct vt_err err = { 0 };
        assert_false(grab(bad[i].text, bad[i].size, &picture, &script, &err));
        if (err.code != bad[i].code)
            fail_msg("row %zu: %s (%s)", i, vt_code_name(err.code), err.text);
        vt_rfb_picture_fini(&picture);
    }
}

static void a_server_that_never_sends_the_picture_is_left(void **state)
{
    uint8_t text[sizeof BEGIN - 1 + 1000];
    struct vt_rfb_picture picture;
    struct script script;
    struct vt_err err = { 0 };

    (void)state;
    memset(text, 2, sizeof text); /* bells */
    memcpy(text, BEGIN, sizeof BEGIN - 1);
    assert_false(grab(text, sizeof text, &picture, &script, &err));
    assert_int_equal(err.code, VT_E_PROTOCOL);
    vt_rfb_picture_fini(&picture);
}

static bool grab_and_write(void *context, struct vt_err *err)
{
    static const char text[] = BEGIN UPDATE("\1") RAW("\0", "\2") RED BLUE;
    const char *path = context;
    struct vt_rfb_picture picture;
    struct script script;
    bool ok = grab(text, sizeof text - 1, &picture, &script, err) &&
              vt_rfb_write(&picture, path, err);

    vt_rfb_picture_fini(&picture);
    return ok;
}

static void an_image_has_the_ending_that_was_asked_for(void **state)
{
    char folder[] = "/tmp/vt-rfb-XXXXXX", path[64], head[32] = "";
    struct vt_err err = { 0 };

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.ppm", folder);
    assert_true(grab_and_write(path, &err));
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(head, 1, sizeof head, file), 17);
    assert_memory_equal(head, "P6\n2 1\n255\n\377\0\0\0\0\377", 17);
    fclose(file);
    remove(path);
    snprintf(path, sizeof path, "%s/a.jpg", folder);
    assert_false(grab_and_write(path, &err));
    assert_int_equal(err.code, VT_E_INVALID);
    remove(folder);
}

static void any_failing_allocation_is_reported_and_leaks_nothing(void **state)
{
    char folder[] = "/tmp/vt-rfb-XXXXXX", path[64];

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.png", folder);
    assert_true(vt_torture(grab_and_write, path) > 3);
    remove(path);
    remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_picture_of_two_pixels_has_their_colours),
        cmocka_unit_test(pieces_bells_and_clipboards_on_the_way_do_not_matter),
        cmocka_unit_test(the_oldest_version_is_spoken_too),
        cmocka_unit_test(what_is_no_picture_is_refused_with_a_reason),
        cmocka_unit_test(a_server_that_never_sends_the_picture_is_left),
        cmocka_unit_test(an_image_has_the_ending_that_was_asked_for),
        cmocka_unit_test(any_failing_allocation_is_reported_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
