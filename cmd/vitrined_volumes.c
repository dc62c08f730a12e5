#include "cmd/vitrined_volumes.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "archive/admin.h"
#include "archive/copies.h"
#include "archive/volume.h"
#include "cmd/storage_rules.h"
#include "cmd/vitrined_jobs.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/event.h"
#include "core/log.h"

#define SWEEP_EVERY (24 * 3600 * VT_NS_PER_S)

/* ---- the job ---- */

struct working {
    struct vt_job_run *run;
    uint64_t before; /* done by runs before this one */
};

static bool on_progress(void *context, uint64_t done, uint64_t total, const char *unit)
{
    const struct working *working = context;

    (void)total, (void)unit;
    vt_job_progress(working->run, working->before + done, vt_job_of(working->run)->done_bytes);
    return !vt_job_should_stop(working->run);
}

static bool on_fault(void *context, json_t *row)
{
    const struct working *working = context;
    const char *item = json_string_value(json_object_get(row, "SOPInstanceUID"));
    const char *reason = json_string_value(json_object_get(row, "reason"));
    struct vt_err ignored = { 0 };

    vt_job_fail_item(working->run, item ? item : "", true, reason ? reason : "", &ignored);
    return true;
}

enum vt_job_end vt_migrate_turn(struct vt_job_run *run, const char *section, const char *name,
                                int64_t every, bool ok, const struct vt_err *err)
{
    if (vt_job_should_stop(run))
        return VT_JOB_END_STOPPED;
    /* Full, away, busy: its next turn comes in any case. */
    if (!ok)
        vt_log(VT_LOG_ERROR, "migrate.failed", "rule=\"%s %s\" text=\"%s\"", section, name,
               err->text);
    vt_job_later(run, vt_clock_wall() + every);
    return VT_JOB_END_LATER;
}

/* The configuration may have given it up. */
enum vt_job_end vt_migrate_no_rule(struct vt_err *err)
{
    if (err->code != VT_E_NOTFOUND)
        return VT_JOB_END_FAILED;
    vt_err_clear(err);
    return VT_JOB_END_DONE;
}

static enum vt_job_end end_of(const struct vt_job_run *run, const struct vt_err *err)
{
    if (vt_job_should_stop(run))
        return VT_JOB_END_STOPPED;
    /* Full, away, busy: that may change. */
    return err->code == VT_E_INVALID ? VT_JOB_END_FAILED : VT_JOB_END_AGAIN;
}

static struct vt_admin admin_of(const struct vt_job_world *world, struct working *working)
{
    return (struct vt_admin){ .archive = world->archive,
                              .who = vt_job_of(working->run)->who,
                              .row = on_fault,
                              .progress = on_progress,
                              .context = working };
}

/* One of the two. */
static bool move(struct vt_job_world *world, struct vt_job_run *run,
                 const struct vt_volume_rule *rule, bool all, struct vt_err *err)
{
    struct working working = { run, vt_job_of(run)->done };
    const uint64_t bytes = vt_job_of(run)->done_bytes;
    const struct vt_admin admin = admin_of(world, &working);
    struct vt_volume_moved moved = { 0 };
    bool ok = all ? vt_admin_volume_drain(&admin, rule->from, rule->to, &moved, err)
                  : vt_admin_volume_migrate(&admin, rule, &moved, err);

    vt_job_progress(run, working.before + moved.instances, bytes + moved.bytes);
    return ok;
}

/* A study comes home; it may use the room that is kept for this. */
static bool bring_back(struct vt_job_world *world, struct vt_job_run *run, const char *study,
                       struct vt_err *err)
{
    const struct vt_volume_turn turn = { .to = VT_VOLUME_MAIN, .recall = true };
    struct working working = { run, 0 };
    const struct vt_admin admin = admin_of(world, &working);
    struct vt_volume_moved moved = { 0 };
    bool ok = vt_admin_volume_turn_study(&admin, study, &turn, &moved, err);

    vt_job_progress(run, moved.instances, moved.bytes);
    return ok;
}

static bool drain(struct vt_job_world *world, struct vt_job_run *run, const char *from,
                  const char *to, struct vt_err *err)
{
    const struct vt_volume_rule all = { .from = from, .to = to };

    return move(world, run, &all, true, err);
}

/* Copies of what is not served any more. */
static bool sweep_daily(struct vt_job_world *world, struct vt_err *err)
{
    static const char mark[] = "copies.swept";
    int64_t swept = 0, now = vt_clock_wall();

    if (!vt_jobs_mark(world->jobs, mark, &swept, err))
        return false;
    return now - swept < SWEEP_EVERY || (vt_copies_sweep(world->archive, NULL, err) &&
                                         vt_jobs_set_mark(world->jobs, mark, now, err));
}

