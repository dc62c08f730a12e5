#include "cmd/vitrined_fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "archive/archive.h"
#include "cmd/job_trail.h"
#include "cmd/vitrined_jobs.h"
#include "core/conf.h"
#include "core/err.h"
#include "scu/fetch.h"

enum { INSTANCES_MAX = 200000, MARK_MAX = VT_JOB_TEXT_MAX + 1 };

/* ---- making one ---- */

static char *make_arguments(const struct vt_fetch_new *new)
{
    json_t *object = json_pack("{s:s, s:s}", "peer", new->peer, "study", new->study_uid);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);
    return text;
}

struct job_text {
    char key[VT_JOB_NAME_MAX + 1], once[MARK_MAX];
    char *arguments;
};

bool vt_fetch_enqueue(struct vt_job_world *world, const struct vt_fetch_new *list, size_t count,
                      int64_t *out_ids, struct vt_err *err)
{
    vt_autofree struct vt_job_new *jobs = calloc(count + 1, sizeof *jobs);
    vt_autofree struct job_text *texts = calloc(count + 1, sizeof *texts);
    bool ok = jobs && texts;

    for (size_t i = 0; i < count && ok; i++) {
        ok = (texts[i].arguments = make_arguments(&list[i])) != NULL;
        vt_world_key(list[i].peer, texts[i].key);
        snprintf(texts[i].once, sizeof texts[i].once, "%s %.100s", list[i].study_uid, list[i].peer);
        jobs[i] = (struct vt_job_new){ .kind = "fetch",
                                       .key = texts[i].key,
                                       .subject = list[i].study_uid,
                                       .arguments = texts[i].arguments,
                                       .who = list[i].who,
                                       .once = texts[i].once,
                                       .priority = list[i].priority };
    }
    ok = ok ? vt_jobs_add_all(world->jobs, jobs, count, out_ids, err)
            : vt_fail(err, VT_E_NOMEM, "no memory for %zu jobs", count);
    for (size_t i = 0; texts && i < count; i++)
        free(texts[i].arguments);
    return ok;
}

/* ---- running one ---- */

struct there {
    char series[VT_UID_MAX + 1], sop[VT_UID_MAX + 1];
};

struct fetching {
    struct vt_job_world *world;
    struct vt_job_run *run;
    const char *study;
    struct vt_job_peer peer;
    struct there *list; /* what the peer has and we do not; a series' instances stand together */
    size_t count, room;
    size_t total, held;
    bool get; /* by C-GET */
    struct vt_receive *receive;
    uint64_t bytes;
    size_t taken; /* by C-GET, since the job began */
    size_t got;   /* the same, of this run */
};

static bool holds(const struct fetching *fetching, const char *sop_uid, bool *out_held,
                  struct vt_err *err)
{
    struct vt_index_entry entry;

    return vt_index_lookup(vt_archive_index(fetching->world->archive), sop_uid, &entry, out_held,
                           err);
}

static bool on_there(void *context, const char *series_uid, const char *sop_uid, struct vt_err *err)
{
    struct fetching *fetching = context;
    bool held;

    if (vt_job_should_stop(fetching->run))
        return vt_fail(err, VT_E_CANCELLED, "stopped");
    if (!holds(fetching, sop_uid, &held, err))
        return false;
    fetching->total++;
    fetching->held += held;
    if (held)
        return true;
    if (fetching->count == INSTANCES_MAX)
        return vt_fail(err, VT_E_LIMIT, "the study has more than %d instances", INSTANCES_MAX);
    if (fetching->count == fetching->room) {
        size_t wanted = fetching->room ? fetching->room * 2 : 256;
        void *grown = reallocarray(fetching->list, wanted, sizeof *fetching->list);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for a list of %zu instances", wanted);
        fetching->list = grown;
        fetching->room = wanted;
    }
    struct there *there = &fetching->list[fetching->count++];
    snprintf(there->series, sizeof there->series, "%s", series_uid);
    snprintf(there->sop, sizeof there->sop, "%s", sop_uid);
    return true;
}

/* ---- C-GET: into the archive, as C-STORE would ---- */

static bool get_begin(void *context, const struct vt_command *command, const char *transfer_syntax,
                      struct vt_err *err)
{
    struct fetching *fetching = context;
    const struct vt_transfer_syntax *syntax = vt_transfer_syntax_find(transfer_syntax);
    const struct vt_receive_from from = {
        .sop_class_uid = command->sop_class_uid,
        .sop_instance_uid = command->sop_instance_uid,
        .transfer_syntax_uid = transfer_syntax,
        .encoding = syntax ? syntax->encoding : VT_EXPLICIT_LE,
        .encapsulated = !syntax || syntax->encapsulated,
        .calling_ae_title = fetching->peer.peer.ae_title,
        .host = fetching->peer.peer.host,
    };

    if (!fetching->receive)
        fetching->receive = vt_receive_new(fetching->world->archive, err);
    return fetching->receive && vt_receive_begin(fetching->receive, &from, err);
}

