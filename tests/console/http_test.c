#include "console/http.h"

#include <setjmp.h>
#include <stdatomic.h>

#include <zlib.h>
#include <zstd.h>

#include "core/auto.h"
#include "core/err.h"
#include "tests/console/web.h"

enum { BODY_MAX = 1000, LONG = 50000 };

struct world {
    struct vt_http *http;
    uint16_t port;
};

/* ---- handlers of the server under test ---- */

static void say(struct vt_request *request)
{
    char text[3 * VT_HTTP_TEXT_MAX];
    const char *value = vt_request_query(request, "q");

    int length = snprintf(text, sizeof text, "%s|%s|%s", vt_request_part(request, 0), vt_request_part(request, 1), value ? value : "-");
    vt_answer_bytes(request, 200, "text/plain", text, (size_t)length);
}

static void say_long(struct vt_request *request)
{
    char *text = malloc(LONG);

    memset(text, 'x', LONG);
    vt_answer_header(request, "Cache-Control", "no-cache");
    if (!vt_answer_etag(request, "\"long\""))
        vt_answer_bytes(request, 200, vt_request_query(request, "type") ? vt_request_query(request, "type") : "application/json", text, LONG);
    free(text);
}

static void echo(struct vt_request *request)
{
    const struct vt_buf *body = vt_request_body(request);

    vt_answer_bytes(request, 200, "text/plain", body->data ? (const char *)body->data : "", body->size);
}

static void fail_with_quotes(struct vt_request *request)
{
    vt_answer_error(request, 400, "He said \"%s\" and C:\\%c", "no", 7);
}

static void say_nothing(struct vt_request *request)
{
    (void)request;
}

static atomic_int pieces_freed;

static void count_free(void *state)
{
    free(state);
    atomic_fetch_add(&pieces_freed, 1);
}

/* Refuses what holds an 'x'. */
static bool piece(struct vt_request *request, const uint8_t *bytes, size_t size)
{
    if (!vt_request_state(request))
        vt_request_set_state(request, malloc(1), count_free);
    if (!memchr(bytes, 'x', size))
        return true;
    vt_answer_error(request, 422, "There is an x in it.");
    return false;
}

static void pieces_done(struct vt_request *request)
{
    vt_answer_bytes(request, 200, "text/plain", "done", 4);
}

static ptrdiff_t count_up(void *state, uint64_t position, uint8_t *bytes, size_t size)
{
    const uint64_t *from = state;

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)('0' + (*from + position + i) % 10);
    return (ptrdiff_t)size;
}

static void stream(struct vt_request *request)
{
    uint64_t *from = malloc(sizeof *from), count;
    unsigned status;

    vt_answer_header(request, "ETag", "\"s\"");
    if (vt_answer_range(request, 1000, from, &count, &status))
        vt_answer_stream(request, status, "text/plain", count, count_up, from, free);
    else
        free(from);
}

