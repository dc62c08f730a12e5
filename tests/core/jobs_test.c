#include "core/jobs.h"

#include <pthread.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/db.h"
#include "core/err.h"
#include "core/event.h"
#include "core/jobs_schema.h"
#include "tests/support/torture.h"

#define SOON (vt_clock_mono() + 60 * VT_NS_PER_S)

static char folder[] = "/tmp/vt-jobs-XXXXXX";
static char path[64];
static const int64_t quick[] = { 10 * VT_NS_PER_MS };

static struct vt_jobs_options options = { .path = path, .back_off = quick, .back_off_count = 1 };

/* What a job of the tests does and what became of it. */
struct world {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    atomic_int runs, now, most, ended;
    atomic_bool hold;           /* runs wait until it is gone, or they are to stop */
    enum vt_job_end ends[8];    /* of the 1st, 2nd ... run; DONE behind them */
    char cursors[8][32];        /* what the runs found */
    char order[16];             /* first letters of the subjects, as they were run */
};

static struct world world;

static enum vt_job_end run(void *context, struct vt_job_run *handle, struct vt_err *err)
{
    struct world *w = context;
    int i = atomic_fetch_add(&w->runs, 1), now = atomic_fetch_add(&w->now, 1) + 1;
    int most = atomic_load(&w->most);

    while (now > most && !atomic_compare_exchange_weak(&w->most, &most, now))
        continue;
    if (i < 8) {
        snprintf(w->cursors[i], sizeof w->cursors[i], "%s", vt_job_of(handle)->cursor);
        w->order[i] = vt_job_of(handle)->subject[0];
    }
    vt_job_totals(handle, 10, 1000);
    vt_job_progress(handle, 5, 500);
    char cursor[32];
    snprintf(cursor, sizeof cursor, "after-%d", i);
    vt_job_checkpoint(handle, cursor, err);
    while (atomic_load(&w->hold) && !vt_job_should_stop(handle))
        vt_clock_sleep(VT_NS_PER_MS);
    atomic_fetch_sub(&w->now, 1);
    if (vt_job_should_stop(handle))
        return VT_JOB_END_STOPPED;
    enum vt_job_end end = i < 8 ? w->ends[i] : VT_JOB_END_DONE;
    if (end == VT_JOB_END_LATER)
        vt_job_later(handle, vt_clock_wall() + 10 * VT_NS_PER_MS);
    if (end == VT_JOB_END_FAILED || end == VT_JOB_END_AGAIN)
        vt_fail(err, VT_E_REFUSED, "the peer refused");
    return end;
}

static void ended(void *context, int64_t id, enum vt_job_state state)
{
    struct world *w = context;

    (void)id;
    (void)state;
    atomic_fetch_add(&w->ended, 1);
}

static const struct vt_job_kind send_kind = { .name = "send", .run = run, .ended = ended, .context = &world };

static int fresh(void **state)
{
    static const struct vt_db_options database = { .sync = VT_DB_SYNC_FULL, .busy_ms = 1000 };
    struct vt_err err = { 0 };
    char command[128];

    (void)state;
    memset(&world, 0, sizeof world);
    options.workers = 0;
    options.give_up = 0;
    options.events = NULL;
    snprintf(command, sizeof command, "rm -f %s*", path);
    if (system(command) != 0)
        return -1;
    VT_AUTO(vt_db) db = vt_db_open(path, &database, &err);
    return db && vt_db_exec(db, VT_JOBS_SCHEMA VT_JOBS_SCHEMA_MARKS VT_JOBS_SCHEMA_ARGUMENTS, &err) ? 0 : -1;
}

static struct vt_jobs *opened(void)
{
    struct vt_err err = { 0 };
    struct vt_jobs *jobs = vt_jobs_open(&options, &err);

    if (!jobs || !vt_jobs_kind(jobs, &send_kind, &err))
        fail_msg("%s", err.text);
    return jobs;
}

static void start(struct vt_jobs *jobs)
{
    struct vt_err err = { 0 };

    if (!vt_jobs_start(jobs, &err))
        fail_msg("%s", err.text);
}

static int64_t added(struct vt_jobs *jobs, const char *key, const char *subject, int priority)
{
    const struct vt_job_new job = { .kind = "send", .key = key, .subject = subject, .priority = priority };
    struct vt_err err = { 0 };
    int64_t id = 0;

    if (!vt_jobs_add(jobs, &job, &id, &err))
        fail_msg("%s", err.text);
    return id;
}

static enum vt_job_state end_of(struct vt_jobs *jobs, int64_t id)
{
    struct vt_err err = { 0 };
    enum vt_job_state state = VT_JOB_STATES;

