/* archive/commitment.h: storage commitment (PS3.4 Annex J) as the archive keeps it: who asked for
 * which instances, what was found, and the promise that follows from it.
 *
 * A transaction is a row of state.db with an item for each instance. It is queued (written and
 * synced before the N-ACTION is answered), decided (each instance: row, file, size, digest read
 * again from the disk, SHA-256 of the whole file), reported. Decided transactions stay for ever:
 * they are the receipts. An instance that was committed is held: no automatic rule may remove it,
 * an administrator only by saying so (vt_admin.committed). Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dicom/uids.h"

struct vt_admin;
struct vt_archive;
struct vt_buf;
struct vt_err;
struct vt_index_entry;

enum {
    VT_COMMITMENT_ITEMS_MAX = 60000, /* instances of one transaction */
    VT_COMMITMENT_SHA256 = 32,
    VT_COMMITMENT_TEXT_MAX = 160,
};

/* Failure Reason (0008,1197), PS3.3 C.14. */
enum vt_commitment_reason {
    VT_COMMITMENT_OPEN = -1, /* not looked at yet */
    VT_COMMITMENT_DONE = 0,
    VT_COMMITMENT_PROCESSING = 0x0110, /* also: the file is not what was stored */
    VT_COMMITMENT_NO_INSTANCE = 0x0112,
    VT_COMMITMENT_CLASS_CONFLICT = 0x0119,
    VT_COMMITMENT_NO_CLASS = 0x0122,
    VT_COMMITMENT_DUPLICATE = 0x0131, /* transaction UID used again */
    VT_COMMITMENT_RESOURCES = 0x0213,
};

struct vt_commitment_item {
    const char *sop_class, *sop_uid; /* borrowed */
};

struct vt_commitment_request {
    const char *transaction_uid;
    const char *peer_ae_title; /* who asked */
    const char *host;
    const char *called_ae_title; /* as which title we were asked */
    const struct vt_commitment_item *items;
    size_t count;
};

/* Durable when it returns true. The same list under a UID that is still open is the same
 * transaction (*out_known); a UID that was used otherwise becomes one in which every item failed
 * with 0131. */
bool vt_commitment_queue(struct vt_archive *archive, const struct vt_commitment_request *request,
                         int64_t *out_id, bool *out_known, struct vt_err *err);

enum vt_commitment_state {
    VT_COMMITMENT_QUEUED,
    VT_COMMITMENT_DECIDED,     /* the report is not delivered yet */
    VT_COMMITMENT_REPORTED,
    VT_COMMITMENT_UNDELIVERED, /* given up; `vitrine commitment resend` tries again */
};
struct vt_commitment {
    int64_t id;
    enum vt_commitment_state state;
    char transaction_uid[VT_UID_MAX + 1];
    char peer_ae_title[VT_AE_TITLE_MAX + 1], called_ae_title[VT_AE_TITLE_MAX + 1];
    int64_t asked; /* wall ns */
    uint64_t instances, failed;
    uint32_t attempts; /* to deliver the report */
};
/* VT_E_NOTFOUND. */
bool vt_commitment_read(struct vt_archive *archive, int64_t id, struct vt_commitment *out,
                        struct vt_err *err);
/* The first transaction above `after` that is not reported nor given up; *out_id 0: none. */
bool vt_commitment_next_open(struct vt_archive *archive, int64_t after, int64_t *out_id,
                             struct vt_err *err);

/* Looks at every item that is still open. Instances that are not there stay open while
 * `wait_for_missing`: they may be on their way. *out_open says how many are; when none is, the
 * transaction is decided. `go_on` (or NULL) is asked between instances; false: VT_E_CANCELLED, and
 * what was found is kept. */
bool vt_commitment_decide(struct vt_archive *archive, int64_t id, bool wait_for_missing,
                          bool (*go_on)(void *context), void *context, uint64_t *out_open,
                          struct vt_err *err);

/* The items in their order. The callback borrows; false stops (err is the callback's). */
typedef bool (*vt_commitment_each_fn)(void *context, const struct vt_commitment_item *item,
                                      int reason, struct vt_err *err);
bool vt_commitment_each(struct vt_archive *archive, int64_t id, vt_commitment_each_fn each,
                        void *context, struct vt_err *err);

/* What came of telling the peer: NULL, it took the report; else why not. */
bool vt_commitment_told(struct vt_archive *archive, int64_t id, const char *failure, bool give_up,
                        struct vt_err *err);

/* ---- what we asked of others (scu/commit.h): reports may come on associations of theirs ---- */

bool vt_commitment_expect(struct vt_archive *archive, const char *transaction_uid, const char *peer,
                          struct vt_err *err);
/* A report, as it is to be given back (Explicit VR LE). *out_known false: never asked of that peer. */
bool vt_commitment_answered(struct vt_archive *archive, const char *transaction_uid,
                            const char *peer, const uint8_t *report, size_t size, bool *out_known,
                            struct vt_err *err);
/* Appends it. VT_E_NOTFOUND: never asked. */
bool vt_commitment_answer(struct vt_archive *archive, const char *transaction_uid,
                          struct vt_buf *out_report, bool *out_answered, struct vt_err *err);

/* That peer (an AE title) committed to the instance with the content that `entry` has. */
bool vt_commitment_note_elsewhere(struct vt_archive *archive, const struct vt_index_entry *entry,
                                  const char *peer, const char *transaction_uid,
                                  struct vt_err *err);
/* Did it? */
bool vt_commitment_elsewhere(struct vt_archive *archive, const struct vt_index_entry *entry,
                             const char *peer, bool *out_committed, struct vt_err *err);

/* ---- protection ---- */

/* Is that version of the instance promised to anybody? Every rule that removes bytes by itself
 * must ask, and leave those alone. */
bool vt_commitment_holds(struct vt_archive *archive, const char *sop_uid, uint32_t version,
                         bool *out_holds, struct vt_err *err);
/* The same as a condition on a row of operation_file named f, for SQL on state.db. */
#define VT_COMMITMENT_HOLDS_FILE                                                                   \
    "EXISTS (SELECT 1 FROM commitment_item c WHERE c.sop_uid = f.sop_uid"                          \
    " AND c.version = f.version AND c.held = 1)"
/* An administrator lifted (or restored) it for what operation `id` moved. */
bool vt_commitment_lift(struct vt_archive *archive, int64_t operation, bool lift,
                        struct vt_err *err);

/* ---- receipts, for administrators ---- */

bool vt_commitment_list(const struct vt_admin *admin, struct vt_err *err);
/* Its items, one row each. `which`: the number of the list or a Transaction UID. */
bool vt_commitment_show(const struct vt_admin *admin, const char *which, struct vt_err *err);
/* One row: the whole receipt, with its own SHA-256. */
bool vt_commitment_export(const struct vt_admin *admin, const char *which, struct vt_err *err);
/* Reads every committed instance again: a row for each that is not what the receipt says. */
bool vt_commitment_check(const struct vt_admin *admin, const char *which, uint64_t *out_checked,
                         uint64_t *out_faults, struct vt_err *err);
/* The report goes out again: the transaction is as if just decided. */
bool vt_commitment_resend(const struct vt_admin *admin, const char *which, int64_t *out_id,
                          struct vt_err *err);
