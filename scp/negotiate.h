/* scp/negotiate.h: which associations, presentation contexts, roles and extended items we accept.
 * Decisions only, on plain records: no network, no state, any thread. The rules are those of the
 * conformance statement. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dicom/assoc.h"
#include "dicom/uids.h"
#include "scp/server.h"
#include "scu/peers.h"

/* ---- the association (PS3.8 9.3.4) ---- */

/* What is known before a thread starts. */
struct vt_admission {
    const char *calling, *called; /* trimmed titles of the request */
    bool stopping;
    bool known;                /* the calling title is in the peer table */
    unsigned total, from_peer; /* associations that run */
    unsigned per_peer_max;
    bool only_verification;
    bool spare_free; /* the slot kept for Verification */
};
struct vt_rejection {
    uint8_t result, source, reason;
    const char *word; /* for the log */
};
enum vt_admit { VT_ADMIT, VT_ADMIT_SPARE, VT_ADMIT_REJECT };
/* out is filled for VT_ADMIT_REJECT. */
enum vt_admit vt_negotiate_admission(const struct vt_server_options *options,
                                     const struct vt_admission *admission,
                                     struct vt_rejection *out);
/* A known title from a wrong address: the same code as an unknown one. */
extern const struct vt_rejection vt_rejection_calling;

/* ---- a presentation context ---- */

struct vt_negotiation {
    unsigned allow; /* enum vt_allow: of the peer */
    enum vt_prefer prefer;
    bool unknown_storage;
    bool fuzzy;
    bool commitment; /* it is offered */
    const struct vt_private_syntax *private_syntaxes;
    size_t private_syntax_count;
};
struct vt_context_answer {
    enum vt_context_result result;
    const char *transfer_syntax; /* one of the proposed; NULL unless accepted */
    enum vt_role role;
};
struct vt_context_answer vt_negotiate_context(const struct vt_context *context,
                                              const struct vt_negotiation *rules);

/* How a data set of that syntax is read; false: neither public nor configured. */
struct vt_syntax {
    enum vt_encoding encoding;
    bool encapsulated, lossless;
};
bool vt_negotiate_syntax(const struct vt_negotiation *rules, const char *uid,
                         struct vt_syntax *out);

/* The kind that decides which service a class belongs to: unknown classes that were accepted are
 * storage. */
enum vt_sop_kind vt_negotiate_kind(const char *sop_class);

/* ---- SOP class extended negotiation (PS3.7 D.3.3.5) ---- */

enum { VT_EXTENDED_MAX = 16 };
/* Bytes of C-FIND (PS3.4 C.5.1.1) and of C-MOVE and C-GET (C.5.2.1). */
enum { VT_EXTENDED_RELATIONAL, VT_EXTENDED_COMBINED, VT_EXTENDED_FUZZY };
/* Our answer to an offer, byte by byte; its size, 0: none. */
size_t vt_negotiate_extended(enum vt_sop_kind kind, const struct vt_negotiation *rules,
                             const uint8_t *offer, size_t size,
                             uint8_t out[static VT_EXTENDED_MAX]);
