#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <pthread.h>

#include "archive/admin.h"
#include "archive/attributes.h"
#include "archive/inside.h"
#include "archive/patient.h"
#include "archive/patient_rewrite.h"
#include "core/clock.h"
#include "dicom/dataset.h"
#include "dicom/text.h"
#include "tests/archive/world.h"
#include "tests/support/torture.h"

static int set_up(void **state)
{
    struct vt_err err = { 0 };

    assert_true(vt_dict_load(&err));
    return world_set_up(state);
}

static void send_pixels(struct world *world, const char *patient, const char *study,
                        const char *sop, const char *syntax, unsigned pixels)
{
    struct vt_receive_result result = { 0 };
    struct object object = OBJECT;
    struct vt_err err = { 0 };
    char series[80];
    VT_AUTO(vt_receive) receive = vt_receive_new(world->archive, &err);

    snprintf(series, sizeof series, "%s.1", study);
    object.patient = patient;
    object.study = study;
    object.series = series;
    object.sop = sop;
    object.syntax = syntax;
    if (pixels > 0)
        object.pixels = pixels;
    if (!object_send(receive, &object, &result, &err))
        fail_msg("%s", err.text);
    assert_int_equal(result.status, 0);
}

static void send(struct world *world, const char *patient, const char *study, const char *sop,
                 const char *syntax)
{
    send_pixels(world, patient, study, sop, syntax, 0);
}

/* Study UIDs of a patient, newest first, joined by ';'. */
static const char *studies(struct world *world, const char *patient)
{
    static char found[1024];
    char word[200];
    const char *words[] = { word };
    struct vt_err err = { 0 };
    struct vt_row row;
    bool more = true;

    found[0] = '\0';
    snprintf(word, sizeof word, "PatientID=%s", patient);
    VT_AUTO(vt_query)
    query = vt_query_from_words(VT_LEVEL_STUDY, words, 1, &(struct vt_query_rules){ 0 }, &err);
    VT_AUTO(vt_plan) plan = vt_plan_make(query, &err);
    VT_AUTO(vt_cursor) cursor = vt_index_find(vt_archive_index(world->archive), plan, &err);
    while (vt_cursor_next(cursor, &row, &more, &err) && more) {
        strcat(found, found[0] ? ";" : "");
        strcat(found, row.study_uid);
    }
    assert_false(vt_failed(&err));
    return found;
}

/* The way out of an instance; *out gets the data set's bytes. */
/* What stands before the pixel data goes out alone as it does with them. */
static void header_is_the_begin(struct world *world, const struct vt_index_entry *entry, const struct vt_buf *whole)
{
    struct vt_stored stored;
    struct vt_err err = { 0 };
    vt_autofree uint8_t *bytes = malloc(whole->size);

    if (!vt_archive_open_instance(world->archive, entry, &stored, &err) ||
        !vt_archive_outgoing_header(world->archive, &stored, &err))
        fail_msg("%s", err.text);
    assert_true(stored.data_set_size <= whole->size);
    assert_int_equal(pread(stored.fd, bytes, stored.data_set_size, (off_t)stored.data_set_offset),
                     (ssize_t)stored.data_set_size);
    if (strcmp(entry->transfer_syntax, VT_UID_DEFLATED_LE) != 0) {
        assert_memory_equal(bytes, whole->data, stored.data_set_size);
        assert_true(!entry->has_pixels || stored.data_set_size < whole->size);
    }
    vt_stored_close(&stored);
}

static bool outgoing(struct world *world, const char *sop, struct vt_buf *out, bool *out_corrected)
{
    struct vt_index_entry entry;
    struct vt_stored stored;
    struct vt_err err = { 0 };
    bool found = false;

    assert_true(vt_index_lookup(vt_archive_index(world->archive), sop, &entry, &found, &err) &&
                found);
    if (!vt_archive_open_instance(world->archive, &entry, &stored, &err))
        fail_msg("%s", err.text);
    *out_corrected = stored.corrected;
    if (stored.corrected && !vt_archive_outgoing(world->archive, &stored, &err))
        fail_msg("%s", err.text);
    vt_buf_reset(out);
    assert_true(vt_buf_reserve(out, stored.data_set_size, &err));
    assert_int_equal(
        pread(stored.fd, out->data, stored.data_set_size, (off_t)stored.data_set_offset),
        (ssize_t)stored.data_set_size);
    out->size = stored.data_set_size;
    vt_stored_close(&stored);
    header_is_the_begin(world, &entry, out);
    return true;
}

