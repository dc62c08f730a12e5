/* The picture of a pool: objects by reference, kept by records and events, saved and loaded. */
#include "hypervisor/picture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "tests/support/torture.h"

#define RECORD(members) "<value><struct>" members "</struct></value>"
#define MEMBER(name, value) "<member><name>" name "</name><value>" value "</value></member>"
#define TEXTS(a, b) "<array><data><value>" a "</value><value>" b "</value></data></array>"

static const char vm_record[] = RECORD(
    MEMBER("uuid", "u-1") MEMBER("name_label", "CT-1") MEMBER("power_state", "Running")
        MEMBER("is_a_template", "<boolean>0</boolean>") MEMBER("resident_on", "OpaqueRef:h1")
            MEMBER("memory_static_max", "2147483648") MEMBER("tags", TEXTS("imaging", "ct"))
                MEMBER("blocked_operations", "<struct>" MEMBER("destroy", "in use") "</struct>")
                    MEMBER("a_field_of_a_later_release", "x"));

static bool put(struct vt_picture *picture, enum vt_class class, const char *ref, const char *xml,
                struct vt_err *err)
{
    VT_AUTO(vt_xmlrpc_message) message = vt_xmlrpc_decode_value(xml, err);

    return message && vt_picture_put(picture, class, ref, message->params, err);
}

static void must_put(struct vt_picture *picture, enum vt_class class, const char *ref,
                     const char *xml)
{
    struct vt_err err = { 0 };

    if (!put(picture, class, ref, xml, &err))
        fail_msg("%s", err.text);
}

static void check_vm(const struct vt_picture *picture)
{
    const struct vt_object *vm = vt_picture_get(picture, "OpaqueRef:v1");
    const char *const *tags = NULL;

    assert_non_null(vm);
    assert_string_equal(vt_object_text(vm, "name_label"), "CT-1");
    assert_false(vt_object_bool(vm, "is_a_template"));
    assert_int_equal(vt_object_int(vm, "memory_static_max"), 2147483648);
    assert_int_equal(vt_object_list(vm, "tags", &tags), 2);
    assert_string_equal(tags[1], "ct");
    assert_true(vt_object_has(vm, "tags", "imaging"));
    assert_string_equal(vt_object_map(vm, "blocked_operations", "destroy"), "in use");
    assert_null(vt_object_map(vm, "blocked_operations", "start"));
    assert_string_equal(vt_object_text(vm, "name_description"), "");
}

static void fields_are_read_by_their_names_and_missing_ones_are_empty(void **state)
{
    (void)state;
    VT_AUTO(vt_picture) picture = vt_picture_new();

    must_put(picture, VT_CLASS_VM, "OpaqueRef:v1", vm_record);
    check_vm(picture);
    assert_ptr_equal(vt_picture_by_uuid(picture, VT_CLASS_VM, "u-1"),
                     vt_picture_get(picture, "OpaqueRef:v1"));
    assert_null(vt_picture_get(picture, "OpaqueRef:NULL"));
    assert_null(vt_picture_get(picture, "OpaqueRef:other"));
}

static void references_are_followed_to_objects(void **state)
{
    (void)state;
    VT_AUTO(vt_picture) picture = vt_picture_new();

    must_put(picture, VT_CLASS_VM, "OpaqueRef:v1", vm_record);
    const struct vt_object *vm = vt_picture_get(picture, "OpaqueRef:v1");
    assert_null(vt_picture_follow(picture, vm, "resident_on"));
    must_put(picture, VT_CLASS_HOST, "OpaqueRef:h1", RECORD(MEMBER("name_label", "server1")));
    assert_string_equal(vt_object_text(vt_picture_follow(picture, vm, "resident_on"), "name_label"),
                        "server1");
}

static void an_object_that_changes_keeps_its_place_in_the_list(void **state)
{
    (void)state;
    VT_AUTO(vt_picture) picture = vt_picture_new();

    must_put(picture, VT_CLASS_HOST, "OpaqueRef:a", RECORD(MEMBER("name_label", "a")));
    must_put(picture, VT_CLASS_HOST, "OpaqueRef:b", RECORD(MEMBER("name_label", "b")));
    must_put(picture, VT_CLASS_HOST, "OpaqueRef:a", RECORD(MEMBER("name_label", "a2")));
    assert_int_equal(vt_picture_count(picture, VT_CLASS_HOST), 2);
    const struct vt_object *first = vt_picture_first(picture, VT_CLASS_HOST);
    assert_string_equal(vt_object_text(first, "name_label"), "a2");
    vt_picture_remove(picture, "OpaqueRef:a");
    vt_picture_remove(picture, "OpaqueRef:a");
    assert_string_equal(vt_object_text(vt_picture_first(picture, VT_CLASS_HOST), "name_label"),
                        "b");
}

