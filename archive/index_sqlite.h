/* archive/index_sqlite.h: what the files of the SQLite driver share.
 *
 * One connection writes (put, the committer's thread), one checkpoints, a pool of others read; a
 * reader is lent to one lookup or cursor at a time and keeps its prepared statements by SQL text.
 * Names are kept a row for each component group in study_name and patient_name, so a prefix is a
 * range of an index that is already in the order of answers; a trigram index (FTS5, without
 * content) narrows infix patterns. Counts and modalities are kept in the parents at commit. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "archive/columns.h"
#include "archive/index.h"
#include "core/buf.h"
#include "core/db.h"

enum {
    SQ_READERS_KEPT_MAX = 16, /* idle connections that stay open */
    SQ_LANES = 2,             /* connections for lookups by UID, each with a lock of its own */
    SQ_STATEMENTS_MAX = 24,   /* prepared statements of one reader */
    SQ_WORDS_MAX =
        4096, /* SOP classes and transfer syntaxes with a number; others are kept as text */
    SQ_SERIES_CACHED = 512, /* series whose ids the writer remembers */
    SQ_CACHE_WRITER_KIB = 6144,
    SQ_CACHE_READER_KIB = 2048,
    SQ_BUSY_MS = 10000,
    SQ_CHECKPOINT_PAGES = 16000, /* the writer starts a checkpoint of its own beyond this */
    SQ_LIST_MODALITIES = 512,
    SQ_LIST_CLASSES = 4096,
    SQ_BINDS_MAX = 2 << 20, /* bytes of all parameters of a query */
};

/* ---- words: constant strings by number ---- */

struct sq_words {
    pthread_rwlock_t lock;
    char *text[SQ_WORDS_MAX]; /* never freed before the index; id is the place + 1 */
    int count;                /* guarded by lock */
    int committed;            /* writer only: those below survive a rollback */
};

/* ---- readers ---- */

struct sq_statement {
    char *sql;
    struct sqlite3_stmt *stmt;
    bool in_use;
    uint64_t used; /* for eviction */
};

struct sq_reader {
    struct vt_db *db;
    struct sq_statement statements[SQ_STATEMENTS_MAX];
    uint64_t clock;
    struct sq_reader *next; /* in the pool */
};

/* A lookup is so short that waiting for a connection whose pages are warm is cheaper than a further
 * connection: many associations share few lanes. */
struct sq_lane {
    pthread_mutex_t lock;
    struct sq_reader *reader; /* guarded by lock; NULL until the first lookup */
};

/* ---- writer ---- */

enum sq_write {
    SQ_W_BEGIN,
    SQ_W_COMMIT,
    SQ_W_ROLLBACK,
    SQ_W_APPLIED,
    SQ_W_BYTES,
    SQ_W_INSTANCE_INSERT,
    SQ_W_INSTANCE_FIND,
    SQ_W_INSTANCE_DELETE,
    SQ_W_INSTANCE_FILE,
    SQ_W_FRAMES_INSERT,
    SQ_W_FRAMES_DELETE,
    SQ_W_WORD,
    SQ_W_SERIES_FIND,
    SQ_W_SERIES_INSERT,
    SQ_W_SERIES_UPDATE,
    SQ_W_SERIES_COUNT,
    SQ_W_SERIES_GET,
    SQ_W_SERIES_DELETE,
    SQ_W_STUDY_FIND,
    SQ_W_STUDY_INSERT,
    SQ_W_STUDY_UPDATE,
    SQ_W_STUDY_PATIENT,
    SQ_W_STUDY_LISTS,
    SQ_W_STUDY_COUNT,
    SQ_W_STUDY_DELETE,
    SQ_W_STUDY_MODALITIES,
    SQ_W_STUDY_CLASSES,
    SQ_W_STUDY_OF_PATIENT,
    SQ_W_PATIENT_FIND,
    SQ_W_PATIENT_INSERT,
    SQ_W_PATIENT_UPDATE,
    SQ_W_PATIENT_COUNT,
    SQ_W_PATIENT_DELETE,
    SQ_W_STUDY_NAME_INSERT,
    SQ_W_STUDY_NAME_DELETE,
    SQ_W_STUDY_WORDS_INSERT,
    SQ_W_STUDY_WORDS_DELETE,
    SQ_W_PATIENT_NAME_INSERT,
    SQ_W_PATIENT_NAME_DELETE,
    SQ_W_PATIENT_WORDS_INSERT,
    SQ_W_PATIENT_WORDS_DELETE,
    SQ_WRITES
};

/* A series that got instances lately. `seen` is a digest of the attributes above the instance and
 * its class: the next instance with the same needs nothing but its own row. */
struct sq_recent {
    char series_uid[VT_UID_MAX + 1], study_uid[VT_UID_MAX + 1];
    int64_t series, study, patient;
    uint64_t seen;
    int64_t added; /* instances not yet in the counters */
    bool dirty;
};

struct sq_index {
    const struct vt_index_driver *driver;
    char *path; /* of index.db */
    uint64_t device, inode; /* of the file that was opened there */
    bool read_only;
    struct sq_words words;

    struct vt_db *db; /* the writer's; below this, the writer's thread only */
    struct sqlite3_stmt *write[SQ_WRITES];
    struct sq_recent recent[SQ_SERIES_CACHED];
    uint16_t dirty[SQ_SERIES_CACHED];
    size_t dirty_count;
    int64_t bytes_added; /* file sizes not yet in table meta */
    struct vt_buf merged, packed;
    int64_t relisted[64]; /* studies whose SOP classes must be counted again at commit */
    size_t relisted_count;

    pthread_mutex_t checkpoint_lock;
    struct vt_db *checkpointer; /* guarded by checkpoint_lock */

    struct sq_lane lanes[SQ_LANES];
    atomic_uint next_lane;

