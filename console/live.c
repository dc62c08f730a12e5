/* GET /api/events: server-sent events of what happens here: {"kind","subject"}. What it is about is asked for anew, so that
 * nobody sees more than his role allows; who logs in and out is nobody's business. A reader that is too slow gets kind "lost" and asks
 * anew. The stream ends with its login. */
#include "console/api_inside.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STREAMS_MAX = 128, QUEUE_MAX = 64 << 10, EVENT_MAX = 1024, HEARTBEAT_S = 15, LOOK_MS = 500 };

struct stream {
    struct vt_request *request;
    struct vt_login_pass pass;
    struct vt_buf waiting; /* guarded by hub.lock */
    bool lost;
    struct stream *next;
};

/* For ever, since events know no way to unsubscribe; without streams it does nothing. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t news;
    struct stream *streams;
    size_t count;
    bool listens;
} hub = { .lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER };

void vt_live_tell(const char *kind, const char *subject)
{
    char text[EVENT_MAX];
    struct vt_err ignored = { 0 };

    json_t *value = json_pack("{s:s, s:s}", "kind", kind, "subject", subject);
    char *line = value ? json_dumps(value, JSON_COMPACT) : NULL;
    int length = line ? snprintf(text, sizeof text, "data: %s\n\n", line) : -1;
    free(line);
    json_decref(value);
    if (length < 0 || (size_t)length >= sizeof text)
        return;
    pthread_mutex_lock(&hub.lock);
    for (struct stream *s = hub.streams; s; s = s->next)
        if (!vt_buf_append(&s->waiting, text, (size_t)length, &ignored)) {
            vt_buf_reset(&s->waiting);
            s->lost = true;
        }
    pthread_cond_broadcast(&hub.news);
    pthread_mutex_unlock(&hub.lock);
}

bool vt_live_anybody(void)
{
    pthread_mutex_lock(&hub.lock);
    bool some = hub.count > 0;
    pthread_mutex_unlock(&hub.lock);
    return some;
}

static void tell(void *context, const struct vt_event *event)
{
    (void)context;
    if (strncmp(event->kind, "console.", strlen("console.")) != 0 && vt_live_anybody())
        vt_live_tell(event->kind, event->subject);
}

bool vt_live_listen(struct vt_events *events, struct vt_err *err)
{
    pthread_mutex_lock(&hub.lock);
    bool already = hub.listens;
    hub.listens = true;
    pthread_mutex_unlock(&hub.lock);
    return already || !events || vt_events_subscribe(events, NULL, tell, NULL, err);
}

/* ---- one page ---- */

static void stream_free(void *state)
{
    struct stream *stream = state;

    pthread_mutex_lock(&hub.lock);
    for (struct stream **at = &hub.streams; *at; at = &(*at)->next)
        if (*at == stream) {
            *at = stream->next;
            hub.count--;
            break;
        }
    pthread_mutex_unlock(&hub.lock);
    vt_buf_fini(&stream->waiting);
    free(stream);
}

/* Holds the lock. */
static void wait_a_little(void)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOOK_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&hub.news, &hub.lock, &until);
}

/* Holds the lock. */
static size_t take(struct stream *stream, uint8_t *bytes, size_t size)
{
    static const char lost[] = "data: {\"kind\":\"lost\",\"subject\":\"\"}\n\n";

    if (stream->lost && size >= sizeof lost) {
        stream->lost = false;
        memcpy(bytes, lost, sizeof lost - 1);
        return sizeof lost - 1;
    }
    size = size < stream->waiting.size ? size : stream->waiting.size;
    if (size > 0) {
        memcpy(bytes, stream->waiting.data, size);
        memmove(stream->waiting.data, stream->waiting.data + size, stream->waiting.size - size);
        stream->waiting.size -= size;
    }
    return size;
}

/* The server stops, or whoever it was may no longer look. */
static bool is_over(const struct stream *stream)
{
    const struct vt_console *console = vt_request_context(stream->request);
    const char *why;

    return vt_request_ending(stream->request) || !vt_login_holds(console->login, &stream->pass, false, &why);
}

static ptrdiff_t pull(void *state, uint64_t position, uint8_t *bytes, size_t size)
{
    static const char hello[] = "retry: 2000\n\n", beat[] = ":\n\n";
    struct stream *stream = state;
    const char *text = position == 0 ? hello : beat;
    int64_t until = position == 0 ? 0 : vt_clock_mono() + HEARTBEAT_S * VT_NS_PER_S;
    size_t got = 0;

    while (position > 0 && !is_over(stream)) {
        pthread_mutex_lock(&hub.lock);
        if ((got = take(stream, bytes, size)) == 0 && vt_clock_mono() < until) {
            wait_a_little();
            got = take(stream, bytes, size);
        }
        pthread_mutex_unlock(&hub.lock);
        if (got > 0 || vt_clock_mono() >= until)
            break;
    }
    if (is_over(stream))
        return 0;
    if (got > 0)
        return (ptrdiff_t)got;
    got = strlen(text) < size ? strlen(text) : size;
    memcpy(bytes, text, got);
    return (ptrdiff_t)got;
}

static void events(struct vt_request *request)
{
    struct stream *stream = calloc(1, sizeof *stream);
    bool room;

    if (!stream)
        return;
    stream->request = request;
    vt_login_pass_of(request, VT_USER_VIEWER, &stream->pass);
    vt_buf_init(&stream->waiting, QUEUE_MAX);
    pthread_mutex_lock(&hub.lock);
    room = hub.count < STREAMS_MAX;
    if (room) {
        stream->next = hub.streams;
        hub.streams = stream;
        hub.count++;
    }
    pthread_mutex_unlock(&hub.lock);
    if (!room) {
        stream_free(stream);
        vt_answer_error(request, 503, "%d pages follow what happens: no more can.", STREAMS_MAX);
        return;
    }
    vt_answer_header(request, "Cache-Control", "no-store");
    vt_answer_stream(request, 200, "text/event-stream", UINT64_MAX, pull, stream, stream_free);
}

const struct vt_route vt_live_routes[] = {
    { "GET", "/api/events", VT_USER_VIEWER, events, NULL, 0 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};
