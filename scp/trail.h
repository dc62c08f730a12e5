/* scp/trail.h: what services write into the audit trail (core/audit.h): instances that came and went,
 * counted by study, and queries. Nothing when the server has no trail. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vt_session;
struct vt_trail;

enum { VT_TRAIL_STUDIES = 32 /* counted at once; then they are written */ };

/* NULL: no audit trail, or no memory. */
struct vt_trail *vt_trail_new(const struct vt_session *session);

/* One instance of a study, from any thread. The session's own thread calls vt_trail_room before. */
void vt_trail_add(struct vt_trail *trail, const char *study_uid, const char *sop_class);

/* Instances that this peer stored. */
void vt_trail_room_stored(struct vt_session *session, struct vt_trail *trail);
void vt_trail_end_stored(struct vt_session *session, struct vt_trail *trail); /* frees it */
/* Instances that go to `destination`; `begin` is told for each study when its first instance goes. */
void vt_trail_sent(struct vt_session *session, struct vt_trail *trail, const char *destination,
                   const char *study_uid, const char *sop_class);
void vt_trail_end_sent(struct vt_session *session, struct vt_trail *trail, const char *destination);

/* A query as it came. */
void vt_trail_query(const struct vt_session *session, uint8_t context_id);
/* A user who was let in, or not (PS3.7 D.3.3.7). */
void vt_trail_user(const struct vt_session *session, const char *user, bool accepted);
