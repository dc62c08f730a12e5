/* The client's side of RFB, as far as one picture needs it. */
#include "hypervisor/rfb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/auto.h"
#include "core/err.h"

enum {
    SKIP_MAX = 1024 * 1024,  /* clipboard, palette: what is read and not used */
    RECTANGLES_MAX = 4096,
    MESSAGES_MAX = 256, /* other messages before the picture */
    NO_SECURITY = 1
};

struct client {
    const struct vt_rfb_stream *stream;
    struct vt_rfb_picture *picture;
    struct vt_err *err;
    int minor;        /* of the version: 3, 7, 8 */
    uint64_t pixels;  /* that have come */
};

static uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static uint32_t get32(const uint8_t *bytes)
{
    return (uint32_t)get16(bytes) << 16 | get16(bytes + 2);
}

static bool take(struct client *client, void *bytes, size_t size)
{
    return client->stream->read(client->stream->context, bytes, size, client->err);
}

static bool give(struct client *client, const void *bytes, size_t size)
{
    return client->stream->write(client->stream->context, bytes, size, client->err);
}

static bool skip(struct client *client, uint32_t size)
{
    uint8_t bytes[1024];

    if (size > SKIP_MAX)
        return vt_fail(client->err, VT_E_LIMIT, "the console sends %u bytes of text", size);
    for (uint32_t left = size; left > 0;) {
        uint32_t part = left < sizeof bytes ? left : (uint32_t)sizeof bytes;
        if (!take(client, bytes, part))
            return false;
        left -= part;
    }
    return true;
}

/* ---- the handshake ---- */

static bool agree_on_version(struct client *client)
{
    char text[13] = "", answer[13];
    int major = 0, minor = 0;

    if (!take(client, text, 12))
        return false;
    if (sscanf(text, "RFB %3d.%3d", &major, &minor) != 2 || major < 3)
        return vt_fail(client->err, VT_E_PROTOCOL, "the console does not speak RFB");
    client->minor = major > 3 || minor >= 8 ? 8 : minor == 7 ? 7 : 3;
    snprintf(answer, sizeof answer, "RFB 003.%03d\n", client->minor);
    return give(client, answer, 12);
}

/* Why the server refuses. */
static bool refused(struct client *client)
{
    uint8_t head[4];
    char reason[120] = "";

    if (!take(client, head, 4))
        return false;
    uint32_t size = get32(head);
    if (size >= sizeof reason)
        size = sizeof reason - 1;
    if (!take(client, reason, size))
        return false;
    return vt_fail(client->err, VT_E_REFUSED, "the console refuses: %s", reason);
}

static bool agree_on_security(struct client *client)
{
    uint8_t count = 0, types[255], four[4], choice = NO_SECURITY;

    if (client->minor == 3) { /* the server chooses */
        if (!take(client, four, 4))
            return false;
        if (get32(four) == 0)
            return refused(client);
        return get32(four) == NO_SECURITY ||
               vt_fail(client->err, VT_E_UNSUPPORTED, "the console wants a password of its own");
    }
    if (!take(client, &count, 1))
        return false;
    if (count == 0)
        return refused(client);
    if (!take(client, types, count))
        return false;
    if (!memchr(types, NO_SECURITY, count))
        return vt_fail(client->err, VT_E_UNSUPPORTED, "the console wants a password of its own");
    if (!give(client, &choice, 1) || client->minor < 8)
        return !vt_failed(client->err);
    if (!take(client, four, 4))
        return false;
    return get32(four) == 0 || refused(client);
}

static bool take_size(struct client *client, const uint8_t *bytes)
{
    struct vt_rfb_picture *picture = client->picture;
    uint16_t width = get16(bytes), height = get16(bytes + 2);

    if (width == 0 || height == 0 || width > VT_RFB_SIDE_MAX || height > VT_RFB_SIDE_MAX ||
        (uint32_t)width * height > VT_RFB_PIXELS_MAX)
        return vt_fail(client->err, VT_E_LIMIT, "the console says that it is %u by %u", width,
                       height);
    picture->rgb = calloc((size_t)width * height, 3);
    if (!picture->rgb)
        return vt_fail(client->err, VT_E_NOMEM, "no memory for a picture of %u by %u", width,
                       height);
    picture->width = width;
    picture->height = height;
    return true;
}

