/* tests/archive/index_contract_find.h: what every driver finds, as index_contract.h. */
#pragma once

#include "tests/archive/index_world.h"

static struct vt_row first_row(struct world *world, enum vt_level level, const char *const *words,
                               struct vt_query **out_query, struct vt_plan **out_plan,
                               struct vt_cursor **out_cursor)
{
    struct vt_err err = { 0 };
    struct vt_row row = { 0 };
    size_t count = 0;
    bool more = false;

    while (words[count])
        count++;
    *out_query = vt_query_from_words(level, words, count,
                                     &(struct vt_query_rules){ .model = VT_MODEL_NONE }, &err);
    assert_non_null(*out_query);
    *out_plan = vt_plan_make(*out_query, &err);
    *out_cursor = vt_index_find(world->index, *out_plan, &err);
    assert_non_null(*out_cursor);
    assert_true(vt_cursor_next(*out_cursor, &row, &more, &err));
    assert_true(more);
    return row;
}

static void a_study_row_has_its_counts_modalities_and_classes(void **state)
{
    struct world *world = *state;
    const char *const words[] = { "StudyInstanceUID=1.1", "NumberOfPatientRelatedStudies",
                                  "NumberOfPatientRelatedInstances", NULL };
    struct vt_query *query;
    struct vt_plan *plan;
    struct vt_cursor *cursor;

    fill(world);
    struct vt_row row = first_row(world, VT_LEVEL_STUDY, words, &query, &plan, &cursor);
    assert_int_equal(row.study_series, 2);
    assert_int_equal(row.study_instances, 3);
    assert_int_equal(row.patient_studies, 2);
    assert_int_equal(row.patient_instances, 4);
    assert_string_equal(row.modalities, "CT\\SR");
    assert_string_equal(row.sop_classes, VT_UID_CT_IMAGE "\\1.2.840.10008.5.1.4.1.1.88.11");
    assert_string_equal(row.patient_id, "P1");
    assert_string_equal(row.availability, "ONLINE");
    vt_cursor_free(cursor);
    vt_plan_free(plan);
    vt_query_free(query);
}

static void keys_of_every_kind_find_their_studies(void **state)
{
    struct world *world = *state;

    fill(world);
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientID=P1"), "1.2;1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientID=P1\\P2"), "1.3;1.2;1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientID=P?"), "1.3;1.2;1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientID=p1"), "");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "StudyInstanceUID=1.1"), "1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "StudyInstanceUID=1.1\\1.3\\7.7"), "1.3;1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "StudyInstanceUID=1.*"), "");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "AccessionNumber=A2"), "1.2");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "AccessionNumber=A*"), "1.2;1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "StudyID=S3"), "1.3");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "StudyDate=20200110"), "1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "StudyDate=20200110-20200112"), "1.2;1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "StudyDate=-20200111"), "1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "StudyDate=20200112-"), "1.3;1.2");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "StudyTime=0800"), "1.2");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "StudyTime=1000-2359"), "1.3;1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "StudyDescription=*ead*"), "1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "StudyDescription=head ct"), "");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "ModalitiesInStudy=SR"), "1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "ModalitiesInStudy=MR\\SR"), "1.3;1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientBirthDate=19800202"), "1.3");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "StudyDate"), "1.3;1.2;1.1");
}

static void names_are_found_folded_by_whole_prefix_and_infix(void **state)
{
    struct world *world = *state;

    fill(world);
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=smith*"), "1.2;1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=SMITH^JOHN"), "1.2;1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=SMITH"), "");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=*MIT*"), "1.2;1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=*mi*"), "1.2;1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=S?ITH^*"), "1.2;1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=muller^eva"), "1.3");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=*ÜLLER*"), "1.3");
    assert_string_equal(ASK(world, VT_LEVEL_PATIENT, "PatientName=mul*"), "P2");
    assert_string_equal(ASK(world, VT_LEVEL_PATIENT, "PatientName=*MIT*"), "P1");
    assert_string_equal(ASK(world, VT_LEVEL_PATIENT, "PatientName=*"), "P2;P1");
}

static void each_component_group_of_a_name_is_found_once(void **state)
{
    struct world *world = *state;
    struct made yamada = small[0];

    yamada.name = "Yamada^Tarou=山田^太郎=やまだ^たろう";
    put(world, &yamada);
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=yamada*"), "1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=山田*"), "1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=*田^太*"), "1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=山田^太郎"), "1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=yamada*=山田*"), "1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName==山田*"), "1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=山田^太郎\\yamada^tarou"), "1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=山田*=yamada*"), "");
    yamada = (struct made){ "P3", NULL,      "Ito^Ai=ITO^AI X=Itow",
                            NULL, "1.5",     "20190101",
                            NULL, NULL,      NULL,
                            NULL, "1.5.1",   "CT",
                            "1",  "1.5.1.1", "1",
                            NULL };
    put(world, &yamada);
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=ito*"), "1.5");
    assert_string_equal(ASK(world, VT_LEVEL_PATIENT, "PatientName=ito*"), "P3");
    assert_string_equal(ASK(world, VT_LEVEL_PATIENT, "PatientName=やまだ*"), "P1");
    assert_string_equal(ASK(world, VT_LEVEL_PATIENT, "PatientName"), "P3;P1");
}

