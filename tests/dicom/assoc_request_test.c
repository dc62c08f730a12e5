#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dicom/assoc_impl.h"
#include "dicom/listen.h"
#include "dicom/negotiate.h"
#include "tests/dicom/raw_peer.h"
#include "tests/dicom/requestor.h"
#include "tests/support/torture.h"

/* ---- negotiation ---- */

static void what_was_proposed_is_agreed_on(void **state)
{
    (void)state;
    struct vt_assoc_request request = plain_request();
    static const uint8_t offer[] = { 1, 1, 0 };
    const struct vt_extended extended = { "1.2.840.10008.5.1.4.1.2.2.1", offer, sizeof offer };
    const uint8_t *answer;
    size_t size;

    scp.answer_extended = "1.2.840.10008.5.1.4.1.2.2.1";
    request.extended = &extended;
    request.extended_count = 1;
    request.user = "nurse";
    request.passcode = "secret";
    VT_AUTO(vt_assoc) assoc = must_associate(&request);
    assert_int_equal(vt_assoc_context_count(assoc), 4);
    assert_string_equal(vt_assoc_context(assoc, 1)->transfer_syntax, "1.2.840.10008.1.2.4.201");
    assert_int_equal(vt_assoc_context(assoc, 1)->accepted_role, VT_ROLE_SCP);
    assert_int_equal(vt_assoc_context(assoc, 3)->accepted_role, VT_ROLE_DEFAULT);
    assert_ptr_equal(vt_assoc_context_for(assoc, VT_UID_CT_IMAGE, VT_UID_IMPLICIT_LE),
                     vt_assoc_context(assoc, 5));
    assert_null(vt_assoc_context_for(assoc, VT_UID_CT_IMAGE, VT_UID_EXPLICIT_LE));
    assert_null(vt_assoc_context(assoc, 9));
    assert_null(vt_assoc_context(assoc, 2));
    assert_true(vt_assoc_extended_offer(assoc, "1.2.840.10008.5.1.4.1.2.2.1", &answer, &size));
    assert_int_equal(size, 3);
    assert_memory_equal(answer, offer, 3);
    assert_string_equal(vt_assoc_info(assoc)->host, "127.0.0.1");
    assert_string_equal(vt_assoc_info(assoc)->implementation_uid, VT_UID_IMPLEMENTATION);
    assert_int_equal(vt_assoc_info(assoc)->max_pdu, VT_PDU_MAX);
    assert_string_equal(scp.last_user, "nurse");
    assert_string_equal(scp.last_passcode, "secret");
    assert_string_equal(scp.last_calling, "VITRINE");
    echo_on(assoc);
    vt_assoc_release(assoc);
    assert_true(mini_wait(&scp.released, 1));
}

static void one_hundred_and_twenty_eight_contexts_can_be_proposed(void **state)
{
    (void)state;
    static struct vt_propose many[128];
    static char uids[128][32];
    struct vt_assoc_request request = plain_request();

    for (unsigned i = 0; i < 128; i++) {
        snprintf(uids[i], sizeof uids[i], "1.2.840.10008.5.1.%u", i + 1);
        many[i] = (struct vt_propose){ uids[i], two, 2, VT_ROLE_SCU_SCP };
    }
    request.contexts = many;
    request.context_count = 128;
    VT_AUTO(vt_assoc) assoc = must_associate(&request);
    for (size_t i = 0; i < 128; i++) {
        assert_int_equal(vt_assoc_context_at(assoc, i)->result, VT_CONTEXT_ACCEPTED);
        assert_int_equal(vt_assoc_context_at(assoc, i)->accepted_role, VT_ROLE_SCU_SCP);
    }
    assert_int_equal(vt_assoc_context_at(assoc, 127)->id, 255);
    vt_assoc_release(assoc);
}

