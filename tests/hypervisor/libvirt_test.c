/* The libvirt driver against libvirt's own test hypervisor, which lives in this process: no daemon,
 * no guest. Real guests: tests/scenarios/libvirt_vms_test.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#ifndef VT_HAVE_LIBVIRT

int main(void)
{
    puts("built without libvirt");
    return 0;
}

#else

#include <pthread.h>

#include <libvirt/libvirt.h>

#include "core/clock.h"
#include "core/err.h"
#include "hypervisor/libvirt.h"
#include "hypervisor/libvirt_state.h"
#include "hypervisor/picture.h"
#include "hypervisor/verbs.h"
#include "tests/support/torture.h"

enum { WAIT_S = 30 };

static struct vt_libvirt *open_test(void)
{
    struct vt_err err = { 0 };
    struct vt_libvirt *libvirt = vt_libvirt_open("test:///default", &err);

    if (!libvirt)
        fail_msg("%s", err.text);
    return libvirt;
}

static const struct vt_object *vm_named(const struct vt_picture *picture, const char *name)
{
    VT_PICTURE_EACH(picture, VT_CLASS_VM, vm)
    if (strcmp(vt_object_text(vm, "name_label"), name) == 0)
        return vm;
    return NULL;
}

/* The VM "test" of the picture anew. */
static const struct vt_object *look(struct vt_libvirt *libvirt, struct vt_picture *picture)
{
    struct vt_err err = { 0 };

    if (!vt_libvirt_load(libvirt, picture, &err))
        fail_msg("%s", err.text);
    return vm_named(picture, "test");
}

static struct vt_verb_job job_of(const char *verb, const struct vt_object *vm, const char *name)
{
    struct vt_verb_job job = { .verb = vt_driver_verb(&vt_driver_libvirt, verb) };

    assert_non_null(job.verb);
    assert_non_null(vm);
    snprintf(job.vm, sizeof job.vm, "%s", vt_object_ref(vm));
    snprintf(job.name, sizeof job.name, "%s", name);
    return job;
}

static void do_it(struct vt_libvirt *libvirt, const char *verb, const struct vt_object *vm)
{
    struct vt_verb_job job = job_of(verb, vm, "");

    vt_libvirt_do(libvirt, &job);
    if (job.end != VT_VERB_DONE)
        fail_msg("%s: %s", verb, job.err.text);
}

static void the_picture_has_the_vm_its_host_and_its_interface(void **state)
{
    VT_AUTO(vt_libvirt) libvirt = open_test();
    VT_AUTO(vt_picture) picture = vt_picture_new();

    (void)state;
    const struct vt_object *vm = look(libvirt, picture);
    assert_non_null(vm);
    assert_string_equal(vt_object_text(vm, "power_state"), "Running");
    assert_int_equal(vt_object_int(vm, "memory_static_max"), 8192ll * 1024 * 1024);
    assert_true(vt_object_has(vm, "allowed_operations", "clean_shutdown"));
    assert_false(vt_object_has(vm, "allowed_operations", "start"));
    const struct vt_object *host = vt_picture_follow(picture, vm, "resident_on");
    assert_non_null(host);
    assert_non_null(vt_picture_follow(picture, host, "metrics"));
    assert_int_equal(vt_picture_count(picture, VT_CLASS_POOL), 1);
    assert_int_equal(vt_picture_count(picture, VT_CLASS_VIF), 1);
    const struct vt_object *vif = vt_picture_first(picture, VT_CLASS_VIF);
    assert_true(vt_object_bool(vif, "currently_attached"));
    assert_ptr_equal(vt_picture_follow(picture, vif, "VM"), vm);
    assert_non_null(vt_picture_follow(picture, vif, "network"));
}

static void each_verb_leads_to_its_state(void **state)
{
    static const struct {
        const char *verb, *power;
    } steps[] = {
        { "pause", "Paused" },        { "unpause", "Running" },     { "suspend", "Suspended" },
        { "resume", "Running" },      { "clean_reboot", "Running" }, { "hard_reboot", "Running" },
        { "suspend", "Suspended" },   { "hard_shutdown", "Halted" }, { "start", "Running" },
        { "hard_shutdown", "Halted" }, { "start", "Running" },       { "clean_shutdown", "Halted" },
    };
    VT_AUTO(vt_libvirt) libvirt = open_test();
    VT_AUTO(vt_picture) picture = vt_picture_new();

    (void)state;
    for (size_t i = 0; i < VT_COUNT(steps); i++) {
        do_it(libvirt, steps[i].verb, look(libvirt, picture));
        const struct vt_object *vm = look(libvirt, picture);
        if (strcmp(vt_object_text(vm, "power_state"), steps[i].power) != 0)
            fail_msg("step %zu, %s: %s", i, steps[i].verb, vt_object_text(vm, "power_state"));
        assert_true(vt_power_from(steps[i].power) & VT_POWER_ANY);
    }
}

