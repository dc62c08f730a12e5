/* dicom/transcode_inside.h: the two ways of dicom/transcode.c. Private to it. */
#pragma once

#include "dicom/transcode.h"

struct vt_header;

/* Reads the whole data set through `header` (for what it keeps, and where the frames lie). */
bool vt_transcode_scan(const struct vt_transcode *what, struct vt_header *header, struct vt_err *err);

/* Can it be done piece by piece: native little endian to native little endian, or frames decoded to it? */
bool vt_transcode_streams(const struct vt_transcode *what);
/* Into an unnamed file. */
bool vt_transcode_stream(const struct vt_transcode *what, struct vt_transcoded *out, struct vt_err *err);
