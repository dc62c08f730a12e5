#include "scp/retrieve.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "core/clock.h"
#include "core/err.h"
#include "dicom/element.h"
#include "dicom/tags.h"
#include "scp/elsewhere.h"
#include "scp/tell.h"
#include "scp/trail.h"

enum { READ_AHEAD_MAX = 4 << 20 }; /* bytes of the next instance that the disk is asked for early */

/* ---- counting ---- */

void vt_tally_init(struct vt_tally *tally, size_t total)
{
    *tally = (struct vt_tally){ .total = total };
    vt_buf_init(&tally->failed_uids, VT_FAILED_LIST_MAX);
}

void vt_tally_fini(struct vt_tally *tally)
{
    vt_buf_fini(&tally->failed_uids);
}

static void list_failed(struct vt_buf *list, const char *sop_uid)
{
    struct vt_err full = { 0 };
    size_t length = strlen(sop_uid);

    if (!vt_buf_reserve(list, length + 1, &full))
        return;
    if (list->size > 0)
        list->data[list->size++] = '\\';
    memcpy(list->data + list->size, sop_uid, length);
    list->size += length;
}

void vt_tally_add(struct vt_tally *tally, enum vt_outcome outcome, const char *sop_uid)
{
    tally->completed += outcome == VT_OUTCOME_COMPLETED;
    tally->warning += outcome == VT_OUTCOME_WARNING;
    tally->failed += outcome == VT_OUTCOME_FAILED;
    if (outcome == VT_OUTCOME_FAILED)
        list_failed(&tally->failed_uids, sop_uid);
}

enum vt_outcome vt_outcome_of(uint16_t store_status)
{
    if (store_status == VT_STATUS_SUCCESS)
        return VT_OUTCOME_COMPLETED;
    return vt_status_warning(store_status) ? VT_OUTCOME_WARNING : VT_OUTCOME_FAILED;
}

static size_t tally_done(const struct vt_tally *tally)
{
    return tally->completed + tally->warning + tally->failed;
}

size_t vt_tally_remaining(const struct vt_tally *tally)
{
    return tally->total - tally_done(tally);
}

uint16_t vt_tally_final(const struct vt_tally *tally, bool cancelled)
{
    if (cancelled)
        return VT_STATUS_CANCEL;
    if (tally->total > 0 && tally->failed == tally->total)
        return VT_STATUS_CANNOT_PERFORM;
    return tally->failed > 0 || tally->warning > 0 ? VT_STATUS_SUBOPERATIONS_WARNING
                                                   : VT_STATUS_SUCCESS;
}

static uint16_t clamp(size_t count)
{
    return count > UINT16_MAX ? UINT16_MAX : (uint16_t)count;
}

void vt_tally_counters(const struct vt_tally *tally, struct vt_command *response)
{
    response->has_counters = true;
    response->has_remaining =
        vt_status_pending(response->status) || response->status == VT_STATUS_CANCEL;
    response->remaining = response->has_remaining ? clamp(vt_tally_remaining(tally)) : 0;
    response->completed = clamp(tally->completed);
    response->failed = clamp(tally->failed);
    response->warning = clamp(tally->warning);
}

/* ---- the request ---- */

static const char *destination_of(const struct vt_retrieval *retrieval)
{
    return retrieval->command->field == VT_C_MOVE_RQ ? retrieval->command->move_destination
                                                     : retrieval->session->calling_ae_title;
}

static void release(struct vt_retrieval *retrieval)
{
    vt_selection_free(retrieval->selection);
    retrieval->selection = NULL;
    if (!retrieval->by_uid)
        return;
    vt_frame_request_fini(&retrieval->asked);
    if (retrieval->extracted.fd >= 0)
        close(retrieval->extracted.fd);
    retrieval->by_uid = false;
}

void vt_retrieval_fini(struct vt_retrieval *retrieval)
{
    vt_trail_end_sent(retrieval->session, vt_take(&retrieval->trail), destination_of(retrieval));
    release(retrieval);
}

