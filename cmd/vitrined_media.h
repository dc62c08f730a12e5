/* cmd/vitrined_media.h: discs as jobs of the node: "import", "export" and "burn" (`--background`, `--burn`). Each begins again where
 * a kill or a restart left it.
 *
 * An import goes on behind the last file that was handled; files that lie there twice are known by their bytes. When the medium is
 * away it waits for the back-off of [jobs], or for `vitrine job retry`. An export begins anew, without what the killed run left
 * under hidden names, until everything is read back: from then on only names are missing. A cancelled one leaves nothing. */
#pragma once

#include <stdbool.h>

struct json_t;
struct vt_admin_call;
struct vt_err;
struct vt_job_world;

bool vt_media_kinds(struct vt_job_world *world, struct vt_err *err);

/* For the verbs: a job of what was asked for. */
bool vt_media_import_later(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
bool vt_media_export_later(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
