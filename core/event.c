#include "core/event.h"

#include <pthread.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"

struct subscriber {
    const char *kind;
    vt_event_fn fn;
    void *context;
};

struct vt_events {
    pthread_mutex_t lock;   /* guards all below; entries are only ever added */
    size_t count;
    struct subscriber subscribers[VT_EVENT_SUBSCRIBERS_MAX];
};

struct vt_events *vt_events_new(void)
{
    struct vt_events *events = calloc(1, sizeof *events);

    if (events)
        pthread_mutex_init(&events->lock, NULL);
    return events;
}

void vt_events_free(struct vt_events *events)
{
    if (!events)
        return;
    pthread_mutex_destroy(&events->lock);
    free(events);
}

bool vt_events_subscribe(struct vt_events *events, const char *kind, vt_event_fn fn, void *context,
                         struct vt_err *err)
{
    pthread_mutex_lock(&events->lock);
    bool room = events->count < VT_EVENT_SUBSCRIBERS_MAX;
    if (room)
        events->subscribers[events->count++] = (struct subscriber){ kind, fn, context };
    pthread_mutex_unlock(&events->lock);
    return room || vt_fail(err, VT_E_LIMIT, "more than %d event subscribers", VT_EVENT_SUBSCRIBERS_MAX);
}

static bool wants(const struct subscriber *subscriber, const char *kind)
{
    if (!subscriber->kind)
        return true;
    size_t length = strlen(subscriber->kind);
    if (length > 0 && subscriber->kind[length - 1] == '.')
        return strncmp(subscriber->kind, kind, length) == 0;
    return strcmp(subscriber->kind, kind) == 0;
}

void vt_events_publish(struct vt_events *events, const char *kind, const char *subject, const char *detail)
{
    if (!events)
        return;

    struct subscriber now[VT_EVENT_SUBSCRIBERS_MAX];
    pthread_mutex_lock(&events->lock);
    size_t count = events->count;
    memcpy(now, events->subscribers, count * sizeof now[0]);
    pthread_mutex_unlock(&events->lock);

    struct vt_event event = { .kind = kind, .subject = subject, .detail = detail, .time = vt_clock_wall() };
    for (size_t i = 0; i < count; i++)
        if (wants(&now[i], kind))
            now[i].fn(now[i].context, &event);
}
