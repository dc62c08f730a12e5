/* dicom/echo_bytes.h: a C-ECHO as bytes, for a probe that makes no DCMTK call: send `request`, expect an
 * A-ASSOCIATE-AC, send `echo`, expect a C-ECHO-RSP, send `release`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;
struct vt_buf;

bool vt_echo_bytes_request(const char *calling_ae_title, const char *called_ae_title, struct vt_buf *out, struct vt_err *err);
bool vt_echo_bytes_echo(struct vt_buf *out, struct vt_err *err);
bool vt_echo_bytes_release(struct vt_buf *out, struct vt_err *err);

enum vt_echo_answer { VT_ECHO_MORE, VT_ECHO_ACCEPTED, VT_ECHO_REJECTED, VT_ECHO_DONE, VT_ECHO_WRONG };
/* What the bytes received so far amount to. Pure. */
enum vt_echo_answer vt_echo_bytes_judge(const uint8_t *bytes, size_t size, bool after_echo);

#ifdef __cplusplus
}
#endif