static void series_and_instances_come_in_order_of_their_numbers(void **state)
{
    struct world *world = *state;
    struct made made = small[0];

    fill(world);
    made.sop = "1.1.1.10";
    made.instance_number = "10";
    put(world, &made);
    made.sop = "1.1.1.9";
    made.instance_number = "9";
    put(world, &made);
    assert_string_equal(ASK(world, VT_LEVEL_SERIES, "StudyInstanceUID=1.1"), "1.1.1;1.1.2");
    assert_string_equal(ASK(world, VT_LEVEL_SERIES, "StudyInstanceUID=1.1", "Modality=SR"),
                        "1.1.2");
    assert_string_equal(ASK(world, VT_LEVEL_SERIES, "SeriesInstanceUID=1.3.1\\1.1.2"),
                        "1.3.1;1.1.2");
    assert_string_equal(ASK(world, VT_LEVEL_SERIES, "SeriesNumber=010"), "1.1.2");
    assert_string_equal(ASK(world, VT_LEVEL_IMAGE, "SeriesInstanceUID=1.1.1"),
                        "1.1.1.1;1.1.1.2;1.1.1.9;1.1.1.10");
    assert_string_equal(ASK(world, VT_LEVEL_IMAGE, "SOPInstanceUID=1.1.1.9"), "1.1.1.9");
    assert_string_equal(ASK(world, VT_LEVEL_IMAGE, "StudyInstanceUID=1.1", "InstanceNumber=+9"),
                        "1.1.1.9");
    assert_string_equal(ASK(world, VT_LEVEL_IMAGE, "SOPClassUID=1.2.840.10008.5.1.4.1.1.88.11"),
                        "1.1.2.1");
}

static void an_empty_value_matches_only_when_unknown_values_do(void **state)
{
    struct world *world = *state;
    struct made made = small[0];

    made.accession = NULL;
    put(world, &made);
    const struct vt_query_rules rules = { .model = VT_MODEL_NONE, .match_unknown = true };
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "AccessionNumber=A1"), "");
    assert_string_equal(ask_with(world, VT_LEVEL_STUDY, &rules,
                                 (const char *const[]){ "AccessionNumber=A1", NULL }),
                        "1.1");
    assert_string_equal(ask_with(world, VT_LEVEL_STUDY, &rules,
                                 (const char *const[]){ "AccessionNumber=A*", NULL }),
                        "1.1");
    assert_string_equal(
        ask_with(world, VT_LEVEL_STUDY, &rules, (const char *const[]){ "StudyDate=2021-", NULL }),
        "");
}

static void combined_dates_and_times_are_one_interval(void **state)
{
    struct world *world = *state;
    const struct vt_query_rules combined = { .model = VT_MODEL_NONE, .combined_date_time = true };
    const char *const words[] = { "StudyDate=20200110-20200112", "StudyTime=1200-0900", NULL };

    fill(world);
    assert_string_equal(ask_with(world, VT_LEVEL_STUDY, &combined, words), "1.2");
    assert_string_equal(
        ASK(world, VT_LEVEL_STUDY, "StudyDate=20200110-20200112", "StudyTime=1200-0900"), "");
    const char *const interval[] = { "StudyDate=20200110-20200112", "StudyTime=1000-1100", NULL };
    assert_string_equal(ask_with(world, VT_LEVEL_STUDY, &combined, interval), "1.2;1.1");
    assert_string_equal(
        ASK(world, VT_LEVEL_STUDY, "StudyDate=20200110-20200112", "StudyTime=1000-1100"), "1.1");
}

static void fuzzy_names_match_by_tokens_and_sound(void **state)
{
    struct world *world = *state;
    const struct vt_query_rules fuzzy = { .model = VT_MODEL_NONE, .fuzzy = true };

    fill(world);
    assert_string_equal(ask_with(world, VT_LEVEL_STUDY, &fuzzy,
                                 (const char *const[]){ "PatientName=jo smi", NULL }),
                        "1.2;1.1");
    assert_string_equal(ask_with(world, VT_LEVEL_STUDY, &fuzzy,
                                 (const char *const[]){ "PatientName=SMYTHE", NULL }),
                        "1.2;1.1");
    assert_string_equal(ask_with(world, VT_LEVEL_PATIENT, &fuzzy,
                                 (const char *const[]){ "PatientName=eva mueler", NULL }),
                        "P2");
    assert_string_equal(
        ask_with(world, VT_LEVEL_STUDY, &fuzzy, (const char *const[]){ "PatientName=jones", NULL }),
        "");
}
