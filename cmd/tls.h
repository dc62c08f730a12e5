/* cmd/tls.h: the OpenSSL context of the DICOM TLS listener (PS3.15 Annex B).
 *
 * TLS 1.2 and 1.3 only. Mutual by default: a peer must show a certificate that chains to tls_ca. */
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
    bool anonymous;                /* peers need no certificate */
    enum vt_tls_profile profile;
};

/* NULL: what is wrong with which file. The key file may be readable by nobody else (else
 * VT_E_DENIED). */
struct ssl_ctx_st *vt_tls_server(const struct vt_tls_options *options, struct vt_err *err);
void vt_tls_free(struct ssl_ctx_st *context);
