#include "cmd/arrivals.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "archive/archive.h"
#include "cmd/arrivals_recover.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"
#include "core/jobs.h"
#include "core/log.h"

#define TRY_AGAIN VT_NS_PER_S
#define MARK_EVERY VT_NS_PER_S

struct batch {
    struct vt_arrivals_batch public;
    char (*uids)[VT_UID_MAX + 1];
    const char **list;
    size_t room;
    int64_t due; /* monotonic */
    struct batch *next;
};

struct vt_arrivals {
    struct vt_arrivals_options options; /* fixed */
    pthread_t thread;
    bool started;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* guarded by lock */
    struct vt_arrival *waiting;
    size_t count, room;
    int64_t missed; /* wall: from then on some are only in the index; 0: none */
    bool stopping;

    /* the thread's */
    struct batch *open; /* oldest first */
    size_t open_count;
    int64_t marked; /* monotonic */
};

/* ---- the archive's side ---- */

/* "key":"value" of a flat object of ours. */
static void read_text(const char *detail, const char *key, char *out, size_t room)
{
    char pattern[24];

    out[0] = '\0';
    snprintf(pattern, sizeof pattern, "\"%s\":\"", key);
    const char *at = detail ? strstr(detail, pattern) : NULL;
    if (!at)
        return;
    at += strlen(pattern);
    size_t length = strcspn(at, "\"");
    if (length < room) {
        memcpy(out, at, length);
        out[length] = '\0';
    }
}

static bool make_room(struct vt_arrivals *arrivals)
{
    if (arrivals->count < arrivals->room)
        return true;
    size_t wanted = arrivals->room ? arrivals->room * 2 : 256;
    if (wanted > VT_ARRIVALS_WAITING_MAX)
        return false;
    struct vt_arrival *grown = reallocarray(arrivals->waiting, wanted, sizeof *grown);
    if (!grown)
        return false;
    arrivals->waiting = grown;
    arrivals->room = wanted;
    return true;
}

static void on_stored(void *context, const struct vt_event *event)
{
    struct vt_arrivals *arrivals = context;
    struct vt_arrival one = { .at = event->time };

    if (strcmp(event->kind, "instance.stored") != 0 && strcmp(event->kind, "instance.changed") != 0)
        return;
    snprintf(one.sop_uid, sizeof one.sop_uid, "%s", event->subject);
    read_text(event->detail, "study", one.study_uid, sizeof one.study_uid);
    read_text(event->detail, "aet", one.ae_title, sizeof one.ae_title);
    one.new_study = event->detail && strstr(event->detail, "\"new_study\":true");
    pthread_mutex_lock(&arrivals->lock);
    if (make_room(arrivals))
        arrivals->waiting[arrivals->count++] = one;
    else if (arrivals->missed == 0)
        arrivals->missed = event->time - VT_NS_PER_S;
    if (arrivals->count == 1)
        pthread_cond_signal(&arrivals->changed);
    pthread_mutex_unlock(&arrivals->lock);
}

/* ---- batches ---- */

static void batch_free(struct batch *batch)
{
    free(batch->uids);
    free(batch->list);
    free(batch);
}

static bool hand_out(struct vt_arrivals *arrivals, struct batch *batch)
{
    struct vt_err err = { 0 };

    for (size_t i = 0; i < batch->public.count; i++)
        batch->list[i] = batch->uids[i];
    batch->public.sop_uids = batch->list;
    if (arrivals->options.batch(arrivals->options.context, &batch->public, &err))
        return true;
    vt_log(VT_LOG_ERROR, "arrivals.failed", "name=%s study=%s text=\"%s\"", arrivals->options.name,
           batch->public.study_uid, err.text);
    return false;
}

/* Out of the list when it was taken; else it is tried again. */
static void close_batch(struct vt_arrivals *arrivals, struct batch **link, int64_t now)
{
    struct batch *batch = *link;

    if (!hand_out(arrivals, batch)) {
        batch->due = now + TRY_AGAIN;
        return;
    }
    *link = batch->next;
    arrivals->open_count--;
    batch_free(batch);
}

static struct batch **find_batch(struct vt_arrivals *arrivals, const struct vt_arrival *arrival)
{
    struct batch **link = &arrivals->open;

    while (*link && (strcmp((*link)->public.study_uid, arrival->study_uid) != 0 ||
                     strcmp((*link)->public.ae_title, arrival->ae_title) != 0 ||
                     (*link)->public.count >= VT_ARRIVALS_BATCH_MAX))
        link = &(*link)->next;
    return link;
}

