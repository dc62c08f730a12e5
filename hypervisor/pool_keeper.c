/* One thread follows the events into the picture; readers hold a lock that prefers the writer, so
 * that many readers do not keep the picture old. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/io.h"
#include "hypervisor/driver.h"
#include "hypervisor/pool_keeper_inside.h"

enum { SAVE_EVERY_S = 60 };

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
    if (keeper->events && vt_keeper_remember(keeper, err)) {
        if (keeper->xapi)
            vt_xapi_see_tasks(keeper->xapi, vt_keeper_see_task, keeper);
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
    vt_keeper_interrupt(keeper);
    pthread_mutex_unlock(&keeper->lock);
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
    keeper->following = pthread_create(&keeper->follower, NULL, vt_keeper_follow, keeper) == 0;
    keeper->saving = keeper->following &&
                     pthread_create(&keeper->saver, NULL, vt_keeper_save_now_and_then, keeper) == 0;
    return keeper->saving || vt_fail(err, VT_E_NOMEM, "no memory for a thread");
}

bool vt_keeper_wait(struct vt_keeper *keeper, int64_t deadline)
{
    pthread_mutex_lock(&keeper->lock);
    while (!keeper->ready && vt_clock_mono() < deadline &&
           vt_keeper_wait_moved(keeper, deadline - vt_clock_mono()))
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
    vt_keeper_interrupt(keeper); /* what it waits for ends; the follower begins anew */
    while ((keeper->again || !keeper->answers) && vt_clock_mono() < deadline &&
           vt_keeper_wait_moved(keeper, deadline - vt_clock_mono()))
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
           vt_keeper_wait_moved(keeper, deadline - vt_clock_mono()))
        continue;
    bool caught_up = strcmp(keeper->token, token) > 0;
    pthread_mutex_unlock(&keeper->lock);
    return caught_up;
}

/* ---- waiting ---- */

static struct timespec wall_in(int64_t ns)
{
    int64_t end = vt_clock_wall() + ns;

    return (struct timespec){ .tv_sec = (time_t)(end / VT_NS_PER_S),
                              .tv_nsec = (long)(end % VT_NS_PER_S) };
}

bool vt_keeper_wait_moved(struct vt_keeper *keeper, int64_t ns)
{
    struct timespec until = wall_in(ns);

    if (!keeper->stop && ns > 0)
        pthread_cond_timedwait(&keeper->moved, &keeper->lock, &until);
    return !keeper->stop;
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
