/* archive/decide.h: what to do with an arrival whose SOP Instance UID is there already
 * (reference 4.3). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "archive/archive.h"
#include "archive/index.h"
#include "archive/instance.h"

struct vt_err;

enum vt_duplicate {
    VT_DUPLICATE_NONE,           /* not there */
    VT_DUPLICATE_OTHER_CLASS,    /* the same UID under another SOP class */
    VT_DUPLICATE_OTHER_PLACE,    /* in another series or study */
    VT_DUPLICATE_IDENTICAL,      /* digest and size agree */
    VT_DUPLICATE_SAME_PIXELS,    /* other attributes */
    VT_DUPLICATE_OTHER_ENCODING, /* another transfer syntax, or other bytes of a lossless one: has
                                    to be compared decoded */
    VT_DUPLICATE_OTHER_PIXELS,
};

/* Pure: what the rows say. `there` NULL: no such instance. */
enum vt_duplicate vt_duplicate_judge(const struct vt_index_entry *there,
                                     const struct vt_instance *arrival);

/* Pure: decision, status and comment by policy, for all but IDENTICAL and OTHER_ENCODING, which
 * must be looked into first. */
struct vt_verdict {
    enum vt_decision decision;
    uint16_t status;
    const char *comment;
};
struct vt_verdict vt_duplicate_verdict(enum vt_duplicate kind,
                                       const struct vt_archive_options *options);

/* Do two Part 10 files say the same outside their pixel data? Encodings do not count, nor do the
 * attributes that describe how the pixels are encoded. VT_E_LIMIT: too much to compare. */
struct vt_compared {
    const char *path;
    uint64_t data_set_size;
    bool has_pixels;
    uint64_t pixel_offset, pixel_length; /* as in struct vt_instance */
};
bool vt_duplicate_same_attributes(const struct vt_archive *archive, const struct vt_compared *a,
                                  const struct vt_compared *b, bool *out_same, struct vt_err *err);

/* Is the arrival's study there under another patient (Patient ID and issuer)? For
 * patient_conflict_reject. */
bool vt_decide_other_patient(struct vt_archive *archive, const struct vt_instance *arrival,
                             bool *out_other, struct vt_err *err);
