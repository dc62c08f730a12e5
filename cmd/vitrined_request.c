#include "cmd/vitrined_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "archive/admin_rows.h"
#include "archive/commitment.h"
#include "cmd/vitrined_jobs.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/conf.h"
#include "core/err.h"
#include "scu/commit.h"

enum { TIMES = 7, TIMES_MAX = 1000, POLL_SHARE = 4 };

#define REPEAT (24 * 3600 * VT_NS_PER_S)
#define ASSOCIATION_WAIT (VT_COMMIT_WAIT_S * VT_NS_PER_S)
#define POLL_LEAST VT_NS_PER_S
#define POLL_MOST (600 * VT_NS_PER_S)

/* ---- making one ---- */

static char *make_arguments(const struct vt_request_new *new)
{
    json_t *list = json_array();
    json_t *object = list ? json_pack("{s:s, s:o}", "peer", new->peer, "instances", list) : NULL;
    bool ok = object != NULL;

    for (size_t i = 0; ok && i < new->count; i++)
        ok = json_array_append_new(list, json_string(new->instances[i])) == 0;
    char *text = ok ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return text;
}

static bool enqueue(struct vt_job_world *world, const struct vt_request_new *new, const char *once,
                    int64_t *out_id, struct vt_err *err)
{
    char key[VT_JOB_NAME_MAX + 1];
    vt_autofree char *arguments = make_arguments(new);

    if (new->count == 0 || new->count > VT_JOB_ITEMS_MAX)
        return vt_fail(err, VT_E_INVALID, "a job asks for 1 to %d instances", VT_JOB_ITEMS_MAX);
    if (!arguments)
        return vt_fail(err, VT_E_NOMEM, "no memory for a job");
    vt_world_key(new->peer, key);
    const struct vt_job_new job = { .kind = "commit.ask",
                                    .key = key,
                                    .subject = new->subject,
                                    .arguments = arguments,
                                    .who = new->who,
                                    .once = once,
                                    .total = new->count };
    return vt_jobs_add(world->jobs, &job, out_id, err);
}

bool vt_request_enqueue(struct vt_job_world *world, const struct vt_request_new *new,
                        int64_t *out_id, struct vt_err *err)
{
    return enqueue(world, new, NULL, out_id, err);
}

struct study {
    struct vt_job_world *world;
    struct vt_request_new new;
    size_t part;
    char uids[VT_JOB_ITEMS_MAX][VT_UID_MAX + 1];
    const char *list[VT_JOB_ITEMS_MAX];
};

static bool enqueue_part(struct study *study, struct vt_err *err)
{
    char once[VT_JOB_TEXT_MAX];

    if (study->new.count == 0)
        return true;
    snprintf(once, sizeof once, "%.70s %.64s %zu", study->new.subject, study->new.peer,
             study->part++);
    bool ok = enqueue(study->world, &study->new, once, NULL, err);
    study->new.count = 0;
    return ok;
}

static bool add_instance(void *context, const struct vt_index_entry *entry, struct vt_err *err)
{
    struct study *study = context;
    size_t at = study->new.count++;

    memcpy(study->uids[at], entry->sop_uid, sizeof entry->sop_uid);
    study->list[at] = study->uids[at];
    return study->new.count < VT_JOB_ITEMS_MAX || enqueue_part(study, err);
}

bool vt_request_enqueue_study(struct vt_job_world *world, const char *peer, const char *study_uid,
                              const char *who, struct vt_err *err)
{
    vt_autofree struct study *study = malloc(sizeof *study);

    if (!study)
        return vt_fail(err, VT_E_NOMEM, "no memory for a job");
    study->world = world;
    study->part = 0;
    study->new = (struct vt_request_new){ .peer = peer,
                                          .subject = study_uid,
                                          .who = who,
                                          .instances = study->list };
    return vt_admin_each_of_study(world->archive, study_uid, add_instance, study, err) &&
           enqueue_part(study, err);
}

/* ---- running one ---- */

struct asking {
    struct vt_job_world *world;
    struct vt_job_run *run;
    const json_t *instances;
    struct vt_job_peer peer;
    int64_t repeat, times;
    /* the cursor */
    char transaction_uid[VT_UID_MAX + 1]; /* "": nothing is open */
    int64_t asked;                        /* wall */
    int64_t asked_times;
};

static bool read_settings(struct asking *asking, struct vt_err *err)
{
    const struct vt_conf *conf = asking->world->conf;

    return vt_conf_duration(conf, "commit", NULL, "repeat", VT_NS_PER_MS, 30 * REPEAT, REPEAT,
                            &asking->repeat, err) &&
           vt_conf_int(conf, "commit", NULL, "times", 1, TIMES_MAX, TIMES, &asking->times, err);
}

