/* cmd/control_socket.h: what both ends of the control socket share: its address, lines in and out.
 * Only for cmd/control_*.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct json_t;
struct vt_buf;
struct vt_err;

/* <folder>/control.sock; a path that is too long for an address goes through /proc/self/fd/N, which
 * stays open in *out_folder_fd until the caller has bound or connected (vt_autoclose). */
bool vt_control_address(const char *folder, struct sockaddr_un *out, int *out_folder_fd,
                        struct vt_err *err);

/* A line, without its end, as JSON; more bytes than that stay in buf for the next. deadline:
 * monotonic ns, 0: none. out NULL and true: the other end closed. VT_E_LIMIT: longer than buf's
 * limit. VT_E_PROTOCOL: no JSON object. */
bool vt_control_read(int fd, struct vt_buf *buf, int64_t deadline, struct json_t **out,
                     struct vt_err *err);
/* {"key":value} and a line end. Takes value. false: the other end is gone or too slow. */
bool vt_control_write(int fd, const char *key, struct json_t *value);
