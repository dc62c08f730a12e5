/* A volume that fills up, and one that fails. The small volume is a tmpfs when we may mount one;
 * else its tests are skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "archive/inside.h"
#include "core/clock.h"
#include "core/event.h"
#include "tests/archive/objects.h"

enum { VOLUME_MIB = 16, SEGMENT = 1 << 20, PATIENCE_MS = 10000 };

struct volume {
    char path[256];
    bool mounted;
};

/* The second segment is made beside the first stores; it must not take space while that is counted.
 */
static void wait_for_journal(const char *path)
{
    char segment[300];
    struct stat info = { 0 };

    snprintf(segment, sizeof segment, "%s/journal/1", path);
    for (int i = 0; i < PATIENCE_MS; i++) {
        if (stat(segment, &info) == 0 && info.st_blocks * 512 >= SEGMENT)
            return;
        vt_clock_sleep(VT_NS_PER_MS);
    }
    fail_msg("%s was not made", segment);
}

static struct vt_archive *open_at(const char *path, struct vt_events *events)
{
    struct vt_archive_options options = {
        .path = path, .journal_segment = SEGMENT, .warn_free = 1, .stop_free = 1, .events = events
    };
    struct vt_err err = { 0 };
    struct vt_archive *archive = vt_archive_open(&options, &err);

    if (!archive)
        fail_msg("%s", err.text);
    wait_for_journal(path);
    return archive;
}

static bool send(struct vt_archive *archive, unsigned number, size_t pixels, struct vt_err *err)
{
    VT_AUTO(vt_receive) receive = vt_receive_new(archive, err);
    struct vt_receive_result result;
    struct object object = OBJECT;
    char sop[65];

    snprintf(sop, sizeof sop, "1.2.3.1.1.%u", number);
    object.sop = sop;
    object.pixels = pixels;
    return receive && object_send(receive, &object, &result, err);
}

static bool is_stored(struct vt_archive *archive, unsigned number)
{
    struct vt_index_entry entry;
    struct vt_err err = { 0 };
    bool found = false;
    char sop[65];

    snprintf(sop, sizeof sop, "1.2.3.1.1.%u", number);
    assert_true(vt_index_lookup(vt_archive_index(archive), sop, &entry, &found, &err));
    return found;
}

static bool is_readable(struct vt_archive *archive, unsigned number)
{
    struct vt_index_entry entry;
    struct vt_stored stored;
    struct vt_err err = { 0 };
    bool found = false;
    char sop[65];

    snprintf(sop, sizeof sop, "1.2.3.1.1.%u", number);
    if (!vt_index_lookup(vt_archive_index(archive), sop, &entry, &found, &err) || !found ||
        !vt_archive_open_instance(archive, &entry, &stored, &err))
        return false;
    vt_stored_close(&stored);
    return true;
}

static void wait_for_files(struct vt_archive *archive)
{
    struct vt_err err = { 0 };

    for (int i = 0; i < PATIENCE_MS; i++) {
        vt_err_clear(&err);
        if (vt_late_settle(archive, &err))
            return;
        vt_clock_sleep(VT_NS_PER_MS);
    }
    fail_msg("%s", err.text);
}

/* Fills what is left but so many bytes. */
static void fill(const char *path, uint64_t leave)
{
    char command[700];

    snprintf(command, sizeof command,
             "cd '%s' && dd if=/dev/zero of=filler bs=4096 count=$(( ($(stat -f -c '%%a*%%S' .) - "
             "%llu) / 4096 )) 2>/dev/null",
             path, (unsigned long long)leave);
    assert_int_equal(system(command), 0);
}

