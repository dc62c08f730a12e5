/* archive/operation.h: what an administrator does to files: to the trash and back, out of
 * quarantine, one version instead of another. An operation is a list of moves in state.db and one
 * record in the journal, which decides: without it the list is forgotten, with it the moves are
 * done, and done again after a crash. Then all of it is made durable and the journal is emptied, so
 * that no record of an arrival ever stands before and after one.
 *
 * All calls by the holder of vt_exclusive_begin. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/instance.h"
#include "archive/journal.h"

struct vt_archive;
struct vt_err;

enum vt_move_action {
    VT_MOVE_FILE,   /* the index does not know the file */
    VT_MOVE_REMOVE, /* its row goes */
    VT_MOVE_PUT,    /* its row comes: read again from to_file */
};

struct vt_move {
    char sop_uid[VT_UID_MAX + 1];
    uint32_t version;
    char from_file[VT_FILE_MAX],
        to_file[VT_FILE_MAX]; /* the same: nothing moves, the row changes */
    uint64_t size;
    enum vt_move_action action;
};

struct vt_file_operation {
    const char
        *kind; /* "delete", "restore", "version", "quarantine-accept", "quarantine-discard" */
    const char *subject; /* a study or SOP Instance UID, an id */
    const char *part; /* of the study: the UID of a series or an instance; NULL: all of it */
    const char *who, *reason;
    bool trash; /* what was moved lies in the trash now */
    const char *
        also; /* further SQL for state.db, in the transaction that ends the operation; NULL: none */
};

/* Plans: gives the operation's number. `next` fills a move; false in *out_more: behind the last. */
bool vt_operation_plan(struct vt_archive *archive, const struct vt_file_operation *operation,
                       bool (*next)(void *context, int64_t id, struct vt_move *out, bool *out_more,
                                    struct vt_err *err),
                       void *context, int64_t *out_id, uint64_t *out_instances, struct vt_err *err);
/* Decides and does; `kind` is VT_RECORD_DELETE or VT_RECORD_RESTORE. When it fails before the
 * decision, nothing has happened. */
bool vt_operation_run(struct vt_archive *archive, int64_t id, enum vt_record kind,
                      struct vt_err *err);

/* After a crash: does again what a journal record names. `doubtful`: it may have been done, and others
 * after it, long ago; then only what state.db still says is planned. */
bool vt_operation_redo(struct vt_archive *archive, const uint8_t *body, size_t size, bool doubtful,
                       struct vt_err *err);
/* After replay: plans that no record named are forgotten. */
bool vt_operation_forget_plans(struct vt_archive *archive, struct vt_err *err);
