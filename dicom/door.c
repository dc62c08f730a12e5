#include "dicom/door.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "core/clock.h"
#include "core/err.h"
#include "dicom/incoming.h"
#include "dicom/listen.h"
#include "dicom/request.h"
#include "dicom/wire.h"

enum {
    ARTIM_SECONDS = 30,
    ACCEPTS_AT_ONCE = 64, /* before the others get their turn */
    EVENTS_AT_ONCE = 64,
    REQUEST_FIRST = 2 << 10, /* a usual request; grows with what really comes */
    PAUSE_MS = 100,          /* between accepts that fail for want of descriptors */
    DOOR_STACK = 256 << 10,
};

struct listener {
    int fd;
    uint16_t port;
    SSL_CTX *tls; /* a reference of ours, under tls_lock */
};

/* All but `pending_count` belongs to the door's thread once it runs. */
struct vt_door {
    struct vt_door_options options; /* listeners: not used after opening */
    struct listener listeners[VT_DOOR_LISTENERS_MAX];
    size_t listener_count;
    pthread_mutex_t tls_lock;
    int epoll;
    int stop;    /* eventfd */
    int reserve; /* given up to accept and close when descriptors run out */
    bool paused; /* not accepting until the next turn */
    struct vt_incoming *oldest, *newest;
    atomic_size_t pending_count;
    pthread_t thread;
    bool running;
};

static void tell(const struct vt_door *door, const char *host, const char *reason)
{
    if (door->options.refused)
        door->options.refused(door->options.context, host, reason);
}

/* ---- the list of those who have not asked yet, oldest first ---- */

static void enlist(struct vt_door *door, struct vt_incoming *incoming)
{
    incoming->previous = door->newest;
    *(door->newest ? &door->newest->next : &door->oldest) = incoming;
    door->newest = incoming;
    door->pending_count++;
}

static void delist(struct vt_door *door, struct vt_incoming *incoming)
{
    *(incoming->previous ? &incoming->previous->next : &door->oldest) = incoming->next;
    *(incoming->next ? &incoming->next->previous : &door->newest) = incoming->previous;
    incoming->next = incoming->previous = NULL;
    door->pending_count--;
    epoll_ctl(door->epoll, EPOLL_CTL_DEL, incoming->fd, NULL);
}

/* How many wait from there, and which of them longest. */
static size_t count_host(const struct vt_door *door, const char *host,
                         struct vt_incoming **out_oldest)
{
    size_t count = 0;

    *out_oldest = NULL;
    for (struct vt_incoming *it = door->oldest; it; it = it->next)
        if (strcmp(it->host, host) == 0 && count++ == 0)
            *out_oldest = it;
    return count;
}

/* Closed without a word: no DICOM was spoken yet. */
static void drop(struct vt_door *door, struct vt_incoming *incoming, const char *reason)
{
    delist(door, incoming);
    tell(door, incoming->host, reason);
    vt_incoming_free(incoming);
}

static void refuse(struct vt_door *door, struct vt_incoming *incoming, uint8_t reason_code,
                   const char *reason)
{
    delist(door, incoming);
    tell(door, incoming->host, reason);
    vt_incoming_dismiss(incoming, VT_PDU_ABORT, 0, 2, reason_code);
}

/* ---- reading the request ---- */

enum progress { MORE, WHOLE, GONE }; /* GONE: closed and told */

enum { ABORT_UNRECOGNIZED = 1, ABORT_UNEXPECTED = 2, ABORT_INVALID = 6 }; /* PS3.8 9.3.8 */

static void watch(struct vt_door *door, struct vt_incoming *incoming, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = incoming };

    epoll_ctl(door->epoll, EPOLL_CTL_MOD, incoming->fd, &event);
}

static enum progress shake_hands(struct vt_door *door, struct vt_incoming *incoming)
{
    ERR_clear_error();
    int result = SSL_do_handshake(incoming->tls);
    if (result == 1) {
        incoming->shaken = true;
        watch(door, incoming, EPOLLIN);
        return WHOLE;
    }
    switch (SSL_get_error(incoming->tls, result)) {
    case SSL_ERROR_WANT_READ:
        watch(door, incoming, EPOLLIN);
        return MORE;
    case SSL_ERROR_WANT_WRITE:
        watch(door, incoming, EPOLLOUT);
        return MORE;
    default: {
        const char *why = ERR_reason_error_string(ERR_peek_error());
        long verdict = SSL_get_verify_result(incoming->tls);
        char reason[160];
        snprintf(reason, sizeof reason, "TLS handshake failed: %s%s%s",
                 why ? why : "closed by the peer", verdict == X509_V_OK ? "" : ": ",
                 verdict == X509_V_OK ? "" : X509_verify_cert_error_string(verdict));
        drop(door, incoming, reason);
        return GONE;
    }
    }
}

