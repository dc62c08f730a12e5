#include "cmd/vitrined_log.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/event.h"
#include "core/log.h"

/* What comes with every message is for debugging; what a person must look at is a warning. Kinds
 * that are not here: info. */
static const struct {
    const char *kind; /* a family when it ends in '.' */
    enum vt_log_level level;
} levels[] = {
    { "association.opened", VT_LOG_DEBUG },
    { "association.closed", VT_LOG_DEBUG },
    { "association.refused", VT_LOG_WARN },
    { "connection.refused", VT_LOG_WARN },
    { "query.", VT_LOG_DEBUG },
    { "instance.stored", VT_LOG_DEBUG },
    { "instance.duplicate", VT_LOG_DEBUG },
    { "instance.", VT_LOG_INFO },
    { "volume.", VT_LOG_WARN },
};

static enum vt_log_level level_of(const char *kind)
{
    for (size_t i = 0; i < VT_COUNT(levels); i++) {
        size_t length = strlen(levels[i].kind);
        if (levels[i].kind[length - 1] == '.' ? strncmp(kind, levels[i].kind, length) == 0
                                              : strcmp(kind, levels[i].kind) == 0)
            return levels[i].level;
    }
    return VT_LOG_INFO;
}

static bool append_field(struct vt_buf *line, const char *name, const json_t *value,
                         struct vt_err *err)
{
    if (json_is_integer(value))
        return vt_buf_printf(line, err, " %s=%lld", name, (long long)json_integer_value(value));
    if (json_is_boolean(value))
        return vt_buf_printf(line, err, " %s=%s", name, json_is_true(value) ? "yes" : "no");
    const char *text = json_string_value(value);
    if (!text || !*text)
        return true;
    return vt_buf_printf(line, err, strpbrk(text, " =\"") ? " %s=\"%s\"" : " %s=%s", name, text);
}

static void log_event(void *context, const struct vt_event *event)
{
    enum vt_log_level level = level_of(event->kind);
    VT_AUTO_BUF(line, VT_LOG_LINE_MAX);
    struct vt_err err = { 0 };
    const char *name;
    json_t *value;

    (void)context;
    if (!vt_log_enabled(level))
        return;
    json_t *detail = event->detail ? json_loads(event->detail, 0, NULL) : NULL;
    bool title = strncmp(event->kind, "association.", 12) == 0 ||
                 strncmp(event->kind, "query.", 6) == 0 ||
                 strncmp(event->kind, "retrieve.", 9) == 0;
    bool ok = vt_buf_printf(&line, &err, "%s=%s", title ? "aet" : "subject",
                            event->subject && *event->subject ? event->subject : "-");
    if (detail)
        json_object_foreach(detail, name, value) ok = ok && append_field(&line, name, value, &err);
    const char *text = vt_buf_string(&line, &err);
    vt_log(level, event->kind, "%s", text ? text : "");
    json_decref(detail);
}

bool vt_log_events(struct vt_events *events, struct vt_err *err)
{
    return vt_events_subscribe(events, NULL, log_event, NULL, err);
}
