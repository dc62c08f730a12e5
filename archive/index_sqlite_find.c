/* Readers: lookups and cursors. A cursor keeps its reader, and with it one snapshot, until it is
 * freed. */
#include "archive/index_sqlite.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

struct sq_cursor {
    const struct vt_index_driver *driver;
    struct sq_index *index;
    const struct vt_plan *plan; /* borrowed */
    struct sq_reader *reader;
    struct sqlite3_stmt *stmt; /* the matches */
    struct sq_sql sql;         /* its binds live here */
    bool residue;
    bool done;
    struct sqlite3_stmt *below; /* select: the instances below one match */
    bool inside;                /* `below` stands on a match */
};

enum field { /* of matches; sq_sql_make's select list */
             F_ID,
             F_PATIENT_ID,
             F_PATIENT,
             F_PATIENT_STUDIES,
             F_PATIENT_SERIES,
             F_PATIENT_INSTANCES,
             F_STUDY_UID,
             F_STUDY,
             F_STUDY_SERIES,
             F_STUDY_INSTANCES,
             F_MODALITIES,
             F_CLASSES,
             F_SERIES_ID,
             F_SERIES_UID,
             F_SERIES,
             F_SERIES_INSTANCES,
             F_SOP_UID,
             F_INSTANCE,
             F_CLASS,
             F_SYNTAX,
};

#define ENTRY_FIELDS                                                                               \
    "SELECT s.uid, e.uid, i.uid, i.class, i.syntax, i.version, i.file, i.file_size, "              \
    "i.data_set_offset,"                                                                           \
    " i.data_set_size, i.pixel_offset, i.pixel_length, i.digests, i.arrived"
#define BELOW                                                                                      \
    " CROSS JOIN series e INDEXED BY series_study ON e.study=s.id"                                 \
    " CROSS JOIN instance i INDEXED BY instance_series ON i.series=e.id"
#define ABOVE " CROSS JOIN series e ON e.id=i.series CROSS JOIN study s ON s.id=e.study"

static const char lookup_sql[] = ENTRY_FIELDS " FROM instance i" ABOVE " WHERE i.uid=?";

static const char *const below_sql[VT_LEVELS] = {
    [VT_LEVEL_PATIENT] = ENTRY_FIELDS
    " FROM (SELECT id FROM study INDEXED BY study_patient WHERE patient=?"
    " ORDER BY date DESC, time DESC, id LIMIT -1) k CROSS JOIN study s ON s.id=k.id" BELOW,
    [VT_LEVEL_STUDY] = ENTRY_FIELDS " FROM study s" BELOW " WHERE s.id=?",
    [VT_LEVEL_SERIES] = ENTRY_FIELDS
    " FROM series e CROSS JOIN study s ON s.id=e.study"
    " CROSS JOIN instance i INDEXED BY instance_series ON i.series=e.id WHERE e.id=?",
    [VT_LEVEL_IMAGE] = lookup_sql,
};

static struct sq_cursor *self(struct vt_cursor *base)
{
    return (struct sq_cursor *)(void *)base;
}

/* ---- entries ---- */

static void copy_text(char *out, size_t room, const char *text)
{
    size_t size = text ? strlen(text) : 0;

    size = size < room - 1 ? size : room - 1;
    memcpy(out, text ? text : "", size);
    out[size] = '\0';
}

static void read_digests(struct sqlite3_stmt *stmt, struct vt_index_entry *out)
{
    const uint8_t *bytes = sqlite3_column_blob(stmt, 12);
    int size = sqlite3_column_bytes(stmt, 12);

    memset(&out->data_set_digest, 0, sizeof out->data_set_digest);
    memset(&out->pixel_digest, 0, sizeof out->pixel_digest);
    if (size >= 16)
        memcpy(out->data_set_digest.bytes, bytes, 16);
    if (size >= 32)
        memcpy(out->pixel_digest.bytes, bytes + 16, 16);
}

static void read_entry(struct sq_index *index, struct sqlite3_stmt *stmt,
                       struct vt_index_entry *out)
{
    const char *file;

