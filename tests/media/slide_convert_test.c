/* A slide of two tiles through a folder and back, range by range. */
#include "media/slide_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "tests/media/tiny_slide.h"
#include "tests/support/torture.h"

struct world {
    char folder[64], slide[96], out[96];
    struct tiny tiny;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    snprintf(world->folder, sizeof world->folder, "/tmp/vitrine-slide-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    snprintf(world->slide, sizeof world->slide, "%s/tiny.svs", world->folder);
    snprintf(world->out, sizeof world->out, "%s/out", world->folder);
    tiny_make(&world->tiny, TINY_TEXT);
    FILE *file = fopen(world->slide, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(world->tiny.bytes, 1, world->tiny.size, file), world->tiny.size);
    fclose(file);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    char command[128];

    snprintf(command, sizeof command, "rm -r %s", world->folder);
    int done = system(command);
    free(world);
    return done;
}

static bool convert(struct world *world, struct vt_slide_result *out, struct vt_err *err)
{
    const struct vt_slide_options reading = { 0 };
    const struct vt_slide_convert_options options = { 0 };
    VT_AUTO(vt_slide) slide = vt_slide_open(world->slide, &reading, err);
    VT_AUTO(vt_slide_folder) folder = slide ? vt_slide_folder_new(world->out, err) : NULL;

    if (!folder)
        return false;
    const struct vt_slide_target target = vt_slide_folder_target(folder);
    return vt_slide_convert(slide, &options, &target, out, err);
}

static struct vt_slide_original *open_original(struct world *world, struct vt_slide_folder **out_folder, struct vt_err *err)
{
    struct vt_slide_part raw = { .fd = -1 };

