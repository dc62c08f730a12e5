/* The SQLite driver: opening, readers, checkpoints. */
#include "archive/index_sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/io.h"

enum { PATH_ROOM = 4096, LANE_MMAP = 256 << 20 };

static struct sq_index *self(struct vt_index *base)
{
    return (struct sq_index *)(void *)base;
}

bool sq_explain(struct vt_err *err)
{
    const char *remedy = NULL;

    switch (err->code) {
    case VT_E_CORRUPT:
        remedy = "run `vitrine reindex`";
        break;
    case VT_E_BUSY: /* all of it: a DICOM error comment has room for 64 characters */
        snprintf(err->text, sizeof err->text,
                 "index is locked by another program, end it or try again");
        break;
    case VT_E_DENIED:
        remedy = "make the folder and index.db writable for this user";
        break;
    case VT_E_FULL:
        remedy = "make room on the volume";
        break;
    default:
        break;
    }
    if (remedy && !strstr(err->text, remedy)) {
        char text[VT_ERR_TEXT_MAX];
        uint16_t status = err->dimse_status;
        snprintf(text, sizeof text, "%s", err->text);
        vt_fail(err, err->code, "%.150s: %s", text, remedy);
        err->dimse_status = status;
    }
    return false;
}

/* ---- readers ---- */

static void reader_free(struct sq_reader *reader)
{
    if (!reader)
        return;
    for (size_t i = 0; i < SQ_STATEMENTS_MAX; i++) {
        vt_stmt_free(reader->statements[i].stmt);
        free(reader->statements[i].sql);
    }
    vt_db_free(reader->db);
    free(reader);
}

/* Not the file that a reindex has put in its place: that one numbers its words otherwise. */
static bool is_own_file(const struct sq_index *index, struct vt_err *err)
{
    struct stat info;

    return (stat(index->path, &info) == 0 && info.st_ino == index->inode &&
            info.st_dev == index->device) ||
           vt_fail(err, VT_E_BUSY, "%s was replaced: try again", index->path);
}

static struct sq_reader *reader_new(struct sq_index *index, uint64_t mmap_bytes, struct vt_err *err)
{
    const struct vt_db_options options = { .read_only = true,
                                           .busy_ms = SQ_BUSY_MS,
                                           .cache_kib = SQ_CACHE_READER_KIB,
                                           .mmap_bytes = mmap_bytes };
    struct sq_reader *reader = calloc(1, sizeof *reader);

    if (!reader) {
        vt_fail(err, VT_E_NOMEM, "no memory for a reader of %s", index->path);
        return NULL;
    }
    reader->db = vt_db_open(index->path, &options, err);
    if (!reader->db || !is_own_file(index, err) || !sq_functions(reader->db, err)) {
        sq_explain(err);
        reader_free(reader);
        return NULL;
    }
    return reader;
}

struct sq_reader *sq_reader_take(struct sq_index *index, struct vt_err *err)
{
    pthread_mutex_lock(&index->pool_lock);
    struct sq_reader *reader = index->idle;
    if (reader) {
        index->idle = reader->next;
        index->idle_count--;
    }
    pthread_mutex_unlock(&index->pool_lock);
    return reader ? reader : reader_new(index, 0, err);
}

void sq_reader_give(struct sq_index *index, struct sq_reader *reader)
{
    if (!reader)
        return;
    pthread_mutex_lock(&index->pool_lock);
    bool keep = index->idle_count < index->idle_max;
    if (keep) {
        reader->next = index->idle;
        index->idle = reader;
        index->idle_count++;
    }
    pthread_mutex_unlock(&index->pool_lock);
    if (!keep)
        reader_free(reader);
}

struct sq_lane *sq_lane_take(struct sq_index *index, struct vt_err *err)
{
    unsigned first = atomic_fetch_add(&index->next_lane, 1);
    struct sq_lane *lane = NULL;

    for (unsigned i = 0; i < SQ_LANES && !lane; i++)
        if (pthread_mutex_trylock(&index->lanes[(first + i) % SQ_LANES].lock) == 0)
            lane = &index->lanes[(first + i) % SQ_LANES];
    if (!lane) {
        lane = &index->lanes[first % SQ_LANES];
        pthread_mutex_lock(&lane->lock);
    }
    if (!lane->reader && !(lane->reader = reader_new(index, LANE_MMAP, err))) {
        pthread_mutex_unlock(&lane->lock);
        return NULL;
    }
    return lane;
}

