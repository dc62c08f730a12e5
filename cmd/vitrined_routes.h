/* cmd/vitrined_routes.h: what happens by itself when something arrives: [route "NAME"] forwards it,
 * [prefetch "NAME"] fetches priors, [peer] notify tells that a study is complete. Each makes jobs.
 *
 * Read once at the start; then everything happens in the threads of cmd/arrivals.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vt_conf;
struct vt_err;
struct vt_job_world;

enum { VT_ROUTES_MAX = 200, VT_ROUTE_WORDS_MAX = 32 };

/* Reads the rules; nothing is gathered when there are none. */
bool vt_routes_open(struct vt_job_world *world, struct vt_err *err);
bool vt_routes_start(struct vt_job_world *world, struct vt_err *err);
/* Something was scheduled: its priors may be wanted. Any thread, while the world is open. */
struct vt_worklist_entry;
void vt_routes_scheduled(struct vt_job_world *world, const struct vt_worklist_entry *entry);
/* Makes the jobs of what has arrived, then ends. The queue is still open, nothing arrives any more. */
void vt_routes_close(struct vt_job_world *world);
