#include "core/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"

enum {
    AGAIN_S = 5, /* until an unreachable target is tried again */
    LAST_S = 3,  /* for what is queued when the trail is closed */
    DATAGRAM_MAX = 60000,
};

struct entry {
    struct entry *next;
    size_t size;
    char text[];
};

struct vt_audit {
    /* fixed */
    struct vt_audit_options options;
    char *source;
    char host[256];
    bool syslog; /* with an RFC 5424 header */
    pthread_t thread;

    int fd; /* the thread's: file or socket; -1: none */
    char *path, *node, *service;

    pthread_mutex_t lock;
    pthread_cond_t came;
    /* guarded by lock */
    struct entry *first, **last;
    size_t count;
    uint64_t lost;
    bool closing;
};

/* ---- the targets ---- */

static bool open_syslog(struct vt_audit *audit, struct vt_err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
    vt_autoclose fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        return vt_fail_errno(err, "/dev/log");
    audit->fd = vt_take_fd(&fd);
    return true;
}

static bool open_udp(struct vt_audit *audit, struct vt_err *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_DGRAM }, *found = NULL;
    int result = getaddrinfo(audit->node, audit->service, &hints, &found);

    if (result != 0)
        return vt_fail(err, VT_E_NOTFOUND, "%s: %s", audit->node, gai_strerror(result));
    for (const struct addrinfo *at = found; at && audit->fd < 0; at = at->ai_next) {
        int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) == 0)
            audit->fd = fd;
        else if (fd >= 0)
            close(fd);
    }
    freeaddrinfo(found);
    return audit->fd >= 0 || vt_fail(err, VT_E_REFUSED, "%s port %s", audit->node, audit->service);
}

static bool open_file(struct vt_audit *audit, struct vt_err *err)
{
    audit->fd = open(audit->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    return audit->fd >= 0 || vt_fail_errno(err, "audit.target %s", audit->path);
}

static bool open_target(struct vt_audit *audit, struct vt_err *err)
{
    if (audit->fd >= 0 || audit->options.send)
        return true;
    return audit->path ? open_file(audit, err) : audit->node ? open_udp(audit, err)
                                                             : open_syslog(audit, err);
}

static bool deliver(struct vt_audit *audit, const struct entry *entry, struct vt_err *err)
{
    if (!open_target(audit, err))
        return false;
    if (audit->options.send)
        return audit->options.send(audit->options.send_context, entry->text, entry->size, err);
    bool file = audit->path != NULL;
    size_t size = file || entry->size < DATAGRAM_MAX ? entry->size : DATAGRAM_MAX;
    ssize_t written = file ? write(audit->fd, entry->text, size)
                           : send(audit->fd, entry->text, size, MSG_NOSIGNAL);
    if (written == (ssize_t)size)
        return true;
    vt_fail_errno(err, "the audit trail");
    close(audit->fd);
    audit->fd = -1;
    return false;
}

/* ---- the thread ---- */

static struct entry *take(struct vt_audit *audit)
{
    pthread_mutex_lock(&audit->lock);
    while (!audit->first && !audit->closing)
        pthread_cond_wait(&audit->came, &audit->lock);
    struct entry *entry = audit->first;
    pthread_mutex_unlock(&audit->lock);
    return entry;
}

/* The first one is done with. Gives how many were lost since. When nothing else waits, a file is
 * synced: what was done is not denied after a power cut. */
static uint64_t drop(struct vt_audit *audit)
{
    pthread_mutex_lock(&audit->lock);
    struct entry *entry = audit->first;
    audit->first = entry->next;
    if (!audit->first)
        audit->last = &audit->first;
    audit->count--;
    uint64_t lost = audit->lost;
    bool idle = audit->first == NULL;
    audit->lost = 0;
    pthread_mutex_unlock(&audit->lock);
    free(entry);
    if (idle && audit->path)
        (void)fdatasync(audit->fd);
    return lost;
}

/* false: closing. */
static bool wait_again(struct vt_audit *audit)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += AGAIN_S;
    pthread_mutex_lock(&audit->lock);
    int waited = 0;
    while (!audit->closing && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&audit->came, &audit->lock, &until);
    bool going = !audit->closing;
    pthread_mutex_unlock(&audit->lock);
    return going;
}

static void *work(void *argument)
{
    struct vt_audit *audit = argument;
    int64_t last_try = 0;
    bool told = false;
    struct entry *entry;

    while ((entry = take(audit)) != NULL) {
        struct vt_err err = { 0 };
        if (deliver(audit, entry, &err)) {
            uint64_t lost = drop(audit);
            if (lost > 0)
                vt_log(VT_LOG_ERROR, "audit.lost", "messages=%" PRIu64, lost);
            told = false;
            continue;
        }
        if (!told)
            vt_log(VT_LOG_ERROR, "audit.failed", "text=\"%s\"", err.text);
        told = true;
        if (wait_again(audit))
            continue;
        if (last_try == 0)
            last_try = vt_clock_mono() + LAST_S * VT_NS_PER_S;
        if (vt_clock_mono() > last_try)
            break;
        vt_clock_sleep(VT_NS_PER_S / 5);
    }
    return NULL;
}

