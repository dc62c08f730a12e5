#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "core/auto.h"
#include "tests/dicom/mini_scp.h"
#include "tests/dicom/raw_peer.h"
#include "tests/support/torture.h"

static struct mini_scp scp;
static struct request_bytes rb;

static void start_with(int64_t artim, bool strict)
{
    struct vt_err err = { 0 };

    memset(&scp, 0, sizeof scp);
    scp.door.artim = artim;
    scp.door.strict_request = strict;
    if (!mini_scp_start(&scp, &err))
        fail_msg("%s", err.text);
}

static int start_scp(void **state)
{
    (void)state;
    start_with(0, false);
    return 0;
}

static int stop_scp(void **state)
{
    (void)state;
    mini_scp_stop(&scp);
    return 0;
}

static void assert_alive(void)
{
    int fd = raw_associate(scp.port, VT_UID_VERIFICATION);

    raw_echo(fd);
    raw_release(fd);
}

static void assert_refusal(const char *words)
{
    assert_true(mini_wait(&scp.refused, 1));
    pthread_mutex_lock(&scp.lock);
    if (!strstr(scp.last_refusal, words))
        fail_msg("'%s' does not say '%s'", scp.last_refusal, words);
    pthread_mutex_unlock(&scp.lock);
}

static void a_silent_peer_is_closed_when_artim_is_over(void **state)
{
    (void)state;
    start_with(VT_NS_PER_S / 2, false);
    int64_t start = vt_clock_mono();
    int silent = raw_connect(scp.port), half = raw_connect(scp.port);

    rb_simple(&rb, VT_UID_VERIFICATION);
    raw_send(half, rb.bytes, 40);
    assert_alive();
    assert_int_equal(raw_read(silent), RAW_CLOSED);
    assert_int_equal(raw_read(half), RAW_CLOSED);
    assert_in_range((vt_clock_mono() - start) / VT_NS_PER_MS, 400, 2500);
    assert_refusal("no association request in time");
    assert_int_equal(vt_door_pending(scp.opened), 0);
    close(silent);
    close(half);
}

static void what_is_no_dicom_is_aborted_at_once(void **state)
{
    (void)state;
    int fd = raw_connect(scp.port);

    raw_send(fd, "GET / HTTP/1.1\r\n\r\n", 18);
    assert_int_equal(raw_read(fd), VT_PDU_ABORT);
    assert_memory_equal(raw_pdu, "\0\0\2\1", 4);
    assert_int_equal(raw_read(fd), RAW_CLOSED);
    assert_refusal("no association request");
    close(fd);
    assert_alive();
}

static void a_pdu_that_may_not_come_first_is_aborted(void **state)
{
    (void)state;
    int fd = raw_connect(scp.port);

    raw_send(fd, "\4\0\0\0\0\6", 6);
    assert_int_equal(raw_read(fd), VT_PDU_ABORT);
    assert_memory_equal(raw_pdu, "\0\0\2\2", 4);
    close(fd);
}

static void a_request_that_claims_4_gb_is_aborted(void **state)
{
    (void)state;
    int fd = raw_connect(scp.port);

    raw_send(fd, "\1\0\xff\xff\xff\xff", 6);
    assert_int_equal(raw_read(fd), VT_PDU_ABORT);
    assert_refusal("huge");
    close(fd);
}

static void a_request_that_lies_about_a_length_is_aborted(void **state)
{
    (void)state;
    int fd = raw_connect(scp.port);

    rb_simple(&rb, VT_UID_VERIFICATION);
    vt_put_be16(rb.bytes + 76, 0xffff);
    raw_send(fd, rb.bytes, rb.size);
    assert_int_equal(raw_read(fd), VT_PDU_ABORT);
    assert_refusal("longer than the association request");
    close(fd);
}

static void another_protocol_version_is_rejected(void **state)
{
    (void)state;
    int fd = raw_connect(scp.port);

    rb_simple(&rb, VT_UID_VERIFICATION);
    vt_put_be16(rb.bytes + 6, 2);
    raw_send(fd, rb.bytes, rb.size);
    assert_int_equal(raw_read(fd), VT_PDU_ASSOCIATE_RJ);
    assert_memory_equal(raw_pdu, "\0\1\2\2", 4);
    close(fd);
}

