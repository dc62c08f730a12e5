/* scp/commit_inside.h: claims, shared by commit.c (associations) and commit_desk.c (jobs). Room
 * only.
 *
 * A claim says: this association would take the report on that transaction. It belongs to the desk;
 * the session holds a pointer to the first of its own. */
#pragma once

#include "scp/commit.h"
#include "scp/session.h"
#include "scu/commit.h"

enum vt_claim_state {
    VT_CLAIM_WAITING, /* for the job to decide */
    VT_CLAIM_READY,   /* decided; the session is to send */
    VT_CLAIM_SENT,    /* its answer is awaited */
    VT_CLAIM_TAKEN,   /* the peer answered 0000 */
    VT_CLAIM_FAILED,  /* it answered otherwise: `status` */
    VT_CLAIM_GONE,    /* the association ended, or is waited for no longer */
};

struct vt_claim {
    int64_t transaction;
    uint8_t context_id;
    int64_t until; /* monotonic ns; INT64_MAX: as long as the association lasts */
    /* under the desk's lock */
    enum vt_claim_state state;
    uint16_t message_id, status;
    unsigned users;          /* session, job */
    struct vt_claim *next;   /* on the desk */
    struct vt_claim *follow; /* of the session */
};

/* false: too many read at the moment. */
bool vt_commits_reading_begin(struct vt_commits *commits);
void vt_commits_reading_end(struct vt_commits *commits);
const struct vt_commits_options *vt_commits_options(const struct vt_commits *commits);
bool vt_commits_add_job(struct vt_commits *commits, int64_t transaction, const char *peer,
                        struct vt_err *err);

/* A claim of the session; without memory there is none, and the report takes the other way. */
void vt_claim_make(struct vt_commits *commits, struct vt_session *session, int64_t transaction,
                   uint8_t context_id, int64_t until);
/* Changes from one state to the other, in one step; false: it is in another. */
bool vt_claim_step(struct vt_commits *commits, struct vt_claim *claim, enum vt_claim_state from,
                   enum vt_claim_state to);
enum vt_claim_state vt_claim_state(struct vt_commits *commits, const struct vt_claim *claim);
/* The session lets go of it. */
void vt_claim_drop(struct vt_commits *commits, struct vt_claim *claim);

/* The report on a decided transaction. */
bool vt_commits_report(struct vt_commits *commits, int64_t transaction, struct vt_commit_list *out,
                       struct vt_err *err);
