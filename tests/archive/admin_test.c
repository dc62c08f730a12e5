#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "archive/admin.h"
#include "archive/inside.h"
#include "tests/archive/objects.h"

struct rows {
    size_t count;
    json_int_t size, bytes; /* of all rows */
    json_t *last;
};

static bool see_row(void *context, json_t *row)
{
    struct rows *rows = context;

    rows->count++;
    rows->size += json_integer_value(json_object_get(row, "size"));
    rows->bytes += json_integer_value(json_object_get(row, "bytes"));
    json_decref(rows->last);
    rows->last = json_incref(row);
    return true;
}

static const char *text_of(const struct rows *rows, const char *key)
{
    const char *text = json_string_value(json_object_get(rows->last, key));

    return text ? text : "";
}

static void send(struct vt_archive *archive, const struct object *object)
{
    struct vt_receive_result result = { 0 };
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, &err);

    if (!receive || !object_send(receive, object, &result, &err))
        fail_msg("%04x %s", err.dimse_status, err.text);
}

/* Study 1.2.3.<study> with so many instances, every third a large one. */
static void store_study(struct vt_archive *archive, unsigned study, unsigned instances)
{
    char study_uid[24], series_uid[32], sop_uid[48];
    struct object object = OBJECT;

    snprintf(study_uid, sizeof study_uid, "1.2.3.%u", study);
    snprintf(series_uid, sizeof series_uid, "%s.1", study_uid);
    object.study = study_uid;
    object.series = series_uid;
    object.sop = sop_uid;
    for (unsigned i = 0; i < instances; i++) {
        snprintf(sop_uid, sizeof sop_uid, "%s.%u", series_uid, i + 1);
        object.pixels = i % 3 == 2 ? 200000 : 600;
        send(archive, &object);
    }
}

static uint64_t instances_of(struct vt_archive *archive)
{
    struct vt_index_counts counts;
    struct vt_err err = { 0 };

    assert_true(vt_index_counts(vt_archive_index(archive), &counts, &err));
    return counts.instances;
}

#define ADMIN(archive_, rows_)                                                                     \
    {                                                                                              \
        .archive = (archive_), .who = "test", .row = see_row, .context = (rows_)                   \
    }
#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s", err.text);                                                              \
    } while (0)

