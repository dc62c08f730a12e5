/* console/accept.h: Accept headers (RFC 9110 12.5.1) as DICOMweb uses them (PS3.18 8.7). Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "dicom/uids.h"

enum { VT_ACCEPT_MAX = 32, VT_MEDIA_TYPE_MAX = 96 };

/* `multipart/related; type="image/jpeg"; transfer-syntax=*; q=0.5`: */
struct vt_media_range {
    bool multipart;                          /* the type below is that of the parts */
    char type[VT_MEDIA_TYPE_MAX];            /* lower case: "image/jpeg"; may hold wildcards: all types, or all of one kind */
    char transfer_syntax[VT_UID_MAX + 1];    /* "": none named; "*": as stored */
    unsigned quality;                        /* thousandths */
};

struct vt_accept {
    struct vt_media_range ranges[VT_ACCEPT_MAX]; /* the most wanted first; those with q=0 left out */
    size_t count;
};

/* NULL or "": everything. What cannot be read is skipped. */
void vt_accept_read(const char *header, struct vt_accept *out);
/* Does a header take that type, as itself or as a part? */
bool vt_accept_takes(const char *header, const char *type);
/* Does the range take that type? */
bool vt_media_takes(const struct vt_media_range *range, const char *type);
