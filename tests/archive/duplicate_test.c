#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "archive/admin.h"
#include "archive/decide.h"
#include "tests/archive/objects.h"

static struct vt_receive_result send(struct vt_archive *archive, const struct object *object)
{
    struct vt_receive_result result = { 0 };
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, &err);

    assert_non_null(receive);
    if (!object_send(receive, object, &result, &err))
        fail_msg("%04x %s", err.dimse_status, err.text);
    return result;
}

static struct vt_index_entry row_of(struct vt_archive *archive, const char *sop)
{
    struct vt_index_entry entry;
    struct vt_err err = { 0 };
    bool found = false;

    assert_true(vt_index_lookup(vt_archive_index(archive), sop, &entry, &found, &err));
    assert_true(found);
    return entry;
}

static void the_same_bytes_again_are_a_duplicate_and_nothing_is_written(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct object object = OBJECT;

    for (size_t pixels = 1000; pixels < 4000000; pixels += 3000000) {
        object.pixels = pixels;
        object.sop = pixels == 1000 ? "1.2.3.1.1.1" : "1.2.3.1.1.2";
        assert_int_equal(send(archive, &object).decision, VT_DECISION_STORED);
        struct vt_receive_result result = send(archive, &object);
        assert_int_equal(result.decision, VT_DECISION_DUPLICATE);
        assert_int_equal(result.status, 0);
    }
    assert_int_equal(count_files(*state, "objects"), 2);
    vt_archive_free(archive);
}

static void other_attributes_make_a_version_that_is_served(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct object object = OBJECT;

    send(archive, &object);
    object.description = "Thorax corrected";
    struct vt_receive_result result = send(archive, &object);
    assert_int_equal(result.decision, VT_DECISION_VERSION);
    assert_int_equal(result.status, 0);
    struct vt_index_entry row = row_of(archive, object.sop);
    assert_int_equal(row.version, 2);
    assert_non_null(strstr(row.file, "~2.dcm"));
    assert_int_equal(count_files(*state, "objects"), 2);
    assert_int_equal(send(archive, &object).decision, VT_DECISION_DUPLICATE);
    vt_archive_free(archive);
}

static void other_pixels_go_to_quarantine_once_and_are_refused(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct object object = OBJECT;

    send(archive, &object);
    object.shade = 8;
    for (int i = 0; i < 2; i++) {
        struct vt_receive_result result = send(archive, &object);
        assert_int_equal(result.decision, VT_DECISION_QUARANTINED);
        assert_int_equal(result.status, 0xC010);
        assert_true(strlen(result.comment) > 0);
    }
    assert_int_equal(count_files(*state, "quarantine"), 1);
    assert_int_equal(row_of(archive, object.sop).version, 1);
    vt_archive_free(archive);
}

static void the_same_uid_in_another_study_goes_to_quarantine_as_c011(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct object object = OBJECT;

    send(archive, &object);
    object.study = "1.2.3.2";
    assert_int_equal(send(archive, &object).status, 0xC011);
    assert_int_equal(count_files(*state, "quarantine"), 1);
    assert_string_equal(row_of(archive, object.sop).study_uid, "1.2.3.1");
    vt_archive_free(archive);
}

static void the_same_uid_of_another_class_is_refused_as_a902(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct object object = OBJECT;

    send(archive, &object);
    object.sop_class = "1.2.840.10008.5.1.4.1.1.4";
    struct vt_receive_result result = send(archive, &object);
    assert_int_equal(result.decision, VT_DECISION_REFUSED);
    assert_int_equal(result.status, 0xA902);
    assert_int_equal(count_files(*state, "objects"), 1);
    assert_int_equal(count_files(*state, "quarantine"), 0);
    vt_archive_free(archive);
}

static void the_same_image_in_another_uncompressed_syntax_is_a_duplicate(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct object object = OBJECT;

    send(archive, &object);
    object.syntax = VT_UID_IMPLICIT_LE;
    assert_int_equal(send(archive, &object).decision, VT_DECISION_DUPLICATE);
    assert_string_equal(row_of(archive, object.sop).transfer_syntax, VT_UID_EXPLICIT_LE);
    object.description = "Abdomen";
    assert_int_equal(send(archive, &object).decision, VT_DECISION_VERSION);
    object.shade = 9;
    object.syntax = VT_UID_EXPLICIT_LE;
    assert_int_equal(send(archive, &object).status, 0xC010);
    assert_int_equal(count_files(*state, "staging"), 0);
    vt_archive_free(archive);
}

static void a_good_copy_mends_a_damaged_one(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct object object = OBJECT;
    char path[600];

    send(archive, &object);
    snprintf(path, sizeof path, "%s/%s", (const char *)*state, row_of(archive, object.sop).file);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "damage", 6, 900), 6);
    close(fd);
    assert_int_equal(send(archive, &object).decision, VT_DECISION_VERSION);
    assert_int_equal(send(archive, &object).decision, VT_DECISION_DUPLICATE);
    vt_archive_free(archive);
}

