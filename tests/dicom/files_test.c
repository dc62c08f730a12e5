/* Real files, when they are there (VT_SHARED_DATA or ../shared/data): the streaming header and the data set object, two
 * readers that share no code but the structure check, must agree on them. */
#include "dicom/dataset.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/auto.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/io.h"
#include "dicom/header.h"
#include "dicom/text.h"

enum { FILES_MAX = 1000, FILE_MAX = 64 << 20 };

static char *files[FILES_MAX];
static size_t file_count;

static int note_file(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)place;
    if (kind == FTW_F && info->st_size < FILE_MAX && file_count < FILES_MAX)
        files[file_count++] = strdup(path);
    return 0;
}

static int find_files(void **state)
{
    (void)state;
    const char *given = getenv("VT_SHARED_DATA"), *source = getenv("VT_SOURCE_DIR");
    char folder[512];

    if (given)
        snprintf(folder, sizeof folder, "%s/dicom", given);
    else
        snprintf(folder, sizeof folder, "%s/../shared/data/dicom", source ? source : ".");
    nftw(folder, note_file, 16, FTW_PHYS);
    return 0;
}

static int drop_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < file_count; i++)
        free(files[i]);
    return 0;
}

struct file {
    struct vt_buf bytes;
    struct vt_part10 part10;
    const struct vt_transfer_syntax *syntax;
    const uint8_t *data;
    size_t size;
};

static bool read_file(const char *path, struct file *out)
{
    struct vt_err err = { 0 };

    vt_buf_init(&out->bytes, FILE_MAX);
    if (!vt_io_read_file(path, &out->bytes, &err) ||
        !vt_part10_read(out->bytes.data, out->bytes.size, &out->part10, &err))
        return false;
    out->syntax = vt_transfer_syntax_find(out->part10.transfer_syntax_uid);
    out->data = out->bytes.data + out->part10.data_set_offset;
    out->size = out->bytes.size - (size_t)out->part10.data_set_offset;
    return out->syntax != NULL;
}

static bool read_header(struct vt_header *header, const struct file *file, size_t piece)
{
    struct vt_err err = { 0 };
    bool ok = true;

    vt_header_reset(header, file->syntax->encoding, file->syntax->encapsulated, NULL);
    for (size_t at = 0; at < file->size && ok; at += piece)
        ok = vt_header_feed(header, file->data + at, file->size - at < piece ? file->size - at : piece, &err);
    return ok && vt_header_finish(header, &err);
}

static void pieces_of_any_size_teach_the_same(void **state)
{
    (void)state;
    static const size_t pieces[] = { 13, 1021, 65536 };
    VT_AUTO(vt_header) whole = vt_header_new();
    VT_AUTO(vt_header) parts = vt_header_new();

    for (size_t i = 0; i < file_count; i++) {
        struct file file;
        if (!read_file(files[i], &file)) {
            vt_buf_fini(&file.bytes);
            continue;
        }
        bool ok = read_header(whole, &file, file.size + 1);
        for (size_t p = 0; p < VT_COUNT(pieces); p++) {
            struct vt_digest a[2], b[2];
            size_t frames_a, frames_b;
            if (read_header(parts, &file, pieces[p]) != ok)
                fail_msg("%s in pieces of %zu", files[i], pieces[p]);
            if (!ok)
                continue;
            vt_header_digests(whole, &a[0], &a[1]);
            vt_header_digests(parts, &b[0], &b[1]);
            vt_header_frames(whole, &frames_a);
            vt_header_frames(parts, &frames_b);
            if (memcmp(a, b, sizeof a) != 0 || frames_a != frames_b)
                fail_msg("%s in pieces of %zu", files[i], pieces[p]);
        }
        vt_buf_fini(&file.bytes);
    }
}

