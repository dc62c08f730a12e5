#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dicom/incoming.h"
#include "tests/dicom/mini_scp.h"
#include "tests/dicom/raw_peer.h"
#include "tests/support/torture.h"

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

/* ---- the end, wherever it comes ---- */

static void the_peer_may_abort_or_close_at_any_moment(void **state)
{
    (void)state;
    uint8_t abort_pdu[VT_SHORT_PDU];

    vt_put_short_pdu(abort_pdu, VT_PDU_ABORT, 0, 0, 0);
    for (int inside = 0; inside < 2; inside++)
        for (int polite = 0; polite < 2; polite++) {
            int fd = raw_associate(scp.port, VT_UID_CT_IMAGE);
            if (inside) {
                raw_put_command(VT_C_STORE_RQ, 1, true);
                raw_put_data("abcd", 4, false);
                raw_flush(fd);
            }
            if (polite)
                raw_send(fd, abort_pdu, sizeof abort_pdu);
            close(fd);
        }
    assert_true(mini_wait(&scp.ended, 4));
    assert_int_equal(scp.aborted + scp.closed, 2);
    assert_int_equal(scp.failed, 2);
    assert_alive();
}

static void a_peer_that_says_nothing_is_let_go(void **state)
{
    (void)state;
    scp.idle = VT_NS_PER_S / 2;
    int fd = raw_associate(scp.port, VT_UID_VERIFICATION);
    int64_t start = vt_clock_mono();

    assert_true(raw_ended(fd));
    assert_in_range((vt_clock_mono() - start) / VT_NS_PER_MS, 400, 2500);
}

static void a_data_set_that_stops_is_given_up(void **state)
{
    (void)state;
    scp.gap = VT_NS_PER_S / 2;
    scp.rate = 1024;
    int fd = raw_associate(scp.port, VT_UID_CT_IMAGE);

    raw_put_command(VT_C_STORE_RQ, 1, true);
    raw_put_data("abcd", 4, false);
    raw_flush(fd);
    assert_true(raw_ended(fd));
    assert_true(mini_wait(&scp.failed, 1));
    assert_non_null(strstr(scp.last_error, "silent"));
}

static void a_data_set_that_trickles_is_given_up(void **state)
{
    (void)state;
    scp.gap = VT_NS_PER_S / 2;
    scp.rate = 1 << 20;
    int fd = raw_associate(scp.port, VT_UID_CT_IMAGE);
    int64_t start = vt_clock_mono();

    raw_put_command(VT_C_STORE_RQ, 1, true);
    raw_flush(fd);
    /* A byte each 50 ms: no gap, but far from a megabyte a second. */
    for (int i = 0; i < 100 && scp.failed == 0; i++) {
        raw_put_data("a", 1, false);
        raw_flush(fd);
        usleep(50000);
    }
    assert_true(raw_ended(fd));
    assert_in_range((vt_clock_mono() - start) / VT_NS_PER_MS, 1000, 4000);
}

static void a_peer_that_reads_no_answers_is_given_up(void **state)
{
    (void)state;
    scp.gap = VT_NS_PER_S / 2;
    scp.rate = 1024;
    int fd = raw_associate(scp.port, "1.2.840.10008.5.1.4.1.2.2.1");

    raw_put_command(VT_C_FIND_RQ, 1, true);
    raw_put_data("", 0, true);
    raw_flush(fd);
    assert_true(mini_wait(&scp.failed, 1));
    assert_non_null(strstr(scp.last_error, "took no more bytes"));
    close(fd);
}

/* ---- negotiation ---- */

static void a_hundred_and_twenty_eight_contexts_are_accepted(void **state)
{
    (void)state;
    static struct request_bytes rb;
    int fd = raw_connect(scp.port);
    unsigned accepted = 0;

    rb_start(&rb, "CT1", "VITRINE");
    for (unsigned i = 0; i < 128; i++) {
        char uid[32];
        snprintf(uid, sizeof uid, "1.2.840.10008.5.1.%u", i + 1);
        static const char *const syntaxes[] = { "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2" };
        rb_context(&rb, (uint8_t)(2 * i + 1), uid, syntaxes, 2);
    }
    rb_user(&rb, 0);
    raw_send(fd, rb.bytes, rb.size);
    assert_int_equal(raw_read(fd), VT_PDU_ASSOCIATE_AC);
    /* Items behind the 68 fixed bytes that follow the header. */
    for (size_t at = 68; at + 4 <= raw_size; at += 4u + vt_be16(raw_pdu + at + 2))
        if (raw_pdu[at] == 0x21 && raw_pdu[at + 6] == 0) {
            accepted++;
            assert_memory_equal(raw_pdu + at + 12, "1.2.840.10008.1.2.4.201", 23);
        }
    assert_int_equal(accepted, 128);
    assert_int_equal(scp.last_contexts, 128);
    raw_release(fd);
}

