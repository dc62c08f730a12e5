/* cmd/vitrined_through.h: peers with `query_through = yes`: what the archive behind us has, for those who ask us
 * (scp/elsewhere.h). They are asked in the order of the configuration; nobody is asked what he asks us. */
#pragma once

#include <stdbool.h>

struct vt_elsewhere;
struct vt_err;
struct vt_job_world;

/* Leaves *out empty when no peer says so. */
bool vt_through_open(struct vt_job_world *world, struct vt_elsewhere *out, struct vt_err *err);