static void read_cursor(struct asking *asking)
{
    json_t *cursor = json_loads(vt_job_of(asking->run)->cursor, 0, NULL);
    const char *uid = json_string_value(json_object_get(cursor, "transaction"));

    snprintf(asking->transaction_uid, sizeof asking->transaction_uid, "%s", uid ? uid : "");
    asking->asked = json_integer_value(json_object_get(cursor, "asked"));
    asking->asked_times = json_integer_value(json_object_get(cursor, "times"));
    json_decref(cursor);
}

static bool write_cursor(const struct asking *asking, struct vt_err *err)
{
    char cursor[160];

    snprintf(cursor, sizeof cursor, "{\"transaction\":\"%s\",\"asked\":%lld,\"times\":%lld}",
             asking->transaction_uid, (long long)asking->asked, (long long)asking->asked_times);
    return vt_job_checkpoint(asking->run, cursor, err);
}

/* ---- what it said ---- */

static int by_uid(const void *a, const void *b)
{
    const struct vt_commit_reference *first = a, *second = b;

    return strcmp(first->sop_uid, second->sop_uid);
}

/* A content that came later is not what the peer was asked about. */
static bool note_committed(const struct asking *asking, const char *uid, bool *out_noted,
                           struct vt_err *err)
{
    struct vt_archive *archive = asking->world->archive;
    struct vt_index_entry entry;
    bool found = false;

    if (!vt_index_lookup(vt_archive_index(archive), uid, &entry, &found, err))
        return false;
    *out_noted = found && entry.arrived < asking->asked;
    return !*out_noted || vt_commitment_note_elsewhere(archive, &entry, asking->peer.peer.ae_title,
                                                       asking->transaction_uid, err);
}

static bool settle_one(const struct asking *asking, const struct vt_commit_list *report,
                       const char *uid, uint64_t *done, struct vt_err *err)
{
    struct vt_commit_reference key = { .reason = 0 };
    char reason[64] = "the report does not name it";
    bool noted = false;

    snprintf(key.sop_uid, sizeof key.sop_uid, "%s", uid);
    const struct vt_commit_reference *item =
        report->count > 0 ? bsearch(&key, report->items, report->count, sizeof key, by_uid) : NULL;
    if (item && item->reason == 0) {
        if (!note_committed(asking, uid, &noted, err))
            return false;
        snprintf(reason, sizeof reason, "it changed since the peer was asked");
    } else if (item) {
        snprintf(reason, sizeof reason, "not committed: Failure Reason %04XH", item->reason);
    }
    *done += noted;
    return noted ? vt_job_settle_item(asking->run, uid, err)
                 : vt_job_fail_item(asking->run, uid, true, reason, err);
}

static enum vt_job_end settle(struct asking *asking, struct vt_commit_list *report,
                              struct vt_err *err)
{
    uint64_t done = 0, count = json_array_size(asking->instances);

    if (report->count > 0)
        qsort(report->items, report->count, sizeof *report->items, by_uid);
    for (size_t i = 0; i < count; i++) {
        const char *uid = json_string_value(json_array_get(asking->instances, i));
        if (uid && !settle_one(asking, report, uid, &done, err))
            return vt_world_end(asking->run);
    }
    vt_job_progress(asking->run, done, 0);
    /* A retry asks anew. */
    struct vt_err ignored = { 0 };
    vt_job_checkpoint(asking->run, "", &ignored);
    if (done < count)
        vt_fail(err, VT_E_STATUS, "%s did not commit to %llu of %llu instances",
                asking->peer.peer.ae_title, (unsigned long long)(count - done),
                (unsigned long long)count);
    return VT_JOB_END_DONE;
}

/* ---- asking ---- */

static bool has_come(void *context)
{
    const struct asking *asking = context;
    VT_AUTO_BUF(bytes, VT_COMMIT_BYTES_MAX);
    struct vt_err ignored = { 0 };
    bool answered = false;

    return vt_job_should_stop(asking->run) ||
           (vt_commitment_answer(asking->world->archive, asking->transaction_uid, &bytes,
                                 &answered, &ignored) &&
            answered);
}

/* What is not here any more is not asked for. */
static bool make_list(const struct asking *asking, struct vt_commit_list *out, struct vt_err *err)
{
    for (size_t i = 0; i < json_array_size(asking->instances); i++) {
        const char *uid = json_string_value(json_array_get(asking->instances, i));
        struct vt_index_entry entry;
        bool found = false;
        if (!uid)
            continue;
        if (!vt_index_lookup(vt_archive_index(asking->world->archive), uid, &entry, &found, err) ||
            (found && !vt_commit_list_add(out, entry.sop_class, entry.sop_uid, 0, err)))
            return false;
    }
    memcpy(out->transaction_uid, asking->transaction_uid, sizeof out->transaction_uid);
    return out->count > 0 || vt_fail(err, VT_E_NOTFOUND, "none of the instances is here any more");
}

