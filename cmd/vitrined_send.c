#include "cmd/vitrined_send.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "archive/archive.h"
#include "cmd/job_trail.h"
#include "cmd/vitrined_jobs.h"
#include "cmd/vitrined_request.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "scu/send.h"

enum { ASSOCIATIONS = 1 };
#define CHECKPOINT_EVERY (50 * VT_NS_PER_MS)

/* ---- making one ---- */

static char *make_arguments(const struct vt_send_new *new)
{
    json_t *list = json_array();
    json_t *object = list ? json_pack("{s:s, s:o, s:b}", "peer", new->peer, "instances", list,
                                    "commit", new->commit)
                        : NULL;

    for (size_t i = 0; object && i < new->count; i++)
        if (json_array_append_new(list, json_string(new->instances[i])) != 0) {
            json_decref(object);
            return NULL;
        }
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return text;
}

struct job_text {
    char key[VT_JOB_NAME_MAX + 1];
    char *arguments;
};

static bool fill_job(const struct vt_send_new *new, struct vt_job_new *job, struct job_text *text,
                     struct vt_err *err)
{
    if (new->count == 0 || new->count > VT_SEND_JOB_MAX)
        return vt_fail(err, VT_E_INVALID, "a job sends 1 to %d instances", VT_SEND_JOB_MAX);
    text->arguments = make_arguments(new);
    if (!text->arguments)
        return vt_fail(err, VT_E_NOMEM, "no memory for a job");
    vt_world_key(new->peer, text->key);
    *job = (struct vt_job_new){ .kind = "send",
                                .key = text->key,
                                .subject = new->subject,
                                .arguments = text->arguments,
                                .who = new->who,
                                .priority = new->priority,
                                .total = new->count,
                                .total_bytes = new->bytes };
    return true;
}

bool vt_send_enqueue(struct vt_job_world *world, const struct vt_send_new *list, size_t count,
                     int64_t *out_ids, struct vt_err *err)
{
    vt_autofree struct vt_job_new *jobs = calloc(count + 1, sizeof *jobs);
    vt_autofree struct job_text *texts = calloc(count + 1, sizeof *texts);
    bool ok = jobs && texts;

    if (!ok)
        return vt_fail(err, VT_E_NOMEM, "no memory for %zu jobs", count);
    for (size_t i = 0; i < count && ok; i++)
        ok = fill_job(&list[i], &jobs[i], &texts[i], err);
    ok = ok && vt_jobs_add_all(world->jobs, jobs, count, out_ids, err);
    for (size_t i = 0; i < count; i++)
        free(texts[i].arguments);
    return ok;
}

/* ---- running one ---- */

/* What the senders of one job share. */
struct sending {
    struct vt_job_world *world;
    struct vt_job_run *run;
    const json_t *instances;
    size_t from;  /* the cursor this run began with */
    size_t *todo; /* places in `instances`, ascending */
    size_t count;
    struct vt_stored *open; /* of todo; fd -1: not open */

    pthread_mutex_t lock; /* guards all below */
    bool *settled;        /* of instances */
    size_t front;         /* all below are settled */
    uint64_t done, bytes;
    int64_t checkpointed;
    size_t later, never; /* failed for now, for good */
    char reason[VT_ERR_TEXT_MAX];
};

static const char *uid_of(const struct sending *sending, size_t place)
{
    const char *uid = json_string_value(json_array_get(sending->instances, place));

    return uid ? uid : "";
}

static bool look_up(const struct sending *sending, size_t i, struct vt_index_entry *out,
                    struct vt_err *err)
{
    const char *uid = uid_of(sending, sending->todo[i]);
    bool found;

    if (!vt_index_lookup(vt_archive_index(sending->world->archive), uid, out, &found, err))
        return false;
    return found || vt_fail(err, VT_E_NOTFOUND, "the instance was deleted meanwhile");
}

static void fill_outgoing(const struct vt_index_entry *entry, struct vt_outgoing *out)
{
    memcpy(out->sop_class, entry->sop_class, sizeof out->sop_class);
    memcpy(out->sop_uid, entry->sop_uid, sizeof out->sop_uid);
    memcpy(out->transfer_syntax, entry->transfer_syntax, sizeof out->transfer_syntax);
}

static bool describe(void *context, size_t i, struct vt_outgoing *out, struct vt_err *err)
{
    struct vt_index_entry entry;

    if (!look_up(context, i, &entry, err))
        return false;
    fill_outgoing(&entry, out);
    return true;
}

static bool open_instance(void *context, size_t i, struct vt_outgoing *out, struct vt_err *err)
{
    struct sending *sending = context;
    struct vt_archive *archive = sending->world->archive;
    struct vt_stored *stored = &sending->open[i];
    struct vt_index_entry entry;

    if (!look_up(sending, i, &entry, err) ||
        !vt_archive_open_instance(archive, &entry, stored, err)) {
        stored->fd = -1;
        return false;
    }
    if (stored->corrected && !vt_archive_outgoing(archive, stored, err)) {
        vt_stored_close(stored);
        stored->fd = -1;
        return false;
    }
    *out = (struct vt_outgoing){ .fd = stored->fd,
                                 .offset = stored->data_set_offset,
                                 .size = stored->data_set_size };
    fill_outgoing(&stored->entry, out);
    return true;
}

