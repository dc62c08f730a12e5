#include "scu/peers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "tests/support/torture.h"

static struct vt_peer peer_named(const char *name, const char *ae_title)
{
    struct vt_peer peer = { .name = name, .host = "127.0.0.1", .port = 104, .allow = VT_ALLOW_ALL };
    snprintf(peer.ae_title, sizeof peer.ae_title, "%s", ae_title);
    return peer;
}

static struct vt_peers *peers_of(const char *const assignments[])
{
    VT_AUTO(vt_conf) conf = vt_conf_new();
    VT_AUTO(vt_peers) peers = vt_peers_new();
    struct vt_err err = { 0 };

    for (size_t i = 0; assignments[i]; i++)
        assert_true(vt_conf_override(conf, assignments[i], &err));
    if (!vt_peers_load(peers, conf, &err))
        fail_msg("%s", err.text);
    return vt_take(&peers);
}

static void assert_refused(const char *const assignments[], const char *expected)
{
    VT_AUTO(vt_conf) conf = vt_conf_new();
    VT_AUTO(vt_peers) peers = vt_peers_new();
    struct vt_err err = { 0 };

    for (size_t i = 0; assignments[i]; i++)
        assert_true(vt_conf_override(conf, assignments[i], &err));
    assert_false(vt_peers_load(peers, conf, &err));
    assert_int_not_equal(err.code, VT_OK);
    assert_non_null(strstr(err.text, expected));
}

static void a_section_without_a_title_has_its_name_as_title(void **state)
{
    (void)state;
    VT_AUTO(vt_peers)
    peers =
        peers_of((const char *const[]){ "peer.CT1.host=10.0.0.7", "peer.CT1.port=11112", NULL });
    const struct vt_peer *peer = vt_peers_by_title(peers, "CT1");

    assert_non_null(peer);
    assert_string_equal(peer->host, "10.0.0.7");
    assert_int_equal(peer->port, 11112);
    assert_int_equal(peer->allow, VT_ALLOW_ALL);
    assert_true(peer->move_destination);
    assert_ptr_equal(vt_peers_by_name(peers, "CT1"), peer);
    assert_ptr_equal(vt_peers_at(peers, 0), peer);
    assert_null(vt_peers_at(peers, 1));
}

static void every_key_of_a_peer_is_read(void **state)
{
    (void)state;
    VT_AUTO(vt_peers)
    peers = peers_of((const char *const[]){
        "peer.slides.ae_title=SLIDES1", "peer.slides.host=scanner.example",
        "peer.slides.from=10.0.0.0/8, 192.168.1.4", "peer.slides.allow=echo, store",
        "peer.slides.move_destination=no", "peer.slides.max_associations=3",
        "peer.slides.prefer=lossless", "peer.slides.charset=ISO_IR 192",
        "peer.slides.local_ae_title=NIGHT", "peer.slides.timeout=10m", NULL });
    const struct vt_peer *peer = vt_peers_by_name(peers, "slides");

    assert_non_null(peer);
    assert_string_equal(peer->ae_title, "SLIDES1");
    assert_int_equal(peer->port, 104);
    assert_int_equal(peer->allow, VT_ALLOW_ECHO | VT_ALLOW_STORE);
    assert_false(peer->move_destination);
    assert_int_equal(peer->max_associations, 3);
    assert_int_equal(peer->prefer, VT_PREFER_LOSSLESS);
    assert_string_equal(peer->charset, "ISO_IR 192");
    assert_string_equal(peer->local_ae_title, "NIGHT");
    assert_true(peer->timeout == 600 * VT_NS_PER_S);
}

static void a_peer_without_a_host_only_calls_us(void **state)
{
    (void)state;
    VT_AUTO(vt_peers) peers = peers_of((const char *const[]){ "peer.CT1.allow=store", NULL });
    const struct vt_peer *peer = vt_peers_by_name(peers, "CT1");
    struct vt_peer out;
    char store[64];
    struct vt_err err = { 0 };

    assert_null(peer->host);
    assert_int_equal(peer->port, 0);
    assert_false(peer->move_destination);
    assert_true(vt_peer_admits(peer, "203.0.113.9"));
    assert_false(vt_peers_resolve(peers, "CT1", &out, store, sizeof store, &err));
    assert_int_equal(err.code, VT_E_INVALID);
}

