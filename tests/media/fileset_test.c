/* DICOMDIRs, whole and damaged, made here. */
#include "media/fileset.h"

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
#include "tests/support/torture.h"

enum { PATIENT, STUDY, SERIES, IMAGE, SECOND, RECORDS };

/* Records as numbers of records: next and lower + 1; 0: none. */
struct made {
    unsigned next[RECORDS], lower[RECORDS], in_use[RECORDS];
    const char *type[RECORDS], *name[RECORDS];
};

static const struct made whole = {
    .next = { [IMAGE] = SECOND + 1 },
    .lower = { [PATIENT] = STUDY + 1, [STUDY] = SERIES + 1, [SERIES] = IMAGE + 1 },
    .in_use = { 0xffff, 0xffff, 0xffff, 0xffff, 0xffff },
    .type = { "PATIENT", "STUDY", "SERIES", "IMAGE", "IMAGE" },
    .name = { [IMAGE] = "DICOM\\PA0\\IM0", [SECOND] = "DICOM\\PA0\\IM1" },
};

static void put_records(struct vt_writer *w, const struct made *made, uint32_t offsets[RECORDS], struct vt_err *err)
{
    vt_write_ul(w, 0x00041200, offsets[PATIENT], err);
    vt_write_us(w, 0x00041212, 0, err);
    vt_write_sequence_begin(w, 0x00041220, err);
    for (unsigned i = 0; i < RECORDS; i++) {
        offsets[i] = (uint32_t)w->buf->size;
        vt_write_item_begin(w, err);
        vt_write_ul(w, 0x00041400, made->next[i] ? offsets[made->next[i] - 1] : 0, err);
        vt_write_us(w, 0x00041410, (uint16_t)made->in_use[i], err);
        vt_write_ul(w, 0x00041420, made->lower[i] ? offsets[made->lower[i] - 1] : 0, err);
        vt_write_text(w, 0x00041430, "CS", made->type[i], err);
        if (made->name[i])
            vt_write_text(w, 0x00041500, "CS", made->name[i], err);
        vt_write_item_end(w, err);
    }
    vt_write_sequence_end(w, err);
}

/* Twice: the second time the offsets are known. */
static void make(struct vt_buf *out, const struct made *made)
{
    const struct vt_file_meta meta = { VT_UID_MEDIA_DIRECTORY, "2.25.1", VT_UID_EXPLICIT_LE, NULL };
    struct vt_err err = { 0 };
    uint32_t offsets[RECORDS] = { 0 };

    for (unsigned i = 0; i < 2; i++) {
        vt_buf_reset(out);
        assert_true(vt_write_file_meta(out, &meta, &err));
        struct vt_writer w = { out, VT_EXPLICIT_LE };
        put_records(&w, made, offsets, &err);
    }
    assert_int_equal(err.code, VT_OK);
}

static struct vt_fileset *read_made(const struct made *made, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, 1 << 16);

    make(&bytes, made);
    return vt_fileset_read(bytes.data, bytes.size, err);
}

static void damaged(const struct made *made, const char *says)
{
    struct vt_err err = { 0 };
    VT_AUTO(vt_fileset) fileset = read_made(made, &err);

    assert_null(fileset);
    assert_int_equal(err.code, VT_E_CORRUPT);
    if (!strstr(err.text, says))
        fail_msg("'%s' is not in '%s'", says, err.text);
}

static void a_whole_directory_names_its_files_however_they_are_spelled(void **state)
{
    struct vt_err err = { 0 };
    VT_AUTO(vt_fileset) fileset = read_made(&whole, &err);

    (void)state;
    assert_non_null(fileset);
    assert_int_equal(fileset->count, 2);
    assert_non_null(vt_fileset_find(fileset, "DICOM/PA0/IM1"));
    assert_non_null(vt_fileset_find(fileset, "dicom/pa0/im0.;1"));
    assert_null(vt_fileset_find(fileset, "DICOM/PA0"));
    assert_null(vt_fileset_find(fileset, ""));
}

static void a_record_that_is_not_in_use_names_nothing(void **state)
{
    struct made made = whole;
    struct vt_err err = { 0 };

    (void)state;
    made.in_use[SECOND] = 0;
    VT_AUTO(vt_fileset) fileset = read_made(&made, &err);
    assert_non_null(fileset);
    assert_int_equal(fileset->count, 1);
    assert_string_equal(fileset->files[0].path, "DICOM/PA0/IM0");
}

static void records_that_run_in_a_loop_are_damage(void **state)
{
    struct made made = whole;

    (void)state;
    made.next[SECOND] = IMAGE + 1;
    damaged(&made, "loop");
    made = whole;
    made.lower[IMAGE] = PATIENT + 1;
    damaged(&made, "loop");
}

static void records_that_nothing_leads_to_are_damage(void **state)
{
    struct made made = whole;

    (void)state;
    made.next[IMAGE] = 0;
    damaged(&made, "no record leads to");
}

static void a_directory_without_patients_is_damage(void **state)
{
    struct made made = whole;

    (void)state;
    made.type[PATIENT] = "NOBODY";
    damaged(&made, "NOBODY");
    made.type[PATIENT] = "STUDY";
    damaged(&made, "root");
}

static void names_that_lead_out_of_the_medium_have_no_path(void **state)
{
    static const char *const bad[] = { "..\\..\\ETC", "\\ETC\\PASSWD", "A\\..\\B", "A\\/ETC", "A\\.\\B", "C:\\A", "A\\\\B",
                                       "A\\B\\C\\D\\E\\F\\G\\H\\I", "A\\B C" };
    struct made made = whole;

    (void)state;
    for (size_t i = 0; i < VT_COUNT(bad); i++) {
        struct vt_err err = { 0 };
        made.name[IMAGE] = bad[i];
        VT_AUTO(vt_fileset) fileset = read_made(&made, &err);
        assert_non_null(fileset);
        assert_int_equal(fileset->count, 2);
        if (fileset->files[0].path)
            fail_msg("'%s' became '%s'", bad[i], fileset->files[0].path);
    }
}

static void every_cut_and_every_wrong_byte_is_an_answer(void **state)
{
    VT_AUTO_BUF(bytes, 1 << 16);

    (void)state;
    make(&bytes, &whole);
    for (size_t i = 0; i < bytes.size; i++) {
        struct vt_err err = { 0 };
        vt_fileset_free(vt_fileset_read(bytes.data, i, &err));
        bytes.data[i] ^= 0xff;
        err = (struct vt_err){ 0 };
        vt_fileset_free(vt_fileset_read(bytes.data, bytes.size, &err));
        bytes.data[i] ^= 0xff;
    }
}

static bool read_once(void *context, struct vt_err *err)
{
    const struct vt_buf *bytes = context;
    VT_AUTO(vt_fileset) fileset = vt_fileset_read(bytes->data, bytes->size, err);

    return fileset != NULL;
}

static void each_allocation_may_fail(void **state)
{
    VT_AUTO_BUF(bytes, 1 << 16);

    (void)state;
    make(&bytes, &whole);
    vt_torture(read_once, &bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_directory_names_its_files_however_they_are_spelled),
        cmocka_unit_test(a_record_that_is_not_in_use_names_nothing),
        cmocka_unit_test(records_that_run_in_a_loop_are_damage),
        cmocka_unit_test(records_that_nothing_leads_to_are_damage),
        cmocka_unit_test(a_directory_without_patients_is_damage),
        cmocka_unit_test(names_that_lead_out_of_the_medium_have_no_path),
        cmocka_unit_test(every_cut_and_every_wrong_byte_is_an_answer),
        cmocka_unit_test(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
