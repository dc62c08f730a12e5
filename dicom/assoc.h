/* dicom/assoc.h: an association, as acceptor and as requestor, and the messages on it.
 *
 * DCMTK negotiates what we accept; P-DATA-TF, release and abort are read and written here, on a buffer of up to 256 KB
 * (given back after a second of silence), streaming. All calls on one association come from one thread. Deadlines: `idle` between messages is the caller's (vt_assoc_next), a command that
 * has begun has 30 s, a data set a minimum rate; both end with VT_E_TIMEOUT. Nothing waits for ever.
 * After any failure but VT_E_CANCELLED the association is of no use: vt_assoc_abort or vt_assoc_free. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "dicom/command.h"
#include "dicom/door.h"
#include "dicom/uids.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;
struct vt_assoc;
struct vt_certificate_wanted;

enum { VT_CONTEXTS_MAX = 128, VT_CONTEXT_SYNTAXES_MAX = 50, VT_PDU_MAX = 131072, VT_PDU_MIN = 4096 };

enum vt_role { VT_ROLE_DEFAULT, VT_ROLE_SCU, VT_ROLE_SCP, VT_ROLE_SCU_SCP };   /* of the requestor (PS3.7 D.3.3.4) */

enum vt_context_result {   /* PS3.8 9.3.3.2 */
    VT_CONTEXT_ACCEPTED = 0,
    VT_CONTEXT_USER_REJECTION = 1,
    VT_CONTEXT_NO_REASON = 2,
    VT_CONTEXT_ABSTRACT_SYNTAX = 3,
    VT_CONTEXT_TRANSFER_SYNTAXES = 4,
};

struct vt_context {
    uint8_t id;
    char abstract_syntax[VT_UID_MAX + 1];
    const char *const *proposed;        /* transfer syntaxes in the proposer's order; borrowed from the association */
    size_t proposed_count;
    enum vt_role proposed_role;
    enum vt_context_result result;      /* of an acceptor: VT_CONTEXT_NO_REASON until decided */
    char transfer_syntax[VT_UID_MAX + 1];   /* "" unless accepted */
    enum vt_role accepted_role;
};

enum vt_identity_type {   /* PS3.7 D.3.3.7 */
    VT_IDENTITY_NONE,
    VT_IDENTITY_USER,
    VT_IDENTITY_USER_PASSCODE,
    VT_IDENTITY_KERBEROS,
    VT_IDENTITY_SAML,
    VT_IDENTITY_JWT,
};

struct vt_assoc_info {
    char calling_ae_title[VT_AE_TITLE_MAX + 1];
    char called_ae_title[VT_AE_TITLE_MAX + 1];
    char host[VT_HOST_TEXT_MAX];            /* peer's address */
    uint32_t max_pdu;                       /* what the peer takes; 0: no limit */
    char implementation_uid[VT_UID_MAX + 1];
    char implementation_version[17];
    uint8_t identity_type;                  /* vt_identity_type; 0: none offered */
    bool identity_response_wanted;
    bool tls;
};

/* ---- acceptor ---- */

/* Parses the request. Takes `incoming` in any case. NULL: answered and closed. */
struct vt_assoc *vt_assoc_receive(struct vt_incoming *incoming, struct vt_err *err);
bool vt_assoc_accept_context(struct vt_assoc *assoc, uint8_t id, const char *transfer_syntax, enum vt_role role,
                             struct vt_err *err);
void vt_assoc_refuse_context(struct vt_assoc *assoc, uint8_t id, enum vt_context_result result);
/* SOP class extended negotiation (PS3.7 D.3.3.5): the application information offered, or, for a requestor, the
 * acceptor's answer; false: none. Borrowed. */
bool vt_assoc_extended_offer(const struct vt_assoc *assoc, const char *sop_class, const uint8_t **out_bytes, size_t *out_size);
bool vt_assoc_extended_answer(struct vt_assoc *assoc, const char *sop_class, const uint8_t *bytes, size_t size,
                              struct vt_err *err);
/* Primary and secondary field of the user identity; borrowed. Never log them. */
void vt_assoc_identity(const struct vt_assoc *assoc, const uint8_t **out_primary, size_t *out_primary_size,
                       const uint8_t **out_secondary, size_t *out_secondary_size);
/* The largest PDU the answer asks the peer to send, and the largest that is taken, VT_PDU_MIN to VT_PDU_MAX; else
 * VT_PDU_MAX. Before vt_assoc_acknowledge. */
