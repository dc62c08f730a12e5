/* hypervisor/pool_wire.h: lines of JSON over the socket of vitrine-poold, for both ends. The format is
 * in hypervisor/client.h; nobody but the service and the client includes this.
 *
 * What comes in is a bounded line that must be one JSON object without duplicate keys, nested no
 * deeper than VT_WIRE_DEPTH_MAX; what goes out has a deadline. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

struct json_t;
struct vt_buf;
struct vt_err;

enum { VT_WIRE_DEPTH_MAX = 64 };

/* A path too long for an address goes through /proc/self/fd; *out_folder (-1: not needed) must stay
 * open until the socket is connected or bound. */
bool vt_wire_address(const char *path, struct sockaddr_un *out, int *out_folder, struct vt_err *err);

/* The next whole line in buf, without its end: *out_line borrowed until the next call with this
 * buf; *out_used must start as 0 and stays with the buf. NULL with true: the other end closed.
 * VT_E_TIMEOUT, VT_E_LIMIT (longer than buf->limit), VT_E_IO. */
bool vt_wire_line(int fd, struct vt_buf *buf, size_t *out_used, int64_t deadline,
                  const char **out_line, size_t *out_size, struct vt_err *err);

/* One object; the caller's. NULL: VT_E_PROTOCOL. Pure. */
struct json_t *vt_wire_parse(const char *line, size_t size, struct vt_err *err);

/* All of it until the deadline. VT_E_TIMEOUT, VT_E_CLOSED. */
bool vt_wire_send(int fd, const void *bytes, size_t size, int64_t deadline, struct vt_err *err);
