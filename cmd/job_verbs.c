#include "cmd/job_verbs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cmd/admin_verbs.h"
#include "cmd/vitrined_jobs.h"
#include "core/clock.h"
#include "core/err.h"

enum { LIST_MAX = 200, STEER_MAX = 100000 };
#define WAIT_STEP (200 * VT_NS_PER_MS)

/* The node's queue, or one opened for the moment: `out_own` frees it. */
static struct vt_jobs *queue_of(const struct vt_admin_call *call, struct vt_jobs **out_own,
                                struct vt_err *err)
{
    char path[PATH_MAX];
    const struct vt_jobs_options options = { .path = path };

    *out_own = NULL;
    if (call->world)
        return call->world->jobs;
    snprintf(path, sizeof path, "%s/state.db", vt_archive_path(call->admin.archive));
    return *out_own = vt_jobs_open(&options, err);
}

static const char *text_option(const struct vt_admin_call *call, const char *key)
{
    return json_string_value(json_object_get(call->options, key));
}

/* ---- looking ---- */

static json_t *time_text(int64_t wall)
{
    char text[VT_CLOCK_TEXT_MAX] = "";

    if (wall)
        vt_clock_text(wall, text);
    return json_string(text);
}

static json_t *job_row(const struct vt_job *job)
{
    json_t *row =
        json_pack("{s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:i, s:i}", "id", (json_int_t)job->id,
                  "kind", job->kind, "peer", job->key, "subject", job->subject, "state",
                  vt_job_state_name(job->state), "done", (json_int_t)job->done, "instances",
                  (json_int_t)job->total, "failed", (json_int_t)job->failed, "attempts",
                  (int)job->attempts, "priority", job->priority);

    if (!row)
        return NULL;
    json_object_set_new(row, "done_bytes", json_integer((json_int_t)job->done_bytes));
    json_object_set_new(row, "total_bytes", json_integer((json_int_t)job->total_bytes));
    json_object_set_new(row, "who", json_string(job->who));
    json_object_set_new(row, "created", time_text(job->created));
    json_object_set_new(row, "started", time_text(job->started));
    json_object_set_new(row, "ended", time_text(job->ended));
    json_object_set_new(row, "next_attempt",
                        time_text(job->state == VT_JOB_WAITING ? job->next_attempt : 0));
    json_object_set_new(row, "reason", json_string(job->reason));
    return row;
}

static bool give_row(struct vt_admin_call *call, json_t *row)
{
    bool more = !row || call->admin.row(call->admin.context, row);

    json_decref(row);
    return more;
}

static bool on_job(void *context, const struct vt_job *job)
{
    return give_row(context, job_row(job));
}

static bool on_item(void *context, const struct vt_job_item *item)
{
    json_t *row = json_pack("{s:s, s:s, s:s}", "item", item->item, "failed",
                            item->permanent ? "for good" : "for now", "reason", item->reason);

    if (row)
        json_object_set_new(row, "at", time_text(item->at));
    return give_row(context, row);
}

static bool read_filter(const struct vt_admin_call *call, struct vt_jobs_filter *out,
                        struct vt_err *err)
{
    const char *state = text_option(call, "state");
    enum vt_job_state found;

    *out = (struct vt_jobs_filter){ .kind = text_option(call, "kind"),
                                    .key = text_option(call, "peer") };
    if (state && !vt_job_state_parse(state, &found))
        return vt_fail(err, VT_E_INVALID,
                       "'%.40s' is none of waiting running paused done failed cancelled", state);
    if (state)
        out->states = 1u << found;
    return true;
}

bool vt_verb_job_list(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    VT_AUTO(vt_jobs) own = NULL;
    struct vt_jobs *jobs = queue_of(call, &own, err);
    struct vt_jobs_filter filter;

    (void)result;
    if (!jobs || !read_filter(call, &filter, err))
        return false;
    filter.limit = json_is_true(json_object_get(call->options, "all")) ? 0 : LIST_MAX;
    return vt_jobs_list(jobs, &filter, on_job, call, err);
}

