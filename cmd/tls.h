/* cmd/tls.h: the OpenSSL contexts of DICOM over TLS (PS3.15 Annex B), as server and as client.
 *
 * TLS 1.2 and 1.3 only. Mutual by default: a peer must show a certificate that chains to tls_ca, and
 * we show ours. With tls_crl, revoked ones are refused; every issuer must have a list then. */
#pragma once

#include <stdbool.h>

struct ssl_ctx_st;
struct vt_err;

enum vt_tls_profile {
    VT_TLS_BCP195,          /* PS3.15 B.12 */
    VT_TLS_MODIFIED_BCP195, /* PS3.15 B.13: AEAD suites with forward secrecy only */
};

struct vt_tls_options {
    const char *certificate, *key; /* PEM files; the certificate with its chain */
    const char *ca;                /* PEM file; needed unless `anonymous` */
    const char *crl;               /* PEM file of revocation lists; NULL: none are asked for */
    bool anonymous;                /* peers need no certificate */
    enum vt_tls_profile profile;
};

/* NULL: what is wrong with which file. The key file may be readable by nobody else (else
 * VT_E_DENIED). */
struct ssl_ctx_st *vt_tls_server(const struct vt_tls_options *options, struct vt_err *err);
/* Associations that we ask for. `certificate` and `key` may be NULL: we show none. `anonymous`: whoever
 * answers is trusted. */
struct ssl_ctx_st *vt_tls_client(const struct vt_tls_options *options, struct vt_err *err);

struct vt_conf;
struct vt_peer;
struct vt_peers;
/* [dicom] tls_certificate tls_key tls_ca tls_crl tls_verify tls_profile. */
bool vt_tls_conf_read(const struct vt_conf *conf, struct vt_tls_options *out, struct vt_err *err);
/* The context towards a peer: its own files, else those of [dicom]. */
struct ssl_ctx_st *vt_tls_of_peer(const struct vt_conf *conf, const struct vt_peer *peer,
                                  struct vt_err *err);
/* Gives every peer with tls = yes and a host its context. */
bool vt_tls_peers(const struct vt_conf *conf, struct vt_peers *peers, struct vt_err *err);

void vt_tls_free(struct ssl_ctx_st *context);