/* As many bytes as are still wanted, never more: what follows the request belongs to the
 * association. */
static ssize_t take(struct vt_incoming *incoming, size_t wanted)
{
    uint8_t *at = incoming->bytes + incoming->size;

    if (!incoming->tls) {
        ssize_t got = recv(incoming->fd, at, wanted, 0);
        int one = 1;
        if (got > 0)
            setsockopt(incoming->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
        return got;
    }
    size_t got = 0;
    ERR_clear_error();
    int result = SSL_read_ex(incoming->tls, at, wanted, &got);
    if (result == 1)
        return (ssize_t)got;
    int why = SSL_get_error(incoming->tls, result);
    errno = EAGAIN;
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

/* The whole length once the header is there; before, the header's. */
static size_t expected(const struct vt_incoming *incoming)
{
    return incoming->size < VT_PDU_HEADER ? (size_t)VT_PDU_HEADER
                                          : (size_t)vt_be32(incoming->bytes + 2) + VT_PDU_HEADER;
}

static bool make_room(struct vt_incoming *incoming, size_t whole)
{
    size_t room = incoming->room ? incoming->room * 2 : REQUEST_FIRST;

    if (incoming->size < incoming->room)
        return true;
    if (room > whole && whole > VT_PDU_HEADER)
        room = whole;
    uint8_t *grown = realloc(incoming->bytes, room);
    if (!grown)
        return false;
    incoming->bytes = grown;
    incoming->room = room;
    return true;
}

static enum progress receive(struct vt_door *door, struct vt_incoming *incoming)
{
    for (;;) {
        if (incoming->size > 0 && incoming->bytes[0] != VT_PDU_ASSOCIATE_RQ) {
            bool pdu =
                incoming->bytes[0] >= VT_PDU_ASSOCIATE_AC && incoming->bytes[0] <= VT_PDU_ABORT;
            refuse(door, incoming, pdu ? ABORT_UNEXPECTED : ABORT_UNRECOGNIZED,
                   "what came is no association request");
            return GONE;
        }
        size_t whole = expected(incoming);
        if (whole > VT_DOOR_RQ_MAX) {
            refuse(door, incoming, ABORT_INVALID, "the association request claims to be huge");
            return GONE;
        }
        if (incoming->size >= VT_PDU_HEADER && incoming->size == whole)
            return WHOLE;
        if (!make_room(incoming, whole)) {
            drop(door, incoming, "no memory for an association request");
            return GONE;
        }
        size_t room = incoming->room - incoming->size, wanted = whole - incoming->size;
        ssize_t got = take(incoming, wanted < room ? wanted : room);
        if (got > 0) {
            incoming->size += (size_t)got;
        } else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return MORE;
        } else {
            drop(door, incoming,
                 incoming->size > 0 ? "closed within an association request"
                                    : "closed before an association request");
            return GONE;
        }
    }
}

static void hand_on(struct vt_door *door, struct vt_incoming *incoming)
{
    struct vt_err err = { 0 };

    if (!vt_request_version_fits(incoming->bytes, incoming->size)) {
        delist(door, incoming);
        tell(door, incoming->host, "another version of the upper layer protocol");
        vt_incoming_reject(incoming, 1, 2, 2);
        return;
    }
    if (!vt_request_check(incoming->bytes, incoming->size, door->options.strict_request, &err)) {
        refuse(door, incoming, ABORT_INVALID, err.text);
        return;
    }
    delist(door, incoming);
    door->options.arrived(door->options.context, incoming);
}

static void serve(struct vt_door *door, struct vt_incoming *incoming)
{
    enum progress progress = incoming->shaken ? WHOLE : shake_hands(door, incoming);

    if (progress == WHOLE)
        progress = receive(door, incoming);
    if (progress == WHOLE)
        hand_on(door, incoming);
}

/* ---- accepting ---- */

static SSL *new_session(struct vt_door *door, const struct listener *listener)
{
    pthread_mutex_lock(&door->tls_lock);
    SSL *session = SSL_new(listener->tls);
    pthread_mutex_unlock(&door->tls_lock);
    return session;
}

static struct vt_incoming *new_incoming(struct vt_door *door, int fd,
                                        const struct listener *listener)
{
    struct vt_incoming *incoming = calloc(1, sizeof *incoming);

    if (!incoming) {
        close(fd);
        return NULL;
    }
    incoming->fd = fd;
    incoming->shaken = listener->tls == NULL;
    if (listener->tls) {
        incoming->tls = new_session(door, listener);
        if (!incoming->tls || SSL_set_fd(incoming->tls, fd) != 1) {
            vt_incoming_free(incoming);
            return NULL;
        }
        SSL_set_accept_state(incoming->tls);
        SSL_set_mode(incoming->tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
    }
    return incoming;
}

static void welcome(struct vt_door *door, const struct listener *listener, int fd,
                    const struct sockaddr_storage *address)
{
    char host[VT_HOST_TEXT_MAX];

    vt_host_text(address, host);
    /* The oldest goes, not the newcomer: who means well sends the request at once. */
    struct vt_incoming *oldest = NULL;
    if (count_host(door, host, &oldest) >= VT_DOOR_PENDING_PER_HOST_MAX)
        drop(door, oldest,
             "closed to make room: too many connections without a request from this host");
    if (door->pending_count >= VT_DOOR_PENDING_MAX)
        drop(door, door->oldest, "closed to make room: too many connections without a request");
    struct vt_incoming *incoming = new_incoming(door, fd, listener);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = incoming };
    if (!incoming || epoll_ctl(door->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        tell(door, host, "no memory for a connection");
        vt_incoming_free(incoming);
        return;
    }
    vt_conn_tune(fd);
    memcpy(incoming->host, host, sizeof host);
    incoming->deadline = vt_clock_mono() + door->options.artim;
    enlist(door, incoming);
    serve(door, incoming);
}

/* Out of descriptors: the spare one lets us take the connection off the queue and close it, so that
 * the listener does not stay readable and the peer is not left waiting. */
static void turn_away(struct vt_door *door, int listener)
{
    close(door->reserve);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    door->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    tell(door, "", "no descriptor left for a connection; raise the limit of open files");
    door->paused = true;
}

static void accept_some(struct vt_door *door, const struct listener *listener)
{
    for (size_t i = 0; i < ACCEPTS_AT_ONCE; i++) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        int fd =
            accept4(listener->fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            welcome(door, listener, fd, &address);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            turn_away(door, listener->fd);
            return;
        }
        if (errno == EAGAIN)
            return;
    }
}

/* ---- the thread ---- */

static void watch_listeners(struct vt_door *door, bool wanted)
{
    for (size_t i = 0; i < door->listener_count; i++) {
        struct epoll_event event = { .events = wanted ? EPOLLIN : 0,
                                     .data.ptr = &door->listeners[i] };
        epoll_ctl(door->epoll, EPOLL_CTL_MOD, door->listeners[i].fd, &event);
    }
}

static void close_late(struct vt_door *door)
{
    int64_t now = vt_clock_mono();

    while (door->oldest && door->oldest->deadline <= now)
        drop(door, door->oldest, "no association request in time");
}

static const struct listener *as_listener(const struct vt_door *door, const void *thing)
{
    for (size_t i = 0; i < door->listener_count; i++)
        if (thing == &door->listeners[i])
            return &door->listeners[i];
    return NULL;
}

static void *run(void *argument)
{
    struct vt_door *door = argument;
    struct epoll_event events[EVENTS_AT_ONCE];

    for (;;) {
        bool paused = door->paused;
        int patience = door->oldest ? vt_clock_poll_ms(door->oldest->deadline) : -1;
        if (paused) {
            watch_listeners(door, false);
            patience = PAUSE_MS;
        }
        int count = epoll_wait(door->epoll, events, EVENTS_AT_ONCE, patience);
        if (paused) {
            door->paused = false;
            watch_listeners(door, true);
        }
        /* Connections first: accepting may close others of this turn's events. */
        for (int i = 0; i < count; i++)
            if (events[i].data.ptr == door)
                return NULL;
            else if (!as_listener(door, events[i].data.ptr))
                serve(door, events[i].data.ptr);
        for (int i = 0; i < count; i++)
            if (as_listener(door, events[i].data.ptr))
                accept_some(door, events[i].data.ptr);
        close_late(door);
    }
}

/* ---- opening and closing ---- */

static bool open_listeners(struct vt_door *door, struct vt_err *err)
{
    for (size_t i = 0; i < door->options.listener_count; i++) {
        const struct vt_door_listener *wanted = &door->options.listeners[i];
        struct listener *listener = &door->listeners[i];
        listener->fd = vt_listen(wanted->address, wanted->port, &listener->port, err);
        if (listener->fd < 0)
            return false;
        listener->tls = wanted->tls;
        if (listener->tls)
            SSL_CTX_up_ref(listener->tls);
        door->listener_count++;
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = listener };
        if (epoll_ctl(door->epoll, EPOLL_CTL_ADD, listener->fd, &event) != 0)
            return vt_fail_errno(err, "watching port %u", listener->port);
    }
    return true;
}

