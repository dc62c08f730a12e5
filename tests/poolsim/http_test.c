#include "poolsim/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static enum vt_sim_http_result parse(const char *text, struct vt_sim_http *out)
{
    size_t size = 0;

    return vt_sim_http_parse(text, strlen(text), out, &size);
}

static void a_head_is_read_with_names_in_any_case(void **state)
{
    (void)state;
    struct vt_sim_http http = { 0 };

    assert_int_equal(parse("POST /xmlrpc HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 12\r\n\r\n", &http),
                     VT_SIM_HTTP_HEAD);
    assert_string_equal(http.method, "POST");
    assert_string_equal(http.path, "/xmlrpc");
    assert_int_equal(http.content_length, 12);
    assert_true(http.keep_alive);
    assert_false(http.chunked);
}

static void a_connection_closes_with_http_1_0_and_on_request(void **state)
{
    (void)state;
    struct vt_sim_http http = { 0 };

    assert_int_equal(parse("POST / HTTP/1.0\r\n\r\n", &http), VT_SIM_HTTP_HEAD);
    assert_false(http.keep_alive);
    assert_int_equal(parse("POST / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &http),
                     VT_SIM_HTTP_HEAD);
    assert_true(http.keep_alive);
    assert_int_equal(parse("POST / HTTP/1.1\r\nConnection: close\r\n\r\n", &http),
                     VT_SIM_HTTP_HEAD);
    assert_false(http.keep_alive);
}

static void every_beginning_of_a_head_waits_for_more(void **state)
{
    (void)state;
    const char *text = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n";
    struct vt_sim_http http = { 0 };
    size_t size = 0;

    for (size_t i = 0; i < strlen(text); i++)
        assert_int_equal(vt_sim_http_parse(text, i, &http, &size), VT_SIM_HTTP_MORE);
    assert_int_equal(vt_sim_http_parse(text, strlen(text), &http, &size), VT_SIM_HTTP_HEAD);
    assert_int_equal(size, strlen(text));
}

static void nonsense_and_heads_beyond_1024_bytes_are_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\r\n\r\n",
        "POST\r\n\r\n",
        "POST / SMTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nno colon\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\n: x\r\n\r\n",
    };
    struct vt_sim_http http = { 0 };
    char large[2 * VT_SIM_HEAD_MAX];
    size_t size = 0;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(parse(bad[i], &http), VT_SIM_HTTP_BAD);
    memset(large, 'a', sizeof large);
    assert_int_equal(vt_sim_http_parse(large, sizeof large, &http, &size), VT_SIM_HTTP_BAD);
    assert_int_equal(vt_sim_http_parse("a\0b\r\n\r\n", 7, &http, &size), VT_SIM_HTTP_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_is_read_with_names_in_any_case),
        cmocka_unit_test(a_connection_closes_with_http_1_0_and_on_request),
        cmocka_unit_test(every_beginning_of_a_head_waits_for_more),
        cmocka_unit_test(nonsense_and_heads_beyond_1024_bytes_are_bad),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