static void a_snapshot_is_a_vm_of_the_picture_that_can_be_reverted_to_and_deleted(void **state)
{
    VT_AUTO(vt_libvirt) libvirt = open_test();
    VT_AUTO(vt_picture) picture = vt_picture_new();
    const char *const *refs = NULL;

    (void)state;
    struct vt_verb_job take = job_of("snapshot", look(libvirt, picture), "before <it> & after");
    vt_libvirt_do(libvirt, &take);
    if (take.end != VT_VERB_DONE)
        fail_msg("%s", take.err.text);
    const struct vt_object *vm = look(libvirt, picture);
    assert_int_equal(vt_object_list(vm, "snapshots", &refs), 1);
    assert_string_equal(refs[0], take.result);
    const struct vt_object *snapshot = vt_picture_get(picture, take.result);
    assert_string_equal(vt_object_text(snapshot, "name_label"), "before <it> & after");
    assert_true(vt_object_bool(snapshot, "is_a_snapshot"));
    assert_string_equal(vt_object_text(snapshot, "power_state"), "Suspended"); /* with memory */
    assert_string_equal(vt_object_text(snapshot, "uuid"), vt_libvirt_uuid(take.result));
    do_it(libvirt, "hard_shutdown", vm);
    do_it(libvirt, "revert", vt_picture_get(picture, take.result));
    assert_string_equal(vt_object_text(look(libvirt, picture), "power_state"), "Running");
    do_it(libvirt, "destroy", vt_picture_get(picture, take.result));
    assert_int_equal(vt_object_list(look(libvirt, picture), "snapshots", &refs), 0);
    assert_null(vt_picture_get(picture, take.result));
}

static void what_is_gone_or_cannot_be_is_said(void **state)
{
    VT_AUTO(vt_libvirt) libvirt = open_test();
    VT_AUTO(vt_picture) picture = vt_picture_new();
    struct vt_err err = { 0 };

    (void)state;
    struct vt_verb_job again = job_of("start", look(libvirt, picture), "");
    vt_libvirt_do(libvirt, &again);
    assert_int_equal(again.end, VT_VERB_FAILED);
    assert_true(vt_failed(&again.err));
    snprintf(again.vm, sizeof again.vm, "libvirt:vm:00000000-0000-4000-8000-000000000000");
    vt_libvirt_do(libvirt, &again);
    assert_int_equal(again.err.code, VT_E_NOTFOUND);
    snprintf(again.vm, sizeof again.vm, "libvirt:snapshot:00000000-0000-8000-8000-000000000000");
    again.verb = vt_driver_verb(&vt_driver_libvirt, "revert");
    vt_libvirt_do(libvirt, &again);
    assert_int_equal(again.err.code, VT_E_NOTFOUND);
    assert_null(vt_driver_verb(&vt_driver_libvirt, "migrate"));
    VT_AUTO(vt_libvirt) nowhere = vt_libvirt_open("qemu+unix:///system?socket=/nowhere/at-all", &err);
    assert_false(vt_libvirt_load(nowhere, picture, &err));
    assert_int_equal(err.code, VT_E_REFUSED);
    assert_non_null(vm_named(picture, "test")); /* what was known is still there */
}

static void a_url_says_which_driver(void **state)
{
    (void)state;
    assert_ptr_equal(vt_driver_for("qemu:///system"), &vt_driver_libvirt);
    assert_ptr_equal(vt_driver_for("qemu+unix:///session"), &vt_driver_libvirt);
    assert_ptr_equal(vt_driver_for("test:///default"), &vt_driver_libvirt);
    assert_ptr_equal(vt_driver_for("https://qemu"), &vt_driver_xapi);
    assert_ptr_equal(vt_driver_for("127.0.0.1"), &vt_driver_xapi);
    assert_ptr_equal(vt_driver_find("libvirt"), &vt_driver_libvirt);
}

/* ---- copies, agents, screens ---- */

