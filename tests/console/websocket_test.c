#include "console/websocket.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "console/screen.h"
#include "core/auto.h"
#include "core/err.h"
#include "tests/support/torture.h"

enum { MASK_BYTES = 4 };

/* A client's frame: masked. Its size. */
static size_t frame(uint8_t *out, unsigned first, const void *payload, size_t size)
{
    static const uint8_t mask[MASK_BYTES] = { 0x12, 0x34, 0x56, 0x78 };
    size_t at = vt_ws_head((enum vt_ws_opcode)(first & 0x0f), size, out);

    out[0] = (uint8_t)first;
    out[1] |= 0x80;
    memcpy(out + at, mask, MASK_BYTES);
    at += MASK_BYTES;
    for (size_t i = 0; i < size; i++)
        out[at + i] = ((const uint8_t *)payload)[i] ^ mask[i % MASK_BYTES];
    return at + size;
}

static void the_answer_to_the_key_of_the_standard_is_the_one_it_prints(void **state)
{
    char out[VT_WS_ACCEPT_MAX];

    (void)state;
    assert_true(vt_ws_accept("dGhlIHNhbXBsZSBub25jZQ==", out));
    assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void what_is_no_key_is_refused(void **state)
{
    static const char *const wrong[] = { NULL, "", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ==x", "dGhlIHNhbXBsZSBub25jZQAA",
                                         "dGhlIHNhbX!sZSBub25jZQ==" };
    char out[VT_WS_ACCEPT_MAX];

    (void)state;
    for (size_t i = 0; i < VT_COUNT(wrong); i++)
        assert_false(vt_ws_accept(wrong[i], out));
}

static void a_frame_is_taken_when_its_last_byte_is_there(void **state)
{
    uint8_t bytes[64], copy[64];
    size_t size = frame(bytes, 0x82, "hello", 5);

    (void)state;
    for (size_t have = 0; have <= size; have++) {
        struct vt_ws_frame out = { .size = 99 };
        struct vt_err err = { 0 };
        bool inside = false;
        size_t used = 77;
        memcpy(copy, bytes, size);
        assert_true(vt_ws_take(copy, have, &inside, &out, &used, &err));
        assert_int_equal(used, have == size ? size : 0);
        assert_int_equal(out.size, have == size ? 5 : 99);
        if (have == size)
            assert_memory_equal(out.payload, "hello", 5);
    }
}

static void each_length_is_written_as_it_is_read(void **state)
{
    static const size_t sizes[] = { 0, 1, 125, 126, 65535, VT_WS_PAYLOAD_MAX };
    static uint8_t bytes[VT_WS_PAYLOAD_MAX + VT_WS_HEAD_MAX], payload[VT_WS_PAYLOAD_MAX];

    (void)state;
    memset(payload, 0x5a, sizeof payload);
    for (size_t i = 0; i < VT_COUNT(sizes); i++) {
        size_t size = frame(bytes, 0x82, payload, sizes[i]), used = 0;
        struct vt_ws_frame out;
        struct vt_err err = { 0 };
        bool inside = false;
        assert_true(vt_ws_take(bytes, size, &inside, &out, &used, &err));
        assert_int_equal(used, size);
        assert_int_equal(out.size, sizes[i]);
        assert_int_equal(memcmp(out.payload, payload, sizes[i]), 0);
    }
}

static void what_no_client_may_send_is_refused(void **state)
{
    static const struct {
        uint8_t bytes[16];
        size_t size;
        bool inside;
        enum vt_code code;
        const char *text;
    } rows[] = {
        { { 0xc2, 0x80 }, 2, false, VT_E_PROTOCOL, "a frame uses an extension that was not agreed" },
        { { 0x82, 0x05 }, 2, false, VT_E_PROTOCOL, "a frame of a client is not masked" },
        { { 0x83, 0x80 }, 2, false, VT_E_PROTOCOL, "a frame has the unknown opcode 3" },
        { { 0x8b, 0x80 }, 2, false, VT_E_PROTOCOL, "a frame has the unknown opcode 11" },
        { { 0x89, 0xfe }, 2, false, VT_E_PROTOCOL, "a control frame is too long or in pieces" },
        { { 0x09, 0x80 }, 2, false, VT_E_PROTOCOL, "a control frame is too long or in pieces" },
        { { 0x80, 0x80 }, 2, false, VT_E_PROTOCOL, "a message goes on that never began" },
        { { 0x82, 0x80 }, 2, true, VT_E_PROTOCOL, "a message begins inside another" },
        { { 0x82, 0xfe, 0, 5, 0, 0, 0, 0 }, 8, false, VT_E_PROTOCOL, "a frame's length takes more bytes than it needs" },
        { { 0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0 }, 14, false, VT_E_PROTOCOL,
          "a frame's length takes more bytes than it needs" },
        { { 0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0 }, 14, false, VT_E_LIMIT, "a frame is longer than 65536 bytes" },
        { { 0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0 }, 14, false, VT_E_LIMIT,
          "a frame is longer than 65536 bytes" },
    };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        uint8_t bytes[16];
        struct vt_ws_frame out;
        struct vt_err err = { 0 };
        bool inside = rows[i].inside;
        size_t used = 1;
        memcpy(bytes, rows[i].bytes, sizeof bytes);
        assert_false(vt_ws_take(bytes, rows[i].size, &inside, &out, &used, &err));
        assert_int_equal(err.code, rows[i].code);
        assert_string_equal(err.text, rows[i].text);
        assert_int_equal(used, 0);
    }
}