/* Under the lock: how far everything is settled. */
static void move_front(struct sending *sending, struct vt_err *err)
{
    size_t count = json_array_size(sending->instances);
    int64_t now = vt_clock_mono();
    char cursor[32];

    while (sending->front < count && sending->settled[sending->front])
        sending->front++;
    vt_job_progress(sending->run, sending->done, sending->bytes);
    if (now - sending->checkpointed < CHECKPOINT_EVERY && sending->front < count)
        return;
    sending->checkpointed = now;
    snprintf(cursor, sizeof cursor, "%zu", sending->front);
    (void)vt_job_checkpoint(sending->run, cursor, err);
}

static void note(struct sending *sending, size_t place, enum vt_send_fate fate, const char *reason,
                 uint64_t size)
{
    const char *uid = uid_of(sending, place);
    struct vt_err err = { 0 };
    bool ok = true;

    pthread_mutex_lock(&sending->lock);
    if (fate == VT_SEND_KEPT) {
        sending->done++;
        sending->bytes += size;
        ok = place >= sending->from || vt_job_settle_item(sending->run, uid, &err);
    } else {
        ok = vt_job_fail_item(sending->run, uid, fate == VT_SEND_NEVER, reason, &err);
        sending->later += fate == VT_SEND_LATER;
        sending->never += fate == VT_SEND_NEVER;
        snprintf(sending->reason, sizeof sending->reason, "%s", reason);
    }
    if (ok) {
        sending->settled[place] = true;
        move_front(sending, &err);
    }
    pthread_mutex_unlock(&sending->lock);
}

static bool on_done(void *context, size_t i, struct vt_outgoing *sent, enum vt_sent result,
                    uint16_t status, const char *text)
{
    struct sending *sending = context;
    char reason[VT_ERR_TEXT_MAX];

    if (sending->open[i].fd >= 0)
        vt_stored_close(&sending->open[i]);
    sending->open[i].fd = -1;
    /* Nobody failed: the next run sends it. */
    if (result == VT_SENT_FAILED && status == 0 && vt_job_should_stop(sending->run))
        return false;
    if (text && *text)
        snprintf(reason, sizeof reason, "%s", text);
    else
        snprintf(reason, sizeof reason, "status %04XH", status);
    note(sending, sending->todo[i], vt_send_fate(result, status), reason, sent->size);
    return !vt_job_should_stop(sending->run);
}

/* ---- what is to do ---- */

struct again {
    char (*uids)[VT_UID_MAX + 1];
    size_t count;
};

static bool collect(void *context, const struct vt_job_item *item)
{
    struct again *again = context;

    if (!item->permanent && again->count < VT_JOB_ITEMS_MAX)
        snprintf(again->uids[again->count++], VT_UID_MAX + 1, "%s", item->item);
    return true;
}

