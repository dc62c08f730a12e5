/* scu/peers.h: the remote Application Entities this node knows, found by name and by AE title.
 *
 * Filled from the configuration ([peer "NAME"]). vt_peers_replace may put other peers in their place at any time, from
 * any thread; rows that were borrowed stay as they were until the table is freed. Titles compare as PS3.5 asks for VR
 * AE: outer spaces do not count, case does. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"
#include "dicom/certificate.h"
#include "dicom/uids.h"

struct ssl_ctx_st;
struct vt_conf;
struct vt_err;
struct vt_peers;

enum vt_allow {
    VT_ALLOW_ECHO = 1, VT_ALLOW_STORE = 2, VT_ALLOW_FIND = 4, VT_ALLOW_MOVE = 8, VT_ALLOW_GET = 16, VT_ALLOW_COMMIT = 32,
    VT_ALLOW_WORKLIST = 64, VT_ALLOW_MPPS = 128,
    VT_ALLOW_ALL = 0xff,
};
enum vt_prefer { VT_PREFER_PROPOSED, VT_PREFER_UNCOMPRESSED, VT_PREFER_LOSSLESS };

/* What instances become for a receiver that does not take them as they are stored. Zeroed: Explicit and Implicit VR LE. */
enum { VT_PEER_SYNTAXES_MAX = 8 };
struct vt_transcoding {
    const char *syntaxes[VT_PEER_SYNTAXES_MAX];   /* of the table in dicom/uids.h */
    size_t count;
    bool never;
    bool lossy;                                   /* may information be lost? */
};

struct vt_peer {
    const char *name;                        /* of the section; owned by the table, like all text here */
    char ae_title[VT_AE_TITLE_MAX + 1];      /* trimmed; by default the name */
    const char *host;                        /* name or address to connect to; NULL: it only calls us */
    uint16_t port;                           /* 0 with host NULL */
    const char *from;                        /* addresses it may call from: CIDR list; NULL: host's, or any if no host */
    unsigned allow;                          /* enum vt_allow bits; default all */
    bool move_destination;                   /* default: host is there */
    unsigned max_associations;               /* 0: the server's default */
    enum vt_prefer prefer;
    struct vt_transcoding transcoding;       /* of what we send it */
    const char *charset;                     /* NULL: none */
    const char *local_ae_title;              /* ours towards this peer; NULL: dicom.ae_title */
    int64_t timeout;                         /* ns; 0: default */
    const char *called;                      /* titles of ours it may call; NULL: all */
    bool tls;                                /* associations both ways are by TLS */
    struct vt_certificate_wanted certificate;   /* which its certificate must be, both ways */
    bool tls_any_name;                       /* its certificate need not bear the name of its host */
    const char *tls_files[3];                /* our certificate, key and the CA towards this peer; NULL: [dicom]'s */
    struct ssl_ctx_st *tls_context;          /* of associations we ask for: vt_peers_set_tls; the table's; NULL: plain */
    uint64_t instances_per_day, bytes_per_day;   /* that it may store; 0: no bound */
    bool commit_elsewhere;                   /* reports of storage commitment on an association of ours only */
};

struct vt_peers *vt_peers_new(void);   /* NULL when out of memory */
void vt_peers_free(struct vt_peers *peers);
VT_DEFINE_AUTO(vt_peers)

/* Copies. VT_E_INVALID: not an AE title, bad CIDR; VT_E_EXISTS: name or title taken. */
bool vt_peers_add(struct vt_peers *peers, const struct vt_peer *peer, struct vt_err *err);
bool vt_peers_load(struct vt_peers *peers, const struct vt_conf *conf, struct vt_err *err);

/* tls, tls_any_name, tls_subject ..., tls_certificate ... of [SECTION "NAME"] into `out`; text is borrowed from conf. */
bool vt_peer_tls_read(const struct vt_conf *conf, const char *section, const char *name, struct vt_peer *out, struct vt_err *err);

/* All peers of `fresh` (emptied) in the place of those that are there. */
bool vt_peers_replace(struct vt_peers *peers, struct vt_peers *fresh, struct vt_err *err);
/* The context of associations that we ask of peer i; takes a reference. Before others use the table. */
void vt_peers_set_tls(struct vt_peers *peers, size_t i, struct ssl_ctx_st *tls);
/* May it call us by that title? */
bool vt_peer_may_call(const struct vt_peer *peer, const char *called);

/* NULL: nobody. */
const struct vt_peer *vt_peers_by_title(const struct vt_peers *peers, const char *ae_title);
const struct vt_peer *vt_peers_by_name(const struct vt_peers *peers, const char *name);
const struct vt_peer *vt_peers_at(const struct vt_peers *peers, size_t i);
/* May this address call as that peer? */
bool vt_peer_admits(const struct vt_peer *peer, const char *address);

/* A list of UIDs and of words (explicit, implicit, big-endian, deflated, jpeg-lossless, jpeg-ls, jpeg-2000, rle, jpeg,
 * jpeg-2000-lossy), or "never". VT_E_INVALID: a word is none of them. */
bool vt_transcoding_read(const char *text, struct vt_transcoding *out, struct vt_err *err);
/* The list, or what stands for it when it is empty. */
const char *const *vt_transcoding_syntaxes(const struct vt_transcoding *transcoding, size_t *out_count);

/* "NAME" of a known peer or "AET@HOST:PORT" ("AET@[::1]:PORT"). out is a copy whose text is borrowed from peers or kept in `store`. */
bool vt_peers_resolve(const struct vt_peers *peers, const char *text, struct vt_peer *out, char *store, size_t room,
                      struct vt_err *err);
