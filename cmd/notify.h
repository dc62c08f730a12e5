/* cmd/notify.h: the word to systemd, written by hand (sd_notify(3)): a datagram to the socket
 * that NOTIFY_SOCKET names. */
#pragma once

/* "READY=1", "STOPPING=1". Without NOTIFY_SOCKET, or when nobody listens there, nothing happens. */
void vt_notify(const char *state);
