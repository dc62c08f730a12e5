#include "cmd/control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "cmd/control.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"

enum { READ_STEP = 16 << 10 };

bool vt_control_address(const char *folder, struct sockaddr_un *out, int *out_folder_fd,
                        struct vt_err *err)
{
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    *out_folder_fd = -1;
    size_t room = sizeof out->sun_path;
    if ((size_t)snprintf(out->sun_path, room, "%s/control.sock", folder) < room)
        return true;
    *out_folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*out_folder_fd < 0)
        return vt_fail_errno(err, "archive %s", folder);
    snprintf(out->sun_path, room, "/proc/self/fd/%d/control.sock", *out_folder_fd);
    return true;
}

static bool parse_line(struct vt_buf *buf, size_t length, json_t **out, struct vt_err *err)
{
    json_error_t why;
    json_t *object = json_loadb((const char *)buf->data, length, JSON_REJECT_DUPLICATES, &why);

    buf->size -= length + 1;
    memmove(buf->data, buf->data + length + 1, buf->size);
    if (json_is_object(object)) {
        *out = object;
        return true;
    }
    json_decref(object);
    return vt_fail(err, VT_E_PROTOCOL, "a line on the control socket is no JSON object");
}

/* false: an error. *out_closed: end of stream. */
static bool read_more(int fd, struct vt_buf *buf, int64_t deadline, bool *out_closed,
                      struct vt_err *err)
{
    size_t step = buf->limit - buf->size < READ_STEP ? buf->limit - buf->size : READ_STEP;
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

    if (step == 0)
        return vt_fail(err, VT_E_LIMIT, "a line on the control socket is longer than %zu bytes",
                       buf->limit);
    if (!vt_buf_reserve(buf, step, err))
        return false;
    int ready = poll(&poll_fd, 1, vt_clock_poll_ms(deadline));
    if (ready == 0)
        return vt_fail(err, VT_E_TIMEOUT, "nothing came over the control socket in time");
    ssize_t got = ready < 0 ? -1 : recv(fd, buf->data + buf->size, step, 0);
    if (got < 0 && errno != EINTR && errno != EAGAIN && errno != ECONNRESET)
        return vt_fail_errno(err, "control socket");
    *out_closed = got == 0 || (got < 0 && errno == ECONNRESET);
    buf->size += got > 0 ? (size_t)got : 0;
    return true;
}

bool vt_control_read(int fd, struct vt_buf *buf, int64_t deadline, json_t **out, struct vt_err *err)
{
    bool closed = false;
    size_t seen = 0;

    *out = NULL;
    while (!closed) {
        const uint8_t *end =
            buf->size > seen ? memchr(buf->data + seen, '\n', buf->size - seen) : NULL;
        if (end)
            return parse_line(buf, (size_t)(end - buf->data), out, err);
        seen = buf->size;
        if (!read_more(fd, buf, deadline, &closed, err))
            return false;
    }
    return true;
}

bool vt_control_write(int fd, const char *key, json_t *value)
{
    json_t *object = json_object();
    char *text = object && json_object_set_new(object, key, value) == 0
                     ? json_dumps(object, JSON_COMPACT)
                     : NULL;
    size_t size = text ? strlen(text) : 0, sent = 0;
    bool fine = text && size < VT_CONTROL_ANSWER_MAX;

    json_decref(object);
    if (fine)
        text[size++] = '\n'; /* where the zero byte was */
    while (fine && sent < size) {
        ssize_t step = send(fd, text + sent, size - sent, MSG_NOSIGNAL);
        if (step > 0)
            sent += (size_t)step;
        else
            fine = step < 0 && errno == EINTR;
    }
    free(text);
    return fine;
}
