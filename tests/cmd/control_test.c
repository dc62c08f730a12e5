/* Both ends of the control socket in one process, over a small archive. */
#include "cmd/control.h"

#include <dirent.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "cmd/control_socket.h"
#include "cmd/options.h"
#include "cmd/samples.h"
#include "core/clock.h"
#include "core/err.h"

enum { CALLERS = 8 };

struct world {
    char folder[256];
    struct vt_archive *archive;
    struct vt_control *control;
};

struct seen {
    atomic_uint rows, progress;
    unsigned stop_after; /* rows; 0: never */
};

static void add_port(void *context, json_t *row)
{
    (void)context;
    json_object_set_new(row, "port", json_integer(104));
}

static void make_folder(struct world *world, const char *name)
{
    snprintf(world->folder, sizeof world->folder, "/tmp/vitrine-%s-XXXXXX", name);
    assert_non_null(mkdtemp(world->folder));
}

static void open_world(struct world *world)
{
    struct vt_conf *conf = vt_conf_new();
    struct vt_archive_conf archive_conf;
    struct vt_control_options options = { .status = add_port };
    struct vt_err err = { 0 };

    if (!*world->folder)
        make_folder(world, "control");
    assert_true(vt_conf_set(conf, "archive", NULL, "path", world->folder, &err));
    assert_true(vt_archive_conf_read(conf, &archive_conf, &err));
    assert_true(vt_query_conf_read(conf, &options.rules, &err));
    world->archive = vt_archive_open(&archive_conf.options, &err);
    if (!world->archive)
        fail_msg("%s", err.text);
    options.archive = world->archive;
    world->control = vt_control_start(&options, &err);
    if (!world->control)
        fail_msg("%s", err.text);
    vt_conf_free(conf);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

static void close_world(struct world *world)
{
    vt_control_stop(world->control);
    vt_archive_free(world->archive);
    nftw(world->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static bool on_row(void *context, json_t *row)
{
    struct seen *seen = context;

    assert_true(json_is_object(row));
    unsigned rows = atomic_fetch_add(&seen->rows, 1) + 1;
    return seen->stop_after == 0 || rows < seen->stop_after;
}

static bool on_progress(void *context, uint64_t done, uint64_t total, const char *unit)
{
    struct seen *seen = context;

    (void)done;
    (void)total;
    assert_non_null(unit);
    atomic_fetch_add(&seen->progress, 1);
    return true;
}

/* "study list", one argument or NULL. The result is the caller's, NULL on failure. */
static json_t *call(const struct world *world, const char *first, const char *second,
                    const char *arg, struct seen *seen, struct vt_err *err)
{
    const char *const verb[] = { first, second }, *const args[] = { arg };
    const struct vt_control_request request = { verb, second ? 2 : 1, args, arg ? 1 : 0, NULL };
    const struct vt_control_answer answer = { on_row, on_progress, seen };
    json_t *result = NULL;
    bool listening = false;

    if (!vt_control_call(world->folder, &request, &answer, &listening, &result, err))
        return NULL;
    assert_true(listening);
    assert_non_null(result);
    return result;
}

static void nobody_listening_is_an_answer_and_no_failure(void **state)
{
    (void)state;
    struct world world = { 0 };
    const char *const verb[] = { "status" };
    const struct vt_control_request request = { .verb = verb, .verb_count = 1 };
    const struct vt_control_answer answer = { 0 };
    json_t *result = NULL;
    struct vt_err err = { 0 };
    bool listening = true;

    make_folder(&world, "nobody");
    assert_true(vt_control_call(world.folder, &request, &answer, &listening, &result, &err));
    assert_false(listening);
    assert_null(result);
    rmdir(world.folder);
}

static void rows_and_results_come_back_and_the_daemon_adds_to_status(void **state)
{
    (void)state;
    struct world world = { 0 };
    struct seen seen = { 0 };
    struct vt_err err = { 0 };
    struct stat status;
    char path[300];

    open_world(&world);
    snprintf(path, sizeof path, "%s/control.sock", world.folder);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    json_decref(call(&world, "status", NULL, NULL, &seen, &err));
    assert_int_equal(seen.rows, 1);
    json_t *result = call(&world, "verify", NULL, NULL, &seen, &err);
    assert_int_equal(json_integer_value(json_object_get(result, "checked")), 0);
    json_decref(result);
    close_world(&world);
}

static void a_failure_keeps_its_code_and_sentence(void **state)
{
    (void)state;
    struct world world = { 0 };
    struct seen seen = { 0 };
    struct vt_err err = { 0 };

    open_world(&world);
    assert_null(call(&world, "study", "show", NULL, &seen, &err));
    assert_int_equal(err.code, VT_E_INVALID);
    vt_err_clear(&err);
    assert_null(call(&world, "study", "paint", NULL, &seen, &err));
    assert_int_equal(err.code, VT_E_UNSUPPORTED);
    assert_non_null(strstr(err.text, "study"));
    close_world(&world);
}

static void importing_tells_progress_and_hanging_up_cancels_it(void **state)
{
    (void)state;
    struct world world = { 0 }, samples = { 0 };
    struct seen seen = { 0 }, few = { .stop_after = 1 };
    struct vt_err err = { 0 };
    size_t count = 0;

    make_folder(&samples, "samples");
    if (!vt_samples_write(samples.folder, NULL, NULL, &count, &err))
        fail_msg("%s", err.text);
    open_world(&world);
    json_t *result = call(&world, "import", NULL, samples.folder, &seen, &err);
    if (!result)
        fail_msg("%s", err.text);
    assert_int_equal(json_integer_value(json_object_get(result, "stored")), count);
    json_decref(result);
    assert_in_range(seen.progress, 1, count);
    assert_null(call(&world, "study", "list", NULL, &few, &err));
    assert_int_equal(err.code, VT_E_CANCELLED);
    close_world(&world);
    nftw(samples.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void *call_often(void *context)
{
    struct world *world = context;
    struct seen seen = { 0 };

    for (int i = 0; i < 20; i++) {
        struct vt_err err = { 0 };
        json_t *result = call(world, "status", NULL, NULL, &seen, &err);
        if (!result)
            return NULL;
        json_decref(result);
    }
    return world;
}

static void many_callers_at_once_are_all_served(void **state)
{
    (void)state;
    struct world world = { 0 };
    pthread_t threads[CALLERS];
    void *fine;

    open_world(&world);
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &world), 0);
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(threads[i], &fine);
        assert_non_null(fine);
    }
    close_world(&world);
}

static void a_long_archive_path_has_a_socket_too(void **state)
{
    (void)state;
    struct world world = { 0 };
    struct seen seen = { 0 };
    struct vt_err err = { 0 };
    char top[64] = "/tmp/vitrine-long-XXXXXX";

    assert_non_null(mkdtemp(top));
    snprintf(world.folder, sizeof world.folder, "%s/%0150d", top, 1);
    open_world(&world);
    json_decref(call(&world, "status", NULL, NULL, &seen, &err));
    assert_int_equal(seen.rows, 1);
    close_world(&world);
    assert_int_equal(rmdir(top), 0);
}

static void stopping_ends_callers_that_say_nothing(void **state)
{
    (void)state;
    struct world world = { 0 };
    struct sockaddr_un address;
    struct vt_err err = { 0 };
    char byte;
    vt_autoclose folder = -1;
    vt_autoclose silent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    open_world(&world);
    assert_true(vt_control_address(world.folder, &address, &folder, &err));
    assert_int_equal(connect(silent, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(silent, "{", 1, 0), 1);
    vt_clock_sleep(50 * VT_NS_PER_MS);
    int64_t start = vt_clock_mono();
    close_world(&world);
    assert_true(vt_clock_mono() - start < VT_CONTROL_REQUEST_WAIT * VT_NS_PER_S / 2);
    assert_int_equal(recv(silent, &byte, 1, 0), 0);
}

static int load_dictionary(void **state)
{
    struct vt_err err = { 0 };

    (void)state;
    return vt_dict_load(&err) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_listening_is_an_answer_and_no_failure),
        cmocka_unit_test(rows_and_results_come_back_and_the_daemon_adds_to_status),
        cmocka_unit_test(a_failure_keeps_its_code_and_sentence),
        cmocka_unit_test(importing_tells_progress_and_hanging_up_cancels_it),
        cmocka_unit_test(many_callers_at_once_are_all_served),
        cmocka_unit_test(a_long_archive_path_has_a_socket_too),
        cmocka_unit_test(stopping_ends_callers_that_say_nothing),
    };

    return cmocka_run_group_tests(tests, load_dictionary, NULL);
}
