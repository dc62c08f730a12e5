/* cmd/audit_tls.h: syslog over TLS (RFC 5425), the transport that PS3.15 A.7 prefers. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/auto.h"

struct ssl_ctx_st;
struct vt_audit_tls;
struct vt_err;

/* "HOST:PORT"; a reference of the context is taken. Connects with the first message. */
struct vt_audit_tls *vt_audit_tls_new(const char *address, struct ssl_ctx_st *tls,
                                      struct vt_err *err);
void vt_audit_tls_free(struct vt_audit_tls *tls);
VT_DEFINE_AUTO(vt_audit_tls)
/* Has the type of vt_audit_options.send. */
bool vt_audit_tls_send(void *context, const char *message, size_t size, struct vt_err *err);