/* The transaction is known before the peer hears of it: its report finds somebody. */
static bool open_transaction(struct asking *asking, struct vt_err *err)
{
    vt_uid_new(asking->transaction_uid);
    asking->asked = vt_clock_wall();
    asking->asked_times++;
    return vt_commitment_expect(asking->world->archive, asking->transaction_uid,
                                asking->peer.peer.ae_title, err) &&
           write_cursor(asking, err);
}

static enum vt_job_end wait_more(struct asking *asking)
{
    int64_t passed = vt_clock_wall() - asking->asked, wait = passed / POLL_SHARE;

    wait = wait < POLL_LEAST ? POLL_LEAST : wait > POLL_MOST ? POLL_MOST : wait;
    if (passed + wait > asking->repeat && asking->repeat > passed)
        wait = asking->repeat - passed;
    vt_job_later(asking->run, vt_clock_wall() + wait);
    return VT_JOB_END_LATER;
}

/* Refused, or no association: the transaction never was. */
static enum vt_job_end give_up(struct asking *asking, const struct vt_err *why, struct vt_err *err)
{
    struct vt_err ignored = { 0 };

    *err = *why;
    asking->transaction_uid[0] = '\0';
    asking->asked_times--;
    write_cursor(asking, &ignored);
    return err->code == VT_E_NOTFOUND ? VT_JOB_END_FAILED : vt_world_end(asking->run);
}

static enum vt_job_end ask(struct asking *asking, struct vt_err *err)
{
    const struct vt_commit_wait how = { .wait = asking->repeat < ASSOCIATION_WAIT ? asking->repeat : 0,
                                        .elsewhere = has_come,
                                        .context = asking };
    struct vt_commit_list list = { .count = 0 }, report = { .count = 0 };
    struct vt_err why = { 0 };
    enum vt_job_end end;
    bool same = false;

    if (!open_transaction(asking, err))
        return vt_world_end(asking->run);
    bool ok = make_list(asking, &list, &why) &&
              vt_client_commit(&asking->peer.client, &list, &how, &same, &report, &why);
    /* An association that broke while we waited took the request all the same. */
    bool taken = ok || (why.code == VT_E_CANCELLED && vt_job_should_stop(asking->run));
    if (same)
        end = settle(asking, &report, err);
    else if (!taken)
        end = give_up(asking, &why, err);
    else
        end = vt_job_should_stop(asking->run) ? VT_JOB_END_STOPPED : wait_more(asking);
    vt_commit_list_fini(&list);
    vt_commit_list_fini(&report);
    return end;
}

/* The report of the open transaction, if it came; *out_end is set then. */
static bool take_report(struct asking *asking, enum vt_job_end *out_end, struct vt_err *err)
{
    VT_AUTO_BUF(bytes, VT_COMMIT_BYTES_MAX);
    struct vt_commit_list report = { .count = 0 };
    struct vt_err why = { 0 };
    bool answered = false;

    if (!*asking->transaction_uid ||
        !vt_commitment_answer(asking->world->archive, asking->transaction_uid, &bytes, &answered,
                              &why) ||
        !answered)
        return false;
    bool read = vt_commit_decode(bytes.data, bytes.size, VT_EXPLICIT_LE, &report, err);
    *out_end = read ? settle(asking, &report, err) : VT_JOB_END_FAILED;
    vt_commit_list_fini(&report);
    return true;
}

static enum vt_job_end go_on(struct asking *asking, struct vt_err *err)
{
    enum vt_job_end end;

    if (take_report(asking, &end, err))
        return end;
    if (*asking->transaction_uid && vt_clock_wall() - asking->asked < asking->repeat)
        return wait_more(asking);
    if (asking->asked_times < asking->times)
        return ask(asking, err);
    vt_fail(err, VT_E_TIMEOUT, "%s was asked %lld times and never reported",
            asking->peer.peer.ae_title, (long long)asking->asked_times);
    return VT_JOB_END_FAILED;
}

static enum vt_job_end run(void *context, struct vt_job_run *run, struct vt_err *err)
{
    json_t *arguments = vt_world_arguments(run, err);
    const char *peer = json_string_value(json_object_get(arguments, "peer"));
    struct asking asking = { .world = context,
                             .run = run,
                             .instances = json_object_get(arguments, "instances") };
    enum vt_job_end end = VT_JOB_END_FAILED;

    if (arguments && (!peer || !json_is_array(asking.instances)))
        vt_fail(err, VT_E_CORRUPT, "the job names no peer or no instances");
    else if (arguments && vt_world_peer_of(context, run, peer, &asking.peer, err) &&
             read_settings(&asking, err)) {
        read_cursor(&asking);
        end = go_on(&asking, err);
    }
    json_decref(arguments);
    return end;
}

bool vt_request_kind(struct vt_job_world *world, struct vt_err *err)
{
    const struct vt_job_kind kind = {
        .name = "commit.ask", .per_key = 4, .run = run, .context = world
    };
    struct asking asking = { .world = world };

    return read_settings(&asking, err) && vt_jobs_kind(world->jobs, &kind, err);
}