    pthread_mutex_t pool_lock;
    struct sq_reader *idle; /* guarded by pool_lock */
    int idle_count, idle_max;
};

/* index_sqlite.c */
struct sq_reader *sq_reader_take(struct sq_index *index, struct vt_err *err);
void sq_reader_give(struct sq_index *index, struct sq_reader *reader);
/* A free lane, or one to wait for; NULL when its connection cannot be opened. */
struct sq_lane *sq_lane_take(struct sq_index *index, struct vt_err *err);
void sq_lane_give(struct sq_lane *lane);
/* A statement of this text, reset and without bindings; give it back with sq_statement_give. */
struct sqlite3_stmt *sq_statement_take(struct sq_reader *reader, const char *sql,
                                       struct vt_err *err);
void sq_statement_give(struct sq_reader *reader, struct sqlite3_stmt *stmt);
bool sq_explain(struct vt_err *err); /* adds the remedy to a failure of the database; false */

/* index_sqlite_words.c */
bool sq_words_init(struct sq_words *words, struct vt_db *db, struct vt_err *err);
void sq_words_fini(struct sq_words *words);
/* Number of a word, made if need be (writer's thread); 0: no room left, keep it as text. */
bool sq_word_number(struct sq_index *index, const char *text, int64_t *out_number,
                    struct vt_err *err);
void sq_words_rollback(struct sq_words *words);
/* The text of column i of a row: a number of a word or text. */
const char *sq_word_column(struct sq_index *index, struct sqlite3_stmt *stmt, int i);
/* File names with the UIDs of the row taken out: "%1" study, "%2" series, "%3" instance, "%0"
 * objects/. */
bool sq_file_pack(const char *file, const char *study, const char *series, const char *sop,
                  struct vt_buf *out, struct vt_err *err);
void sq_file_unpack(const char *packed, const char *study, const char *series, const char *sop,
                    char *out, size_t room);

/* index_sqlite_schema.c */
extern const struct vt_db_migration sq_migrations[];
extern const size_t sq_migration_count;
extern const char *const sq_write_sql[SQ_WRITES];
/* Our SQL functions: vt_wild(pattern, text), vt_name(pattern, names), vt_list(pattern, list),
 * vt_again. */
bool sq_functions(struct vt_db *db, struct vt_err *err);

/* index_sqlite_put.c, index_sqlite_parents.c, index_sqlite_remove.c */
bool sq_begin(struct vt_index *base, struct vt_err *err);
bool sq_put(struct vt_index *base, const struct vt_instance *instance, unsigned *out_flags,
            struct vt_err *err);
bool sq_commit(struct vt_index *base, uint64_t sequence, struct vt_err *err);
void sq_rollback(struct vt_index *base);
bool sq_remove(struct vt_index *base, const char *sop_uid, bool *out_removed, struct vt_err *err);
bool sq_move_study(struct vt_index *base, const char *study_uid, const uint8_t *attributes,
                   size_t size, struct vt_err *err);
bool sq_relocate(struct vt_index *base, const struct vt_index_entry *entry, bool *out_found,
                 struct vt_err *err);
bool sq_flush(struct sq_index *index, struct vt_err *err); /* pending counters into the rows */
bool sq_relist(struct sq_index *index,
               struct vt_err *err);     /* modalities and classes of studies that lost instances */
void sq_forget(struct sq_index *index); /* all that is remembered of series */
/* Finds or makes patient, study and series of an instance; flags as of put. */
bool sq_parents(struct sq_index *index, const struct vt_instance *instance, bool replaces,
                struct sq_recent *recent, unsigned *flags, struct vt_err *err);
/* Runs a writer's statement without rows, bound by letters (core/db.h). */
bool sq_run(struct sq_index *index, enum sq_write which, struct vt_err *err, const char *letters,
            ...);
bool sq_study_names(struct sq_index *index, int64_t study, const struct vt_patient_columns *patient,
                    const struct vt_study_columns *columns, bool insert, struct vt_err *err);
bool sq_patient_names(struct sq_index *index, int64_t patient, const char *name, bool insert,
                      struct vt_err *err);
bool sq_patient_find_or_insert(struct sq_index *index, const struct vt_patient_columns *columns,
                               const uint8_t *attributes, size_t size, const char *study_uid,
                               int64_t *out_patient, unsigned *flags, struct vt_err *err);

/* index_sqlite_sql.c: plans as SQL, pure. */
struct sq_sql {
    char text[4096];
    struct vt_buf binds; /* texts, each with its zero byte, in order of the parameters */
    size_t bind_count;
};
/* What stands in the select list, by level (enum sq_field of index_sqlite_find.c). */
bool sq_sql_make(const struct vt_plan *plan, struct sq_sql *out, struct vt_err *err);

/* index_sqlite_find.c */
bool sq_lookup(struct vt_index *base, const char *sop_uid, struct vt_index_entry *out,
               bool *out_found, struct vt_err *err);
bool sq_frames(struct vt_index *base, const char *sop_uid, struct vt_buf *out, struct vt_err *err);
struct vt_cursor *sq_find(struct vt_index *base, const struct vt_plan *plan, struct vt_err *err);
bool sq_next(struct vt_cursor *base, struct vt_row *out, bool *out_more, struct vt_err *err);
void sq_cursor_free(struct vt_cursor *base);
struct vt_cursor *sq_select(struct vt_index *base, const struct vt_plan *plan, struct vt_err *err);
bool sq_select_next(struct vt_cursor *base, struct vt_index_entry *out, bool *out_more,
                    struct vt_err *err);
bool sq_counts(struct vt_index *base, struct vt_index_counts *out, struct vt_err *err);
bool sq_empty(struct vt_index *base, bool *out_empty, struct vt_err *err);
