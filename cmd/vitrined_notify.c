#include "cmd/vitrined_notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "archive/admin.h"
#include "archive/archive.h"
#include "archive/volume.h"
#include "cmd/arrivals.h"
#include "cmd/vitrined_jobs.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/event.h"
#include "core/log.h"
#include "scu/notify.h"
#include "scu/peers.h"

enum { PEERS_MAX = 32, WORD_MAX = 128 };

struct vt_notifications {
    struct vt_job_world *world;
    const char *peers[PEERS_MAX];
    size_t count;
};

/* ---- when ---- */

/* The instances that completed it stand in the job, so that a start after a crash knows them as
 * told. */
static char *make_arguments(const char *peer, const struct vt_arrivals_batch *batch)
{
    json_t *list = json_array();
    json_t *object =
        json_pack("{s:s, s:s, s:o}", "peer", peer, "study", batch->study_uid, "instances", list);

    for (size_t i = 0; object && i < batch->count; i++)
        json_array_append_new(list, json_string(batch->sop_uids[i]));
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return text;
}

/* `once`: as long as nobody was told yet, the job that waits tells this as well. */
static bool add_jobs(struct vt_notifications *notifications, const struct vt_arrivals_batch *batch,
                     bool once, struct vt_err *err)
{
    struct vt_job_new jobs[PEERS_MAX];
    char *arguments[PEERS_MAX] = { NULL };
    char onces[PEERS_MAX][WORD_MAX];
    bool ok = true;

    for (size_t i = 0; i < notifications->count && ok; i++) {
        arguments[i] = make_arguments(notifications->peers[i], batch);
        jobs[i] = (struct vt_job_new){ .kind = "notify",
                                       .key = notifications->peers[i],
                                       .subject = batch->study_uid,
                                       .arguments = arguments[i],
                                       .once = once ? onces[i] : NULL,
                                       .who = "notify" };
        snprintf(onces[i], sizeof onces[i], "%s %.60s", batch->study_uid, notifications->peers[i]);
        ok = arguments[i] != NULL && strlen(jobs[i].key) <= VT_JOB_NAME_MAX;
    }
    ok = ok ? vt_jobs_add_all(notifications->world->jobs, jobs, notifications->count, NULL, err)
            : vt_fail(err, VT_E_NOMEM, "no memory for a notification");
    for (size_t i = 0; i < notifications->count; i++)
        free(arguments[i]);
    return ok;
}

bool vt_notifications_complete(struct vt_notifications *notifications,
                               const struct vt_arrivals_batch *batch, struct vt_err *err)
{
    return add_jobs(notifications, batch, false, err);
}

/* Deleted, restored, or on slower or faster storage. */
static void on_change(void *context, const struct vt_event *event)
{
    static const char *const kinds[] = { "study.deleted", "study.reduced", "study.restored",
                                         "study.moved" };
    struct vt_arrivals_batch batch = { .count = 0 };
    struct vt_err err = { 0 };
    bool wanted = false;

    for (size_t i = 0; i < VT_COUNT(kinds); i++)
        wanted = wanted || strcmp(event->kind, kinds[i]) == 0;
    snprintf(batch.study_uid, sizeof batch.study_uid, "%s", event->subject);
    if (wanted && !add_jobs(context, &batch, true, &err))
        vt_log(VT_LOG_ERROR, "notify.failed", "text=\"%s\"", err.text);
}

bool vt_notifications_open(struct vt_job_world *world, struct vt_notifications **out,
                           struct vt_err *err)
{
    struct vt_notifications *all = calloc(1, sizeof *all);
    const struct vt_peer *peer;

    if (!all)
        return vt_fail(err, VT_E_NOMEM, "no memory for notifications");
    *all = (struct vt_notifications){ .world = world };
    for (size_t i = 0; (peer = vt_peers_at(world->peers, i)) && !vt_failed(err); i++) {
        bool wanted;
        if (!vt_conf_bool(world->conf, "peer", peer->name, "notify", false, &wanted, err) ||
            !wanted)
            continue;
        if (!peer->host || all->count == PEERS_MAX)
            vt_fail(err, VT_E_INVALID, "peer.%s.notify: %s", peer->name,
                    peer->host ? "too many peers want to be told" : "the peer has no host");
        else
            all->peers[all->count++] = peer->name;
    }
    if (vt_failed(err) || all->count == 0) {
        free(all);
        return !vt_failed(err);
    }
    if (!vt_events_subscribe(world->events, "study.", on_change, all, err)) {
        free(all);
        return false;
    }
    *out = all;
    return true;
}

void vt_notifications_free(struct vt_notifications *notifications)
{
    free(notifications);
}

/* ---- the job ---- */

struct collected {
    struct vt_archive *archive;
    struct vt_notify_instance *list;
    size_t count, room;
};

