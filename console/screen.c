#include "console/screen.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "console/websocket.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/client.h"

enum {
    OPEN_S = 30,            /* until the pool gives the screen */
    LOOK_MS = 500,
    ASK_S = 1,              /* whether it may go on */
    PIECE = 32 << 10,       /* read at once of the screen: one message */
    DOWN_MAX = PIECE + VT_WS_HEAD_MAX + 2 * (VT_WS_CONTROL_MAX + VT_WS_HEAD_MAX),
    IN_MAX = VT_WS_PAYLOAD_MAX + VT_WS_HEAD_MAX,
    CLOSE_NORMAL = 1000, CLOSE_PROTOCOL = 1002, CLOSE_POLICY = 1008, CLOSE_LIMIT = 1009, CLOSE_ERROR = 1011,
    CLOSE_WAIT_S = 2,       /* for a browser to take the reason */
};

/* Bytes on their way; what is taken goes from the front. */
struct relay {
    struct vt_ws_line *line;
    int peer;
    struct vt_buf in;         /* of the browser, frames */
    struct vt_buf up;         /* to the screen */
    struct vt_buf down;       /* to the browser, frames */
    bool inside;              /* a message of the browser goes on */
    uint8_t pong[VT_WS_CONTROL_MAX];
    size_t pong_size;
    bool wants_pong, ended;
    bool used;                /* keys or the mouse, since it was asked whether it may go on */
    int64_t asked;
};

static bool put_frame(struct vt_buf *out, enum vt_ws_opcode opcode, const void *payload, size_t size, struct vt_err *err)
{
    uint8_t head[VT_WS_HEAD_MAX];
    size_t length = vt_ws_head(opcode, size, head);

    return vt_buf_append(out, head, length, err) && vt_buf_append(out, payload, size, err);
}

static void drop_front(struct vt_buf *buf, size_t size)
{
    memmove(buf->data, buf->data + size, buf->size - size);
    buf->size -= size;
}