static enum vt_job_end run_rule(struct vt_job_world *world, struct vt_job_run *run,
                                const char *name, struct vt_err *err)
{
    struct vt_storage_rule migrate = { 0 };

    if (!vt_storage_rule_read(world->conf, "migrate", name, &migrate, err))
        return vt_migrate_no_rule(err);
    struct vt_query *query = vt_storage_rule_query(&migrate, err);
    const struct vt_volume_rule rule = vt_storage_rule_now(&migrate, query);
    bool ok = query && (rule.way != VT_VOLUME_KEEP || sweep_daily(world, err)) &&
              move(world, run, &rule, false, err);
    vt_query_free(query);
    vt_storage_rule_fini(&migrate);
    return vt_migrate_turn(run, "migrate", name, migrate.every, ok, err);
}

static enum vt_job_end run(void *context, struct vt_job_run *job, struct vt_err *err)
{
    struct vt_job_world *world = context;
    const char *rule, *from = "", *to = "", *study;
    json_t *arguments = vt_world_arguments(job, err);
    enum vt_job_end end;

    if (!arguments)
        return VT_JOB_END_FAILED;
    rule = json_string_value(json_object_get(arguments, "rule"));
    if (rule) {
        end = run_rule(world, job, rule, err);
    } else if ((study = json_string_value(json_object_get(arguments, "recall")))) {
        end = bring_back(world, job, study, err) ? VT_JOB_END_DONE : end_of(job, err);
    } else if (json_unpack(arguments, "{s:s, s:s}", "from", &from, "to", &to) != 0) {
        vt_fail(err, VT_E_CORRUPT, "the arguments of the job name no volumes");
        end = VT_JOB_END_FAILED;
    } else {
        end = drain(world, job, from, to, err) ? VT_JOB_END_DONE : end_of(job, err);
    }
    json_decref(arguments);
    return end;
}

bool vt_migrate_kind(struct vt_job_world *world, struct vt_err *err)
{
    const struct vt_job_kind kind = {
        .name = "migrate", .parallel = 1, .run = run, .context = world
    };
    /* Somebody looks at it: not behind a long migration. */
    const struct vt_job_kind recall = {
        .name = "recall", .parallel = 1, .run = run, .context = world
    };

    return vt_storage_rules_check(world->conf, "migrate", err) &&
           vt_jobs_kind(world->jobs, &kind, err) && vt_jobs_kind(world->jobs, &recall, err);
}

static bool add(struct vt_job_world *world, const char *kind, json_t *object, const char *key,
                const char *subject, const char *who, int64_t *out_id, struct vt_err *err)
{
    char *arguments = object ? json_dumps(object, JSON_COMPACT) : NULL;
    char short_key[VT_JOB_NAME_MAX + 1];
    struct vt_job_new job = { .kind = kind,
                              .key = short_key,
                              .subject = subject,
                              .arguments = arguments,
                              .who = who,
                              .once = subject };

    json_decref(object);
    if (!arguments)
        return vt_fail(err, VT_E_NOMEM, "no memory for a job");
    vt_world_key(key, short_key);
    bool ok = vt_jobs_add(world->jobs, &job, out_id, err);
    free(arguments);
    return ok;
}

bool vt_migrate_enqueue(struct vt_job_world *world, const char *from, const char *to,
                        const char *who, int64_t *out_id, struct vt_err *err)
{
    char subject[VT_JOB_TEXT_MAX];

    if (strcmp(from, to) == 0)
        return vt_fail(err, VT_E_INVALID, "volume %s cannot be drained to itself", from);
    snprintf(subject, sizeof subject, "drain %s to %s", from, to);
    return add(world, "migrate", json_pack("{s:s, s:s}", "from", from, "to", to), to, subject, who,
               out_id, err);
}

/* In the thread of who retrieves: an unfinished job for the study is the same one. */
static void on_recall(void *context, const struct vt_event *event)
{
    struct vt_job_world *world = context;
    struct vt_err err = { 0 };

    if (!add(world, "recall", json_pack("{s:s}", "recall", event->subject), VT_VOLUME_MAIN,
             event->subject, "recall", NULL, &err))
        vt_log(VT_LOG_ERROR, "recall.failed", "text=\"%s\"", err.text);
}

bool vt_migrate_start(struct vt_job_world *world, struct vt_err *err)
{
    char subject[VT_JOB_TEXT_MAX];
    const char *name;

    for (size_t i = 0; (name = vt_conf_name(world->conf, "migrate", i)); i++) {
        const char *to = vt_conf_text(world->conf, "migrate", name, "to", "");
        snprintf(subject, sizeof subject, "rule %.200s", name);
        if (!add(world, "migrate", json_pack("{s:s}", "rule", name), to, subject, "migrate", NULL,
                 err))
            return false;
    }
    return vt_events_subscribe(world->events, "study.recall", on_recall, world, err);
}
