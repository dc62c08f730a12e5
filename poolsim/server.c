#include "poolsim/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "core/err.h"
#include "poolsim/console.h"
#include "poolsim/control.h"
#include "poolsim/http.h"
#include "poolsim/mem.h"
#include "poolsim/sim.h"
#include "poolsim/tls.h"

enum {
    CONNECTIONS_MAX = 800,
    EVENTS_MAX = 256,
    READ_SIZE = 65536,
    IN_MAX = VT_SIM_BODY_MAX + VT_SIM_HEAD_MAX
};

struct connection {
    int fd;
    uint32_t slot;
    uint64_t ticket; /* of the request that is being answered; 0: none */
    struct vt_sim_machine *machine;
    SSL *ssl; /* NULL: plain */
    struct vt_buf in, out;
    size_t sent;
    bool close_after, wants_write;
    struct vt_sim_console *console; /* what the connection became by CONNECT */
};

struct vt_sim_server {
    struct vt_sim_world *world;
    int epoll;
    int listeners[VT_SIM_HOSTS_MAX];
    struct vt_sim_tls tls[VT_SIM_HOSTS_MAX];
    struct connection *connections[CONNECTIONS_MAX];
    uint64_t serial;
    struct vt_sim_control *control;
};

static void watch(struct vt_sim_server *server, int fd, uint64_t data, uint32_t events,
                  int operation)
{
    struct epoll_event event = { .events = events, .data.u64 = data };

    epoll_ctl(server->epoll, operation, fd, &event);
}

static void close_connection(struct vt_sim_server *server, struct connection *connection)
{
    server->connections[connection->slot] = NULL;
    vt_sim_console_free(connection->console);
    SSL_free(connection->ssl);
    close(connection->fd);
    vt_buf_fini(&connection->in);
    vt_buf_fini(&connection->out);
    free(connection);
}

/* Bytes moved; 0: would block; -1: over. */
static ssize_t transfer(struct connection *connection, void *in, const void *out, size_t size)
{
    if (!connection->ssl) {
        ssize_t moved =
            in ? recv(connection->fd, in, size, 0) : send(connection->fd, out, size, MSG_NOSIGNAL);
        if (moved < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -1;
        return moved == 0 ? -1 : moved;
    }
    int amount = size > INT32_MAX ? INT32_MAX : (int)size;
    ERR_clear_error(); /* another connection's error is not ours */
    int moved =
        in ? SSL_read(connection->ssl, in, amount) : SSL_write(connection->ssl, out, amount);
    if (moved > 0)
        return moved;
    int reason = SSL_get_error(connection->ssl, moved);
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE)
        return 0;
    return -1;
}

