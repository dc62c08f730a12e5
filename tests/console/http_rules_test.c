#include "console/http_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/auto.h"

static void hosts_are_ours_by_name_whatever_the_port(void **state)
{
    static const char *const names[] = { "archive.example" };
    static const char *const ours[] = { "localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "[::1]", "192.0.2.7:8080", "192.0.2.7",
                                        "archive.example", "Archive.Example:443" };
    static const char *const foreign[] = { "evil.example", "localhost.evil.example", "archive.example.evil:80", "xlocalhost", "local",
                                           "127.0.0.1.evil.example", "", ":80", "[::1", "[]", "192.0.2.70" };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(ours); i++)
        if (!vt_host_is_one_of(ours[i], "192.0.2.7", names, VT_COUNT(names)))
            fail_msg("%s is ours", ours[i]);
    for (size_t i = 0; i < VT_COUNT(foreign); i++)
        if (vt_host_is_one_of(foreign[i], "192.0.2.7", names, VT_COUNT(names)))
            fail_msg("'%s' is not ours", foreign[i]);
    assert_false(vt_host_is_one_of(NULL, "127.0.0.1", NULL, 0));
}

static void programs_have_no_origin_and_pages_must_be_ours(void **state)
{
    (void)state;
    assert_true(vt_origin_is_same(NULL, NULL, "localhost:8080"));
    assert_true(vt_origin_is_same("same-origin", "http://localhost:8080", "localhost:8080"));
    assert_true(vt_origin_is_same("none", NULL, "localhost:8080"));
    assert_true(vt_origin_is_same(NULL, "https://Archive.example", "archive.example"));
    assert_false(vt_origin_is_same("cross-site", NULL, "localhost:8080"));
    assert_false(vt_origin_is_same("same-site", "http://localhost:8080", "localhost:8080"));
    assert_false(vt_origin_is_same(NULL, "http://localhost:8081", "localhost:8080"));
    assert_false(vt_origin_is_same(NULL, "http://localhost:8080.evil.example", "localhost:8080"));
    assert_false(vt_origin_is_same(NULL, "null", "localhost:8080"));
    assert_false(vt_origin_is_same(NULL, "http://localhost", NULL));
}

static void ranges_are_read_as_rfc_9110_has_them(void **state)
{
    static const struct {
        const char *text;
        enum vt_range range;
        uint64_t from, to;
    } rows[] = {
        { "bytes=0-0", VT_RANGE_PART, 0, 0 },
        { "bytes=10-", VT_RANGE_PART, 10, 99 },
        { "bytes=10-19", VT_RANGE_PART, 10, 19 },
        { "bytes=10-5000", VT_RANGE_PART, 10, 99 },
        { "bytes=-5", VT_RANGE_PART, 95, 99 },
        { "bytes=-500", VT_RANGE_PART, 0, 99 },
        { "bytes=100-", VT_RANGE_OUTSIDE, 0, 0 },
        { "bytes=-0", VT_RANGE_OUTSIDE, 0, 0 },
        { "bytes=99999999999999999999999-", VT_RANGE_OUTSIDE, 0, 0 },
        { NULL, VT_RANGE_WHOLE, 0, 0 },
        { "", VT_RANGE_WHOLE, 0, 0 },
        { "bytes=", VT_RANGE_WHOLE, 0, 0 },
        { "bytes=-", VT_RANGE_WHOLE, 0, 0 },
        { "bytes=5", VT_RANGE_WHOLE, 0, 0 },
        { "bytes=9-5", VT_RANGE_WHOLE, 0, 0 },
        { "bytes=1-2,4-5", VT_RANGE_WHOLE, 0, 0 },
        { "bytes=--5", VT_RANGE_WHOLE, 0, 0 },
        { "bytes=+1-2", VT_RANGE_WHOLE, 0, 0 },
        { "bytes= 1-2", VT_RANGE_WHOLE, 0, 0 },
        { "items=0-1", VT_RANGE_WHOLE, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        uint64_t from = 0, to = 0;
        enum vt_range range = vt_range_read(rows[i].text, 100, &from, &to);
        if (range != rows[i].range || from != rows[i].from || to != rows[i].to)
            fail_msg("%s: %d, %llu to %llu", rows[i].text, (int)range, (unsigned long long)from, (unsigned long long)to);
    }
}

static void nothing_has_no_part(void **state)
{
    uint64_t from, to;

    (void)state;
    assert_int_equal(vt_range_read("bytes=0-", 0, &from, &to), VT_RANGE_OUTSIDE);
    assert_int_equal(vt_range_read("bytes=-1", 0, &from, &to), VT_RANGE_OUTSIDE);
}

static void entity_tags_are_compared_weakly_in_lists(void **state)
{
    (void)state;
    assert_true(vt_etag_is_listed("\"a\"", "\"a\""));
    assert_true(vt_etag_is_listed("W/\"a\"", "\"a\""));
    assert_true(vt_etag_is_listed("\"b\", W/\"a\"", "W/\"a\""));
    assert_true(vt_etag_is_listed("*", "\"a\""));
    assert_true(vt_etag_is_listed("\"x, y\" , \"a\"", "\"a\""));
    assert_false(vt_etag_is_listed(NULL, "\"a\""));
    assert_false(vt_etag_is_listed("\"ab\"", "\"a\""));
    assert_false(vt_etag_is_listed("\"a", "\"a\""));
    assert_false(vt_etag_is_listed("a", "\"a\""));
}

static void a_range_holds_only_for_the_same_strong_tag(void **state)
{
    (void)state;
    assert_true(vt_etag_keeps_range(NULL, "\"a\""));
    assert_true(vt_etag_keeps_range("\"a\"", "\"a\""));
    assert_false(vt_etag_keeps_range("\"b\"", "\"a\""));
    assert_false(vt_etag_keeps_range("W/\"a\"", "W/\"a\""));
    assert_false(vt_etag_keeps_range("Sun, 06 Nov 1994 08:49:37 GMT", ""));
}

static void codings_are_chosen_by_wish(void **state)
{
    static const struct {
        const char *header;
        enum vt_coding coding;
    } rows[] = {
        { NULL, VT_CODING_NONE },
        { "", VT_CODING_NONE },
        { "identity", VT_CODING_NONE },
        { "gzip", VT_CODING_GZIP },
        { "gzip, deflate, br, zstd", VT_CODING_ZSTD },
        { "GZIP;q=1.0, zstd;q=0.9", VT_CODING_GZIP },
        { "zstd;q=0.5,gzip;q=0.5", VT_CODING_ZSTD },
        { "gzip;q=0", VT_CODING_NONE },
        { "gzip; q=0.000, zstd;q=0", VT_CODING_NONE },
        { "x-gzip, gzipped", VT_CODING_NONE },
        { ",,, gzip", VT_CODING_GZIP },
    };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(rows); i++)
        if (vt_coding_choose(rows[i].header) != rows[i].coding)
            fail_msg("'%s' gave %d", rows[i].header ? rows[i].header : "", (int)vt_coding_choose(rows[i].header));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_ours_by_name_whatever_the_port),
        cmocka_unit_test(programs_have_no_origin_and_pages_must_be_ours),
        cmocka_unit_test(ranges_are_read_as_rfc_9110_has_them),
        cmocka_unit_test(nothing_has_no_part),
        cmocka_unit_test(entity_tags_are_compared_weakly_in_lists),
        cmocka_unit_test(a_range_holds_only_for_the_same_strong_tag),
        cmocka_unit_test(codings_are_chosen_by_wish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
