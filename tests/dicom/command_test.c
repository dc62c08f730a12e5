#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "dicom/command.h"
#include "dicom/wire.h"
#include "tests/support/torture.h"

enum { BYTES_MAX = 64 << 10 };

/* ---- building command sets by hand ---- */

static void put(struct vt_buf *buf, uint16_t group, uint16_t element, const void *value,
                uint32_t length)
{
    struct vt_err err = { 0 };
    uint8_t header[8];

    vt_put_le16(header, group);
    vt_put_le16(header + 2, element);
    vt_put_le32(header + 4, length);
    assert_true(vt_buf_append(buf, header, sizeof header, &err));
    if (value)
        assert_true(vt_buf_append(buf, value, length, &err));
}

static void put_us(struct vt_buf *buf, uint16_t element, uint16_t number)
{
    uint8_t value[2];

    vt_put_le16(value, number);
    put(buf, 0, element, value, 2);
}

static void put_text(struct vt_buf *buf, uint16_t element, const char *text)
{
    put(buf, 0, element, text, (uint32_t)strlen(text));
}

static void assert_refused(const struct vt_buf *buf, const char *words)
{
    struct vt_command command = { .field = 0x1234 };
    struct vt_err err = { 0 };

    assert_false(vt_command_decode(buf->data, buf->size, &command, &err));
    assert_int_equal(err.code, VT_E_PROTOCOL);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
    assert_int_equal(command.field, 0x1234);
}

static struct vt_command round_trip(const struct vt_command *command)
{
    VT_AUTO_BUF(bytes, BYTES_MAX);
    struct vt_command back = { 0 };
    struct vt_err err = { 0 };

    assert_true(vt_command_encode(command, &bytes, &err));
    assert_int_equal(bytes.size % 2, 0);
    assert_int_equal(vt_le32(bytes.data + 8), bytes.size - 12);
    if (!vt_command_decode(bytes.data, bytes.size, &back, &err))
        fail_msg("%s", err.text);
    return back;
}

static const uint16_t fields[] = {
    VT_C_STORE_RQ,        VT_C_STORE_RSP,        VT_C_GET_RQ,     VT_C_GET_RSP,   VT_C_FIND_RQ,
    VT_C_FIND_RSP,        VT_C_MOVE_RQ,          VT_C_MOVE_RSP,   VT_C_ECHO_RQ,   VT_C_ECHO_RSP,
    VT_N_EVENT_REPORT_RQ, VT_N_EVENT_REPORT_RSP, VT_N_GET_RQ,     VT_N_GET_RSP,   VT_N_SET_RQ,
    VT_N_SET_RSP,         VT_N_ACTION_RQ,        VT_N_ACTION_RSP, VT_N_CREATE_RQ, VT_N_CREATE_RSP,
    VT_N_DELETE_RQ,       VT_N_DELETE_RSP,       VT_C_CANCEL_RQ,
};

static void every_command_survives_the_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < VT_COUNT(fields); i++) {
        bool response = fields[i] & 0x8000, cancel = fields[i] == VT_C_CANCEL_RQ;
        struct vt_command command = { .field = fields[i], .has_data_set = i % 2 };
        if (response || cancel)
            command.responded_id = 4711;
        else
            command.message_id = 4711;
        if (response) {
            command.has_status = true;
            command.status = 0xa700;
        }
        strcpy(command.sop_class_uid, "1.2.840.10008.5.1.4.1.1.2");
        strcpy(command.sop_instance_uid, "1.2.3.4");
        struct vt_command back = round_trip(&command);
        assert_memory_equal(&back, &command, sizeof back);
        assert_string_not_equal(vt_command_name(fields[i]), "unknown");
    }
}

