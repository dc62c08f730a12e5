/* The file of an image: its bytes in order, and what becomes of a disk that refuses them. */
#include "media/image.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include "core/err.h"
#include "core/io.h"
#include "media/medium.h"
#include "media/slide_pipe.h"
#include "tests/archive/world.h"
#include "tests/support/torture.h"

enum { PATH_ROOM = 400, PIECE = 70001, PIECES = 300, PATTERN = 251, SMALL = 1 << 20 };

static bool write_pattern(struct vt_image *image, struct vt_err *err)
{
    static uint8_t piece[PIECE];
    uint64_t at = 0;

    for (unsigned i = 0; i < PIECES; i++) {
        for (size_t k = 0; k < PIECE; k++)
            piece[k] = (uint8_t)(at++ % PATTERN);
        if (!vt_image_write(image, piece, PIECE, err))
            return false;
    }
    return true;
}

static void bytes_come_in_order_and_what_is_replaced_stays_replaced(void **state)
{
    char path[PATH_ROOM];
    struct vt_err err = { 0 };

    snprintf(path, sizeof path, "%s/image", (const char *)*state);
    VT_AUTO(vt_image) image = vt_image_new(path, &err);
    assert_non_null(image);
    assert_null(vt_image_new(path, &err));
    assert_int_equal(err.code, VT_E_EXISTS);
    err = (struct vt_err){ 0 };
    OK(write_pattern(image, &err));
    OK(vt_image_fill(image, 5000, &err));
    assert_int_equal(vt_image_size(image), (uint64_t)PIECE * PIECES + 5000);
    OK(vt_image_replace(image, 1000, "here", 4, &err));
    OK(vt_image_write(image, "end", 3, &err));
    OK(vt_image_sync(image, &err));
    VT_AUTO_BUF(all, 64 << 20);
    OK(vt_io_read_file(path, &all, &err));
    assert_int_equal(all.size, (size_t)PIECE * PIECES + 5003);
    assert_memory_equal(all.data + 1000, "here", 4);
    assert_memory_equal(all.data + all.size - 3, "end", 3);
    for (size_t i = 0; i < all.size - 3; i++)
        if (i < 1000 || i > 1003)
            assert_true(all.data[i] == (i < (size_t)PIECE * PIECES ? i % PATTERN : 0));
}

/* A file may have no more than SMALL bytes. */
static void limit_files(struct rlimit *old)
{
    assert_int_equal(getrlimit(RLIMIT_FSIZE, old), 0);
    const struct rlimit small = { SMALL, old->rlim_max };
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    signal(SIGXFSZ, SIG_IGN);
}

static void a_disk_that_takes_no_more_is_told_and_nothing_is_left(void **state)
{
    static const struct {
        const char *name;
        enum vt_medium_form form;
    } forms[] = { { "disc.iso", VT_MEDIUM_ISO }, { "disc.zip", VT_MEDIUM_ZIP }, { "disc", VT_MEDIUM_FOLDER } };
    uint8_t *bytes = calloc(8, SMALL);
    struct rlimit old;

    limit_files(&old);
    for (size_t i = 0; i < VT_COUNT(forms); i++) {
        char path[PATH_ROOM];
        struct vt_err err = { 0 };
        snprintf(path, sizeof path, "%s/%s", (const char *)*state, forms[i].name);
        struct vt_medium *medium = vt_medium_new(path, forms[i].form, 0, &err);
        assert_non_null(medium);
        assert_false(vt_medium_put(medium, "DICOM/LARGE", bytes, 8 * (size_t)SMALL, &err) && vt_medium_close(medium, &err));
        assert_int_equal(err.code, VT_E_IO);
        assert_non_null(strstr(err.text, "File too large"));
        vt_medium_free(medium);
    }
    setrlimit(RLIMIT_FSIZE, &old);
    free(bytes);
    assert_int_equal(rmdir(*state), 0);
    assert_int_equal(mkdir(*state, 0700), 0);
}

static bool work(void *context, struct vt_err *err)
{
    char path[PATH_ROOM];

    snprintf(path, sizeof path, "%s/tortured", (const char *)context);
    VT_AUTO(vt_image) image = vt_image_new(path, err);
    bool ok = image && vt_image_write(image, "some", 4, err) && vt_image_sync(image, err);
    unlink(path);
    return ok;
}

static void each_allocation_may_fail(void **state)
{
    assert_true(vt_torture(work, *state) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(bytes_come_in_order_and_what_is_replaced_stays_replaced),
        FOLDER_TEST(a_disk_that_takes_no_more_is_told_and_nothing_is_left),
        FOLDER_TEST(each_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
