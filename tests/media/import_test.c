/* What import makes of a file-set and of a disc: counts, rows, and what a lack of memory leaves. */
#include "media/import.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "core/io.h"
#include "media/export.h"
#include "tests/archive/world.h"
#include "tests/media/tiny_slide.h"
#include "tests/support/torture.h"

enum { PATH_ROOM = 400, INSTANCES = 3 };

static const char *const words[] = { "PatientID=P1" };

struct importing {
    struct world *world;
    const char *name;      /* in the world's folder */
    bool named, stops;
    json_t *options, *rows;
    struct vt_import_counts counts;
    struct vt_import_studies studies;
};

static bool on_row(void *context, json_t *row)
{
    const struct importing *importing = context;

    return !importing->rows || json_array_append(importing->rows, row) == 0;
}

static bool on_progress(void *context, uint64_t done, uint64_t total, const char *unit)
{
    (void)done, (void)total, (void)unit;
    return !((const struct importing *)context)->stops;
}

static bool ignore_row(void *context, json_t *row)
{
    (void)context, (void)row;
    return true;
}

/* As file-sets beside the archive, which is empty again afterwards. */
static void make_media(struct world *world)
{
    static const char *const names[] = { "set", "set.zip", "set.iso" };
    struct vt_err err = { 0 };
    char output[PATH_ROOM], sop[32];
    struct vt_export_result result;

    for (int i = 0; i < INSTANCES; i++) {
        struct object object = OBJECT;
        snprintf(sop, sizeof sop, "1.2.3.1.1.%d", i + 1);
        object.sop = sop;
        object.shade = (uint8_t)i;
        assert_int_equal(world_send(world, &object), 0);
    }
    for (size_t i = 0; i < VT_COUNT(names); i++) {
        snprintf(output, sizeof output, "%s/%s", world->folder, names[i]);
        const struct vt_export_call call = { .archive = world->archive, .words = words, .word_count = 1, .output = output, .row = ignore_row };
        OK(vt_export(&call, &result, &err));
    }
}

static bool import(struct importing *importing, struct vt_err *err)
{
    VT_AUTO(vt_receive) receive = vt_receive_new(importing->world->archive, err);
    char path[PATH_ROOM];
    const struct vt_import_call call = { .archive = importing->world->archive,
                                         .receive = receive,
                                         .options = importing->options,
                                         .named = importing->named,
                                         .counts = &importing->counts,
                                         .studies = &importing->studies,
                                         .row = on_row,
                                         .progress = on_progress,
                                         .context = importing };

    importing->counts = (struct vt_import_counts){ 0 };
    snprintf(path, sizeof path, "%s/%s", importing->world->folder, importing->name);
    const struct vt_import_kind *kind = receive ? vt_import_kind_of(path, err) : NULL;
    return kind && kind->import(&call, path, err);
}

static size_t rows_of(const struct importing *importing, const char *result)
{
    size_t i, count = 0;
    json_t *row;

    json_array_foreach(importing->rows, i, row)
        count += strcmp(json_string_value(json_object_get(row, "result")), result) == 0;
    return count;
}

static void each_file_has_its_row_when_a_report_is_asked_for(void **state)
{
    static const char *const names[] = { "set/DICOMDIR", "set.zip", "set.iso" };
    struct world *world = *state;

    make_media(world);
    for (size_t i = 0; i < VT_COUNT(names); i++) {
        struct importing importing = { .world = world, .name = names[i], .named = true };
        struct vt_err err = { 0 };
        importing.options = json_pack("{s:b}", "report", 1);
        importing.rows = json_array();
        OK(import(&importing, &err));
        assert_int_equal(importing.counts.duplicates, INSTANCES);
        assert_int_equal(importing.counts.failed, 0);
        assert_int_equal(rows_of(&importing, "known"), INSTANCES);
        assert_int_equal(rows_of(&importing, "directory"), 1);
        json_decref(importing.rows);
        json_decref(importing.options);
    }
}

static void a_directory_that_was_found_only_says_what_is_missing(void **state)
{
    struct importing importing = { .world = *state, .name = "set/DICOMDIR" };
    struct vt_err err = { 0 };

    make_media(*state);
    world_shell(*state, "rm \"$(find set/DICOM -type f | sort | head -1)\"");
    importing.rows = json_array();
    OK(import(&importing, &err));
    assert_int_equal(importing.counts.stored + importing.counts.duplicates, 0);
    assert_int_equal(importing.counts.failed, 1);
    assert_int_equal(rows_of(&importing, "failed"), 1);
    json_decref(importing.rows);
}

static void who_stops_an_import_is_heard_between_two_files(void **state)
{
    static const char *const names[] = { "set/DICOMDIR", "set.zip" };
    struct world *world = *state;

    make_media(world);
    for (size_t i = 0; i < VT_COUNT(names); i++) {
        struct importing importing = { .world = world, .name = names[i], .named = true, .stops = true };
        struct vt_err err = { 0 };
        assert_false(import(&importing, &err));
        assert_int_equal(err.code, VT_E_CANCELLED);
    }
}

static void a_study_counts_once_and_there_is_an_end_to_them(void **state)
{
    struct vt_import_studies studies = { 0 };
    struct vt_err err = { 0 };
    char uid[32];

    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(uid, sizeof uid, "1.2.%d", i % 40);
        OK(vt_import_studies_add(&studies, uid, &err));
    }
    assert_int_equal(studies.count, 40);
    free(studies.uids);
}

static bool work(void *context, struct vt_err *err)
{
    return import(context, err);
}

static void each_allocation_may_fail(void **state)
{
    static const char *const names[] = { "set/DICOMDIR", "set.zip", "set.iso" };

    make_media(*state);
    for (size_t i = 0; i < VT_COUNT(names); i++) {
        struct importing importing = { .world = *state, .name = names[i], .named = true };
        struct vt_err err = { 0 };
        assert_true(vt_torture(work, &importing) > 3);
        /* Nothing was lost by it. */
        OK(import(&importing, &err));
        assert_int_equal(importing.counts.duplicates, INSTANCES);
        free(importing.studies.uids);
    }
    assert_int_equal(world_faults(*state), 0);
}

static void a_slide_comes_whole_or_is_told(void **state)
{
    struct importing importing = { .world = *state, .name = "tiny.svs", .named = true };
    struct vt_err err = { 0 };
    struct tiny tiny;
    char path[PATH_ROOM];

    tiny_make(&tiny, TINY_TEXT);
    snprintf(path, sizeof path, "%s/tiny.svs", importing.world->folder);
    assert_true(vt_io_write_file(path, tiny.bytes, tiny.size, 0600, &err));
    assert_true(vt_torture(work, &importing) > 10);
    OK(import(&importing, &err));
    assert_int_equal(importing.counts.failed, 0);
    assert_int_equal(world_faults(*state), 0);
    free(importing.studies.uids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(each_file_has_its_row_when_a_report_is_asked_for),
        WORLD_TEST(a_directory_that_was_found_only_says_what_is_missing),
        WORLD_TEST(who_stops_an_import_is_heard_between_two_files),
        WORLD_TEST(a_study_counts_once_and_there_is_an_end_to_them),
        WORLD_TEST(each_allocation_may_fail),
        WORLD_TEST(a_slide_comes_whole_or_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
