/* Media that are written and read again: folder, ISO image, ZIP file. */
#include "media/medium.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "media/disc.h"
#include "tests/archive/world.h"
#include "tests/support/torture.h"

enum { PATH_ROOM = 400 };

static const struct {
    const char *name;
    enum vt_medium_form form;
} forms[] = { { "disc", VT_MEDIUM_FOLDER }, { "disc.iso", VT_MEDIUM_ISO }, { "disc.ZIP", VT_MEDIUM_ZIP } };

static bool fill(struct vt_medium *medium, struct vt_err *err)
{
    return vt_medium_put(medium, "README.TXT", "read me", 7, err) && vt_medium_begin(medium, "DICOM/PA000000/IM000000", 6, err) &&
           vt_medium_write(medium, "abc", 3, err) && vt_medium_write(medium, "def", 3, err) && vt_medium_end(medium, err);
}

static bool there(const char *folder, const char *name)
{
    char path[PATH_ROOM];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void what_is_written_gets_its_name_when_it_is_read_back(void **state)
{
    const char *folder = *state;
    char path[PATH_ROOM];

    for (size_t i = 0; i < VT_COUNT(forms); i++) {
        struct vt_err err = { 0 };
        snprintf(path, sizeof path, "%s/%s", folder, forms[i].name);
        assert_int_equal(vt_medium_form_of(path), forms[i].form);
        VT_AUTO(vt_medium) medium = vt_medium_new(path, forms[i].form, 0, &err);
        assert_non_null(medium);
        OK(fill(medium, &err));
        OK(vt_medium_close(medium, &err));
        assert_false(there(folder, forms[i].name));
        OK(vt_medium_publish(medium, path, &err));
        assert_true(there(folder, forms[i].name));
        VT_AUTO(vt_medium) again = vt_medium_new(path, forms[i].form, 0, &err);
        OK(fill(again, &err));
        OK(vt_medium_close(again, &err));
        assert_false(vt_medium_publish(again, path, &err));
        assert_int_equal(err.code, VT_E_EXISTS);
    }
}

static void what_is_not_published_leaves_nothing(void **state)
{
    const char *folder = *state;
    char path[PATH_ROOM];
    struct vt_err err = { 0 };

    for (size_t i = 0; i < VT_COUNT(forms); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, forms[i].name);
        struct vt_medium *medium = vt_medium_new(path, forms[i].form, 0, &err);
        OK(fill(medium, &err));
        vt_medium_free(medium);
    }
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
}

static void what_a_killed_run_left_is_in_the_way_until_it_is_swept(void **state)
{
    const char *folder = *state;
    char path[PATH_ROOM], left[PATH_ROOM];

    for (size_t i = 0; i < VT_COUNT(forms); i++) {
        struct vt_err err = { 0 };
        snprintf(path, sizeof path, "%s/%s", folder, forms[i].name);
        snprintf(left, sizeof left, "%s/.%s.partial", folder, forms[i].name);
        if (forms[i].form == VT_MEDIUM_FOLDER)
            assert_int_equal(mkdir(left, 0700), 0);
        else
            close(open(left, O_CREAT | O_WRONLY, 0600));
        assert_null(vt_medium_new(path, forms[i].form, 0, &err));
        assert_int_equal(err.code, VT_E_EXISTS);
        err = (struct vt_err){ 0 };
        struct vt_medium *medium = vt_medium_new(path, forms[i].form, VT_MEDIUM_AGAIN, &err);
        assert_non_null(medium);
        vt_medium_free(medium);
        assert_false(vt_medium_sweep(path));
    }
}

static void a_medium_that_was_closed_by_a_killed_run_gets_its_name(void **state)
{
    const char *folder = *state;
    char path[PATH_ROOM], left[PATH_ROOM];
    struct vt_err err = { 0 };

    snprintf(path, sizeof path, "%s/disc", folder);
    snprintf(left, sizeof left, "%s/.disc.partial", folder);
    assert_false(vt_medium_publish_left(path, path, &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
    err = (struct vt_err){ 0 };
    assert_int_equal(mkdir(left, 0700), 0);
    OK(vt_medium_publish_left(path, path, &err));
    assert_true(there(folder, "disc"));
    OK(vt_medium_publish_left(path, path, &err));
}

static void a_byte_that_changed_on_the_medium_is_noticed(void **state)
{
    const char *folder = *state;
    char path[PATH_ROOM], file[PATH_ROOM];
    struct vt_err err = { 0 };

    snprintf(path, sizeof path, "%s/disc", folder);
    snprintf(file, sizeof file, "%s/.disc.partial/README.TXT", folder);
    VT_AUTO(vt_medium) medium = vt_medium_new(path, VT_MEDIUM_FOLDER, 0, &err);
    OK(fill(medium, &err));
    vt_autoclose fd = open(file, O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, 3), 1);
    assert_false(vt_medium_close(medium, &err));
    assert_int_equal(err.code, VT_E_CORRUPT);
}

static void links_and_names_that_lead_out_of_a_disc_are_refused(void **state)
{
    char path[PATH_ROOM];
    struct vt_disc_entry entry;
    struct vt_err err = { 0 };
    bool more;
    /* A ZIP file of one stored entry "../x". */
    static const uint8_t zip[] = { 'P', 'K', 3, 4, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, '.', '.', '/', 'x',
                                   'P', 'K', 1, 2, 20, 3, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0,
                                   0, 0, 0, 0, 0, 0, 0, 0, 0xa4, 0x81, 0, 0, 0, 0, '.', '.', '/', 'x',
                                   'P', 'K', 5, 6, 0, 0, 0, 0, 1, 0, 1, 0, 50, 0, 0, 0, 34, 0, 0, 0, 0, 0 };

    snprintf(path, sizeof path, "%s/climb.zip", (const char *)*state);
    vt_autoclose fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, zip, sizeof zip), sizeof zip);
    VT_AUTO(vt_disc) disc = vt_disc_open(path, &err);
    assert_non_null(disc);
    OK(vt_disc_next(disc, &entry, &more, &err));
    assert_true(more);
    assert_int_equal(entry.kind, VT_DISC_REFUSED);
    assert_non_null(strstr(entry.why, "leads out"));
    OK(vt_disc_next(disc, &entry, &more, &err));
    assert_false(more);
}

struct tortured {
    const char *folder;
    size_t form;
};

static bool work(void *context, struct vt_err *err)
{
    const struct tortured *tortured = context;
    char path[PATH_ROOM];

    snprintf(path, sizeof path, "%s/%s", tortured->folder, forms[tortured->form].name);
    VT_AUTO_BUF(sums, 4096);
    VT_AUTO(vt_medium) medium = vt_medium_new(path, forms[tortured->form].form, 0, err);
    return medium && fill(medium, err) && vt_medium_sums(medium, &sums, err) && vt_medium_close(medium, err);
}

static void each_allocation_may_fail(void **state)
{
    struct tortured tortured = { *state, 0 };

    for (; tortured.form < VT_COUNT(forms); tortured.form++)
        vt_torture(work, &tortured);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(what_is_written_gets_its_name_when_it_is_read_back),
        FOLDER_TEST(what_is_not_published_leaves_nothing),
        FOLDER_TEST(what_a_killed_run_left_is_in_the_way_until_it_is_swept),
        FOLDER_TEST(a_medium_that_was_closed_by_a_killed_run_gets_its_name),
        FOLDER_TEST(a_byte_that_changed_on_the_medium_is_noticed),
        FOLDER_TEST(links_and_names_that_lead_out_of_a_disc_are_refused),
        FOLDER_TEST(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
