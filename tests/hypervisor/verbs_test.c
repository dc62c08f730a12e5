/* May this be done with that VM? Which job comes next? What does XAPI's code mean? */
#include "hypervisor/verbs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/auto.h"
#include "hypervisor/driver.h"
#include "hypervisor/explain.h"
#include "hypervisor/picture.h"

static const struct vt_verb *verb(const char *name)
{
    const struct vt_verb *found = vt_driver_verb(&vt_driver_xapi, name);

    assert_non_null(found);
    return found;
}

static const char *refusal(const char *name, struct vt_vm_state vm)
{
    static struct vt_err err;

    vt_err_clear(&err);
    vm.name = "CT-1";
    return vt_verb_check(verb(name), &vm, &err) ? "" : err.xapi_code;
}

/* The life cycle as XAPI has it: H halted, P paused, R running, S suspended. */
static void each_verb_begins_only_in_its_power_states(void **state)
{
    (void)state;
    static const struct {
        const char *verb, *states;
    } table[] = {
        { "start", "H" },           { "start_on", "H" },     { "clean_shutdown", "R" },
        { "hard_shutdown", "PRS" }, { "clean_reboot", "R" }, { "hard_reboot", "PR" },
        { "suspend", "R" },         { "resume", "S" },       { "resume_on", "S" },
        { "pause", "R" },           { "unpause", "P" },      { "migrate", "R" },
        { "clone", "H" },           { "snapshot", "HPRS" },  { "checkpoint", "PRS" },
        { "destroy", "HS" },
    };
    static const struct {
        char letter;
        enum vt_power power;
    } powers[] = { { 'H', VT_POWER_HALTED },
                   { 'P', VT_POWER_PAUSED },
                   { 'R', VT_POWER_RUNNING },
                   { 'S', VT_POWER_SUSPENDED } };

    for (size_t i = 0; i < VT_COUNT(table); i++)
        for (size_t k = 0; k < VT_COUNT(powers); k++)
            assert_string_equal(
                refusal(table[i].verb, (struct vt_vm_state){ .power = powers[k].power }),
                strchr(table[i].states, powers[k].letter) ? "" : "VM_BAD_POWER_STATE");
}

static void the_sentence_says_what_leads_there(void **state)
{
    (void)state;
    const struct vt_vm_state vm = { .name = "CT-1", .power = VT_POWER_SUSPENDED };
    const struct vt_vm_state running = { .name = "CT-1", .power = VT_POWER_RUNNING };
    struct vt_err err = { 0 };

    assert_false(vt_verb_check(verb("pause"), &vm, &err));
    assert_string_equal(
        err.text, "CT-1 is Suspended, pause wants Running: resume it first [VM_BAD_POWER_STATE]");
    assert_int_equal(err.code, VT_E_DENIED);
    assert_false(vt_verb_check(verb("start"), &running, &err));
    assert_string_equal(err.text, "CT-1 is Running already [VM_BAD_POWER_STATE]");
}

static void a_block_comes_before_the_state_and_the_state_before_the_rest(void **state)
{
    (void)state;
    static const char *const busy[] = { "OpaqueRef:t", "clean_reboot" };

    assert_string_equal(
        refusal("start", (struct vt_vm_state){ .power = VT_POWER_RUNNING, .blocked = "no" }),
        "OPERATION_BLOCKED");
    assert_string_equal(refusal("start", (struct vt_vm_state){ .power = VT_POWER_RUNNING,
                                                               .operations = busy,
                                                               .operation_count = 2 }),
                        "VM_BAD_POWER_STATE");
    assert_string_equal(refusal("start", (struct vt_vm_state){ .power = VT_POWER_HALTED,
                                                               .operations = busy,
                                                               .operation_count = 2,
                                                               .is_template = true }),
                        "OTHER_OPERATION_IN_PROGRESS");
}