static void a_rejection_names_who_and_why(void **state)
{
    (void)state;
    struct vt_assoc_request request = plain_request();
    char text[160];

    scp.reject = true;
    snprintf(text, sizeof text,
             "peer CT1 (127.0.0.1 port %u): the association was refused: called AE title not "
             "recognized (permanent)",
             scp.port);
    assert_request_fails(&request, VT_E_REFUSED, text);
}

static void a_closed_port_is_a_refused_connection(void **state)
{
    (void)state;
    struct vt_assoc_request request = plain_request();

    vt_door_free(vt_take(&scp.opened));
    assert_request_fails(&request, VT_E_REFUSED, "Connection refused");
}

static void a_name_that_nobody_has_is_named(void **state)
{
    (void)state;
    struct vt_assoc_request request = plain_request();

    request.host = "no-such-host.invalid";
    assert_request_fails(&request, VT_E_NOTFOUND,
                         "the host 'no-such-host.invalid' cannot be found");
}

static void nonsense_is_refused_before_anything_is_sent(void **state)
{
    (void)state;
    struct vt_assoc_request request = plain_request();
    struct vt_propose bad = { "not a uid", implicit, 1, VT_ROLE_DEFAULT };

    request.called_ae_title = "SEVENTEEN-LETTERS";
    assert_request_fails(&request, VT_E_INVALID, "'SEVENTEEN-LETTERS' is not an AE title");
    request = plain_request();
    request.context_count = 0;
    assert_request_fails(&request, VT_E_INVALID, "0 presentation contexts");
    request = plain_request();
    request.contexts = &bad;
    request.context_count = 1;
    assert_request_fails(&request, VT_E_INVALID, "'not a uid' is not a UID");
    request.max_pdu = 100;
    assert_request_fails(&request, VT_E_INVALID, "a maximum PDU length of 100 bytes");
}

/* ---- peers made of bytes ---- */

struct fake {
    int listener;
    uint16_t port;
    pthread_t thread;
    const void *answer;
    size_t size;
    int linger_ms; /* before the end */
};

static void *fake_serve(void *argument)
{
    struct fake *fake = argument;
    static uint8_t drop[65536];
    struct pollfd item = { .fd = fake->listener, .events = POLLIN };
    if (poll(&item, 1, 5000) <= 0)
        return NULL;
    int fd = accept(fake->listener, NULL, NULL);
    if (recv(fd, drop, sizeof drop, 0) > 0 && fake->size > 0)
        raw_send(fd, fake->answer, fake->size);
    usleep((useconds_t)fake->linger_ms * 1000);
    close(fd);
    return NULL;
}

static void fake_start(struct fake *fake, const void *answer, size_t size, int linger_ms)
{
    struct vt_err err = { 0 };

    *fake = (struct fake){ .answer = answer, .size = size, .linger_ms = linger_ms };
    fake->listener = vt_listen("127.0.0.1", 0, &fake->port, &err);
    assert_true(fake->listener >= 0);
    pthread_create(&fake->thread, NULL, fake_serve, fake);
}

static void assert_fake_fails(const void *answer, size_t size, int linger_ms, enum vt_code code,
                              const char *text)
{
    struct vt_assoc_request request = plain_request();
    struct fake fake;

    fake_start(&fake, answer, size, linger_ms);
    request.port = fake.port;
    request.timeout = VT_NS_PER_S / 2;
    assert_request_fails(&request, code, text);
    pthread_join(fake.thread, NULL);
    close(fake.listener);
}

static void answers_that_are_none_are_told_apart(void **state)
{
    (void)state;
    assert_fake_fails("", 0, 1000, VT_E_TIMEOUT, "silent");
    assert_fake_fails("", 0, 0, VT_E_CLOSED, "closed");
    assert_fake_fails("\7\0\0\0\0\4\0\0\2\1", 10, 100, VT_E_ABORTED, "aborted at once");
    assert_fake_fails("\3\0\0\0\0\4\0\2\3\2", 10, 100, VT_E_REFUSED,
                      "local limit exceeded (transient)");
    assert_fake_fails("HTTP/1.1 400 Bad Request\r\n\r\n", 28, 100, VT_E_PROTOCOL, "no DICOM");
    assert_fake_fails("\2\0\xff\xff\xff\xff", 6, 100, VT_E_PROTOCOL, "no DICOM");
    assert_fake_fails("\2\0\0\0\0\4abcd", 10, 100, VT_E_PROTOCOL, "answer of 10 bytes");
}

