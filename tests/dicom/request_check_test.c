#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "dicom/door.h"
#include "dicom/request.h"
#include "dicom/uids.h"
#include "tests/dicom/request_bytes.h"

static struct request_bytes rb;

static void assert_passes(bool strict)
{
    struct vt_err err = { 0 };

    if (!vt_request_check(rb.bytes, rb.size, strict, &err))
        fail_msg("%s", err.text);
}

static void assert_refused(bool strict, const char *words)
{
    struct vt_err err = { 0 };
    uint8_t *exact = malloc(rb.size); /* so that AddressSanitizer sees a byte too far */

    memcpy(exact, rb.bytes, rb.size);
    assert_false(vt_request_check(exact, rb.size, strict, &err));
    assert_int_equal(err.code, VT_E_PROTOCOL);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
    free(exact);
}

static void a_plain_request_passes(void **state)
{
    (void)state;
    rb_simple(&rb, VT_UID_VERIFICATION);
    assert_passes(true);
}

static void a_request_with_128_contexts_and_all_items_passes(void **state)
{
    (void)state;
    static const char *const many[] = { "1.2.840.10008.1.2", "1.2.840.10008.1.2.1",
                                        "1.2.840.10008.1.2.4.201" };

    rb_start(&rb, "CT1", "VITRINE");
    for (unsigned i = 0; i < 128; i++) {
        char uid[32];
        snprintf(uid, sizeof uid, "1.2.840.10008.5.1.%u", i + 1);
        rb_context(&rb, (uint8_t)(2 * i + 1), uid, many, 3);
    }
    rb_user(&rb, 0);
    rb_item(&rb, 0x53, "\0\1\0\1", 4);
    rb_item(&rb, 0x54,
            "\0\3"
            "1.2"
            "\1\1",
            7);
    rb_item(&rb, 0x54,
            "\0\3"
            "1.3"
            "\0\1",
            7);
    rb_text(&rb, 0x55, "VERSION_1");
    rb_item(&rb, 0x56,
            "\0\3"
            "1.2"
            "\1\0",
            7);
    rb_item(&rb, 0x57,
            "\0\3"
            "1.2"
            "\0\3"
            "1.4"
            "\0\0",
            12);
    rb_item(&rb, 0x58, "\2\1\0\4user\0\4pass", 14);
    assert_passes(true);
}

static void a_trailing_zero_of_a_uid_passes(void **state)
{
    (void)state;
    rb_start(&rb, "CT1", "VITRINE");
    rb_context(&rb, 1, VT_UID_VERIFICATION, rb_implicit, 1);
    rb_user(&rb, 0);
    rb_item(&rb, 0x54,
            "\0\4"
            "1.2\0"
            "\1\1",
            8);
    assert_passes(true);
}

static void lies_about_lengths_are_refused_in_any_mode(void **state)
{
    (void)state;
    for (int strict = 0; strict < 2; strict++) {
        rb_simple(&rb, VT_UID_VERIFICATION);
        vt_put_be32(rb.bytes + 2, (uint32_t)rb.size);
        assert_refused(strict, "not one whole association request");

        rb_simple(&rb, VT_UID_VERIFICATION);
        rb.size = 73;
        assert_refused(strict, "73 bytes");

        rb_simple(&rb, VT_UID_VERIFICATION);
        vt_put_be16(rb.bytes + 76, 0xffff);
        assert_refused(strict, "longer than the association request");

        rb_simple(&rb, VT_UID_VERIFICATION);
        vt_put_be16(rb.bytes + rb.user_at + 6, 0x7fff);
        assert_refused(strict, "user information lies");

        rb_simple(&rb, VT_UID_VERIFICATION);
        vt_put_be16(rb.bytes + 99 + 10, 0xffff);
        assert_refused(strict, "presentation context lies");

        rb_simple(&rb, VT_UID_VERIFICATION);
        rb_item(&rb, 0x58, "\2\1\0\4user\0\5pass", 14);
        assert_refused(strict, "user identity lies");

        rb_simple(&rb, VT_UID_VERIFICATION);
        rb_item(&rb, 0x58, "\1\1\0\4user\0\4pass", 14);
        assert_refused(strict, "user identity of type 1 with a passcode");

        rb_simple(&rb, VT_UID_VERIFICATION);
        rb_item(&rb, 0x54,
                "\0\3"
                "1.2"
                "\1",
                6);
        assert_refused(strict, "item 54H lies");

        rb_simple(&rb, VT_UID_VERIFICATION);
        rb_item(&rb, 0x56,
                "\377\377"
                "1.2",
                5);
        assert_refused(strict, "item 56H lies");

        rb_simple(&rb, VT_UID_VERIFICATION);
        rb.bytes[rb.size++] = 0x55;
        rb_finish(&rb);
        assert_refused(strict, "lies about a length");
    }
}

