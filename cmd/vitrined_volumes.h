/* cmd/vitrined_volumes.h: moves between volumes as jobs: the kind "migrate", one at a time.
 *
 *   [migrate "OLD"]
 *   from = MAIN             to = LT
 *   arrived_before = 30d    nothing of the study came for so long; default 1d
 *   study_older_than = 365d of the Study Date; studies without one stay
 *   match = ModalitiesInStudy=CT; StudyDescription=*THORAX*
 *   every = 1h
 *
 * A rule is one job that waits for its next turn; arguments {"rule":"OLD"}, or {"from":"A","to":"B"} of a
 * drain. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vt_err;
struct vt_job_world;

/* What does not read well in a rule is told here, before anything starts. */
bool vt_migrate_kind(struct vt_job_world *world, struct vt_err *err);
/* A job for each rule. */
bool vt_migrate_start(struct vt_job_world *world, struct vt_err *err);
/* All of volume `from`. As long as such a job is not ended, the same one. */
bool vt_migrate_enqueue(struct vt_job_world *world, const char *from, const char *to,
                        const char *who, int64_t *out_id, struct vt_err *err);