static bool open_stored(const struct vt_retrieval *retrieval, size_t i, struct vt_stored *out,
                        struct vt_err *err);

/* Frames are taken out before the first answer: what cannot be done has statuses of its own. */
static bool extract_frames(struct vt_retrieval *retrieval, struct vt_err *why)
{
    struct vt_stored stored;

    if (vt_selection_count(retrieval->selection) == 0)
        return vt_fail_dimse(why, VT_E_NOTFOUND, VT_STATUS_NO_SUCH_FRAMES,
                             "the instance is not here");
    if (!open_stored(retrieval, 0, &stored, why))
        return false;
    bool ok = vt_frames_extract(retrieval->session->options->archive, &stored, &retrieval->asked,
                                &retrieval->extracted, why);
    vt_stored_close(&stored);
    return ok;
}

/* Composite Instance Root: by SOP Instance UID alone. */
static bool select_by_uid(struct vt_retrieval *retrieval, struct vt_err *why)
{
    struct vt_session *session = retrieval->session;
    const struct vt_query_rules rules = { .model = VT_MODEL_NONE };

    retrieval->by_uid = true;
    retrieval->extracted.fd = -1;
    vt_frame_request_init(&retrieval->asked);
    if (!vt_frame_request_read(session->identifier.data, session->identifier.size,
                               vt_session_encoding(session, retrieval->context_id),
                               &retrieval->asked, why))
        return false;
    const char *const words[] = { (const char *)retrieval->asked.word.data };
    VT_AUTO(vt_query) query = vt_query_from_words(VT_LEVEL_IMAGE, words, 1, &rules, why);
    VT_AUTO(vt_plan) plan = query ? vt_plan_make(query, why) : NULL;
    if (plan)
        retrieval->selection =
            vt_selection_new(vt_archive_index(session->options->archive), plan, why);
    return retrieval->selection && (!retrieval->asked.frames || extract_frames(retrieval, why));
}

static bool select_instances(struct vt_retrieval *retrieval, struct vt_query_offending *offending,
                             struct vt_err *why)
{
    struct vt_session *session = retrieval->session;
    const struct vt_context *context = vt_assoc_context(session->assoc, retrieval->context_id);
    struct vt_query_rules rules = {
        .model = vt_sop_class_find(context->abstract_syntax)->model,
        .retrieve = true,
        .relational = vt_session_extended(session, retrieval->context_id, VT_EXTENDED_RELATIONAL),
        .strict = session->options->strict_query,
        .default_charset = vt_session_charset(session),
        .offending = offending,
    };
    enum vt_encoding encoding = vt_session_encoding(session, retrieval->context_id);

    if (rules.model == VT_MODEL_COMPOSITE_ROOT)
        return select_by_uid(retrieval, why);
    VT_AUTO(vt_query)
    query =
        vt_query_parse(session->identifier.data, session->identifier.size, encoding, &rules, why);
    if (!query)
        return vt_fail_context(why, "identifier");
    VT_AUTO(vt_plan) plan = vt_plan_make(query, why);
    if (plan)
        retrieval->selection =
            vt_selection_new(vt_archive_index(session->options->archive), plan, why);
    return retrieval->selection != NULL;
}

static bool answer_failure(struct vt_retrieval *retrieval,
                           const struct vt_query_offending *offending, const struct vt_err *why,
                           struct vt_err *err)
{
    uint16_t otherwise =
        why->code == VT_E_INVALID ? VT_STATUS_DOES_NOT_MATCH : VT_STATUS_CANNOT_COUNT;
    struct vt_command response =
        vt_command_response(retrieval->command, vt_session_status(why, otherwise));

    snprintf(response.comment, sizeof response.comment, "%.*s", VT_COMMENT_MAX, why->text);
    for (size_t i = 0; i < offending->count && i < VT_OFFENDING_MAX; i++)
        response.offending[response.offending_count++] = offending->tags[i];
    return vt_assoc_send_command(retrieval->session->assoc, retrieval->context_id, &response, err);
}