static void thousands_of_objects_are_all_found_again(void **state)
{
    (void)state;
    VT_AUTO(vt_picture) picture = vt_picture_new();
    char ref[64];

    for (int i = 0; i < 5000; i++) {
        snprintf(ref, sizeof ref, "OpaqueRef:%d", i);
        must_put(picture, VT_CLASS_VM, ref, vm_record);
    }
    for (int i = 0; i < 5000; i += 2) {
        snprintf(ref, sizeof ref, "OpaqueRef:%d", i);
        vt_picture_remove(picture, ref);
    }
    assert_int_equal(vt_picture_count(picture, VT_CLASS_VM), 2500);
    for (int i = 0; i < 5000; i++) {
        snprintf(ref, sizeof ref, "OpaqueRef:%d", i);
        assert_int_equal(vt_picture_get(picture, ref) != NULL, i % 2);
    }
}

static void send_event(struct vt_picture *picture, const char *class,
                       enum vt_xapi_operation operation, const char *ref, const char *xml)
{
    struct vt_err err = { 0 };
    VT_AUTO(vt_xmlrpc_message) message = xml ? vt_xmlrpc_decode_value(xml, &err) : NULL;
    const struct vt_xapi_event event = { .class = class,
                                         .operation = operation,
                                         .ref = ref,
                                         .snapshot = message ? message->params : NULL };

    assert_true(vt_picture_event(picture, &event, &err));
}

static void events_add_change_and_remove_objects(void **state)
{
    (void)state;
    VT_AUTO(vt_picture) picture = vt_picture_new();

    send_event(picture, "vm", VT_XAPI_MOD, "OpaqueRef:v1", vm_record); /* a change may come first */
    check_vm(picture);
    send_event(picture, "vm_guest_metrics", VT_XAPI_ADD, "OpaqueRef:g",
               RECORD(MEMBER("uuid", "g")));
    assert_int_equal(vt_picture_count(picture, VT_CLASS_VM_GUEST_METRICS), 1);
    send_event(picture, "secret", VT_XAPI_ADD, "OpaqueRef:s", RECORD(MEMBER("uuid", "s")));
    assert_null(vt_picture_get(picture, "OpaqueRef:s"));
    send_event(picture, "vm", VT_XAPI_DEL, "OpaqueRef:v1", NULL);
    assert_int_equal(vt_picture_count(picture, VT_CLASS_VM), 0);
}

static void what_does_not_come_again_after_a_reset_is_gone(void **state)
{
    (void)state;
    VT_AUTO(vt_picture) picture = vt_picture_new();

    send_event(picture, "host", VT_XAPI_ADD, "OpaqueRef:old", RECORD(MEMBER("name_label", "old")));
    send_event(picture, "host", VT_XAPI_ADD, "OpaqueRef:kept",
               RECORD(MEMBER("name_label", "kept")));
    vt_picture_batch(picture, true);
    vt_picture_reset(picture);
    assert_int_equal(vt_picture_count(picture, VT_CLASS_HOST),
                     2); /* until the new state is whole */
    send_event(picture, "host", VT_XAPI_ADD, "OpaqueRef:kept",
               RECORD(MEMBER("name_label", "kept")));
    vt_picture_batch(picture, true);
    assert_int_equal(vt_picture_count(picture, VT_CLASS_HOST), 1);
    assert_null(vt_picture_get(picture, "OpaqueRef:old"));
    assert_true(vt_picture_time(picture) > 0);
}

