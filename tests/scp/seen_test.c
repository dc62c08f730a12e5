/* The set of answered matches: by the unique key of the level, in either encoding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/tags.h"
#include "scp/seen.h"
#include "tests/support/torture.h"

enum { MANY = 1000 };

static bool add(struct vt_seen *seen, enum vt_encoding encoding, const char *study, bool *out_new,
                struct vt_err *err)
{
    VT_AUTO_BUF(bytes, 4096);
    struct vt_writer writer = { .buf = &bytes, .encoding = encoding };

    return vt_write_text(&writer, VT_TAG_PATIENT_ID, "LO", "4711", err) &&
           (!study || vt_write_text(&writer, VT_TAG_STUDY_INSTANCE_UID, "UI", study, err)) &&
           vt_seen_add(seen, bytes.data, bytes.size, encoding, out_new, err);
}

static bool is_new(struct vt_seen *seen, enum vt_encoding encoding, const char *study)
{
    struct vt_err err = { 0 };
    bool new = false;

    assert_true(add(seen, encoding, study, &new, &err));
    return new;
}

static void a_study_is_new_once_in_whatever_encoding(void **state)
{
    struct vt_seen seen = { .level = VT_LEVEL_STUDY };

    (void)state;
    assert_true(is_new(&seen, VT_IMPLICIT_LE, "1.2.3"));
    assert_false(is_new(&seen, VT_EXPLICIT_LE, "1.2.3"));
    assert_true(is_new(&seen, VT_EXPLICIT_LE, "1.2.4"));
    vt_seen_fini(&seen);
}

static void another_level_has_another_key(void **state)
{
    struct vt_seen seen = { .level = VT_LEVEL_PATIENT };

    (void)state;
    assert_true(is_new(&seen, VT_EXPLICIT_LE, "1.2.3"));
    assert_false(is_new(&seen, VT_EXPLICIT_LE, "1.2.4"));
    vt_seen_fini(&seen);
}

static void what_has_no_key_is_always_new(void **state)
{
    struct vt_seen seen = { .level = VT_LEVEL_STUDY };

    (void)state;
    assert_true(is_new(&seen, VT_EXPLICIT_LE, NULL));
    assert_true(is_new(&seen, VT_EXPLICIT_LE, NULL));
    vt_seen_fini(&seen);
}

static bool add_many(void *context, struct vt_err *err)
{
    struct vt_seen seen = { .level = VT_LEVEL_STUDY };
    char uid[32];
    bool new = true, ok = true;

    (void)context;
    for (int pass = 0; ok && pass < 2; pass++)
        for (int i = 0; ok && i < MANY; i++) {
            snprintf(uid, sizeof uid, "1.2.%d", i);
            ok = add(&seen, VT_EXPLICIT_LE, uid, &new, err) &&
                 (new == (pass == 0) || vt_fail(err, VT_E_INTERNAL, "%s in pass %d", uid, pass));
        }
    vt_seen_fini(&seen);
    return ok;
}

static void many_are_told_apart(void **state)
{
    struct vt_err err = { 0 };

    (void)state;
    assert_true(add_many(NULL, &err));
}

static bool add_few(void *context, struct vt_err *err)
{
    struct vt_seen seen = { .level = VT_LEVEL_STUDY };
    bool new, ok = add(&seen, VT_EXPLICIT_LE, "1.2.3", &new, err);

    (void)context;
    vt_seen_fini(&seen);
    return ok;
}

static void without_memory_it_fails_and_leaks_nothing(void **state)
{
    (void)state;
    assert_true(vt_torture(add_few, NULL) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_study_is_new_once_in_whatever_encoding),
        cmocka_unit_test(another_level_has_another_key),
        cmocka_unit_test(what_has_no_key_is_always_new),
        cmocka_unit_test(many_are_told_apart),
        cmocka_unit_test(without_memory_it_fails_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
