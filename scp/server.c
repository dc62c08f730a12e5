#include "scp/server.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "dicom/door.h"
#include "scp/access.h"
#include "scp/session.h"
#include "scp/tell.h"
#include "scu/peers.h"

enum {
    STOP_STEP_MS = 10, /* how often vt_server_stop looks again */
    STOP_IDLE_MS =
        200, /* an association that waited so long for a message is not worth the grace */
};

struct vt_server {
    struct vt_server_options options; /* fixed */
    struct vt_door *door;
    struct vt_traffic traffic;
    atomic_bool stopping;

    pthread_mutex_t lock;
    pthread_cond_t ended;
    /* guarded by lock */
    struct vt_session *sessions; /* running, and finished ones whose thread is to be joined */
    unsigned alive;              /* threads */
    unsigned running;            /* places taken, without the spare one */
    bool spare_taken;
};

/* ---- the registry ---- */

/* Under the lock. */
static void give_place_back(struct vt_server *server, struct vt_session *session)
{
    if (session->left)
        return;
    session->left = true;
    if (session->spare)
        server->spare_taken = false;
    else
        server->running--;
}

/* Before the peer hears that it is released: it may knock again at once. */
static void session_leaving(void *context, struct vt_session *session)
{
    struct vt_server *server = context;

    pthread_mutex_lock(&server->lock);
    give_place_back(server, session);
    pthread_mutex_unlock(&server->lock);
}

static void session_ended(struct vt_server *server, struct vt_session *session)
{
    pthread_mutex_lock(&server->lock);
    give_place_back(server, session);
    session->finished = true;
    server->alive--;
    pthread_cond_broadcast(&server->ended);
    pthread_mutex_unlock(&server->lock);
}

/* Takes finished sessions out of the list. */
static struct vt_session *take_finished(struct vt_server *server)
{
    struct vt_session *taken = NULL;

    pthread_mutex_lock(&server->lock);
    for (struct vt_session **at = &server->sessions; *at;) {
        struct vt_session *session = *at;
        if (!session->finished) {
            at = &session->next;
            continue;
        }
        *at = session->next;
        session->next = taken;
        taken = session;
    }
    pthread_mutex_unlock(&server->lock);
    return taken;
}

/* Their threads are at their last instruction. */
static void join_finished(struct vt_server *server)
{
    struct vt_session *session = take_finished(server);

    while (session) {
        struct vt_session *next = session->next;
        pthread_join(session->thread, NULL);
        vt_session_free(session);
        session = next;
    }
}

/* An unknown title counts together with its address, so that one of them cannot use up another's
 * share. */
static bool same_peer(const struct vt_session *session, const struct vt_peer *peer,
                      const char *calling, const char *host)
{
    if (peer || session->peer)
        return peer && session->peer && strcmp(peer->ae_title, session->peer->ae_title) == 0;
    return strcmp(session->calling_ae_title, calling) == 0 && strcmp(session->host, host) == 0;
}

static unsigned count_of_peer(const struct vt_server *server, const struct vt_peer *peer,
                              const char *calling, const char *host)
{
    unsigned count = 0;

    for (const struct vt_session *session = server->sessions; session; session = session->next)
        count += !session->left && !session->spare && same_peer(session, peer, calling, host);
    return count;
}

/* ---- the thread ---- */

struct start {
    struct vt_server *server;
    struct vt_session *session;
};

static void *session_thread(void *argument)
{
    struct start start = *(struct start *)argument;

    free(argument);
    vt_session_run(start.session);
    session_ended(start.server, start.session);
    return NULL;
}

static bool start_thread(struct vt_server *server, struct vt_session *session)
{
    vt_autofree struct start *start = malloc(sizeof *start);
    pthread_attr_t attributes;

    if (!start || pthread_attr_init(&attributes) != 0)
        return false;
    *start = (struct start){ server, session };
    pthread_attr_setstacksize(&attributes, VT_SESSION_STACK);
    bool started = pthread_create(&session->thread, &attributes, session_thread, start) == 0;
    pthread_attr_destroy(&attributes);
    if (started)
        (void)vt_take(&start);
    return started;
}

