#include "dicom/inflate.h"

#include <stdlib.h>

#include "core/err.h"
#include "dicom/header.h"

enum { ROOM = 64 << 10, RAW_DEFLATE = -15 };

bool vt_inflater_reset(struct vt_inflater *inflater, struct vt_err *err)
{
    if (!inflater->room)
        inflater->room = malloc(ROOM);
    if (!inflater->room)
        return vt_fail_dimse(err, VT_E_NOMEM, 0xa700, "no memory to inflate");
    int result = inflater->ready ? inflateReset(&inflater->stream)
                                 : inflateInit2(&inflater->stream, RAW_DEFLATE);
    if (result != Z_OK)
        return vt_fail_dimse(err, VT_E_NOMEM, 0xa700, "no memory to inflate");
    inflater->ready = true;
    inflater->ended = false;
    inflater->fed = inflater->made = 0;
    return true;
}

void vt_inflater_fini(struct vt_inflater *inflater)
{
    if (inflater->ready)
        inflateEnd(&inflater->stream);
    free(inflater->room);
}

bool vt_inflater_next(struct vt_inflater *inflater, const uint8_t **in, size_t *in_size,
                      const uint8_t **out, size_t *out_size, struct vt_err *err)
{
    z_stream *stream = &inflater->stream;
    unsigned take = *in_size < ROOM ? (unsigned)*in_size : ROOM;

    *out = inflater->room;
    *out_size = 0;
    if (inflater->ended)             /* a padding byte behind the stream */
        return true;
    stream->next_in = (Bytef *)(uintptr_t)*in;
    stream->avail_in = take;
    stream->next_out = inflater->room;
    stream->avail_out = ROOM;
    int result = inflate(stream, Z_NO_FLUSH);
    size_t used = take - stream->avail_in, made = ROOM - stream->avail_out;
    /* What came out before a fault counts; the next call meets the fault again. */
    if (made == 0 && result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        return vt_fail_dimse(err, VT_E_INVALID, 0xc005, "the deflated data set is broken at byte %llu",
                             (unsigned long long)(inflater->fed + used));
    inflater->ended = result == Z_STREAM_END;
    inflater->fed += used;
    inflater->made += made;
    if (inflater->made > VT_HEADER_INFLATED_FREE &&
        inflater->made / VT_HEADER_INFLATE_RATIO_MAX > inflater->fed)
        return vt_fail_dimse(err, VT_E_LIMIT, 0xc007, "%llu bytes inflate to more than %d times as many",
                             (unsigned long long)inflater->fed, VT_HEADER_INFLATE_RATIO_MAX);
    *in += used;
    *in_size -= used;
    *out_size = made;
    return true;
}
