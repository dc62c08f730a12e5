/* What is done to virtual machines under /api, by the name of the person who asks: vitrine-poold does it, asks back, tells how far it
 * is. A page that takes application/x-ndjson hears that while it happens, as lines of the daemon's own kinds (hypervisor/client.h);
 * when it goes away, what was begun is cancelled. */
#include "console/api_inside.h"
#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/client.h"

#include <stdlib.h>
#include <string.h>

enum { CHANGE_S = 600, BODY_MAX = 4096, LINES_MAX = 1 << 20, BEAT_S = 1 };

/* Those that a page may ask for; what destroys a machine is for the command line. */
static const struct {
    const char *name, *verb;
    bool of_snapshot; /* the body names one */
} changes[] = {
    { "start", "vm.start", false },           { "shutdown", "vm.shutdown", false },
    { "reboot", "vm.reboot", false },         { "suspend", "vm.suspend", false },
    { "resume", "vm.resume", false },         { "pause", "vm.pause", false },
    { "unpause", "vm.unpause", false },       { "snapshot", "vm.snapshot", false },
    { "checkpoint", "vm.checkpoint", false }, { "migrate", "vm.migrate", false },
    { "revert", "vm.revert", true },          { "snapshot-delete", "vm.snapshot-delete", true },
    { "watch", "watch.add", false },          { "unwatch", "watch.remove", false },
};

/* What the body says and the option it becomes: text, or a switch. */
static const struct {
    const char *key, *option;
} wishes[] = {
    { "dry_run", "dry-run" }, { "force", "force" }, { "name", "name" }, { "to", "to" },
};

struct change {
    const char *args[2];
    size_t arg_count;
    json_t *body, *options;
    const char *verb;
};

static void change_fini(struct change *change)
{
    json_decref(change->body);
    json_decref(change->options);
}

static bool read_wishes(struct change *change, struct vt_err *err)
{
    change->options = json_object();
    for (size_t i = 0; i < VT_COUNT(wishes); i++) {
        json_t *value = json_object_get(change->body, wishes[i].key);
        bool text = i >= 2;
        if (!value || json_is_false(value))
            continue;
        if (text ? !json_is_string(value) : !json_is_true(value))
            return vt_fail(err, VT_E_INVALID, "\"%s\" is %s.", wishes[i].key, text ? "text" : "true or false");
        json_object_set(change->options, wishes[i].option, value);
    }
    return true;
}

/* {"confirmed":"word","dry_run":true,"snapshot":"uuid",...} or nothing. */
static bool read_change(struct vt_request *request, struct change *out, struct vt_err *err)
{
    const struct vt_buf *body = vt_request_body(request);
    bool of_snapshot = false;

    for (size_t i = 0; i < VT_COUNT(changes); i++)
        if (strcmp(changes[i].name, vt_request_part(request, 1)) == 0) {
            out->verb = changes[i].verb;
            of_snapshot = changes[i].of_snapshot;
        }
    out->args[out->arg_count++] = vt_request_part(request, 0);
    if (!out->verb || !vt_api_is_uuid(out->args[0]))
        return vt_fail(err, VT_E_NOTFOUND, "There is no such verb for a virtual machine, or no such machine.");
    out->body = body->size > 0 ? json_loadb((const char *)body->data, body->size, 0, NULL) : json_object();
    if (!json_is_object(out->body))
        return vt_fail(err, VT_E_INVALID, "The body is a JSON object or nothing.");
    if (of_snapshot) {
        const char *snapshot = json_string_value(json_object_get(out->body, "snapshot"));
        if (!snapshot || !vt_api_is_uuid(snapshot))
            return vt_fail(err, VT_E_INVALID, "Which snapshot? \"snapshot\" is its uuid.");
        out->args[out->arg_count++] = snapshot;
    }
    return read_wishes(out, err);
}

static struct vt_pool_client *ask(struct vt_request *request, const struct change *change, int64_t deadline, struct vt_err *err)
{
    const struct vt_console *console = vt_request_context(request);
    const struct vt_pool_request asked = { .verb = change->verb,
                                           .args = change->args,
                                           .arg_count = change->arg_count,
                                           .options = change->options,
                                           .confirmed = json_string_value(json_object_get(change->body, "confirmed")),
                                           .user = vt_api_person(request),
                                           .json = true };
    VT_AUTO(vt_pool_client) client = vt_pool_client_open(console->options.pool_socket, deadline, err);

    return client && vt_pool_client_ask(client, &asked, deadline, err) ? vt_take(&client) : NULL;
}

/* ---- one answer when it is done ---- */

struct telling {
    json_t *rows, *notes;
    int status;
    json_t *ask; /* NULL: done */
};

static bool hear(struct vt_pool_client *client, int64_t deadline, struct telling *out, struct vt_err *err)
{
    struct vt_pool_answer answer;

    for (;;) {
        if (!vt_pool_client_next(client, deadline, &answer, err))
            return false;
        if (answer.kind == VT_POOL_ROW)
            vt_api_take_row(out->rows, answer.json);
        else if (answer.kind == VT_POOL_NOTE)
            json_array_append_new(out->notes, json_string(answer.text));
        else if (answer.kind == VT_POOL_ASK)
            out->ask = json_pack("{s:s?, s:s?}", "question", answer.text, "word", answer.word);
        else if (answer.kind == VT_POOL_RESULT)
            out->status = answer.status;
        if (answer.kind == VT_POOL_RESULT || answer.kind == VT_POOL_ASK)
            return true;
    }
}

