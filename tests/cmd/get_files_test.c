#include "cmd/get_files.h"

#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/element.h"
#include "dicom/header.h"

static char folder[64];

static int make_folder(void **state)
{
    struct vt_err err = { 0 };

    (void)state;
    snprintf(folder, sizeof folder, "/tmp/vitrine-files-XXXXXX");
    return mkdtemp(folder) && vt_dict_load(&err) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

static int remove_folder(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void write_data_set(struct vt_buf *out, const char *study, const char *series)
{
    struct vt_writer writer = { .buf = out, .encoding = VT_EXPLICIT_LE };
    struct vt_err err = { 0 };

    assert_true(vt_write_text(&writer, VT_TAG_PATIENT_ID, "LO", "1", &err) &&
                vt_write_text(&writer, VT_TAG_STUDY_INSTANCE_UID, "UI", study, &err) &&
                vt_write_text(&writer, VT_TAG_SERIES_INSTANCE_UID, "UI", series, &err));
}

/* Sends a data set through the sink, two bytes at a time. Its status. */
static uint16_t arrive(struct vt_get_files *files, const char *sop_uid,
                       const struct vt_buf *data_set, size_t size)
{
    struct vt_sink sink = vt_get_files_sink(files);
    struct vt_command command = { .sop_class_uid = VT_UID_CT_IMAGE };
    struct vt_err err = { 0 };

    snprintf(command.sop_instance_uid, sizeof command.sop_instance_uid, "%s", sop_uid);
    if (!sink.begin(sink.context, &command, VT_UID_EXPLICIT_LE, &err))
        return err.dimse_status;
    for (size_t i = 0; i < size; i += 2)
        assert_true(
            sink.write(sink.context, data_set->data + i, size - i < 2 ? size - i : 2, &err));
    return sink.end(sink.context, true);
}

static bool there(const char *name)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void a_file_has_a_header_of_ours_and_the_bytes_that_came(void **state)
{
    (void)state;
    struct vt_err err = { 0 };
    VT_AUTO(vt_get_files) files = vt_get_files_new(folder, "PEER", &err);
    VT_AUTO_BUF(data_set, 4096);
    VT_AUTO_BUF(file, 8192);
    struct vt_part10 part10;
    char path[512];

    write_data_set(&data_set, "1.2.3", "1.2.3.4");
    assert_int_equal(arrive(files, "1.2.3.4.5", &data_set, data_set.size), VT_STATUS_SUCCESS);
    snprintf(path, sizeof path, "%s/1.2.3/1.2.3.4/1.2.3.4.5.dcm", folder);
    assert_true(vt_io_read_file(path, &file, &err));
    assert_true(vt_part10_read(file.data, file.size, &part10, &err));
    assert_string_equal(part10.sop_instance_uid, "1.2.3.4.5");
    assert_string_equal(part10.source_ae_title, "PEER");
    assert_int_equal(file.size - part10.data_set_offset, data_set.size);
    assert_memory_equal(file.data + part10.data_set_offset, data_set.data, data_set.size);
    assert_int_equal(vt_get_files_count(files), 1);
}

static void a_name_never_leaves_the_folder(void **state)
{
    (void)state;
    static const char *const names[] = { "../escape", "..", ".", "/etc/passwd", "1..2", "", ".1" };
    struct vt_err err = { 0 };
    VT_AUTO(vt_get_files) files = vt_get_files_new(folder, "PEER", &err);
    VT_AUTO_BUF(data_set, 4096);

    write_data_set(&data_set, "../../up", "1.2");
    for (size_t i = 0; i < VT_COUNT(names); i++)
        assert_int_equal(arrive(files, names[i], &data_set, data_set.size),
                         VT_STATUS_INVALID_INSTANCE);
    assert_non_null(vt_get_files_trouble(files));
    assert_int_equal(arrive(files, "1.9", &data_set, data_set.size), VT_STATUS_SUCCESS);
    assert_true(there("unknown/1.9.dcm"));
}

static void a_data_set_that_cannot_be_read_is_kept_as_it_came(void **state)
{
    (void)state;
    struct vt_err err = { 0 };
    VT_AUTO(vt_get_files) files = vt_get_files_new(folder, "PEER", &err);
    VT_AUTO_BUF(data_set, 4096);

    write_data_set(&data_set, "1.2.3", "1.2.3.4");
    assert_int_equal(arrive(files, "1.10", &data_set, data_set.size - 3), VT_STATUS_SUCCESS);
    assert_true(there("unknown/1.10.dcm"));
}

static void what_did_not_come_whole_leaves_no_file(void **state)
{
    (void)state;
    struct vt_err err = { 0 };
    struct vt_get_files *files = vt_get_files_new(folder, "PEER", &err);
    struct vt_sink sink = vt_get_files_sink(files);
    const struct vt_command command = { .sop_class_uid = VT_UID_CT_IMAGE,
                                        .sop_instance_uid = "1.11" };

    assert_true(sink.begin(sink.context, &command, VT_UID_EXPLICIT_LE, &err));
    assert_true(there(".1.11.part"));
    assert_int_not_equal(sink.end(sink.context, false), VT_STATUS_SUCCESS);
    assert_false(there(".1.11.part"));
    assert_true(sink.begin(sink.context, &command, VT_UID_EXPLICIT_LE, &err));
    vt_get_files_free(files);
    assert_false(there(".1.11.part"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_has_a_header_of_ours_and_the_bytes_that_came),
        cmocka_unit_test(a_name_never_leaves_the_folder),
        cmocka_unit_test(a_data_set_that_cannot_be_read_is_kept_as_it_came),
        cmocka_unit_test(what_did_not_come_whole_leaves_no_file),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
