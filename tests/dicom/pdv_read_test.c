#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/dicom/mini_scp.h"
#include "tests/dicom/raw_peer.h"

static struct mini_scp scp;

/* The node lives: another peer's echo is answered. */
static void assert_alive(void)
{
    int fd = raw_associate(scp.port, VT_UID_VERIFICATION);

    raw_echo(fd);
    raw_release(fd);
}

static int start_scp(void **state)
{
    struct vt_err err = { 0 };

    (void)state;
    memset(&scp, 0, sizeof scp);
    scp.matches = 1000000;
    scp.idle = 5 * VT_NS_PER_S;
    return mini_scp_start(&scp, &err) ? 0 : -1;
}

static int stop_scp(void **state)
{
    (void)state;
    mini_scp_stop(&scp);
    return 0;
}

/* ---- lawful, but unusual ---- */

static void an_echo_is_answered_and_released(void **state)
{
    (void)state;
    assert_alive();
    assert_true(mini_wait(&scp.released, 1));
    assert_int_equal(scp.echoes, 1);
    assert_string_equal(scp.last_calling, "TEST");
    assert_int_equal(scp.last_max_pdu, 16384);
}

static void a_command_in_pdvs_of_one_byte_is_read(void **state)
{
    (void)state;
    for (int in_one_pdu = 0; in_one_pdu < 2; in_one_pdu++) {
        int fd = raw_associate(scp.port, VT_UID_VERIFICATION);
        uint8_t bytes[1024];
        size_t size = raw_command(VT_C_ECHO_RQ, 1, false, bytes);
        for (size_t i = 0; i < size; i++) {
            if (!in_one_pdu || i == 0)
                raw_pdu_begin();
            raw_pdv(1, i + 1 == size ? 3 : 1, bytes + i, 1);
        }
        raw_flush(fd);
        raw_expect(fd, VT_C_ECHO_RSP, 0);
        raw_release(fd);
    }
}

static void bytes_may_come_one_at_a_time(void **state)
{
    (void)state;
    static struct request_bytes rb;
    int fd = raw_connect(scp.port);

    rb_simple(&rb, VT_UID_CT_IMAGE);
    for (size_t i = 0; i < rb.size; i++)
        raw_send(fd, rb.bytes + i, 1);
    assert_int_equal(raw_read(fd), VT_PDU_ASSOCIATE_AC);
    raw_put_command(VT_C_STORE_RQ, 1, true);
    raw_put_data("0123456789", 10, true);
    for (size_t i = 0; i < raw_out.size; i++)
        raw_send(fd, raw_out.bytes + i, 1);
    raw_out.size = 0;
    raw_expect(fd, VT_C_STORE_RSP, 0);
    assert_int_equal(scp.stored_bytes, 10);
    raw_release(fd);
}

static void command_and_data_may_share_a_pdu(void **state)
{
    (void)state;
    int fd = raw_associate(scp.port, VT_UID_CT_IMAGE);
    uint8_t bytes[1024];
    size_t size = raw_command(VT_C_STORE_RQ, 1, true, bytes);

    raw_pdu_begin();
    raw_pdv(1, 3, bytes, size);
    raw_pdv(1, 0, "abc", 3);
    raw_pdv(1, 0, "defghij", 7);
    raw_pdv(1, 2, "klm", 3);
    raw_flush(fd);
    raw_expect(fd, VT_C_STORE_RSP, 0);
    assert_int_equal(scp.stored_bytes, 13);
    raw_release(fd);
}

static void two_commands_in_a_pdu_are_both_answered(void **state)
{
    (void)state;
    int fd = raw_associate(scp.port, VT_UID_VERIFICATION);
    uint8_t bytes[1024];
    size_t size = raw_command(VT_C_ECHO_RQ, 1, false, bytes);

    raw_pdu_begin();
    raw_pdv(1, 3, bytes, size);
    raw_pdv(1, 3, bytes, size);
    raw_flush(fd);
    raw_expect(fd, VT_C_ECHO_RSP, 0);
    raw_expect(fd, VT_C_ECHO_RSP, 0);
    raw_release(fd);
}

