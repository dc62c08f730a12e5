/* The rows of the queue: the SQL, reading and copying, listing. */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/jobs_inside.h"

enum { LIST_BUSY_MS = 5000, SQL_MAX = 1024 };

const char *const vt_jobs_sql[VT_JOBS_STATEMENTS] = {
    [VT_JOBS_ADD] =
        "INSERT INTO job (kind, key, subject, once, arguments, cursor, who, reason, priority, "
        "state,"
        " attempts, crashes, next_attempt, created, since, started, ended, done, total, done_bytes,"
        " total_bytes, failed)"
        " VALUES (?1, ?2, ?3, ?4, ?5, '', ?6, '', ?7, ?8, 0, 0, ?9, ?10, ?10, 0, 0, 0, ?11, 0, "
        "?12, 0)",
    [VT_JOBS_ARGUMENTS] = "INSERT INTO job_arguments (job, arguments) VALUES (?, ?)",
    [VT_JOBS_ONCE] = "SELECT id FROM job WHERE kind = ? AND once = ? AND once <> '' AND state <= 2",
    [VT_JOBS_GET] = "SELECT " VT_JOBS_COLUMNS " FROM job WHERE id = ?",
    [VT_JOBS_NEXT_KEY] = "SELECT min(key) FROM job WHERE state = 0 AND kind = ? AND key > ?",
    [VT_JOBS_BEST] = "SELECT id, priority FROM job WHERE state = 0 AND kind = ? AND key = ? AND "
                     "next_attempt <= ?"
                     " ORDER BY priority DESC, id LIMIT 1",
    [VT_JOBS_DUE] = "SELECT min(next_attempt) FROM job WHERE state = 0 AND next_attempt > ?",
    [VT_JOBS_CLAIM] = "UPDATE job SET state = 1, started = ? WHERE id = ?",
    [VT_JOBS_PROGRESS] =
        "UPDATE job SET done = ?, done_bytes = ?, total = ?, total_bytes = ? WHERE id = ?",
    [VT_JOBS_CHECKPOINT] =
        "UPDATE job SET cursor = ?, crashes = 0, done = ?, done_bytes = ?, total = ?,"
        " total_bytes = ? WHERE id = ?",
    [VT_JOBS_END] =
        "UPDATE job SET state = ?, attempts = ?, next_attempt = ?, ended = ?, reason = ?, done = ?,"
        " done_bytes = ?, total = ?, total_bytes = ?, crashes = 0 WHERE id = ?",
    [VT_JOBS_SET_STATE] = "UPDATE job SET state = ?, ended = ? WHERE id = ?",
    [VT_JOBS_RETRY] = "UPDATE job SET state = 0, attempts = 0, crashes = 0, next_attempt = 0, "
                      "ended = 0, failed = 0,"
                      " since = ? WHERE id = ?",
    [VT_JOBS_RETRY_ITEMS] = "UPDATE job_item SET permanent = 0 WHERE job = ?",
    [VT_JOBS_ITEM] =
        "INSERT OR REPLACE INTO job_item (job, item, permanent, reason, at) VALUES (?, ?, ?, ?, ?)",
    [VT_JOBS_ITEM_GET] = "SELECT permanent FROM job_item WHERE job = ? AND item = ?",
    [VT_JOBS_ITEM_COUNT] = "SELECT count(*) FROM job_item WHERE job = ?",
    [VT_JOBS_ITEM_GONE] = "DELETE FROM job_item WHERE job = ? AND item = ?",
    [VT_JOBS_COUNT_STATE] = "SELECT count(*) FROM job WHERE state = ?",
    [VT_JOBS_MARK] = "SELECT value FROM job_mark WHERE name = ?",
    [VT_JOBS_SET_MARK] = "INSERT OR REPLACE INTO job_mark (name, value) VALUES (?, ?)",
    [VT_JOBS_PRUNE] = "DELETE FROM job WHERE state >= 3 AND (ended < ?1 OR id <="
                      " (SELECT id FROM job WHERE state >= 3 ORDER BY id DESC LIMIT 1 OFFSET ?2))",
};

static const char *const state_names[VT_JOB_STATES] = { "waiting", "running", "paused",
                                                        "done",    "failed",  "cancelled" };

const char *vt_job_state_name(enum vt_job_state state)
{
    return state_names[state];
}

