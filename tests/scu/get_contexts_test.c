#include "scu/get_contexts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "tests/support/torture.h"

#define GET "1.2.840.10008.5.1.4.1.2.2.3"

static const char *const classes[] = { "1.2.1", "1.2.2", "1.2.3" };

/* How many contexts of that class offer that syntax. */
static size_t offers(const struct vt_get_contexts *contexts, const char *sop_class,
                     const char *syntax, bool alone)
{
    size_t found = 0;

    for (size_t i = 1; i < contexts->count; i++) {
        const struct vt_propose *proposal = &contexts->proposals[i];
        for (size_t j = 0; j < proposal->transfer_syntax_count; j++)
            found += strcmp(proposal->abstract_syntax, sop_class) == 0 &&
                     strcmp(proposal->transfer_syntaxes[j], syntax) == 0 &&
                     (!alone || proposal->transfer_syntax_count == 1);
    }
    return found;
}

static void the_service_comes_first_and_classes_want_the_scp_role(void **state)
{
    (void)state;
    struct vt_get_contexts contexts;
    struct vt_err err = { 0 };

    assert_true(vt_get_contexts_make(&contexts, GET, classes, 2, &err));
    assert_string_equal(contexts.proposals[0].abstract_syntax, GET);
    assert_int_equal(contexts.proposals[0].role, VT_ROLE_DEFAULT);
    for (size_t i = 1; i < contexts.count; i++)
        assert_int_equal(contexts.proposals[i].role, VT_ROLE_SCP);
    vt_get_contexts_fini(&contexts);
}

static void few_classes_get_a_context_for_every_syntax(void **state)
{
    (void)state;
    struct vt_get_contexts contexts;
    struct vt_err err = { 0 };
    const struct vt_transfer_syntax *syntax;

    assert_true(vt_get_contexts_make(&contexts, GET, classes, 2, &err));
    for (size_t i = 0; (syntax = vt_transfer_syntax_at(i)); i++)
        assert_int_equal(offers(&contexts, "1.2.2", syntax->uid, true), 1);
    vt_get_contexts_fini(&contexts);
}

static void many_classes_are_all_offered_within_128_contexts(void **state)
{
    (void)state;
    static char text[200][16];
    const char *many[200];
    struct vt_get_contexts contexts;
    struct vt_err err = { 0 };

    for (int i = 0; i < 200; i++) {
        snprintf(text[i], sizeof text[i], "1.2.%d", i);
        many[i] = text[i];
    }
    for (size_t count = 1; count <= 127; count++) {
        assert_true(vt_get_contexts_make(&contexts, GET, many, count, &err));
        assert_in_range(contexts.count, count + 1, VT_CONTEXTS_MAX);
        assert_true(offers(&contexts, many[count - 1], VT_UID_EXPLICIT_LE, false) == 1);
        assert_true(offers(&contexts, many[count - 1], "1.2.840.10008.1.2.4.90", false) == 1);
        vt_get_contexts_fini(&contexts);
    }
    assert_true(vt_get_contexts_make(&contexts, GET, many, 200, &err));
    assert_int_equal(contexts.count, VT_CONTEXTS_MAX);
    vt_get_contexts_fini(&contexts);
}

static bool make_some(void *context, struct vt_err *err)
{
    struct vt_get_contexts contexts;
    bool made = vt_get_contexts_make(&contexts, GET, classes, 3, err);

    (void)context;
    vt_get_contexts_fini(&contexts);
    return made;
}

static void making_contexts_survives_every_failed_allocation(void **state)
{
    (void)state;
    assert_true(vt_torture(make_some, NULL) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_service_comes_first_and_classes_want_the_scp_role),
        cmocka_unit_test(few_classes_get_a_context_for_every_syntax),
        cmocka_unit_test(many_classes_are_all_offered_within_128_contexts),
        cmocka_unit_test(making_contexts_survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
