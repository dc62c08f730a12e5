#include "archive/commit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "archive/apply.h"
#include "archive/inside.h"
#include "archive/late.h"
#include "archive/reindex.h"
#include "core/clock.h"
#include "core/event.h"
#include "core/io.h"

enum { ROOM_WAIT_MS = 100 };

void (*vt_archive_point)(const char *name);

/* ---- queues ---- */

static void init_stage(struct vt_stage *stage)
{
    pthread_mutex_init(&stage->lock, NULL);
    pthread_mutex_init(&stage->queue_lock, NULL);
    pthread_cond_init(&stage->called, NULL);
    stage->first = NULL;
    stage->last = &stage->first;
}

void vt_stage_init(struct vt_archive *archive)
{
    vt_gate_init(&archive->identities);
    init_stage(&archive->journal_stage);
    init_stage(&archive->apply_stage);
}

void vt_stage_fini(struct vt_archive *archive)
{
    struct vt_stage *stages[] = { &archive->journal_stage, &archive->apply_stage };

    vt_gate_fini(&archive->identities);
    for (size_t i = 0; i < VT_COUNT(stages); i++) {
        pthread_mutex_destroy(&stages[i]->lock);
        pthread_mutex_destroy(&stages[i]->queue_lock);
        pthread_cond_destroy(&stages[i]->called);
    }
}

/* Appends a list. true: the queue was empty, so the next group wants a leader. */
static bool join(struct vt_stage *stage, struct vt_request *first, struct vt_request **last)
{
    pthread_mutex_lock(&stage->queue_lock);
    bool leads = !stage->first;
    *stage->last = first;
    stage->last = last;
    pthread_mutex_unlock(&stage->queue_lock);
    return leads;
}

static struct vt_request *take_all(struct vt_stage *stage)
{
    pthread_mutex_lock(&stage->queue_lock);
    struct vt_request *list = stage->first;
    stage->first = NULL;
    stage->last = &stage->first;
    pthread_mutex_unlock(&stage->queue_lock);
    return list;
}

/* The stage's thread leads the next group. */
static void call(struct vt_stage *stage)
{
    pthread_mutex_lock(&stage->queue_lock);
    stage->is_called = true;
    pthread_cond_signal(&stage->called);
    pthread_mutex_unlock(&stage->queue_lock);
}

static bool wait_for_call(struct vt_stage *stage)
{
    pthread_mutex_lock(&stage->queue_lock);
    while (!stage->is_called && !stage->closing)
        pthread_cond_wait(&stage->called, &stage->queue_lock);
    bool is_called = stage->is_called;
    stage->is_called = false;
    pthread_mutex_unlock(&stage->queue_lock);
    return is_called;
}

static void fail_request(struct vt_request *request, const struct vt_err *err, uint16_t status)
{
    request->err = *err;
    request->err.dimse_status = err->dimse_status ? err->dimse_status : status;
}

static uint16_t status_of(const struct vt_err *err, uint16_t otherwise)
{
    switch (err->code) {
    case VT_E_FULL:
        return 0xA700;
    case VT_E_LIMIT:
    case VT_E_NOMEM:
        return 0xA704;
    default:
        return otherwise;
    }
}

/* ---- a volume that failed ---- */

bool vt_archive_writable(struct vt_archive *archive, struct vt_err *err)
{
    if (!atomic_load(&archive->read_only))
        return true;
    pthread_mutex_lock(&archive->fault_lock);
    vt_fail_dimse(err, VT_E_IO, 0xA701, "volume is read-only since %s", archive->fault);
    pthread_mutex_unlock(&archive->fault_lock);
    return false;
}

bool vt_archive_break(struct vt_archive *archive, struct vt_err *err)
{
    pthread_mutex_lock(&archive->fault_lock);
    bool first = archive->fault[0] == '\0';
    if (first)
        snprintf(archive->fault, sizeof archive->fault, "%.*s", (int)sizeof archive->fault - 1,
                 err->text);
    pthread_mutex_unlock(&archive->fault_lock);
    atomic_store(&archive->read_only, true);
    if (first)
        vt_events_publish(archive->options.events, "volume.read-only", archive->path, NULL);
    return vt_archive_writable(archive, err);
}

/* ---- stage 1: the journal ---- */

static bool sync_staging(struct vt_archive *archive, const struct vt_request *list,
                         struct vt_err *err)
{
    bool staged = false;

    for (const struct vt_request *request = list; request && !staged; request = request->next)
        staged = request->sync_staging;
    if (!staged || archive->options.relaxed)
        return true;
    vt_point("staging-sync");
    return vt_io_sync_folder(archive->staging, "staging", err);
}

