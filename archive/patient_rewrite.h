/* archive/patient_rewrite.h: the header of a data set with other patient attributes, bytes to
 * bytes. Elements that stay are copied as they are, unless a new value does not fit the character
 * set: then all text becomes UTF-8 (ISO_IR 192). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dicom/uids.h"

struct vt_err;
struct vt_buf;

struct vt_rewrite {
    const uint8_t *bytes; /* the elements before pixel data */
    size_t size;
    enum vt_encoding encoding; /* never VT_DEFLATED_LE */
    const uint8_t *set;        /* attributes (archive/attributes.h) to set; empty ones empty */
    size_t set_size;
    char charset[128]; /* (0008,0005) of the data set, "" none */
    char when[32];     /* DT of the change */
    char reason[17];   /* CORRECT, COERCE */
};

/* Appends the new header. */
bool vt_rewrite_run(const struct vt_rewrite *rewrite, struct vt_buf *out, struct vt_err *err);
