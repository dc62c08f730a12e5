/* The session layer against the simulator, over TLS with learnt pins. */
#include "hypervisor/xapi.h"
#include "hypervisor/xapi_local.h"

#include <pthread.h>
#include <stdatomic.h>

#include "core/clock.h"
#include "core/err.h"
#include "tests/hypervisor/simulator.h"

struct fixture {
    struct simulator simulator;
    struct vt_xapi *xapi;
    struct vt_line *line;
};

static struct vt_xapi *session(const char *url, const char *password, const char *fingerprint)
{
    struct vt_err err = { 0 };
    struct vt_xapi_options options = {
        .url = url, .user = "root", .password = password, .fingerprint = fingerprint
    };
    struct vt_xapi *xapi = vt_xapi_new(&options, &err);

    if (!xapi)
        fail_msg("%s", err.text);
    return xapi;
}

static int set_up(void **state)
{
    static const char *const options[] = { "--tls", "--hosts", "3", "--spares",
                                           "1",     "--vms",   "9", NULL };
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct vt_err err = { 0 };

    fixture->simulator = simulator_start(options);
    fixture->xapi = session(fixture->simulator.url, "vitrine", NULL);
    fixture->line = vt_line_new(&err);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    vt_line_free(fixture->line);
    vt_xapi_free(fixture->xapi);
    if (fixture->simulator.pid)
        simulator_stop(&fixture->simulator);
    free(fixture);
    return 0;
}

static void url_of(const struct fixture *fixture, int host, char out[static 64])
{
    snprintf(out, 64, "https://127.0.0.%d:%u", 1 + host, fixture->simulator.port);
}

/* The reference of the VM with that name. */
static void vm_called(struct fixture *fixture, const char *name, char out[static VT_XAPI_REF_MAX])
{
    VT_AUTO_REPLY reply = { 0 };
    struct vt_err err = { 0 };

    if (!vt_xapi_call(fixture->xapi, fixture->line, &reply, &err, "VM.get_by_name_label", "s",
                      name))
        fail_msg("%s", err.text);
    snprintf(out, VT_XAPI_REF_MAX, "%s", vt_xmlrpc_text(vt_xmlrpc_first(reply.value), ""));
}

static void text_of(struct fixture *fixture, const char *method, const char *ref, char *out,
                    size_t size)
{
    VT_AUTO_REPLY reply = { 0 };
    struct vt_err err = { 0 };

    if (!vt_xapi_call(fixture->xapi, fixture->line, &reply, &err, method, "s", ref))
        fail_msg("%s", err.text);
    snprintf(out, size, "%s", vt_xmlrpc_text(reply.value, ""));
}

static void a_slave_sends_us_to_the_master_and_all_members_are_remembered(void **state)
{
    struct fixture *fixture = *state;
    struct vt_err err = { 0 };
    struct vt_xapi_member members[VT_XAPI_MEMBERS_MAX];
    char url[64], master[VT_XAPI_ADDRESS_MAX], uuid[VT_XAPI_UUID_MAX];
    size_t count = 0;
    url_of(fixture, 1, url);
    VT_AUTO(vt_xapi) xapi = session(url, "vitrine", NULL);

    if (!vt_xapi_login(xapi, fixture->line, &err))
        fail_msg("%s", err.text);
    vt_xapi_master(xapi, master);
    assert_string_equal(master, "127.0.0.1");
    vt_xapi_members(xapi, members, &count, uuid);
    assert_int_equal(count, 3);
    assert_int_equal(strlen(uuid), 36);
    for (size_t i = 0; i < count; i++) {
        assert_memory_equal(members[i].pin, "sha256//", 8);
        assert_int_equal(strlen(members[i].uuid), 36);
    }
    assert_true(vt_xapi_logout(xapi, fixture->line, &err));
    vt_xapi_master(xapi, master);
    assert_string_equal(master, "");
}

static void a_wrong_password_is_final(void **state)
{
    struct fixture *fixture = *state;
    struct vt_err err = { 0 };
    VT_AUTO(vt_xapi) xapi = session(fixture->simulator.url, "wrong", NULL);

    assert_false(vt_xapi_login(xapi, fixture->line, &err));
    assert_string_equal(err.xapi_code, "SESSION_AUTHENTICATION_FAILED");
}

