/* dicom/sop_classes.h: the table behind vt_sop_class_find (PS3.6 A, 2024), retired classes included.
 * Private to the room. In the order of strcmp, so that it can be searched by halves. */
#pragma once

#include <stddef.h>

#include "dicom/uids.h"

extern const struct vt_sop_class vt_sop_classes[];
extern const size_t vt_sop_class_count;