static void contexts_must_be_lawful(void **state)
{
    (void)state;
    rb_start(&rb, "CT1", "VITRINE");
    rb_user(&rb, 0);
    assert_refused(false, "no presentation context");

    rb_start(&rb, "CT1", "VITRINE");
    rb_context(&rb, 2, VT_UID_VERIFICATION, rb_implicit, 1);
    assert_refused(false, "id 2 is even");

    rb_start(&rb, "CT1", "VITRINE");
    rb_context(&rb, 5, VT_UID_VERIFICATION, rb_implicit, 1);
    rb_context(&rb, 5, VT_UID_CT_IMAGE, rb_implicit, 1);
    assert_refused(false, "id 5 is there twice");

    rb_start(&rb, "CT1", "VITRINE");
    rb_context(&rb, 1, NULL, rb_implicit, 1);
    assert_refused(false, "0 abstract syntaxes");

    rb_start(&rb, "CT1", "VITRINE");
    rb_context(&rb, 1, VT_UID_VERIFICATION, rb_implicit, 0);
    assert_refused(false, "0 transfer syntaxes");
}

static void users_and_application_contexts_are_there_once(void **state)
{
    (void)state;
    rb_start(&rb, "CT1", "VITRINE");
    rb_context(&rb, 1, VT_UID_VERIFICATION, rb_implicit, 1);
    assert_refused(false, "0 user information items");

    rb_start(&rb, "CT1", "VITRINE");
    rb_text(&rb, 0x10, "1.2.3");
    rb_context(&rb, 1, VT_UID_VERIFICATION, rb_implicit, 1);
    rb_user(&rb, 0);
    assert_refused(false, "2 application contexts");

    rb_simple(&rb, VT_UID_VERIFICATION);
    rb_item(&rb, 0x51, "\0\0\100\0", 4);
    assert_refused(false, "user item 51H is there twice");
}

static void answers_do_not_belong_into_a_request(void **state)
{
    (void)state;
    rb_simple(&rb, VT_UID_VERIFICATION);
    rb_item(&rb, 0x59, "\0\0", 2);
    assert_refused(false, "user identity answer");

    rb_start(&rb, "CT1", "VITRINE");
    rb_item(&rb, 0x21, "\1\0\0\0", 4);
    assert_refused(false, "context answer");
}

static void what_the_wild_does_is_a_matter_of_mode(void **state)
{
    (void)state;
    rb_simple(&rb, VT_UID_VERIFICATION);
    rb_title(&rb, 26, "");
    assert_passes(false);
    assert_refused(true, "the calling AE title is blank");

    rb_simple(&rb, VT_UID_VERIFICATION);
    rb_title(&rb, 10, "A\\B");
    assert_passes(false);
    assert_refused(true, "the called AE title has an unlawful character");

    rb_simple(&rb, "1.2.840.x");
    assert_passes(false);
    assert_refused(true, "abstract syntax in the association request is no UID");

    rb_start(&rb, "CT1", "VITRINE");
    rb_context(&rb, 1, VT_UID_VERIFICATION, rb_implicit, 1);
    rb_text(&rb, 0x50, "");
    assert_passes(false);
    assert_refused(true, "no maximum length");
}

