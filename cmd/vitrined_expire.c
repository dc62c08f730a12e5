#include "cmd/vitrined_expire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "archive/admin_rows.h"
#include "archive/commitment.h"
#include "archive/copies.h"
#include "archive/hold.h"
#include "archive/volume.h"
#include "cmd/storage_rules.h"
#include "cmd/vitrined_jobs.h"
#include "cmd/vitrined_request.h"
#include "cmd/vitrined_volumes.h"
#include "core/conf.h"
#include "core/err.h"

struct expiring {
    struct vt_job_world *world;
    const struct vt_admin *admin;
    const struct vt_storage_rule *rule;
    const char *name;
    const char *peer; /* its AE title; NULL: a volume has the copy */
    bool dry;
    struct vt_expired *out;
};

/* ---- one study ---- */

struct verdict {
    struct vt_archive *archive;
    const char *peer, *copy;
    uint64_t instances, bytes;
    uint64_t held, missing; /* of these: may not go; the other one is not known */
};

static bool judge(void *context, const struct vt_index_entry *entry, struct vt_err *err)
{
    struct verdict *verdict = context;
    char file[VT_FILE_MAX];
    bool allowed = false, there = false;

    if (!vt_hold_allows(verdict->archive, entry, &allowed, err))
        return false;
    if (verdict->peer ? !vt_commitment_elsewhere(verdict->archive, entry, verdict->peer, &there, err)
                      : !vt_copies_find(verdict->archive, entry, verdict->copy, file, &there, err))
        return false;
    verdict->instances++;
    verdict->bytes += entry->file_size;
    verdict->held += !allowed;
    verdict->missing += !there;
    return true;
}

static bool tell(const struct expiring *expiring, const char *study, const struct verdict *verdict,
                 uint64_t instances, const char *what, const char *reason, struct vt_err *err)
{
    return vt_admin_send(expiring->admin,
                         json_pack("{s:s, s:I, s:I, s:s, s:s}", "StudyInstanceUID", study,
                                   "instances", (json_int_t)instances, "bytes",
                                   (json_int_t)verdict->bytes, "action", what, "reason", reason),
                         err);
}

static bool stay(struct expiring *expiring, const char *study, const struct verdict *verdict,
                 const char *reason, struct vt_err *err)
{
    expiring->out->kept++;
    return tell(expiring, study, verdict, verdict->instances, "stays", reason, err);
}

static bool count(struct expiring *expiring, const char *study, const struct verdict *verdict,
                  uint64_t instances, const char *what, struct vt_err *err)
{
    expiring->out->studies++;
    expiring->out->instances += instances;
    return tell(expiring, study, verdict, instances, expiring->dry ? "would go" : "gone", what, err);
}

/* The first copies that have another one; the rest stays where it is. */
static bool release(struct expiring *expiring, const char *study, const struct verdict *verdict,
                    struct vt_err *err)
{
    const struct vt_volume_turn turn = { .way = VT_VOLUME_RELEASE,
                                         .from = expiring->rule->from,
                                         .to = expiring->rule->to,
                                         .dry = expiring->dry };
    struct vt_volume_moved moved = { 0 };
    char text[96];

    if (!vt_admin_volume_turn_study(expiring->admin, study, &turn, &moved, err))
        return false;
    expiring->out->faults += moved.faults;
    expiring->out->bytes += moved.bytes;
    if (moved.instances == 0)
        return stay(expiring, study, verdict,
                    verdict->held > 0 ? "held, or committed to others" : "no copy there", err);
    snprintf(text, sizeof text, "volume %s has a copy", expiring->rule->to);
    return count(expiring, study, verdict, moved.instances, text, err);
}

static bool ask_peer(struct expiring *expiring, const char *study, const struct verdict *verdict,
                     struct vt_err *err)
{
    if (!expiring->dry &&
        !vt_request_enqueue_study(expiring->world, expiring->rule->peer, study, "expire", err))
        return false;
    return stay(expiring, study, verdict, "not committed there yet: it is asked", err);
}

/* To the trash, from which it can be restored for a while. */
static bool give_up(struct expiring *expiring, const char *study, const struct verdict *verdict,
                    struct vt_err *err)
{
    char reason[VT_JOB_TEXT_MAX];
    uint64_t instances = verdict->instances;
    int64_t trash = 0;
    struct vt_admin admin = *expiring->admin;

    admin.committed = false;
    admin.elsewhere = expiring->peer;
    snprintf(reason, sizeof reason, "rule %.60s: %.60s committed to it", expiring->name,
             expiring->rule->peer);
    if (!expiring->dry &&
        !vt_admin_study_delete(&admin, study, reason, &trash, &instances, err)) {
        if (err->code != VT_E_DENIED)
            return false;
        snprintf(reason, sizeof reason, "%.200s", err->text);
        vt_err_clear(err);
        return stay(expiring, study, verdict, reason, err);
    }
    expiring->out->bytes += verdict->bytes;
    snprintf(reason, sizeof reason, "%.60s committed to it", expiring->rule->peer);
    return count(expiring, study, verdict, instances, reason, err);
}

