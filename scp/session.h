/* scp/session.h: one association that we serve, and the table of services.
 *
 * Made by the server when the door hands over a request; run by a thread of its own, which owns
 * everything in it but what is said to be shared. Services answer on session->assoc and return
 * false when the association is of no more use. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "dicom/assoc.h"
#include "scp/negotiate.h"
#include "scp/server.h"

struct vt_claim;
struct vt_err;
struct vt_receive;
struct vt_trail;

enum {
    VT_SESSION_IDLE_S = 60,      /* between messages; dicom.idle, or the peer's timeout */
    VT_SESSION_SPARE_IDLE_S = 5, /* in the slot that is kept for Verification */
    VT_SESSION_CLAIM_MS = 20, /* how often a waiting association looks for reports to send */
    VT_SESSION_STACK = 512 << 10,
};

/* Shared by all sessions. */
struct vt_traffic {
    _Atomic uint64_t associations, refused, received, sent, queries;
    struct vt_usage *usage; /* fixed: scp/access.h */
};

struct vt_session {
    /* fixed before the thread starts */
    const struct vt_server_options *options;
    struct vt_traffic *traffic;
    const atomic_bool *stopping;
    const struct vt_peer *peer; /* NULL: unknown, all services allowed */
    bool spare;
    /* The association is over, the peer does not know it yet. */
    void (*leaving)(void *context, struct vt_session *session);
    void *leaving_context;
    char calling_ae_title[VT_AE_TITLE_MAX + 1];
    char host[VT_HOST_TEXT_MAX];

    /* the thread's */
    struct vt_incoming *incoming; /* until the association is there */
    struct vt_assoc *assoc;
    struct vt_negotiation rules;
    bool identified; /* the user was known: it is answered so */
    struct vt_receive *receive; /* made with the first instance */
    bool storing;               /* the archive has an instance and answers by itself */
    uint8_t storing_context;
    struct vt_command storing_response; /* the archive's while `storing` */
    struct vt_trail *trail;     /* what it stored, for the audit trail; made with the first instance */
    struct vt_claim *claims;    /* commitments whose report may go out here (scp/commit.h) */
    struct vt_buf identifier;   /* of the request that is served */

    pthread_mutex_t lock;
    /* guarded by lock */
    struct vt_assoc *shared; /* what vt_session_interrupt may touch; NULL before and after */
    int64_t waiting_since;   /* for a message, monotonic; 0: busy */

    /* the server's, under its lock */
    struct vt_session *next;
    pthread_t thread;
    bool left;               /* its place is free */
    bool finished;           /* its thread ends */
};

struct vt_session *vt_session_new(
    struct vt_incoming *incoming); /* NULL when out of memory: incoming stays the caller's */
void vt_session_free(struct vt_session *session);

/* Negotiates, serves until the end, frees the association. */
void vt_session_run(struct vt_session *session);
/* From another thread: ends what waits. `idle_for` ns > 0: only when it has waited for a message
 * that long. */
void vt_session_interrupt(struct vt_session *session, int64_t idle_for);

/* ---- the services ---- */

typedef bool (*vt_serve)(struct vt_session *session, uint8_t context_id,
                         const struct vt_command *command, struct vt_err *err);
struct vt_service {
    uint16_t command;      /* the request's field */
    enum vt_sop_kind kind; /* of the context it may come on */
    vt_serve serve;
};
/* For a context of that kind; where the operation is none for it, the one of another kind. NULL: none
 * of ours. */
const struct vt_service *vt_service_find(uint16_t command, enum vt_sop_kind kind);

bool vt_serve_echo(struct vt_session *session, uint8_t context_id, const struct vt_command *command,
                   struct vt_err *err);
bool vt_serve_store(struct vt_session *session, uint8_t context_id,
                    const struct vt_command *command, struct vt_err *err);
/* Waits for the answer that the archive gives by itself, if one is due: before anything else is
 * said. */
bool vt_session_settle(struct vt_session *session, struct vt_err *err);
/* The peer's turn, or ours: its silence counts. */
void vt_session_waiting(struct vt_session *session, bool waiting);

bool vt_serve_find(struct vt_session *session, uint8_t context_id, const struct vt_command *command,
                   struct vt_err *err);
bool vt_serve_get(struct vt_session *session, uint8_t context_id, const struct vt_command *command,
                  struct vt_err *err);
bool vt_serve_move(struct vt_session *session, uint8_t context_id, const struct vt_command *command,
                   struct vt_err *err);

bool vt_serve_commit(struct vt_session *session, uint8_t context_id,
                     const struct vt_command *command, struct vt_err *err);
bool vt_serve_commit_report(struct vt_session *session, uint8_t context_id,
                            const struct vt_command *command, struct vt_err *err);
/* Of an association with claims (scp/commit.h): sends the reports that are ready; takes the answer
 * to one; the association ends. */
bool vt_commit_look(struct vt_session *session, struct vt_err *err);
bool vt_commit_answered(struct vt_session *session, const struct vt_command *response,
                        struct vt_err *err);
void vt_commit_leave(struct vt_session *session);

bool vt_serve_worklist(struct vt_session *session, uint8_t context_id,
                       const struct vt_command *command, struct vt_err *err);
bool vt_serve_mpps_create(struct vt_session *session, uint8_t context_id,
                          const struct vt_command *command, struct vt_err *err);
bool vt_serve_mpps_set(struct vt_session *session, uint8_t context_id,
                       const struct vt_command *command, struct vt_err *err);

/* ---- what services share ---- */

/* A response without identifier. comment may be NULL. */
bool vt_session_answer(struct vt_session *session, uint8_t context_id,
                       const struct vt_command *request, uint16_t status, const char *comment,
                       struct vt_err *err);
/* The same before the request's data set was read: drops it first. */
bool vt_session_refuse(struct vt_session *session, uint8_t context_id,
                       const struct vt_command *request, uint16_t status, const char *comment,
                       struct vt_err *err);
/* Reads the identifier into session->identifier. out_read false: it was missing or too large, and
 * that has been answered. */
bool vt_session_identifier(struct vt_session *session, uint8_t context_id,
                           const struct vt_command *request, bool *out_read, struct vt_err *err);
/* The status that a failure asks for, else `otherwise`. */
uint16_t vt_session_status(const struct vt_err *why, uint16_t otherwise);
/* Encoding of the identifiers on a context. */
enum vt_encoding vt_session_encoding(const struct vt_session *session, uint8_t context_id);
/* Was that byte of extended negotiation agreed on for the context's class? */
bool vt_session_extended(const struct vt_session *session, uint8_t context_id, size_t byte);
/* Our title on this association: what was called, unless any title is taken. */
const char *vt_session_title(const struct vt_session *session);
/* How a request without (0008,0005) is read when it is not ASCII; NULL: nothing is configured. */
const char *vt_session_charset(const struct vt_session *session);
