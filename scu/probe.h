/* scu/probe.h: how a peer takes us: which of the usual contexts it accepts, whether it answers a
 * C-ECHO, and, when it does not, the cause and the remedy in one sentence. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scu/client.h"

enum { VT_PROBE_CONTEXTS_MAX = 16 };

struct vt_probe_context {
    const char *service;         /* "Storage (CT)" */
    const char *result;          /* "accepted", "not allowed to us" ... */
    const char *transfer_syntax; /* accepted: its name; else "" */
};
struct vt_probe {
    struct vt_probe_context contexts[VT_PROBE_CONTEXTS_MAX];
    size_t count;
    bool tls;
    uint32_t max_pdu;
    char implementation_version[17];
    int64_t associate, echo; /* ns; echo 0: the peer has no Verification for us */
};

/* false: there is no association, or the C-ECHO failed; what was found until then is in `out`. */
bool vt_client_probe(const struct vt_client *client, struct vt_probe *out, struct vt_err *err);

/* What to do about a failure of vt_client_probe or another client call: one sentence, static or in
 * `out`. Pure. */
void vt_probe_remedy(const struct vt_client *client, const struct vt_err *why, char *out,
                     size_t room);
