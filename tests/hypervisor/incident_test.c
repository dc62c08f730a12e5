/* The store of incidents: what is written is found again by another opening of the file. */
#include "hypervisor/incident.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "core/err.h"

struct world {
    char folder[64], path[96];
    struct vt_incidents *incidents;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct vt_err err = { 0 };

    strcpy(world->folder, "/tmp/vt-incident-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    snprintf(world->path, sizeof world->path, "%s/monitor.db", world->folder);
    world->incidents = vt_incidents_open(world->path, &err);
    assert_non_null(world->incidents);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const tails[] = { "", "-wal", "-shm" };
    struct world *world = *state;

    vt_incidents_free(world->incidents);
    for (int i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", world->path, tails[i]);
        unlink(path);
    }
    rmdir(world->folder);
    free(world);
    return 0;
}

static void reopen(struct world *world)
{
    struct vt_err err = { 0 };

    vt_incidents_free(world->incidents);
    world->incidents = vt_incidents_open(world->path, &err);
    assert_non_null(world->incidents);
}

static int64_t open_one(struct world *world, enum vt_loss loss, const char *vm)
{
    struct vt_incident incident = { .loss = loss, .opened = 1000000000, .reason = "why" };
    struct vt_err err = { 0 };

    assert_true(vt_incident_open(world->incidents, &incident, "{\"facts\":{}}", &err));
    if (vm)
        assert_true(
            vt_incident_vm_joins(world->incidents, incident.id, vm, vm, 1000000000, "why", &err));
    return incident.id;
}

static bool gather(void *context, json_t *row)
{
    json_array_append_new(context, row);
    return true;
}

static json_t *rows(struct world *world, const struct vt_incident_filter *filter)
{
    json_t *list = json_array();
    struct vt_err err = { 0 };

    assert_true(vt_incidents_rows(world->incidents, filter, false, gather, list, &err));
    return list;
}

static void a_row_has_the_fields_of_the_contract(void **state)
{
    static const char *const keys[] = { "vm",     "vm_uuid",  "class", "opened",
                                        "closed", "snapshot", "reason" };
    struct world *world = *state;
    const struct vt_incident_filter all = { 0 };
    size_t i = 0;
    const char *key;
    json_t *value;

    open_one(world, VT_LOSS_NETWORK_LOST, "ws-1");
    reopen(world);
    json_t *list = rows(world, &all), *row = json_array_get(list, 0);
    assert_int_equal(json_array_size(list), 1);
    json_object_foreach(row, key, value) assert_string_equal(key, keys[i++]);
    assert_int_equal(i, 7);
    assert_string_equal(json_string_value(json_object_get(row, "vm")), "ws-1");
    assert_string_equal(json_string_value(json_object_get(row, "class")), "network-lost");
    assert_true(json_is_null(json_object_get(row, "closed")));
    json_decref(list);
}

static void a_shared_incident_lists_its_vms(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    const struct vt_incident_filter of_one = { .vm = "ws-2" };
    int64_t id = open_one(world, VT_LOSS_LINK_LOST, "ws-1");

    assert_true(vt_incident_vm_joins(world->incidents, id, "ws-2", "ws-2", 2, "why", &err));
    json_t *list = rows(world, &of_one), *row = json_array_get(list, 0);
    assert_true(json_is_null(json_object_get(row, "vm")));
    assert_int_equal(json_array_size(json_object_get(row, "vms")), 2);
    json_decref(list);
}

static void filters_choose_by_class_time_vm_and_openness(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    int64_t first = open_one(world, VT_LOSS_NETWORK_LOST, "ws-1");

    open_one(world, VT_LOSS_SERVICE_DOWN, "ws-2");
    assert_true(vt_incident_close(world->incidents, first, 5000000000, "over", NULL, &err));
    static const struct {
        struct vt_incident_filter filter;
        size_t count;
    } cases[] = { { { .loss = VT_LOSS_NETWORK_LOST }, 1 },
                  { { .open_only = true }, 1 },
                  { { .vm = "ws-2" }, 1 },
                  { { .since = 2000000000 }, 0 },
                  { { .limit = 1 }, 1 },
                  { { .vm = "nobody" }, 0 } };
    for (size_t i = 0; i < VT_COUNT(cases); i++) {
        json_t *list = rows(world, &cases[i].filter);
        assert_int_equal(json_array_size(list), cases[i].count);
        json_decref(list);
    }
}

static bool count_open(void *context, const struct vt_incident *incident, const char *vm_uuid,
                       const char *vm_name)
{
    (void)vm_name;
    if (incident->loss == VT_LOSS_LINK_LOST && strcmp(vm_uuid, "ws-2") == 0)
        ++*(int *)context;
    return true;
}

static void what_is_open_is_found_behind_a_restart_without_those_who_left(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    int64_t id = open_one(world, VT_LOSS_LINK_LOST, "ws-1");
    int found = 0;

    assert_true(vt_incident_vm_joins(world->incidents, id, "ws-2", "ws-2", 2, "why", &err));
    assert_true(vt_incident_vm_leaves(world->incidents, id, "ws-1", 3, "answers", &err));
    reopen(world);
    assert_true(vt_incidents_open_each(world->incidents, count_open, &found, &err));
    assert_int_equal(found, 1);
}

static bool first_shot(void *context, const struct vt_shot *shot)
{
    *(struct vt_shot *)context = *shot;
    return true;
}

static void an_intent_is_pending_until_it_has_an_end(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    struct vt_shot shot = { .incident = open_one(world, VT_LOSS_NETWORK_LOST, "ws-1"),
                            .vm_uuid = "ws-1",
                            .name = "unique",
                            .state = VT_SHOT_INTENT,
                            .asked = 42 },
                   found = { 0 };
    int64_t asked = 0;

    assert_true(vt_shot_add(world->incidents, &shot, &err));
    reopen(world);
    assert_true(vt_shots_each_pending(world->incidents, first_shot, &found, &err));
    assert_string_equal(found.name, "unique");
    assert_true(vt_shots_last(world->incidents, "ws-1", &asked, &err));
    assert_int_equal(asked, 42);
    found.state = VT_SHOT_DONE;
    strcpy(found.uuid, "snap-1");
    assert_true(vt_shot_update(world->incidents, &found, &err));
    found.id = 0;
    assert_true(vt_shots_each_pending(world->incidents, first_shot, &found, &err));
    assert_int_equal(found.id, 0);
    const struct vt_incident_filter all = { 0 };
    json_t *list = rows(world, &all);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "snapshot")),
                        "snap-1");
    json_decref(list);
    assert_false(vt_shot_add(world->incidents, &shot, &err)); /* the name is unique */
    assert_int_equal(err.code, VT_E_EXISTS);
}

