/* The rows of the worklist in state.db. */
#include "archive/worklist.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "archive/attributes.h"
#include "archive/inside.h"
#include "archive/worklist_inside.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/event.h"
#include "dicom/tags.h"

const char *vt_worklist_state_name(enum vt_worklist_state state)
{
    static const char *const names[] = { "scheduled", "started", "completed", "discontinued" };

    return (size_t)state < VT_COUNT(names) ? names[state] : "";
}

bool vt_worklist_end(struct vt_db *db, bool ok, struct vt_err *err)
{
    struct vt_err ignored = { 0 };

    if (ok && vt_db_exec(db, "COMMIT", err))
        return true;
    vt_db_exec(db, "ROLLBACK", &ignored);
    return false;
}

/* ---- put ---- */

/* What one call puts: its steps, and the numbers of those that are new. */
struct putting {
    const char *source;
    const uint8_t *attributes;
    size_t size;
    int64_t first;
    int64_t added[VT_WORKLIST_STEPS_MAX];
    size_t added_count;
    bool changed;
    uint64_t round; /* marks the rows of this call */
};

static bool find_row(struct vt_db *db, const struct vt_worklist_keys *keys, const struct vt_buf *entry,
                     int64_t *out_id, bool *out_same, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "SELECT id, attributes = ? FROM worklist WHERE study_uid = ? AND step_id = ?", err);
    bool row = false, ok = stmt &&
                           vt_stmt_bind(db, stmt, err, "btt", entry->data, entry->size, keys->study_uid,
                                        keys->step_id) &&
                           vt_stmt_step(db, stmt, &row, err);

    *out_id = row ? sqlite3_column_int64(stmt, 0) : 0;
    *out_same = row && sqlite3_column_int(stmt, 1) == 1;
    vt_stmt_free(stmt);
    return ok;
}

static bool has_room(struct vt_db *db, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = vt_db_prepare(db, "SELECT count(*) FROM worklist", err);
    bool row = false, ok = stmt && vt_stmt_step(db, stmt, &row, err);
    int64_t count = ok && row ? sqlite3_column_int64(stmt, 0) : 0;

    vt_stmt_free(stmt);
    return ok && (count < VT_WORKLIST_ENTRIES_MAX ||
                  vt_fail(err, VT_E_LIMIT, "the worklist has %d entries already", VT_WORKLIST_ENTRIES_MAX));
}

static bool write_row(struct vt_db *db, const struct putting *putting, const struct vt_worklist_keys *keys,
                      const struct vt_buf *entry, struct vt_err *err)
{
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db,
        "INSERT INTO worklist (study_uid, step_id, source, start, state, attributes, created, changed, round)"
        " VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?6, ?7)"
        " ON CONFLICT (study_uid, step_id) DO UPDATE SET source = ?3, start = ?4, round = ?7,"
        " changed = iif(attributes = ?5, changed, ?6), attributes = ?5",
        err);
    bool ok = stmt &&
              vt_stmt_bind(db, stmt, err, "ttttbii", keys->study_uid, keys->step_id, putting->source, keys->start,
                           entry->data, entry->size, vt_clock_wall(), (int64_t)putting->round) &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    return ok;
}

static bool put_step(struct vt_db *db, struct putting *putting, size_t n, struct vt_err *err)
{
    VT_AUTO_BUF(entry, VT_WORKLIST_BYTES_MAX);
    struct vt_worklist_keys keys = { .study_uid = "" };
    bool same = false;
    int64_t id;

    if (!vt_worklist_complete(putting->attributes, putting->size, n, &entry, &keys, err) ||
        !find_row(db, &keys, &entry, &id, &same, err) || (id == 0 && !has_room(db, err)) ||
        !write_row(db, putting, &keys, &entry, err))
        return false;
    if (id == 0) {
        id = sqlite3_last_insert_rowid(vt_db_handle(db));
        putting->added[putting->added_count++] = id;
    }
    putting->changed = putting->changed || !same;
    if (putting->first == 0)
        putting->first = id;
    return true;
}

/* What the same file gave before. */
static bool drop_others(struct vt_db *db, const struct putting *putting, struct vt_err *err)
{
    struct sqlite3_stmt *stmt =
        vt_db_prepare(db, "DELETE FROM worklist WHERE source = ? AND source <> '' AND round <> ?", err);
    bool ok = stmt && vt_stmt_bind(db, stmt, err, "ti", putting->source, (int64_t)putting->round) &&
              vt_stmt_run(db, stmt, err);

    vt_stmt_free(stmt);
    return ok;
}

