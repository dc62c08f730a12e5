/* dicom/assoc_impl.h: what an association is made of, for the files of this room that work on it:
 * assoc_accept.cc (DCMTK negotiates), assoc_request.c (we ask), pdv_read.c, pdv_send.c, assoc.c
 * (the end). */
#pragma once

#include "core/buf.h"
#include "dicom/assoc.h"
#include "dicom/conn.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VT_COMMAND_TIME (30 * VT_NS_PER_S) /* for a command that has begun */
#define VT_RELEASE_TIME (10 * VT_NS_PER_S)
#define VT_STOPPED_RELEASE_TIME (300 * VT_NS_PER_MS)
#define VT_DATA_GAP (60 * VT_NS_PER_S)

enum {
    VT_DATA_RATE = 1024,       /* bytes a second */
    VT_EXTENDED_MAX = 128,     /* SOP class extended negotiation items kept of a request */
    VT_QUEUE_FLUSH = 64 << 10, /* queued answers are sent when there are so many bytes of them */
    VT_EMPTY_PDVS_MAX = 64,    /* in a row */
};

struct vt_extended_item {
    char sop_class[VT_UID_MAX + 1];
    uint8_t *bytes; /* owned */
    size_t size;
};

struct vt_assoc {
    struct vt_conn *conn;
    void *negotiation; /* DCMTK's association, between receive and acknowledge; else NULL */
    struct vt_assoc_info info;

    struct vt_context *contexts;
    size_t context_count;
    uint8_t context_at[VT_CONTEXTS_MAX]; /* by id / 2: index + 1, 0 for none */
    char (*syntaxes)[VT_UID_MAX +
                     1]; /* what all contexts' `proposed` points to, by way of syntax_list */
    const char **syntax_list;
    struct vt_extended_item *extended; /* offered to the acceptor, answered to the requestor */
    size_t extended_count;
    uint8_t *identity[2]; /* wiped when freed */
    size_t identity_size[2];

    /* reading */
    uint32_t our_max_pdu;
    uint32_t pdu_left; /* of the P-DATA-TF that is being read */
    uint32_t pdv_left;
    bool pdv_open; /* header read, end not yet reached */
    uint8_t pdv_context;
    uint8_t pdv_control;
    unsigned empty_pdvs; /* in a row */
    bool data_pending;   /* the last command announced a data set */
    uint8_t data_context;
    struct vt_buf command; /* one that comes in several PDVs */

    /* sending */
    struct vt_buf out;
    struct vt_buf beside; /* the other thread's between vt_assoc_answers_beside and _answer_rest */
    size_t beside_sent;
    uint8_t *send_buffer;
    size_t send_capacity;
    uint16_t last_message_id;

    void (*resting)(void *context); /* NULL: nobody wants to know */
    void *resting_context;
    int64_t gap;
    uint32_t bytes_per_second;
    bool over; /* released, aborted or rejected: nothing is sent any more */
};

/* Takes the connection in any case. NULL: out of memory. */
struct vt_assoc *vt_assoc_new(struct vt_conn *conn);
/* DCMTK's part, when negotiation was never ended (assoc_accept.cc). */
void vt_assoc_drop_negotiation(struct vt_assoc *assoc);

/* Room for the contexts and for all their syntaxes together. */
bool vt_assoc_make_contexts(struct vt_assoc *assoc, size_t contexts, size_t syntaxes,
                            struct vt_err *err);
bool vt_assoc_add_extended(struct vt_assoc *assoc, const char *sop_class, const uint8_t *bytes,
                           size_t size, struct vt_err *err);

/* When a transfer that keeps the least rate has made so many bytes since `start`; 0: no limit. */
int64_t vt_assoc_slowest(const struct vt_assoc *assoc, int64_t start, uint64_t bytes);

/* One PDU that is not P-DATA at the front of the buffer, whole: its type, and the four bytes of a
 * short one. */
bool vt_assoc_read_short_pdu(struct vt_assoc *assoc, int64_t deadline, uint8_t *out_type,
                             uint8_t out_rest[4], struct vt_err *err);
/* Skips the rest of a P-DATA-TF: while waiting for the answer to a release. */
bool vt_assoc_skip_pdu(struct vt_assoc *assoc, int64_t deadline, struct vt_err *err);

#ifdef __cplusplus
}
#endif
