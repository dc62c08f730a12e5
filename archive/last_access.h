/* archive/last_access.h: the day on which each study was last retrieved, for rules that move what nobody looks at.
 *
 * Told by whoever hands instances out (vt_archive_accessed in archive/archive.h). A study is noted once a day, in memory;
 * state.db is written when so many have gathered, when a rule asks, once a minute and when the archive closes. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vt_accesses;
struct vt_archive;
struct vt_err;

struct vt_accesses *vt_accesses_new(void); /* NULL when out of memory */
void vt_accesses_free(struct vt_accesses *accesses);

/* What is only in memory goes to state.db. */
bool vt_accesses_flush(struct vt_archive *archive, struct vt_err *err);
/* The newest of what state.db has: wall ns, the beginning of that day (UTC); 0: never. */
bool vt_accesses_of(struct vt_archive *archive, const char *study_uid, int64_t *out_wall, struct vt_err *err);
