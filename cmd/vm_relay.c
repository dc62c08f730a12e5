#include "cmd/vm_relay.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/auto.h"
#include "core/err.h"
#include "hypervisor/console.h"

enum { PIECE = 65536, LOOK_MS = 200 };

/* Bytes on their way, from one side's read to the other side's write. */
struct piece {
    uint8_t bytes[PIECE];
    size_t size, sent;
};

static bool is_empty(const struct piece *piece)
{
    return piece->sent == piece->size;
}

static bool from_console(struct vt_console *console, struct piece *piece, struct vt_err *err)
{
    piece->size = piece->sent = 0;
    return vt_console_read(console, piece->bytes, sizeof piece->bytes, &piece->size, err);
}

static bool to_console(struct vt_console *console, struct piece *piece, struct vt_err *err)
{
    size_t moved = 0;
    bool ok =
        vt_console_write(console, piece->bytes + piece->sent, piece->size - piece->sent, &moved, err);

    piece->sent += moved;
    return ok;
}

/* false with no error: the viewer has gone. */
static bool from_viewer(int fd, struct piece *piece, struct vt_err *err)
{
    ssize_t size = read(fd, piece->bytes, sizeof piece->bytes);

    if (size < 0)
        return errno == EAGAIN || errno == EINTR || errno == ECONNRESET
                   ? errno != ECONNRESET
                   : vt_fail_errno(err, "the viewer's connection");
    piece->size = (size_t)size;
    piece->sent = 0;
    return size > 0;
}

static bool to_viewer(int fd, struct piece *piece, struct vt_err *err)
{
    ssize_t size = write(fd, piece->bytes + piece->sent, piece->size - piece->sent);

    if (size < 0)
        return errno == EAGAIN || errno == EINTR ? true
               : errno == EPIPE || errno == ECONNRESET
                   ? false
                   : vt_fail_errno(err, "the viewer's connection");
    piece->sent += (size_t)size;
    return true;
}

static bool relay(struct vt_console *console, int in, int out, struct piece *down, struct piece *up, bool (*stopped)(void *context),
                  void *context, struct vt_err *err)
{
    bool going = true;

    while (going && !stopped(context)) {
        if (is_empty(down) && !from_console(console, down, err))
            break;
        struct pollfd fds[] = {
            { vt_console_socket(console), (short)((is_empty(down) ? POLLIN : 0) | (is_empty(up) ? 0 : POLLOUT)), 0 },
            { is_empty(up) ? in : -1, POLLIN, 0 },
            { is_empty(down) ? -1 : out, POLLOUT, 0 },
        };
        poll(fds, VT_COUNT(fds), LOOK_MS);
        if (fds[1].revents)
            going = from_viewer(in, up, err);
        if (going && !is_empty(up))
            going = to_console(console, up, err);
        if (going && fds[2].revents)
            going = to_viewer(out, down, err);
    }
    if (err->code == VT_E_CLOSED)
        vt_err_clear(err); /* the VM was shut down, or the host ended it */
    return !vt_failed(err);
}

bool vt_vm_relay(struct vt_console *console, int in, int out, bool (*stopped)(void *context), void *context, struct vt_err *err)
{
    vt_autofree struct piece *pieces = malloc(2 * sizeof *pieces);

    if (!pieces)
        return vt_fail(err, VT_E_NOMEM, "no memory for a screen");
    pieces[0].size = pieces[0].sent = pieces[1].size = pieces[1].sent = 0;
    return relay(console, in, out, &pieces[0], &pieces[1], stopped, context, err);
}
