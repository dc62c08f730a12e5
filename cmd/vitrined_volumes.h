/* cmd/vitrined_volumes.h: moves between volumes as jobs: the kind "migrate", one at a time. A rule
 * (cmd/storage_rules.h) is one job that waits for its next turn; arguments {"rule":"OLD"}, or
 * {"from":"A","to":"B"} of a drain. And the kind "recall": {"recall":"STUDY"} brings a study back to MAIN, when
 * somebody retrieved it from a volume with `recall = yes`. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/jobs.h"

struct vt_err;
struct vt_job_world;

/* What does not read well in a rule is told here, before anything starts. */
bool vt_migrate_kind(struct vt_job_world *world, struct vt_err *err);
/* A job for each rule. */
bool vt_migrate_start(struct vt_job_world *world, struct vt_err *err);
/* All of volume `from`. As long as such a job is not ended, the same one. */
bool vt_migrate_enqueue(struct vt_job_world *world, const char *from, const char *to,
                        const char *who, int64_t *out_id, struct vt_err *err);
/* How a turn of a rule ends: the next one is due after `every`. */
enum vt_job_end vt_migrate_turn(struct vt_job_run *run, const char *section, const char *name, int64_t every, bool ok,
                                const struct vt_err *err);
/* Of a job whose rule could not be read: done, when there is none any more. */
enum vt_job_end vt_migrate_no_rule(struct vt_err *err);
