/* Commitments: what is found of each instance, what is held because of it, what the receipt says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "archive/admin.h"
#include "archive/commitment.h"
#include "archive/inside.h"
#include "tests/archive/objects.h"
#include "tests/support/torture.h"

struct world {
    char path[256];
    struct vt_archive *archive;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    snprintf(world->path, sizeof world->path, "%s", folder_new());
    world->archive = archive_at(world->path);
    *state = world;
    return world->archive ? 0 : -1;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    vt_archive_free(world->archive);
    folder_remove(world->path);
    free(world);
    return 0;
}

static void store(struct vt_archive *archive, const char *sop)
{
    struct object object = OBJECT;
    struct vt_receive_result result = { 0 };
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, &err);

    object.sop = sop;
    object.pixels = 100000;
    if (!receive || !object_send(receive, &object, &result, &err))
        fail_msg("%04x %s", err.dimse_status, err.text);
}

static bool queue(struct vt_archive *archive, const char *transaction, const char *const uids[],
                  size_t count, int64_t *out_id, bool *out_known, struct vt_err *err)
{
    struct vt_commitment_item items[8];

    for (size_t i = 0; i < count; i++)
        items[i] = (struct vt_commitment_item){ VT_UID_CT_IMAGE, uids[i] };
    const struct vt_commitment_request request = { transaction, "CT1", "127.0.0.1", "VITRINE", items,
                                                   count };
    return vt_commitment_queue(archive, &request, out_id, out_known, err);
}

static int64_t asked(struct vt_archive *archive, const char *transaction, const char *const uids[],
                     size_t count)
{
    struct vt_err err = { 0 };
    int64_t id = 0;
    bool known = true;

    assert_true(queue(archive, transaction, uids, count, &id, &known, &err));
    assert_false(known);
    return id;
}

static uint64_t decided(struct vt_archive *archive, int64_t id, bool wait)
{
    struct vt_err err = { 0 };
    uint64_t open = 99;

    if (!vt_commitment_decide(archive, id, wait, NULL, NULL, &open, &err))
        fail_msg("%s", err.text);
    return open;
}

struct reasons {
    int list[8];
    size_t count;
};

static bool keep_reason(void *context, const struct vt_commitment_item *item, int reason,
                        struct vt_err *err)
{
    struct reasons *reasons = context;

    (void)item;
    (void)err;
    reasons->list[reasons->count++] = reason;
    return true;
}

static struct reasons reasons_of(struct vt_archive *archive, int64_t id)
{
    struct reasons reasons = { .count = 0 };
    struct vt_err err = { 0 };

    assert_true(vt_commitment_each(archive, id, keep_reason, &reasons, &err));
    return reasons;
}

static void flip_byte(const struct world *world, const char *sop)
{
    struct vt_index_entry entry;
    struct vt_err err = { 0 };
    char path[1024];
    uint8_t byte;
    bool found = false;

    assert_true(vt_index_lookup(vt_archive_index(world->archive), sop, &entry, &found, &err) &&
                found);
    snprintf(path, sizeof path, "%s/%s", world->path, entry.file);
    vt_autoclose fd = open(path, O_RDWR);
    off_t at = (off_t)entry.file_size - 500;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static void stored_instances_are_committed_and_missing_ones_wait(void **state)
{
    struct world *world = *state;
    const char *const uids[] = { "1.2.3.1.1.1", "1.2.3.1.1.2" };
    struct vt_commitment commitment;
    struct vt_err err = { 0 };

    store(world->archive, uids[0]);
    int64_t id = asked(world->archive, "1.9.1", uids, 2);
    assert_int_equal(decided(world->archive, id, true), 1);
    assert_true(vt_commitment_read(world->archive, id, &commitment, &err));
    assert_int_equal(commitment.state, VT_COMMITMENT_QUEUED);
    store(world->archive, uids[1]);
    assert_int_equal(decided(world->archive, id, true), 0);
    assert_true(vt_commitment_read(world->archive, id, &commitment, &err));
    assert_int_equal(commitment.state, VT_COMMITMENT_DECIDED);
    assert_int_equal(commitment.failed, 0);
    struct reasons reasons = reasons_of(world->archive, id);
    assert_int_equal(reasons.count, 2);
    assert_int_equal(reasons.list[0] | reasons.list[1], VT_COMMITMENT_DONE);
}

static void an_altered_byte_is_a_processing_failure(void **state)
{
    struct world *world = *state;
    const char *const uids[] = { "1.2.3.1.1.1" };

    store(world->archive, uids[0]);
    flip_byte(world, uids[0]);
    int64_t id = asked(world->archive, "1.9.1", uids, 1);
    assert_int_equal(decided(world->archive, id, false), 0);
    assert_int_equal(reasons_of(world->archive, id).list[0], VT_COMMITMENT_PROCESSING);
    bool holds = true;
    struct vt_err err = { 0 };
    assert_true(vt_commitment_holds(world->archive, uids[0], 1, &holds, &err));
    assert_false(holds);
}

static void a_transaction_uid_is_good_for_one_list(void **state)
{
    struct world *world = *state;
    const char *const uids[] = { "1.2.3.1.1.1", "1.2.3.1.1.2" };
    struct vt_err err = { 0 };
    bool known = false;
    int64_t again = 0, other = 0;

    int64_t id = asked(world->archive, "1.9.1", uids, 2);
    assert_true(queue(world->archive, "1.9.1", uids, 2, &again, &known, &err));
    assert_true(known);
    assert_int_equal(again, id);
    assert_true(queue(world->archive, "1.9.1", uids, 1, &other, &known, &err));
    assert_false(known);
    assert_int_equal(reasons_of(world->archive, other).list[0], VT_COMMITMENT_DUPLICATE);
    assert_int_equal(decided(world->archive, id, false), 0);
    assert_true(vt_commitment_told(world->archive, id, NULL, false, &err));
    assert_true(queue(world->archive, "1.9.1", uids, 2, &again, &known, &err));
    assert_false(known);
    assert_int_equal(reasons_of(world->archive, again).list[1], VT_COMMITMENT_DUPLICATE);
}

static void what_is_held_outlives_the_trash(void **state)
{
    struct world *world = *state;
    const char *const uids[] = { "1.2.3.1.1.1" };
    struct vt_admin admin = { .archive = world->archive, .who = "test" };
    struct vt_err err = { 0 };
    uint64_t instances = 0;
    int64_t trash = 0;
    bool holds = false;

    store(world->archive, uids[0]);
    decided(world->archive, asked(world->archive, "1.9.1", uids, 1), false);
    assert_true(vt_commitment_holds(world->archive, uids[0], 1, &holds, &err) && holds);
    assert_false(vt_admin_study_delete(&admin, "1.2.3.1", "", &trash, &instances, &err));
    assert_int_equal(err.code, VT_E_DENIED);
    vt_err_clear(&err);

    /* Put back into protection while it lies in the trash: no purge takes it. */
    admin.committed = true;
    assert_true(vt_admin_study_delete(&admin, "1.2.3.1", "", &trash, &instances, &err));
    assert_true(vt_commitment_lift(world->archive, trash, false, &err));
    admin.committed = false;
    assert_true(vt_admin_trash_purge(&admin, true, &instances, &err));
    assert_int_equal(instances, 0);
    admin.committed = true;
    assert_true(vt_admin_trash_purge(&admin, true, &instances, &err));
    assert_int_equal(instances, 1);
}

