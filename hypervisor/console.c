#include "hypervisor/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curl.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/line.h"
#include "hypervisor/xapi_state.h"

enum { HEAD_MAX = 4096, OPEN_MS = 15000, PATH_MAX_BYTES = 512 };

struct vt_console {
    struct vt_line *line; /* NULL: the socket */
    int socket;           /* -1: the line */
    struct vt_buf ahead;  /* came together with the head of the answer */
    size_t ahead_read;
};

void vt_console_free(struct vt_console *console)
{
    if (!console)
        return;
    vt_line_free(console->line);
    if (console->socket >= 0)
        close(console->socket);
    vt_buf_fini(&console->ahead);
    free(console);
}

/* ---- where it is ---- */

struct place {
    char address[VT_XAPI_ADDRESS_MAX];
    char path[PATH_MAX_BYTES]; /* with the query */
};

static bool copy_part(CURLU *url, CURLUPart part, char *out, size_t room)
{
    char *text = NULL;
    bool ok = curl_url_get(url, part, &text, 0) == CURLUE_OK && strlen(text) < room;

    if (ok)
        memcpy(out, text, strlen(text) + 1);
    curl_free(text);
    return ok;
}

/* "https://10.0.0.11/console?uuid=..." */
static bool read_location(const char *location, struct place *out)
{
    char query[256] = "", path[128] = "";
    CURLU *url = curl_url();
    bool ok = url && curl_url_set(url, CURLUPART_URL, location, 0) == CURLUE_OK &&
              copy_part(url, CURLUPART_HOST, out->address, sizeof out->address) &&
              copy_part(url, CURLUPART_PATH, path, sizeof path) &&
              copy_part(url, CURLUPART_QUERY, query, sizeof query);
    size_t length = strlen(out->address);

    curl_url_cleanup(url);
    if (ok && length > 2 && out->address[0] == '[') {
        memmove(out->address, out->address + 1, length - 2);
        out->address[length - 2] = '\0';
    }
    snprintf(out->path, sizeof out->path, "%s?%s", path, query);
    return ok && strpbrk(out->path, " \r\n") == NULL;
}

static bool is_member(struct vt_xapi *xapi, const char *address)
{
    struct vt_xapi_member members[VT_XAPI_MEMBERS_MAX];
    char uuid[VT_XAPI_UUID_MAX];
    size_t count = 0;

    vt_xapi_members(xapi, members, &count, uuid);
    for (size_t i = 0; i < count; i++)
        if (strcmp(members[i].address, address) == 0)
            return true;
    return false;
}

/* The first console of the VM that speaks RFB. */
static bool find_place(struct vt_xapi *xapi, struct vt_line *line, const char *vm,
                       struct place *out, struct vt_err *err)
{
    VT_AUTO_REPLY consoles = { 0 };

    if (!vt_xapi_call(xapi, line, &consoles, err, "VM.get_consoles", "s", vm))
        return false;
    for (const struct vt_xmlrpc_value *ref = vt_xmlrpc_first(consoles.value); ref;
         ref = ref->next) {
        VT_AUTO_REPLY record = { 0 };
        if (!vt_xapi_call(xapi, line, &record, err, "console.get_record", "s",
                          vt_xmlrpc_text(ref, "")))
            return false;
        const char *protocol = vt_xmlrpc_text(vt_xmlrpc_member(record.value, "protocol"), "");
        const char *location = vt_xmlrpc_text(vt_xmlrpc_member(record.value, "location"), "");
        if (strcmp(protocol, "rfb") != 0 || !read_location(location, out))
            continue;
        return is_member(xapi, out->address) ||
               vt_fail(err, VT_E_DENIED, "the console is said to be on %s, which is no member",
                       out->address);
    }
    return vt_fail(err, VT_E_NOTFOUND, "it has no console now: it must run, on a host that answers");
}

/* ---- opening ---- */

static bool wait_for(struct vt_console *console, short events, int64_t deadline,
                     struct vt_err *err)
{
    struct pollfd fd = { .fd = vt_line_socket(console->line), .events = events };
    int64_t left = (deadline - vt_clock_mono()) / 1000000;

    return (left > 0 && poll(&fd, 1, (int)left) > 0) ||
           vt_fail(err, VT_E_TIMEOUT, "the console does not answer");
}

static bool send_all(struct vt_console *console, const char *text, int64_t deadline,
                     struct vt_err *err)
{
    size_t size = strlen(text), sent = 0;

    while (sent < size) {
        size_t moved = 0;
        if (!vt_line_write(console->line, text + sent, size - sent, &moved, err) ||
            (moved == 0 && !wait_for(console, POLLOUT, deadline, err)))
            return false;
        sent += moved;
    }
    return true;
}

