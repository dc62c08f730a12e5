/* ISO images and ZIP files as streams of files: whole ones, cut ones, and those that mean harm. Made by libarchive. */
#include "media/disc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "core/err.h"
#include "core/io.h"
#include "tests/support/torture.h"

enum { PATH_ROOM = 300, LARGE = 70000, MANY = 400, BIG_ZEROES = 80 << 20 };

struct place {
    char folder[64], path[PATH_ROOM];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    strcpy(place->folder, "/var/tmp/vitrine-disc-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof place->path, "%s/disc", place->folder);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    unlink(place->path);
    rmdir(place->folder);
    free(place);
    return 0;
}

/* ---- discs ---- */

struct made {
    const char *name, *link;   /* link: NULL, a file */
    size_t size;
    int byte;
};

static const struct made whole[] = {
    { "DICOMDIR", NULL, 100, 1 }, { "DICOM/IM1", NULL, LARGE, 2 }, { "DICOM/IM2", NULL, 5, 3 }, { "EMPTY", NULL, 0, 0 }
};

static void put(struct archive *out, const struct made *file)
{
    struct archive_entry *entry = archive_entry_new();
    char *bytes = malloc(file->size + 1);

    memset(bytes, file->byte, file->size + 1);
    archive_entry_set_pathname(entry, file->name);
    archive_entry_set_filetype(entry, file->link ? AE_IFLNK : AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    if (file->link)
        archive_entry_set_symlink(entry, file->link);
    else
        archive_entry_set_size(entry, (la_int64_t)file->size);
    assert_int_equal(archive_write_header(out, entry), ARCHIVE_OK);
    if (!file->link)
        assert_int_equal(archive_write_data(out, bytes, file->size), file->size);
    archive_entry_free(entry);
    free(bytes);
}

static void make(const struct place *place, bool iso, const struct made *files, size_t count)
{
    struct archive *out = archive_write_new();

    assert_int_equal(iso ? archive_write_set_format_iso9660(out) : archive_write_set_format_zip(out), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(out, place->path), ARCHIVE_OK);
    for (size_t i = 0; i < count; i++)
        put(out, &files[i]);
    assert_int_equal(archive_write_close(out), ARCHIVE_OK);
    archive_write_free(out);
}

/* ---- reading ---- */

struct seen {
    size_t files, refused, bytes;
    char names[1024], whys[1024];
};

static void add(char *text, size_t room, const char *more)
{
    size_t used = strlen(text);

    snprintf(text + used, room - used, "%s|", more);
}

static bool read_file(struct vt_disc *disc, struct seen *seen, struct vt_err *err)
{
    uint8_t block[8192];
    size_t got;

    do {
        if (!vt_disc_read(disc, block, sizeof block, &got, err))
            return false;
        seen->bytes += got;
    } while (got > 0);
    return true;
}

static bool read_all(const char *path, struct seen *seen, struct vt_err *err)
{
    VT_AUTO(vt_disc) disc = vt_disc_open(path, err);
    struct vt_disc_entry entry;
    bool more = true;

    *seen = (struct seen){ 0 };
    while (disc && vt_disc_next(disc, &entry, &more, err) && more) {
        if (entry.kind == VT_DISC_FILE) {
            seen->files++;
            add(seen->names, sizeof seen->names, entry.path);
            if (!read_file(disc, seen, err))
                return false;
        } else {
            seen->refused++;
            add(seen->whys, sizeof seen->whys, entry.why);
        }
    }
    return disc && !more;
}

static void a_disc_gives_its_files_and_no_folders(void **state)
{
    const struct place *place = *state;

    for (int iso = 0; iso < 2; iso++) {
        struct vt_err err = { 0 };
        struct seen seen;
        make(place, iso, whole, VT_COUNT(whole));
        if (!read_all(place->path, &seen, &err))
            fail_msg("%s", err.text);
        assert_int_equal(seen.files, 4);
        assert_int_equal(seen.bytes, LARGE + 105);
        assert_int_equal(seen.refused, 0);
        assert_non_null(strstr(seen.names, "DICOM/IM1"));
    }
}

static void what_is_a_disc_is_told_by_its_first_bytes(void **state)
{
    const struct place *place = *state;
    uint8_t head[132] = "PK\3\4";

    make(place, true, whole, VT_COUNT(whole));
    assert_true(vt_disc_is(place->path, (const uint8_t *)"", 0));
    assert_true(vt_disc_is("/nowhere", head, 4));
    memcpy(head + 128, "DICM", 4);
    assert_false(vt_disc_is(place->path, head, sizeof head));
    assert_false(vt_disc_is("/dev/null", (const uint8_t *)"", 0));
}

static void names_and_links_that_lead_out_are_refused_one_by_one(void **state)
{
    static const struct made files[] = {
        { "../../evil", NULL, 3, 1 }, { "/etc/evil", NULL, 3, 1 },  { "A/../../evil", NULL, 3, 1 },
        { "C:\\evil", NULL, 3, 1 },   { "LINK", "/etc/passwd", 0, 0 }, { "GOOD", NULL, 3, 1 },
    };
    const struct place *place = *state;
    struct vt_err err = { 0 };
    struct seen seen;

    make(place, false, files, VT_COUNT(files));
    assert_true(read_all(place->path, &seen, &err));
    assert_int_equal(seen.files, 1);
    assert_string_equal(seen.names, "GOOD|");
    assert_int_equal(seen.refused, 5);
    assert_non_null(strstr(seen.whys, "leads out"));
    assert_non_null(strstr(seen.whys, "absolute"));
    assert_non_null(strstr(seen.whys, "symbolic link"));
}

/* Every length is an answer: damage that is told, or all that was on it (an image has padding). */
static void a_disc_that_is_cut_short_is_told(void **state)
{
    const struct place *place = *state;
    struct stat about;

    for (int iso = 0; iso < 2; iso++) {
        size_t told = 0;
        make(place, iso, whole, VT_COUNT(whole));
        assert_int_equal(stat(place->path, &about), 0);
        for (off_t size = about.st_size - 1; size > 0; size -= about.st_size / 97 + 1) {
            struct vt_err err = { 0 };
            struct seen seen;
            assert_int_equal(truncate(place->path, size), 0);
            bool ok = read_all(place->path, &seen, &err);
            assert_true(ok || err.code == VT_E_CORRUPT);
            if (ok && (seen.files != VT_COUNT(whole) || seen.bytes != LARGE + 105))
                fail_msg("cut at %lld: %zu files, %zu bytes, and nobody tells", (long long)size, seen.files, seen.bytes);
            told += !ok;
        }
        assert_true(told > 10);
    }
}

static void wrong_bytes_are_an_answer(void **state)
{
    const struct place *place = *state;
    struct stat about;

    for (int iso = 0; iso < 2; iso++) {
        make(place, iso, whole, VT_COUNT(whole));
        assert_int_equal(stat(place->path, &about), 0);
        FILE *file = fopen(place->path, "r+b");
        for (long at = 0; at < about.st_size; at += at < 60000 ? 61 : 4001) {
            struct vt_err err = { 0 };
            struct seen seen;
            fseek(file, at, SEEK_SET);
            int byte = fgetc(file);
            fseek(file, at, SEEK_SET);
            fputc(byte ^ 0xff, file);
            fflush(file);
            assert_true(read_all(place->path, &seen, &err) || err.code == VT_E_CORRUPT || err.code == VT_E_UNSUPPORTED);
            fseek(file, at, SEEK_SET);
            fputc(byte, file);
            fflush(file);
        }
        fclose(file);
    }
}

static void what_unpacks_to_far_more_than_it_is_ends(void **state)
{
    static const struct made one[] = { { "ZEROES", NULL, BIG_ZEROES, 0 } };
    struct made many[MANY];
    const struct place *place = *state;
    struct vt_err err = { 0 };
    struct seen seen;

    make(place, false, one, 1);
    assert_false(read_all(place->path, &seen, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    /* The same in small files: all of them count together. */
    for (size_t i = 0; i < MANY; i++)
        many[i] = (struct made){ "ZEROES", NULL, BIG_ZEROES / 100, 0 };
    err = (struct vt_err){ 0 };
    make(place, false, many, MANY);
    assert_false(read_all(place->path, &seen, &err));
    assert_int_equal(err.code, VT_E_LIMIT);
    assert_true(seen.files < MANY);
}

static void udf_alone_is_told_what_to_do_with(void **state)
{
    const struct place *place = *state;
    struct vt_err err = { 0 };
    FILE *file = fopen(place->path, "wb");

    fseek(file, 32769, SEEK_SET);
    fputs("BEA01", file);
    fclose(file);
    assert_true(vt_disc_is(place->path, (const uint8_t *)"", 0));
    assert_null(vt_disc_open(place->path, &err));
    assert_int_equal(err.code, VT_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "mount"));
    err = (struct vt_err){ 0 };
    assert_null(vt_disc_open("/nowhere/at/all", &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
}

static bool work(void *context, struct vt_err *err)
{
    struct seen seen;

    return read_all(((struct place *)context)->path, &seen, err);
}

static void each_allocation_may_fail(void **state)
{
    for (int iso = 0; iso < 2; iso++) {
        make(*state, iso, whole, VT_COUNT(whole));
        assert_true(vt_torture(work, *state) >= 1);
    }
}

#define IN_PLACE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(a_disc_gives_its_files_and_no_folders),
        IN_PLACE(what_is_a_disc_is_told_by_its_first_bytes),
        IN_PLACE(names_and_links_that_lead_out_are_refused_one_by_one),
        IN_PLACE(a_disc_that_is_cut_short_is_told),
        IN_PLACE(wrong_bytes_are_an_answer),
        IN_PLACE(what_unpacks_to_far_more_than_it_is_ends),
        IN_PLACE(udf_alone_is_told_what_to_do_with),
        IN_PLACE(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
