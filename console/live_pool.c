/* What vitrine-poold tells, as events of the pages: while a page listens, its stream of events is read, and whatever comes within a
 * moment is one "pool.changed" (pages ask anew for what they show, so that nobody sees more than he may). A daemon that comes or
 * goes is one, too. One thread. */
#include "console/live_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "console/api_inside.h"
#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/client.h"

enum { OPEN_S = 10, LOOK_MS = 500, TOGETHER_MS = 100, AGAIN_MS = 2000 };

struct vt_live_pool {
    const char *socket;
    pthread_t thread;
    atomic_bool ending;
};

/* Sleeps, but not beyond the end. */
static void wait_ms(const struct vt_live_pool *live, int ms)
{
    int64_t until = vt_clock_mono() + ms * VT_NS_PER_MS;

    while (!atomic_load(&live->ending) && vt_clock_mono() < until)
        vt_clock_sleep((ms < LOOK_MS ? ms : LOOK_MS / 5) * VT_NS_PER_MS);
}

static struct vt_pool_client *subscribe(const struct vt_live_pool *live)
{
    const struct vt_pool_request ask = { .verb = "events", .user = "console", .json = true };
    int64_t deadline = vt_clock_mono() + OPEN_S * VT_NS_PER_S;
    struct vt_err ignored = { 0 };
    VT_AUTO(vt_pool_client) client = vt_pool_client_open(live->socket, deadline, &ignored);

    return client && vt_pool_client_ask(client, &ask, deadline, &ignored) ? vt_take(&client) : NULL;
}

/* What comes until `until`. false: the daemon has ended. */
static bool drain(struct vt_pool_client *client, int64_t until, bool *out_any)
{
    struct vt_pool_answer answer;
    struct vt_err err = { 0 };

    while (vt_pool_client_next(client, until, &answer, &err)) {
        if (answer.kind != VT_POOL_EVENT)
            return answer.kind != VT_POOL_RESULT;
        *out_any = true;
        if (vt_clock_mono() >= until)
            return true;
    }
    return err.code == VT_E_TIMEOUT;
}

static void listen(const struct vt_live_pool *live, struct vt_pool_client *client)
{
    bool there = true;

    while (there && !atomic_load(&live->ending) && vt_live_anybody()) {
        bool any = false;
        there = drain(client, vt_clock_mono() + TOGETHER_MS * VT_NS_PER_MS, &any);
        if (any)
            vt_live_tell("pool.changed", "");
    }
    if (!there)
        vt_live_tell("pool.changed", "");
}

static void *run(void *context)
{
    const struct vt_live_pool *live = context;

    while (!atomic_load(&live->ending)) {
        if (!vt_live_anybody()) {
            wait_ms(live, LOOK_MS);
            continue;
        }
        VT_AUTO(vt_pool_client) client = subscribe(live);
        if (client) {
            vt_live_tell("pool.changed", "");
            listen(live, client);
        }
        wait_ms(live, AGAIN_MS);
    }
    return NULL;
}

struct vt_live_pool *vt_live_pool_start(const char *socket, struct vt_err *err)
{
    struct vt_live_pool *live = calloc(1, sizeof *live);

    if (!live) {
        vt_fail(err, VT_E_NOMEM, "no memory for the pool's events");
        return NULL;
    }
    live->socket = socket;
    if (pthread_create(&live->thread, NULL, run, live) == 0)
        return live;
    vt_fail(err, VT_E_NOMEM, "no thread for the pool's events");
    free(live);
    return NULL;
}

void vt_live_pool_stop(struct vt_live_pool *live)
{
    if (!live)
        return;
    atomic_store(&live->ending, true);
    pthread_join(live->thread, NULL);
    free(live);
}
