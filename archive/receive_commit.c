/* The end of an arrival: is it whole and itself, is it there already, where does it go. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "archive/decide.h"
#include "archive/late.h"
#include "archive/patient.h"
#include "archive/place.h"
#include "archive/receive.h"
#include "core/clock.h"
#include "core/event.h"
#include "core/io.h"
#include "dicom/dataset.h"

enum { COMPARE_BLOCK = 64 << 10, VERSIONS_MAX = 100000 };

static bool infrastructure(enum vt_code code)
{
    return code == VT_E_NOMEM || code == VT_E_IO || code == VT_E_FULL || code == VT_E_BUSY;
}

/* ---- is it whole, is it what the command said ---- */

static bool tell_refusal(struct vt_receive_result *out, uint16_t status, const char *comment)
{
    out->decision = VT_DECISION_REFUSED;
    out->status = status;
    snprintf(out->comment, sizeof out->comment, "%.64s", comment);
    return false;
}

static bool offends(struct vt_receive_result *out, uint32_t tag)
{
    out->offending[out->offending_count++] = tag;
    return tell_refusal(out, 0xA900,
                        tag == VT_TAG_SOP_CLASS_UID
                            ? "SOP Class UID differs from the command's"
                            : "SOP Instance UID differs from the command's");
}

/* false with err clear: refused, *out tells. */
static bool examine(struct vt_receive *receive, struct vt_receive_result *out, struct vt_err *err)
{
    const struct vt_instance *instance = &receive->instance;
    struct vt_err fault = receive->fault;

    if (receive->phase == VT_RECEIVE_DATA && vt_header_finish(receive->header, &fault) &&
        vt_instance_read(&receive->instance, receive->header, &receive->archive->options.rules,
                         &fault)) {
        memcpy(out->sop_uid, instance->sop_uid, sizeof out->sop_uid);
        memcpy(out->study_uid, instance->study_uid, sizeof out->study_uid);
        if (receive->sop_uid[0] && strcmp(receive->sop_uid, instance->sop_uid) != 0)
            return offends(out, VT_TAG_SOP_INSTANCE_UID);
        if (receive->sop_class[0] && strcmp(receive->sop_class, instance->sop_class) != 0)
            return offends(out, VT_TAG_SOP_CLASS_UID);
        return true;
    }
    if (fault.code == VT_E_NOMEM) {
        *err = fault;
        return false;
    }
    return tell_refusal(out, fault.dimse_status ? fault.dimse_status : 0xC000, fault.text);
}

static bool complete(struct vt_receive *receive, struct vt_err *err)
{
    struct vt_instance *instance = &receive->instance;

    if (!vt_receive_place_meta(receive, err) || !vt_patient_apply(receive->archive, instance, err))
        return false;
    memcpy(instance->transfer_syntax, receive->transfer_syntax, sizeof instance->transfer_syntax);
    instance->arrived = vt_clock_wall();
    instance->version = 1;
    instance->data_set_offset = receive->meta.size;
    instance->data_set_size = receive->data_size;
    instance->file_size = receive->meta.size + receive->data_size;
    return true;
}

/* ---- is it there ---- */

static bool staging_path(const struct vt_receive *receive, char *out, size_t room)
{
    char name[VT_STAGING_NAME];

    vt_staging_name(receive->staging, name);
    return snprintf(out, room, "%s/staging/%s", receive->archive->path, name) < (int)room;
}

/* The data set as it arrived against the one in the store: equal digests are no proof yet, and an
 * object that is damaged must not be taken for a good copy. *out_same false when it cannot be read.
 */
