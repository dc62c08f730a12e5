#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "core/auto.h"
#include "dicom/assoc_impl.h"
#include "dicom/listen.h"
#include "dicom/negotiate.h"
#include "tests/dicom/mini_scp.h"
#include "tests/dicom/raw_peer.h"
#include "tests/dicom/test_certificate.h"
#include "tests/support/torture.h"

static struct mini_scp scp;
static const char *const implicit[] = { VT_UID_IMPLICIT_LE };
static const char *const two[] = { "1.2.840.10008.1.2.4.201", VT_UID_EXPLICIT_LE };
static const struct vt_propose contexts[] = {
    { VT_UID_CT_IMAGE, two, 2, VT_ROLE_SCP },
    { VT_UID_VERIFICATION, implicit, 1, VT_ROLE_DEFAULT },
    { VT_UID_CT_IMAGE, implicit, 1, VT_ROLE_SCP },
    { "1.2.840.10008.5.1.4.1.2.2.1", implicit, 1, VT_ROLE_DEFAULT },
};

static struct vt_assoc_request plain_request(void)
{
    return (struct vt_assoc_request){
        .calling_ae_title = "VITRINE",
        .called_ae_title = "CT1",
        .host = "127.0.0.1",
        .port = scp.port,
        .contexts = contexts,
        .context_count = VT_COUNT(contexts),
        .timeout = 5 * VT_NS_PER_S,
    };
}

static struct vt_assoc *must_associate(const struct vt_assoc_request *request)
{
    struct vt_err err = { 0 };
    struct vt_assoc *assoc = vt_assoc_request(request, &err);

    if (!assoc)
        fail_msg("%s", err.text);
    return assoc;
}

static int start_scp(void **state)
{
    struct vt_err err = { 0 };

    (void)state;
    memset(&scp, 0, sizeof scp);
    scp.matches = 100;
    if (!mini_scp_start(&scp, &err))
        fail_msg("%s", err.text);
    return 0;
}

static int stop_scp(void **state)
{
    (void)state;
    mini_scp_stop(&scp);
    return 0;
}

/* Sends a request and reads its one answer. */
static uint16_t status_of(struct vt_assoc *assoc)
{
    enum vt_next next;
    uint8_t context;
    struct vt_command response;
    struct vt_err err = { 0 };

    if (!vt_assoc_next(assoc, vt_clock_mono() + 10 * VT_NS_PER_S, &next, &context, &response, &err))
        fail_msg("%s", err.text);
    assert_int_equal(next, VT_NEXT_COMMAND);
    assert_true(response.has_status);
    return response.status;
}

static void echo_on(struct vt_assoc *assoc)
{
    struct vt_command echo = { .field = VT_C_ECHO_RQ, .message_id = vt_assoc_message_id(assoc) };
    const struct vt_context *context = vt_assoc_context_for(assoc, VT_UID_VERIFICATION, NULL);
    struct vt_err err = { 0 };

    strcpy(echo.sop_class_uid, VT_UID_VERIFICATION);
    assert_non_null(context);
    assert_true(vt_assoc_send_command(assoc, context->id, &echo, &err));
    assert_int_equal(status_of(assoc), VT_STATUS_SUCCESS);
}

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

static void assert_request_fails(const struct vt_assoc_request *request, enum vt_code code,
                                 const char *text)
{
    struct vt_err err = { 0 };

    assert_null(vt_assoc_request(request, &err));
    if (err.code != code || !strstr(err.text, text))
        fail_msg("%s: %s", vt_code_name(err.code), err.text);
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

/* ---- messages ---- */

static struct vt_command store_request(struct vt_assoc *assoc)
{
    struct vt_command store = { .field = VT_C_STORE_RQ, .message_id = vt_assoc_message_id(assoc) };

    strcpy(store.sop_class_uid, VT_UID_CT_IMAGE);
    strcpy(store.sop_instance_uid, "1.2.3.4");
    return store;
}

static int memory_file(size_t size, unsigned long *out_sum)
{
    int fd = memfd_create("instance", MFD_CLOEXEC);
    uint8_t *bytes = malloc(size);
    unsigned long sum = 0;

    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 256);
        sum += i >= 100 ? bytes[i] : 0;
    }
    assert_int_equal(write(fd, bytes, size), size);
    free(bytes);
    *out_sum = sum;
    return fd;
}

static void a_file_is_sent_whole_from_its_offset(void **state)
{
    (void)state;
    static const size_t sizes[] = { 100, 101, 2000, 131066, 262232, 3000001 };
    static const uint32_t maxima[] = { 4096, 16384, 131072 };
    unsigned long sum;

    for (size_t k = 0; k < VT_COUNT(maxima); k++) {
        struct vt_assoc_request request = plain_request();
        VT_AUTO(vt_assoc) assoc = must_associate(&request);
        ((struct vt_assoc_info *)(uintptr_t)vt_assoc_info(assoc))->max_pdu = maxima[k];
        for (size_t i = 0; i < VT_COUNT(sizes); i++) {
            struct vt_command store = store_request(assoc);
            struct vt_err err = { 0 };
            scp.stored_bytes = 0;
            scp.stored_sum = 0;
            vt_autoclose fd = memory_file(sizes[i], &sum);
            if (!vt_assoc_send_file(assoc, 1, &store, fd, 100, sizes[i] - 100, &err))
                fail_msg("%s", err.text);
            assert_int_equal(status_of(assoc), VT_STATUS_SUCCESS);
            assert_int_equal(scp.stored_bytes, sizes[i] - 100);
            assert_int_equal(scp.stored_sum, sum);
        }
        vt_assoc_release(assoc);
    }
}

