/* A DICOMDIR that is written, read again. */
#include "media/directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/header.h"
#include "media/fileset.h"
#include "tests/support/torture.h"

enum { PATH_ROOM = VT_DIRECTORY_ID_MAX };

/* The header of an instance with an own patient, study and series of these numbers. */
static void read_instance(struct vt_header *header, unsigned patient, unsigned series, unsigned number, bool image)
{
    VT_AUTO_BUF(bytes, 4096);
    struct vt_writer w = { &bytes, VT_EXPLICIT_LE };
    struct vt_err err = { 0 };
    char text[32];

    snprintf(text, sizeof text, "P%u", patient);
    if (patient)
        assert_true(vt_write_text(&w, VT_TAG_PATIENT_ID, "LO", text, &err));
    snprintf(text, sizeof text, "1.2.%u", patient);
    assert_true(vt_write_text(&w, VT_TAG_STUDY_INSTANCE_UID, "UI", text, &err));
    snprintf(text, sizeof text, "1.2.%u.%u", patient, series);
    assert_true(vt_write_text(&w, VT_TAG_SERIES_INSTANCE_UID, "UI", text, &err));
    snprintf(text, sizeof text, "%u", number);
    assert_true(vt_write_text(&w, VT_TAG_INSTANCE_NUMBER, "IS", text, &err));
    if (image)
        assert_true(vt_write_us(&w, VT_TAG_ROWS, 16, &err));
    vt_header_reset(header, VT_EXPLICIT_LE, false, &VT_ELEMENT_LIMITS_DEFAULT);
    assert_true(vt_header_feed(header, bytes.data, bytes.size, &err));
    assert_true(vt_header_finish(header, &err));
}

static bool add(struct vt_directory *directory, const struct vt_header *header, const char *sop_class, const char *uid,
                char out_path[static PATH_ROOM], struct vt_err *err)
{
    const struct vt_directory_entry entry = { header, sop_class, uid, VT_UID_EXPLICIT_LE, NULL };

    return vt_directory_add(directory, &entry, out_path, err);
}

static void instances_go_below_their_patient_study_and_series(void **state)
{
    static const struct {
        unsigned patient, series;
        const char *path;
    } list[] = {
        { 1, 1, "DICOM/PA000000/ST000000/SE000000/IM000000" }, { 1, 1, "DICOM/PA000000/ST000000/SE000000/IM000001" },
        { 1, 2, "DICOM/PA000000/ST000000/SE000001/IM000000" }, { 2, 1, "DICOM/PA000001/ST000000/SE000000/IM000000" },
        { 1, 1, "DICOM/PA000000/ST000000/SE000000/IM000002" }, { 0, 1, "DICOM/PA000002/ST000000/SE000000/IM000000" },
    };
    VT_AUTO(vt_directory) directory = vt_directory_new();
    VT_AUTO(vt_header) header = vt_header_new();
    VT_AUTO_BUF(bytes, 1 << 20);
    struct vt_err err = { 0 };
    char path[PATH_ROOM], uid[16];

    (void)state;
    for (unsigned i = 0; i < VT_COUNT(list); i++) {
        read_instance(header, list[i].patient, list[i].series, i, true);
        snprintf(uid, sizeof uid, "1.9.%u", i);
        assert_true(add(directory, header, VT_UID_CT_IMAGE, uid, path, &err));
        assert_string_equal(path, list[i].path);
    }
    assert_true(vt_directory_write(directory, &bytes, &err));
    VT_AUTO(vt_fileset) fileset = vt_fileset_read(bytes.data, bytes.size, &err);
    assert_non_null(fileset);
    assert_int_equal(fileset->count, VT_COUNT(list));
    for (unsigned i = 0; i < VT_COUNT(list); i++) {
        snprintf(uid, sizeof uid, "1.9.%u", i);
        assert_string_equal(vt_fileset_find(fileset, list[i].path)->sop_uid, uid);
    }
}

static void a_class_without_a_record_of_its_own_is_refused(void **state)
{
    VT_AUTO(vt_directory) directory = vt_directory_new();
    VT_AUTO(vt_header) header = vt_header_new();
    struct vt_err err = { 0 };
    char path[PATH_ROOM];

    (void)state;
    read_instance(header, 1, 1, 1, false);
    assert_false(add(directory, header, "1.2.840.10008.5.1.4.39.1", "1.9.1", path, &err));
    assert_int_equal(err.code, VT_E_UNSUPPORTED);
    err = (struct vt_err){ 0 };
    assert_true(add(directory, header, "1.2.840.10008.5.1.4.1.1.88.11", "1.9.1", path, &err));
}

