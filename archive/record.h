/* archive/record.h: what a journal record says of an arrival, as bytes and back: all that is needed
 * to put its file in place, its rows into state.db and the index, without asking anyone. The
 * object's own bytes follow when it is small. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/index.h"
#include "archive/instance.h"

struct vt_err;

enum {
    VT_RECORD_HEAD_MAX = 2 << 20, /* bytes of a record without the object */
    VT_RECORD_ATTRIBUTES_MAX =
        512 << 10, /* attributes and frame table together; above: read again from the object */
};

struct vt_record_body {
    struct vt_instance *instance;
    uint64_t staging; /* names the file in staging/; 0: the object's bytes are in the record */
    bool reread;      /* attributes and frames are not in the record: read them from the object */
    uint16_t status;  /* of a quarantined arrival: C010, C011 */
    char reason[65];
    bool has_previous; /* VT_RECORD_VERSION: what was served until now */
    struct vt_index_entry previous;
    const uint8_t *bytes; /* the object, when small; borrowed */
    size_t size;
};

/* Appends all but bytes; out's limit should be VT_RECORD_HEAD_MAX. */
bool vt_record_encode(const struct vt_record_body *body, struct vt_buf *out, struct vt_err *err);
/* body->instance is filled (initialised by the caller); body->bytes point into the record.
 * VT_E_CORRUPT. */
bool vt_record_decode(const uint8_t *bytes, size_t size, struct vt_record_body *body,
                      struct vt_err *err);
