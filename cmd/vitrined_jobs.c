#include "cmd/vitrined_jobs.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "archive/archive.h"
#include "cmd/vitrined_commit.h"
#include "cmd/vitrined_expire.h"
#include "cmd/vitrined_fetch.h"
#include "cmd/vitrined_media.h"
#include "cmd/vitrined_notify.h"
#include "cmd/vitrined_prefetch.h"
#include "cmd/vitrined_print.h"
#include "cmd/vitrined_request.h"
#include "cmd/vitrined_routes.h"
#include "cmd/vitrined_send.h"
#include "cmd/vitrined_volumes.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "scu/peers.h"

enum { WORKERS = 8, BACK_OFF_MAX = 16, BACK_OFF_TEXT_MAX = 256 };

/* Each registers its kind of job. */
static bool (*const kinds[])(struct vt_job_world *world, struct vt_err *err) = {
    vt_send_kind, vt_fetch_kind, vt_notify_kind, vt_prefetch_kind, vt_commit_kind,
    vt_migrate_kind, vt_expire_kind, vt_request_kind, vt_media_kinds, vt_print_kind,
};

/* "1m 5m 30m 1h" */
static bool read_back_off(const struct vt_conf *conf, int64_t list[static BACK_OFF_MAX],
                          size_t *out_count, struct vt_err *err)
{
    const char *text = vt_conf_text(conf, "jobs", NULL, "back_off", "1m 5m 30m 1h");
    char copy[BACK_OFF_TEXT_MAX], *rest = NULL;
    VT_AUTO(vt_conf) words = vt_conf_new();

    if (!words)
        return vt_fail(err, VT_E_NOMEM, "no memory for jobs.back_off");
    snprintf(copy, sizeof copy, "%s", text);
    *out_count = 0;
    for (char *word = strtok_r(copy, " ,\t", &rest); word; word = strtok_r(NULL, " ,\t", &rest)) {
        if (*out_count == BACK_OFF_MAX)
            return vt_fail(err, VT_E_LIMIT, "jobs.back_off has more than %d times", BACK_OFF_MAX);
        if (!vt_conf_set(words, "jobs", NULL, "back_off", word, err) ||
            !vt_conf_duration(words, "jobs", NULL, "back_off", VT_NS_PER_MS,
                              7 * 24 * 3600 * VT_NS_PER_S, 0, &list[*out_count], err))
            return false;
        ++*out_count;
    }
    return *out_count > 0 || vt_fail(err, VT_E_INVALID, "jobs.back_off names no time");
}

bool vt_world_open(struct vt_job_world *world, struct vt_err *err)
{
    int64_t back_off[BACK_OFF_MAX], workers;
    char path[PATH_MAX];
    struct vt_jobs_options options = { .path = path,
                                       .back_off = back_off,
                                       .events = world->events };

    if (!vt_conf_int(world->conf, "jobs", NULL, "workers", 1, VT_JOBS_WORKERS_MAX, WORKERS,
                     &workers, err) ||
        !vt_conf_duration(world->conf, "jobs", NULL, "give_up", VT_NS_PER_S,
                          90 * 24 * 3600 * VT_NS_PER_S, 3 * 24 * 3600 * VT_NS_PER_S,
                          &options.give_up, err) ||
        !read_back_off(world->conf, back_off, &options.back_off_count, err))
        return false;
    options.workers = (unsigned)workers;
    snprintf(path, sizeof path, "%s/state.db", vt_archive_path(world->archive));
    world->jobs = vt_jobs_open(&options, err);
    if (!world->jobs)
        return false;
    for (size_t i = 0; i < VT_COUNT(kinds); i++)
        if (!kinds[i](world, err))
            return false;
    return vt_routes_open(world, err);
}

bool vt_world_start(struct vt_job_world *world, struct vt_err *err)
{
    return vt_routes_start(world, err) && vt_migrate_start(world, err) &&
           vt_expire_start(world, err) && vt_jobs_start(world->jobs, err) &&
           vt_commit_start(world, err);
}

void vt_world_stop(struct vt_job_world *world)
{
    vt_jobs_stop(world->jobs);
}

void vt_world_close(struct vt_job_world *world)
{
    vt_routes_close(world);
    vt_jobs_free(world->jobs);
    world->jobs = NULL;
    vt_commit_close(world);
}

/* ---- for kinds of jobs ---- */

bool vt_world_peer(const struct vt_job_world *world, const char *text, struct vt_job_peer *out,
                   struct vt_err *err)
{
    if (!vt_peers_resolve(world->peers, text, &out->peer, out->store, sizeof out->store, err))
        return false;
    out->client = (struct vt_client){
        .calling_ae_title = world->ae_title,
        .peer = &out->peer,
        .tls = world->tls,
        .max_pdu = world->max_pdu,
        .timeout = out->peer.timeout,
    };
    return true;
}

bool vt_world_peer_of(const struct vt_job_world *world, const struct vt_job_run *run,
                      const char *text, struct vt_job_peer *out, struct vt_err *err)
{
    if (!vt_world_peer(world, text, out, err))
        return false;
    out->client.stop_fd = vt_job_stop_fd(run);
    return true;
}

void vt_world_ask_as_shs(const struct vt_job_world *world, struct vt_job_peer *peer)
{
    peer->client.calling_ae_title = world->shs_ae_title;
}

enum vt_job_end vt_world_end(const struct vt_job_run *run)
{
    return vt_job_should_stop(run) ? VT_JOB_END_STOPPED : VT_JOB_END_AGAIN;
}

void vt_world_key(const char *peer, char out[static VT_JOB_NAME_MAX + 1])
{
    snprintf(out, VT_JOB_NAME_MAX + 1, "%s", peer);
}

json_t *vt_world_arguments(const struct vt_job_run *run, struct vt_err *err)
{
    json_error_t why;
    json_t *object = json_loads(vt_job_of(run)->arguments, 0, &why);

    if (json_is_object(object))
        return object;
    json_decref(object);
    vt_fail(err, VT_E_CORRUPT, "the arguments of job %lld are no JSON object",
            (long long)vt_job_of(run)->id);
    return NULL;
}