static const struct vt_route routes[] = {
    { "GET", "/a/*", VT_USER_NOBODY, say, NULL, 0 },
    { "GET", "/a/*/b/*", VT_USER_NOBODY, say, NULL, 0 },
    { "GET", "/rest/**", VT_USER_NOBODY, say, NULL, 0 },
    { "GET", "/admin", VT_USER_ADMIN, say, NULL, 0 },
    { "GET", "/long", VT_USER_NOBODY, say_long, NULL, 0 },
    { "POST", "/echo", VT_USER_NOBODY, echo, NULL, BODY_MAX },
    { "POST", "/pieces", VT_USER_NOBODY, pieces_done, piece, 0 },
    { "GET", "/quotes", VT_USER_NOBODY, fail_with_quotes, NULL, 0 },
    { "GET", "/nothing", VT_USER_NOBODY, say_nothing, NULL, 0 },
    { "GET", "/stream", VT_USER_NOBODY, stream, NULL, 0 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};

static bool gate(void *context, struct vt_request *request, enum vt_user_role needed)
{
    (void)context;
    vt_request_set_user(request, "vera", VT_USER_VIEWER);
    if (needed <= VT_USER_VIEWER)
        return true;
    vt_answer_error(request, 403, "This needs more.");
    return false;
}

static int setup(void **state)
{
    static const struct vt_route *const tables[] = { routes };
    static const char *const hosts[] = { "archive.example" }, *const origins[] = { "https://viewer.example" };
    static struct world world;
    struct vt_err err = { 0 };
    const struct vt_http_options options = { .listen = "127.0.0.1", .hosts = hosts, .host_count = 1, .shared = "/a/", .origins = origins,
                                             .origin_count = 1, .tables = tables, .table_count = 1, .gate = gate };

    world.http = vt_http_start(&options, &err);
    if (!world.http)
        fail_msg("%s", err.text);
    world.port = vt_http_port(world.http);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    vt_http_stop(((struct world *)*state)->http);
    return 0;
}

static uint16_t port_of(void **state)
{
    return ((struct world *)*state)->port;
}

static void assert_body(struct web_answer answer, unsigned status, const char *body)
{
    if (answer.status != status || strcmp(answer.body, body) != 0)
        fail_msg("%u '%.200s', not %u '%s'", answer.status, answer.body, status, body);
    free(answer.text);
}

/* ---- tests ---- */

static void paths_and_parameters_are_decoded_once(void **state)
{
    assert_body(web_ask(port_of(state), "GET /a/x%20y?q=a+b%26", NULL, NULL), 200, "x y||a b&");
    assert_body(web_ask(port_of(state), "GET /a/%2541/b/+?q=", NULL, NULL), 200, "%41|+|");
    assert_body(web_ask(port_of(state), "GET /a/..%2f..%2fetc", NULL, NULL), 200, "../../etc||-");
    assert_body(web_ask(port_of(state), "GET /rest/", NULL, NULL), 200, "||-");
    assert_body(web_ask(port_of(state), "GET /rest/a/b/c", NULL, NULL), 200, "a/b/c||-");
    assert_body(web_ask(port_of(state), "GET /a/caf%C3%A9", NULL, NULL), 200, "caf\xc3\xa9||-");
}

static void what_is_no_text_is_refused(void **state)
{
    static const char *const paths[] = { "%00", "%0a", "%ff", "%c3%28", "%ed%a0%80", "%c0%af", "%7f", "%f4%90%80%80" };
    char line[64];

    for (size_t i = 0; i < VT_COUNT(paths); i++) {
        snprintf(line, sizeof line, "GET /a/%s", paths[i]);
        assert_int_equal(web_status(port_of(state), line, NULL, NULL), 404);
        snprintf(line, sizeof line, "GET /a/b?q=%s", paths[i]);
        assert_int_equal(web_status(port_of(state), line, NULL, NULL), 400);
    }
}

static void what_is_too_long_is_refused(void **state)
{
    char line[VT_HTTP_TEXT_MAX + 100] = "GET /a/";

    memset(line + 7, 'x', VT_HTTP_TEXT_MAX);
    assert_int_equal(web_status(port_of(state), line, NULL, NULL), 200);
    line[7 + VT_HTTP_TEXT_MAX] = 'x';
    assert_int_equal(web_status(port_of(state), line, NULL, NULL), 404);
    strcpy(line, "GET /a/b?");
    for (int i = 0; i <= VT_HTTP_QUERIES_MAX; i++)
        strcat(line, "a&");
    assert_int_equal(web_status(port_of(state), line, NULL, NULL), 400);
}

static void unknown_paths_and_methods_are_told_apart(void **state)
{
    assert_int_equal(web_status(port_of(state), "GET /b", NULL, NULL), 404);
    assert_int_equal(web_status(port_of(state), "GET /a/", NULL, NULL), 404);
    assert_int_equal(web_status(port_of(state), "GET /a/x/", NULL, NULL), 404);
    assert_int_equal(web_status(port_of(state), "DELETE /a/x", NULL, NULL), 405);
    assert_int_equal(web_status(port_of(state), "BREW /a/x", NULL, NULL), 405);
    struct web_answer answer = web_ask(port_of(state), "HEAD /a/x", NULL, NULL);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body_size, 0);
    free(answer.text);
}

