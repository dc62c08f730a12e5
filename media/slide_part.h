/* media/slide_part.h: a stored instance of a slide, as a file: where its frames and private values lie, found by reading a few headers. The
 * descriptor is borrowed by what reads; vt_slide_part_close closes it. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dicom/uids.h"

struct vt_err;

struct vt_slide_part {
    int fd;
    uint64_t offset, size;            /* of the data set in the file */
    enum vt_encoding encoding;
    char name[80];                    /* for sentences: the SOP Instance UID */
};

/* A Part 10 file. */
bool vt_slide_part_open(const char *path, struct vt_slide_part *out, struct vt_err *err);
void vt_slide_part_close(struct vt_slide_part *part);

struct vt_slide_value {
    uint64_t offset;                  /* in the file */
    uint64_t length;                  /* UINT64_MAX: undefined, that is encapsulated */
};
enum { VT_SLIDE_SCAN_ELEMENTS_MAX = 100000 };
/* A value of the data set's top level. out_there false: not there. */
bool vt_slide_part_find(const struct vt_slide_part *part, uint32_t tag, struct vt_slide_value *out,
                        bool *out_there, struct vt_err *err);
/* The text of such a value, "" when it is not there. */
bool vt_slide_part_text(const struct vt_slide_part *part, uint32_t tag, char *out, size_t room,
                        struct vt_err *err);

/* Where frames lie: by the offset table where there is one for all of them, else by walking the items. One fragment a frame. */
struct vt_slide_frames {
    uint64_t *offsets;                /* of values, in the file; NULL: plain pixels */
    uint64_t first;                   /* plain pixels: of the first frame */
    uint64_t end;                     /* of the file's data set */
    uint32_t count;
};
/* frame_size: of plain pixels. At most `most` frames are noted. */
bool vt_slide_frames_find(const struct vt_slide_part *part, uint32_t most, struct vt_slide_frames *out,
                          struct vt_err *err);
void vt_slide_frames_fini(struct vt_slide_frames *frames);