/* A lawful A-ASSOCIATE-AC for plain_request, then each byte of its items bent. */
static void no_byte_of_an_answer_leads_out_of_bounds(void **state)
{
    (void)state;
    static const uint8_t values[] = { 0, 1, 2, 0x40, 0x7f, 0xff };
    struct vt_assoc_request request = plain_request();
    struct request_bytes *rb = malloc(sizeof *rb);

    rb_start(rb, "A", "B");
    rb->bytes[0] = 2;
    size_t at = rb->size;
    rb_item(rb, 0x21, "\1\0\0\0", 4);
    rb_text(rb, 0x40, VT_UID_EXPLICIT_LE);
    vt_put_be16(rb->bytes + at + 2, (uint16_t)(rb->size - at - 4));
    rb_user(rb, 65536);
    rb_item(rb, 0x54,
            "\0\3"
            "1.2"
            "\1\1",
            7);
    rb_item(rb, 0x56,
            "\0\3"
            "1.2"
            "\1\0",
            7);
    for (size_t i = 74; i < rb->size; i++)
        for (size_t k = 0; k < sizeof values; k++) {
            struct vt_err err = { 0 };
            uint8_t *exact = malloc(rb->size);
            memcpy(exact, rb->bytes, rb->size);
            exact[i] = values[k];
            VT_AUTO(vt_assoc)
            assoc = vt_assoc_new(vt_conn_new(socket(AF_INET, SOCK_STREAM, 0), NULL));
            assert_true(vt_negotiate_propose(assoc, &request, &err));
            bool ok = vt_negotiate_answer(assoc, exact, rb->size, &err);
            assert_int_equal(ok, err.code == VT_OK);
            free(exact);
        }
    free(rb);
}

/* ---- want of memory ---- */

static bool associate_once(void *context, struct vt_err *err)
{
    const struct vt_assoc_request *request = context;
    static const uint8_t offer[] = { 1, 1 };
    const struct vt_extended extended = { "1.2.840.10008.5.1.4.1.2.2.1", offer, sizeof offer };
    struct vt_assoc_request with = *request;
    struct vt_command echo = { .field = VT_C_ECHO_RQ, .message_id = 1 }, response;
    enum vt_next next;
    uint8_t id;

    with.extended = &extended;
    with.extended_count = 1;
    VT_AUTO(vt_assoc) assoc = vt_assoc_request(&with, err);
    if (!assoc || !vt_assoc_send_command(assoc, 3, &echo, err) ||
        !vt_assoc_next(assoc, vt_clock_mono() + 5 * VT_NS_PER_S, &next, &id, &response, err))
        return false;
    vt_assoc_release(assoc);
    return true;
}

static void want_of_memory_is_reported(void **state)
{
    (void)state;
    struct vt_assoc_request request = plain_request();

    scp.answer_extended = "1.2.840.10008.5.1.4.1.2.2.1";
    assert_true(vt_torture(associate_once, &request) >= 8);
}

#define WITH_SCP(test) cmocka_unit_test_setup_teardown(test, start_scp, stop_scp)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SCP(what_was_proposed_is_agreed_on),
        WITH_SCP(one_hundred_and_twenty_eight_contexts_can_be_proposed),
        WITH_SCP(a_rejection_names_who_and_why),
        WITH_SCP(a_closed_port_is_a_refused_connection),
        WITH_SCP(a_name_that_nobody_has_is_named),
        WITH_SCP(nonsense_is_refused_before_anything_is_sent),
        WITH_SCP(answers_that_are_none_are_told_apart),
        WITH_SCP(no_byte_of_an_answer_leads_out_of_bounds),
        WITH_SCP(want_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