static void a_message_in_pieces_goes_on_around_a_ping(void **state)
{
    static const struct {
        unsigned first;
        bool inside;
    } rows[] = { { 0x02, true }, { 0x89, true }, { 0x00, true }, { 0x80, false }, { 0x82, false } };
    bool inside = false;

    (void)state;
    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        uint8_t bytes[32];
        struct vt_ws_frame out;
        struct vt_err err = { 0 };
        size_t size = frame(bytes, rows[i].first, "ab", 2), used;
        assert_true(vt_ws_take(bytes, size, &inside, &out, &used, &err));
        assert_int_equal(inside, rows[i].inside);
        assert_int_equal(out.last, (rows[i].first & 0x80) != 0);
    }
}

/* ---- the relay ---- */

struct world {
    int browser, screen; /* the test's ends */
    int line_end, peer_end;
    struct vt_ws_line line;
    struct vt_screen shown;
    char why[VT_SCREEN_WHY_MAX];
    atomic_bool stop, gone, touched;
    pthread_t thread;
};

static bool may_look(void *context, bool used, const char **out_why)
{
    struct world *world = context;

    if (used)
        atomic_store(&world->touched, true);
    *out_why = "The login has ended.";
    return !atomic_load(&world->gone);
}

static bool is_stopping(const struct vt_ws_line *line)
{
    return atomic_load((atomic_bool *)line->server);
}

static void *run(void *context)
{
    struct world *world = context;

    vt_screen_relay(&world->shown, &world->line, world->peer_end, "RFB 003.008\n", 12, world->why);
    shutdown(world->line_end, SHUT_RDWR);
    return NULL;
}

static void begin(struct world *world, const void *ahead, size_t ahead_size)
{
    int browser[2], screen[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, browser), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, screen), 0);
    *world = (struct world){ .browser = browser[0], .line_end = browser[1], .screen = screen[0], .peer_end = screen[1] };
    world->line = (struct vt_ws_line){ .socket = browser[1], .ahead = ahead, .ahead_size = ahead_size, .stopping = is_stopping,
                                       .server = &world->stop };
    world->shown = (struct vt_screen){ .may = may_look, .context = world };
    assert_int_equal(pthread_create(&world->thread, NULL, run, world), 0);
}

static void end(struct world *world)
{
    pthread_join(world->thread, NULL);
    close(world->browser);
    close(world->line_end);
    close(world->screen);
    close(world->peer_end);
}

/* So many bytes, or the test ends. */
static void read_all(int fd, void *out, size_t size)
{
    for (size_t at = 0; at < size;) {
        struct pollfd polled = { fd, POLLIN, 0 };
        assert_int_equal(poll(&polled, 1, 30000), 1);
        ssize_t got = read(fd, (uint8_t *)out + at, size - at);
        assert_true(got > 0);
        at += (size_t)got;
    }
}