void vt_assoc_set_max_pdu(struct vt_assoc *assoc, uint32_t bytes);
/* Sends the A-ASSOCIATE-AC; contexts not decided on are refused. identity_accepted answers 59H if it was wanted. */
bool vt_assoc_acknowledge(struct vt_assoc *assoc, bool identity_accepted, struct vt_err *err);
/* Sends an A-ASSOCIATE-RJ (PS3.8 9.3.4). Free afterwards. */
void vt_assoc_reject(struct vt_assoc *assoc, uint8_t result, uint8_t source, uint8_t reason);

/* ---- requestor ---- */

struct vt_propose {
    const char *abstract_syntax;
    const char *const *transfer_syntaxes;
    size_t transfer_syntax_count;
    enum vt_role role;
};

struct vt_extended {
    const char *sop_class;
    const uint8_t *bytes;
    size_t size;
};

struct vt_assoc_request {
    const char *calling_ae_title;
    const char *called_ae_title;
    const char *host;                  /* name or address; resolved here */
    uint16_t port;
    struct ssl_ctx_st *tls;            /* NULL: plain; where it verifies certificates, `host` must be in the peer's */
    bool tls_any_name;                 /* any certificate the context trusts will do, whatever name it bears */
    const struct vt_certificate_wanted *tls_wanted;   /* or NULL (dicom/certificate.h): this instead of the name */
    const struct vt_propose *contexts; /* ids 1, 3, 5 ... in this order */
    size_t context_count;
    const struct vt_extended *extended;
    size_t extended_count;
    const char *user;                  /* user identity, NULL: none */
    const char *passcode;
    uint32_t max_pdu;                  /* 0: VT_PDU_MAX */
    int64_t timeout;                   /* ns, for connecting and for the answer; 0: 10 s and 30 s */
    int stop_fd;                       /* borrowed for the association's life; once readable, every wait ends with
                                        * VT_E_CANCELLED, and the association is of no more use. 0: none */
};

/* Tries every address of the name in turn, IPv6 too. NULL: VT_E_REFUSED with who refused and why (connection, TLS,
 * association), VT_E_NOTFOUND (no such name), VT_E_TIMEOUT, VT_E_CLOSED. */
struct vt_assoc *vt_assoc_request(const struct vt_assoc_request *request, struct vt_err *err);

/* ---- both ---- */

const struct vt_assoc_info *vt_assoc_info(const struct vt_assoc *assoc);
size_t vt_assoc_context_count(const struct vt_assoc *assoc);
const struct vt_context *vt_assoc_context_at(const struct vt_assoc *assoc, size_t i);
const struct vt_context *vt_assoc_context(const struct vt_assoc *assoc, uint8_t id);   /* NULL: none */
/* First accepted one of that class, with that syntax unless NULL; NULL: none. */
const struct vt_context *vt_assoc_context_for(const struct vt_assoc *assoc, const char *abstract_syntax,
                                              const char *transfer_syntax);

enum vt_next {
    VT_NEXT_COMMAND,
    VT_NEXT_RELEASE,      /* the peer asked; answer with vt_assoc_acknowledge_release */
    VT_NEXT_ABORT,
    VT_NEXT_CLOSED,
};

/* Waits for a message until the deadline (monotonic ns). A data set that the last command announced must have been
 * read. false: VT_E_TIMEOUT (nothing began), VT_E_PROTOCOL (abort it), ... */
bool vt_assoc_next(struct vt_assoc *assoc, int64_t deadline, enum vt_next *out_next, uint8_t *out_context_id,
                   struct vt_command *out_command, struct vt_err *err);

/* Called by vt_assoc_next, in its thread, when a second has passed in silence and the association gave its buffers back:
 * the owner may do the same with its own. The time it takes is not the peer's. */
void vt_assoc_on_rest(struct vt_assoc *assoc, void (*resting)(void *context), void *context);

/* The data set that follows a command, in pieces as they come, in the buffer's memory. `sink` returning false ends
 * it with sink's error (the stream is then out of step: abort). `out_size` may be NULL. */
typedef bool (*vt_assoc_sink)(void *context, const uint8_t *bytes, size_t size, struct vt_err *err);
bool vt_assoc_read_data(struct vt_assoc *assoc, vt_assoc_sink sink, void *context, uint64_t *out_size, struct vt_err *err);
/* The same for large data sets, which need not be copied: `landing` tells where the next bytes are wanted (*out_room of them
 * at most), and they are received there before `sink` is told; NULL: `sink` takes them as above. */