bool vt_retrieval_begin(struct vt_retrieval *retrieval, bool *out_go, struct vt_err *err)
{
    struct vt_query_offending offending = { .count = 0 };
    struct vt_err why = { 0 };
    bool read;

    *out_go = false;
    if (!vt_session_identifier(retrieval->session, retrieval->context_id, retrieval->command, &read,
                               err) ||
        !read)
        return !vt_failed(err);
    retrieval->pending_time = vt_clock_mono();
    *out_go = select_instances(retrieval, &offending, &why);
    if (*out_go && !retrieval->by_uid && vt_selection_count(retrieval->selection) == 0 &&
        retrieval->session->options->elsewhere.fetch) {
        bool fetched;
        if (!vt_elsewhere_fetch(retrieval, &fetched, err)) {
            *out_go = false;
            return false;
        }
        if (fetched) {
            vt_selection_free(vt_take(&retrieval->selection));
            *out_go = select_instances(retrieval, &offending, &why);
        }
    }
    if (*out_go)
        retrieval->trail = vt_trail_new(retrieval->session);
    else
        release(retrieval);
    return *out_go || answer_failure(retrieval, &offending, &why, err);
}

/* ---- answers ---- */

bool vt_retrieval_pending(struct vt_retrieval *retrieval, const struct vt_tally *tally,
                          struct vt_err *err)
{
    int64_t now = vt_clock_mono();
    size_t done = tally_done(tally);

    if (done - retrieval->pending_at < VT_PENDING_EVERY &&
        now - retrieval->pending_time < VT_PENDING_MS * VT_NS_PER_MS)
        return true;
    retrieval->pending_at = done;
    retrieval->pending_time = now;
    struct vt_command response = vt_command_response(retrieval->command, VT_STATUS_PENDING);
    vt_tally_counters(tally, &response);
    return vt_assoc_send_command(retrieval->session->assoc, retrieval->context_id, &response, err);
}

static void tell_finished(const struct vt_retrieval *retrieval, const struct vt_tally *tally,
                          uint16_t status, const char *comment)
{
    char completed[24], failed[24], warning[24], code[8];

    snprintf(completed, sizeof completed, "%zu", tally->completed);
    snprintf(failed, sizeof failed, "%zu", tally->failed);
    snprintf(warning, sizeof warning, "%zu", tally->warning);
    snprintf(code, sizeof code, "%04X", status);
    vt_tell(retrieval->session->options->events, "retrieve.finished",
            retrieval->session->calling_ae_title, "service",
            retrieval->command->field == VT_C_MOVE_RQ ? "move" : "get", "to",
            retrieval->command->move_destination, "completed", completed, "failed", failed,
            "warning", warning, "status", code, "text", comment ? comment : "", NULL);
}

bool vt_retrieval_finish(struct vt_retrieval *retrieval, const struct vt_tally *tally,
                         bool cancelled, const char *comment, struct vt_err *err)
{
    VT_AUTO_BUF(identifier, VT_FAILED_LIST_MAX + 64);
    struct vt_writer writer = { &identifier,
                                vt_session_encoding(retrieval->session, retrieval->context_id) };
    struct vt_command response =
        vt_command_response(retrieval->command, vt_tally_final(tally, cancelled));
    struct vt_err no_memory = { 0 };

    vt_tally_counters(tally, &response);
    if (comment && response.status != VT_STATUS_SUCCESS)
        snprintf(response.comment, sizeof response.comment, "%s", comment);
    tell_finished(retrieval, tally, response.status, comment);
    /* Without memory for the list, the counters alone are answered. */
    response.has_data_set =
        tally->failed_uids.size > 0 &&
        vt_write_bytes(&writer, VT_TAG_FAILED_SOP_INSTANCE_UID_LIST, "UI", tally->failed_uids.data,
                       tally->failed_uids.size, &no_memory);
    return vt_assoc_send(retrieval->session->assoc, retrieval->context_id, &response,
                         response.has_data_set ? identifier.data : NULL,
                         response.has_data_set ? identifier.size : 0, err);
}