static void all_that_a_command_can_hold_survives(void **state)
{
    (void)state;
    struct vt_command command = {
        .field = VT_C_STORE_RQ,
        .message_id = 65535,
        .has_data_set = true,
        .priority = 2,
        .has_originator_id = true,
        .originator_id = 9,
        .has_remaining = true,
        .remaining = 1,
        .has_counters = true,
        .completed = 2,
        .failed = 3,
        .warning = 4,
        .has_event_type = true,
        .event_type = 5,
        .has_action_type = true,
        .action_type = 6,
        .has_error_id = true,
        .error_id = 0xa710,
        .offending_count = VT_OFFENDING_MAX,
    };

    memset(command.sop_class_uid, '1', VT_UID_MAX);
    memset(command.sop_instance_uid, '2', VT_UID_MAX);
    memset(command.move_destination, 'M', VT_AE_TITLE_MAX);
    memset(command.originator_ae_title, 'O', VT_AE_TITLE_MAX);
    memset(command.comment, 'c', VT_COMMENT_MAX);
    for (size_t i = 0; i < VT_OFFENDING_MAX; i++)
        command.offending[i] = 0x7fe00010 + (uint32_t)i;
    struct vt_command back = round_trip(&command);
    assert_memory_equal(&back, &command, sizeof back);
}

static void requests_that_name_a_requested_class_use_its_elements(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, BYTES_MAX);
    struct vt_err err = { 0 };
    struct vt_command command = { .field = VT_N_ACTION_RQ, .message_id = 1 };

    strcpy(command.sop_class_uid, "1.2");
    strcpy(command.sop_instance_uid, "1.3");
    assert_true(vt_command_encode(&command, &bytes, &err));
    assert_int_equal(vt_le16(bytes.data + 14), 0x0003);
    bool requested = false;
    for (size_t at = 0; at < bytes.size; at += 8 + vt_le32(bytes.data + at + 4))
        requested |= vt_le16(bytes.data + at + 2) == 0x1001;
    assert_true(requested);
}

static void a_comment_is_cut_to_what_fits_and_to_ascii(void **state)
{
    (void)state;
    struct vt_command command = { .field = VT_C_ECHO_RSP, .responded_id = 1, .has_status = true };

    strcpy(command.comment, "Gr\xc3\xb6\xc3\x9f"
                            "e\n");
    struct vt_command back = round_trip(&command);
    assert_string_equal(back.comment, "Gr??e?");

    VT_AUTO_BUF(bytes, BYTES_MAX);
    char long_comment[201] = { 0 };
    memset(long_comment, 'x', 200);
    put_us(&bytes, 0x0100, VT_C_ECHO_RSP);
    put_us(&bytes, 0x0120, 1);
    put_us(&bytes, 0x0800, VT_NO_DATA_SET);
    put_text(&bytes, 0x0902, long_comment);
    struct vt_err err = { 0 };
    assert_true(vt_command_decode(bytes.data, bytes.size, &back, &err));
    assert_int_equal(strlen(back.comment), VT_COMMENT_MAX);
}

static void padding_of_uids_and_titles_is_dropped(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, BYTES_MAX);
    struct vt_command command;
    struct vt_err err = { 0 };

    put(&bytes, 0, 0x0002, "1.2.3\0", 6);
    put_us(&bytes, 0x0100, VT_C_MOVE_RQ);
    put_us(&bytes, 0x0110, 1);
    put_text(&bytes, 0x0600, "  DEST  ");
    put_us(&bytes, 0x0800, VT_HAS_DATA_SET);
    assert_true(vt_command_decode(bytes.data, bytes.size, &command, &err));
    assert_string_equal(command.sop_class_uid, "1.2.3");
    assert_string_equal(command.move_destination, "DEST");
    assert_true(command.has_data_set);
}

static void unknown_elements_of_the_group_are_passed_over(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, BYTES_MAX);
    struct vt_command command;
    struct vt_err err = { 0 };

    put_text(&bytes, 0x0001, "hm");
    put_us(&bytes, 0x0100, VT_C_ECHO_RQ);
    put_us(&bytes, 0x0110, 7);
    put_us(&bytes, 0x0800, VT_NO_DATA_SET);
    put_text(&bytes, 0x4000, "RECOGNITION CODE");
    assert_true(vt_command_decode(bytes.data, bytes.size, &command, &err));
    assert_int_equal(command.message_id, 7);
    assert_false(command.has_data_set);
}