static void value_is(const struct vt_buf *bytes, enum vt_encoding encoding, uint32_t tag,
                     const char *expected)
{
    struct vt_element element;
    char text[200];

    assert_true(vt_element_find(bytes->data, bytes->size, encoding, tag, &element));
    vt_element_text(&element, text, sizeof text);
    assert_string_equal(text, expected);
}

static int64_t merge(struct world *world, const char *from, const char *into)
{
    struct vt_err err = { 0 };
    int64_t id = 0;

    if (!vt_admin_patient_merge(&world->admin, from, into, "typing error", &id, &err))
        fail_msg("%s", err.text);
    assert_true(id > 0);
    return id;
}

static void a_merge_moves_studies_that_are_there_and_that_come(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };

    send(world, "A", "1.1", "1.1.1.1", VT_UID_EXPLICIT_LE);
    send(world, "B", "1.2", "1.2.1.1", VT_UID_EXPLICIT_LE);
    int64_t id = merge(world, "A", "B");
    assert_string_equal(studies(world, "A"), "");
    assert_string_equal(studies(world, "B"), "1.1;1.2");
    send(world, "A", "1.3", "1.3.1.1", VT_UID_EXPLICIT_LE);
    assert_string_equal(studies(world, "B"), "1.1;1.2;1.3");
    assert_true(vt_admin_patient_undo(&world->admin, id, &err));
    assert_string_equal(studies(world, "A"), "1.1;1.3");
    assert_string_equal(studies(world, "B"), "1.2");
    assert_false(vt_admin_patient_undo(&world->admin, id, &err));
}

/* ---- a merge while an instance of that patient is being stored ---- */

enum { MEANWHILE_MS = 200 };

static struct world *merging;
static pthread_t merger;

static void *merge_beside(void *context)
{
    (void)context;
    merge(merging, "A", "B");
    return NULL;
}

static void merge_when_staged(const char *name)
{
    if (strcmp(name, "staged") != 0)
        return;
    vt_archive_point = NULL;
    assert_int_equal(pthread_create(&merger, NULL, merge_beside, NULL), 0);
    vt_clock_sleep(MEANWHILE_MS * VT_NS_PER_MS);
}

static void a_merge_while_an_instance_is_stored_does_not_miss_it(void **state)
{
    struct world *world = *state;

    send(world, "A", "1.1", "1.1.1.1", VT_UID_EXPLICIT_LE);
    send(world, "B", "1.2", "1.2.1.1", VT_UID_EXPLICIT_LE);
    merging = world;
    vt_archive_point = merge_when_staged;
    send_pixels(world, "A", "1.3", "1.3.1.1", VT_UID_EXPLICIT_LE, 200000);
    pthread_join(merger, NULL);
    assert_string_equal(studies(world, "A"), "");
    assert_string_equal(studies(world, "B"), "1.1;1.2;1.3");
}

static void a_merge_is_kept_over_reopening_and_reindex(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    uint64_t instances = 0;

    send(world, "A", "1.1", "1.1.1.1", VT_UID_EXPLICIT_LE);
    send(world, "B", "1.2", "1.2.1.1", VT_UID_EXPLICIT_LE);
    merge(world, "A", "B");
    vt_archive_free(world->archive);
    world_open(world);
    assert_string_equal(studies(world, "B"), "1.1;1.2");
    if (!vt_admin_reindex(&world->admin, &instances, &err))
        fail_msg("%s", err.text);
    assert_int_equal(instances, 2);
    assert_string_equal(studies(world, "A"), "");
    assert_int_equal(strlen(studies(world, "B")), strlen("1.1;1.2"));
}