static bool see(void *context, json_t *row)
{
    json_t **last = context;

    json_decref(*last);
    *last = json_incref(row);
    return true;
}

static void a_receipt_knows_when_it_or_its_files_were_altered(void **state)
{
    struct world *world = *state;
    const char *const uids[] = { "1.2.3.1.1.1" };
    json_t *last = NULL;
    struct vt_admin admin = {
        .archive = world->archive, .who = "test", .row = see, .context = &last
    };
    struct vt_err err = { 0 };
    uint64_t checked = 0, faults = 0;

    store(world->archive, uids[0]);
    decided(world->archive, asked(world->archive, "1.9.1", uids, 1), false);
    assert_true(vt_commitment_check(&admin, "1.9.1", &checked, &faults, &err));
    assert_int_equal(checked, 1);
    assert_int_equal(faults, 0);
    flip_byte(world, uids[0]);
    assert_true(vt_commitment_check(&admin, "1", &checked, &faults, &err));
    assert_int_equal(faults, 1);
    assert_string_equal(json_string_value(json_object_get(last, "fault")), "altered");

    struct vt_db *db = vt_state_lock(world->archive->state);
    assert_true(vt_db_exec(db, "UPDATE commitment_item SET size = 1", &err));
    vt_state_unlock(world->archive->state);
    flip_byte(world, uids[0]);
    assert_true(vt_commitment_check(&admin, "1", &checked, &faults, &err));
    assert_int_equal(faults, 1);
    assert_string_equal(json_string_value(json_object_get(last, "fault")), "receipt");
    assert_true(vt_commitment_export(&admin, "1", &err));
    assert_int_equal(json_array_size(json_object_get(last, "items")), 1);
    json_decref(last);
}

