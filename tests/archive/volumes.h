/* tests/archive/volumes.h: an archive with a second volume beside it, LT, and what moves there or dies
 * on the way; for the tests of archive/volume*.c. */
#pragma once

#include <setjmp.h>
#include <sys/wait.h>

#include "archive/copies.h"
#include "archive/hold.h"
#include "archive/last_access.h"
#include "archive/volume.h"
#include "core/err.h"
#include "core/event.h"
#include "tests/archive/world.h"
#include "tests/support/torture.h"

static char long_term[300];
static struct vt_volume volume = { .name = "LT", .class = VT_VOLUME_LONG_TERM, .stop_free = 1,
                                   .warn_free = 1 };

static inline struct vt_archive_options archive_options(const char *folder)
{
    return (struct vt_archive_options){ .path = folder,
                                        .journal_segment = 1 << 20,
                                        .warn_free = 1,
                                        .stop_free = 1,
                                        .readers = 4,
                                        .volumes = &volume,
                                        .volume_count = 1 };
}

static inline void reopen(struct world *world)
{
    struct vt_archive_options options = archive_options(world->folder);
    struct vt_err err = { 0 };

    world_close(world);
    world->archive = vt_archive_open(&options, &err);
    if (!world->archive)
        fail_msg("%s", err.text);
    world->admin.archive = world->archive;
}

static inline int set_up(void **state)
{
    world_set_up(state);
    struct world *world = *state;
    struct vt_err err = { 0 };

    snprintf(long_term, sizeof long_term, "%s-lt", world->folder);
    volume.path = long_term;
    reopen(world);
    OK(vt_admin_volume_add(&world->admin, "LT", &err));
    return 0;
}

static inline int tear_down(void **state)
{
    folder_remove(long_term);
    return world_tear_down(state);
}

#define VOLUME_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

enum { INSTANCES = 20 };

static inline struct object nth(int n, char sop[static 40])
{
    struct object object = OBJECT;

    snprintf(sop, 40, "1.2.3.1.1.%d", n + 1);
    object.sop = sop;
    object.shade = (uint8_t)n;
    return object;
}

static inline void fill(struct world *world, int count)
{
    char sop[40];

    for (int i = 0; i < count; i++) {
        struct object object = nth(i, sop);
        assert_int_equal(world_send(world, &object), 0);
    }
}

static inline void file_of(struct world *world, const char *sop, char out[static VT_FILE_MAX])
{
    struct vt_index_entry entry;
    struct vt_err err = { 0 };
    bool found = false;

    OK(vt_index_lookup(vt_archive_index(world->archive), sop, &entry, &found, &err));
    assert_true(found);
    memcpy(out, entry.file, VT_FILE_MAX);
}

static inline bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Files below a folder's objects/. */
static inline int files_in(const char *folder)
{
    char command[400], text[32] = "";

    snprintf(command, sizeof command, "find '%s/objects' -type f 2>/dev/null | wc -l", folder);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_non_null(fgets(text, sizeof text, pipe));
    pclose(pipe);
    return atoi(text);
}

static inline void assert_readable(struct world *world, int count)
{
    char sop[40];

    for (int i = 0; i < count; i++) {
        struct vt_index_entry entry;
        struct vt_stored stored;
        struct vt_err err = { 0 };
        bool found = false;
        nth(i, sop);
        OK(vt_index_lookup(vt_archive_index(world->archive), sop, &entry, &found, &err));
        assert_true(found);
        OK(vt_archive_open_instance(world->archive, &entry, &stored, &err));
        vt_stored_close(&stored);
    }
}

static inline struct vt_volume_moved drain(struct world *world, const char *from, const char *to)
{
    struct vt_volume_moved moved = { 0 };
    struct vt_err err = { 0 };

    OK(vt_admin_volume_drain(&world->admin, from, to, &moved, &err));
    return moved;
}

static const char *die_at;
static int die_after;

static inline void die(const char *name)
{
    if (strcmp(name, die_at) == 0 && die_after-- == 0)
        _exit(7);
}

static inline void drain_and_die(struct world *world, const char *from, const char *to,
                                 const char *point, int after)
{
    int status = 0;

    world_close(world);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct vt_archive_options options = archive_options(world->folder);
        struct vt_volume_moved moved;
        struct vt_err err = { 0 };
        struct vt_admin admin = { .archive = vt_archive_open(&options, &err) };
        if (!admin.archive)
            _exit(1);
        die_at = point;
        die_after = after;
        vt_archive_point = die;
        vt_admin_volume_drain(&admin, from, to, &moved, &err);
        _exit(0); /* the point was not reached: not a test */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    reopen(world);
}

static inline struct vt_volume_moved turn(struct world *world, enum vt_volume_way way)
{
    const struct vt_volume_turn turn = { .way = way, .to = "LT" };
    struct vt_volume_moved moved = { 0 };
    struct vt_err err = { 0 };

    OK(vt_admin_volume_turn_study(&world->admin, OBJECT.study, &turn, &moved, &err));
    return moved;
}
