/* tests/archive/index_contract.h: what every index driver does the same way. Included by one test
 * program for each driver, which defines DRIVER. The archive in it is made here, row by row. */
#pragma once

#include "tests/archive/index_contract_find.h"
#include "tests/archive/index_world.h"

static void an_instance_is_found_by_uid_with_all_it_was_put_with(void **state)
{
    struct world *world = *state;
    struct vt_index_entry entry;
    struct vt_err err = { 0 };
    bool found = false;

    fill(world);
    assert_true(vt_index_lookup(world->index, "1.1.1.2", &entry, &found, &err));
    assert_true(found);
    assert_string_equal(entry.study_uid, "1.1");
    assert_string_equal(entry.series_uid, "1.1.1");
    assert_string_equal(entry.sop_uid, "1.1.1.2");
    assert_string_equal(entry.sop_class, VT_UID_CT_IMAGE);
    assert_string_equal(entry.transfer_syntax, VT_UID_EXPLICIT_LE);
    assert_string_equal(entry.file, "objects/2026/11/22/1.1/1.1.1/1.1.1.2.dcm");
    assert_int_equal(entry.version, 1);
    assert_int_equal(entry.file_size, 1000);
    assert_int_equal(entry.data_set_offset, 400);
    assert_int_equal(entry.pixel_length, 100);
    assert_int_equal(entry.data_set_digest.bytes[3], 7);
    assert_int_equal(entry.pixel_digest.bytes[3], 9);
    assert_int_equal(entry.arrived, 42);
    assert_true(vt_index_lookup(world->index, "9.9", &entry, &found, &err));
    assert_false(found);
}

static void what_was_not_committed_is_not_seen_and_a_rollback_takes_it_back(void **state)
{
    struct world *world = *state;
    struct vt_index_entry entry;
    struct vt_err err = { 0 };
    bool found = true;
    uint64_t applied = 99;

    begin(world);
    put_in(world, &small[0]);
    vt_index_rollback(world->index);
    assert_true(vt_index_lookup(world->index, "1.1.1.1", &entry, &found, &err));
    assert_false(found);
    assert_string_equal(ASK(world, VT_LEVEL_PATIENT, "PatientID"), "");
    fill(world);
    assert_string_equal(ASK(world, VT_LEVEL_PATIENT, "PatientID=P1"), "P1");
    assert_true(vt_index_applied(world->index, &applied, &err));
    assert_int_equal(applied, world->sequence);
}

static void flags_tell_what_was_new(void **state)
{
    struct world *world = *state;

    assert_int_equal(put(world, &small[0]),
                     VT_PUT_NEW_PATIENT | VT_PUT_NEW_STUDY | VT_PUT_NEW_SERIES);
    assert_int_equal(put(world, &small[1]), 0);
    assert_int_equal(put(world, &small[2]), VT_PUT_NEW_SERIES);
    assert_int_equal(put(world, &small[3]), VT_PUT_NEW_STUDY | VT_PUT_NEW_SERIES);
    assert_int_equal(put(world, &small[0]), VT_PUT_REPLACED);
}

static void counts_are_those_of_the_rows(void **state)
{
    struct world *world = *state;
    struct vt_index_counts counts;
    struct vt_err err = { 0 };
    bool empty = false;

    assert_true(vt_index_empty(world->index, &empty, &err));
    assert_true(empty);
    fill(world);
    assert_true(vt_index_empty(world->index, &empty, &err));
    assert_false(empty);
    assert_true(vt_index_counts(world->index, &counts, &err));
    assert_int_equal(counts.patients, 2);
    assert_int_equal(counts.studies, 3);
    assert_int_equal(counts.series, 4);
    assert_int_equal(counts.instances, 5);
    assert_int_equal(counts.bytes, 5000);
}

