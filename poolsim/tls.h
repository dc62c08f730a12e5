/* poolsim/tls.h: each machine's own self-signed certificate, made when the simulator starts. */
#pragma once

#include <stdbool.h>

#include <openssl/ssl.h>

struct vt_err;

struct vt_sim_tls {
    SSL_CTX *context;
    char *pem; /* the certificate */
};

/* Names the host and its address. */
bool vt_sim_tls_init(struct vt_sim_tls *tls, const char *name, const char *address,
                     struct vt_err *err);
void vt_sim_tls_fini(struct vt_sim_tls *tls);
