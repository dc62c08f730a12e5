/* dicom/json_values.h: the values of one attribute of the DICOM JSON model as its bytes in little endian (PS3.18 F.2.3): for
 * json_read.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "dicom/json_tree.h"

struct vt_err;

struct vt_json_values {
    const struct vt_json_tree *tree;
    struct vt_buf bytes;   /* what was read; the caller empties it */
    struct vt_buf scratch; /* a string without its escapes */
};
void vt_json_values_init(struct vt_json_values *values, const struct vt_json_tree *tree, size_t limit);
void vt_json_values_fini(struct vt_json_values *values);

/* SQ too. */
bool vt_json_vr_known(const char *vr);
/* The elements of a "Value" array, not of SQ, and of no binary VR. */
bool vt_json_values(struct vt_json_values *values, const char *vr, uint32_t array, struct vt_err *err);
/* "InlineBinary": base64, of a binary VR. */
bool vt_json_inline(struct vt_json_values *values, const char *vr, uint32_t string, struct vt_err *err);
