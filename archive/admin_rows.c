#include "archive/admin_rows.h"

#include <inttypes.h>
#include <jansson.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "archive/inside.h"
#include "archive/volume.h"
#include "core/clock.h"
#include "core/err.h"

bool vt_admin_send(const struct vt_admin *admin, struct json_t *row, struct vt_err *err)
{
    if (!row)
        return vt_fail(err, VT_E_NOMEM, "no memory for a row");
    bool more = !admin->row || admin->row(admin->context, row);
    json_decref(row);
    return more || vt_fail(err, VT_E_CANCELLED, "stopped");
}

bool vt_admin_tell_progress(const struct vt_admin *admin, uint64_t done, uint64_t total,
                            const char *unit, struct vt_err *err)
{
    return !admin->progress || admin->progress(admin->context, done, total, unit) ||
           vt_fail(err, VT_E_CANCELLED, "cancelled");
}

static void hex(const uint8_t *bytes, size_t size, char *out)
{
    for (size_t i = 0; i < size; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

void vt_admin_hex(const struct vt_digest *digest, char out[static 33])
{
    hex(digest->bytes, sizeof digest->bytes, out);
}

static bool is_time(const char *name)
{
    static const char *const times[] = { "at",    "arrived", "purge_after", "asked",
                                         "decided", "reported", "checked" };

    for (size_t i = 0; i < VT_COUNT(times); i++)
        if (strcmp(name, times[i]) == 0)
            return true;
    return false;
}

static json_t *value_of(struct sqlite3_stmt *stmt, int column)
{
    char text[128] = "";
    int size = sqlite3_column_bytes(stmt, column);

    switch (sqlite3_column_type(stmt, column)) {
    case SQLITE_INTEGER:
        if (!is_time(sqlite3_column_name(stmt, column)))
            return json_integer(sqlite3_column_int64(stmt, column));
        vt_clock_text(sqlite3_column_int64(stmt, column), text);
        return json_string(text);
    case SQLITE_BLOB:
        hex(sqlite3_column_blob(stmt, column), size < 32 ? (size_t)size : 32, text);
        return json_string(text);
    case SQLITE_NULL:
        return json_null();
    default:
        return json_string((const char *)sqlite3_column_text(stmt, column));
    }
}

static bool collect(struct vt_db *db, struct sqlite3_stmt *stmt, json_t *rows, struct vt_err *err)
{
    bool there = false;

    for (;;) {
        if (!vt_stmt_step(db, stmt, &there, err))
            return false;
        if (!there)
            return true;
        json_t *row = json_object();
        bool ok = row && json_array_append_new(rows, row) == 0;
        for (int column = 0; ok && column < sqlite3_column_count(stmt); column++)
            ok = json_object_set_new(row, sqlite3_column_name(stmt, column),
                                     value_of(stmt, column)) == 0;
        if (!ok)
            return vt_fail(err, VT_E_NOMEM, "no memory for rows");
    }
}

bool vt_admin_rows_of(const struct vt_admin *admin, const char *sql, const char *letter,
                      const char *text, int64_t number, size_t *out_count, struct vt_err *err)
{
    struct vt_state *state = vt_archive_state(admin->archive);
    json_t *rows = json_array();
    if (!rows)
        return vt_fail(err, VT_E_NOMEM, "no memory for rows");
    struct vt_db *db = vt_state_lock(state);
    struct sqlite3_stmt *stmt = vt_db_prepare(db, sql, err);
    bool ok = stmt != NULL;
    if (ok && letter[0] == 't')
        ok = vt_stmt_bind(db, stmt, err, "t", text);
    else if (ok && letter[0] == 'i')
        ok = vt_stmt_bind(db, stmt, err, "i", number);
    ok = ok && collect(db, stmt, rows, err);
    vt_stmt_free(stmt);
    vt_state_unlock(state);

    for (size_t i = 0; ok && i < json_array_size(rows); i++)
        ok = vt_admin_send(admin, json_incref(json_array_get(rows, i)), err);
    if (ok && out_count)
        *out_count = json_array_size(rows);
    json_decref(rows);
    return ok;
}

/* ---- selections ---- */

bool vt_admin_each_in(struct vt_index *index, const struct vt_query *query,
                      bool (*each)(void *context, const struct vt_index_entry *entry,
                                   struct vt_err *err),
                      void *context, struct vt_err *err)
{
    static const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT, .relational = true };
    const char *words[] = { "StudyInstanceUID" };
    VT_AUTO(vt_query) all = query ? NULL : vt_query_from_words(VT_LEVEL_STUDY, words, 1, &rules, err);
    if (!query && !all)
        return false;
    VT_AUTO(vt_plan) plan = vt_plan_make(query ? query : all, err);
    VT_AUTO(vt_cursor) cursor = plan ? vt_index_select(index, plan, err) : NULL;
    struct vt_index_entry entry;
    bool more = cursor != NULL;

    while (more) {
        if (!vt_cursor_select_next(cursor, &entry, &more, err))
            return false;
        if (more && !each(context, &entry, err))
            return false;
    }
    return cursor != NULL;
}

bool vt_admin_each(struct vt_archive *archive, const struct vt_query *query,
                   bool (*each)(void *context, const struct vt_index_entry *entry,
                                struct vt_err *err),
                   void *context, struct vt_err *err)
{
    return vt_admin_each_in(vt_archive_index(archive), query, each, context, err);
}

struct counted {
    bool (*each)(void *context, const struct vt_index_entry *entry, struct vt_err *err);
    void *context;
    uint64_t count;
};

static bool count_one(void *context, const struct vt_index_entry *entry, struct vt_err *err)
{
    struct counted *counted = context;

    counted->count++;
    return counted->each(counted->context, entry, err);
}

bool vt_admin_each_of_study(struct vt_archive *archive, const char *study_uid,
                            bool (*each)(void *context, const struct vt_index_entry *entry,
                                         struct vt_err *err),
                            void *context, struct vt_err *err)
{
    static const struct vt_query_rules rules = { .model = VT_MODEL_STUDY_ROOT };
    struct counted counted = { each, context, 0 };
    char word[128];
    const char *words[] = { word };

    if (!vt_uid_usable(study_uid))
        return vt_fail(err, VT_E_INVALID, "'%.64s' is not a Study Instance UID", study_uid);
    snprintf(word, sizeof word, "StudyInstanceUID=%s", study_uid);
    VT_AUTO(vt_query) query = vt_query_from_words(VT_LEVEL_STUDY, words, 1, &rules, err);
    return query && vt_admin_each(archive, query, count_one, &counted, err) &&
           (counted.count > 0 || vt_fail(err, VT_E_NOTFOUND, "no study %s", study_uid));
}

/* ---- moves ---- */

void vt_moves_fini(struct vt_moves *moves)
{
    free(moves->items);
    *moves = (struct vt_moves){ 0 };
}

bool vt_moves_add(struct vt_moves *moves, const char *sop_uid, uint32_t version, const char *from,
                  const char *to, uint64_t size, enum vt_move_action action, struct vt_err *err)
{
    if (moves->count >= VT_ADMIN_MOVES_MAX)
        return vt_fail(err, VT_E_LIMIT, "more than %d files at once", VT_ADMIN_MOVES_MAX);
    if (moves->count == moves->capacity) {
        size_t capacity = moves->capacity ? 2 * moves->capacity : 64;
        struct vt_move *grown = reallocarray(moves->items, capacity, sizeof *grown);
        if (!grown)
            return vt_fail(err, VT_E_NOMEM, "no memory for %zu files", capacity);
        moves->items = grown;
        moves->capacity = capacity;
    }
    struct vt_move *move = &moves->items[moves->count++];
    *move = (struct vt_move){ .version = version, .size = size, .action = action };
    snprintf(move->sop_uid, sizeof move->sop_uid, "%s", sop_uid);
    snprintf(move->from_file, sizeof move->from_file, "%s", from);
    snprintf(move->to_file, sizeof move->to_file, "%s", to ? to : "");
    return true;
}

static bool next_move(void *context, int64_t id, struct vt_move *out, bool *out_more,
                      struct vt_err *err)
{
    struct vt_moves *moves = context;

    *out_more = moves->next < moves->count;
    if (!*out_more)
        return true;
    *out = moves->items[moves->next++];
    if (out->to_file[0])
        return true;
    int length =
        snprintf(out->to_file, sizeof out->to_file, "trash/%" PRId64 "/%s", id, out->from_file);
    return length < (int)sizeof out->to_file ||
           vt_fail(err, VT_E_LIMIT, "path is too long: %s", out->from_file);
}

/* Half of an operation cannot be left for when a volume is back. */
static bool are_ready(struct vt_archive *archive, const struct vt_moves *moves, struct vt_err *err)
{
    char name[VT_VOLUME_NAME_MAX + 1], last[VT_VOLUME_NAME_MAX + 1] = VT_VOLUME_MAIN;

    for (size_t i = 0; i < 2 * moves->count; i++) {
        const struct vt_move *move = &moves->items[i / 2];
        vt_volume_of(i % 2 ? move->to_file : move->from_file, name);
        if (strcmp(name, last) == 0)
            continue;
        if (!vt_volume_is_ready(archive, name, err))
            return false;
        memcpy(last, name, sizeof last);
    }
    return true;
}

bool vt_moves_run(struct vt_archive *archive, struct vt_moves *moves,
                  const struct vt_file_operation *operation, int64_t *out_id,
                  uint64_t *out_instances, struct vt_err *err)
{
    return are_ready(archive, moves, err) &&
           vt_operation_plan(archive, operation, next_move, moves, out_id, out_instances, err) &&
           vt_operation_run(archive, *out_id,
                            operation->trash ? VT_RECORD_DELETE : VT_RECORD_RESTORE, err);
}
