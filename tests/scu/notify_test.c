#include "scu/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/dataset.h"
#include "dicom/element.h"
#include "tests/support/torture.h"

static const struct vt_notify_instance instances[] = {
    { "1.2.1", VT_UID_CT_IMAGE, "1.2.1.1", "ONLINE" },
    { "1.2.1", VT_UID_CT_IMAGE, "1.2.1.2", "NEARLINE" },
    { "1.2.2", VT_UID_CT_IMAGE, "1.2.2.1", "ONLINE" },
};
static const struct vt_notify notify = { "1.2", "VITRINE", instances, 3 };

static void text_is(struct vt_dataset *data_set, const char *path, const char *expected)
{
    VT_AUTO_BUF(text, 256);
    struct vt_err err = { 0 };
    bool there;

    assert_true(vt_dataset_get(data_set, path, &text, &there, &err));
    assert_true(there);
    assert_string_equal(vt_buf_string(&text, &err), expected);
}

static void each_instance_stands_below_its_series(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, 1 << 16);
    struct vt_err err = { 0 };

    assert_true(vt_notify_encode(&notify, &bytes, &err));
    assert_true(vt_element_check(bytes.data, bytes.size, VT_EXPLICIT_LE, &VT_ELEMENT_LIMITS_DEFAULT, &err));
    VT_AUTO(vt_dataset) data_set = vt_dataset_parse(bytes.data, bytes.size, VT_UID_EXPLICIT_LE, &err);
    assert_non_null(data_set);
    text_is(data_set, "StudyInstanceUID", "1.2");
    text_is(data_set, "ReferencedSeriesSequence[0].SeriesInstanceUID", "1.2.1");
    text_is(data_set, "ReferencedSeriesSequence[0].ReferencedSOPSequence[1].ReferencedSOPInstanceUID", "1.2.1.2");
    text_is(data_set, "ReferencedSeriesSequence[0].ReferencedSOPSequence[1].InstanceAvailability", "NEARLINE");
    text_is(data_set, "ReferencedSeriesSequence[1].ReferencedSOPSequence[0].RetrieveAETitle", "VITRINE");
}

static void a_notification_that_is_too_long_is_refused(void **state)
{
    (void)state;
    VT_AUTO_BUF(bytes, 64);
    struct vt_err err = { 0 };

    assert_false(vt_notify_encode(&notify, &bytes, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
}

static bool encode(void *context, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, 1 << 16);

    (void)context;
    return vt_notify_encode(&notify, &bytes, err);
}

static void without_memory_it_fails_and_leaks_nothing(void **state)
{
    (void)state;
    assert_true(vt_torture(encode, NULL) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_instance_stands_below_its_series),
        cmocka_unit_test(a_notification_that_is_too_long_is_refused),
        cmocka_unit_test(without_memory_it_fails_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