typedef uint8_t *(*vt_assoc_landing)(void *context, size_t *out_room);
bool vt_assoc_land_data(struct vt_assoc *assoc, vt_assoc_landing landing, vt_assoc_sink sink, void *context,
                        uint64_t *out_size, struct vt_err *err);
/* The same into a buffer, up to its limit: beyond, the rest is read and dropped and VT_E_LIMIT returned with the
 * association in step. */
struct vt_buf;
bool vt_assoc_read_identifier(struct vt_assoc *assoc, struct vt_buf *out, struct vt_err *err);
bool vt_assoc_drop_data(struct vt_assoc *assoc, struct vt_err *err);

bool vt_assoc_send_command(struct vt_assoc *assoc, uint8_t context_id, const struct vt_command *command, struct vt_err *err);
/* Command and identifier in as few segments as may be. identifier may be NULL. */
bool vt_assoc_send(struct vt_assoc *assoc, uint8_t context_id, const struct vt_command *command,
                   const uint8_t *identifier, size_t size, struct vt_err *err);
/* Like vt_assoc_send but held back until vt_assoc_flush, the next read or a full buffer: for streams of pending answers. */
bool vt_assoc_queue(struct vt_assoc *assoc, uint8_t context_id, const struct vt_command *command,
                    const uint8_t *identifier, size_t size, struct vt_err *err);
bool vt_assoc_flush(struct vt_assoc *assoc, struct vt_err *err);

/* A response from another thread, while the owner is back in vt_assoc_next, so that nobody waits for a change of threads.
 * vt_assoc_answers_beside: the owner asks before it leaves the answer to the other one (false under TLS). The other thread
 * calls vt_assoc_answer_beside once, which never waits; then, in step with it by means of its own, the owner calls
 * vt_assoc_answer_rest before it says anything else: what the socket did not take is sent there. */
bool vt_assoc_answers_beside(struct vt_assoc *assoc);
void vt_assoc_answer_beside(struct vt_assoc *assoc, uint8_t context_id, const struct vt_command *response);
bool vt_assoc_answer_rest(struct vt_assoc *assoc, struct vt_err *err);

/* A data set out of an open file: length bytes from offset, straight into PDVs. Errors of the file have code VT_E_IO
 * or VT_E_CORRUPT; then the stream is out of step. */
bool vt_assoc_send_file(struct vt_assoc *assoc, uint8_t context_id, const struct vt_command *command, int fd,
                        uint64_t offset, uint64_t length, struct vt_err *err);
/* The next piece comes from `source` until it gives 0 bytes. */
typedef bool (*vt_assoc_source)(void *context, uint8_t *bytes, size_t room, size_t *out_size, struct vt_err *err);
bool vt_assoc_send_stream(struct vt_assoc *assoc, uint8_t context_id, const struct vt_command *command,
                          vt_assoc_source source, void *context, struct vt_err *err);

/* Without blocking: has a C-CANCEL for this message come? Cancels are taken (those for other messages are passed over);
 * everything else stays unread for vt_assoc_next: half a command, and whole responses, such as the C-STORE-RSP of a
 * C-GET's sub-operation. Another request while an operation runs is VT_E_PROTOCOL; the end of the association, asked for
 * or not, VT_E_CLOSED. What vt_assoc_queue holds back is not sent by this. */
bool vt_assoc_cancelled(struct vt_assoc *assoc, uint16_t message_id, bool *out_cancelled, struct vt_err *err);

/* Shared by all users of the association: message ids of our requests, 1, 2, 3 ... */
uint16_t vt_assoc_message_id(struct vt_assoc *assoc);

/* Our request to release; waits for the answer (10 s), then closes. */
void vt_assoc_release(struct vt_assoc *assoc);
void vt_assoc_acknowledge_release(struct vt_assoc *assoc);
/* A-ABORT (PS3.8 9.3.8) written by us, then closed; never waits. source 0: user, 2: provider. */
void vt_assoc_abort(struct vt_assoc *assoc, uint8_t source, uint8_t reason);
/* shutdown(2) on the socket from another thread: every wait ends. The only call allowed from elsewhere. */
void vt_assoc_interrupt(struct vt_assoc *assoc);
/* Aborts what is still open. */
void vt_assoc_free(struct vt_assoc *assoc);
VT_DEFINE_AUTO(vt_assoc)

/* Seconds without one byte in a data set, and the least bytes a second over its whole length. Defaults 60 s, 1 KiB/s. */
void vt_assoc_set_pace(struct vt_assoc *assoc, int64_t gap, uint32_t bytes_per_second);

#ifdef __cplusplus
}
#endif