bool vt_worklist_put(struct vt_archive *archive, const char *source, const uint8_t *attributes, size_t size,
                     int64_t *out_id, enum vt_worklist_put *out_what, struct vt_err *err)
{
    size_t steps = vt_worklist_steps(attributes, size);
    struct putting putting = { .source = source,
                               .attributes = attributes,
                               .size = size,
                               .round = (uint64_t)vt_clock_wall() & INT64_MAX };

    if (steps > VT_WORKLIST_STEPS_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d scheduled steps in one entry", VT_WORKLIST_STEPS_MAX);
    if (strlen(source) >= VT_WORKLIST_SOURCE_MAX)
        return vt_fail(err, VT_E_LIMIT, "the path '%.60s...' is too long", source);
    struct vt_db *db = vt_state_lock(archive->state);
    bool ok = vt_db_exec(db, "BEGIN IMMEDIATE", err);
    if (ok) {
        for (size_t n = 0; ok && n < (steps > 0 ? steps : 1); n++)
            ok = put_step(db, &putting, n, err);
        ok = ok && drop_others(db, &putting, err);
        ok = vt_worklist_end(db, ok, err);
    }
    vt_state_unlock(archive->state);
    if (!ok)
        return false;
    for (size_t i = 0; i < putting.added_count; i++) {
        char number[24];
        snprintf(number, sizeof number, "%" PRId64, putting.added[i]);
        vt_events_publish(archive->options.events, "worklist.added", number, NULL);
    }
    *out_id = putting.first;
    *out_what = putting.added_count > 0 ? VT_WORKLIST_NEW : putting.changed ? VT_WORKLIST_CHANGED : VT_WORKLIST_SAME;
    return true;
}

/* ---- remove ---- */

static bool change(struct vt_archive *archive, const char *sql, uint64_t *out_changed, struct vt_err *err,
                   const char *letters, ...)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(db, sql, err);
    va_list list;

    va_start(list, letters);
    bool ok = stmt && vt_stmt_bind_list(db, stmt, err, letters, list) && vt_stmt_run(db, stmt, err);
    va_end(list);
    if (ok)
        *out_changed = (uint64_t)sqlite3_changes(vt_db_handle(db));
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    return ok;
}

bool vt_worklist_remove(struct vt_archive *archive, int64_t id, struct vt_err *err)
{
    uint64_t removed = 0;

    if (!change(archive, "DELETE FROM worklist WHERE id = ?", &removed, err, "i", id))
        return false;
    return removed > 0 || vt_fail(err, VT_E_NOTFOUND, "there is no worklist entry %" PRId64, id);
}

bool vt_worklist_remove_source(struct vt_archive *archive, const char *source, struct vt_err *err)
{
    uint64_t removed;

    return change(archive, "DELETE FROM worklist WHERE source = ? AND source <> ''", &removed, err, "t", source);
}

bool vt_worklist_purge(struct vt_archive *archive, int64_t before, uint64_t *out_count, struct vt_err *err)
{
    time_t seconds = (time_t)(before / VT_NS_PER_S);
    struct tm parts;
    char day[16];

    if (!localtime_r(&seconds, &parts) || strftime(day, sizeof day, "%Y%m%d", &parts) == 0)
        return vt_fail(err, VT_E_INTERNAL, "the local time is not known");
    return change(archive, "DELETE FROM worklist WHERE changed < ? AND start < ?", out_count, err, "it", before, day);
}

/* ---- read ---- */

static void copy_column(struct sqlite3_stmt *stmt, int column, char *out, size_t room)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);

    snprintf(out, room, "%s", text ? text : "");
}

static bool read_row(struct sqlite3_stmt *stmt, struct vt_worklist_row *out, struct vt_buf *attributes,
                     struct vt_err *err)
{
    *out = (struct vt_worklist_row){ .id = sqlite3_column_int64(stmt, 0),
                                     .changed = sqlite3_column_int64(stmt, 1),
                                     .state = (enum vt_worklist_state)sqlite3_column_int(stmt, 2),
                                     .at = attributes->size,
                                     .size = (size_t)sqlite3_column_bytes(stmt, 5) };
    copy_column(stmt, 3, out->start, sizeof out->start);
    copy_column(stmt, 4, out->source, sizeof out->source);
    return vt_buf_append(attributes, sqlite3_column_blob(stmt, 5), out->size, err);
}

