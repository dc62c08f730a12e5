/* ISO 9660 images: what libarchive reads of them, and what ECMA-119, Joliet and Rock Ridge want of their bytes. */
#include "media/iso.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/io.h"
#include "media/disc.h"
#include "media/image.h"
#include "tests/archive/world.h"
#include "tests/support/torture.h"

enum { PATH_ROOM = 400, PRIMARY = 16 * VT_ISO_SECTOR, JOLIET = 17 * VT_ISO_SECTOR, ROOT = 156, NAME_ROOM = 256 };

static bool put(struct vt_iso *iso, struct vt_image *image, const char *path, size_t size, struct vt_err *err)
{
    if (!vt_iso_begin(iso, path, size, err))
        return false;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = (uint8_t)(strlen(path) + i);
        if (!vt_image_write(image, &byte, 1, err))
            return false;
    }
    return vt_iso_end(iso, err);
}

static bool make(const char *path, bool long_names, const char *const *names, size_t count, struct vt_err *err)
{
    VT_AUTO(vt_image) image = vt_image_new(path, err);
    VT_AUTO(vt_iso) iso = image ? vt_iso_new(image, long_names, err) : NULL;

    for (size_t i = 0; iso && i < count; i++)
        if (!put(iso, image, names[i], i * 1000, err))
            return false;
    return iso && vt_iso_finish(iso, err) && vt_image_sync(image, err);
}

/* Each file is there once, under its name, with its bytes. */
static void expect(const char *path, const char *const *names, size_t count)
{
    struct vt_err err = { 0 };
    struct vt_disc_entry entry;
    bool more;
    size_t found = 0;
    VT_AUTO(vt_disc) disc = vt_disc_open(path, &err);

    assert_non_null(disc);
    for (;;) {
        uint8_t bytes[1 << 16];
        size_t size = 0, got, i = 0;
        OK(vt_disc_next(disc, &entry, &more, &err));
        if (!more)
            break;
        while (i < count && strcmp(names[i], entry.path) != 0)
            i++;
        assert_true(i < count);
        do {
            OK(vt_disc_read(disc, bytes + size, sizeof bytes - size, &got, &err));
            size += got;
        } while (got > 0);
        assert_int_equal(size, i * 1000);
        for (size_t k = 0; k < size; k++)
            assert_int_equal(bytes[k], (uint8_t)(strlen(names[i]) + k));
        found++;
    }
    assert_int_equal(found, count);
}

static const char *const plain[] = { "README.TXT", "DICOM/PA000000/ST000000/SE000000/IM000000", "DICOM/PA000000/ST000000/SE000000/IM000001",
                                     "DICOM/PA000000/ST000000/SE000001/IM000000", "DICOM/PA000001/ST000000/SE000000/IM000000", "DICOMDIR",
                                     "SHA256.TXT" };

#define TEN "0123456789"
#define FIFTY TEN TEN TEN TEN TEN

static const char *const foreign[] = { "VIEWER/Viewer Program.exe", "VIEWER/Viewer Programs.exe", "VIEWER/viewer p.exe",
                                       "VIEWER/Bild \xc3\xa4\xe2\x82\xac.html", "VIEWER/a.b/c.tar.gz", "VIEWER/a b/c.tar.gz", "VIEWER/.hidden",
                                       "VIEWER/1/2/3/4/5/6/7/8/9/10/deep", "VIEWER/" FIFTY FIFTY FIFTY "012345.DLL", "DICOMDIR" };

