#include "dicom/incoming.h"

#include <stdlib.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "core/auto.h"
#include "dicom/request.h"
#include "dicom/wire.h"

void vt_incoming_free(struct vt_incoming *incoming)
{
    if (!incoming)
        return;
    SSL_free(incoming->tls);
    if (incoming->fd >= 0)
        close(incoming->fd);
    free(incoming->bytes);
    free(incoming);
}

struct vt_conn *vt_incoming_connect(struct vt_incoming *incoming)
{
    struct vt_conn *conn = vt_conn_new(vt_take_fd(&incoming->fd), vt_take(&incoming->tls));

    if (conn)
        vt_conn_preload(conn, vt_take(&incoming->bytes), incoming->size);
    vt_incoming_free(incoming);
    return conn;
}

void vt_incoming_dismiss(struct vt_incoming *incoming, uint8_t type, uint8_t a, uint8_t b,
                         uint8_t c)
{
    uint8_t pdu[VT_SHORT_PDU];
    struct vt_conn conn = { .fd = incoming->fd, .tls = incoming->tls };

    vt_put_short_pdu(pdu, type, a, b, c);
    vt_conn_last_words(&conn, pdu, sizeof pdu);
    vt_incoming_free(incoming);
}

void vt_incoming_reject(struct vt_incoming *incoming, uint8_t result, uint8_t source,
                        uint8_t reason)
{
    vt_incoming_dismiss(incoming, VT_PDU_ASSOCIATE_RJ, result, source, reason);
}

const char *vt_incoming_host(const struct vt_incoming *incoming)
{
    return incoming->host;
}

void vt_incoming_titles(const struct vt_incoming *incoming, char *out_calling, char *out_called)
{
    vt_request_title(incoming->bytes + VT_REQUEST_CALLING_AT, out_calling);
    vt_request_title(incoming->bytes + VT_REQUEST_CALLED_AT, out_called);
}

bool vt_incoming_only_verification(const struct vt_incoming *incoming)
{
    return vt_request_only_verification(incoming->bytes, incoming->size);
}
