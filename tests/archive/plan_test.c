#include "tests/archive/identifier.h"

#include "archive/keys.h"

/* "column operation value[,value]" of each condition, "!" behind what is not exact, "?" when empty
 * ones match, joined by "; ", and
 * "+residue" when something is left to match on rows. */
static const char *plan_of(const struct vt_query_rules *rules, enum vt_level level,
                           const char *const *words)
{
    static const char *const operations[] = { "=", "prefix", "like", "in" };
    static char text[1024];
    struct vt_err err = { 0 };
    size_t count = 0;

    while (words[count])
        count++;
    VT_AUTO(vt_query) query = vt_query_from_words(level, words, count, rules, &err);
    if (!query)
        fail_msg("%s", err.text);
    VT_AUTO(vt_plan) plan = vt_plan_make(query, &err);
    const struct vt_condition *conditions = vt_plan_conditions(plan, &count);
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const struct vt_condition *c = &conditions[i];
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d %s ", i ? "; " : "",
                                 (int)c->column, operations[c->operation]);
        for (size_t v = 0; v < c->value_count; v++)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", v ? "," : "",
                                     c->values[v]);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", c->exact ? "" : "!",
                                 c->or_empty ? "?" : "");
    }
    if (vt_plan_has_residue(plan))
        snprintf(text + used, sizeof text - used, " +residue");
    return text;
}

#define PLAN(rules, level, ...) plan_of(rules, level, (const char *const[]){ __VA_ARGS__, NULL })

static void conditions_say_what_a_driver_can_search_for(void **state)
{
    static const struct {
        const char *word;
        int column;
        const char *rest;
    } rows[] = {
        { "PatientID=P1", VT_COL_PATIENT_ID, "= P1" },
        { "PatientID=P1\\P2", VT_COL_PATIENT_ID, "= P1,P2" },
        { "PatientID=P*", VT_COL_PATIENT_ID, "prefix P" },
        { "PatientName=Smith^John", VT_COL_PATIENT_NAME, "= smith^john" },
        { "PatientName=*MIT*", VT_COL_PATIENT_NAME, "like *mit*" },
        { "PatientName=Smith=山田", VT_COL_PATIENT_NAME, "= smith! +residue" },
        { "StudyDate=20200101", VT_COL_STUDY_DATE, "= 20200101" },
        { "StudyDate=2020.01.01-20200131", VT_COL_STUDY_DATE, "in 20200101,20200131" },
        { "StudyDate=20200101-", VT_COL_STUDY_DATE, "in 20200101," },
        { "StudyDate=never", VT_COL_STUDY_DATE, "= " },
        { "StudyTime=10-11", VT_COL_STUDY_TIME, "in 100000.000000,115959.999999" },
        { "StudyInstanceUID=1.3\\1.2\\1.3", VT_COL_STUDY_UID, "= 1.2,1.3" },
        { "StudyInstanceUID=1.*", VT_COL_STUDY_UID, "= " },
        { "ModalitiesInStudy=CT\\MR", VT_COL_STUDY_MODALITIES, "= CT,MR" },
    };
    const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(rows); i++) {
        char expected[200];
        snprintf(expected, sizeof expected, "%d %s", rows[i].column, rows[i].rest);
        assert_string_equal(PLAN(&rules, VT_LEVEL_STUDY, rows[i].word), expected);
    }
    assert_string_equal(PLAN(&rules, VT_LEVEL_STUDY, "StudyDate", "PatientName=*"), "");
}

static void a_pattern_with_a_literal_beginning_has_both_conditions(void **state)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT };
    char expected[100];

    (void)state;
    snprintf(expected, sizeof expected, "%d prefix sm; %d like sm?th*", VT_COL_PATIENT_NAME,
             VT_COL_PATIENT_NAME);
    assert_string_equal(PLAN(&rules, VT_LEVEL_STUDY, "PatientName=Sm?th*"), expected);
}

