#include "poolsim/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "core/err.h"
#include "poolsim/mem.h"

enum { VALID_S = 10 * 365 * 24 * 3600 };

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bool ok = extension && X509_add_ext(certificate, extension, -1) == 1;

    X509_EXTENSION_free(extension);
    return ok;
}

static bool fill(X509 *certificate, EVP_PKEY *key, const char *name, const char *address)
{
    X509_NAME *subject = X509_get_subject_name(certificate);
    char names[256];
    unsigned serial = 0;

    snprintf(names, sizeof names, "DNS:%s,IP:%s", name, address);
    if (RAND_bytes((unsigned char *)&serial, sizeof serial) != 1)
        return false;
    return X509_set_version(certificate, 2) == 1 &&
           ASN1_INTEGER_set(X509_get_serialNumber(certificate), (long)(serial >> 1)) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), VALID_S) &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
                                      -1, 0) == 1 &&
           X509_set_issuer_name(certificate, subject) == 1 &&
           X509_set_pubkey(certificate, key) == 1 &&
           add_extension(certificate, NID_subject_alt_name, names) &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

static char *pem_of(X509 *certificate)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *data = NULL, *text = NULL;

    if (memory && PEM_write_bio_X509(memory, certificate) == 1) {
        long size = BIO_get_mem_data(memory, &data);
        text = vt_sim_alloc((size_t)size + 1);
        memcpy(text, data, (size_t)size);
    }
    BIO_free(memory);
    return text;
}

bool vt_sim_tls_init(struct vt_sim_tls *tls, const char *name, const char *address,
                     struct vt_err *err)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());

    bool ok = key && certificate && context && fill(certificate, key, name, address) &&
              SSL_CTX_use_certificate(context, certificate) == 1 &&
              SSL_CTX_use_PrivateKey(context, key) == 1 &&
              SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
    if (ok) {
        SSL_CTX_set_mode(context,
                         SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        tls->context = context;
        tls->pem = pem_of(certificate);
    } else {
        SSL_CTX_free(context);
        vt_fail(err, VT_E_INTERNAL, "no certificate could be made for %s", name);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    return ok;
}

void vt_sim_tls_fini(struct vt_sim_tls *tls)
{
    SSL_CTX_free(tls->context);
    free(tls->pem);
    *tls = (struct vt_sim_tls){ 0 };
}
