/* scu/commit.h: storage commitment (PS3.4 Annex J) as we ask others for it, the reports on what
 * others asked of us, and the information that both carry.
 *
 * Requests and reports have the same shape: a Transaction UID and references, of which some may
 * have failed. A client call belongs to one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scu/client.h"

struct vt_err;
struct vt_buf;

enum {
    VT_COMMIT_REFERENCES_MAX = 60000,
    VT_COMMIT_BYTES_MAX = 16 << 20, /* of the information in an N-ACTION or N-EVENT-REPORT */
    VT_COMMIT_WAIT_S = 10,          /* for a report on the same association */
    VT_COMMIT_EVENT_DONE = 1,       /* event types (PS3.4 J.3.3.1) */
    VT_COMMIT_EVENT_FAILURES = 2,
};

struct vt_commit_reference {
    char sop_class[VT_UID_MAX + 1], sop_uid[VT_UID_MAX + 1];
    uint16_t reason; /* Failure Reason; 0: committed, or not known yet */
};
struct vt_commit_list {
    char transaction_uid[VT_UID_MAX + 1];
    struct vt_commit_reference *items;
    size_t count, capacity;
};
void vt_commit_list_fini(struct vt_commit_list *list);
/* VT_E_LIMIT, VT_E_NOMEM. */
bool vt_commit_list_add(struct vt_commit_list *list, const char *sop_class, const char *sop_uid,
                        uint16_t reason, struct vt_err *err);
size_t vt_commit_list_failed(const struct vt_commit_list *list);

/* References without a reason go to the Referenced, others to the Failed SOP Sequence; an empty
 * sequence is left out. Appends. `retrieve_ae_title` may be NULL. */
bool vt_commit_encode(const struct vt_commit_list *list, const char *retrieve_ae_title,
                      enum vt_encoding encoding, struct vt_buf *out, struct vt_err *err);
/* Empties `out` first. VT_E_INVALID with a status: 0212 unreadable; 0115 no transaction, no
 * reference, one without class or instance, one instance twice. */
bool vt_commit_decode(const uint8_t *bytes, size_t size, enum vt_encoding encoding,
                      struct vt_commit_list *out, struct vt_err *err);

/* ---- we ask ---- */

struct vt_commit_wait {
    int64_t wait; /* ns for a report on the same association; 0: VT_COMMIT_WAIT_S */
    /* Asked a few times a second; true: the report came another way. NULL: it cannot. */
    bool (*elsewhere)(void *context);
    void *context;
};
/* N-ACTION, and the report if it comes on the same association: then *out_reported is true and
 * `report` filled. False: refused, with the peer's status, or no association. */
bool vt_client_commit(const struct vt_client *client, const struct vt_commit_list *list,
                      const struct vt_commit_wait *wait, bool *out_reported,
                      struct vt_commit_list *report, struct vt_err *err);

/* ---- we report ---- */

/* N-EVENT-REPORT on an association of our own, in which we are the SCP (role selection). VT_E_STATUS
 * when the peer answered with a failure. */
bool vt_client_commit_report(const struct vt_client *client, const struct vt_commit_list *list,
                             const char *retrieve_ae_title, struct vt_err *err);

/* ---- we listen: for a program that has no server ---- */

struct vt_commit_listener;
/* Takes associations on address:port as that AE title, answers Verification and takes reports. One
 * at a time, in the thread of vt_commit_listener_wait. */
struct vt_commit_listener *vt_commit_listener_open(const char *address, uint16_t port,
                                                   struct ssl_ctx_st *tls, struct vt_err *err);
void vt_commit_listener_free(struct vt_commit_listener *listener);
VT_DEFINE_AUTO(vt_commit_listener)
uint16_t vt_commit_listener_port(const struct vt_commit_listener *listener);
/* Until a report on that transaction is there or the deadline (monotonic ns) is past. */
bool vt_commit_listener_wait(struct vt_commit_listener *listener, const char *transaction_uid,
                             int64_t deadline, bool *out_reported, struct vt_commit_list *report,
                             struct vt_err *err);
