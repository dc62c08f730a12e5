/* cmd/verbs_import.h: the archive verb `import`: files, folders and discs, each by the table of media/import.h; what no kind
 * recognises must be a DICOM file. */
#pragma once

#include <stdbool.h>

struct json_t;
struct vt_admin_call;
struct vt_err;

/* Options: report (a row for every file), patient-id (studies that something new came of go under that patient), and those of
 * the kinds. */
bool vt_verb_import(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);
