/* A new index is built beside the living one while others store, delete and correct. */
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

enum { OBJECTS = 30, SENDERS = 3, EACH = 60 };

static struct vt_archive *archive;
static const char *at_point;
static void (*then)(void);

static void at(const char *name)
{
    if (at_point && strcmp(name, at_point) == 0) {
        at_point = NULL; /* once */
        then();
    }
}

static bool send(unsigned study, unsigned number, const char *description)
{
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, &err);
    struct vt_receive_result result = { 0 };
    struct object object = OBJECT;
    char uids[3][65], patient[16];

    snprintf(uids[0], 65, "1.2.3.%u", study);
    snprintf(uids[1], 65, "1.2.3.%u.1", study);
    snprintf(uids[2], 65, "1.2.3.%u.1.%u", study, number);
    snprintf(patient, sizeof patient, "P%u", study);
    object.patient = patient;
    object.study = uids[0];
    object.series = uids[1];
    object.sop = uids[2];
    object.description = description;
    object.pixels = number % 3 ? 500 : 100000;
    return receive && object_send(receive, &object, &result, &err) && result.status == 0;
}

static struct vt_admin admin(void)
{
    return (struct vt_admin){ .archive = archive, .who = "test" };
}

static bool reindex(struct vt_err *err)
{
    struct vt_admin by = admin();
    uint64_t instances = 0;

    return vt_admin_reindex(&by, &instances, err);
}

static bool find(unsigned study, unsigned number, struct vt_index_entry *out)
{
    struct vt_err err = { 0 };
    char sop[65];
    bool found = false;

    snprintf(sop, sizeof sop, "1.2.3.%u.1.%u", study, number);
    assert_true(vt_index_lookup(vt_archive_index(archive), sop, out, &found, &err));
    return found;
}

static void assert_sound(uint64_t instances)
{
    struct vt_admin by = admin();
    struct vt_index_counts counts;
    uint64_t checked = 0, faults = 0;
    struct vt_err err = { 0 };

    assert_true(vt_admin_verify(&by, NULL, false, &checked, &faults, &err));
    assert_int_equal(faults, 0);
    assert_true(vt_index_counts(vt_archive_index(archive), &counts, &err));
    assert_int_equal(counts.instances, instances);
}

static void delete_study(const char *study, int64_t *out_trash)
{
    struct vt_admin by = admin();
    struct vt_err err = { 0 };
    uint64_t instances = 0;

    assert_true(vt_admin_study_delete(&by, study, "test", out_trash, &instances, &err));
    assert_true(instances > 0);
}

/* Studies 1 to 3, ten instances each. */
static int set_up(void **state)
{
    *state = strdup(folder_new());
    archive = archive_at(*state);
    for (unsigned i = 0; i < OBJECTS; i++)
        if (!send(i % 3 + 1, i / 3, "as it was"))
            return 1;
    vt_archive_point = at;
    return 0;
}

static int tear_down(void **state)
{
    vt_archive_point = NULL;
    at_point = NULL;
    vt_archive_free(archive);
    folder_remove(*state);
    free(*state);
    return 0;
}

static void change_everything(void)
{
    struct vt_admin by = admin();
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    int64_t trash = 0, merge = 0;

    assert_true(send(4, 1, "new"));     /* a new study */
    assert_true(send(1, 0, "changed")); /* a version */
    delete_study("1.2.3.2", &trash);    /* gone */
    delete_study("1.2.3.3", &trash);    /* gone and back */
    assert_true(vt_admin_study_restore(&by, trash, NULL, &instances, &err));
    assert_true(vt_admin_patient_merge(&by, "P3", "P1", "registered twice", &merge, &err));
    assert_true(send(5, 1, "new"));
    assert_true(vt_admin_study_delete(&by, "1.2.3.5", "by mistake", &trash, &instances, &err));
}

static bool note_patient(void *context, json_t *row)
{
    const char *id = json_string_value(json_object_get(row, "PatientID"));

    if (strcmp(json_string_value(json_object_get(row, "StudyInstanceUID")), "1.2.3.3") == 0)
        snprintf(context, 16, "%s", id);
    return true;
}

static void assert_everything_changed(void)
{
    char patient[16] = "";
    struct vt_admin by = {
        .archive = archive, .who = "test", .row = note_patient, .context = patient
    };
    struct vt_index_entry entry;
    struct vt_err err = { 0 };

    assert_sound(21);
    assert_true(find(4, 1, &entry));
    assert_true(find(1, 0, &entry));
    assert_int_equal(entry.version, 2);
    assert_false(find(2, 0, &entry));
    assert_true(find(3, 9, &entry));
    assert_false(find(5, 1, &entry));
    assert_true(vt_admin_study_list(&by, NULL, &err));
    assert_string_equal(patient, "P1");
}

static void what_changes_before_the_walk_or_after_it_is_in_the_new_index(void **state)
{
    static const char *const points[] = { "reindex-begun", "reindex-walked" };

    for (size_t i = 0; i < VT_COUNT(points); i++) {
        struct vt_err err = { 0 };
        if (i > 0) {
            tear_down(state);
            set_up(state);
        }
        then = change_everything;
        at_point = points[i];
        assert_true(reindex(&err));
        assert_everything_changed();
        /* And is what a walk over the objects alone would give. */
        assert_true(reindex(&err));
        assert_everything_changed();
    }
}

static void ask_for_another(void)
{
    struct vt_err err = { 0 };

    assert_false(reindex(&err));
    assert_int_equal(err.code, VT_E_BUSY);
}