    if (!vt_jobs_wait(jobs, id, SOON, &state, &err))
        fail_msg("%s", err.text);
    return state;
}

struct seen {
    size_t count;
    struct vt_job last;
    char reason[VT_ERR_TEXT_MAX], cursor[32];
};

static bool see(void *context, const struct vt_job *job)
{
    struct seen *seen = context;

    seen->count++;
    seen->last = *job;
    snprintf(seen->reason, sizeof seen->reason, "%s", job->reason);
    snprintf(seen->cursor, sizeof seen->cursor, "%s", job->cursor);
    return true;
}

static struct seen listed(struct vt_jobs *jobs, struct vt_jobs_filter filter)
{
    struct seen seen = { 0 };
    struct vt_err err = { 0 };

    if (!vt_jobs_list(jobs, &filter, see, &seen, &err))
        fail_msg("%s", err.text);
    return seen;
}

static void wait_for_runs(int count)
{
    for (int64_t until = SOON; atomic_load(&world.runs) < count && vt_clock_mono() < until;)
        vt_clock_sleep(VT_NS_PER_MS);
    assert_true(atomic_load(&world.runs) >= count);
}

static void a_job_runs_and_is_done(void **state)
{
    (void)state;
    VT_AUTO(vt_jobs) jobs = opened();
    start(jobs);
    int64_t id = added(jobs, "PACS", "study", 0);

    assert_int_equal(end_of(jobs, id), VT_JOB_DONE);
    struct seen seen = listed(jobs, (struct vt_jobs_filter){ .id = id });
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last.state, VT_JOB_DONE);
    assert_int_equal(seen.last.done, 5);
    assert_int_equal(seen.last.total_bytes, 1000);
    assert_true(seen.last.ended >= seen.last.started && seen.last.started >= seen.last.created);
}

static void a_temporary_failure_is_tried_again_from_the_cursor(void **state)
{
    (void)state;
    world.ends[0] = world.ends[1] = VT_JOB_END_AGAIN;
    VT_AUTO(vt_jobs) jobs = opened();
    start(jobs);
    int64_t id = added(jobs, "PACS", "study", 0);

    assert_int_equal(end_of(jobs, id), VT_JOB_DONE);
    assert_int_equal(atomic_load(&world.runs), 3);
    assert_string_equal(world.cursors[0], "");
    assert_string_equal(world.cursors[2], "after-1");
    assert_int_equal(listed(jobs, (struct vt_jobs_filter){ .id = id }).last.attempts, 2);
}

static void a_job_is_given_up_in_the_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < 8; i++)
        world.ends[i] = VT_JOB_END_AGAIN;
    options.give_up = 1;
    VT_AUTO(vt_jobs) jobs = opened();
    start(jobs);
    int64_t id = added(jobs, "PACS", "study", 0);

    assert_int_equal(end_of(jobs, id), VT_JOB_FAILED);
    assert_string_equal(listed(jobs, (struct vt_jobs_filter){ .id = id }).reason, "the peer refused");
    assert_int_equal(atomic_load(&world.runs), 1);
}

static void a_permanent_failure_is_not_tried_again_until_somebody_says_so(void **state)
{
    (void)state;
    struct vt_err err = { 0 };
    world.ends[0] = VT_JOB_END_FAILED;
    VT_AUTO(vt_jobs) jobs = opened();
    start(jobs);
    int64_t id = added(jobs, "PACS", "study", 0);

    assert_int_equal(end_of(jobs, id), VT_JOB_FAILED);
    assert_true(vt_jobs_retry(jobs, id, &err));
    assert_int_equal(end_of(jobs, id), VT_JOB_DONE);
    assert_int_equal(atomic_load(&world.runs), 2);
    assert_false(vt_jobs_retry(jobs, id, &err));
    assert_int_equal(err.code, VT_E_INVALID);
}

static void later_costs_no_attempt(void **state)
{
    (void)state;
    world.ends[0] = VT_JOB_END_LATER;
    VT_AUTO(vt_jobs) jobs = opened();
    start(jobs);
    int64_t id = added(jobs, "PACS", "study", 0);

    assert_int_equal(end_of(jobs, id), VT_JOB_DONE);
    assert_int_equal(listed(jobs, (struct vt_jobs_filter){ .id = id }).last.attempts, 0);
    assert_int_equal(atomic_load(&world.runs), 2);
}

