/* dicom/jpeg2000.h: one JPEG 2000 frame to native pixels, by openjp2. Private to the room; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vt_err;

/* What PS3.3 C.7.6.3 says of an image. */
struct vt_pixel_shape {
    uint16_t columns, rows, samples;
    uint16_t bits_allocated, bits_stored;
    bool is_signed;
    bool planar;          /* planar configuration 1 */
    uint32_t frames;
};

/* Bytes of one native frame; single bits are packed. */
uint64_t vt_pixel_frame_size(const struct vt_pixel_shape *shape);

/* `out` has room for a frame: little endian, samples interleaved. VT_E_INVALID: it cannot be read, or is not of the shape. */
bool vt_jpeg2000_decode(const uint8_t *bytes, size_t size, const struct vt_pixel_shape *shape, uint8_t *out,
                        struct vt_err *err);

#ifdef __cplusplus
}
#endif