static void studies_are_listed_and_shown(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct rows rows = { 0 };
    struct vt_admin admin = ADMIN(archive, &rows);
    struct vt_err err = { 0 };

    store_study(archive, 1, 3);
    store_study(archive, 2, 2);
    OK(vt_admin_study_list(&admin, NULL, &err));
    assert_int_equal(rows.count, 2);
    assert_string_equal(text_of(&rows, "PatientID"), "P1");
    assert_string_equal(text_of(&rows, "StudyDescription"), "Thorax");
    rows.count = 0;
    OK(vt_admin_study_show(&admin, "1.2.3.1", &err));
    assert_int_equal(rows.count, 3);
    assert_int_equal(strlen(text_of(&rows, "digest")), 32);
    OK(vt_admin_study_show(&admin, "1.2.3.2", &err));
    assert_true(rows.size > 200000);
    assert_int_equal(rows.bytes, rows.size);
    assert_false(vt_admin_study_show(&admin, "1.2.3.9", &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
    json_decref(rows.last);
    vt_archive_free(archive);
}

static void a_deleted_study_lies_in_the_trash_and_comes_back(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct rows rows = { 0 };
    struct vt_admin admin = ADMIN(archive, &rows);
    struct vt_err err = { 0 };
    uint64_t instances = 0, checked = 0, faults = 0;
    int64_t id = 0;

    store_study(archive, 1, 150);
    store_study(archive, 2, 2);
    OK(vt_admin_study_delete(&admin, "1.2.3.1", "wrong patient", &id, &instances, &err));
    assert_int_equal(instances, 150);
    assert_int_equal(instances_of(archive), 2);
    assert_int_equal(count_files(*state, "trash"), 150);
    OK(vt_admin_trash_list(&admin, &err));
    assert_int_equal(rows.count, 1);
    assert_string_equal(text_of(&rows, "reason"), "wrong patient");
    OK(vt_admin_study_restore(&admin, 0, "1.2.3.1", &instances, &err));
    assert_int_equal(instances, 150);
    assert_int_equal(instances_of(archive), 152);
    assert_int_equal(count_files(*state, "trash"), 0);
    OK(vt_admin_verify(&admin, NULL, false, &checked, &faults, &err));
    assert_int_equal(checked, 152);
    assert_int_equal(faults, 0);
    json_decref(rows.last);
    vt_archive_free(archive);
}

static void a_study_with_versions_goes_and_comes_with_all_of_them(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct rows rows = { 0 };
    struct vt_admin admin = ADMIN(archive, &rows);
    struct vt_err err = { 0 };
    struct object object = OBJECT;
    uint64_t instances = 0, checked = 0, faults = 0;
    int64_t id = 0;

    send(archive, &object);
    object.description = "second";
    send(archive, &object);
    OK(vt_admin_study_delete(&admin, object.study, "", &id, &instances, &err));
    assert_int_equal(instances, 1);
    assert_int_equal(count_files(*state, "objects"), 0);
    assert_int_equal(count_files(*state, "trash"), 2);
    OK(vt_admin_study_restore(&admin, id, NULL, &instances, &err));
    OK(vt_admin_version_show(&admin, object.sop, &err));
    assert_int_equal(rows.count, 2);
    OK(vt_admin_verify(&admin, NULL, false, &checked, &faults, &err));
    assert_int_equal(checked, 2);
    assert_int_equal(faults, 0);
    json_decref(rows.last);
    vt_archive_free(archive);
}

static void a_series_and_an_instance_go_and_come_alone(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct rows rows = { 0 };
    struct vt_admin admin = ADMIN(archive, &rows);
    struct vt_err err = { 0 };
    struct object other = OBJECT;
    uint64_t instances = 0, checked = 0, faults = 0;
    int64_t id = 0;

    store_study(archive, 1, 4);
    other.study = "1.2.3.1";
    other.series = "1.2.3.1.2";
    other.sop = "1.2.3.1.2.1";
    send(archive, &other);
    other.description = "a second version";
    send(archive, &other);
    const struct vt_admin_part one = { "1.2.3.1", "1.2.3.1.1", "1.2.3.1.1.2" };
    const struct vt_admin_part series = { "1.2.3.1", "1.2.3.1.2", NULL };
    const struct vt_admin_part wrong = { "1.2.3.1", "1.2.3.1.2", "1.2.3.1.1.3" };
    OK(vt_admin_part_delete(&admin, &one, "blurred", &id, &instances, &err));
    assert_int_equal(instances, 1);
    assert_int_equal(instances_of(archive), 4);
    OK(vt_admin_part_delete(&admin, &series, "", &id, &instances, &err));
    assert_int_equal(instances, 1);
    assert_int_equal(count_files(*state, "trash"), 3); /* with the version that is not served */
    assert_false(vt_admin_part_delete(&admin, &wrong, "", &id, &instances, &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
    vt_err_clear(&err);
    OK(vt_admin_trash_list(&admin, &err));
    assert_string_equal(text_of(&rows, "part"), "1.2.3.1.2");
    OK(vt_admin_study_restore(&admin, 0, "1.2.3.1.1.2", &instances, &err));
    OK(vt_admin_study_restore(&admin, 0, "1.2.3.1", &instances, &err)); /* the newest of it: the series */
    assert_int_equal(instances_of(archive), 5);
    OK(vt_admin_verify(&admin, NULL, false, &checked, &faults, &err));
    assert_int_equal(checked, 6);
    assert_int_equal(faults, 0);
    json_decref(rows.last);
    vt_archive_free(archive);
}

static void a_restore_over_something_newer_is_refused(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct rows rows = { 0 };
    struct vt_admin admin = ADMIN(archive, &rows);
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    int64_t id = 0;

    store_study(archive, 1, 2);
    OK(vt_admin_study_delete(&admin, "1.2.3.1", "", &id, &instances, &err));
    store_study(archive, 1, 1);
    assert_false(vt_admin_study_restore(&admin, id, NULL, &instances, &err));
    assert_int_equal(err.code, VT_E_EXISTS);
    assert_int_equal(count_files(*state, "trash"), 2);
    vt_archive_free(archive);
}

static void damage(const char *folder, const char *command)
{
    char line[512];

    snprintf(line, sizeof line, "cd '%s' && %s", folder, command);
    assert_int_equal(system(line), 0);
}

static void a_restore_brings_what_is_left_of_the_trash_and_the_archive_opens_again(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct rows rows = { 0 };
    struct vt_admin admin = ADMIN(archive, &rows);
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    int64_t id = 0;

    store_study(archive, 1, 6);
    OK(vt_admin_study_delete(&admin, "1.2.3.1", "", &id, &instances, &err));
    damage(*state, "rm $(find trash -name 1.2.3.1.1.2.dcm)");
    damage(*state, "truncate -s 200 $(find trash -name 1.2.3.1.1.4.dcm)");
    OK(vt_admin_study_restore(&admin, id, NULL, &instances, &err));
    assert_int_equal(instances, 5);
    assert_int_equal(instances_of(archive), 4);
    assert_int_equal(count_files(*state, "trash"), 0);
    store_study(archive, 2, 1);
    vt_archive_free(archive);
    archive = archive_at(*state);
    assert_non_null(archive);
    assert_int_equal(instances_of(archive), 5);
    vt_archive_free(archive);
}

static void a_restore_of_nothing_but_lost_files_is_refused(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct rows rows = { 0 };
    struct vt_admin admin = ADMIN(archive, &rows);
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    int64_t id = 0;

    store_study(archive, 1, 2);
    OK(vt_admin_study_delete(&admin, "1.2.3.1", "", &id, &instances, &err));
    damage(*state, "rm $(find trash -type f)");
    assert_false(vt_admin_study_restore(&admin, id, NULL, &instances, &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
    vt_err_clear(&err);
    store_study(archive, 2, 1);
    vt_archive_free(archive);
}

static void a_version_that_cannot_be_read_is_not_kept(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct rows rows = { 0 };
    struct vt_admin admin = ADMIN(archive, &rows);
    struct vt_err err = { 0 };
    struct object object = OBJECT;

    send(archive, &object);
    object.description = "second";
    send(archive, &object);
    damage(*state, "truncate -s 200 $(find objects -name 1.2.3.1.1.1.dcm)");
    assert_false(vt_admin_version_resolve(&admin, object.sop, 1, &err));
    assert_int_equal(err.code, VT_E_CORRUPT);
    vt_err_clear(&err);
    assert_int_equal(count_files(*state, "trash"), 0);
    object.description = "third";
    send(archive, &object);
    vt_archive_free(archive);
}

/* ---- a restore beside the arrival of the same instance ---- */

static struct vt_admin *restorer;

static void restore_when_staged(const char *name)
{
    struct vt_err err = { 0 };
    uint64_t instances = 0;

    if (strcmp(name, "staged") != 0)
        return;
    vt_archive_point = NULL;
    OK(vt_admin_study_restore(restorer, 0, OBJECT.study, &instances, &err));
}

static void an_arrival_never_overwrites_what_a_restore_brought_meanwhile(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct rows rows = { 0 };
    struct vt_admin admin = ADMIN(archive, &rows);
    struct vt_err err = { 0 };
    struct vt_receive_result result = { 0 };
    struct object object = OBJECT;
    uint64_t instances = 0, checked = 0, faults = 0;
    int64_t id = 0;

    object.pixels = 200000;
    send(archive, &object);
    OK(vt_admin_study_delete(&admin, object.study, "", &id, &instances, &err));
    restorer = &admin;
    vt_archive_point = restore_when_staged;
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, &err);
    object.shade = 9;
    assert_false(object_send(receive, &object, &result, &err));
    assert_int_equal(err.dimse_status & 0xff00, 0xA700);
    vt_err_clear(&err);
    OK(vt_admin_verify(&admin, NULL, false, &checked, &faults, &err));
    assert_int_equal(checked, 1);
    assert_int_equal(faults, 0);
    vt_receive_free(vt_take(&receive));
    vt_archive_free(archive);
}

static void a_purge_removes_only_what_is_past_retention_unless_told(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct rows rows = { 0 };
    struct vt_admin admin = ADMIN(archive, &rows);
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    int64_t id = 0;

    store_study(archive, 1, 5);
    OK(vt_admin_study_delete(&admin, "1.2.3.1", "", &id, &instances, &err));
    OK(vt_admin_trash_purge(&admin, false, &instances, &err));
    assert_int_equal(instances, 0);
    assert_int_equal(count_files(*state, "trash"), 5);
    OK(vt_admin_trash_purge(&admin, true, &instances, &err));
    assert_int_equal(instances, 5);
    assert_int_equal(count_files(*state, "trash"), 0);
    assert_false(vt_admin_study_restore(&admin, id, NULL, &instances, &err));
    vt_archive_free(archive);
}

static void verify_finds_each_kind_of_fault(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct rows rows = { 0 };
    struct vt_admin admin = ADMIN(archive, &rows);
    struct vt_err err = { 0 };
    uint64_t checked = 0, faults = 0;
    char command[1024];

    store_study(archive, 1, 4);
    snprintf(command, sizeof command,
             "cd '%s/objects/2026/01/02/1.2.3.1/1.2.3.1.1' && rm 1.2.3.1.1.1.dcm && truncate -s -1 "
             "1.2.3.1.1.2.dcm &&"
             " printf x | dd of=1.2.3.1.1.4.dcm bs=1 seek=700 conv=notrunc 2>/dev/null &&"
             " cp 1.2.3.1.1.3.dcm stray.dcm && echo junk > junk.dcm",
             (const char *)*state);
    assert_int_equal(system(command), 0);
    OK(vt_admin_verify(&admin, NULL, false, &checked, &faults, &err));
    assert_int_equal(faults, 5); /* missing, size, digest, orphan, unreadable */
    assert_int_equal(rows.count, 5);
    json_decref(rows.last);
    vt_archive_free(archive);
}

static void verify_gives_sha256_when_asked(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct rows rows = { 0 };
    struct vt_admin admin = ADMIN(archive, &rows);
    struct vt_err err = { 0 };
    uint64_t checked = 0, faults = 0;
    char command[1024];

    store_study(archive, 1, 1);
    OK(vt_admin_verify(&admin, NULL, true, &checked, &faults, &err));
    assert_int_equal(faults, 0);
    snprintf(command, sizeof command, "sha256sum '%s/%s' | grep -q %s", (const char *)*state,
             text_of(&rows, "file"), text_of(&rows, "sha256"));
    assert_int_equal(system(command), 0);
    json_decref(rows.last);
    vt_archive_free(archive);
}

struct storing {
    struct vt_archive *archive;
    atomic_bool stop;
    unsigned stored;
};

static void *store_on(void *context)
{
    struct storing *storing = context;
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(storing->archive, &err);

    while (!atomic_load(&storing->stop) && storing->stored < 5000) {
        struct object object = OBJECT;
        struct vt_receive_result result;
        char sop[65];
        snprintf(sop, sizeof sop, "1.2.3.7.1.%u", storing->stored + 1);
        object.study = "1.2.3.7";
        object.series = "1.2.3.7.1";
        object.sop = sop;
        if (!object_send(receive, &object, &result, &err) || result.status != 0)
            break;
        storing->stored++;
    }
    return NULL;
}

static void a_reindex_beside_a_running_ingest_gives_the_same_rows(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct rows rows = { 0 };
    struct vt_admin admin = ADMIN(archive, &rows);
    struct vt_err err = { 0 };
    struct storing storing = { .archive = archive };
    struct object object = OBJECT;
    uint64_t instances = 0, checked = 0, faults = 0;
    pthread_t thread;

    send(archive, &object);
    object.description = "second";
    send(archive, &object);
    store_study(archive, 2, 20);
    assert_int_equal(pthread_create(&thread, NULL, store_on, &storing), 0);
    for (int i = 0; i < 2; i++)
        OK(vt_admin_reindex(&admin, &instances, &err));
    assert_true(instances >= 21);
    atomic_store(&storing.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(instances_of(archive), 21 + storing.stored);
    OK(vt_admin_verify(&admin, NULL, false, &checked, &faults, &err));
    assert_int_equal(faults, 0);
    vt_archive_free(archive);
    archive = archive_at(*state);
    assert_int_equal(instances_of(archive), 21 + storing.stored);
    struct vt_index_entry entry;
    bool found = false;
    assert_true(vt_index_lookup(vt_archive_index(archive), object.sop, &entry, &found, &err) &&
                found);
    assert_int_equal(entry.version, 2);
    vt_archive_free(archive);
}

static void a_backup_taken_while_storing_is_an_archive_of_its_own(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct rows rows = { 0 };
    struct vt_admin admin = ADMIN(archive, &rows);
    struct vt_err err = { 0 };
    struct storing storing = { .archive = archive };
    struct object object = OBJECT;
    uint64_t instances = 0, checked = 0, faults = 0;
    char folder[512];
    pthread_t thread;

    store_study(archive, 2, 20);
    send(archive, &object);
    object.description = "second";
    send(archive, &object);
    object.shade = 1;
    send(archive, &object);
    snprintf(folder, sizeof folder, "%s/backup", (const char *)*state);
    assert_int_equal(pthread_create(&thread, NULL, store_on, &storing), 0);
    OK(vt_admin_backup(&admin, folder, &instances, &err));
    atomic_store(&storing.stop, true);
    pthread_join(thread, NULL);
    assert_false(vt_admin_backup(&admin, folder, &instances, &err));
    assert_int_equal(err.code, VT_E_EXISTS);
    vt_archive_free(archive);

    archive = archive_at(folder);
    assert_non_null(archive);
    admin.archive = archive;
    assert_int_equal(instances_of(archive), instances);
    OK(vt_admin_verify(&admin, NULL, false, &checked, &faults, &err));
    assert_int_equal(checked, instances + 1); /* and the version that is not served */
    assert_int_equal(faults, 0);
    assert_int_equal(count_files(folder, "quarantine"), 1);
    vt_archive_free(archive);
}

static void a_backup_takes_what_is_there_and_tells_what_is_not(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct rows rows = { 0 };
    struct vt_admin admin = ADMIN(archive, &rows);
    struct vt_err err = { 0 };
    uint64_t instances = 0, checked = 0, faults = 0;
    int64_t id = 0;
    char folder[512];

    store_study(archive, 1, 3);
    store_study(archive, 2, 4);
    OK(vt_admin_study_delete(&admin, "1.2.3.1", "", &id, &instances, &err));
    damage(*state, "rm $(find trash -name 1.2.3.1.1.2.dcm) $(find objects -name 1.2.3.2.1.1.dcm)");
    snprintf(folder, sizeof folder, "%s/backup", (const char *)*state);
    assert_false(vt_admin_backup(&admin, folder, &instances, &err));
    assert_int_equal(err.code, VT_E_CORRUPT);
    assert_int_equal(rows.count, 2);
    assert_string_equal(text_of(&rows, "fault"), "missing");
    assert_int_equal(count_files(folder, "objects"), 3);
    assert_int_equal(count_files(folder, "trash"), 2);
    vt_err_clear(&err);
    OK(vt_admin_verify(&admin, NULL, false, &checked, &faults, &err));
    assert_int_equal(faults, 2);
    json_decref(rows.last);
    vt_archive_free(archive);
}

static void the_status_counts(void **state)
{
    struct vt_archive *archive = archive_at(*state);
    struct rows rows = { 0 };
    struct vt_admin admin = ADMIN(archive, &rows);
    struct vt_err err = { 0 };

    store_study(archive, 1, 3);
    OK(vt_admin_status(&admin, &err));
    assert_int_equal(json_integer_value(json_object_get(rows.last, "instances")), 3);
    assert_string_equal(text_of(&rows, "durability"), "commit");
    assert_true(json_integer_value(json_object_get(rows.last, "journal_used")) > 0);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(rows.last, "since"), "stored")), 3);
    json_decref(rows.last);
    vt_archive_free(archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(studies_are_listed_and_shown),
        FOLDER_TEST(a_deleted_study_lies_in_the_trash_and_comes_back),
        FOLDER_TEST(a_study_with_versions_goes_and_comes_with_all_of_them),
        FOLDER_TEST(a_series_and_an_instance_go_and_come_alone),
        FOLDER_TEST(a_restore_over_something_newer_is_refused),
        FOLDER_TEST(a_restore_brings_what_is_left_of_the_trash_and_the_archive_opens_again),
        FOLDER_TEST(a_restore_of_nothing_but_lost_files_is_refused),
        FOLDER_TEST(a_version_that_cannot_be_read_is_not_kept),
        FOLDER_TEST(an_arrival_never_overwrites_what_a_restore_brought_meanwhile),
        FOLDER_TEST(a_purge_removes_only_what_is_past_retention_unless_told),
        FOLDER_TEST(verify_finds_each_kind_of_fault),
        FOLDER_TEST(verify_gives_sha256_when_asked),
        FOLDER_TEST(a_reindex_beside_a_running_ingest_gives_the_same_rows),
        FOLDER_TEST(a_backup_taken_while_storing_is_an_archive_of_its_own),
        FOLDER_TEST(a_backup_takes_what_is_there_and_tells_what_is_not),
        FOLDER_TEST(the_status_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
