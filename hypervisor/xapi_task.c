/* Following a task. What is not known is said to be unknown. */
#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/xapi_state.h"

enum { FIRST_LOOK_MS = 50, LOOK_MAX_MS = 2000, SEEN_MS = 100 };

/* "", "<value>OpaqueRef:...</value>" or a bare reference. */
static void take_result(const char *text, struct vt_xapi_task *out)
{
    struct vt_err ignored = { 0 };
    VT_AUTO(vt_xmlrpc_message) value = *text == '<' ? vt_xmlrpc_decode_value(text, &ignored) : NULL;

    snprintf(out->result, sizeof out->result, "%s",
             value          ? vt_xmlrpc_text(value->params, "")
             : *text == '<' ? ""
                            : text);
}

static bool failed(const struct vt_xmlrpc_value *record, struct vt_xapi_task *out,
                   struct vt_err *err)
{
    const struct vt_xmlrpc_value *item = vt_xmlrpc_first(vt_xmlrpc_member(record, "error_info"));
    const char *code = vt_xmlrpc_text(item, "INTERNAL_ERROR");
    char text[VT_ERR_TEXT_MAX] = "";

    out->end = VT_XAPI_TASK_FAILURE;
    for (item = item ? item->next : NULL; item; item = item->next)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", *text ? ", " : "",
                 vt_xmlrpc_text(item, ""));
    vt_fail(err, VT_E_STATUS, "%s (%.150s)", code, text);
    snprintf(err->xapi_code, sizeof err->xapi_code, "%s", code);
    return false;
}

static bool unknown(struct vt_xapi_task *out, struct vt_err *err, const char *why)
{
    out->end = VT_XAPI_TASK_UNKNOWN;
    return vt_fail(err, VT_E_CLOSED, "the outcome is unknown: %s", why);
}

/* One look. *out_over: the task has ended. */
static bool look(struct vt_xapi *xapi, struct vt_line *line, const char *task, bool *out_over,
                 double *out_progress, struct vt_xapi_task *out, struct vt_err *err)
{
    VT_AUTO_REPLY reply = { 0 };

    *out_over = true;
    if (!vt_xapi_call(xapi, line, &reply, err, "task.get_record", "s", task)) {
        if (strcmp(err->xapi_code, "HANDLE_INVALID") == 0)
            return unknown(out, err, "the task vanished, its host may have restarted");
        if (err->code == VT_E_CANCELLED || err->code == VT_E_NOMEM)
            return false;
        char why[VT_ERR_TEXT_MAX];
        snprintf(why, sizeof why, "%.150s", err->text);
        return unknown(out, err, why);
    }
    const char *status = vt_xmlrpc_text(vt_xmlrpc_member(reply.value, "status"), "");
    *out_progress = vt_xmlrpc_double(vt_xmlrpc_member(reply.value, "progress"), 0);
    if (strcmp(status, "failure") == 0)
        return failed(reply.value, out, err);
    if (strcmp(status, "cancelled") == 0) {
        out->end = VT_XAPI_TASK_CANCELLED;
        return vt_fail(err, VT_E_CANCELLED, "the task was cancelled");
    }
    if (strcmp(status, "success") == 0)
        take_result(vt_xmlrpc_text(vt_xmlrpc_member(reply.value, "result"), ""), out);
    *out_over = strcmp(status, "success") == 0;
    return true;
}

static void quietly(struct vt_xapi *xapi, struct vt_line *line, const char *method,
                    const char *task)
{
    VT_AUTO_REPLY reply = { 0 };
    struct vt_err ignored = { 0 };

    vt_xapi_call(xapi, line, &reply, &ignored, method, "s", task);
}

/* The time between two looks: slept through, or, where somebody sees the task, until it has ended
 * or it is time to look all the same. */
struct pause {
    vt_xapi_sight_fn sight;
    void *context;
    int64_t ns, look_at;
};

/* true: look now. */
static bool pause_once(struct pause *pause, const char *task, double *done)
{
    if (pause->sight)
        return pause->sight(pause->context, task, SEEN_MS * VT_NS_PER_MS, done) ||
               vt_clock_mono() >= pause->look_at;
    vt_clock_sleep(pause->ns);
    pause->ns = pause->ns * 2 < LOOK_MAX_MS * VT_NS_PER_MS ? pause->ns * 2
                                                           : LOOK_MAX_MS * VT_NS_PER_MS;
    return true;
}

bool vt_xapi_task_wait(struct vt_xapi *xapi, struct vt_line *line, const char *task,
                       int64_t deadline, vt_xapi_progress_fn progress, void *context,
                       struct vt_xapi_task *out, struct vt_err *err)
{
    struct pause pause = { .ns = FIRST_LOOK_MS * VT_NS_PER_MS };
    bool over = false, asked = false, now = true;
    double done = 0;

    vt_xapi_sight(xapi, &pause.sight, &pause.context);
    pause.look_at = vt_clock_mono() + VT_XAPI_TASK_LOOK_S * VT_NS_PER_S;
    now = !pause.sight;
    *out = (struct vt_xapi_task){ .end = VT_XAPI_TASK_SUCCESS };
    for (;;) {
        bool ok = !now || look(xapi, line, task, &over, &done, out, err);
        if (!ok || over) {
            if (out->end != VT_XAPI_TASK_UNKNOWN)
                quietly(xapi, line, "task.destroy", task);
            return ok;
        }
        if (now)
            pause.look_at = vt_clock_mono() + VT_XAPI_TASK_LOOK_S * VT_NS_PER_S;
        if (progress && !progress(context, done) && !asked) {
            quietly(xapi, line, "task.cancel", task);
            asked = true;
        }
        if (deadline && vt_clock_mono() >= deadline)
            return unknown(out, err, "it takes longer than we wait");
        now = pause_once(&pause, task, &done);
    }
}
