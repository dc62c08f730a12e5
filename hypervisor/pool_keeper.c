/* One thread follows the events into the picture; readers hold a lock that prefers the writer, so
 * that many readers do not keep the picture old. */
#include "hypervisor/pool_keeper.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/io.h"
#include "core/log.h"
#include "hypervisor/driver.h"

enum {
    SAVE_EVERY_S = 60,
    CHANGES_MAX = 4096, /* of one batch; more are told as a picture that came anew */
    RETRY_S = 300,      /* after a refused password: each try costs the server 5 s */
    LOGIN_WAIT_S = 15,
};

struct vt_keeper {
    /* fixed after _new */
    char name[VT_KEEPER_NAME_MAX], folder[VT_KEEPER_PATH_MAX], url[512];
    int64_t save_every;
    const struct vt_driver *driver;
    void *session; /* of a driver that is not xapi: then there is no xapi */
    struct vt_xapi *xapi;
    int lock_fd;
    struct vt_keeper_listener listeners[VT_KEEPER_LISTENERS_MAX]; /* fixed after _start */
    size_t listener_count;
    struct vt_line *events; /* of the following thread; stopped by vt_keeper_free */
    pthread_t follower, saver;
    bool following, saving, ended; /* ended: of the thread that ends it */

    pthread_rwlock_t picture_lock; /* guards the picture */
    struct vt_picture *picture;

    /* of the following thread */
    struct vt_keeper_change changes[CHANGES_MAX];
    size_t change_count;
    bool overflowed, first_of_life;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t moved; /* a batch was taken, the state changed, or it ends */
    bool stop, again, ready, answers, dirty;
    int64_t away_since;
    uint64_t events_seen, batches;
    char why[200];
    char token[VT_XAPI_TOKEN_MAX];
};

/* ---- the thread that follows ---- */

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
    if (keeper->change_count == CHANGES_MAX) {
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

/* ---- waiting ---- */

static struct timespec wall_in(int64_t ns)
{
    int64_t end = vt_clock_wall() + ns;

    return (struct timespec){ .tv_sec = (time_t)(end / VT_NS_PER_S),
                              .tv_nsec = (long)(end % VT_NS_PER_S) };
}

/* Holding the lock: until something moved, or so long. false: it ends. */
static bool wait_moved(struct vt_keeper *keeper, int64_t ns)
{
    struct timespec until = wall_in(ns);

    if (!keeper->stop && ns > 0)
        pthread_cond_timedwait(&keeper->moved, &keeper->lock, &until);
    return !keeper->stop;
}

static void interrupt(struct vt_keeper *keeper)
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

static void *follow(void *context)
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
               wait_moved(keeper, end - vt_clock_mono()))
            continue;
        pthread_mutex_unlock(&keeper->lock);
        next_turn(keeper);
    }
}

static void *save_now_and_then(void *context)
{
    struct vt_keeper *keeper = context;
    int64_t next = vt_clock_mono() + keeper->save_every;
    bool stop = false;

    while (!stop) {
        struct vt_err err = { 0 };
        pthread_mutex_lock(&keeper->lock);
        while (!keeper->stop && vt_clock_mono() < next)
            wait_moved(keeper, next - vt_clock_mono());
        stop = keeper->stop;
        bool dirty = keeper->dirty;
        pthread_mutex_unlock(&keeper->lock);
        next = vt_clock_mono() + keeper->save_every;
        if (dirty && !stop && !vt_keeper_save(keeper, &err))
            vt_log(VT_LOG_WARN, "pool.save", "pool=%s reason=\"%s\"", keeper->name, err.text);
    }
    return NULL;
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

static bool see_task(void *context, const char *task, int64_t wait_ns, double *out_progress)
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
            going = wait_moved(keeper, end - vt_clock_mono());
        pthread_mutex_unlock(&keeper->lock);
    } while (going && vt_clock_mono() < end);
    if (!going) /* it ends: the one who asks finds out by looking */
        vt_clock_sleep(wait_ns);
    return task_ended(keeper, task, out_progress);
}

/* ---- life ---- */