static bool compare_bytes(struct vt_receive *receive, const struct vt_index_entry *there,
                          bool *out_same, struct vt_err *err)
{
    vt_autofree uint8_t *a = malloc(COMPARE_BLOCK), *b = malloc(COMPARE_BLOCK);
    vt_autoclose stored = openat(receive->archive->root, there->file, O_RDONLY | O_CLOEXEC);
    vt_autoclose staged = -1;
    char path[PATH_MAX];

    if (!a || !b)
        return vt_fail(err, VT_E_NOMEM, "no memory to compare");
    if (receive->staging != 0) {
        if (!vt_receive_spill(receive, err))
            return false;
        staging_path(receive, path, sizeof path);
        staged = open(path, O_RDONLY | O_CLOEXEC);
        if (staged < 0)
            return vt_fail_errno(err, "%s", path);
    }
    const uint8_t *memory = (receive->block ? receive->block : receive->small) + receive->meta.size;
    struct vt_err unreadable = { 0 };
    *out_same = stored >= 0;
    for (uint64_t at = 0; *out_same && at < receive->data_size; at += COMPARE_BLOCK) {
        size_t size = receive->data_size - at < COMPARE_BLOCK ? (size_t)(receive->data_size - at)
                                                              : COMPARE_BLOCK;
        if (staged >= 0 && !vt_io_pread(staged, a, size, receive->meta.size + at, path, err))
            return false;
        *out_same =
            vt_io_pread(stored, b, size, there->data_set_offset + at, there->file, &unreadable) &&
            memcmp(staged >= 0 ? a : memory + at, b, size) == 0;
    }
    return true;
}

static bool look_into_identical(struct vt_receive *receive, const struct vt_index_entry *there,
                                struct vt_verdict *out, struct vt_err *err)
{
    bool same = false;

    if (!compare_bytes(receive, there, &same, err))
        return false;
    if (!same)
        vt_events_publish(receive->archive->options.events, "instance.corrupt", there->sop_uid,
                          NULL);
    /* A damaged copy is mended by the good one that just came. */
    *out = same ? vt_duplicate_verdict(VT_DUPLICATE_IDENTICAL, &receive->archive->options)
                : (struct vt_verdict){ VT_DECISION_VERSION, 0, "" };
    return true;
}

static bool compare_decoded(struct vt_receive *receive, const struct vt_index_entry *there,
                            enum vt_duplicate *out, struct vt_err *err)
{
    const struct vt_instance *arrival = &receive->instance;
    char stored[PATH_MAX], staged[PATH_MAX];
    const struct vt_compared a = { stored, there->data_set_size, there->has_pixels,
                                   there->pixel_offset, there->pixel_length },
                             b = { staged, arrival->data_set_size, arrival->has_pixels,
                                   arrival->pixel_offset, arrival->pixel_length };
    bool equal = true, same = false;

    staging_path(receive, staged, sizeof staged);
    snprintf(stored, sizeof stored, "%s/%s", receive->archive->path, there->file);
    *out = VT_DUPLICATE_OTHER_PIXELS;
    if (there->has_pixels && !vt_pixels_equal(stored, staged, &equal, err))
        return false;
    if (!equal)
        return true;
    if (!vt_duplicate_same_attributes(receive->archive, &a, &b, &same, err))
        return false;
    *out = same ? VT_DUPLICATE_IDENTICAL : VT_DUPLICATE_SAME_PIXELS;
    return true;
}

/* What cannot be decoded becomes a version, never a refusal. */
static bool look_into_encoding(struct vt_receive *receive, const struct vt_index_entry *there,
                               struct vt_verdict *out, struct vt_err *err)
{
    enum vt_duplicate kind;
    struct vt_err wrong = { 0 };

    if (!vt_receive_spill(receive, err))
        return false;
    if (compare_decoded(receive, there, &kind, &wrong)) {
        *out = vt_duplicate_verdict(kind, &receive->archive->options);
        return true;
    }
    *out = (struct vt_verdict){ VT_DECISION_VERSION, 0, "" };
    if (wrong.code == VT_E_NOMEM)
        *err = wrong;
    return wrong.code != VT_E_NOMEM;
}

static bool judge(struct vt_receive *receive, const struct vt_index_entry *there,
                  struct vt_verdict *out, struct vt_err *err)
{
    enum vt_duplicate kind = vt_duplicate_judge(there, &receive->instance);