    *out_folder = vt_slide_folder_new(world->out, err);
    assert_true(*out_folder && vt_slide_folder_scan(*out_folder, err));
    const struct vt_slide_finder finder = vt_slide_folder_finder(*out_folder);
    assert_true(finder.open(finder.context, vt_slide_folder_raw(*out_folder), &raw, err));
    return vt_slide_original_open(&raw, &finder, err);
}

static void every_range_of_the_original_comes_back(void **state)
{
    struct world *world = *state;
    struct vt_slide_folder *folder;
    struct vt_slide_result result;
    struct vt_err err = { 0 };
    uint8_t bytes[TINY_ROOM];
    size_t got;

    assert_true(convert(world, &result, &err));
    assert_true(result.verified);
    assert_int_equal(result.levels, 1);
    VT_AUTO(vt_slide_original) original = open_original(world, &folder, &err);
    assert_non_null(original);
    assert_int_equal(vt_slide_original_size(original), world->tiny.size);
    for (size_t from = 0; from < world->tiny.size; from += 3)
        for (size_t size = 1; size < world->tiny.size; size = size * 2 + 1) {
            size_t wanted = size < world->tiny.size - from ? size : world->tiny.size - from;
            assert_true(vt_slide_pread(original, bytes, size, from, &got, &err));
            assert_int_equal(got, wanted);
            assert_memory_equal(bytes, world->tiny.bytes + from, wanted);
        }
    assert_true(vt_slide_pread(original, bytes, 10, world->tiny.size, &got, &err));
    assert_int_equal(got, 0);
    vt_slide_folder_free(folder);
}

static void a_changed_tile_is_noticed(void **state)
{
    struct world *world = *state;
    struct vt_slide_folder *folder;
    struct vt_slide_result result;
    struct vt_err err = { 0 };
    char level[128];

    assert_true(convert(world, &result, &err));
    snprintf(level, sizeof level, "%s/level-0.dcm", world->out);
    FILE *file = fopen(level, "r+");
    assert_int_equal(fseek(file, -20, SEEK_END), 0);
    fputc('!', file);
    fclose(file);
    VT_AUTO(vt_slide_original) original = open_original(world, &folder, &err);
    assert_non_null(original);
    assert_false(vt_slide_original_verify(original, NULL, NULL, &err));
    assert_int_equal(err.code, VT_E_CORRUPT);
    vt_slide_folder_free(folder);
}

static void a_missing_level_is_named(void **state)
{
    struct world *world = *state;
    struct vt_slide_folder *folder;
    struct vt_slide_result result;
    struct vt_err err = { 0 };
    char level[128];

    assert_true(convert(world, &result, &err));
    snprintf(level, sizeof level, "%s/level-0.dcm", world->out);
    unlink(level);
    assert_null(open_original(world, &folder, &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
    assert_non_null(strstr(err.text, "tiny.svs"));
    vt_slide_folder_free(folder);
}

static void restore_data_with_any_byte_changed_give_an_error_or_nothing_worse(void **state)
{
    struct world *world = *state;
    struct vt_slide_folder *folder;
    struct vt_slide_result result;
    struct vt_err err = { 0 };
    uint8_t bytes[TINY_ROOM];
    char path[128];
    size_t got;

    assert_true(convert(world, &result, &err));
    snprintf(path, sizeof path, "%s/original.dcm", world->out);
    FILE *file = fopen(path, "r+");
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    for (long at = 900; at < size; at++) {
        fseek(file, at, SEEK_SET);
        int was = fgetc(file);
        fseek(file, at, SEEK_SET);
        fputc(was ^ 0x41, file);
        fflush(file);
        err = (struct vt_err){ 0 };
        folder = vt_slide_folder_new(world->out, &err);
        struct vt_slide_part raw = { .fd = -1 };
        const struct vt_slide_finder finder = vt_slide_folder_finder(folder);
        if (vt_slide_folder_scan(folder, &err) && finder.open(finder.context, vt_slide_folder_raw(folder), &raw, &err)) {
            VT_AUTO(vt_slide_original) original = vt_slide_original_open(&raw, &finder, &err);
            if (original)
                (void)vt_slide_pread(original, bytes, sizeof bytes, 0, &got, &err);
        }
        vt_slide_folder_free(folder);
        fseek(file, at, SEEK_SET);
        fputc(was, file);
    }
    fclose(file);
}

static bool convert_once(void *context, struct vt_err *err)
{
    struct world *world = context;
    struct vt_slide_result result;
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", world->out);
    return system(command) == 0 && convert(world, &result, err);
}

static void out_of_memory_leaves_nothing_behind(void **state)
{
    assert_true(vt_torture(convert_once, *state) > 10);
}

static bool restore_once(void *context, struct vt_err *err)
{
    struct world *world = context;
    struct vt_slide_part raw = { .fd = -1 };
    char path[128];

    VT_AUTO(vt_slide_folder) folder = vt_slide_folder_new(world->out, err);
    if (!folder || !vt_slide_folder_scan(folder, err))
        return false;
    const struct vt_slide_finder finder = vt_slide_folder_finder(folder);
    if (!finder.open(finder.context, vt_slide_folder_raw(folder), &raw, err))
        return false;
    VT_AUTO(vt_slide_original) original = vt_slide_original_open(&raw, &finder, err);
    snprintf(path, sizeof path, "%s/again.svs", world->folder);
    unlink(path);
    bool ok = original && vt_slide_original_save(original, path, NULL, NULL, err);
    assert_int_equal(access(path, F_OK) == 0, ok);
    return ok;
}

static void a_slide_is_given_back_whole_or_not_at_all(void **state)
{
    struct world *world = *state;
    struct vt_slide_result result;
    struct vt_err err = { 0 };

    assert_true(convert(world, &result, &err));
    assert_true(vt_torture(restore_once, world) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_range_of_the_original_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_changed_tile_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_level_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(restore_data_with_any_byte_changed_give_an_error_or_nothing_worse, set_up, tear_down),
        cmocka_unit_test_setup_teardown(out_of_memory_leaves_nothing_behind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_slide_is_given_back_whole_or_not_at_all, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
