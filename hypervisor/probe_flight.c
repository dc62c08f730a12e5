/* One attempt: a socket for each address that is asked, until the best answer is known. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/err.h"
#include "hypervisor/probe_state.h"

enum { READ_SIZE = 4096, SAY_MAX = 4096 };

socklen_t vt_probe_sockaddr(const struct vt_probe_address *address, uint16_t port,
                            struct sockaddr_storage *out)
{
    struct sockaddr_in *four = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)out;

    memset(out, 0, sizeof *out);
    if (address->family == AF_INET) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        memcpy(&four->sin_addr, address->bytes, 4);
        return sizeof *four;
    }
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    memcpy(&six->sin6_addr, address->bytes, 16);
    return sizeof *six;
}

/* ---- ends ---- */

/* What never left this machine tells nothing about the other one. */
static enum vt_probe_end end_of(int code, bool at_once)
{
    switch (code) {
    case ECONNREFUSED:
        return VT_PROBE_REFUSED;
    case ECONNRESET:
    case EPIPE:
        return VT_PROBE_WRONG;
    case ENETUNREACH:
    case ENETDOWN:
    case EACCES:
    case EPERM:
    case EINVAL:
        return at_once ? VT_PROBE_LOCAL : VT_PROBE_SILENT;
    case EADDRNOTAVAIL:
    case EADDRINUSE:
    case EAFNOSUPPORT:
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EAGAIN:
        return VT_PROBE_LOCAL;
    default:
        return VT_PROBE_SILENT;
    }
}

static void release(struct vt_probes *probes, struct vt_flight *flight)
{
    struct vt_target *target = &probes->targets[flight->slot];
    uint32_t index = (uint32_t)(flight - probes->flights), *link = &target->flights;

    while (*link != index)
        link = &probes->flights[*link].next;
    *link = flight->next;
    target->pending--;
    if (flight->fd >= 0)
        close(flight->fd);
    vt_buf_fini(&flight->in);
    flight->fd = -1;
    flight->used = false;
    flight->generation++;
    flight->next = probes->flight_free;
    probes->flight_free = index;
    probes->flights_used--;
}

void vt_flight_drop(struct vt_probes *probes, uint32_t slot)
{
    while (probes->targets[slot].flights != VT_PROBE_NONE)
        release(probes, &probes->flights[probes->targets[slot].flights]);
}

static void note_end(struct vt_target *target, uint8_t address, enum vt_probe_end end, int code)
{
    if (end < target->best || (end == target->best && target->best_code != 0))
        return;
    target->best = end;
    target->best_code = code;
    target->best_address = address;
}

void vt_flight_end(struct vt_probes *probes, struct vt_flight *flight, enum vt_probe_end end,
                   int code)
{
    uint32_t slot = flight->slot;
    struct vt_target *target = &probes->targets[slot];

    note_end(target, flight->address, end, code);
    release(probes, flight);
    if (end == VT_PROBE_ANSWERED)
        vt_flight_drop(probes, slot);
    if (target->pending == 0)
        vt_target_over(probes, slot);
}

void vt_flight_late(struct vt_probes *probes, uint32_t slot)
{
    struct vt_target *target = &probes->targets[slot];

    note_end(target, probes->flights[target->flights].address, VT_PROBE_SILENT, ETIMEDOUT);
    vt_flight_drop(probes, slot);
    vt_target_over(probes, slot);
}

/* ---- beginning ---- */

static struct vt_flight *take(struct vt_probes *probes, uint32_t slot, uint8_t address)
{
    uint32_t index = probes->flight_free;
    struct vt_target *target = &probes->targets[slot];

    if (index == VT_PROBE_NONE)
        return NULL;
    struct vt_flight *flight = &probes->flights[index];
    probes->flight_free = flight->next;
    probes->flights_used++;
    *flight = (struct vt_flight){ .fd = -1,
                                  .slot = slot,
                                  .next = target->flights,
                                  .generation = flight->generation,
                                  .address = address,
                                  .used = true };
    vt_buf_init(&flight->in, VT_PROBE_ANSWER_MAX);
    target->flights = index;
    target->pending++;
    return flight;
}

