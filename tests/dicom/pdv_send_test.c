#include <setjmp.h>
#include <stdarg.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dicom/assoc_impl.h"
#include "tests/dicom/raw_peer.h"
#include "tests/dicom/requestor.h"

/* ---- messages ---- */

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

/* ---- answers from another thread ---- */

static void *read_all(void *context)
{
    int fd = *(int *)context;
    uint8_t bytes[4096];
    static size_t total;

    total = 0;
    for (ssize_t got = 1; got > 0; total += got > 0 ? (size_t)got : 0) {
        struct pollfd item = { .fd = fd, .events = POLLIN };
        if (poll(&item, 1, RAW_PATIENCE_MS) <= 0)
            break;
        got = recv(fd, bytes, sizeof bytes, 0);
    }
    return &total;
}

static struct vt_assoc *assoc_on(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    struct vt_assoc *assoc = vt_assoc_new(vt_conn_new(pair[0], NULL));
    assert_non_null(assoc);
    return assoc;
}

static void an_answer_beside_is_sent_at_once(void **state)
{
    (void)state;
    int pair[2];
    VT_AUTO(vt_assoc) assoc = assoc_on(pair);
    struct vt_command request = { .field = VT_C_STORE_RQ, .message_id = 7 };
    struct vt_command response = vt_command_response(&request, VT_STATUS_SUCCESS);
    struct vt_err err = { 0 };
    uint16_t status;

    assert_true(vt_assoc_answers_beside(assoc));
    vt_assoc_answer_beside(assoc, 1, &response);
    assert_int_equal(raw_response(pair[1], &status), VT_C_STORE_RSP);
    assert_int_equal(status, VT_STATUS_SUCCESS);
    assert_true(vt_assoc_answer_rest(assoc, &err));
    assert_int_equal(raw_read_for(pair[1], NULL, NULL, 50), RAW_SILENT);
    vt_assoc_abort(assoc, 0, 0);
    close(pair[1]);
}

static void what_a_full_socket_did_not_take_is_sent_by_the_owner(void **state)
{
    (void)state;
    int pair[2];
    VT_AUTO(vt_assoc) assoc = assoc_on(pair);
    struct vt_command request = { .field = VT_C_STORE_RQ, .message_id = 7 };
    struct vt_command response = vt_command_response(&request, VT_STATUS_SUCCESS);
    struct vt_err err = { 0 };
    uint8_t bytes[4096] = { 0 };
    size_t before = 0;
    pthread_t reader;
    void *total;

    for (ssize_t sent; (sent = send(pair[0], bytes, sizeof bytes, MSG_DONTWAIT)) > 0;)
        before += (size_t)sent;
    assert_true(vt_assoc_answers_beside(assoc));
    vt_assoc_answer_beside(assoc, 1, &response);
    size_t whole = assoc->beside.size;
    assert_int_equal(assoc->beside_sent, 0);
    assert_int_equal(pthread_create(&reader, NULL, read_all, &pair[1]), 0);
    assert_true(vt_assoc_answer_rest(assoc, &err));
    shutdown(pair[0], SHUT_WR);
    pthread_join(reader, &total);
    assert_int_equal(*(size_t *)total, before + whole);
    close(pair[1]);
}

#define WITH_SCP(test) cmocka_unit_test_setup_teardown(test, start_scp, stop_scp)

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        cmocka_unit_test(an_answer_beside_is_sent_at_once),
        cmocka_unit_test(what_a_full_socket_did_not_take_is_sent_by_the_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
