#include "cmd/vitrined_conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "tests/support/torture.h"

/* Assignments parted by newlines. */
static struct vt_conf *conf_of(const char *assignments)
{
    VT_AUTO(vt_conf) conf = vt_conf_new();
    struct vt_err err = { 0 };
    char copy[1024], *rest = NULL;

    snprintf(copy, sizeof copy, "%s", assignments);
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        assert_true(vt_conf_override(conf, line, &err));
    return vt_take(&conf);
}

static void assert_refused(const char *assignments, enum vt_code code, const char *word)
{
    static struct vt_dicom_conf dicom;
    VT_AUTO(vt_conf) conf = conf_of(assignments);
    struct vt_err err = { 0 };

    assert_false(vt_dicom_conf_read(conf, &dicom, &err));
    assert_int_equal(err.code, code);
    if (!strstr(err.text, word))
        fail_msg("'%s' does not name %s", err.text, word);
    vt_dicom_conf_fini(&dicom);
}

static void without_configuration_we_are_on_loopback_and_take_unknown_peers(void **state)
{
    (void)state;
    static struct vt_dicom_conf dicom;
    VT_AUTO(vt_conf) conf = conf_of("");
    struct vt_err err = { 0 };

    assert_true(vt_dicom_conf_read(conf, &dicom, &err));
    assert_string_equal(dicom.options.ae_title, "VITRINE");
    assert_int_equal(dicom.options.listener_count, 1);
    assert_string_equal(dicom.listeners[0].address, "127.0.0.1");
    assert_int_equal(dicom.listeners[0].port, 11112);
    assert_false(dicom.options.refuse_unknown_peers);
    assert_false(dicom.options.unknown_storage);
    assert_int_equal(dicom.options.max_associations, 256);
    assert_int_equal(dicom.options.max_per_peer, 64);
    assert_true(dicom.options.idle == 60 * VT_NS_PER_S);
    assert_false(dicom.has_tls);
    vt_dicom_conf_fini(&dicom);
}

static void the_network_is_served_only_with_a_peer_table(void **state)
{
    (void)state;
    static struct vt_dicom_conf dicom;
    VT_AUTO(vt_conf) conf = conf_of("dicom.listen=0.0.0.0\npeer.CT1.host=10.0.0.7");
    struct vt_err err = { 0 };

    assert_refused("dicom.listen=0.0.0.0", VT_E_DENIED, "peer");
    assert_refused("dicom.listen=127.0.0.1 ::", VT_E_DENIED, "::");
    assert_true(vt_dicom_conf_read(conf, &dicom, &err));
    assert_true(dicom.options.refuse_unknown_peers);
    vt_dicom_conf_fini(&dicom);
}

static void tls_listens_on_every_address_beside_the_plain_port(void **state)
{
    (void)state;
    static struct vt_dicom_conf dicom;
    VT_AUTO(vt_conf)
    conf = conf_of("dicom.listen=127.0.0.1, ::1\ndicom.tls_port=2762\ndicom.tls_profile=modified");
    struct vt_err err = { 0 };

    assert_true(vt_dicom_conf_read(conf, &dicom, &err));
    assert_int_equal(dicom.options.listener_count, 4);
    assert_int_equal(dicom.tls_from, 2);
    assert_string_equal(dicom.listeners[3].address, "::1");
    assert_int_equal(dicom.listeners[3].port, 2762);
    assert_int_equal(dicom.tls.profile, VT_TLS_MODIFIED_BCP195);
    assert_false(dicom.tls.anonymous);
    vt_dicom_conf_fini(&dicom);
}

static void keys_of_other_programs_are_no_typing_errors(void **state)
{
    (void)state;
    static const char *const others[] = { "dicom.client_timeout",
                                          "pool.socket (command line)",
                                          "pool.MAIN.url",
                                          "watch.interval" },
                             *const wrong[] = { "http.prot",        "http.port_of (command line)",
                                                "dicom.prot",       "archive.pat",
                                                "watcher.interval", "peer.CT1.hots" };

    for (size_t i = 0; i < VT_COUNT(others); i++)
        assert_true(vt_conf_is_others(others[i]));
    for (size_t i = 0; i < VT_COUNT(wrong); i++)
        assert_false(vt_conf_is_others(wrong[i]));
}

