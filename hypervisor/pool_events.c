/* The verbs that the service has itself: how it is, what happens, tasks. Events are made only while
 * somebody reads them. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <jansson.h>

#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/pool_service_state.h"

enum { EVENT_LINE_MAX = 256 << 10, HANGUP_LOOK_MS = 1000 };

/* ---- publishing ---- */

static void reader_put(struct vt_reader *reader, const char *line)
{
    uint64_t one = 1;
    char *copy = reader->count < VT_SERVICE_EVENTS_MAX && !reader->lost ? strdup(line) : NULL;

    if (copy)
        reader->lines[(reader->first + reader->count++) % VT_SERVICE_EVENTS_MAX] = copy;
    else
        reader->lost++;
    (void)!write(reader->wake, &one, sizeof one);
}

static bool anybody_reads(struct vt_service *service)
{
    pthread_mutex_lock(&service->lock);
    bool some = service->readers != NULL;
    pthread_mutex_unlock(&service->lock);
    return some;
}

void vt_service_publish(struct vt_service *service, const char *kind, const char *pool,
                        const char *subject, json_t *detail)
{
    if (!anybody_reads(service)) {
        json_decref(detail);
        return;
    }
    json_t *event = json_pack("{s:s, s:s, s:s, s:I}", "kind", kind, "pool", pool, "subject",
                              subject ? subject : "", "time", (json_int_t)vt_clock_wall());
    if (event && detail)
        json_object_set(event, "detail", detail);
    json_decref(detail);
    char *line = event ? json_dumps(event, JSON_COMPACT) : NULL;
    json_decref(event);
    pthread_mutex_lock(&service->lock);
    for (struct vt_reader *reader = service->readers; reader && line; reader = reader->next)
        reader_put(reader, strlen(line) < EVENT_LINE_MAX ? line : "{\"kind\":\"too-long\"}");
    pthread_mutex_unlock(&service->lock);
    free(line);
}

/* ---- what the keepers tell ---- */

static const struct {
    enum vt_class class;
    const char *kind;
    const char *fields[6];
} told[] = {
    { VT_CLASS_VM, "vm.changed", { "name_label", "power_state", "resident_on" } },
    { VT_CLASS_HOST, "host.changed", { "name_label", "enabled", "address" } },
    { VT_CLASS_SR, "sr.changed", { "name_label", "physical_utilisation" } },
    { VT_CLASS_TASK, "task.changed", { "name_label", "status", "progress" } },
    { VT_CLASS_POOL, "pool.changed", { "name_label", "master" } },
    { VT_CLASS_VM_GUEST_METRICS, "guest.changed", { "live" } },
};

static json_t *detail_of(const struct vt_picture *picture, const struct vt_object *object,
                         const char *const *fields)
{
    json_t *detail = json_pack("{s:s}", "ref", vt_object_ref(object));

    for (; detail && *fields; fields++) {
        const char *text = vt_object_text(object, *fields);
        const struct vt_object *other = vt_picture_get(picture, text);
        bool host = other && strcmp(*fields, "resident_on") == 0;
        json_object_set_new(detail, host ? "host" : *fields,
                            json_string(host ? vt_object_text(other, "name_label") : text));
    }
    if (vt_object_class(object) == VT_CLASS_VM)
        json_object_set_new(detail, "vm",
                            json_boolean(!vt_object_bool(object, "is_a_template") &&
                                         !vt_object_bool(object, "is_a_snapshot") &&
                                         !vt_object_bool(object, "is_control_domain")));
    return detail;
}

static void tell(struct vt_service *service, struct vt_keeper *keeper,
                 const struct vt_keeper_change *change, const char *kind,
                 const char *const *fields)
{
    char uuid[VT_XAPI_UUID_MAX] = "";
    json_t *detail = NULL;

    const struct vt_picture *picture = vt_keeper_read(keeper);
    const struct vt_object *object = vt_picture_get(picture, change->ref);
    if (object && change->operation != VT_XAPI_DEL) {
        snprintf(uuid, sizeof uuid, "%s", vt_object_text(object, "uuid"));
        detail = detail_of(picture, object, fields);
    }
    vt_keeper_done(keeper);
    if (!detail)
        detail = json_pack("{s:s, s:b}", "ref", change->ref, "gone", true);
    vt_service_publish(service, kind, vt_keeper_name(keeper), uuid, detail);
}