static struct batch *open_batch(struct vt_arrivals *arrivals, struct batch **link,
                                const struct vt_arrival *arrival)
{
    struct batch *batch = calloc(1, sizeof *batch);

    if (!batch)
        return NULL;
    memcpy(batch->public.study_uid, arrival->study_uid, sizeof arrival->study_uid);
    memcpy(batch->public.ae_title, arrival->ae_title, sizeof arrival->ae_title);
    batch->public.first = arrival->at;
    *link = batch;
    arrivals->open_count++;
    return batch;
}

static bool append(struct batch *batch, const char *sop_uid)
{
    if (batch->public.count == batch->room) {
        size_t wanted = batch->room ? batch->room * 2 : 32;
        void *uids = reallocarray(batch->uids, wanted, sizeof *batch->uids);
        batch->uids = uids ? uids : batch->uids;
        void *list = reallocarray(batch->list, wanted, sizeof *batch->list);
        batch->list = list ? list : batch->list;
        if (!uids || !list)
            return false;
        batch->room = wanted;
    }
    memcpy(batch->uids[batch->public.count++], sop_uid, VT_UID_MAX + 1);
    return true;
}

/* false: no memory; it is in the index all the same. */
static bool gather(struct vt_arrivals *arrivals, const struct vt_arrival *arrival, int64_t now)
{
    struct batch **link = find_batch(arrivals, arrival);
    bool fresh = !*link;

    if (fresh && arrivals->open_count >= VT_ARRIVALS_OPEN_MAX) {
        close_batch(arrivals, &arrivals->open, now);
        link = find_batch(arrivals, arrival);
    }
    struct batch *batch = *link ? *link : open_batch(arrivals, link, arrival);
    if (!batch || !append(batch, arrival->sop_uid))
        return false;
    batch->due = batch->public.count >= VT_ARRIVALS_BATCH_MAX ? now : now + arrivals->options.quiet;
    if (fresh && arrival->new_study && arrivals->options.began)
        arrivals->options.began(arrivals->options.context, arrival->study_uid, arrival->ae_title);
    return true;
}

/* Hands out what is due; the next time at which something will be. */
static int64_t hand_out_due(struct vt_arrivals *arrivals, int64_t now, bool all)
{
    int64_t next = now + 60 * VT_NS_PER_S;

    for (struct batch **link = &arrivals->open; *link;) {
        struct batch *batch = *link;
        if (all || batch->due <= now)
            close_batch(arrivals, link, now);
        if (*link != batch)
            continue;
        next = batch->due < next ? batch->due : next;
        link = &batch->next;
    }
    return next;
}

/* ---- the mark ---- */

/* Everything that arrived before was handed out. Negative: and the process ended in good order. */
static void set_mark(struct vt_arrivals *arrivals, bool last)
{
    int64_t now = vt_clock_mono(), mark = vt_clock_wall() - VT_NS_PER_S;
    struct vt_err err = { 0 };

    if (!last && now - arrivals->marked < MARK_EVERY)
        return;
    arrivals->marked = now;
    for (const struct batch *batch = arrivals->open; batch; batch = batch->next)
        mark = batch->public.first < mark ? batch->public.first : mark;
    if (!vt_jobs_set_mark(arrivals->options.jobs, arrivals->options.name,
                          last && !arrivals->open ? -mark : mark, &err))
        vt_log(VT_LOG_ERROR, "arrivals.failed", "name=%s text=\"%s\"", arrivals->options.name,
               err.text);
}

struct recovery {
    struct vt_arrivals *arrivals;
    bool full;
};

static bool on_recovered(void *context, const struct vt_arrival *arrival)
{
    struct recovery *recovery = context;
    int64_t now = vt_clock_mono();

    recovery->full = !gather(recovery->arrivals, arrival, now);
    hand_out_due(recovery->arrivals, now, false);
    return !recovery->full;
}

/* What the index has from then on and no job was made for. */
static bool recover_since(struct vt_arrivals *arrivals, int64_t since)
{
    struct recovery recovery = { .arrivals = arrivals };
    const struct vt_arrivals_options *options = &arrivals->options;
    struct vt_err err = { 0 };

    if (!vt_arrivals_recover(options->archive, options->jobs, options->name, since, on_recovered,
                             &recovery, &err)) {
        vt_log(VT_LOG_ERROR, "arrivals.failed", "name=%s text=\"%s\"", options->name, err.text);
        return false;
    }
    return !recovery.full;
}

