/* What a production centre says of a disc, and where the disc lies. */
#include "cmd/vitrined_burn.h"

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

#include "core/auto.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/io.h"

static void a_status_is_a_word_and_perhaps_a_reason(void **state)
{
    static const struct {
        const char *text;
        enum vt_burn_state state;
        const char *reason;
    } list[] = {
        { "queued\n", VT_BURN_QUEUED, "" },
        { "burning", VT_BURN_BURNING, "" },
        { "done\r\n", VT_BURN_DONE, "" },
        { "failed: no blank media\nmore", VT_BURN_FAILED, "no blank media" },
        { "failed", VT_BURN_FAILED, "" },
        { "", VT_BURN_QUEUED, "as before" },
        { "don", VT_BURN_QUEUED, "as before" },
        { "waiting", VT_BURN_QUEUED, "as before" },
    };
    char reason[VT_BURN_REASON_MAX + 1];

    (void)state;
    for (size_t i = 0; i < VT_COUNT(list); i++) {
        snprintf(reason, sizeof reason, "as before");
        assert_int_equal(vt_burn_status(list[i].text, strlen(list[i].text), VT_BURN_QUEUED, reason), list[i].state);
        assert_string_equal(reason, list[i].reason);
    }
}

static void a_long_reason_is_cut(void **state)
{
    char text[2 * VT_BURN_REASON_MAX + 8] = "failed ", reason[VT_BURN_REASON_MAX + 1];

    (void)state;
    memset(text + 7, 'x', 2 * VT_BURN_REASON_MAX);
    assert_int_equal(vt_burn_status(text, 7 + 2 * VT_BURN_REASON_MAX, VT_BURN_QUEUED, reason), VT_BURN_FAILED);
    assert_int_equal(strlen(reason), VT_BURN_REASON_MAX);
}

static void a_burner_needs_a_folder_and_perhaps_a_command(void **state)
{
    static const struct {
        const char *assignments[3];
        bool ok;
    } list[] = {
        { { "burner.A.folder=/srv/a" }, true },
        { { "burner.A.folder=srv/a" }, false },
        { { "burner.A.folder=/srv/a", "burner.A.adapter=command" }, false },
        { { "burner.A.folder=/srv/a", "burner.A.command=true" }, false },
        { { "burner.A.folder=/srv/a", "burner.A.adapter=command", "burner.A.command=true %i" }, true },
        { { "burner.A.folder=/srv/a", "burner.A.capacity=1K" }, false },
        { { "burner.B.folder=/srv/a" }, false },
    };
    struct vt_burner burner;

    (void)state;
    for (size_t i = 0; i < VT_COUNT(list); i++) {
        VT_AUTO(vt_conf) conf = vt_conf_new();
        struct vt_err err = { 0 };
        for (size_t k = 0; k < 3 && list[i].assignments[k]; k++)
            assert_true(vt_conf_override(conf, list[i].assignments[k], &err));
        assert_int_equal(vt_burner_read(conf, "A", &burner, &err), list[i].ok);
    }
}

static void a_disc_appears_whole_is_burned_by_its_command_and_goes(void **state)
{
    char folder[] = "/tmp/vitrine-burn-XXXXXX", image[128], path[160], reason[VT_BURN_REASON_MAX + 1] = "";
    struct vt_burner burner = { .name = "A", .runs_command = true, .timeout = 60 * VT_NS_PER_S };
    enum vt_burn_state is = VT_BURN_QUEUED;
    struct vt_err err = { 0 };

    (void)state;
    assert_non_null(mkdtemp(folder));
    burner.folder = folder;
    snprintf(image, sizeof image, "%s/.image.iso", folder);
    assert_true(vt_io_write_file(image, "an image", 8, 0600, &err));
    const struct vt_burn_disc disc = { .burner = &burner, .name = "VT1-x", .number = 1, .discs = 1, .image = image, .label = "",
                                       .who = "me", .copies = 1, .stop_fd = -1 };
    assert_true(vt_burn_put(&disc, &err));
    snprintf(path, sizeof path, "%s/VT1-x-1/job.ini", folder);
    assert_int_equal(access(path, F_OK), 0);
    assert_true(vt_burn_put(&disc, &err));
    burner.command = "grep -q nothing %i";
    assert_true(vt_burn_look(&disc, &is, reason, &err));
    assert_int_equal(is, VT_BURN_FAILED);
    burner.command = "grep -q image %i";
    assert_true(vt_burn_look(&disc, &is, reason, &err));
    assert_int_equal(is, VT_BURN_DONE);
    assert_int_equal(rmdir(folder), 0);
}

static void a_command_that_takes_too_long_is_ended(void **state)
{
    char folder[] = "/tmp/vitrine-burn-XXXXXX", reason[VT_BURN_REASON_MAX + 1] = "";
    const struct vt_burner burner = { .name = "A", .runs_command = true, .timeout = VT_NS_PER_S / 10, .command = "sleep 600", .folder = folder };
    const struct vt_burn_disc disc = { .burner = &burner, .name = "VT1-x", .number = 1, .discs = 1, .stop_fd = -1 };
    enum vt_burn_state is = VT_BURN_QUEUED;
    struct vt_err err = { 0 };

    (void)state;
    assert_non_null(mkdtemp(folder));
    assert_true(vt_burn_look(&disc, &is, reason, &err));
    assert_int_equal(is, VT_BURN_FAILED);
    assert_string_equal(reason, "it took longer than its timeout");
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_status_is_a_word_and_perhaps_a_reason),
        cmocka_unit_test(a_long_reason_is_cut),
        cmocka_unit_test(a_burner_needs_a_folder_and_perhaps_a_command),
        cmocka_unit_test(a_disc_appears_whole_is_burned_by_its_command_and_goes),
        cmocka_unit_test(a_command_that_takes_too_long_is_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