void sq_lane_give(struct sq_lane *lane)
{
    pthread_mutex_unlock(&lane->lock);
}

struct sqlite3_stmt *sq_statement_take(struct sq_reader *reader, const char *sql,
                                       struct vt_err *err)
{
    struct sq_statement *place = NULL;

    for (size_t i = 0; i < SQ_STATEMENTS_MAX; i++) {
        struct sq_statement *statement = &reader->statements[i];
        if (statement->in_use)
            continue;
        if (statement->sql && strcmp(statement->sql, sql) == 0) {
            place = statement;
            break;
        }
        if (!place || !statement->sql || (place->sql && statement->used < place->used))
            place = statement;
    }
    if (!place) {
        vt_fail(err, VT_E_INTERNAL, "more than %d statements at once", SQ_STATEMENTS_MAX);
        return NULL;
    }
    if (!place->sql || strcmp(place->sql, sql) != 0) {
        vt_stmt_free(place->stmt);
        free(place->sql);
        *place = (struct sq_statement){ .sql = strdup(sql) };
        if (!place->sql || !(place->stmt = vt_db_prepare(reader->db, sql, err))) {
            if (!place->sql)
                vt_fail(err, VT_E_NOMEM, "no memory for a statement");
            free(place->sql);
            *place = (struct sq_statement){ 0 };
            sq_explain(err);
            return NULL;
        }
    }
    place->in_use = true;
    place->used = ++reader->clock;
    return place->stmt;
}

void sq_statement_give(struct sq_reader *reader, struct sqlite3_stmt *stmt)
{
    for (size_t i = 0; stmt && i < SQ_STATEMENTS_MAX; i++)
        if (reader->statements[i].stmt == stmt) {
            sqlite3_reset(stmt);
            sqlite3_clear_bindings(stmt);
            reader->statements[i].in_use = false;
        }
}

/* ---- open, close ---- */

static bool prepare_writes(struct sq_index *index, struct vt_err *err)
{
    for (int i = 0; i < SQ_WRITES; i++)
        if (!(index->write[i] = vt_db_prepare(index->db, sq_write_sql[i], err)))
            return false;
    return true;
}

static bool open_writer(struct sq_index *index, struct vt_err *err)
{
    const struct vt_db_options options = { .read_only = index->read_only,
                                           .sync = VT_DB_SYNC_NORMAL,
                                           .busy_ms = SQ_BUSY_MS,
                                           .cache_kib = SQ_CACHE_WRITER_KIB,
                                           .wal_autocheckpoint = SQ_CHECKPOINT_PAGES,
                                           .gather_log = true };
    struct stat info;

    if (!(index->db = vt_db_open(index->path, &options, err)))
        return false;
    if (stat(index->path, &info) < 0)
        return vt_fail_errno(err, "%s", index->path);
    index->inode = info.st_ino;
    index->device = info.st_dev;
    if (!index->read_only && !vt_db_migrate(index->db, sq_migrations, sq_migration_count, err))
        return false;
    return sq_functions(index->db, err) && sq_words_init(&index->words, index->db, err) &&
           (index->read_only || prepare_writes(index, err));
}

static void sq_close(struct vt_index *base)
{
    struct sq_index *index = self(base);

    if (!index)
        return;
    while (index->idle) {
        struct sq_reader *reader = index->idle;
        index->idle = reader->next;
        reader_free(reader);
    }
    for (int i = 0; i < SQ_LANES; i++) {
        reader_free(index->lanes[i].reader);
        pthread_mutex_destroy(&index->lanes[i].lock);
    }
    for (int i = 0; i < SQ_WRITES; i++)
        vt_stmt_free(index->write[i]);
    vt_db_free(index->checkpointer);
    vt_db_free(index->db);
    vt_buf_fini(&index->merged);
    vt_buf_fini(&index->packed);
    sq_words_fini(&index->words);
    pthread_rwlock_destroy(&index->words.lock);
    pthread_mutex_destroy(&index->pool_lock);
    pthread_mutex_destroy(&index->checkpoint_lock);
    free(index->path);
    free(index);
}

static struct vt_index *sq_open(const struct vt_index_options *options, struct vt_err *err)
{
    struct sq_index *index = calloc(1, sizeof *index);
    char path[PATH_ROOM];

