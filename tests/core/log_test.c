#include "core/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* What was written to standard error while `text` was logged. */
static void logged(const char *text, char *out, size_t room)
{
    int ends[2], saved = dup(STDERR_FILENO);

    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    vt_log(VT_LOG_INFO, "test.event", "value=%s", text);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    ssize_t size = read(ends[0], out, room - 1);
    close(ends[0]);
    assert_true(size >= 0);
    out[size] = '\0';
}

static void a_peer_cannot_forge_a_line(void **state)
{
    (void)state;
    char line[2048];

    logged("A\n2026 error forged\r\x1b[2J", line, sizeof line);
    assert_non_null(strstr(line, "info test.event value=A\\x0A2026 error forged\\x0D\\x1B[2J\n"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void utf8_stays_and_other_bytes_are_shown(void **state)
{
    (void)state;
    char line[2048];

    logged("M\xc3\xbcller \xff\xc3", line, sizeof line);
    assert_non_null(strstr(line, "value=M\xc3\xbcller \\xFF\\xC3\n"));
}

static void a_long_line_is_cut_and_ends(void **state)
{
    (void)state;
    char text[5000], line[8192];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    logged(text, line, sizeof line);
    assert_true(strlen(line) <= VT_LOG_LINE_MAX + 1);
    assert_int_equal(line[strlen(line) - 1], '\n');
}

static void a_quieter_level_writes_nothing(void **state)
{
    (void)state;
    char line[2048];

    vt_log_set_level(VT_LOG_WARN);
    logged("x", line, sizeof line);
    vt_log_set_level(VT_LOG_INFO);
    assert_string_equal(line, "");
}

static char heard[VT_LOG_LINE_MAX + 1];

static void hear(const char *line, size_t size)
{
    snprintf(heard, sizeof heard, "%.*s", (int)size, line);
}

static void a_listener_hears_each_line_without_its_end(void **state)
{
    char out[2048];

    (void)state;
    vt_log_listen(hear);
    logged("one\ntwo", out, sizeof out);
    vt_log_listen(NULL);
    size_t length = strlen(heard);
    assert_memory_equal(out, heard, length);
    assert_string_equal(out + length, "\n");
    assert_non_null(strstr(heard, "value=one\\x0Atwo"));
    logged("after", out, sizeof out);
    assert_null(strstr(heard, "after"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listener_hears_each_line_without_its_end),
        cmocka_unit_test(a_peer_cannot_forge_a_line),
        cmocka_unit_test(utf8_stays_and_other_bytes_are_shown),
        cmocka_unit_test(a_long_line_is_cut_and_ends),
        cmocka_unit_test(a_quieter_level_writes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