static void plain_http_is_for_loopback_only(void **state)
{
    (void)state;
    struct vt_err err = { 0 };
    struct vt_xapi_options options = { .url = "http://192.0.2.1", .user = "root", .password = "x" };

    assert_null(vt_xapi_new(&options, &err));
    assert_int_equal(err.code, VT_E_INVALID);
    options.url = "ftp://127.0.0.1";
    assert_null(vt_xapi_new(&options, &err));
    options.url = "http://127.0.0.1";
    VT_AUTO(vt_xapi) xapi = vt_xapi_new(&options, &err);
    assert_non_null(xapi);
}

static void a_dead_session_is_renewed_once_without_the_caller_noticing(void **state)
{
    struct fixture *fixture = *state;
    char vm[VT_XAPI_REF_MAX], power[32];

    vm_called(fixture, "ws-0001", vm);
    simulator_ctl(&fixture->simulator, "expire-sessions");
    text_of(fixture, "VM.get_power_state", vm, power, sizeof power);
    assert_string_equal(power, "Running");
    assert_int_equal(vt_xapi_login_count(fixture->xapi), 2);
}

static void a_failure_carries_code_and_parameters(void **state)
{
    struct fixture *fixture = *state;
    VT_AUTO_REPLY reply = { 0 };
    struct vt_err err = { 0 };
    char vm[VT_XAPI_REF_MAX];

    vm_called(fixture, "ws-0001", vm);
    assert_false(vt_xapi_call(fixture->xapi, fixture->line, &reply, &err, "VM.start", "sbb", vm,
                              false, false));
    assert_int_equal(err.code, VT_E_STATUS);
    assert_string_equal(err.xapi_code, "VM_BAD_POWER_STATE");
    assert_string_equal(reply.failure.params[2], "running");
    assert_int_equal(vt_xapi_login_count(fixture->xapi), 1);
}

static void what_reads_is_repeated_and_what_changes_is_not(void **state)
{
    struct fixture *fixture = *state;
    VT_AUTO_REPLY reply = { 0 };
    struct vt_err err = { 0 };
    char vm[VT_XAPI_REF_MAX], text[64];

    vm_called(fixture, "ws-0001", vm);
    simulator_ctl(&fixture->simulator, "drop-connections 1");
    text_of(fixture, "VM.get_power_state", vm, text, sizeof text);
    assert_string_equal(text, "Running");
    simulator_ctl(&fixture->simulator, "drop-connections 1");
    assert_false(vt_xapi_call(fixture->xapi, fixture->line, &reply, &err, "VM.add_to_other_config",
                              "sss", vm, "a", "1"));
    assert_int_equal(err.code, VT_E_CLOSED);
    vt_err_clear(&err);
    VT_AUTO_REPLY again = {
        0
    }; /* it was carried out, once: a second time would say MAP_DUPLICATE_KEY */
    assert_false(vt_xapi_call(fixture->xapi, fixture->line, &again, &err, "VM.add_to_other_config",
                              "sss", vm, "a", "1"));
    assert_string_equal(err.xapi_code, "MAP_DUPLICATE_KEY");
}

static void a_changed_certificate_is_refused_until_the_pin_is_forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct vt_err err = { 0 };
    VT_AUTO_REPLY reply = { 0 };
    VT_AUTO(vt_line) line = vt_line_new(&err);

    assert_true(vt_xapi_login(fixture->xapi, fixture->line, &err));
    simulator_ctl(&fixture->simulator, "new-certificate host-01");
    assert_false(vt_xapi_call(fixture->xapi, line, &reply, &err, "pool.get_all", ""));
    assert_int_equal(err.code, VT_E_DENIED);
    assert_non_null(strstr(err.text, "CHANGED"));
    vt_err_clear(&err);
    assert_true(vt_xapi_forget_pin(fixture->xapi, "127.0.0.1", &err));
    if (!vt_xapi_call(fixture->xapi, line, &reply, &err, "pool.get_all", ""))
        fail_msg("%s", err.text);
}

