/* The world driven without a socket: requests go in as bytes, time goes on by hand. */
#include "poolsim/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "poolsim/control.h"

struct fixture {
    struct vt_sim_world *world;
    int64_t now;
    char session[VT_SIM_REF_MAX];
    struct vt_xmlrpc_message *reply; /* of the last request */
    uint64_t delivered;              /* the ticket of the last late answer */
};

static void take_reply(struct fixture *fixture, const struct vt_buf *body)
{
    struct vt_err err = { 0 };

    vt_xmlrpc_message_free(fixture->reply);
    fixture->reply = vt_xmlrpc_decode(body->data, body->size, &err);
    assert_non_null(fixture->reply);
}

static void deliver(void *context, uint64_t ticket, const struct vt_buf *body)
{
    struct fixture *fixture = context;

    take_reply(fixture, body);
    fixture->delivered = ticket;
}

/* Sends "method" with text parameters behind the session; false: the answer comes later. */
static bool send_texts(struct fixture *fixture, uint32_t host, const char *method,
                       const char *const *texts, size_t count)
{
    static uint64_t ticket;
    VT_AUTO_BUF(request, 1 << 16);
    VT_AUTO_BUF(reply, VT_SIM_REPLY_MAX);
    struct vt_err err = { 0 };
    struct vt_xmlrpc_writer writer = { .buf = &request, .err = &err };

    vt_xmlrpc_call_begin(&writer, method);
    for (size_t i = 0; i < count; i++) {
        vt_xmlrpc_param_begin(&writer);
        if (strcmp(texts[i], "#false") == 0)
            vt_xmlrpc_put_bool(&writer, false);
        else
            vt_xmlrpc_put_string(&writer, texts[i]);
        vt_xmlrpc_param_end(&writer);
    }
    vt_xmlrpc_call_end(&writer);
    assert_true(vt_xmlrpc_written(&writer));
    enum vt_sim_outcome outcome = vt_sim_handle(fixture->world, &fixture->world->machines[host],
                                                request.data, request.size, ++ticket, &reply);
    assert_int_not_equal(outcome, VT_SIM_MALFORMED);
    if (outcome == VT_SIM_ANSWERED)
        take_reply(fixture, &reply);
    return outcome == VT_SIM_ANSWERED;
}
#define CALL(fixture, method, ...)                                                                 \
    send_texts(fixture, 0, method, (const char *const[]){ (fixture)->session, ##__VA_ARGS__ },     \
               sizeof((const char *const[]){ (fixture)->session, ##__VA_ARGS__ }) /                \
                   sizeof(char *))

static void pass(struct fixture *fixture, int64_t ms)
{
    fixture->now += ms * VT_NS_PER_MS;
    vt_sim_advance(fixture->world, fixture->now);
    vt_sim_look(fixture->world);
}

static const struct vt_xmlrpc_value *result(const struct fixture *fixture)
{
    struct vt_err err = { 0 };
    const struct vt_xmlrpc_value *value = vt_xmlrpc_open(fixture->reply, NULL, &err);

    if (!value)
        fail_msg("%s", err.text);
    return value;
}

static void assert_failure(const struct fixture *fixture, const char *code)
{
    struct vt_err err = { 0 };

    assert_null(vt_xmlrpc_open(fixture->reply, NULL, &err));
    assert_string_equal(err.xapi_code, code);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct vt_sim_options options = { .hosts = 3,
                                      .vms = 9,
                                      .spares = 1,
                                      .seed = 7,
                                      .pace = 1.0,
                                      .port = 8443,
                                      .password = "vitrine" };

    fixture->world = vt_sim_world_new(&options);
    fixture->now = fixture->world->now;
    fixture->world->deliver = deliver;
    fixture->world->context = fixture;
    send_texts(fixture, 0, "session.login_with_password",
               (const char *const[]){ "root", "vitrine" }, 2);
    snprintf(fixture->session, sizeof fixture->session, "%s", vt_xmlrpc_text(result(fixture), ""));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    vt_xmlrpc_message_free(fixture->reply);
    vt_sim_world_free(fixture->world);
    free(fixture);
    return 0;
}

static struct vt_sim_pool *pool_of(struct fixture *fixture)
{
    return fixture->world->pools[0];
}

static struct vt_sim_object *vm_called(struct fixture *fixture, const char *name,
                                       char ref[static VT_SIM_REF_MAX])
{
    struct vt_sim_object *vm = vt_sim_by_name(pool_of(fixture)->db, VT_SIM_VM, name);

    assert_non_null(vm);
    vt_sim_ref_text(pool_of(fixture)->db, vm->id, ref);
    return vm;
}

static void the_same_seed_makes_the_same_world(void **state)
{
    struct fixture *fixture = *state;
    VT_AUTO(vt_sim_world) again = vt_sim_world_new(&fixture->world->options);
    char first[VT_SIM_REF_MAX], second[VT_SIM_REF_MAX];
    const struct vt_sim_object *a = vm_called(fixture, "ws-0005", first);
    const struct vt_sim_object *b = vt_sim_by_name(again->pools[0]->db, VT_SIM_VM, "ws-0005");

    vt_sim_ref_text(again->pools[0]->db, b->id, second);
    assert_string_equal(first, second);
    assert_string_equal(vt_sim_text(a, VT_VM_uuid), vt_sim_text(b, VT_VM_uuid));
}

static void a_reference_of_another_pool_or_a_changed_one_finds_nothing(void **state)
{
    struct fixture *fixture = *state;
    const struct vt_sim_db *other = fixture->world->pools[1]->db;
    char ref[VT_SIM_REF_MAX];
    const struct vt_sim_object *vm = vm_called(fixture, "ws-0001", ref);

    assert_int_equal(vt_sim_ref_id(pool_of(fixture)->db, ref), vm->id);
    assert_int_equal(vt_sim_ref_id(other, ref), 0);
    ref[12] = ref[12] == 'a' ? 'b' : 'a';
    assert_int_equal(vt_sim_ref_id(pool_of(fixture)->db, ref), 0);
    assert_int_equal(vt_sim_ref_id(pool_of(fixture)->db, "OpaqueRef:NULL"), 0);
}

static void setting_what_is_there_makes_no_event(void **state)
{
    struct fixture *fixture = *state;
    struct vt_sim_db *db = pool_of(fixture)->db;
    char ref[VT_SIM_REF_MAX];
    struct vt_sim_object *vm = vm_called(fixture, "ws-0001", ref);
    uint64_t generation = db->generation;

    vt_sim_set_text(db, vm, VT_VM_name_label, "ws-0001");
    vt_sim_map_remove(db, vm, VT_VM_other_config, "not there");
    vt_sim_texts_remove(db, vm, VT_VM_tags, "not there");
    assert_int_equal(db->generation, generation);
    vt_sim_set_text(db, vm, VT_VM_name_description, "new");
    assert_int_equal(vm->modified, db->generation);
    assert_ptr_equal(db->rows[VT_SIM_VM].newest, vm);
}

static void a_blocked_call_is_answered_50_ms_after_a_change(void **state)
{
    struct fixture *fixture = *state;
    VT_AUTO_BUF(reply, VT_SIM_REPLY_MAX);
    char ref[VT_SIM_REF_MAX], body[1024];
    struct vt_sim_object *vm = vm_called(fixture, "ws-0001", ref);

    snprintf(body, sizeof body,
             "<methodCall><methodName>event.from</methodName><params><param><value>%s</value></"
             "param><param><value><array>"
             "<data><value>vm</value></data></array></value></param><param><value>%020llu,%020d</"
             "value></param>"
             "<param><value><double>30.0</double></value></param></params></methodCall>",
             fixture->session, (unsigned long long)pool_of(fixture)->db->generation, 0);
    assert_int_equal(
        vt_sim_handle(fixture->world, &fixture->world->machines[0], body, strlen(body), 77, &reply),
        VT_SIM_DEFERRED);
    pass(fixture, 1000);
    assert_int_equal(fixture->delivered, 0);
    vt_sim_set_text(pool_of(fixture)->db, vm, VT_VM_name_description, "changed");
    vt_sim_look(fixture->world);
    pass(fixture, 49);
    assert_int_equal(fixture->delivered, 0);
    pass(fixture, 1);
    assert_int_equal(fixture->delivered, 77);
    const struct vt_xmlrpc_value *events = vt_xmlrpc_member(result(fixture), "events");
    assert_int_equal(events->size, 1);
    assert_string_equal(vt_xmlrpc_text(vt_xmlrpc_member(vt_xmlrpc_first(events), "operation"), ""),
                        "mod");
}

static void a_start_takes_its_time_and_shows_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    char ref[VT_SIM_REF_MAX];
    struct vt_sim_object *vm = vm_called(fixture, "ws-0003", ref);
    char *const *operations = NULL;

    assert_false(CALL(fixture, "VM.start", ref, "#false", "#false"));
    assert_int_equal(vt_sim_texts(vm, VT_VM_current_operations, &operations), 2);
    assert_string_equal(operations[1], "start");
    assert_false(vt_sim_has(vm, VT_VM_allowed_operations, "start"));
    pass(fixture, 1400);
    assert_true(vt_sim_is(vm, VT_VM_power_state, "Halted"));
    pass(fixture, 200);
    assert_true(vt_sim_is(vm, VT_VM_power_state, "Running"));
    assert_true(vt_xmlrpc_is_void(result(fixture)));
    assert_int_equal(vt_sim_texts(vm, VT_VM_current_operations, &operations), 0);
    assert_true(vt_sim_has(vm, VT_VM_allowed_operations, "suspend"));
    assert_int_equal(vt_sim_ref(vm, VT_VM_guest_metrics), 0);
    pass(fixture, 1600);
    assert_int_not_equal(vt_sim_ref(vm, VT_VM_guest_metrics), 0);
}

static void allowed_operations_agree_with_the_check_in_every_state(void **state)
{
    struct fixture *fixture = *state;
    static const char *const states[] = { "Halted", "Paused", "Suspended", "Running" };
    static const struct {
        const char *operation;
        const char *allowed;
    } rules[] = {
        { "start", "Halted" },
        { "unpause", "Paused" },
        { "resume", "Suspended" },
        { "suspend", "Running" },
        { "pool_migrate", "Running" },
        { "hard_reboot", "Paused Running" },
        { "clone", "Halted" },
        { "hard_shutdown", "Paused Suspended Running" },
        { "checkpoint", "Paused Suspended Running" },
        { "destroy", "Halted Suspended" },
        { "snapshot", "Halted Paused Suspended Running" },
    };
    char ref[VT_SIM_REF_MAX];
    struct vt_sim_object *vm = vm_called(fixture, "ws-0001", ref);

    for (size_t s = 0; s < VT_COUNT(states); s++) {
        vt_sim_set_text(pool_of(fixture)->db, vm, VT_VM_power_state, states[s]);
        vt_sim_vm_allow(pool_of(fixture), vm);
        for (size_t r = 0; r < VT_COUNT(rules); r++) {
            struct vt_sim_failure failure = { 0 };
            bool expected = strstr(rules[r].allowed, states[s]);
            assert_int_equal(vt_sim_vm_check(pool_of(fixture), vm, rules[r].operation, &failure),
                             expected);
            assert_int_equal(vt_sim_has(vm, VT_VM_allowed_operations, rules[r].operation),
                             expected);
            assert_string_equal(failure.code, expected ? "" : "VM_BAD_POWER_STATE");
        }
    }
}

static void a_block_is_reported_before_the_power_state(void **state)
{
    struct fixture *fixture = *state;
    char ref[VT_SIM_REF_MAX];
    struct vt_sim_object *vm = vm_called(fixture, "ws-0001", ref);

    vt_sim_map_set(pool_of(fixture)->db, vm, VT_VM_blocked_operations, "start", "no");
    CALL(fixture, "VM.start", ref, "#false", "#false");
    assert_failure(fixture, "OPERATION_BLOCKED");
}

static void a_dead_master_takes_its_tasks_with_it(void **state)
{
    struct fixture *fixture = *state;
    char ref[VT_SIM_REF_MAX], task[VT_SIM_REF_MAX];
    struct vt_sim_object *vm = vm_called(fixture, "ws-0003", ref);

    assert_true(CALL(fixture, "Async.VM.start", ref, "#false", "#false"));
    snprintf(task, sizeof task, "%s", vt_xmlrpc_text(result(fixture), ""));
    vt_sim_machine_restart(&fixture->world->machines[0], 1000);
    pass(fixture, 5000);
    assert_true(vt_sim_is(vm, VT_VM_power_state, "Halted"));
    assert_int_equal(vt_sim_ref_id(pool_of(fixture)->db, task), 0);
    CALL(fixture, "VM.get_all");
    assert_failure(fixture, "SESSION_INVALID");
}

static void no_host_takes_a_vm_that_is_too_large(void **state)
{
    struct fixture *fixture = *state;
    char ref[VT_SIM_REF_MAX];
    struct vt_sim_object *vm = vm_called(fixture, "ws-0003", ref);

    vt_sim_set_int(pool_of(fixture)->db, vm, VT_VM_memory_static_max, INT64_C(1) << 50);
    CALL(fixture, "VM.start", ref, "#false", "#false");
    assert_failure(fixture, "NO_HOSTS_AVAILABLE");
}

static void sessions_beyond_the_limit_push_out_the_oldest(void **state)
{
    struct fixture *fixture = *state;
    const char *const login[] = { "root", "vitrine", "2.21", "greedy" };
    char first[VT_SIM_REF_MAX];

    send_texts(fixture, 0, "session.login_with_password", login, 4);
    snprintf(first, sizeof first, "%s", vt_xmlrpc_text(result(fixture), ""));
    for (int i = 0; i < VT_SIM_SESSIONS_MAX; i++)
        send_texts(fixture, 0, "session.login_with_password", login, 4);
    assert_int_equal(vt_sim_ref_id(pool_of(fixture)->db, first), 0);
    CALL(fixture, "VM.get_all"); /* another originator is counted for itself */
    assert_int_equal(result(fixture)->type, VT_XMLRPC_ARRAY);
}

static void a_wrong_password_is_answered_after_five_seconds(void **state)
{
    struct fixture *fixture = *state;

    assert_false(send_texts(fixture, 0, "session.login_with_password",
                            (const char *const[]){ "root", "no" }, 2));
    pass(fixture, 4900);
    assert_int_equal(fixture->delivered, 0);
    pass(fixture, 200);
    assert_failure(fixture, "SESSION_AUTHENTICATION_FAILED");
}

static void an_idle_session_dies_after_a_day(void **state)
{
    struct fixture *fixture = *state;

    fixture->world->machines[0].clock_offset = 24 * 3600 + 10;
    CALL(fixture, "VM.get_all");
    assert_failure(fixture, "SESSION_INVALID");
}

static void commands_name_what_is_wrong_with_them(void **state)
{
    struct fixture *fixture = *state;
    VT_AUTO_BUF(out, 4096);
    static const char *const wrong[][2] = {
        { "levitate", NULL },        { "fail-host", "nobody" }, { "delay", "x" },
        { "cut-network", "nobody" }, { "fill-sr", "nowhere" },  { "kill-master", "now" },
    };

    for (size_t i = 0; i < VT_COUNT(wrong); i++) {
        struct vt_err err = { 0 };
        assert_false(
            vt_sim_control_run(fixture->world, NULL, wrong[i][1] ? 2 : 1, wrong[i], &out, &err));
        assert_int_not_equal(err.code, VT_OK);
    }
}

static void every_class_has_its_calls(void **state)
{
    struct fixture *fixture = *state;
    char method[64];

    for (int class = 0; class < VT_SIM_CLASSES; class ++) {
        snprintf(method, sizeof method, "%s.get_all_records", vt_sim_classes[class].name);
        assert_true(CALL(fixture, method));
        assert_int_equal(result(fixture)->type, VT_XMLRPC_STRUCT);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_same_seed_makes_the_same_world),
        TEST(a_reference_of_another_pool_or_a_changed_one_finds_nothing),
        TEST(setting_what_is_there_makes_no_event),
        TEST(a_blocked_call_is_answered_50_ms_after_a_change),
        TEST(a_start_takes_its_time_and_shows_meanwhile),
        TEST(allowed_operations_agree_with_the_check_in_every_state),
        TEST(a_block_is_reported_before_the_power_state),
        TEST(a_dead_master_takes_its_tasks_with_it),
        TEST(no_host_takes_a_vm_that_is_too_large),
        TEST(sessions_beyond_the_limit_push_out_the_oldest),
        TEST(a_wrong_password_is_answered_after_five_seconds),
        TEST(an_idle_session_dies_after_a_day),
        TEST(commands_name_what_is_wrong_with_them),
        TEST(every_class_has_its_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
