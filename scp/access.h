/* scp/access.h: may this association be, and may it store more today? Judged by the peer's entry,
 * the address, the certificate it showed and the titles; the same answer for every reason, so that
 * nobody learns which check failed. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/auto.h"

struct vt_archive;
struct vt_err;
struct vt_peer;
struct vt_rejection;
struct vt_session;
struct vt_usage;

/* Once the request is parsed. NULL: admitted. *out_text tells the log what was wrong. */
const struct vt_rejection *vt_access_judge(const struct vt_session *session, const char **out_text);

/* The user it names (PS3.7 D.3.3.7), by options->identity; fills session->identified. NULL: let in. */
const struct vt_rejection *vt_access_identify(struct vt_session *session, const char **out_text);

/* ---- what each peer stored today (UTC): in memory, and in state.db from time to time ---- */

struct vt_usage *vt_usage_new(void); /* NULL when out of memory */
void vt_usage_free(struct vt_usage *usage);
VT_DEFINE_AUTO(vt_usage)
/* false: the peer's bound of today is reached. usage and peer may be NULL: no bound. */
bool vt_usage_may_store(struct vt_usage *usage, const struct vt_peer *peer, int64_t wall);
/* Who has no entry is counted as well. */
void vt_usage_count(struct vt_usage *usage, const char *ae_title, int64_t wall, uint64_t bytes);
void vt_usage_add(struct vt_usage *usage, const struct vt_peer *peer, int64_t wall, uint64_t bytes);
/* What was written of today counts on; what was counted since the last time is written. */
bool vt_usage_load(struct vt_usage *usage, struct vt_archive *archive, int64_t wall, struct vt_err *err);
bool vt_usage_save(struct vt_usage *usage, struct vt_archive *archive, struct vt_err *err);