static void an_empty_last_pdv_ends_a_data_set(void **state)
{
    (void)state;
    int fd = raw_associate(scp.port, VT_UID_CT_IMAGE);

    raw_put_command(VT_C_STORE_RQ, 1, true);
    raw_put_data("abcd", 4, false);
    raw_put_data("", 0, true);
    raw_flush(fd);
    raw_expect(fd, VT_C_STORE_RSP, 0);
    assert_int_equal(scp.stored_bytes, 4);
    raw_release(fd);
}

static void a_large_data_set_arrives_whole(void **state)
{
    (void)state;
    int fd = raw_associate(scp.port, VT_UID_CT_IMAGE);
    static uint8_t piece[100000];
    unsigned long sum = 0;

    for (size_t i = 0; i < sizeof piece; i++)
        piece[i] = (uint8_t)(i * 7);
    raw_put_command(VT_C_STORE_RQ, 1, true);
    for (int i = 0; i < 200; i++) {
        raw_put_data(piece, sizeof piece, i == 199);
        raw_flush(fd);
        for (size_t k = 0; k < sizeof piece; k++)
            sum += piece[k];
    }
    raw_expect(fd, VT_C_STORE_RSP, 0);
    assert_int_equal(scp.stored_bytes, 200 * sizeof piece);
    assert_int_equal(scp.stored_sum, sum);
    raw_release(fd);
}

/* ---- hostile ---- */

static void put_header(uint8_t type, uint32_t length)
{
    uint8_t *p = raw_out.bytes + raw_out.size;

    p[0] = type;
    p[1] = 0;
    vt_put_be32(p + 2, length);
    raw_out.size += 6;
}

/* Each fills raw_out. */
static void bad_pdu_of_4_gb(void)
{
    put_header(4, UINT32_MAX);
}

static void bad_pdu_above_the_maximum(void)
{
    put_header(4, VT_PDU_MAX + 2);
}

static void bad_pdu_empty(void)
{
    put_header(4, 0);
}

static void bad_pdu_of_two(void)
{
    put_header(4, 2);
    raw_out.size += 2;
}

static void pdv_of(uint32_t length)
{
    raw_put_command(VT_C_ECHO_RQ, 1, false);
    vt_put_be32(raw_out.bytes + 6, length);
}

static void bad_pdv_of_4_gb(void)
{
    pdv_of(UINT32_MAX);
}

static void bad_pdv_of_0(void)
{
    pdv_of(0);
}

static void bad_pdv_of_1(void)
{
    pdv_of(1);
}

static void bad_pdu_type(void)
{
    put_header(0x77, 4);
    raw_out.size += 4;
}

static void bad_second_request(void)
{
    static struct request_bytes rb;

    rb_simple(&rb, VT_UID_VERIFICATION);
    memcpy(raw_out.bytes, rb.bytes, rb.size);
    raw_out.size = rb.size;
}

static void bad_release_of_4_gb(void)
{
    put_header(5, UINT32_MAX);
}

static void bad_release_answer(void)
{
    put_header(6, 4);
    raw_out.size += 4;
}

static void bad_context(void)
{
    raw_put_command(VT_C_ECHO_RQ, 1, false);
    raw_out.bytes[10] = 3;
}

static void bad_even_context(void)
{
    raw_put_command(VT_C_ECHO_RQ, 1, false);
    raw_out.bytes[10] = 2;
}

static void bad_data_before_command(void)
{
    raw_put_data("abcd", 4, true);
}

static void bad_command_in_data(void)
{
    raw_put_command(VT_C_STORE_RQ, 1, true);
    raw_put_data("abcd", 4, false);
    raw_put_command(VT_C_ECHO_RQ, 2, false);
}

static void bad_other_context_in_data(void)
{
    raw_put_command(VT_C_STORE_RQ, 1, true);
    raw_pdu_begin();
    raw_pdv(5, 2, "abcd", 4);
}

static void bad_nested_command(void)
{
    static uint8_t nested[8 * 2000];

    for (size_t i = 0; i < 2000; i++)
        memcpy(nested + 8 * i,
               i % 2 ? "\xfe\xff\x00\xe0\xff\xff\xff\xff" : "\0\0\2\0\xff\xff\xff\xff", 8);
    raw_pdu_begin();
    raw_pdv(1, 3, nested, sizeof nested);
}

static void bad_4_gb_in_a_command(void)
{
    raw_pdu_begin();
    raw_pdv(1, 3, "\0\0\0\1\xf0\xff\xff\xff", 8);
}