static void wait_for_room(struct vt_archive *archive)
{
    struct timespec until;

    pthread_cond_signal(&archive->cut_wanted);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ROOM_WAIT_MS * VT_NS_PER_MS;
    if (until.tv_nsec >= VT_NS_PER_S) {
        until.tv_nsec -= VT_NS_PER_S;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&archive->journal_room, &archive->journal_lock, &until);
}

/* Under journal_lock. *out_later: no room, and the records of this group are in the way: they must
 * be applied before a segment can be released, so this one goes with the next group. Otherwise
 * waits for the release; a cut that fails ends the wait. */
static bool append(struct vt_archive *archive, struct vt_request *request, bool first,
                   bool *out_later, struct vt_err *err)
{
    const struct vt_record_body *body = request->body;

    for (;;) {
        if (vt_journal_append(archive->journal, request->kind, request->head->data,
                              request->head->size, body->bytes, body->size, &request->sequence,
                              err))
            return true;
        if (err->code != VT_E_FULL)
            return false;
        *out_later = !first;
        if (*out_later)
            return false;
        if (archive->cut_failed)
            return vt_fail_dimse(err, VT_E_FULL, 0xA703, "journal is full: %s", archive->cut_error);
        if (atomic_load(&archive->read_only))
            return false;
        vt_err_clear(err);
        wait_for_room(archive);
    }
}

static void issue(struct vt_archive *archive, uint64_t sequence)
{
    pthread_mutex_lock(&archive->progress_lock);
    archive->issued = sequence;
    pthread_mutex_unlock(&archive->progress_lock);
}

static bool sync_journal(struct vt_archive *archive, struct vt_err *err)
{
    return archive->options.relaxed ? vt_journal_write(archive->journal, err)
                                    : vt_journal_sync(archive->journal, err);
}

static void fail_all(struct vt_archive *archive, struct vt_request *list, struct vt_err *err)
{
    vt_archive_break(archive, err);
    for (struct vt_request *request = list; request; request = request->next)
        fail_request(request, err, 0xA701);
}

/* Under journal_lock. Gives the list of those that must wait for the next group, cut off from
 * `list`. */
static struct vt_request *append_all(struct vt_archive *archive, struct vt_request *list,
                                     bool *out_any)
{
    struct vt_request *before = NULL;

    for (struct vt_request *request = list; request; before = request, request = request->next) {
        struct vt_err err = { 0 };
        bool later = false;
        if (append(archive, request, !*out_any, &later, &err)) {
            *out_any = true;
            issue(archive, request->sequence);
        } else if (later) {
            before->next = NULL;
            return request;
        } else {
            fail_request(request, &err, status_of(&err, 0xA704));
        }
    }
    return NULL;
}

/* Appends and syncs the list; each request's err says what became of it. Gives those that found no
 * room. */
static struct vt_request *write_journal(struct vt_archive *archive, struct vt_request *list)
{
    struct vt_err err = { 0 };
    bool any = false;

    if (!vt_archive_writable(archive, &err) || !sync_staging(archive, list, &err)) {
        fail_all(archive, list, &err);
        return NULL;
    }
    pthread_mutex_lock(&archive->journal_lock);
    struct vt_request *later = append_all(archive, list, &any);
    vt_point("journal-appended");
    bool synced = !any || sync_journal(archive, &err);
    if (vt_journal_to_release(archive->journal) > 0)
        pthread_cond_signal(&archive->cut_wanted);
    pthread_mutex_unlock(&archive->journal_lock);
    vt_point("journal-synced");
    if (!synced)
        fail_all(archive, list, &err);
    return later;
}

/* ---- stage 2: files, rows ---- */

static bool place_file(struct vt_archive *archive, const struct vt_record_body *body,
                       struct vt_err *err)
{
    pthread_mutex_lock(&archive->folders_lock);
    bool ok = vt_apply_file(archive, body, err);
    if (!ok)
        vt_folders_forget_made(archive->folders);
    pthread_mutex_unlock(&archive->folders_lock);
    return ok;
}

static void place_files(struct vt_archive *archive, struct vt_request *list)
{
    for (struct vt_request *request = list; request; request = request->next) {
        struct vt_err err = { 0 };
        if (request->err.code != VT_OK || vt_late_take(archive, request))
            continue;
        request->placed = place_file(archive, request->body, &err);
        if (!request->placed) {
            fail_request(request, &err, status_of(&err, 0xA701));
        } else if (!vt_apply_state(archive, request->kind, request->body, &err)) {
            fail_request(request, &err, status_of(&err, 0xA703));
        }
        if (err.code == VT_E_FULL)
            vt_space_forget(archive);
    }
}