static void what_is_not_flat_ascending_and_complete_is_refused(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, BYTES_MAX);

    assert_refused(&bytes, "no (0000,0100)");

    put_us(&bytes, 0x0100, VT_C_ECHO_RQ);
    assert_refused(&bytes, "no (0000,0800)");
    put_us(&bytes, 0x0800, VT_NO_DATA_SET);
    assert_refused(&bytes, "without a message id (0000,0110)");
    put_us(&bytes, 0x0110, 1);
    assert_refused(&bytes, "out of order");

    vt_buf_reset(&bytes);
    put_us(&bytes, 0x0100, VT_C_ECHO_RQ);
    put_us(&bytes, 0x0100, VT_C_ECHO_RQ);
    assert_refused(&bytes, "out of order");

    vt_buf_reset(&bytes);
    put_us(&bytes, 0x0100, VT_C_STORE_RSP);
    put_us(&bytes, 0x0800, VT_NO_DATA_SET);
    assert_refused(&bytes, "C-STORE-RSP without a message id (0000,0120)");

    vt_buf_reset(&bytes);
    put(&bytes, 8, 5, "ISO_IR 100", 10);
    assert_refused(&bytes, "(0008,0005) in a command set");

    vt_buf_reset(&bytes);
    put(&bytes, 0, 0x0002, NULL, UINT32_MAX);
    assert_refused(&bytes, "nested");

    vt_buf_reset(&bytes);
    put(&bytes, 0, 0x0002, NULL, UINT32_MAX - 1);
    assert_refused(&bytes, "longer than the command set");

    vt_buf_reset(&bytes);
    put(&bytes, 0, 0x0100, "\1\0\0\0", 4);
    assert_refused(&bytes, "has 4 bytes, not two");

    vt_buf_reset(&bytes);
    put_us(&bytes, 0x0100, VT_C_ECHO_RQ);
    bytes.size--;
    assert_refused(&bytes, "longer than the command set");
    bytes.size = 5;
    assert_refused(&bytes, "ends within an element");
}

static void a_uid_that_is_too_long_is_left_empty_for_the_service_to_refuse(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, BYTES_MAX);
    struct vt_command command;
    struct vt_err err = { 0 };
    char text[67] = { 0 };

    memset(text, '1', 66);
    put_text(&bytes, 0x0002, VT_UID_CT_IMAGE);
    put_us(&bytes, 0x0100, VT_C_STORE_RQ);
    put_us(&bytes, 0x0110, 1);
    put_us(&bytes, 0x0800, VT_HAS_DATA_SET);
    put_text(&bytes, 0x1000, text);
    assert_true(vt_command_decode(bytes.data, bytes.size, &command, &err));
    assert_string_equal(command.sop_class_uid, VT_UID_CT_IMAGE);
    assert_string_equal(command.sop_instance_uid, "");
}

static void a_title_that_is_too_long_is_refused(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, BYTES_MAX);

    put_text(&bytes, 0x0600, "EIGHTEEN-LETTERS!!");
    assert_refused(&bytes, "the AE title in (0000,0600) is too long");
}

static void a_command_of_more_than_16_kb_is_refused(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, BYTES_MAX);
    static const uint8_t filler[VT_COMMAND_MAX];

    put(&bytes, 0, 0x0001, filler, VT_COMMAND_MAX);
    assert_refused(&bytes, "at most 16384");
}

static void a_deeply_nested_command_is_refused_at_the_first_level(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, 512 << 10);

    for (unsigned i = 0; i < 1000; i++) {
        put(&bytes, 0, 0x0002, NULL, UINT32_MAX);
        put(&bytes, 0xfffe, 0xe000, NULL, UINT32_MAX);
    }
    assert_refused(&bytes, "nested");
}

