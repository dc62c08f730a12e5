/* One caller: its request, its verb, its answers. */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <jansson.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "hypervisor/pool_service_state.h"
#include "hypervisor/pool_wire.h"

enum { FLUSH_AT = 64 << 10, NOTE_MAX = 1024 };

/* ---- what goes out ---- */

static bool flush(struct vt_pool_call *call)
{
    struct vt_err err = { 0 };
    int64_t deadline = vt_clock_mono() + VT_SERVICE_WRITE_WAIT_S * VT_NS_PER_S;

    if (call->hold)
        return !call->gone;
    if (!call->gone && call->out.size > 0 &&
        !vt_wire_send(call->fd, call->out.data, call->out.size, deadline, &err))
        call->gone = true;
    vt_buf_reset(&call->out);
    return !call->gone;
}

/* {"key":<json>} and an end of line; what was waiting goes first. */
static bool put(struct vt_pool_call *call, const char *key, const char *json, size_t size)
{
    struct vt_err err = { 0 };

    if (size + 64 > VT_POOL_ANSWER_MAX || (call->asked && strcmp(key, "ask") != 0))
        return false;
    if (!vt_buf_printf(&call->out, &err, "{\"%s\":", key) ||
        !vt_buf_append(&call->out, json, size, &err) ||
        !vt_buf_append(&call->out, "}\n", 2, &err)) {
        call->gone = true; /* half a line would be taken for a whole one */
        return false;
    }
    return call->out.size < FLUSH_AT || flush(call);
}

/* Takes the value over. */
static bool put_json(struct vt_pool_call *call, const char *key, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    bool ok = text && put(call, key, text, strlen(text));

    call->lost = call->lost || !text;
    json_decref(value);
    free(text);
    return ok;
}

bool vt_call_row(struct vt_pool_call *call, json_t *row)
{
    return put_json(call, "row", row);
}

bool vt_call_row_text(struct vt_pool_call *call, const char *json, size_t size)
{
    return put(call, "row", json, size);
}

bool vt_call_out(struct vt_pool_call *call, const char *text, size_t size)
{
    return put_json(call, "out", json_stringn(text, size));
}

bool vt_call_event(struct vt_pool_call *call, const char *json, size_t size)
{
    return put(call, "event", json, size);
}

bool vt_call_flush(struct vt_pool_call *call)
{
    return flush(call);
}

void vt_call_hold(struct vt_pool_call *call, bool hold)
{
    call->hold = hold;
    if (!hold)
        flush(call);
}

