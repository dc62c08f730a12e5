/* Jobs under /api: listed, steered. */
#include "console/api_inside.h"
#include "core/err.h"
#include "core/jobs.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 200, ROWS_MAX = 1000 };

static struct vt_jobs *jobs_of(struct vt_request *request)
{
    const struct vt_console *console = vt_request_context(request);

    if (!console->options.jobs)
        vt_answer_error(request, 503, "This node runs no jobs.");
    return console->options.jobs;
}

static json_int_t ms(int64_t ns)
{
    return (json_int_t)(ns / 1000000);
}

static bool job_row(void *rows, const struct vt_job *job)
{
    json_t *row = json_pack("{s:I, s:s, s:s, s:s?, s:s, s:s?, s:s?}", "id", (json_int_t)job->id, "kind", job->kind, "key",
                            job->key, "subject", job->subject, "state", vt_job_state_name(job->state), "who", job->who,
                            "reason", job->reason);
    const struct {
        const char *name;
        json_int_t value;
    } numbers[] = {
        { "done", (json_int_t)job->done },           { "total", (json_int_t)job->total },
        { "done_bytes", (json_int_t)job->done_bytes }, { "total_bytes", (json_int_t)job->total_bytes },
        { "failed", (json_int_t)job->failed },       { "attempts", job->attempts },
        { "created", ms(job->created) },             { "ended", ms(job->ended) },
        { "next_attempt", ms(job->next_attempt) },
    };

    for (size_t i = 0; row && i < VT_COUNT(numbers); i++)
        json_object_set_new(row, numbers[i].name, json_integer(numbers[i].value));
    return json_array_append_new(rows, row) == 0;
}

static bool read_number(const char *text, int64_t most, int64_t *out)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    *out = strtoll(text, &end, 10);
    return !*end && *out > 0 && *out <= most;
}

static bool read_filter(const struct vt_request *request, struct vt_jobs_filter *out, struct vt_err *err)
{
    const char *state = vt_request_query(request, "state"), *limit = vt_request_query(request, "limit"),
               *before = vt_request_query(request, "before");
    enum vt_job_state which;
    int64_t count = ROWS;

    if (state && !vt_job_state_parse(state, &which))
        return vt_fail(err, VT_E_INVALID, "'%.40s' is not a state of jobs", state);
    if ((limit && !read_number(limit, ROWS_MAX, &count)) || (before && !read_number(before, INT64_MAX, &out->before)))
        return vt_fail(err, VT_E_INVALID, "limit is 1 to %d, before the number of a job", ROWS_MAX);
    out->states = state ? 1u << which : 0;
    out->limit = (unsigned)count;
    return true;
}

static void list(struct vt_request *request)
{
    struct vt_jobs *jobs = jobs_of(request);
    struct vt_jobs_filter filter = { 0 };
    struct vt_err err = { 0 };

    if (!jobs)
        return;
    json_t *rows = json_array();
    if (read_filter(request, &filter, &err) && vt_jobs_list(jobs, &filter, job_row, rows, &err)) {
        vt_answer_json(request, 200, json_pack("{s:o}", "rows", rows));
        return;
    }
    json_decref(rows);
    vt_answer_err(request, &err);
}

static void steer(struct vt_request *request)
{
    static const struct {
        const char *verb;
        bool (*run)(struct vt_jobs *jobs, int64_t id, struct vt_err *err);
    } rows[] = {
        { "cancel", vt_jobs_cancel }, { "pause", vt_jobs_pause }, { "resume", vt_jobs_resume }, { "retry", vt_jobs_retry },
    };
    struct vt_jobs *jobs = jobs_of(request);
    struct vt_err err = { 0 };
    int64_t id;

    if (!jobs)
        return;
    if (!read_number(vt_request_part(request, 0), INT64_MAX, &id)) {
        vt_answer_error(request, 400, "Jobs are numbered from 1.");
        return;
    }
    for (size_t i = 0; i < VT_COUNT(rows); i++)
        if (strcmp(rows[i].verb, vt_request_part(request, 1)) == 0) {
            if (rows[i].run(jobs, id, &err))
                vt_answer_json(request, 200, json_pack("{s:I}", "id", (json_int_t)id));
            else
                vt_answer_err(request, &err);
            return;
        }
    vt_answer_error(request, 404, "Jobs can be told to cancel, pause, resume and retry.");
}

const struct vt_route vt_jobs_routes[] = {
    { "GET", "/api/jobs", VT_USER_VIEWER, list, NULL, 0 },
    { "POST", "/api/jobs/*/*", VT_USER_OPERATOR, steer, NULL, 1 },
    { NULL, NULL, VT_USER_NOBODY, NULL, NULL, 0 },
};
