#include "poolsim/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/err.h"
#include "poolsim/mem.h"
#include "poolsim/server.h"
#include "poolsim/sim.h"

enum {
    CALLERS_MAX = 16,
    COMMAND_MAX = 4096,
    WORDS_MAX = 8,
    ANSWER_MAX = 1 << 20,
    CALL_TIMEOUT_S = 30
};

struct caller {
    int fd;
    struct vt_buf in;
};

struct vt_sim_control {
    struct vt_sim_server *server;
    struct vt_sim_world *world;
    int epoll, fd;
    struct caller callers[CALLERS_MAX];
};

static socklen_t name_socket(uint16_t port, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    int length = snprintf(out->sun_path + 1, sizeof out->sun_path - 1, "vitrine-poolsim-%u", port);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

struct vt_sim_control *vt_sim_control_new(struct vt_sim_server *server, struct vt_sim_world *world,
                                          int epoll, struct vt_err *err)
{
    struct sockaddr_un name;
    socklen_t size = name_socket(world->options.port, &name);
    vt_autoclose fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct epoll_event event = { .events = EPOLLIN,
                                 .data.u64 = vt_sim_watch(VT_SIM_WATCH_CONTROL, 0) };

    if (fd < 0 || bind(fd, (struct sockaddr *)&name, size) != 0 || listen(fd, CALLERS_MAX) != 0 ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        vt_fail_errno(err, "the control socket of port %u", world->options.port);
        return NULL;
    }
    struct vt_sim_control *control = vt_sim_alloc(sizeof *control);
    *control = (struct vt_sim_control){
        .server = server, .world = world, .epoll = epoll, .fd = vt_take_fd(&fd)
    };
    for (size_t i = 0; i < CALLERS_MAX; i++)
        control->callers[i].fd = -1;
    return control;
}

static void drop_caller(struct caller *caller)
{
    close(caller->fd);
    caller->fd = -1;
    vt_buf_fini(&caller->in);
}

void vt_sim_control_free(struct vt_sim_control *control)
{
    if (!control)
        return;
    for (size_t i = 0; i < CALLERS_MAX; i++)
        if (control->callers[i].fd >= 0)
            drop_caller(&control->callers[i]);
    close(control->fd);
    free(control);
}

static bool same_user(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

void vt_sim_control_ready(struct vt_sim_control *control)
{
    int fd = accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    uint32_t slot = 0;

    if (fd < 0)
        return;
    while (slot < CALLERS_MAX && control->callers[slot].fd >= 0)
        slot++;
    if (slot == CALLERS_MAX || !same_user(fd)) {
        close(fd);
        return;
    }
    struct epoll_event event = { .events = EPOLLIN,
                                 .data.u64 = vt_sim_watch(VT_SIM_WATCH_CALLER, slot) };
    control->callers[slot].fd = fd;
    vt_buf_init(&control->callers[slot].in, COMMAND_MAX);
    epoll_ctl(control->epoll, EPOLL_CTL_ADD, fd, &event);
}

/* The command is complete when the caller has shut its side. */
static void run_caller(struct vt_sim_control *control, struct caller *caller)
{
    VT_AUTO_BUF(answer, ANSWER_MAX);
    const char *words[WORDS_MAX];
    int count = 0;
    struct vt_err err = { 0 }, ignored = { 0 };

    vt_buf_append_byte(&caller->in, '\0', &ignored);
    for (size_t at = 0; at + 1 < caller->in.size && count < WORDS_MAX;) {
        words[count++] = (const char *)caller->in.data + at;
        at += strlen(words[count - 1]) + 1;
    }
    if (!vt_sim_control_run(control->world, control->server, count, words, &answer, &err)) {
        vt_buf_reset(&answer);
        vt_buf_printf(&answer, &ignored, "error: %s\n", err.text);
    } else if (answer.size == 0) {
        vt_buf_append_text(&answer, "ok\n", &ignored);
    }
    /* a local caller waits for it; what does not fit into the socket's buffer is lost to it alone
     */
    if (send(caller->fd, answer.data, answer.size, MSG_NOSIGNAL) < 0)
        return;
}

void vt_sim_control_caller_ready(struct vt_sim_control *control, uint32_t slot)
{
    struct caller *caller = &control->callers[slot];
    uint8_t bytes[1024];
    struct vt_err err = { 0 };

    if (caller->fd < 0)
        return;
    ssize_t size = recv(caller->fd, bytes, sizeof bytes, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size > 0 && vt_buf_append(&caller->in, bytes, (size_t)size, &err))
        return;
    if (size == 0)
        run_caller(control, caller);
    drop_caller(caller);
}

static bool say(int fd, int argc, char *const *argv, struct vt_err *err)
{
    for (int i = 0; i < argc; i++)
        if (send(fd, argv[i], strlen(argv[i]) + 1, MSG_NOSIGNAL) < 0)
            return vt_fail_errno(err, "sending");
    return shutdown(fd, SHUT_WR) == 0 || vt_fail_errno(err, "sending");
}

bool vt_sim_control_call(uint16_t port, int argc, char *const *argv, struct vt_buf *out,
                         struct vt_err *err)
{
    struct sockaddr_un name;
    socklen_t size = name_socket(port, &name);
    vt_autoclose fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval wait = { .tv_sec = CALL_TIMEOUT_S };

    if (fd < 0 || connect(fd, (struct sockaddr *)&name, size) != 0)
        return vt_fail(err, VT_E_REFUSED, "no simulator runs on port %u", port);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (!say(fd, argc, argv, err))
        return false;
    for (;;) {
        uint8_t bytes[4096];
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got < 0)
            return vt_fail_errno(err, "waiting for the simulator");
        if (got == 0)
            break;
        if (!vt_buf_append(out, bytes, (size_t)got, err))
            return false;
    }
    const char *text = vt_buf_string(out, err);
    if (!text)
        return false;
    if (strncmp(text, "error: ", 7) == 0)
        return vt_fail(err, VT_E_INVALID, "%.*s", (int)strcspn(text + 7, "\n"), text + 7);
    return true;
}
