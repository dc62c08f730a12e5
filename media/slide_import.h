/* media/slide_import.h: a slide straight into the archive, and out of it again. Its bytes are written once; nothing is committed before
 * all of it has been written; the original is declared deletable only when it was rebuilt from what the archive holds. */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "core/auto.h"
#include "media/slide_convert.h"

struct vt_err;
struct vt_archive;

enum { VT_SLIDE_IMPORT_INSTANCES_MAX = 28 };   /* each keeps a buffer of 1 MiB until all are written */

/* options.plan and progress as in vt_slide_convert; the slide's own options beside. Instances come from host "import". VT_E_LIMIT: more
 * instances than that. */
bool vt_slide_import(struct vt_archive *archive, const char *path, const struct vt_slide_options *reading,
                     const struct vt_slide_convert_options *options, struct vt_slide_result *out,
                     struct vt_err *err);

/* The metadata file beside a slide: its name with .json or .csv instead of the suffix, else slides.csv in its folder (a line for each). false:
 * there is none. */
bool vt_slide_sidecar(const char *path, char *out, size_t room);

/* A slide that the archive holds, by the SOP Instance UID of its Raw Data instance. Borrowed: the archive. */
struct vt_slide_original *vt_slide_original_of(struct vt_archive *archive, const char *raw_uid,
                                               struct vt_err *err);
/* What lay beside that slide (media/slide_beside.h), the newest of its series, beside the path that the slide was given back to. */
bool vt_slide_beside_of(struct vt_archive *archive, const char *raw_uid, const char *slide_path,
                        char out_path[static PATH_MAX], bool *out_there, struct vt_err *err);
/* The Raw Data instances of slides below what the words (KEY=VALUE) match; the callback gets their SOP Instance UIDs; false stops. */
bool vt_slide_originals(struct vt_archive *archive, const char *const words[], size_t count,
                        bool (*found)(void *context, const char *raw_uid), void *context,
                        struct vt_err *err);