static bool is_listed(const struct again *again, const char *uid)
{
    size_t low = 0, high = again->count; /* vt_jobs_items gives them in order */

    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(again->uids[middle], uid);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* From the cursor on, and of what is in front of it what failed for the time being. */
static bool plan(struct sending *sending, struct vt_err *err)
{
    const struct vt_job *job = vt_job_of(sending->run);
    size_t count = json_array_size(sending->instances), cursor = strtoul(job->cursor, NULL, 10);
    struct again again = { .uids = calloc(VT_JOB_ITEMS_MAX, sizeof *again.uids) };

    sending->todo = calloc(count + 1, sizeof *sending->todo);
    sending->open = calloc(count + 1, sizeof *sending->open);
    sending->settled = calloc(count + 1, sizeof *sending->settled);
    if (!again.uids || !sending->todo || !sending->open || !sending->settled) {
        free(again.uids);
        return vt_fail(err, VT_E_NOMEM, "no memory for a list of %zu instances", count);
    }
    bool ok = vt_jobs_items(sending->world->jobs, job->id, collect, &again, err);
    for (size_t i = 0; i < count && ok; i++) {
        sending->settled[i] = i < cursor;
        if (i >= cursor || (again.count > 0 && is_listed(&again, uid_of(sending, i)))) {
            sending->open[sending->count].fd = -1;
            sending->todo[sending->count++] = i;
        }
    }
    sending->from = sending->front = cursor < count ? cursor : count;
    sending->done = job->done;
    sending->bytes = job->done_bytes;
    free(again.uids);
    return ok;
}

static bool read_associations(const struct vt_job_world *world, const char *name, size_t *out_count,
                              struct vt_err *err)
{
    int64_t count = ASSOCIATIONS;

    if (name && vt_peers_by_name(world->peers, name) &&
        !vt_conf_int(world->conf, "peer", name, "send_associations", 1, VT_SEND_ASSOCIATIONS_MAX,
                     ASSOCIATIONS, &count, err))
        return false;
    *out_count = (size_t)count;
    return true;
}

static enum vt_job_end send_planned(struct sending *sending, const struct vt_job_peer *peer,
                                    struct vt_err *err)
{
    const struct vt_job_world *world = sending->world;
    const struct vt_source source = { .count = sending->count,
                                      .describe = describe,
                                      .open = open_instance,
                                      .done = on_done,
                                      .context = sending };
    size_t associations;

    if (sending->count == 0)
        return VT_JOB_END_DONE;
    if (!read_associations(world, peer->peer.name, &associations, err))
        return VT_JOB_END_FAILED;
    if (world->wake && !world->wake(world->wake_context, peer->peer.ae_title, err))
        return VT_JOB_END_AGAIN;
    const uint64_t before = sending->done;
    const char *study = vt_job_of(sending->run)->subject;
    vt_job_trail_begin(world, sending->run, &peer->peer, study);
    bool ok = vt_send_parallel(&peer->client, &source, NULL, associations, err);
    bool failed = !ok || sending->later + sending->never > 0;
    vt_job_trail_end(world, sending->run, &peer->peer, study, false, sending->done - before,
                     !failed ? NULL : ok ? sending->reason : err->text);
    if (vt_job_should_stop(sending->run))
        return VT_JOB_END_STOPPED;
    if (!ok)
        return VT_JOB_END_AGAIN;
    if (sending->later > 0) {
        vt_fail(err, VT_E_STATUS, "%zu instances were not taken, at last: %s", sending->later,
                sending->reason);
        return VT_JOB_END_AGAIN;
    }
    if (sending->never > 0)
        vt_fail(err, VT_E_STATUS, "%zu instances failed for good, at last: %s", sending->never,
                sending->reason);
    return VT_JOB_END_DONE;
}

/* Of what failed for good, the report will say so. */
static bool ask_to_commit(const struct sending *sending, const char *peer, struct vt_err *err)
{
    size_t count = json_array_size(sending->instances);
    vt_autofree const char **uids = calloc(count + 1, sizeof *uids);
    const struct vt_request_new new = { .peer = peer,
                                        .subject = vt_job_of(sending->run)->subject,
                                        .who = vt_job_of(sending->run)->who,
                                        .instances = uids,
                                        .count = count };

    if (!uids)
        return vt_fail(err, VT_E_NOMEM, "no memory for a job");
    for (size_t i = 0; i < count; i++)
        uids[i] = uid_of(sending, i);
    struct vt_err why = { 0 };
    if (vt_request_enqueue(sending->world, &new, NULL, &why))
        return true;
    *err = why;
    return false;
}

static enum vt_job_end run_arguments(struct vt_job_world *world, struct vt_job_run *run,
                                     const json_t *arguments, struct vt_err *err)
{
    struct sending sending = { .world = world,
                               .run = run,
                               .instances = json_object_get(arguments, "instances") };
    const char *text = json_string_value(json_object_get(arguments, "peer"));
    struct vt_job_peer peer;
    enum vt_job_end end = VT_JOB_END_AGAIN;

    if (!text || !json_is_array(sending.instances)) {
        vt_fail(err, VT_E_CORRUPT, "the job names no peer or no instances");
        return VT_JOB_END_FAILED;
    }
    if (!vt_world_peer_of(world, run, text, &peer, err))
        return VT_JOB_END_FAILED;
    pthread_mutex_init(&sending.lock, NULL);
    if (plan(&sending, err))
        end = send_planned(&sending, &peer, err);
    if (end == VT_JOB_END_DONE && json_is_true(json_object_get(arguments, "commit")) &&
        !ask_to_commit(&sending, text, err))
        end = VT_JOB_END_AGAIN;
    pthread_mutex_destroy(&sending.lock);
    free(sending.todo);
    free(sending.open);
    free(sending.settled);
    return end;
}

static enum vt_job_end run(void *context, struct vt_job_run *run, struct vt_err *err)
{
    json_t *arguments = vt_world_arguments(run, err);

    if (!arguments)
        return VT_JOB_END_FAILED;
    enum vt_job_end end = run_arguments(context, run, arguments, err);
    json_decref(arguments);
    return end;
}

bool vt_send_kind(struct vt_job_world *world, struct vt_err *err)
{
    const struct vt_job_kind kind = { .name = "send", .run = run, .context = world };
    const struct vt_peer *peer;
    size_t count;

    for (size_t i = 0; (peer = vt_peers_at(world->peers, i)); i++)
        if (!read_associations(world, peer->name, &count, err))
            return false;
    return vt_jobs_kind(world->jobs, &kind, err);
}