static bool take_state(struct vt_keeper *keeper, const struct vt_keeper_options *options,
                       struct vt_err *err)
{
    char path[VT_KEEPER_PATH_MAX + 32];

    if (strlen(options->state) >= sizeof keeper->folder ||
        strlen(options->name) >= sizeof keeper->name ||
        strlen(options->xapi.url) >= sizeof keeper->url)
        return vt_fail(err, VT_E_INVALID, "pool.state, the pool's name or its url is too long");
    snprintf(keeper->folder, sizeof keeper->folder, "%s", options->state);
    snprintf(keeper->name, sizeof keeper->name, "%s", options->name);
    snprintf(keeper->url, sizeof keeper->url, "%s", options->xapi.url);
    keeper->save_every =
        options->save_every ? options->save_every : SAVE_EVERY_S * VT_NS_PER_S;
    if (!vt_io_make_folder(keeper->folder, err))
        return false;
    snprintf(path, sizeof path, "%s/lock", keeper->folder);
    keeper->lock_fd = vt_io_lock(path, err);
    if (keeper->lock_fd >= 0)
        return true;
    return err->code == VT_E_BUSY
               ? vt_fail(err, VT_E_BUSY, "another vitrine-poold keeps %.150s", keeper->folder)
               : false;
}

static bool remember(struct vt_keeper *keeper, struct vt_err *err)
{
    char path[VT_KEEPER_PATH_MAX + 32];
    struct vt_err why = { 0 };

    snprintf(path, sizeof path, "%s/members.json", keeper->folder);
    if (keeper->xapi && !vt_members_restore(keeper->xapi, path, err) &&
        err->code != VT_E_NOTFOUND)
        return false;
    vt_err_clear(err);
    snprintf(path, sizeof path, "%s/picture.json", keeper->folder);
    if (vt_picture_restore(keeper->picture, path, &why) || why.code == VT_E_NOTFOUND)
        return true;
    vt_log(VT_LOG_WARN, "pool.picture", "pool=%s reason=\"%s\"", keeper->name, why.text);
    vt_picture_free(keeper->picture);
    keeper->picture = vt_picture_new();
    return keeper->picture || vt_fail(err, VT_E_NOMEM, "no memory for the picture of the pool");
}

static void init_locks(struct vt_keeper *keeper)
{
    pthread_rwlockattr_t prefer;

    pthread_rwlockattr_init(&prefer);
    pthread_rwlockattr_setkind_np(&prefer, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&keeper->picture_lock, &prefer);
    pthread_rwlockattr_destroy(&prefer);
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_cond_init(&keeper->moved, NULL);
}

static bool open_session(struct vt_keeper *keeper, const struct vt_keeper_options *options,
                         struct vt_err *err)
{
    keeper->driver = vt_driver_for(options->xapi.url);
    if (keeper->driver->open)
        keeper->session = keeper->driver->open(options->xapi.url, err);
    else
        keeper->xapi = vt_xapi_new(&options->xapi, err);
    return keeper->session || keeper->xapi;
}

struct vt_keeper *vt_keeper_new(const struct vt_keeper_options *options, struct vt_err *err)
{
    struct vt_keeper *keeper = calloc(1, sizeof *keeper);

    if (!keeper) {
        vt_fail(err, VT_E_NOMEM, "no memory for a pool");
        return NULL;
    }
    keeper->lock_fd = -1;
    init_locks(keeper);
    snprintf(keeper->why, sizeof keeper->why, "it was not asked yet");
    keeper->picture = vt_picture_new();
    bool ok = keeper->picture || vt_fail(err, VT_E_NOMEM, "no memory for the picture of the pool");
    ok = ok && take_state(keeper, options, err);
    ok = ok && open_session(keeper, options, err);
    keeper->events = ok ? vt_line_new(err) : NULL;
    if (keeper->events && remember(keeper, err)) {
        if (keeper->xapi)
            vt_xapi_see_tasks(keeper->xapi, see_task, keeper);
        return keeper;
    }
    vt_keeper_free(keeper);
    return NULL;
}