bool vt_job_state_parse(const char *name, enum vt_job_state *out_state)
{
    for (int i = 0; i < VT_JOB_STATES; i++) {
        if (strcmp(name, state_names[i]) == 0) {
            *out_state = (enum vt_job_state)i;
            return true;
        }
    }
    return false;
}

/* ---- reading ---- */

static const char *text_at(struct sqlite3_stmt *stmt, int column)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);

    return text ? text : "";
}

static uint64_t count_at(struct sqlite3_stmt *stmt, int column)
{
    return (uint64_t)sqlite3_column_int64(stmt, column);
}

/* In the order of their columns, the first of which is 1. */
static const size_t texts[] = {
    offsetof(struct vt_job, kind),   offsetof(struct vt_job, key),
    offsetof(struct vt_job, subject), offsetof(struct vt_job, arguments),
    offsetof(struct vt_job, cursor), offsetof(struct vt_job, who),
    offsetof(struct vt_job, reason),
};

static const char **text_of(struct vt_job *job, size_t i)
{
    return (const char **)(void *)((char *)job + texts[i]);
}

void vt_jobs_read_row(struct sqlite3_stmt *stmt, struct vt_job *out)
{
    *out = (struct vt_job){
        .id = sqlite3_column_int64(stmt, 0),
        .priority = sqlite3_column_int(stmt, 8),
        .state = (enum vt_job_state)sqlite3_column_int(stmt, 9),
        .attempts = (unsigned)sqlite3_column_int(stmt, 10),
        .next_attempt = sqlite3_column_int64(stmt, 11),
        .created = sqlite3_column_int64(stmt, 12),
        .started = sqlite3_column_int64(stmt, 13),
        .ended = sqlite3_column_int64(stmt, 14),
        .done = count_at(stmt, 15),
        .total = count_at(stmt, 16),
        .done_bytes = count_at(stmt, 17),
        .total_bytes = count_at(stmt, 18),
        .failed = count_at(stmt, 19),
    };
    for (size_t i = 0; i < VT_COUNT(texts); i++)
        *text_of(out, i) = text_at(stmt, (int)i + 1);
    if (out->state >= VT_JOB_STATES)
        out->state = VT_JOB_FAILED;
}

/* The struct and behind it its texts. */
struct vt_job *vt_jobs_copy_row(const struct vt_job *job)
{
    struct vt_job from = *job;
    size_t room = sizeof *job;

    for (size_t i = 0; i < VT_COUNT(texts); i++)
        room += strlen(*text_of(&from, i)) + 1;
    struct vt_job *copy = malloc(room);
    if (!copy)
        return NULL;
    *copy = from;
    char *at = (char *)(copy + 1);
    for (size_t i = 0; i < VT_COUNT(texts); i++) {
        size_t size = strlen(*text_of(&from, i)) + 1;
        memcpy(at, *text_of(&from, i), size);
        *text_of(copy, i) = at;
        at += size;
    }
    return copy;
}

bool vt_jobs_get_row(struct vt_jobs *jobs, int64_t id, struct vt_job **out_job, int64_t *out_since,
                     struct vt_err *err)
{
    struct sqlite3_stmt *stmt = jobs->statements[VT_JOBS_GET];
    struct vt_job job, *copy = NULL;
    bool row;

    if (!vt_stmt_bind(jobs->db, stmt, err, "i", id) || !vt_stmt_step(jobs->db, stmt, &row, err))
        return false;
    if (row) {
        vt_jobs_read_row(stmt, &job);
        copy = vt_jobs_copy_row(&job);
        if (out_since)
            *out_since = sqlite3_column_int64(stmt, VT_JOBS_COLUMN_SINCE);
        sqlite3_reset(stmt);
        if (!copy)
            return vt_fail(err, VT_E_NOMEM, "no memory for job %lld", (long long)id);
    }
    *out_job = copy;
    return true;
}

/* ---- writing ---- */

bool vt_jobs_sync(struct vt_jobs *jobs, bool synced, struct vt_err *err)
{
    if (jobs->syncing == synced)
        return true;
    if (!vt_db_exec(jobs->db, synced ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL",
                    err))
        return false;
    jobs->syncing = synced;
    return true;
}

