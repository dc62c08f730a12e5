/* cmd/job_trail.h: what jobs send and fetch, in the audit trail (PS3.15 A.5.3.3 and A.5.3.7): a message when a run begins to send a
 * study, one when it ends with what was transferred. What a peer sends us because of a C-MOVE is written by the server that takes it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vt_job_run;
struct vt_job_world;
struct vt_peer;

void vt_job_trail_begin(const struct vt_job_world *world, const struct vt_job_run *run, const struct vt_peer *peer,
                        const char *study_uid);
/* fetched: from the peer to us. Nothing was transferred and all went well: nothing is written. */
void vt_job_trail_end(const struct vt_job_world *world, const struct vt_job_run *run, const struct vt_peer *peer,
                      const char *study_uid, bool fetched, uint64_t instances, const char *failure);
