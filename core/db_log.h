/* core/db_log.h: a transaction's pages reach SQLite's write-ahead log in one write.
 *
 * SQLite writes each page of a transaction to its log by two calls, 24 bytes of frame header and the page. The file
 * system below, as SQLite's default VFS makes it, gets what follows one another in one call instead: when a commit's
 * last frame is there, or before anything else is asked of the log.
 *
 * For a connection that is its database's only writer and syncs its log at checkpoints only (VT_DB_SYNC_NORMAL). An error
 * of the file system is the error of the transaction's commit; what was gathered is dropped with it. */
#pragma once

/* The VFS's name for sqlite3_open_v2; NULL when there is none, then SQLite's default is as good. */
const char *vt_db_log_vfs(void);