/* The head of the answer; what came behind it is kept. */
static bool read_head(struct vt_console *console, int64_t deadline, struct vt_err *err)
{
    char *end = NULL;

    while (!end) {
        size_t moved = 0;
        if (console->ahead.size >= HEAD_MAX)
            return vt_fail(err, VT_E_LIMIT, "the console's answer has no end");
        if (!vt_buf_reserve(&console->ahead, HEAD_MAX - console->ahead.size, err) ||
            !vt_line_read(console->line, console->ahead.data + console->ahead.size,
                          HEAD_MAX - console->ahead.size, &moved, err) ||
            (moved == 0 && !wait_for(console, POLLIN, deadline, err)))
            return false;
        console->ahead.size += moved;
        end = console->ahead.size ? memmem(console->ahead.data, console->ahead.size, "\r\n\r\n", 4)
                                  : NULL;
    }
    const char *head = (const char *)console->ahead.data;
    console->ahead_read = (size_t)(end - head) + 4;
    if (strncmp(head, "HTTP/1.", 7) != 0 || strncmp(head + 8, " 200", 4) != 0)
        return vt_fail(err, VT_E_REFUSED, "the host refused the console: %.*s",
                       (int)strcspn(head, "\r\n"), head);
    return true;
}

static bool connect_place(struct vt_console *console, struct vt_xapi *xapi,
                          const struct place *place, const char *session, struct vt_err *err)
{
    int64_t deadline = vt_clock_mono() + (int64_t)OPEN_MS * 1000000;
    struct vt_xapi_session at;
    char request[PATH_MAX_BYTES + 256];

    snprintf(request, sizeof request,
             "CONNECT %s&session_id=%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: vitrine/%s\r\n\r\n",
             place->path, session, place->address, VT_VERSION);
    return vt_xapi_member_session(xapi, place->address, &at, err) &&
           vt_line_connect(console->line, &at.host, OPEN_MS, err) &&
           send_all(console, request, deadline, err) && read_head(console, deadline, err);
}

struct vt_console *vt_console_open(struct vt_xapi *xapi, struct vt_line *line, const char *vm,
                                   struct vt_err *err)
{
    VT_AUTO(vt_console) console = calloc(1, sizeof *console);
    struct place place = { 0 };
    struct vt_xapi_session session;

    if (!console) {
        vt_fail(err, VT_E_NOMEM, "no memory for a console");
        return NULL;
    }
    console->socket = -1;
    vt_buf_init(&console->ahead, HEAD_MAX + 1);
    if (!find_place(xapi, line, vm, &place, err) ||
        !vt_xapi_session_need(xapi, line, &session, err) || !(console->line = vt_line_new(err)) ||
        !connect_place(console, xapi, &place, session.ref, err))
        return NULL;
    return vt_take(&console);
}

struct vt_console *vt_console_take(int socket, struct vt_err *err)
{
    VT_AUTO(vt_console) console = calloc(1, sizeof *console);
    int flags = fcntl(socket, F_GETFL);

    if (!console) {
        close(socket);
        vt_fail(err, VT_E_NOMEM, "no memory for a console");
        return NULL;
    }
    console->socket = socket;
    vt_buf_init(&console->ahead, 1);
    if (flags < 0 || fcntl(socket, F_SETFL, flags | O_NONBLOCK) != 0) {
        vt_fail_errno(err, "the console's socket");
        return NULL;
    }
    return vt_take(&console);
}

/* ---- bytes ---- */

/* Of recv or send: how many, 0 for later. */
static bool moved(ssize_t size, size_t *out_size, struct vt_err *err)
{
    bool later = size < 0 && (errno == EAGAIN || errno == EINTR);

    if (size < 0 && !later)
        return vt_fail(err, VT_E_CLOSED, "the console's connection broke");
    *out_size = later ? 0 : (size_t)size;
    return true;
}

bool vt_console_read(struct vt_console *console, void *bytes, size_t room, size_t *out_size,
                     struct vt_err *err)
{
    size_t left = console->ahead.size - console->ahead_read;

    if (!console->line) {
        ssize_t size = recv(console->socket, bytes, room, 0);
        return size == 0 ? vt_fail(err, VT_E_CLOSED, "the console ended") : moved(size, out_size, err);
    }
    if (left == 0)
        return vt_line_read(console->line, bytes, room, out_size, err);
    *out_size = left < room ? left : room;
    memcpy(bytes, console->ahead.data + console->ahead_read, *out_size);
    console->ahead_read += *out_size;
    return true;
}

bool vt_console_write(struct vt_console *console, const void *bytes, size_t size, size_t *out_size,
                      struct vt_err *err)
{
    if (!console->line)
        return moved(send(console->socket, bytes, size, MSG_NOSIGNAL), out_size, err);
    return vt_line_write(console->line, bytes, size, out_size, err);
}

int vt_console_socket(struct vt_console *console)
{
    return console->line ? vt_line_socket(console->line) : console->socket;
}