/* ---- the instances ---- */

void vt_reader_init(struct vt_reader *reader, const struct vt_retrieval *retrieval, size_t step)
{
    *reader = (struct vt_reader){ .retrieval = retrieval, .step = step };
}

void vt_reader_fini(struct vt_reader *reader)
{
    if (reader->has_ahead)
        vt_stored_close(&reader->ahead);
    reader->has_ahead = false;
}

static bool open_stored(const struct vt_retrieval *retrieval, size_t i, struct vt_stored *out,
                        struct vt_err *err)
{
    struct vt_archive *archive = retrieval->session->options->archive;
    struct vt_index_entry entry;
    bool found;

    if (!vt_index_lookup(vt_archive_index(archive), vt_selection_sop_uid(retrieval->selection, i),
                         &entry, &found, err))
        return false;
    if (!found)
        return vt_fail(err, VT_E_NOTFOUND, "the instance was deleted meanwhile");
    if (!vt_archive_open_instance(archive, &entry, out, err))
        return false;
    if (!out->corrected || vt_archive_outgoing(archive, out, err))
        return true;
    vt_stored_close(out);
    return false;
}

/* Is the byte in the page cache? Asking costs less than advising about pages that are there. */
static bool is_cached(int fd, uint64_t offset)
{
    uint8_t byte;
    struct iovec part = { &byte, 1 };

    return preadv2(fd, &part, 1, (off_t)offset, RWF_NOWAIT) == 1;
}

static void ask_disk(const struct vt_stored *stored)
{
    uint64_t size = stored->data_set_size < READ_AHEAD_MAX ? stored->data_set_size : READ_AHEAD_MAX;

    if (size > 0 && !is_cached(stored->fd, stored->data_set_offset + size - 1))
        (void)posix_fadvise(stored->fd, (off_t)stored->data_set_offset, (off_t)size,
                            POSIX_FADV_WILLNEED);
}

/* What fails here fails again, and is told, when its turn comes. */
static void look_ahead(struct vt_reader *reader, size_t i)
{
    struct vt_err later = { 0 };

    if (i >= vt_selection_count(reader->retrieval->selection) ||
        !open_stored(reader->retrieval, i, &reader->ahead, &later))
        return;
    reader->has_ahead = true;
    reader->ahead_at = i;
    ask_disk(&reader->ahead);
}

/* The frames instead of the whole. */
static bool replace_by_frames(const struct vt_extracted *extracted, struct vt_stored *stored,
                              struct vt_err *err)
{
    vt_stored_close(stored);
    stored->fd = fcntl(extracted->fd, F_DUPFD_CLOEXEC, 0);
    if (stored->fd < 0)
        return vt_fail_errno(err, "the frames of %s", stored->entry.sop_uid);
    stored->data_set_offset = 0;
    stored->data_set_size = extracted->size;
    memcpy(stored->entry.sop_uid, extracted->sop_uid, sizeof stored->entry.sop_uid);
    return true;
}

bool vt_reader_open(struct vt_reader *reader, size_t i, struct vt_stored *out, struct vt_err *err)
{
    if (reader->has_ahead && reader->ahead_at == i) {
        *out = reader->ahead;
        reader->has_ahead = false;
    } else {
        vt_reader_fini(reader);
        if (!open_stored(reader->retrieval, i, out, err))
            return false;
    }
    vt_archive_accessed(reader->retrieval->session->options->archive, &out->entry);
    vt_trail_sent(reader->retrieval->session, reader->retrieval->trail,
                  destination_of(reader->retrieval), out->entry.study_uid, out->entry.sop_class);
    if (out->data_set_size > READ_AHEAD_MAX)
        (void)posix_fadvise(out->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    look_ahead(reader, i + reader->step);
    return !reader->retrieval->asked.frames || replace_by_frames(&reader->retrieval->extracted, out, err);
}