static void compare_text(const char *path, const struct vt_header *header, struct vt_dataset *data_set, uint32_t tag)
{
    VT_AUTO_BUF(object, 1 << 16);
    VT_AUTO_BUF(utf8, 1 << 16);
    struct vt_err err = { 0 };
    struct vt_element element;
    char charset[128], raw[256];
    bool there = false;

    if (!vt_header_find(header, tag, &element) || element.length == 0 || element.length > 200 ||
        strcmp(element.vr, vt_dict_vr(tag)) != 0)
        return;
    vt_header_text(header, VT_TAG_SPECIFIC_CHARACTER_SET, charset, sizeof charset);
    size_t length = vt_element_text(&element, raw, sizeof raw);
    assert_true(vt_text_to_utf8(vt_text_vr_has_charset(element.vr) ? charset : "", NULL, element.vr, raw, length,
                                "\xEF\xBF\xBD", &utf8, &err));
    if (!vt_dataset_get(data_set, vt_dict_keyword(tag), &object, &there, &err))
        fail_msg("%s: %s", path, err.text);
    assert_true(there);
    /* DCMTK keeps leading spaces of single values: compare what is between the outer ones. */
    const char *x = vt_buf_string(&utf8, &err), *y = vt_buf_string(&object, &err);
    y += strspn(y, " ");
    if (strncmp(x, y, strlen(x)) != 0 || y[strlen(x) + strspn(y + strlen(x), " ")] != '\0')
        fail_msg("%s: (%08x) is '%s' and '%s'", path, tag, x, y);
}

static void both_readers_see_the_same_values(void **state)
{
    (void)state;
    static const uint32_t tags[] = {
        VT_TAG_SOP_CLASS_UID, VT_TAG_SOP_INSTANCE_UID, VT_TAG_STUDY_DATE, VT_TAG_MODALITY, VT_TAG_PATIENT_NAME,
        VT_TAG_PATIENT_ID, VT_TAG_STUDY_INSTANCE_UID, VT_TAG_SERIES_INSTANCE_UID, VT_TAG_STUDY_DESCRIPTION,
        VT_TAG_INSTANCE_NUMBER, VT_TAG_PHOTOMETRIC_INTERPRETATION, VT_TAG_REFERRING_PHYSICIAN_NAME,
    };
    VT_AUTO(vt_header) header = vt_header_new();

    for (size_t i = 0; i < file_count; i++) {
        struct file file;
        struct vt_err err = { 0 };
        bool ok = read_file(files[i], &file) && read_header(header, &file, 4096);
        VT_AUTO(vt_dataset) data_set = ok ? vt_dataset_load(files[i], false, &err) : NULL;
        /* A tag that is there twice is a matter of taste: the first here, the last there. */
        for (size_t t = 0; data_set && !strstr(files[i], "duplicate_tags") && t < VT_COUNT(tags); t++)
            compare_text(files[i], header, data_set, tags[t]);
        vt_buf_fini(&file.bytes);
    }
}

static void frames_lie_within_the_pixel_data_one_behind_the_other(void **state)
{
    (void)state;
    VT_AUTO(vt_header) header = vt_header_new();

    for (size_t i = 0; i < file_count; i++) {
        struct file file;
        uint64_t offset, length;
        size_t count;
        if (read_file(files[i], &file) && read_header(header, &file, 4096) &&
            vt_header_pixel_data(header, &offset, &length)) {
            const struct vt_frame *frames = vt_header_frames(header, &count);
            uint64_t end = offset;
            for (size_t f = 0; f < count; f++) {
                assert_true(frames[f].offset >= end);
                end = frames[f].offset + frames[f].length;
                assert_true(end <= offset + length);
                if (file.syntax->encoding != VT_DEFLATED_LE)
                    assert_memory_equal(file.data + frames[f].offset, "\xfe\xff\x00\xe0", 4);
            }
        }
        vt_buf_fini(&file.bytes);
    }
}

static void every_data_set_that_loads_becomes_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < file_count; i++) {
        VT_AUTO_BUF(json, FILE_MAX);
        struct vt_err err = { 0 };
        VT_AUTO(vt_dataset) data_set = vt_dataset_load(files[i], true, &err);
        if (data_set && !vt_dataset_json(data_set, 1024, "bulk/", &json, &err))
            fail_msg("%s: %s", files[i], err.text);
        if (!data_set)
            assert_true(vt_failed(&err));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_of_any_size_teach_the_same),
        cmocka_unit_test(both_readers_see_the_same_values),
        cmocka_unit_test(frames_lie_within_the_pixel_data_one_behind_the_other),
        cmocka_unit_test(every_data_set_that_loads_becomes_json),
    };

    return cmocka_run_group_tests(tests, find_files, drop_files);
}
