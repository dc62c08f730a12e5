#include "core/db.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/db_log.h"
#include "core/err.h"

static pthread_once_t configured = PTHREAD_ONCE_INIT;

struct vt_db {
    sqlite3 *handle;
    char *path;
};

static enum vt_code code_of(int result)
{
    switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return VT_E_BUSY;
    case SQLITE_FULL:
        return VT_E_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return VT_E_CORRUPT;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return VT_E_DENIED;
    case SQLITE_NOMEM:
        return VT_E_NOMEM;
    case SQLITE_CANTOPEN:
        return VT_E_NOTFOUND;
    case SQLITE_CONSTRAINT:
        return VT_E_EXISTS;
    case SQLITE_INTERRUPT:
        return VT_E_CANCELLED;
    default:
        return VT_E_IO;
    }
}

/* What SQLite calls an I/O error may be a volume without a byte left, for its shared memory say. */
static bool is_full(sqlite3 *handle)
{
    int result = sqlite3_extended_errcode(handle), cause = sqlite3_system_errno(handle);

    return result == SQLITE_IOERR_SHMSIZE ||
           ((result & 0xff) == SQLITE_IOERR && (cause == ENOSPC || cause == EDQUOT));
}

bool vt_db_fail(struct vt_db *db, const char *doing, struct vt_err *err)
{
    if (is_full(db->handle))
        return vt_fail(err, VT_E_FULL, "%s: %s: the volume is full", db->path, doing);
    return vt_fail(err, code_of(sqlite3_extended_errcode(db->handle)), "%s: %s: %s", db->path, doing,
                   sqlite3_errmsg(db->handle));
}

/* SQLite counts its memory under one lock for all threads unless told not to before its first use. */
static void configure(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static bool set_up(struct vt_db *db, const struct vt_db_options *options, struct vt_err *err)
{
    static const char *const sync_names[] = { "OFF", "NORMAL", "FULL" };
    char sql[512];

    sqlite3_busy_timeout(db->handle, options->busy_ms);
    sqlite3_extended_result_codes(db->handle, 1);
    snprintf(sql, sizeof sql, "%sPRAGMA synchronous=%s; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;"
             "PRAGMA mmap_size=%llu;", options->read_only ? "" : "PRAGMA journal_mode=WAL;",
             sync_names[options->sync], (unsigned long long)options->mmap_bytes);
    if (!vt_db_exec(db, sql, err))
        return false;
    if (options->cache_kib > 0) {
        snprintf(sql, sizeof sql, "PRAGMA cache_size=-%d", options->cache_kib);
        if (!vt_db_exec(db, sql, err))
            return false;
    }
    if (!options->read_only)
        sqlite3_wal_autocheckpoint(db->handle, options->wal_autocheckpoint);
    return true;
}

struct vt_db *vt_db_open(const char *path, const struct vt_db_options *options, struct vt_err *err)
{
    VT_AUTO(vt_db) db = calloc(1, sizeof *db);
    int flags = SQLITE_OPEN_NOMUTEX | (options->read_only ? SQLITE_OPEN_READONLY
                                                          : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);

    pthread_once(&configured, configure);
    if (!db || !(db->path = strdup(path))) {
        vt_fail(err, VT_E_NOMEM, "no memory for %s", path);
        return NULL;
    }
    bool gather = options->gather_log && options->sync == VT_DB_SYNC_NORMAL;
    if (sqlite3_open_v2(path, &db->handle, flags, gather ? vt_db_log_vfs() : NULL) != SQLITE_OK) {
        if (db->handle)
            vt_db_fail(db, "opening", err);
        else
            vt_fail(err, VT_E_NOMEM, "no memory for %s", path);
        return NULL;
    }
    return set_up(db, options, err) ? vt_take(&db) : NULL;
}

void vt_db_free(struct vt_db *db)
{
    if (!db)
        return;
    sqlite3_close(db->handle);
    free(db->path);
    free(db);
}

bool vt_db_exec(struct vt_db *db, const char *sql, struct vt_err *err)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK || vt_db_fail(db, "running SQL", err);
}

struct sqlite3 *vt_db_handle(struct vt_db *db)
{
    return db->handle;
}

const char *vt_db_path(const struct vt_db *db)
{
    return db->path;
}

static bool read_version(struct vt_db *db, int64_t *out_version, struct vt_err *err)
{
    sqlite3_stmt *stmt = vt_db_prepare(db, "PRAGMA user_version", err);
    bool row = false;

    if (!stmt)
        return false;
    bool ok = vt_stmt_step(db, stmt, &row, err);
    if (ok)
        *out_version = sqlite3_column_int64(stmt, 0);
    vt_stmt_free(stmt);
    return ok;
}