static void bad_long_command(void)
{
    static uint8_t filler[20000];

    raw_pdu_begin();
    raw_pdv(1, 3, filler, sizeof filler);
}

static void bad_long_command_in_pieces(void)
{
    static uint8_t filler[1000];

    for (int i = 0; i < 20; i++) {
        raw_pdu_begin();
        raw_pdv(1, 1, filler, sizeof filler);
    }
}

static void bad_empty_pdvs(void)
{
    raw_pdu_begin();
    for (int i = 0; i < 1000; i++)
        raw_pdv(1, 1, "", 0);
}

static void bad_empty_pdvs_in_data(void)
{
    raw_put_command(VT_C_STORE_RQ, 1, true);
    raw_pdu_begin();
    for (int i = 0; i < 1000; i++)
        raw_pdv(1, 0, "", 0);
}

/* Kills DUL_NextPDV: three PDVs of unequal size, the second one's length used to step over the
 * first. */
static void bad_lengths_of_three_pdvs(void)
{
    static uint8_t filler[8000];

    raw_pdu_begin();
    raw_pdv(1, 1, filler, 4);
    raw_pdv(1, 1, filler, 8000);
    raw_pdv(1, 3, filler, 4);
    vt_put_be32(raw_out.bytes + 6 + 10, UINT32_MAX - 20);
}

static void bad_http(void)
{
    raw_out.size =
        (size_t)sprintf((char *)raw_out.bytes, "GET / HTTP/1.1\r\nHost: vitrine\r\n\r\n");
}

static void what_breaks_the_protocol_ends_the_association_alone(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*make)(void);
    } cases[] = {
        { "4 GB PDU", bad_pdu_of_4_gb },
        { "PDU above the maximum", bad_pdu_above_the_maximum },
        { "empty PDU", bad_pdu_empty },
        { "PDU of two bytes", bad_pdu_of_two },
        { "PDV of 4 GB", bad_pdv_of_4_gb },
        { "PDV of 0", bad_pdv_of_0 },
        { "PDV of 1", bad_pdv_of_1 },
        { "unknown type", bad_pdu_type },
        { "second request", bad_second_request },
        { "release of 4 GB", bad_release_of_4_gb },
        { "release answer", bad_release_answer },
        { "unknown context", bad_context },
        { "even context", bad_even_context },
        { "data before command", bad_data_before_command },
        { "command in data", bad_command_in_data },
        { "other context in data", bad_other_context_in_data },
        { "nested command", bad_nested_command },
        { "4 GB in a command", bad_4_gb_in_a_command },
        { "long command", bad_long_command },
        { "long command in pieces", bad_long_command_in_pieces },
        { "empty PDVs", bad_empty_pdvs },
        { "empty PDVs in data", bad_empty_pdvs_in_data },
        { "three PDVs", bad_lengths_of_three_pdvs },
        { "HTTP", bad_http },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int fd = raw_associate(scp.port, VT_UID_CT_IMAGE);
        raw_out.size = 0;
        cases[i].make();
        raw_flush(fd);
        if (!raw_ended(fd))
            print_message("%s: closed without an A-ABORT\n", cases[i].name);
        assert_true(mini_wait(&scp.failed, (unsigned)i + 1));
        assert_int_equal(scp.failed, i + 1);
    }
    assert_alive();
}

static void an_identifier_beyond_its_limit_leaves_the_association_in_step(void **state)
{
    (void)state;
    int fd = raw_associate(scp.port, "1.2.840.10008.5.1.4.1.2.2.1");
    static uint8_t piece[100000];

    raw_put_command(VT_C_FIND_RQ, 1, true);
    for (int i = 0; i < 20; i++) {
        raw_put_data(piece, sizeof piece, i == 19);
        raw_flush(fd);
    }
    raw_expect(fd, VT_C_FIND_RSP, VT_STATUS_CANNOT_UNDERSTAND);
    raw_echo(fd);
    raw_release(fd);
}

/* ---- cancel ---- */

static int begin_find(void)
{
    int fd = raw_associate(scp.port, "1.2.840.10008.5.1.4.1.2.2.1");

    raw_put_command(VT_C_FIND_RQ, 7, true);
    raw_put_data("", 0, true);
    raw_flush(fd);
    raw_expect(fd, VT_C_FIND_RSP, VT_STATUS_PENDING);
    return fd;
}

