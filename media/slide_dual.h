/* media/slide_dual.h: a level's file that is DICOM and TIFF at once: the preamble is a BigTIFF header, its directory lies in Data Set Trailing Padding
 * (FFFC,FFFC) and points at the frames. Private to media/. */
#pragma once

#include <stdbool.h>

struct vt_err;
struct vt_slide_facts;
struct vt_slide_instance;

/* Whole levels whose frames are JPEG, JPEG 2000 or plain; others stay what they are. */
bool vt_slide_dual_fits(const struct vt_slide_instance *instance);
/* Appends to a complete Part 10 file, open for reading and writing. */
bool vt_slide_dual_append(int fd, const char *path, const struct vt_slide_instance *instance,
                          const struct vt_slide_facts *facts, struct vt_err *err);
