#include "hypervisor/pool_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <jansson.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"

enum { READ_STEP = 64 << 10, PATH_ROOM = 4096 };

bool vt_wire_address(const char *path, struct sockaddr_un *out, int *out_folder, struct vt_err *err)
{
    char folder[PATH_ROOM];
    const char *slash = strrchr(path, '/');
    size_t length = strlen(path);

    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    *out_folder = -1;
    if (length > 0 && length < sizeof out->sun_path) {
        memcpy(out->sun_path, path, length);
        return true;
    }
    if (!slash || length >= sizeof folder)
        return vt_fail(err, VT_E_INVALID, "'%.80s' is no path of a socket", path);
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    *out_folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*out_folder < 0)
        return vt_fail_errno(err, "%s", folder);
    if (snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d/%.60s", *out_folder,
                 slash + 1) < (int)sizeof out->sun_path &&
        strlen(slash + 1) <= 60)
        return true;
    close(vt_take_fd(out_folder));
    return vt_fail(err, VT_E_INVALID, "the name of the socket %.80s is too long", slash + 1);
}

/* false: an error. *out_closed: end of stream. */
static bool read_more(int fd, struct vt_buf *buf, int64_t deadline, bool *out_closed,
                      struct vt_err *err)
{
    size_t step = buf->limit - buf->size < READ_STEP ? buf->limit - buf->size : READ_STEP;
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

    if (step == 0)
        return vt_fail(err, VT_E_LIMIT, "a line on the pool's socket is longer than %zu bytes",
                       buf->limit);
    if (!vt_buf_reserve(buf, step, err))
        return false;
    int ready = poll(&poll_fd, 1, vt_clock_poll_ms(deadline));
    if (ready == 0)
        return vt_fail(err, VT_E_TIMEOUT, "nothing came over the pool's socket in time");
    ssize_t got = ready < 0 ? -1 : recv(fd, buf->data + buf->size, step, MSG_DONTWAIT);
    if (got < 0 && errno != EINTR && errno != EAGAIN && errno != ECONNRESET)
        return vt_fail_errno(err, "the pool's socket");
    *out_closed = got == 0 || (got < 0 && errno == ECONNRESET);
    buf->size += got > 0 ? (size_t)got : 0;
    return true;
}

bool vt_wire_line(int fd, struct vt_buf *buf, size_t *out_used, int64_t deadline,
                  const char **out_line, size_t *out_size, struct vt_err *err)
{
    bool closed = false;
    size_t seen = *out_used;

    *out_line = NULL;
    while (!closed) {
        const uint8_t *end =
            buf->size > seen ? memchr(buf->data + seen, '\n', buf->size - seen) : NULL;
        if (end) {
            *out_line = (const char *)buf->data + *out_used;
            *out_size = (size_t)(end - buf->data) - *out_used;
            *out_used += *out_size + 1;
            return true;
        }
        if (*out_used > 0) { /* the lines before are done with */
            buf->size -= *out_used;
            memmove(buf->data, buf->data + *out_used, buf->size);
            *out_used = 0;
        }
        seen = buf->size;
        if (!read_more(fd, buf, deadline, &closed, err))
            return false;
    }
    return true;
}

/* Of brackets outside texts. What is no JSON at all may count as anything. */
static bool nests_too_deep(const char *line, size_t size)
{
    size_t depth = 0;
    bool in_text = false;

    for (size_t i = 0; i < size && depth <= VT_WIRE_DEPTH_MAX; i++) {
        if (in_text && line[i] == '\\')
            i++;
        else if (line[i] == '"')
            in_text = !in_text;
        else if (!in_text && (line[i] == '{' || line[i] == '['))
            depth++;
        else if (!in_text && (line[i] == '}' || line[i] == ']'))
            depth -= depth > 0;
    }
    return depth > VT_WIRE_DEPTH_MAX;
}

json_t *vt_wire_parse(const char *line, size_t size, struct vt_err *err)
{
    json_error_t why;

    if (nests_too_deep(line, size)) { /* jansson's own bound is too deep for a caller's thread */
        vt_fail(err, VT_E_PROTOCOL, "a line on the pool's socket is nested too deeply");
        return NULL;
    }
    json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES, &why);

    if (json_is_object(object))
        return object;
    /* without memory it gives no reason, or this one */
    if (!object && (json_error_code(&why) == json_error_out_of_memory || !*why.text))
        vt_fail(err, VT_E_NOMEM, "no memory for a line of the pool's socket");
    else
        vt_fail(err, VT_E_PROTOCOL, "a line on the pool's socket is no JSON object");
    json_decref(object);
    return NULL;
}

bool vt_wire_send(int fd, const void *bytes, size_t size, int64_t deadline, struct vt_err *err)
{
    const char *from = bytes;

    while (size > 0) {
        struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
        ssize_t step = send(fd, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (step > 0) {
            from += step;
            size -= (size_t)step;
            continue;
        }
        if (step < 0 && errno != EAGAIN && errno != EINTR)
            return vt_fail(err, VT_E_CLOSED, "the other end of the pool's socket is gone");
        if (poll(&poll_fd, 1, vt_clock_poll_ms(deadline)) == 0)
            return vt_fail(err, VT_E_TIMEOUT, "the other end of the pool's socket takes nothing");
    }
    return true;
}
