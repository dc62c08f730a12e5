/* vitrine send PEER KEY=VALUE...: what the archive has of it becomes jobs, one a study. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/admin_verbs.h"
#include "cmd/job_verbs.h"
#include "cmd/vitrined_jobs.h"
#include "cmd/vitrined_send.h"
#include "core/buf.h"
#include "core/err.h"

enum { INSTANCES_MAX = 1000000, UIDS_MAX = INSTANCES_MAX * (VT_UID_MAX + 1), JOBS_MAX = 20000 };

/* Instances in the order of the index: a study's stand together. */
struct collected {
    struct vt_buf uids;       /* text with zeroes */
    struct vt_buf places;     /* size_t: where each begins in uids */
    struct vt_send_new *jobs; /* `instances` is filled in at the end */
    size_t job_count, job_room;
    char (*studies)[VT_UID_MAX + 1];
};

static bool begin_job(struct collected *all, const struct vt_index_entry *entry, struct vt_err *err)
{
    if (all->job_count == all->job_room) {
        size_t wanted = all->job_room ? all->job_room * 2 : 64;
        if (wanted > JOBS_MAX * 2)
            return vt_fail(err, VT_E_LIMIT, "more than %d studies: send less at once", JOBS_MAX);
        void *jobs = reallocarray(all->jobs, wanted, sizeof *all->jobs);
        all->jobs = jobs ? jobs : all->jobs;
        void *studies = reallocarray(all->studies, wanted, sizeof *all->studies);
        all->studies = studies ? studies : all->studies;
        if (!jobs || !studies)
            return vt_fail(err, VT_E_NOMEM, "no memory for a list of studies");
        all->job_room = wanted;
    }
    memcpy(all->studies[all->job_count], entry->study_uid, sizeof entry->study_uid);
    all->jobs[all->job_count++] = (struct vt_send_new){ .count = 0 };
    return true;
}

static bool take(struct collected *all, const struct vt_index_entry *entry, struct vt_err *err)
{
    size_t place = all->uids.size;

    if (all->job_count == 0 || strcmp(all->studies[all->job_count - 1], entry->study_uid) != 0 ||
        all->jobs[all->job_count - 1].count == VT_SEND_JOB_MAX)
        if (!begin_job(all, entry, err))
            return false;
    struct vt_send_new *job = &all->jobs[all->job_count - 1];
    job->count++;
    job->bytes += entry->data_set_size;
    return vt_buf_append(&all->places, &place, sizeof place, err) &&
           vt_buf_append(&all->uids, entry->sop_uid, strlen(entry->sop_uid) + 1, err);
}

static bool collect(struct vt_admin_call *call, struct collected *all, struct vt_err *err)
{
    struct vt_query_rules rules = *call->rules;
    struct vt_index_entry entry;
    bool more;

    rules.max_matches = 0;
    VT_AUTO(vt_query)
    query = vt_query_from_words(VT_LEVEL_STUDY, call->args + 1, call->arg_count - 1, &rules, err);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, err) : NULL;
    VT_AUTO(vt_cursor)
    cursor = plan ? vt_index_select(vt_archive_index(call->admin.archive), plan, err) : NULL;
    if (!cursor)
        return false;
    do {
        if (!vt_cursor_select_next(cursor, &entry, &more, err) || (more && !take(all, &entry, err)))
            return false;
    } while (more);
    return true;
}

static bool enqueue(struct vt_admin_call *call, struct collected *all, int64_t *ids,
                    struct vt_err *err)
{
    size_t count = all->places.size / sizeof(size_t), at = 0;
    vt_autofree const char **uids = calloc(count + 1, sizeof *uids);

    if (!uids)
        return vt_fail(err, VT_E_NOMEM, "no memory for a list of %zu instances", count);
    for (size_t i = 0; i < count; i++) {
        size_t place;
        memcpy(&place, all->places.data + i * sizeof place, sizeof place);
        uids[i] = (const char *)all->uids.data + place;
    }
    for (size_t i = 0; i < all->job_count; i++) {
        struct vt_send_new *job = &all->jobs[i];
        job->instances = uids + at;
        job->peer = call->args[0];
        job->subject = all->studies[i];
        job->who = call->admin.who;
        job->priority = 1; /* somebody waits for it */
        job->commit = json_is_true(json_object_get(call->options, "commit"));
        at += job->count;
    }
    return vt_send_enqueue(call->world, all->jobs, all->job_count, ids, err);
}

static bool send(struct vt_admin_call *call, struct collected *all, json_t *result,
                 struct vt_err *err)
{
    struct vt_job_peer peer;

    if (!vt_world_peer(call->world, call->args[0], &peer, err) || !collect(call, all, err))
        return false;
    if (all->job_count == 0)
        return vt_fail(err, VT_E_NOTFOUND, "the archive has nothing that matches");
    vt_autofree int64_t *ids = calloc(all->job_count, sizeof *ids);
    if (!ids)
        return vt_fail(err, VT_E_NOMEM, "no memory for a list of jobs");
    if (!enqueue(call, all, ids, err))
        return false;
    json_object_set_new(result, "jobs", json_integer((json_int_t)all->job_count));
    if (json_is_true(json_object_get(call->options, "background"))) {
        char text[96];
        snprintf(text, sizeof text,
                 "%zu instances in %zu jobs: 'vitrine job list' shows how far they are",
                 all->places.size / sizeof(size_t), all->job_count);
        json_object_set_new(result, "text", json_string(text));
        return true;
    }
    return vt_verb_wait(call, ids, all->job_count, "sent", result, err);
}

bool vt_verb_send(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    struct collected all = { .uids = { .limit = UIDS_MAX },
                             .places = { .limit = INSTANCES_MAX * sizeof(size_t) } };

    if (!call->world)
        return vt_fail(
            err, VT_E_NOTFOUND,
            "vitrined does not run on this archive: start it, or send files and folders");
    bool ok = send(call, &all, result, err);
    vt_buf_fini(&all.uids);
    vt_buf_fini(&all.places);
    free(all.jobs);
    free(all.studies);
    return ok;
}