/* A volume in libvirt's test pool, and a VM that is switched off with that as its disk. */
static void define_with_disk(struct vt_libvirt *libvirt, const char *name, const char *disk)
{
    char xml[600];
    struct vt_err err = { 0 };
    virConnectPtr connection = vt_libvirt_get(libvirt, &err);

    assert_non_null(connection);
    snprintf(xml, sizeof xml,
             "<domain type='test'><name>%s</name><memory>8192</memory><os><type>hvm</type></os>"
             "<devices><disk type='file' device='disk'><source file='%s'/><target dev='vda'/></disk>"
             "</devices></domain>",
             name, disk);
    virDomainPtr domain = virDomainDefineXML(connection, xml);
    assert_non_null(domain);
    virDomainFree(domain);
    virConnectClose(connection);
}

static void make_volume(struct vt_libvirt *libvirt, const char *name)
{
    struct vt_err err = { 0 };
    virConnectPtr connection = vt_libvirt_get(libvirt, &err);
    virStoragePoolPtr pool = virStoragePoolLookupByName(connection, "default-pool");
    char *xml = vt_libvirt_volume_xml("<volume/>", name, 1 << 20);
    virStorageVolPtr volume = virStorageVolCreateXML(pool, xml, 0);

    assert_non_null(volume);
    free(xml);
    virStorageVolFree(volume);
    virStoragePoolFree(pool);
    virConnectClose(connection);
}

static bool has_volume(struct vt_libvirt *libvirt, const char *path)
{
    struct vt_err err = { 0 };
    virConnectPtr connection = vt_libvirt_get(libvirt, &err);
    virStorageVolPtr volume = virStorageVolLookupByPath(connection, path);

    if (volume)
        virStorageVolFree(volume);
    virConnectClose(connection);
    return volume;
}

static void a_copy_has_a_volume_of_its_own(void **state)
{
    VT_AUTO(vt_libvirt) libvirt = open_test();
    VT_AUTO(vt_picture) picture = vt_picture_new();

    (void)state;
    make_volume(libvirt, "one.img");
    define_with_disk(libvirt, "one", "/default-pool/one.img");
    look(libvirt, picture);
    struct vt_verb_job job = job_of("clone", vm_named(picture, "one"), "two");
    vt_libvirt_do(libvirt, &job);
    if (job.end != VT_VERB_DONE)
        fail_msg("%s", job.err.text);
    look(libvirt, picture);
    assert_string_equal(vt_object_ref(vm_named(picture, "two")), job.result);
    assert_true(has_volume(libvirt, "/default-pool/two-0.img"));
    vt_libvirt_do(libvirt, &job);
    assert_int_equal(job.err.code, VT_E_EXISTS);
}

static void a_disk_in_no_pool_is_not_copied_and_leaves_nothing_behind(void **state)
{
    VT_AUTO(vt_libvirt) libvirt = open_test();
    VT_AUTO(vt_picture) picture = vt_picture_new();

    (void)state;
    define_with_disk(libvirt, "three", "/elsewhere/three.img");
    look(libvirt, picture);
    struct vt_verb_job job = job_of("clone", vm_named(picture, "three"), "four");
    vt_libvirt_do(libvirt, &job);
    assert_int_equal(job.err.code, VT_E_DENIED);
    assert_non_null(strstr(job.err.text, "/elsewhere/three.img lies in no storage pool"));
    look(libvirt, picture);
    assert_null(vm_named(picture, "four"));
}

static void without_an_agent_nothing_is_quiesced_and_without_vnc_nothing_is_shown(void **state)
{
    VT_AUTO(vt_libvirt) libvirt = open_test();
    VT_AUTO(vt_picture) picture = vt_picture_new();
    struct vt_err err = { 0 };
    const char *const *refs = NULL;

    (void)state;
    struct vt_verb_job job = job_of(VT_VERB_QUIESCED, look(libvirt, picture), "still");
    struct vt_vm_state vm = vt_vm_state_of(vm_named(picture, "test"), job.verb);
    assert_false(vt_verb_check(job.verb, &vm, &err));
    assert_non_null(strstr(err.text, "no guest agent of test is connected"));
    vt_libvirt_do(libvirt, &job);
    assert_int_equal(job.err.code, VT_E_UNSUPPORTED);
    assert_int_equal(vt_object_list(look(libvirt, picture), "snapshots", &refs), 0);
    vt_err_clear(&err);
    assert_int_equal(vt_libvirt_console(libvirt, job.vm, &err), -1);
    assert_int_equal(err.code, VT_E_NOTFOUND);
    assert_null(vt_driver_verb(&vt_driver_xapi, VT_VERB_QUIESCED));
    assert_string_equal(vt_driver_libvirt.lacks("start_on"), "its pool is one host: leave --on away");
    assert_null(vt_driver_libvirt.lacks("start"));
}

