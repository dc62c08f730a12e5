/* Frames. */
#include "console/websocket.h"

#include "core/err.h"

enum { FIN = 0x80, RESERVED = 0x70, MASKED = 0x80, SHORT_MAX = 125, SHORT_16 = 126, SHORT_64 = 127 };

/* ---- in ---- */

struct head {
    uint64_t size;
    size_t length; /* of the head with the mask; 0: not whole yet */
};

static bool read_size(const uint8_t *bytes, size_t size, struct head *out, struct vt_err *err)
{
    unsigned first = bytes[1] & 0x7f, more = first == SHORT_16 ? 2 : first == SHORT_64 ? 8 : 0;

    *out = (struct head){ .size = first };
    if (size < 2 + more + 4)
        return true;
    if (more > 0)
        out->size = 0;
    for (unsigned i = 0; i < more; i++)
        out->size = out->size << 8 | bytes[2 + i];
    if ((more == 2 && out->size <= SHORT_MAX) || (more == 8 && out->size <= UINT16_MAX))
        return vt_fail(err, VT_E_PROTOCOL, "a frame's length takes more bytes than it needs");
    out->length = 2 + more + 4;
    return true;
}

static bool is_control(unsigned opcode)
{
    return opcode >= VT_WS_CLOSE;
}

/* What can be said of the first two bytes. */
static bool check(const uint8_t *bytes, bool inside, struct vt_err *err)
{
    unsigned opcode = bytes[0] & 0x0f, first = bytes[1] & 0x7f;

    if (bytes[0] & RESERVED)
        return vt_fail(err, VT_E_PROTOCOL, "a frame uses an extension that was not agreed");
    if (!(bytes[1] & MASKED))
        return vt_fail(err, VT_E_PROTOCOL, "a frame of a client is not masked");
    if (opcode > VT_WS_PONG || (opcode > VT_WS_BINARY && opcode < VT_WS_CLOSE))
        return vt_fail(err, VT_E_PROTOCOL, "a frame has the unknown opcode %u", opcode);
    if (is_control(opcode) && (first > VT_WS_CONTROL_MAX || !(bytes[0] & FIN)))
        return vt_fail(err, VT_E_PROTOCOL, "a control frame is too long or in pieces");
    if (!is_control(opcode) && (opcode == VT_WS_MORE) != inside)
        return vt_fail(err, VT_E_PROTOCOL, inside ? "a message begins inside another" : "a message goes on that never began");
    return true;
}

bool vt_ws_take(uint8_t *bytes, size_t size, bool *inside, struct vt_ws_frame *out, size_t *out_used, struct vt_err *err)
{
    struct head head;

    *out_used = 0;
    if (size < 2)
        return true;
    if (!check(bytes, *inside, err) || !read_size(bytes, size, &head, err))
        return false;
    if (head.length && head.size > VT_WS_PAYLOAD_MAX)
        return vt_fail(err, VT_E_LIMIT, "a frame is longer than %d bytes", VT_WS_PAYLOAD_MAX);
    if (!head.length || size - head.length < head.size)
        return true;
    const uint8_t *mask = bytes + head.length - 4;
    *out = (struct vt_ws_frame){ .opcode = (enum vt_ws_opcode)(bytes[0] & 0x0f),
                                 .last = bytes[0] & FIN,
                                 .payload = bytes + head.length,
                                 .size = (size_t)head.size };
    for (size_t i = 0; i < out->size; i++)
        out->payload[i] ^= mask[i % 4];
    if (!is_control(out->opcode))
        *inside = !out->last;
    *out_used = head.length + out->size;
    return true;
}

/* ---- out ---- */

size_t vt_ws_head(enum vt_ws_opcode opcode, uint64_t size, uint8_t out[static VT_WS_HEAD_MAX])
{
    unsigned more = size <= SHORT_MAX ? 0 : size <= UINT16_MAX ? 2 : 8;

    out[0] = (uint8_t)(FIN | opcode);
    out[1] = (uint8_t)(more == 0 ? size : more == 2 ? SHORT_16 : SHORT_64);
    for (unsigned i = 0; i < more; i++)
        out[2 + i] = (uint8_t)(size >> 8 * (more - 1 - i));
    return 2 + more;
}