static bool look_at(void *context, const char *study, struct vt_err *err)
{
    struct expiring *expiring = context;
    struct verdict verdict = { .archive = expiring->admin->archive,
                               .peer = expiring->peer,
                               .copy = expiring->rule->to };

    if (!vt_admin_each_of_study(expiring->admin->archive, study, judge, &verdict, err))
        return false;
    if (!expiring->peer)
        return release(expiring, study, &verdict, err);
    if (verdict.held > 0)
        return stay(expiring, study, &verdict, "held, or committed to others", err);
    if (verdict.missing > 0)
        return ask_peer(expiring, study, &verdict, err);
    return give_up(expiring, study, &verdict, err);
}

/* ---- a turn ---- */

bool vt_expire_run(struct vt_job_world *world, const struct vt_admin *admin, const char *name,
                   bool dry, struct vt_expired *out, struct vt_err *err)
{
    struct vt_storage_rule rule = { 0 };
    struct vt_job_peer peer;
    struct vt_volume_moved moved = { 0 };
    struct expiring expiring = {
        .world = world, .admin = admin, .rule = &rule, .name = name, .dry = dry, .out = out
    };

    *out = (struct vt_expired){ 0 };
    bool ok = vt_storage_rule_read(world->conf, "expire", name, &rule, err);
    if (ok && rule.peer) {
        ok = vt_world_peer(world, rule.peer, &peer, err);
        expiring.peer = peer.peer.ae_title;
    }
    struct vt_query *query = ok ? vt_storage_rule_query(&rule, err) : NULL;
    if (query) {
        struct vt_volume_rule all = vt_storage_rule_now(&rule, query);
        all.study = look_at;
        all.context = &expiring;
        ok = vt_admin_volume_migrate(admin, &all, &moved, err);
    }
    vt_query_free(query);
    vt_storage_rule_fini(&rule);
    return ok && query;
}

/* ---- the job ---- */

static bool on_progress(void *context, uint64_t done, uint64_t total, const char *unit)
{
    (void)done, (void)total, (void)unit;
    return !vt_job_should_stop(context);
}

/* What stays is no fault; a copy that is not whole is. */
static bool on_row(void *context, json_t *row)
{
    const char *item = json_string_value(json_object_get(row, "SOPInstanceUID"));
    const char *reason = json_string_value(json_object_get(row, "reason"));
    struct vt_err ignored = { 0 };

    if (item)
        vt_job_fail_item(context, item, true, reason ? reason : "", &ignored);
    return !vt_job_should_stop(context);
}

static enum vt_job_end run(void *context, struct vt_job_run *run, struct vt_err *err)
{
    struct vt_job_world *world = context;
    json_t *arguments = vt_world_arguments(run, err);
    const char *name = json_string_value(json_object_get(arguments, "rule"));
    const struct vt_admin admin = { .archive = world->archive,
                                    .who = vt_job_of(run)->who,
                                    .row = on_row,
                                    .progress = on_progress,
                                    .context = run };
    struct vt_storage_rule rule = { 0 };
    struct vt_expired expired = { 0 };
    enum vt_job_end end = VT_JOB_END_FAILED;

    if (arguments && !name)
        vt_fail(err, VT_E_CORRUPT, "the job names no rule");
    else if (name && !vt_storage_rule_read(world->conf, "expire", name, &rule, err))
        end = vt_migrate_no_rule(err);
    else if (name) {
        bool ok = vt_expire_run(world, &admin, name, false, &expired, err);
        vt_job_progress(run, vt_job_of(run)->done + expired.instances,
                        vt_job_of(run)->done_bytes + expired.bytes);
        end = vt_migrate_turn(run, "expire", name, rule.every, ok, err);
    }
    vt_storage_rule_fini(&rule);
    json_decref(arguments);
    return end;
}

bool vt_expire_kind(struct vt_job_world *world, struct vt_err *err)
{
    const struct vt_job_kind kind = {
        .name = "expire", .parallel = 1, .run = run, .context = world
    };
    const char *name;

    for (size_t i = 0; (name = vt_conf_name(world->conf, "expire", i)); i++) {
        const char *peer = vt_conf_text(world->conf, "expire", name, "peer", NULL);
        struct vt_job_peer known;
        if (peer && !vt_world_peer(world, peer, &known, err))
            return vt_fail_context(err, "expire.%s", name);
    }
    return vt_storage_rules_check(world->conf, "expire", err) &&
           vt_jobs_kind(world->jobs, &kind, err);
}

bool vt_expire_start(struct vt_job_world *world, struct vt_err *err)
{
    const char *name;

    for (size_t i = 0; (name = vt_conf_name(world->conf, "expire", i)); i++) {
        json_t *object = json_pack("{s:s}", "rule", name);
        char *arguments = object ? json_dumps(object, JSON_COMPACT) : NULL;
        char subject[VT_JOB_TEXT_MAX];
        snprintf(subject, sizeof subject, "rule %.200s", name);
        const struct vt_job_new job = { .kind = "expire",
                                        .key = VT_VOLUME_MAIN,
                                        .subject = subject,
                                        .arguments = arguments,
                                        .who = "expire",
                                        .once = subject };
        bool ok = arguments ? vt_jobs_add(world->jobs, &job, NULL, err)
                            : vt_fail(err, VT_E_NOMEM, "no memory for a job");
        free(arguments);
        json_decref(object);
        if (!ok)
            return false;
    }
    return true;
}
