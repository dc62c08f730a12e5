/* Administrators' operations with every allocation failing once: each happens wholly or not at all,
 * and nothing that verify would find stays behind. One that fails behind its decision makes the
 * archive read-only; the next start does the rest of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "archive/admin_rows.h"
#include "dicom/dataset.h"
#include "tests/archive/world.h"
#include "tests/support/torture.h"

enum {
    INSTANCES = 3
}; /* of each of two studies; one more has two versions, one an arrival in quarantine */

struct operation {
    const char *name;
    /* What is asked of the administrator's functions; *id is the operation's, to undo it by. */
    bool (*run)(struct world *world, int64_t *id, struct vt_err *err);
    /* Back to how it was; NULL: nothing to undo. Called when it happened. */
    bool (*undo)(struct world *world, int64_t id, struct vt_err *err);
    /* Did it happen? */
    bool (*done)(struct world *world);
};

struct task {
    struct world *world;
    const struct operation *operation;
};

static void store(struct world *world, unsigned study, unsigned number, const char *description,
                  uint8_t shade)
{
    char uids[3][65], patient[16];
    struct object object = OBJECT;

    snprintf(uids[0], 65, "1.2.3.%u", study);
    snprintf(uids[1], 65, "1.2.3.%u.1", study);
    snprintf(uids[2], 65, "1.2.3.%u.1.%u", study, number);
    snprintf(patient, sizeof patient, "P%u", study);
    object.patient = patient;
    object.study = uids[0];
    object.series = uids[1];
    object.sop = uids[2];
    object.description = description;
    object.shade = shade;
    object.pixels = number == 2 ? 100000 : 500;
    world_send(world, &object);
}

static int set_up(void **state)
{
    struct vt_err err = { 0 };

    assert_true(vt_dict_load(&err));
    world_set_up(state);
    for (unsigned i = 0; i < INSTANCES; i++)
        for (unsigned study = 1; study <= 2; study++)
            store(*state, study, i, "as it was", 7);
    store(*state, 1, 0, "changed", 7);   /* a version */
    store(*state, 2, 0, "as it was", 9); /* refused: quarantine */
    return 0;
}

/* ---- what is done, and undone ---- */

static uint64_t of_study(struct world *world, const char *study)
{
    struct vt_err err = { 0 };

    world_forget_rows(world);
    if (!vt_admin_study_show(&world->admin, study, &err))
        assert_int_equal(err.code, VT_E_NOTFOUND);
    return world_rows(world);
}

static bool delete_study(struct world *world, int64_t *id, struct vt_err *err)
{
    uint64_t instances = 0;

    return vt_admin_study_delete(&world->admin, "1.2.3.1", "test", id, &instances, err);
}

static bool is_deleted(struct world *world)
{
    return of_study(world, "1.2.3.1") == 0;
}

static bool restore_newest(struct world *world, int64_t id, struct vt_err *err)
{
    uint64_t instances = 0;

    (void)id;
    world_forget_rows(world);
    return vt_admin_trash_list(&world->admin, err) &&
           vt_admin_study_restore(&world->admin, world_number(world, world_rows(world) - 1, "id"),
                                  NULL, &instances, err);
}

static bool restore_study(struct world *world, int64_t *id, struct vt_err *err)
{
    uint64_t instances = 0;

    (void)id;
    return vt_admin_study_restore(&world->admin, 0, "1.2.3.1", &instances, err);
}

static bool delete_again(struct world *world, int64_t id, struct vt_err *err)
{
    return delete_study(world, &id, err);
}

static bool is_restored(struct world *world)
{
    return !is_deleted(world);
}

static bool discard(struct world *world, int64_t *id, struct vt_err *err)
{
    (void)id;
    return vt_admin_quarantine_resolve(&world->admin, 1, "discard", err);
}

static bool is_discarded(struct world *world)
{
    return count_files(world->folder, "quarantine") == 0;
}

static bool keep_first(struct world *world, int64_t *id, struct vt_err *err)
{
    (void)id;
    return vt_admin_version_resolve(&world->admin, "1.2.3.1.1.0", 1, err);
}

static bool is_kept(struct world *world)
{
    return count_files(world->folder, "trash") == 1;
}

static bool merge(struct world *world, int64_t *id, struct vt_err *err)
{
    return vt_admin_patient_merge(&world->admin, "P2", "P1", "test", id, err);
}

static bool correct(struct world *world, int64_t *id, struct vt_err *err)
{
    static const char *const words[] = { "PatientName=Right^Name" };

    return vt_admin_patient_correct(&world->admin, "P2", words, 1, "test", id, err);
}