static void a_volume_that_fills_up_in_the_middle_answers_a700_and_goes_on_later(void **state)
{
    const struct volume *volume = *state;
    struct vt_err err = { 0 };
    char filler[300];

    if (!volume->mounted)
        skip();
    struct vt_archive *archive = open_at(volume->path, NULL);
    assert_true(send(archive, 1, 100000, &err) && send(archive, 2, 500, &err));
    fill(volume->path, 300000);
    assert_false(send(archive, 3, 3000000, &err));
    assert_int_equal(err.dimse_status, 0xA700);
    assert_int_equal(err.code, VT_E_FULL);
    assert_int_equal(count_files(volume->path, "staging"), 0);
    assert_true(is_stored(archive, 1) && is_stored(archive, 2) && !is_stored(archive, 3));

    snprintf(filler, sizeof filler, "%s/filler", volume->path);
    unlink(filler);
    vt_clock_sleep(150 * VT_NS_PER_MS);
    vt_err_clear(&err);
    if (!send(archive, 3, 3000000, &err))
        fail_msg("%s", err.text);
    assert_true(is_stored(archive, 3));
    vt_archive_free(archive);
    archive = open_at(volume->path, NULL);
    assert_true(is_stored(archive, 1) && is_stored(archive, 2) && is_stored(archive, 3));
    vt_archive_free(archive);
}

static void small_objects_on_a_full_volume_are_refused_or_whole(void **state)
{
    const struct volume *volume = *state;
    struct vt_err err = { 0 };
    unsigned stored = 0;
    char filler[300];

    if (!volume->mounted)
        skip();
    struct vt_archive *archive = open_at(volume->path, NULL);
    assert_true(send(archive, 1, 500, &err));
    fill(volume->path, 60000);
    while (stored < 200 && send(archive, stored + 2, 6000, &err))
        stored++;
    assert_true(stored < 200);
    assert_true((err.dimse_status & 0xff00) == 0xA700);
    /* What was taken can be read, be its file there yet or not; as long as files wait for room
     * nobody has the archive alone. */
    for (unsigned i = 0; i <= stored; i++)
        assert_true(is_stored(archive, i + 1) && is_readable(archive, i + 1));
    bool late = count_files(volume->path, "objects") < stored + 1;
    vt_err_clear(&err);
    assert_int_equal(vt_exclusive_begin(archive, &err), !late);
    if (late)
        assert_int_equal(err.code, VT_E_FULL);
    else
        vt_exclusive_end(archive);
    vt_err_clear(&err);
    assert_true(vt_exclusive_begin_full(archive, &err));
    vt_exclusive_end(archive);

    snprintf(filler, sizeof filler, "%s/filler", volume->path);
    unlink(filler);
    wait_for_files(archive);
    assert_int_equal(count_files(volume->path, "objects"), stored + 1);
    vt_archive_free(archive);
}

/* ---- a failed sync ---- */

static void count_event(void *context, const struct vt_event *event)
{
    (void)event;
    ++*(unsigned *)context;
}

static void a_failed_sync_makes_the_volume_read_only_for_good(void **state)
{
    const struct volume *volume = *state;
    VT_AUTO(vt_events) events = vt_events_new();
    struct vt_err err = { 0 };
    unsigned told = 0;

    assert_true(vt_events_subscribe(events, "volume.read-only", count_event, &told, &err));
    struct vt_archive *archive = open_at(volume->path, events);
    assert_true(send(archive, 1, 500, &err));
    vt_fail(&err, VT_E_IO, "syncing journal/0: Input/output error");
    assert_false(vt_archive_break(archive, &err));
    assert_false(send(archive, 2, 500, &err));
    assert_int_equal(err.dimse_status, 0xA701);
    assert_non_null(strstr(err.text, "read-only"));
    assert_true(is_stored(archive, 1));
    assert_int_equal(told, 1);
    vt_archive_free(archive);
    archive = open_at(volume->path, NULL);
    assert_true(is_stored(archive, 1));
    vt_archive_free(archive);
}

static int set_up(void **state)
{
    static struct volume volume;
    char options[32];

    snprintf(volume.path, sizeof volume.path, "%s", folder_new());
    snprintf(options, sizeof options, "size=%dm", VOLUME_MIB);
    volume.mounted = mount("vitrine-test", volume.path, "tmpfs", 0, options) == 0;
    *state = &volume;
    return 0;
}

static int tear_down(void **state)
{
    struct volume *volume = *state;

    if (volume->mounted)
        umount(volume->path);
    folder_remove(volume->path);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_volume_that_fills_up_in_the_middle_answers_a700_and_goes_on_later),
        TEST(small_objects_on_a_full_volume_are_refused_or_whole),
        TEST(a_failed_sync_makes_the_volume_read_only_for_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