static void what_no_driver_knows_is_left_to_the_rows(void **state)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT };
    const struct vt_query_rules fuzzy = { .model = VT_MODEL_STUDY_ROOT, .fuzzy = true };

    (void)state;
    assert_string_equal(PLAN(&rules, VT_LEVEL_SERIES, "BodyPartExamined=HEAD"), " +residue");
    assert_string_equal(PLAN(&rules, VT_LEVEL_STUDY, "StudyDate=20200101-20200102\\20210101"),
                        " +residue");
    assert_string_equal(PLAN(&fuzzy, VT_LEVEL_STUDY, "PatientName=smith"), " +residue");
    assert_string_equal(PLAN(&rules, VT_LEVEL_SERIES, "SeriesNumber=1.5"), " +residue");
}

static void required_keys_match_unknown_values_only_when_told(void **state)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT, .match_unknown = true };
    char expected[100];

    (void)state;
    snprintf(expected, sizeof expected, "%d = A?", VT_COL_STUDY_ACCESSION);
    assert_string_equal(PLAN(&rules, VT_LEVEL_STUDY, "AccessionNumber=A"), expected);
    snprintf(expected, sizeof expected, "%d = A", VT_COL_STUDY_DESCRIPTION);
    assert_string_equal(PLAN(&rules, VT_LEVEL_STUDY, "StudyDescription=A"), expected);
}

static void one_interval_leads_by_its_days(void **state)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT,
                                          .combined_date_time = true };
    char expected[200];

    (void)state;
    snprintf(expected, sizeof expected, "%d in 20060705,20060707! +residue", VT_COL_STUDY_DATE);
    assert_string_equal(
        PLAN(&rules, VT_LEVEL_STUDY, "StudyDate=20060705-20060707", "StudyTime=1000-1800"),
        expected);
    snprintf(expected, sizeof expected, "%d in 20060705,20060707; %d in 100000.000000,",
             VT_COL_STUDY_DATE, VT_COL_STUDY_TIME);
    assert_string_equal(
        PLAN(&rules, VT_LEVEL_STUDY, "StudyDate=20060705-20060707", "StudyTime=1000-"), expected);
}

static void strict_hierarchies_match_their_own_level_only(void **state)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT, .strict = true };
    char expected[100];

    (void)state;
    snprintf(expected, sizeof expected, "%d = 1.2", VT_COL_STUDY_UID);
    assert_string_equal(PLAN(&rules, VT_LEVEL_SERIES, "StudyInstanceUID=1.2", "AccessionNumber=A"),
                        expected);
}

static void a_retrieve_uses_unique_keys_only(void **state)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT, .retrieve = true };
    char expected[100];

    (void)state;
    snprintf(expected, sizeof expected, "%d = 1.2", VT_COL_STUDY_UID);
    assert_string_equal(PLAN(&rules, VT_LEVEL_STUDY, "StudyInstanceUID=1.2", "StudyDate=20200101"),
                        expected);
}

static void a_plan_tells_which_counts_are_wanted(void **state)
{
    const char *const words[] = { "NumberOfPatientRelatedStudies" };
    const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT };
    struct vt_err err = { 0 };

    (void)state;
    VT_AUTO(vt_query) query = vt_query_from_words(VT_LEVEL_STUDY, words, 1, &rules, &err);
    VT_AUTO(vt_plan) plan = vt_plan_make(query, &err);
    assert_true(vt_plan_wants(plan, VT_TAG_PATIENT_RELATED_STUDIES));
    assert_false(vt_plan_wants(plan, VT_TAG_STUDY_RELATED_SERIES));
    assert_int_equal(vt_plan_order(plan), VT_ORDER_STANDARD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_say_what_a_driver_can_search_for),
        cmocka_unit_test(a_pattern_with_a_literal_beginning_has_both_conditions),
        cmocka_unit_test(what_no_driver_knows_is_left_to_the_rows),
        cmocka_unit_test(required_keys_match_unknown_values_only_when_told),
        cmocka_unit_test(one_interval_leads_by_its_days),
        cmocka_unit_test(strict_hierarchies_match_their_own_level_only),
        cmocka_unit_test(a_retrieve_uses_unique_keys_only),
        cmocka_unit_test(a_plan_tells_which_counts_are_wanted),
    };

    return cmocka_run_group_tests(tests, load_dictionary, NULL);
}
