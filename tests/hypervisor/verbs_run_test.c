/* Doing verbs on a simulated pool: many at once, within their lanes, cancelled, failed, with
 * answers that are lost. */
#include "hypervisor/verbs.h"

#include "core/auto.h"
#include "hypervisor/driver.h"
#include "hypervisor/picture.h"
#include "tests/hypervisor/simulator.h"

enum { VMS = 24, RUNNING = 16 };

struct world {
    struct simulator simulator;
    struct vt_xapi *xapi;
    struct vt_line *line;
    struct vt_picture *picture;
    struct vt_verb_job jobs[VMS];
    size_t count;
    size_t reports;
    bool stop;
};

static void load(struct world *world)
{
    struct vt_err err = { 0 };

    if (!vt_picture_load(world->picture, world->xapi, world->line,
                         VT_CLASS_BIT(VT_CLASS_VM) | VT_CLASS_BIT(VT_CLASS_HOST), &err))
        fail_msg("%s", err.text);
}

static int set_up(void **state)
{
    static const char *const options[] = { "--tls", "--hosts", "3", "--vms", "24", NULL };
    struct world *world = calloc(1, sizeof *world);
    struct vt_err err = { 0 };

    world->simulator = simulator_start(options);
    const struct vt_xapi_options session = { .url = world->simulator.url,
                                             .user = "root",
                                             .password = "vitrine" };
    world->xapi = vt_xapi_new(&session, &err);
    world->line = vt_line_new(&err);
    world->picture = vt_picture_new();
    load(world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };

    vt_xapi_logout(world->xapi, world->line, &err);
    vt_picture_free(world->picture);
    vt_line_free(world->line);
    vt_xapi_free(world->xapi);
    simulator_stop(&world->simulator);
    free(world);
    return 0;
}

/* A job for every VM in that state. */
static void plan(struct world *world, const char *verb, const char *power)
{
    world->count = 0;
    world->reports = 0;
    load(world);
    VT_PICTURE_EACH(world->picture, VT_CLASS_VM, vm)
    {
        struct vt_verb_job job = { .verb = vt_driver_verb(&vt_driver_xapi, verb), .name = "kept" };
        if (vt_object_bool(vm, "is_a_template") || vt_object_bool(vm, "is_control_domain") ||
            strcmp(vt_object_text(vm, "power_state"), power) != 0)
            continue;
        snprintf(job.vm, sizeof job.vm, "%s", vt_object_ref(vm));
        snprintf(job.lane, sizeof job.lane, "%s", vt_object_text(vm, "resident_on"));
        world->jobs[world->count++] = job;
    }
}

static void on_report(void *context, const struct vt_verb_job *job)
{
    struct world *world = context;

    assert_true(job->end != VT_VERB_WAITING && job->end != VT_VERB_RUNNING);
    world->reports++;
}

static bool on_tick(void *context, double progress, size_t done, size_t count)
{
    const struct world *world = context;

    assert_true(progress >= 0 && progress <= 1 && done <= count);
    return !world->stop;
}

static bool run(struct world *world)
{
    const struct vt_verbs_run how = {
        .per_host = 2, .context = world, .report = on_report, .tick = on_tick
    };
    struct vt_err err = { 0 };
    bool ok = vt_verbs_run(world->xapi, world->jobs, world->count, &how, &err);

    assert_int_equal(err.code, VT_OK);
    for (size_t i = 0; i < world->count; i++)
        if (world->jobs[i].end != VT_VERB_DONE)
            print_message("%s: end %d, code %d: %s\n", world->jobs[i].vm, (int)world->jobs[i].end,
                          (int)world->jobs[i].err.code, world->jobs[i].err.text);
    return ok;
}

static size_t in_state(struct world *world, const char *power)
{
    size_t count = 0;

    load(world);
    VT_PICTURE_EACH(world->picture, VT_CLASS_VM, vm)
    count += !vt_object_bool(vm, "is_a_template") && !vt_object_bool(vm, "is_control_domain") &&
             strcmp(vt_object_text(vm, "power_state"), power) == 0;
    return count;
}

static void many_vms_are_all_done_and_reported_once(void **state)
{
    struct world *world = *state;

    plan(world, "suspend", "Running");
    assert_int_equal(world->count, RUNNING);
    assert_true(run(world));
    assert_int_equal(world->reports, RUNNING);
    assert_int_equal(in_state(world, "Suspended"), RUNNING);
    plan(world, "resume", "Suspended");
    assert_true(run(world));
    assert_int_equal(in_state(world, "Running"), RUNNING);
}