static void a_patient_without_id_is_one_of_its_own_in_each_study(void **state)
{
    struct world *world = *state;
    struct made made = small[0];
    struct vt_index_counts counts;
    struct vt_err err = { 0 };

    made.patient = NULL;
    put(world, &made);
    made.study = "1.9";
    made.series = "1.9.1";
    made.sop = "1.9.1.1";
    put(world, &made);
    assert_true(vt_index_counts(world->index, &counts, &err));
    assert_int_equal(counts.patients, 2);
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=SMITH*"), "1.1;1.9");
}

static void the_same_id_of_another_issuer_is_another_patient(void **state)
{
    struct world *world = *state;
    struct made made = small[3];

    fill(world);
    made.issuer = "OTHER";
    made.study = "1.8";
    made.series = "1.8.1";
    made.sop = "1.8.1.1";
    assert_int_equal(put(world, &made), VT_PUT_NEW_PATIENT | VT_PUT_NEW_STUDY | VT_PUT_NEW_SERIES);
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientID=P1", "IssuerOfPatientID=OTHER"),
                        "1.8");
}

static void a_study_under_another_patient_stays_with_the_first(void **state)
{
    struct world *world = *state;
    struct made made = small[0];

    fill(world);
    made.patient = "P9";
    made.sop = "1.1.1.7";
    assert_int_equal(put(world, &made), VT_PUT_PATIENT_CONFLICT);
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientID=P9"), "");
    assert_string_equal(ASK(world, VT_LEVEL_IMAGE, "PatientID=P1", "SOPInstanceUID=1.1.1.7"),
                        "1.1.1.7");
}

static void the_patient_carries_the_newest_name_and_studies_keep_theirs(void **state)
{
    struct world *world = *state;
    struct made made = small[3];

    fill(world);
    made.name = "JONES^JOHN";
    made.study = "1.7";
    made.series = "1.7.1";
    made.sop = "1.7.1.1";
    assert_int_equal(put(world, &made),
                     VT_PUT_NEW_STUDY | VT_PUT_NEW_SERIES | VT_PUT_PATIENT_MISMATCH);
    assert_string_equal(ASK(world, VT_LEVEL_PATIENT, "PatientName=JONES*"), "P1");
    assert_string_equal(ASK(world, VT_LEVEL_PATIENT, "PatientName=SMITH*"), "");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=JONES*"), "1.7");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=SMITH*"), "1.2;1.1");
}

static void a_replaced_instance_corrects_its_study(void **state)
{
    struct world *world = *state;
    struct made made = small[0];
    struct vt_index_entry entry;
    struct vt_err err = { 0 };
    bool found;

    fill(world);
    made.accession = "A77";
    made.name = "SMITH^JACK";
    assert_int_equal(put(world, &made) & VT_PUT_REPLACED, VT_PUT_REPLACED);
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "AccessionNumber=A77"), "1.1");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "AccessionNumber=A1"), "");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=*JACK*"), "1.1");
    assert_string_equal(ASK(world, VT_LEVEL_IMAGE, "StudyInstanceUID=1.1"),
                        "1.1.1.1;1.1.1.2;1.1.2.1");
    assert_true(vt_index_lookup(world->index, "1.1.1.1", &entry, &found, &err));
    assert_true(found);
}

static void later_instances_fill_what_the_first_left_out_and_change_nothing(void **state)
{
    struct world *world = *state;
    struct made made = small[0];

    made.accession = NULL;
    put(world, &made);
    put(world, &small[1]);
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "AccessionNumber=A1"), "1.1");
    made = small[2];
    made.accession = "OTHER";
    put(world, &made);
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "AccessionNumber=OTHER"), "");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "AccessionNumber=A1"), "1.1");
}

static void remove_one(struct world *world, const char *uid, bool expected)
{
    struct vt_err err = { 0 };
    bool removed = !expected;

    begin(world);
    assert_true(vt_index_remove(world->index, uid, &removed, &err));
    assert_int_equal(removed, expected);
    commit(world);
}

