/* Domain events: libvirt's own thread only notes which domains changed; who watches reads them anew.
 * An event is a hint: its order means nothing, and none comes for a link, a snapshot or an address. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/libvirt_state.h"

enum { PENDING_MAX = 1024, WAKE_MS = 100, RETRY_S = 2 };

struct vt_libvirt_watching {
    struct vt_libvirt_deeds *deeds; /* fixed */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    char pending[PENDING_MAX][VIR_UUID_STRING_BUFLEN];
    size_t count;
    bool all;  /* too many changed: every domain is read */
    bool gone; /* the connection broke */
    bool stop;
    unsigned refs; /* the session, and what is registered with libvirt */
    uint64_t asked, served; /* who wants all that is true now, and how far that has come */
};

static atomic_uint alive;

unsigned vt_libvirt_watchings_alive(void)
{
    return atomic_load(&alive);
}

struct vt_libvirt_watching *vt_libvirt_watching_new(void)
{
    struct vt_libvirt_watching *watching = calloc(1, sizeof *watching);
    pthread_condattr_t monotonic;

    if (!watching)
        return NULL;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&watching->lock, NULL);
    pthread_cond_init(&watching->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    watching->refs = 1;
    atomic_fetch_add(&alive, 1);
    watching->deeds = vt_libvirt_deeds_new();
    if (watching->deeds)
        return watching;
    vt_libvirt_watching_unref(watching);
    return NULL;
}

static struct vt_libvirt_watching *ref(struct vt_libvirt_watching *watching)
{
    pthread_mutex_lock(&watching->lock);
    watching->refs++;
    pthread_mutex_unlock(&watching->lock);
    return watching;
}

void vt_libvirt_watching_unref(struct vt_libvirt_watching *watching)
{
    if (!watching)
        return;
    pthread_mutex_lock(&watching->lock);
    unsigned left = --watching->refs;
    pthread_mutex_unlock(&watching->lock);
    if (left > 0)
        return;
    atomic_fetch_sub(&alive, 1);
    vt_libvirt_deeds_free(watching->deeds);
    pthread_cond_destroy(&watching->changed);
    pthread_mutex_destroy(&watching->lock);
    free(watching);
}

struct vt_libvirt_deeds *vt_libvirt_watching_deeds(struct vt_libvirt_watching *watching)
{
    return watching->deeds;
}

/* ---- libvirt's event thread: one for the process, to its end ---- */

static pthread_once_t loop_once = PTHREAD_ONCE_INIT;

static void wake(int timer, void *context)
{
    (void)timer, (void)context;
}

static void *loop(void *context)
{
    (void)context;
    for (;;)
        if (virEventRunDefaultImpl() < 0)
            vt_clock_sleep(WAKE_MS * VT_NS_PER_MS);
    return NULL;
}

static void start_loop(void)
{
    pthread_t thread;

    virEventAddTimeout(WAKE_MS, wake, NULL, NULL);
    if (pthread_create(&thread, NULL, loop, NULL) == 0)
        pthread_detach(thread);
}

/* ---- what changed ---- */

static void note(struct vt_libvirt_watching *watching, const char *uuid)
{
    pthread_mutex_lock(&watching->lock);
    size_t i = 0;
    while (i < watching->count && strcmp(watching->pending[i], uuid) != 0)
        i++;
    if (i == watching->count && i < PENDING_MAX)
        memcpy(watching->pending[watching->count++], uuid, VIR_UUID_STRING_BUFLEN);
    else if (i == PENDING_MAX)
        watching->all = true;
    pthread_cond_broadcast(&watching->changed);
    pthread_mutex_unlock(&watching->lock);
}

void vt_libvirt_touch(struct vt_libvirt *libvirt, const char *domain_uuid)
{
    struct vt_libvirt_watching *watching = vt_libvirt_watching(libvirt);
    char uuid[VIR_UUID_STRING_BUFLEN] = "";

    if (strlen(domain_uuid) < sizeof uuid)
        memcpy(uuid, domain_uuid, strlen(domain_uuid) + 1);
    note(watching, uuid);
}

static void note_domain(virDomainPtr domain, void *context)
{
    char uuid[VIR_UUID_STRING_BUFLEN];

    if (virDomainGetUUIDString(domain, uuid) == 0)
        note(context, uuid);
}