static bool is_indexed(const struct vt_request *request)
{
    return request->err.code == VT_OK && request->kind != VT_RECORD_QUARANTINE;
}

static bool index_transaction(struct vt_archive *archive, struct vt_request *first,
                              const struct vt_request *end, uint64_t sequence, struct vt_err *err)
{
    struct vt_index *index = atomic_load(&archive->index);
    bool ok = vt_index_begin(index, err);
    if (!ok)
        return false;

    for (struct vt_request *request = first; ok && request != end; request = request->next)
        if (is_indexed(request))
            ok = vt_apply_index(archive, request->kind, request->body, &request->put_flags, err);
    vt_point("index-put");
    if (ok && vt_index_commit(index, sequence, err))
        return true;
    vt_index_rollback(index);
    return false;
}

/* One transaction for all; when it fails, one for each, so that none fails for another's sake. */
static void write_index(struct vt_archive *archive, struct vt_request *list, uint64_t last)
{
    struct vt_err err = { 0 };
    size_t count = 0;

    for (const struct vt_request *request = list; request; request = request->next)
        count += is_indexed(request);
    if (count == 0 || index_transaction(archive, list, NULL, last, &err))
        return;
    for (struct vt_request *request = list; request; request = request->next) {
        struct vt_err wrong = err;
        if (is_indexed(request) &&
            (count == 1 ||
             !index_transaction(archive, request, request->next, request->sequence, &wrong)))
            fail_request(request, &wrong, status_of(&wrong, 0xA703));
    }
}

static bool is_undone(const struct vt_request *request)
{
    return request->err.code != VT_OK && request->sequence != 0;
}

static bool any_undone(const struct vt_request *list)
{
    while (list && !is_undone(list))
        list = list->next;
    return list != NULL;
}

/* What failed behind the journal did not happen: that must be durable before its file goes, or
 * replay would look for it. */
static void abort_failed(struct vt_archive *archive, struct vt_request *list)
{
    struct vt_err err = { 0 };
    uint64_t ignored = 0;
    bool ok = true;

    /* The lock is held during the next group's sync: without need nobody waits for that. */
    if (!any_undone(list))
        return;
    pthread_mutex_lock(&archive->journal_lock);
    for (struct vt_request *request = list; request && ok; request = request->next) {
        if (!is_undone(request))
            continue;
        ok = vt_journal_append(archive->journal, VT_RECORD_ABORT, &request->sequence,
                               sizeof request->sequence, NULL, 0, &ignored, &err);
    }
    ok = ok && sync_journal(archive, &err);
    pthread_mutex_unlock(&archive->journal_lock);
    if (!ok)
        vt_archive_break(archive, &err);
    pthread_mutex_lock(&archive->folders_lock);
    for (struct vt_request *request = list; request && ok; request = request->next)
        if (request->err.code != VT_OK && request->placed)
            vt_apply_undo_file(archive, request->body);
        else if (request->err.code != VT_OK && request->late)
            vt_reindex_note_undone(archive, request->body->instance->sop_uid);
    pthread_mutex_unlock(&archive->folders_lock);
}

static void finish(struct vt_archive *archive, uint64_t last)
{
    pthread_mutex_lock(&archive->progress_lock);
    archive->finished = last;
    pthread_cond_broadcast(&archive->progress);
    pthread_mutex_unlock(&archive->progress_lock);
}

static void lead_apply(struct vt_archive *archive)
{
    uint64_t last = 0;

    pthread_mutex_lock(&archive->apply_stage.lock);
    struct vt_request *list = take_all(&archive->apply_stage);
    for (const struct vt_request *request = list; request; request = request->next)
        if (request->sequence > last)
            last = request->sequence;
    place_files(archive, list);
    vt_point("files-placed");
    write_index(archive, list, last);
    vt_point("index-committed");
    abort_failed(archive, list);
    vt_late_push(archive, list);
    if (last > 0)
        finish(archive, last);
    pthread_mutex_unlock(&archive->apply_stage.lock);
    atomic_fetch_add(&archive->groups, 1);
    /* A request is its owner's again once it is told. */
    for (struct vt_request *request = list, *next; request; request = next) {
        next = request->next;
        atomic_fetch_sub(&archive->under_way, 1);
        request->done(request);
    }
}

static struct vt_request **end_of(struct vt_request *list)
{
    while (list->next)
        list = list->next;
    return &list->next;
}