static void parents_go_with_their_last_instance(void **state)
{
    struct world *world = *state;
    struct vt_index_counts counts;
    struct vt_err err = { 0 };

    fill(world);
    remove_one(world, "9.9.9", false);
    remove_one(world, "1.1.2.1", true);
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "ModalitiesInStudy=SR"), "");
    assert_string_equal(ASK(world, VT_LEVEL_SERIES, "StudyInstanceUID=1.1"), "1.1.1");
    remove_one(world, "1.1.1.1", true);
    remove_one(world, "1.1.1.2", true);
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=SMITH*"), "1.2");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=*MITH*"), "1.2");
    remove_one(world, "1.2.1.1", true);
    assert_string_equal(ASK(world, VT_LEVEL_PATIENT, "PatientID"), "P2");
    assert_true(vt_index_counts(world->index, &counts, &err));
    assert_int_equal(counts.patients, 1);
    assert_int_equal(counts.instances, 1);
    assert_int_equal(counts.bytes, 1000);
    assert_int_equal(put(world, &small[0]),
                     VT_PUT_NEW_PATIENT | VT_PUT_NEW_STUDY | VT_PUT_NEW_SERIES);
}

static void a_moved_study_belongs_to_the_other_patient(void **state)
{
    struct world *world = *state;
    struct vt_buf to = { .limit = 4096 };
    struct vt_err err = { 0 };
    struct vt_index_counts counts;

    fill(world);
    put_text(&to, VT_TAG_PATIENT_NAME, "PN", "Müller^Eva");
    put_text(&to, VT_TAG_PATIENT_ID, "LO", "P2");
    begin(world);
    assert_true(vt_index_move_study(world->index, "1.2", to.data, to.size, &err));
    commit(world);
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientID=P2"), "1.3;1.2");
    assert_string_equal(ASK(world, VT_LEVEL_STUDY, "PatientName=SMITH*"), "1.1");
    begin(world);
    assert_true(vt_index_move_study(world->index, "1.1", to.data, to.size, &err));
    commit(world);
    assert_string_equal(ASK(world, VT_LEVEL_PATIENT, "PatientID"), "P2");
    assert_true(vt_index_counts(world->index, &counts, &err));
    assert_int_equal(counts.instances, 5);
    vt_buf_fini(&to);
}

static const char *selected(struct world *world, enum vt_level level, const char *word)
{
    static char found[4096];
    const char *const words[] = { word };
    struct vt_err err = { 0 };
    struct vt_index_entry entry;
    size_t used = 0;
    bool more = true;

    found[0] = '\0';
    VT_AUTO(vt_query)
    query =
        vt_query_from_words(level, words, 1, &(struct vt_query_rules){ .retrieve = true }, &err);
    assert_non_null(query);
    VT_AUTO(vt_plan) plan = vt_plan_make(query, &err);
    VT_AUTO(vt_cursor) cursor = vt_index_select(world->index, plan, &err);
    assert_non_null(cursor);
    while (vt_cursor_select_next(cursor, &entry, &more, &err) && more)
        used += (size_t)snprintf(found + used, sizeof found - used, "%s%s", used ? ";" : "",
                                 entry.sop_uid);
    assert_false(vt_failed(&err));
    return found;
}

static void a_selection_gives_all_instances_below_its_matches(void **state)
{
    struct world *world = *state;

    fill(world);
    assert_string_equal(selected(world, VT_LEVEL_PATIENT, "PatientID=P1"),
                        "1.2.1.1;1.1.1.1;1.1.1.2;1.1.2.1");
    assert_string_equal(selected(world, VT_LEVEL_STUDY, "StudyInstanceUID=1.1"),
                        "1.1.1.1;1.1.1.2;1.1.2.1");
    assert_string_equal(selected(world, VT_LEVEL_STUDY, "StudyInstanceUID=1.3\\1.2"),
                        "1.3.1.1;1.2.1.1");
    assert_string_equal(selected(world, VT_LEVEL_SERIES, "SeriesInstanceUID=1.1.2"), "1.1.2.1");
    assert_string_equal(selected(world, VT_LEVEL_IMAGE, "SOPInstanceUID=1.1.1.2\\1.1.1.1"),
                        "1.1.1.1;1.1.1.2");
    assert_string_equal(selected(world, VT_LEVEL_STUDY, "StudyInstanceUID=7.7"), "");
}

