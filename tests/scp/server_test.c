#include "scp/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "dicom/assoc.h"
#include "dicom/door.h"
#include "dicom/net.h"
#include "scu/client.h"
#include "scu/peers.h"
#include "tests/support/torture.h"

static const struct vt_door_listener loopback = { .address = "127.0.0.1", .port = 0 };

static struct vt_server_options options_of(unsigned max_associations, unsigned max_per_peer)
{
    return (struct vt_server_options){
        .ae_title = "VITRINE",
        .max_associations = max_associations,
        .max_per_peer = max_per_peer,
        .listeners = &loopback,
        .listener_count = 1,
    };
}

static struct vt_server *open_server(const struct vt_server_options *options)
{
    struct vt_err err = { 0 };
    struct vt_server *server = vt_server_open(options, &err);

    if (!server)
        fail_msg("%s", err.text);
    return server;
}

static struct vt_assoc *call(const struct vt_server *server, const char *calling,
                             const char *called, const char *abstract_syntax, struct vt_err *err)
{
    const char *const syntaxes[] = { VT_UID_IMPLICIT_LE };
    const struct vt_propose propose = { abstract_syntax, syntaxes, 1, VT_ROLE_DEFAULT };
    struct vt_assoc_request request = {
        .calling_ae_title = calling,
        .called_ae_title = called,
        .host = "127.0.0.1",
        .port = vt_server_port(server, 0),
        .contexts = &propose,
        .context_count = 1,
    };
    return vt_assoc_request(&request, err);
}

/* true: answered 0000. */
static bool echo(const struct vt_server *server, const char *called)
{
    struct vt_peer peer = { .name = "node",
                            .host = "127.0.0.1",
                            .port = vt_server_port(server, 0) };
    struct vt_client client = { .calling_ae_title = "TEST", .peer = &peer };
    struct vt_echo_times times;
    struct vt_err err = { 0 };

    snprintf(peer.ae_title, sizeof peer.ae_title, "%s", called);
    return vt_client_echo(&client, &times, &err);
}

static void wait_for_associations(const struct vt_server *server, unsigned count)
{
    struct vt_server_status status;
    int64_t deadline = vt_clock_mono() + 5 * VT_NS_PER_S;

    do {
        vt_server_status(server, &status);
        if (status.associations == count)
            return;
        vt_clock_sleep(VT_NS_PER_MS);
    } while (vt_clock_mono() < deadline);
    fail_msg("%u associations, not %u", status.associations, count);
}

static void an_echo_is_answered_and_counted(void **state)
{
    (void)state;
    struct vt_server_options options = options_of(0, 0);
    VT_AUTO(vt_server) server = open_server(&options);
    struct vt_server_status status;

    assert_true(echo(server, "VITRINE"));
    assert_true(echo(server, "VITRINE"));
    assert_false(echo(server, "OTHER"));
    vt_server_status(server, &status);
    assert_int_equal(status.associations_total, 2);
    assert_int_equal(status.associations_refused, 1);
    wait_for_associations(server, 0);
}

static void beyond_the_limit_only_verification_gets_in(void **state)
{
    (void)state;
    struct vt_server_options options = options_of(2, 0);
    VT_AUTO(vt_server) server = open_server(&options);
    struct vt_err err = { 0 };

    VT_AUTO(vt_assoc) first = call(server, "A", "VITRINE", VT_UID_CT_IMAGE, &err);
    VT_AUTO(vt_assoc) second = call(server, "B", "VITRINE", VT_UID_CT_IMAGE, &err);
    assert_non_null(first);
    assert_non_null(second);
    assert_null(call(server, "C", "VITRINE", VT_UID_CT_IMAGE, &err));
    assert_int_equal(err.code, VT_E_REFUSED);
    assert_true(echo(server, "VITRINE"));
    vt_assoc_release(first);
    wait_for_associations(server, 1);
    VT_AUTO(vt_assoc) third = call(server, "C", "VITRINE", VT_UID_CT_IMAGE, &err);
    assert_non_null(third);
}

static void one_peer_leaves_room_for_others(void **state)
{
    (void)state;
    struct vt_server_options options = options_of(0, 1);
    VT_AUTO(vt_server) server = open_server(&options);
    struct vt_err err = { 0 };

    VT_AUTO(vt_assoc) first = call(server, "A", "VITRINE", VT_UID_CT_IMAGE, &err);
    assert_non_null(first);
    assert_null(call(server, "A", "VITRINE", VT_UID_CT_IMAGE, &err));
    VT_AUTO(vt_assoc) other = call(server, "B", "VITRINE", VT_UID_CT_IMAGE, &err);
    assert_non_null(other);
}

static void a_known_title_from_a_foreign_address_is_refused(void **state)
{
    (void)state;
    VT_AUTO(vt_peers) peers = vt_peers_new();
    struct vt_peer peer = {
        .name = "CT1", .ae_title = "CT1", .from = "10.0.0.0/8", .allow = VT_ALLOW_ALL
    };
    struct vt_server_options options = options_of(0, 0);
    struct vt_err err = { 0 };

    assert_true(vt_peers_add(peers, &peer, &err));
    options.peers = peers;
    VT_AUTO(vt_server) server = open_server(&options);
    assert_null(call(server, "CT1", "VITRINE", VT_UID_CT_IMAGE, &err));
    assert_int_equal(err.code, VT_E_REFUSED);
    VT_AUTO(vt_assoc) other = call(server, "CT2", "VITRINE", VT_UID_CT_IMAGE, &err);
    assert_non_null(other);
}

static void a_stop_does_not_wait_for_who_says_nothing(void **state)
{
    (void)state;
    struct vt_server_options options = options_of(0, 0);
    VT_AUTO(vt_server) server = open_server(&options);
    struct vt_err err = { 0 };

    VT_AUTO(vt_assoc) idle = call(server, "A", "VITRINE", VT_UID_CT_IMAGE, &err);
    assert_non_null(idle);
    int64_t begun = vt_clock_mono();
    vt_server_stop(server, 30 * VT_NS_PER_S);
    assert_true(vt_clock_mono() - begun < 5 * VT_NS_PER_S);
}

static bool open_and_free(void *context, struct vt_err *err)
{
    VT_AUTO(vt_server) server = vt_server_open(context, err);

    return server != NULL;
}

static void a_failing_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    struct vt_server_options options = options_of(0, 0);

    assert_true(vt_torture(open_and_free, &options) > 0);
}

static int start(void **state)
{
    struct vt_net_options options = { 0 };
    struct vt_err err = { 0 };

    (void)state;
    return vt_net_start(&options, &err) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    vt_net_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_echo_is_answered_and_counted),
        cmocka_unit_test(beyond_the_limit_only_verification_gets_in),
        cmocka_unit_test(one_peer_leaves_room_for_others),
        cmocka_unit_test(a_known_title_from_a_foreign_address_is_refused),
        cmocka_unit_test(a_stop_does_not_wait_for_who_says_nothing),
        cmocka_unit_test(a_failing_allocation_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
