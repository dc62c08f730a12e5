/* dicom/listen.h: sockets by address: the door's listeners, a requestor's connection. Room only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;

/* A non-blocking listener, -1 on failure. "::" also takes IPv4. */
int vt_listen(const char *address, uint16_t port, uint16_t *out_port, struct vt_err *err);

/* Resolves the name, tries its addresses in turn until the deadline (monotonic ns). Non-blocking
 * socket, -1 on failure: VT_E_NOTFOUND (no such name), VT_E_REFUSED, VT_E_TIMEOUT, VT_E_IO.
 * out_host: room for VT_HOST_TEXT_MAX. stop_fd readable: VT_E_CANCELLED; 0: none. */
int vt_connect(const char *host, uint16_t port, int64_t deadline, int stop_fd, char *out_host,
               struct vt_err *err);
/* poll(2) until the deadline; VT_E_TIMEOUT, VT_E_CANCELLED. */
bool vt_await(int fd, short events, int64_t deadline, int stop_fd, struct vt_err *err);

/* "127.0.0.1", "fe80::1"; an IPv4 address in IPv6 clothing is shown as IPv4. Room for
 * VT_HOST_TEXT_MAX. */
void vt_host_text(const struct sockaddr_storage *address, char *out);

#ifdef __cplusplus
}
#endif
