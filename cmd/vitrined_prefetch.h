/* cmd/vitrined_prefetch.h: priors come by themselves: [prefetch "NAME"] rules.
 *
 *   [prefetch "CT-PRIORS"]
 *   from = CT*                  whose studies bring it about; modality, match, hours as in routes
 *   peer = ARCHIVE2             where the priors are
 *   when = both                 arrival (default), scheduled (an entry of the worklist; match does not count then) or both
 *   priors = 3                  the newest so many studies of the same patient
 *   prior_match = ModalitiesInStudy=CT; StudyDescription=*THORAX*
 *
 * When the first instance of a new study arrives, a job of the kind "prefetch" asks the peer for the
 * patient's studies and makes a "fetch" of each that we do not hold. */
#pragma once

#include <stdbool.h>

struct vt_err;
struct vt_job_world;
struct vt_prefetches;

bool vt_prefetch_kind(struct vt_job_world *world, struct vt_err *err);
/* *out NULL: there are no rules. */
bool vt_prefetches_open(struct vt_job_world *world, struct vt_prefetches **out, struct vt_err *err);
void vt_prefetches_free(struct vt_prefetches *prefetches);
/* A study is expected: rules with `when` scheduled or both. `from` is then the scheduled station. */
struct vt_worklist_entry;
void vt_prefetches_scheduled(struct vt_prefetches *prefetches, const struct vt_worklist_entry *entry);
void vt_prefetches_began(struct vt_prefetches *prefetches, const char *study_uid, const char *ae_title);