static void a_strict_door_refuses_a_blank_title(void **state)
{
    (void)state;
    start_with(0, true);
    int fd = raw_connect(scp.port);

    rb_simple(&rb, VT_UID_VERIFICATION);
    rb_title(&rb, 26, "");
    raw_send(fd, rb.bytes, rb.size);
    assert_int_equal(raw_read(fd), VT_PDU_ABORT);
    assert_refusal("the calling AE title is blank");
    close(fd);
}

static void the_oldest_of_too_many_silent_connections_of_a_host_goes(void **state)
{
    (void)state;
    static int fds[VT_DOOR_PENDING_PER_HOST_MAX];

    for (size_t i = 0; i < VT_DOOR_PENDING_PER_HOST_MAX; i++)
        fds[i] = raw_connect(scp.port);
    for (int i = 0; i < 5000 && vt_door_pending(scp.opened) < VT_DOOR_PENDING_PER_HOST_MAX; i++)
        usleep(1000);
    assert_int_equal(vt_door_pending(scp.opened), VT_DOOR_PENDING_PER_HOST_MAX);
    assert_alive();
    assert_int_equal(raw_read(fds[0]), RAW_CLOSED);
    assert_refusal("too many connections");
    for (size_t i = 0; i < VT_DOOR_PENDING_PER_HOST_MAX; i++)
        close(fds[i]);
}

static void fifty_silent_peers_delay_nobody(void **state)
{
    (void)state;
    int fds[50];

    for (size_t i = 0; i < 50; i++)
        fds[i] = raw_connect(scp.port);
    int64_t start = vt_clock_mono();
    assert_alive();
    assert_in_range((vt_clock_mono() - start) / VT_NS_PER_MS, 0, 500);
    for (size_t i = 0; i < 50; i++)
        close(fds[i]);
}

static void the_door_survives_the_want_of_descriptors(void **state)
{
    (void)state;
    struct rlimit old, low;
    int spare[64], count = 0, client = raw_connect(scp.port);

    for (int i = 0; i < 5000 && vt_door_pending(scp.opened) == 0; i++)
        usleep(1000);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    /* Room for the client's own socket, none for the one that is accepted. */
    for (; count < 8; count++)
        spare[count] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    low = old;
    low.rlim_cur = (rlim_t)spare[count - 1] + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    close(spare[--count]);
    int refused = raw_connect(scp.port);
    assert_int_equal(raw_read(refused), RAW_CLOSED);
    close(refused);
    setrlimit(RLIMIT_NOFILE, &old);
    while (count > 0)
        close(spare[--count]);
    assert_refusal("no descriptor left");
    assert_alive();

    /* Who was there before is still served. */
    rb_simple(&rb, VT_UID_VERIFICATION);
    raw_send(client, rb.bytes, rb.size);
    assert_int_equal(raw_read(client), VT_PDU_ASSOCIATE_AC);
    raw_release(client);
}

static void closing_the_door_closes_who_waits_before_it(void **state)
{
    (void)state;
    int fd = raw_connect(scp.port);
    uint16_t port = scp.port;

    for (int i = 0; i < 5000 && vt_door_pending(scp.opened) == 0; i++)
        usleep(1000);
    vt_door_free(vt_take(&scp.opened));
    assert_int_equal(raw_read(fd), RAW_CLOSED);
    close(fd);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    vt_autoclose again = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(again, (struct sockaddr *)&address, sizeof address), -1);
}

static void a_port_that_is_taken_is_named(void **state)
{
    (void)state;
    struct vt_door_listener listener = { .address = "127.0.0.1", .port = scp.port };
    struct vt_door_options options = scp.door;
    struct vt_err err = { 0 };
    char words[64];

    options.listeners = &listener;
    assert_null(vt_door_open(&options, &err));
    snprintf(words, sizeof words, "127.0.0.1 port %u: cannot listen: Address already in use",
             scp.port);
    assert_string_equal(err.text, words);

    listener.address = "not-an-address";
    assert_null(vt_door_open(&options, &err));
    assert_non_null(strstr(err.text, "not-an-address"));
}