static void only_some_operations_may_run_beside_others(void **state)
{
    (void)state;
    static const struct {
        const char *verb, *running, *refusal;
    } table[] = {
        { "snapshot", "checkpoint", "" },
        { "snapshot", "suspend", "OTHER_OPERATION_IN_PROGRESS" },
        { "hard_shutdown", "clean_shutdown", "" },
        { "hard_shutdown", "hard_shutdown", "OTHER_OPERATION_IN_PROGRESS" },
        { "hard_reboot", "clean_reboot", "" },
        { "hard_reboot", "hard_shutdown", "OTHER_OPERATION_IN_PROGRESS" },
        { "suspend", "snapshot", "OTHER_OPERATION_IN_PROGRESS" },
    };

    for (size_t i = 0; i < VT_COUNT(table); i++) {
        const char *const operations[] = { "OpaqueRef:t", table[i].running };
        assert_string_equal(refusal(table[i].verb, (struct vt_vm_state){ .power = VT_POWER_RUNNING,
                                                                         .operations = operations,
                                                                         .operation_count = 2 }),
                            table[i].refusal);
    }
}

static void templates_snapshots_and_control_domains_are_left_alone(void **state)
{
    (void)state;
    const struct vt_vm_state template = { .power = VT_POWER_HALTED,
                                          .is_template = true,
                                          .is_default_template = true };
    const struct vt_vm_state snapshot = { .power = VT_POWER_SUSPENDED,
                                          .is_template = true,
                                          .is_snapshot = true };
    const struct vt_vm_state control = { .power = VT_POWER_RUNNING, .is_control_domain = true };

    assert_string_equal(refusal("start", template), "VM_IS_TEMPLATE");
    assert_string_equal(refusal("clone", template), "");
    assert_string_equal(refusal("destroy", template), "VM_CANNOT_DELETE_DEFAULT_TEMPLATE");
    assert_string_equal(refusal("clone", snapshot), "");
    assert_string_equal(refusal("revert", snapshot), "");
    assert_string_equal(refusal("destroy", snapshot), "");
    assert_string_equal(refusal("snapshot", snapshot), "VM_IS_SNAPSHOT");
    assert_string_equal(refusal("clean_shutdown", control), "OPERATION_NOT_ALLOWED");
    assert_string_equal(refusal("revert", (struct vt_vm_state){ .power = VT_POWER_HALTED }),
                        "REVERT_ONLY_ALLOWED_ON_SNAPSHOT");
}

static void what_the_server_does_not_list_is_refused(void **state)
{
    (void)state;
    static const char *const allowed[] = { "hard_shutdown", "snapshot" };
    const struct vt_vm_state vm = { .power = VT_POWER_RUNNING,
                                    .allowed = allowed,
                                    .allowed_count = 2 };

    assert_string_equal(refusal("suspend", vm), "OPERATION_NOT_ALLOWED");
    assert_string_equal(refusal("snapshot", vm), "");
}

static void a_verb_that_a_driver_has_not_is_none(void **state)
{
    (void)state;
    assert_null(vt_driver_verb(&vt_driver_xapi, "levitate"));
    assert_null(vt_driver_find("vmware"));
    assert_ptr_equal(vt_driver_find("xapi"), &vt_driver_xapi);
}

static void a_full_lane_lets_jobs_of_other_hosts_pass(void **state)
{
    (void)state;
    struct vt_verb_job jobs[] = {
        { .lane = "a", .end = VT_VERB_RUNNING },
        { .lane = "a", .end = VT_VERB_RUNNING },
        { .lane = "a" },
        { .lane = "b" },
        { .lane = "" },
    };

    assert_int_equal(vt_verbs_next(jobs, 5, 2), 3);
    assert_int_equal(vt_verbs_next(jobs, 5, 3), 2);
    jobs[3].end = VT_VERB_DONE;
    assert_int_equal(vt_verbs_next(jobs, 5, 2), 4); /* the pool chooses its host */
    jobs[4].end = VT_VERB_FAILED;
    assert_int_equal(vt_verbs_next(jobs, 5, 2), 5);
    jobs[0].end = VT_VERB_DONE;
    assert_int_equal(vt_verbs_next(jobs, 5, 2), 2);
}

