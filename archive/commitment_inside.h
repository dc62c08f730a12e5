/* archive/commitment_inside.h: what the files of commitment share. Room only. */
#pragma once

#include "archive/commitment.h"
#include "archive/index.h"

/* What reading an instance again found. */
struct vt_commitment_look {
    int reason; /* enum vt_commitment_reason */
    uint32_t version;
    uint64_t size;
    uint8_t sha256[VT_COMMITMENT_SHA256];
};

/* Opens the instance's file, reads all of it from the disk, compares with the index. Only for want
 * of memory or descriptors does it fail. */
bool vt_commitment_look(struct vt_archive *archive, const char *sop_class, const char *sop_uid,
                        uint8_t *block, struct vt_commitment_look *out, struct vt_err *err);
enum { VT_COMMITMENT_BLOCK = 1 << 20 };

/* SHA-256 over the transaction and its decided items, in their order: the receipt's own digest. */
bool vt_commitment_digest(struct vt_archive *archive, int64_t id,
                          uint8_t out[static VT_COMMITMENT_SHA256], struct vt_err *err);