static void a_file_that_is_shorter_than_it_was_is_told(void **state)
{
    (void)state;
    struct vt_assoc_request request = plain_request();
    VT_AUTO(vt_assoc) assoc = must_associate(&request);
    struct vt_command store = store_request(assoc);
    struct vt_err err = { 0 };
    unsigned long sum;
    vt_autoclose fd = memory_file(500000, &sum);

    assert_false(vt_assoc_send_file(assoc, 1, &store, fd, 0, 600000, &err));
    assert_int_equal(err.code, VT_E_CORRUPT);
    vt_assoc_abort(assoc, 0, 0);
    assert_true(mini_wait(&scp.failed, 1));
    assert_int_equal(scp.stored, 0);
}

struct pieces {
    size_t left, piece;
    unsigned long sum;
};

static bool give_piece(void *context, uint8_t *bytes, size_t room, size_t *out_size,
                       struct vt_err *err)
{
    struct pieces *pieces = context;
    size_t size = pieces->piece < room ? pieces->piece : room;

    (void)err;
    if (size > pieces->left)
        size = pieces->left;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(pieces->left + i);
        pieces->sum += bytes[i];
    }
    pieces->left -= size;
    *out_size = size;
    return true;
}

static void a_stream_is_sent_whole_in_any_pieces(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 4090, 8180, 262132, 262133, 1000000 };
    static const size_t piece_sizes[] = { 777, 100000, SIZE_MAX };
    struct vt_assoc_request request = plain_request();
    VT_AUTO(vt_assoc) assoc = must_associate(&request);

    for (size_t i = 0; i < VT_COUNT(sizes); i++)
        for (size_t k = 0; k < VT_COUNT(piece_sizes); k++) {
            struct vt_command store = store_request(assoc);
            struct pieces pieces = { sizes[i], piece_sizes[k], 0 };
            struct vt_err err = { 0 };
            scp.stored_bytes = 0;
            scp.stored_sum = 0;
            if (!vt_assoc_send_stream(assoc, 1, &store, give_piece, &pieces, &err))
                fail_msg("%s", err.text);
            assert_int_equal(status_of(assoc), VT_STATUS_SUCCESS);
            assert_int_equal(scp.stored_bytes, sizes[i]);
            assert_int_equal(scp.stored_sum, pieces.sum);
        }
    vt_assoc_release(assoc);
}

static void an_identifier_larger_than_a_pdu_arrives(void **state)
{
    (void)state;
    static uint8_t identifier[500000];
    struct vt_assoc_request request = plain_request();
    VT_AUTO(vt_assoc) assoc = must_associate(&request);
    struct vt_command store = store_request(assoc);
    struct vt_err err = { 0 };

    memset(identifier, 1, sizeof identifier);
    assert_true(vt_assoc_send(assoc, 1, &store, identifier, sizeof identifier, &err));
    assert_int_equal(status_of(assoc), VT_STATUS_SUCCESS);
    assert_int_equal(scp.stored_sum, sizeof identifier);
    assert_true(scp.last_command.has_data_set);
    assert_string_equal(scp.last_command.sop_instance_uid, "1.2.3.4");
    vt_assoc_release(assoc);
}

static void answers_with_identifiers_are_read_one_by_one(void **state)
{
    (void)state;
    struct vt_assoc_request request = plain_request();
    VT_AUTO(vt_assoc) assoc = must_associate(&request);
    struct vt_command find = { .field = VT_C_FIND_RQ, .message_id = 1 };
    struct vt_err err = { 0 };
    unsigned pending = 0;
    uint16_t status;

    assert_true(vt_assoc_send(assoc, 7, &find, (const uint8_t *)"", 0, &err));
    while (vt_status_pending(status = status_of(assoc))) {
        VT_AUTO_BUF(keys, 1000);
        enum vt_next next;
        uint8_t context;
        struct vt_command unread;
        assert_false(vt_assoc_next(assoc, VT_CONN_NOW, &next, &context, &unread, &err));
        assert_int_equal(err.code, VT_E_INTERNAL); /* the identifier comes first */
        assert_true(vt_assoc_read_identifier(assoc, &keys, &err));
        assert_int_equal(keys.size, 18);
        pending++;
    }
    assert_int_equal(status, VT_STATUS_SUCCESS);
    assert_int_equal(pending, 100);
    vt_assoc_release(assoc);
}

