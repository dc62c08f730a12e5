/* The pool under /api, asked of vitrine-poold over its socket: lists, kept so that they can be shown with their age when it
 * is away, and what is done to virtual machines, by the name of the person who asks. */
#include "console/api_inside.h"
#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/client.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { READ_S = 10, CHANGE_S = 600, ROWS_MAX = 50000, BODY_MAX = 4096, UUID_MAX = 64 };

static const struct {
    const char *name, *verb;
} reads[] = {
    { "status", "pool.status" }, { "vms", "vm.list" },            { "hosts", "host.list" },
    { "watch", "watch.list" },   { "incidents", "watch.timeline" },
};

/* Those that a page may ask for; what loses data for good is for the command line. */
static const struct {
    const char *name, *verb;
} changes[] = {
    { "start", "vm.start" },     { "shutdown", "vm.shutdown" }, { "reboot", "vm.reboot" },
    { "suspend", "vm.suspend" }, { "resume", "vm.resume" },     { "pause", "vm.pause" },
    { "unpause", "vm.unpause" }, { "snapshot", "vm.snapshot" },
};

struct vt_pool_view {
    pthread_mutex_t lock; /* guards what follows */
    struct {
        json_t *rows; /* NULL: never answered */
        int64_t at;   /* monotonic */
    } kept[VT_COUNT(reads)];
};

struct vt_pool_view *vt_pool_view_new(void)
{
    struct vt_pool_view *view = calloc(1, sizeof *view);

    if (view)
        pthread_mutex_init(&view->lock, NULL);
    return view;
}

void vt_pool_view_free(struct vt_pool_view *view)
{
    if (!view)
        return;
    for (size_t i = 0; i < VT_COUNT(reads); i++)
        json_decref(view->kept[i].rows);
    pthread_mutex_destroy(&view->lock);
    free(view);
}

/* Rows are read-only once they are kept; each answer has its own text of them. */
static json_t *answer_of(struct vt_pool_view *view, size_t i, const struct vt_err *err)
{
    json_t *answer = json_object();

    pthread_mutex_lock(&view->lock);
    json_t *rows = view->kept[i].rows ? json_deep_copy(view->kept[i].rows) : json_array();
    int64_t age = view->kept[i].rows ? (vt_clock_mono() - view->kept[i].at) / VT_NS_PER_S : -1;
    pthread_mutex_unlock(&view->lock);
    json_object_set_new(answer, "rows", rows);
    json_object_set_new(answer, "age_s", age < 0 ? json_null() : json_integer((json_int_t)age));
    if (vt_failed(err))
        json_object_set_new(answer, "error", json_string(err->text));
    return answer;
}

static void keep(struct vt_pool_view *view, size_t i, json_t *rows)
{
    pthread_mutex_lock(&view->lock);
    json_t *before = view->kept[i].rows;
    view->kept[i].rows = rows;
    view->kept[i].at = vt_clock_mono();
    pthread_mutex_unlock(&view->lock);
    json_decref(before);
}

static bool take_row(void *rows, const json_t *row)
{
    return json_array_size(rows) < ROWS_MAX && json_array_append_new(rows, json_deep_copy(row)) == 0;
}

static void read_pool(struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);
    struct vt_err err = { 0 };
    size_t i = 0;

    while (i < VT_COUNT(reads) && strcmp(reads[i].name, vt_request_part(request, 0)) != 0)
        i++;
    if (i == VT_COUNT(reads)) {
        vt_answer_error(request, 404, "Of the pool there are status, vms, hosts, watch and incidents.");
        return;
    }
    const char *user = vt_request_user(request);
    struct vt_pool_request ask = { .verb = reads[i].verb, .user = *user ? user : "console", .json = true };
    json_t *rows = json_array();
    if (rows && vt_pool_client_rows(console->options.pool_socket, &ask, vt_clock_mono() + READ_S * VT_NS_PER_S, take_row,
                                    rows, NULL, &err))
        keep(console->pool, i, rows);
    else
        json_decref(rows);
    vt_answer_json(request, 200, answer_of(console->pool, i, &err));
}

/* ---- verbs ---- */

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
            take_row(out->rows, answer.json);
        else if (answer.kind == VT_POOL_NOTE && json_array_size(out->notes) < ROWS_MAX)
            json_array_append_new(out->notes, json_string(answer.text));
        else if (answer.kind == VT_POOL_ASK)
            out->ask = json_pack("{s:s?, s:s?}", "question", answer.text, "word", answer.word);
        else if (answer.kind == VT_POOL_RESULT)
            out->status = answer.status;
        if (answer.kind == VT_POOL_RESULT || answer.kind == VT_POOL_ASK)
            return true;
    }
}

/* {"confirmed":"word"} */
static json_t *read_body(struct vt_request *request)
{
    const struct vt_buf *body = vt_request_body(request);

    return body->size > 0 ? json_loadb((const char *)body->data, body->size, 0, NULL) : json_object();
}

static void change(struct vt_request *request, const char *verb, const char *confirmed)
{
    const struct vt_console *console = vt_request_context(request);
    const char *uuid = vt_request_part(request, 0), *user = vt_request_user(request);
    struct vt_pool_request ask = { .verb = verb,
                                   .args = &uuid,
                                   .arg_count = 1,
                                   .confirmed = confirmed,
                                   .user = *user ? user : "console",
                                   .json = true };
    int64_t deadline = vt_clock_mono() + CHANGE_S * VT_NS_PER_S;
    struct telling telling = { .rows = json_array(), .notes = json_array() };
    struct vt_err err = { 0 };
    VT_AUTO(vt_pool_client) client = vt_pool_client_open(console->options.pool_socket, deadline, &err);

    if (client && vt_pool_client_ask(client, &ask, deadline, &err) && hear(client, deadline, &telling, &err))
        vt_answer_json(request, telling.ask ? 409 : 200,
                       json_pack("{s:O, s:O, s:i, s:O*}", "rows", telling.rows, "notes", telling.notes, "status",
                                 telling.status, "ask", telling.ask));
    else
        vt_answer_err(request, &err);
    json_decref(telling.rows);
    json_decref(telling.notes);
    json_decref(telling.ask);
}

static bool is_uuid(const char *text)
{
    size_t length = strlen(text);

    return length > 0 && length <= UUID_MAX && strspn(text, "0123456789abcdefABCDEF-") == length;
}

static void change_vm(struct vt_request *request)
{
    const char *name = vt_request_part(request, 1), *verb = NULL;

    for (size_t i = 0; i < VT_COUNT(changes); i++)
        if (strcmp(changes[i].name, name) == 0)
            verb = changes[i].verb;
    if (!verb || !is_uuid(vt_request_part(request, 0))) {
        vt_answer_error(request, 404, "There is no such verb for a virtual machine, or no such machine.");
        return;
    }
    json_t *body = read_body(request);
    if (json_is_object(body))
        change(request, verb, json_string_value(json_object_get(body, "confirmed")));
    else
        vt_answer_error(request, 400, "The body is a JSON object or nothing.");
    json_decref(body);
}

const struct vt_route vt_pool_routes[] = {
    { "GET", "/api/pool/*", VT_USER_VIEWER, read_pool, NULL, 0 },
    { "POST", "/api/pool/vms/*/*", VT_USER_OPERATOR, change_vm, NULL, BODY_MAX },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};