static bool flush(struct vt_sim_server *server, struct connection *connection)
{
    while (connection->sent < connection->out.size) {
        ssize_t moved = transfer(connection, NULL, connection->out.data + connection->sent,
                                 connection->out.size - connection->sent);
        if (moved < 0)
            return false;
        if (moved == 0)
            break;
        connection->sent += (size_t)moved;
    }
    bool pending = connection->sent < connection->out.size;
    if (!pending) {
        if (connection->out.size > 1 << 20)
            vt_buf_fini(&connection->out); /* a large reply does not stay in memory */
        vt_buf_reset(&connection->out);
        connection->sent = 0;
        if (connection->close_after && connection->ticket == 0)
            return false;
    }
    if (pending != connection->wants_write) {
        connection->wants_write = pending;
        watch(server, connection->fd, vt_sim_watch(VT_SIM_WATCH_CONNECTION, connection->slot),
              pending ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
    }
    return true;
}

static void put_response(struct connection *connection, const char *status, const char *type,
                         const struct vt_buf *body)
{
    struct vt_err err = { 0 };

    vt_buf_printf(&connection->out, &err,
                  "HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %zu\r\nconnection: %s\r\n"
                  "cache-control: no-cache, no-store\r\n\r\n",
                  status, type, body->size, connection->close_after ? "close" : "keep-alive");
    vt_buf_append(&connection->out, body->data, body->size, &err);
}

static void put_error(struct connection *connection, const char *status)
{
    VT_AUTO_BUF(body, 1024);
    struct vt_err err = { 0 };

    connection->close_after = true;
    vt_buf_printf(&body, &err, "<html><body><h1>HTTP %s</h1></body></html>", status);
    put_response(connection, status, "text/html", &body);
}

static struct connection *by_ticket(struct vt_sim_server *server, uint64_t ticket)
{
    struct connection *connection = server->connections[ticket % CONNECTIONS_MAX];

    return connection && connection->ticket == ticket ? connection : NULL;
}

static void put_spoilt(struct connection *connection, enum vt_sim_spoil kind,
                       const struct vt_buf *body)
{
    VT_AUTO_BUF(spoilt, VT_SIM_REPLY_MAX);
    const char *status = NULL, *type = NULL;

    if (vt_sim_spoil_make(kind, body, &spoilt, &status, &type)) {
        put_response(connection, status, type, &spoilt);
        return;
    }
    put_response(connection, status, type, body);
    connection->out.size -= body->size - body->size / 2;
    connection->close_after = true;
}

/* The answer leaves now, or is lost with its connection when a fault asks for it. */
static void answer(struct vt_sim_server *server, struct connection *connection,
                   const struct vt_buf *body)
{
    struct vt_sim_faults *faults = &server->world->faults;

    connection->ticket = 0;
    if (faults->drop_connections > 0) {
        faults->drop_connections--;
        close_connection(server, connection);
        return;
    }
    if (faults->spoil_count > 0) {
        faults->spoil_count--;
        put_spoilt(connection, faults->spoil, body);
    } else {
        put_response(connection, "200 OK", "text/xml", body);
    }
    if (!flush(server, connection))
        close_connection(server, connection);
}

struct late {
    struct vt_sim_server *server;
    uint64_t ticket;
    size_t size;
    uint8_t body[];
};

static void answer_late(struct vt_sim_world *world, void *context)
{
    struct late *late = context;
    struct connection *connection = by_ticket(late->server, late->ticket);
    struct vt_buf body = { .data = late->body, .size = late->size };

    (void)world;
    if (connection)
        answer(late->server, connection, &body);
}

static void deliver(void *context, uint64_t ticket, const struct vt_buf *body)
{
    struct vt_sim_server *server = context;
    struct connection *connection = by_ticket(server, ticket);

    if (!connection)
        return;
    if (server->world->faults.delay == 0) {
        answer(server, connection, body);
        return;
    }
    struct late *late = vt_sim_alloc(sizeof *late + body->size);
    late->server = server;
    late->ticket = ticket;
    late->size = body->size;
    memcpy(late->body, body->data, body->size);
    vt_sim_after_owned(server->world, server->world->faults.delay, answer_late, late);
}

static void open_console(struct connection *connection, const char *path)
{
    const char *status = "404 Not Found";
    struct vt_err err = { 0 };
    VT_AUTO_BUF(hello, 64);

    connection->console = vt_sim_console_open(connection->machine, path, &hello, &status);
    if (!connection->console) {
        put_error(connection, status);
        return;
    }
    connection->close_after = false;
    vt_buf_append_text(
        &connection->out,
        "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nCache-Control: no-cache, no-store\r\n\r\n",
        &err);
    vt_buf_append(&connection->out, hello.data, hello.size, &err);
}

/* One complete request. */
static void handle(struct vt_sim_server *server, struct connection *connection,
                   const struct vt_sim_http *head, const uint8_t *body)
{
    VT_AUTO_BUF(out, VT_SIM_REPLY_MAX);
    struct vt_err err = { 0 };
    uint64_t ticket = ++server->serial * CONNECTIONS_MAX + connection->slot;

    uint32_t slot = connection->slot;
    vt_sim_control_count(server->world, server);
    if (server->connections[slot] != connection)
        return;
    connection->close_after = !head->keep_alive;
    if (strcmp(head->method, "CONNECT") == 0 && strncmp(head->path, "/console", 8) == 0) {
        open_console(connection, head->path);
        return;
    }
    if (strcmp(head->method, "POST") != 0) {
        put_error(connection, "404 Not Found");
        return;
    }
    if (strcmp(head->path, "/jsonrpc") == 0) { /* XML: clients that try JSON first fall back */
        vt_buf_append_text(&out, "<?xml version=\"1.0\"?>", &err);
        put_response(connection, "200 OK", "text/xml", &out);
        return;
    }
    connection->ticket = ticket;
    enum vt_sim_outcome outcome = vt_sim_handle(server->world, connection->machine, body,
                                                (size_t)head->content_length, ticket, &out);
    if (outcome == VT_SIM_ANSWERED) {
        deliver(server, ticket, &out);
    } else if (outcome == VT_SIM_MALFORMED) {
        connection->ticket = 0;
        put_error(connection, "500 Internal Server Error");
    }
}

/* Takes one request out of the input; false: none is complete. */
static bool take_request(struct vt_sim_server *server, struct connection *connection)
{
    struct vt_sim_http head;
    size_t head_size = 0;

    if (connection->ticket != 0 || connection->close_after || connection->in.size == 0)
        return false;
    enum vt_sim_http_result result = vt_sim_http_parse((const char *)connection->in.data,
                                                       connection->in.size, &head, &head_size);
    if (result == VT_SIM_HTTP_MORE)
        return false;
    bool post = result == VT_SIM_HTTP_HEAD && strcmp(head.method, "POST") == 0;
    if (result == VT_SIM_HTTP_BAD || head.chunked || (post && !head.has_length) ||
        head.content_length > VT_SIM_BODY_MAX) {
        put_error(connection, "500 Internal Server Error");
        return false;
    }
    if (connection->in.size - head_size < head.content_length)
        return false;
    size_t whole = head_size + (size_t)head.content_length;
    struct vt_buf request =
        connection->in; /* handle may close the connection: the bytes are ours meanwhile */
    uint32_t slot = connection->slot;
    vt_buf_init(&connection->in, IN_MAX);
    handle(server, connection, &head, request.data + head_size);
    struct vt_err err = { 0 };
    bool open = server->connections[slot] == connection;
    if (open)
        vt_buf_append(&connection->in, request.data + whole, request.size - whole, &err);
    vt_buf_fini(&request);
    return open;
}

static void serve(struct vt_sim_server *server, struct connection *connection)
{
    uint8_t bytes[READ_SIZE];
    struct vt_err err = { 0 };
    uint32_t slot = connection->slot;
    bool over = false;

    for (;;) {
        size_t room = IN_MAX - connection->in.size;
        if (room == 0)
            break;
        ssize_t moved =
            transfer(connection, bytes, NULL, room < sizeof bytes ? room : sizeof bytes);
        over = moved < 0;
        if (moved <= 0)
            break;
        if (!vt_buf_append(&connection->in, bytes, (size_t)moved, &err))
            over = true;
        if (over)
            break;
    }
    while (!over && !connection->console && take_request(server, connection))
        if (server->connections[slot] != connection)
            return;
    if (server->connections[slot] != connection)
        return;
    if (!over && connection->console)
        over = !vt_sim_console_feed(connection->console, &connection->in, &connection->out);
    over =
        over || connection->in.size == IN_MAX; /* more than a request while one is being answered */
    if (over || !flush(server, connection))
        close_connection(server, connection);
}

static void accept_connection(struct vt_sim_server *server, uint32_t machine)
{
    int fd = accept4(server->listeners[machine], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    uint32_t slot = 0;
    int one = 1;

    if (fd < 0)
        return;
    while (slot < CONNECTIONS_MAX && server->connections[slot])
        slot++;
    if (slot == CONNECTIONS_MAX) {
        close(fd);
        return;
    }
    struct connection *connection = vt_sim_alloc(sizeof *connection);
    *connection =
        (struct connection){ .fd = fd, .slot = slot, .machine = &server->world->machines[machine] };
    vt_buf_init(&connection->in, IN_MAX);
    vt_buf_init(&connection->out, VT_SIM_REPLY_MAX);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (server->tls[machine].context) {
        connection->ssl = SSL_new(server->tls[machine].context);
        SSL_set_fd(connection->ssl, fd);
        SSL_set_accept_state(connection->ssl);
    }
    server->connections[slot] = connection;
    watch(server, fd, vt_sim_watch(VT_SIM_WATCH_CONNECTION, slot), EPOLLIN, EPOLL_CTL_ADD);
}

static bool open_listener(struct vt_sim_server *server, struct vt_sim_machine *machine,
                          struct vt_err *err)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(server->world->options.port) };
    vt_autoclose fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;

    inet_pton(AF_INET, machine->address, &address.sin_addr);
    if (fd < 0)
        return vt_fail_errno(err, "socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 128) != 0)
        return vt_fail_errno(err, "listening on %s:%u", machine->address,
                             server->world->options.port);
    watch(server, fd, vt_sim_watch(VT_SIM_WATCH_LISTENER, machine->index), EPOLLIN, EPOLL_CTL_ADD);
    server->listeners[machine->index] = vt_take_fd(&fd);
    return true;
}

static void machine_changed(void *context, struct vt_sim_machine *machine)
{
    struct vt_sim_server *server = context;
    struct vt_err err = { 0 };
    int *listener = &server->listeners[machine->index];

    if (machine->up) {
        if (*listener < 0 && !open_listener(server, machine, &err))
            fprintf(stderr, "vitrine-poolsim: %s\n", err.text);
        return;
    }
    if (*listener >= 0)
        close(*listener);
    *listener = -1;
    for (uint32_t i = 0; i < CONNECTIONS_MAX; i++)
        if (server->connections[i] && server->connections[i]->machine == machine)
            close_connection(server, server->connections[i]);
}

static const char *certificate(void *context, struct vt_sim_machine *machine)
{
    struct vt_sim_server *server = context;
    const char *pem = server->tls[machine->index].pem;

    return pem ? pem : "";
}

bool vt_sim_server_new_certificate(struct vt_sim_server *server, uint32_t machine,
                                   struct vt_err *err)
{
    struct vt_sim_machine *m = &server->world->machines[machine];
    const struct vt_sim_object *host = vt_sim_get(m->pool->db, m->host);
    struct vt_sim_tls fresh = { 0 };

    if (!vt_sim_tls_init(&fresh, vt_sim_text(host, VT_host_name_label), m->address, err))
        return false;
    vt_sim_tls_fini(&server->tls[machine]);
    server->tls[machine] = fresh;
    return true;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool start(struct vt_sim_server *server, struct vt_err *err)
{
    struct vt_sim_world *world = server->world;

    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (server->epoll < 0)
        return vt_fail_errno(err, "epoll");
    for (uint32_t i = 0; i < world->machine_count; i++) {
        if (world->options.tls && !vt_sim_server_new_certificate(server, i, err))
            return false;
        if (!open_listener(server, &world->machines[i], err))
            return false;
    }
    world->deliver = deliver;
    world->machine_changed = machine_changed;
    world->certificate = certificate;
    world->context = server;
    if (world->options.guest_port > 0 &&
        !(world->guests = vt_sim_guests_new(world, server->epoll, err)))
        return false;
    server->control = vt_sim_control_new(server, world, server->epoll, err);
    return server->control;
}

struct vt_sim_server *vt_sim_server_new(struct vt_sim_world *world, struct vt_err *err)
{
    VT_AUTO(vt_sim_server) server = vt_sim_alloc(sizeof *server);

    server->world = world;
    server->epoll = -1;
    for (uint32_t i = 0; i < VT_SIM_HOSTS_MAX; i++)
        server->listeners[i] = -1;
    raise_descriptor_limit();
    if (!start(server, err))
        return NULL;
    return vt_take(&server);
}

void vt_sim_server_free(struct vt_sim_server *server)
{
    if (!server)
        return;
    for (uint32_t i = 0; i < CONNECTIONS_MAX; i++)
        if (server->connections[i])
            close_connection(server, server->connections[i]);
    for (uint32_t i = 0; i < VT_SIM_HOSTS_MAX; i++) {
        if (server->listeners[i] >= 0)
            close(server->listeners[i]);
        vt_sim_tls_fini(&server->tls[i]);
    }
    vt_sim_control_free(server->control);
    vt_sim_guests_free(server->world->guests);
    server->world->guests = NULL;
    server->world->deliver = NULL;
    server->world->machine_changed = NULL;
    server->world->certificate = NULL;
    if (server->epoll >= 0)
        close(server->epoll);
    free(server);
}

static void on_event(struct vt_sim_server *server, const struct epoll_event *event)
{
    uint32_t index = (uint32_t)event->data.u64;

    switch ((enum vt_sim_watch)(event->data.u64 >> 32)) {
    case VT_SIM_WATCH_LISTENER:
        if (server->listeners[index] >= 0)
            accept_connection(server, index);
        break;
    case VT_SIM_WATCH_CONNECTION:
        if (server->connections[index])
            serve(server, server->connections[index]);
        break;
    case VT_SIM_WATCH_GUEST:
        vt_sim_guests_ready(server->world->guests, index);
        break;
    case VT_SIM_WATCH_GUEST_CALL:
        vt_sim_guests_call_ready(server->world->guests, index);
        break;
    case VT_SIM_WATCH_CONTROL:
        vt_sim_control_ready(server->control);
        break;
    case VT_SIM_WATCH_CALLER:
        vt_sim_control_caller_ready(server->control, index);
        break;
    case VT_SIM_WATCH_STOP:
        break;
    }
}

bool vt_sim_server_run(struct vt_sim_server *server, int stop_fd, struct vt_err *err)
{
    struct epoll_event events[EVENTS_MAX];

    watch(server, stop_fd, vt_sim_watch(VT_SIM_WATCH_STOP, 0), EPOLLIN, EPOLL_CTL_ADD);
    for (;;) {
        int64_t next = vt_sim_next(server->world);
        int count = epoll_wait(server->epoll, events, EVENTS_MAX, vt_clock_poll_ms(next));
        if (count < 0 && errno != EINTR)
            return vt_fail_errno(err, "epoll");
        vt_sim_advance(server->world, vt_clock_mono());
        for (int i = 0; i < count; i++) {
            if (events[i].data.u64 == vt_sim_watch(VT_SIM_WATCH_STOP, 0))
                return true;
            on_event(server, &events[i]);
        }
        vt_sim_look(server->world);
    }
}
