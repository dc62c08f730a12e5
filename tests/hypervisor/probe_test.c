/* Probes against sockets of our own: answers, refusals, silence, exchanges, ICMP where it may be
 * sent, many at once. */
#include "hypervisor/probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"

enum { WAIT_S = 30, RESULTS = 4096 };

struct world {
    struct vt_probes *probes;
    pthread_mutex_t lock; /* guards what follows */
    struct vt_probe_result results[RESULTS];
    size_t count;
};

static void on_result(void *context, const struct vt_probe_result *result)
{
    struct world *world = context;

    pthread_mutex_lock(&world->lock);
    if (world->count < RESULTS)
        world->results[world->count++] = *result;
    pthread_mutex_unlock(&world->lock);
}

/* Says "hi", wants "ho", then it is done; a second step when the answer is "more". */
static bool say(void *context, const char *peer, unsigned step, struct vt_buf *out,
                struct vt_err *err)
{
    (void)context;
    (void)step;
    return vt_buf_printf(out, err, "hi %s\n", peer);
}

static enum vt_probe_step judge(void *context, unsigned step, const uint8_t *bytes, size_t size)
{
    (void)context;
    if (size < 3)
        return VT_PROBE_STEP_MORE;
    if (memcmp(bytes, "mo\n", 3) == 0)
        return VT_PROBE_STEP_NEXT;
    return step == 1 && memcmp(bytes, "ho\n", 3) == 0 ? VT_PROBE_STEP_DONE : VT_PROBE_STEP_WRONG;
}

static const struct vt_probe_exchange exchange = { .say = say, .judge = judge };

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct vt_probes_options options = { .exchange = &exchange,
                                         .context = world,
                                         .result = on_result };
    struct vt_err err = { 0 };

    pthread_mutex_init(&world->lock, NULL);
    world->probes = vt_probes_new(&options, &err);
    assert_non_null(world->probes);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    vt_probes_free(world->probes);
    pthread_mutex_destroy(&world->lock);
    free(world);
    return 0;
}

static int listen_on(const char *address, int backlog, uint16_t *port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(*port) };
    socklen_t size = sizeof to;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    inet_pton(AF_INET, address, &to.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(listen(fd, backlog), 0);
    getsockname(fd, (struct sockaddr *)&to, &size);
    *port = ntohs(to.sin_port);
    return fd;
}

static struct vt_probe_target target_of(const char *address, uint16_t port)
{
    struct vt_probe_target target = { .port = port,
                                      .interval = 100 * VT_NS_PER_MS,
                                      .timeout = 200 * VT_NS_PER_MS,
                                      .address_count = 1,
                                      .tag = 7,
                                      .peer = "WS" };

    assert_true(vt_probe_address_parse(address, &target.addresses[0]));
    return target;
}

static void put(struct world *world, uint32_t slot, const struct vt_probe_target *target)
{
    struct vt_err err = { 0 };

    assert_true(vt_probes_put(world->probes, slot, target, &err));
}

/* The n-th result of a slot. */
static struct vt_probe_result result_of(struct world *world, uint32_t slot, unsigned n)
{
    int64_t deadline = vt_clock_mono() + WAIT_S * VT_NS_PER_S;
    struct vt_probe_result found = { .slot = UINT32_MAX };

    while (found.slot != slot && vt_clock_mono() < deadline) {
        unsigned seen = 0;
        pthread_mutex_lock(&world->lock);
        for (size_t i = 0; i < world->count; i++)
            if (world->results[i].slot == slot && seen++ == n)
                found = world->results[i];
        pthread_mutex_unlock(&world->lock);
        vt_clock_sleep(VT_NS_PER_MS);
    }
    assert_int_equal(found.slot, slot);
    return found;
}

static void a_listener_answers_and_a_closed_port_refuses(void **state)
{
    struct world *world = *state;
    uint16_t port = 0;
    int fd = listen_on("127.0.0.1", 64, &port);
    struct vt_probe_target target = target_of("127.0.0.1", port);

    put(world, 3, &target);
    struct vt_probe_result result = result_of(world, 3, 2);
    assert_int_equal(result.end, VT_PROBE_ANSWERED);
    assert_int_equal(result.tag, 7);
    close(fd);
    target.tag = 8;
    put(world, 4, &target);
    assert_int_equal(result_of(world, 4, 0).end, VT_PROBE_REFUSED);
}

static void a_full_backlog_is_silent_after_the_timeout(void **state)
{
    struct world *world = *state;
    uint16_t port = 0;
    int fd = listen_on("127.0.0.1", 0, &port), fillers[3];
    struct vt_probe_target target = target_of("127.0.0.1", port);
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    for (int i = 0; i < 3; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(fillers[i], (struct sockaddr *)&to, sizeof to) == 0)
            continue;
    }
    put(world, 0, &target);
    struct vt_probe_result result = result_of(world, 0, 1);
    assert_int_equal(result.end, VT_PROBE_SILENT);
    assert_true(result.took >= 200 * VT_NS_PER_MS);
    for (int i = 0; i < 3; i++)
        close(fillers[i]);
    close(fd);
}

