#include "dicom/frame_decode.h"

#include <string.h>

#include <zlib.h>

#include "core/auto.h"
#include "core/err.h"

enum { RAW_DEFLATE = -15 };

uint64_t vt_pixel_frame_size(const struct vt_pixel_shape *shape)
{
    uint64_t bits = (uint64_t)shape->columns * shape->rows * shape->samples * shape->bits_allocated;

    return (bits + 7) / 8;
}

/* PS3.5 A.4.11: the native frame is the fragment. */
static bool decode_uncompressed(const uint8_t *bytes, size_t size, const struct vt_pixel_shape *shape, uint8_t *out,
                                struct vt_err *err)
{
    size_t frame = (size_t)vt_pixel_frame_size(shape);

    if (size != frame && size != frame + 1)
        return vt_fail(err, VT_E_INVALID, "a frame of %zu bytes where %zu are due", size, frame);
    memcpy(out, bytes, frame);
    return true;
}

/* PS3.5 A.4.13: the native frame, deflated. */
static bool decode_deflated(const uint8_t *bytes, size_t size, const struct vt_pixel_shape *shape, uint8_t *out,
                            struct vt_err *err)
{
    size_t frame = (size_t)vt_pixel_frame_size(shape);
    z_stream stream = { 0 };

    if (size > UINT32_MAX || frame > UINT32_MAX)
        return vt_fail(err, VT_E_LIMIT, "a deflated frame of %zu bytes", size);
    if (inflateInit2(&stream, RAW_DEFLATE) != Z_OK)
        return vt_fail(err, VT_E_NOMEM, "no memory to inflate a frame");
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)size;
    stream.next_out = out;
    stream.avail_out = (uInt)frame;
    int result = inflate(&stream, Z_FINISH);
    bool whole = stream.total_out == frame && (result == Z_STREAM_END || result == Z_BUF_ERROR);
    inflateEnd(&stream);
    return whole || vt_fail(err, VT_E_INVALID, "a deflated frame is broken or not of %zu bytes", frame);
}

vt_frame_decoder vt_frame_decoder_find(const char *transfer_syntax_uid)
{
    static const struct {
        const char *uid;
        vt_frame_decoder decoder;
    } decoders[] = {
        { "1.2.840.10008.1.2.1.98", decode_uncompressed },
        { "1.2.840.10008.1.2.4.90", vt_jpeg2000_decode },
        { "1.2.840.10008.1.2.4.91", vt_jpeg2000_decode },
        { "1.2.840.10008.1.2.8.1", decode_deflated },
    };

    for (size_t i = 0; i < VT_COUNT(decoders); i++)
        if (strcmp(decoders[i].uid, transfer_syntax_uid) == 0)
            return decoders[i].decoder;
    return NULL;
}
