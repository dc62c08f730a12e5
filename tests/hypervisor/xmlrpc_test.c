#include "hypervisor/xmlrpc.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "tests/support/torture.h"

#define REPLY(value)                                                                               \
    "<?xml version=\"1.0\"?><methodResponse><params><param>" value                                 \
    "</param></params></methodResponse>"

static struct vt_xmlrpc_message *decode(const char *text)
{
    struct vt_err err = { 0 };
    struct vt_xmlrpc_message *message = vt_xmlrpc_decode(text, strlen(text), &err);

    if (!message)
        fail_msg("%s: %s", err.text, text);
    return message;
}

static void refuse(const char *text, enum vt_code code)
{
    struct vt_err err = { 0 };
    struct vt_xmlrpc_message *message = vt_xmlrpc_decode(text, strlen(text), &err);

    if (message)
        fail_msg("accepted: %s", text);
    assert_int_equal(err.code, code);
}

static const char *golden_folder(void)
{
    static char path[512];
    const char *source = getenv("VT_SOURCE_DIR");

    snprintf(path, sizeof path, "%s/tests/hypervisor/golden", source ? source : "..");
    return path;
}

static void golden(const char *name, struct vt_buf *out)
{
    char path[800];
    struct vt_err err = { 0 };

    snprintf(path, sizeof path, "%s/%s", golden_folder(), name);
    if (!vt_io_read_file(path, out, &err))
        fail_msg("%s", err.text);
}

static void round_trip(const char *name)
{
    VT_AUTO_BUF(body, 1 << 20);
    VT_AUTO_BUF(again, 1 << 20);
    struct vt_err err = { 0 };

    golden(name, &body);
    VT_AUTO(vt_xmlrpc_message) message = vt_xmlrpc_decode(body.data, body.size, &err);
    if (!message)
        fail_msg("%s: %s", name, err.text);
    struct vt_xmlrpc_writer writer = { .buf = &again,
                                       .err = &err,
                                       .bare_strings = strstr(name, ".reply") };
    vt_xmlrpc_put_message(&writer, message);
    assert_true(vt_xmlrpc_written(&writer));
    assert_int_equal(again.size, body.size);
    assert_memory_equal(again.data, body.data, body.size);
}

static void every_golden_body_is_read_and_written_byte_for_byte(void **state)
{
    (void)state;
    DIR *folder = opendir(golden_folder());
    int count = 0;

    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (strstr(entry->d_name, ".call") || strstr(entry->d_name, ".reply")) {
            round_trip(entry->d_name);
            count++;
        }
    }
    closedir(folder);
    assert_int_equal(count, 28);
}

static void a_record_gives_its_fields_by_name(void **state)
{
    (void)state;
    VT_AUTO_BUF(body, 1 << 20);
    struct vt_err err = { 0 };
    golden("03-2-reply.reply", &body);
    VT_AUTO(vt_xmlrpc_message) message = vt_xmlrpc_decode(body.data, body.size, &err);
    assert_non_null(message);
    const struct vt_xmlrpc_value *vm = vt_xmlrpc_open(message, NULL, &err);
    int64_t snapshot_time = -1;

    assert_non_null(vm);
    assert_string_equal(vt_xmlrpc_text(vt_xmlrpc_member(vm, "name_label"), ""),
                        "Lecture n° 3 <pathologie> & cie");
    assert_string_equal(vt_xmlrpc_text(vt_xmlrpc_member(vm, "name_description"), "?"), "");
    assert_int_equal(vt_xmlrpc_int(vt_xmlrpc_member(vm, "memory_static_max"), 0),
                     INT64_C(8589934592));
    assert_false(vt_xmlrpc_bool(vt_xmlrpc_member(vm, "is_a_snapshot"), true));
    assert_true(vt_xmlrpc_bool(vt_xmlrpc_member(vm, "no_such_field"), true));
    assert_true(vt_xmlrpc_double(vt_xmlrpc_member(vm, "HVM_shadow_multiplier"), 0) == 1.0);
    assert_true(vt_xmlrpc_get_time(vt_xmlrpc_member(vm, "snapshot_time"), &snapshot_time));
    assert_int_equal(snapshot_time, 0);
    assert_int_equal(vt_xmlrpc_member(vm, "allowed_operations")->size, 3);
    assert_null(vt_xmlrpc_first(vt_xmlrpc_member(vm, "snapshots")));
    assert_string_equal(vt_xmlrpc_first(vt_xmlrpc_member(vm, "current_operations"))->name,
                        "OpaqueRef:7a5c0000-0000-4000-8000-000000000031");
    assert_true(vt_xapi_ref_is_null(vt_xmlrpc_text(vt_xmlrpc_member(vm, "affinity"), "")));
}