    copy_text(out->study_uid, sizeof out->study_uid, (const char *)sqlite3_column_text(stmt, 0));
    copy_text(out->series_uid, sizeof out->series_uid, (const char *)sqlite3_column_text(stmt, 1));
    copy_text(out->sop_uid, sizeof out->sop_uid, (const char *)sqlite3_column_text(stmt, 2));
    copy_text(out->sop_class, sizeof out->sop_class, sq_word_column(index, stmt, 3));
    copy_text(out->transfer_syntax, sizeof out->transfer_syntax, sq_word_column(index, stmt, 4));
    out->version = (uint32_t)sqlite3_column_int64(stmt, 5);
    file = (const char *)sqlite3_column_text(stmt, 6);
    sq_file_unpack(file ? file : "", out->study_uid, out->series_uid, out->sop_uid, out->file,
                   sizeof out->file);
    out->file_size = (uint64_t)sqlite3_column_int64(stmt, 7);
    out->data_set_offset = (uint64_t)sqlite3_column_int64(stmt, 8);
    out->data_set_size = (uint64_t)sqlite3_column_int64(stmt, 9);
    out->has_pixels = sqlite3_column_type(stmt, 10) != SQLITE_NULL;
    out->pixel_offset = (uint64_t)sqlite3_column_int64(stmt, 10);
    out->pixel_length = (uint64_t)sqlite3_column_int64(stmt, 11);
    read_digests(stmt, out);
    out->arrived = sqlite3_column_int64(stmt, 13);
}

/* Runs `sql` with one text and gives its first row to `each`. */
static bool with_row(struct vt_index *base, const char *sql, const char *text,
                     bool (*each)(struct sq_index *index, struct sqlite3_stmt *stmt, void *context,
                                  struct vt_err *err),
                     void *context, bool *out_found, struct vt_err *err)
{
    struct sq_index *index = (struct sq_index *)(void *)base;
    struct sq_lane *lane = sq_lane_take(index, err);
    struct sqlite3_stmt *stmt;
    bool ok = false, row = false;

    if (!lane)
        return false;
    struct sq_reader *reader = lane->reader;
    if ((stmt = sq_statement_take(reader, sql, err))) {
        ok = (!text || vt_stmt_bind(reader->db, stmt, err, "t", text)) &&
             vt_stmt_step(reader->db, stmt, &row, err);
        ok = ok && (!row || each(index, stmt, context, err));
        sq_statement_give(reader, stmt);
    }
    sq_lane_give(lane);
    if (ok)
        *out_found = row;
    return ok || sq_explain(err);
}

static bool each_entry(struct sq_index *index, struct sqlite3_stmt *stmt, void *context,
                       struct vt_err *err)
{
    (void)err;
    read_entry(index, stmt, context);
    return true;
}

bool sq_lookup(struct vt_index *base, const char *sop_uid, struct vt_index_entry *out,
               bool *out_found, struct vt_err *err)
{
    return with_row(base, lookup_sql, sop_uid, each_entry, out, out_found, err);
}

static bool each_frames(struct sq_index *index, struct sqlite3_stmt *stmt, void *context,
                        struct vt_err *err)
{
    (void)index;
    return vt_buf_append(context, sqlite3_column_blob(stmt, 0),
                         (size_t)sqlite3_column_bytes(stmt, 0), err);
}

bool sq_frames(struct vt_index *base, const char *sop_uid, struct vt_buf *out, struct vt_err *err)
{
    bool found;
    return with_row(
        base, "SELECT f.bytes FROM instance i CROSS JOIN frames f ON f.instance=i.id WHERE i.uid=?",
        sop_uid, each_frames, out, &found, err);
}

static bool each_counts(struct sq_index *index, struct sqlite3_stmt *stmt, void *context,
                        struct vt_err *err)
{
    struct vt_index_counts *out = context;

    (void)index;
    (void)err;
    *out = (struct vt_index_counts){
        .patients = (uint64_t)sqlite3_column_int64(stmt, 0),
        .studies = (uint64_t)sqlite3_column_int64(stmt, 1),
        .series = (uint64_t)sqlite3_column_int64(stmt, 2),
        .instances = (uint64_t)sqlite3_column_int64(stmt, 3),
        .bytes = (uint64_t)sqlite3_column_int64(stmt, 4),
    };
    return true;
}