static void on_changed(void *context, struct vt_keeper *keeper,
                       const struct vt_keeper_change *changes, size_t count, bool first)
{
    struct vt_service *service = context;

    if (!anybody_reads(service))
        return;
    if (first)
        vt_service_publish(service, "pool.anew", vt_keeper_name(keeper), NULL, NULL);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < VT_COUNT(told); k++)
            if (told[k].class == changes[i].class)
                tell(service, keeper, &changes[i], told[k].kind, told[k].fields);
}

static void on_state(void *context, struct vt_keeper *keeper, const struct vt_err *why)
{
    vt_service_publish(context, why ? "pool.away" : "pool.answers", vt_keeper_name(keeper), NULL,
                       why ? json_pack("{s:s}", "reason", why->text) : NULL);
}

bool vt_service_watch(struct vt_service *service, struct vt_keeper *keeper, struct vt_err *err)
{
    const struct vt_keeper_listener listener = { service, on_changed, on_state };

    return vt_keeper_listen(keeper, &listener, err);
}

/* ---- reading events ---- */

static void reader_join(struct vt_service *service, struct vt_reader *reader)
{
    pthread_mutex_lock(&service->lock);
    reader->next = service->readers;
    service->readers = reader;
    pthread_mutex_unlock(&service->lock);
}

static void reader_leave(struct vt_service *service, struct vt_reader *reader)
{
    pthread_mutex_lock(&service->lock);
    struct vt_reader **at = &service->readers;
    while (*at != reader)
        at = &(*at)->next;
    *at = reader->next;
    pthread_mutex_unlock(&service->lock);
    for (; reader->count > 0; reader->count--)
        free(reader->lines[reader->first++ % VT_SERVICE_EVENTS_MAX]);
}

/* The next line, the caller's; NULL: none. What was lost is told behind what was kept. */
static char *reader_take(struct vt_service *service, struct vt_reader *reader)
{
    char *line = NULL;

    pthread_mutex_lock(&service->lock);
    if (reader->count > 0) {
        line = reader->lines[reader->first];
        reader->first = (reader->first + 1) % VT_SERVICE_EVENTS_MAX;
        reader->count--;
    } else if (reader->lost > 0) {
        char text[96];
        snprintf(text, sizeof text, "{\"kind\":\"lost\",\"pool\":\"\",\"subject\":\"\",\"count\":%zu}",
                 reader->lost);
        line = strdup(text);
        reader->lost = 0;
    }
    pthread_mutex_unlock(&service->lock);
    return line;
}

static void pass_on(struct vt_pool_call *call, struct vt_reader *reader)
{
    bool going = true;
    uint64_t count;

    while (going && !vt_call_cancelled(call)) {
        char *line;
        while (going && (line = reader_take(call->service, reader))) {
            going = vt_call_event(call, line, strlen(line));
            free(line);
        }
        going = going && vt_call_flush(call);
        struct pollfd polled[] = { { .fd = reader->wake, .events = POLLIN },
                                   { .fd = call->fd, .events = POLLIN | POLLRDHUP } };
        if (going && poll(polled, VT_COUNT(polled), -1) > 0 && polled[0].revents)
            (void)!read(reader->wake, &count, sizeof count);
    }
}

static bool verb_events(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    vt_autofree struct vt_reader *reader = calloc(1, sizeof *reader);

    (void)context;
    if (!reader)
        return vt_fail(err, VT_E_NOMEM, "no memory for events");
    reader->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (reader->wake < 0)
        return vt_fail_errno(err, "events");
    reader_join(call->service, reader);
    pass_on(call, reader);
    reader_leave(call->service, reader);
    close(reader->wake);
    return true;
}

/* ---- how the service is ---- */