static bool begin(struct client *client)
{
    uint8_t shared = 1, head[24];

    if (!give(client, &shared, 1) || !take(client, head, sizeof head) || !take_size(client, head))
        return false;
    uint32_t size = get32(head + 20), kept = size;
    if (kept >= sizeof client->picture->name)
        kept = sizeof client->picture->name - 1;
    return take(client, client->picture->name, kept) && skip(client, size - kept);
}

/* 32 bits a pixel, little-endian, red highest; raw only; all of it. */
static bool ask(struct client *client)
{
    static const uint8_t format[20] = { 0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8 };
    static const uint8_t encodings[8] = { 2, 0, 0, 1, 0, 0, 0, 0 };
    uint16_t width = client->picture->width, height = client->picture->height;
    const uint8_t request[10] = { 3,
                                  0,
                                  0,
                                  0,
                                  0,
                                  0,
                                  (uint8_t)(width >> 8),
                                  (uint8_t)width,
                                  (uint8_t)(height >> 8),
                                  (uint8_t)height };

    return give(client, format, sizeof format) && give(client, encodings, sizeof encodings) &&
           give(client, request, sizeof request);
}

/* ---- the picture ---- */

static bool take_rectangle(struct client *client)
{
    const struct vt_rfb_picture *picture = client->picture;
    uint8_t head[12];

    if (!take(client, head, sizeof head))
        return false;
    uint32_t x = get16(head), y = get16(head + 2), width = get16(head + 4),
             height = get16(head + 6);
    if (get32(head + 8) != 0)
        return vt_fail(client->err, VT_E_PROTOCOL, "the console uses encoding %d, which was not "
                       "offered", (int32_t)get32(head + 8));
    if (x + width > picture->width || y + height > picture->height)
        return vt_fail(client->err, VT_E_PROTOCOL, "the console draws outside of its screen");
    vt_autofree uint8_t *row = malloc((size_t)width * 4 + 1);
    if (!row)
        return vt_fail(client->err, VT_E_NOMEM, "no memory for a row of the picture");
    for (uint32_t line = y; line < y + height; line++) {
        uint8_t *rgb = picture->rgb + ((size_t)line * picture->width + x) * 3;
        if (!take(client, row, (size_t)width * 4))
            return false;
        for (uint32_t i = 0; i < width; i++) {
            rgb[3 * i] = row[4 * i + 2];
            rgb[3 * i + 1] = row[4 * i + 1];
            rgb[3 * i + 2] = row[4 * i];
        }
    }
    client->pixels += (uint64_t)width * height;
    return true;
}

static bool take_update(struct client *client)
{
    uint8_t head[3];

    if (!take(client, head, sizeof head))
        return false;
    uint16_t count = get16(head + 1);
    if (count > RECTANGLES_MAX)
        return vt_fail(client->err, VT_E_LIMIT, "the console sends %u pieces at once", count);
    for (uint16_t i = 0; i < count; i++)
        if (!take_rectangle(client))
            return false;
    return true;
}

static bool take_palette(struct client *client)
{
    uint8_t head[5];

    return take(client, head, sizeof head) && skip(client, get16(head + 3) * 6u);
}

static bool take_cut_text(struct client *client)
{
    uint8_t head[7];

    return take(client, head, sizeof head) && skip(client, get32(head + 3));
}

static bool take_message(struct client *client)
{
    uint8_t type = 0;

    if (!take(client, &type, 1))
        return false;
    switch (type) {
    case 0:
        return take_update(client);
    case 1:
        return take_palette(client);
    case 2: /* the bell */
        return true;
    case 3:
        return take_cut_text(client);
    default:
        return vt_fail(client->err, VT_E_PROTOCOL, "the console sends messages of type %u", type);
    }
}

bool vt_rfb_grab(const struct vt_rfb_stream *stream, struct vt_rfb_picture *out,
                 struct vt_err *err)
{
    struct client client = { .stream = stream, .picture = out, .err = err };

    *out = (struct vt_rfb_picture){ 0 };
    if (!agree_on_version(&client) || !agree_on_security(&client) || !begin(&client) ||
        !ask(&client))
        return false;
    uint64_t whole = (uint64_t)out->width * out->height;
    for (int i = 0; i < MESSAGES_MAX && client.pixels < whole; i++)
        if (!take_message(&client))
            return false;
    return client.pixels >= whole ||
           vt_fail(err, VT_E_PROTOCOL, "the console never sent a whole picture");
}

void vt_rfb_picture_fini(struct vt_rfb_picture *picture)
{
    free(picture->rgb);
    *picture = (struct vt_rfb_picture){ 0 };
}