static bool get_write(void *context, const uint8_t *bytes, size_t size, struct vt_err *err)
{
    struct fetching *fetching = context;

    fetching->bytes += size;
    return vt_receive_write(fetching->receive, bytes, size, err);
}

static uint16_t get_end(void *context, bool complete)
{
    struct fetching *fetching = context;
    struct vt_receive_result result;
    struct vt_err why = { 0 };

    if (!complete) {
        vt_receive_abandon(fetching->receive);
        return VT_STATUS_OUT_OF_RESOURCES;
    }
    if (!vt_receive_commit(fetching->receive, &result, &why))
        return why.dimse_status ? why.dimse_status : VT_STATUS_OUT_OF_RESOURCES;
    fetching->taken++;
    fetching->got++;
    vt_job_progress(fetching->run, fetching->held + fetching->taken, fetching->bytes);
    return result.status;
}

/* ---- the retrievals ---- */

struct asking {
    struct fetching *fetching;
    size_t before; /* held when this request began */
};

static bool on_progress(void *context, const struct vt_retrieve_counts *counts)
{
    const struct asking *asking = context;
    struct fetching *fetching = asking->fetching;

    if (!fetching->get)
        vt_job_progress(fetching->run, asking->before + counts->completed + counts->warning, 0);
    return !vt_job_should_stop(fetching->run);
}

/* Does the peer not know where we are, or not offer the service? Then the other way may do. */
static bool is_unknown_here(uint16_t status)
{
    return status == VT_STATUS_DESTINATION_UNKNOWN || status == VT_STATUS_SOP_CLASS_NOT_SUPPORTED ||
           (status & 0xf000) == 0xc000 || status == VT_STATUS_NOT_AUTHORIZED;
}

/* One request; false: the peer could not be asked, or what it says is that nothing was done. */
static bool ask(struct fetching *fetching, struct vt_fetch_request *request, size_t before,
                struct vt_err *err)
{
    const struct vt_sink sink = { get_begin, get_write, get_end, fetching };
    struct asking asking = { fetching, before };
    struct vt_retrieve_counts counts = { 0 };
    const char *ours = fetching->peer.peer.local_ae_title;

    request->study_uid = fetching->study;
    request->sink = &sink;
    request->destination = fetching->get ? NULL : ours ? ours : fetching->world->shs_ae_title;
    if (!vt_fetch_run(&fetching->peer.client, request, on_progress, &asking, &counts, err))
        return false;
    if (counts.status == VT_STATUS_SUCCESS || vt_status_warning(counts.status) ||
        counts.status == VT_STATUS_CANCEL)
        return true;
    return vt_fail_dimse(err, VT_E_STATUS, counts.status,
                         "the peer answered %s with status %04XH%s%s",
                         fetching->get ? "C-GET" : "C-MOVE", counts.status,
                         *counts.comment ? ": " : "", counts.comment);
}

static size_t end_of_series(const struct fetching *fetching, size_t from)
{
    size_t end = from;

    while (end < fetching->count &&
           strcmp(fetching->list[end].series, fetching->list[from].series) == 0)
        end++;
    return end;
}

/* Those of one series by their UIDs. */
static bool ask_instances(struct fetching *fetching, size_t from, size_t end, struct vt_err *err)
{
    const char *uids[VT_FETCH_LIST_MAX];

    while (from < end && !vt_job_should_stop(fetching->run)) {
        struct vt_fetch_request request = { .series_uid = fetching->list[from].series,
                                            .sop_uids = uids };
        size_t before = fetching->held + from;
        while (from < end && request.sop_uid_count < VT_FETCH_LIST_MAX)
            uids[request.sop_uid_count++] = fetching->list[from++].sop;
        if (!ask(fetching, &request, before, err))
            return false;
    }
    return true;
}

/* All at once when we have nothing of it, else what is missing. */
static bool ask_missing(struct fetching *fetching, struct vt_err *err)
{
    struct vt_fetch_request study = { 0 };

    if (fetching->held == 0)
        return ask(fetching, &study, 0, err);
    for (size_t from = 0, end; from < fetching->count && !vt_job_should_stop(fetching->run);
         from = end) {
        end = end_of_series(fetching, from);
        if (!ask_instances(fetching, from, end, err))
            return false;
    }
    return true;
}

/* What came is taken off the list. */
static bool look_again(struct fetching *fetching, struct vt_err *err)
{
    size_t left = 0;

    for (size_t i = 0; i < fetching->count; i++) {
        bool held;
        if (!holds(fetching, fetching->list[i].sop, &held, err))
            return false;
        if (!held)
            fetching->list[left++] = fetching->list[i];
        fetching->held += held;
    }
    fetching->count = left;
    fetching->taken = 0;
    vt_job_progress(fetching->run, fetching->held, fetching->bytes);
    return true;
}

enum way { WAY_AUTO, WAY_MOVE, WAY_GET };