static void the_way_out_carries_the_new_identity_and_the_old_values(void **state)
{
    static const char *const syntaxes[] = { VT_UID_EXPLICIT_LE, VT_UID_IMPLICIT_LE };
    struct world *world = *state;
    bool corrected;
    VT_AUTO_BUF(bytes, 1 << 20);
    VT_AUTO_BUF(plain, 1 << 20);

    send(world, "B", "1.9", "1.9.1.1", VT_UID_EXPLICIT_LE);
    for (size_t i = 0; i < VT_COUNT(syntaxes); i++) {
        enum vt_encoding encoding = vt_transfer_syntax_find(syntaxes[i])->encoding;
        struct vt_element original, item, modified, inner, old;
        struct vt_walk walk;
        struct vt_err err = { 0 };
        bool more;
        char patient[2] = { (char)('P' + (int)i), '\0' }, study[8], sop[16], text[64];

        snprintf(study, sizeof study, "1.%zu", i + 1);
        snprintf(sop, sizeof sop, "1.%zu.1.1", i + 1);
        send(world, patient, study, sop, syntaxes[i]);
        assert_true(outgoing(world, sop, &plain, &corrected));
        assert_false(corrected);
        merge(world, patient, "B");
        assert_true(outgoing(world, sop, &bytes, &corrected));
        assert_true(corrected);
        assert_true(
            vt_element_check(bytes.data, bytes.size, encoding, &VT_ELEMENT_LIMITS_DEFAULT, &err));
        value_is(&bytes, encoding, VT_TAG_PATIENT_ID, "B");
        value_is(&bytes, encoding, VT_TAG_STUDY_DESCRIPTION, "Thorax");
        assert_true(vt_element_find(bytes.data, bytes.size, encoding, 0x04000561, &original));
        vt_walk_items(&walk, &original, encoding);
        assert_true(vt_walk_next(&walk, &item, &more, &err) && more);
        assert_true(vt_element_find(item.value, item.length, encoding, 0x04000550, &modified));
        vt_walk_items(&walk, &modified, encoding);
        assert_true(vt_walk_next(&walk, &inner, &more, &err) && more);
        assert_true(vt_element_find(inner.value, inner.length, encoding, VT_TAG_PATIENT_ID, &old));
        vt_element_text(&old, text, sizeof text);
        assert_string_equal(text, patient);
        /* Pixel data and all before it but the patient are the bytes that came. */
        assert_memory_equal(bytes.data + bytes.size - 1000, plain.data + plain.size - 1000, 1000);
    }
}

static void a_deflated_data_set_goes_out_deflated_again(void **state)
{
    struct world *world = *state;
    struct vt_receive_result result = { 0 };
    struct object object = OBJECT;
    struct vt_err err = { 0 };
    bool corrected;
    VT_AUTO_BUF(plain, 1 << 20);
    VT_AUTO_BUF(deflated, 1 << 20);
    VT_AUTO_BUF(id, 256);
    struct vt_receive_from from = { .sop_class_uid = object.sop_class,
                                    .sop_instance_uid = object.sop,
                                    .transfer_syntax_uid = VT_UID_DEFLATED_LE,
                                    .encoding = VT_DEFLATED_LE };

    send(world, "B", "1.9", "1.9.1.1", VT_UID_EXPLICIT_LE);
    assert_true(object_encode(&object, &plain));
    VT_AUTO(vt_dataset) sent = vt_dataset_parse(plain.data, plain.size, VT_UID_EXPLICIT_LE, &err);
    assert_true(sent && vt_dataset_encode(sent, VT_UID_DEFLATED_LE, &deflated, &err));
    VT_AUTO(vt_receive) receive = vt_receive_new(world->archive, &err);
    if (!vt_receive_begin(receive, &from, &err) ||
        !vt_receive_write(receive, deflated.data, deflated.size, &err) ||
        !vt_receive_commit(receive, &result, &err))
        fail_msg("%s", err.text);
    assert_int_equal(result.status, 0);
    merge(world, "P1", "B");
    vt_buf_reset(&plain);
    assert_true(outgoing(world, object.sop, &plain, &corrected));
    assert_true(corrected);
    VT_AUTO(vt_dataset) back = vt_dataset_parse(plain.data, plain.size, VT_UID_DEFLATED_LE, &err);
    if (!back || !vt_dataset_get(back, "PatientID", &id, &corrected, &err))
        fail_msg("%s", err.text);
    assert_string_equal(vt_buf_string(&id, &err), "B");
    vt_buf_reset(&id);
    assert_true(vt_dataset_get(
        back, "OriginalAttributesSequence[0].ModifiedAttributesSequence[0].PatientID", &id,
        &corrected, &err));
    assert_string_equal(vt_buf_string(&id, &err), "P1");
}

