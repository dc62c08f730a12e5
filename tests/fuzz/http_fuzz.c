/* Any text as a path, a parameter, a Host, Origin, Range, If-None-Match or Accept-Encoding: what is decoded is text without control characters,
 * ranges lie inside, and what is told about the same text twice is the same. */
/* sources: console/http_request.c console/http_rules.c core/buf.c core/err.c */
/* libs: libmicrohttpd */
/* max-length: 6000 */
#include <stdlib.h>
#include <string.h>

#include "console/http_inside.h"
#include "console/http_rules.h"
#include "tests/fuzz/seeds.h"

static void check_text(const char *text, size_t most)
{
    size_t length = strlen(text);

    if (length > most)
        abort();
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            abort();
}

static void decode(const char *text)
{
    for (int plus = 0; plus < 2; plus++) {
        char *out = vt_http_decode(text, strlen(text), plus);
        if (out)
            check_text(out, strlen(text));
        free(out);
    }
}

static void match(const char *text)
{
    static const struct vt_route routes[] = { { .path = "/dicom-web/studies/*/series/*" }, { .path = "/a/**" }, { .path = "/" } };

    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        struct vt_request request = { .url = text };
        bool matches = vt_http_match(&routes[i], &request);
        if (matches && request.part_count != 2 - i)
            abort();
        for (size_t p = 0; p < request.part_count; p++) {
            check_text(request.parts[p], VT_HTTP_TEXT_MAX);
            free(request.parts[p]);
        }
    }
}

static void range(const char *text, uint64_t size)
{
    uint64_t from = UINT64_MAX, to = 0;

    if (vt_range_read(text, size, &from, &to) == VT_RANGE_PART && (from > to || to >= size))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const names[] = { "archive.example" };
    char *text = strndup((const char *)bytes, size);

    if (!text)
        return 0;
    decode(text);
    match(text);
    range(text, 0);
    range(text, 1);
    range(text, UINT64_MAX);
    bool listed = vt_etag_is_listed(text, "W/\"a\"");
    if (listed != vt_etag_is_listed(text, "\"a\""))
        abort(); /* compared weakly */
    vt_etag_keeps_range(text, "\"a\"");
    vt_coding_choose(text);
    if (vt_host_is_one_of(text, "192.0.2.7", names, 1) && strlen(text) < 3)
        abort();
    if (vt_origin_is_same(NULL, text, "localhost") && !strcasestr(text, "://localhost"))
        abort();
    free(text);
    return 0;
}

static void vt_fuzz_seeds(const char *directory)
{
    static const char *const seeds[] = { "/dicom-web/studies/1.2.3/series/%31", "/a/b/c%20d", "bytes=0-99", "bytes=-5", "\"x\", W/\"a\"", "gzip;q=0.5, zstd",
                                         "[::1]:8080", "http://localhost" };
    char name[] = "seed0";

    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        name[4] = (char)('0' + i);
        vt_fuzz_seed(directory, name, seeds[i], strlen(seeds[i]));
    }
}