static void a_failure_has_its_code_and_parameters(void **state)
{
    (void)state;
    VT_AUTO_BUF(body, 1 << 20);
    struct vt_err err = { 0 };
    struct vt_xapi_failure failure = { 0 };
    golden("04-2-reply.reply", &body);
    VT_AUTO(vt_xmlrpc_message) message = vt_xmlrpc_decode(body.data, body.size, &err);

    assert_non_null(message);
    assert_null(vt_xmlrpc_open(message, &failure, &err));
    assert_int_equal(err.code, VT_E_STATUS);
    assert_string_equal(err.xapi_code, "VM_BAD_POWER_STATE");
    assert_int_equal(failure.count, 3);
    assert_string_equal(failure.params[1], "halted");
    assert_string_equal(failure.params[2], "running");
}

static void a_finished_task_carries_a_value_of_its_own(void **state)
{
    (void)state;
    VT_AUTO_BUF(body, 1 << 20);
    struct vt_err err = { 0 };
    golden("05-4-task-get-record-done.reply", &body);
    VT_AUTO(vt_xmlrpc_message) message = vt_xmlrpc_decode(body.data, body.size, &err);
    assert_non_null(message);
    const char *result =
        vt_xmlrpc_text(vt_xmlrpc_member(vt_xmlrpc_open(message, NULL, &err), "result"), "");

    VT_AUTO(vt_xmlrpc_message) value = vt_xmlrpc_decode_value(result, &err);
    assert_non_null(value);
    assert_string_equal(vt_xmlrpc_text(value->params, ""),
                        "OpaqueRef:54a90000-0000-4000-8000-000000000041");
}

static void a_page_of_html_is_a_protocol_error(void **state)
{
    (void)state;
    refuse("<html><body><h1>HTTP 500 internal server error</h1>...</body></html>", VT_E_PROTOCOL);
    refuse("", VT_E_PROTOCOL);
    refuse("not XML at all", VT_E_PROTOCOL);
}

static void a_fault_is_a_protocol_error_and_keeps_its_text(void **state)
{
    (void)state;
    struct vt_err err = { 0 };
    VT_AUTO_BUF(body, 4096);
    struct vt_xmlrpc_writer writer = { .buf = &body, .err = &err, .bare_strings = true };
    vt_xmlrpc_put_fault(&writer, 7, "no <such> door");
    assert_true(vt_xmlrpc_written(&writer));
    VT_AUTO(vt_xmlrpc_message) message = vt_xmlrpc_decode(body.data, body.size, &err);

    assert_non_null(message);
    assert_int_equal(message->kind, VT_XMLRPC_FAULT);
    assert_null(vt_xmlrpc_open(message, NULL, &err));
    assert_int_equal(err.code, VT_E_PROTOCOL);
    assert_non_null(strstr(err.text, "no <such> door"));
}

static void a_reply_without_status_is_a_protocol_error(void **state)
{
    (void)state;
    static const char *const replies[] = {
        REPLY("<value>text</value>"),
        REPLY("<value><struct></struct></value>"),
        REPLY("<value><nil/></value>"),
        REPLY("<value><struct><member><name>Status</name><value>Success</value></member></struct></"
              "value>"),
        REPLY("<value><struct><member><name>Status</name><value>Failure</value></member></struct></"
              "value>"),
        REPLY("<value><struct><member><name>Status</name><value>Failure</value></member><member>"
              "<name>ErrorDescription</name><value><array><data></data></array></value></member></"
              "struct></value>"),
        REPLY("<value><struct><member><name>Status</name><value><array><data/></array></value></"
              "member></struct></value>"),
    };

    for (size_t i = 0; i < VT_COUNT(replies); i++) {
        struct vt_err err = { 0 };
        VT_AUTO(vt_xmlrpc_message) message = decode(replies[i]);
        assert_null(vt_xmlrpc_open(message, NULL, &err));
        assert_int_equal(err.code, VT_E_PROTOCOL);
    }
}