static void a_correction_changes_what_it_names_and_can_be_undone(void **state)
{
    struct world *world = *state;
    const char *const words[] = { "PatientSex=F", "PatientName=Doe^Joan" };
    const char *const wrong[] = { "Modality=CT" };
    struct vt_err err = { 0 };
    int64_t id = 0;
    bool corrected;
    VT_AUTO_BUF(bytes, 1 << 20);

    send(world, "A", "1.1", "1.1.1.1", VT_UID_EXPLICIT_LE);
    assert_false(vt_admin_patient_correct(&world->admin, "A", wrong, 1, "", &id, &err));
    assert_int_equal(err.code, VT_E_INVALID);
    assert_false(vt_admin_patient_correct(&world->admin, "NOBODY", words, 2, "", &id, &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
    vt_err_clear(&err);
    assert_true(vt_admin_patient_correct(&world->admin, "A", words, 2, "misspelt", &id, &err));
    assert_true(outgoing(world, "1.1.1.1", &bytes, &corrected));
    value_is(&bytes, VT_EXPLICIT_LE, VT_TAG_PATIENT_NAME, "Doe^Joan");
    value_is(&bytes, VT_EXPLICIT_LE, VT_TAG_PATIENT_SEX, "F");
    value_is(&bytes, VT_EXPLICIT_LE, VT_TAG_PATIENT_ID, "A");
    assert_true(vt_admin_patient_undo(&world->admin, id, &err));
    assert_true(outgoing(world, "1.1.1.1", &bytes, &corrected));
    value_is(&bytes, VT_EXPLICIT_LE, VT_TAG_PATIENT_NAME, "Doe^Jane");
    assert_true(vt_admin_patient_log(&world->admin, &err));
    assert_int_equal(json_array_size(world->rows), 1);
    assert_true(json_is_true(json_object_get(json_array_get(world->rows, 0), "undone")));
}

static void a_study_under_two_patients_is_a_conflict_that_can_be_resolved(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };

    send(world, "A", "1.1", "1.1.1.1", VT_UID_EXPLICIT_LE);
    send(world, "B", "1.2", "1.2.1.1", VT_UID_EXPLICIT_LE);
    send(world, "B", "1.1", "1.1.1.2", VT_UID_EXPLICIT_LE);
    send(world, "B", "1.1", "1.1.1.3", VT_UID_EXPLICIT_LE);
    assert_true(vt_admin_conflict_list(&world->admin, &err));
    assert_int_equal(json_array_size(world->rows), 1);
    json_t *row = json_array_get(world->rows, 0);
    assert_string_equal(json_string_value(json_object_get(row, "PatientID")), "B");
    assert_string_equal(json_string_value(json_object_get(row, "stands_under")), "A");
    int64_t id = json_integer_value(json_object_get(row, "id"));
    assert_false(vt_admin_conflict_resolve(&world->admin, id, "perhaps", &err));
    if (!vt_admin_conflict_resolve(&world->admin, id, "to:B", &err))
        fail_msg("%s", err.text);
    assert_string_equal(studies(world, "B"), "1.1;1.2");
    json_array_clear(world->rows);
    assert_true(vt_admin_conflict_list(&world->admin, &err));
    assert_int_equal(json_array_size(world->rows), 0);
}

/* ---- rewriting alone ---- */

static void a_name_that_does_not_fit_the_set_turns_all_text_to_utf8(void **state)
{
    struct vt_err err = { 0 };
    VT_AUTO_BUF(bytes, 4096);
    VT_AUTO_BUF(set, 4096);
    VT_AUTO_BUF(out, 8192);
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE };

    (void)state;
    assert_true(vt_write_text(&w, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 100", &err));
    assert_true(vt_write_text(&w, VT_TAG_STUDY_DESCRIPTION, "LO",
                              "Sch\xe4"
                              "del",
                              &err));
    assert_true(vt_write_text(&w, VT_TAG_PATIENT_NAME, "PN", "M\xfcller", &err));
    assert_true(vt_write_us(&w, VT_TAG_ROWS, 7, &err));
    assert_true(
        vt_attributes_append(&set, VT_TAG_PATIENT_NAME, "PN", "山田", strlen("山田"), &err));
    struct vt_rewrite rewrite = { .bytes = bytes.data,
                                  .size = bytes.size,
                                  .encoding = VT_EXPLICIT_LE,
                                  .set = set.data,
                                  .set_size = set.size,
                                  .charset = "ISO_IR 100",
                                  .when = "20260101",
                                  .reason = "CORRECT" };
    assert_true(vt_rewrite_run(&rewrite, &out, &err));
    assert_true(
        vt_element_check(out.data, out.size, VT_EXPLICIT_LE, &VT_ELEMENT_LIMITS_DEFAULT, &err));
    value_is(&out, VT_EXPLICIT_LE, VT_TAG_SPECIFIC_CHARACTER_SET, "ISO_IR 192");
    value_is(&out, VT_EXPLICIT_LE, VT_TAG_STUDY_DESCRIPTION, "Schädel");
    value_is(&out, VT_EXPLICIT_LE, VT_TAG_PATIENT_NAME, "山田");
    vt_buf_reset(&out);
    vt_buf_reset(&set);
    assert_true(
        vt_attributes_append(&set, VT_TAG_PATIENT_NAME, "PN", "Möller", strlen("Möller"), &err));
    rewrite.set = set.data;
    rewrite.set_size = set.size;
    assert_true(vt_rewrite_run(&rewrite, &out, &err));
    value_is(&out, VT_EXPLICIT_LE, VT_TAG_SPECIFIC_CHARACTER_SET, "ISO_IR 100");
    value_is(&out, VT_EXPLICIT_LE, VT_TAG_STUDY_DESCRIPTION,
             "Sch\xe4"
             "del");
    value_is(&out, VT_EXPLICIT_LE, VT_TAG_PATIENT_NAME, "M\xf6ller");
}

static void original_attributes_that_were_there_stay(void **state)
{
    static const enum vt_encoding encodings[] = { VT_EXPLICIT_LE, VT_IMPLICIT_LE };

    (void)state;
    for (size_t i = 0; i < VT_COUNT(encodings); i++) {
        struct vt_err err = { 0 };
        struct vt_element original, item;
        struct vt_walk walk;
        bool more;
        int items = 0;
        VT_AUTO_BUF(bytes, 4096);
        VT_AUTO_BUF(set, 4096);
        VT_AUTO_BUF(out, 8192);
        struct vt_writer w = { &bytes, encodings[i] };

        assert_true(vt_write_text(&w, VT_TAG_PATIENT_ID, "LO", "A", &err));
        assert_true(vt_write_sequence_begin(&w, 0x04000561, &err) &&
                    vt_write_item_begin(&w, &err) &&
                    vt_write_text(&w, 0x04000565, "CS", "COERCE", &err) &&
                    vt_write_item_end(&w, &err) && vt_write_sequence_end(&w, &err));
        assert_true(vt_attributes_append(&set, VT_TAG_PATIENT_ID, "LO", "B", 1, &err));
        struct vt_rewrite rewrite = { .bytes = bytes.data,
                                      .size = bytes.size,
                                      .encoding = encodings[i],
                                      .set = set.data,
                                      .set_size = set.size,
                                      .when = "20260101",
                                      .reason = "CORRECT" };
        assert_true(vt_rewrite_run(&rewrite, &out, &err));
        assert_true(vt_element_find(out.data, out.size, encodings[i], 0x04000561, &original));
        vt_walk_items(&walk, &original, encodings[i]);
        while (vt_walk_next(&walk, &item, &more, &err) && more)
            items++;
        assert_int_equal(items, 2);
    }
}

static void big_endian_headers_are_rewritten_in_their_own_order(void **state)
{
    static const uint8_t bytes[] = { 0x00, 0x10, 0x00, 0x20, 'L', 'O', 0x00, 0x02, 'A',  ' ',
                                     0x00, 0x28, 0x00, 0x10, 'U', 'S', 0x00, 0x02, 0x02, 0x00 };
    struct vt_element element;
    struct vt_err err = { 0 };
    int64_t rows = 0;
    VT_AUTO_BUF(set, 4096);
    VT_AUTO_BUF(out, 8192);

    (void)state;
    assert_true(vt_attributes_append(&set, VT_TAG_PATIENT_ID, "LO", "B", 1, &err));
    struct vt_rewrite rewrite = { .bytes = bytes,
                                  .size = sizeof bytes,
                                  .encoding = VT_EXPLICIT_BE,
                                  .set = set.data,
                                  .set_size = set.size,
                                  .when = "20260101",
                                  .reason = "CORRECT" };
    assert_true(vt_rewrite_run(&rewrite, &out, &err));
    assert_true(
        vt_element_check(out.data, out.size, VT_EXPLICIT_BE, &VT_ELEMENT_LIMITS_DEFAULT, &err));
    value_is(&out, VT_EXPLICIT_BE, VT_TAG_PATIENT_ID, "B");
    assert_true(vt_element_find(out.data, out.size, VT_EXPLICIT_BE, VT_TAG_ROWS, &element));
    assert_true(vt_element_number(&element, VT_EXPLICIT_BE, &rows));
    assert_int_equal(rows, 512);
}

static bool rewrite_again(void *context, struct vt_err *err)
{
    VT_AUTO_BUF(out, 8192);
    return vt_rewrite_run(context, &out, err);
}

static void rewriting_survives_lost_memory(void **state)
{
    struct vt_err err = { 0 };
    VT_AUTO_BUF(bytes, 4096);
    VT_AUTO_BUF(set, 4096);
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE };

    (void)state;
    assert_true(vt_write_text(&w, VT_TAG_SPECIFIC_CHARACTER_SET, "CS", "ISO_IR 100", &err));
    assert_true(vt_write_text(&w, VT_TAG_PATIENT_NAME, "PN", "M\xfcller", &err));
    assert_true(
        vt_attributes_append(&set, VT_TAG_PATIENT_NAME, "PN", "山田", strlen("山田"), &err));
    struct vt_rewrite rewrite = { .bytes = bytes.data,
                                  .size = bytes.size,
                                  .encoding = VT_EXPLICIT_LE,
                                  .set = set.data,
                                  .set_size = set.size,
                                  .charset = "ISO_IR 100",
                                  .when = "20260101",
                                  .reason = "CORRECT" };
    assert_true(vt_torture(rewrite_again, &rewrite) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_merge_while_an_instance_is_stored_does_not_miss_it,
                                        set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(a_merge_moves_studies_that_are_there_and_that_come, set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(a_merge_is_kept_over_reopening_and_reindex, set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(the_way_out_carries_the_new_identity_and_the_old_values,
                                        set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(a_deflated_data_set_goes_out_deflated_again, set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(a_correction_changes_what_it_names_and_can_be_undone,
                                        set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(
            a_study_under_two_patients_is_a_conflict_that_can_be_resolved, set_up, world_tear_down),
        cmocka_unit_test(a_name_that_does_not_fit_the_set_turns_all_text_to_utf8),
        cmocka_unit_test(original_attributes_that_were_there_stay),
        cmocka_unit_test(big_endian_headers_are_rewritten_in_their_own_order),
        cmocka_unit_test(rewriting_survives_lost_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
