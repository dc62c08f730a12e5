/* archive/admin_rows.h: what the administrators' functions share: rows as JSON, selections of the
 * index, lists of moves. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/admin.h"
#include "archive/operation.h"

struct json_t;
struct vt_err;

/* Hands the row to the callback and releases it. NULL: out of memory. VT_E_CANCELLED when the
 * callback wants no more. */
bool vt_admin_send(const struct vt_admin *admin, struct json_t *row, struct vt_err *err);
bool vt_admin_tell_progress(const struct vt_admin *admin, uint64_t done, uint64_t total,
                            const char *unit, struct vt_err *err);

/* Each row of a query of state.db, columns by name: blobs as hexadecimal digits; at, arrived,
 * purge_after as dates. Bound as vt_stmt_bind does with one argument. *out_count may be NULL. No
 * lock is held while rows are handed over. */
bool vt_admin_rows_of(const struct vt_admin *admin, const char *sql, const char *letter,
                      const char *text, int64_t number, size_t *out_count, struct vt_err *err);

/* 2 * VT_DIGEST digits and a zero byte. */
void vt_admin_hex(const struct vt_digest *digest, char out[static 33]);

/* Every instance below a query (NULL: all). */
bool vt_admin_each(struct vt_archive *archive, const struct vt_query *query,
                   bool (*each)(void *context, const struct vt_index_entry *entry,
                                struct vt_err *err),
                   void *context, struct vt_err *err);
/* The same of another index: a backup's. */
bool vt_admin_each_in(struct vt_index *index, const struct vt_query *query,
                      bool (*each)(void *context, const struct vt_index_entry *entry,
                                   struct vt_err *err),
                      void *context, struct vt_err *err);
/* Of one study. VT_E_NOTFOUND when there is none. */
bool vt_admin_each_of_study(struct vt_archive *archive, const char *study_uid,
                            bool (*each)(void *context, const struct vt_index_entry *entry,
                                         struct vt_err *err),
                            void *context, struct vt_err *err);

/* ---- moves, collected before they are planned ---- */

enum { VT_ADMIN_MOVES_MAX = 1 << 20 };

struct vt_moves {
    struct vt_move *items;
    size_t count, capacity, next;
};
void vt_moves_fini(struct vt_moves *moves);
/* to NULL: to the trash, below the operation's number. */
bool vt_moves_add(struct vt_moves *moves, const char *sop_uid, uint32_t version, const char *from,
                  const char *to, uint64_t size, enum vt_move_action action, struct vt_err *err);
/* Plans and runs, under vt_exclusive_begin. */
bool vt_moves_run(struct vt_archive *archive, struct vt_moves *moves,
                  const struct vt_file_operation *operation, int64_t *out_id,
                  uint64_t *out_instances, struct vt_err *err);
