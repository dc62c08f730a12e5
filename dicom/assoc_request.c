#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <arpa/inet.h>
#include <poll.h>

#include "core/clock.h"
#include "core/err.h"
#include "dicom/assoc_impl.h"
#include "dicom/certificate.h"
#include "dicom/listen.h"
#include "dicom/negotiate.h"
#include "dicom/request.h"
#include "dicom/wire.h"

#define CONNECT_TIME (10 * VT_NS_PER_S)
#define ANSWER_TIME (30 * VT_NS_PER_S)

enum { LEAST_MAX_PDU = 128, OUR_PDU_MAX = 1 << 20 };

/* ---- TLS ---- */

static bool is_literal(const char *host)
{
    uint8_t address[16];

    return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* The name is checked where the context checks certificates at all. */
static bool expect_name(SSL *tls, const struct vt_assoc_request *request)
{
    bool any = request->tls_any_name || request->tls_wanted;

    if (is_literal(request->host))
        return any ||
               X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), request->host) == 1;
    return SSL_set_tlsext_host_name(tls, request->host) == 1 &&
           (any || SSL_set1_host(tls, request->host) == 1);
}

static bool handshake_failed(SSL *tls, struct vt_err *err)
{
    long verdict = SSL_get_verify_result(tls);
    const char *why = ERR_reason_error_string(ERR_peek_error());

    if (verdict != X509_V_OK)
        return vt_fail(err, VT_E_REFUSED, "the peer's certificate is not accepted: %s",
                       X509_verify_cert_error_string(verdict));
    return vt_fail(err, VT_E_REFUSED, "TLS handshake failed: %s",
                   why ? why : "the peer closed the connection");
}

static bool shake_hands(SSL *tls, const struct vt_conn *conn, int64_t deadline, struct vt_err *err)
{
    for (;;) {
        ERR_clear_error();
        int result = SSL_connect(tls);
        if (result == 1)
            return true;
        int why = SSL_get_error(tls, result);
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
            return handshake_failed(tls, err);
        if (!vt_await(conn->fd, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline,
                      conn->stop_fd, err))
            return vt_fail_context(err, "TLS handshake");
    }
}

static bool start_tls(struct vt_conn *conn, const struct vt_assoc_request *request,
                      int64_t deadline, struct vt_err *err)
{
    conn->tls = SSL_new(request->tls);
    if (!conn->tls || SSL_set_fd(conn->tls, conn->fd) != 1 || !expect_name(conn->tls, request))
        return vt_fail(err, VT_E_NOMEM, "no memory for a TLS session");
    SSL_set_mode(conn->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_AUTO_RETRY);
    return shake_hands(conn->tls, conn, deadline, err);
}

/* ---- the answer ---- */

static bool read_reject(const uint8_t *pdu, struct vt_err *err)
{
    uint8_t result = pdu[7], source = pdu[8], reason = pdu[9];

    return vt_fail(err, VT_E_REFUSED, "the association was refused: %s (%s)",
                   vt_negotiate_reject_reason(source, reason),
                   result == 2 ? "transient" : "permanent");
}

/* Reads one whole PDU. */
static bool read_answer(struct vt_assoc *assoc, int64_t deadline, struct vt_err *err)
{
    struct vt_conn *conn = assoc->conn;

    if (!vt_conn_have(conn, VT_PDU_HEADER, deadline, err))
        return false;
    uint8_t type = vt_conn_bytes(conn)[0];
    uint32_t length = vt_be32(vt_conn_bytes(conn) + 2);
    size_t whole = (size_t)length + VT_PDU_HEADER;
    bool lawful = type == VT_PDU_ASSOCIATE_AC
                      ? whole <= VT_DOOR_RQ_MAX
                      : (type == VT_PDU_ASSOCIATE_RJ || type == VT_PDU_ABORT) && length == 4;
    if (!lawful)
        return vt_fail(err, VT_E_PROTOCOL, "the answer is no DICOM: type %02XH with %u bytes", type,
                       length);
    if (!vt_conn_have(conn, whole, deadline, err))
        return false;
    const uint8_t *pdu = vt_conn_bytes(conn);
    vt_conn_consume(conn, whole);
    if (type == VT_PDU_ASSOCIATE_AC)
        return vt_negotiate_answer(assoc, pdu, whole, err);
    assoc->over = true;
    return type == VT_PDU_ASSOCIATE_RJ
               ? read_reject(pdu, err)
               : vt_fail(err, VT_E_ABORTED, "the association was aborted at once");
}

