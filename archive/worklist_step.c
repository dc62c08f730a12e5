#include "archive/worklist_step.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "archive/attributes.h"
#include "archive/inside.h"
#include "archive/worklist_inside.h"
#include "archive/worklist_step_rules.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"
#include "dicom/tags.h"

/* ---- what became of the worklist ---- */

static bool move_entries(struct vt_db *db, const uint8_t *attributes, size_t size, enum vt_worklist_state state,
                         struct vt_err *err)
{
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db,
        "UPDATE worklist SET state = ?, changed = ? WHERE study_uid = ? AND (step_id = ? OR ? = '') AND state < ?",
        err);
    char study[VT_UID_MAX + 1], step[VT_WORKLIST_TEXT];
    struct vt_attribute sequence;
    struct vt_attributes items, item;
    bool ok = stmt != NULL;

    if (ok && vt_attributes_find(attributes, size, VT_STEP_TAG_SCHEDULED, &sequence)) {
        vt_attributes_begin(&items, sequence.value, sequence.size);
        while (ok && vt_attributes_next_item(&items, &item)) {
            size_t length = (size_t)(item.end - item.at);
            vt_attributes_text(item.at, length, VT_TAG_STUDY_INSTANCE_UID, study, sizeof study);
            vt_attributes_text(item.at, length, TAG_STEP_ID, step, sizeof step);
            ok = vt_stmt_bind(db, stmt, err, "iittti", (int64_t)state, vt_clock_wall(), study, step, step,
                              (int64_t)VT_WORKLIST_COMPLETED) &&
                 vt_stmt_run(db, stmt, err);
        }
    }
    vt_stmt_free(stmt);
    return ok;
}

static void tell(struct vt_archive *archive, const char *sop_uid, enum vt_step_state state)
{
    static const char *const kinds[] = { "step.started", "step.completed", "step.discontinued" };

    vt_events_publish(archive->options.events, kinds[state], sop_uid, NULL);
}

/* ---- rows ---- */

static bool read_row(struct vt_db *db, const char *sop_uid, bool *out_there, enum vt_step_state *out_state,
                     struct vt_buf *attributes, struct vt_err *err)
{
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db, "SELECT state, attributes FROM performed_step WHERE sop_uid = ?", err);
    bool row = false, ok = stmt && vt_stmt_bind(db, stmt, err, "t", sop_uid) && vt_stmt_step(db, stmt, &row, err);

    if (ok && row) {
        *out_state = (enum vt_step_state)sqlite3_column_int(stmt, 0);
        ok = vt_buf_append(attributes, sqlite3_column_blob(stmt, 1), (size_t)sqlite3_column_bytes(stmt, 1), err);
    }
    *out_there = row;
    vt_stmt_free(stmt);
    return ok;
}

static bool write_row(struct vt_db *db, const char *sop_uid, const char *peer, enum vt_step_state state,
                      const uint8_t *attributes, size_t size, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db,
        "INSERT INTO performed_step (sop_uid, state, study_uid, peer, attributes, created, changed)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)"
        " ON CONFLICT (sop_uid) DO UPDATE SET state = ?2, attributes = ?5, changed = ?6",
        err);
    char study[VT_UID_MAX + 1];

    vt_step_study(attributes, size, study);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "tittbi", sop_uid, (int64_t)state, study, peer, attributes, size,
                           vt_clock_wall()) &&
              vt_stmt_run(db, stmt, err);
    vt_stmt_free(stmt);
    return ok;
}

/* ---- N-CREATE ---- */

static bool same_bytes(const struct vt_buf *a, const uint8_t *bytes, size_t size)
{
    return a->size == size && (size == 0 || memcmp(a->data, bytes, size) == 0);
}

static bool create(struct vt_db *db, const char *sop_uid, const char *peer, const uint8_t *attributes, size_t size,
                   struct vt_step_answer *out, bool *out_made, struct vt_err *err)
{
    VT_AUTO_BUF(earlier, VT_STEP_BYTES_MAX);
    enum vt_step_state state = VT_STEP_IN_PROGRESS;
    bool there = false;

