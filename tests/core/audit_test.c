/* The audit trail: XML that says what was given and nothing else, a file with a message a line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/audit.h"
#include "core/buf.h"
#include "core/err.h"
#include "tests/support/torture.h"

static struct vt_audit_message message(void)
{
    return (struct vt_audit_message){
        .event = VT_AUDIT_QUERY,
        .action = 'E',
        .participants = { { .user = "CT\"1<", .ae_title = "CT1", .network = "10.0.0.1", .requestor = true } },
        .objects = { { .kind = VT_AUDIT_PATIENT, .id = "P&1", .name = "M\xc3\xbcller^Anna\xff\n" },
                     { .kind = VT_AUDIT_QUERIED, .id = "1.2", .query = (const uint8_t *)"abcd", .query_size = 4 } },
    };
}

static void text_of_others_stays_text(void **state)
{
    VT_AUTO_BUF(out, VT_AUDIT_MESSAGE_MAX);
    struct vt_audit_message m = message();
    struct vt_err err = { 0 };

    (void)state;
    assert_true(vt_audit_xml(&m, "VITRINE", 0, &out, &err));
    const char *xml = vt_buf_string(&out, &err);
    assert_non_null(strstr(xml, "UserID=\"CT&quot;1&lt;\""));
    assert_non_null(strstr(xml, "ParticipantObjectID=\"P&amp;1\""));
    assert_non_null(strstr(xml, "<ParticipantObjectName>M\xc3\xbcller^Anna?" "?</ParticipantObjectName>"));
    assert_non_null(strstr(xml, "<ParticipantObjectQuery>YWJjZA==</ParticipantObjectQuery>"));
    assert_non_null(strstr(xml, "EventDateTime=\"1970-01-01T00:00:00.000Z\""));
    assert_non_null(strstr(xml, "csd-code=\"110112\" codeSystemName=\"DCM\" originalText=\"Query\""));
}

static void a_file_gets_a_line_for_each_message(void **state)
{
    char target[] = "file:/tmp/vt-audit-XXXXXX", line[8192];
    struct vt_err err = { 0 };
    struct vt_audit_message m = message();
    const struct vt_audit_options options = { .target = target, .source = "VITRINE" };
    int fd = mkstemp(target + 5);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    struct vt_audit *audit = vt_audit_open(&options, &err);
    assert_non_null(audit);
    for (int i = 0; i < 3; i++)
        vt_audit_write(audit, &m);
    vt_audit_free(audit);
    FILE *file = fopen(target + 5, "re");
    int lines = 0;
    while (fgets(line, sizeof line, file)) {
        assert_memory_equal(line, "<?xml", 5);
        lines++;
    }
    fclose(file);
    unlink(target + 5);
    assert_int_equal(lines, 3);
}

static void a_target_that_makes_no_sense_is_refused(void **state)
{
    static const char *const targets[] = { "", "file:relative", "udp:nohost", "carrier-pigeon", "send" };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(targets); i++) {
        const struct vt_audit_options options = { .target = targets[i], .source = "VITRINE" };
        struct vt_err err = { 0 };
        assert_null(vt_audit_open(&options, &err));
        assert_int_equal(err.code, VT_E_INVALID);
    }
}

static void nobody_has_to_ask_whether_there_is_a_trail(void **state)
{
    struct vt_audit_message m = message();

    (void)state;
    vt_audit_write(NULL, &m);
    vt_audit_free(NULL);
}

static bool make_xml(void *context, struct vt_err *err)
{
    VT_AUTO_BUF(out, VT_AUDIT_MESSAGE_MAX);
    struct vt_audit_message m = message();

    (void)context;
    return vt_audit_xml(&m, "VITRINE", 0, &out, err);
}

static void a_lack_of_memory_is_only_that(void **state)
{
    (void)state;
    assert_true(vt_torture(make_xml, NULL) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_others_stays_text),
        cmocka_unit_test(a_file_gets_a_line_for_each_message),
        cmocka_unit_test(a_target_that_makes_no_sense_is_refused),
        cmocka_unit_test(nobody_has_to_ask_whether_there_is_a_trail),
        cmocka_unit_test(a_lack_of_memory_is_only_that),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