static bool start(struct vt_door *door, struct vt_err *err)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = door };
    pthread_attr_t attributes;

    door->epoll = epoll_create1(EPOLL_CLOEXEC);
    door->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    door->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (door->epoll < 0 || door->stop < 0 || door->reserve < 0 ||
        epoll_ctl(door->epoll, EPOLL_CTL_ADD, door->stop, &event) != 0)
        return vt_fail_errno(err, "opening the DICOM door");
    if (!open_listeners(door, err))
        return false;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, DOOR_STACK);
    errno = pthread_create(&door->thread, &attributes, run, door);
    pthread_attr_destroy(&attributes);
    if (errno != 0)
        return vt_fail_errno(err, "starting the door's thread");
    door->running = true;
    return true;
}

struct vt_door *vt_door_open(const struct vt_door_options *options, struct vt_err *err)
{
    if (options->listener_count > VT_DOOR_LISTENERS_MAX) {
        vt_fail(err, VT_E_LIMIT, "%zu listeners, at most %d", options->listener_count,
                VT_DOOR_LISTENERS_MAX);
        return NULL;
    }
    VT_AUTO(vt_door) door = calloc(1, sizeof *door);
    if (!door) {
        vt_fail(err, VT_E_NOMEM, "no memory for the DICOM door");
        return NULL;
    }
    door->options = *options;
    if (door->options.artim <= 0)
        door->options.artim = ARTIM_SECONDS * VT_NS_PER_S;
    door->epoll = door->stop = door->reserve = -1;
    pthread_mutex_init(&door->tls_lock, NULL);
    return start(door, err) ? vt_take(&door) : NULL;
}

