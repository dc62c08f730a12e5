#include "cmd/verbs_burn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/admin_verbs.h"
#include "cmd/vitrined_jobs.h"
#include "core/err.h"

enum { LIST_MAX = 200 };

struct looking {
    struct vt_admin_call *call;
    bool discs;    /* a row for each */
    bool found;
};

/* What the discs say, as long as the job says no more than that it waits or runs. */
static const char *state_of(const struct vt_job *job, const json_t *states)
{
    const char *state = json_array_size(states) > 0 ? "queued" : "exporting";

    if (job->state > VT_JOB_RUNNING)
        return vt_job_state_name(job->state);
    for (size_t i = 0; i < json_array_size(states); i++)
        if (strcmp(json_string_value(json_array_get(states, i)), "burning") == 0)
            state = "burning";
    return state;
}

static bool send(const struct looking *looking, json_t *row)
{
    bool more = !row || looking->call->admin.row(looking->call->admin.context, row);

    json_decref(row);
    return more;
}

static bool disc_rows(const struct looking *looking, const struct vt_job *job, const json_t *states, const char *reason)
{
    for (size_t i = 0; i < json_array_size(states); i++) {
        const char *state = json_string_value(json_array_get(states, i));
        json_t *row = json_pack("{s:I, s:I, s:s, s:s}", "job", (json_int_t)job->id, "disc", (json_int_t)i + 1, "state", state, "reason",
                                strcmp(state, "failed") == 0 ? reason : "");
        if (!send(looking, row))
            return false;
    }
    return true;
}

static bool on_job(void *context, const struct vt_job *job)
{
    struct looking *looking = context;
    json_t *cursor = json_loads(job->cursor, 0, NULL);
    const json_t *states = json_object_get(cursor, "states");
    const char *reason = json_string_value(json_object_get(cursor, "reason"));
    bool more = true;

    looking->found = true;
    if (looking->discs && json_array_size(states) > 0)
        more = disc_rows(looking, job, states, reason ? reason : "");
    else
        more = send(looking, json_pack("{s:I, s:s, s:s, s:s, s:I, s:I, s:s, s:s}", "job", (json_int_t)job->id, "burner", job->key,
                                       "subject", job->subject, "state", state_of(job, states), "discs",
                                       (json_int_t)json_array_size(states), "done", (json_int_t)(json_array_size(states) ? job->done : 0),
                                       "reason", job->reason, "who", job->who));
    json_decref(cursor);
    return more;
}

static bool is_here(const struct vt_admin_call *call, struct vt_err *err)
{
    return call->world || vt_fail(err, VT_E_NOTFOUND, "vitrined does not run on this archive, and it is who burns: start it");
}

static bool read_id(const char *text, int64_t *out_id, struct vt_err *err)
{
    char *end;

    errno = 0;
    *out_id = strtoll(text, &end, 10);
    return (!errno && end != text && !*end && *out_id > 0) || vt_fail(err, VT_E_INVALID, "'%.40s' is not the number of a job", text);
}

bool vt_verb_burn_list(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    const struct vt_jobs_filter filter = { .kind = "burn", .limit = LIST_MAX };
    struct looking looking = { .call = call };

    (void)result;
    return is_here(call, err) && vt_jobs_list(call->world->jobs, &filter, on_job, &looking, err);
}

static bool look(struct looking *looking, const char *text, int64_t *out_id, struct vt_err *err)
{
    struct vt_jobs_filter filter = { .kind = "burn" };

    if (!is_here(looking->call, err) || !read_id(text, &filter.id, err) ||
        !vt_jobs_list(looking->call->world->jobs, &filter, on_job, looking, err))
        return false;
    *out_id = filter.id;
    return looking->found || vt_fail(err, VT_E_NOTFOUND, "there is no burn job %s", text);
}

bool vt_verb_burn_show(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    struct looking looking = { .call = call, .discs = true };
    int64_t id;

    (void)result;
    return look(&looking, call->args[0], &id, err);
}

static bool no_row(void *context, json_t *row)
{
    (void)context, (void)row;
    return true;
}

bool vt_verb_burn_cancel(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    struct vt_admin_call quiet = *call;
    int64_t id;

    quiet.admin.row = no_row;
    for (size_t i = 0; i < call->arg_count; i++) {
        struct looking looking = { .call = &quiet };
        if (!look(&looking, call->args[i], &id, err) || !vt_jobs_cancel(call->world->jobs, id, err))
            return false;
    }
    json_object_set_new(result, "jobs", json_integer((json_int_t)call->arg_count));
    return true;
}