static void a_response_is_left_unread_by_the_look_for_a_cancel(void **state)
{
    (void)state;
    struct vt_assoc_request request = plain_request();
    VT_AUTO(vt_assoc) assoc = must_associate(&request);
    struct vt_command echo = { .field = VT_C_ECHO_RQ, .message_id = 1 };
    struct vt_err err = { 0 };
    bool cancelled = true;

    assert_true(vt_assoc_send_command(assoc, 3, &echo, &err));
    usleep(50000);
    for (int i = 0; i < 3; i++) {
        assert_true(vt_assoc_cancelled(assoc, 1, &cancelled, &err));
        assert_false(cancelled);
    }
    assert_int_equal(status_of(assoc), VT_STATUS_SUCCESS);
    vt_assoc_release(assoc);
}

static void a_wait_for_nothing_ends_in_time(void **state)
{
    (void)state;
    struct vt_assoc_request request = plain_request();
    VT_AUTO(vt_assoc) assoc = must_associate(&request);
    enum vt_next next;
    uint8_t context;
    struct vt_command command;
    struct vt_err err = { 0 };

    assert_false(
        vt_assoc_next(assoc, vt_clock_mono() + VT_NS_PER_S / 5, &next, &context, &command, &err));
    assert_int_equal(err.code, VT_E_TIMEOUT);
    echo_on(assoc); /* nothing had begun: still in step */
    vt_assoc_release(assoc);
}

static void *interrupt_soon(void *assoc)
{
    usleep(100000);
    vt_assoc_interrupt(assoc);
    return NULL;
}

static void another_thread_can_end_a_wait(void **state)
{
    (void)state;
    struct vt_assoc_request request = plain_request();
    VT_AUTO(vt_assoc) assoc = must_associate(&request);
    enum vt_next next = VT_NEXT_COMMAND;
    uint8_t context;
    struct vt_command command;
    struct vt_err err = { 0 };
    pthread_t thread;

    pthread_create(&thread, NULL, interrupt_soon, assoc);
    assert_true(vt_assoc_next(assoc, 0, &next, &context, &command, &err));
    assert_int_equal(next, VT_NEXT_CLOSED);
    pthread_join(thread, NULL);
}

static void an_abort_is_seen_by_the_peer(void **state)
{
    (void)state;
    struct vt_assoc_request request = plain_request();
    VT_AUTO(vt_assoc) assoc = must_associate(&request);

    vt_assoc_abort(assoc, 0, 0);
    assert_true(mini_wait(&scp.aborted, 1));
    vt_assoc_free(vt_take(&assoc));
    assoc = must_associate(&request);
    vt_assoc_free(vt_take(&assoc));
    assert_true(mini_wait(&scp.aborted, 2));
}

/* ---- release: two sockets, one association each ---- */

static void a_release_that_crosses_ours_is_answered(void **state)
{
    (void)state;
    int pair[2];
    uint8_t crossing[2 * VT_SHORT_PDU + 16], type;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    VT_AUTO(vt_assoc) assoc = vt_assoc_new(vt_conn_new(pair[0], NULL));
    memcpy(crossing, "\4\0\0\0\0\12\0\0\0\6\1\2abcd", 16); /* an answer that is still under way */
    vt_put_short_pdu(crossing + 16, VT_PDU_RELEASE_RQ, 0, 0, 0);
    vt_put_short_pdu(crossing + 26, VT_PDU_RELEASE_RP, 0, 0, 0);
    raw_send(pair[1], crossing, sizeof crossing);
    vt_assoc_release(assoc);
    type = (uint8_t)raw_read(pair[1]);
    assert_int_equal(type, VT_PDU_RELEASE_RQ);
    assert_int_equal(raw_read(pair[1]), VT_PDU_RELEASE_RP);
    assert_int_equal(raw_read(pair[1]), RAW_CLOSED);
    close(pair[1]);
}

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
#define WITH_TLS(test) cmocka_unit_test_setup_teardown(test, start_tls_scp, stop_tls_scp)
#define STARTS_IT(test) cmocka_unit_test_setup_teardown(test, NULL, stop_scp)

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
        WITH_SCP(a_file_is_sent_whole_from_its_offset),
        WITH_SCP(a_file_that_is_shorter_than_it_was_is_told),
        WITH_SCP(a_stream_is_sent_whole_in_any_pieces),
        WITH_SCP(an_identifier_larger_than_a_pdu_arrives),
        WITH_SCP(answers_with_identifiers_are_read_one_by_one),
        WITH_SCP(a_response_is_left_unread_by_the_look_for_a_cancel),
        WITH_SCP(a_wait_for_nothing_ends_in_time),
        WITH_SCP(another_thread_can_end_a_wait),
        WITH_SCP(an_abort_is_seen_by_the_peer),
        WITH_SCP(a_release_that_crosses_ours_is_answered),
        STARTS_IT(an_ipv6_literal_is_an_address_like_any_other),
        WITH_TLS(messages_of_all_sizes_go_through_tls),
        WITH_TLS(a_name_is_looked_for_in_the_certificate),
        WITH_TLS(a_plain_peer_on_the_tls_port_is_dropped),
        STARTS_IT(a_tls_peer_on_a_plain_port_is_told),
        WITH_TLS(silent_peers_on_the_tls_port_delay_nobody),
        WITH_SCP(want_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