bool sq_counts(struct vt_index *base, struct vt_index_counts *out, struct vt_err *err)
{
    bool found;
    return with_row(base,
                    "SELECT count(*), coalesce(sum(studies),0), coalesce(sum(series),0), "
                    "coalesce(sum(instances),0),"
                    " (SELECT value FROM meta WHERE key='bytes') FROM patient",
                    NULL, each_counts, out, &found, err);
}

static bool each_nothing(struct sq_index *index, struct sqlite3_stmt *stmt, void *context,
                         struct vt_err *err)
{
    (void)index, (void)stmt, (void)context, (void)err;
    return true;
}

bool sq_empty(struct vt_index *base, bool *out_empty, struct vt_err *err)
{
    bool found;

    if (!with_row(base, "SELECT 1 FROM instance LIMIT 1", NULL, each_nothing, NULL, &found, err))
        return false;
    *out_empty = !found;
    return true;
}

/* ---- matches ---- */

static bool bind_all(struct sq_cursor *cursor, struct vt_err *err)
{
    const char *at = (const char *)cursor->sql.binds.data;

    for (size_t i = 0; i < cursor->sql.bind_count; i++) {
        size_t size = strlen(at);
        if (sqlite3_bind_text64(cursor->stmt, (int)i + 1, at, size, SQLITE_STATIC, SQLITE_UTF8) !=
            SQLITE_OK)
            return vt_db_fail(cursor->reader->db, "binding", err);
        at += size + 1;
    }
    return true;
}

struct vt_cursor *sq_find(struct vt_index *base, const struct vt_plan *plan, struct vt_err *err)
{
    struct sq_cursor *cursor = calloc(1, sizeof *cursor);

    if (!cursor) {
        vt_fail(err, VT_E_NOMEM, "no memory for a cursor");
        return NULL;
    }
    cursor->driver = &vt_index_sqlite;
    cursor->index = (struct sq_index *)(void *)base;
    cursor->plan = plan;
    cursor->residue = vt_plan_has_residue(plan);
    vt_buf_init(&cursor->sql.binds, SQ_BINDS_MAX);
    if (sq_sql_make(plan, &cursor->sql, err) &&
        (cursor->reader = sq_reader_take(cursor->index, err)) &&
        (cursor->stmt = sq_statement_take(cursor->reader, cursor->sql.text, err)) &&
        bind_all(cursor, err))
        return (struct vt_cursor *)(void *)cursor;
    sq_cursor_free((struct vt_cursor *)(void *)cursor);
    return NULL;
}

void sq_cursor_free(struct vt_cursor *base)
{
    struct sq_cursor *cursor = self(base);

    if (!cursor)
        return;
    if (cursor->reader) {
        sq_statement_give(cursor->reader, cursor->below);
        sq_statement_give(cursor->reader, cursor->stmt);
        sq_reader_give(cursor->index, cursor->reader);
    }
    vt_buf_fini(&cursor->sql.binds);
    free(cursor);
}

static uint64_t count_at(struct sqlite3_stmt *stmt, int i)
{
    int64_t value = sqlite3_column_int64(stmt, i);
    return value > 0 ? (uint64_t)value : 0;
}

static const char *text_at(struct sqlite3_stmt *stmt, int i)
{
    const char *text = (const char *)sqlite3_column_text(stmt, i);
    return text ? text : "";
}

static struct vt_bytes bytes_at(struct sqlite3_stmt *stmt, int i)
{
    const void *data = sqlite3_column_blob(stmt, i);
    return (struct vt_bytes){ data, (size_t)sqlite3_column_bytes(stmt, i) };
}

