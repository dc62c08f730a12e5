/* A failure with a peer, and what to do about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "scu/probe.h"

static const struct vt_peer peer = { .name = "PACS", .ae_title = "PACS1", .host = "10.0.0.9", .port = 104 };
static const struct vt_client client = { .calling_ae_title = "VITRINE", .peer = &peer };

static void has(enum vt_code code, const char *text, const char *words)
{
    struct vt_err why = { 0 };
    char remedy[400] = "";

    vt_fail(&why, code, "%s", text);
    vt_probe_remedy(&client, &why, remedy, sizeof remedy);
    if (!strstr(remedy, words))
        fail_msg("'%s' has not '%s'", remedy, words);
}

static void each_cause_has_its_own_remedy(void **state)
{
    (void)state;
    has(VT_E_REFUSED, "refused: calling AE title not recognized (permanent)", "enter VITRINE");
    has(VT_E_REFUSED, "refused: called AE title not recognized (permanent)", "not call itself PACS1");
    has(VT_E_IO, "no connection: Connection refused", "nothing listens on port 104");
    has(VT_E_TIMEOUT, "no answer", "10.0.0.9 does not answer");
    has(VT_E_REFUSED, "the peer's certificate is not accepted: certificate has expired", "renewed");
    has(VT_E_REFUSED, "the peer's certificate is not accepted: self-signed certificate", "tls_ca");
    has(VT_E_CLOSED, "closed", "tls = yes");
    has(VT_E_INTERNAL, "something else", "own log");
}

static void a_remedy_is_cut_to_its_room(void **state)
{
    struct vt_err why = { 0 };
    char remedy[12];

    (void)state;
    vt_fail(&why, VT_E_TIMEOUT, "no answer");
    vt_probe_remedy(&client, &why, remedy, sizeof remedy);
    assert_int_equal(strlen(remedy), sizeof remedy - 1);
    assert_memory_equal(remedy, "10.0.0.9 do", 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_cause_has_its_own_remedy),
        cmocka_unit_test(a_remedy_is_cut_to_its_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
