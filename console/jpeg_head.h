/* console/jpeg_head.h: what a JPEG says of itself before its first scan (ITU-T T.81 B.2): for frames that come without a transfer
 * syntax, or without the Image Pixel attributes (PS3.18 10.5.1.4). Pure; the bytes are a stranger's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VT_JPEG_HEAD_MAX = 64 << 10 }; /* bytes in which it must have said so */

struct vt_jpeg_head {
    const char *transfer_syntax;  /* constant */
    bool lossless;
    uint16_t rows, columns;
    unsigned components;          /* 1 or 3 */
    unsigned precision;           /* bits of a sample, 1 to 16 */
    const char *photometric;      /* Photometric Interpretation, constant */
};
/* false: it is no JPEG that DICOM has a transfer syntax for, or is cut off. */
bool vt_jpeg_head_read(const uint8_t *bytes, size_t size, struct vt_jpeg_head *out);
