/* dicom/certificate.h: who the other end of a TLS association is, by the certificate it showed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vt_assoc;

enum { VT_CERTIFICATE_SUBJECT_MAX = 256, VT_CERTIFICATE_FINGERPRINT_MAX = 64 };

struct vt_certificate {
    char subject[VT_CERTIFICATE_SUBJECT_MAX + 1];         /* RFC 2253: "CN=ct1,O=Hospital" */
    char fingerprint[VT_CERTIFICATE_FINGERPRINT_MAX + 1]; /* SHA-256, lower-case digits */
};
/* false: no TLS, or it showed none. */
bool vt_assoc_certificate(const struct vt_assoc *assoc, struct vt_certificate *out);

/* What a certificate must be; NULL: does not matter. */
struct vt_certificate_wanted {
    const char *subject;     /* the whole of RFC 2253, or one of its parts: "CN=ct1" */
    const char *name;        /* a subject alternative name: DNS, address, URI or e-mail */
    const char *fingerprint; /* SHA-256, with or without colons */
};
bool vt_certificate_is_wanted(const struct vt_certificate_wanted *wanted);   /* anything at all? */
/* false too when there is none and something is wanted. */
bool vt_assoc_certificate_is(const struct vt_assoc *assoc,
                             const struct vt_certificate_wanted *wanted);

#ifdef __cplusplus
}
#endif