static void control_characters_in_a_title_are_refused_in_any_mode(void **state)
{
    (void)state;
    rb_simple(&rb, VT_UID_VERIFICATION);
    rb_title(&rb, 26, "CT\n1");
    assert_refused(false, "unlawful character");
}

static void a_uid_of_65_digits_is_refused(void **state)
{
    (void)state;
    char uid[66] = { 0 };

    memset(uid, '1', 65);
    rb_simple(&rb, uid);
    assert_refused(false, "no UID");
}

static void another_protocol_version_is_refused(void **state)
{
    (void)state;
    rb_simple(&rb, VT_UID_VERIFICATION);
    vt_put_be16(rb.bytes + 6, 2);
    assert_refused(false, "protocol version 0002H");
    assert_false(vt_request_version_fits(rb.bytes, rb.size));
}

static void only_a_pure_echo_counts_as_verification(void **state)
{
    (void)state;
    rb_simple(&rb, VT_UID_VERIFICATION);
    assert_true(vt_request_only_verification(rb.bytes, rb.size));
    rb_start(&rb, "CT1", "VITRINE");
    rb_context(&rb, 1, VT_UID_VERIFICATION, rb_implicit, 1);
    rb_context(&rb, 3, VT_UID_CT_IMAGE, rb_implicit, 1);
    rb_user(&rb, 0);
    assert_false(vt_request_only_verification(rb.bytes, rb.size));
    assert_true(vt_request_application_context_fits(rb.bytes, rb.size));
}

static void titles_are_read_without_their_padding(void **state)
{
    (void)state;
    char title[17];

    vt_request_title((const uint8_t *)"  CT 1          ", title);
    assert_string_equal(title, "CT 1");
    vt_request_title((const uint8_t *)"SIXTEEN-LETTERS!", title);
    assert_string_equal(title, "SIXTEEN-LETTERS!");
    vt_request_title((const uint8_t *)"CT1\0\0\0\0\0\0\0\0\0\0\0\0\0", title);
    assert_string_equal(title, "CT1");
}

/* No byte of a lawful request may lead the check out of bounds, whatever it becomes. */
static void every_single_byte_may_change(void **state)
{
    (void)state;
    static const uint8_t values[] = { 0, 1, 2, 0x10, 0x20, 0x50, 0x7f, 0xff };

    rb_start(&rb, "CT1", "VITRINE");
    rb_context(&rb, 1, VT_UID_VERIFICATION, rb_implicit, 1);
    rb_user(&rb, 0);
    rb_item(&rb, 0x54,
            "\0\3"
            "1.2"
            "\1\1",
            7);
    rb_item(&rb, 0x58, "\2\1\0\4user\0\4pass", 14);
    for (size_t at = 0; at < rb.size; at++)
        for (size_t i = 0; i < sizeof values; i++) {
            struct vt_err err = { 0 };
            uint8_t *exact = malloc(rb.size);
            memcpy(exact, rb.bytes, rb.size);
            exact[at] = values[i];
            bool ok = vt_request_check(exact, rb.size, i % 2, &err);
            assert_int_equal(ok, err.code == VT_OK);
            if (ok)
                vt_request_only_verification(exact, rb.size);
            free(exact);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request_passes),
        cmocka_unit_test(a_request_with_128_contexts_and_all_items_passes),
        cmocka_unit_test(a_trailing_zero_of_a_uid_passes),
        cmocka_unit_test(lies_about_lengths_are_refused_in_any_mode),
        cmocka_unit_test(contexts_must_be_lawful),
        cmocka_unit_test(users_and_application_contexts_are_there_once),
        cmocka_unit_test(answers_do_not_belong_into_a_request),
        cmocka_unit_test(what_the_wild_does_is_a_matter_of_mode),
        cmocka_unit_test(control_characters_in_a_title_are_refused_in_any_mode),
        cmocka_unit_test(a_uid_of_65_digits_is_refused),
        cmocka_unit_test(another_protocol_version_is_refused),
        cmocka_unit_test(only_a_pure_echo_counts_as_verification),
        cmocka_unit_test(titles_are_read_without_their_padding),
        cmocka_unit_test(every_single_byte_may_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