static void a_configured_fingerprint_must_be_shown(void **state)
{
    struct fixture *fixture = *state;
    struct vt_err err = { 0 };
    struct vt_line_host host = { .scheme = "https",
                                 .address = "127.0.0.1",
                                 .path = "/",
                                 .port = (uint16_t)fixture->simulator.port };
    struct vt_cert cert = { 0 };
    char wrong[] = "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:"
                   "aa:bb:cc:dd:ee:ff";

    assert_true(vt_line_peek(fixture->line, &host, 5000, &cert, &err));
    VT_AUTO(vt_xapi) right = session(fixture->simulator.url, "vitrine", cert.fingerprint);
    VT_AUTO(vt_line) line = vt_line_new(&err);
    assert_true(vt_xapi_login(right, line, &err));
    VT_AUTO(vt_xapi) other = session(fixture->simulator.url, "vitrine", wrong);
    assert_false(vt_xapi_login(other, line, &err));
    assert_int_equal(err.code, VT_E_DENIED);
}

static void a_member_that_belongs_to_another_pool_is_not_believed(void **state)
{
    struct fixture *fixture = *state;
    struct vt_err err = { 0 };
    char url[64];
    url_of(fixture, 3, url);
    VT_AUTO(vt_xapi) xapi = session(url, "vitrine", NULL);

    assert_true(vt_xapi_remember(xapi, "11111111-2222-4333-8444-555555555555", NULL, 0, &err));
    assert_false(vt_xapi_login(xapi, fixture->line, &err));
    assert_int_equal(err.code, VT_E_REFUSED);
    assert_non_null(strstr(err.text, "another pool"));
}

/* What a person does in an emergency. */
static void promote(struct fixture *fixture, const char *address)
{
    struct vt_err err = { 0 };
    VT_AUTO(vt_xapi_local) local = vt_xapi_slave_local_login(fixture->xapi, address, &err);

    if (!local || !vt_xapi_local_transition_to_master(local, &err))
        fail_msg("%s", err.text);
}

static void a_local_logon_tells_how_a_member_is(void **state)
{
    struct fixture *fixture = *state;
    struct vt_err err = { 0 };
    struct vt_xapi_local_state told = { 0 };
    VT_AUTO(vt_xapi_local) slave = vt_xapi_slave_local_login(fixture->xapi, "127.0.0.2", &err);
    VT_AUTO(vt_xapi_local) master = vt_xapi_slave_local_login(fixture->xapi, "127.0.0.1", &err);

    assert_true(vt_xapi_local_look(slave, &told, &err));
    assert_false(told.emergency);
    assert_string_equal(told.reason, "HOST_IS_SLAVE");
    assert_string_equal(told.master, "127.0.0.1");
    assert_true(vt_xapi_local_look(master, &told, &err));
    assert_string_equal(told.reason, "");
    simulator_ctl(&fixture->simulator, "kill-master");
    for (int i = 0; i < 200 && !told.emergency; i++) {
        vt_clock_sleep(20 * VT_NS_PER_MS);
        assert_true(vt_xapi_local_look(slave, &told, &err));
    }
    assert_true(told.emergency);
    assert_string_equal(told.reason, "HOST_STILL_BOOTING");
    assert_false(vt_xapi_local_look(master, &told, &err));
    assert_int_equal(err.code, VT_E_REFUSED);
}

static void a_local_logon_is_refused_what_high_availability_forbids(void **state)
{
    struct fixture *fixture = *state;
    struct vt_err err = { 0 };
    VT_AUTO(vt_xapi_local) local = vt_xapi_slave_local_login(fixture->xapi, "127.0.0.2", &err);

    simulator_ctl(&fixture->simulator, "ha on");
    assert_false(vt_xapi_local_transition_to_master(local, &err));
    assert_string_equal(err.xapi_code, "HA_IS_ENABLED");
    assert_false(vt_xapi_local_reset_master(local, "127.0.0.3", &err));
    assert_string_equal(err.xapi_code, "HA_IS_ENABLED");
    assert_true(vt_xapi_local_ha_disable(local, &err));
    assert_true(vt_xapi_local_management_reconfigure(local, "eth0", &err));
    assert_false(vt_xapi_local_management_reconfigure(local, "eth9", &err));
    assert_true(vt_xapi_local_reset_master(local, "127.0.0.3", &err));
}