/* Closing sends a reset: nothing lingers, here or there, of a connection that carried no data. */
static int open_socket(struct vt_probes *probes, const struct vt_flight *flight,
                       const struct vt_target *target, int *out_fd)
{
    struct sockaddr_storage to;
    const struct vt_probe_address *address = &target->spec.addresses[flight->address];
    socklen_t size = vt_probe_sockaddr(address, target->spec.port, &to);
    const struct linger linger = { .l_onoff = 1, .l_linger = 0 };
    vt_autoclose fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct epoll_event event = {
        .events = EPOLLOUT | EPOLLIN | EPOLLRDHUP,
        .data.u64 = (uint64_t)flight->generation << 32 | (uint64_t)(flight - probes->flights),
    };

    if (fd < 0)
        return errno;
    if (target->spec.kind == VT_PROBE_TCP)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    if (connect(fd, (struct sockaddr *)&to, size) != 0 && errno != EINPROGRESS)
        return errno;
    if (epoll_ctl(probes->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        return errno;
    *out_fd = vt_take_fd(&fd);
    return 0;
}

static void begin_one(struct vt_probes *probes, uint32_t slot, uint8_t address)
{
    const struct vt_target *target = &probes->targets[slot];
    struct vt_flight *flight = take(probes, slot, address);

    if (!flight) { /* the bound: the addresses that fitted are enough */
        return;
    }
    int code = target->spec.kind == VT_PROBE_ICMP
                   ? vt_ping_send(probes, flight)
                   : open_socket(probes, flight, target, &flight->fd);
    if (code != 0) {
        note_end(&probes->targets[slot], address, end_of(code, true), code);
        release(probes, flight);
    }
}

void vt_flight_begin(struct vt_probes *probes, uint32_t slot)
{
    struct vt_target *target = &probes->targets[slot];
    bool all = target->suspect || target->preferred >= target->spec.address_count;

    target->best = VT_PROBE_LOCAL;
    target->best_code = 0;
    target->best_address = target->preferred;
    for (uint8_t i = 0; i < target->spec.address_count; i++)
        if (all || i == target->preferred)
            begin_one(probes, slot, i);
    if (target->pending == 0)
        vt_target_over(probes, slot);
}

/* ---- the exchange ---- */

static bool say(struct vt_probes *probes, struct vt_flight *flight)
{
    const struct vt_probe_exchange *exchange = probes->options.exchange;
    const struct vt_target *target = &probes->targets[flight->slot];
    VT_AUTO_BUF(out, SAY_MAX);
    struct vt_err ignored = { 0 };

    return exchange->say(exchange->context, target->spec.peer, flight->step, &out, &ignored) &&
           send(flight->fd, out.data, out.size, MSG_NOSIGNAL) == (ssize_t)out.size;
}

static void part(struct vt_probes *probes, const struct vt_flight *flight)
{
    const struct vt_probe_exchange *exchange = probes->options.exchange;
    VT_AUTO_BUF(out, SAY_MAX);
    struct vt_err ignored = { 0 };

    if (exchange->bye && exchange->bye(exchange->context, &out, &ignored) &&
        send(flight->fd, out.data, out.size, MSG_NOSIGNAL) < 0)
        return; /* it answered; that it hung up now is its own affair */
}

/* false: the flight is over. */
static bool heard(struct vt_probes *probes, struct vt_flight *flight)
{
    const struct vt_probe_exchange *exchange = probes->options.exchange;

    switch (exchange->judge(exchange->context, flight->step, flight->in.data, flight->in.size)) {
    case VT_PROBE_STEP_MORE:
        return true;
    case VT_PROBE_STEP_NEXT:
        vt_buf_reset(&flight->in);
        flight->step++;
        if (flight->step < VT_PROBE_STEPS_MAX && say(probes, flight))
            return true;
        break;
    case VT_PROBE_STEP_DONE:
        part(probes, flight);
        vt_flight_end(probes, flight, VT_PROBE_ANSWERED, 0);
        return false;
    default:
        break;
    }
    vt_flight_end(probes, flight, VT_PROBE_WRONG, EPROTO);
    return false;
}

static void take_bytes(struct vt_probes *probes, struct vt_flight *flight)
{
    uint8_t bytes[READ_SIZE];
    struct vt_err ignored = { 0 };
    ssize_t size = recv(flight->fd, bytes, sizeof bytes, 0);

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0 || !vt_buf_append(&flight->in, bytes, (size_t)size, &ignored)) {
        vt_flight_end(probes, flight, size < 0 ? end_of(errno, false) : VT_PROBE_WRONG,
                      size < 0 ? errno : ECONNRESET);
        return;
    }
    heard(probes, flight);
}

/* Only answers are of interest from now on. */
static bool listen_on(struct vt_probes *probes, const struct vt_flight *flight)
{
    struct epoll_event event = {
        .events = EPOLLIN | EPOLLRDHUP,
        .data.u64 = (uint64_t)flight->generation << 32 | (uint64_t)(flight - probes->flights),
    };

    return epoll_ctl(probes->epoll, EPOLL_CTL_MOD, flight->fd, &event) == 0;
}

static void connected(struct vt_probes *probes, struct vt_flight *flight)
{
    int code = 0;
    socklen_t size = sizeof code;

    getsockopt(flight->fd, SOL_SOCKET, SO_ERROR, &code, &size);
    if (code != 0) {
        vt_flight_end(probes, flight, end_of(code, false), code);
        return;
    }
    flight->connected = true;
    if (probes->targets[flight->slot].spec.kind == VT_PROBE_TCP || !probes->options.exchange)
        vt_flight_end(probes, flight, VT_PROBE_ANSWERED, 0);
    else if (!say(probes, flight) || !listen_on(probes, flight))
        vt_flight_end(probes, flight, VT_PROBE_WRONG, EPIPE);
}

void vt_flight_ready(struct vt_probes *probes, uint32_t index, uint32_t generation, uint32_t events)
{
    struct vt_flight *flight = index < probes->flight_limit ? &probes->flights[index] : NULL;

    if (!flight || !flight->used || flight->generation != generation)
        return;
    if (!flight->connected)
        connected(probes, flight);
    else if (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))
        take_bytes(probes, flight);
}
