/* dicom/frame_decode.h: one encapsulated frame to native pixels, for the syntaxes that DCMTK does not decode.
 * Private to the room; any thread. */
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

/* `out` has room for a frame: little endian, samples as the data set says (JPEG 2000: interleaved). VT_E_INVALID: it
 * cannot be read, or is not of the shape. */
typedef bool (*vt_frame_decoder)(const uint8_t *bytes, size_t size, const struct vt_pixel_shape *shape, uint8_t *out,
                                 struct vt_err *err);

/* NULL: none of ours; DCMTK's, or nobody's. */
vt_frame_decoder vt_frame_decoder_find(const char *transfer_syntax_uid);

/* JPEG 2000 Part 1 by openjp2 (jpeg2000.c). */
bool vt_jpeg2000_decode(const uint8_t *bytes, size_t size, const struct vt_pixel_shape *shape, uint8_t *out,
                        struct vt_err *err);

#ifdef __cplusplus
}
#endif