static void put_code(struct vt_writer *w, uint32_t tag, const char *code)
{
    struct vt_err err = { 0 };

    assert_true(vt_write_sequence_begin(w, tag, &err) && vt_write_item_begin(w, &err) &&
                vt_write_text(w, 0x00080100, "SH", code, &err) && vt_write_item_end(w, &err) && vt_write_sequence_end(w, &err));
}

static void put_content(struct vt_writer *w, const char *relationship, const char *code)
{
    struct vt_err err = { 0 };

    assert_true(vt_write_item_begin(w, &err) && vt_write_text(w, 0x0040a010, "CS", relationship, &err));
    put_code(w, 0x0040a043, code);
    assert_true(vt_write_item_end(w, &err));
}

/* A verified report whose title has one modifier. */
static void read_report(struct vt_header *header)
{
    static const char *const verified[] = { "20200101", "20200303", "20200202" };
    VT_AUTO_BUF(bytes, 4096);
    struct vt_writer w = { &bytes, VT_IMPLICIT_LE };
    struct vt_err err = { 0 };

    assert_true(vt_write_text(&w, VT_TAG_STUDY_INSTANCE_UID, "UI", "1.2", &err) &&
                vt_write_text(&w, VT_TAG_SERIES_INSTANCE_UID, "UI", "1.3", &err) && vt_write_sequence_begin(&w, 0x0040a073, &err));
    for (size_t i = 0; i < VT_COUNT(verified); i++)
        assert_true(vt_write_item_begin(&w, &err) && vt_write_text(&w, 0x0040a030, "DT", verified[i], &err) &&
                    vt_write_item_end(&w, &err));
    assert_true(vt_write_sequence_end(&w, &err) && vt_write_text(&w, 0x0040a493, "CS", "VERIFIED", &err) &&
                vt_write_sequence_begin(&w, 0x0040a730, &err));
    put_content(&w, "CONTAINS", "FINDING");
    put_content(&w, "HAS CONCEPT MOD", "LANGUAGE");
    assert_true(vt_write_sequence_end(&w, &err));
    vt_header_reset(header, VT_IMPLICIT_LE, false, &VT_ELEMENT_LIMITS_DEFAULT);
    assert_true(vt_header_feed(header, bytes.data, bytes.size, &err) && vt_header_finish(header, &err));
}

static bool has(const struct vt_buf *bytes, const char *text)
{
    return memmem(bytes->data, bytes->size, text, strlen(text)) != NULL;
}

static void a_report_has_what_modifies_its_title_and_when_it_was_verified_last(void **state)
{
    VT_AUTO(vt_directory) directory = vt_directory_new();
    VT_AUTO(vt_header) header = vt_header_new();
    VT_AUTO_BUF(bytes, 1 << 20);
    struct vt_err err = { 0 };
    char path[PATH_ROOM];

    (void)state;
    read_report(header);
    assert_true(add(directory, header, "1.2.840.10008.5.1.4.1.1.88.33", "1.9.1", path, &err));
    assert_true(vt_directory_write(directory, &bytes, &err));
    assert_true(has(&bytes, "LANGUAGE"));
    assert_true(has(&bytes, "20200303"));
    assert_false(has(&bytes, "FINDING"));
    assert_false(has(&bytes, "20200202"));
}

static bool make_report(void *context, struct vt_err *err)
{
    VT_AUTO(vt_directory) directory = vt_directory_new();
    char path[PATH_ROOM];

    if (!directory)
        return vt_fail(err, VT_E_NOMEM, "no memory");
    return add(directory, context, "1.2.840.10008.5.1.4.1.1.88.33", "1.9.1", path, err);
}

static bool make(void *context, struct vt_err *err)
{
    VT_AUTO(vt_directory) directory = vt_directory_new();
    VT_AUTO_BUF(bytes, 1 << 20);
    char path[PATH_ROOM];

    if (!directory)
        return vt_fail(err, VT_E_NOMEM, "no memory");
    return add(directory, context, VT_UID_CT_IMAGE, "1.9.1", path, err) && vt_directory_write(directory, &bytes, err);
}

static void each_allocation_may_fail(void **state)
{
    VT_AUTO(vt_header) header = vt_header_new();

    (void)state;
    read_instance(header, 1, 1, 1, true);
    vt_torture(make, header);
    read_report(header);
    vt_torture(make_report, header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instances_go_below_their_patient_study_and_series),
        cmocka_unit_test(a_class_without_a_record_of_its_own_is_refused),
        cmocka_unit_test(a_report_has_what_modifies_its_title_and_when_it_was_verified_last),
        cmocka_unit_test(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