static uint32_t little(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint32_t both(const uint8_t *at)
{
    assert_int_equal(little(at), (uint32_t)at[7] | (uint32_t)at[6] << 8 | (uint32_t)at[5] << 16 | (uint32_t)at[4] << 24);
    return little(at);
}

/* Of all folders below that record, depth first: "NAME.EXT;1 " for each, each folder's in ascending order, no record across sectors. */
static void list(const struct vt_buf *image, const uint8_t *folder, char *out, size_t room)
{
    uint32_t sector = both(folder + 2), size = both(folder + 10);
    char last[NAME_ROOM] = "";

    assert_int_equal(size % VT_ISO_SECTOR, 0);
    assert_true(((uint64_t)sector + size / VT_ISO_SECTOR) * VT_ISO_SECTOR <= image->size);
    for (uint32_t at = 0, i = 0; at < size; i++) {
        const uint8_t *record = image->data + (uint64_t)sector * VT_ISO_SECTOR + at;
        if (record[0] == 0) {
            at = (at / VT_ISO_SECTOR + 1) * VT_ISO_SECTOR;
            i--;
            continue;
        }
        assert_int_equal(record[0] % 2, 0);
        assert_true(at / VT_ISO_SECTOR == (at + record[0] - 1) / VT_ISO_SECTOR);
        at += record[0];
        if (i < 2) {
            assert_int_equal(record[32], 1);
            assert_int_equal(record[33], i);
            assert_true(i == 1 || both(record + 2) == sector);
            continue;
        }
        char name[NAME_ROOM];
        snprintf(name, sizeof name, "%.*s", record[32], record + 33);
        assert_true(strcmp(last, name) < 0);
        memcpy(last, name, sizeof last);
        size_t used = strlen(out);
        snprintf(out + used, room - used, "%s ", name);
        if (record[25] & 2)
            list(image, record, out, room);
    }
}

static void read_image(const char *path, struct vt_buf *out)
{
    struct vt_err err = { 0 };

    OK(vt_io_read_file(path, out, &err));
    assert_true(out->size > 20 * VT_ISO_SECTOR);
    assert_int_equal(out->size % VT_ISO_SECTOR, 0);
    assert_memory_equal(out->data + PRIMARY, "\1CD001\1", 7);
    assert_int_equal(both(out->data + PRIMARY + 80), out->size / VT_ISO_SECTOR);
}

static void files_are_read_as_they_were_written(void **state)
{
    char path[PATH_ROOM], names[2000] = "";
    struct vt_err err = { 0 };
    VT_AUTO_BUF(image, 64 << 20);

    snprintf(path, sizeof path, "%s/plain.iso", (const char *)*state);
    OK(make(path, false, plain, VT_COUNT(plain), &err));
    expect(path, plain, VT_COUNT(plain));
    read_image(path, &image);
    assert_memory_equal(image.data + JOLIET, "\377CD001\1", 7);
    list(&image, image.data + PRIMARY + ROOT, names, sizeof names);
    assert_string_equal(names, "DICOM PA000000 ST000000 SE000000 IM000000.;1 IM000001.;1 SE000001 IM000000.;1 PA000001 ST000000 SE000000 IM000000.;1 "
                               "DICOMDIR.;1 README.TXT;1 SHA256.TXT;1 ");
}

static void long_names_are_read_and_have_names_of_level_1_beside_them(void **state)
{
    char path[PATH_ROOM], names[2000] = "";
    struct vt_err err = { 0 };
    VT_AUTO_BUF(image, 64 << 20);

    snprintf(path, sizeof path, "%s/long.iso", (const char *)*state);
    OK(make(path, true, foreign, VT_COUNT(foreign), &err));
    expect(path, foreign, VT_COUNT(foreign));
    read_image(path, &image);
    list(&image, image.data + PRIMARY + ROOT, names, sizeof names);
    assert_string_equal(names, "DICOMDIR.;1 VIEWER 01234567.DLL;1 1 2 3 4 5 6 7 8 9 10 DEEP.;1 A_B C_TAR.GZ;1 A_B1 C_TAR.GZ;1 BILD____.HTM;1 "
                               "VIEWER_1.EXE;1 VIEWER_2.EXE;1 VIEWER_P.EXE;1 _HIDDEN.;1 ");
}

/* The path table of a descriptor, in both orders of bytes, as "parent/NAME@sector ..."; UCS-2 by its low bytes. */
static void list_path_table(const struct vt_buf *image, size_t descriptor, char *out, size_t room)
{
    const uint8_t *volume = image->data + descriptor;
    uint32_t size = both(volume + 132);
    const uint8_t *l = image->data + (uint64_t)little(volume + 140) * VT_ISO_SECTOR;
    const uint8_t *m = image->data + ((uint64_t)volume[150] << 8 | volume[151]) * VT_ISO_SECTOR;

    for (uint32_t at = 0; at < size; at += 8u + l[at] + l[at] % 2u) {
        bool wide = descriptor == JOLIET && l[at] > 1;
        assert_memory_equal(l + at + 8, m + at + 8, l[at]);
        assert_int_equal(little(l + at + 2), (uint32_t)m[at + 4] << 8 | m[at + 5]);
        assert_int_equal(l[at + 6], m[at + 7]);
        size_t used = strlen(out);
        used += (size_t)snprintf(out + used, room - used, "%u/", l[at + 6]);
        for (uint32_t i = wide; i < l[at]; i += wide ? 2 : 1)
            out[used++] = l[at + 8 + i] ? (char)l[at + 8 + i] : '.';
        out[used++] = ' ';
        out[used] = '\0';
        /* Its own record stands first where it says. */
        assert_int_equal(both(image->data + (uint64_t)little(l + at + 2) * VT_ISO_SECTOR + 2), little(l + at + 2));
    }
}

static void path_tables_go_by_level_and_parent(void **state)
{
    static const char *const names[] = { "B/b/x", "A/b/x", "A/a/x", "C d/e/x" };
    char path[PATH_ROOM], text[500] = "";
    struct vt_err err = { 0 };
    VT_AUTO_BUF(image, 64 << 20);

    snprintf(path, sizeof path, "%s/tables.iso", (const char *)*state);
    OK(make(path, true, names, VT_COUNT(names), &err));
    read_image(path, &image);
    list_path_table(&image, PRIMARY, text, sizeof text);
    assert_string_equal(text, "1/. 1/A 1/B 1/C_D 2/A 2/B 3/B 4/E ");
    text[0] = '\0';
    assert_memory_equal(image.data + JOLIET, "\2CD001\1", 7);
    assert_memory_equal(image.data + JOLIET + 88, "%/E", 3);
    list_path_table(&image, JOLIET, text, sizeof text);
    assert_string_equal(text, "1/. 1/A 1/B 1/C d 2/a 2/b 3/b 4/e ");
}

static void a_folder_of_many_sectors_is_whole(void **state)
{
    enum { MANY = 3000 };
    char path[PATH_ROOM];
    static char names[MANY][24], text[MANY * 16];
    struct vt_err err = { 0 };
    VT_AUTO_BUF(bytes, 64 << 20);

    snprintf(path, sizeof path, "%s/many.iso", (const char *)*state);
    {
        VT_AUTO(vt_image) image = vt_image_new(path, &err);
        VT_AUTO(vt_iso) iso = image ? vt_iso_new(image, false, &err) : NULL;
        for (size_t i = 0; i < MANY; i++) {
            snprintf(names[i], sizeof names[i], "DICOM/IM%06zu", i);
            OK(put(iso, image, names[i], 1, &err));
        }
        OK(vt_iso_finish(iso, &err));
        OK(vt_image_sync(image, &err));
    }
    read_image(path, &bytes);
    list(&bytes, bytes.data + PRIMARY + ROOT, text, sizeof text);
    assert_int_equal(strlen(text), strlen("DICOM ") + MANY * strlen("IM000000.;1 "));
}

static void what_no_image_can_hold_is_refused(void **state)
{
    char path[PATH_ROOM], name[VT_ISO_NAME_MAX + 2];
    struct vt_err err = { 0 };
    const char *const names[] = { "", "a//b", "/a", "a/", name };

    snprintf(path, sizeof path, "%s/none.iso", (const char *)*state);
    memset(name, 'n', VT_ISO_NAME_MAX + 1);
    name[VT_ISO_NAME_MAX + 1] = '\0';
    VT_AUTO(vt_image) image = vt_image_new(path, &err);
    VT_AUTO(vt_iso) iso = vt_iso_new(image, true, &err);
    for (size_t i = 0; i < VT_COUNT(names); i++) {
        err = (struct vt_err){ 0 };
        assert_false(vt_iso_begin(iso, names[i], 1, &err));
        assert_int_equal(err.code, VT_E_INVALID);
    }
    err = (struct vt_err){ 0 };
    assert_false(vt_iso_begin(iso, "LARGE", UINT64_C(1) << 32, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    err = (struct vt_err){ 0 };
    OK(vt_iso_begin(iso, "SHORT", 2, &err));
    OK(vt_image_write(image, "1", 1, &err));
    assert_false(vt_iso_end(iso, &err));
    assert_int_equal(err.code, VT_E_INTERNAL);
}

static void more_folders_than_a_path_table_holds_are_refused(void **state)
{
    static char names[VT_ISO_FOLDERS_MAX][16];
    char path[PATH_ROOM];
    struct vt_err err = { 0 };

    snprintf(path, sizeof path, "%s/folders.iso", (const char *)*state);
    VT_AUTO(vt_image) image = vt_image_new(path, &err);
    VT_AUTO(vt_iso) iso = vt_iso_new(image, false, &err);
    for (size_t i = 0; i < VT_ISO_FOLDERS_MAX; i++) { /* and the root */
        snprintf(names[i], sizeof names[i], "F%05zu/A", i);
        OK(vt_iso_begin(iso, names[i], 0, &err));
        OK(vt_iso_end(iso, &err));
    }
    assert_false(vt_iso_finish(iso, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    assert_non_null(strstr(err.text, "65535 folders"));
}

static bool work(void *context, struct vt_err *err)
{
    char path[PATH_ROOM];

    snprintf(path, sizeof path, "%s/tortured.iso", (const char *)context);
    bool ok = make(path, true, foreign, VT_COUNT(foreign), err);
    unlink(path);
    return ok;
}

static void each_allocation_may_fail(void **state)
{
    assert_true(vt_torture(work, *state) >= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(files_are_read_as_they_were_written),
        FOLDER_TEST(long_names_are_read_and_have_names_of_level_1_beside_them),
        FOLDER_TEST(path_tables_go_by_level_and_parent),
        FOLDER_TEST(a_folder_of_many_sectors_is_whole),
        FOLDER_TEST(what_no_image_can_hold_is_refused),
        FOLDER_TEST(more_folders_than_a_path_table_holds_are_refused),
        FOLDER_TEST(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
