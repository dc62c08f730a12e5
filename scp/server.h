/* scp/server.h: the DICOM services we offer, on one door.
 *
 * The door hands over an association request; limits are checked; a thread takes the association,
 * negotiates by the services table (scp/services.c: SOP class -> handler), and serves its
 * messages until release, abort, timeout or stop. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "dicom/uids.h"

struct vt_archive;
struct vt_audit;
struct vt_commits;
struct vt_err;
struct vt_events;
struct vt_peers;
struct vt_server;
struct vt_door_listener;
struct ssl_ctx_st;

enum {
    VT_SERVER_ASSOCIATIONS = 256, /* dicom.max_associations */
    VT_SERVER_PER_PEER = 64,      /* dicom.max_per_peer; one more is kept for Verification */
};

/* User identity negotiation (PS3.7 D.3.3.7). */
enum vt_identity_policy {
    VT_IDENTITY_IGNORE,  /* nobody looks into it, and no response is given */
    VT_IDENTITY_CHECK,   /* who says a name must be that; who says none is let in */
    VT_IDENTITY_REQUIRE, /* who says none, or in another way than by name, is refused */
};

/* What others have, for those who ask us (scp/elsewhere.h): each may take long, and is called from the threads of
 * associations. `calling` is who asks. */
struct vt_elsewhere {
    /* An identifier in Explicit VR LE; `match` has the type of vt_find_match. NULL: nobody is asked. `matched`: there were matches
     * here; then only those are asked that `always` means. */
    bool (*find)(void *context, const char *calling, bool matched, enum vt_model model, const uint8_t *identifier, size_t size,
                 bool (*match)(void *context, const uint8_t *identifier, size_t size, uint16_t status,
                               struct vt_err *err),
                 void *match_context, struct vt_err *err);
    /* Begins to bring a study here. VT_E_NOTFOUND: nobody has it. */
    bool (*fetch)(void *context, const char *calling, const char *study_uid, int64_t *out_job, struct vt_err *err);
    /* Until the deadline (monotonic ns); false: not yet. */
    bool (*wait)(void *context, int64_t job, int64_t deadline);
    bool always; /* somebody is asked also when there are matches here */
    void *context;
};

struct vt_server_options {
    const char *ae_title;
    const char *const
        *more_titles;          /* further called titles we answer to; NULL-terminated or NULL */
    bool any_called_title;     /* dicom.accept_any_called_ae */
    bool refuse_unknown_peers; /* dicom.unknown_peers = refuse (default off loopback); else accepted
                                */
    bool title_nocase;         /* dicom.ae_compare = nocase */
    bool unknown_storage;      /* dicom.accept_unknown_storage */
    const struct vt_private_syntax *private_syntaxes;
    size_t private_syntax_count;
    unsigned max_associations, max_per_peer; /* 0: defaults */
    uint32_t max_pdu; /* taken and asked for; 0: VT_PDU_MAX */
    int64_t idle, artim; /* ns; 0: 60 s, 30 s */
    bool strict_query, match_unknown, fuzzy, keep_accents;
    uint64_t max_matches;        /* 0: 50000 */
    const char *default_charset; /* of requests that name none and are not ASCII; NULL: none. A
                                    peer's goes first */
    uint32_t move_parallel;
    const struct vt_door_listener *listeners;
    size_t listener_count;
    struct vt_archive *archive; /* all borrowed for the life of the server. NULL: Verification only */
    const struct vt_peers *peers;
    struct vt_events *events;
    struct vt_audit *audit;     /* NULL: no trail */
    enum vt_identity_policy identity;
    /* Is that the user's passcode (NULL: a name alone)? Any thread. NULL: nobody is known. */
    bool (*identify)(void *context, const char *user, const char *passcode);
    void *identify_context;
    struct vt_commits *commits; /* storage commitment (scp/commit.h); NULL: not offered */
    struct vt_elsewhere elsewhere;
    /* Wake and wait (design 3): called before sub-operations to a destination; may take long;
     * false: unreachable. NULL: none. */
    bool (*wake)(void *context, const char *ae_title, struct vt_err *err);
    void *wake_context;
};

struct vt_server *vt_server_open(const struct vt_server_options *options, struct vt_err *err);
/* No new associations; those that run get `grace` ns to end, then are aborted. Joins all threads.
 */
void vt_server_stop(struct vt_server *server, int64_t grace);
void vt_server_free(struct vt_server *server);
VT_DEFINE_AUTO(vt_server)
/* What each peer stored today goes to state.db: from time to time, and by vt_server_free. */
bool vt_server_save(struct vt_server *server, struct vt_err *err);
/* New TLS connections use another context, from now on (a reference is taken). */
void vt_server_set_tls(struct vt_server *server, struct ssl_ctx_st *tls);
uint16_t vt_server_port(const struct vt_server *server, size_t listener);

struct vt_server_status {
    unsigned associations, pending;
    uint64_t associations_total, associations_refused, instances_received, instances_sent, queries;
};
void vt_server_status(const struct vt_server *server, struct vt_server_status *out);