/* alone: by the thread that brought the request, which goes on with the second stage. */
static void lead_journal(struct vt_archive *archive, bool alone)
{
    bool leads = false;

    pthread_mutex_lock(&archive->journal_stage.lock);
    for (struct vt_request *list = take_all(&archive->journal_stage), *later; list; list = later) {
        later = write_journal(archive, list);
        leads = join(&archive->apply_stage, list, end_of(list));
        /* What waits for room waits for these: they are applied before it goes on. */
        if (later && leads) {
            lead_apply(archive);
            leads = false;
        }
    }
    pthread_mutex_unlock(&archive->journal_stage.lock);
    if (leads && alone)
        lead_apply(archive);
    else if (leads)
        call(&archive->apply_stage);
}

static void *run_journal_stage(void *context)
{
    struct vt_archive *archive = context;

    while (wait_for_call(&archive->journal_stage))
        lead_journal(archive, false);
    return NULL;
}

static void *run_apply_stage(void *context)
{
    struct vt_archive *archive = context;

    while (wait_for_call(&archive->apply_stage))
        lead_apply(archive);
    return NULL;
}

static bool start(struct vt_archive *archive, struct vt_stage *stage, void *(*run)(void *),
                  struct vt_err *err)
{
    int result = pthread_create(&stage->thread, NULL, run, archive);

    if (result != 0) {
        errno = result;
        return vt_fail_errno(err, "starting a thread of the commit");
    }
    stage->runs = true;
    return true;
}

bool vt_stage_start(struct vt_archive *archive, struct vt_err *err)
{
    return start(archive, &archive->apply_stage, run_apply_stage, err) &&
           start(archive, &archive->journal_stage, run_journal_stage, err);
}

static void stop(struct vt_stage *stage)
{
    if (!stage->runs)
        return;
    pthread_mutex_lock(&stage->queue_lock);
    stage->closing = true;
    pthread_cond_signal(&stage->called);
    pthread_mutex_unlock(&stage->queue_lock);
    pthread_join(stage->thread, NULL);
    stage->runs = false;
}

void vt_stage_stop(struct vt_archive *archive)
{
    stop(&archive->journal_stage);
    stop(&archive->apply_stage);
}

void vt_commit(struct vt_archive *archive, struct vt_request *request)
{
    request->next = NULL;
    request->sequence = 0;
    request->put_flags = 0;
    request->placed = false;
    request->late = NULL;
    vt_err_clear(&request->err);
    /* The thread of a large one was at its own sync a moment ago, and has time for the rest. */
    bool alone = atomic_fetch_add(&archive->under_way, 1) == 0 || request->body->staging != 0 ||
                 !archive->journal_stage.runs;
    if (!join(&archive->journal_stage, request, &request->next))
        return;
    if (alone)
        lead_journal(archive, true);
    else
        call(&archive->journal_stage);
}

/* ---- nobody else ---- */

static void stop_arrivals(struct vt_archive *archive)
{
    pthread_mutex_lock(&archive->journal_stage.lock);
    pthread_mutex_lock(&archive->progress_lock);
    while (archive->finished != archive->issued)
        pthread_cond_wait(&archive->progress, &archive->progress_lock);
    pthread_mutex_unlock(&archive->progress_lock);
}

static bool be_alone(struct vt_archive *archive, struct vt_err *err)
{
    pthread_mutex_lock(&archive->apply_stage.lock);
    pthread_mutex_lock(&archive->folders_lock);
    atomic_fetch_add(&archive->exclusives, 1);
    vt_folders_forget_made(archive->folders);
    if (vt_archive_writable(archive, err))
        return true;
    vt_exclusive_end(archive);
    return false;
}

bool vt_exclusive_begin(struct vt_archive *archive, struct vt_err *err)
{
    stop_arrivals(archive);
    if (vt_late_settle(archive, err))
        return be_alone(archive, err);
    pthread_mutex_unlock(&archive->journal_stage.lock);
    return false;
}

bool vt_exclusive_begin_full(struct vt_archive *archive, struct vt_err *err)
{
    struct vt_err ignored = { 0 };

    stop_arrivals(archive);
    vt_late_settle(archive, &ignored);
    return be_alone(archive, err);
}

void vt_exclusive_end(struct vt_archive *archive)
{
    pthread_mutex_unlock(&archive->folders_lock);
    pthread_mutex_unlock(&archive->apply_stage.lock);
    pthread_mutex_unlock(&archive->journal_stage.lock);
}

bool vt_exclusive_commit(struct vt_archive *archive, struct vt_err *err)
{
    pthread_mutex_lock(&archive->journal_lock);
    uint64_t last = vt_journal_last(archive->journal);
    pthread_mutex_unlock(&archive->journal_lock);
    return vt_index_commit(atomic_load(&archive->index), last, err);
}
