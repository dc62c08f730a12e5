/* The TIFF walker on files that lie. */
#include "media/slide_tiff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "media/slide_source.h"
#include "tests/media/tiny_slide.h"
#include "tests/support/torture.h"

enum { FIRST_ENTRY = 2, ENTRY = 12, VALUE = 8, COUNT = 4, TYPE = 2 };

static struct vt_tiff *read_tiny(const struct tiny *tiny, struct vt_err *err)
{
    const struct vt_slide_source source = { tiny->size, -1, tiny->bytes, "tiny.svs" };

    return vt_tiff_read(&source, err);
}

/* Entry n of the directory, a byte of it. */
static uint8_t *entry(struct tiny *tiny, size_t n, size_t byte)
{
    return tiny->bytes + tiny->directory + FIRST_ENTRY + n * ENTRY + byte;
}

static void a_page_is_read_with_its_tiles_and_tables(void **state)
{
    struct tiny tiny;
    struct vt_err err = { 0 };
    char text[256];

    (void)state;
    tiny_make(&tiny, TINY_TEXT);
    VT_AUTO(vt_tiff) tiff = read_tiny(&tiny, &err);
    assert_non_null(tiff);
    assert_int_equal(tiff->page_count, 1);
    assert_int_equal(tiff->pages[0].tile_count, 2);
    assert_int_equal(tiff->pages[0].tiles[1].offset, tiny.tiles[1]);
    assert_int_equal(tiff->pages[0].tiles[1].size, TINY_TILE);
    assert_int_equal(tiff->pages[0].jpeg_tables.size, 16);
    const struct vt_slide_source source = { tiny.size, -1, tiny.bytes, "tiny.svs" };
    assert_true(vt_tiff_text(&source, &tiff->pages[0].description, text, sizeof text, &err));
    assert_string_equal(text, TINY_TEXT);
}

static void a_directory_that_follows_itself_is_a_loop(void **state)
{
    struct tiny tiny;
    struct vt_err err = { 0 };

    (void)state;
    tiny_make(&tiny, TINY_TEXT);
    for (size_t i = 0; i < 4; i++)
        *entry(&tiny, 12, i) = (uint8_t)(tiny.directory >> 8 * i);
    assert_null(read_tiny(&tiny, &err));
    assert_int_equal(err.code, VT_E_INVALID);
    assert_non_null(strstr(err.text, "loop"));
}

static void a_tile_behind_the_end_is_refused(void **state)
{
    struct tiny tiny;
    struct vt_err err = { 0 };

    (void)state;
    tiny_make(&tiny, TINY_TEXT);
    uint32_t table = (uint32_t)(*entry(&tiny, 9, VALUE) | *entry(&tiny, 9, VALUE + 1) << 8);
    tiny.bytes[table + 1] = 0xff;
    assert_null(read_tiny(&tiny, &err));
    assert_int_equal(err.code, VT_E_CORRUPT);
}

static void a_count_that_asks_for_gigabytes_is_refused_before_memory_is_asked_for(void **state)
{
    struct tiny tiny;
    struct vt_err err = { 0 };

    (void)state;
    tiny_make(&tiny, TINY_TEXT);
    memset(entry(&tiny, 9, COUNT), 0xff, 4);
    assert_null(read_tiny(&tiny, &err));
    assert_int_equal(err.code, VT_E_INVALID);
    tiny_make(&tiny, TINY_TEXT);
    memset(entry(&tiny, 0, VALUE), 0x7f, 4);
    err = (struct vt_err){ 0 };
    assert_null(read_tiny(&tiny, &err));
    assert_true(vt_failed(&err));
}

static void every_cut_of_a_file_is_an_error(void **state)
{
    struct tiny tiny;

    (void)state;
    tiny_make(&tiny, TINY_TEXT);
    size_t whole = tiny.size;
    for (tiny.size = 0; tiny.size < whole; tiny.size++) {
        struct vt_err err = { 0 };
        assert_null(read_tiny(&tiny, &err));
        assert_true(vt_failed(&err) && err.text[0]);
    }
}

static void latin_1_becomes_utf_8_and_utf_8_stays(void **state)
{
    static const uint8_t latin[] = "M\xfcller\x01", utf8[] = "M\xc3\xbcller";
    const struct vt_slide_source a = { sizeof latin, -1, latin, "a" }, b = { sizeof utf8, -1, utf8, "b" };
    const struct vt_tiff_span all_a = { 0, sizeof latin }, all_b = { 0, sizeof utf8 };
    struct vt_err err = { 0 };
    char text[32];

    (void)state;
    assert_true(vt_tiff_text(&a, &all_a, text, sizeof text, &err));
    assert_string_equal(text, "M\xc3\xbcller ");
    assert_true(vt_tiff_text(&b, &all_b, text, sizeof text, &err));
    assert_string_equal(text, "M\xc3\xbcller");
    /* No half a character at the end of the room. */
    assert_true(vt_tiff_text(&b, &all_b, text, 3, &err));
    assert_string_equal(text, "M");
}

static bool read_it(void *context, struct vt_err *err)
{
    struct vt_tiff *tiff = read_tiny(context, err);

    vt_tiff_free(tiff);
    return tiff != NULL;
}

static void out_of_memory_is_an_error_and_leaves_nothing(void **state)
{
    struct tiny tiny;

    (void)state;
    tiny_make(&tiny, TINY_TEXT);
    assert_true(vt_torture(read_it, &tiny) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_read_with_its_tiles_and_tables),
        cmocka_unit_test(a_directory_that_follows_itself_is_a_loop),
        cmocka_unit_test(a_tile_behind_the_end_is_refused),
        cmocka_unit_test(a_count_that_asks_for_gigabytes_is_refused_before_memory_is_asked_for),
        cmocka_unit_test(every_cut_of_a_file_is_an_error),
        cmocka_unit_test(latin_1_becomes_utf_8_and_utf_8_stays),
        cmocka_unit_test(out_of_memory_is_an_error_and_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
