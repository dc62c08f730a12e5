#include "hypervisor/reach.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/auto.h"
#include "core/clock.h"

static int listen_at(const char *address, uint16_t *port, int backlog)
{
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(*port) };
    socklen_t size = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    inet_pton(AF_INET, address, &name.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, size), 0);
    assert_int_equal(listen(fd, backlog), 0);
    getsockname(fd, (struct sockaddr *)&name, &size);
    *port = ntohs(name.sin_port);
    return fd;
}

static void only_those_that_accept_are_named(void **state)
{
    (void)state;
    uint16_t port = 0;
    vt_autoclose first = listen_at("127.0.0.21", &port, 8);
    vt_autoclose second = listen_at("127.0.0.23", &port, 8);
    static const char *const addresses[] = { "127.0.0.21", "127.0.0.22", "127.0.0.23" };
    size_t order[3];

    assert_int_equal(vt_reach(addresses, 3, port, 2000, order), 2);
    assert_int_equal(order[0] + order[1], 0 + 2);
    assert_true(first >= 0 && second >= 0);
}

static void a_silent_host_costs_the_grace_when_another_answers(void **state)
{
    (void)state;
    uint16_t port = 0;
    vt_autoclose silent = listen_at("127.0.0.21", &port, 0);
    vt_autoclose awake = listen_at("127.0.0.22", &port, 8);
    static const char *const addresses[] = { "127.0.0.21", "127.0.0.22" };
    size_t order[2];
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(port) };
    vt_autoclose filler = socket(AF_INET, SOCK_STREAM, 0);

    inet_pton(AF_INET, "127.0.0.21", &name.sin_addr);
    assert_int_equal(connect(filler, (struct sockaddr *)&name, sizeof name),
                     0); /* its backlog is full now */
    int64_t before = vt_clock_mono();
    assert_int_equal(vt_reach(addresses, 2, port, 5000, order), 1);
    assert_int_equal(order[0], 1);
    assert_true(vt_clock_mono() - before < 4 * VT_NS_PER_S);
    assert_true(silent >= 0 && awake >= 0);
}

static void a_name_is_not_resolved_but_kept_for_later(void **state)
{
    (void)state;
    static const char *const addresses[] = { "pool.example", "127.0.0.22" };
    size_t order[2];

    assert_int_equal(vt_reach(addresses, 2, 1, 500, order), 1);
    assert_int_equal(order[0], 0);
    assert_int_equal(vt_reach(addresses, 0, 1, 500, order), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_those_that_accept_are_named),
        cmocka_unit_test(a_silent_host_costs_the_grace_when_another_answers),
        cmocka_unit_test(a_name_is_not_resolved_but_kept_for_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
