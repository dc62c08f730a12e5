#include "cmd/vitrined_volumes.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "archive/admin.h"
#include "archive/volume.h"
#include "cmd/route_rules.h"
#include "cmd/vitrined_jobs.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"

enum { RULES_MAX = 100, DATE_WORD_MAX = 32, WORDS_MAX = VT_RULE_WORDS_MAX + 1 };

#define DAY (24 * 3600 * VT_NS_PER_S)

struct migrate {
    const char *from, *to;
    int64_t arrived_before, study_older_than, every; /* ns; 0: whenever */
    struct vt_rule_words match;
};

/* ---- rules ---- */

static bool read_rule(const struct vt_conf *conf, const char *name, struct migrate *out,
                      struct vt_err *err)
{
    *out = (struct migrate){ .from = vt_conf_text(conf, "migrate", name, "from", VT_VOLUME_MAIN),
                             .to = vt_conf_text(conf, "migrate", name, "to", "") };
    if (!*out->to || strcmp(out->from, out->to) == 0)
        return vt_fail(err, VT_E_INVALID, "migrate.%s: name two volumes, from and to", name);
    return vt_conf_duration(conf, "migrate", name, "arrived_before", VT_NS_PER_MS, 36500 * DAY, DAY,
                            &out->arrived_before, err) &&
           vt_conf_duration(conf, "migrate", name, "study_older_than", DAY, 36500 * DAY, 0,
                            &out->study_older_than, err) &&
           vt_conf_duration(conf, "migrate", name, "every", VT_NS_PER_S, 30 * DAY,
                            3600 * VT_NS_PER_S, &out->every, err) &&
           vt_rule_words_read(conf, "migrate", name, "match", ";", &out->match, err);
}

static bool has_rule(const struct vt_conf *conf, const char *name)
{
    const char *known;

    for (size_t i = 0; (known = vt_conf_name(conf, "migrate", i)); i++)
        if (strcmp(known, name) == 0)
            return true;
    return false;
}

/* StudyDate=-20251122: the last day that is old enough. */
static void date_word(int64_t age, char out[static DATE_WORD_MAX])
{
    time_t day = (time_t)((vt_clock_wall() - age) / VT_NS_PER_S);
    struct tm date;

    localtime_r(&day, &date);
    strftime(out, DATE_WORD_MAX, "StudyDate=-%Y%m%d", &date);
}

static struct vt_query *query_of(const struct migrate *rule, struct vt_err *err)
{
    static const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT, .relational = true };
    const char *words[WORDS_MAX];
    char date[DATE_WORD_MAX];
    size_t count = 0;

    for (; count < rule->match.count; count++)
        words[count] = rule->match.list[count];
    if (rule->study_older_than > 0) {
        date_word(rule->study_older_than, date);
        words[count++] = date;
    }
    if (count == 0)
        words[count++] = "StudyInstanceUID";
    return vt_query_from_words(VT_LEVEL_STUDY, words, count, &rules, err);
}

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

static enum vt_job_end end_of(const struct vt_job_run *run, const struct vt_err *err)
{
    if (vt_job_should_stop(run))
        return VT_JOB_END_STOPPED;
    /* Full, away, busy: that may change. */
    return err->code == VT_E_INVALID ? VT_JOB_END_FAILED : VT_JOB_END_AGAIN;
}

static bool move_all(struct vt_job_world *world, struct vt_job_run *run,
                     const struct vt_volume_rule *rule, struct vt_err *err)
{
    struct working working = { run, vt_job_of(run)->done };
    const uint64_t bytes = vt_job_of(run)->done_bytes;
    const struct vt_admin admin = { .archive = world->archive,
                                    .who = vt_job_of(run)->who,
                                    .row = on_fault,
                                    .progress = on_progress,
                                    .context = &working };
    struct vt_volume_moved moved = { 0 };
    bool ok = vt_admin_volume_migrate(&admin, rule, &moved, err);

    vt_job_progress(run, working.before + moved.instances, bytes + moved.bytes);
    return ok;
}