static bool run_step(struct vt_db *db, const char *sql, size_t version, struct vt_err *err)
{
    char done[64];

    snprintf(done, sizeof done, "PRAGMA user_version=%zu", version);
    if (!vt_db_exec(db, "BEGIN IMMEDIATE", err))
        return false;
    if (vt_db_exec(db, sql, err) && vt_db_exec(db, done, err) && vt_db_exec(db, "COMMIT", err))
        return true;
    sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    return vt_fail_context(err, "schema version %zu", version);
}

bool vt_db_migrate(struct vt_db *db, const struct vt_db_migration *steps, size_t count, struct vt_err *err)
{
    int64_t version = 0;

    if (!read_version(db, &version, err))
        return false;
    if (version < 0 || (size_t)version > count)
        return vt_fail(err, VT_E_UNSUPPORTED,
                       "%s has schema version %lld, this program knows up to %zu: start the newer program", db->path,
                       (long long)version, count);
    for (size_t i = (size_t)version; i < count; i++)
        if (!run_step(db, steps[i].sql, i + 1, err))
            return false;
    return true;
}

struct sqlite3_stmt *vt_db_prepare(struct vt_db *db, const char *sql, struct vt_err *err)
{
    sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK) {
        vt_db_fail(db, "preparing", err);
        return NULL;
    }
    return stmt;
}

void vt_stmt_free(struct sqlite3_stmt *stmt)
{
    sqlite3_finalize(stmt);
}

static int bind_one(sqlite3_stmt *stmt, int at, char letter, va_list *args)
{
    switch (letter) {
    case 'i':
        return sqlite3_bind_int64(stmt, at, va_arg(*args, int64_t));
    case 'd':
        return sqlite3_bind_double(stmt, at, va_arg(*args, double));
    case 't':
        return sqlite3_bind_text(stmt, at, va_arg(*args, const char *), -1, SQLITE_STATIC);
    case 'T': {
        const char *text = va_arg(*args, const char *);
        return sqlite3_bind_text64(stmt, at, text, va_arg(*args, size_t), SQLITE_STATIC, SQLITE_UTF8);
    }
    case 'b': {
        const void *bytes = va_arg(*args, const void *);
        size_t size = va_arg(*args, size_t);
        return sqlite3_bind_blob64(stmt, at, size ? bytes : "", size, SQLITE_STATIC);
    }
    case 'n':
        return sqlite3_bind_null(stmt, at);
    default:
        return SQLITE_MISUSE;
    }
}

bool vt_stmt_bind_list(struct vt_db *db, struct sqlite3_stmt *stmt, struct vt_err *err, const char *letters, va_list list)
{
    int result = SQLITE_OK;
    va_list args;

    sqlite3_reset(stmt);
    va_copy(args, list);
    for (int i = 0; letters[i] && result == SQLITE_OK; i++)
        result = bind_one(stmt, i + 1, letters[i], &args);
    va_end(args);
    return result == SQLITE_OK ||
           vt_fail(err, result == SQLITE_NOMEM ? VT_E_NOMEM : VT_E_INTERNAL, "%s: binding '%s': %s", db->path,
                   letters, sqlite3_errstr(result));
}

bool vt_stmt_bind(struct vt_db *db, struct sqlite3_stmt *stmt, struct vt_err *err, const char *letters, ...)
{
    va_list args;

    va_start(args, letters);
    bool ok = vt_stmt_bind_list(db, stmt, err, letters, args);
    va_end(args);
    return ok;
}

bool vt_stmt_step(struct vt_db *db, struct sqlite3_stmt *stmt, bool *out_row, struct vt_err *err)
{
    int result = sqlite3_step(stmt);

    if (result == SQLITE_ROW || result == SQLITE_DONE) {
        *out_row = result == SQLITE_ROW;
        if (result == SQLITE_DONE)
            sqlite3_reset(stmt);
        return true;
    }
    vt_db_fail(db, "running SQL", err);
    sqlite3_reset(stmt);
    return false;
}

bool vt_stmt_run(struct vt_db *db, struct sqlite3_stmt *stmt, struct vt_err *err)
{
    bool row = false;

    if (!vt_stmt_step(db, stmt, &row, err))
        return false;
    if (row)
        sqlite3_reset(stmt);
    return true;
}
