#include "hypervisor/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <jansson.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/pool_wire.h"
#include "hypervisor/utf8.h"

struct vt_pool_client {
    int fd;
    struct vt_buf in;
    size_t used;    /* of `in`: lines that were handed out */
    json_t *answer; /* what the last answer borrows from */
    char *line;     /* of the last row */
};

/* ---- connecting ---- */

static bool connect_until(int fd, const struct sockaddr_un *address, int64_t deadline,
                          struct vt_err *err)
{
    while (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0) {
        if (errno == ENOENT || errno == ECONNREFUSED)
            return vt_fail(err, VT_E_NOTFOUND, "vitrine-poold does not run");
        if (errno != EAGAIN && errno != EINTR)
            return vt_fail_errno(err, "the socket of vitrine-poold");
        /* the backlog is full */
        if (deadline && vt_clock_mono() >= deadline)
            return vt_fail(err, VT_E_TIMEOUT, "vitrine-poold is too busy to take a connection");
        vt_clock_sleep(10 * VT_NS_PER_MS);
    }
    return true;
}

struct vt_pool_client *vt_pool_client_over(int fd, struct vt_err *err)
{
    struct vt_pool_client *client = calloc(1, sizeof *client);

    if (!client) {
        if (fd >= 0)
            close(fd);
        vt_fail(err, VT_E_NOMEM, "no memory for a connection to vitrine-poold");
        return NULL;
    }
    client->fd = fd;
    vt_buf_init(&client->in, VT_POOL_ANSWER_MAX);
    return client;
}

struct vt_pool_client *vt_pool_client_open(const char *path, int64_t deadline, struct vt_err *err)
{
    VT_AUTO(vt_pool_client) client = vt_pool_client_over(-1, err);
    struct sockaddr_un address;
    vt_autoclose folder = -1;

    if (!client)
        return NULL;
    if (!vt_wire_address(path ? path : VT_POOL_SOCKET, &address, &folder, err))
        return NULL;
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (client->fd < 0) {
        vt_fail_errno(err, "a socket");
        return NULL;
    }
    return connect_until(client->fd, &address, deadline, err) ? vt_take(&client) : NULL;
}

void vt_pool_client_free(struct vt_pool_client *client)
{
    if (!client)
        return;
    if (client->fd >= 0)
        close(client->fd);
    json_decref(client->answer);
    free(client->line);
    vt_buf_fini(&client->in);
    free(client);
}

int vt_pool_client_fd(const struct vt_pool_client *client)
{
    return client->fd;
}

/* ---- asking ---- */

static bool set_text(json_t *object, const char *key, const char *text)
{
    return !text || json_object_set_new(object, key, json_string(text)) == 0;
}

static bool is_utf8(const char *text)
{
    size_t size = text ? strlen(text) : 0, length = 0;

    for (; size > 0; text += length, size -= length) {
        length = vt_utf8_length((const uint8_t *)text, size);
        if (length == 0 || length > size) /* VT_UTF8_CUT is the largest */
            return false;
    }
    return true;
}

/* Then a request that cannot be packed lacks memory. */
static bool can_be_said(const struct vt_pool_request *request)
{
    bool ok = is_utf8(request->verb) && is_utf8(request->pool) && is_utf8(request->url) &&
              is_utf8(request->confirmed) && is_utf8(request->user);

    for (size_t i = 0; ok && i < request->arg_count; i++)
        ok = is_utf8(request->args[i]);
    return ok;
}

static json_t *pack(const struct vt_pool_request *request)
{
    json_t *object = json_object(), *args = json_array();
    bool ok = object && args && set_text(object, "do", request->verb) &&
              set_text(object, "pool", request->pool) && set_text(object, "url", request->url) &&
              set_text(object, "confirmed", request->confirmed) &&
              set_text(object, "user", request->user);

    for (size_t i = 0; ok && i < request->arg_count; i++)
        ok = json_array_append_new(args, json_string(request->args[i])) == 0;
    ok = ok && (!request->options ||
                json_object_set(object, "options", (json_t *)(uintptr_t)request->options) == 0);
    ok = ok && (!request->json || json_object_set_new(object, "json", json_true()) == 0);
    if (ok && json_object_set(object, "args", args) == 0) {
        json_decref(args);
        return object;
    }
    json_decref(args);
    json_decref(object);
    return NULL;
}

bool vt_pool_client_ask(struct vt_pool_client *client, const struct vt_pool_request *request,
                        int64_t deadline, struct vt_err *err)
{
    json_t *object = pack(request);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    size_t size = text ? strlen(text) : 0;
    struct vt_err lost = { 0 };

    json_decref(object);
    if (!text && can_be_said(request))
        return vt_fail(err, VT_E_NOMEM, "no memory for a request");
    if (!text || size >= VT_POOL_REQUEST_MAX) {
        free(text);
        return vt_fail(err, VT_E_INVALID,
                       "the words are too many for vitrine-poold's socket, or not UTF-8");
    }
    text[size] = '\n';
    bool ok = vt_wire_send(client->fd, text, size + 1, deadline, &lost);
    free(text);
    if (!ok && lost.code != VT_E_CLOSED) /* an early close has a reason that can be read */
        *err = lost;
    return ok || lost.code == VT_E_CLOSED;
}

bool vt_pool_client_cancel(struct vt_pool_client *client, struct vt_err *err)
{
    static const char line[] = "{\"cancel\":true}\n";

    return vt_wire_send(client->fd, line, sizeof line - 1, vt_clock_mono() + VT_NS_PER_S, err);
}