bool vt_worklist_read_page(struct vt_archive *archive, struct vt_worklist_page *page,
                           struct vt_worklist_row rows[static VT_WORKLIST_PAGE], size_t *out_count,
                           struct vt_buf *attributes, struct vt_err *err)
{
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db,
        "SELECT id, changed, state, start, source, attributes FROM worklist WHERE (start, id) > (?, ?) AND state < ?"
        " AND start >= ? AND (? = '' OR substr(start, 1, 8) <= ?) ORDER BY start, id LIMIT ?",
        err);
    bool row = false, ok = stmt && vt_stmt_bind(db, stmt, err, "tiittti", page->start, page->id,
                                                (int64_t)page->states, page->low, page->high, page->high,
                                                (int64_t)VT_WORKLIST_PAGE);

    *out_count = 0;
    vt_buf_reset(attributes);
    while (ok && (ok = vt_stmt_step(db, stmt, &row, err)) && row)
        ok = read_row(stmt, &rows[(*out_count)++], attributes, err);
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    if (ok && *out_count > 0) {
        page->id = rows[*out_count - 1].id;
        memcpy(page->start, rows[*out_count - 1].start, sizeof page->start);
    }
    return ok;
}

static void fill_entry(const struct vt_worklist_row *row, const uint8_t *attributes, struct vt_worklist_entry *out)
{
    const uint8_t *step = attributes;
    size_t size = row->size, step_size = 0;

    *out = (struct vt_worklist_entry){ .id = row->id, .state = row->state, .changed = row->changed };
    snprintf(out->source, sizeof out->source, "%s", row->source);
    snprintf(out->date, sizeof out->date, "%.8s", row->start);
    snprintf(out->time, sizeof out->time, "%.6s", row->start + (strlen(row->start) > 8 ? 8 : 0));
    vt_attributes_text(attributes, size, VT_TAG_STUDY_INSTANCE_UID, out->study_uid, sizeof out->study_uid);
    vt_attributes_text(attributes, size, VT_TAG_PATIENT_ID, out->patient_id, sizeof out->patient_id);
    vt_attributes_text(attributes, size, VT_TAG_PATIENT_NAME, out->patient_name, sizeof out->patient_name);
    vt_attributes_text(attributes, size, VT_TAG_ACCESSION_NUMBER, out->accession, sizeof out->accession);
    vt_attributes_text(attributes, size, TAG_REQUESTED_PROCEDURE_DESCRIPTION, out->description,
                       sizeof out->description);
    if (!vt_worklist_step(attributes, size, &step, &step_size))
        return;
    vt_attributes_text(step, step_size, TAG_STEP_ID, out->step_id, sizeof out->step_id);
    vt_attributes_text(step, step_size, TAG_STATION_AE, out->station, sizeof out->station);
    vt_attributes_text(step, step_size, VT_TAG_MODALITY, out->modality, sizeof out->modality);
    if (!out->description[0])
        vt_attributes_text(step, step_size, TAG_STEP_DESCRIPTION, out->description, sizeof out->description);
}

bool vt_worklist_each(struct vt_archive *archive, bool all, vt_worklist_each_fn each, void *context,
                      struct vt_err *err)
{
    vt_autofree struct vt_worklist_row *rows = calloc(VT_WORKLIST_PAGE, sizeof *rows);
    VT_AUTO_BUF(attributes, (size_t)VT_WORKLIST_PAGE * VT_WORKLIST_BYTES_MAX);
    struct vt_worklist_page page = { .states = all ? VT_WORKLIST_DISCONTINUED + 1 : VT_WORKLIST_COMPLETED };
    struct vt_worklist_entry entry;
    size_t count = 0;

    if (!rows)
        return vt_fail(err, VT_E_NOMEM, "no memory for the worklist");
    do {
        if (!vt_worklist_read_page(archive, &page, rows, &count, &attributes, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            fill_entry(&rows[i], attributes.data + rows[i].at, &entry);
            if (!each(context, &entry, attributes.data + rows[i].at, rows[i].size, err))
                return false;
        }
    } while (count == VT_WORKLIST_PAGE);
    return true;
}

bool vt_worklist_read(struct vt_archive *archive, int64_t id, struct vt_worklist_entry *out, bool *out_there,
                      struct vt_err *err)
{
    VT_AUTO_BUF(attributes, VT_WORKLIST_BYTES_MAX);
    struct vt_worklist_row found;
    struct vt_db *db = vt_state_lock(archive->state);
    struct sqlite3_stmt *stmt = vt_db_prepare(
        db, "SELECT id, changed, state, start, source, attributes FROM worklist WHERE id = ?", err);
    bool row = false,
         ok = stmt && vt_stmt_bind(db, stmt, err, "i", id) && vt_stmt_step(db, stmt, &row, err);

    if (ok && row && (ok = read_row(stmt, &found, &attributes, err)))
        fill_entry(&found, attributes.data, out);
    vt_stmt_free(stmt);
    vt_state_unlock(archive->state);
    if (ok)
        *out_there = row;
    return ok;
}