/* ---- events ---- */

struct watcher {
    struct vt_libvirt *libvirt;
    pthread_mutex_t lock; /* guards what follows */
    struct vt_picture *picture;
    unsigned states;
};

static void on_reset(void *context)
{
    struct watcher *watcher = context;

    pthread_mutex_lock(&watcher->lock);
    vt_picture_reset(watcher->picture);
    pthread_mutex_unlock(&watcher->lock);
}

static bool on_event(void *context, const struct vt_xapi_event *event, struct vt_err *err)
{
    struct watcher *watcher = context;

    pthread_mutex_lock(&watcher->lock);
    bool ok = vt_picture_event(watcher->picture, event, err);
    pthread_mutex_unlock(&watcher->lock);
    return ok;
}

static void on_batch(void *context, const struct vt_xmlrpc_value *counts, bool first)
{
    struct watcher *watcher = context;

    (void)counts;
    pthread_mutex_lock(&watcher->lock);
    vt_picture_batch(watcher->picture, first);
    watcher->states += first;
    pthread_mutex_unlock(&watcher->lock);
}

static void *watch(void *context)
{
    struct watcher *watcher = context;
    const struct vt_xapi_watch watching = {
        .context = watcher, .reset = on_reset, .event = on_event, .batch = on_batch
    };
    struct vt_err err = { 0 };

    vt_libvirt_watch(watcher->libvirt, &watching, &err);
    return NULL;
}

static void wait_for_power(struct watcher *watcher, const char *power)
{
    int64_t deadline = vt_clock_mono() + WAIT_S * VT_NS_PER_S;
    bool seen = false;

    while (!seen && vt_clock_mono() < deadline) {
        pthread_mutex_lock(&watcher->lock);
        const struct vt_object *vm = vm_named(watcher->picture, "test");
        seen = vm && strcmp(vt_object_text(vm, "power_state"), power) == 0;
        pthread_mutex_unlock(&watcher->lock);
        vt_clock_sleep(VT_NS_PER_MS);
    }
    if (!seen)
        fail_msg("the VM is not seen %s", power);
}

static void what_others_do_is_seen_by_the_watch(void **state)
{
    struct watcher watcher = { .libvirt = open_test(), .picture = vt_picture_new() };
    struct vt_err err = { 0 };
    pthread_t thread;

    (void)state;
    pthread_mutex_init(&watcher.lock, NULL);
    assert_int_equal(pthread_create(&thread, NULL, watch, &watcher), 0);
    wait_for_power(&watcher, "Running");
    virConnectPtr other = vt_libvirt_get(watcher.libvirt, &err);
    virDomainPtr domain = virDomainLookupByName(other, "test");
    assert_int_equal(virDomainSuspend(domain), 0);
    wait_for_power(&watcher, "Paused");
    assert_int_equal(virDomainDestroy(domain), 0);
    wait_for_power(&watcher, "Halted");
    assert_int_equal(virDomainCreate(domain), 0);
    wait_for_power(&watcher, "Running");
    virDomainFree(domain);
    virConnectClose(other);
    vt_libvirt_stop(watcher.libvirt);
    pthread_join(thread, NULL);
    assert_int_equal(watcher.states, 1); /* by events, not by reading all again */
    vt_libvirt_free(watcher.libvirt);
    vt_picture_free(watcher.picture);
    pthread_mutex_destroy(&watcher.lock);
}

/* ---- what is being done ---- */

static bool is_going(const struct vt_object *vm, const char *operation)
{
    const char *const *pairs = NULL;
    size_t count = vt_object_list(vm, "current_operations", &pairs);

    return *operation ? count == 2 && strcmp(pairs[1], operation) == 0 : count == 0;
}