static void expect(int fd, const void *bytes, size_t size)
{
    uint8_t got[256];

    assert_true(size <= sizeof got);
    read_all(fd, got, size);
    assert_memory_equal(got, bytes, size);
}

static void bytes_go_both_ways_and_what_came_ahead_goes_first(void **state)
{
    struct world world;
    uint8_t ahead[64], bytes[64];
    size_t size = frame(ahead, 0x82, "first", 5);

    (void)state;
    begin(&world, ahead, size);
    expect(world.screen, "first", 5);
    expect(world.browser, "\x82\x0cRFB 003.008\n", 14);
    size = frame(bytes, 0x82, "key", 3);
    assert_int_equal(write(world.browser, bytes, size), size);
    expect(world.screen, "key", 3);
    assert_int_equal(write(world.screen, "picture", 7), 7);
    expect(world.browser, "\x82\x07picture", 9);
    atomic_store(&world.stop, true);
    expect(world.browser, "\x88\x02\x03\xe8", 4);
    end(&world);
}

static void a_ping_is_answered_and_a_close_ends_it(void **state)
{
    struct world world;
    uint8_t bytes[64];

    (void)state;
    begin(&world, NULL, 0);
    expect(world.browser, "\x82\x0cRFB 003.008\n", 14);
    size_t size = frame(bytes, 0x89, "there?", 6);
    assert_int_equal(write(world.browser, bytes, size), size);
    expect(world.browser, "\x8a\x06there?", 8);
    size = frame(bytes, 0x88, "\x03\xe8", 2);
    assert_int_equal(write(world.browser, bytes, size), size);
    expect(world.browser, "\x88\x02\x03\xe8", 4);
    end(&world);
}

static void text_is_told_that_a_screen_speaks_bytes(void **state)
{
    struct world world;
    uint8_t bytes[64];

    (void)state;
    begin(&world, NULL, 0);
    expect(world.browser, "\x82\x0cRFB 003.008\n", 14);
    size_t size = frame(bytes, 0x81, "hi", 2);
    assert_int_equal(write(world.browser, bytes, size), size);
    expect(world.browser, "\x88\x21\x03\xea" "a screen speaks bytes, not text", 4 + 31);
    end(&world);
}

static void a_screen_that_ends_closes_the_browser(void **state)
{
    struct world world;
    uint8_t head[4];

    (void)state;
    begin(&world, NULL, 0);
    expect(world.browser, "\x82\x0cRFB 003.008\n", 14);
    shutdown(world.screen, SHUT_RDWR);
    read_all(world.browser, head, sizeof head);
    assert_int_equal(head[0], 0x88);
    assert_int_equal(head[2] << 8 | head[3], 1000);
    end(&world);
}

static void a_screen_ends_with_the_login_of_who_looks_at_it(void **state)
{
    struct world world;

    (void)state;
    begin(&world, NULL, 0);
    expect(world.browser, "\x82\x0cRFB 003.008\n", 14);
    atomic_store(&world.gone, true);
    expect(world.browser, "\x88\x16\x03\xf0" "The login has ended.", 4 + 20);
    end(&world);
    assert_string_equal(world.why, "The login has ended.");
    assert_false(atomic_load(&world.touched));
}

/* What is asked for by the page itself (3: an update) is no use of the screen; a key (4) is. */
static void keys_are_use_and_updates_are_not(void **state)
{
    static const struct {
        uint8_t message[10];
        bool touched;
    } rows[] = { { { 3, 1, 0, 0, 0, 0, 1, 64, 0, 200 }, false }, { { 5, 1, 0, 9, 0, 9 }, true }, { { 4, 1, 0, 0, 0, 0, 0, 'a' }, true } };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        struct world world;
        uint8_t bytes[64];
        begin(&world, NULL, 0);
        expect(world.browser, "\x82\x0cRFB 003.008\n", 14);
        size_t size = frame(bytes, 0x82, (const char *)rows[i].message, sizeof rows[i].message);
        assert_int_equal(write(world.browser, bytes, size), size);
        expect(world.screen, rows[i].message, sizeof rows[i].message);
        atomic_store(&world.gone, true);
        expect(world.browser, "\x88\x16\x03\xf0", 4);
        end(&world);
        assert_int_equal(atomic_load(&world.touched), rows[i].touched);
    }
}