static bool negotiate(struct vt_assoc *assoc, const struct vt_assoc_request *request,
                      int64_t deadline, struct vt_err *err)
{
    VT_AUTO_BUF(pdu, VT_DOOR_RQ_MAX);

    if (!vt_negotiate_request(request, &pdu, err) || !vt_negotiate_propose(assoc, request, err))
        return false;
    bool ok = vt_conn_send_bytes(assoc->conn, pdu.data, pdu.size, deadline, err) &&
              read_answer(assoc, deadline, err);
    if (request->passcode)
        explicit_bzero(pdu.data, pdu.size);
    if (ok && assoc->info.max_pdu != 0 && assoc->info.max_pdu < LEAST_MAX_PDU)
        return vt_fail(err, VT_E_UNSUPPORTED, "PDUs of %u bytes only are taken",
                       assoc->info.max_pdu);
    return ok;
}

static struct vt_assoc *new_requestor(int fd, const struct vt_assoc_request *request,
                                      const char *host, struct vt_err *err)
{
    struct vt_conn *conn = vt_conn_new(fd, NULL);
    struct vt_assoc *assoc = conn ? vt_assoc_new(conn) : NULL;

    if (!assoc) {
        vt_fail(err, VT_E_NOMEM, "no memory for an association");
        return NULL;
    }
    conn->stop_fd = request->stop_fd;
    assoc->our_max_pdu = request->max_pdu ? request->max_pdu : VT_PDU_MAX;
    vt_ae_title_trim(request->calling_ae_title, assoc->info.calling_ae_title);
    vt_ae_title_trim(request->called_ae_title, assoc->info.called_ae_title);
    memcpy(assoc->info.host, host, sizeof assoc->info.host);
    assoc->info.tls = request->tls != NULL;
    return assoc;
}

/* Who it was that failed, in front of how. */
static struct vt_assoc *blame(const struct vt_assoc_request *request, struct vt_err *err)
{
    vt_fail_context(err, "peer %s (%s port %u)", request->called_ae_title, request->host,
                    request->port);
    return NULL;
}

struct vt_assoc *vt_assoc_request(const struct vt_assoc_request *request, struct vt_err *err)
{
    char host[VT_HOST_TEXT_MAX] = "";
    int64_t now = vt_clock_mono();
    int64_t connected_by = now + (request->timeout > 0 ? request->timeout : CONNECT_TIME);

    if (request->max_pdu != 0 &&
        (request->max_pdu < VT_PDU_MIN || request->max_pdu > OUR_PDU_MAX)) {
        vt_fail(err, VT_E_INVALID, "a maximum PDU length of %u bytes", request->max_pdu);
        return NULL;
    }
    int fd = vt_connect(request->host, request->port, connected_by, request->stop_fd, host, err);
    if (fd < 0)
        return blame(request, err);
    VT_AUTO(vt_assoc) assoc = new_requestor(fd, request, host, err);
    if (!assoc)
        return NULL;
    assoc->over = true; /* nothing to abort before the request is out */
    if (request->tls && !start_tls(assoc->conn, request, connected_by, err))
        return blame(request, err);
    if (request->tls && request->tls_wanted &&
        !vt_assoc_certificate_is(assoc, request->tls_wanted)) {
        struct vt_certificate is = { .subject = "none" };
        vt_assoc_certificate(assoc, &is);
        vt_fail(err, VT_E_REFUSED, "its certificate is another's: %.100s, SHA-256 %s", is.subject,
                is.fingerprint);
        return blame(request, err);
    }
    assoc->over = false;
    if (!negotiate(assoc, request,
                   vt_clock_mono() + (request->timeout > 0 ? request->timeout : ANSWER_TIME), err))
        return blame(request, err);
    return vt_take(&assoc);
}
