/* hypervisor/picture_state.h: what picture.c and picture_file.c share; nobody else includes it. */
#pragma once

#include "hypervisor/region.h"
#include "hypervisor/picture.h"

/* The fields of a class that are kept, NULL behind the last. */
extern const char *const *const vt_class_fields[VT_CLASSES];

void vt_picture_set_time(struct vt_picture *picture, int64_t wall_ns);