static void close_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

void vt_door_free(struct vt_door *door)
{
    uint64_t one = 1;

    if (!door)
        return;
    if (door->running && write(door->stop, &one, sizeof one) == sizeof one)
        pthread_join(door->thread, NULL);
    for (size_t i = 0; i < door->listener_count; i++) {
        close(door->listeners[i].fd);
        SSL_CTX_free(door->listeners[i].tls);
    }
    pthread_mutex_destroy(&door->tls_lock);
    while (door->oldest) {
        struct vt_incoming *incoming = door->oldest;
        delist(door, incoming);
        vt_incoming_free(incoming);
    }
    close_open(door->epoll);
    close_open(door->stop);
    close_open(door->reserve);
    free(door);
}

void vt_door_set_tls(struct vt_door *door, SSL_CTX *tls)
{
    pthread_mutex_lock(&door->tls_lock);
    for (size_t i = 0; i < door->listener_count; i++) {
        struct listener *listener = &door->listeners[i];
        if (!listener->tls)
            continue;
        SSL_CTX_up_ref(tls);
        SSL_CTX_free(listener->tls);
        listener->tls = tls;
    }
    pthread_mutex_unlock(&door->tls_lock);
}

uint16_t vt_door_port(const struct vt_door *door, size_t listener)
{
    return listener < door->listener_count ? door->listeners[listener].port : 0;
}

size_t vt_door_pending(const struct vt_door *door)
{
    return door->pending_count;
}
