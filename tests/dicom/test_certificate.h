/* tests/dicom/test_certificate.h: a self-signed certificate for 127.0.0.1 and localhost, made on
 * the spot, and the TLS contexts that use it. Included by test programs behind cmocka.h. */
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static inline void add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

static inline X509 *test_certificate(EVP_PKEY *key, const char *names)
{
    X509 *certificate = X509_new();
    X509_NAME *name = X509_get_subject_name(certificate);

    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"vitrine test", -1,
                               -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_set_pubkey(certificate, key);
    add_extension(certificate, NID_subject_alt_name, names);
    add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    return certificate;
}

struct test_tls {
    EVP_PKEY *key;
    X509 *certificate;
    SSL_CTX *server, *client; /* the client trusts this certificate and no other */
};

static inline void test_tls_init(struct test_tls *tls, const char *names)
{
    tls->key = EVP_EC_gen("P-256");
    tls->certificate = test_certificate(tls->key, names);
    tls->server = SSL_CTX_new(TLS_server_method());
    tls->client = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_use_certificate(tls->server, tls->certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(tls->server, tls->key), 1);
    SSL_CTX_set_min_proto_version(tls->server, TLS1_2_VERSION);
    SSL_CTX_set_min_proto_version(tls->client, TLS1_2_VERSION);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(tls->client), tls->certificate);
    SSL_CTX_set_verify(tls->client, SSL_VERIFY_PEER, NULL);
}

static inline void test_tls_fini(struct test_tls *tls)
{
    SSL_CTX_free(tls->server);
    SSL_CTX_free(tls->client);
    X509_free(tls->certificate);
    EVP_PKEY_free(tls->key);
}