/* As much as goes now. false: the other side is gone. */
static bool send_some(int fd, struct vt_buf *buf)
{
    ssize_t sent = buf->size ? send(fd, buf->data, buf->size, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

    if (sent < 0)
        return errno == EAGAIN || errno == EINTR;
    if (sent > 0)
        drop_front(buf, (size_t)sent);
    return true;
}

/* 0 with true: nothing now. */
static bool receive_some(int fd, struct vt_buf *buf, size_t most, size_t *out_size, struct vt_err *err)
{
    *out_size = 0;
    if (!vt_buf_reserve(buf, most, err))
        return false;
    ssize_t got = recv(fd, buf->data + buf->size, most, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got <= 0)
        return vt_fail(err, VT_E_CLOSED, "the other side has ended");
    *out_size = (size_t)got;
    buf->size += (size_t)got;
    return true;
}

/* ---- from the browser ---- */

/* Of RFB: a key, the pointer, the clipboard, a key as QEMU has it. Updates are asked for by the page itself. */
static bool is_of_a_person(const struct vt_ws_frame *frame)
{
    static const uint8_t kinds[] = { 4, 5, 6, 255 };

    return frame->size > 0 && memchr(kinds, frame->payload[0], sizeof kinds);
}

static bool take_frame(struct relay *relay, const struct vt_ws_frame *frame, struct vt_err *err)
{
    switch (frame->opcode) {
    case VT_WS_BINARY:
        relay->used |= is_of_a_person(frame);
        return vt_buf_append(&relay->up, frame->payload, frame->size, err);
    case VT_WS_MORE:
        return vt_buf_append(&relay->up, frame->payload, frame->size, err);
    case VT_WS_PING: /* of several the last one is answered */
        memcpy(relay->pong, frame->payload, frame->size);
        relay->pong_size = frame->size;
        relay->wants_pong = true;
        return true;
    case VT_WS_CLOSE:
        relay->ended = true;
        return true;
    case VT_WS_PONG:
        return true;
    case VT_WS_TEXT:
        break;
    }
    return vt_fail(err, VT_E_PROTOCOL, "a screen speaks bytes, not text");
}

/* Frames while there is room behind them. */
static bool take_frames(struct relay *relay, struct vt_err *err)
{
    size_t used = 1, at = 0;

    while (used > 0 && relay->up.size == 0 && !relay->ended) {
        struct vt_ws_frame frame;
        if (!vt_ws_take(relay->in.data + at, relay->in.size - at, &relay->inside, &frame, &used, err) ||
            (used > 0 && !take_frame(relay, &frame, err)))
            return false;
        at += used;
    }
    if (at > 0)
        drop_front(&relay->in, at);
    return true;
}

static bool from_browser(struct relay *relay, struct vt_err *err)
{
    size_t got;

    return receive_some(relay->line->socket, &relay->in, IN_MAX - relay->in.size, &got, err) && take_frames(relay, err);
}

/* ---- to the browser ---- */

static bool from_screen(struct relay *relay, struct vt_err *err)
{
    struct vt_buf piece;
    size_t got;

    vt_buf_init(&piece, PIECE);
    bool ok = receive_some(relay->peer, &piece, PIECE, &got, err) &&
              (got == 0 || put_frame(&relay->down, VT_WS_BINARY, piece.data, got, err));
    vt_buf_fini(&piece);
    return ok;
}

static bool put_pong(struct relay *relay, struct vt_err *err)
{
    if (!relay->wants_pong || relay->down.size > 0)
        return true;
    relay->wants_pong = false;
    return put_frame(&relay->down, VT_WS_PONG, relay->pong, relay->pong_size, err);
}

static bool turn(struct relay *relay, struct vt_err *err)
{
    bool browser = relay->up.size == 0 && relay->in.size < IN_MAX, screen = relay->down.size == 0;
    struct pollfd fds[] = {
        { relay->line->socket, (short)((browser ? POLLIN : 0) | (relay->down.size ? POLLOUT : 0)), 0 },
        { relay->peer, (short)((screen ? POLLIN : 0) | (relay->up.size ? POLLOUT : 0)), 0 },
    };

    poll(fds, VT_COUNT(fds), LOOK_MS);
    if ((browser && (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) && !from_browser(relay, err)) ||
        (screen && (fds[1].revents & (POLLIN | POLLHUP | POLLERR)) && !from_screen(relay, err)))
        return false;
    if (!send_some(relay->peer, &relay->up) || !put_pong(relay, err) || !send_some(relay->line->socket, &relay->down))
        return vt_fail(err, VT_E_CLOSED, "the other side has ended");
    return relay->up.size > 0 || relay->in.size == 0 || take_frames(relay, err);
}

/* ---- the end ---- */

/* A close frame with a reason; whoever does not take it in time goes without. */
static void say_goodbye(struct vt_ws_line *line, struct vt_buf *down, unsigned code, const char *why)
{
    uint8_t payload[VT_WS_CONTROL_MAX] = { (uint8_t)(code >> 8), (uint8_t)code };
    size_t length = strlen(why) < sizeof payload - 2 ? strlen(why) : sizeof payload - 2;
    int64_t deadline = vt_clock_mono() + CLOSE_WAIT_S * VT_NS_PER_S;
    struct vt_err ignored = { 0 };

    while (length > 0 && ((unsigned char)why[length] & 0xc0) == 0x80) /* no character is cut in two */
        length--;
    memcpy(payload + 2, why, length);
    if (!put_frame(down, VT_WS_CLOSE, payload, length + 2, &ignored))
        return;
    while (down->size > 0 && vt_clock_mono() < deadline && send_some(line->socket, down)) {
        struct pollfd fd = { line->socket, POLLOUT, 0 };
        poll(&fd, down->size > 0 ? 1 : 0, down->size > 0 ? LOOK_MS : 0);
    }
}

static unsigned close_code(const struct vt_err *err)
{
    return err->code == VT_E_PROTOCOL ? CLOSE_PROTOCOL : err->code == VT_E_LIMIT ? CLOSE_LIMIT
           : err->code == VT_E_DENIED ? CLOSE_POLICY
           : vt_failed(err) && err->code != VT_E_CLOSED ? CLOSE_ERROR : CLOSE_NORMAL;
}

static bool may_go_on(const struct vt_screen *screen, struct relay *relay, struct vt_err *err)
{
    const char *why = "";

    if (!screen->may || vt_clock_mono() - relay->asked < ASK_S * VT_NS_PER_S)
        return true;
    bool may = screen->may(screen->context, relay->used, &why);
    relay->used = false;
    relay->asked = vt_clock_mono();
    return may || vt_fail(err, VT_E_DENIED, "%s", why);
}

void vt_screen_relay(const struct vt_screen *screen, struct vt_ws_line *line, int peer, const void *ahead, unsigned long ahead_size,
                     char out_why[static VT_SCREEN_WHY_MAX])
{
    struct relay relay = { .line = line, .peer = peer, .asked = vt_clock_mono() };
    struct vt_err err = { 0 };

    vt_buf_init(&relay.in, IN_MAX);
    vt_buf_init(&relay.up, IN_MAX);
    vt_buf_init(&relay.down, ahead_size + DOWN_MAX);
    bool ok = vt_buf_append(&relay.in, line->ahead, line->ahead_size, &err) && take_frames(&relay, &err) &&
              (ahead_size == 0 || put_frame(&relay.down, VT_WS_BINARY, ahead, ahead_size, &err));
    while (ok && !relay.ended && !line->stopping(line))
        ok = turn(&relay, &err) && may_go_on(screen, &relay, &err);
    say_goodbye(line, &relay.down, close_code(&err), vt_failed(&err) ? err.text : "");
    snprintf(out_why, VT_SCREEN_WHY_MAX, "%s", vt_failed(&err) ? err.text : relay.ended ? "closed by the browser" : "the server stops");
    vt_buf_fini(&relay.in);
    vt_buf_fini(&relay.up);
    vt_buf_fini(&relay.down);
}

static bool ask(struct vt_pool_client *client, const struct vt_screen *screen, int64_t deadline, struct vt_err *err)
{
    const char *vm = screen->vm;
    const struct vt_pool_request request = { .verb = "vm.screen", .args = &vm, .arg_count = 1, .user = screen->user, .json = true };
    struct vt_pool_answer answer = { .kind = VT_POOL_NOTE };

    if (!vt_pool_client_ask(client, &request, deadline, err))
        return false;
    while (answer.kind != VT_POOL_RAW && answer.kind != VT_POOL_RESULT)
        if (!vt_pool_client_next(client, deadline, &answer, err))
            return false;
    return answer.kind == VT_POOL_RAW || vt_fail(err, VT_E_PROTOCOL, "vitrine-poold gave no screen");
}

void vt_screen_run(const struct vt_screen *screen, struct vt_ws_line *line, char out_why[static VT_SCREEN_WHY_MAX])
{
    int64_t deadline = vt_clock_mono() + OPEN_S * VT_NS_PER_S;
    struct vt_err err = { 0 };
    VT_AUTO(vt_pool_client) client = vt_pool_client_open(screen->socket, deadline, &err);
    size_t size = 0;

    if (client && ask(client, screen, deadline, &err)) {
        const uint8_t *ahead = vt_pool_client_ahead(client, &size);
        vt_screen_relay(screen, line, vt_pool_client_fd(client), ahead, size, out_why);
        return;
    }
    VT_AUTO_BUF(down, DOWN_MAX);
    say_goodbye(line, &down, CLOSE_ERROR, err.text);
    snprintf(out_why, VT_SCREEN_WHY_MAX, "%s", err.text);
}
