/* archive/place.h: where an object's file lies, relative to the archive's folder. Names come from
 * valid UIDs, never from the peer's own text. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "archive/instance.h"

struct vt_err;

/* objects/YYYY/MM/DD/<study>/<series>/<sop>.dcm, of a later version <sop>~2.dcm. The day is the
 * study's, when `study_date` is one (DA), else that of the arrival (UTC). Fills instance->file from
 * the identity, version and arrival. */
void vt_place_object(struct vt_instance *instance, const char *study_date);
/* quarantine/YYYY/MM/DD/<sop>-<arrival>.dcm */
void vt_place_quarantine(struct vt_instance *instance);
/* Is it the file of an object: in objects/ of the archive or of a volume (archive/volume.h)? */
bool vt_place_is_object(const char *file);
/* The version that a file's name tells; 1 for a plain one. */
uint32_t vt_place_version(const char *file);
