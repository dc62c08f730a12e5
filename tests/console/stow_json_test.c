#include "console/stow_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "tests/archive/objects.h"
#include "tests/support/torture.h"

enum { ROOM = 1 << 20 };

struct part {
    const char *type, *location;
    const void *bytes;
    size_t size;
};

#define TEXT(type_, location_, text_) { type_, location_, text_, sizeof(text_) - 1 }
#define JSON "application/dicom+json"

static bool take(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    return vt_buf_append(context, bytes, size, err);
}

/* The parts as a request brings them, a byte at a time; then the first instance in the syntax that they mean. */
static bool store(struct vt_archive *archive, const struct part *parts, size_t count, char syntax[VT_UID_MAX + 1], struct vt_buf *out,
                  struct vt_err *err)
{
    VT_AUTO(vt_stow_json) json = vt_stow_json_new(archive, err);
    struct vt_json_data_set data_set;
    bool more = false, wrong = false, ok = json != NULL;

    for (size_t i = 0; ok && i < count; i++) {
        ok = vt_stow_json_begin(json, parts[i].type, parts[i].location, err);
        for (size_t at = 0; ok && at < parts[i].size; at++)
            ok = vt_stow_json_bytes(json, (const uint8_t *)parts[i].bytes + at, 1, err);
        ok = ok && vt_stow_json_end(json, &wrong, err) && !wrong;
    }
    vt_json_data_set_init(&data_set);
    ok = ok && vt_stow_json_next(json, &data_set, &more, err) && (more || vt_fail(err, VT_E_NOTFOUND, "no instance")) &&
         vt_stow_json_syntax(json, &data_set, syntax, err) && vt_stow_json_write(json, &data_set, syntax, take, out, err);
    vt_json_data_set_fini(&data_set);
    return ok;
}

#define PIXELS(frames_) \
    "[{\"00280008\":{\"vr\":\"IS\",\"Value\":[" frames_ "]},\"7FE00010\":{\"vr\":\"OW\",\"BulkDataURI\":\"p\"}}]"

static void values_stand_where_their_uri_stood(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    VT_AUTO_BUF(bytes, ROOM);
    VT_AUTO_BUF(expected, ROOM);
    struct vt_writer w = { &expected, VT_EXPLICIT_LE };
    char syntax[VT_UID_MAX + 1];
    struct vt_err err = { 0 };
    const struct part parts[] = {
        TEXT(JSON "; charset=utf-8", "", "{\"7FE00010\":{\"vr\":\"OW\",\"BulkDataURI\":\"http://x/p\"},\"00100020\":{\"vr\":\"LO\",\"Value\":[\"P1\"]},"
                                         "\"00281201\":{\"vr\":\"OW\",\"BulkDataURI\":\"lut\"},\"00104000\":{\"vr\":\"LT\",\"BulkDataURI\":\"text\"}}"),
        TEXT("application/octet-stream", "http://x/p", "abc"),
        TEXT("", "lut", "\1\2\3\4"),
        TEXT("text/plain", "text", "words"),
        TEXT("application/octet-stream", "http://x/p", "defgh"),
        TEXT("application/octet-stream", "nobody asks for it", "zz"),
    };

    if (!store(archive, parts, VT_COUNT(parts), syntax, &bytes, &err))
        fail_msg("%s", err.text);
    assert_string_equal(syntax, VT_UID_EXPLICIT_LE);
    vt_write_text(&w, VT_TAG_PATIENT_ID, "LO", "P1", &err);
    vt_write_text(&w, 0x00104000, "LT", "words", &err);
    vt_write_bytes(&w, 0x00281201, "OW", "\1\2\3\4", 4, &err);
    vt_write_bytes(&w, VT_TAG_PIXEL_DATA, "OW", "abcdefgh", 8, &err);
    assert_int_equal(bytes.size, expected.size);
    assert_memory_equal(bytes.data, expected.data, bytes.size);
    vt_archive_free(archive);
}

static void frames_are_fragments_with_an_offset_table(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    VT_AUTO_BUF(bytes, ROOM);
    char syntax[VT_UID_MAX + 1];
    struct vt_err err = { 0 };
    static const char end[] = "\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff"
                              "\xfe\xff\0\xe0\x08\0\0\0\0\0\0\0\x0c\0\0\0" "\xfe\xff\0\xe0\x04\0\0\0" "abc\0" "\xfe\xff\0\xe0\x02\0\0\0" "de"
                              "\xfe\xff\xdd\xe0\0\0\0\0";
    const struct part parts[] = {
        TEXT("image/jls", "p/frames/2", "de"),
        TEXT(JSON, "", PIXELS("2")),
        TEXT("image/jls; transfer-syntax=1.2.840.10008.1.2.4.81", "p/frames/1", "abc"),
    };

    if (!store(archive, parts, VT_COUNT(parts), syntax, &bytes, &err))
        fail_msg("%s", err.text);
    assert_string_equal(syntax, "1.2.840.10008.1.2.4.81");
    assert_true(bytes.size > sizeof end - 1);
    assert_memory_equal(bytes.data + bytes.size - (sizeof end - 1), end, sizeof end - 1);
    vt_archive_free(archive);
}