static void a_saved_picture_comes_back_with_its_time(void **state)
{
    (void)state;
    VT_AUTO(vt_picture) picture = vt_picture_new();
    VT_AUTO(vt_picture) again = vt_picture_new();
    struct vt_err err = { 0 };
    char path[64];

    snprintf(path, sizeof path, "picture-%d.json", (int)getpid());
    must_put(picture, VT_CLASS_VM, "OpaqueRef:v1", vm_record);
    vt_picture_batch(picture, false);
    assert_true(vt_picture_save(picture, path, &err));
    assert_true(vt_picture_restore(again, path, &err));
    check_vm(again);
    assert_int_equal(vt_picture_time(again), vt_picture_time(picture));
    unlink(path);
    assert_false(vt_picture_restore(again, path, &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
}

static void a_copy_has_its_own_texts_and_only_the_classes_that_were_asked_for(void **state)
{
    (void)state;
    VT_AUTO(vt_picture) picture = vt_picture_new();
    VT_AUTO(vt_picture) copy = vt_picture_new();
    struct vt_err err = { 0 };
    char ref[32];

    must_put(picture, VT_CLASS_VM, "OpaqueRef:v1", vm_record);
    for (int i = 0; i < 600; i++) { /* more than the first buckets */
        snprintf(ref, sizeof ref, "OpaqueRef:h%d", i);
        must_put(picture, VT_CLASS_HOST, ref, vm_record);
    }
    vt_picture_batch(picture, false);
    assert_true(vt_picture_copy(picture, VT_CLASS_BIT(VT_CLASS_VM), copy, &err));
    assert_int_equal(vt_picture_count(copy, VT_CLASS_HOST), 0);
    assert_int_equal(vt_picture_time(copy), vt_picture_time(picture));
    assert_true(vt_picture_copy(picture, VT_CLASS_BIT(VT_CLASS_HOST), copy, &err));
    for (int i = 0; i < 600; i++) {
        snprintf(ref, sizeof ref, "OpaqueRef:h%d", i);
        vt_picture_remove(picture, ref);
        assert_string_equal(vt_object_ref(vt_picture_get(copy, ref)), ref);
    }
    vt_picture_remove(picture, "OpaqueRef:v1");
    check_vm(copy);
}

static void a_file_that_is_no_picture_is_said_to_be_broken(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "[]\n",
        "{\"format\":1}\n",
        "{\"format\":2}",
        "{\"format\":2}\n7\n",
        "{\"format\":2}\n[\"VM\",\"x\",7]\n",
        "{\"format\":2}\n[\"VM\",\"x\",{}]\n[\"rocket\",\"y\",{}]\n",
    };
    char path[64];

    snprintf(path, sizeof path, "broken-%d.json", (int)getpid());
    for (size_t i = 0; i < VT_COUNT(texts); i++) {
        VT_AUTO(vt_picture) picture = vt_picture_new();
        struct vt_err err = { 0 };
        FILE *file = fopen(path, "w");
        fputs(texts[i], file);
        fclose(file);
        bool fine = vt_picture_restore(picture, path, &err);
        /* an object without fields is empty, an unknown class passed over: no errors */
        assert_int_equal(fine, i == VT_COUNT(texts) - 1);
        if (!fine)
            assert_int_equal(err.code, VT_E_CORRUPT);
    }
    unlink(path);
}

static void members_and_pins_survive_a_restart(void **state)
{
    (void)state;
    const struct vt_xapi_options options = { .url = "https://127.0.0.1",
                                             .user = "root",
                                             .password = "x" };
    const struct vt_xapi_member known = { .address = "127.0.0.2",
                                          .uuid = "h2",
                                          .pin = "sha256//abc" };
    struct vt_xapi_member members[VT_XAPI_MEMBERS_MAX];
    struct vt_err err = { 0 };
    VT_AUTO(vt_xapi) first = vt_xapi_new(&options, &err);
    VT_AUTO(vt_xapi) second = vt_xapi_new(&options, &err);
    char path[64], uuid[VT_XAPI_UUID_MAX];
    size_t count = 0;

    snprintf(path, sizeof path, "members-%d.json", (int)getpid());
    assert_true(vt_xapi_remember(first, "pool-1", &known, 1, &err));
    assert_true(vt_members_save(first, path, &err));
    assert_true(vt_members_restore(second, path, &err));
    vt_xapi_members(second, members, &count, uuid);
    unlink(path);
    assert_int_equal(count, 2);
    assert_string_equal(uuid, "pool-1");
    assert_string_equal(members[1].pin, "sha256//abc");
}

static bool work(void *context, struct vt_err *err)
{
    VT_AUTO(vt_picture) picture = vt_picture_new();

    (void)context;
    if (!picture)
        return vt_fail(err, VT_E_NOMEM, "no memory");
    return put(picture, VT_CLASS_VM, "OpaqueRef:v1", vm_record, err) &&
           put(picture, VT_CLASS_VM, "OpaqueRef:v1", vm_record, err);
}

static void any_failing_allocation_is_reported_and_leaks_nothing(void **state)
{
    (void)state;
    assert_true(vt_torture(work, NULL) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_read_by_their_names_and_missing_ones_are_empty),
        cmocka_unit_test(references_are_followed_to_objects),
        cmocka_unit_test(an_object_that_changes_keeps_its_place_in_the_list),
        cmocka_unit_test(thousands_of_objects_are_all_found_again),
        cmocka_unit_test(events_add_change_and_remove_objects),
        cmocka_unit_test(what_does_not_come_again_after_a_reset_is_gone),
        cmocka_unit_test(a_saved_picture_comes_back_with_its_time),
        cmocka_unit_test(
            a_copy_has_its_own_texts_and_only_the_classes_that_were_asked_for),
        cmocka_unit_test(a_file_that_is_no_picture_is_said_to_be_broken),
        cmocka_unit_test(members_and_pins_survive_a_restart),
        cmocka_unit_test(any_failing_allocation_is_reported_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