static void the_new_master_is_found_when_the_old_one_died(void **state)
{
    struct fixture *fixture = *state;
    struct vt_err err = { 0 };
    char master[VT_XAPI_ADDRESS_MAX];
    bool found = false;

    assert_true(vt_xapi_login(fixture->xapi, fixture->line, &err));
    simulator_ctl(&fixture->simulator, "kill-master");
    VT_AUTO_REPLY reply = { 0 };
    assert_false(vt_xapi_call(fixture->xapi, fixture->line, &reply, &err, "pool.get_all", ""));
    promote(fixture, "127.0.0.3");
    for (int i = 0; i < 100 && !found; i++) {
        vt_err_clear(&err);
        VT_AUTO_REPLY again = { 0 };
        found = vt_xapi_call(fixture->xapi, fixture->line, &again, &err, "pool.get_all", "");
        vt_clock_sleep(50 * VT_NS_PER_MS);
    }
    assert_true(found);
    vt_xapi_master(fixture->xapi, master);
    assert_string_equal(master, "127.0.0.3");
}

static bool run_task(struct fixture *fixture, const char *method, const char *vm, const char *name,
                     struct vt_xapi_task *out, struct vt_err *err)
{
    VT_AUTO_REPLY reply = { 0 };
    char task[VT_XAPI_REF_MAX];

    if (!vt_xapi_call(fixture->xapi, fixture->line, &reply, err, method, "ss", vm, name))
        return false;
    snprintf(task, sizeof task, "%s", vt_xmlrpc_text(reply.value, ""));
    return vt_xapi_task_wait(fixture->xapi, fixture->line, task, vt_clock_mono() + 20 * VT_NS_PER_S,
                             NULL, NULL, out, err);
}

static void a_task_ends_in_its_result_or_its_failure(void **state)
{
    struct fixture *fixture = *state;
    struct vt_err err = { 0 };
    struct vt_xapi_task task = { 0 };
    char vm[VT_XAPI_REF_MAX], of[VT_XAPI_REF_MAX];

    vm_called(fixture, "ws-0001", vm);
    if (!run_task(fixture, "Async.VM.snapshot", vm, "first", &task, &err))
        fail_msg("%s", err.text);
    assert_int_equal(task.end, VT_XAPI_TASK_SUCCESS);
    text_of(fixture, "VM.get_snapshot_of", task.result, of, sizeof of);
    assert_string_equal(of, vm);
    simulator_ctl(&fixture->simulator, "fail-next-task SR_BACKEND_FAILURE_44");
    assert_false(run_task(fixture, "Async.VM.snapshot", vm, "second", &task, &err));
    assert_int_equal(task.end, VT_XAPI_TASK_FAILURE);
    assert_string_equal(err.xapi_code, "SR_BACKEND_FAILURE_44");
}

static void a_task_that_vanishes_has_an_unknown_outcome(void **state)
{
    struct fixture *fixture = *state;
    struct vt_err err = { 0 };
    struct vt_xapi_task task = { 0 };

    assert_true(vt_xapi_login(fixture->xapi, fixture->line, &err));
    assert_false(vt_xapi_task_wait(fixture->xapi, fixture->line,
                                   "OpaqueRef:7a5c0000-0000-4000-8000-000000000031", 0, NULL, NULL,
                                   &task, &err));
    assert_int_equal(task.end, VT_XAPI_TASK_UNKNOWN);
    assert_int_equal(err.code, VT_E_CLOSED);
}

static bool count_item(void *context, const struct vt_xmlrpc_value *item, struct vt_err *err)
{
    (void)err;
    *(int *)context += vt_xmlrpc_member(item, "uuid") != NULL;
    return true;
}

static void records_are_handed_out_one_by_one(void **state)
{
    struct fixture *fixture = *state;
    struct vt_err err = { 0 };
    VT_AUTO_REPLY reply = { 0 };
    static const char *const path[] = { "Value" };
    int count = 0;
    struct vt_xapi_stream stream = { .line = { path, 1, count_item, &count } };

    assert_true(vt_xapi_call_stream(fixture->xapi, fixture->line, &stream, &reply, &err,
                                    "VM.get_all_records", ""));
    assert_int_equal(count, 9 + 2 + 3); /* machines, templates, control domains */
}