static void recover(struct vt_arrivals *arrivals)
{
    int64_t mark = 0;
    struct vt_err err = { 0 };

    if (!vt_jobs_mark(arrivals->options.jobs, arrivals->options.name, &mark, &err))
        vt_log(VT_LOG_ERROR, "arrivals.failed", "name=%s text=\"%s\"", arrivals->options.name,
               err.text);
    if (mark > 0)
        recover_since(arrivals, mark - VT_NS_PER_S);
    arrivals->marked = vt_clock_mono() - MARK_EVERY;
    set_mark(arrivals, false);
}

/* ---- the thread ---- */

static struct vt_arrival *take(struct vt_arrivals *arrivals, int64_t until, size_t *out_count,
                               int64_t *out_missed, bool *out_stopping)
{
    struct timespec deadline = { .tv_sec = until / VT_NS_PER_S, .tv_nsec = until % VT_NS_PER_S };
    int waited = 0;

    pthread_mutex_lock(&arrivals->lock);
    while (arrivals->count == 0 && arrivals->missed == 0 && !arrivals->stopping && waited == 0)
        waited = pthread_cond_timedwait(&arrivals->changed, &arrivals->lock, &deadline);
    struct vt_arrival *taken = arrivals->waiting;
    *out_count = arrivals->count;
    *out_missed = arrivals->missed;
    *out_stopping = arrivals->stopping;
    arrivals->waiting = NULL;
    arrivals->count = arrivals->room = 0;
    arrivals->missed = 0;
    pthread_mutex_unlock(&arrivals->lock);
    return taken;
}

static void *gather_arrivals(void *context)
{
    struct vt_arrivals *arrivals = context;
    bool stopping = false;

    recover(arrivals);
    while (!stopping) {
        int64_t now = vt_clock_mono(), missed;
        int64_t next = hand_out_due(arrivals, now, false);
        size_t count;
        if (arrivals->open || arrivals->marked)
            set_mark(arrivals, false);
        if (arrivals->open && next > now + MARK_EVERY)
            next = now + MARK_EVERY;
        vt_autofree struct vt_arrival *taken = take(arrivals, next, &count, &missed, &stopping);
        for (size_t i = 0; i < count; i++)
            if (!gather(arrivals, &taken[i], vt_clock_mono()) && missed == 0)
                missed = taken[i].at - VT_NS_PER_S;
        if (missed)
            recover_since(arrivals, missed);
    }
    hand_out_due(arrivals, vt_clock_mono(), true);
    set_mark(arrivals, true);
    return NULL;
}

/* ---- life ---- */

struct vt_arrivals *vt_arrivals_new(const struct vt_arrivals_options *options, struct vt_err *err)
{
    struct vt_arrivals *arrivals = calloc(1, sizeof *arrivals);
    pthread_condattr_t monotonic;

    if (!arrivals) {
        vt_fail(err, VT_E_NOMEM, "no memory for what arrives");
        return NULL;
    }
    arrivals->options = *options;
    pthread_mutex_init(&arrivals->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&arrivals->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (!vt_events_subscribe(options->events, "instance.", on_stored, arrivals, err)) {
        vt_arrivals_free(arrivals);
        return NULL;
    }
    return arrivals;
}

bool vt_arrivals_start(struct vt_arrivals *arrivals, struct vt_err *err)
{
    arrivals->started = pthread_create(&arrivals->thread, NULL, gather_arrivals, arrivals) == 0;
    return arrivals->started || vt_fail(err, VT_E_LIMIT, "no thread for what arrives");
}

void vt_arrivals_free(struct vt_arrivals *arrivals)
{
    if (!arrivals)
        return;
    pthread_mutex_lock(&arrivals->lock);
    arrivals->stopping = true;
    pthread_cond_signal(&arrivals->changed);
    pthread_mutex_unlock(&arrivals->lock);
    if (arrivals->started)
        pthread_join(arrivals->thread, NULL);
    while (arrivals->open) {
        struct batch *batch = arrivals->open;
        arrivals->open = batch->next;
        batch_free(batch);
    }
    pthread_cond_destroy(&arrivals->changed);
    pthread_mutex_destroy(&arrivals->lock);
    free(arrivals->waiting);
    free(arrivals);
}