/* ---- what the door brings ---- */

static void reject(struct vt_server *server, struct vt_incoming *incoming, const char *calling,
                   const struct vt_rejection *rejection)
{
    atomic_fetch_add(&server->traffic.refused, 1);
    vt_tell(server->options.events, "association.refused", calling, "host",
            vt_incoming_host(incoming), "reason", rejection->word, NULL);
    vt_incoming_reject(incoming, rejection->result, rejection->source, rejection->reason);
}

static unsigned per_peer_max(const struct vt_server_options *options, const struct vt_peer *peer)
{
    if (peer && peer->max_associations > 0)
        return peer->max_associations;
    return options->max_per_peer ? options->max_per_peer : VT_SERVER_PER_PEER;
}

/* Decides and, when it is admitted, counts it in one step under the lock. */
static enum vt_admit admit(struct vt_server *server, const struct vt_incoming *incoming,
                           struct vt_session *session, const char *called,
                           struct vt_rejection *out_rejection)
{
    struct vt_admission admission = {
        .calling = session->calling_ae_title,
        .called = called,
        .stopping = atomic_load(&server->stopping),
        .known = session->peer != NULL,
        .per_peer_max = per_peer_max(&server->options, session->peer),
        .only_verification = vt_incoming_only_verification(incoming),
    };

    pthread_mutex_lock(&server->lock);
    admission.total = server->running;
    admission.from_peer =
        count_of_peer(server, session->peer, session->calling_ae_title, session->host);
    admission.spare_free = !server->spare_taken;
    enum vt_admit decision = vt_negotiate_admission(&server->options, &admission, out_rejection);
    if (decision != VT_ADMIT_REJECT) {
        session->spare = decision == VT_ADMIT_SPARE;
        server->alive++;
        server->running += decision == VT_ADMIT;
        server->spare_taken |= session->spare;
        session->next = server->sessions;
        server->sessions = session;
    }
    pthread_mutex_unlock(&server->lock);
    return decision;
}

static void forget(struct vt_server *server, struct vt_session *session)
{
    pthread_mutex_lock(&server->lock);
    for (struct vt_session **at = &server->sessions; *at; at = &(*at)->next)
        if (*at == session) {
            *at = session->next;
            break;
        }
    give_place_back(server, session);
    server->alive--;
    pthread_mutex_unlock(&server->lock);
}

/* In the door's thread. */
static void arrived(void *context, struct vt_incoming *incoming)
{
    static const struct vt_rejection no_memory = { 2, 3, 1, "no-memory" };
    struct vt_server *server = context;
    struct vt_rejection rejection = no_memory;
    char calling[VT_AE_TITLE_MAX + 1], called[VT_AE_TITLE_MAX + 1];

    join_finished(server);
    vt_incoming_titles(incoming, calling, called);
    struct vt_session *session = vt_session_new(incoming);
    if (!session) {
        reject(server, incoming, calling, &no_memory);
        return;
    }
    memcpy(session->calling_ae_title, calling, sizeof calling);
    session->options = &server->options;
    session->traffic = &server->traffic;
    session->stopping = &server->stopping;
    session->leaving = session_leaving;
    session->leaving_context = server;
    session->peer =
        server->options.peers ? vt_peers_by_title(server->options.peers, calling) : NULL;

    enum vt_admit decision = admit(server, incoming, session, called, &rejection);
    if (decision != VT_ADMIT_REJECT && start_thread(server, session))
        return;
    if (decision != VT_ADMIT_REJECT)
        forget(server, session);
    session->incoming = NULL;
    vt_session_free(session);
    reject(server, incoming, calling, &rejection);
}

static void refused(void *context, const char *host, const char *reason)
{
    struct vt_server *server = context;

    atomic_fetch_add(&server->traffic.refused, 1);
    vt_tell(server->options.events, "connection.refused", host, "reason", reason, NULL);
}