/* ---- writing ---- */

static bool add_header(struct vt_audit *audit, int64_t wall, struct vt_buf *out, struct vt_err *err)
{
    char time[VT_CLOCK_TEXT_MAX];

    vt_clock_text(wall, time);
    /* authpriv.notice; the byte order mark says UTF-8 (RFC 5424 6.4). */
    return vt_buf_printf(out, err, "<85>1 %s %s vitrined %ld DICOM+RFC3881 - \xef\xbb\xbf", time,
                         audit->host, (long)getpid());
}

static void lose(struct vt_audit *audit)
{
    pthread_mutex_lock(&audit->lock);
    audit->lost++;
    pthread_mutex_unlock(&audit->lock);
}

void vt_audit_write(struct vt_audit *audit, const struct vt_audit_message *message)
{
    VT_AUTO_BUF(text, VT_AUDIT_MESSAGE_MAX);
    struct vt_err err = { 0 };
    int64_t wall = vt_clock_wall();

    if (!audit)
        return;
    bool ok = (!audit->syslog || add_header(audit, wall, &text, &err)) &&
              vt_audit_xml(message, audit->source, wall, &text, &err) &&
              (audit->syslog || vt_buf_append_byte(&text, '\n', &err));
    struct entry *entry = ok ? malloc(sizeof *entry + text.size) : NULL;
    if (!entry) {
        lose(audit);
        return;
    }
    *entry = (struct entry){ .size = text.size };
    memcpy(entry->text, text.data, text.size);
    pthread_mutex_lock(&audit->lock);
    bool room = audit->count < VT_AUDIT_QUEUE_MAX;
    if (room) {
        *audit->last = entry;
        audit->last = &entry->next;
        audit->count++;
        pthread_cond_signal(&audit->came);
    }
    pthread_mutex_unlock(&audit->lock);
    if (!room) {
        free(entry);
        lose(audit);
    }
}

/* ---- opening and closing ---- */

static bool read_target(struct vt_audit *audit, const char *target, struct vt_err *err)
{
    const char *colon;

    if (strncmp(target, "file:/", 6) == 0) {
        audit->path = strdup(target + 5);
        return audit->path ? open_file(audit, err) : vt_fail(err, VT_E_NOMEM, "no memory");
    }
    audit->syslog = true;
    if (strcmp(target, "syslog") == 0 || (strcmp(target, "send") == 0 && audit->options.send))
        return true;
    if (strncmp(target, "udp:", 4) == 0 && (colon = strrchr(target + 4, ':')) && colon[1]) {
        audit->node = strndup(target + 4, (size_t)(colon - target - 4));
        audit->service = strdup(colon + 1);
        return (audit->node && audit->service) || vt_fail(err, VT_E_NOMEM, "no memory");
    }
    return vt_fail(err, VT_E_INVALID,
                   "audit.target '%s' is none of off, syslog, file:/PATH, udp:HOST:PORT, "
                   "tls:HOST:PORT",
                   target);
}

static void release(struct vt_audit *audit)
{
    while (audit->first) {
        struct entry *next = audit->first->next;
        free(audit->first);
        audit->first = next;
    }
    if (audit->fd >= 0)
        close(audit->fd);
    pthread_cond_destroy(&audit->came);
    pthread_mutex_destroy(&audit->lock);
    free(audit->source);
    free(audit->path);
    free(audit->node);
    free(audit->service);
    free(audit);
}

struct vt_audit *vt_audit_open(const struct vt_audit_options *options, struct vt_err *err)
{
    struct vt_audit *audit = calloc(1, sizeof *audit);

    if (!audit) {
        vt_fail(err, VT_E_NOMEM, "no memory for the audit trail");
        return NULL;
    }
    audit->options = *options;
    audit->fd = -1;
    audit->last = &audit->first;
    pthread_mutex_init(&audit->lock, NULL);
    pthread_cond_init(&audit->came, NULL);
    if (gethostname(audit->host, sizeof audit->host - 1) != 0 || !*audit->host)
        snprintf(audit->host, sizeof audit->host, "-");
    audit->source = strdup(options->source);
    if (!audit->source) {
        vt_fail(err, VT_E_NOMEM, "no memory for the audit trail");
        release(audit);
        return NULL;
    }
    if (!read_target(audit, options->target, err)) {
        release(audit);
        return NULL;
    }
    int failed = pthread_create(&audit->thread, NULL, work, audit);
    if (failed == 0)
        return audit;
    errno = failed;
    vt_fail_errno(err, "starting the audit trail");
    release(audit);
    return NULL;
}

void vt_audit_free(struct vt_audit *audit)
{
    if (!audit)
        return;
    pthread_mutex_lock(&audit->lock);
    audit->closing = true;
    pthread_cond_signal(&audit->came);
    pthread_mutex_unlock(&audit->lock);
    pthread_join(audit->thread, NULL);
    release(audit);
}
