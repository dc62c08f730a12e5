/* core/db.h: SQLite with our error object: connections, prepared statements, migrations.
 *
 * A connection belongs to one thread at a time (SQLITE_OPEN_NOMUTEX). Statements belong to their connection
 * and are finalized before it is closed. SQLITE_BUSY after `busy_ms` becomes VT_E_BUSY, SQLITE_FULL
 * VT_E_FULL, SQLITE_CORRUPT and SQLITE_NOTADB VT_E_CORRUPT, SQLITE_READONLY VT_E_DENIED. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_err;
struct vt_db;
struct sqlite3;
struct sqlite3_stmt;

enum vt_db_sync { VT_DB_SYNC_OFF, VT_DB_SYNC_NORMAL, VT_DB_SYNC_FULL };

struct vt_db_options {
    bool read_only;
    enum vt_db_sync sync;
    int busy_ms;
    int cache_kib;           /* 0: SQLite's default */
    uint64_t mmap_bytes;
    int wal_autocheckpoint;  /* pages; 0: never by itself */
    bool gather_log;         /* the only writer, VT_DB_SYNC_NORMAL: one write a transaction (db_log.h) */
};

/* One step from version i to i+1 (PRAGMA user_version), SQL text. */
struct vt_db_migration {
    const char *sql;
};

/* Makes the file when it is not there (unless read_only); journal mode WAL. */
struct vt_db *vt_db_open(const char *path, const struct vt_db_options *options, struct vt_err *err);
void vt_db_free(struct vt_db *db);
VT_DEFINE_AUTO(vt_db)

/* Runs what is missing, each step in a transaction. VT_E_UNSUPPORTED: made by a newer version of us. */
bool vt_db_migrate(struct vt_db *db, const struct vt_db_migration *steps, size_t count, struct vt_err *err);

bool vt_db_exec(struct vt_db *db, const char *sql, struct vt_err *err);
struct sqlite3 *vt_db_handle(struct vt_db *db);          /* borrowed */
const char *vt_db_path(const struct vt_db *db);

/* A statement for many uses. NULL on failure. Release with vt_stmt_free. */
struct sqlite3_stmt *vt_db_prepare(struct vt_db *db, const char *sql, struct vt_err *err);
void vt_stmt_free(struct sqlite3_stmt *stmt);

/* Binds by letters: i int64_t, t const char * (NULL: null), T const char * + size_t, b const void * + size_t,
 * d double, n null (no argument). Text and blobs are not copied: they must live until the reset.
 * Resets the statement first. */
bool vt_stmt_bind(struct vt_db *db, struct sqlite3_stmt *stmt, struct vt_err *err, const char *letters, ...);
/* The same for a function that takes such arguments itself. */
bool vt_stmt_bind_list(struct vt_db *db, struct sqlite3_stmt *stmt, struct vt_err *err, const char *letters, va_list list);

/* out_row: a row is there. Resets by itself behind the last row. */
bool vt_stmt_step(struct vt_db *db, struct sqlite3_stmt *stmt, bool *out_row, struct vt_err *err);
/* For statements that give no row. */
bool vt_stmt_run(struct vt_db *db, struct sqlite3_stmt *stmt, struct vt_err *err);

/* Turns SQLite's last error on this connection into err; returns false. */
bool vt_db_fail(struct vt_db *db, const char *doing, struct vt_err *err);