/* The newest that is not undone. */
static int64_t newest_decision(struct world *world)
{
    struct vt_err err = { 0 };
    size_t count = 0;
    struct vt_admin admin = world->admin;

    world_forget_rows(world);
    OK(vt_admin_rows_of(&admin, "SELECT id FROM patient_action WHERE undone = 0 ORDER BY id", "",
                        NULL, 0, &count, &err));
    return count > 0 ? world_number(world, count - 1, "id") : 0;
}

static bool undo_decision(struct world *world, int64_t id, struct vt_err *err)
{
    (void)id;
    return vt_admin_patient_undo(&world->admin, newest_decision(world), err);
}

static bool is_decided(struct world *world)
{
    return newest_decision(world) > 0;
}

static bool verify(struct world *world, int64_t *id, struct vt_err *err)
{
    uint64_t checked = 0, faults = 0;
    bool ok = vt_admin_verify(&world->admin, NULL, true, &checked, &faults, err);

    (void)id;
    assert_true(!ok || faults == 0);
    return ok;
}

static bool back_up(struct world *world, int64_t *id, struct vt_err *err)
{
    uint64_t instances = 0;
    char path[300];

    (void)id;
    snprintf(path, sizeof path, "%s-backup", world->folder);
    folder_remove(path);
    bool ok = vt_admin_backup(&world->admin, path, &instances, err);
    assert_true(!ok || instances == 2 * INSTANCES);
    folder_remove(path);
    return ok;
}

static bool reindex(struct world *world, int64_t *id, struct vt_err *err)
{
    uint64_t instances = 0;

    (void)id;
    return vt_admin_reindex(&world->admin, &instances, err);
}

static const struct operation operations[] = {
    { "delete", delete_study, restore_newest, is_deleted },
    { "restore", restore_study, delete_again, is_restored },
    { "discard", discard, restore_newest, is_discarded },
    { "keep a version", keep_first, restore_newest, is_kept },
    { "merge", merge, undo_decision, is_decided },
    { "correct", correct, undo_decision, is_decided },
    { "verify", verify, NULL, NULL },
    { "back up", back_up, NULL, NULL },
    { "reindex", reindex, NULL, NULL },
};

/* ---- torture ---- */

/* The allocation that failed is behind us: what follows succeeds. */
static void settle(struct task *task, bool ok, int64_t id, struct vt_err *failure)
{
    struct world *world = task->world;
    const struct operation *operation = task->operation;
    struct vt_err err = { 0 };

    if (atomic_load(&world->archive->read_only)) {
        if (!strstr(failure->text, "memory"))
            fail_msg("%s: %s", operation->name, failure->text);
        failure->code = VT_E_NOMEM;
        world_close(world);
        world_open(world);
    }
    if (world_faults(world) != 0)
        fail_msg("%s (%s) leaves a fault: %s %s", operation->name, failure->text,
                 world_text(world, 0, "fault"), world_text(world, 0, "file"));
    if (!operation->done)
        return;
    bool done = operation->done(world);
    assert_true(done || !ok);
    if (done && !operation->undo(world, id, &err))
        fail_msg("undoing %s: %s", operation->name, err.text);
}

static bool work(void *context, struct vt_err *err)
{
    struct task *task = context;
    int64_t id = 0;
    bool ok = task->operation->run(task->world, &id, err);

    if (!ok) /* else allocations that are not of the operation would be counted */
        settle(task, ok, id, err);
    return ok;
}

static const struct operation *named(const char *name)
{
    for (size_t i = 0; i < VT_COUNT(operations); i++)
        if (strcmp(operations[i].name, name) == 0)
            return &operations[i];
    fail_msg("no operation '%s'", name);
    return NULL;
}

static void torture(struct world *world, const char *name)
{
    struct task task = { .world = world, .operation = named(name) };
    struct vt_err none = { 0 };

    assert_true(vt_torture(work, &task) > 0);
    settle(&task, true, 0, &none);
}

static void a_deletion_and_its_restore_survive_every_allocation_that_fails(void **state)
{
    struct vt_err err = { 0 };
    int64_t id = 0;

    torture(*state, "delete");
    OK(delete_study(*state, &id, &err));
    torture(*state, "restore");
}

static void resolving_survives_every_allocation_that_fails(void **state)
{
    torture(*state, "discard");
    torture(*state, "keep a version");
}

static void merges_and_corrections_survive_every_allocation_that_fails(void **state)
{
    torture(*state, "merge");
    torture(*state, "correct");
}

static void verify_backup_and_reindex_survive_every_allocation_that_fails(void **state)
{
    torture(*state, "verify");
    torture(*state, "back up");
    torture(*state, "reindex");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_deletion_and_its_restore_survive_every_allocation_that_fails),
        TEST(resolving_survives_every_allocation_that_fails),
        TEST(merges_and_corrections_survive_every_allocation_that_fails),
        TEST(verify_backup_and_reindex_survive_every_allocation_that_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
