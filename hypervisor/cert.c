#include "hypervisor/cert.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "core/err.h"

static void hex(const unsigned char *digest, char out[static VT_CERT_FINGERPRINT_MAX])
{
    for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static bool digest_both(X509 *certificate, struct vt_cert *out)
{
    unsigned char digest[SHA256_DIGEST_LENGTH], *key = NULL;
    unsigned char base64[4 * ((SHA256_DIGEST_LENGTH + 2) / 3) + 1];
    unsigned size = 0;

    if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1)
        return false;
    hex(digest, out->fingerprint);
    int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &key);
    if (length <= 0)
        return false;
    SHA256(key, (size_t)length, digest);
    OPENSSL_free(key);
    EVP_EncodeBlock(base64, digest, sizeof digest);
    snprintf(out->pin, sizeof out->pin, "sha256//%s", (const char *)base64);
    return true;
}

bool vt_cert_read(const char *pem, struct vt_cert *out, struct vt_err *err)
{
    BIO *memory = BIO_new_mem_buf(pem, -1);
    X509 *certificate = memory ? PEM_read_bio_X509(memory, NULL, NULL, NULL) : NULL;
    struct vt_cert cert = { 0 };
    bool ok = certificate && digest_both(certificate, &cert);

    X509_free(certificate);
    BIO_free(memory);
    if (!ok)
        return vt_fail(err, VT_E_INVALID, "the host's certificate cannot be read");
    *out = cert;
    return true;
}

bool vt_cert_matches(const struct vt_cert *cert, const char *expected)
{
    size_t at = 0;

    if (strncmp(expected, "sha256//", 8) == 0)
        return strcmp(cert->pin, expected) == 0;
    for (; *expected; expected++) {
        if (*expected == ':' || *expected == ' ')
            continue;
        if (at >= VT_CERT_FINGERPRINT_MAX - 1 ||
            cert->fingerprint[at++] != tolower((unsigned char)*expected))
            return false;
    }
    return at == VT_CERT_FINGERPRINT_MAX - 1;
}