    if (there && !vt_late_wait(receive->archive, there->file, err))
        return false;
    if (kind == VT_DUPLICATE_IDENTICAL)
        return look_into_identical(receive, there, out, err);
    if (kind == VT_DUPLICATE_OTHER_ENCODING)
        return look_into_encoding(receive, there, out, err);
    *out = vt_duplicate_verdict(kind, &receive->archive->options);
    return true;
}

/* A further copy of what is in quarantine already tells nothing new. */
static bool is_quarantined(struct vt_receive *receive, bool *out_there, struct vt_err *err)
{
    const struct vt_instance *instance = &receive->instance;
    struct vt_db *db = vt_state_lock(receive->archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "SELECT 1 FROM quarantine WHERE sop_uid = ? AND digest = ? AND resolved IS NULL", err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "tb", instance->sop_uid, instance->data_set_digest.bytes,
                           sizeof(struct vt_digest)) &&
              vt_stmt_step(db, stmt, out_there, err);

    vt_stmt_free(stmt);
    vt_state_unlock(receive->archive->state);
    return ok;
}

/* ---- where does it go ---- */

/* A free path: files that no row knows (an index that was lost) are never overwritten. In a folder
 * that was made for arrivals there are none; the file is made exclusively all the same. */
static bool choose_place(struct vt_receive *receive, enum vt_decision decision, struct vt_err *err)
{
    struct vt_instance *instance = &receive->instance;
    char date[16];

    if (decision == VT_DECISION_QUARANTINED) {
        vt_place_quarantine(instance);
        return true;
    }
    vt_header_text(receive->header, VT_TAG_STUDY_DATE, date, sizeof date);
    for (; instance->version < VERSIONS_MAX; instance->version++) {
        vt_place_object(instance, date);
        if (instance->version == 1 && vt_folders_made(receive->archive->folders, instance->file))
            return true;
        if (faccessat(receive->archive->root, instance->file, F_OK, 0) < 0)
            return errno == ENOENT || vt_fail_errno(err, "%s", instance->file);
    }
    return vt_fail(err, VT_E_LIMIT, "more than %d versions of %s", VERSIONS_MAX, instance->sop_uid);
}

static bool stage(struct vt_receive *receive, struct vt_err *err)
{
    if (!receive->block && receive->staging == 0)
        return true;
    if ((receive->used > 0 || receive->staging == 0) && !vt_receive_spill(receive, err))
        return false;
    vt_pool_give(receive->archive->pool, receive->block);
    receive->block = NULL;
    vt_point("staged");
    if (!receive->archive->options.relaxed && !vt_io_sync_data(receive->fd, "staging", err))
        return vt_archive_break(receive->archive, err);
    close(receive->fd);
    receive->fd = -1;
    return true;
}

static void committed(struct vt_request *request);

static void fill_request(struct vt_receive *receive, enum vt_decision decision,
                         const struct vt_index_entry *there)
{
    const struct vt_instance *instance = &receive->instance;
    struct vt_record_body *body = &receive->body;
    struct vt_request *request = &receive->request;

    *request = (struct vt_request){ .kind = VT_RECORD_STORE,
                                    .body = body,
                                    .head = &receive->record,
                                    .done = committed,
                                    .context = receive };
    if (decision == VT_DECISION_QUARANTINED)
        request->kind = VT_RECORD_QUARANTINE;
    if (decision == VT_DECISION_VERSION) {
        request->kind = VT_RECORD_VERSION;
        body->has_previous = there != NULL;
        if (there)
            body->previous = *there;
    }
    size_t attributes = instance->frames.size;
    for (int level = 0; level < VT_LEVELS; level++)
        attributes += instance->attributes[level].size;
    body->reread = attributes > VT_RECORD_ATTRIBUTES_MAX;
    body->staging = receive->staging;
    request->sync_staging = receive->staging != 0 && !receive->name_synced;
    if (receive->staging == 0) {
        body->bytes = receive->small;
        body->size = receive->used;
    }
}