static void answer_whole(struct vt_request *request, struct vt_pool_client *client, int64_t deadline)
{
    struct telling telling = { .rows = json_array(), .notes = json_array() };
    struct vt_err err = { 0 };

    if (hear(client, deadline, &telling, &err))
        vt_answer_json(request, telling.ask ? 409 : 200,
                       json_pack("{s:O, s:O, s:i, s:O*}", "rows", telling.rows, "notes", telling.notes, "status",
                                 telling.status, "ask", telling.ask));
    else
        vt_answer_err(request, &err);
    json_decref(telling.rows);
    json_decref(telling.notes);
    json_decref(telling.ask);
}

/* ---- lines while it happens ---- */

struct stream {
    struct vt_request *request;
    struct vt_pool_client *client;
    struct vt_buf lines;
    size_t given;
    int64_t deadline;
    bool over;
};

static void stream_free(void *state)
{
    struct stream *stream = state;

    vt_pool_client_free(stream->client);
    vt_buf_fini(&stream->lines);
    free(stream);
}

/* Takes the value. */
static void put_line(struct stream *stream, json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT) : NULL;
    struct vt_err ignored = { 0 };

    stream->over = stream->over || !text || !vt_buf_printf(&stream->lines, &ignored, "%s\n", text);
    free(text);
    json_decref(value);
}

static json_t *line_of(const struct vt_pool_answer *answer)
{
    switch (answer->kind) {
    case VT_POOL_ROW:
        return json_pack("{s:O}", "row", answer->json);
    case VT_POOL_NOTE:
    case VT_POOL_OUT:
        return json_pack("{s:s}", "note", answer->text);
    case VT_POOL_PROGRESS:
        return json_pack("{s:{s:I, s:I}}", "progress", "done", (json_int_t)answer->done, "total", (json_int_t)answer->total);
    case VT_POOL_ASK:
        return json_pack("{s:{s:s, s:s}}", "ask", "question", answer->text, "word", answer->word);
    case VT_POOL_RESULT:
        return json_pack("{s:i}", "status", answer->status);
    default:
        return json_object();
    }
}

/* The next line, or an empty one when nothing was said for a moment: so we learn that the page is gone. */
static void hear_line(struct stream *stream)
{
    struct vt_pool_answer answer;
    struct vt_err err = { 0 };

    vt_buf_reset(&stream->lines);
    stream->given = 0;
    if (vt_pool_client_next(stream->client, vt_clock_mono() + BEAT_S * VT_NS_PER_S, &answer, &err)) {
        put_line(stream, line_of(&answer));
        stream->over = stream->over || answer.kind == VT_POOL_RESULT || answer.kind == VT_POOL_ASK;
    } else if (err.code == VT_E_TIMEOUT && vt_clock_mono() < stream->deadline && !vt_request_ending(stream->request)) {
        vt_buf_append_byte(&stream->lines, '\n', &err);
    } else {
        put_line(stream, json_pack("{s:s}", "error", err.text));
        stream->over = true;
    }
}

static ptrdiff_t pull(void *state, uint64_t position, uint8_t *bytes, size_t size)
{
    struct stream *stream = state;

    (void)position;
    if (stream->given == stream->lines.size) {
        if (stream->over)
            return 0;
        hear_line(stream);
    }
    size_t left = stream->lines.size - stream->given;
    size = size < left ? size : left;
    memcpy(bytes, stream->lines.data + stream->given, size);
    stream->given += size;
    return (ptrdiff_t)size;
}

/* Takes the client. */
static void answer_lines(struct vt_request *request, struct vt_pool_client *client, int64_t deadline)
{
    struct stream *stream = calloc(1, sizeof *stream);

    if (!stream) {
        vt_pool_client_free(client);
        return;
    }
    *stream = (struct stream){ .request = request, .client = client, .deadline = deadline };
    vt_buf_init(&stream->lines, LINES_MAX);
    vt_answer_header(request, "Cache-Control", "no-store");
    vt_answer_stream(request, 200, "application/x-ndjson", UINT64_MAX, pull, stream, stream_free);
}

static void change_vm(struct vt_request *request)
{
    const char *accept = vt_request_header(request, "Accept");
    int64_t deadline = vt_clock_mono() + CHANGE_S * VT_NS_PER_S;
    struct change change = { .arg_count = 0 };
    struct vt_err err = { 0 };
    VT_AUTO(vt_pool_client) client = NULL;

    if (read_change(request, &change, &err))
        client = ask(request, &change, deadline, &err);
    if (!client)
        vt_answer_err(request, &err);
    else if (accept && strstr(accept, "application/x-ndjson"))
        answer_lines(request, vt_take(&client), deadline);
    else
        answer_whole(request, client, deadline);
    change_fini(&change);
}

const struct vt_route vt_vms_routes[] = {
    { "POST", "/api/pool/vms/*/*", VT_USER_OPERATOR, change_vm, NULL, BODY_MAX },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};