static bool read_id(const char *text, int64_t *out_id, struct vt_err *err)
{
    char *end;

    errno = 0;
    long long id = strtoll(text, &end, 10);
    if (errno || end == text || *end || id <= 0)
        return vt_fail(err, VT_E_INVALID, "'%.40s' is not the number of a job", text);
    *out_id = id;
    return true;
}

struct shown {
    struct vt_admin_call *call;
    bool found;
};

static bool on_shown(void *context, const struct vt_job *job)
{
    struct shown *shown = context;

    shown->found = true;
    return on_job(shown->call, job);
}

bool vt_verb_job_show(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    VT_AUTO(vt_jobs) own = NULL;
    struct vt_jobs *jobs = queue_of(call, &own, err);
    struct vt_jobs_filter filter = { 0 };
    struct shown shown = { .call = call };

    (void)result;
    if (!jobs || !read_id(call->args[0], &filter.id, err) ||
        !vt_jobs_list(jobs, &filter, on_shown, &shown, err))
        return false;
    if (!shown.found)
        return vt_fail(err, VT_E_NOTFOUND, "there is no job %s", call->args[0]);
    return vt_jobs_items(jobs, filter.id, on_item, call, err);
}

/* ---- steering ---- */

typedef bool (*steering)(struct vt_jobs *jobs, int64_t id, struct vt_err *err);

struct chosen {
    int64_t *ids;
    size_t count, room;
};

static bool choose(void *context, const struct vt_job *job)
{
    struct chosen *chosen = context;

    if (chosen->count == chosen->room) {
        size_t wanted = chosen->room ? chosen->room * 2 : 64;
        int64_t *grown =
            wanted > 2 * STEER_MAX ? NULL : reallocarray(chosen->ids, wanted, sizeof *grown);
        if (!grown)
            return false;
        chosen->ids = grown;
        chosen->room = wanted;
    }
    chosen->ids[chosen->count++] = job->id;
    return true;
}

/* Of a peer or a kind: all whose state allows it; the others are passed over. */
static bool steer_many(struct vt_admin_call *call, struct vt_jobs *jobs, steering act,
                       uint64_t *out_count, struct vt_err *err)
{
    struct vt_jobs_filter filter;
    struct chosen chosen = { 0 };
    bool ok = read_filter(call, &filter, err) && vt_jobs_list(jobs, &filter, choose, &chosen, err);

    for (size_t i = 0; i < chosen.count && ok; i++) {
        struct vt_err why = { 0 };
        if (act(jobs, chosen.ids[i], &why))
            ++*out_count;
        else if (why.code != VT_E_INVALID && why.code != VT_E_NOTFOUND) {
            *err = why;
            ok = false;
        }
    }
    free(chosen.ids);
    return ok;
}

static bool steer(struct vt_admin_call *call, steering act, json_t *result, struct vt_err *err)
{
    VT_AUTO(vt_jobs) own = NULL;
    struct vt_jobs *jobs = queue_of(call, &own, err);
    bool many =
        text_option(call, "peer") || text_option(call, "kind") || text_option(call, "state");
    uint64_t count = 0;

    if (!jobs)
        return false;
    if (call->arg_count == 0 && !many)
        return vt_fail(err, VT_E_INVALID,
                       "name jobs by their numbers, or choose them with --peer, --kind or --state");
    for (size_t i = 0; i < call->arg_count; i++, count++) {
        int64_t id;
        if (!read_id(call->args[i], &id, err) || !act(jobs, id, err))
            return false;
    }
    if (many && !steer_many(call, jobs, act, &count, err))
        return false;
    json_object_set_new(result, "jobs", json_integer((json_int_t)count));
    return true;
}

bool vt_verb_job_cancel(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    return steer(call, vt_jobs_cancel, result, err);
}

