/* scp/retrieve.h: what C-GET and C-MOVE have in common (PS3.4 C.4.2, C.4.3): the request becomes
 * a selection, sub-operations are counted, pending answers carry the counters, the final answer
 * its status and the list of what failed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/archive.h"
#include "core/buf.h"
#include "scp/frames.h"
#include "scp/selection.h"
#include "scp/session.h"

struct vt_trail;

enum {
    VT_PENDING_EVERY = 16, /* sub-operations */
    VT_PENDING_MS = 1000,
    VT_FAILED_LIST_MAX =
        65000, /* bytes of (0008,0058): a UI value has a length of 16 bits in Explicit VR */
};

/* ---- counting: pure ---- */

enum vt_outcome { VT_OUTCOME_COMPLETED, VT_OUTCOME_WARNING, VT_OUTCOME_FAILED };

struct vt_tally {
    size_t total, completed, warning, failed;
    struct vt_buf failed_uids; /* with backslashes, up to VT_FAILED_LIST_MAX */
};
void vt_tally_init(struct vt_tally *tally, size_t total);
void vt_tally_fini(struct vt_tally *tally);
/* A UID that finds no room in the list is counted all the same. */
void vt_tally_add(struct vt_tally *tally, enum vt_outcome outcome, const char *sop_uid);
enum vt_outcome vt_outcome_of(uint16_t store_status);
size_t vt_tally_remaining(const struct vt_tally *tally);
/* Status of the final answer. */
uint16_t vt_tally_final(const struct vt_tally *tally, bool cancelled);
/* (0000,1020) to 1023, clamped at 65535 (US); remaining in pending and cancel answers only. */
void vt_tally_counters(const struct vt_tally *tally, struct vt_command *response);

/* ---- one retrieval ---- */

struct vt_retrieval {
    struct vt_session *session;
    uint8_t context_id;
    const struct vt_command *command;
    struct vt_selection *selection;
    struct vt_trail *trail; /* what goes out, for the audit trail */
    bool by_uid;            /* Composite Instance Root: `asked` says what, level FRAME is `extracted` */
    struct vt_frame_request asked;
    struct vt_extracted extracted;
    size_t pending_at; /* sub-operations done when the last pending answer was sent */
    int64_t pending_time;
};
void vt_retrieval_fini(struct vt_retrieval *retrieval);

/* Reads and understands the request. out_go false: it was answered already (A900, A701, too
 * large). */
bool vt_retrieval_begin(struct vt_retrieval *retrieval, bool *out_go, struct vt_err *err);
/* A pending answer when it is time for one. */
bool vt_retrieval_pending(struct vt_retrieval *retrieval, const struct vt_tally *tally,
                          struct vt_err *err);
bool vt_retrieval_finish(struct vt_retrieval *retrieval, const struct vt_tally *tally,
                         bool cancelled, const char *comment, struct vt_err *err);
/* ---- the instances ---- */

/* One reader's way through the selection: while an instance is sent, the disk reads the next. One
 * thread; several readers share a retrieval, which does not change meanwhile. */
struct vt_reader {
    const struct vt_retrieval *retrieval;
    size_t step;            /* from one to the next */
    struct vt_stored ahead; /* while has_ahead: the instance at ahead_at */
    size_t ahead_at;
    bool has_ahead;
};
void vt_reader_init(struct vt_reader *reader, const struct vt_retrieval *retrieval, size_t step);
void vt_reader_fini(struct vt_reader *reader);
/* The i-th instance, ready to be sent, corrections applied; the caller closes it (vt_stored_close).
 * VT_E_NOTFOUND: deleted meanwhile. */
bool vt_reader_open(struct vt_reader *reader, size_t i, struct vt_stored *out, struct vt_err *err);
