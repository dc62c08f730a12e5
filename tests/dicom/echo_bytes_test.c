#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dicom/echo_bytes.h"
#include "tests/dicom/mini_scp.h"
#include "tests/dicom/raw_peer.h"
#include "tests/support/torture.h"

static struct mini_scp scp;

static int start_scp(void **state)
{
    struct vt_err err = { 0 };

    (void)state;
    memset(&scp, 0, sizeof scp);
    return mini_scp_start(&scp, &err) ? 0 : -1;
}

static int stop_scp(void **state)
{
    (void)state;
    mini_scp_stop(&scp);
    return 0;
}

/* Reads byte by byte until the judge knows. */
static enum vt_echo_answer ask(int fd, const struct vt_buf *bytes, bool after_echo)
{
    uint8_t answer[4096];
    size_t size = 0;
    enum vt_echo_answer verdict = VT_ECHO_MORE;

    raw_send(fd, bytes->data, bytes->size);
    while (verdict == VT_ECHO_MORE && size < sizeof answer) {
        int end;
        if (!raw_take(fd, answer + size, 1, RAW_PATIENCE_MS, &end))
            fail_msg("the peer ended with %d after %zu bytes", end, size);
        size++;
        verdict = vt_echo_bytes_judge(answer, size, after_echo);
    }
    return verdict;
}

static void a_probe_of_bytes_is_a_whole_echo(void **state)
{
    (void)state;
    VT_AUTO_BUF(request, 4096);
    VT_AUTO_BUF(echo, 4096);
    VT_AUTO_BUF(release, 4096);
    struct vt_err err = { 0 };
    int fd = raw_connect(scp.port);

    assert_true(vt_echo_bytes_request("PROBE", "VITRINE", &request, &err));
    assert_true(vt_echo_bytes_echo(&echo, &err));
    assert_true(vt_echo_bytes_release(&release, &err));
    assert_int_equal(ask(fd, &request, false), VT_ECHO_ACCEPTED);
    assert_int_equal(ask(fd, &echo, true), VT_ECHO_DONE);
    raw_send(fd, release.data, release.size);
    assert_int_equal(raw_read(fd), VT_PDU_RELEASE_RP);
    close(fd);
    assert_true(mini_wait(&scp.released, 1));
    assert_int_equal(scp.echoes, 1);
    assert_string_equal(scp.last_calling, "PROBE");
}

static void a_rejection_is_an_answer_too(void **state)
{
    (void)state;
    VT_AUTO_BUF(request, 4096);
    struct vt_err err = { 0 };
    int fd = raw_connect(scp.port);

    scp.reject = true;
    assert_true(vt_echo_bytes_request("PROBE", "NOBODY", &request, &err));
    assert_int_equal(ask(fd, &request, false), VT_ECHO_REJECTED);
    close(fd);
}

static void the_judge_takes_nothing_for_an_echo_but_an_echo(void **state)
{
    (void)state;
    uint8_t pdu[128] = { 4 };
    size_t size = raw_command(VT_C_ECHO_RSP, 1, false, pdu + 12);

    vt_put_be32(pdu + 2, (uint32_t)size + 6);
    vt_put_be32(pdu + 6, (uint32_t)size + 2);
    pdu[10] = 1;
    pdu[11] = 3;
    assert_int_equal(vt_echo_bytes_judge(pdu, size + 12, true), VT_ECHO_DONE);
    assert_int_equal(vt_echo_bytes_judge(pdu, size + 11, true), VT_ECHO_MORE);
    vt_put_be32(pdu + 6, 3);
    assert_int_equal(vt_echo_bytes_judge(pdu, size + 12, true), VT_ECHO_WRONG);
    assert_int_equal(vt_echo_bytes_judge((const uint8_t *)"SSH-2.0", 7, false), VT_ECHO_WRONG);
    assert_int_equal(vt_echo_bytes_judge((const uint8_t *)"", 0, false), VT_ECHO_MORE);
    assert_int_equal(vt_echo_bytes_judge((const uint8_t *)"\2\0\xff\xff\xff\xff", 6, false),
                     VT_ECHO_WRONG);
    assert_int_equal(vt_echo_bytes_judge((const uint8_t *)"\7\0\0\0\0\4\0\0\0\0", 10, false),
                     VT_ECHO_WRONG);
}

static bool build_once(void *context, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, 4096);

    (void)context;
    return vt_echo_bytes_request("PROBE", "VITRINE", &bytes, err) &&
           vt_echo_bytes_echo(&bytes, err) && vt_echo_bytes_release(&bytes, err);
}

static void want_of_memory_is_reported(void **state)
{
    (void)state;
    assert_true(vt_torture(build_once, NULL) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_probe_of_bytes_is_a_whole_echo, start_scp, stop_scp),
        cmocka_unit_test_setup_teardown(a_rejection_is_an_answer_too, start_scp, stop_scp),
        cmocka_unit_test(the_judge_takes_nothing_for_an_echo_but_an_echo),
        cmocka_unit_test(want_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
