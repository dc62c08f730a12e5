/* tests/archive/index_contract.h: what every index driver does the same way. Included by one test
 * program for each driver, which defines DRIVER. The archive in it is made here, row by row. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/attributes.h"
#include "archive/index.h"
#include "archive/query.h"
#include "core/err.h"
#include "dicom/tags.h"
#include "tests/support/torture.h"

struct world {
    char folder[64];
    struct vt_index *index;
    uint64_t sequence;
    struct vt_instance instance; /* of the torture tests */
};

/* One instance in words; NULL is left out. */
struct made {
    const char *patient, *issuer, *name, *birth;
    const char *study, *date, *time, *accession, *description, *study_id;
    const char *series, *modality, *number;
    const char *sop, *instance_number, *sop_class;
};

static inline void put_text(struct vt_buf *buf, uint32_t tag, const char *vr, const char *text)
{
    struct vt_err err = { 0 };
    if (text)
        assert_true(vt_attributes_append(buf, tag, vr, text, strlen(text), &err));
}

static inline void make_instance(struct vt_instance *out, const struct made *made)
{
    struct vt_buf *at = out->attributes;

    vt_instance_reset(out);
    put_text(&at[0], VT_TAG_PATIENT_NAME, "PN", made->name);
    put_text(&at[0], VT_TAG_PATIENT_ID, "LO", made->patient);
    put_text(&at[0], VT_TAG_ISSUER_OF_PATIENT_ID, "LO", made->issuer);
    put_text(&at[0], VT_TAG_PATIENT_BIRTH_DATE, "DA", made->birth);
    put_text(&at[1], VT_TAG_STUDY_DATE, "DA", made->date);
    put_text(&at[1], VT_TAG_STUDY_TIME, "TM", made->time);
    put_text(&at[1], VT_TAG_ACCESSION_NUMBER, "SH", made->accession);
    put_text(&at[1], VT_TAG_STUDY_DESCRIPTION, "LO", made->description);
    put_text(&at[1], VT_TAG_STUDY_ID, "SH", made->study_id);
    put_text(&at[2], VT_TAG_MODALITY, "CS", made->modality ? made->modality : "CT");
    put_text(&at[2], VT_TAG_SERIES_NUMBER, "IS", made->number);
    put_text(&at[3], VT_TAG_INSTANCE_NUMBER, "IS", made->instance_number);
    snprintf(out->study_uid, sizeof out->study_uid, "%s", made->study);
    snprintf(out->series_uid, sizeof out->series_uid, "%s", made->series);
    snprintf(out->sop_uid, sizeof out->sop_uid, "%s", made->sop);
    snprintf(out->sop_class, sizeof out->sop_class, "%s",
             made->sop_class ? made->sop_class : VT_UID_CT_IMAGE);
    snprintf(out->transfer_syntax, sizeof out->transfer_syntax, "%s", VT_UID_EXPLICIT_LE);
    snprintf(out->file, sizeof out->file, "objects/2026/11/22/%s/%s/%s.dcm", made->study,
             made->series, made->sop);
    out->version = 1;
    out->file_size = 1000;
    out->data_set_offset = 400;
    out->data_set_size = 600;
    out->has_pixels = true;
    out->pixel_offset = 500;
    out->pixel_length = 100;
    out->arrived = 42;
    memset(out->data_set_digest.bytes, 7, 16);
    memset(out->pixel_digest.bytes, 9, 16);
}

static inline unsigned put_in(struct world *world, const struct made *made)
{
    struct vt_instance instance;
    struct vt_err err = { 0 };
    unsigned flags = 0;

    vt_instance_init(&instance);
    make_instance(&instance, made);
    assert_true(vt_index_put(world->index, &instance, &flags, &err));
    vt_instance_fini(&instance);
    return flags;
}

static inline void begin(struct world *world)
{
    struct vt_err err = { 0 };
    assert_true(vt_index_begin(world->index, &err));
}

static inline void commit(struct world *world)
{
    struct vt_err err = { 0 };
    if (!vt_index_commit(world->index, ++world->sequence, &err))
        fail_msg("%s", err.text);
}

static inline unsigned put(struct world *world, const struct made *made)
{
    begin(world);
    unsigned flags = put_in(world, made);
    commit(world);
    return flags;
}

