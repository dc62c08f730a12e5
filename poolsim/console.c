#include "poolsim/console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "poolsim/mem.h"
#include "poolsim/sim.h"

enum {
    WIDTH = VT_SIM_CONSOLE_WIDTH,
    HEIGHT = VT_SIM_CONSOLE_HEIGHT,
    POINTER = 8,
    BAND = 20,
    CUT_TEXT_MAX = 65536,
    OUT_MAX = 4 * 1024 * 1024, /* no further picture while so much waits to be sent */
};

enum step { VERSION, SECURITY, INIT, MESSAGES };

struct format {
    uint8_t bytes; /* of a pixel: 1, 2, 4 */
    bool big_endian;
    uint16_t max[3]; /* red, green, blue */
    uint8_t shift[3];
};

struct vt_sim_console {
    enum step step;
    bool old_version; /* 3.3: the server chooses the security type */
    struct format format;
    char name[128];
    uint16_t x, y; /* of the pointer */
    uint32_t keys;
    bool dirty, wanted; /* something changed; the client waits for it */
};

static uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static uint32_t get32(const uint8_t *bytes)
{
    return (uint32_t)get16(bytes) << 16 | get16(bytes + 2);
}

static void put(struct vt_buf *out, const void *bytes, size_t size)
{
    struct vt_err ignored = { 0 };

    vt_buf_append(out, bytes, size,
                  &ignored); /* the connection's limit ends a client that does not read */
}

static void put_number(struct vt_buf *out, uint32_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--) {
        uint8_t byte = (uint8_t)(value >> (8 * i));
        put(out, &byte, 1);
    }
}

/* The value behind "name=" in the query, up to '&'. */
static bool query(const char *path, const char *name, char *out, size_t size)
{
    const char *at = strchr(path, '?');
    size_t length = strlen(name);

    while (at) {
        at++;
        if (strncmp(at, name, length) == 0 && at[length] == '=') {
            const char *value = at + length + 1;
            size_t end = strcspn(value, "&");
            snprintf(out, size, "%.*s", (int)end, value);
            return end > 0 && end < size;
        }
        at = strchr(at, '&');
    }
    return false;
}

/* The running VM whose console it is. */
static struct vt_sim_object *find_vm(struct vt_sim_machine *machine, const char *path,
                                     const char **out_status)
{
    struct vt_sim_db *db = machine->pool->db;
    char word[64] = "", session[64] = "";
    struct vt_sim_object *console = NULL;

    query(path, "session_id", session, sizeof session);
    const struct vt_sim_object *login = vt_sim_get(db, vt_sim_ref_id(db, session));
    *out_status = "401 Unauthorized";
    if (!login || login->class != VT_SIM_session)
        return NULL;
    *out_status = "404 Not Found";
    if (query(path, "uuid", word, sizeof word))
        console = vt_sim_by_uuid(db, VT_SIM_console, word);
    else if (query(path, "ref", word, sizeof word))
        console = vt_sim_get(db, vt_sim_ref_id(db, word));
    if (!console || console->class != VT_SIM_console)
        return NULL;
    struct vt_sim_object *vm = vt_sim_follow(db, console, VT_console_VM);
    return vm && vt_sim_ref(vm, VT_VM_resident_on) == machine->host ? vm : NULL;
}

struct vt_sim_console *vt_sim_console_open(struct vt_sim_machine *machine, const char *path,
                                           struct vt_buf *out, const char **out_status)
{
    const struct vt_sim_object *vm = find_vm(machine, path, out_status);

    if (!vm)
        return NULL;
    struct vt_sim_console *console = vt_sim_alloc(sizeof *console);
    console->format = (struct format){ 4, false, { 255, 255, 255 }, { 16, 8, 0 } };
    snprintf(console->name, sizeof console->name, "%s", vt_sim_text(vm, VT_VM_name_label));
    put(out, "RFB 003.008\n", 12);
    return console;
}

void vt_sim_console_free(struct vt_sim_console *console)
{
    free(console);
}

/* ---- the picture ---- */

static uint32_t colour_at(const struct vt_sim_console *console, int x, int y)
{
    static const uint32_t bars[] = { 0xffffff, 0xffff00, 0x00ffff, 0x00ff00,
                                     0xff00ff, 0xff0000, 0x0000ff, 0x202020 };

    if (x >= console->x && x < console->x + POINTER && y >= console->y && y < console->y + POINTER)
        return 0xfffffe;
    if (y >= HEIGHT - BAND)
        return (console->keys * 0x3f1f0fu) & 0xffffff;
    return bars[x * (int)VT_COUNT(bars) / WIDTH];
}

