#include "cmd/audit_tls.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "core/err.h"

enum { SEND_S = 10 /* for connecting, shaking hands and each write */ };

struct vt_audit_tls {
    char *host, *port;
    SSL_CTX *context;
    int fd; /* -1: not connected */
    SSL *session;
};

struct vt_audit_tls *vt_audit_tls_new(const char *address, SSL_CTX *context, struct vt_err *err)
{
    const char *colon = strrchr(address, ':');

    if (!colon || colon == address || !colon[1]) {
        vt_fail(err, VT_E_INVALID, "audit.target 'tls:%s' is not tls:HOST:PORT", address);
        return NULL;
    }
    struct vt_audit_tls *tls = calloc(1, sizeof *tls);
    if (tls) {
        tls->fd = -1;
        tls->host = strndup(address, (size_t)(colon - address));
        tls->port = strdup(colon + 1);
        SSL_CTX_up_ref(context);
        tls->context = context;
    }
    if (tls && tls->host && tls->port)
        return tls;
    vt_audit_tls_free(tls);
    vt_fail(err, VT_E_NOMEM, "no memory for the audit trail");
    return NULL;
}

static void hang_up(struct vt_audit_tls *tls)
{
    SSL_free(tls->session);
    tls->session = NULL;
    if (tls->fd >= 0)
        close(tls->fd);
    tls->fd = -1;
}

void vt_audit_tls_free(struct vt_audit_tls *tls)
{
    if (!tls)
        return;
    if (tls->session)
        SSL_shutdown(tls->session);
    hang_up(tls);
    SSL_CTX_free(tls->context);
    free(tls->host);
    free(tls->port);
    free(tls);
}

static int connect_to(const struct addrinfo *at)
{
    const struct timeval wait = { .tv_sec = SEND_S };
    int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (connect(fd, at->ai_addr, at->ai_addrlen) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool open_socket(struct vt_audit_tls *tls, struct vt_err *err)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    int result = getaddrinfo(tls->host, tls->port, &hints, &found);

    if (result != 0)
        return vt_fail(err, VT_E_NOTFOUND, "%s: %s", tls->host, gai_strerror(result));
    for (const struct addrinfo *at = found; at && tls->fd < 0; at = at->ai_next)
        tls->fd = connect_to(at);
    freeaddrinfo(found);
    return tls->fd >= 0 || vt_fail_errno(err, "%s port %s", tls->host, tls->port);
}

static bool shake_hands(struct vt_audit_tls *tls, struct vt_err *err)
{
    tls->session = SSL_new(tls->context);
    if (!tls->session || SSL_set_fd(tls->session, tls->fd) != 1)
        return vt_fail(err, VT_E_NOMEM, "no memory for TLS");
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->session), tls->host) != 1 &&
        (SSL_set_tlsext_host_name(tls->session, tls->host) != 1 ||
         SSL_set1_host(tls->session, tls->host) != 1))
        return vt_fail(err, VT_E_INVALID, "'%s' is no name of a host", tls->host);
    if (SSL_connect(tls->session) == 1)
        return true;
    long verdict = SSL_get_verify_result(tls->session);
    return vt_fail(err, VT_E_REFUSED, "TLS with %s port %s: %s", tls->host, tls->port,
                   verdict == X509_V_OK ? "the handshake failed"
                                        : X509_verify_cert_error_string(verdict));
}

/* Octet counting (RFC 5425 4.3): "LENGTH SP MESSAGE". */
bool vt_audit_tls_send(void *context, const char *message, size_t size, struct vt_err *err)
{
    struct vt_audit_tls *tls = context;
    char count[24];
    size_t written;

    ERR_clear_error();
    if (tls->fd < 0 && (!open_socket(tls, err) || !shake_hands(tls, err))) {
        hang_up(tls);
        return false;
    }
    snprintf(count, sizeof count, "%zu ", size);
    if (SSL_write_ex(tls->session, count, strlen(count), &written) == 1 &&
        SSL_write_ex(tls->session, message, size, &written) == 1)
        return true;
    hang_up(tls);
    return vt_fail(err, VT_E_CLOSED, "%s port %s took no message", tls->host, tls->port);
}