static void one_key_is_worked_on_one_by_one_and_another_beside_it(void **state)
{
    (void)state;
    int64_t ids[4];
    atomic_store(&world.hold, true);
    VT_AUTO(vt_jobs) jobs = opened();
    start(jobs);
    for (size_t i = 0; i < 3; i++)
        ids[i] = added(jobs, "PACS", "study", 0);
    wait_for_runs(1);
    vt_clock_sleep(20 * VT_NS_PER_MS);
    assert_int_equal(atomic_load(&world.now), 1);
    ids[3] = added(jobs, "OTHER", "study", 0);
    wait_for_runs(2);
    atomic_store(&world.hold, false);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(end_of(jobs, ids[i]), VT_JOB_DONE);
    assert_true(atomic_load(&world.most) <= 2);
}

static void the_higher_priority_goes_first_then_the_older(void **state)
{
    (void)state;
    VT_AUTO(vt_jobs) jobs = opened();
    added(jobs, "PACS", "b", 0);
    int64_t last = added(jobs, "PACS", "c", 0);
    added(jobs, "PACS", "a", 5);
    start(jobs);

    assert_int_equal(end_of(jobs, last), VT_JOB_DONE);
    assert_memory_equal(world.order, "abc", 3);
}

static void what_ran_when_the_process_was_killed_goes_on_from_its_cursor(void **state)
{
    (void)state;
    atomic_store(&world.hold, true);
    pid_t child = fork();
    if (child == 0) {
        struct vt_jobs *jobs = opened();
        start(jobs);
        added(jobs, "PACS", "study", 0);
        wait_for_runs(1);
        vt_clock_sleep(50 * VT_NS_PER_MS);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));

    atomic_store(&world.hold, false);
    VT_AUTO(vt_jobs) jobs = opened();
    assert_int_equal(vt_jobs_count(jobs, VT_JOB_WAITING), 1);
    start(jobs);
    assert_int_equal(end_of(jobs, 1), VT_JOB_DONE);
    assert_string_equal(world.cursors[0], "after-0");
}

static void a_stopped_queue_leaves_its_jobs_waiting(void **state)
{
    (void)state;
    atomic_store(&world.hold, true);
    VT_AUTO(vt_jobs) jobs = opened();
    start(jobs);
    int64_t id = added(jobs, "PACS", "study", 0);
    wait_for_runs(1);
    vt_jobs_stop(jobs);

    struct seen seen = listed(jobs, (struct vt_jobs_filter){ .id = id });
    assert_int_equal(seen.last.state, VT_JOB_WAITING);
    assert_int_equal(seen.last.attempts, 0);
    assert_string_equal(seen.cursor, "after-0");
    assert_int_equal(atomic_load(&world.ended), 0);
}

static void a_running_job_can_be_cancelled_and_is_not_run_again(void **state)
{
    (void)state;
    struct vt_err err = { 0 };
    atomic_store(&world.hold, true);
    VT_AUTO(vt_jobs) jobs = opened();
    start(jobs);
    int64_t id = added(jobs, "PACS", "study", 0), next = added(jobs, "PACS", "study", 0);
    wait_for_runs(1);

    assert_true(vt_jobs_cancel(jobs, id, &err));
    assert_int_equal(end_of(jobs, id), VT_JOB_CANCELLED);
    assert_true(vt_jobs_cancel(jobs, next, &err));
    assert_int_equal(end_of(jobs, next), VT_JOB_CANCELLED);
    assert_false(vt_jobs_cancel(jobs, id, &err));
    assert_int_equal(err.code, VT_E_INVALID);
    vt_err_clear(&err);
    assert_false(vt_jobs_cancel(jobs, 999, &err));
    assert_int_equal(err.code, VT_E_NOTFOUND);
}

static void a_paused_job_goes_on_where_it_was(void **state)
{
    (void)state;
    struct vt_err err = { 0 };
    atomic_store(&world.hold, true);
    VT_AUTO(vt_jobs) jobs = opened();
    start(jobs);
    int64_t id = added(jobs, "PACS", "study", 0);
    wait_for_runs(1);

    assert_true(vt_jobs_pause(jobs, id, &err));
    assert_int_equal(end_of(jobs, id), VT_JOB_PAUSED);
    atomic_store(&world.hold, false);
    assert_true(vt_jobs_resume(jobs, id, &err));
    assert_int_equal(end_of(jobs, id), VT_JOB_DONE);
    assert_string_equal(world.cursors[1], "after-0");
}

