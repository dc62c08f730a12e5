/* The picture kept by the events of a simulated pool: the whole state first, then what changes,
 * anew after a session that died; and the same as get_all_records says. */
#include "hypervisor/picture.h"

#include <pthread.h>

#include "core/auto.h"
#include "core/clock.h"
#include "core/err.h"
#include "tests/hypervisor/simulator.h"

enum { WAIT_S = 20 };

struct world {
    struct simulator simulator;
    struct vt_xapi *xapi;
    struct vt_line *line, *events;
    pthread_t thread;

    pthread_mutex_t lock; /* guards what follows */
    struct vt_picture *picture;
    unsigned states; /* how often the whole state began */
};

static void on_reset(void *context)
{
    struct world *world = context;

    pthread_mutex_lock(&world->lock);
    vt_picture_reset(world->picture);
    pthread_mutex_unlock(&world->lock);
}

static bool on_event(void *context, const struct vt_xapi_event *event, struct vt_err *err)
{
    struct world *world = context;

    pthread_mutex_lock(&world->lock);
    bool ok = vt_picture_event(world->picture, event, err);
    pthread_mutex_unlock(&world->lock);
    return ok;
}

static void on_batch(void *context, const struct vt_xmlrpc_value *counts, bool first)
{
    struct world *world = context;

    (void)counts;
    pthread_mutex_lock(&world->lock);
    vt_picture_batch(world->picture, first);
    world->states += first;
    pthread_mutex_unlock(&world->lock);
}

static void *watch(void *context)
{
    struct world *world = context;
    const struct vt_xapi_watch watching = {
        .context = world, .reset = on_reset, .event = on_event, .batch = on_batch
    };
    struct vt_err err = { 0 };

    vt_xapi_watch(world->xapi, world->events, vt_picture_class_names, VT_CLASSES, &watching, &err);
    return NULL;
}

static void wait_for_state(struct world *world, unsigned number)
{
    int64_t deadline = vt_clock_mono() + WAIT_S * VT_NS_PER_S;
    unsigned states = 0;

    while (states < number && vt_clock_mono() < deadline) {
        pthread_mutex_lock(&world->lock);
        states = world->states;
        pthread_mutex_unlock(&world->lock);
        vt_clock_sleep(VT_NS_PER_MS);
    }
    assert_true(states >= number);
}

static int set_up(void **state)
{
    static const char *const options[] = { "--hosts", "3", "--vms", "12", NULL };
    struct world *world = calloc(1, sizeof *world);
    struct vt_err err = { 0 };

    world->simulator = simulator_start(options);
    const struct vt_xapi_options session = { .url = world->simulator.url,
                                             .user = "root",
                                             .password = "vitrine" };
    world->xapi = vt_xapi_new(&session, &err);
    world->line = vt_line_new(&err);
    world->events = vt_line_new(&err);
    world->picture = vt_picture_new();
    pthread_mutex_init(&world->lock, NULL);
    assert_int_equal(pthread_create(&world->thread, NULL, watch, world), 0);
    *state = world;
    wait_for_state(world, 1);
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    vt_line_stop(world->events);
    pthread_join(world->thread, NULL);
    vt_picture_free(world->picture);
    vt_line_free(world->line);
    vt_line_free(world->events);
    vt_xapi_free(world->xapi);
    pthread_mutex_destroy(&world->lock);
    simulator_stop(&world->simulator);
    free(world);
    return 0;
}

/* Is every object of the other picture in this one, with the same texts? */
static bool same(struct world *world, const struct vt_picture *other)
{
    bool ok = true;

    pthread_mutex_lock(&world->lock);
    for (size_t class = 0; class < VT_CLASSES && ok; class ++) {
        ok = class == VT_CLASS_TASK || vt_picture_count(world->picture, (enum vt_class) class) ==
                                           vt_picture_count(other, (enum vt_class) class);
        VT_PICTURE_EACH(other, (enum vt_class) class, object)
        {
            const struct vt_object *mine = vt_picture_get(world->picture, vt_object_ref(object));
            ok = ok &&
                 (class == VT_CLASS_TASK || (mine && strcmp(vt_object_text(mine, "uuid"),
                                                            vt_object_text(object, "uuid")) == 0));
            if (ok && class == VT_CLASS_VM)
                ok = strcmp(vt_object_text(mine, "power_state"),
                            vt_object_text(object, "power_state")) == 0;
        }
    }
    pthread_mutex_unlock(&world->lock);
    return ok;
}

static bool agrees(struct world *world)
{
    int64_t deadline = vt_clock_mono() + WAIT_S * VT_NS_PER_S;
    struct vt_err err = { 0 };

    while (vt_clock_mono() < deadline) {
        VT_AUTO(vt_picture) other = vt_picture_new();
        if (!vt_picture_load(other, world->xapi, world->line, VT_PICTURE_ALL, &err))
            fail_msg("%s", err.text);
        if (same(world, other))
            return true;
        vt_clock_sleep(20 * VT_NS_PER_MS);
    }
    return false;
}

static void events_build_the_picture_that_records_show(void **state)
{
    struct world *world = *state;

    assert_true(agrees(world));
    pthread_mutex_lock(&world->lock);
    assert_int_equal(vt_picture_count(world->picture, VT_CLASS_HOST), 3);
    assert_true(vt_picture_count(world->picture, VT_CLASS_VM) >= 12);
    pthread_mutex_unlock(&world->lock);
}

/* A halted VM's name is changed: how long until the picture knows? */
static void a_change_is_in_the_picture_at_once(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    char ref[VT_XAPI_REF_MAX] = "";
    VT_AUTO_REPLY reply = { 0 };
    bool seen = false;

    pthread_mutex_lock(&world->lock);
    VT_PICTURE_EACH(world->picture, VT_CLASS_VM, vm)
    if (strcmp(vt_object_text(vm, "power_state"), "Halted") == 0 &&
        !vt_object_bool(vm, "is_a_template"))
        snprintf(ref, sizeof ref, "%s", vt_object_ref(vm));
    pthread_mutex_unlock(&world->lock);
    assert_true(vt_xapi_call(world->xapi, world->line, &reply, &err, "VM.set_name_label", "ss", ref,
                             "renamed"));
    int64_t deadline = vt_clock_mono() + VT_NS_PER_S;
    while (!seen && vt_clock_mono() < deadline) {
        vt_clock_sleep(VT_NS_PER_MS);
        pthread_mutex_lock(&world->lock);
        seen = strcmp(vt_object_text(vt_picture_get(world->picture, ref), "name_label"),
                      "renamed") == 0;
        pthread_mutex_unlock(&world->lock);
    }
    assert_true(seen);
}

static void after_a_session_that_died_the_state_is_whole_again(void **state)
{
    struct world *world = *state;
    struct vt_err err = { 0 };
    VT_AUTO_REPLY vms = { 0 }, made = { 0 };

    simulator_ctl(&world->simulator, "expire-sessions");
    wait_for_state(world, 2);
    assert_true(
        vt_xapi_call(world->xapi, world->line, &vms, &err, "VM.get_by_name_label", "s", "ws-0003"));
    assert_true(vt_xapi_call(world->xapi, world->line, &made, &err, "VM.snapshot", "ss",
                             vt_xmlrpc_text(vt_xmlrpc_first(vms.value), ""), "kept"));
    assert_true(agrees(world));
}

#define WITH_POOL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_POOL(events_build_the_picture_that_records_show),
        WITH_POOL(a_change_is_in_the_picture_at_once),
        WITH_POOL(after_a_session_that_died_the_state_is_whole_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
