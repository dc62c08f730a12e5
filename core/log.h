/* core/log.h: one line an event, with fields, on standard error.
 *
 *   vt_log(VT_LOG_INFO, "association.refused", "aet=%s reason=calling-aet", title);
 *   2026-11-22T12:00:00.123Z info association.refused aet=CT1 reason=calling-aet
 *
 * Programs log; libraries return errors or publish events, and log only at debug. Never a patient's name
 * or ID: they belong to the audit trail. Control characters and bytes that are no UTF-8 are written as
 * \xNN, so a peer cannot forge a line; a line is cut at VT_LOG_LINE_MAX. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum vt_log_level { VT_LOG_ERROR, VT_LOG_WARN, VT_LOG_INFO, VT_LOG_DEBUG };

enum { VT_LOG_LINE_MAX = 1024 };

/* Default VT_LOG_INFO. Set before threads start. */
void vt_log_set_level(enum vt_log_level level);
bool vt_log_level_parse(const char *text, enum vt_log_level *out_level);
bool vt_log_enabled(enum vt_log_level level);

/* One that hears each line besides, without its line end; it must be quick and not log. NULL: nobody. Any time. */
void vt_log_listen(void (*listener)(const char *line, size_t size));

void vt_log(enum vt_log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