/* ---- sentences ---- */

static const char *explained(const char *code, const char *a, const char *b, const char *c)
{
    static char text[VT_ERR_TEXT_MAX];
    const char *params[] = { a, b, c };
    size_t count = c ? 3 : b ? 2 : a ? 1 : 0;

    vt_explain_code(code, params, count, NULL, text, sizeof text);
    return text;
}

static void codes_become_sentences_with_their_values(void **state)
{
    (void)state;
    assert_string_equal(explained("VM_BAD_POWER_STATE", "OpaqueRef:1", "halted", "running"),
                        "it is running, this wants halted [VM_BAD_POWER_STATE]");
    assert_string_equal(
        explained("HOST_NOT_ENOUGH_FREE_MEMORY", "4294967296", "1073741824", NULL),
        "the host has 1.0 GiB of memory free, 4.0 GiB are needed: choose another host or stop a VM "
        "[HOST_NOT_ENOUGH_FREE_MEMORY]");
    assert_non_null(
        strstr(explained("SR_BACKEND_FAILURE_44", "", "no space", ""), "too little space"));
    assert_non_null(strstr(explained("SR_BACKEND_FAILURE_999", "", "odd thing", "x"),
                           "the storage reports: odd thing x"));
    assert_string_equal(explained("NEVER_SEEN", "one", "two", NULL), "one, two [NEVER_SEEN]");
    assert_string_equal(explained("NEVER_SEEN", NULL, NULL, NULL), "NEVER_SEEN");
    assert_non_null(strstr(explained("VM_MIGRATE_FAILED", NULL, NULL, NULL), "moving ? failed"));
}

static void references_in_a_failure_become_names(void **state)
{
    (void)state;
    VT_AUTO(vt_picture) picture = vt_picture_new();
    struct vt_err err = { 0 };
    VT_AUTO(vt_xmlrpc_message)
    host = vt_xmlrpc_decode_value("<value><struct><member><name>name_label</name><value>server2</"
                                  "value></member></struct></value>",
                                  &err);

    assert_true(vt_picture_put(picture, VT_CLASS_HOST, "OpaqueRef:h", host->params, &err));
    vt_fail(&err, VT_E_STATUS, "HOST_DISABLED (OpaqueRef:h)");
    strcpy(err.xapi_code, "HOST_DISABLED");
    vt_explain(&err, picture);
    assert_string_equal(err.text,
                        "host server2 is disabled: 'vitrine host enable server2' [HOST_DISABLED]");
    assert_int_equal(err.code, VT_E_STATUS);
    assert_string_equal(err.xapi_code, "HOST_DISABLED");
}

static void a_long_parameter_does_not_run_over(void **state)
{
    (void)state;
    char param[1000], text[64];
    const char *params[] = { param };

    memset(param, 'x', sizeof param - 1);
    param[sizeof param - 1] = '\0';
    vt_explain_code("INTERNAL_ERROR", params, 1, NULL, text, sizeof text);
    assert_int_equal(strlen(text), sizeof text - 1);
    vt_explain_code("UNHEARD_OF", params, 1, NULL, text, sizeof text);
    assert_int_equal(strlen(text), sizeof text - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_verb_begins_only_in_its_power_states),
        cmocka_unit_test(the_sentence_says_what_leads_there),
        cmocka_unit_test(a_block_comes_before_the_state_and_the_state_before_the_rest),
        cmocka_unit_test(only_some_operations_may_run_beside_others),
        cmocka_unit_test(templates_snapshots_and_control_domains_are_left_alone),
        cmocka_unit_test(what_the_server_does_not_list_is_refused),
        cmocka_unit_test(a_verb_that_a_driver_has_not_is_none),
        cmocka_unit_test(a_full_lane_lets_jobs_of_other_hosts_pass),
        cmocka_unit_test(codes_become_sentences_with_their_values),
        cmocka_unit_test(references_in_a_failure_become_names),
        cmocka_unit_test(a_long_parameter_does_not_run_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