static void the_same_mark_gives_the_same_job_until_it_ended(void **state)
{
    (void)state;
    const struct vt_job_new job = { .kind = "send", .key = "PACS", .once = "1.2.3" };
    struct vt_err err = { 0 };
    int64_t ids[3];
    VT_AUTO(vt_jobs) jobs = opened();

    assert_true(vt_jobs_add(jobs, &job, &ids[0], &err));
    assert_true(vt_jobs_add(jobs, &job, &ids[1], &err));
    assert_int_equal(ids[0], ids[1]);
    start(jobs);
    assert_int_equal(end_of(jobs, ids[0]), VT_JOB_DONE);
    assert_true(vt_jobs_add(jobs, &job, &ids[2], &err));
    assert_true(ids[2] > ids[0]);
}

static enum vt_job_end fail_items(void *context, struct vt_job_run *handle, struct vt_err *err)
{
    int attempt = atomic_fetch_add((atomic_int *)context, 1);

    vt_job_fail_item(handle, "1.1", true, "no such class", err);
    vt_job_fail_item(handle, "1.1", true, "no such class", err);
    vt_job_fail_item(handle, "1.2", attempt == 1, "out of space", err);
    if (attempt == 1) {
        vt_job_settle_item(handle, "1.1", err);
        return VT_JOB_END_DONE;
    }
    vt_fail(err, VT_E_STATUS, "out of space");
    return VT_JOB_END_AGAIN;
}

static bool see_item(void *context, const struct vt_job_item *item)
{
    char *text = context;
    size_t at = strlen(text);

    snprintf(text + at, 128 - at, "%s %d %s;", item->item, item->permanent, item->reason);
    return true;
}

static void failed_items_are_listed_with_their_reason(void **state)
{
    (void)state;
    static atomic_int attempts;
    const struct vt_job_kind kind = { .name = "forward", .run = fail_items, .context = &attempts };
    const struct vt_job_new job = { .kind = "forward", .key = "PACS" };
    struct vt_err err = { 0 };
    char text[128] = "";
    int64_t id;
    VT_AUTO(vt_jobs) jobs = opened();

    assert_true(vt_jobs_kind(jobs, &kind, &err));
    start(jobs);
    assert_true(vt_jobs_add(jobs, &job, &id, &err));
    assert_int_equal(end_of(jobs, id), VT_JOB_DONE);
    assert_int_equal(listed(jobs, (struct vt_jobs_filter){ .id = id }).last.failed, 1);
    assert_true(vt_jobs_items(jobs, id, see_item, text, &err));
    assert_string_equal(text, "1.2 1 out of space;");
}

static void a_list_can_be_narrowed(void **state)
{
    (void)state;
    VT_AUTO(vt_jobs) jobs = opened();
    added(jobs, "PACS", "a", 0);
    int64_t second = added(jobs, "OTHER", "b", 0);
    added(jobs, "PACS", "c", 0);

    assert_int_equal(listed(jobs, (struct vt_jobs_filter){ 0 }).count, 3);
    assert_int_equal(listed(jobs, (struct vt_jobs_filter){ .key = "PACS" }).count, 2);
    assert_int_equal(listed(jobs, (struct vt_jobs_filter){ .before = second }).count, 1);
    assert_int_equal(listed(jobs, (struct vt_jobs_filter){ .limit = 2 }).count, 2);
    assert_int_equal(listed(jobs, (struct vt_jobs_filter){ .kind = "fetch" }).count, 0);
    assert_int_equal(listed(jobs, (struct vt_jobs_filter){ .states = 1u << VT_JOB_DONE }).count, 0);
    assert_int_equal(listed(jobs, (struct vt_jobs_filter){ .states = 1u << VT_JOB_WAITING }).count, 3);
}

static bool see_arguments(void *context, const struct vt_job *job)
{
    snprintf(context, 64, "%s", job->arguments);
    return true;
}

static void arguments_come_back_as_they_were_given(void **state)
{
    (void)state;
    const struct vt_job_new job = { .kind = "send", .key = "PACS", .arguments = "{\"peer\":\"PACS\"}" };
    const struct vt_jobs_filter all = { 0 };
    struct vt_err err = { 0 };
    char seen[64] = "";
    VT_AUTO(vt_jobs) jobs = opened();

    assert_true(vt_jobs_add(jobs, &job, NULL, &err));
    assert_true(vt_jobs_list(jobs, &all, see_arguments, seen, &err));
    assert_string_equal(seen, job.arguments);
}

static void a_text_that_is_too_long_is_refused(void **state)
{
    (void)state;
    struct vt_err err = { 0 };
    char subject[VT_JOB_TEXT_MAX + 2];
    VT_AUTO(vt_jobs) jobs = opened();

    memset(subject, 'x', sizeof subject - 1);
    subject[sizeof subject - 1] = '\0';
    const struct vt_job_new job = { .kind = "send", .key = "PACS", .subject = subject };
    assert_false(vt_jobs_add(jobs, &job, NULL, &err));
    assert_int_equal(err.code, VT_E_INVALID);
}

