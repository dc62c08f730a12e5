/* vitrine commitment ask PEER KEY=VALUE...: jobs that ask an archive to keep what we hold, and go on
 * until it answered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "archive/admin_rows.h"
#include "cmd/admin_verbs.h"
#include "cmd/job_verbs.h"
#include "cmd/verbs_commitment.h"
#include "cmd/vitrined_jobs.h"
#include "cmd/vitrined_request.h"
#include "core/err.h"

enum { JOBS_MAX = 20000 };

struct asked {
    struct vt_admin_call *call;
    char study[VT_UID_MAX + 1];
    char uids[VT_JOB_ITEMS_MAX][VT_UID_MAX + 1];
    const char *list[VT_JOB_ITEMS_MAX];
    size_t count, instances;
    int64_t ids[JOBS_MAX];
    size_t job_count;
};

static bool end_job(struct asked *asked, struct vt_err *err)
{
    const struct vt_request_new new = { .peer = asked->call->args[0],
                                        .subject = asked->study,
                                        .who = asked->call->admin.who,
                                        .instances = asked->list,
                                        .count = asked->count };

    if (asked->count == 0)
        return true;
    if (asked->job_count == JOBS_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d studies: ask for less at once", JOBS_MAX);
    asked->instances += asked->count;
    asked->count = 0;
    return vt_request_enqueue(asked->call->world, &new, &asked->ids[asked->job_count++], err);
}

static bool take(void *context, const struct vt_index_entry *entry, struct vt_err *err)
{
    struct asked *asked = context;

    if ((strcmp(asked->study, entry->study_uid) != 0 || asked->count == VT_JOB_ITEMS_MAX) &&
        !end_job(asked, err))
        return false;
    memcpy(asked->study, entry->study_uid, sizeof asked->study);
    memcpy(asked->uids[asked->count], entry->sop_uid, sizeof entry->sop_uid);
    asked->list[asked->count] = asked->uids[asked->count];
    asked->count++;
    return true;
}

static bool enqueue(struct asked *asked, struct vt_err *err)
{
    struct vt_admin_call *call = asked->call;
    struct vt_query_rules rules = *call->rules;
    struct vt_job_peer peer;

    rules.max_matches = 0;
    rules.relational = true;
    if (!vt_world_peer(call->world, call->args[0], &peer, err))
        return false;
    VT_AUTO(vt_query)
    query = vt_query_from_words(VT_LEVEL_IMAGE, call->args + 1, call->arg_count - 1, &rules, err);
    if (!query || !vt_admin_each(call->admin.archive, query, take, asked, err) ||
        !end_job(asked, err))
        return false;
    return asked->job_count > 0 ||
           vt_fail(err, VT_E_NOTFOUND, "the archive has nothing that matches");
}

bool vt_verb_commitment_ask(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    vt_autofree struct asked *asked = malloc(sizeof *asked);
    char text[96];

    if (!asked)
        return vt_fail(err, VT_E_NOMEM, "no memory for a list of jobs");
    if (!call->world)
        return vt_fail(err, VT_E_NOTFOUND, "vitrined does not run on this archive: start it");
    asked->call = call;
    asked->study[0] = '\0';
    asked->count = asked->instances = asked->job_count = 0;
    if (!enqueue(asked, err))
        return false;
    json_object_set_new(result, "jobs", json_integer((json_int_t)asked->job_count));
    if (!json_is_true(json_object_get(call->options, "background")))
        return vt_verb_wait(call, asked->ids, asked->job_count, "committed", result, err);
    snprintf(text, sizeof text, "%zu instances in %zu jobs: 'vitrine job list' shows how far they are",
             asked->instances, asked->job_count);
    json_object_set_new(result, "text", json_string(text));
    return true;
}