void vt_keeper_stop(struct vt_keeper *keeper)
{
    if (keeper->ended)
        return;
    keeper->ended = true;
    pthread_mutex_lock(&keeper->lock);
    keeper->stop = true;
    pthread_cond_broadcast(&keeper->moved);
    pthread_mutex_unlock(&keeper->lock);
    interrupt(keeper);
    if (keeper->following)
        pthread_join(keeper->follower, NULL);
    if (keeper->saving)
        pthread_join(keeper->saver, NULL);
}

static void log_out(struct vt_keeper *keeper)
{
    struct vt_err ignored = { 0 };
    char master[VT_XAPI_ADDRESS_MAX];
    VT_AUTO(vt_line) line = NULL;

    if (!keeper->xapi)
        return;
    vt_xapi_master(keeper->xapi, master);
    if (*master && (line = vt_line_new(&ignored)))
        vt_xapi_logout(keeper->xapi, line, &ignored);
}

void vt_keeper_free(struct vt_keeper *keeper)
{
    struct vt_err ignored = { 0 };

    if (!keeper)
        return;
    vt_keeper_stop(keeper);
    if (keeper->following && keeper->dirty)
        vt_keeper_save(keeper, &ignored);
    if (keeper->following && keeper->answers)
        log_out(keeper);
    vt_line_free(keeper->events);
    vt_xapi_free(keeper->xapi);
    if (keeper->session)
        keeper->driver->close(keeper->session);
    vt_picture_free(keeper->picture);
    if (keeper->lock_fd >= 0)
        close(keeper->lock_fd);
    pthread_cond_destroy(&keeper->moved);
    pthread_mutex_destroy(&keeper->lock);
    pthread_rwlock_destroy(&keeper->picture_lock);
    free(keeper);
}

bool vt_keeper_listen(struct vt_keeper *keeper, const struct vt_keeper_listener *listener,
                      struct vt_err *err)
{
    if (keeper->listener_count == VT_KEEPER_LISTENERS_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d listeners", VT_KEEPER_LISTENERS_MAX);
    keeper->listeners[keeper->listener_count++] = *listener;
    return true;
}

bool vt_keeper_start(struct vt_keeper *keeper, struct vt_err *err)
{
    keeper->following = pthread_create(&keeper->follower, NULL, follow, keeper) == 0;
    keeper->saving = keeper->following &&
                     pthread_create(&keeper->saver, NULL, save_now_and_then, keeper) == 0;
    return keeper->saving || vt_fail(err, VT_E_NOMEM, "no memory for a thread");
}

bool vt_keeper_wait(struct vt_keeper *keeper, int64_t deadline)
{
    pthread_mutex_lock(&keeper->lock);
    while (!keeper->ready && vt_clock_mono() < deadline &&
           wait_moved(keeper, deadline - vt_clock_mono()))
        continue;
    bool ready = keeper->ready;
    pthread_mutex_unlock(&keeper->lock);
    return ready;
}

bool vt_keeper_again(struct vt_keeper *keeper, int64_t deadline)
{
    pthread_mutex_lock(&keeper->lock);
    keeper->again = true;
    pthread_cond_broadcast(&keeper->moved);
    pthread_mutex_unlock(&keeper->lock);
    interrupt(keeper); /* what it waits for ends; the follower begins anew */
    pthread_mutex_lock(&keeper->lock);
    while ((keeper->again || !keeper->answers) && vt_clock_mono() < deadline &&
           wait_moved(keeper, deadline - vt_clock_mono()))
        continue;
    pthread_mutex_unlock(&keeper->lock);
    return true;
}

bool vt_keeper_catch_up(struct vt_keeper *keeper, struct vt_line *line, int64_t deadline)
{
    VT_AUTO_REPLY reply = { 0 };
    struct vt_err ignored = { 0 };
    char self[VT_XAPI_REF_MAX] = "", token[VT_XAPI_TOKEN_MAX];

    if (keeper->session)
        return keeper->driver->catch_up(keeper->session, deadline);
    const struct vt_object *pool = vt_picture_first(vt_keeper_read(keeper), VT_CLASS_POOL);
    if (pool)
        snprintf(self, sizeof self, "%s", vt_object_ref(pool));
    vt_keeper_done(keeper);
    if (!*self || !vt_xapi_call(keeper->xapi, line, &reply, &ignored, "event.inject", "ss", "pool",
                                self))
        return false;
    snprintf(token, sizeof token, "%s", vt_xmlrpc_text(reply.value, ""));
    pthread_mutex_lock(&keeper->lock);
    while (keeper->answers && strcmp(keeper->token, token) <= 0 && vt_clock_mono() < deadline &&
           wait_moved(keeper, deadline - vt_clock_mono()))
        continue;
    bool caught_up = strcmp(keeper->token, token) > 0;
    pthread_mutex_unlock(&keeper->lock);
    return caught_up;
}

/* ---- reading ---- */

const char *vt_keeper_name(const struct vt_keeper *keeper)
{
    return keeper->name;
}

const char *vt_keeper_url(const struct vt_keeper *keeper)
{
    return keeper->url;
}

const char *vt_keeper_folder(const struct vt_keeper *keeper)
{
    return keeper->folder;
}

const struct vt_driver *vt_keeper_driver(struct vt_keeper *keeper, void **out_session)
{
    *out_session = keeper->session;
    return keeper->driver;
}

struct vt_xapi *vt_keeper_xapi(struct vt_keeper *keeper)
{
    return keeper->xapi;
}

const struct vt_picture *vt_keeper_read(struct vt_keeper *keeper)
{
    pthread_rwlock_rdlock(&keeper->picture_lock);
    return keeper->picture;
}

void vt_keeper_done(struct vt_keeper *keeper)
{
    pthread_rwlock_unlock(&keeper->picture_lock);
}

struct vt_picture *vt_keeper_copy(struct vt_keeper *keeper, unsigned classes, struct vt_err *err)
{
    struct vt_picture *copy = vt_picture_new();