static void a_transaction_that_is_not_kept_leaves_nothing(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    const struct vt_incident_filter all = { 0 };

    assert_true(vt_incidents_begin(world->incidents, &err));
    open_one(world, VT_LOSS_NETWORK_LOST, "ws-1");
    assert_true(vt_incidents_end(world->incidents, false, &err));
    json_t *list = rows(world, &all);
    assert_int_equal(json_array_size(list), 0);
    json_decref(list);
}

static void rules_are_replaced_removed_and_kept(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    struct vt_rule *rules = NULL;
    size_t count = 0;
    bool there = false;

    assert_true(vt_incidents_rule_add(world->incidents, VT_RULE_TAG, "t", "{}", &err));
    assert_true(
        vt_incidents_rule_add(world->incidents, VT_RULE_TAG, "t", "{\"port\":\"1\"}", &err));
    assert_true(vt_incidents_rule_add(world->incidents, VT_RULE_ALL, "", "{}", &err));
    reopen(world);
    assert_true(vt_incidents_rules(world->incidents, &rules, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(rules[0].settings, "{\"port\":\"1\"}");
    vt_rules_free(rules, count);
    assert_true(vt_incidents_rule_remove(world->incidents, VT_RULE_TAG, "t", &there, &err));
    assert_true(there);
    assert_true(vt_incidents_rule_remove(world->incidents, VT_RULE_TAG, "t", &there, &err));
    assert_false(there);
}

static void the_owner_stays_the_same(void **state)
{
    struct world *world = *state;
    char owner[VT_INCIDENT_UUID_MAX];

    strcpy(owner, vt_incidents_owner(world->incidents));
    assert_int_equal(strlen(owner), 16);
    reopen(world);
    assert_string_equal(vt_incidents_owner(world->incidents), owner);
}

static void seen_and_quarantine_are_kept(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    int64_t until = 7;

    assert_false(vt_incidents_is_seen(world->incidents, "ws-1"));
    assert_true(vt_incidents_seen_add(world->incidents, "ws-1", &err));
    assert_true(vt_quarantine_put(world->incidents, "sr", 99, "full", &err));
    reopen(world);
    assert_true(vt_incidents_is_seen(world->incidents, "ws-1"));
    assert_true(vt_quarantine_until(world->incidents, "sr", &until, &err));
    assert_int_equal(until, 99);
    assert_true(vt_quarantine_until(world->incidents, "other", &until, &err));
    assert_int_equal(until, 0);
}

int main(void)
{
#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_STORE(a_row_has_the_fields_of_the_contract),
        WITH_STORE(a_shared_incident_lists_its_vms),
        WITH_STORE(filters_choose_by_class_time_vm_and_openness),
        WITH_STORE(what_is_open_is_found_behind_a_restart_without_those_who_left),
        WITH_STORE(an_intent_is_pending_until_it_has_an_end),
        WITH_STORE(a_transaction_that_is_not_kept_leaves_nothing),
        WITH_STORE(rules_are_replaced_removed_and_kept),
        WITH_STORE(the_owner_stays_the_same),
        WITH_STORE(seen_and_quarantine_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
