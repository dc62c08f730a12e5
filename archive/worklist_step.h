/* archive/worklist_step.h: performed procedure steps (PS3.4 Annex F), rows of state.db: what a modality says it does and has done.
 *
 *   N-CREATE ─> IN PROGRESS ─ N-SET ─> COMPLETED | DISCONTINUED: nothing changes it any more
 *
 * A step that begins starts its entries of the worklist, one that ends takes them off the list. What comes again word for word
 * is answered as the first time. Attributes are as in archive/worklist.h. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dicom/uids.h"

struct vt_archive;
struct vt_err;

enum { VT_STEP_BYTES_MAX = 16 << 20, VT_STEP_OFFENDING_MAX = 8, VT_STEP_COMMENT_MAX = 64 };
/* Error ID (0000,0903): the step may no longer be updated (F.7.2.2.4). */
enum { VT_STEP_NO_LONGER = 0xa710 };

enum vt_step_state { VT_STEP_IN_PROGRESS, VT_STEP_COMPLETED, VT_STEP_DISCONTINUED };
const char *vt_step_state_name(enum vt_step_state state); /* "IN PROGRESS" ... */

struct vt_step_answer {
    uint16_t status;   /* 0000, 0106, 0107, 0110, 0111, 0112, 0116, 0120, 0121 */
    uint16_t error_id; /* 0: none */
    char comment[VT_STEP_COMMENT_MAX + 1];
    uint32_t offending[VT_STEP_OFFENDING_MAX];
    size_t offending_count;
};

/* true: *out is to be answered, and what it says is durable. false: state.db failed. */
bool vt_step_create(struct vt_archive *archive, const char *sop_uid, const char *peer, const uint8_t *attributes,
                    size_t size, struct vt_step_answer *out, struct vt_err *err);
bool vt_step_set(struct vt_archive *archive, const char *sop_uid, const uint8_t *attributes, size_t size,
                 struct vt_step_answer *out, struct vt_err *err);

struct vt_step {
    char sop_uid[VT_UID_MAX + 1], study_uid[VT_UID_MAX + 1], peer[VT_AE_TITLE_MAX + 1];
    enum vt_step_state state;
    int64_t created, changed; /* wall ns */
    uint64_t announced;       /* instances it names */
};
/* Newest first, `limit` of them (0: all); sop_uid not NULL: that one. */
bool vt_step_each(struct vt_archive *archive, const char *sop_uid, uint64_t limit,
                  bool (*each)(void *context, const struct vt_step *step, const uint8_t *attributes, size_t size,
                               struct vt_err *err),
                  void *context, struct vt_err *err);
/* The instances that a step's attributes name. */
bool vt_step_instances(const uint8_t *attributes, size_t size,
                       bool (*each)(void *context, const char *series_uid, const char *sop_class, const char *sop_uid,
                                    struct vt_err *err),
                       void *context, struct vt_err *err);
