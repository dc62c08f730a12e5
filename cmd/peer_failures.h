/* cmd/peer_failures.h: the last failures with each peer, kept in memory by the node: what `vitrine peer explain`
 * shows. Filled from events in any thread. */
#pragma once

#include <stdbool.h>

struct vt_admin_call;
struct vt_err;
struct vt_events;
struct vt_peer_failures;
struct json_t;

enum { VT_PEER_FAILURES_MAX = 256 };

struct vt_peer_failures *vt_peer_failures_open(struct vt_events *events, struct vt_err *err);
void vt_peer_failures_free(struct vt_peer_failures *failures); /* when no events come any more */
/* The verb `peer failures [TITLE]`: newest first. */
bool vt_verb_peer_failures(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
