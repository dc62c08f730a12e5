/* The thread that follows the events into the picture and tells the listeners; and tasks, seen to end
 * in the picture. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "hypervisor/driver.h"
#include "hypervisor/pool_keeper_inside.h"

enum { RETRY_S = 300 }; /* after a refused password: each try costs the server 5 s */

/* ---- what the watching tells ---- */

static void on_reset(void *context)
{
    struct vt_keeper *keeper = context;

    pthread_rwlock_wrlock(&keeper->picture_lock);
    vt_picture_reset(keeper->picture);
    pthread_rwlock_unlock(&keeper->picture_lock);
    keeper->change_count = 0;
    keeper->overflowed = true;
}

static enum vt_class class_of(const char *name)
{
    size_t class = 0;

    while (class < VT_CLASSES && strcasecmp(vt_picture_class_names[class], name) != 0)
        class ++;
    return (enum vt_class) class;
}

static void note_change(struct vt_keeper *keeper, const struct vt_xapi_event *event)
{
    if (keeper->overflowed)
        return;
    if (keeper->change_count == VT_KEEPER_CHANGES_MAX) {
        keeper->overflowed = true;
        return;
    }
    struct vt_keeper_change *change = &keeper->changes[keeper->change_count++];
    change->class = class_of(event->class);
    change->operation = event->operation;
    snprintf(change->ref, sizeof change->ref, "%s", event->ref);
}

static bool on_event(void *context, const struct vt_xapi_event *event, struct vt_err *err)
{
    struct vt_keeper *keeper = context;

    pthread_rwlock_wrlock(&keeper->picture_lock);
    bool ok = vt_picture_event(keeper->picture, event, err);
    pthread_rwlock_unlock(&keeper->picture_lock);
    if (class_of(event->class) != VT_CLASSES)
        note_change(keeper, event);
    return ok;
}

static void on_batch(void *context, const struct vt_xmlrpc_value *valid_ref_counts, bool first)
{
    struct vt_keeper *keeper = context;

    (void)valid_ref_counts;
    pthread_rwlock_wrlock(&keeper->picture_lock);
    vt_picture_batch(keeper->picture, first);
    pthread_rwlock_unlock(&keeper->picture_lock);
    keeper->first_of_life = first;
}

/* Away or back: who waits and who listens learns it. */
static void set_state(struct vt_keeper *keeper, const struct vt_err *why)
{
    pthread_mutex_lock(&keeper->lock);
    bool changed = keeper->answers != !why || (!why && !keeper->ready);
    keeper->answers = !why;
    if (why && changed)
        keeper->away_since = vt_clock_wall();
    if (!why)
        keeper->away_since = 0;
    snprintf(keeper->why, sizeof keeper->why, "%.190s", why ? why->text : "");
    pthread_cond_broadcast(&keeper->moved);
    pthread_mutex_unlock(&keeper->lock);
    for (size_t i = 0; i < keeper->listener_count && changed; i++)
        if (keeper->listeners[i].state)
            keeper->listeners[i].state(keeper->listeners[i].context, keeper, why);
}

static void on_state(void *context, const struct vt_err *err)
{
    struct vt_keeper *keeper = context;

    if (err) { /* that it is back is said when the picture is whole */
        vt_log(VT_LOG_WARN, "pool.away", "pool=%s reason=\"%s\"", keeper->name, err->text);
        set_state(keeper, err);
    }
}

/* Behind a batch: readers that wait for it, then the listeners. */
static void on_token(void *context, const char *token)
{
    struct vt_keeper *keeper = context;
    bool whole = keeper->overflowed || keeper->first_of_life;
    size_t count = whole ? 0 : keeper->change_count;
    struct vt_err ignored = { 0 };

    pthread_mutex_lock(&keeper->lock);
    bool was_away = !keeper->answers, first = !keeper->ready;
    snprintf(keeper->token, sizeof keeper->token, "%s", token);
    keeper->events_seen += count;
    keeper->batches++;
    keeper->dirty = keeper->dirty || whole || count > 0;
    pthread_mutex_unlock(&keeper->lock);
    if (was_away)
        set_state(keeper, NULL);
    pthread_mutex_lock(&keeper->lock);
    keeper->ready = true;
    pthread_cond_broadcast(&keeper->moved);
    pthread_mutex_unlock(&keeper->lock);
    if (was_away || first) {
        vt_log(VT_LOG_INFO, "pool.answers", "pool=%s", keeper->name);
        vt_keeper_save(keeper, &ignored);
        malloc_trim(0); /* the first answer is large */
    }
    for (size_t i = 0; i < keeper->listener_count && (whole || count); i++)
        if (keeper->listeners[i].changed)
            keeper->listeners[i].changed(keeper->listeners[i].context, keeper, keeper->changes,
                                         count, whole);
    keeper->change_count = 0;
    keeper->overflowed = false;
}