static void roles_extended_items_and_identity_are_answered(void **state)
{
    (void)state;
    static struct request_bytes rb;
    bool role = false, extended = false, identity = false;
    int fd = raw_connect(scp.port);

    scp.answer_extended = "1.2.840.10008.5.1.4.1.2.2.1";
    rb_start(&rb, "CT1", "VITRINE");
    rb_context(&rb, 1, VT_UID_CT_IMAGE, rb_implicit, 1);
    rb_user(&rb, 65536);
    rb_item(&rb, 0x54,
            "\0\x19"
            "1.2.840.10008.5.1.4.1.1.2"
            "\0\1",
            29);
    rb_text(&rb, 0x55, "PEER_1.0");
    rb_item(&rb, 0x56,
            "\0\x1b"
            "1.2.840.10008.5.1.4.1.2.2.1"
            "\1\0\1",
            32);
    rb_item(&rb, 0x58, "\2\1\0\4user\0\4pass", 14);
    raw_send(fd, rb.bytes, rb.size);
    assert_int_equal(raw_read(fd), VT_PDU_ASSOCIATE_AC);
    for (size_t at = 68; at + 4 <= raw_size; at += 4u + vt_be16(raw_pdu + at + 2)) {
        if (raw_pdu[at] != 0x50)
            continue;
        size_t end = at + 4 + vt_be16(raw_pdu + at + 2);
        for (size_t k = at + 4; k < end; k += 4u + vt_be16(raw_pdu + k + 2)) {
            const uint8_t *value = raw_pdu + k + 4;
            size_t size = vt_be16(raw_pdu + k + 2);
            role |= raw_pdu[k] == 0x54 && value[size - 2] == 0 && value[size - 1] == 1;
            extended |= raw_pdu[k] == 0x56 && memcmp(value + size - 3, "\1\0\1", 3) == 0;
            identity |= raw_pdu[k] == 0x59;
        }
    }
    assert_true(role);
    assert_true(extended);
    assert_true(identity);
    assert_int_equal(scp.last_role, VT_ROLE_SCP);
    assert_string_equal(scp.last_user, "user");
    assert_string_equal(scp.last_passcode, "pass");
    assert_string_equal(scp.last_version, "PEER_1.0");
    raw_release(fd);
}

static void blank_titles_are_served_where_the_door_lets_them(void **state)
{
    (void)state;
    static struct request_bytes rb;
    int fd = raw_connect(scp.port);

    rb_simple(&rb, VT_UID_VERIFICATION);
    rb_title(&rb, 10, "");
    rb_title(&rb, 26, "");
    raw_send(fd, rb.bytes, rb.size);
    assert_int_equal(raw_read(fd), VT_PDU_ASSOCIATE_AC);
    assert_string_equal(scp.last_calling, "");
    raw_echo(fd);
    raw_release(fd);
}

static void sixty_transfer_syntaxes_in_a_context_are_survived(void **state)
{
    (void)state;
    static struct request_bytes rb;
    static char uids[60][32];
    const char *list[60];
    int fd = raw_connect(scp.port);

    for (unsigned i = 0; i < 60; i++) {
        snprintf(uids[i], sizeof uids[i], "1.2.840.10008.1.2.4.%u", i + 1);
        list[i] = uids[i];
    }
    rb_start(&rb, "CT1", "VITRINE");
    rb_context(&rb, 1, VT_UID_CT_IMAGE, list, 60);
    rb_user(&rb, 0);
    raw_send(fd, rb.bytes, rb.size);
    assert_int_equal(raw_read(fd), VT_PDU_ASSOCIATE_AC);
    raw_echo(fd);
    raw_release(fd);
}

static void another_application_context_is_rejected(void **state)
{
    (void)state;
    static struct request_bytes rb;
    int fd = raw_connect(scp.port);

    rb_simple(&rb, VT_UID_VERIFICATION);
    rb.bytes[74 + 4 + 20] = '2';
    raw_send(fd, rb.bytes, rb.size);
    assert_int_equal(raw_read(fd), VT_PDU_ASSOCIATE_RJ);
    assert_memory_equal(raw_pdu, "\0\1\1\2", 4);
    assert_int_equal(raw_read(fd), RAW_CLOSED);
    close(fd);
}

static void a_rejection_says_why(void **state)
{
    (void)state;
    static struct request_bytes rb;
    int fd = raw_connect(scp.port);

    scp.reject = true;
    rb_simple(&rb, VT_UID_VERIFICATION);
    raw_send(fd, rb.bytes, rb.size);
    assert_int_equal(raw_read(fd), VT_PDU_ASSOCIATE_RJ);
    assert_memory_equal(raw_pdu, "\0\1\1\7", 4);
    close(fd);
}

static void sixty_four_associations_at_once_are_served(void **state)
{
    (void)state;
    int fds[64];

    for (size_t i = 0; i < 64; i++)
        fds[i] = raw_associate(scp.port, VT_UID_VERIFICATION);
    for (size_t i = 0; i < 64; i++)
        raw_echo(fds[i]);
    usleep(1200000); /* beyond the second after which idle ones give their memory back */
    for (size_t i = 0; i < 64; i++) {
        raw_echo(fds[i]);
        raw_release(fds[i]);
    }
    assert_int_equal(scp.echoes, 128);
}

