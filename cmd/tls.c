#include "cmd/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include "core/conf.h"
#include "core/err.h"
#include "core/log.h"
#include "scu/peers.h"

enum { EXPIRY_WARN_DAYS = 30 };

enum { READ_BUFFER = 128 << 10 };

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

/* In time to have it renewed. */
static void warn_of_expiry(SSL_CTX *context, const char *path)
{
    const X509 *certificate = SSL_CTX_get0_certificate(context);
    int days = 0, seconds = 0;

    if (certificate &&
        ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)) == 1 &&
        days < EXPIRY_WARN_DAYS)
        vt_log(VT_LOG_WARN, "tls.certificate-expires", "file=\"%s\" days=%d", path, days);
}

static bool set_identity(SSL_CTX *context, const struct vt_tls_options *options,
                         struct vt_err *err)
{
    if (SSL_CTX_use_certificate_chain_file(context, options->certificate) != 1)
        return fail_openssl(err, "dicom.tls_certificate", options->certificate);
    warn_of_expiry(context, options->certificate);
    if (!check_key_file(options->key, err))
        return false;
    return (SSL_CTX_use_PrivateKey_file(context, options->key, SSL_FILETYPE_PEM) == 1 &&
            SSL_CTX_check_private_key(context) == 1) ||
           fail_openssl(err, "dicom.tls_key", options->key);
}

static bool set_trust(SSL_CTX *context, const struct vt_tls_options *options, struct vt_err *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);

    if (SSL_CTX_load_verify_locations(context, options->ca, NULL) != 1)
        return fail_openssl(err, "dicom.tls_ca", options->ca);
    if (!options->crl)
        return true;
    X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    if (!lookup || X509_load_crl_file(lookup, options->crl, X509_FILETYPE_PEM) < 1)
        return fail_openssl(err, "dicom.tls_crl", options->crl);
    return X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1 ||
           fail_openssl(err, "dicom.tls_crl", options->crl);
}

static bool set_up(SSL_CTX *context, const struct vt_tls_options *options, struct vt_err *err)
{
    bool strict = options->profile == VT_TLS_MODIFIED_BCP195;

    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_AUTO_RETRY | SSL_MODE_RELEASE_BUFFERS);
    /* Several records with one call to the system. */
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, READ_BUFFER);
    if (SSL_CTX_set_ciphersuites(context, suites_13) != 1 ||
        SSL_CTX_set_cipher_list(context, strict ? suites_12 : suites_12_wide) != 1)
        return fail_openssl(err, "TLS suites", strict ? suites_12 : suites_12_wide);
    return true;
}

static bool set_up_server(SSL_CTX *context, const struct vt_tls_options *options,
                          struct vt_err *err)
{
    if (!set_up(context, options, err) || !set_identity(context, options, err))
        return false;
    if (options->anonymous)
        return true;
    if (!set_trust(context, options, err))
        return false;
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(options->ca));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return true;
}

static bool set_up_client(SSL_CTX *context, const struct vt_tls_options *options,
                          struct vt_err *err)
{
    if (!set_up(context, options, err) ||
        (options->certificate && !set_identity(context, options, err)))
        return false;
    if (options->anonymous)
        return true;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return set_trust(context, options, err);
}

static SSL_CTX *make(const SSL_METHOD *method,
                     bool (*set)(SSL_CTX *, const struct vt_tls_options *, struct vt_err *),
                     const struct vt_tls_options *options, struct vt_err *err)
{
    SSL_CTX *context = SSL_CTX_new(method);

    if (!context) {
        vt_fail(err, VT_E_NOMEM, "no memory for TLS");
        return NULL;
    }
    if (set(context, options, err))
        return context;
    SSL_CTX_free(context);
    return NULL;
}

struct ssl_ctx_st *vt_tls_server(const struct vt_tls_options *options, struct vt_err *err)
{
    if (!options->certificate || !options->key || (!options->ca && !options->anonymous)) {
        vt_fail(err, VT_E_INVALID,
                "dicom.tls_port needs tls_certificate, tls_key and tls_ca (or tls_verify = none)");
        return NULL;
    }
    return make(TLS_server_method(), set_up_server, options, err);
}

struct ssl_ctx_st *vt_tls_client(const struct vt_tls_options *options, struct vt_err *err)
{
    if (!options->ca && !options->anonymous) {
        vt_fail(err, VT_E_INVALID,
                "TLS needs the CA of the peer's certificate: dicom.tls_ca, or --ca FILE");
        return NULL;
    }
    if (!options->certificate != !options->key) {
        vt_fail(err, VT_E_INVALID, "a certificate for TLS needs its key, and a key its certificate");
        return NULL;
    }
    return make(TLS_client_method(), set_up_client, options, err);
}

/* ---- from the configuration ---- */

/* A key without a value is one that is not there. */
static const char *file_of(const struct vt_conf *conf, const char *key)
{
    const char *path = vt_conf_text(conf, "dicom", NULL, key, "");

    return *path ? path : NULL;
}

bool vt_tls_conf_read(const struct vt_conf *conf, struct vt_tls_options *out, struct vt_err *err)
{
    static const char *const verify[] = { "mutual", "none", NULL }, *const profiles[] = {
        "bcp195", "modified", NULL
    };
    size_t verified, profile;

    if (!vt_conf_choice(conf, "dicom", NULL, "tls_verify", verify, 0, &verified, err) ||
        !vt_conf_choice(conf, "dicom", NULL, "tls_profile", profiles, 0, &profile, err))
        return false;
    *out = (struct vt_tls_options){
        .certificate = file_of(conf, "tls_certificate"),
        .key = file_of(conf, "tls_key"),
        .ca = file_of(conf, "tls_ca"),
        .crl = file_of(conf, "tls_crl"),
        .anonymous = verified == 1,
        .profile = (enum vt_tls_profile)profile,
    };
    return true;
}

struct ssl_ctx_st *vt_tls_of_peer(const struct vt_conf *conf, const struct vt_peer *peer,
                                  struct vt_err *err)
{
    struct vt_tls_options options;

    if (!vt_tls_conf_read(conf, &options, err))
        return NULL;
    /* tls_verify is about those who call us. */
    options.anonymous = false;
    if (peer->tls_files[0])
        options.certificate = peer->tls_files[0];
    if (peer->tls_files[1])
        options.key = peer->tls_files[1];
    if (peer->tls_files[2])
        options.ca = peer->tls_files[2];
    SSL_CTX *context = vt_tls_client(&options, err);
    if (!context)
        vt_fail_context(err, "peer %s", peer->name ? peer->name : peer->ae_title);
    return context;
}

bool vt_tls_peers(const struct vt_conf *conf, struct vt_peers *peers, struct vt_err *err)
{
    const struct vt_peer *peer;

    for (size_t i = 0; (peer = vt_peers_at(peers, i)) != NULL; i++) {
        if (!peer->tls || !peer->host)
            continue;
        SSL_CTX *context = vt_tls_of_peer(conf, peer, err);
        if (!context)
            return false;
        vt_peers_set_tls(peers, i, context);
        SSL_CTX_free(context);
    }
    return true;
}

void vt_tls_free(struct ssl_ctx_st *context)
{
    SSL_CTX_free(context);
}
