/* dicom/incoming.h: a connection on its way to being an association, as door.c fills it. Room only.
 */
#pragma once

#include "dicom/conn.h"
#include "dicom/door.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vt_incoming {
    int fd;
    struct ssl_st *tls;
    bool shaken;    /* TLS handshake done, or none wanted */
    uint8_t *bytes; /* the A-ASSOCIATE-RQ; whole when handed on */
    size_t size, room;
    char host[VT_HOST_TEXT_MAX];
    int64_t deadline;
    struct vt_incoming *next, *previous; /* the door's, oldest first */
};

/* Gives descriptor, session and bytes to a connection; frees the rest. NULL: out of memory, closed.
 */
struct vt_conn *vt_incoming_connect(struct vt_incoming *incoming);
/* The last ten bytes to say, without waiting, and the end. */
void vt_incoming_dismiss(struct vt_incoming *incoming, uint8_t type, uint8_t a, uint8_t b,
                         uint8_t c);

#ifdef __cplusplus
}
#endif
