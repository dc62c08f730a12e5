/* What descriptions, codestreams and metadata files tell. */
#include "media/slide_facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "media/slide_codestream.h"
#include "media/slide_metadata.h"

static struct vt_slide_facts facts_of(const char *description)
{
    struct vt_slide_facts facts = { 0 };

    vt_slide_facts_aperio(description, &facts);
    return facts;
}

static void a_description_tells_scale_power_and_moment(void **state)
{
    (void)state;
    struct vt_slide_facts facts = facts_of("Aperio Leica Biosystems GT450 v1.0.1 \r\n1x1|AppMag = 40|MPP = 0,2635|Date = 05/21/2020"
                                           "|Time = 16:01:02|Time Zone = GMT-0400|ScanScope ID = SS1");
    assert_true(facts.mpp_x > 0.26349 && facts.mpp_x < 0.26351);
    assert_true(facts.objective_power == 40);
    assert_string_equal(facts.acquired, "20200521160102-0400");
    assert_string_equal(facts.manufacturer, "Leica Biosystems");
    assert_string_equal(facts.model, "GT450");
    assert_string_equal(facts.serial, "SS1");
}

static void nothing_is_invented(void **state)
{
    (void)state;
    struct vt_slide_facts facts = facts_of("Aperio\r\n|MPP = none|AppMag = -3|Date = 99/99/99|Time = x|Time Zone = GMT?");
    assert_true(facts.mpp_x == 0 && facts.objective_power == 0);
    assert_string_equal(facts.acquired, "");
    facts = facts_of("Aperio\r\n|Scan resolution = 0.5 microns per pixel");
    assert_true(facts.mpp_x == 0.5);
}

static void pages_without_tiles_say_what_they_are(void **state)
{
    enum vt_slide_role role = VT_SLIDE_LEVEL;

    (void)state;
    assert_true(vt_slide_role_aperio("Aperio\r\nlabel 387x463", &role));
    assert_int_equal(role, VT_SLIDE_LABEL);
    assert_true(vt_slide_role_aperio("Aperio\nmacro 1280x431", &role));
    assert_int_equal(role, VT_SLIDE_OVERVIEW);
    assert_false(vt_slide_role_aperio("Aperio\r\n100x100 -> 10x10", &role));
    assert_false(vt_slide_role_aperio("Aperio", &role));
}

/* ---- codestreams ---- */

static const uint8_t rgb_tile[] = { 0xFF, 0xD8, 0xFF, 0xC0, 0, 17, 8, 0, 16, 0, 32, 3, 0, 0x21, 0, 1, 0x11, 0,
                                    2, 0x11, 0, 0xFF, 0xDA, 0, 12, 3, 0, 0, 1, 0, 2, 0, 0, 63, 0, 1, 2, 0xFF, 0xD9 };

static void tables_come_before_the_frame_and_adobe_tells_rgb(void **state)
{
    static const uint8_t tables[] = { 0xFF, 0xD8, 0xFF, 0xDB, 0, 3, 7, 0xFF, 0xEE, 0, 3, 9, 0xFF, 0xC4, 0, 3, 8, 0xFF, 0xD9 };
    VT_AUTO_BUF(frame, 1024);
    struct vt_codestream stream;
    struct vt_err err = { 0 };

    (void)state;
    assert_true(vt_jpeg_prefix(tables, sizeof tables, true, &frame, &err));
    assert_int_equal(frame.size, 2 + 16 + 5 + 5);
    assert_true(vt_buf_append(&frame, rgb_tile + 2, sizeof rgb_tile - 2, &err));
    assert_true(vt_jpeg_read(frame.data, frame.size, &stream, &err));
    assert_true(stream.has_quantization && stream.has_huffman && stream.has_adobe);
    assert_int_equal(stream.adobe_transform, 0);
    assert_false(vt_jpeg_looks_ycbcr(&stream));
    assert_int_equal(stream.width, 32);
    assert_int_equal(stream.sampling[0], 0x21);
}

static void every_cut_of_a_jpeg_header_is_an_error(void **state)
{
    struct vt_codestream stream;

    (void)state;
    for (size_t size = 0; size < 34; size++) {
        struct vt_err err = { 0 };
        assert_false(vt_jpeg_read(rgb_tile, size, &stream, &err));
        assert_true(vt_failed(&err));
    }
}

static void tables_that_hold_an_image_are_none(void **state)
{
    VT_AUTO_BUF(out, 1024);
    struct vt_err err = { 0 };

    (void)state;
    assert_false(vt_jpeg_prefix(rgb_tile, sizeof rgb_tile, false, &out, &err));
    assert_int_equal(err.code, VT_E_INVALID);
}

/* ---- metadata ---- */

static void values_must_fit_their_vr(void **state)
{
    static const char *const good[][2] = { { "PatientID", "4711" }, { "patientbirthdate", "19700131" }, { "PatientSex", "F" },
                                           { "StudyInstanceUID", "1.2.3" }, { "AccessionNumber", "1234567890123456" } };
    static const char *const bad[][2] = { { "PatientBirthDate", "1970-01-31" }, { "PatientSex", "X" }, { "StudyInstanceUID", "1..2" },
                                          { "AccessionNumber", "12345678901234567" }, { "PatientID", "a\\b" }, { "PatientID", "a\nb" },
                                          { "PixelData", "1" } };
    struct vt_slide_metadata metadata = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct vt_err err = { 0 };
        assert_true(vt_slide_metadata_set(&metadata, good[i][0], good[i][1], &err));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vt_err err = { 0 };
        assert_false(vt_slide_metadata_set(&metadata, bad[i][0], bad[i][1], &err));
        assert_int_equal(err.code, VT_E_INVALID);
    }
    assert_string_equal(metadata.patient_id, "4711");
}

static bool read_table(const char *text, const char *name, const char *barcode, struct vt_slide_metadata *out, struct vt_err *err)
{
    char path[] = "/tmp/vitrine-metadata-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    bool ok = vt_slide_metadata_read(out, path, name, barcode, err);
    unlink(path);
    return ok;
}

static void a_table_is_cut_as_rfc_4180_says(void **state)
{
    struct vt_slide_metadata metadata = { 0 };
    struct vt_err err = { 0 };

    (void)state;
    assert_true(read_table("file,PatientName,barcode,StudyDescription\r\nx.svs,X,1,\r\n\"a.svs\",\"Doe^\"\"J\"\"\",2,\"one, two\"\r\n", "a.svs", "",
                           &metadata, &err));
    assert_string_equal(metadata.patient_name, "Doe^\"J\"");
    assert_string_equal(metadata.study_description, "one, two");
    assert_true(read_table("\xef\xbb\xbf" "barcode,PatientID\n2,B\n", "a.svs", "2", &metadata, &err));
    assert_string_equal(metadata.patient_id, "B");
    assert_false(read_table("PatientID\n2\n", "a.svs", "2", &metadata, &err));
    err = (struct vt_err){ 0 };
    assert_false(read_table("file,PatientID\n\"never closed", "a.svs", "2", &metadata, &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_description_tells_scale_power_and_moment),
        cmocka_unit_test(nothing_is_invented),
        cmocka_unit_test(pages_without_tiles_say_what_they_are),
        cmocka_unit_test(tables_come_before_the_frame_and_adobe_tells_rgb),
        cmocka_unit_test(every_cut_of_a_jpeg_header_is_an_error),
        cmocka_unit_test(tables_that_hold_an_image_are_none),
        cmocka_unit_test(values_must_fit_their_vr),
        cmocka_unit_test(a_table_is_cut_as_rfc_4180_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
