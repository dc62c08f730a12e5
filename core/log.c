#include "core/log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"

/* changed by SIGHUP while others log */
static _Atomic enum vt_log_level threshold = VT_LOG_INFO;

static void (*_Atomic listening)(const char *line, size_t size);

static const char *const level_names[] = { "error", "warn", "info", "debug" };

void vt_log_set_level(enum vt_log_level level)
{
    threshold = level;
}

bool vt_log_level_parse(const char *text, enum vt_log_level *out_level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *out_level = (enum vt_log_level)i;
            return true;
        }
    }
    return false;
}

bool vt_log_enabled(enum vt_log_level level)
{
    return level <= threshold;
}

/* Length of the well-formed UTF-8 sequence at p, 0 if there is none. */
static size_t utf8_length(const unsigned char *p)
{
    if (p[0] < 0x80)
        return p[0] >= 0x20 && p[0] != 0x7f;
    size_t length = p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : p[0] >= 0xf0 && p[0] < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if (length == 2 && p[0] == 0xc2 && p[1] < 0xa0)
        return 0;
    return length;
}

static size_t sanitize(const char *text, char *out, size_t room)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t used = 0;

    while (*p && used + 5 < room) {
        size_t length = utf8_length(p);
        if (length > 0) {
            memcpy(out + used, p, length);
            used += length;
            p += length;
        } else {
            used += (size_t)snprintf(out + used, room - used, "\\x%02X", *p);
            p++;
        }
    }
    return used;
}

void vt_log_listen(void (*listener)(const char *line, size_t size))
{
    listening = listener;
}

void vt_log(enum vt_log_level level, const char *event, const char *format, ...)
{
    if (!vt_log_enabled(level))
        return;

    char when[VT_CLOCK_TEXT_MAX], fields[VT_LOG_LINE_MAX], line[VT_LOG_LINE_MAX + 8];
    va_list args;

    vt_clock_text(vt_clock_wall(), when);
    va_start(args, format);
    vsnprintf(fields, sizeof fields, format, args);
    va_end(args);

    int head = snprintf(line, sizeof line, "%s %s %s ", when, level_names[level], event);
    size_t used = head < 0 ? 0 : (size_t)head < VT_LOG_LINE_MAX ? (size_t)head : VT_LOG_LINE_MAX;
    used += sanitize(fields, line + used, VT_LOG_LINE_MAX - used);
    void (*listener)(const char *line, size_t size) = listening;
    if (listener)
        listener(line, used);
    line[used++] = '\n';
    /* One write a line: lines of several threads do not mix. Nobody to tell when it fails. */
    if (write(STDERR_FILENO, line, used) < 0)
        return;
}