/* The wanted attribute of each match, joined by ';', in the order of the answers. `words` ends with
 * NULL. */
static inline const char *ask_with(struct world *world, enum vt_level level,
                                   const struct vt_query_rules *rules, const char *const *words)
{
    static char found[65536];
    struct vt_err err = { 0 };
    size_t count = 0, used = 0;
    struct vt_row row;
    bool more = true;

    found[0] = '\0';
    while (words[count])
        count++;
    VT_AUTO(vt_query) query = vt_query_from_words(level, words, count, rules, &err);
    if (!query)
        fail_msg("%s", err.text);
    VT_AUTO(vt_plan) plan = vt_plan_make(query, &err);
    VT_AUTO(vt_cursor) cursor = vt_index_find(world->index, plan, &err);
    if (!cursor)
        fail_msg("%s", err.text);
    while (vt_cursor_next(cursor, &row, &more, &err) && more) {
        const char *uid = level == VT_LEVEL_PATIENT  ? row.patient_id
                          : level == VT_LEVEL_STUDY  ? row.study_uid
                          : level == VT_LEVEL_SERIES ? row.series_uid
                                                     : row.sop_uid;
        used += (size_t)snprintf(found + used, sizeof found - used, "%s%s", used ? ";" : "", uid);
        assert_true(used < sizeof found);
    }
    if (vt_failed(&err))
        fail_msg("%s", err.text);
    return found;
}

#define ASK(world, level, ...)                                                                     \
    ask_with(world, level, &(struct vt_query_rules){ .model = VT_MODEL_NONE },                     \
             (const char *const[]){ __VA_ARGS__, NULL })

static inline int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct vt_err err = { 0 };

    if (!vt_dict_load(&err))
        fail_msg("%s", err.text);
    snprintf(world->folder, sizeof world->folder, "/tmp/vt-index-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    world->index = vt_index_open(
        &DRIVER, &(struct vt_index_options){ .path = world->folder, .readers = 4 }, &err);
    if (!world->index)
        fail_msg("%s", err.text);
    *state = world;
    return 0;
}

static inline int tear_down(void **state)
{
    struct world *world = *state;
    static const char *const names[] = { "index.db", "index.db-wal", "index.db-shm" };
    char path[128];

    vt_index_free(world->index);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", world->folder, names[i]);
        unlink(path);
    }
    rmdir(world->folder);
    free(world);
    return 0;
}

/* Three studies of two patients; 1.1 has two series, 1.3 is the newest. */
static const struct made small[] = {
    { "P1", NULL, "SMITH^JOHN", "19700101", "1.1", "20200110", "101500", "A1", "Head CT", "S1",
      "1.1.1", "CT", "1", "1.1.1.1", "1", NULL },
    { "P1", NULL, "SMITH^JOHN", "19700101", "1.1", "20200110", "101500", "A1", "Head CT", "S1",
      "1.1.1", "CT", "1", "1.1.1.2", "2", NULL },
    { "P1", NULL, "SMITH^JOHN", "19700101", "1.1", "20200110", "101500", "A1", "Head CT", "S1",
      "1.1.2", "SR", "10", "1.1.2.1", "1", "1.2.840.10008.5.1.4.1.1.88.11" },
    { "P1", NULL, "SMITH^JOHN", "19700101", "1.2", "20200112", "0800", "A2", "Chest", "S2", "1.2.1",
      "CT", "2", "1.2.1.1", "1", NULL },
    { "P2", NULL, "Müller^Eva", "19800202", "1.3", "20210601", "235959.5", "B3", "Knee MR", "S3",
      "1.3.1", "MR", "1", "1.3.1.1", "1", NULL },
};

static inline void fill(struct world *world)
{
    begin(world);
    for (size_t i = 0; i < VT_COUNT(small); i++)
        put_in(world, &small[i]);
    commit(world);
}

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

    fill(world);
    assert_true(vt_index_counts(world->index, &counts, &err));
    assert_int_equal(counts.patients, 2);
    assert_int_equal(counts.studies, 3);
    assert_int_equal(counts.series, 4);
    assert_int_equal(counts.instances, 5);
    assert_int_equal(counts.bytes, 5000);
}

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
    assert_string_equal(ask_with(world, VT_LEVEL_STUDY, &combined, words), "");
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
