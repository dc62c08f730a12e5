/* GET /api/now: what arrives and who is connected, heard from the node's events: the last studies with how much of them came from whom,
 * and associations by calling AE title. */
#include "console/api_inside.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARRIVALS = 24, CALLERS = 64, AET_ROOM = 24, HOST_ROOM = 64 };

struct arrival {
    char study[VT_UID_MAX + 1], aet[AET_ROOM];
    uint64_t instances;
    int64_t first, last; /* wall ns */
};

struct caller {
    char aet[AET_ROOM], host[HOST_ROOM];
    uint64_t open, since_start;
    int64_t last;
};

/* For ever, since events know no way to unsubscribe. */
static struct {
    pthread_mutex_t lock; /* guards what follows */
    struct arrival arrivals[ARRIVALS];
    struct caller callers[CALLERS];
    uint64_t instances;
    bool listens;
} heard = { .lock = PTHREAD_MUTEX_INITIALIZER };

static const char *text_of(const json_t *detail, const char *key)
{
    const char *text = json_string_value(json_object_get(detail, key));

    return text ? text : "";
}

/* Holds the lock. The place of the study, or the oldest one. */
static void note_arrival(const char *study, const char *aet, int64_t now)
{
    struct arrival *place = &heard.arrivals[0];

    heard.instances++;
    for (size_t i = 0; i < ARRIVALS; i++) {
        struct arrival *at = &heard.arrivals[i];
        if (strcmp(at->study, study) == 0 && strcmp(at->aet, aet) == 0) {
            at->instances++;
            at->last = now;
            return;
        }
        if (at->last < place->last)
            place = at;
    }
    *place = (struct arrival){ .instances = 1, .first = now, .last = now };
    snprintf(place->study, sizeof place->study, "%s", study);
    snprintf(place->aet, sizeof place->aet, "%s", aet);
}

/* Holds the lock. */
static struct caller *caller_of(const char *aet, const char *host)
{
    struct caller *place = &heard.callers[0];

    for (size_t i = 0; i < CALLERS; i++) {
        struct caller *at = &heard.callers[i];
        if (strcmp(at->aet, aet) == 0 && strcmp(at->host, host) == 0)
            return at;
        if (at->open < place->open || (at->open == place->open && at->last < place->last))
            place = at;
    }
    *place = (struct caller){ .open = 0 };
    snprintf(place->aet, sizeof place->aet, "%.*s", AET_ROOM - 1, aet);
    snprintf(place->host, sizeof place->host, "%.*s", HOST_ROOM - 1, host);
    return place;
}

static void hear(void *context, const struct vt_event *event)
{
    bool arrived = strcmp(event->kind, "instance.stored") == 0;
    bool opened = strcmp(event->kind, "association.opened") == 0;
    bool closed = strcmp(event->kind, "association.closed") == 0 || strcmp(event->kind, "association.failed") == 0;

    (void)context;
    if (!arrived && !opened && !closed)
        return;
    json_t *detail = event->detail ? json_loads(event->detail, 0, NULL) : NULL;
    pthread_mutex_lock(&heard.lock);
    if (arrived) {
        note_arrival(text_of(detail, "study"), text_of(detail, "aet"), event->time);
    } else {
        struct caller *caller = caller_of(event->subject, text_of(detail, "host"));
        caller->open += opened;
        caller->since_start += opened;
        caller->open -= closed && caller->open > 0;
        caller->last = event->time;
    }
    pthread_mutex_unlock(&heard.lock);
    json_decref(detail);
}

bool vt_now_listen(struct vt_events *events, struct vt_err *err)
{
    pthread_mutex_lock(&heard.lock);
    bool already = heard.listens;
    heard.listens = true;
    pthread_mutex_unlock(&heard.lock);
    return already || !events || vt_events_subscribe(events, NULL, hear, NULL, err);
}

static json_int_t ms(int64_t ns)
{
    return (json_int_t)(ns / VT_NS_PER_MS);
}

/* Holds the lock. */
static json_t *arrivals(void)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ARRIVALS; i++) {
        const struct arrival *at = &heard.arrivals[i];
        if (at->instances > 0)
            json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I, s:I}", "study", at->study, "aet", at->aet, "instances",
                                                  (json_int_t)at->instances, "first", ms(at->first), "last", ms(at->last)));
    }
    return list;
}

/* Holds the lock. */
static json_t *callers(void)
{
    json_t *list = json_array();

    for (size_t i = 0; i < CALLERS; i++) {
        const struct caller *at = &heard.callers[i];
        if (at->since_start > 0)
            json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I, s:I}", "aet", at->aet, "host", at->host, "open",
                                                  (json_int_t)at->open, "associations", (json_int_t)at->since_start, "last", ms(at->last)));
    }
    return list;
}

static void now(struct vt_request *request)
{
    pthread_mutex_lock(&heard.lock);
    json_t *answer = json_pack("{s:I, s:o, s:o}", "instances", (json_int_t)heard.instances, "arrivals", arrivals(), "callers", callers());
    pthread_mutex_unlock(&heard.lock);
    vt_answer_json(request, 200, answer);
}

const struct vt_route vt_now_routes[] = {
    { "GET", "/api/now", VT_USER_VIEWER, now, NULL, 0 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};
