#include "cmd/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include "core/err.h"

static const char suites_13[] =
    "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
static const char suites_12[] = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                                "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
/* B.12 leaves the choice to BCP 195: also finite-field Diffie-Hellman, for old peers. */
static const char suites_12_wide[] = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL:!eNULL";

static bool fail_openssl(struct vt_err *err, const char *what, const char *path)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return vt_fail(err, VT_E_INVALID, "%s '%s': %s", what, path, reason ? reason : "not usable");
}

static bool check_key_file(const char *path, struct vt_err *err)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return vt_fail_errno(err, "dicom.tls_key '%s'", path);
    if (status.st_mode & S_IRWXO)
        return vt_fail(err, VT_E_DENIED, "dicom.tls_key '%s' is open to everybody: chmod 600",
                       path);
    return true;
}

static bool set_up(SSL_CTX *context, const struct vt_tls_options *options, struct vt_err *err)
{
    bool strict = options->profile == VT_TLS_MODIFIED_BCP195;

    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_AUTO_RETRY);
    if (SSL_CTX_set_ciphersuites(context, suites_13) != 1 ||
        SSL_CTX_set_cipher_list(context, strict ? suites_12 : suites_12_wide) != 1)
        return fail_openssl(err, "TLS suites", strict ? suites_12 : suites_12_wide);
    if (SSL_CTX_use_certificate_chain_file(context, options->certificate) != 1)
        return fail_openssl(err, "dicom.tls_certificate", options->certificate);
    if (!check_key_file(options->key, err))
        return false;
    if (SSL_CTX_use_PrivateKey_file(context, options->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
        return fail_openssl(err, "dicom.tls_key", options->key);
    if (options->anonymous)
        return true;
    if (SSL_CTX_load_verify_locations(context, options->ca, NULL) != 1)
        return fail_openssl(err, "dicom.tls_ca", options->ca);
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(options->ca));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return true;
}

struct ssl_ctx_st *vt_tls_server(const struct vt_tls_options *options, struct vt_err *err)
{
    if (!options->certificate || !options->key || (!options->ca && !options->anonymous)) {
        vt_fail(err, VT_E_INVALID,
                "dicom.tls_port needs tls_certificate, tls_key and tls_ca (or tls_verify = none)");
        return NULL;
    }
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context) {
        vt_fail(err, VT_E_NOMEM, "no memory for TLS");
        return NULL;
    }
    if (set_up(context, options, err))
        return context;
    SSL_CTX_free(context);
    return NULL;
}

void vt_tls_free(struct ssl_ctx_st *context)
{
    SSL_CTX_free(context);
}