/* ---- the server ---- */

struct vt_server *vt_server_open(const struct vt_server_options *options, struct vt_err *err)
{
    VT_AUTO(vt_server) server = calloc(1, sizeof *server);

    if (!server) {
        vt_fail(err, VT_E_NOMEM, "no memory for the server");
        return NULL;
    }
    server->options = *options;
    server->traffic.usage = vt_usage_new();
    if (!server->traffic.usage ||
        (options->archive &&
         !vt_usage_load(server->traffic.usage, options->archive, vt_clock_wall(), err))) {
        if (!server->traffic.usage)
            vt_fail(err, VT_E_NOMEM, "no memory for the server");
        vt_usage_free(server->traffic.usage);
        free(vt_take(&server));
        return NULL;
    }
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&server->ended, &attributes);
    pthread_condattr_destroy(&attributes);

    struct vt_door_options door = {
        .listeners = options->listeners,
        .listener_count = options->listener_count,
        .artim = options->artim,
        .arrived = arrived,
        .refused = refused,
        .context = server,
    };
    server->door = vt_door_open(&door, err);
    return server->door ? vt_take(&server) : NULL;
}

static void interrupt_all(struct vt_server *server, int64_t idle_for)
{
    pthread_mutex_lock(&server->lock);
    for (struct vt_session *session = server->sessions; session; session = session->next)
        if (!session->finished)
            vt_session_interrupt(session, idle_for);
    pthread_mutex_unlock(&server->lock);
}

/* false: they still run. */
static bool wait_for_all(struct vt_server *server, int64_t until)
{
    struct timespec deadline = { .tv_sec = until / VT_NS_PER_S, .tv_nsec = until % VT_NS_PER_S };

    pthread_mutex_lock(&server->lock);
    int result = 0;
    while (server->alive > 0 && result != ETIMEDOUT)
        result = pthread_cond_timedwait(&server->ended, &server->lock, &deadline);
    bool all = server->alive == 0;
    pthread_mutex_unlock(&server->lock);
    return all;
}

void vt_server_stop(struct vt_server *server, int64_t grace)
{
    int64_t deadline = vt_clock_mono() + grace;

    atomic_store(&server->stopping, true);
    vt_door_free(vt_take(&server->door));
    while (!wait_for_all(server, vt_clock_mono() + STOP_STEP_MS * VT_NS_PER_MS))
        interrupt_all(server, vt_clock_mono() < deadline ? STOP_IDLE_MS * VT_NS_PER_MS : 0);
    join_finished(server);
}

void vt_server_free(struct vt_server *server)
{
    if (!server)
        return;
    vt_server_stop(server, 0);
    struct vt_err ignored = { 0 };
    vt_server_save(server, &ignored);
    vt_usage_free(server->traffic.usage);
    pthread_cond_destroy(&server->ended);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

bool vt_server_save(struct vt_server *server, struct vt_err *err)
{
    return vt_usage_save(server->traffic.usage, server->options.archive, err);
}

void vt_server_set_tls(struct vt_server *server, struct ssl_ctx_st *tls)
{
    vt_door_set_tls(server->door, tls);
}

uint16_t vt_server_port(const struct vt_server *server, size_t listener)
{
    return vt_door_port(server->door, listener);
}

void vt_server_status(const struct vt_server *server, struct vt_server_status *out)
{
    struct vt_server *shared = (struct vt_server *)(uintptr_t)server;

    *out = (struct vt_server_status){
        .pending = (unsigned)vt_door_pending(server->door),
        .associations_total = atomic_load(&server->traffic.associations),
        .associations_refused = atomic_load(&server->traffic.refused),
        .instances_received = atomic_load(&server->traffic.received),
        .instances_sent = atomic_load(&server->traffic.sent),
        .queries = atomic_load(&server->traffic.queries),
    };
    pthread_mutex_lock(&shared->lock);
    out->associations = server->running + (server->spare_taken ? 1 : 0);
    pthread_mutex_unlock(&shared->lock);
}