/* ---- the thread ---- */

void vt_keeper_interrupt(struct vt_keeper *keeper)
{
    if (keeper->events)
        vt_line_stop(keeper->events);
    if (keeper->session)
        keeper->driver->stop(keeper->session);
}

static void resume(struct vt_keeper *keeper)
{
    vt_line_resume(keeper->events);
    if (keeper->session)
        keeper->driver->resume(keeper->session);
}

enum turn { TURN_END, TURN_AGAIN, TURN_REFUSED };

/* Why the watching ended, and the line is of use again. */
static enum turn next_turn(struct vt_keeper *keeper)
{
    pthread_mutex_lock(&keeper->lock);
    enum turn turn = keeper->stop ? TURN_END : keeper->again ? TURN_AGAIN : TURN_REFUSED;
    keeper->again = false;
    if (turn != TURN_END) /* under the lock: an end that comes now stops the line again */
        resume(keeper);
    pthread_mutex_unlock(&keeper->lock);
    return turn;
}

void *vt_keeper_follow(void *context)
{
    struct vt_keeper *keeper = context;
    const struct vt_xapi_watch watch = { .context = keeper,
                                         .reset = on_reset,
                                         .event = on_event,
                                         .batch = on_batch,
                                         .state = on_state,
                                         .token = on_token };

    for (;;) {
        struct vt_err err = { 0 };
        if (keeper->session)
            keeper->driver->watch(keeper->session, &watch, &err);
        else
            vt_xapi_watch(keeper->xapi, keeper->events, vt_picture_class_names, VT_CLASSES, &watch,
                          &err);
        enum turn turn = next_turn(keeper);
        if (turn == TURN_END)
            return NULL;
        if (turn == TURN_AGAIN)
            continue;
        vt_log(VT_LOG_ERROR, "pool.refused", "pool=%s reason=\"%s\"", keeper->name, err.text);
        set_state(keeper, &err);
        int64_t end = vt_clock_mono() + RETRY_S * VT_NS_PER_S;
        pthread_mutex_lock(&keeper->lock);
        while (vt_clock_mono() < end && !keeper->again &&
               vt_keeper_wait_moved(keeper, end - vt_clock_mono()))
            continue;
        pthread_mutex_unlock(&keeper->lock);
        next_turn(keeper);
    }
}

/* ---- tasks, as the picture shows them ---- */

/* true: it has ended. A task that is not in the picture may be too new. */
static bool task_ended(struct vt_keeper *keeper, const char *task, double *out_progress)
{
    const struct vt_object *object = vt_picture_get(vt_keeper_read(keeper), task);
    bool ended = false;

    if (object && vt_object_class(object) == VT_CLASS_TASK) {
        const char *status = vt_object_text(object, "status");
        *out_progress = strtod(vt_object_text(object, "progress"), NULL);
        ended = *status && strcmp(status, "pending") != 0 && strcmp(status, "cancelling") != 0;
    }
    vt_keeper_done(keeper);
    return ended;
}

bool vt_keeper_see_task(void *context, const char *task, int64_t wait_ns, double *out_progress)
{
    struct vt_keeper *keeper = context;
    int64_t end = vt_clock_mono() + wait_ns;
    uint64_t seen = 0;
    bool going = true;

    do {
        pthread_mutex_lock(&keeper->lock);
        seen = keeper->batches;
        pthread_mutex_unlock(&keeper->lock);
        if (task_ended(keeper, task, out_progress))
            return true;
        pthread_mutex_lock(&keeper->lock);
        while (going && keeper->batches == seen && vt_clock_mono() < end)
            going = vt_keeper_wait_moved(keeper, end - vt_clock_mono());
        pthread_mutex_unlock(&keeper->lock);
    } while (going && vt_clock_mono() < end);
    if (!going) /* it ends: the one who asks finds out by looking */
        vt_clock_sleep(wait_ns);
    return task_ended(keeper, task, out_progress);
}