/* ---- answers ---- */

static bool read_error(const json_t *error, struct vt_err *err)
{
    const char *name = json_string_value(json_object_get(error, "code"));
    const char *text = json_string_value(json_object_get(error, "text"));
    const char *xapi = json_string_value(json_object_get(error, "xapi"));
    enum vt_code code = VT_E_INTERNAL;

    for (int i = VT_E_INVALID; name && i <= VT_E_INTERNAL; i++)
        if (strcmp(vt_code_name((enum vt_code)i), name) == 0)
            code = (enum vt_code)i;
    vt_fail(err, code, "%s", text ? text : "vitrine-poold failed without a reason");
    snprintf(err->xapi_code, sizeof err->xapi_code, "%s", xapi ? xapi : "");
    return false;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static uint64_t count_of(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));

    return value > 0 ? (uint64_t)value : 0;
}

/* {"row":{...}}: the line without its frame. */
static bool keep_row(struct vt_pool_client *client, const char *line, size_t size,
                     struct vt_err *err)
{
    static const char head[] = "{\"row\":";
    size_t skip = sizeof head - 1;

    free(client->line);
    client->line = NULL;
    if (size > skip && strncmp(line, head, skip) == 0 && line[size - 1] == '}')
        client->line = strndup(line + skip, size - skip - 1);
    else
        client->line = json_dumps(json_object_get(client->answer, "row"), JSON_COMPACT);
    return client->line || vt_fail(err, VT_E_NOMEM, "no memory for a row");
}

static bool understand(struct vt_pool_client *client, const char *line, size_t size,
                       struct vt_pool_answer *out, struct vt_err *err)
{
    const json_t *answer = client->answer, *value;

    *out = (struct vt_pool_answer){ .text = "", .word = "" };
    if ((value = json_object_get(answer, "error")))
        return read_error(value, err);
    if ((out->json = json_object_get(answer, "row"))) {
        out->kind = VT_POOL_ROW;
        bool ok = keep_row(client, line, size, err);
        out->line = client->line;
        return ok;
    }
    if ((out->json = json_object_get(answer, "event"))) {
        out->kind = VT_POOL_EVENT;
    } else if (json_object_get(answer, "out")) {
        out->kind = VT_POOL_OUT;
        out->text = text_of(answer, "out");
    } else if (json_object_get(answer, "note")) {
        out->kind = VT_POOL_NOTE;
        out->text = text_of(answer, "note");
    } else if ((value = json_object_get(answer, "progress"))) {
        out->kind = VT_POOL_PROGRESS;
        out->done = count_of(value, "done");
        out->total = count_of(value, "total");
        out->text = text_of(value, "unit");
    } else if ((value = json_object_get(answer, "ask"))) {
        out->kind = VT_POOL_ASK;
        out->text = text_of(value, "question");
        out->word = text_of(value, "word");
    } else if ((value = json_object_get(answer, "result"))) {
        out->kind = VT_POOL_RESULT;
        out->status = (int)json_integer_value(json_object_get(value, "status"));
    } else if (json_is_true(json_object_get(answer, "raw"))) {
        out->kind = VT_POOL_RAW;
    } else {
        return vt_fail(err, VT_E_PROTOCOL, "vitrine-poold answers something unknown");
    }
    return true;
}

bool vt_pool_client_next(struct vt_pool_client *client, int64_t deadline,
                         struct vt_pool_answer *out, struct vt_err *err)
{
    const char *line = NULL;
    size_t size = 0;

    json_decref(client->answer);
    client->answer = NULL;
    if (!vt_wire_line(client->fd, &client->in, &client->used, deadline, &line, &size, err))
        return false;
    if (!line)
        return vt_fail(err, VT_E_CLOSED, "vitrine-poold ended before it was done");
    client->answer = vt_wire_parse(line, size, err);
    return client->answer && understand(client, line, size, out, err);
}

const uint8_t *vt_pool_client_ahead(const struct vt_pool_client *client, size_t *out_size)
{
    *out_size = client->in.size - client->used;
    return client->in.data + client->used;
}

bool vt_pool_client_rows(const char *path, const struct vt_pool_request *request, int64_t deadline,
                         bool (*row)(void *context, const json_t *row), void *context,
                         int *out_status, struct vt_err *err)
{
    VT_AUTO(vt_pool_client) client = vt_pool_client_open(path, deadline, err);
    struct vt_pool_request asked = *request;
    struct vt_pool_answer answer = { 0 };

    asked.json = true;
    if (!client || !vt_pool_client_ask(client, &asked, deadline, err))
        return false;
    do {
        if (!vt_pool_client_next(client, deadline, &answer, err))
            return false;
        if (answer.kind == VT_POOL_ASK)
            return vt_fail(err, VT_E_DENIED, "%.150s: confirm with '%.60s'", answer.text,
                           answer.word);
        if (answer.kind == VT_POOL_RAW)
            return vt_fail(err, VT_E_PROTOCOL, "vitrine-poold answers with bytes instead of rows");
        if (answer.kind == VT_POOL_ROW && row && !row(context, answer.json))
            return vt_fail(err, VT_E_CANCELLED, "stopped");
    } while (answer.kind != VT_POOL_RESULT);
    if (out_status)
        *out_status = answer.status;
    return true;
}
