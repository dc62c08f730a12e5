#include "poolsim/echo.h"

#include <stdint.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"

enum {
    ASSOCIATE_RQ = 1,
    ASSOCIATE_AC = 2,
    DATA_TF = 4,
    RELEASE_RQ = 5,
    RELEASE_RP = 6,
    HEADER = 6,
    FIXED = 68,
    ITEM = 4, /* sizes */
    APPLICATION_CONTEXT = 0x10,
    CONTEXT_RQ = 0x20,
    CONTEXT_AC = 0x21,
    TRANSFER_SYNTAX = 0x40,
    USER = 0x50,
};

static uint32_t get32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void put(struct vt_buf *out, const void *bytes, size_t size)
{
    struct vt_err ignored = { 0 };

    vt_buf_append(out, bytes, size,
                  &ignored); /* the limit of the buffer ends a caller that does not read */
}

static void put_item(struct vt_buf *out, uint8_t type, const void *bytes, size_t size)
{
    const uint8_t head[ITEM] = { type, 0, (uint8_t)(size >> 8), (uint8_t)size };

    put(out, head, sizeof head);
    put(out, bytes, size);
}

/* Finds an item of the type among those in [bytes, bytes + size); false: none, or they are cut. */
static bool next_item(const uint8_t **bytes, size_t *size, uint8_t *out_type,
                      const uint8_t **out_value, size_t *out_size)
{
    if (*size < ITEM)
        return false;
    size_t length = (size_t)(*bytes)[2] << 8 | (*bytes)[3];
    if (length > *size - ITEM)
        return false;
    *out_type = (*bytes)[0];
    *out_value = *bytes + ITEM;
    *out_size = length;
    *bytes += ITEM + length;
    *size -= ITEM + length;
    return true;
}

/* Accepted with implicit VR little endian when that is offered (the default must be), else refused.
 */
static void answer_context(struct vt_buf *items, const uint8_t *context, size_t size)
{
    static const char implicit[] = "1.2.840.10008.1.2";
    uint8_t type = 0,
            reply[4 + ITEM + sizeof implicit - 1] = { context[0],      0, 4, 0,
                                                      TRANSFER_SYNTAX, 0, 0, sizeof implicit - 1 };
    const uint8_t *at = context + 4, *value = NULL;
    size_t rest = size - 4, length = 0;

    while (next_item(&at, &rest, &type, &value, &length))
        if (type == TRANSFER_SYNTAX && length == sizeof implicit - 1 &&
            memcmp(value, implicit, length) == 0)
            reply[2] = 0;
    memcpy(reply + 4 + ITEM, implicit, sizeof implicit - 1);
    put_item(items, CONTEXT_AC, reply, sizeof reply);
}

static bool associate(const uint8_t *body, size_t size, struct vt_buf *out)
{
    static const uint8_t user[] = { 0x51, 0,   0,   4,   0,   0,   0x40, 0,   0x52,
                                    0,    0,   14,  '2', '.', '2', '5',  '.', '1',
                                    '1',  '2', '5', '8', '9', '9', '9',  '1' };
    VT_AUTO_BUF(items, VT_SIM_ECHO_PDU_MAX);
    const uint8_t *at = body + FIXED, *value = NULL;
    size_t rest = size > FIXED ? size - FIXED : 0, length = 0;
    uint8_t type = 0;

    if (size < FIXED)
        return false;
    put(&items, body, FIXED); /* version and both titles, as they came */
    while (next_item(&at, &rest, &type, &value, &length)) {
        if (type == APPLICATION_CONTEXT)
            put_item(&items, type, value, length);
        if (type == CONTEXT_RQ && length >= 4)
            answer_context(&items, value, length);
    }
    put_item(&items, USER, user, sizeof user);
    const uint8_t head[HEADER] = { ASSOCIATE_AC,       0, 0, 0, (uint8_t)(items.size >> 8),
                                   (uint8_t)items.size };
    put(out, head, sizeof head);
    put(out, items.data, items.size);
    return rest == 0;
}

/* An element of group 0000 with a two-byte value, little endian: 0 when it is not there. */
static uint16_t command_value(const uint8_t *bytes, size_t size, uint16_t element)
{
    while (size >= 8) {
        uint32_t length = (uint32_t)bytes[7] << 24 | (uint32_t)bytes[6] << 16 |
                          (uint32_t)bytes[5] << 8 | bytes[4];
        if (length > size - 8)
            return 0;
        if ((bytes[2] | bytes[3] << 8) == element && length >= 2)
            return (uint16_t)(bytes[8] | bytes[9] << 8);
        bytes += 8 + length;
        size -= 8 + length;
    }
    return 0;
}

/* One PDV with a whole C-ECHO-RQ. */
static bool echo(const uint8_t *body, size_t size, struct vt_buf *out)
{
    enum { COMMAND_FIELD = 0x0100, MESSAGE_ID = 0x0110, ECHO_RQ = 0x0030, LAST_COMMAND = 3 };
    uint8_t reply[] = {
        DATA_TF, 0,   0,    0,   0,   84,  0,   0,   0,   80,  0,    LAST_COMMAND,
        0,       0,   0,    0,   4,   0,   0,   0,   66,  0,   0,    0, /* group length */
        0,       0,   2,    0,   18,  0,   0,   0,   '1', '.', '2',  '.',
        '8',     '4', '0',  '.', '1', '0', '0', '0', '8', '.', '1',  '.',
        '1',     0,   0,    0,   0,   1,   2,   0,   0,   0,   0x30, 0x80, /* C-ECHO-RSP */
        0,       0,   0x20, 1,   2,   0,   0,   0,   0,   0,               /* responds to */
        0,       0,   0,    8,   2,   0,   0,   0,   1,   1,               /* no data set */
        0,       0,   0,    9,   2,   0,   0,   0,   0,   0,               /* success */
    };

    if (size < 6 || get32(body) != size - 4 || body[5] != LAST_COMMAND ||
        command_value(body + 6, size - 6, COMMAND_FIELD) != ECHO_RQ)
        return false;
    uint16_t message = command_value(body + 6, size - 6, MESSAGE_ID);
    reply[10] = body[4]; /* the presentation context */
    reply[68] = (uint8_t)message;
    reply[69] = (uint8_t)(message >> 8);
    put(out, reply, sizeof reply);
    return true;
}

static bool answer(const uint8_t *pdu, size_t size, struct vt_buf *out)
{
    static const uint8_t released[] = { RELEASE_RP, 0, 0, 0, 0, 4, 0, 0, 0, 0 };

    switch (pdu[0]) {
    case ASSOCIATE_RQ:
        return associate(pdu + HEADER, size - HEADER, out);
    case DATA_TF:
        return echo(pdu + HEADER, size - HEADER, out);
    case RELEASE_RQ:
        put(out, released, sizeof released);
        return false;
    default:
        return false; /* an abort, or nonsense */
    }
}

bool vt_sim_echo_feed(struct vt_buf *in, struct vt_buf *out)
{
    while (in->size >= HEADER) {
        uint32_t length = get32(in->data + 2);
        if (length > VT_SIM_ECHO_PDU_MAX - HEADER)
            return false;
        if (in->size - HEADER < length)
            break;
        if (!answer(in->data, HEADER + length, out))
            return false;
        memmove(in->data, in->data + HEADER + length, in->size - HEADER - length);
        in->size -= HEADER + length;
    }
    return true;
}