static void titles_compare_without_outer_spaces_and_with_case(void **state)
{
    (void)state;
    VT_AUTO(vt_peers) peers = vt_peers_new();
    struct vt_peer peer = peer_named("one", " SLIDES1 ");
    struct vt_err err = { 0 };

    assert_true(vt_peers_add(peers, &peer, &err));
    assert_non_null(vt_peers_by_title(peers, "SLIDES1"));
    assert_non_null(vt_peers_by_title(peers, "  SLIDES1  "));
    assert_null(vt_peers_by_title(peers, "slides1"));
    assert_null(vt_peers_by_title(peers, "SLIDES1-LONGER-THAN-16"));
}

static void a_taken_title_leaves_the_first_peer_in_place(void **state)
{
    (void)state;
    VT_AUTO(vt_peers) peers = vt_peers_new();
    struct vt_peer first = peer_named("one", "SLIDES1"), second = peer_named("two", "SLIDES1 ");
    struct vt_err err = { 0 };

    assert_true(vt_peers_add(peers, &first, &err));
    const struct vt_peer *borrowed = vt_peers_by_title(peers, "SLIDES1");
    assert_false(vt_peers_add(peers, &second, &err));
    assert_int_equal(err.code, VT_E_EXISTS);
    assert_string_equal(vt_peers_by_title(peers, "SLIDES1")->name, "one");

    struct vt_peer third = peer_named("three", "CT3");
    assert_true(vt_peers_add(peers, &third, &err));
    assert_ptr_equal(vt_peers_by_title(peers, "SLIDES1"), borrowed);
}

static void a_wrong_value_is_refused_with_its_place(void **state)
{
    (void)state;
    assert_refused((const char *const[]){ "peer.a.ae_title=SEVENTEEN-LETTERS", NULL },
                   "peer.a.ae_title");
    assert_refused((const char *const[]){ "peer.a.allow=echo,fly", NULL }, "'fly'");
    assert_refused((const char *const[]){ "peer.a.from=10.0.0.0/33", NULL }, "10.0.0.0/33");
    assert_refused((const char *const[]){ "peer.a.from=somewhere", NULL }, "somewhere");
    assert_refused((const char *const[]){ "peer.a.host=h", "peer.a.port=70000", NULL }, "port");
    assert_refused((const char *const[]){ "peer.a.move_destination=yes", NULL }, "no host");
    assert_refused((const char *const[]){ "peer.a.local_ae_title=back\\slash", NULL },
                   "back\\slash");
    assert_refused((const char *const[]){ "peer.a.ae_title=X", "peer.b.ae_title=X", NULL },
                   "taken");
}

static void an_address_is_admitted_by_its_network_only(void **state)
{
    (void)state;
    struct vt_peer peer = { .from = "10.1.0.0/16 192.168.1.4,fd00::/8" };

    assert_true(vt_peer_admits(&peer, "10.1.255.255"));
    assert_true(vt_peer_admits(&peer, "::ffff:10.1.0.1"));
    assert_true(vt_peer_admits(&peer, "192.168.1.4"));
    assert_true(vt_peer_admits(&peer, "fd12::1"));
    assert_false(vt_peer_admits(&peer, "10.2.0.1"));
    assert_false(vt_peer_admits(&peer, "192.168.1.5"));
    assert_false(vt_peer_admits(&peer, "fe80::1"));
    assert_false(vt_peer_admits(&peer, "no address"));
}

static void networks_end_within_a_byte(void **state)
{
    (void)state;
    struct vt_peer peer = { .from = "10.0.0.128/25" }, all = { .from = "0.0.0.0/0" };

    assert_true(vt_peer_admits(&peer, "10.0.0.200"));
    assert_false(vt_peer_admits(&peer, "10.0.0.127"));
    assert_true(vt_peer_admits(&all, "8.8.8.8"));
    assert_false(vt_peer_admits(&all, "fd12::1"));
}

static void a_peer_with_a_host_calls_from_that_host(void **state)
{
    (void)state;
    struct vt_peer peer = { .host = "127.0.0.1" };

    assert_true(vt_peer_admits(&peer, "127.0.0.1"));
    assert_true(vt_peer_admits(&peer, "::ffff:127.0.0.1"));
    assert_false(vt_peer_admits(&peer, "127.0.0.2"));
}

