/* hypervisor/cert.h: what identifies a host's certificate. Pure, any thread.
 *
 * The pin is of the public key ("sha256//" and base64, as libcurl takes it), so a renewed
 * certificate with the same key keeps it. The fingerprint is of the whole certificate, in
 * hexadecimal, as `openssl x509 -fingerprint` and XAPI show it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct vt_err;

enum { VT_CERT_PIN_MAX = 64, VT_CERT_FINGERPRINT_MAX = 65 };

struct vt_cert {
    char pin[VT_CERT_PIN_MAX];
    char fingerprint[VT_CERT_FINGERPRINT_MAX]; /* 64 lower-case digits */
};

/* The first certificate of the PEM text. VT_E_INVALID. */
bool vt_cert_read(const char *pem, struct vt_cert *out, struct vt_err *err);

/* `expected` is a pin or a fingerprint (colons and case do not count). */
bool vt_cert_matches(const struct vt_cert *cert, const char *expected);
