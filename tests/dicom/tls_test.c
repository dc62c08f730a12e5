#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/dicom/raw_peer.h"
#include "tests/dicom/requestor.h"
#include "tests/dicom/test_certificate.h"

/* ---- IPv6 and TLS ---- */

static void an_ipv6_literal_is_an_address_like_any_other(void **state)
{
    (void)state;
    struct vt_assoc_request request;
    struct vt_err err = { 0 };

    memset(&scp, 0, sizeof scp);
    scp.listener.address = "::1";
    if (!mini_scp_start(&scp, &err)) {
        print_message("no IPv6 here: %s\n", err.text);
        skip();
    }
    request = plain_request();
    request.host = "::1";
    VT_AUTO(vt_assoc) assoc = must_associate(&request);
    assert_string_equal(vt_assoc_info(assoc)->host, "::1");
    echo_on(assoc);
    vt_assoc_release(assoc);
}

static struct test_tls tls;

static int start_tls_scp(void **state)
{
    struct vt_err err = { 0 };

    (void)state;
    test_tls_init(&tls, "IP:127.0.0.1,DNS:localhost");
    memset(&scp, 0, sizeof scp);
    scp.listener.tls = tls.server;
    scp.matches = 100000;
    if (!mini_scp_start(&scp, &err))
        fail_msg("%s", err.text);
    return 0;
}

static int stop_tls_scp(void **state)
{
    (void)state;
    mini_scp_stop(&scp);
    test_tls_fini(&tls);
    return 0;
}

static void messages_of_all_sizes_go_through_tls(void **state)
{
    (void)state;
    struct vt_assoc_request request = plain_request();
    unsigned long sum;
    struct vt_err err = { 0 };

    request.tls = tls.client;
    VT_AUTO(vt_assoc) assoc = must_associate(&request);
    assert_true(vt_assoc_info(assoc)->tls);
    echo_on(assoc);
    vt_autoclose fd = memory_file(3000001, &sum);
    struct vt_command store = store_request(assoc);
    assert_true(vt_assoc_send_file(assoc, 1, &store, fd, 100, 3000001 - 100, &err));
    assert_int_equal(status_of(assoc), VT_STATUS_SUCCESS);
    assert_int_equal(scp.stored_sum, sum);
    usleep(1200000); /* the acceptor has given its buffers back meanwhile */
    echo_on(assoc);
    vt_assoc_release(assoc);
    assert_true(mini_wait(&scp.released, 1));
}

static void a_name_is_looked_for_in_the_certificate(void **state)
{
    (void)state;
    struct vt_assoc_request request = plain_request();
    struct test_tls other;

    request.tls = tls.client;
    request.host = "localhost";
    VT_AUTO(vt_assoc) assoc = must_associate(&request);
    vt_assoc_release(assoc);

    test_tls_init(&other, "DNS:elsewhere");
    SSL_CTX_use_certificate(tls.server, other.certificate);
    SSL_CTX_use_PrivateKey(tls.server, other.key);
    assert_request_fails(&request, VT_E_REFUSED, "the peer's certificate is not accepted");
    request.tls = other.client;
    assert_request_fails(&request, VT_E_REFUSED, "hostname mismatch");
    request.tls_any_name = true;
    VT_AUTO(vt_assoc) anyway = must_associate(&request);
    vt_assoc_release(anyway);
    test_tls_fini(&other);
}

static void a_plain_peer_on_the_tls_port_is_dropped(void **state)
{
    (void)state;
    static struct request_bytes rb;
    int fd = raw_connect(scp.port);

    rb_simple(&rb, VT_UID_VERIFICATION);
    raw_send(fd, rb.bytes, rb.size);
    /* OpenSSL may answer with an alert before the end; no A-ASSOCIATE-AC comes. */
    uint8_t byte[64];
    ssize_t got;
    while ((got = recv(fd, byte, sizeof byte, 0)) > 0)
        assert_int_not_equal(byte[0], VT_PDU_ASSOCIATE_AC);
    close(fd);
    assert_true(mini_wait(&scp.refused, 1));
    assert_non_null(strstr(scp.last_refusal, "TLS handshake failed"));
}

static void a_tls_peer_on_a_plain_port_is_told(void **state)
{
    (void)state;
    struct test_tls own;
    struct vt_assoc_request request;

    start_scp(NULL);
    request = plain_request();
    test_tls_init(&own, "IP:127.0.0.1");
    request.tls = own.client;
    assert_request_fails(&request, VT_E_REFUSED, "TLS handshake failed");
    test_tls_fini(&own);
}

static void silent_peers_on_the_tls_port_delay_nobody(void **state)
{
    (void)state;
    struct vt_assoc_request request = plain_request();
    int fds[20];

    for (size_t i = 0; i < VT_COUNT(fds); i++) {
        fds[i] = raw_connect(scp.port);
        raw_send(fds[i], "\x16\x03\x01\x02", i % 2 ? 4 : 0); /* half a ClientHello */
    }
    request.tls = tls.client;
    int64_t start = vt_clock_mono();
    VT_AUTO(vt_assoc) assoc = must_associate(&request);
    echo_on(assoc);
    assert_in_range((vt_clock_mono() - start) / VT_NS_PER_MS, 0, 1000);
    vt_assoc_release(assoc);
    for (size_t i = 0; i < VT_COUNT(fds); i++)
        close(fds[i]);
}

#define WITH_TLS(test) cmocka_unit_test_setup_teardown(test, start_tls_scp, stop_tls_scp)
#define STARTS_IT(test) cmocka_unit_test_setup_teardown(test, NULL, stop_scp)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STARTS_IT(an_ipv6_literal_is_an_address_like_any_other),
        WITH_TLS(messages_of_all_sizes_go_through_tls),
        WITH_TLS(a_name_is_looked_for_in_the_certificate),
        WITH_TLS(a_plain_peer_on_the_tls_port_is_dropped),
        STARTS_IT(a_tls_peer_on_a_plain_port_is_told),
        WITH_TLS(silent_peers_on_the_tls_port_delay_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