struct watcher {
    struct fixture *fixture;
    struct vt_line *line;
    atomic_int resets, adds, changes, deletions, firsts, losses;
    struct vt_err end;
};

static void on_reset(void *context)
{
    struct watcher *watcher = context;

    atomic_store(&watcher->adds, 0);
    atomic_fetch_add(&watcher->resets, 1);
}

static bool on_event(void *context, const struct vt_xapi_event *event, struct vt_err *err)
{
    struct watcher *watcher = context;

    (void)err;
    atomic_fetch_add(event->operation == VT_XAPI_ADD   ? &watcher->adds
                     : event->operation == VT_XAPI_DEL ? &watcher->deletions
                                                       : &watcher->changes,
                     1);
    return true;
}

static void on_batch(void *context, const struct vt_xmlrpc_value *counts, bool first)
{
    struct watcher *watcher = context;

    if (first && vt_xmlrpc_int(vt_xmlrpc_member(counts, "vm"), -1) == 14)
        atomic_fetch_add(&watcher->firsts, 1);
}

static void on_state(void *context, const struct vt_err *err)
{
    struct watcher *watcher = context;

    atomic_fetch_add(&watcher->losses, err != NULL);
}

static void *watch_events(void *context)
{
    static const char *const classes[] = { "VM", "host" };
    struct watcher *watcher = context;
    struct vt_xapi_watch watch = { watcher, on_reset, on_event, on_batch, on_state, NULL };

    vt_xapi_watch(watcher->fixture->xapi, watcher->line, classes, 2, &watch, &watcher->end);
    return NULL;
}

static void wait_for(atomic_int *value, int wanted)
{
    for (int i = 0; i < 500 && atomic_load(value) < wanted; i++)
        vt_clock_sleep(20 * VT_NS_PER_MS);
    assert_true(atomic_load(value) >= wanted);
}

static void events_bring_the_state_and_then_every_change_and_begin_anew_when_lost(void **state)
{
    struct fixture *fixture = *state;
    struct vt_err err = { 0 };
    struct watcher watcher = { .fixture = fixture, .line = vt_line_new(&err) };
    char vm[VT_XAPI_REF_MAX];
    VT_AUTO_REPLY reply = { 0 };
    pthread_t thread;

    vm_called(fixture, "ws-0001", vm);
    assert_int_equal(pthread_create(&thread, NULL, watch_events, &watcher), 0);
    wait_for(&watcher.firsts, 1);
    assert_int_equal(watcher.adds, 17);
    assert_true(vt_xapi_call(fixture->xapi, fixture->line, &reply, &err, "VM.set_name_description",
                             "ss", vm, "x"));
    wait_for(&watcher.changes, 1);
    simulator_ctl(&fixture->simulator, "lose-events");
    assert_true(vt_xapi_call(fixture->xapi, fixture->line, &reply, &err, "VM.set_name_description",
                             "ss", vm, "y"));
    wait_for(&watcher.firsts, 2);
    simulator_ctl(&fixture->simulator, "expire-sessions");
    wait_for(&watcher.firsts, 3);
    assert_int_equal(watcher.losses, 0);
    simulator_ctl(&fixture->simulator, "restart-agent host-01");
    wait_for(&watcher.firsts, 4);
    vt_line_stop(watcher.line);
    pthread_join(thread, NULL);
    assert_int_equal(watcher.end.code, VT_E_CANCELLED);
    vt_line_free(watcher.line);
}

static void a_server_that_does_not_answer_is_given_up(void **state)
{
    struct fixture *fixture = *state;
    struct vt_err err = { 0 };
    VT_AUTO_REPLY reply = { 0 };
    struct vt_xapi_stream stream = { .timeout_ms = 300 };
    int64_t before = vt_clock_mono();

    assert_true(vt_xapi_login(fixture->xapi, fixture->line, &err));
    simulator_ctl(&fixture->simulator, "delay 5000");
    assert_false(vt_xapi_call_stream(fixture->xapi, fixture->line, &stream, &reply, &err,
                                     "VM.start", "sbb", "x", 0, 0));
    assert_int_equal(err.code, VT_E_TIMEOUT);
    assert_true(vt_clock_mono() - before < 4 * VT_NS_PER_S);
}

