/* cmd/vitrined_expire.h: rules that give up what is elsewhere as well (cmd/storage_rules.h): the kind "expire". Each
 * rule is one job that waits for its next turn; arguments {"rule":"NAME"}.
 *
 * copy = VOLUME: the first copy of an instance goes when that volume has a second one, which is read before.
 * peer = NAME: a whole study goes to the trash when that archive committed to every instance of it as it is here
 * (vitrine commit); what it was not asked for yet is asked, and looked at again at the next turn. What is held
 * (vitrine study hold) or was committed to others stays, always. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vt_admin;
struct vt_err;
struct vt_job_world;

bool vt_expire_kind(struct vt_job_world *world, struct vt_err *err);
bool vt_expire_start(struct vt_job_world *world, struct vt_err *err);

struct vt_expired {
    uint64_t studies, instances, bytes;
    uint64_t kept; /* studies that the rule is about, and that stay */
    uint64_t faults;
};
/* One turn. dry: nothing is done; either way a row for each study to admin->row, with what becomes of it and why. */
bool vt_expire_run(struct vt_job_world *world, const struct vt_admin *admin, const char *name, bool dry,
                   struct vt_expired *out, struct vt_err *err);