static void private_syntaxes_say_how_they_are_read(void **state)
{
    (void)state;
    static struct vt_dicom_conf dicom;
    VT_AUTO(vt_conf)
    conf = conf_of(
        "dicom.private_syntaxes=1.2.840.113619.5.2 implicit-le, 1.3.46.1 explicit-le encapsulated");
    struct vt_err err = { 0 };

    assert_true(vt_dicom_conf_read(conf, &dicom, &err));
    assert_int_equal(dicom.options.private_syntax_count, 2);
    assert_string_equal(dicom.syntaxes.list[0].uid, "1.2.840.113619.5.2");
    assert_int_equal(dicom.syntaxes.list[0].encoding, VT_IMPLICIT_LE);
    assert_true(dicom.syntaxes.list[1].encapsulated);
    vt_dicom_conf_fini(&dicom);
    assert_refused("dicom.private_syntaxes=1.2.3 somehow", VT_E_INVALID, "1.2.3");
    assert_refused("dicom.private_syntaxes=GE implicit-le", VT_E_INVALID, "GE");
}

static void a_wrong_value_is_refused_by_its_name(void **state)
{
    (void)state;
    assert_refused("dicom.port=70000", VT_E_INVALID, "port");
    assert_refused("dicom.ae_title=SEVENTEEN-LETTERS", VT_E_INVALID, "SEVENTEEN-LETTERS");
    assert_refused("dicom.more_titles=GOOD SEVENTEEN-LETTERS", VT_E_INVALID, "SEVENTEEN-LETTERS");
    assert_refused("dicom.unknown_peers=perhaps", VT_E_INVALID, "unknown_peers");
    assert_refused("dicom.listen= ", VT_E_INVALID, "listen");
    assert_refused("peer.A.ae_title=X\npeer.B.ae_title=X", VT_E_EXISTS, "taken");
}

static void tls_without_its_files_is_refused(void **state)
{
    (void)state;
    struct vt_tls_options options = { .certificate = "/nowhere/cert.pem",
                                      .key = "/nowhere/key.pem" };
    struct vt_err err = { 0 };

    assert_null(vt_tls_server(&options, &err));
    assert_non_null(strstr(err.text, "tls_ca"));
    options.anonymous = true;
    vt_err_clear(&err);
    assert_null(vt_tls_server(&options, &err));
    assert_non_null(strstr(err.text, "/nowhere/cert.pem"));
}

static void loopback_is_told_from_the_network(void **state)
{
    (void)state;
    assert_true(vt_is_loopback("127.0.0.1"));
    assert_true(vt_is_loopback("127.255.0.9"));
    assert_true(vt_is_loopback("::1"));
    assert_false(vt_is_loopback("0.0.0.0"));
    assert_false(vt_is_loopback("::"));
    assert_false(vt_is_loopback("192.168.1.1"));
    assert_false(vt_is_loopback("nonsense"));
}

static bool read_all(void *context, struct vt_err *err)
{
    static struct vt_dicom_conf dicom;
    bool ok = vt_dicom_conf_read(context, &dicom, err);

    vt_dicom_conf_fini(&dicom);
    return ok;
}

static void a_failing_allocation_leaves_nothing_behind(void **state)
{
    (void)state;
    VT_AUTO(vt_conf) conf = conf_of("peer.A.host=10.0.0.1\npeer.B.charset=ISO_IR 192");

    assert_true(vt_torture(read_all, conf) > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_configuration_we_are_on_loopback_and_take_unknown_peers),
        cmocka_unit_test(the_network_is_served_only_with_a_peer_table),
        cmocka_unit_test(tls_listens_on_every_address_beside_the_plain_port),
        cmocka_unit_test(keys_of_other_programs_are_no_typing_errors),
        cmocka_unit_test(private_syntaxes_say_how_they_are_read),
        cmocka_unit_test(a_wrong_value_is_refused_by_its_name),
        cmocka_unit_test(tls_without_its_files_is_refused),
        cmocka_unit_test(loopback_is_told_from_the_network),
        cmocka_unit_test(a_failing_allocation_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
