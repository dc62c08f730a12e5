/* The pool under /api, asked of vitrine-poold over its socket: lists, kept so that they can be shown with their age when it is away. */
#include "console/api_inside.h"
#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/client.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { READ_S = 10, EMERGENCY_S = 60, ROWS_MAX = 50000, FRESH_S = 60 };

/* What a page may look at; the last answers are kept. Those for an emergency are kept fresh by whoever looks at anything. */
static const struct {
    const char *name, *verb, *arg;
    int seconds;
    enum vt_user_role role;
    bool fresh;
} reads[] = {
    { "status", "pool.status", NULL, READ_S, VT_USER_VIEWER, true },
    { "vms", "vm.list", NULL, READ_S, VT_USER_VIEWER, true },
    { "hosts", "host.list", NULL, READ_S, VT_USER_VIEWER, true },
    { "storage", "sr.list", NULL, READ_S, VT_USER_VIEWER, false },
    { "snapshots", "vm.snapshots", NULL, READ_S, VT_USER_VIEWER, false },
    { "tasks", "task.list", NULL, READ_S, VT_USER_VIEWER, false },
    { "watch", "watch.list", NULL, READ_S, VT_USER_VIEWER, false },
    { "incidents", "watch.incident", "list", READ_S, VT_USER_VIEWER, false },
    { "emergency", "pool.emergency", NULL, EMERGENCY_S, VT_USER_ADMIN, false },
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

bool vt_api_take_row(void *rows, const json_t *row)
{
    return json_array_size(rows) < ROWS_MAX && json_array_append_new(rows, json_deep_copy(row)) == 0;
}

const char *vt_api_person(const struct vt_request *request)
{
    const char *user = vt_request_user(request);

    return *user ? user : "console";
}

bool vt_api_is_uuid(const char *text)
{
    size_t length = strlen(text);

    return length > 0 && length <= VT_API_UUID_MAX && strspn(text, "0123456789abcdefABCDEF-") == length;
}

/* NULL: err. */
static json_t *ask_rows(struct vt_request *request, const char *verb, const char *const *args, size_t count, int seconds,
                        struct vt_err *err)
{
    const struct vt_console *console = vt_request_context(request);
    const struct vt_pool_request ask = {
        .verb = verb, .args = args, .arg_count = count, .user = vt_api_person(request), .json = true
    };
    json_t *rows = json_array();

    if (rows && vt_pool_client_rows(console->options.pool_socket, &ask, vt_clock_mono() + seconds * VT_NS_PER_S, vt_api_take_row,
                                    rows, NULL, err))
        return rows;
    json_decref(rows);
    return NULL;
}

static bool is_due(struct vt_pool_view *view, size_t i)
{
    pthread_mutex_lock(&view->lock);
    bool due = !view->kept[i].rows || vt_clock_mono() - view->kept[i].at > FRESH_S * VT_NS_PER_S;
    pthread_mutex_unlock(&view->lock);
    return due;
}

static void ask_and_keep(struct vt_request *request, size_t i, struct vt_err *err)
{
    const struct vt_console *console = vt_request_context(request);
    json_t *rows = ask_rows(request, reads[i].verb, &reads[i].arg, reads[i].arg ? 1 : 0, reads[i].seconds, err);

    if (rows)
        keep(console->pool, i, rows);
}

/* The daemon answers now: later it may not. */
static void freshen(struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);
    struct vt_err ignored = { 0 };

    for (size_t i = 0; i < VT_COUNT(reads); i++)
        if (reads[i].fresh && is_due(console->pool, i))
            ask_and_keep(request, i, &ignored);
}

static void read_pool(struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);
    struct vt_err err = { 0 };
    size_t i = 0;

    while (i < VT_COUNT(reads) && strcmp(reads[i].name, vt_request_part(request, 0)) != 0)
        i++;
    if (i == VT_COUNT(reads)) {
        vt_answer_error(request, 404, "Of the pool there are status, vms, hosts, storage, snapshots, tasks, watch, incidents, emergency.");
        return;
    }
    if (vt_request_role(request) < reads[i].role) {
        vt_answer_error(request, 403, "The members are asked one by one for an %s only.", vt_user_role_name(reads[i].role));
        return;
    }
    ask_and_keep(request, i, &err);
    if (!vt_failed(&err))
        freshen(request);
    vt_answer_json(request, 200, answer_of(console->pool, i, &err));
}

/* ---- of one ---- */

static void answer_rows(struct vt_request *request, const char *verb, const char *const *args, size_t count)
{
    struct vt_err err = { 0 };
    json_t *rows = ask_rows(request, verb, args, count, READ_S, &err);

    if (rows)
        vt_answer_json(request, 200, json_pack("{s:o}", "rows", rows));
    else
        vt_answer_err(request, &err);
}

static void read_snapshots(struct vt_request *request)
{
    const char *vm = vt_request_part(request, 0);

    if (vt_api_is_uuid(vm))
        answer_rows(request, "vm.snapshots", &vm, 1);
    else
        vt_answer_error(request, 404, "There is no such virtual machine.");
}

static void read_incident(struct vt_request *request)
{
    const char *args[] = { "show", vt_request_part(request, 0) };

    answer_rows(request, "watch.incident", args, VT_COUNT(args));
}

const struct vt_route vt_pool_routes[] = {
    { "GET", "/api/pool/*", VT_USER_VIEWER, read_pool, NULL, 0 },
    { "GET", "/api/pool/vms/*/snapshots", VT_USER_VIEWER, read_snapshots, NULL, 0 },
    { "GET", "/api/pool/incidents/*", VT_USER_VIEWER, read_incident, NULL, 0 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};