/* ---- what the server sees of a request before a thread starts ---- */

static struct vt_incoming *_Atomic kept;

static void keep(void *context, struct vt_incoming *incoming)
{
    (void)context;
    kept = incoming;
}

static struct vt_incoming *await_kept(void)
{
    for (int i = 0; i < 5000 && !kept; i++)
        usleep(1000);
    assert_non_null(kept);
    struct vt_incoming *taken = kept;
    kept = NULL;
    return taken;
}

static void a_request_can_be_judged_and_rejected_before_a_thread_starts(void **state)
{
    (void)state;
    struct vt_door_options options = scp.door;
    struct vt_err err = { 0 };
    char calling[17], called[17];

    options.arrived = keep;
    VT_AUTO(vt_door) door = vt_door_open(&options, &err);
    assert_non_null(door);
    int fd = raw_connect(vt_door_port(door, 0));
    rb_simple(&rb, VT_UID_VERIFICATION);
    raw_send(fd, rb.bytes, rb.size);
    struct vt_incoming *incoming = await_kept();
    vt_incoming_titles(incoming, calling, called);
    assert_string_equal(calling, "TEST");
    assert_string_equal(called, "VITRINE");
    assert_string_equal(vt_incoming_host(incoming), "127.0.0.1");
    assert_true(vt_incoming_only_verification(incoming));
    vt_incoming_reject(incoming, 2, 3, 2);
    assert_int_equal(raw_read(fd), VT_PDU_ASSOCIATE_RJ);
    assert_memory_equal(raw_pdu, "\0\2\3\2", 4);
    assert_int_equal(raw_read(fd), RAW_CLOSED);
    close(fd);

    fd = raw_connect(vt_door_port(door, 0));
    raw_send(fd, rb.bytes, rb.size);
    vt_incoming_free(await_kept());
    assert_int_equal(raw_read(fd), RAW_CLOSED);
    close(fd);
}

static void bytes_behind_the_request_stay_for_the_association(void **state)
{
    (void)state;
    int fd = raw_connect(scp.port);

    rb_simple(&rb, VT_UID_VERIFICATION);
    memcpy(raw_out.bytes, rb.bytes, rb.size);
    raw_out.size = rb.size;
    raw_put_command(VT_C_ECHO_RQ, 1, false);
    raw_flush(fd);
    assert_int_equal(raw_read(fd), VT_PDU_ASSOCIATE_AC);
    raw_expect(fd, VT_C_ECHO_RSP, 0);
    raw_release(fd);
}

static bool open_once(void *context, struct vt_err *err)
{
    VT_AUTO(vt_door) door = vt_door_open(context, err);

    return door != NULL;
}

static void want_of_memory_is_reported(void **state)
{
    (void)state;
    vt_torture(open_once, &scp.door);
}

#define WITH_SCP(test) cmocka_unit_test_setup_teardown(test, start_scp, stop_scp)
#define STARTS_IT(test) cmocka_unit_test_setup_teardown(test, NULL, stop_scp)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STARTS_IT(a_silent_peer_is_closed_when_artim_is_over),
        WITH_SCP(what_is_no_dicom_is_aborted_at_once),
        WITH_SCP(a_pdu_that_may_not_come_first_is_aborted),
        WITH_SCP(a_request_that_claims_4_gb_is_aborted),
        WITH_SCP(a_request_that_lies_about_a_length_is_aborted),
        WITH_SCP(another_protocol_version_is_rejected),
        STARTS_IT(a_strict_door_refuses_a_blank_title),
        WITH_SCP(the_oldest_of_too_many_silent_connections_of_a_host_goes),
        WITH_SCP(fifty_silent_peers_delay_nobody),
        WITH_SCP(the_door_survives_the_want_of_descriptors),
        WITH_SCP(closing_the_door_closes_who_waits_before_it),
        WITH_SCP(a_port_that_is_taken_is_named),
        WITH_SCP(a_request_can_be_judged_and_rejected_before_a_thread_starts),
        WITH_SCP(bytes_behind_the_request_stay_for_the_association),
        WITH_SCP(want_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