bool vt_call_note(struct vt_pool_call *call, const char *format, ...)
{
    char text[NOTE_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_t *note = json_string(text);
    return put_json(call, "note", note ? note : json_string("(a note that is not UTF-8)")) &&
           flush(call);
}

bool vt_call_progress(struct vt_pool_call *call, uint64_t done, uint64_t total, const char *unit)
{
    return put_json(call, "progress",
                    json_pack("{s:I, s:I, s:s}", "done", (json_int_t)done, "total",
                              (json_int_t)total, "unit", unit)) &&
           flush(call);
}

void vt_call_status(struct vt_pool_call *call, int status)
{
    call->status = status;
}

bool vt_call_raw(struct vt_pool_call *call, int *out_fd)
{
    static const char line[] = "{\"raw\":true}\n";
    struct vt_err err = { 0 };

    if (call->in.size > call->in_used || !flush(call) ||
        !vt_wire_send(call->fd, line, sizeof line - 1, vt_clock_mono() + VT_SERVICE_WRITE_WAIT_S * VT_NS_PER_S, &err))
        return false;
    call->raw = true;
    *out_fd = call->fd;
    return true;
}

bool vt_call_stopping(struct vt_pool_call *call)
{
    return atomic_load(&call->service->stopping);
}

/* ---- what still comes in ---- */

static void hear(struct vt_pool_call *call)
{
    struct vt_err err = { 0 };
    const char *line = NULL;
    size_t size = 0;

    call->in.limit = call->in.size > VT_CALL_CHATTER_MAX ? call->in.size : VT_CALL_CHATTER_MAX;
    while (vt_wire_line(call->fd, &call->in, &call->in_used, vt_clock_mono(), &line, &size, &err)) {
        json_t *said = line ? vt_wire_parse(line, size, &err) : NULL;
        bool cancel = json_is_true(json_object_get(said, "cancel"));
        json_decref(said);
        call->cancelled = true;
        call->gone = call->gone || !cancel; /* hung up, or speaks out of turn */
        if (!line || !cancel)
            return;
    }
    call->gone = call->gone || err.code != VT_E_TIMEOUT;
}

bool vt_call_cancelled(struct vt_pool_call *call)
{
    struct pollfd poll_fd = { .fd = call->fd, .events = POLLIN | POLLRDHUP };

    flush(call);
    if (!call->gone && poll(&poll_fd, 1, 0) > 0)
        hear(call);
    return call->gone || call->cancelled || atomic_load(&call->service->stopping);
}

/* ---- the request ---- */

const char *vt_call_verb(const struct vt_pool_call *call)
{
    return json_string_value(json_object_get(call->request, "do"));
}

const char *const *vt_call_args(const struct vt_pool_call *call, size_t *out_count)
{
    *out_count = call->arg_count;
    return call->args;
}

const json_t *vt_call_options(const struct vt_pool_call *call)
{
    return json_object_get(call->request, "options");
}

const char *vt_call_option(const struct vt_pool_call *call, const char *name)
{
    const json_t *value = json_object_get(vt_call_options(call), name);

    if (json_is_true(value))
        return "";
    return json_string_value(value);
}

const char *vt_call_who(const struct vt_pool_call *call)
{
    return call->who;
}

bool vt_call_is_console(const struct vt_pool_call *call)
{
    return call->is_console;
}

bool vt_call_json(const struct vt_pool_call *call)
{
    return json_is_true(json_object_get(call->request, "json"));
}

static bool is_named(const json_t *request, const char *key, const char *name)
{
    const char *wanted = json_string_value(json_object_get(request, key));

    return !wanted || strcmp(wanted, name) == 0;
}

struct vt_keeper *vt_call_pool(struct vt_pool_call *call, struct vt_err *err)
{
    struct vt_service *service = call->service;
    struct vt_keeper *found = NULL;
    size_t hits = 0;

    for (size_t i = 0; i < service->keeper_count; i++) {
        struct vt_keeper *keeper = service->keepers[i];
        if (!is_named(call->request, "pool", vt_keeper_name(keeper)) ||
            !is_named(call->request, "url", vt_keeper_url(keeper)))
            continue;
        found = keeper;
        hits++;
    }
    if (hits == 1)
        return found;
    if (hits > 1)
        vt_fail(err, VT_E_INVALID, "vitrine-poold keeps several pools: name one, e.g. --pool %s",
                vt_keeper_name(found));
    else
        vt_fail(err, VT_E_UNSUPPORTED, "vitrine-poold does not keep that pool");
    return NULL;
}

bool vt_call_confirm(struct vt_pool_call *call, const char *question, const char *word,
                     struct vt_err *err)
{
    const char *confirmed = json_string_value(json_object_get(call->request, "confirmed"));

    if (confirmed && strcmp(confirmed, word) == 0)
        return true;
    free(call->question);
    free(call->word);
    call->question = strdup(question);
    call->word = strdup(word);
    if (!call->question || !call->word)
        return vt_fail(err, VT_E_NOMEM, "no memory for a question");
    call->asked = true; /* what was said so far is said again when the caller comes back */
    vt_buf_reset(&call->out);
    return vt_fail(err, VT_E_DENIED, "%s: nothing was done", question);
}

/* Strings only; borrowed from the JSON. */
static bool read_args(struct vt_pool_call *call, struct vt_err *err)
{
    const json_t *list = json_object_get(call->request, "args");
    size_t count = json_array_size(list);

    if ((list && !json_is_array(list)) || count > VT_SERVICE_ARGS_MAX)
        return vt_fail(err, VT_E_INVALID, "\"args\" must be a list of at most %d strings",
                       VT_SERVICE_ARGS_MAX);
    call->args = calloc(count + 1, sizeof *call->args);
    if (!call->args)
        return vt_fail(err, VT_E_NOMEM, "no memory for a request");
    for (; call->arg_count < count; call->arg_count++) {
        call->args[call->arg_count] = json_string_value(json_array_get(list, call->arg_count));
        if (!call->args[call->arg_count])
            return vt_fail(err, VT_E_INVALID, "\"args\" must be a list of strings");
    }
    return true;
}

static bool check_shape(const json_t *request, struct vt_err *err)
{
    static const char *const texts[] = { "pool", "url", "confirmed", "user" };
    const json_t *options = json_object_get(request, "options"), *value;
    const char *name;

    if (!json_is_string(json_object_get(request, "do")))
        return vt_fail(err, VT_E_PROTOCOL, "a request wants \"do\"");
    for (size_t i = 0; i < VT_COUNT(texts); i++)
        if ((value = json_object_get(request, texts[i])) && !json_is_string(value))
            return vt_fail(err, VT_E_PROTOCOL, "\"%s\" must be a string", texts[i]);
    if (options && !json_is_object(options))
        return vt_fail(err, VT_E_PROTOCOL, "\"options\" must be an object");
    json_object_foreach((json_t *)(uintptr_t)options, name,
                        value) if (!json_is_string(value) && !json_is_boolean(value)) return
        vt_fail(err, VT_E_PROTOCOL, "the option \"%.40s\" is neither a string nor true", name);
    return true;
}

static bool read_request(struct vt_pool_call *call, struct vt_err *err)
{
    int64_t deadline = vt_clock_mono() + VT_SERVICE_REQUEST_WAIT_S * VT_NS_PER_S;
    const char *line = NULL;
    size_t size = 0;

    if (!vt_wire_line(call->fd, &call->in, &call->in_used, deadline, &line, &size, err))
        return false;
    if (!line) {
        call->gone = true;
        return vt_fail(err, VT_E_CLOSED, "no request came");
    }
    call->request = vt_wire_parse(line, size, err);
    return call->request && check_shape(call->request, err) && read_args(call, err);
}

/* ---- the verb ---- */

static bool is_verb(const struct vt_pool_verb *verb, const char *name)
{
    size_t length = strlen(verb->name);

    return verb->name[length - 1] == '.' ? strncmp(verb->name, name, length) == 0
                                         : strcmp(verb->name, name) == 0;
}

static const struct vt_pool_verb *find_in(const struct vt_pool_verb *verbs, const char *name)
{
    for (; verbs && verbs->name; verbs++)
        if (is_verb(verbs, name))
            return verbs;
    return NULL;
}

static const struct vt_pool_verb *find_verb(const struct vt_service *service, const char *name,
                                            void **out_context)
{
    const struct vt_pool_verb *verb = find_in(vt_service_verbs, name);

    *out_context = NULL;
    for (size_t i = 0; i < service->module_count && !verb; i++) {
        verb = find_in(service->modules[i]->verbs, name);
        *out_context = service->modules[i]->context;
    }
    return verb;
}

static bool run(struct vt_pool_call *call, struct vt_err *err)
{
    void *context = NULL;
    const char *name = vt_call_verb(call);
    const struct vt_pool_verb *verb = find_verb(call->service, name, &context);

    if (!verb)
        return vt_fail(err, VT_E_UNSUPPORTED,
                       "the running vitrine-poold does not know '%.40s'; restart it after an "
                       "upgrade",
                       name);
    call->verb = verb;
    bool ok = vt_call_may(call, verb, err) && verb->run(context, call, err);
    if (!call->asked)
        vt_call_audit(call, verb, err);
    return ok;
}

static bool put_error(struct vt_pool_call *call, const struct vt_err *err)
{
    int status = err->code == VT_E_INVALID ? 2 : 1;
    json_t *text = json_string(err->text);
    json_t *line = json_pack("{s:{s:s, s:o, s:s}, s:i}", "error", "code", vt_code_name(err->code),
                             "text", text ? text : json_string("(a reason that is not UTF-8)"),
                             "xapi", err->xapi_code, "status", status);
    char *dumped = line ? json_dumps(line, JSON_COMPACT) : NULL;
    struct vt_err ignored = { 0 };

    json_decref(line);
    bool ok = dumped && flush(call) && vt_buf_printf(&call->out, &ignored, "%s\n", dumped);
    free(dumped);
    return ok;
}

/* A list with a hole is no answer. */
static void put_no_memory(struct vt_pool_call *call)
{
    static const char line[] = "{\"error\":{\"code\":\"no-memory\",\"text\":\"vitrine-poold has no memory "
                               "for its answer\",\"xapi\":\"\"},\"status\":1}\n";
    int64_t deadline = vt_clock_mono() + VT_SERVICE_WRITE_WAIT_S * VT_NS_PER_S;
    struct vt_err ignored = { 0 };

    if (flush(call))
        vt_wire_send(call->fd, line, sizeof line - 1, deadline, &ignored);
}

static void finish(struct vt_pool_call *call, const struct vt_err *err)
{
    bool ok = false;

    if (call->raw)
        return;
    if (call->asked)
        ok = put_json(call, "ask",
                      json_pack("{s:s, s:s}", "question", call->question ? call->question : "",
                                "word", call->word ? call->word : ""));
    else if (vt_failed(err))
        ok = put_error(call, err);
    else if (!call->lost)
        ok = put_json(call, "result", json_pack("{s:i}", "status", call->status));
    if (ok)
        flush(call);
    else
        put_no_memory(call);
}

void vt_call_serve(struct vt_pool_call *call)
{
    struct vt_err err = { 0 };

    vt_buf_init(&call->in, VT_POOL_REQUEST_MAX);
    vt_buf_init(&call->out, VT_SERVICE_HELD_MAX);
    if (read_request(call, &err) && !run(call, &err) && !vt_failed(&err))
        vt_fail(&err, VT_E_INTERNAL, "%.60s failed without a reason", vt_call_verb(call));
    finish(call, &err);
    json_decref(call->request);
    free(call->args);
    free(call->question);
    free(call->word);
    vt_buf_fini(&call->in);
    vt_buf_fini(&call->out);
}