static void the_lists_that_are_too_long_are_cut(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, BYTES_MAX);
    uint8_t tags[4 * (VT_OFFENDING_MAX + 4)] = { 0x10, 0, 0x20, 0 };
    struct vt_command command;
    struct vt_err err = { 0 };

    put_us(&bytes, 0x0100, VT_C_FIND_RSP);
    put_us(&bytes, 0x0120, 1);
    put_us(&bytes, 0x0800, VT_NO_DATA_SET);
    put_us(&bytes, 0x0900, 0xa900);
    put(&bytes, 0, 0x0901, tags, sizeof tags);
    assert_true(vt_command_decode(bytes.data, bytes.size, &command, &err));
    assert_int_equal(command.offending_count, VT_OFFENDING_MAX);
    assert_int_equal(command.offending[0], 0x00100020);
}

static void a_response_answers_its_request(void **state)
{
    (void)state;
    struct vt_command request = { .field = VT_C_STORE_RQ, .message_id = 12, .has_data_set = true };

    strcpy(request.sop_class_uid, "1.2");
    strcpy(request.sop_instance_uid, "1.3");
    struct vt_command response = vt_command_response(&request, VT_STATUS_OUT_OF_RESOURCES);
    assert_int_equal(response.field, VT_C_STORE_RSP);
    assert_int_equal(response.responded_id, 12);
    assert_int_equal(response.status, 0xa700);
    assert_false(response.has_data_set);
    assert_string_equal(response.sop_class_uid, "1.2");
    assert_string_equal(response.sop_instance_uid, "1.3");
}

static void statuses_are_told_apart(void **state)
{
    (void)state;
    assert_true(vt_status_pending(VT_STATUS_PENDING_WARNING));
    assert_false(vt_status_pending(VT_STATUS_SUCCESS));
    assert_true(vt_status_warning(0xb007));
    assert_false(vt_status_warning(VT_STATUS_CANNOT_UNDERSTAND));
    assert_string_equal(vt_command_name(0x7777), "unknown");
}

static bool encode_once(void *context, struct vt_err *err)
{
    struct vt_command command = { .field = VT_C_ECHO_RQ, .message_id = 1 };
    VT_AUTO_BUF(bytes, BYTES_MAX);

    (void)context;
    return vt_command_encode(&command, &bytes, err);
}

static void want_of_memory_is_reported(void **state)
{
    (void)state;
    assert_true(vt_torture(encode_once, NULL) >= 1);
}

static void a_full_buffer_is_reported(void **state)
{
    (void)state;
    struct vt_command command = { .field = VT_C_ECHO_RQ, .message_id = 1 };
    VT_AUTO_BUF(bytes, 16);
    struct vt_err err = { 0 };

    assert_false(vt_command_encode(&command, &bytes, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    assert_int_equal(bytes.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_survives_the_round_trip),
        cmocka_unit_test(all_that_a_command_can_hold_survives),
        cmocka_unit_test(requests_that_name_a_requested_class_use_its_elements),
        cmocka_unit_test(a_comment_is_cut_to_what_fits_and_to_ascii),
        cmocka_unit_test(padding_of_uids_and_titles_is_dropped),
        cmocka_unit_test(unknown_elements_of_the_group_are_passed_over),
        cmocka_unit_test(what_is_not_flat_ascending_and_complete_is_refused),
        cmocka_unit_test(a_uid_that_is_too_long_is_left_empty_for_the_service_to_refuse),
        cmocka_unit_test(a_title_that_is_too_long_is_refused),
        cmocka_unit_test(a_command_of_more_than_16_kb_is_refused),
        cmocka_unit_test(a_deeply_nested_command_is_refused_at_the_first_level),
        cmocka_unit_test(the_lists_that_are_too_long_are_cut),
        cmocka_unit_test(a_response_answers_its_request),
        cmocka_unit_test(statuses_are_told_apart),
        cmocka_unit_test(want_of_memory_is_reported),
        cmocka_unit_test(a_full_buffer_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