static enum vt_job_end run_rule(struct vt_job_world *world, struct vt_job_run *run,
                                const char *name, struct vt_err *err)
{
    struct migrate migrate = { 0 };

    if (!has_rule(world->conf, name))
        return VT_JOB_END_DONE; /* the configuration gave it up */
    bool ok = read_rule(world->conf, name, &migrate, err);
    struct vt_query *query = ok ? query_of(&migrate, err) : NULL;
    const struct vt_volume_rule rule = { .from = migrate.from,
                                         .to = migrate.to,
                                         .query = query,
                                         .arrived_before =
                                             vt_clock_wall() - migrate.arrived_before };
    ok = query && move_all(world, run, &rule, err);
    vt_query_free(query);
    vt_rule_words_fini(&migrate.match);
    if (vt_job_should_stop(run))
        return VT_JOB_END_STOPPED;
    if (!ok && migrate.every == 0)
        return VT_JOB_END_FAILED;
    /* Full, away, busy: its next turn comes in any case. */
    if (!ok)
        vt_log(VT_LOG_ERROR, "migrate.failed", "rule=%s text=\"%s\"", name, err->text);
    vt_job_later(run, vt_clock_wall() + migrate.every);
    return VT_JOB_END_LATER;
}

static enum vt_job_end run(void *context, struct vt_job_run *job, struct vt_err *err)
{
    struct vt_job_world *world = context;
    const char *rule, *from = "", *to = "";
    json_t *arguments = vt_world_arguments(job, err);
    enum vt_job_end end;

    if (!arguments)
        return VT_JOB_END_FAILED;
    rule = json_string_value(json_object_get(arguments, "rule"));
    if (rule) {
        end = run_rule(world, job, rule, err);
    } else if (json_unpack(arguments, "{s:s, s:s}", "from", &from, "to", &to) != 0) {
        vt_fail(err, VT_E_CORRUPT, "the arguments of the job name no volumes");
        end = VT_JOB_END_FAILED;
    } else {
        const struct vt_volume_rule all = { .from = from, .to = to };
        end = move_all(world, job, &all, err) ? VT_JOB_END_DONE : end_of(job, err);
    }
    json_decref(arguments);
    return end;
}

static bool check_rule(const struct vt_conf *conf, const char *name, struct vt_err *err)
{
    struct migrate rule = { 0 };
    bool ok = read_rule(conf, name, &rule, err);
    struct vt_query *query = ok ? query_of(&rule, err) : NULL;

    vt_rule_words_fini(&rule.match);
    vt_query_free(query);
    return query != NULL || vt_fail_context(err, "migrate.%s", name);
}

bool vt_migrate_kind(struct vt_job_world *world, struct vt_err *err)
{
    const struct vt_job_kind kind = {
        .name = "migrate", .parallel = 1, .run = run, .context = world
    };
    const char *name;

    for (size_t i = 0; (name = vt_conf_name(world->conf, "migrate", i)); i++)
        if (i == RULES_MAX || !check_rule(world->conf, name, err))
            return i == RULES_MAX ? vt_fail(err, VT_E_LIMIT, "more than %d migrate rules", RULES_MAX)
                                  : false;
    return vt_jobs_kind(world->jobs, &kind, err);
}

static bool add(struct vt_job_world *world, json_t *object, const char *key, const char *subject,
                const char *who, int64_t *out_id, struct vt_err *err)
{
    char *arguments = object ? json_dumps(object, JSON_COMPACT) : NULL;
    char short_key[VT_JOB_NAME_MAX + 1];
    struct vt_job_new job = { .kind = "migrate",
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
    return add(world, json_pack("{s:s, s:s}", "from", from, "to", to), to, subject, who, out_id,
               err);
}

bool vt_migrate_start(struct vt_job_world *world, struct vt_err *err)
{
    char subject[VT_JOB_TEXT_MAX];
    const char *name;

    for (size_t i = 0; (name = vt_conf_name(world->conf, "migrate", i)); i++) {
        const char *to = vt_conf_text(world->conf, "migrate", name, "to", "");
        snprintf(subject, sizeof subject, "rule %.200s", name);
        if (!add(world, json_pack("{s:s}", "rule", name), to, subject, "migrate", NULL, err))
            return false;
    }
    return true;
}