/* A megabyte each way while nobody reads at first: nothing is lost, in order. */
static void *write_megabyte(void *context)
{
    const int *fd = context;
    uint8_t block[1000];

    for (unsigned i = 0; i < 1000; i++) {
        memset(block, (int)(i & 0xff), sizeof block);
        for (size_t at = 0; at < sizeof block;) {
            ssize_t sent = write(*fd, block + at, sizeof block - at);
            if (sent <= 0)
                return NULL;
            at += (size_t)sent;
        }
    }
    return NULL;
}

static void a_slow_browser_loses_nothing(void **state)
{
    struct world world;
    pthread_t writer;
    uint8_t head[VT_WS_HEAD_MAX], byte;
    size_t seen = 0;

    (void)state;
    begin(&world, NULL, 0);
    expect(world.browser, "\x82\x0cRFB 003.008\n", 14);
    assert_int_equal(pthread_create(&writer, NULL, write_megabyte, &world.screen), 0);
    while (seen < 1000000) {
        read_all(world.browser, head, 2);
        size_t size = head[1];
        if (size == 126) {
            read_all(world.browser, head, 2);
            size = (size_t)head[0] << 8 | head[1];
        }
        for (; size > 0; size--, seen++) {
            read_all(world.browser, &byte, 1);
            assert_int_equal(byte, seen / 1000 & 0xff);
        }
    }
    pthread_join(writer, NULL);
    atomic_store(&world.stop, true);
    end(&world);
}

/* A key and a close wait already; what was lost for lack of memory did not arrive. */
static bool relay_a_key(void *context, struct vt_err *err)
{
    int browser[2], screen[2];
    uint8_t bytes[64], got[8];
    atomic_bool stop = false;
    size_t size = frame(bytes, 0x82, "key", 3);

    (void)context;
    size += frame(bytes + size, 0x88, "", 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, browser), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, screen), 0);
    assert_int_equal(write(browser[0], bytes, size), size);
    struct vt_ws_line line = { .socket = browser[1], .stopping = is_stopping, .server = &stop };
    const struct vt_screen shown = { .may = NULL };
    char why[VT_SCREEN_WHY_MAX];
    vt_screen_relay(&shown, &line, screen[1], "RFB", 3, why);
    ssize_t arrived = recv(screen[0], got, sizeof got, MSG_DONTWAIT);
    for (int i = 0; i < 2; i++) {
        close(browser[i]);
        close(screen[i]);
    }
    return arrived == 3 || vt_fail(err, VT_E_NOMEM, "the key did not arrive");
}

static void without_memory_a_screen_ends_and_leaks_nothing(void **state)
{
    (void)state;
    assert_true(vt_torture(relay_a_key, NULL) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_to_the_key_of_the_standard_is_the_one_it_prints),
        cmocka_unit_test(what_is_no_key_is_refused),
        cmocka_unit_test(a_frame_is_taken_when_its_last_byte_is_there),
        cmocka_unit_test(each_length_is_written_as_it_is_read),
        cmocka_unit_test(what_no_client_may_send_is_refused),
        cmocka_unit_test(a_message_in_pieces_goes_on_around_a_ping),
        cmocka_unit_test(bytes_go_both_ways_and_what_came_ahead_goes_first),
        cmocka_unit_test(a_ping_is_answered_and_a_close_ends_it),
        cmocka_unit_test(text_is_told_that_a_screen_speaks_bytes),
        cmocka_unit_test(a_screen_that_ends_closes_the_browser),
        cmocka_unit_test(a_screen_ends_with_the_login_of_who_looks_at_it),
        cmocka_unit_test(keys_are_use_and_updates_are_not),
        cmocka_unit_test(a_slow_browser_loses_nothing),
        cmocka_unit_test(without_memory_a_screen_ends_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
