/* archive/index.h: the index behind a driver table: what is stored, how it is found.
 *
 * One writer (the committer's thread: begin, put/remove ..., commit), any number of readers; readers see committed
 * transactions only. Everything in it can be rebuilt from the objects. Default driver: SQLite (WAL); a second one in memory
 * passes the same contract tests (tests/archive/index_contract.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/instance.h"
#include "archive/query.h"
#include "core/auto.h"

struct vt_err;
struct vt_index;        /* starts with const struct vt_index_driver * */
struct vt_cursor;       /* the same */

struct vt_index_options {
    const char *path;             /* folder; the driver names its files ("index.db") */
    bool read_only;
    int readers;                  /* expected concurrent readers; a hint for its pool of connections */
};

/* What the duplicate policy and retrieval need of one instance. */
struct vt_index_entry {
    char study_uid[VT_UID_MAX + 1], series_uid[VT_UID_MAX + 1], sop_uid[VT_UID_MAX + 1];
    char sop_class[VT_UID_MAX + 1], transfer_syntax[VT_UID_MAX + 1];
    char file[VT_FILE_MAX];
    uint32_t version;
    uint64_t file_size, data_set_offset, data_set_size;
    bool has_pixels;
    uint64_t pixel_offset, pixel_length;
    struct vt_digest data_set_digest, pixel_digest;
    int64_t arrived;
};

enum vt_put_flags {
    VT_PUT_NEW_PATIENT = 1, VT_PUT_NEW_STUDY = 2, VT_PUT_NEW_SERIES = 4, VT_PUT_REPLACED = 8,
    VT_PUT_PATIENT_CONFLICT = 16,    /* the study is there under another Patient ID: attached to the study as it is */
    VT_PUT_PATIENT_MISMATCH = 32,    /* same ID, other name or birth date: the row carries the newest */
};

struct vt_index_counts {
    uint64_t patients, studies, series, instances, bytes;
};

struct vt_index_driver {
    const char *name;
    struct vt_index *(*open)(const struct vt_index_options *options, struct vt_err *err);
    void (*close)(struct vt_index *index);

    /* ---- writer ---- */
    bool (*begin)(struct vt_index *index, struct vt_err *err);
    /* Inserts, or replaces the row of that SOP Instance UID. out_flags: enum vt_put_flags. */
    bool (*put)(struct vt_index *index, const struct vt_instance *instance, unsigned *out_flags, struct vt_err *err);
    /* Empty series, studies and patients go with their last instance. */
    bool (*remove)(struct vt_index *index, const char *sop_uid, bool *out_removed, struct vt_err *err);
    /* All studies of a patient (and new ones while state.db says so) under another identity: attributes are those of
     * VT_LEVEL_PATIENT. Empty `study_uid`: all studies of the patient. */
    bool (*move_study)(struct vt_index *index, const char *study_uid, const uint8_t *patient_attributes, size_t size,
                       struct vt_err *err);
    /* The row of entry->sop_uid names entry->file, a copy of the same bytes, and changes in nothing else. */
    bool (*relocate)(struct vt_index *index, const struct vt_index_entry *entry, bool *out_found, struct vt_err *err);
    /* `sequence` is the journal's; vt_index_applied gives it after a crash. */
    bool (*commit)(struct vt_index *index, uint64_t sequence, struct vt_err *err);
    void (*rollback)(struct vt_index *index);
    /* All committed so far survives a power cut when this returns. May run beside the writer in another thread. */
    bool (*checkpoint)(struct vt_index *index, struct vt_err *err);
    bool (*applied)(struct vt_index *index, uint64_t *out_sequence, struct vt_err *err);

    /* ---- readers, any thread ---- */
    bool (*lookup)(struct vt_index *index, const char *sop_uid, struct vt_index_entry *out, bool *out_found, struct vt_err *err);
    /* Frame table of an instance, appended; nothing when it has none. */
    bool (*frames)(struct vt_index *index, const char *sop_uid, struct vt_buf *out, struct vt_err *err);
    struct vt_cursor *(*find)(struct vt_index *index, const struct vt_plan *plan, struct vt_err *err);
    bool (*next)(struct vt_cursor *cursor, struct vt_row *out, bool *out_more, struct vt_err *err);
    void (*cursor_free)(struct vt_cursor *cursor);
    /* The instances below what a plan matches, in order study, series, instance number: for retrieval. */
    struct vt_cursor *(*select)(struct vt_index *index, const struct vt_plan *plan, struct vt_err *err);
    bool (*select_next)(struct vt_cursor *cursor, struct vt_index_entry *out, bool *out_more, struct vt_err *err);
    /* Looks at every patient. */
    bool (*counts)(struct vt_index *index, struct vt_index_counts *out, struct vt_err *err);
    /* No instance in it: as quick at any size. */
    bool (*empty)(struct vt_index *index, bool *out_empty, struct vt_err *err);
};

extern const struct vt_index_driver vt_index_sqlite;
extern const struct vt_index_driver vt_index_memory;

/* Thin calls through the table, so that users write vt_index_put(index, ...). */
struct vt_index *vt_index_open(const struct vt_index_driver *driver, const struct vt_index_options *options, struct vt_err *err);
void vt_index_free(struct vt_index *index);
VT_DEFINE_AUTO(vt_index)
bool vt_index_begin(struct vt_index *index, struct vt_err *err);
bool vt_index_put(struct vt_index *index, const struct vt_instance *instance, unsigned *out_flags, struct vt_err *err);
bool vt_index_remove(struct vt_index *index, const char *sop_uid, bool *out_removed, struct vt_err *err);
bool vt_index_move_study(struct vt_index *index, const char *study_uid, const uint8_t *patient_attributes, size_t size, struct vt_err *err);
bool vt_index_relocate(struct vt_index *index, const struct vt_index_entry *entry, bool *out_found, struct vt_err *err);
bool vt_index_commit(struct vt_index *index, uint64_t sequence, struct vt_err *err);
void vt_index_rollback(struct vt_index *index);
bool vt_index_checkpoint(struct vt_index *index, struct vt_err *err);
bool vt_index_applied(struct vt_index *index, uint64_t *out_sequence, struct vt_err *err);
bool vt_index_lookup(struct vt_index *index, const char *sop_uid, struct vt_index_entry *out, bool *out_found, struct vt_err *err);
bool vt_index_frames(struct vt_index *index, const char *sop_uid, struct vt_buf *out, struct vt_err *err);
struct vt_cursor *vt_index_find(struct vt_index *index, const struct vt_plan *plan, struct vt_err *err);
bool vt_cursor_next(struct vt_cursor *cursor, struct vt_row *out, bool *out_more, struct vt_err *err);
struct vt_cursor *vt_index_select(struct vt_index *index, const struct vt_plan *plan, struct vt_err *err);
bool vt_cursor_select_next(struct vt_cursor *cursor, struct vt_index_entry *out, bool *out_more, struct vt_err *err);
void vt_cursor_free(struct vt_cursor *cursor);
VT_DEFINE_AUTO(vt_cursor)
bool vt_index_empty(struct vt_index *index, bool *out_empty, struct vt_err *err);
bool vt_index_counts(struct vt_index *index, struct vt_index_counts *out, struct vt_err *err);
