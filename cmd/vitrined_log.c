#include "cmd/vitrined_log.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"
#include "core/log.h"

/* What comes with every message is for debugging; what a person must look at is a warning. Kinds
 * that are not here: info. */
static const struct rule {
    const char *kind; /* a family when it ends in '.' */
    enum vt_log_level level;
    bool rated; /* strangers can cause it */
} rules[] = {
    { "association.opened", VT_LOG_DEBUG, false },
    { "association.closed", VT_LOG_DEBUG, false },
    { "association.failed", VT_LOG_WARN, true },
    { "association.refused", VT_LOG_WARN, true },
    { "connection.refused", VT_LOG_WARN, true },
    { "query.elsewhere", VT_LOG_WARN, false },
    { "query.", VT_LOG_DEBUG, false },
    { "job.added", VT_LOG_DEBUG, false },
    { "job.started", VT_LOG_DEBUG, false },
    { "job.progress", VT_LOG_DEBUG, false },
    { "instance.stored", VT_LOG_DEBUG, false },
    { "instance.duplicate", VT_LOG_DEBUG, false },
    { "instance.corrupt", VT_LOG_ERROR, false },
    { "journal.damaged", VT_LOG_ERROR, false },
    { "commitment.undelivered", VT_LOG_WARN, false },
    { "volume.ok", VT_LOG_INFO, false },
    { "volume.", VT_LOG_WARN, false },
};

static struct vt_log_rate refusals = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct rule rule_of(const char *kind)
{
    for (size_t i = 0; i < VT_COUNT(rules); i++) {
        size_t length = strlen(rules[i].kind);
        if (rules[i].kind[length - 1] == '.' ? strncmp(kind, rules[i].kind, length) == 0
                                             : strcmp(kind, rules[i].kind) == 0)
            return rules[i];
    }
    return (struct rule){ kind, VT_LOG_INFO, false };
}

bool vt_log_rate_pass(struct vt_log_rate *rate, int64_t second, uint64_t *out_left_out)
{
    *out_left_out = 0;
    pthread_mutex_lock(&rate->lock);
    if (second != rate->second) {
        *out_left_out = rate->left_out;
        rate->second = second;
        rate->passed = 0;
        rate->left_out = 0;
    }
    bool pass = rate->passed < VT_LOG_RATE;
    rate->passed += pass;
    rate->left_out += !pass;
    pthread_mutex_unlock(&rate->lock);
    return pass;
}

static bool may_log(const struct rule *rule)
{
    uint64_t left_out = 0;

    if (!vt_log_enabled(rule->level))
        return false;
    if (!rule->rated)
        return true;
    bool pass = vt_log_rate_pass(&refusals, vt_clock_mono() / VT_NS_PER_S, &left_out);
    if (left_out > 0)
        vt_log(VT_LOG_WARN, "log.left-out", "lines=%llu", (unsigned long long)left_out);
    return pass;
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
    struct rule rule = rule_of(event->kind);
    VT_AUTO_BUF(line, VT_LOG_LINE_MAX);
    struct vt_err err = { 0 };
    const char *name;
    json_t *value;

    (void)context;
    if (!may_log(&rule))
        return;
    json_t *detail = event->detail ? json_loads(event->detail, 0, NULL) : NULL;
    bool title = strncmp(event->kind, "association.", 12) == 0 ||
                 strncmp(event->kind, "query.", 6) == 0 ||
                 strncmp(event->kind, "retrieve.", 9) == 0 ||
                 strncmp(event->kind, "commitment.", 11) == 0;
    bool ok = vt_buf_printf(&line, &err, "%s=%s", title ? "aet" : "subject",
                            event->subject && *event->subject ? event->subject : "-");
    if (detail)
        json_object_foreach(detail, name, value) ok = ok && append_field(&line, name, value, &err);
    const char *text = vt_buf_string(&line, &err);
    vt_log(rule.level, event->kind, "%s", text ? text : "");
    json_decref(detail);
}

bool vt_log_events(struct vt_events *events, struct vt_err *err)
{
    return vt_events_subscribe(events, NULL, log_event, NULL, err);
}