/* true: the request is ready for the commit. */
static bool prepare(struct vt_receive *receive, const struct vt_verdict *verdict,
                    const struct vt_index_entry *there, struct vt_err *err)
{
    struct vt_instance *instance = &receive->instance;
    struct vt_record_body *body = &receive->body;

    instance->version = there ? there->version + 1 : 1;
    uint64_t exclusives = atomic_load(&receive->archive->exclusives);
    if (!choose_place(receive, verdict->decision, err) || !stage(receive, err))
        return false;
    *body = (struct vt_record_body){ .instance = instance, .status = verdict->status };
    snprintf(body->reason, sizeof body->reason, "%s", verdict->comment);
    fill_request(receive, verdict->decision, there);
    receive->request.exclusives = exclusives;
    vt_buf_reset(&receive->record);
    return vt_record_encode(body, &receive->record, err);
}

/* ---- all of it ---- */

/* Under the UID's lock. *out_writes: the request is ready for the commit. */
static bool decide(struct vt_receive *receive, bool *out_writes, struct vt_err *err)
{
    struct vt_archive *archive = receive->archive;
    struct vt_receive_result *out = &receive->result;
    struct vt_index_entry there;
    struct vt_verdict verdict = { 0 };
    bool found = false, kept = false, other = false;

    if (!vt_index_lookup(atomic_load(&archive->index), receive->instance.sop_uid, &there, &found,
                         err) ||
        !judge(receive, found ? &there : NULL, &verdict, err))
        return false;
    if (verdict.decision == VT_DECISION_QUARANTINED && !is_quarantined(receive, &kept, err))
        return false;
    if (archive->options.patient_conflict_reject && verdict.decision == VT_DECISION_STORED &&
        !vt_decide_other_patient(archive, &receive->instance, &other, err))
        return false;
    if (other)
        verdict = (struct vt_verdict){ VT_DECISION_REFUSED, 0xA901,
                                       "study is stored under another patient" };
    out->decision = verdict.decision;
    out->status = verdict.status;
    snprintf(out->comment, sizeof out->comment, "%s", verdict.comment);
    *out_writes = verdict.decision == VT_DECISION_STORED ||
                  verdict.decision == VT_DECISION_VERSION ||
                  (verdict.decision == VT_DECISION_QUARANTINED && !kept);
    return !*out_writes || prepare(receive, &verdict, found ? &there : NULL, err);
}

static void count(struct vt_archive *archive, enum vt_decision decision)
{
    atomic_uint_fast64_t *const counters[] = {
        [VT_DECISION_STORED] = &archive->stored,
        [VT_DECISION_DUPLICATE] = &archive->duplicates,
        [VT_DECISION_VERSION] = &archive->versions,
        [VT_DECISION_QUARANTINED] = &archive->quarantined,
        [VT_DECISION_REFUSED] = &archive->refused,
    };

    atomic_fetch_add(counters[decision], 1);
}

static void publish(struct vt_archive *archive, const struct vt_instance *instance,
                    const struct vt_receive_result *result, unsigned flags)
{
    static const char *const kinds[] = {
        [VT_DECISION_STORED] = "instance.stored",
        [VT_DECISION_DUPLICATE] = "instance.duplicate",
        [VT_DECISION_VERSION] = "instance.changed",
        [VT_DECISION_QUARANTINED] = "instance.quarantined",
    };
    char detail[400], title[VT_AE_TITLE_MAX + 1];

    if (!archive->options.events || result->decision == VT_DECISION_REFUSED)
        return;
    snprintf(title, sizeof title, "%s", instance->calling_ae_title);
    for (char *c = title; *c; c++)
        if (*c == '"' || *c == '\\' || *c < ' ' || *c > '~')
            *c = '?';
    snprintf(detail, sizeof detail,
             "{\"study\":\"%s\",\"series\":\"%s\",\"class\":\"%s\",\"aet\":\"%s\",\"new_study\":%s}",
             instance->study_uid, instance->series_uid, instance->sop_class, title,
             flags & VT_PUT_NEW_STUDY ? "true" : "false");
    vt_events_publish(archive->options.events, kinds[result->decision], instance->sop_uid, detail);
}

