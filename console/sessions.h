/* console/sessions.h: who is logged in: random tokens, which end by their age, without use, by a logout. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_sessions;

enum {
    VT_SESSIONS_MAX = 1024,
    VT_SESSION_HOURS = 12,
    VT_SESSION_IDLE_MINUTES = 30,       /* unless http.session_idle says otherwise */
    VT_SESSION_TOKEN_BYTES = 32,
    VT_SESSION_TOKEN_TEXT = 2 * VT_SESSION_TOKEN_BYTES + 1,
    VT_SESSION_USER_MAX = 63,
};

struct vt_session {
    uint64_t number;                    /* never 0, never given twice */
    char user[VT_SESSION_USER_MAX + 1];
    uint64_t stamp;                     /* of the account at the login (console/users.h) */
};

/* idle: ns without use; 0: VT_SESSION_IDLE_MINUTES. NULL: no memory. */
struct vt_sessions *vt_sessions_new(int64_t idle);
void vt_sessions_free(struct vt_sessions *sessions);
VT_DEFINE_AUTO(vt_sessions)

/* In a free place, or that of the session that was not used for longest. false: there is no randomness. */
bool vt_sessions_begin(struct vt_sessions *sessions, const char *user, uint64_t stamp, char out_token[static VT_SESSION_TOKEN_TEXT]);
/* used: a person asks, not a page by itself. */
bool vt_sessions_find(struct vt_sessions *sessions, const char *token, bool used, struct vt_session *out);
bool vt_sessions_holds(struct vt_sessions *sessions, uint64_t number, bool used);
void vt_sessions_end(struct vt_sessions *sessions, uint64_t number);
