#include "dicom/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/auto.h"
#include "core/clock.h"
#include "core/err.h"
#include "dicom/conn.h"
#include "dicom/door.h"

enum { BACKLOG = 1024, ADDRESSES_MAX = 8 };

void vt_host_text(const struct sockaddr_storage *address, char *out)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

    out[0] = '\0';
    if (address->ss_family == AF_INET)
        inet_ntop(AF_INET, &four->sin_addr, out, VT_HOST_TEXT_MAX);
    else if (address->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        inet_ntop(AF_INET, six->sin6_addr.s6_addr + 12, out, VT_HOST_TEXT_MAX);
    else if (address->ss_family == AF_INET6)
        inet_ntop(AF_INET6, &six->sin6_addr, out, VT_HOST_TEXT_MAX);
}

static struct addrinfo *resolve(const char *host, uint16_t port, int flags, struct vt_err *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    char service[8];

    snprintf(service, sizeof service, "%u", port);
    int problem = getaddrinfo(host, service, &hints, &found);
    if (problem == 0)
        return found;
    if (problem == EAI_MEMORY)
        vt_fail(err, VT_E_NOMEM, "no memory to look up '%s'", host);
    else
        vt_fail(err, VT_E_NOTFOUND, "the host '%s' cannot be found: %s", host,
                gai_strerror(problem));
    return NULL;
}

static bool bind_listener(int fd, const struct addrinfo *found, uint16_t *out_port,
                          struct vt_err *err)
{
    int one = 1, zero = 0;
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (found->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &size) != 0)
        return vt_fail_errno(err, "cannot listen");
    /* The port stands at the same place in both families. */
    *out_port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
    return true;
}

int vt_listen(const char *address, uint16_t port, uint16_t *out_port, struct vt_err *err)
{
    struct addrinfo *found = resolve(address, port, AI_PASSIVE | AI_NUMERICHOST, err);

    if (!found)
        return -1;
    vt_autoclose fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 ? bind_listener(fd, found, out_port, err) : vt_fail_errno(err, "no socket");
    freeaddrinfo(found);
    if (!ok)
        vt_fail_context(err, "%s port %u", address, port);
    return ok ? vt_take_fd(&fd) : -1;
}

/* ---- connecting ---- */

bool vt_await(int fd, short events, int64_t deadline, int stop_fd, struct vt_err *err)
{
    struct pollfd items[] = { { .fd = fd, .events = events },
                              { .fd = stop_fd, .events = POLLIN } };
    int ready;

    do
        ready = poll(items, stop_fd > 0 ? 2 : 1, vt_clock_poll_ms(deadline));
    while ((ready < 0 && errno == EINTR) || (ready == 0 && vt_clock_mono() < deadline));
    if (ready < 0)
        return vt_fail_errno(err, "poll failed");
    if (items[1].revents != 0)
        return vt_fail(err, VT_E_CANCELLED, "stopped while the peer was waited for");
    return ready > 0 || vt_fail(err, VT_E_TIMEOUT, "no answer");
}

static bool await_connect(int fd, int64_t deadline, int stop_fd, struct vt_err *err)
{
    int problem = 0;
    socklen_t size = sizeof problem;

    if (!vt_await(fd, POLLOUT, deadline, stop_fd, err))
        return false;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size);
    errno = problem;
    return problem == 0 || vt_fail_errno(err, "no connection");
}

static int connect_one(const struct addrinfo *address, int64_t deadline, int stop_fd,
                       struct vt_err *err)
{
    vt_autoclose fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        vt_fail_errno(err, "no socket");
        return -1;
    }
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
        if (errno != EINPROGRESS) {
            vt_fail_errno(err, "no connection");
            return -1;
        }
        if (!await_connect(fd, deadline, stop_fd, err))
            return -1;
    }
    vt_conn_tune(fd);
    return vt_take_fd(&fd);
}

int vt_connect(const char *host, uint16_t port, int64_t deadline, int stop_fd, char *out_host,
               struct vt_err *err)
{
    struct addrinfo *found = resolve(host, port, 0, err);
    int fd = -1, count = 0;

    if (!found)
        return -1;
    for (const struct addrinfo *it = found; it && count < ADDRESSES_MAX; it = it->ai_next)
        count++;
    /* Each address gets its share of the time that is left. */
    for (const struct addrinfo *it = found; it && count > 0 && fd < 0; it = it->ai_next) {
        struct sockaddr_storage address = { 0 };
        int64_t now = vt_clock_mono();
        vt_err_clear(err);
        fd = connect_one(it, now + (deadline > now ? (deadline - now) / count : 0), stop_fd, err);
        count = err->code == VT_E_CANCELLED ? 0 : count - 1;
        memcpy(&address, it->ai_addr, it->ai_addrlen);
        vt_host_text(&address, out_host);
    }
    freeaddrinfo(found);
    return fd;
}