static void of_several_addresses_one_answer_is_enough(void **state)
{
    struct world *world = *state;
    uint16_t port = 0;
    int fd = listen_on("127.0.0.2", 64, &port);
    struct vt_probe_target target = target_of("127.0.0.3", port); /* refuses */

    assert_true(vt_probe_address_parse("127.0.0.2", &target.addresses[1]));
    target.address_count = 2;
    put(world, 1, &target);
    struct vt_probe_result result = result_of(world, 1, 0);
    char text[VT_PROBE_ADDRESS_TEXT_MAX];
    assert_int_equal(result.end, VT_PROBE_ANSWERED);
    assert_string_equal(vt_probe_address_text(&result.address, text), "127.0.0.2");
    close(fd);
}

struct server {
    int fd;
    const char *first, *second;
};

static void *serve(void *context)
{
    struct server *server = context;
    char bytes[64];
    int fd = accept(server->fd, NULL, NULL);

    if (recv(fd, bytes, sizeof bytes, 0) > 0 &&
        send(fd, server->first, strlen(server->first), MSG_NOSIGNAL) > 0 && server->second &&
        recv(fd, bytes, sizeof bytes, 0) > 0)
        send(fd, server->second, strlen(server->second), MSG_NOSIGNAL);
    close(fd);
    return NULL;
}

static void an_exchange_goes_step_by_step(void **state)
{
    static const struct {
        const char *first, *second;
        enum vt_probe_end end;
    } ways[] = { { "mo\n", "ho\n", VT_PROBE_ANSWERED },
                 { "no\n", NULL, VT_PROBE_WRONG },
                 { "m", NULL, VT_PROBE_WRONG } };
    struct world *world = *state;

    for (uint32_t i = 0; i < 3; i++) {
        uint16_t port = 0;
        struct server server = { listen_on("127.0.0.1", 8, &port), ways[i].first, ways[i].second };
        struct vt_probe_target target = target_of("127.0.0.1", port);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);
        target.kind = VT_PROBE_EXCHANGE;
        target.timeout = 20 * VT_NS_PER_S;
        put(world, i, &target);
        assert_int_equal(result_of(world, i, 0).end, ways[i].end);
        vt_probes_remove(world->probes, i);
        pthread_join(thread, NULL);
        close(server.fd);
    }
}

static void loopback_answers_icmp_where_it_may_be_sent(void **state)
{
    struct world *world = *state;
    struct vt_probe_target target = target_of("127.1.2.3", 0);
    struct vt_probes_stats stats;

    vt_probes_stats(world->probes, &stats);
    if (!stats.icmp)
        skip();
    target.kind = VT_PROBE_ICMP;
    put(world, 9, &target);
    assert_int_equal(result_of(world, 9, 1).end, VT_PROBE_ANSWERED);
}

static void hundreds_of_targets_are_asked_in_their_rhythm(void **state)
{
    enum { MANY = 500 };
    struct world *world = *state;
    uint16_t port = 0;
    int fd = listen_on("127.0.0.1", 4096, &port);
    struct vt_probe_target target = target_of("127.0.0.1", port);

    target.interval = 2 * VT_NS_PER_S;
    target.timeout = 20 * VT_NS_PER_S;
    for (uint32_t i = 0; i < MANY; i++)
        put(world, i, &target);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(result_of(world, i, 0).end, VT_PROBE_ANSWERED);
    close(fd);
}

static void a_removed_target_is_asked_no_more(void **state)
{
    struct world *world = *state;
    struct vt_probe_target target = target_of("127.0.0.1", 1);

    put(world, 0, &target);
    result_of(world, 0, 0);
    vt_probes_remove(world->probes, 0);
    target.tag = 99;
    put(world, 1, &target); /* behind the removal: what comes of it shows that it was taken */
    result_of(world, 1, 0);
    pthread_mutex_lock(&world->lock);
    size_t before = world->count, own = 0;
    for (size_t i = 0; i < before; i++)
        own += world->results[i].slot == 0;
    pthread_mutex_unlock(&world->lock);
    result_of(world, 1, 5);
    pthread_mutex_lock(&world->lock);
    size_t now = 0;
    for (size_t i = 0; i < world->count; i++)
        now += world->results[i].slot == 0;
    pthread_mutex_unlock(&world->lock);
    assert_int_equal(now, own);
}

static void addresses_are_numbers(void **state)
{
    struct vt_probe_address address;
    char text[VT_PROBE_ADDRESS_TEXT_MAX];

    (void)state;
    assert_true(vt_probe_address_parse("fd00::7", &address));
    assert_string_equal(vt_probe_address_text(&address, text), "fd00::7");
    assert_false(vt_probe_address_parse("localhost", &address));
    assert_false(vt_probe_address_parse("", &address));
    assert_false(vt_probe_address_parse("10.0.0", &address));
}

int main(void)
{
#define WITH_PROBES(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_PROBES(a_listener_answers_and_a_closed_port_refuses),
        WITH_PROBES(a_full_backlog_is_silent_after_the_timeout),
        WITH_PROBES(of_several_addresses_one_answer_is_enough),
        WITH_PROBES(an_exchange_goes_step_by_step),
        WITH_PROBES(loopback_answers_icmp_where_it_may_be_sent),
        WITH_PROBES(hundreds_of_targets_are_asked_in_their_rhythm),
        WITH_PROBES(a_removed_target_is_asked_no_more),
        cmocka_unit_test(addresses_are_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