static bool bind_all(struct vt_jobs *jobs, struct sqlite3_stmt *stmt, struct vt_err *err,
                     const char *letters, va_list args)
{
    sqlite3_reset(stmt);
    for (int i = 0; letters[i]; i++) {
        int result = letters[i] == 't' ? sqlite3_bind_text(stmt, i + 1, va_arg(args, const char *),
                                                           -1, SQLITE_STATIC)
                                       : sqlite3_bind_int64(stmt, i + 1, va_arg(args, int64_t));
        if (result != SQLITE_OK)
            return vt_db_fail(jobs->db, "binding", err);
    }
    return true;
}

bool vt_jobs_do(struct vt_jobs *jobs, enum vt_jobs_statement statement, bool synced,
                struct vt_err *err, const char *letters, ...)
{
    struct sqlite3_stmt *stmt = jobs->statements[statement];
    va_list args;

    va_start(args, letters);
    bool ok = vt_jobs_sync(jobs, synced, err) && bind_all(jobs, stmt, err, letters, args) &&
              vt_stmt_run(jobs->db, stmt, err);
    va_end(args);
    return ok;
}

/* ---- listing: a connection of its own, so nobody waits for who reads ---- */

static struct vt_db *open_reader(struct vt_jobs *jobs, struct vt_err *err)
{
    static const struct vt_db_options options = { .read_only = true, .busy_ms = LIST_BUSY_MS };

    return vt_db_open(jobs->path, &options, err);
}

static struct sqlite3_stmt *prepare_list(struct vt_db *db, const struct vt_jobs_filter *filter,
                                         struct vt_err *err)
{
    char sql[SQL_MAX], states[64] = "";

    for (int i = 0, at = 0; i < VT_JOB_STATES; i++)
        if (filter->states == 0 || (filter->states & 1u << i))
            at += snprintf(states + at, sizeof states - (size_t)at, "%s%d", at > 0 ? "," : "", i);
    snprintf(sql, sizeof sql,
             "SELECT " VT_JOBS_COLUMNS
             " FROM job WHERE (?1 = 0 OR id < ?1) AND (?2 = '' OR kind = ?2)"
             " AND (?3 = '' OR key = ?3)%s AND +state IN (%s) ORDER BY id DESC LIMIT ?5",
             filter->id ? " AND id = ?4" : " AND ?4 = 0", states);
    return vt_db_prepare(db, sql, err);
}

bool vt_jobs_list(struct vt_jobs *jobs, const struct vt_jobs_filter *filter,
                  bool (*row)(void *context, const struct vt_job *job), void *context,
                  struct vt_err *err)
{
    VT_AUTO(vt_db) db = open_reader(jobs, err);
    struct sqlite3_stmt *stmt = db ? prepare_list(db, filter, err) : NULL;
    bool more = true;
    bool ok =
        stmt && vt_stmt_bind(db, stmt, err, "ittii", filter->before,
                             filter->kind ? filter->kind : "", filter->key ? filter->key : "",
                             filter->id, filter->limit ? (int64_t)filter->limit : INT64_C(-1));

    while (ok && more) {
        struct vt_job job;
        ok = vt_stmt_step(db, stmt, &more, err);
        if (!ok || !more)
            break;
        vt_jobs_read_row(stmt, &job);
        more = row(context, &job);
    }
    vt_stmt_free(stmt);
    return ok;
}

bool vt_jobs_items(struct vt_jobs *jobs, int64_t id,
                   bool (*row)(void *context, const struct vt_job_item *item), void *context,
                   struct vt_err *err)
{
    VT_AUTO(vt_db) db = open_reader(jobs, err);
    struct sqlite3_stmt *stmt =
        db ? vt_db_prepare(
                 db, "SELECT item, permanent, reason, at FROM job_item WHERE job = ? ORDER BY item",
                 err)
           : NULL;
    bool more = true, ok = stmt && vt_stmt_bind(db, stmt, err, "i", id);

    while (ok && more) {
        ok = vt_stmt_step(db, stmt, &more, err);
        if (!ok || !more)
            break;
        struct vt_job_item item = { .item = text_at(stmt, 0),
                                    .permanent = sqlite3_column_int(stmt, 1) != 0,
                                    .reason = text_at(stmt, 2),
                                    .at = sqlite3_column_int64(stmt, 3) };
        more = row(context, &item);
    }
    vt_stmt_free(stmt);
    return ok;
}
