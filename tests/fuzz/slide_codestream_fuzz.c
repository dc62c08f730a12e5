/* Any bytes as JPEG and JPEG 2000 headers, and as JPEG tables: a prefix made of tables and put before a tile reads as the tile does. */
/* sources: media/slide_codestream.c core/buf.c core/err.c */
/* max-length: 2048 */
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "media/slide_codestream.h"
#include "tests/fuzz/seeds.h"

static const uint8_t jpeg[] = {
    0, 0xFF, 0xD8, 0xFF, 0xEE, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, 0,
    0xFF, 0xC0, 0, 17, 8, 0, 16, 0, 16, 3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0,
    0xFF, 0xDA, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0, 1, 2, 3, 0xFF, 0xD9,
};
static const uint8_t tables[] = {
    8, 0xFF, 0xD8, 0xFF, 0xDB, 0, 4, 0, 1, 0xFF, 0xC4, 0, 4, 0, 1, 0xFF, 0xD9,
};
static const uint8_t j2k[] = {
    0, 0xFF, 0x4F, 0xFF, 0x51, 0, 41, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
    0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 7, 1, 1, 0xFF, 0x52, 0, 12, 0, 0, 0, 1, 1, 5, 4, 4, 0, 1,
    0xFF, 0x90, 0, 10,
};

static void must(bool right)
{
    if (!right)
        abort();
}

static void vt_fuzz_seeds(const char *directory)
{
    vt_fuzz_seed(directory, "jpeg", jpeg, sizeof jpeg);
    vt_fuzz_seed(directory, "tables", tables, sizeof tables);
    vt_fuzz_seed(directory, "j2k", j2k, sizeof j2k);
}

/* The first byte says how much of the rest are tables; what follows is a tile. */
static void join(const uint8_t *bytes, size_t size)
{
    size_t split = bytes[0] < size - 1 ? bytes[0] : size - 1;
    const uint8_t *tile = bytes + 1 + split;
    size_t left = size - 1 - split;
    VT_AUTO_BUF(frame, 8192);
    struct vt_codestream alone, whole;
    struct vt_err err = { 0 }, other = { 0 };

    if (!vt_jpeg_prefix(bytes + 1, split, bytes[0] & 1, &frame, &err) ||
        !vt_jpeg_read(tile, left, &alone, &other))
        return;
    must(vt_buf_append(&frame, tile + 2, left - 2, &err));
    must(vt_jpeg_read(frame.data, frame.size, &whole, &err));
    must(whole.width == alone.width && whole.height == alone.height && whole.sof == alone.sof &&
         whole.components == alone.components);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct vt_codestream stream;
    struct vt_err err = { 0 };

    if (size < 1)
        return 0;
    if (vt_jpeg_read(bytes + 1, size - 1, &stream, &err)) {
        must(stream.components >= 1 && stream.components <= 4 && stream.width > 0);
        vt_jpeg_looks_ycbcr(&stream);
        must(vt_codestream_same(&stream, &stream));
    } else {
        must(err.code != VT_OK);
    }
    err = (struct vt_err){ 0 };
    if (vt_j2k_read(bytes + 1, size - 1, &stream, &err))
        must(stream.components >= 1 && stream.components <= 4 && stream.width > 0);
    else
        must(err.code != VT_OK);
    join(bytes, size);
    return 0;
}