static void other_hosts_are_misdirected(void **state)
{
    static const char *const foreign[] = { "evil.example", "127.0.0.1.evil.example" };

    for (size_t i = 0; i < VT_COUNT(foreign); i++) {
        struct web_answer answer = web_ask_as(port_of(state), foreign[i], "GET /a/x", NULL, NULL);
        assert_int_equal(answer.status, 421);
        free(answer.text);
    }
    struct web_answer answer = web_ask_as(port_of(state), "archive.example", "GET /a/x", NULL, NULL);
    assert_int_equal(answer.status, 200);
    free(answer.text);
}

static void changes_come_from_our_pages_or_from_none(void **state)
{
    assert_int_equal(web_status(port_of(state), "POST /echo", "Origin: http://localhost\r\n", "a"), 200);
    assert_int_equal(web_status(port_of(state), "POST /echo", "Origin: http://evil.example\r\n", "a"), 403);
    assert_int_equal(web_status(port_of(state), "POST /echo", "Origin: null\r\n", "a"), 403);
    assert_int_equal(web_status(port_of(state), "POST /echo", "Sec-Fetch-Site: cross-site\r\n", "a"), 403);
    assert_int_equal(web_status(port_of(state), "GET /a/x", "Origin: http://evil.example\r\n", NULL), 200);
}

static void listed_origins_may_read_what_is_shared_only(void **state)
{
    static const struct {
        const char *line, *origin, *allowed;
        unsigned status;
    } rows[] = {
        { "GET /a/x", "https://viewer.example", "https://viewer.example", 200 },
        { "GET /a/x", "https://evil.example", "", 200 },
        { "GET /a/x", "https://viewer.example.evil", "", 200 },
        { "GET /long", "https://viewer.example", "", 200 },
        { "OPTIONS /a/x", "https://viewer.example", "https://viewer.example", 204 },
        { "OPTIONS /a/x", "https://evil.example", "", 405 },
        { "POST /echo", "https://viewer.example", "", 403 },
    };
    char headers[100], value[100];

    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        snprintf(headers, sizeof headers, "Origin: %s\r\n", rows[i].origin);
        struct web_answer answer = web_ask(port_of(state), rows[i].line, headers, NULL);
        assert_int_equal(answer.status, rows[i].status);
        assert_string_equal(web_header(&answer, "Access-Control-Allow-Origin", value, sizeof value), rows[i].allowed);
        free(answer.text);
    }
}

static void the_gate_is_asked_before_the_handler(void **state)
{
    assert_int_equal(web_status(port_of(state), "GET /admin", NULL, NULL), 403);
}

static void bodies_have_a_bound(void **state)
{
    char body[BODY_MAX + 2];

    memset(body, 'b', sizeof body);
    body[BODY_MAX] = '\0';
    assert_body(web_ask(port_of(state), "POST /echo", NULL, body), 200, body);
    body[BODY_MAX] = 'b';
    body[BODY_MAX + 1] = '\0';
    assert_int_equal(web_status(port_of(state), "POST /echo", NULL, body), 413);
    assert_body(web_ask(port_of(state), "POST /echo", NULL, ""), 200, "");
}