static void what_stands_in_the_wrong_place_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        REPLY("<value><struct><member><value>1</value><name>a</name></member></struct></value>"),
        REPLY("<value><struct><member><name>a</name></member></struct></value>"),
        REPLY("<value><struct><member><name>a</name><name>b</name><value>1</value></member></"
              "struct></value>"),
        REPLY("<value><struct><member><name>a</name><value>1</value><value>2</value></member></"
              "struct></value>"),
        REPLY("<value><string>a</string><string>b</string></value>"),
        REPLY("<value>a<string>b</string></value>"),
        REPLY("<value><string>b</string>a</value>"),
        REPLY("<value><int></int></value>"),
        REPLY("<value><int>12x</int></value>"),
        REPLY("<value><i8>99999999999999999999</i8></value>"),
        REPLY("<value><double>a</double></value>"),
        REPLY("<value><value>1</value></value>"),
        REPLY("<value><array><value>1</value></array></value>"),
        REPLY("<value>1</value><value>2</value>"),
        REPLY(""),
        "<methodCall><params></params></methodCall>",
        "<methodResponse></methodResponse>",
        "<methodResponse><params></params></methodResponse>",
        "<value>1</value>",
        "<methodCall><methodName>a</methodName><methodName>b</methodName><params/></methodCall>",
        REPLY("<value>1</value>") "<more/>",
        "<methodCall><methodName>a</methodName><params>",
    };

    for (size_t i = 0; i < VT_COUNT(wrong); i++)
        refuse(wrong[i], VT_E_PROTOCOL);
}

static void a_document_type_is_refused_before_its_entities_are_read(void **state)
{
    (void)state;
    refuse("<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b \"bbbb\"><!ENTITY c \"&b;&b;\">]>"
           "<methodCall><methodName>&c;</methodName></methodCall>",
           VT_E_PROTOCOL);
    refuse("<!DOCTYPE a SYSTEM "
           "\"file:///etc/passwd\"><methodCall><methodName>a</methodName></methodCall>",
           VT_E_PROTOCOL);
    refuse("<methodCall><methodName>&unknown;</methodName></methodCall>", VT_E_PROTOCOL);
}

static void nested(struct vt_buf *out, int depth)
{
    struct vt_err err = { 0 };

    vt_buf_append_text(out, "<methodResponse><params><param>", &err);
    for (int i = 1; i < depth; i++)
        vt_buf_append_text(out, "<value><array><data>", &err);
    vt_buf_append_text(out, "<value>x</value>", &err);
    for (int i = 1; i < depth; i++)
        vt_buf_append_text(out, "</data></array></value>", &err);
    vt_buf_append_text(out, "</param></params></methodResponse>", &err);
}

