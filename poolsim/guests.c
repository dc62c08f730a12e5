/* Guests on the wire. Each VM has an address of its own, made from the number in its first MAC. A
 * listener is open while the VM runs; a cut one keeps it with a backlog that is full, so that
 * connects time out as on a dead network, and so does a suspended one; a stopped one has none, so
 * that they are refused. The service behind it answers C-ECHO (echo.h). */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/err.h"
#include "poolsim/echo.h"
#include "poolsim/faults.h"
#include "poolsim/mem.h"
#include "poolsim/server.h"
#include "poolsim/sim.h"

enum { FILLERS = 2, BACKLOG = 128, CALLS_MAX = 256, READ_SIZE = 4096 };

enum mode { CLOSED, OPEN, CUT };

struct guest {
    int fd;
    int fillers[FILLERS]; /* our own connects that fill the backlog of a cut guest */
    enum mode mode;
    bool cut, stopped; /* faults */
};

/* A connection to a guest's service. */
struct call {
    int fd;          /* -1: free */
    uint32_t number; /* of the guest */
    struct vt_buf in, out;
};

struct vt_sim_guests {
    struct vt_sim_world *world;
    int epoll;
    struct call calls[CALLS_MAX];
    uint32_t next_call;  /* the oldest: it goes when there are too many */
    struct guest *items; /* by number */
    uint32_t count;
};

static struct guest *guest_at(struct vt_sim_guests *guests, uint32_t number)
{
    if (number >= guests->count) {
        uint32_t count = number + 1024;
        guests->items = vt_sim_grow(guests->items, count, sizeof *guests->items);
        for (uint32_t i = guests->count; i < count; i++)
            guests->items[i] = (struct guest){ .fd = -1, .fillers = { -1, -1 } };
        guests->count = count;
    }
    return &guests->items[number];
}

/* 0: it has no network. */
static uint32_t number_of(const struct vt_sim_db *db, const struct vt_sim_object *vm)
{
    const uint32_t *ids = NULL;
    uint32_t count = vt_sim_ids(vm, VT_VM_VIFs, &ids);
    const struct vt_sim_object *vif = count ? vt_sim_get(db, ids[0]) : NULL;
    unsigned high = 0, middle = 0, low = 0;

    if (!vif ||
        sscanf(vt_sim_text(vif, VT_VIF_MAC), "%*x:%*x:%*x:%x:%x:%x", &high, &middle, &low) != 3)
        return 0;
    return (high & 0x3f) << 16 | (middle & 0xff) << 8 | (low & 0xff);
}

static struct sockaddr_in address_of(const struct vt_sim_guests *guests, uint32_t number)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(guests->world->options.guest_port) };

    address.sin_addr.s_addr = htonl(0x7f400000u | number);
    return address;
}

static void end_call(struct call *call)
{
    if (call->fd >= 0)
        close(call->fd);
    call->fd = -1;
    vt_buf_fini(&call->in);
    vt_buf_fini(&call->out);
}