    if (!read_row(db, sop_uid, &there, &state, &earlier, err))
        return false;
    if (there) {
        bool again = state == VT_STEP_IN_PROGRESS && same_bytes(&earlier, attributes, size);
        if (!again)
            vt_step_say(out, VT_STEP_STATUS_DUPLICATE, 0, "there is such a step already");
        return true;
    }
    *out_made = true;
    return write_row(db, sop_uid, peer, VT_STEP_IN_PROGRESS, attributes, size, err) &&
           move_entries(db, attributes, size, VT_WORKLIST_STARTED, err);
}

bool vt_step_create(struct vt_archive *archive, const char *sop_uid, const char *peer, const uint8_t *attributes,
                    size_t size, struct vt_step_answer *out, struct vt_err *err)
{
    bool made = false;

    *out = (struct vt_step_answer){ .status = 0 };
    if (!vt_step_may_begin(attributes, size, out))
        return true;
    struct vt_db *db = vt_state_lock(archive->state);
    bool ok = vt_db_exec(db, "BEGIN IMMEDIATE", err) &&
              vt_worklist_end(db, create(db, sop_uid, peer, attributes, size, out, &made, err), err);
    vt_state_unlock(archive->state);
    if (ok && made)
        tell(archive, sop_uid, VT_STEP_IN_PROGRESS);
    return ok;
}

/* ---- N-SET ---- */

static bool set(struct vt_db *db, const char *sop_uid, const uint8_t *attributes, size_t size,
                struct vt_step_answer *out, enum vt_step_state *out_state, struct vt_err *err)
{
    VT_AUTO_BUF(earlier, VT_STEP_BYTES_MAX);
    VT_AUTO_BUF(allowed, VT_STEP_BYTES_MAX);
    VT_AUTO_BUF(merged, 2 * VT_STEP_BYTES_MAX);
    enum vt_step_state state = VT_STEP_IN_PROGRESS;
    bool there = false;

    if (!read_row(db, sop_uid, &there, &state, &earlier, err))
        return false;
    if (!there) {
        vt_step_say(out, VT_STEP_STATUS_NO_SUCH_INSTANCE, 0, "there is no such step");
        return true;
    }
    if (!vt_step_take_out_fixed(attributes, size, &earlier, &allowed, out, err) ||
        !vt_attributes_merge(allowed.data, allowed.size, earlier.data, earlier.size, &merged, err))
        return false;
    bool again = same_bytes(&merged, earlier.data, earlier.size);
    if (state != VT_STEP_IN_PROGRESS && !again) {
        *out = (struct vt_step_answer){ .error_id = VT_STEP_NO_LONGER };
        vt_step_say(out, VT_STEP_STATUS_FAILURE, 0, "the performed procedure step may no longer be updated");
    }
    if (state != VT_STEP_IN_PROGRESS || !vt_step_may_be(merged.data, merged.size, out_state, out))
        return true;
    return write_row(db, sop_uid, "", *out_state, merged.data, merged.size, err) &&
           (*out_state == VT_STEP_IN_PROGRESS ||
            move_entries(db, merged.data, merged.size,
                         *out_state == VT_STEP_COMPLETED ? VT_WORKLIST_COMPLETED : VT_WORKLIST_DISCONTINUED, err));
}

bool vt_step_set(struct vt_archive *archive, const char *sop_uid, const uint8_t *attributes, size_t size,
                 struct vt_step_answer *out, struct vt_err *err)
{
    enum vt_step_state state = VT_STEP_IN_PROGRESS;

    *out = (struct vt_step_answer){ .status = 0 };
    struct vt_db *db = vt_state_lock(archive->state);
    bool ok = vt_db_exec(db, "BEGIN IMMEDIATE", err) &&
              vt_worklist_end(db, set(db, sop_uid, attributes, size, out, &state, err), err);
    vt_state_unlock(archive->state);
    if (ok && state != VT_STEP_IN_PROGRESS)
        tell(archive, sop_uid, state);
    return ok;
}

/* ---- reading ---- */

static bool count_one(void *context, const char *series_uid, const char *sop_class, const char *sop_uid,
                      struct vt_err *err)
{
    (void)series_uid, (void)sop_class, (void)sop_uid, (void)err;
    ++*(uint64_t *)context;
    return true;
}