bool vt_verb_job_pause(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    return steer(call, vt_jobs_pause, result, err);
}

bool vt_verb_job_resume(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    return steer(call, vt_jobs_resume, result, err);
}

bool vt_verb_job_retry(struct vt_admin_call *call, json_t *result, struct vt_err *err)
{
    return steer(call, vt_jobs_retry, result, err);
}

/* ---- waiting ---- */

struct sums {
    uint64_t done, total, failed, bytes;
    bool over;
    int64_t paused; /* one that is */
    char reason[VT_JOB_TEXT_MAX + 1];
};

static bool add_up(void *context, const struct vt_job *job)
{
    struct sums *sums = context;

    sums->done += job->done;
    sums->total += job->total;
    sums->failed += job->failed;
    sums->bytes += job->done_bytes;
    sums->over = job->state >= VT_JOB_PAUSED;
    if (job->state == VT_JOB_PAUSED)
        sums->paused = job->id;
    if (job->state == VT_JOB_FAILED || job->state == VT_JOB_CANCELLED) {
        if (job->total > job->done + job->failed)
            sums->failed += job->total - job->done - job->failed;
        if (job->failed == 0 && job->total == 0)
            sums->failed++;
    }
    if (*job->reason)
        snprintf(sums->reason, sizeof sums->reason, "%s", job->reason);
    return true;
}

static bool look_at_all(struct vt_jobs *jobs, const int64_t *ids, size_t count, struct sums *sums,
                        bool *out_over, struct vt_err *err)
{
    *sums = (struct sums){ 0 };
    *out_over = true;
    for (size_t i = 0; i < count; i++) {
        const struct vt_jobs_filter filter = { .id = ids[i] };
        if (!vt_jobs_list(jobs, &filter, add_up, sums, err))
            return false;
        *out_over = *out_over && sums->over;
    }
    return true;
}

bool vt_verb_wait(struct vt_admin_call *call, const int64_t *ids, size_t count, const char *counted,
                  json_t *result, struct vt_err *err)
{
    struct vt_jobs *jobs = call->world->jobs;
    char text[2 * VT_JOB_TEXT_MAX];
    struct sums sums = { 0 };
    bool over = false;

    for (size_t i = 0; !over;) {
        enum vt_job_state state;
        struct vt_err why = { 0 };
        if (i < count && vt_jobs_wait(jobs, ids[i], vt_clock_mono() + WAIT_STEP, &state, &why))
            i++;
        else if (i < count && why.code != VT_E_TIMEOUT) {
            *err = why;
            return false;
        }
        if (i < count && i % 64 != 0 && !vt_failed(&why))
            continue;
        if (!look_at_all(jobs, ids, count, &sums, &over, err))
            return false;
        if (call->admin.progress &&
            !call->admin.progress(call->admin.context, sums.done, sums.total, "instances"))
            return vt_fail(err, VT_E_CANCELLED,
                           "no longer waited for; the jobs go on: 'vitrine job list' shows them");
    }
    if (sums.paused)
        return vt_fail(err, VT_E_CANCELLED,
                       "job %lld was paused: 'vitrine job resume %lld' lets it go on",
                       (long long)sums.paused, (long long)sums.paused);
    snprintf(text, sizeof text, "%llu instances %s, %llu failed%s%s", (unsigned long long)sums.done,
             counted, (unsigned long long)sums.failed, sums.failed > 0 && *sums.reason ? ": " : "",
             sums.failed > 0 ? sums.reason : "");
    json_object_set_new(result, "text", json_string(text));
    json_object_set_new(result, counted, json_integer((json_int_t)sums.done));
    json_object_set_new(result, "bytes", json_integer((json_int_t)sums.bytes));
    json_object_set_new(result, "failed", json_integer((json_int_t)sums.failed));
    if (sums.failed > 0 && *sums.reason)
        json_object_set_new(result, "reason", json_string(sums.reason));
    return true;
}