static bool read_way(const struct vt_job_world *world, const char *name, enum way *out,
                     struct vt_err *err)
{
    static const char *const words[] = { "auto", "move", "get", NULL };
    size_t way = WAY_AUTO;

    if (name && vt_peers_by_name(world->peers, name) &&
        !vt_conf_choice(world->conf, "peer", name, "fetch", words, WAY_AUTO, &way, err))
        return false;
    *out = (enum way)way;
    return true;
}

/* Whole, then what is still missing once more by its UIDs; C-MOVE first, unless told otherwise. */
static bool retrieve(struct fetching *fetching, struct vt_err *err)
{
    enum way way = WAY_AUTO;

    if (!read_way(fetching->world, fetching->peer.peer.name, &way, err))
        return false;
    fetching->get = way == WAY_GET;
    bool ok = ask_missing(fetching, err);
    if (!ok && way == WAY_AUTO &&
        (err->code == VT_E_REFUSED || is_unknown_here(err->dimse_status))) {
        fetching->get = true;
        vt_err_clear(err);
        ok = ask_missing(fetching, err);
    }
    struct vt_err why = { 0 };
    if (!look_again(fetching, &why)) {
        *err = why;
        return false;
    }
    if (!ok || fetching->count == 0 || vt_job_should_stop(fetching->run))
        return ok;
    for (size_t from = 0, end; from < fetching->count; from = end) {
        end = end_of_series(fetching, from);
        if (!ask_instances(fetching, from, end, err))
            return false;
    }
    return look_again(fetching, err);
}

/* The list of what did not come is part of the job; what came after all is taken off it. */
static bool forget(void *context, const struct vt_job_item *item)
{
    struct fetching *fetching = context;
    struct vt_err err = { 0 };
    bool held = false;

    if (holds(fetching, item->item, &held, &err) && held)
        vt_job_settle_item(fetching->run, item->item, &err);
    return true;
}

static enum vt_job_end judge(struct fetching *fetching, bool ok, struct vt_err *err)
{
    struct vt_err why = { 0 };

    vt_jobs_items(fetching->world->jobs, vt_job_of(fetching->run)->id, forget, fetching, &why);
    if (vt_job_should_stop(fetching->run))
        return VT_JOB_END_STOPPED;
    if (ok && fetching->count == 0)
        return VT_JOB_END_DONE;
    if (ok)
        vt_fail(err, VT_E_NOTFOUND, "%zu of %zu instances did not come", fetching->count,
                fetching->total);
    for (size_t i = 0; i < fetching->count; i++)
        vt_job_fail_item(fetching->run, fetching->list[i].sop, false, err->text, &why);
    return VT_JOB_END_AGAIN;
}

static enum vt_job_end fetch(struct fetching *fetching, struct vt_err *err)
{
    if (!vt_fetch_list(&fetching->peer.client, fetching->study, on_there, fetching, err))
        return vt_job_should_stop(fetching->run) ? VT_JOB_END_STOPPED : VT_JOB_END_AGAIN;
    if (fetching->total == 0) {
        vt_fail(err, VT_E_NOTFOUND, "the peer has no study %s", fetching->study);
        return VT_JOB_END_FAILED;
    }
    vt_job_totals(fetching->run, fetching->total, 0);
    vt_job_progress(fetching->run, fetching->held, 0);
    bool ok = fetching->count == 0 || retrieve(fetching, err);
    /* By C-MOVE they come as from any other peer. */
    vt_job_trail_end(fetching->world, fetching->run, &fetching->peer.peer, fetching->study, true,
                     fetching->got, fetching->got > 0 && !ok ? err->text : NULL);
    return judge(fetching, ok, err);
}

static enum vt_job_end run(void *context, struct vt_job_run *run, struct vt_err *err)
{
    json_t *arguments = vt_world_arguments(run, err);
    const char *peer = json_string_value(json_object_get(arguments, "peer"));
    struct fetching fetching = { .world = context,
                                 .run = run,
                                 .study = json_string_value(json_object_get(arguments, "study")) };
    enum vt_job_end end = VT_JOB_END_FAILED;

    if (arguments && (!peer || !fetching.study))
        vt_fail(err, VT_E_CORRUPT, "the job names no peer or no study");
    else if (arguments && vt_world_peer_of(context, run, peer, &fetching.peer, err)) {
        vt_world_ask_as_shs(context, &fetching.peer);
        end = fetch(&fetching, err);
    }
    vt_receive_free(fetching.receive);
    free(fetching.list);
    json_decref(arguments);
    return end;
}

bool vt_fetch_kind(struct vt_job_world *world, struct vt_err *err)
{
    const struct vt_job_kind kind = { .name = "fetch", .run = run, .context = world };
    const struct vt_peer *peer;
    enum way way;

    for (size_t i = 0; (peer = vt_peers_at(world->peers, i)); i++)
        if (!read_way(world, peer->name, &way, err))
            return false;
    return vt_jobs_kind(world->jobs, &kind, err);
}