static void read_row(struct sq_cursor *cursor, struct vt_row *out)
{
    struct sqlite3_stmt *stmt = cursor->stmt;
    enum vt_level level = vt_plan_level(cursor->plan);

    *out = (struct vt_row){ .level = level,
                            .availability = "ONLINE",
                            .patient_id = text_at(stmt, F_PATIENT_ID) };
    out->attributes[VT_LEVEL_PATIENT] = bytes_at(stmt, F_PATIENT);
    out->patient_studies = count_at(stmt, F_PATIENT_STUDIES);
    out->patient_series = count_at(stmt, F_PATIENT_SERIES);
    out->patient_instances = count_at(stmt, F_PATIENT_INSTANCES);
    if (level < VT_LEVEL_STUDY)
        return;
    out->study_uid = text_at(stmt, F_STUDY_UID);
    out->attributes[VT_LEVEL_STUDY] = bytes_at(stmt, F_STUDY);
    out->study_series = count_at(stmt, F_STUDY_SERIES);
    out->study_instances = count_at(stmt, F_STUDY_INSTANCES);
    out->modalities = text_at(stmt, F_MODALITIES);
    out->sop_classes = text_at(stmt, F_CLASSES);
    if (level < VT_LEVEL_SERIES)
        return;
    out->series_uid = text_at(stmt, F_SERIES_UID);
    out->attributes[VT_LEVEL_SERIES] = bytes_at(stmt, F_SERIES);
    out->series_instances = count_at(stmt, F_SERIES_INSTANCES);
    if (level < VT_LEVEL_IMAGE)
        return;
    out->sop_uid = text_at(stmt, F_SOP_UID);
    out->attributes[VT_LEVEL_IMAGE] = bytes_at(stmt, F_INSTANCE);
    out->sop_class = sq_word_column(cursor->index, stmt, F_CLASS);
    out->transfer_syntax = sq_word_column(cursor->index, stmt, F_SYNTAX);
}

bool sq_next(struct vt_cursor *base, struct vt_row *out, bool *out_more, struct vt_err *err)
{
    struct sq_cursor *cursor = self(base);
    bool row = false;

    while (!cursor->done) {
        if (!vt_stmt_step(cursor->reader->db, cursor->stmt, &row, err)) {
            cursor->done = true;
            return sq_explain(err);
        }
        if (!row) {
            cursor->done = true;
            break;
        }
        read_row(cursor, out);
        if (!cursor->residue || vt_plan_matches(cursor->plan, out)) {
            *out_more = true;
            return true;
        }
    }
    *out_more = false;
    return true;
}

/* ---- instances below matches ---- */

struct vt_cursor *sq_select(struct vt_index *base, const struct vt_plan *plan, struct vt_err *err)
{
    struct vt_cursor *found = sq_find(base, plan, err);
    struct sq_cursor *cursor = self(found);

    if (cursor &&
        !(cursor->below = sq_statement_take(cursor->reader, below_sql[vt_plan_level(plan)], err))) {
        sq_cursor_free(found);
        return NULL;
    }
    return found;
}

/* Puts `below` on the match at hand. The text of an IMAGE row lives until the match moves on, which
 * it does not before. */
static bool enter(struct sq_cursor *cursor, const struct vt_row *row, struct vt_err *err)
{
    cursor->inside = true;
    switch (row->level) {
    case VT_LEVEL_IMAGE:
        return vt_stmt_bind(cursor->reader->db, cursor->below, err, "t", row->sop_uid);
    case VT_LEVEL_SERIES:
        return vt_stmt_bind(cursor->reader->db, cursor->below, err, "i",
                            sqlite3_column_int64(cursor->stmt, F_SERIES_ID));
    default:
        return vt_stmt_bind(cursor->reader->db, cursor->below, err, "i",
                            sqlite3_column_int64(cursor->stmt, F_ID));
    }
}

bool sq_select_next(struct vt_cursor *base, struct vt_index_entry *out, bool *out_more,
                    struct vt_err *err)
{
    struct sq_cursor *cursor = self(base);
    struct vt_row row;
    bool more = false;

    for (;;) {
        if (cursor->inside) {
            if (!vt_stmt_step(cursor->reader->db, cursor->below, &more, err))
                return sq_explain(err);
            if (more) {
                read_entry(cursor->index, cursor->below, out);
                *out_more = true;
                return true;
            }
            cursor->inside = false;
        }
        if (!sq_next(base, &row, &more, err))
            return false;
        if (!more) {
            *out_more = false;
            return true;
        }
        if (!enter(cursor, &row, err))
            return false;
    }
}