    if (!copy) {
        vt_fail(err, VT_E_NOMEM, "no memory for a copy of the picture");
        return NULL;
    }
    bool ok = vt_picture_copy(vt_keeper_read(keeper), classes, copy, err);
    vt_keeper_done(keeper);
    if (ok)
        return copy;
    vt_picture_free(copy);
    return NULL;
}

void vt_keeper_status(struct vt_keeper *keeper, struct vt_keeper_status *out)
{
    *out = (struct vt_keeper_status){ .time = vt_picture_time(vt_keeper_read(keeper)) };
    vt_keeper_done(keeper);
    pthread_mutex_lock(&keeper->lock);
    out->answers = keeper->answers;
    out->away_since = keeper->away_since;
    out->events = keeper->events_seen;
    snprintf(out->why, sizeof out->why, "%s", keeper->why);
    pthread_mutex_unlock(&keeper->lock);
    if (!keeper->xapi)
        return;
    out->logins = vt_xapi_login_count(keeper->xapi);
    vt_xapi_master(keeper->xapi, out->master);
}

/* ---- saving ---- */

/* Class by class from copies, so that neither readers nor events wait for the disk and never more
 * than one class is there twice. */
static bool write_classes(struct vt_keeper *keeper, struct vt_buf *text, struct vt_err *err)
{
    for (size_t class = 0; class < VT_CLASSES; class ++) {
        VT_AUTO(vt_picture)
        copy = vt_keeper_copy(keeper, VT_CLASS_BIT(class), err);
        if (!copy || (class == 0 && !vt_picture_save_begin(copy, text, err)) ||
            !vt_picture_save_class(copy, (enum vt_class) class, text, err))
            return false;
    }
    return true;
}

bool vt_keeper_save(struct vt_keeper *keeper, struct vt_err *err)
{
    VT_AUTO_BUF(text, VT_PICTURE_FILE_MAX);
    char path[VT_KEEPER_PATH_MAX + 32];

    snprintf(path, sizeof path, "%s/members.json", keeper->folder);
    if ((keeper->xapi && !vt_members_save(keeper->xapi, path, err)) || !write_classes(keeper, &text, err))
        return false;
    pthread_mutex_lock(&keeper->lock);
    keeper->dirty = false;
    pthread_mutex_unlock(&keeper->lock);
    snprintf(path, sizeof path, "%s/picture.json", keeper->folder);
    return vt_picture_save_end(&text, path, err);
}
