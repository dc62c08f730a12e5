/* dicom/frame_encode.h: one native frame to a fragment, for the syntaxes that DCMTK does not encode.
 * Private to the room; any thread. */
#pragma once

#include "dicom/frame_decode.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vt_buf;

/* JPEG 2000 Part 1 by openjp2. `frame`: as vt_frame_decoder gives it, colour interleaved. ratio 0: reversible;
 * else irreversible, about so many times smaller. Three samples go through the matching colour transform
 * (YBR_RCT, YBR_ICT). Appended to `out`. VT_E_UNSUPPORTED: not 8 or 16 bits. */
bool vt_jpeg2000_encode(const uint8_t *frame, const struct vt_pixel_shape *shape, float ratio, struct vt_buf *out,
                        struct vt_err *err);

#ifdef __cplusplus
}
#endif