static int on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event, int detail,
                        void *context)
{
    (void)connection, (void)event, (void)detail;
    note_domain(domain, context);
    return 0;
}

static void on_reboot(virConnectPtr connection, virDomainPtr domain, void *context)
{
    struct vt_libvirt_watching *watching = context;
    char uuid[VIR_UUID_STRING_BUFLEN];

    (void)connection;
    if (virDomainGetUUIDString(domain, uuid) == 0)
        vt_libvirt_deed_reset(watching->deeds, uuid);
    note_domain(domain, context);
}

static void on_agent(virConnectPtr connection, virDomainPtr domain, int state, int reason,
                     void *context)
{
    (void)connection, (void)state, (void)reason;
    note_domain(domain, context);
}

static void on_close(virConnectPtr connection, int reason, void *context)
{
    struct vt_libvirt_watching *watching = context;

    (void)connection, (void)reason;
    pthread_mutex_lock(&watching->lock);
    watching->gone = true;
    pthread_cond_broadcast(&watching->changed);
    pthread_mutex_unlock(&watching->lock);
}

/* libvirt is done with a callback, which may be after it was taken out. */
static void let_go(void *context)
{
    vt_libvirt_watching_unref(context);
}

/* ---- the watch ---- */

struct round {
    const struct vt_xapi_watch *watch;
    enum vt_xapi_operation operation;
};

static bool hand_out(void *context, enum vt_class class, const char *ref,
                     const struct vt_xmlrpc_value *record, struct vt_err *err)
{
    const struct round *round = context;
    char name[32];
    size_t i = 0;

    for (const char *from = vt_class_name(class); *from && i < sizeof name - 1; from++, i++)
        name[i] = *from >= 'A' && *from <= 'Z' ? (char)(*from + 32) : *from;
    name[i] = '\0';
    const struct vt_xapi_event event = { name, round->operation, ref, record };
    return round->watch->event(round->watch->context, &event, err);
}

static void end_batch(const struct vt_xapi_watch *watch, bool first)
{
    if (watch->batch)
        watch->batch(watch->context, NULL, first);
    if (watch->token)
        watch->token(watch->context, ""); /* libvirt has none; catching up counts turns */
}

/* Every domain as it is now; what is gone stays for the moment. */
static bool refresh_all(virConnectPtr connection, struct vt_libvirt_watching *watching,
                        const struct vt_xapi_watch *watch, struct vt_err *err)
{
    struct round round = { watch, VT_XAPI_MOD };
    const struct vt_libvirt_sink sink = { watching->deeds, &round, hand_out };

    bool ok = vt_libvirt_put_all(connection, &sink, err);
    if (ok)
        end_batch(watch, false);
    return ok;
}

static bool all(virConnectPtr connection, struct vt_libvirt_watching *watching,
                const struct vt_xapi_watch *watch, struct vt_err *err)
{
    struct round round = { watch, VT_XAPI_ADD };
    const struct vt_libvirt_sink sink = { watching->deeds, &round, hand_out };

    watch->reset(watch->context); /* what does not come again is gone */
    bool ok = vt_libvirt_put_all(connection, &sink, err);
    if (ok)
        end_batch(watch, true);
    return ok;
}

/* One domain anew, or its end. */
static bool one(virConnectPtr connection, struct vt_libvirt_watching *watching,
                const struct vt_xapi_watch *watch, const char *uuid, struct vt_err *err)
{
    struct round round = { watch, VT_XAPI_MOD };
    const struct vt_libvirt_sink sink = { watching->deeds, &round, hand_out };
    char ref[VT_XAPI_REF_MAX];

    vt_libvirt_ref("vm", uuid, ref);
    virDomainPtr domain = vt_libvirt_domain(connection, ref, err);
    bool ok = domain && vt_libvirt_put_domain(domain, &sink, err);
    if (domain)
        virDomainFree(domain);
    if (!ok && err->code == VT_E_NOTFOUND) {
        const struct vt_xapi_event event = { "vm", VT_XAPI_DEL, ref, NULL };
        vt_err_clear(err);
        ok = watch->event(watch->context, &event, err);
    }
    return ok;
}

