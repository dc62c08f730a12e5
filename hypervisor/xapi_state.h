/* hypervisor/xapi_state.h: what the files of the session layer share; nobody else includes it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor/xapi.h"

/* A copy of where the session is, so that no lock is held while the network is used. */
struct vt_xapi_session {
    struct vt_line_host host; /* points into this struct and the vt_xapi */
    char ref[VT_XAPI_REF_MAX];
    char address[VT_XAPI_ADDRESS_MAX];
    char pin[VT_CERT_PIN_MAX];
    uint64_t login;
};

/* The session that is there; VT_E_CLOSED without one. */
bool vt_xapi_session_get(struct vt_xapi *xapi, struct vt_xapi_session *out, struct vt_err *err);
/* The session that is there, or a new one. */
bool vt_xapi_session_need(struct vt_xapi *xapi, struct vt_line *line, struct vt_xapi_session *out,
                          struct vt_err *err);
/* One member, its pin known or learnt; no session. `out` points into itself: do not copy it. */
bool vt_xapi_member_session(struct vt_xapi *xapi, const char *address, struct vt_xapi_session *out,
                            struct vt_err *err);
/* A login method with the pool's user and password. */
bool vt_xapi_post_login(struct vt_xapi *xapi, struct vt_line *line, const struct vt_line_host *host,
                        struct vt_xapi_reply *reply, struct vt_err *err, const char *method);

/* Who sees the tasks of this session; *out_sight NULL: nobody. */
void vt_xapi_sight(struct vt_xapi *xapi, vt_xapi_sight_fn *out_sight, void **out_context);

/* Unless somebody has logged in since. */
void vt_xapi_session_drop(struct vt_xapi *xapi, uint64_t login);

/* Without the session layer: session NULL for none. */
bool vt_xapi_post(struct vt_line *line, const struct vt_line_host *host, const char *session,
                  struct vt_xapi_reply *reply, struct vt_err *err, const char *method,
                  const char *format, ...);
