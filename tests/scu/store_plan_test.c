#include "scu/store_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "tests/support/torture.h"

#define JPEG_BASELINE "1.2.840.10008.1.2.4.50"
#define HTJ2K "1.2.840.10008.1.2.4.201"
#define JPEG_LOSSLESS "1.2.840.10008.1.2.4.70"

static size_t add(struct vt_store_plan *plan, const char *sop_class, const char *syntax)
{
    struct vt_err err = { 0 };
    size_t pair = SIZE_MAX;

    assert_true(vt_store_plan_pair(plan, sop_class, syntax, &pair, &err));
    return pair;
}

static void the_same_class_and_syntax_are_one_pair(void **state)
{
    (void)state;
    struct vt_store_plan plan = { 0 };

    size_t first = add(&plan, "1.2.3", VT_UID_EXPLICIT_LE);
    size_t second = add(&plan, "1.2.3", JPEG_BASELINE);
    assert_int_not_equal(first, second);
    assert_int_equal(add(&plan, "1.2.3", VT_UID_EXPLICIT_LE), first);
    assert_int_equal(plan.pair_count, 2);
    vt_store_plan_fini(&plan);
}

static void each_pair_is_proposed_in_its_stored_syntax(void **state)
{
    (void)state;
    struct vt_store_plan plan = { 0 };
    struct vt_propose out[VT_CONTEXTS_MAX];

    add(&plan, "1.2.3", HTJ2K);
    assert_int_equal(vt_store_plan_propose(&plan, 0, out), 1);
    assert_string_equal(out[0].abstract_syntax, "1.2.3");
    assert_int_equal(out[0].transfer_syntax_count, 1);
    assert_string_equal(out[0].transfer_syntaxes[0], HTJ2K);
    vt_store_plan_fini(&plan);
}

static void what_can_be_re_encoded_adds_one_plain_context_a_class(void **state)
{
    (void)state;
    struct vt_store_plan plan = { 0 };
    struct vt_propose out[VT_CONTEXTS_MAX];

    add(&plan, "1.2.3", VT_UID_EXPLICIT_LE);
    add(&plan, "1.2.3", JPEG_LOSSLESS);
    assert_int_equal(vt_store_plan_propose(&plan, 0, out), 3);
    assert_int_equal(out[1].transfer_syntax_count, 2);
    assert_string_equal(out[1].transfer_syntaxes[1], VT_UID_IMPLICIT_LE);
    assert_string_equal(out[2].transfer_syntaxes[0], JPEG_LOSSLESS);
    vt_store_plan_fini(&plan);
}

static void a_row_says_what_instances_become(void **state)
{
    (void)state;
    struct vt_transcoding row = { .lossy = true };
    struct vt_store_plan plan = { .transcoding = &row };
    struct vt_propose out[VT_CONTEXTS_MAX];
    struct vt_err err = { 0 };

    assert_true(vt_transcoding_read("jpeg, 1.2.840.10008.1.2.4.90 rle", &row, &err));
    add(&plan, "1.2.3", VT_UID_EXPLICIT_LE);
    assert_int_equal(vt_store_plan_propose(&plan, 0, out), 2);
    assert_int_equal(out[1].transfer_syntax_count, 3);
    assert_string_equal(out[1].transfer_syntaxes[0], JPEG_BASELINE);
    assert_string_equal(out[1].transfer_syntaxes[1], "1.2.840.10008.1.2.4.90");
    vt_store_plan_fini(&plan);

    assert_true(vt_transcoding_read("never", &row, &err));
    add(&plan, "1.2.3", VT_UID_EXPLICIT_LE);
    assert_int_equal(vt_store_plan_propose(&plan, 0, out), 1);
    vt_store_plan_fini(&plan);

    assert_false(vt_transcoding_read("explicit, gzip", &row, &err));
    assert_int_equal(err.code, VT_E_INVALID);
}

static void only_what_is_read_here_is_transcoded(void **state)
{
    (void)state;
    static const struct vt_transcoding jpeg = { .syntaxes = { JPEG_BASELINE }, .count = 1 };
    struct vt_store_plan plan = { 0 }, lossless = { .transcoding = &jpeg };

    assert_true(vt_store_can_transcode(&plan, VT_UID_IMPLICIT_LE));
    assert_true(vt_store_can_transcode(&plan, JPEG_LOSSLESS));
    assert_true(vt_store_can_transcode(&plan, JPEG_BASELINE));
    assert_false(vt_store_can_transcode(&plan, "1.2.840.10008.1.2.4.201"));
    assert_false(vt_store_can_transcode(&plan, "1.2.3.4"));
    assert_false(vt_store_can_transcode(&lossless, VT_UID_IMPLICIT_LE));
}

static void more_contexts_than_an_association_has_make_more_batches(void **state)
{
    (void)state;
    struct vt_store_plan plan = { 0 };
    struct vt_propose out[VT_CONTEXTS_MAX];
    size_t alone = 0;
    char uid[VT_UID_MAX + 1];

    for (int i = 0; i < 300; i++) {
        snprintf(uid, sizeof uid, "1.2.%d", i);
        add(&plan, uid, i % 2 ? VT_UID_EXPLICIT_LE : HTJ2K);
    }
    assert_int_equal(plan.batch_count, 4); /* 450 contexts */
    for (uint32_t batch = 0; batch < plan.batch_count; batch++) {
        size_t count = vt_store_plan_propose(&plan, batch, out);
        assert_in_range(count, 1, VT_CONTEXTS_MAX);
        for (size_t i = 0; i < count; i++)
            alone += out[i].transfer_syntax_count == 1;
    }
    assert_int_equal(alone, 300);
    vt_store_plan_fini(&plan);
}

static bool plan_some(void *context, struct vt_err *err)
{
    struct vt_store_plan plan = { 0 };
    size_t pair;
    char uid[VT_UID_MAX + 1];
    bool fine = true;

    (void)context;
    for (int i = 0; i < 20 && fine; i++) {
        snprintf(uid, sizeof uid, "1.2.%d", i);
        fine = vt_store_plan_pair(&plan, uid, VT_UID_EXPLICIT_LE, &pair, err);
    }
    vt_store_plan_fini(&plan);
    return fine;
}

static void planning_survives_every_failed_allocation(void **state)
{
    (void)state;
    assert_true(vt_torture(plan_some, NULL) >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_class_and_syntax_are_one_pair),
        cmocka_unit_test(each_pair_is_proposed_in_its_stored_syntax),
        cmocka_unit_test(what_can_be_re_encoded_adds_one_plain_context_a_class),
        cmocka_unit_test(a_row_says_what_instances_become),
        cmocka_unit_test(only_what_is_read_here_is_transcoded),
        cmocka_unit_test(more_contexts_than_an_association_has_make_more_batches),
        cmocka_unit_test(planning_survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
