#include "hypervisor/reach.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"

struct probe {
    struct pollfd poll[VT_REACH_MAX];
    size_t index[VT_REACH_MAX]; /* into the caller's addresses */
    size_t count;
};

/* A socket that is connecting; -1: refused already, -2: no numeric address. */
static int begin(const char *address, uint16_t port)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                              .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    char service[8];

    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(address, service, &hints, &found) != 0)
        return -2;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

/* Takes those out that have an answer; the good ones go into the order. */
static size_t collect(struct probe *probe, size_t *order, size_t answered)
{
    for (size_t i = 0; i < probe->count;) {
        int error = 0;
        socklen_t size = sizeof error;
        if (!probe->poll[i].revents) {
            i++;
            continue;
        }
        if (getsockopt(probe->poll[i].fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0)
            order[answered++] = probe->index[i];
        close(probe->poll[i].fd);
        probe->poll[i] = probe->poll[--probe->count];
        probe->index[i] = probe->index[probe->count];
    }
    return answered;
}

size_t vt_reach(const char *const *addresses, size_t count, uint16_t port, int64_t timeout_ms,
                size_t *out_order)
{
    struct probe probe = { .count = 0 };
    size_t unresolved[VT_REACH_MAX], unresolved_count = 0, answered = 0;
    int64_t deadline = vt_clock_mono() + timeout_ms * VT_NS_PER_MS;

    for (size_t i = 0; i < count && i < VT_REACH_MAX; i++) {
        int fd = begin(addresses[i], port);
        if (fd == -2)
            unresolved[unresolved_count++] = i;
        if (fd < 0)
            continue;
        probe.poll[probe.count] = (struct pollfd){ .fd = fd, .events = POLLOUT };
        probe.index[probe.count++] = i;
    }
    while (probe.count > 0 && vt_clock_mono() < deadline) {
        size_t before = answered;
        if (poll(probe.poll, probe.count, vt_clock_poll_ms(deadline)) < 0 && errno != EINTR)
            break;
        answered = collect(&probe, out_order, answered);
        int64_t grace = vt_clock_mono() + VT_REACH_GRACE_MS * VT_NS_PER_MS;
        if (before == 0 && answered > 0 && grace < deadline)
            deadline = grace;
    }
    for (size_t i = 0; i < probe.count; i++)
        close(probe.poll[i].fd);
    for (size_t i = 0; i < unresolved_count; i++)
        out_order[answered++] = unresolved[i];
    return answered;
}