/* A cut guest says nothing more on the connections it has; a closed one hangs up. */
static void leave_calls(struct vt_sim_guests *guests, uint32_t number, enum mode mode)
{
    for (uint32_t i = 0; i < CALLS_MAX; i++) {
        struct call *call = &guests->calls[i];
        if (call->fd < 0 || call->number != number || mode == OPEN)
            continue;
        if (mode == CUT)
            epoll_ctl(guests->epoll, EPOLL_CTL_DEL, call->fd, NULL);
        else
            end_call(call);
    }
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static bool open_guest(struct vt_sim_guests *guests, struct guest *guest, uint32_t number)
{
    struct sockaddr_in address = address_of(guests, number);
    struct epoll_event event = { .events = EPOLLIN,
                                 .data.u64 = vt_sim_watch(VT_SIM_WATCH_GUEST, number) };
    int one = 1;

    if (guest->fd < 0) {
        vt_autoclose fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return false;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
            return false;
        guest->fd = vt_take_fd(&fd);
    }
    if (listen(guest->fd, BACKLOG) != 0)
        return false;
    epoll_ctl(guests->epoll, EPOLL_CTL_DEL, guest->fd, NULL);
    return epoll_ctl(guests->epoll, EPOLL_CTL_ADD, guest->fd, &event) == 0;
}

static void fill_backlog(struct vt_sim_guests *guests, struct guest *guest, uint32_t number)
{
    struct sockaddr_in address = address_of(guests, number);

    listen(guest->fd, 0);
    for (int i = 0; i < FILLERS; i++) {
        guest->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (guest->fillers[i] >= 0 &&
            connect(guest->fillers[i], (struct sockaddr *)&address, sizeof address) != 0 &&
            errno != EINPROGRESS)
            close_fd(&guest->fillers[i]);
    }
}

static void set_mode(struct vt_sim_guests *guests, uint32_t number, enum mode mode)
{
    struct guest *guest = guest_at(guests, number);

    if (guest->mode == mode)
        return;
    for (int i = 0; i < FILLERS; i++)
        close_fd(&guest->fillers[i]);
    if (mode == CLOSED) {
        close_fd(&guest->fd);
    } else if (!open_guest(guests, guest, number)) {
        fprintf(stderr, "vitrine-poolsim: guest %u cannot listen: %s\n", number, strerror(errno));
        close_fd(&guest->fd);
        mode = CLOSED;
    } else if (mode == CUT) {
        epoll_ctl(guests->epoll, EPOLL_CTL_DEL, guest->fd, NULL);
        fill_backlog(guests, guest, number);
    }
    guest->mode = mode;
    leave_calls(guests, number, mode);
}

static enum mode wanted_mode(struct vt_sim_pool *pool, const struct vt_sim_object *vm,
                             const struct guest *guest)
{
    const struct vt_sim_machine *machine =
        vt_sim_machine_of(pool, vt_sim_ref(vm, VT_VM_resident_on));
    bool running = vt_sim_is(vm, VT_VM_power_state, "Running");
    bool paused = vt_sim_is(vm, VT_VM_power_state, "Paused");

    if (vt_sim_vm_is_real(vm) && vt_sim_is(vm, VT_VM_power_state, "Suspended"))
        return CUT; /* nobody has its address: nothing answers, not even with a refusal */
    if (!vt_sim_vm_is_real(vm) || (!running && !paused) || vt_sim_ref(vm, VT_VM_guest_metrics) == 0)
        return CLOSED;
    if (guest->cut || paused || (machine && machine->failed))
        return CUT;
    return guest->stopped ? CLOSED : OPEN;
}

void vt_sim_guests_refresh(struct vt_sim_pool *pool, struct vt_sim_object *vm)
{
    struct vt_sim_guests *guests = pool->world->guests;
    uint32_t number = guests ? number_of(pool->db, vm) : 0;

    if (number > 0)
        set_mode(guests, number, wanted_mode(pool, vm, guest_at(guests, number)));
}

void vt_sim_guests_fault(struct vt_sim_pool *pool, struct vt_sim_object *vm,
                         enum vt_sim_guest_fault fault, bool on)
{
    struct vt_sim_guests *guests = pool->world->guests;
    uint32_t number = guests ? number_of(pool->db, vm) : 0;

    if (number == 0)
        return;
    *(fault == VT_SIM_GUEST_CUT ? &guest_at(guests, number)->cut
                                : &guest_at(guests, number)->stopped) = on;
    vt_sim_guests_refresh(pool, vm);
}

struct vt_sim_guests *vt_sim_guests_new(struct vt_sim_world *world, int epoll, struct vt_err *err)
{
    struct vt_sim_guests *guests = vt_sim_alloc(sizeof *guests);
    uint32_t first = 0;

    guests->world = world;
    guests->epoll = epoll;
    for (uint32_t i = 0; i < CALLS_MAX; i++)
        guests->calls[i].fd = -1;
    world->guests = guests;
    for (uint32_t i = 0; i < world->pool_count; i++) {
        VT_SIM_EACH(world->pools[i]->db, VT_SIM_VM, vm)
        {
            vt_sim_guests_refresh(world->pools[i], vm);
            if (!first && vt_sim_ref(vm, VT_VM_guest_metrics))
                first = number_of(world->pools[i]->db, vm);
        }
    }
    if (first &&
        guest_at(guests, first)->mode == CLOSED) { /* another simulator has the addresses */
        vt_sim_guests_free(guests);
        world->guests = NULL;
        vt_fail(err, VT_E_EXISTS, "guests cannot listen on port %u: take another --guest-port",
                world->options.guest_port);
        return NULL;
    }
    return guests;
}

void vt_sim_guests_free(struct vt_sim_guests *guests)
{
    if (!guests)
        return;
    for (uint32_t i = 0; i < guests->count; i++) {
        close_fd(&guests->items[i].fd);
        for (int k = 0; k < FILLERS; k++)
            close_fd(&guests->items[i].fillers[k]);
    }
    for (uint32_t i = 0; i < CALLS_MAX; i++)
        end_call(&guests->calls[i]);
    free(guests->items);
    free(guests);
}

static void take_call(struct vt_sim_guests *guests, int fd, uint32_t number)
{
    uint32_t slot = guests->next_call++ % CALLS_MAX;
    struct call *call = &guests->calls[slot];
    struct epoll_event event = { .events = EPOLLIN,
                                 .data.u64 = vt_sim_watch(VT_SIM_WATCH_GUEST_CALL, slot) };

    end_call(call);
    *call = (struct call){ .fd = fd, .number = number };
    vt_buf_init(&call->in, VT_SIM_ECHO_PDU_MAX);
    vt_buf_init(&call->out, 2 * VT_SIM_ECHO_PDU_MAX);
    epoll_ctl(guests->epoll, EPOLL_CTL_ADD, fd, &event);
}

void vt_sim_guests_ready(struct vt_sim_guests *guests, uint32_t index)
{
    struct guest *guest = guests && index < guests->count ? &guests->items[index] : NULL;

    if (!guest || guest->mode != OPEN)
        return;
    for (int i = 0; i < BACKLOG; i++) {
        int fd = accept4(guest->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        take_call(guests, fd, index);
    }
}

/* Answers are small: what does not fit into the socket's buffer belongs to a caller that does not
 * read. */
void vt_sim_guests_call_ready(struct vt_sim_guests *guests, uint32_t slot)
{
    struct call *call = guests && slot < CALLS_MAX ? &guests->calls[slot] : NULL;
    uint8_t bytes[READ_SIZE];
    struct vt_err ignored = { 0 };

    if (!call || call->fd < 0)
        return;
    ssize_t size = recv(call->fd, bytes, sizeof bytes, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    bool going = size > 0 && vt_buf_append(&call->in, bytes, (size_t)size, &ignored) &&
                 vt_sim_echo_feed(&call->in, &call->out);
    if (call->out.size > 0 &&
        send(call->fd, call->out.data, call->out.size, MSG_NOSIGNAL) != (ssize_t)call->out.size)
        going = false;
    vt_buf_reset(&call->out);
    if (!going)
        end_call(call);
}