static bool take(struct collected *all, const char *series_uid, const char *sop_class,
                 const char *sop_uid, const char *availability, struct vt_err *err)
{
    if (all->count == VT_NOTIFY_INSTANCES_MAX)
        return vt_fail(err, VT_E_LIMIT, "the study has more than %d instances",
                       VT_NOTIFY_INSTANCES_MAX);
    if (all->count == all->room) {
        size_t wanted = all->room ? all->room * 2 : 64;
        void *grown = reallocarray(all->list, wanted, sizeof *all->list);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for a list of %zu instances", wanted);
        all->list = grown;
        all->room = wanted;
    }
    struct vt_notify_instance *one = &all->list[all->count++];
    snprintf(one->series_uid, sizeof one->series_uid, "%s", series_uid);
    snprintf(one->sop_class, sizeof one->sop_class, "%s", sop_class);
    snprintf(one->sop_uid, sizeof one->sop_uid, "%s", sop_uid);
    one->availability = availability;
    return true;
}

static bool take_served(struct vt_archive *archive, struct collected *all,
                        const struct vt_index_entry *entry, struct vt_err *err)
{
    const char *availability;

    return vt_volume_availability_of(archive, entry, &availability, err) &&
           take(all, entry->series_uid, entry->sop_class, entry->sop_uid, availability, err);
}

/* Unless it came again. */
static bool take_deleted(void *context, const struct vt_instance *instance, struct vt_err *err)
{
    struct collected *all = context;
    struct vt_index_entry entry;
    bool here = false;

    return vt_index_lookup(vt_archive_index(all->archive), instance->sop_uid, &entry, &here, err) &&
           (here || take(all, instance->series_uid, instance->sop_class, instance->sop_uid,
                         "UNAVAILABLE", err));
}

/* A message lists series by series. */
static int by_series(const void *a, const void *b)
{
    const struct vt_notify_instance *x = a, *y = b;
    int order = strcmp(x->series_uid, y->series_uid);

    return order != 0 ? order : strcmp(x->sop_uid, y->sop_uid);
}

/* What was deleted of it last; nothing, when that is gone for good. */
static bool collect_deleted(struct vt_archive *archive, const char *study, struct collected *all,
                            struct vt_err *err)
{
    const struct vt_admin admin = { .archive = archive };

    if (vt_admin_trash_each(&admin, study, take_deleted, all, err))
        return true;
    if (err->code != VT_E_NOTFOUND)
        return false;
    vt_err_clear(err);
    return true;
}

static bool collect(struct vt_archive *archive, const char *study, struct collected *all,
                    struct vt_err *err)
{
    const struct vt_query_rules rules = { .model = VT_MODEL_NONE };
    char word[WORD_MAX];
    const char *words[] = { word };
    bool more = true;

    snprintf(word, sizeof word, "StudyInstanceUID=%s", study);
    VT_AUTO(vt_query) query = vt_query_from_words(VT_LEVEL_STUDY, words, 1, &rules, err);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, err) : NULL;
    VT_AUTO(vt_cursor) cursor = plan ? vt_index_select(vt_archive_index(archive), plan, err) : NULL;
    while (cursor && more) {
        struct vt_index_entry entry;
        if (!vt_cursor_select_next(cursor, &entry, &more, err) || (more && !take_served(archive, all, &entry, err)))
            return false;
    }
    return cursor != NULL;
}

static enum vt_job_end notify(struct vt_job_world *world, struct vt_job_run *run,
                              const char *peer_name, const char *study, struct vt_err *err)
{
    struct collected all = { .archive = world->archive };
    struct vt_job_peer peer;
    enum vt_job_end end = VT_JOB_END_FAILED;

    bool known = vt_world_peer_of(world, run, peer_name, &peer, err);
    if (known && collect(world->archive, study, &all, err) &&
        collect_deleted(world->archive, study, &all, err)) {
        if (all.count > 0)
            qsort(all.list, all.count, sizeof *all.list, by_series);
        const struct vt_notify what = { .study_uid = study,
                                        .retrieve_ae_title = peer.peer.local_ae_title
                                                                 ? peer.peer.local_ae_title
                                                                 : world->ae_title,
                                        .instances = all.list,
                                        .count = all.count };
        vt_job_totals(run, all.count, 0);
        bool told = all.count == 0 || vt_client_notify(&peer.client, &what, err);
        if (told)
            vt_job_progress(run, all.count, 0);
        end = told ? VT_JOB_END_DONE : vt_world_end(run);
    }
    free(all.list);
    return end;
}

static enum vt_job_end run(void *context, struct vt_job_run *run, struct vt_err *err)
{
    json_t *arguments = vt_world_arguments(run, err);
    const char *peer = json_string_value(json_object_get(arguments, "peer"));
    const char *study = json_string_value(json_object_get(arguments, "study"));
    enum vt_job_end end = VT_JOB_END_FAILED;

    if (arguments && peer && study)
        end = notify(context, run, peer, study, err);
    else if (arguments)
        vt_fail(err, VT_E_CORRUPT, "the job names no peer or no study");
    json_decref(arguments);
    return end;
}

bool vt_notify_kind(struct vt_job_world *world, struct vt_err *err)
{
    const struct vt_job_kind kind = { .name = "notify", .run = run, .context = world };

    return vt_jobs_kind(world->jobs, &kind, err);
}