    if (!index) {
        vt_fail(err, VT_E_NOMEM, "no memory for the index");
        return NULL;
    }
    index->driver = &vt_index_sqlite;
    index->read_only = options->read_only;
    index->idle_max = options->readers > 0 && options->readers < SQ_READERS_KEPT_MAX
                          ? options->readers
                          : SQ_READERS_KEPT_MAX;
    pthread_rwlock_init(&index->words.lock, NULL);
    pthread_mutex_init(&index->pool_lock, NULL);
    for (int i = 0; i < SQ_LANES; i++)
        pthread_mutex_init(&index->lanes[i].lock, NULL);
    pthread_mutex_init(&index->checkpoint_lock, NULL);
    vt_buf_init(&index->merged, 2 * (size_t)VT_ATTRIBUTES_MAX);
    vt_buf_init(&index->packed, 2 * (size_t)VT_FILE_MAX);
    snprintf(path, sizeof path, "%s/index.db", options->path);
    index->path = strdup(path);
    if (!index->path)
        vt_fail(err, VT_E_NOMEM, "no memory for the index");
    if (index->path && open_writer(index, err))
        return (struct vt_index *)(void *)index;
    sq_explain(err);
    sq_close((struct vt_index *)(void *)index);
    return NULL;
}

/* ---- checkpoints ---- */

static bool sync_file(const char *path, const char *suffix, struct vt_err *err)
{
    char name[PATH_ROOM];

    snprintf(name, sizeof name, "%s%s", path, suffix);
    vt_autoclose fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return vt_fail_errno(err, "opening %s", name);
    return vt_io_sync_data(fd, name, err);
}

/* A passive checkpoint leaves out what a reader still needs, and then does not sync the log: so
 * that is done here. */
static bool checkpoint_locked(struct sq_index *index, struct vt_err *err)
{
    const struct vt_db_options options = { .sync = VT_DB_SYNC_NORMAL,
                                           .busy_ms = SQ_BUSY_MS,
                                           .cache_kib = 256 };
    int result;

    if (!index->checkpointer && !(index->checkpointer = vt_db_open(index->path, &options, err)))
        return false;
    if (!sync_file(index->path, "-wal", err))
        return false;
    result = sqlite3_wal_checkpoint_v2(vt_db_handle(index->checkpointer), NULL,
                                       SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (result != SQLITE_OK && (result & 0xff) != SQLITE_BUSY)
        return vt_db_fail(index->checkpointer, "checkpoint", err);
    return true;
}

static bool sq_checkpoint(struct vt_index *base, struct vt_err *err)
{
    struct sq_index *index = self(base);

    if (index->read_only)
        return vt_fail(err, VT_E_DENIED, "%s is open for reading only", index->path);
    pthread_mutex_lock(&index->checkpoint_lock);
    bool ok = checkpoint_locked(index, err);
    pthread_mutex_unlock(&index->checkpoint_lock);
    return ok || sq_explain(err);
}

static bool sq_applied(struct vt_index *base, uint64_t *out_sequence, struct vt_err *err)
{
    struct sq_index *index = self(base);
    struct sq_reader *reader = sq_reader_take(index, err);
    struct sqlite3_stmt *stmt;
    bool row = false, ok = false;

    if (!reader)
        return false;
    if ((stmt = sq_statement_take(reader, "SELECT value FROM meta WHERE key='applied'", err))) {
        ok = vt_stmt_step(reader->db, stmt, &row, err) &&
             (row || vt_fail(err, VT_E_CORRUPT, "%s: no applied sequence", index->path));
        if (ok)
            *out_sequence = (uint64_t)sqlite3_column_int64(stmt, 0);
        sq_statement_give(reader, stmt);
    }
    sq_reader_give(index, reader);
    return ok || sq_explain(err);
}

const struct vt_index_driver vt_index_sqlite = {
    .name = "sqlite",
    .open = sq_open,
    .close = sq_close,
    .begin = sq_begin,
    .put = sq_put,
    .remove = sq_remove,
    .move_study = sq_move_study,
    .relocate = sq_relocate,
    .commit = sq_commit,
    .rollback = sq_rollback,
    .checkpoint = sq_checkpoint,
    .applied = sq_applied,
    .lookup = sq_lookup,
    .frames = sq_frames,
    .find = sq_find,
    .next = sq_next,
    .cursor_free = sq_cursor_free,
    .select = sq_select,
    .select_next = sq_select_next,
    .counts = sq_counts,
    .empty = sq_empty,
};
