/* The event loop: from an empty token to the whole state, then what changes; anew whenever the
 * thread was lost. */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/xapi.h"

enum { SLICE_MS = 100 };

struct loop {
    const struct vt_xapi_watch *watch;
    struct vt_line *line;
    char token[VT_XAPI_TOKEN_MAX]; /* "" before the state is known */
    uint64_t login;                /* the token is of this one */
    bool away;                     /* the watcher was told that nobody answers, */
    enum vt_code why;              /* for this reason */
    unsigned misses;
};

static bool on_item(void *context, const struct vt_xmlrpc_value *item, struct vt_err *err)
{
    const struct loop *loop = context;
    const char *operation = vt_xmlrpc_text(vt_xmlrpc_member(item, "operation"), "");
    struct vt_xapi_event event = {
        .class = vt_xmlrpc_text(vt_xmlrpc_member(item, "class"), ""),
        .ref = vt_xmlrpc_text(vt_xmlrpc_member(item, "ref"), ""),
        .snapshot = vt_xmlrpc_member(item, "snapshot"),
        .operation = strcmp(operation, "del") == 0   ? VT_XAPI_DEL
                     : strcmp(operation, "add") == 0 ? VT_XAPI_ADD
                                                     : VT_XAPI_MOD,
    };

    if (*event.class == '\0' || *event.ref == '\0' ||
        (event.operation != VT_XAPI_DEL && !event.snapshot))
        return true; /* half an event says nothing; the next state will have it whole */
    return loop->watch->event(loop->watch->context, &event, err);
}

static bool begins_anew(const struct vt_err *err)
{
    static const char *const codes[] = { "SESSION_INVALID", "EVENTS_LOST",
                                         "EVENT_FROM_TOKEN_PARSE_FAILURE" };

    for (size_t i = 0; i < VT_COUNT(codes); i++)
        if (strcmp(err->xapi_code, codes[i]) == 0)
            return true;
    return false;
}

static bool one_batch(struct vt_xapi *xapi, struct loop *loop, const char *const *classes,
                      size_t count, struct vt_err *err)
{
    static const char *const path[] = { "Value", "events" };
    struct vt_xapi_stream stream = {
        .line = { .path = path, .path_length = 2, .fn = on_item, .context = loop },
        .timeout_ms = (VT_XAPI_EVENT_TIMEOUT_S + 20) * 1000,
        .new_login_fails = true,
    };
    VT_AUTO_REPLY reply = { 0 };
    bool first = loop->token[0] == '\0';

    if (first && loop->watch->reset)
        loop->watch->reset(loop->watch->context);
    if (!vt_xapi_call_stream(xapi, loop->line, &stream, &reply, err, "event.from", "Ssd", classes,
                             count, loop->token, (double)VT_XAPI_EVENT_TIMEOUT_S))
        return false;
    if (loop->away && loop->watch->state)
        loop->watch->state(loop->watch->context, NULL);
    loop->away = false;
    loop->misses = 0;
    if (loop->watch->batch)
        loop->watch->batch(loop->watch->context, vt_xmlrpc_member(reply.value, "valid_ref_counts"),
                           first);
    const char *token = vt_xmlrpc_text(vt_xmlrpc_member(reply.value, "token"), "");
    if (*token == '\0' || strlen(token) >= sizeof loop->token)
        return vt_fail(err, VT_E_PROTOCOL, "event.from gave no token");
    snprintf(loop->token, sizeof loop->token, "%s", token);
    loop->login = reply.login;
    if (loop->watch->token)
        loop->watch->token(loop->watch->context, loop->token);
    return true;
}

/* Between tries; ends early when the line is stopped, which the next call then reports. */
static void pause_between(struct loop *loop)
{
    static const int seconds[] = { 1, 2, 5, 10, 20, 30 };
    size_t index = loop->misses < VT_COUNT(seconds) ? loop->misses : VT_COUNT(seconds) - 1;
    int64_t end = vt_clock_mono() + seconds[index] * VT_NS_PER_S;

    loop->misses++;
    while (vt_clock_mono() < end && !vt_line_stopped(loop->line))
        vt_clock_sleep(SLICE_MS * VT_NS_PER_MS);
}

bool vt_xapi_watch(struct vt_xapi *xapi, struct vt_line *line, const char *const *classes,
                   size_t count, const struct vt_xapi_watch *watch, struct vt_err *err)
{
    struct loop loop = { .watch = watch, .line = line };

    for (;;) {
        vt_err_clear(err);
        if (loop.token[0] && loop.login != vt_xapi_login_count(xapi))
            loop.token[0] = '\0'; /* somebody logged in anew: the token is of another life */
        if (one_batch(xapi, &loop, classes, count, err))
            continue;
        loop.token[0] = '\0';
        if (vt_line_stopped(line))
            return vt_fail(err, VT_E_CANCELLED, "the events were stopped");
        if (err->code == VT_E_CANCELLED || strncmp(err->xapi_code, "SESSION_AUTH", 12) == 0)
            return false;
        if (begins_anew(err) && loop.misses == 0) {
            loop.misses = 1;
            continue;
        }
        if ((!loop.away || loop.why != err->code) && watch->state)
            watch->state(watch->context, err);
        loop.away = true;
        loop.why = err->code;
        pause_between(&loop);
    }
}
