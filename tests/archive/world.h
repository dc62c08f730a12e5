/* tests/archive/world.h: an archive in a folder of its own, an administrator, the rows he was
 * shown; for the tests of archive/. Open and empty at the beginning of each test, gone at its end.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "archive/admin.h"
#include "archive/inside.h"
#include "tests/archive/objects.h"

struct world {
    char folder[256];
    struct vt_archive *archive;
    struct vt_admin admin;
    json_t *rows; /* shown since world_forget_rows */
};

static inline bool world_note_row(void *context, json_t *row)
{
    struct world *world = context;

    return json_array_append(world->rows, row) == 0;
}

static inline void world_open(struct world *world)
{
    world->archive = archive_at(world->folder);
    assert_non_null(world->archive);
    world->admin = (struct vt_admin){
        .archive = world->archive, .who = "tester", .row = world_note_row, .context = world
    };
}

static inline void world_close(struct world *world)
{
    vt_archive_free(world->archive);
    world->archive = NULL;
}

static inline int world_set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    snprintf(world->folder, sizeof world->folder, "%s", folder_new());
    world->rows = json_array();
    world_open(world);
    *state = world;
    return 0;
}

static inline int world_tear_down(void **state)
{
    struct world *world = *state;

    vt_archive_point = NULL;
    world_close(world);
    json_decref(world->rows);
    folder_remove(world->folder);
    free(world);
    return 0;
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, err.text);                                                   \
    } while (0)

static inline void world_forget_rows(struct world *world)
{
    json_array_clear(world->rows);
}

static inline size_t world_rows(const struct world *world)
{
    return json_array_size(world->rows);
}

/* "" when it is none, or there is no such row. */
static inline const char *world_text(const struct world *world, size_t row, const char *key)
{
    const char *text = json_string_value(json_object_get(json_array_get(world->rows, row), key));

    return text ? text : "";
}

static inline int64_t world_number(const struct world *world, size_t row, const char *key)
{
    return json_integer_value(json_object_get(json_array_get(world->rows, row), key));
}

static inline uint16_t world_send(struct world *world, const struct object *object)
{
    struct vt_receive_result result = { 0 };
    struct vt_err err = { 0 };
    VT_AUTO(vt_receive) receive = vt_receive_new(world->archive, &err);

    if (!receive || !object_send(receive, object, &result, &err))
        fail_msg("%04x %s", err.dimse_status, err.text);
    return result.status;
}

static inline uint64_t world_instances(struct world *world)
{
    struct vt_index_counts counts;
    struct vt_err err = { 0 };

    OK(vt_index_counts(vt_archive_index(world->archive), &counts, &err));
    return counts.instances;
}

/* Faults that verify finds. */
static inline uint64_t world_faults(struct world *world)
{
    uint64_t checked = 0, faults = 0;
    struct vt_err err = { 0 };

    world_forget_rows(world);
    OK(vt_admin_verify(&world->admin, NULL, false, &checked, &faults, &err));
    return faults;
}

/* printf-like; a shell command in the archive's folder. */
static inline void world_shell(const struct world *world, const char *format, ...)
{
    char command[1024];
    va_list arguments;

    int length = snprintf(command, sizeof command, "cd '%s' && ", world->folder);
    va_start(arguments, format);
    vsnprintf(command + length, sizeof command - (size_t)length, format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}