static void the_syntax_is_what_parts_and_metadata_say(void **state)
{
    static const struct {
        const char *type, *named, *bytes, *syntax; /* NULL: refused */
        size_t size;
    } rows[] = {
#define START(sof) "\xff\xd8\xff\xe0\0\4ab\xff" sof "\0\x0b\x08\0\1\0\1\1\1\x11\0\xff\xda\0\x08\1\1\0"
        { "image/jpeg", "", START("\xc0") "\0\x3f\0", "1.2.840.10008.1.2.4.50", 31 },
        { "image/jpeg", "", START("\xc1") "\0\x3f\0", "1.2.840.10008.1.2.4.51", 31 },
        { "image/jpeg", "", START("\xc3") "\1\0\0", "1.2.840.10008.1.2.4.70", 31 },
        { "image/jpeg", "", START("\xc3") "\2\0\0", "1.2.840.10008.1.2.4.57", 31 },
        { "image/jpeg", "", "no JPEG", NULL, 7 },
        { "image/jpeg", "", "\xff\xd8\xff\xff", NULL, 4 },
        { "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.51", "", "x", "1.2.840.10008.1.2.4.51", 1 },
        { "image/jp2", "", "x", "1.2.840.10008.1.2.4.90", 1 },
        { "image/jp2", "1.2.840.10008.1.2.4.91", "x", "1.2.840.10008.1.2.4.91", 1 },
        { "application/octet-stream", "1.2.840.10008.1.2.5", "x", "1.2.840.10008.1.2.5", 1 },
        { "application/octet-stream", "1.2.840.10008.1.2.2", "xx", VT_UID_EXPLICIT_LE, 2 },
        { "application/octet-stream; transfer-syntax=1.2.840.10008.1.2", "", "xx", VT_UID_EXPLICIT_LE, 2 },
        { "image/webp", "", "x", NULL, 1 },
        { "application/octet-stream; transfer-syntax=9.9.9", "", "x", NULL, 1 },
    };
    struct vt_archive *archive = archive_at(*state);

    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        VT_AUTO_BUF(json, ROOM);
        VT_AUTO_BUF(bytes, ROOM);
        char syntax[VT_UID_MAX + 1] = "";
        struct vt_err err = { 0 };
        vt_buf_printf(&json, &err, "{\"00020010\":{\"vr\":\"UI\",\"Value\":[\"%s\"]},\"7FE00010\":{\"vr\":\"OB\",\"BulkDataURI\":\"p\"}}", rows[i].named);
        const struct part parts[] = { { JSON, "", json.data, json.size }, { rows[i].type, "p", rows[i].bytes, rows[i].size } };
        bool ok = store(archive, parts, VT_COUNT(parts), syntax, &bytes, &err);
        if (ok != (rows[i].syntax != NULL) || (ok && strcmp(syntax, rows[i].syntax) != 0) || (!ok && err.dimse_status != 0xc122))
            fail_msg("%s: %s %04x %s", rows[i].type, syntax, err.dimse_status, err.text);
    }
    vt_archive_free(archive);
}

static void what_is_missing_or_too_much_is_refused(void **state)
{
    static const struct {
        struct part parts[3];
        const char *word;
    } rows[] = {
        { { TEXT(JSON, "", PIXELS("1")) }, "Content-Location" },
        { { TEXT(JSON, "", PIXELS("2")), TEXT("image/jls", "p", "a") }, "1 parts for 2" },
        { { TEXT(JSON, "", PIXELS("1")), TEXT("image/jls", "p", "a"), TEXT("image/jls", "p", "b") }, "2 parts for 1" },
        { { TEXT(JSON, "", "{\"00020010\":{\"vr\":\"UI\",\"Value\":[\"1.2.840.10008.1.2.5\"]},\"7FE00010\":{\"vr\":\"OB\",\"InlineBinary\":\"AAAA\"}}") },
          "not inline" },
        { { TEXT("application/octet-stream", "p", "x") }, "no instance" },
        { { TEXT(JSON, "", "[]") }, "no instance" },
        { { TEXT(JSON, "", "{") }, "JSON" },
    };
    struct vt_archive *archive = archive_at(*state);

    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        VT_AUTO_BUF(bytes, ROOM);
        char syntax[VT_UID_MAX + 1];
        struct vt_err err = { 0 };
        size_t count = 0;
        while (count < VT_COUNT(rows[i].parts) && rows[i].parts[count].type)
            count++;
        if (store(archive, rows[i].parts, count, syntax, &bytes, &err) || !strstr(err.text, rows[i].word))
            fail_msg("%s: %s", rows[i].word, err.text);
    }
    vt_archive_free(archive);
}

static bool store_once(void *archive, struct vt_err *err)
{
    static const struct part parts[] = { TEXT(JSON, "", PIXELS("2")), TEXT("image/jls", "p", "abc"), TEXT("image/jls", "p", "de") };
    VT_AUTO_BUF(bytes, ROOM);
    char syntax[VT_UID_MAX + 1];

    return store(archive, parts, VT_COUNT(parts), syntax, &bytes, err);
}

static void a_failing_allocation_leaves_nothing_behind(void **state)
{
    struct vt_archive *archive = archive_at(*state);

    assert_true(vt_torture(store_once, archive) > 5);
    vt_archive_free(archive);
}


int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(values_stand_where_their_uri_stood),       FOLDER_TEST(frames_are_fragments_with_an_offset_table),
        FOLDER_TEST(the_syntax_is_what_parts_and_metadata_say), FOLDER_TEST(what_is_missing_or_too_much_is_refused),
        FOLDER_TEST(a_failing_allocation_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
