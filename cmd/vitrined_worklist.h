/* cmd/vitrined_worklist.h: what the node does for its worklist:
 *
 *   [worklist]
 *   folder = /var/spool/worklist   files *.wl and *.csv, also one folder deeper (wlmscpfs has one for each AE title); an entry
 *                                  goes when its file goes
 *   every = 5s                     between two looks
 *   charset = ISO_IR 100           of files that name none
 *   keep = 30d                     what was scheduled for, and touched, longer ago goes; 0: never
 *
 * and the prefetch of priors for what is new in it ([prefetch] when = scheduled). */
#pragma once

#include <stdbool.h>

struct vt_err;
struct vt_job_world;
struct vt_worklist_watch;

/* Behind vt_world_open. *out NULL: nothing to watch. */
bool vt_worklist_watch_start(struct vt_job_world *world, struct vt_worklist_watch **out, struct vt_err *err);
/* NULL is fine, for both. Behind the stop it only hears; free it when the events are gone. */
void vt_worklist_watch_stop(struct vt_worklist_watch *watch);
void vt_worklist_watch_free(struct vt_worklist_watch *watch);