static void a_study_of_another_patient_is_refused_when_the_site_wants_that(void **state)
{
    struct vt_archive_options options = { .path = *state,
                                          .journal_segment = 1 << 20,
                                          .warn_free = 1,
                                          .stop_free = 1,
                                          .patient_conflict_reject = true };
    struct vt_err err = { 0 };
    struct vt_archive *archive = vt_archive_open(&options, &err);
    struct object object = OBJECT;

    assert_non_null(archive);
    assert_int_equal(send(archive, &object).decision, VT_DECISION_STORED);
    object.sop = "1.2.3.1.1.2";
    assert_int_equal(send(archive, &object).decision, VT_DECISION_STORED);
    object.sop = "1.2.3.1.1.3";
    object.patient = "P2";
    struct vt_receive_result result = send(archive, &object);
    assert_int_equal(result.decision, VT_DECISION_REFUSED);
    assert_int_equal(result.status, 0xA901);
    object.study = "1.2.3.9";
    object.series = "1.2.3.9.1";
    assert_int_equal(send(archive, &object).decision, VT_DECISION_STORED);
    vt_archive_free(archive);
}

static void policies_change_what_is_decided(void **state)
{
    (void)state;
    struct vt_archive_options options = { 0 };

    assert_int_equal(vt_duplicate_verdict(VT_DUPLICATE_SAME_PIXELS, &options).decision,
                     VT_DECISION_VERSION);
    assert_int_equal(vt_duplicate_verdict(VT_DUPLICATE_OTHER_PIXELS, &options).decision,
                     VT_DECISION_QUARANTINED);
    options.changed_attributes = options.changed_pixels = VT_POLICY_FIRST_WINS;
    assert_int_equal(vt_duplicate_verdict(VT_DUPLICATE_SAME_PIXELS, &options).status, 0xC010);
    assert_int_equal(vt_duplicate_verdict(VT_DUPLICATE_OTHER_PIXELS, &options).decision,
                     VT_DECISION_REFUSED);
    options.changed_pixels = VT_POLICY_LAST_WINS;
    assert_int_equal(vt_duplicate_verdict(VT_DUPLICATE_OTHER_PIXELS, &options).decision,
                     VT_DECISION_VERSION);
}

/* ---- what an administrator makes of them ---- */

struct rows {
    size_t count;
    int64_t id;
};

static bool see_row(void *context, json_t *row)
{
    struct rows *rows = context;

    rows->count++;
    rows->id = json_integer_value(json_object_get(row, "id"));
    return true;
}

static void an_accepted_quarantine_is_served_and_a_discarded_one_is_trash(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct object object = OBJECT;
    struct rows rows = { 0 };
    struct vt_admin admin = { .archive = archive, .who = "test", .row = see_row, .context = &rows };
    struct vt_err err = { 0 };

    send(archive, &object);
    object.shade = 8;
    send(archive, &object);
    assert_true(vt_admin_quarantine_list(&admin, &err));
    assert_int_equal(rows.count, 1);
    assert_true(vt_admin_quarantine_show(&admin, rows.id, &err));
    if (!vt_admin_quarantine_resolve(&admin, rows.id, "accept", &err))
        fail_msg("%s", err.text);
    assert_int_equal(row_of(archive, object.sop).version, 2);
    assert_int_equal(count_files(*state, "objects"), 2);
    assert_int_equal(count_files(*state, "quarantine"), 0);
    assert_int_equal(send(archive, &object).decision, VT_DECISION_DUPLICATE);

    object.shade = 9;
    send(archive, &object);
    assert_true(vt_admin_quarantine_list(&admin, &err));
    assert_true(vt_admin_quarantine_resolve(&admin, rows.id, "discard", &err));
    assert_false(vt_admin_quarantine_resolve(&admin, rows.id, "discard", &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
    assert_int_equal(count_files(*state, "quarantine"), 0);
    assert_int_equal(count_files(*state, "trash"), 1);
    vt_archive_free(archive);
}

static void resolving_versions_keeps_the_chosen_one(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct object object = OBJECT;
    struct rows rows = { 0 };
    struct vt_admin admin = { .archive = archive, .who = "test", .row = see_row, .context = &rows };
    struct vt_err err = { 0 };

    send(archive, &object);
    object.description = "second";
    send(archive, &object);
    assert_true(vt_admin_version_list(&admin, &err));
    assert_int_equal(rows.count, 1);
    assert_true(vt_admin_version_show(&admin, object.sop, &err));
    assert_int_equal(rows.count, 3);
    assert_true(vt_admin_version_resolve(&admin, object.sop, 1, &err));
    assert_int_equal(row_of(archive, object.sop).version, 1);
    assert_int_equal(count_files(*state, "objects"), 1);
    assert_int_equal(count_files(*state, "trash"), 1);
    rows.count = 0;
    assert_true(vt_admin_version_list(&admin, &err));
    assert_int_equal(rows.count, 0);
    assert_int_equal(send(archive, &object).decision, VT_DECISION_VERSION);
    vt_archive_free(archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(the_same_bytes_again_are_a_duplicate_and_nothing_is_written),
        FOLDER_TEST(other_attributes_make_a_version_that_is_served),
        FOLDER_TEST(other_pixels_go_to_quarantine_once_and_are_refused),
        FOLDER_TEST(the_same_uid_in_another_study_goes_to_quarantine_as_c011),
        FOLDER_TEST(the_same_uid_of_another_class_is_refused_as_a902),
        FOLDER_TEST(the_same_image_in_another_uncompressed_syntax_is_a_duplicate),
        FOLDER_TEST(a_good_copy_mends_a_damaged_one),
        FOLDER_TEST(a_study_of_another_patient_is_refused_when_the_site_wants_that),
        FOLDER_TEST(policies_change_what_is_decided),
        FOLDER_TEST(an_accepted_quarantine_is_served_and_a_discarded_one_is_trash),
        FOLDER_TEST(resolving_versions_keeps_the_chosen_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