static size_t resident_bytes(void)
{
    unsigned long pages = 0, ignored = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (file && fscanf(file, "%lu %lu", &ignored, &pages) != 2)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static json_t *time_or_null(int64_t wall)
{
    char text[VT_CLOCK_TEXT_MAX];

    if (wall == 0)
        return json_null();
    vt_clock_text(wall, text);
    return json_string(text);
}

static json_t *row_of_pool(struct vt_keeper *keeper)
{
    struct vt_keeper_status status;

    vt_keeper_status(keeper, &status);
    const struct vt_picture *picture = vt_keeper_read(keeper);
    json_int_t hosts = (json_int_t)vt_picture_count(picture, VT_CLASS_HOST);
    json_int_t vms = (json_int_t)vt_picture_count(picture, VT_CLASS_VM);
    json_int_t tasks = (json_int_t)vt_picture_count(picture, VT_CLASS_TASK);
    vt_keeper_done(keeper);
    return json_pack("{s:s, s:b, s:o, s:o, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "pool",
                     vt_keeper_name(keeper), "answers", status.answers, "as_of",
                     time_or_null(status.time), "away_since", time_or_null(status.away_since),
                     "reason", status.why, "master", status.master, "hosts", hosts, "vm_objects",
                     vms, "tasks", tasks, "events", (json_int_t)status.events, "logins",
                     (json_int_t)status.logins);
}

static bool verb_status(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    struct vt_service *service = call->service;
    bool ok = vt_call_row(call, json_pack("{s:s, s:s, s:o, s:I}", "daemon", "vitrine-poold",
                                          "version", VT_VERSION, "since",
                                          time_or_null(service->begun), "resident_bytes",
                                          (json_int_t)resident_bytes()));

    (void)context;
    for (size_t i = 0; i < service->keeper_count; i++)
        ok = ok && vt_call_row(call, row_of_pool(service->keepers[i]));
    for (size_t i = 0; i < service->module_count && ok; i++) {
        const struct vt_pool_module *module = service->modules[i];
        json_t *row = module->status ? json_pack("{s:s}", "module", module->name) : NULL;
        if (row)
            module->status(module->context, row);
        ok = !row || vt_call_row(call, row);
    }
    return ok || vt_fail(err, VT_E_CLOSED, "the caller is gone");
}

/* ---- tasks ---- */

static bool verb_tasks(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    struct vt_keeper *keeper = vt_call_pool(call, err);

    (void)context;
    if (!keeper)
        return false;
    VT_AUTO(vt_picture) tasks = vt_keeper_copy(keeper, VT_CLASS_BIT(VT_CLASS_TASK), err);
    if (!tasks)
        return false;
    VT_PICTURE_EACH(tasks, VT_CLASS_TASK, task)
    vt_call_row(call,
                json_pack("{s:s, s:s, s:s, s:f, s:s}", "uuid", vt_object_text(task, "uuid"), "name",
                          vt_object_text(task, "name_label"), "status",
                          vt_object_text(task, "status"), "progress",
                          strtod(vt_object_text(task, "progress"), NULL), "created",
                          vt_object_text(task, "created")));
    return true;
}

static bool cancel_task(struct vt_keeper *keeper, const char *uuid, struct vt_err *err)
{
    VT_AUTO_REPLY reply = { 0 };
    VT_AUTO(vt_line) line = vt_line_new(err);
    char ref[VT_XAPI_REF_MAX] = "";

    const struct vt_object *task =
        vt_picture_by_uuid(vt_keeper_read(keeper), VT_CLASS_TASK, uuid);
    if (task)
        snprintf(ref, sizeof ref, "%s", vt_object_ref(task));
    vt_keeper_done(keeper);
    if (!*ref)
        return vt_fail(err, VT_E_NOTFOUND, "the pool has no task %.60s", uuid);
    return line && vt_keeper_xapi(keeper) &&
           vt_xapi_call(vt_keeper_xapi(keeper), line, &reply, err, "task.cancel", "s", ref);
}

static bool verb_task_cancel(void *context, struct vt_pool_call *call, struct vt_err *err)
{
    struct vt_keeper *keeper = vt_call_pool(call, err);
    size_t count;
    const char *const *args = vt_call_args(call, &count);

    (void)context;
    if (keeper && count == 0)
        return vt_fail(err, VT_E_INVALID, "which task? Give its uuid");
    for (size_t i = 0; keeper && i < count; i++)
        if (!cancel_task(keeper, args[i], err))
            return false;
    return keeper != NULL;
}

const struct vt_pool_verb vt_service_verbs[] = {
    { "status", VT_NEED_READ, verb_status },
    { "events", VT_NEED_READ, verb_events },
    { "task.list", VT_NEED_READ, verb_tasks },
    { "task.cancel", VT_NEED_CHANGE, verb_task_cancel },
    { .name = NULL },
};