static void one_that_fails_does_not_keep_the_others(void **state)
{
    struct world *world = *state;
    size_t failed = 0;

    plan(world, "pause", "Running");
    simulator_ctl(&world->simulator, "fail-next-task SR_BACKEND_FAILURE_46");
    assert_false(run(world));
    for (size_t i = 0; i < world->count; i++) {
        failed += world->jobs[i].end == VT_VERB_FAILED;
        assert_true(world->jobs[i].end == VT_VERB_DONE ||
                    strcmp(world->jobs[i].err.xapi_code, "SR_BACKEND_FAILURE_46") == 0);
    }
    assert_int_equal(failed, 1);
    assert_int_equal(world->reports, RUNNING);
}

static void what_is_made_is_named_by_its_reference(void **state)
{
    struct world *world = *state;

    plan(world, "snapshot", "Halted");
    assert_true(run(world));
    for (size_t i = 0; i < world->count; i++)
        assert_non_null(strstr(world->jobs[i].result, "OpaqueRef:"));
}

static void connections_that_break_lose_no_vm_and_repeat_nothing(void **state)
{
    struct world *world = *state;

    plan(world, "suspend", "Running");
    simulator_ctl(&world->simulator, "drop-connections 4");
    assert_true(run(world));
    assert_int_equal(world->reports, RUNNING);
    assert_int_equal(in_state(world, "Suspended"), RUNNING);
}

static void a_lost_answer_is_settled_by_looking(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };

    plan(world, "suspend", "Running");
    assert_true(vt_xapi_login(world->xapi, world->line, &err));
    simulator_ctl(&world->simulator, "drop-connections 1");
    vt_verb_do(world->xapi, world->line, &world->jobs[0], NULL, NULL);
    assert_int_equal(world->jobs[0].end, VT_VERB_DONE);
    assert_true(world->jobs[0].looked);
    simulator_ctl(&world->simulator, "drop-connections 1");
    world->jobs[0].verb = vt_driver_verb(&vt_driver_xapi, "snapshot");
    vt_verb_do(world->xapi, world->line, &world->jobs[0], NULL, NULL);
    assert_int_equal(world->jobs[0].end, VT_VERB_DONE);
    assert_non_null(strstr(world->jobs[0].result, "OpaqueRef:"));
}

static void what_cannot_be_seen_is_unknown_and_not_repeated(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };

    plan(world, "clean_reboot", "Running");
    assert_true(vt_xapi_login(world->xapi, world->line, &err));
    simulator_ctl(&world->simulator, "drop-connections 1");
    vt_verb_do(world->xapi, world->line, &world->jobs[0], NULL, NULL);
    assert_int_equal(world->jobs[0].end, VT_VERB_UNKNOWN);
    assert_int_equal(world->jobs[0].err.code, VT_E_CLOSED);
}

static void a_session_that_dies_in_between_is_renewed(void **state)
{
    struct world *world = *state;

    plan(world, "suspend", "Running");
    simulator_ctl(&world->simulator, "expire-sessions");
    assert_true(run(world));
    assert_int_equal(in_state(world, "Suspended"), RUNNING);
}

static void what_was_stopped_is_said_to_be_cancelled(void **state)
{
    struct world *world = *state;
    size_t cancelled = 0;

    plan(world, "clean_shutdown", "Running");
    world->stop = true;
    assert_false(run(world));
    for (size_t i = 0; i < world->count; i++) {
        assert_true(world->jobs[i].end != VT_VERB_WAITING && world->jobs[i].end != VT_VERB_RUNNING);
        cancelled += world->jobs[i].end == VT_VERB_CANCELLED;
    }
    assert_true(cancelled > 0);
}

static void a_vm_that_is_gone_fails_with_its_code(void **state)
{
    struct world *world = *state;
    struct vt_verb_job job = { .verb = vt_driver_verb(&vt_driver_xapi, "start"),
                               .vm = "OpaqueRef:nobody" };

    vt_verb_do(world->xapi, world->line, &job, NULL, NULL);
    assert_int_equal(job.end, VT_VERB_FAILED);
    assert_string_equal(job.err.xapi_code, "HANDLE_INVALID");
}

#define WITH_POOL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_POOL(many_vms_are_all_done_and_reported_once),
        WITH_POOL(one_that_fails_does_not_keep_the_others),
        WITH_POOL(what_is_made_is_named_by_its_reference),
        WITH_POOL(connections_that_break_lose_no_vm_and_repeat_nothing),
        WITH_POOL(a_lost_answer_is_settled_by_looking),
        WITH_POOL(what_cannot_be_seen_is_unknown_and_not_repeated),
        WITH_POOL(a_session_that_dies_in_between_is_renewed),
        WITH_POOL(what_was_stopped_is_said_to_be_cancelled),
        WITH_POOL(a_vm_that_is_gone_fails_with_its_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
