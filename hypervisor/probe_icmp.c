/* ICMP echo: one socket for each family, unprivileged where the system allows it, raw otherwise. An
 * answer is known by the cookie in its bytes: a raw socket hears everybody's. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "hypervisor/probe_state.h"

enum { PACKET_MAX = 256, RECEIVE_BATCH = 256 };

/* The same for both families: type, code, checksum, id, sequence. */
struct echo {
    uint8_t type, code;
    uint16_t checksum, id, sequence;
    uint64_t cookie;
    uint32_t index, generation;
};

static uint16_t checksum_of(const struct echo *echo)
{
    const uint8_t *bytes = (const uint8_t *)echo;
    uint32_t sum = 0;

    for (size_t i = 0; i < sizeof *echo; i += 2)
        sum += (uint32_t)bytes[i] | (uint32_t)bytes[i + 1] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void open_one(struct vt_probes *probes, struct vt_ping *ping, int family, int protocol,
                     uint32_t mark)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = mark };
    int type = SOCK_NONBLOCK | SOCK_CLOEXEC;

    ping->fd = socket(family, SOCK_DGRAM | type, protocol);
    ping->raw = ping->fd < 0;
    if (ping->raw)
        ping->fd = socket(family, SOCK_RAW | type, protocol);
    if (ping->fd >= 0 && epoll_ctl(probes->epoll, EPOLL_CTL_ADD, ping->fd, &event) != 0) {
        close(ping->fd);
        ping->fd = -1;
    }
}

void vt_ping_open(struct vt_probes *probes)
{
    open_one(probes, &probes->ping4, AF_INET, IPPROTO_ICMP, VT_WATCH_PING4);
    open_one(probes, &probes->ping6, AF_INET6, IPPROTO_ICMPV6, VT_WATCH_PING6);
    probes->stats.icmp = probes->ping4.fd >= 0;
    probes->stats.icmp6 = probes->ping6.fd >= 0;
}

void vt_ping_close(struct vt_probes *probes)
{
    if (probes->ping4.fd >= 0)
        close(probes->ping4.fd);
    if (probes->ping6.fd >= 0)
        close(probes->ping6.fd);
}

int vt_ping_send(struct vt_probes *probes, const struct vt_flight *flight)
{
    const struct vt_probe_address *address =
        &probes->targets[flight->slot].spec.addresses[flight->address];
    const struct vt_ping *ping = address->family == AF_INET ? &probes->ping4 : &probes->ping6;
    uint32_t index = (uint32_t)(flight - probes->flights);
    struct sockaddr_storage to;
    socklen_t size = vt_probe_sockaddr(address, 0, &to);
    struct echo echo = {
        .type = address->family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST,
        .id = (uint16_t)probes->cookie,
        .sequence = htons((uint16_t)index),
        .cookie = probes->cookie,
        .index = index,
        .generation = flight->generation,
    };

    if (ping->fd < 0)
        return EAFNOSUPPORT;
    if (address->family == AF_INET)
        echo.checksum = checksum_of(&echo); /* the kernel does it for IPv6 */
    ssize_t sent = sendto(ping->fd, &echo, sizeof echo, 0, (struct sockaddr *)&to, size);
    return sent == (ssize_t)sizeof echo ? 0 : errno;
}

static bool came_from(const struct vt_probe_address *address, const struct sockaddr_storage *from)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)from;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)from;

    return address->family == AF_INET ? memcmp(address->bytes, &four->sin_addr, 4) == 0
                                      : memcmp(address->bytes, &six->sin6_addr, 16) == 0;
}

static void take_packet(struct vt_probes *probes, const uint8_t *bytes, size_t size,
                        const struct sockaddr_storage *from)
{
    struct echo echo;

    if (size < sizeof echo)
        return;
    memcpy(&echo, bytes, sizeof echo);
    if ((echo.type != ICMP_ECHOREPLY && echo.type != ICMP6_ECHO_REPLY) ||
        echo.cookie != probes->cookie || echo.index >= probes->flight_limit)
        return;
    struct vt_flight *flight = &probes->flights[echo.index];
    if (!flight->used || flight->generation != echo.generation || flight->fd >= 0)
        return;
    if (came_from(&probes->targets[flight->slot].spec.addresses[flight->address], from))
        vt_flight_end(probes, flight, VT_PROBE_ANSWERED, 0);
}

void vt_ping_ready(struct vt_probes *probes, struct vt_ping *ping)
{
    uint8_t bytes[PACKET_MAX];

    for (int i = 0; i < RECEIVE_BATCH; i++) {
        struct sockaddr_storage from;
        socklen_t from_size = sizeof from;
        ssize_t size =
            recvfrom(ping->fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &from_size);
        if (size <= 0)
            return;
        size_t header = ping->raw && from.ss_family == AF_INET ? (size_t)(bytes[0] & 0x0f) * 4 : 0;
        if ((size_t)size > header)
            take_packet(probes, bytes + header, (size_t)size - header, &from);
    }
}
