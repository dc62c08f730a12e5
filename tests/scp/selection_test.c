#include "scp/selection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "archive/attributes.h"
#include "archive/index.h"
#include "archive/query.h"
#include "core/err.h"
#include "dicom/tags.h"
#include "tests/support/torture.h"

enum { SLICES = 3 };

static void put(struct vt_index *index, const char *study, unsigned number, const char *sop_class,
                const char *syntax)
{
    struct vt_instance instance;
    struct vt_err err = { 0 };
    char text[16];
    unsigned flags;

    vt_instance_init(&instance);
    snprintf(instance.study_uid, sizeof instance.study_uid, "%s", study);
    snprintf(instance.series_uid, sizeof instance.series_uid, "%s.1", study);
    snprintf(instance.sop_uid, sizeof instance.sop_uid, "%s.1.%u", study, number);
    snprintf(instance.sop_class, sizeof instance.sop_class, "%s", sop_class);
    snprintf(instance.transfer_syntax, sizeof instance.transfer_syntax, "%s", syntax);
    snprintf(instance.file, sizeof instance.file, "objects/%u.dcm", number);
    instance.version = 1;
    snprintf(text, sizeof text, "%u", number);
    assert_true(vt_attributes_append(&instance.attributes[VT_LEVEL_PATIENT], VT_TAG_PATIENT_ID,
                                     "LO", "P1", 2, &err));
    assert_true(vt_attributes_append(&instance.attributes[VT_LEVEL_IMAGE], VT_TAG_INSTANCE_NUMBER,
                                     "IS", text, strlen(text), &err));
    if (!vt_index_put(index, &instance, &flags, &err))
        fail_msg("%s", err.text);
    vt_instance_fini(&instance);
}

static int set_up(void **state)
{
    struct vt_index_options options = { .path = "." };
    struct vt_err err = { 0 };
    struct vt_index *index = vt_index_open(&vt_index_memory, &options, &err);

    if (!index || !vt_index_begin(index, &err))
        return -1;
    for (unsigned i = SLICES; i > 0; i--)
        put(index, "1.2.3", i, VT_UID_CT_IMAGE, i == 2 ? VT_UID_IMPLICIT_LE : VT_UID_EXPLICIT_LE);
    put(index, "1.2.4", 1, VT_UID_WHOLE_SLIDE, VT_UID_EXPLICIT_LE);
    *state = index;
    return vt_index_commit(index, 1, &err) ? 0 : -1;
}

static int tear_down(void **state)
{
    vt_index_free(*state);
    return 0;
}

static struct vt_selection *select_study(struct vt_index *index, const char *word,
                                         struct vt_err *err)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT, .retrieve = true };
    const char *const words[] = { word };

    VT_AUTO(vt_query) query = vt_query_from_words(VT_LEVEL_STUDY, words, 1, &rules, err);
    if (!query)
        return NULL;
    VT_AUTO(vt_plan) plan = vt_plan_make(query, err);
    return plan ? vt_selection_new(index, plan, err) : NULL;
}

static void a_selection_has_the_instances_in_order(void **state)
{
    struct vt_err err = { 0 };
    VT_AUTO(vt_selection) selection = select_study(*state, "StudyInstanceUID=1.2.3", &err);

    assert_non_null(selection);
    assert_int_equal(vt_selection_count(selection), SLICES);
    assert_string_equal(vt_selection_sop_uid(selection, 0), "1.2.3.1.1");
    assert_string_equal(vt_selection_sop_uid(selection, 2), "1.2.3.1.3");
    assert_string_equal(vt_selection_sop_class(selection, 1), VT_UID_CT_IMAGE);
    assert_string_equal(vt_selection_transfer_syntax(selection, 1), VT_UID_IMPLICIT_LE);
    assert_string_equal(vt_selection_transfer_syntax(selection, 2), VT_UID_EXPLICIT_LE);
}

static void several_studies_are_one_selection(void **state)
{
    struct vt_err err = { 0 };
    VT_AUTO(vt_selection) selection = select_study(*state, "StudyInstanceUID=1.2.3\\1.2.4", &err);

    assert_non_null(selection);
    assert_int_equal(vt_selection_count(selection), SLICES + 1);
}

static void nothing_that_matches_is_an_empty_selection(void **state)
{
    struct vt_err err = { 0 };
    VT_AUTO(vt_selection) selection = select_study(*state, "StudyInstanceUID=1.2.9", &err);

    assert_non_null(selection);
    assert_int_equal(vt_selection_count(selection), 0);
}

static bool select_and_free(void *context, struct vt_err *err)
{
    VT_AUTO(vt_selection) selection = select_study(context, "StudyInstanceUID=1.2.3", err);

    return selection != NULL;
}

static void a_failing_allocation_leaves_nothing_behind(void **state)
{
    assert_true(vt_torture(select_and_free, *state) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_selection_has_the_instances_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(several_studies_are_one_selection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_that_matches_is_an_empty_selection, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_failing_allocation_leaves_nothing_behind, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