static void a_second_reindex_is_refused_while_one_runs(void **state)
{
    struct vt_err err = { 0 };

    (void)state;
    then = ask_for_another;
    at_point = "reindex-walked";
    assert_true(reindex(&err));
    assert_sound(OBJECTS);
}

static bool stop_at_once(void *context, uint64_t done, uint64_t total, const char *unit)
{
    (void)context;
    (void)done;
    (void)total;
    (void)unit;
    return false;
}

static void a_cancelled_reindex_leaves_the_old_index_and_no_files(void **state)
{
    struct vt_admin by = { .archive = archive, .who = "test", .progress = stop_at_once };
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    char path[300];

    assert_false(vt_admin_reindex(&by, &instances, &err));
    assert_int_equal(err.code, VT_E_CANCELLED);
    snprintf(path, sizeof path, "%s/reindex", (const char *)*state);
    assert_int_equal(access(path, F_OK), -1);
    assert_sound(OBJECTS);
    vt_err_clear(&err);
    assert_true(reindex(&err));
    assert_sound(OBJECTS);
}

/* Lies in objects/, is in no index, and the arrival that came to the same UID failed. */
static void a_file_that_only_the_walk_knows_stays_found(void **state)
{
    struct vt_index_entry entry;
    struct vt_err err = { 0 };
    char command[1024];

    assert_true(find(1, 0, &entry));
    snprintf(command, sizeof command, "mkdir '%s/aside' && cp '%s/%s' '%s/aside/stray.dcm'",
             (const char *)*state, (const char *)*state, entry.file, (const char *)*state);
    assert_int_equal(system(command), 0);
    int64_t trash;
    delete_study("1.2.3.1", &trash);
    snprintf(command, sizeof command, "mv '%s/aside/stray.dcm' '%s/objects/'", (const char *)*state,
             (const char *)*state);
    assert_int_equal(system(command), 0);
    assert_true(reindex(&err));
    assert_true(find(1, 0, &entry));
    assert_string_equal(entry.file, "objects/stray.dcm");
    assert_sound(OBJECTS - 10 + 1);
}

struct sender {
    pthread_t thread;
    unsigned study;
    atomic_uint stored;
};
static atomic_bool over;

static void *send_all(void *context)
{
    struct sender *sender = context;

    for (unsigned i = 0; i < EACH || !atomic_load(&over); i++)
        if (send(sender->study, i, "beside"))
            atomic_fetch_add(&sender->stored, 1);
    return NULL;
}

static void arrivals_beside_a_reindex_are_stored_and_found(void **state)
{
    static struct sender senders[SENDERS];
    struct vt_err err = { 0 };
    uint64_t stored = OBJECTS;

    (void)state;
    atomic_store(&over, false);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i].study = 10 + i;
        atomic_store(&senders[i].stored, 0);
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
    }
    bool ok = true;
    for (int i = 0; ok && i < 3; i++)
        ok = reindex(&err);
    atomic_store(&over, true);
    for (unsigned i = 0; i < SENDERS; i++) {
        pthread_join(senders[i].thread, NULL);
        stored += atomic_load(&senders[i].stored);
    }
    if (!ok)
        fail_msg("%s", err.text);
    assert_true(stored >= OBJECTS + SENDERS * EACH);
    assert_sound(stored);
}

/* ---- the cutter beside the change of files ---- */

enum { MOMENT_US = 1000, MOMENTS = 300, FILLING_MAX = 3000 };
static atomic_bool cutting, unnamed;

static void wait_for(atomic_bool *met)
{
    for (int i = 0; i < MOMENTS && !atomic_load(met); i++)
        usleep(MOMENT_US);
}

/* The cut begins before the files change places, and its checkpoint comes while the index has no
 * name, if it can. */
static void meet(const char *name)
{
    if (strcmp(name, "reindex-walked") == 0)
        for (unsigned i = 0; i < FILLING_MAX && !atomic_load(&cutting); i++)
            assert_true(send(6, 3 * i + 1, "fills a segment"));
    else if (strcmp(name, "cut") == 0 && !atomic_exchange(&cutting, true))
        wait_for(&unnamed);
    else if (strcmp(name, "unnamed") == 0 && !atomic_exchange(&unnamed, true))
        usleep(MOMENTS * MOMENT_US);
}

static void a_checkpoint_never_meets_an_index_without_a_name(void **state)
{
    struct vt_index_counts counts;
    struct vt_err err = { 0 };

    (void)state;
    atomic_store(&cutting, false);
    atomic_store(&unnamed, false);
    vt_archive_point = meet;
    bool ok = reindex(&err);
    if (!ok)
        fail_msg("%s", err.text);
    assert_true(atomic_load(&cutting) && atomic_load(&unnamed));
    pthread_mutex_lock(&archive->journal_lock);
    assert_string_equal(archive->cut_error, "");
    pthread_mutex_unlock(&archive->journal_lock);
    assert_true(vt_index_counts(vt_archive_index(archive), &counts, &err));
    assert_sound(counts.instances);
    assert_true(counts.instances > OBJECTS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_changes_before_the_walk_or_after_it_is_in_the_new_index),
        TEST(a_second_reindex_is_refused_while_one_runs),
        TEST(a_cancelled_reindex_leaves_the_old_index_and_no_files),
        TEST(a_file_that_only_the_walk_knows_stays_found),
        TEST(arrivals_beside_a_reindex_are_stored_and_found),
        TEST(a_checkpoint_never_meets_an_index_without_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