static void bodies_in_chunks_count_too(void **state)
{
    assert_body(web_ask(port_of(state), "POST /echo", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n", NULL), 200, "abcde");
}

static void a_piece_may_refuse_the_rest(void **state)
{
    char *body = malloc(LONG + 1);
    int before = atomic_load(&pieces_freed);

    memset(body, 'o', LONG);
    body[LONG] = '\0';
    assert_body(web_ask(port_of(state), "POST /pieces", NULL, body), 200, "done");
    body[100] = 'x';
    assert_int_equal(web_status(port_of(state), "POST /pieces", NULL, body), 422);
    free(body);
    for (int i = 0; i < 3000 && atomic_load(&pieces_freed) < before + 2; i++)
        usleep(10000);
    assert_int_equal(atomic_load(&pieces_freed), before + 2);
}

static void errors_are_json_whatever_they_quote(void **state)
{
    assert_body(web_ask(port_of(state), "GET /quotes", NULL, NULL), 400, "{\"error\":\"He said \\\"no\\\" and C:\\\\ \"}\n");
    struct web_answer answer = web_ask(port_of(state), "GET /nothing", NULL, NULL);
    char type[64];
    assert_int_equal(answer.status, 500);
    assert_string_equal(web_header(&answer, "Content-Type", type, sizeof type), "application/json");
    free(answer.text);
}

static void text_is_packed_for_who_takes_it(void **state)
{
    char plain[LONG], coding[32];
    struct web_answer answer = web_ask(port_of(state), "GET /long", "Accept-Encoding: gzip\r\n", NULL);
    z_stream z = { .next_in = (Bytef *)answer.body, .avail_in = (uInt)answer.body_size, .next_out = (Bytef *)plain, .avail_out = LONG };

    assert_string_equal(web_header(&answer, "Content-Encoding", coding, sizeof coding), "gzip");
    assert_int_equal(inflateInit2(&z, 31), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, LONG);
    inflateEnd(&z);
    free(answer.text);
    answer = web_ask(port_of(state), "GET /long", "Accept-Encoding: gzip, zstd\r\n", NULL);
    assert_string_equal(web_header(&answer, "Content-Encoding", coding, sizeof coding), "zstd");
    assert_int_equal(ZSTD_decompress(plain, LONG, answer.body, answer.body_size), LONG);
    free(answer.text);
    answer = web_ask(port_of(state), "GET /long?type=image/jpeg", "Accept-Encoding: gzip\r\n", NULL);
    assert_string_equal(web_header(&answer, "Content-Encoding", coding, sizeof coding), "");
    assert_int_equal(answer.body_size, LONG);
    free(answer.text);
}

static void who_has_it_is_not_sent_it_again(void **state)
{
    struct web_answer answer = web_ask(port_of(state), "GET /long", "If-None-Match: \"long\"\r\n", NULL);
    char tag[32];

    assert_int_equal(answer.status, 304);
    assert_int_equal(answer.body_size, 0);
    assert_string_equal(web_header(&answer, "ETag", tag, sizeof tag), "\"long\"");
    free(answer.text);
}

static void streams_answer_ranges(void **state)
{
    char value[64];
    struct web_answer answer = web_ask(port_of(state), "GET /stream", "Range: bytes=995-\r\n", NULL);

    assert_string_equal(web_header(&answer, "Content-Range", value, sizeof value), "bytes 995-999/1000");
    assert_body(answer, 206, "56789");
    assert_body(web_ask(port_of(state), "GET /stream", "Range: bytes=3-5\r\nIf-Range: \"s\"\r\n", NULL), 206, "345");
    assert_int_equal(web_status(port_of(state), "GET /stream", "Range: bytes=3-5\r\nIf-Range: \"t\"\r\n", NULL), 200);
    answer = web_ask(port_of(state), "GET /stream", "Range: bytes=1000-\r\n", NULL);
    assert_string_equal(web_header(&answer, "Content-Range", value, sizeof value), "bytes */1000");
    assert_int_equal(answer.status, 416);
    free(answer.text);
}

static void every_answer_has_the_headers_that_protect(void **state)
{
    struct web_answer answer = web_ask(port_of(state), "GET /a/x", NULL, NULL);
    char value[64];

    assert_string_equal(web_header(&answer, "X-Content-Type-Options", value, sizeof value), "nosniff");
    assert_string_equal(web_header(&answer, "Cross-Origin-Resource-Policy", value, sizeof value), "same-origin");
    assert_string_equal(web_header(&answer, "Referrer-Policy", value, sizeof value), "no-referrer");
    free(answer.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_and_parameters_are_decoded_once),
        cmocka_unit_test(what_is_no_text_is_refused),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(unknown_paths_and_methods_are_told_apart),
        cmocka_unit_test(other_hosts_are_misdirected),
        cmocka_unit_test(changes_come_from_our_pages_or_from_none),
        cmocka_unit_test(listed_origins_may_read_what_is_shared_only),
        cmocka_unit_test(the_gate_is_asked_before_the_handler),
        cmocka_unit_test(bodies_have_a_bound),
        cmocka_unit_test(bodies_in_chunks_count_too),
        cmocka_unit_test(a_piece_may_refuse_the_rest),
        cmocka_unit_test(errors_are_json_whatever_they_quote),
        cmocka_unit_test(text_is_packed_for_who_takes_it),
        cmocka_unit_test(who_has_it_is_not_sent_it_again),
        cmocka_unit_test(streams_answer_ranges),
        cmocka_unit_test(every_answer_has_the_headers_that_protect),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