static void a_transaction_survives_a_restart(void **state)
{
    struct world *world = *state;
    const char *const uids[] = { "1.2.3.1.1.1" };
    struct vt_err err = { 0 };
    int64_t next = 0;

    int64_t id = asked(world->archive, "1.9.1", uids, 1);
    vt_archive_free(world->archive);
    world->archive = archive_at(world->path);
    assert_true(vt_commitment_next_open(world->archive, 0, &next, &err));
    assert_int_equal(next, id);
    decided(world->archive, id, false);
    assert_true(vt_commitment_told(world->archive, id, "nobody there", true, &err));
    assert_true(vt_commitment_next_open(world->archive, 0, &next, &err));
    assert_int_equal(next, 0);
}

static void a_report_is_known_by_transaction_and_peer(void **state)
{
    struct world *world = *state;
    VT_AUTO_BUF(report, 100);
    struct vt_err err = { 0 };
    bool known = true, answered = true;

    assert_true(vt_commitment_expect(world->archive, "1.9.5", "PACS", &err));
    assert_true(vt_commitment_answer(world->archive, "1.9.5", &report, &answered, &err));
    assert_false(answered);
    assert_true(vt_commitment_answered(world->archive, "1.9.5", "OTHER", (const uint8_t *)"abc", 3,
                                       &known, &err));
    assert_false(known);
    assert_true(vt_commitment_answered(world->archive, "1.9.5", "PACS", (const uint8_t *)"abc", 3,
                                       &known, &err));
    assert_true(known);
    assert_true(vt_commitment_answer(world->archive, "1.9.5", &report, &answered, &err));
    assert_true(answered);
    assert_int_equal(report.size, 3);
    assert_false(vt_commitment_answer(world->archive, "1.9.6", &report, &answered, &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
}

static bool ask_and_decide(void *context, struct vt_err *err)
{
    struct world *world = context;
    const char *const uids[] = { "1.2.3.1.1.1", "1.2.3.1.1.9" };
    static unsigned number;
    char transaction[32];
    int64_t id = 0;
    uint64_t open = 0;
    bool known = false;

    snprintf(transaction, sizeof transaction, "1.9.77.%u", ++number);
    return queue(world->archive, transaction, uids, 2, &id, &known, err) &&
           vt_commitment_decide(world->archive, id, false, NULL, NULL, &open, err);
}

static void a_lack_of_memory_is_only_that(void **state)
{
    struct world *world = *state;

    store(world->archive, "1.2.3.1.1.1");
    assert_true(vt_torture(ask_and_decide, world) > 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(stored_instances_are_committed_and_missing_ones_wait),
        CASE(an_altered_byte_is_a_processing_failure),
        CASE(a_transaction_uid_is_good_for_one_list),
        CASE(what_is_held_outlives_the_trash),
        CASE(a_receipt_knows_when_it_or_its_files_were_altered),
        CASE(a_transaction_survives_a_restart),
        CASE(a_report_is_known_by_transaction_and_peer),
        CASE(a_lack_of_memory_is_only_that),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
