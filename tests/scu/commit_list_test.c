/* The information of storage commitment: what is encoded is what is decoded, and nonsense has the
 * standard's status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "scu/commit.h"
#include "tests/support/torture.h"

static void fill(struct vt_commit_list *list)
{
    struct vt_err err = { 0 };

    snprintf(list->transaction_uid, sizeof list->transaction_uid, "1.9.1");
    assert_true(vt_commit_list_add(list, VT_UID_CT_IMAGE, "1.2.1", 0, &err));
    assert_true(vt_commit_list_add(list, VT_UID_CT_IMAGE, "1.2.2", 0x0112, &err));
    assert_true(vt_commit_list_add(list, VT_UID_CT_IMAGE, "1.2.3", 0, &err));
}

static void a_list_comes_back_in_both_encodings(void **state)
{
    static const enum vt_encoding encodings[] = { VT_EXPLICIT_LE, VT_IMPLICIT_LE };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct vt_commit_list list = { .count = 0 }, back = { .count = 0 };
        VT_AUTO_BUF(bytes, 10000);
        struct vt_err err = { 0 };
        fill(&list);
        assert_true(vt_commit_encode(&list, "VITRINE", encodings[i], &bytes, &err));
        assert_true(vt_commit_decode(bytes.data, bytes.size, encodings[i], &back, &err));
        assert_string_equal(back.transaction_uid, "1.9.1");
        assert_int_equal(back.count, 3);
        assert_int_equal(vt_commit_list_failed(&back), 1);
        assert_string_equal(back.items[2].sop_uid, "1.2.2");
        assert_int_equal(back.items[2].reason, 0x0112);
        vt_commit_list_fini(&list);
        vt_commit_list_fini(&back);
    }
}

static void an_empty_sequence_is_left_out(void **state)
{
    struct vt_commit_list list = { .count = 0 };
    VT_AUTO_BUF(bytes, 10000);
    struct vt_element element;
    struct vt_err err = { 0 };

    (void)state;
    snprintf(list.transaction_uid, sizeof list.transaction_uid, "1.9.1");
    assert_true(vt_commit_list_add(&list, VT_UID_CT_IMAGE, "1.2.1", 0, &err));
    assert_true(vt_commit_encode(&list, NULL, VT_EXPLICIT_LE, &bytes, &err));
    assert_false(vt_element_find(bytes.data, bytes.size, VT_EXPLICIT_LE,
                                 VT_TAG_FAILED_SOP_SEQUENCE, &element));
    assert_false(
        vt_element_find(bytes.data, bytes.size, VT_EXPLICIT_LE, VT_TAG_RETRIEVE_AE_TITLE, &element));
    vt_commit_list_fini(&list);
}

static uint16_t status_of(const struct vt_buf *bytes)
{
    struct vt_commit_list list = { .count = 0 };
    struct vt_err err = { 0 };

    assert_false(vt_commit_decode(bytes->data, bytes->size, VT_EXPLICIT_LE, &list, &err));
    vt_commit_list_fini(&list);
    return err.dimse_status;
}

static void an_instance_twice_is_an_invalid_argument(void **state)
{
    struct vt_commit_list list = { .count = 0 };
    VT_AUTO_BUF(bytes, 10000);
    struct vt_err err = { 0 };

    (void)state;
    fill(&list);
    memcpy(list.items[2].sop_uid, "1.2.1", 6);
    assert_true(vt_commit_encode(&list, NULL, VT_EXPLICIT_LE, &bytes, &err));
    assert_int_equal(status_of(&bytes), 0x0115);
    vt_commit_list_fini(&list);
}

static void nothing_asked_and_bytes_cut_off_are_told_apart(void **state)
{
    struct vt_commit_list list = { .count = 0 };
    VT_AUTO_BUF(bytes, 10000);
    struct vt_err err = { 0 };
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE };

    (void)state;
    assert_true(vt_write_text(&w, VT_TAG_TRANSACTION_UID, "UI", "1.9.1", &err));
    assert_int_equal(status_of(&bytes), 0x0115);
    vt_buf_reset(&bytes);
    fill(&list);
    assert_true(vt_commit_encode(&list, NULL, VT_EXPLICIT_LE, &bytes, &err));
    bytes.size -= 3;
    memset(bytes.data + bytes.size - 4, 0xff, 4);
    assert_int_equal(status_of(&bytes), 0x0212);
    vt_commit_list_fini(&list);
}

static bool there_and_back(void *context, struct vt_err *err)
{
    struct vt_commit_list list = { .transaction_uid = "1.9.1" }, back = { .count = 0 };
    VT_AUTO_BUF(bytes, 100000);
    char uid[32];
    bool ok = true;

    (void)context;
    for (unsigned i = 0; ok && i < 200; i++) {
        snprintf(uid, sizeof uid, "1.2.3.%u", i);
        ok = vt_commit_list_add(&list, VT_UID_CT_IMAGE, uid, i % 2 ? 0x0110 : 0, err);
    }
    ok = ok && vt_commit_encode(&list, "VITRINE", VT_IMPLICIT_LE, &bytes, err) &&
         vt_commit_decode(bytes.data, bytes.size, VT_IMPLICIT_LE, &back, err);
    vt_commit_list_fini(&list);
    vt_commit_list_fini(&back);
    return ok;
}

static void a_lack_of_memory_is_only_that(void **state)
{
    (void)state;
    assert_true(vt_torture(there_and_back, NULL) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_comes_back_in_both_encodings),
        cmocka_unit_test(an_empty_sequence_is_left_out),
        cmocka_unit_test(an_instance_twice_is_an_invalid_argument),
        cmocka_unit_test(nothing_asked_and_bytes_cut_off_are_told_apart),
        cmocka_unit_test(a_lack_of_memory_is_only_that),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