static void fail_commit(struct vt_receive *receive, struct vt_err *err)
{
    vt_receive_fail(receive, infrastructure(err->code) ? 0xA703 : 0xA704, err);
    vt_receive_abandon(receive);
}

/* The outcome is known. The receiver is its owner's again at the end. */
static void conclude(struct vt_receive *receive, unsigned flags, const struct vt_err *err)
{
    struct vt_archive *archive = receive->archive;

    if (err->code == VT_OK) {
        vt_receive_abandon(receive);
        count(archive, receive->result.decision);
        publish(archive, &receive->instance, &receive->result, flags);
    }
    receive->answer(receive->answer_context, err->code == VT_OK ? &receive->result : NULL, err);
    sem_post(&receive->concluded);
}

static void leave(struct vt_receive *receive)
{
    vt_locks_give(receive->archive->locks, &receive->lock);
    vt_gate_leave(&receive->archive->identities);
}

/* In the thread that led the group. */
static void committed(struct vt_request *request)
{
    struct vt_receive *receive = request->context;
    struct vt_err err = request->err;

    if (err.code == VT_OK)
        receive->staging = 0;
    leave(receive);
    if (err.code != VT_OK)
        fail_commit(receive, &err);
    conclude(receive, request->put_flags, &err);
}

/* From the patient's identity to the answer's facts nobody changes identities in between and nobody
 * else stores this UID. true: the commit has it now, or it is concluded. */
static bool settle(struct vt_receive *receive, struct vt_err *err)
{
    struct vt_archive *archive = receive->archive;
    bool writes = false;

    vt_gate_enter(&archive->identities);
    if (!complete(receive, err)) {
        vt_gate_leave(&archive->identities);
        return false;
    }
    vt_locks_take(archive->locks, &receive->lock, receive->instance.sop_uid);
    bool ok = decide(receive, &writes, err);
    if (ok && writes) {
        vt_commit(archive, &receive->request);
        return true;
    }
    leave(receive);
    if (ok)
        conclude(receive, 0, err);
    return ok;
}

void vt_receive_commit_then(struct vt_receive *receive, vt_receive_answer answer, void *context)
{
    struct vt_err err = { 0 };

    receive->answer = answer;
    receive->answer_context = context;
    receive->committing = true;
    memset(&receive->result, 0, sizeof receive->result);
    if (receive->phase == VT_RECEIVE_IDLE) {
        vt_fail_dimse(&err, VT_E_INTERNAL, 0xC000, "commit without vt_receive_begin");
    } else if (receive->phase == VT_RECEIVE_FAILED) {
        err = receive->fault;
        vt_receive_abandon(receive);
    } else if (examine(receive, &receive->result, &err)) {
        if (settle(receive, &err))
            return;
        fail_commit(receive, &err);
    } else if (err.code != VT_OK) {
        fail_commit(receive, &err);
    }
    conclude(receive, 0, &err);
}

void vt_receive_wait(struct vt_receive *receive)
{
    while (receive->committing)
        receive->committing = sem_wait(&receive->concluded) < 0;
}

struct waiting {
    struct vt_receive_result *out;
    struct vt_err *err;
    bool ok;
};

static void keep_outcome(void *context, const struct vt_receive_result *result,
                         const struct vt_err *err)
{
    struct waiting *waiting = context;

    waiting->ok = result != NULL;
    if (result)
        *waiting->out = *result;
    else
        *waiting->err = *err;
}

bool vt_receive_commit(struct vt_receive *receive, struct vt_receive_result *out,
                       struct vt_err *err)
{
    struct waiting waiting = { .out = out, .err = err };

    vt_receive_commit_then(receive, keep_outcome, &waiting);
    vt_receive_wait(receive);
    return waiting.ok;
}
