/* cmd/vitrined_commit.h: storage commitment wired into the node: [commit] of the configuration, the
 * desk of scp/commit.h, its kind of job. */
#pragma once

#include <stdbool.h>

struct vt_err;
struct vt_job_world;

/* A row of the table in vitrined_jobs.c: makes world->commits, registers the kind. */
bool vt_commit_kind(struct vt_job_world *world, struct vt_err *err);
/* When the jobs run: transactions that have no job get one. */
bool vt_commit_start(struct vt_job_world *world, struct vt_err *err);
/* When neither server nor jobs run any more. */
void vt_commit_close(struct vt_job_world *world);