struct told {
    char kinds[256], detail[512];
};

static void hear(void *context, const struct vt_event *event)
{
    struct told *told = context;
    size_t at = strlen(told->kinds);

    snprintf(told->kinds + at, sizeof told->kinds - at, "%s ", event->kind);
    snprintf(told->detail, sizeof told->detail, "%s", event->detail);
}

static void the_way_of_a_job_is_told_as_events(void **state)
{
    (void)state;
    struct told told = { .kinds = "" };
    struct vt_err err = { 0 };
    VT_AUTO(vt_events) events = vt_events_new();

    assert_true(vt_events_subscribe(events, "job.", hear, &told, &err));
    options.events = events;
    {
        VT_AUTO(vt_jobs) jobs = opened();
        int64_t id = added(jobs, "PA\"CS", "1.2.3", 0);
        start(jobs);
        assert_int_equal(end_of(jobs, id), VT_JOB_DONE);
    }
    assert_string_equal(told.kinds, "job.added job.started job.progress job.ended ");
    assert_non_null(strstr(told.detail, "\"key\":\"PA\\\"CS\""));
    assert_non_null(strstr(told.detail, "\"state\":\"done\",\"done\":5,\"total\":10"));
}

static void a_mark_is_what_was_set_last(void **state)
{
    (void)state;
    struct vt_err err = { 0 };
    int64_t value = 7;
    VT_AUTO(vt_jobs) jobs = opened();

    assert_true(vt_jobs_mark(jobs, "routes", &value, &err));
    assert_int_equal(value, 0);
    assert_true(vt_jobs_set_mark(jobs, "routes", 5, &err));
    assert_true(vt_jobs_set_mark(jobs, "routes", -9, &err));
    assert_true(vt_jobs_mark(jobs, "routes", &value, &err));
    assert_int_equal(value, -9);
}

static bool add_and_steer(void *context, struct vt_err *err)
{
    const struct vt_job_new job = { .kind = "send", .key = "PACS", .subject = "s" };
    int64_t id;

    (void)context;
    VT_AUTO(vt_jobs) jobs = vt_jobs_open(&options, err);
    return jobs && vt_jobs_kind(jobs, &send_kind, err) && vt_jobs_add(jobs, &job, &id, err) &&
           vt_jobs_pause(jobs, id, err) && vt_jobs_cancel(jobs, id, err);
}

static void without_memory_it_fails_and_leaks_nothing(void **state)
{
    (void)state;
    assert_true(vt_torture(add_and_steer, NULL) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_job_runs_and_is_done, fresh),
        cmocka_unit_test_setup(a_temporary_failure_is_tried_again_from_the_cursor, fresh),
        cmocka_unit_test_setup(a_job_is_given_up_in_the_end, fresh),
        cmocka_unit_test_setup(a_permanent_failure_is_not_tried_again_until_somebody_says_so, fresh),
        cmocka_unit_test_setup(later_costs_no_attempt, fresh),
        cmocka_unit_test_setup(one_key_is_worked_on_one_by_one_and_another_beside_it, fresh),
        cmocka_unit_test_setup(the_higher_priority_goes_first_then_the_older, fresh),
        cmocka_unit_test_setup(what_ran_when_the_process_was_killed_goes_on_from_its_cursor, fresh),
        cmocka_unit_test_setup(a_stopped_queue_leaves_its_jobs_waiting, fresh),
        cmocka_unit_test_setup(a_running_job_can_be_cancelled_and_is_not_run_again, fresh),
        cmocka_unit_test_setup(a_paused_job_goes_on_where_it_was, fresh),
        cmocka_unit_test_setup(the_same_mark_gives_the_same_job_until_it_ended, fresh),
        cmocka_unit_test_setup(failed_items_are_listed_with_their_reason, fresh),
        cmocka_unit_test_setup(a_list_can_be_narrowed, fresh),
        cmocka_unit_test_setup(arguments_come_back_as_they_were_given, fresh),
        cmocka_unit_test_setup(a_text_that_is_too_long_is_refused, fresh),
        cmocka_unit_test_setup(the_way_of_a_job_is_told_as_events, fresh),
        cmocka_unit_test_setup(a_mark_is_what_was_set_last, fresh),
        cmocka_unit_test_setup(without_memory_it_fails_and_leaks_nothing, fresh),
    };

    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/state.db", folder);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) == 0 ? failed : 1;
}
