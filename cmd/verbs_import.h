/* cmd/verbs_import.h: the archive verb `import`: files, folders and discs, each by the table of media/import.h; what no kind
 * recognises must be a DICOM file. `--background` makes it a job (cmd/vitrined_media.h), which runs the same walk. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/import.h"

struct json_t;
struct vt_admin;
struct vt_admin_call;
struct vt_err;

/* Options: report (a row for every file), patient-id (studies that something new came of go under that patient), background, and
 * those of the kinds. */
bool vt_verb_import(struct vt_admin_call *call, struct json_t *result, struct vt_err *err);

/* ---- the walk ---- */

struct vt_import_walk {
    const struct vt_admin *admin;           /* rows of failures and of what is to be told, progress in files */
    const char *const *paths;               /* absolute */
    size_t path_count;
    const struct json_t *options;
    const char *after;                      /* all up to this file were handled before; NULL: none */
    /* After each file: where it stands. false stops (err). NULL: nobody asks. */
    bool (*handled)(void *context, const char *path, uint64_t size, struct vt_err *err);
    /* A file cannot be read: is the medium away? true stops with VT_E_NOTFOUND. NULL: never. */
    bool (*away)(void *context, const char *path);
    void *context;                          /* of these two */
};
/* Adds to counts and studies (NULL: nobody asks). */
bool vt_import_walk(const struct vt_import_walk *walk, struct vt_import_counts *counts, struct vt_import_studies *studies,
                    struct vt_err *err);
/* The studies go under that patient; rows tell. */
bool vt_import_coerce(const struct vt_admin *admin, const struct json_t *options, const struct vt_import_studies *studies,
                      const char *patient, struct vt_err *err);
