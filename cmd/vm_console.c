/* A VM's console for a VNC viewer on this machine, or as a picture in a file. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd/vm_commands.h"
#include "cmd/vm_pool.h"
#include "cmd/vm_relay.h"
#include "core/auto.h"
#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/console.h"
#include "hypervisor/driver.h"
#include "hypervisor/explain.h"
#include "hypervisor/rfb.h"

enum { GRAB_S = 30, LOOK_MS = 200 };

#define CLASSES (VT_CLASS_BIT(VT_CLASS_VM) | VT_CLASS_BIT(VT_CLASS_HOST))

/* ---- the picture ---- */

struct grab {
    struct vt_console *console;
    int64_t deadline;
};

static bool wait_for(const struct grab *grab, short events, struct vt_err *err)
{
    struct pollfd fd = { .fd = vt_console_socket(grab->console), .events = events };

    if (vt_cli_interrupted())
        return vt_fail(err, VT_E_CANCELLED, "interrupted");
    if (vt_clock_mono() > grab->deadline)
        return vt_fail(err, VT_E_TIMEOUT, "the console sent no whole picture in %d s", GRAB_S);
    poll(&fd, 1, LOOK_MS);
    return true;
}

static bool read_all(void *context, void *bytes, size_t size, struct vt_err *err)
{
    struct grab *grab = context;

    for (size_t done = 0; done < size;) {
        size_t moved = 0;
        if (!vt_console_read(grab->console, (uint8_t *)bytes + done, size - done, &moved, err) ||
            (moved == 0 && !wait_for(grab, POLLIN, err)))
            return false;
        done += moved;
    }
    return true;
}

static bool write_all(void *context, const void *bytes, size_t size, struct vt_err *err)
{
    struct grab *grab = context;

    for (size_t done = 0; done < size;) {
        size_t moved = 0;
        if (!vt_console_write(grab->console, (const uint8_t *)bytes + done, size - done, &moved,
                              err) ||
            (moved == 0 && !wait_for(grab, POLLOUT, err)))
            return false;
        done += moved;
    }
    return true;
}

static bool screenshot(const struct vt_pool *pool, struct vt_console *console, const char *path,
                       struct vt_err *err)
{
    struct grab grab = { console, vt_clock_mono() + GRAB_S * VT_NS_PER_S };
    const struct vt_rfb_stream stream = { &grab, read_all, write_all };
    struct vt_rfb_picture picture = { 0 };
    bool ok = vt_rfb_grab(&stream, &picture, err) && vt_rfb_write(&picture, path, err);

    if (ok && !pool->cli->options->json)
        fprintf(pool->cli->out, "%s: %u by %u\n", path, picture.width, picture.height);
    vt_rfb_picture_fini(&picture);
    return ok;
}

static bool stopped(void *context)
{
    (void)context;
    return vt_cli_interrupted();
}

/* ---- where the viewer connects ---- */

static int listen_on(int family, const struct sockaddr *address, socklen_t size, struct vt_err *err)
{
    vt_autoclose fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, address, size) != 0 || listen(fd, 1) != 0) {
        vt_fail_errno(err, "--listen");
        return -1;
    }
    return vt_take_fd(&fd);
}

/* A path with a slash; the folder's rights are what keeps others out. */
static int listen_unix(const char *path, struct vt_err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    mode_t mask = umask(077);

    if (strlen(path) >= sizeof address.sun_path) {
        umask(mask);
        vt_fail(err, VT_E_INVALID, "--listen: the path is too long for a socket");
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = listen_on(AF_UNIX, (struct sockaddr *)&address, sizeof address, err);
    umask(mask);
    return fd;
}

/* A port of the loopback: who connects has the console without a password. */
static int listen_port(const char *text, char out_name[static 64], struct vt_err *err)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    unsigned port = 0;
    char rest = '\0';

    if (sscanf(text, "%5u%c", &port, &rest) != 1 || port > 65535) {
        vt_fail(err, VT_E_INVALID, "--listen wants a port of this machine or a path, not '%.60s'",
                text);
        return -1;
    }
    address.sin_port = htons((uint16_t)port);
    int fd = listen_on(AF_INET, (struct sockaddr *)&address, sizeof address, err);
    if (fd >= 0 && getsockname(fd, (struct sockaddr *)&address, &size) == 0)
        snprintf(out_name, 64, "vnc://127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

/* The first viewer that connects. -1 without an error: interrupted. */
static int accept_viewer(const struct vt_cli *cli, const char *where, struct vt_err *err)
{
    char name[64] = "";
    bool is_path = strchr(where, '/');
    vt_autoclose fd = is_path ? listen_unix(where, err) : listen_port(where, name, err);
    int viewer = -1;

    if (fd < 0)
        return -1;
    fprintf(cli->out, "waiting for a viewer on %s\n", is_path ? where : name);
    fflush(cli->out);
    while (viewer < 0 && !vt_cli_interrupted()) {
        struct pollfd waiting = { .fd = fd, .events = POLLIN };
        if (poll(&waiting, 1, LOOK_MS) > 0)
            viewer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    if (is_path)
        unlink(where);
    return viewer;
}

static struct vt_console *open_console(struct vt_pool *pool, const char *vm, struct vt_err *err)
{
    if (!pool->session)
        return vt_console_open(pool->xapi, pool->line, vm, err);
    int fd = pool->driver->console(pool->session, vm, err);
    return fd >= 0 ? vt_console_take(fd, err) : NULL;
}

/* The console is opened when somebody looks: a host ends those that nobody reads. */
static bool show(struct vt_pool *pool, const struct vt_object *vm, struct vt_err *err)
{
    const char *file = vt_cli_value(pool->cli, "--screenshot");
    const char *where = vt_cli_value(pool->cli, "--listen");
    bool stdio = vt_cli_switch(pool->cli, "--stdio");
    vt_autoclose viewer = -1;

    if (!file && !stdio) {
        viewer = accept_viewer(pool->cli, where ? where : "0", err);
        if (viewer < 0)
            return !vt_failed(err);
    }
    VT_AUTO(vt_console) console = open_console(pool, vt_object_ref(vm), err);
    if (!console) {
        vt_explain(err, pool->picture);
        return vt_fail_context(err, "%s", vt_object_text(vm, "name_label"));
    }
    if (file)
        return screenshot(pool, console, file, err);
    return vt_vm_relay(console, stdio ? STDIN_FILENO : viewer, stdio ? STDOUT_FILENO : viewer, stopped, NULL, err);
}

static bool check_options(const struct vt_cli *cli, struct vt_err *err)
{
    int chosen = vt_cli_switch(cli, "--screenshot") + vt_cli_switch(cli, "--listen") +
                 vt_cli_switch(cli, "--stdio");

    return chosen <= 1 ||
           vt_fail(err, VT_E_INVALID, "one of --listen, --stdio and --screenshot at a time");
}

int vt_cli_vm_console(struct vt_cli *cli, struct vt_err *err)
{
    struct vt_pool pool = { 0 };

    if (check_options(cli, err) && vt_pool_open_any(cli, &pool, err) &&
        vt_pool_load(&pool, CLASSES, err)) {
        const struct vt_object *vm = vt_pool_find(&pool, VT_CLASS_VM, cli->args[0], err);
        if (vm)
            show(&pool, vm, err);
    }
    vt_pool_close(&pool);
    return vt_pool_status(err);
}
