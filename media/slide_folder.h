/* media/slide_folder.h: a folder of DICOM files as the place of a slide's instances: where `vitrine slide convert` writes, where
 * `restore` reads. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/auto.h"
#include "media/slide_convert.h"

struct vt_err;
struct vt_slide_folder;

enum { VT_SLIDE_FOLDER_FILES_MAX = 20000 };

/* For writing: the folder is made when it is not there. Files are named after what they hold ("level-0.dcm"); one that is there
 * already is not replaced (VT_E_EXISTS). */
struct vt_slide_folder *vt_slide_folder_new(const char *path, struct vt_err *err);
/* What was not settled is removed. */
void vt_slide_folder_free(struct vt_slide_folder *folder);
VT_DEFINE_AUTO(vt_slide_folder)
struct vt_slide_target vt_slide_folder_target(struct vt_slide_folder *folder);
/* Files of levels become TIFF files as well (media/slide_dual.h). The facts are borrowed until free. */
void vt_slide_folder_dual(struct vt_slide_folder *folder, const struct vt_slide_facts *facts);

/* For reading: the DICOM files below the folder, by SOP Instance UID; one that holds a slide's restore data is the raw one.
 * VT_E_NOTFOUND: none; VT_E_INVALID: several slides lie there. */
bool vt_slide_folder_scan(struct vt_slide_folder *folder, struct vt_err *err);
const char *vt_slide_folder_raw(const struct vt_slide_folder *folder);   /* SOP Instance UID */
struct vt_slide_finder vt_slide_folder_finder(struct vt_slide_folder *folder);
const char *vt_slide_folder_beside(const struct vt_slide_folder *folder);   /* what lay beside it, or NULL */