static bool references_in(const struct vt_attributes *series, uint32_t tag, const char *series_uid,
                          bool (*each)(void *context, const char *series_uid, const char *sop_class,
                                       const char *sop_uid, struct vt_err *err),
                          void *context, struct vt_err *err)
{
    char sop_class[VT_UID_MAX + 1], sop_uid[VT_UID_MAX + 1];
    struct vt_attribute sequence;
    struct vt_attributes items, item;

    if (!vt_attributes_find(series->at, (size_t)(series->end - series->at), tag, &sequence))
        return true;
    vt_attributes_begin(&items, sequence.value, sequence.size);
    while (vt_attributes_next_item(&items, &item)) {
        size_t size = (size_t)(item.end - item.at);
        vt_attributes_text(item.at, size, VT_TAG_REFERENCED_SOP_CLASS_UID, sop_class, sizeof sop_class);
        vt_attributes_text(item.at, size, VT_TAG_REFERENCED_SOP_INSTANCE_UID, sop_uid, sizeof sop_uid);
        if (sop_uid[0] && !each(context, series_uid, sop_class, sop_uid, err))
            return false;
    }
    return true;
}

bool vt_step_instances(const uint8_t *attributes, size_t size,
                       bool (*each)(void *context, const char *series_uid, const char *sop_class, const char *sop_uid,
                                    struct vt_err *err),
                       void *context, struct vt_err *err)
{
    char series_uid[VT_UID_MAX + 1];
    struct vt_attribute sequence;
    struct vt_attributes items, item;

    if (!vt_attributes_find(attributes, size, VT_STEP_TAG_SERIES, &sequence))
        return true;
    vt_attributes_begin(&items, sequence.value, sequence.size);
    while (vt_attributes_next_item(&items, &item)) {
        vt_attributes_text(item.at, (size_t)(item.end - item.at), VT_TAG_SERIES_INSTANCE_UID, series_uid,
                           sizeof series_uid);
        if (!references_in(&item, VT_STEP_TAG_IMAGES, series_uid, each, context, err) ||
            !references_in(&item, VT_STEP_TAG_OTHERS, series_uid, each, context, err))
            return false;
    }
    return true;
}

static void copy_column(struct sqlite3_stmt *stmt, int column, char *out, size_t room)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);

    snprintf(out, room, "%s", text ? text : "");
}

/* The next one in the order of the list, behind (changed, sop_uid). */
static bool next_step(struct vt_archive *archive, const char *only, struct vt_step *step, struct vt_buf *attributes,
                      bool *out_more, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db,
        "SELECT sop_uid, study_uid, peer, state, created, changed, attributes FROM performed_step"
        " WHERE (?1 = '' OR sop_uid = ?1) AND (created, sop_uid) < (?2, ?3) ORDER BY created DESC, sop_uid DESC LIMIT 1",
        err);
    bool row = false, ok = stmt && vt_stmt_bind(db, stmt, err, "tit", only, step->created, step->sop_uid) &&
                           vt_stmt_step(db, stmt, &row, err);

    vt_buf_reset(attributes);
    if (ok && row) {
        copy_column(stmt, 0, step->sop_uid, sizeof step->sop_uid);
        copy_column(stmt, 1, step->study_uid, sizeof step->study_uid);
        copy_column(stmt, 2, step->peer, sizeof step->peer);
        step->state = (enum vt_step_state)sqlite3_column_int(stmt, 3);
        step->created = sqlite3_column_int64(stmt, 4);
        step->changed = sqlite3_column_int64(stmt, 5);
        ok = vt_buf_append(attributes, sqlite3_column_blob(stmt, 6), (size_t)sqlite3_column_bytes(stmt, 6), err);
    }
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    *out_more = row;
    return ok;
}

bool vt_step_each(struct vt_archive *archive, const char *sop_uid, uint64_t limit,
                  bool (*each)(void *context, const struct vt_step *step, const uint8_t *attributes, size_t size,
                               struct vt_err *err),
                  void *context, struct vt_err *err)
{
    VT_AUTO_BUF(attributes, VT_STEP_BYTES_MAX);
    struct vt_step step = { .created = INT64_MAX };
    char only[VT_UID_MAX + 1];
    bool more = true;

    snprintf(only, sizeof only, "%s", sop_uid ? sop_uid : "");
    for (uint64_t i = 0; limit == 0 || i < limit; i++) {
        if (!next_step(archive, only, &step, &attributes, &more, err))
            return false;
        if (!more)
            break;
        step.announced = 0;
        if (!vt_step_instances(attributes.data, attributes.size, count_one, &step.announced, err) ||
            !each(context, &step, attributes.data, attributes.size, err))
            return false;
    }
    return true;
}