static void nesting_has_a_limit(void **state)
{
    (void)state;
    VT_AUTO_BUF(deepest, 1 << 20);
    VT_AUTO_BUF(too_deep, 1 << 24);
    struct vt_err err = { 0 };

    nested(&deepest, VT_XMLRPC_DEPTH_MAX);
    VT_AUTO(vt_xmlrpc_message) message = vt_xmlrpc_decode(deepest.data, deepest.size, &err);
    assert_non_null(message);
    nested(&too_deep, VT_XMLRPC_DEPTH_MAX + 1);
    assert_null(vt_xmlrpc_decode(too_deep.data, too_deep.size, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    vt_buf_reset(&too_deep);
    nested(&too_deep, 100000);
    assert_null(vt_xmlrpc_decode(too_deep.data, too_deep.size, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
}

static void size_and_number_of_values_have_limits(void **state)
{
    (void)state;
    const char *text =
        REPLY("<value><array><data><value>1</value><value>2</value></data></array></value>");
    struct vt_xmlrpc_limits few = { .bytes = 1000, .depth = 8, .values = 2 };
    struct vt_xmlrpc_limits small = { .bytes = strlen(text) - 1, .depth = 8, .values = 8 };
    struct vt_err err = { 0 };

    VT_AUTO(vt_xmlrpc_decoder) counting = vt_xmlrpc_decoder_new(&few, &err);
    assert_true(vt_xmlrpc_decoder_push(counting, text, strlen(text), &err));
    assert_null(vt_xmlrpc_decoder_finish(counting, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    VT_AUTO(vt_xmlrpc_decoder) measuring = vt_xmlrpc_decoder_new(&small, &err);
    assert_false(vt_xmlrpc_decoder_push(measuring, text, strlen(text), &err));
    assert_int_equal(err.code, VT_E_LIMIT);
}

static void a_name_in_latin1_is_read_beside_one_in_utf8(void **state)
{
    (void)state;
    VT_AUTO(vt_xmlrpc_message)
    message = decode(REPLY("<value><array><data><value>n\xb0 3</value><value>n\xc2\xb0 "
                           "4</value></data></array></value>"));
    const struct vt_xmlrpc_value *first = vt_xmlrpc_first(message->params);

    assert_string_equal(first->as.text, "n\xc2\xb0 3");
    assert_string_equal(first->next->as.text, "n\xc2\xb0 4");
    assert_int_equal(message->latin1_bytes, 1);
}

static void a_declared_latin1_is_believed_and_other_encodings_are_refused(void **state)
{
    (void)state;
    VT_AUTO(vt_xmlrpc_message)
    message =
        decode("<?xml version='1.0' "
               "encoding='ISO-8859-1'?><methodCall><methodName>\xc2\xb0</methodName></methodCall>");

    assert_string_equal(message->method, "\xc3\x82\xc2\xb0");
    refuse(
        "<?xml version='1.0' encoding='UTF-7'?><methodCall><methodName>a</methodName></methodCall>",
        VT_E_PROTOCOL);
}

static void a_message_in_pieces_of_one_byte_is_the_same_message(void **state)
{
    (void)state;
    VT_AUTO_BUF(body, 1 << 20);
    struct vt_err err = { 0 };
    golden("03-2-reply.reply", &body);
    VT_AUTO(vt_xmlrpc_decoder) decoder = vt_xmlrpc_decoder_new(&vt_xmlrpc_limits, &err);

    for (size_t i = 0; i < body.size; i++)
        assert_true(vt_xmlrpc_decoder_push(decoder, body.data + i, 1, &err));
    VT_AUTO(vt_xmlrpc_message) message = vt_xmlrpc_decoder_finish(decoder, &err);
    assert_non_null(message);
    assert_non_null(vt_xmlrpc_open(message, NULL, &err));
}

static void every_truncation_of_a_reply_is_refused(void **state)
{
    (void)state;
    VT_AUTO_BUF(body, 1 << 20);
    golden("05-5-task-get-record-failed.reply", &body);
    for (size_t size = 0; size < body.size; size++) {
        struct vt_err err = { 0 };
        assert_null(vt_xmlrpc_decode(body.data, size, &err));
        assert_int_equal(err.code, VT_E_PROTOCOL);
    }
}

static void white_space_between_tags_is_tolerated(void **state)
{
    (void)state;
    VT_AUTO(vt_xmlrpc_message)
    message = decode("<?xml version='1.0'?>\n<methodCall>\n <methodName>a.b</methodName>\n "
                     "<params>\n  <param>\n   <value> "
                     "<array> <data> <value> <int> 7 </int> </value> </data> </array> </value>\n  "
                     "</param>\n </params>\n"
                     "</methodCall>\n");

    assert_string_equal(message->method, "a.b");
    assert_int_equal(vt_xmlrpc_int(vt_xmlrpc_first(message->params), 0), 7);
}

static void dates_are_read_with_dashes_fractions_and_offsets(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
    } dates[] = {
        { "20260821T12:00:04Z", 1787313604 },         { "2026-08-21T12:00:04Z", 1787313604 },
        { "20260821T12:00:04", 1787313604 },          { "20260821T14:00:04+02:00", 1787313604 },
        { "20260821T10:00:04.250-0200", 1787313604 }, { "19700101T00:00:00Z", 0 },
    };

    for (size_t i = 0; i < VT_COUNT(dates); i++) {
        struct vt_xmlrpc_value value = { .type = VT_XMLRPC_DATETIME, .as.text = dates[i].text };
        int64_t seconds = -1;
        assert_true(vt_xmlrpc_get_time(&value, &seconds));
        assert_int_equal(seconds, dates[i].seconds);
    }
    static const char *const wrong[] = { "",
                                         "2026",
                                         "20261321T12:00:04Z",
                                         "20260821 12:00:04",
                                         "20260821T12:00:04+99",
                                         "20260821T25:00:00Z",
                                         "yesterday" };
    for (size_t i = 0; i < VT_COUNT(wrong); i++) {
        struct vt_xmlrpc_value value = { .type = VT_XMLRPC_DATETIME, .as.text = wrong[i] };
        int64_t seconds = -1;
        assert_false(vt_xmlrpc_get_time(&value, &seconds));
    }
}

static void doubles_may_be_infinite_or_no_number(void **state)
{
    (void)state;
    VT_AUTO(vt_xmlrpc_message)
    message = decode(REPLY(
        "<value><array><data><value><double>inf</double></value><value><double>nan</double></value>"
        "<value><double>1e-05</double></value></data></array></value>"));
    const struct vt_xmlrpc_value *first = vt_xmlrpc_first(message->params);

    assert_true(isinf(vt_xmlrpc_double(first, 0)));
    assert_true(isnan(vt_xmlrpc_double(first->next, 0)));
    assert_true(vt_xmlrpc_double(first->next->next, 0) == 1e-05);
}

static void the_text_true_counts_as_false(void **state)
{
    (void)state;
    VT_AUTO(vt_xmlrpc_message) message = decode(REPLY("<value><boolean>true</boolean></value>"));

    assert_int_equal(message->params->type, VT_XMLRPC_BOOL);
    assert_false(vt_xmlrpc_bool(message->params, true));
}

static void the_writer_escapes_drops_controls_and_refuses_bytes_that_are_no_utf8(void **state)
{
    (void)state;
    VT_AUTO_BUF(body, 4096);
    struct vt_err err = { 0 };
    struct vt_xmlrpc_writer writer = { .buf = &body, .err = &err };

    vt_xmlrpc_put_string(&writer, "a\x01<b>&\"c\"\n");
    assert_true(vt_xmlrpc_written(&writer));
    assert_string_equal(vt_buf_string(&body, &err),
                        "<value><string>a&lt;b&gt;&amp;&quot;c&quot;\n</string></value>");
    vt_xmlrpc_put_string(&writer, "n\xb0");
    assert_false(vt_xmlrpc_written(&writer));
    assert_int_equal(err.code, VT_E_INVALID);
}

struct gathered {
    unsigned count;
    char last[64];
    unsigned stop_at;
};

static bool gather(void *context, const struct vt_xmlrpc_value *item, struct vt_err *err)
{
    struct gathered *gathered = context;

    snprintf(gathered->last, sizeof gathered->last, "%s",
             vt_xmlrpc_text(vt_xmlrpc_member(item, "ref"), "?"));
    if (++gathered->count == gathered->stop_at)
        return vt_fail(err, VT_E_CANCELLED, "enough");
    return true;
}

static struct vt_xmlrpc_message *stream(const struct vt_buf *body, struct gathered *gathered,
                                        struct vt_err *err)
{
    static const char *const path[] = { "Value", "events" };
    VT_AUTO(vt_xmlrpc_decoder) decoder = vt_xmlrpc_decoder_new(&vt_xmlrpc_stream_limits, err);

    if (!decoder)
        return NULL;
    vt_xmlrpc_decoder_stream(decoder, path, 2, gather, gathered);
    if (!vt_xmlrpc_decoder_push(decoder, body->data, body->size, err))
        return NULL;
    return vt_xmlrpc_decoder_finish(decoder, err);
}

static void events_are_handed_out_one_by_one_and_forgotten(void **state)
{
    (void)state;
    VT_AUTO_BUF(body, 1 << 20);
    struct vt_err err = { 0 };
    struct gathered gathered = { 0 };
    golden("06-2-reply.reply", &body);
    VT_AUTO(vt_xmlrpc_message) message = stream(&body, &gathered, &err);

    assert_non_null(message);
    assert_int_equal(gathered.count, 3);
    assert_string_equal(gathered.last, "OpaqueRef:7a5c0000-0000-4000-8000-000000000031");
    const struct vt_xmlrpc_value *value = vt_xmlrpc_open(message, NULL, &err);
    assert_int_equal(vt_xmlrpc_member(value, "events")->size, 0);
    assert_int_equal(
        vt_xmlrpc_int(vt_xmlrpc_member(vt_xmlrpc_member(value, "valid_ref_counts"), "vm"), 0), 12);
    assert_string_equal(vt_xmlrpc_text(vt_xmlrpc_member(value, "token"), ""),
                        "00000000000000040213,00000000000000000019");
}

static void a_callback_that_fails_ends_the_decoding_with_its_reason(void **state)
{
    (void)state;
    VT_AUTO_BUF(body, 1 << 20);
    struct vt_err err = { 0 };
    struct gathered gathered = { .stop_at = 2 };
    golden("06-2-reply.reply", &body);

    assert_null(stream(&body, &gathered, &err));
    assert_int_equal(err.code, VT_E_CANCELLED);
    assert_int_equal(gathered.count, 2);
}

static void a_failure_is_seen_through_a_stream(void **state)
{
    (void)state;
    VT_AUTO_BUF(body, 1 << 20);
    struct vt_err err = { 0 };
    struct gathered gathered = { 0 };
    golden("02-1-reply.reply", &body);
    VT_AUTO(vt_xmlrpc_message) message = stream(&body, &gathered, &err);

    assert_non_null(message);
    assert_null(vt_xmlrpc_open(message, NULL, &err));
    assert_string_equal(err.xapi_code, "HOST_IS_SLAVE");
    assert_int_equal(gathered.count, 0);
}

static bool stream_work(void *context, struct vt_err *err)
{
    struct gathered gathered = { 0 };
    VT_AUTO(vt_xmlrpc_message) message = stream(context, &gathered, err);

    return message;
}

static bool work(void *context, struct vt_err *err)
{
    const struct vt_buf *body = context;
    VT_AUTO_BUF(again, 1 << 20);
    VT_AUTO(vt_xmlrpc_message) message = vt_xmlrpc_decode(body->data, body->size, err);
    struct vt_xmlrpc_writer writer = { .buf = &again, .err = err, .bare_strings = true };

    if (!message)
        return false;
    vt_xmlrpc_put_message(&writer, message);
    return vt_xmlrpc_written(&writer);
}

static void any_failing_allocation_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    VT_AUTO_BUF(body, 1 << 20);

    golden("06-2-reply.reply", &body);
    assert_true(vt_torture(work, &body) > 5);
    assert_true(vt_torture(stream_work, &body) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_golden_body_is_read_and_written_byte_for_byte),
        cmocka_unit_test(a_record_gives_its_fields_by_name),
        cmocka_unit_test(a_failure_has_its_code_and_parameters),
        cmocka_unit_test(a_finished_task_carries_a_value_of_its_own),
        cmocka_unit_test(a_page_of_html_is_a_protocol_error),
        cmocka_unit_test(a_fault_is_a_protocol_error_and_keeps_its_text),
        cmocka_unit_test(a_reply_without_status_is_a_protocol_error),
        cmocka_unit_test(what_stands_in_the_wrong_place_is_refused),
        cmocka_unit_test(a_document_type_is_refused_before_its_entities_are_read),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(size_and_number_of_values_have_limits),
        cmocka_unit_test(a_name_in_latin1_is_read_beside_one_in_utf8),
        cmocka_unit_test(a_declared_latin1_is_believed_and_other_encodings_are_refused),
        cmocka_unit_test(a_message_in_pieces_of_one_byte_is_the_same_message),
        cmocka_unit_test(every_truncation_of_a_reply_is_refused),
        cmocka_unit_test(white_space_between_tags_is_tolerated),
        cmocka_unit_test(dates_are_read_with_dashes_fractions_and_offsets),
        cmocka_unit_test(doubles_may_be_infinite_or_no_number),
        cmocka_unit_test(the_text_true_counts_as_false),
        cmocka_unit_test(the_writer_escapes_drops_controls_and_refuses_bytes_that_are_no_utf8),
        cmocka_unit_test(events_are_handed_out_one_by_one_and_forgotten),
        cmocka_unit_test(a_callback_that_fails_ends_the_decoding_with_its_reason),
        cmocka_unit_test(a_failure_is_seen_through_a_stream),
        cmocka_unit_test(any_failing_allocation_is_reported_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
