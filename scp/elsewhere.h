/* scp/elsewhere.h: an image server before a bigger archive: a query without a match here is passed on, and a
 * study that is not here is fetched when somebody retrieves it. Who that archive is, and how a study is
 * fetched, cmd says (struct vt_elsewhere of scp/server.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_command;
struct vt_err;
struct vt_retrieval;
struct vt_seen;
struct vt_session;

enum {
    VT_ELSEWHERE_WAIT_S = 600, /* for a study to be fetched; then what came is sent */
    VT_ELSEWHERE_STUDIES = 16, /* fetched for one retrieval */
};

/* Passes the session's identifier on and answers each match as pending that is not in `seen` (scp/seen.h). A failure there is told as an event, and is
 * no failure of the query. false: the association is of no more use. */
bool vt_elsewhere_find(struct vt_session *session, uint8_t context_id, const struct vt_command *command,
                       uint64_t max_matches, struct vt_seen *seen, uint64_t *in_out_matches, struct vt_err *err);

/* Fetches the studies that the request names, with pending answers meanwhile. *out_fetched: look again. */
bool vt_elsewhere_fetch(struct vt_retrieval *retrieval, bool *out_fetched, struct vt_err *err);