static void frame_tables_come_back(void **state)
{
    struct world *world = *state;
    struct vt_instance instance;
    struct vt_err err = { 0 };
    const struct vt_frame frames[] = { { 100, 20 }, { 120, 30 }, { 150, 8 } };
    struct vt_frame frame;
    unsigned flags;
    VT_AUTO_BUF(bytes, 4096);

    vt_instance_init(&instance);
    make_instance(&instance, &small[0]);
    assert_true(vt_frames_encode(frames, 3, &instance.frames, &err));
    begin(world);
    assert_true(vt_index_put(world->index, &instance, &flags, &err));
    commit(world);
    vt_instance_fini(&instance);
    assert_true(vt_index_frames(world->index, "1.1.1.1", &bytes, &err));
    assert_true(vt_frames_at(bytes.data, bytes.size, 2, &frame));
    assert_int_equal(frame.offset, 150);
    vt_buf_reset(&bytes);
    assert_true(vt_index_frames(world->index, "1.1.1.2", &bytes, &err));
    assert_int_equal(bytes.size, 0);
}

static void a_cursor_keeps_its_snapshot_while_the_writer_goes_on(void **state)
{
    struct world *world = *state;
    const char *const words[] = { "StudyDate" };
    struct vt_err err = { 0 };
    struct vt_row row;
    bool more = true;
    int count = 1;

    fill(world);
    VT_AUTO(vt_query)
    query = vt_query_from_words(VT_LEVEL_STUDY, words, 1, &(struct vt_query_rules){ 0 }, &err);
    VT_AUTO(vt_plan) plan = vt_plan_make(query, &err);
    VT_AUTO(vt_cursor) cursor = vt_index_find(world->index, plan, &err);
    assert_true(vt_cursor_next(cursor, &row, &more, &err) && more);
    remove_one(world, "1.1.1.1", true);
    remove_one(world, "1.2.1.1", true);
    while (vt_cursor_next(cursor, &row, &more, &err) && more)
        count++;
    assert_int_equal(count, 3);
}

#define CONTRACT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define CONTRACT_TESTS                                                                             \
    CONTRACT(an_instance_is_found_by_uid_with_all_it_was_put_with),                                \
        CONTRACT(what_was_not_committed_is_not_seen_and_a_rollback_takes_it_back),                 \
        CONTRACT(flags_tell_what_was_new), CONTRACT(counts_are_those_of_the_rows),                 \
        CONTRACT(a_study_row_has_its_counts_modalities_and_classes),                               \
        CONTRACT(keys_of_every_kind_find_their_studies),                                           \
        CONTRACT(names_are_found_folded_by_whole_prefix_and_infix),                                \
        CONTRACT(each_component_group_of_a_name_is_found_once),                                    \
        CONTRACT(series_and_instances_come_in_order_of_their_numbers),                             \
        CONTRACT(an_empty_value_matches_only_when_unknown_values_do),                              \
        CONTRACT(combined_dates_and_times_are_one_interval),                                       \
        CONTRACT(fuzzy_names_match_by_tokens_and_sound),                                           \
        CONTRACT(a_patient_without_id_is_one_of_its_own_in_each_study),                            \
        CONTRACT(the_same_id_of_another_issuer_is_another_patient),                                \
        CONTRACT(a_study_under_another_patient_stays_with_the_first),                              \
        CONTRACT(the_patient_carries_the_newest_name_and_studies_keep_theirs),                     \
        CONTRACT(a_replaced_instance_corrects_its_study),                                          \
        CONTRACT(later_instances_fill_what_the_first_left_out_and_change_nothing),                 \
        CONTRACT(parents_go_with_their_last_instance),                                             \
        CONTRACT(a_moved_study_belongs_to_the_other_patient),                                      \
        CONTRACT(a_selection_gives_all_instances_below_its_matches),                               \
        CONTRACT(frame_tables_come_back),                                                          \
        CONTRACT(a_cursor_keeps_its_snapshot_while_the_writer_goes_on)