/* Reads pending answers and their identifiers until another status comes. */
static uint16_t last_status(int fd)
{
    for (;;) {
        struct vt_command command;
        struct vt_err err = { 0 };
        assert_int_equal(raw_read(fd), VT_PDU_P_DATA);
        if (!(raw_pdu[5] & VT_PDV_COMMAND))
            continue;
        assert_true(vt_command_decode(raw_pdu + 6, raw_size - 6, &command, &err));
        if (command.status != VT_STATUS_PENDING)
            return command.status;
    }
}

static void a_cancel_stops_a_find(void **state)
{
    (void)state;
    int fd = begin_find();

    raw_put_command(VT_C_CANCEL_RQ, 7, false);
    raw_flush(fd);
    assert_int_equal(last_status(fd), VT_STATUS_CANCEL);
    assert_int_equal(scp.cancelled, 1);
    assert_true(scp.found < scp.matches);
    raw_release(fd);
}

static void a_cancel_in_two_halves_stops_a_find(void **state)
{
    (void)state;
    for (size_t cut = 1; cut < 60; cut += 13) {
        int fd = begin_find();
        raw_put_command(VT_C_CANCEL_RQ, 7, false);
        raw_send(fd, raw_out.bytes, cut);
        usleep(20000);
        raw_send(fd, raw_out.bytes + cut, raw_out.size - cut);
        raw_out.size = 0;
        assert_int_equal(last_status(fd), VT_STATUS_CANCEL);
        raw_echo(fd);
        raw_release(fd);
    }
}

static void a_cancel_of_another_operation_is_passed_over(void **state)
{
    (void)state;
    scp.matches = 20000;
    int fd = begin_find();

    raw_put_command(VT_C_CANCEL_RQ, 6, false);
    raw_flush(fd);
    assert_int_equal(last_status(fd), VT_STATUS_SUCCESS);
    assert_int_equal(scp.cancelled, 0);
    raw_echo(fd);
    raw_release(fd);
}

static void a_late_cancel_is_no_harm(void **state)
{
    (void)state;
    scp.matches = 1;
    int fd = begin_find();

    assert_int_equal(last_status(fd), VT_STATUS_SUCCESS);
    raw_put_command(VT_C_CANCEL_RQ, 7, false);
    raw_flush(fd);
    raw_echo(fd);
    raw_release(fd);
}

static void another_request_during_a_find_breaks_the_protocol(void **state)
{
    (void)state;
    int fd = begin_find();

    raw_put_command(VT_C_ECHO_RQ, 8, false);
    raw_flush(fd);
    assert_true(mini_wait(&scp.failed, 1));
    assert_string_equal(scp.last_error, "C-ECHO-RQ while an operation runs");
    close(fd);
}

static void a_peer_that_leaves_during_a_find_is_noticed(void **state)
{
    (void)state;
    int fd = begin_find();
    uint8_t pdu[VT_SHORT_PDU];

    vt_put_short_pdu(pdu, VT_PDU_ABORT, 0, 0, 0);
    raw_send(fd, pdu, sizeof pdu);
    assert_true(mini_wait(&scp.failed, 1));
    assert_true(scp.found < scp.matches);
    close(fd);
}

#define WITH_SCP(test) cmocka_unit_test_setup_teardown(test, start_scp, stop_scp)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCP(an_echo_is_answered_and_released),
        WITH_SCP(a_command_in_pdvs_of_one_byte_is_read),
        WITH_SCP(bytes_may_come_one_at_a_time),
        WITH_SCP(command_and_data_may_share_a_pdu),
        WITH_SCP(two_commands_in_a_pdu_are_both_answered),
        WITH_SCP(an_empty_last_pdv_ends_a_data_set),
        WITH_SCP(a_large_data_set_arrives_whole),
        WITH_SCP(what_breaks_the_protocol_ends_the_association_alone),
        WITH_SCP(an_identifier_beyond_its_limit_leaves_the_association_in_step),
        WITH_SCP(a_cancel_stops_a_find),
        WITH_SCP(a_cancel_in_two_halves_stops_a_find),
        WITH_SCP(a_cancel_of_another_operation_is_passed_over),
        WITH_SCP(a_late_cancel_is_no_harm),
        WITH_SCP(another_request_during_a_find_breaks_the_protocol),
        WITH_SCP(a_peer_that_leaves_during_a_find_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
