/* cmd/storage_rules.h: what the configuration says about old studies: [migrate "NAME"] moves or copies
 * them to another volume, [expire "NAME"] gives up what another volume or another archive has as well.
 *
 *   [migrate "OLD"]                      [expire "OLD"]
 *   from = MAIN                          from = MAIN
 *   to = LT                              copy = LT       the first copy goes where LT has another, or
 *   keep_copy = yes                      peer = ARCHIVE2 the study goes when that archive committed to all of it
 *   arrived_before = 30d                 arrived_before = 365d
 *   study_older_than = 365d              study_older_than, not_accessed_for, match, every: as on the left
 *   not_accessed_for = 90d
 *   match = ModalitiesInStudy=CT; StudyDescription=*THORAX*
 *   every = 1h */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "archive/query.h"
#include "archive/volume.h"
#include "cmd/route_rules.h"

struct vt_conf;
struct vt_err;

struct vt_storage_rule {
    const char *from, *to; /* to NULL: another archive has it */
    const char *peer;      /* NULL: another volume has it */
    enum vt_volume_way way;
    int64_t arrived_before, study_older_than, not_accessed_for, every; /* ns; 0: whenever */
    struct vt_rule_words match;
};

/* section: "migrate" or "expire". VT_E_NOTFOUND: no such rule. */
bool vt_storage_rule_read(const struct vt_conf *conf, const char *section, const char *name,
                          struct vt_storage_rule *out, struct vt_err *err);
void vt_storage_rule_fini(struct vt_storage_rule *rule);
/* Which studies it is about, as of now; the caller's. */
struct vt_query *vt_storage_rule_query(const struct vt_storage_rule *rule, struct vt_err *err);
/* For vt_admin_volume_migrate, with times as of now. */
struct vt_volume_rule vt_storage_rule_now(const struct vt_storage_rule *rule,
                                          const struct vt_query *query);
/* Does every rule of the section read well? */
bool vt_storage_rules_check(const struct vt_conf *conf, const char *section, struct vt_err *err);