static void an_address_typed_by_hand_becomes_a_peer(void **state)
{
    (void)state;
    VT_AUTO(vt_peers) peers = vt_peers_new();
    struct vt_peer peer;
    char store[64];
    struct vt_err err = { 0 };

    assert_true(
        vt_peers_resolve(peers, "ANY SCP@pacs.example:4242", &peer, store, sizeof store, &err));
    assert_string_equal(peer.ae_title, "ANY SCP");
    assert_string_equal(peer.host, "pacs.example");
    assert_int_equal(peer.port, 4242);
    assert_true(vt_peers_resolve(peers, "X@[::1]:104", &peer, store, sizeof store, &err));
    assert_string_equal(peer.host, "::1");
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = { "X@host",    "X@host:0",  "X@host:70000", "X@:104",
                                         "@host:104", "X@::1:104", "X@host:1a" };
    VT_AUTO(vt_peers) peers = vt_peers_new();
    struct vt_peer peer;
    char store[64];

    for (size_t i = 0; i < VT_COUNT(wrong); i++) {
        struct vt_err err = { 0 };
        assert_false(vt_peers_resolve(peers, wrong[i], &peer, store, sizeof store, &err));
        assert_int_equal(err.code, VT_E_INVALID);
    }
    struct vt_err err = { 0 };
    assert_false(vt_peers_resolve(peers, "NOBODY", &peer, store, sizeof store, &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
}

static bool load_two(void *context, struct vt_err *err)
{
    VT_AUTO(vt_peers) peers = vt_peers_new();

    if (!peers)
        return vt_fail(err, VT_E_NOMEM, "no table");
    return vt_peers_load(peers, context, err);
}

static void a_failing_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    VT_AUTO(vt_conf) conf = vt_conf_new();
    struct vt_err err = { 0 };

    assert_true(vt_conf_override(conf, "peer.a.host=10.0.0.1", &err));
    assert_true(vt_conf_override(conf, "peer.a.charset=ISO_IR 100", &err));
    assert_true(vt_conf_override(conf, "peer.b.from=10.0.0.0/8", &err));
    assert_true(vt_torture(load_two, conf) >= 8);
}

static void access_keys_are_read_and_checked(void **state)
{
    static const char *const good[] = { "peer.CT1.tls_subject=CN=ct1", "peer.CT1.called=VITRINE OTHER",
                                        "peer.CT1.instances_per_day=5", "peer.CT1.bytes_per_day=1K",
                                        "peer.CT1.commit_same_association=no", NULL };
    static const char *const bad[] = { "peer.CT1.tls_fingerprint=aa:bb", "peer.CT1.tls=no", NULL };
    VT_AUTO(vt_peers) peers = peers_of(good);
    const struct vt_peer *peer = vt_peers_at(peers, 0);

    (void)state;
    assert_true(peer->tls);
    assert_string_equal(peer->certificate.subject, "CN=ct1");
    assert_int_equal(peer->instances_per_day, 5);
    assert_int_equal(peer->bytes_per_day, 1024);
    assert_true(peer->commit_elsewhere);
    assert_true(vt_peer_may_call(peer, "OTHER"));
    assert_false(vt_peer_may_call(peer, "OTHE"));
    assert_refused(bad, "peer.CT1 names a certificate");
}

static void replaced_peers_are_found_and_borrowed_ones_stay(void **state)
{
    static const char *const before[] = { "peer.CT1.host=10.0.0.1", "peer.CT2.host=10.0.0.2", NULL };
    static const char *const after[] = { "peer.CT1.host=10.0.0.9", NULL };
    VT_AUTO(vt_peers) peers = peers_of(before);
    VT_AUTO(vt_peers) fresh = peers_of(after);
    const struct vt_peer *borrowed = vt_peers_by_title(peers, "CT1");
    struct vt_err err = { 0 };

    (void)state;
    assert_true(vt_peers_replace(peers, fresh, &err));
    assert_string_equal(vt_peers_by_title(peers, "CT1")->host, "10.0.0.9");
    assert_null(vt_peers_by_title(peers, "CT2"));
    assert_null(vt_peers_at(fresh, 0));
    assert_string_equal(borrowed->host, "10.0.0.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_section_without_a_title_has_its_name_as_title),
        cmocka_unit_test(every_key_of_a_peer_is_read),
        cmocka_unit_test(a_peer_without_a_host_only_calls_us),
        cmocka_unit_test(titles_compare_without_outer_spaces_and_with_case),
        cmocka_unit_test(a_taken_title_leaves_the_first_peer_in_place),
        cmocka_unit_test(a_wrong_value_is_refused_with_its_place),
        cmocka_unit_test(an_address_is_admitted_by_its_network_only),
        cmocka_unit_test(networks_end_within_a_byte),
        cmocka_unit_test(a_peer_with_a_host_calls_from_that_host),
        cmocka_unit_test(an_address_typed_by_hand_becomes_a_peer),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(access_keys_are_read_and_checked),
        cmocka_unit_test(replaced_peers_are_found_and_borrowed_ones_stay),
        cmocka_unit_test(a_failing_allocation_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