struct turn {
    bool all, over;
    uint64_t asked;
};

/* Waits until something changed or it is time to read all; takes what changed. */
static size_t take(struct vt_libvirt_watching *watching, int64_t refresh,
                   char (*out)[VIR_UUID_STRING_BUFLEN], struct turn *turn)
{
    struct timespec until = { .tv_sec = (time_t)(refresh / VT_NS_PER_S),
                              .tv_nsec = (long)(refresh % VT_NS_PER_S) };
    int timed_out = 0;

    pthread_mutex_lock(&watching->lock);
    while (!watching->stop && !watching->gone && !watching->all && !watching->count && !timed_out &&
           watching->asked == watching->served)
        timed_out = pthread_cond_timedwait(&watching->changed, &watching->lock, &until);
    size_t count = watching->count;
    memcpy(out, watching->pending, count * sizeof *out);
    turn->all = watching->all || timed_out || watching->asked > watching->served;
    turn->over = watching->stop || watching->gone;
    turn->asked = watching->asked;
    watching->count = 0;
    watching->all = false;
    pthread_mutex_unlock(&watching->lock);
    return count;
}

static void serve(struct vt_libvirt_watching *watching, uint64_t asked)
{
    pthread_mutex_lock(&watching->lock);
    watching->served = asked;
    pthread_cond_broadcast(&watching->changed);
    pthread_mutex_unlock(&watching->lock);
}

/* What a turn brought: everything, or the domains that changed. */
static bool hand_turn(virConnectPtr connection, struct vt_libvirt_watching *watching,
                      const struct vt_xapi_watch *watch, bool everything,
                      const char (*uuids)[VIR_UUID_STRING_BUFLEN], size_t count, struct vt_err *err)
{
    bool ok = true;

    if (everything)
        return refresh_all(connection, watching, watch, err);
    for (size_t i = 0; i < count && ok; i++)
        ok = one(connection, watching, watch, uuids[i], err);
    if (ok)
        end_batch(watch, false);
    return ok;
}

static bool follow(struct vt_libvirt_watching *watching, virConnectPtr connection,
                   const struct vt_xapi_watch *watch, struct vt_err *err)
{
    char (*uuids)[VIR_UUID_STRING_BUFLEN] = calloc(PENDING_MAX, sizeof *uuids);
    int64_t refresh = vt_clock_mono() + VT_LIBVIRT_REFRESH_S * VT_NS_PER_S,
            anew = vt_clock_mono() + VT_LIBVIRT_ANEW_S * VT_NS_PER_S;
    struct turn turn = { .over = false };
    bool ok = uuids ? all(connection, watching, watch, err)
                    : vt_fail(err, VT_E_NOMEM, "no memory for the events of libvirt");

    while (ok && !turn.over) {
        size_t count = take(watching, refresh, uuids, &turn);
        if (turn.over)
            break;
        bool whole = turn.all && vt_clock_mono() > anew;
        ok = whole ? all(connection, watching, watch, err)
                   : hand_turn(connection, watching, watch, turn.all,
                               (const char (*)[VIR_UUID_STRING_BUFLEN])uuids, count, err);
        if (turn.all)
            refresh = vt_clock_mono() + VT_LIBVIRT_REFRESH_S * VT_NS_PER_S;
        if (whole)
            anew = vt_clock_mono() + VT_LIBVIRT_ANEW_S * VT_NS_PER_S;
        serve(watching, turn.asked);
    }
    free(uuids);
    return ok;
}

static int listen_to(virConnectPtr connection, int event, virConnectDomainEventGenericCallback heard,
                     struct vt_libvirt_watching *watching)
{
    int id = virConnectDomainEventRegisterAny(connection, NULL, event, heard, ref(watching), let_go);

    if (id < 0)
        vt_libvirt_watching_unref(watching);
    return id;
}

/* No reference of its own: libvirt says yes also where a driver has no such callback, and then never lets go.
 * Taking it out waits for one that runs (libvirt's lock is held meanwhile). */
static bool hear_of_the_end(virConnectPtr connection, struct vt_libvirt_watching *watching)
{
    return virConnectRegisterCloseCallback(connection, on_close, watching, NULL) == 0;
}

