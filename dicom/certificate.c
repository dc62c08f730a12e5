#include "dicom/certificate.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "dicom/assoc_impl.h"

static X509 *shown(const struct vt_assoc *assoc)
{
    return assoc->conn && assoc->conn->tls ? SSL_get1_peer_certificate(assoc->conn->tls) : NULL;
}

static void read_subject(X509 *certificate, char *out, size_t room)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int size = 0;

    out[0] = '\0';
    if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0,
                                  XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0)
        size = BIO_read(bio, out, (int)room - 1);
    out[size > 0 ? size : 0] = '\0';
    BIO_free(bio);
}

static void read_fingerprint(X509 *certificate,
                             char out[static VT_CERTIFICATE_FINGERPRINT_MAX + 1])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    out[0] = '\0';
    if (X509_digest(certificate, EVP_sha256(), digest, &size) != 1)
        return;
    for (unsigned i = 0; i < size && 2 * i < VT_CERTIFICATE_FINGERPRINT_MAX; i++)
        snprintf(out + 2 * (size_t)i, 3, "%02x", digest[i]);
}

bool vt_assoc_certificate(const struct vt_assoc *assoc, struct vt_certificate *out)
{
    X509 *certificate = shown(assoc);

    if (!certificate)
        return false;
    read_subject(certificate, out->subject, sizeof out->subject);
    read_fingerprint(certificate, out->fingerprint);
    X509_free(certificate);
    return true;
}

bool vt_certificate_is_wanted(const struct vt_certificate_wanted *wanted)
{
    return wanted->subject || wanted->name || wanted->fingerprint;
}

/* Whole, or one part between commas that are not escaped. */
static bool same_subject(const char *subject, const char *wanted)
{
    size_t length = strlen(wanted);

    if (strcmp(subject, wanted) == 0)
        return true;
    for (const char *at = subject; (at = strstr(at, wanted)) != NULL; at++) {
        bool begins = at == subject || (at[-1] == ',' && (at < subject + 2 || at[-2] != '\\'));
        if (begins && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

static bool same_fingerprint(const char *digits, const char *wanted)
{
    for (; *wanted; wanted++) {
        if (*wanted == ':' || *wanted == ' ')
            continue;
        if (*digits == '\0' || tolower((unsigned char)*wanted) != *digits++)
            return false;
    }
    return *digits == '\0';
}

static bool has_uri(X509 *certificate, const char *wanted)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool has = false;

    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !has; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI)
            continue;
        const ASN1_IA5STRING *uri = name->d.uniformResourceIdentifier;
        has = (size_t)ASN1_STRING_length(uri) == strlen(wanted) &&
              memcmp(ASN1_STRING_get0_data(uri), wanted, strlen(wanted)) == 0;
    }
    GENERAL_NAMES_free(names);
    return has;
}

static bool has_name(X509 *certificate, const char *wanted)
{
    const unsigned flags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;

    return X509_check_ip_asc(certificate, wanted, flags) == 1 ||
           X509_check_host(certificate, wanted, 0, flags, NULL) == 1 ||
           X509_check_email(certificate, wanted, 0, flags) == 1 || has_uri(certificate, wanted);
}

bool vt_assoc_certificate_is(const struct vt_assoc *assoc,
                             const struct vt_certificate_wanted *wanted)
{
    struct vt_certificate is;

    if (!vt_certificate_is_wanted(wanted))
        return true;
    if (!vt_assoc_certificate(assoc, &is))
        return false;
    X509 *certificate = shown(assoc);
    bool same = (!wanted->subject || same_subject(is.subject, wanted->subject)) &&
                (!wanted->fingerprint || same_fingerprint(is.fingerprint, wanted->fingerprint)) &&
                (!wanted->name || has_name(certificate, wanted->name));
    X509_free(certificate);
    return same;
}