static void no_answer_however_spoilt_is_taken_for_a_good_one(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *kind;
        enum vt_code code;
    } kinds[] = {
        { "status", VT_E_PROTOCOL }, { "html", VT_E_PROTOCOL },  { "garbage", VT_E_PROTOCOL },
        { "cut", VT_E_CLOSED },      { "short", VT_E_PROTOCOL }, { "deep", VT_E_LIMIT },
        { "huge", VT_E_LIMIT },      { "fault", VT_E_PROTOCOL },
    };
    char vm[VT_XAPI_REF_MAX], text[64];

    vm_called(fixture, "ws-0003", vm);
    for (size_t i = 0; i < VT_COUNT(kinds); i++) {
        VT_AUTO_REPLY reply = { 0 };
        struct vt_err err = { 0 };
        char words[64];
        snprintf(words, sizeof words, "spoil %s 50", kinds[i].kind); /* whatever is tried again */
        simulator_ctl(&fixture->simulator, words);
        assert_false(
            vt_xapi_call(fixture->xapi, fixture->line, &reply, &err, "VM.get_uuid", "s", vm));
        if (err.code != kinds[i].code)
            fail_msg("%s gave %s: %s", kinds[i].kind, vt_code_name(err.code), err.text);
        simulator_ctl(&fixture->simulator, "spoil html 0");
        text_of(fixture, "VM.get_power_state", vm, text,
                sizeof text); /* and the next one is fine */
        assert_string_equal(text, "Halted");
    }
}

static void events_and_tasks_survive_values_of_the_wrong_type(void **state)
{
    struct fixture *fixture = *state;
    struct watcher watcher = { .fixture = fixture };
    struct vt_err err = { 0 };
    struct vt_xapi_task task = { 0 };
    pthread_t thread;

    watcher.line = vt_line_new(&err);
    assert_true(vt_xapi_login(fixture->xapi, fixture->line, &err));
    simulator_ctl(&fixture->simulator, "spoil types 1");
    assert_false(vt_xapi_task_wait(fixture->xapi, fixture->line, "OpaqueRef:x", vt_clock_mono() + 1,
                                   NULL, NULL, &task, &err));
    assert_int_equal(task.end, VT_XAPI_TASK_UNKNOWN);
    simulator_ctl(&fixture->simulator, "hide-field VM.uuid");
    simulator_ctl(&fixture->simulator, "set VM.power_state ws-0001 Levitating");
    simulator_ctl(&fixture->simulator, "spoil types 1");
    assert_int_equal(pthread_create(&thread, NULL, watch_events, &watcher), 0);
    wait_for(&watcher.losses, 1);
    wait_for(&watcher.firsts, 1);
    vt_line_stop(watcher.line);
    pthread_join(thread, NULL);
    vt_line_free(watcher.line);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_slave_sends_us_to_the_master_and_all_members_are_remembered),
        TEST(a_wrong_password_is_final),
        TEST(plain_http_is_for_loopback_only),
        TEST(a_dead_session_is_renewed_once_without_the_caller_noticing),
        TEST(a_failure_carries_code_and_parameters),
        TEST(what_reads_is_repeated_and_what_changes_is_not),
        TEST(a_changed_certificate_is_refused_until_the_pin_is_forgotten),
        TEST(a_configured_fingerprint_must_be_shown),
        TEST(a_member_that_belongs_to_another_pool_is_not_believed),
        TEST(a_local_logon_tells_how_a_member_is),
        TEST(a_local_logon_is_refused_what_high_availability_forbids),
        TEST(the_new_master_is_found_when_the_old_one_died),
        TEST(a_task_ends_in_its_result_or_its_failure),
        TEST(a_task_that_vanishes_has_an_unknown_outcome),
        TEST(records_are_handed_out_one_by_one),
        TEST(events_bring_the_state_and_then_every_change_and_begin_anew_when_lost),
        TEST(a_server_that_does_not_answer_is_given_up),
        TEST(no_answer_however_spoilt_is_taken_for_a_good_one),
        TEST(events_and_tasks_survive_values_of_the_wrong_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