/* ---- want of memory ---- */

static bool receive_once(void *context, struct vt_err *err)
{
    const struct request_bytes *rb = context;
    struct vt_incoming *incoming = calloc(1, sizeof *incoming);
    int pair[2];

    if (!incoming)
        return vt_fail(err, VT_E_NOMEM, "no memory");
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    incoming->fd = pair[0];
    incoming->bytes = malloc(rb->size);
    if (!incoming->bytes) {
        vt_incoming_free(incoming);
        close(pair[1]);
        return vt_fail(err, VT_E_NOMEM, "no memory");
    }
    memcpy(incoming->bytes, rb->bytes, rb->size);
    incoming->size = rb->size;
    VT_AUTO(vt_assoc) assoc = vt_assoc_receive(incoming, err);
    bool ok = assoc && mini_accept(&scp, assoc, err);
    vt_assoc_free(vt_take(&assoc));
    close(pair[1]);
    return ok;
}

static void want_of_memory_is_reported(void **state)
{
    (void)state;
    static struct request_bytes rb;

    rb_start(&rb, "CT1", "VITRINE");
    rb_context(&rb, 1, VT_UID_CT_IMAGE, rb_implicit, 1);
    rb_user(&rb, 65536);
    rb_item(&rb, 0x56,
            "\0\x1b"
            "1.2.840.10008.5.1.4.1.2.2.1"
            "\1\0\1",
            32);
    rb_item(&rb, 0x58, "\2\1\0\4user\0\4pass", 14);
    assert_true(vt_torture(receive_once, &rb) >= 8);
}

/* What the door lets pass must neither hurt DCMTK's parser nor make it leak. */
static void bent_requests_that_pass_the_check_are_survived(void **state)
{
    (void)state;
    static struct request_bytes lawful, bent;
    static const uint8_t values[] = { 0, 1, 2, 3, ' ', '.', 0x50, 0x51, 0x7f, 0xff };
    unsigned passed = 0;

    rb_start(&lawful, "CT1", "VITRINE");
    rb_context(&lawful, 1, VT_UID_CT_IMAGE, rb_implicit, 1);
    rb_context(&lawful, 3, VT_UID_VERIFICATION, rb_implicit, 1);
    rb_user(&lawful, 65536);
    rb_item(&lawful, 0x53, "\0\1\0\1", 4);
    rb_item(&lawful, 0x54,
            "\0\x19"
            "1.2.840.10008.5.1.4.1.1.2"
            "\0\1",
            29);
    rb_text(&lawful, 0x55, "VERSION_1");
    rb_item(&lawful, 0x56,
            "\0\3"
            "1.2"
            "\1\0",
            7);
    rb_item(&lawful, 0x57,
            "\0\3"
            "1.2"
            "\0\3"
            "1.4"
            "\0\0",
            12);
    rb_item(&lawful, 0x58, "\2\1\0\4user\0\4pass", 14);
    for (size_t at = 6; at < lawful.size; at++)
        for (size_t i = 0; i < sizeof values; i++) {
            struct vt_err err = { 0 };
            memcpy(bent.bytes, lawful.bytes, lawful.size);
            bent.size = lawful.size;
            bent.bytes[at] = values[i];
            if (!vt_request_check(bent.bytes, bent.size, false, &err))
                continue;
            passed++;
            bool ok = receive_once(&bent, &err);
            assert_int_equal(ok, err.code == VT_OK);
        }
    assert_true(passed > 1000);
    lawful.size -= 14 + 4; /* another identity: a ticket has no second field */
    rb_item(&lawful, 0x58, "\3\1\0\6ticket\0\0", 12);
    struct vt_err err = { 0 };
    assert_true(vt_request_check(lawful.bytes, lawful.size, true, &err));
    assert_true(receive_once(&lawful, &err));
}

#define WITH_SCP(test) cmocka_unit_test_setup_teardown(test, start_scp, stop_scp)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCP(the_peer_may_abort_or_close_at_any_moment),
        WITH_SCP(a_peer_that_says_nothing_is_let_go),
        WITH_SCP(a_data_set_that_stops_is_given_up),
        WITH_SCP(a_data_set_that_trickles_is_given_up),
        WITH_SCP(a_peer_that_reads_no_answers_is_given_up),
        WITH_SCP(a_hundred_and_twenty_eight_contexts_are_accepted),
        WITH_SCP(roles_extended_items_and_identity_are_answered),
        WITH_SCP(blank_titles_are_served_where_the_door_lets_them),
        WITH_SCP(sixty_transfer_syntaxes_in_a_context_are_survived),
        WITH_SCP(another_application_context_is_rejected),
        WITH_SCP(a_rejection_says_why),
        WITH_SCP(sixty_four_associations_at_once_are_served),
        WITH_SCP(want_of_memory_is_reported),
        WITH_SCP(bent_requests_that_pass_the_check_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