static void put_pixel(const struct format *format, uint32_t colour, uint8_t *out)
{
    uint32_t pixel = 0;

    for (int c = 0; c < 3; c++)
        pixel |= ((colour >> (16 - 8 * c) & 0xff) * format->max[c] / 255) << format->shift[c];
    for (int i = 0; i < format->bytes; i++)
        out[i] = (uint8_t)(pixel >> (8 * (format->big_endian ? format->bytes - 1 - i : i)));
}

static void put_picture(struct vt_sim_console *console, struct vt_buf *out)
{
    uint8_t row[WIDTH * 4];

    put(out, "\0\0\0\1", 4); /* an update of one rectangle */
    put_number(out, 0, 4);
    put_number(out, WIDTH, 2);
    put_number(out, HEIGHT, 2);
    put_number(out, 0, 4); /* raw */
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++)
            put_pixel(&console->format, colour_at(console, x, y), row + x * console->format.bytes);
        put(out, row, (size_t)WIDTH * console->format.bytes);
    }
    console->dirty = console->wanted = false;
}

/* ---- the client's messages: how many bytes were taken; 0: more are needed; -1: broken ---- */

static long take_format(struct vt_sim_console *console, const uint8_t *bytes)
{
    struct format format = { (uint8_t)(bytes[4] / 8), bytes[6] != 0, { 0 }, { 0 } };

    if ((bytes[4] != 8 && bytes[4] != 16 && bytes[4] != 32) || bytes[7] == 0)
        return -1; /* a palette */
    for (int c = 0; c < 3; c++) {
        format.max[c] = get16(bytes + 8 + 2 * c);
        format.shift[c] = bytes[14 + c];
        if (format.shift[c] > 31)
            return -1;
    }
    console->format = format;
    return 20;
}

static long take_message(struct vt_sim_console *console, const uint8_t *bytes, size_t size)
{
    static const uint8_t sizes[] = { 20, 0, 4, 10, 8, 6, 8 };

    if (bytes[0] >= sizeof sizes || sizes[bytes[0]] == 0)
        return -1;
    size_t whole = sizes[bytes[0]];
    if (size < whole)
        return 0;
    switch (bytes[0]) {
    case 0:
        return take_format(console, bytes);
    case 2:
        whole += (size_t)get16(bytes + 2) * 4;
        break; /* encodings: raw it is */
    case 3:
        console->wanted = true;
        console->dirty |= bytes[1] == 0;
        break;
    case 4:
        console->keys += bytes[1]; /* presses */
        console->dirty = true;
        break;
    case 5:
        console->x = get16(bytes + 2);
        console->y = get16(bytes + 4);
        console->dirty = true;
        break;
    default:
        if (get32(bytes + 4) > CUT_TEXT_MAX)
            return -1;
        whole += get32(bytes + 4);
        break;
    }
    return size < whole ? 0 : (long)whole;
}

static long take_version(struct vt_sim_console *console, const uint8_t *bytes, size_t size,
                         struct vt_buf *out)
{
    if (size < 12)
        return 0;
    if (memcmp(bytes, "RFB 003.", 8) != 0)
        return -1;
    console->old_version = memcmp(bytes + 8, "007", 3) < 0;
    console->step = console->old_version ? INIT : SECURITY;
    if (console->old_version)
        put_number(out, 1, 4);
    else
        put(out, "\1\1", 2);
    return 12;
}

static void put_init(const struct vt_sim_console *console, struct vt_buf *out)
{
    static const uint8_t format[16] = { 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0 };

    put_number(out, WIDTH, 2);
    put_number(out, HEIGHT, 2);
    put(out, format, sizeof format);
    put_number(out, (uint32_t)strlen(console->name), 4);
    put(out, console->name, strlen(console->name));
}

static long take(struct vt_sim_console *console, const uint8_t *bytes, size_t size,
                 struct vt_buf *out)
{
    switch (console->step) {
    case VERSION:
        return take_version(console, bytes, size, out);
    case SECURITY:
        if (bytes[0] != 1)
            return -1;
        put_number(out, 0, 4);
        console->step = INIT;
        return 1;
    case INIT:
        put_init(console, out);
        console->step = MESSAGES;
        return 1;
    case MESSAGES:
        return take_message(console, bytes, size);
    }
    return -1;
}

bool vt_sim_console_feed(struct vt_sim_console *console, struct vt_buf *in, struct vt_buf *out)
{
    size_t at = 0;

    while (at < in->size) {
        long taken = take(console, in->data + at, in->size - at, out);
        if (taken < 0)
            return false;
        if (taken == 0)
            break;
        at += (size_t)taken;
    }
    if (at > 0) {
        memmove(in->data, in->data + at, in->size - at);
        in->size -= at;
    }
    if (console->wanted && console->dirty && out->size < OUT_MAX)
        put_picture(console, out);
    return true;
}