static void a_reboot_goes_on_until_the_reset_which_is_another_run(void **state)
{
    VT_AUTO(vt_libvirt) libvirt = open_test();
    VT_AUTO(vt_picture) picture = vt_picture_new();
    struct vt_libvirt_deeds *deeds = vt_libvirt_watching_deeds(vt_libvirt_watching(libvirt));
    char uuid[VT_LIBVIRT_UUID_MAX];

    (void)state;
    const struct vt_object *vm = look(libvirt, picture);
    int64_t before = vt_object_int(vm, "domid");
    snprintf(uuid, sizeof uuid, "%.39s", vt_object_text(vm, "uuid"));
    assert_true(is_going(vm, ""));
    do_it(libvirt, "clean_reboot", vm);
    vm = look(libvirt, picture);
    assert_true(is_going(vm, "clean_reboot"));
    assert_int_equal(vt_object_int(vm, "domid"), before);
    vt_libvirt_deed_reset(deeds, uuid);
    vm = look(libvirt, picture);
    assert_true(is_going(vm, ""));
    assert_int_equal(vt_object_int(vm, "domid"), before + 1);
    do_it(libvirt, "pause", vm);
    assert_true(is_going(look(libvirt, picture), "")); /* it is done */
}

static void an_operation_that_nobody_ends_is_over_in_time(void **state)
{
    struct vt_libvirt_deeds *deeds = vt_libvirt_deeds_new();

    (void)state;
    vt_libvirt_deed_begin(deeds, "a", "snapshot", VT_LIBVIRT_SHUTDOWN_S * VT_NS_PER_S);
    vt_libvirt_deed_begin(deeds, "b", "snapshot", 0);
    assert_string_equal(vt_libvirt_deed_of(deeds, "a").operation, "snapshot");
    assert_string_equal(vt_libvirt_deed_of(deeds, "b").operation, "");
    vt_libvirt_deed_end(deeds, "a");
    assert_string_equal(vt_libvirt_deed_of(deeds, "a").operation, "");
    vt_libvirt_deeds_free(deeds);
}

static void so_many_vms_that_their_places_run_out_forget_the_oldest(void **state)
{
    struct vt_libvirt_deeds *deeds = vt_libvirt_deeds_new();
    char uuid[VT_LIBVIRT_UUID_MAX];

    (void)state;
    for (int i = 0; i < 3000; i++) {
        snprintf(uuid, sizeof uuid, "vm-%d", i);
        vt_libvirt_deed_reset(deeds, uuid);
    }
    assert_int_equal(vt_libvirt_deed_of(deeds, "vm-0").resets, 0);
    assert_int_equal(vt_libvirt_deed_of(deeds, "vm-2999").resets, 1);
    assert_int_equal(vt_libvirt_deed_of(deeds, "vm-2000").resets, 1);
    vt_libvirt_deeds_free(deeds);
}

static bool open_and_load(void *context, struct vt_err *err)
{
    VT_AUTO(vt_libvirt) libvirt = vt_libvirt_open("test:///default", err);
    VT_AUTO(vt_picture) picture = vt_picture_new();

    (void)context;
    if (libvirt && !picture)
        return vt_fail(err, VT_E_NOMEM, "no memory for a picture");
    return libvirt && vt_libvirt_load(libvirt, picture, err);
}

static void any_failing_allocation_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    assert_true(vt_torture(open_and_load, NULL) > 10);
}

/* libvirt's thread lets go of the callbacks a moment after they were taken out. */
static void every_watch_is_let_go_of_in_the_end(void **state)
{
    (void)state;
    int64_t deadline = vt_clock_mono() + 30 * VT_NS_PER_S;

    while (vt_libvirt_watchings_alive() > 0 && vt_clock_mono() < deadline)
        vt_clock_sleep(10 * VT_NS_PER_MS);
    assert_int_equal(vt_libvirt_watchings_alive(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_picture_has_the_vm_its_host_and_its_interface),
        cmocka_unit_test(each_verb_leads_to_its_state),
        cmocka_unit_test(a_snapshot_is_a_vm_of_the_picture_that_can_be_reverted_to_and_deleted),
        cmocka_unit_test(what_is_gone_or_cannot_be_is_said),
        cmocka_unit_test(a_url_says_which_driver),
        cmocka_unit_test(a_copy_has_a_volume_of_its_own),
        cmocka_unit_test(a_disk_in_no_pool_is_not_copied_and_leaves_nothing_behind),
        cmocka_unit_test(without_an_agent_nothing_is_quiesced_and_without_vnc_nothing_is_shown),
        cmocka_unit_test(what_others_do_is_seen_by_the_watch),
        cmocka_unit_test(a_reboot_goes_on_until_the_reset_which_is_another_run),
        cmocka_unit_test(an_operation_that_nobody_ends_is_over_in_time),
        cmocka_unit_test(so_many_vms_that_their_places_run_out_forget_the_oldest),
        cmocka_unit_test(any_failing_allocation_is_reported_and_leaks_nothing),
        cmocka_unit_test(every_watch_is_let_go_of_in_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