/* Registers first, then lists, so that nothing falls between. */
static bool watch_once(struct vt_libvirt *libvirt, struct vt_libvirt_watching *watching,
                       const struct vt_xapi_watch *watch, struct vt_err *err)
{
    const struct {
        int event;
        virConnectDomainEventGenericCallback heard;
    } kinds[] = {
        { VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle) },
        { VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reboot) },
        { VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_agent) },
    };
    virConnectPtr connection = vt_libvirt_get(libvirt, err);
    int ids[VT_COUNT(kinds)];

    if (!connection)
        return false;
    pthread_mutex_lock(&watching->lock);
    watching->gone = false;
    pthread_mutex_unlock(&watching->lock);
    bool hears = hear_of_the_end(connection, watching);
    for (size_t i = 0; i < VT_COUNT(kinds); i++)
        ids[i] = listen_to(connection, kinds[i].event, kinds[i].heard, watching);
    if (watch->state)
        watch->state(watch->context, NULL);
    bool ok = ids[0] >= 0 ? follow(watching, connection, watch, err)
                          : vt_libvirt_failed(err, "the events");
    for (size_t i = 0; i < VT_COUNT(kinds); i++)
        if (ids[i] >= 0)
            virConnectDomainEventDeregisterAny(connection, ids[i]);
    if (hears)
        virConnectUnregisterCloseCallback(connection, on_close);
    virConnectClose(connection);
    return ok;
}

static bool stopped(struct vt_libvirt_watching *watching)
{
    pthread_mutex_lock(&watching->lock);
    bool stop = watching->stop;
    pthread_mutex_unlock(&watching->lock);
    return stop;
}

/* Until it is time to try again, or somebody stops us. */
static void wait_a_while(struct vt_libvirt_watching *watching)
{
    int64_t end = vt_clock_mono() + RETRY_S * VT_NS_PER_S;

    while (!stopped(watching) && vt_clock_mono() < end)
        vt_clock_sleep(WAKE_MS * VT_NS_PER_MS);
}

bool vt_libvirt_watch(struct vt_libvirt *libvirt, const struct vt_xapi_watch *watch,
                      struct vt_err *err)
{
    struct vt_libvirt_watching *watching = vt_libvirt_watching(libvirt);

    pthread_once(&loop_once, start_loop);
    while (!stopped(watching)) {
        struct vt_err why = { 0 };
        if (watch_once(libvirt, watching, watch, &why) && !stopped(watching))
            vt_fail(&why, VT_E_CLOSED, "libvirt closed the connection");
        if (!stopped(watching)) {
            if (watch->state)
                watch->state(watch->context, &why);
            wait_a_while(watching);
        }
    }
    return vt_fail(err, VT_E_CANCELLED, "the watch was stopped");
}

void vt_libvirt_stop(struct vt_libvirt *libvirt)
{
    struct vt_libvirt_watching *watching = vt_libvirt_watching(libvirt);

    pthread_mutex_lock(&watching->lock);
    watching->stop = true;
    pthread_cond_broadcast(&watching->changed);
    pthread_mutex_unlock(&watching->lock);
}

void vt_libvirt_resume(struct vt_libvirt *libvirt)
{
    struct vt_libvirt_watching *watching = vt_libvirt_watching(libvirt);

    pthread_mutex_lock(&watching->lock);
    watching->stop = false;
    pthread_mutex_unlock(&watching->lock);
}

bool vt_libvirt_catch_up(struct vt_libvirt *libvirt, int64_t deadline)
{
    struct vt_libvirt_watching *watching = vt_libvirt_watching(libvirt);
    struct timespec until = { .tv_sec = (time_t)(deadline / VT_NS_PER_S),
                              .tv_nsec = (long)(deadline % VT_NS_PER_S) };
    int late = 0;

    pthread_mutex_lock(&watching->lock);
    uint64_t ticket = ++watching->asked;
    pthread_cond_broadcast(&watching->changed);
    while (watching->served < ticket && !watching->stop && !late)
        late = pthread_cond_timedwait(&watching->changed, &watching->lock, &until);
    bool caught_up = watching->served >= ticket;
    pthread_mutex_unlock(&watching->lock);
    return caught_up;
}
